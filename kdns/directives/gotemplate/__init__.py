"""The template language of Go's text/template, as far as a line of DNS data needs it.

``lexer`` (text -> tokens) -> ``parser`` (tokens -> ``nodes``) -> ``check`` (what a template uses,
and what is not known, before the first query) and ``execute`` (nodes and data -> text, with the
``functions`` and the ``formatting`` of Go). Knows no DNS and no Corefile; reads no clock.

Not there, and refused by the parser: ``define``, ``block``, ``template``, ``call``, floating-point
and imaginary numbers. The reference is https://pkg.go.dev/text/template.
"""
