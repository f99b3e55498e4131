"""Resource records as text (RFC 1035 section 5) -> ``Record``.

``words`` (text -> words) -> ``rdata`` (the words of one type -> octets, with ``services`` for SVCB)
-> ``record`` (one line -> owner, TTL, class, type and rdata). Knows no files and no Corefile.
Every module raises ValueError for what cannot be read, with what was expected.
"""
