"""Other resolvers: which there are, and how one is asked. Knows no zones and no plugins.

``destinations`` (words -> addresses), ``resolvconf``, ``hostname`` and ``ourselves`` find out whom
to ask. A question goes ``flights`` (once for all who wait) -> ``group`` (one after the other) ->
``resolver`` (one of them, and its ``health``) -> ``datagrams`` or ``streams`` (its sockets).
"""
