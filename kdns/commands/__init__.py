"""What can be done on the command line: one module for each command.

A command has ``add(parser)``, which declares its options, and ``run(arguments)``, which returns
the exit status. ``words`` reads arguments; ``source`` has the options that say what is served.
"""
