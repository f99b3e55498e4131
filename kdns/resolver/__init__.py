"""The resolver library: the server's answers in a program, without a server and without sockets.

``engine`` asks the chain of a configuration and walks the search list; ``results`` is what comes
out. ``cluster`` puts it together for asyncio, ``blocking`` runs that on a thread of its own, and
``serving`` is the server for programs. What a stub resolver does is ``kdns.stub``.
"""
