"""The resolver behind interfaces of others, one module for each: import the one that you need.

``sockets`` stands for ``socket.getaddrinfo``, ``dnspython`` for the resolvers of dnspython, which
it alone needs to be installed.
"""
