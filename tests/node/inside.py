"""What runs inside the namespaces: a first process that buries orphans, and beside it the node."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.controlplane.client import Refused
from tests.controlplane.process import Failed
from tests.node import machine
from tests.node.cluster import Cluster, running
from tests.node.session import Session, Wrong
from tests.node.steps import STEPS


def main() -> int:
    """Stay the first process, and return the status of the one that works."""
    child = os.fork()
    if child == 0:
        return work()
    while True:
        # The shims of containerd, and others that outlive who started them, are ours to bury.
        process, status = os.wait()
        if process == child:
            return os.waitstatus_to_exitcode(status)


def work() -> int:
    """Make the machine, run the cluster on it, and go through the steps."""
    options = _parse()
    machine.prepare(options.folder)
    with running(options.folder, options.image) as cluster:
        failed = show(Session(cluster))
        if options.hold:
            hold(cluster)
    return 1 if failed else 0


def show(session: Session) -> list[str]:
    """Go through the steps, report, and return the names of those that failed."""
    results = [(step.__doc__ or "", *_timed(step, session)) for step in STEPS]
    session.say("== summary")
    for title, seconds, problem in results:
        session.say(f"{problem or 'yes':7.60} {seconds:5.0f} s  {title}")
    return [title for title, _, problem in results if problem]


def _timed(step: Callable[[Session], None], session: Session) -> tuple[float, str]:
    """Run a step; return its seconds, and what was wrong: the others run all the same."""
    session.say(f"== {step.__doc__}")
    started, problem = time.monotonic(), ""
    try:
        step(session)
    except (Wrong, Refused, Failed, OSError, ValueError, LookupError) as error:
        problem = f"FAILED: {error!r}"
        session.say(problem)
        session.look()
    return time.monotonic() - started, problem


def hold(cluster: Cluster) -> None:
    """Keep the cluster until somebody ends us, and say how to get at it."""
    settings = f"KUBECONFIG={cluster.config} PATH={cluster.programs}:$PATH"
    sys.stdout.write(f"held until Ctrl-C; see tests/node/README.md\n{settings}\n")
    sys.stdout.flush()
    signal.pause()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.node.inside", description=__doc__)
    parser.add_argument("--hold", action="store_true", help="keep the cluster afterwards")
    parser.add_argument("folder", type=Path)
    parser.add_argument("image", type=Path, nargs="+", help="an archive to import")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
