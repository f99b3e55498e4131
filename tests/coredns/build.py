"""CoreDNS, which benchmarks compare kdns with, built from the module beside this file.

``python -m tests.coredns.build`` builds it, unless it is built, and prints the folder.
"""

import sys
from pathlib import Path

from tests.gobuild import Module, main

MODULE = Module("coredns", Path(__file__).parent, ("coredns",), minutes=5)


def program() -> Path:
    """Return the program, or raise ``NotBuilt``; never builds."""
    return MODULE.find() / "coredns"


if __name__ == "__main__":
    sys.exit(main(MODULE.build))
