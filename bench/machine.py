"""Where and when figures were measured."""

import datetime as dt
import os
import platform
import sys


def machine(program: str) -> dict[str, str]:
    """Describe this run of ``program``."""
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "command": " ".join([program, *sys.argv[1:]]),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[2]:.1f}",
    }
