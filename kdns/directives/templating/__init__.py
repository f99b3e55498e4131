"""Templates for DNS: which question they are for (``rules``), and what they see of it (``data``).

The language is ``kdns.directives.gotemplate``. Knows no Corefile and no plugin; asks nobody.
"""
