"""Kustomize, which the manifests are built with, built from the module beside this file.

``python -m tests.kustomize.build`` builds it, unless it is built, and prints the folder.
"""

import sys
from pathlib import Path

from tests.gobuild import Module, main

MODULE = Module("kustomize", Path(__file__).parent, ("kustomize",), minutes=1)


def program() -> Path:
    """Return the program, or raise ``NotBuilt``; never builds."""
    return MODULE.find() / "kustomize"


if __name__ == "__main__":
    sys.exit(main(MODULE.build))
