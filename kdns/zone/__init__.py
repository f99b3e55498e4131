"""Objects to answers: the Kubernetes DNS specification 1.1.0 and nothing else.

``lookup.answer`` is a pure function of (store, authority, question). Knows no sockets, no clock,
no messages and no plugins. ``compat`` alone knows where another server deviates.
"""
