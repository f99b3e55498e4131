"""Rules that change a question on its way in and the response on its way out.

``matching`` (names as texts) and ``options`` (EDNS) -> ``rules`` (a query -> another query, and how
its response is to be changed) and ``revisions`` (the changes of a response, with ``targets`` for
the names in rdata). Knows no Corefile and no plugin; asks nobody.
"""
