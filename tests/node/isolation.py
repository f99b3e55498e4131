"""Run this package's own code where nothing that it does can be felt outside.

Namespaces of its own for processes, mounts, network, names and control groups; when the first
process of them ends, the kernel ends the rest. Knows Linux. Does not know Kubernetes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from tests.controlplane.client import eventually
from tests.controlplane.process import Guard

PREFIX = "kdns-node-"
GROUPS = Path("/sys/fs/cgroup")
GONE_WITHIN = 30.0  # seconds, for the kernel to end what was killed
# The shell becomes the first process of its groups before they are taken for the root of all.
ENTER = """
for procs in $GROUP_FILES; do echo $$ > "$procs"; done
exec unshare --mount --net --pid --ipc --uts --cgroup --fork --kill-child --mount-proc "$@"
"""


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder for everything that the node writes, and remove it at the end."""
    made = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def control_groups(name: str) -> Iterator[list[Path]]:
    """Make a group in each hierarchy of cgroup v1, below our own; remove them at the end."""
    made = [parent / name for parent in own_groups()]
    try:
        for path in made:
            path.mkdir()
            inherit_cpus(path)
        yield made
    finally:
        for path in made:
            remove_group(path)


def own_groups() -> list[Path]:
    """Return the groups that this process is in, of cgroup v1 (cgroups(7))."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    rows = [line.split(":", 2) for line in lines]
    places = [(GROUPS / names.removeprefix("name="), path) for _, names, path in rows if names]
    return [mount / path.lstrip("/") for mount, path in places if mount.is_dir()]


def inherit_cpus(path: Path) -> None:
    """Give a group of `cpuset` what its parent has: a new one has nothing, and takes nobody."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (path / name).exists():
            (path / name).write_text((path.parent / name).read_text())


def remove_group(path: Path) -> None:
    """Remove a group and those below it, once their processes have gone."""
    if not path.is_dir():
        return
    for below, _, _ in os.walk(path, topdown=False):
        eventually(partial(removed, Path(below)), seconds=GONE_WITHIN)


def removed(path: Path) -> bool:
    """Remove an empty group; say whether it is gone."""
    with suppress(FileNotFoundError, OSError):
        path.rmdir()
    return not path.exists()


def run_inside(command: Sequence[str], groups: Sequence[Path]) -> int:
    """Run a Python module of ours as the first process of new namespaces; return its status."""
    files = " ".join(str(path / "cgroup.procs") for path in groups)
    guard = Guard()
    with subprocess.Popen(
        ["sh", "-ec", ENTER, "enter", sys.executable, "-m", *command],
        env=os.environ | {"GROUP_FILES": files},
        stdin=subprocess.DEVNULL,
        # Ctrl-C is for us: we end it whole.
        start_new_session=True,
    ) as process:
        guard.tell("start", process.pid)
        try:
            return process.wait()
        finally:
            # With `unshare` goes its child, the first process, and with that all others.
            process.kill()
            process.wait()
            guard.tell("end", process.pid)
            guard.close()
