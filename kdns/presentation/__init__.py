"""Resource records as text (RFC 1035 section 5) -> ``Record``, and back.

``words`` (text -> words) -> ``rdata`` (the words of one type -> octets, with ``services`` for SVCB)
-> ``record`` (one line -> owner, TTL, class, type and rdata); ``text`` writes. Knows no files and
no Corefile. What cannot be read is a ValueError that says what was expected.
"""
