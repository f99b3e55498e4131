"""A client in Go, whose resolver is its own, built from the module beside this file.

``python -m tests.service_ip.build`` builds it, unless it is built, and prints the folder.
"""

import sys
from pathlib import Path

from tests.gobuild import Module, main

MODULE = Module("service_ip", Path(__file__).parent, ("lookup",), minutes=1)


def program() -> Path:
    """Return the program, or raise ``NotBuilt``; never builds."""
    return MODULE.find() / "lookup"


if __name__ == "__main__":
    sys.exit(main(MODULE.build))
