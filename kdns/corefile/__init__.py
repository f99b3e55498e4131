"""Corefile text -> server blocks of directives. Knows plugins only as names; reads no clock.

``lexer`` (text -> tokens) -> ``parser`` (tokens -> server blocks, imports and snippets unfolded) ->
``keys`` (a block's keys -> zones and ports) and ``values`` (a directive's words -> numbers, names).
"""
