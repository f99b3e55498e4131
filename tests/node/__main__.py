"""A cluster of one node, in namespaces, with kdns as its DNS: ``python -m tests.node``."""

import argparse
import os
import shutil
import signal
import sys
from pathlib import Path

from tests.controlplane.build import programs
from tests.gobuild import NotBuilt, missing
from tests.node import images
from tests.node.cluster import PLUGINS
from tests.node.isolation import GROUPS, control_groups, folder, own_groups, run_inside

TOOLS = ("containerd", "ctr", "runc", "iptables", "conntrack", "unshare", "ip", "ss", "curl")


def main() -> int:
    """Build what is missing, run everything, and return the status."""
    options = _parse()
    try:
        need()
        archives = images.build(options.image)
    except NotBuilt as reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    # A shell that starts us in the background has Ctrl-C ignored, and SIGTERM would not clean up.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    hold = ["--hold"] if options.hold else []
    with folder() as place, control_groups(place.name) as groups:
        return run_inside(["tests.node.inside", *hold, str(place), *map(str, archives)], groups)


def need() -> None:
    """Raise ``NotBuilt`` with what this machine lacks."""
    if os.geteuid():
        raise NotBuilt("namespaces, mounts and control groups need root")
    if not own_groups():
        raise NotBuilt(f"{GROUPS}: expected cgroup v1; for v2 this script makes no groups")
    places = [*TOOLS, *(f"{PLUGINS}/{name}" for name in ("bridge", "host-local", "portmap"))]
    if lacking := [place for place in places if not shutil.which(place)]:
        raise NotBuilt(f"not found: {', '.join(lacking)}; see tests/node/README.md")
    if missing(programs(), ("kube-proxy", "kube-controller-manager")):
        raise NotBuilt(f"no kube-proxy or no kube-controller-manager in {programs()}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.node", description=__doc__)
    parser.add_argument("--image", type=Path, help="an archive of kdns's image, not to build it")
    parser.add_argument("--hold", action="store_true", help="keep the cluster until Ctrl-C")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
