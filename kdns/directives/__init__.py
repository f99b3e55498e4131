"""What the larger directives are made of, beside their plugins.

``kubernetes`` and ``forward`` read their blocks; ``caching``, ``rewriting`` and ``templating`` are
the rules of ``cache``, ``rewrite`` and ``template``; ``gotemplate`` is Go's template language.
"""
