"""Several processes behind one set of sockets (``multisocket``), seen from their parent.

``crew`` starts them and keeps them alive; ``pipe`` is what both sides say to one another. A worker
itself is ``kdns.commands.worker``.
"""
