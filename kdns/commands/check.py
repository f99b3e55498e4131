"""``kdns check``: read a Corefile as the server would, and say what it comes to.

Nothing is bound, followed or asked. Exit status 0 for a Corefile that can be run, 1 for one that
cannot, and with ``--strict`` also for one with warnings. What is only so on this machine, such as
its resolv.conf, counts for nothing: the Corefile may be for another one.
"""

import argparse
import sys
from collections.abc import Mapping

from kdns import advice, configuration
from kdns.assembly import Check
from kdns.cluster import Cluster, Clusters, From, FromObjects
from kdns.commands.words import MAX_PORT, Number
from kdns.configuration import Assembled
from kdns.corefile import parser as corefile_parser
from kdns.corefile.syntax import Corefile
from kdns.kube.resources import Selection
from kdns.metrics import Metrics
from kdns.server.tally import Tally

EXIT_OK, EXIT_WARNED = 0, 1
DEFAULT_PORT = 53


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("corefile", nargs="?", default="Corefile", help="file, or stdin (Corefile)")
    parser.add_argument(
        "-dns.port",
        "--dns.port",
        "-p",
        dest="port",
        type=Number(0, MAX_PORT),
        default=DEFAULT_PORT,
        metavar="PORT",
        help="port of zones without one (%(default)s)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 where there are warnings"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the chain of every server block and all warnings; return the exit status."""
    corefile = corefile_parser.load(arguments.corefile)
    read = configuration.build(corefile, arguments.port, DryRuntime())
    warnings = advice.of(read)
    print("\n\n".join(map(_shown, read.blocks)))
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for remark in read.remarks:
        print(f"on this machine: {remark}", file=sys.stderr)
    return EXIT_WARNED if warnings and arguments.strict else EXIT_OK


def _shown(assembled: Assembled) -> str:
    """Write a server block: where it listens, and who is asked in which order."""
    ports = dict.fromkeys(port for _, port in assembled.block.addresses)
    keys = " ".join(f"dns://{key.text.removeprefix('dns://')}" for key in assembled.keys)
    hosts = dict.fromkeys(host or "all addresses" for host, _ in assembled.block.addresses)
    chain = " -> ".join(name for name, plugin in assembled.plugins if plugin is not None)
    settings = ", ".join(name for name, plugin in assembled.plugins if plugin is None)
    lines = [
        f"{keys} on port {', '.join(map(str, ports))} of {', '.join(hosts)}",
        f"  asks      {chain or 'nobody: every query is refused'}",
    ]
    return "\n".join([*lines, f"  settings  {settings}"] if settings else lines)


class DryRuntime:
    """A runtime in which nothing ever runs."""

    ending = is_worker = False
    corefile: Corefile | None = None

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.clusters: Clusters = DryClusters()

    def tally(self, server: str) -> Tally:  # noqa: ARG002 - nothing is counted
        """Return a tally of nothing."""
        return Tally()

    def checks(self) -> Mapping[str, Check]:
        """Return nothing: nobody asks."""
        return {}

    async def reload(self) -> bool:
        """Refuse: there is nothing to change over to."""
        return False

    def stop(self, status: int, why: str) -> None:
        """Do nothing: nothing runs."""


class DryClusters(Clusters):
    """Clusters without an API server: on the machine of an author there may be none."""

    def get(self, source: From, selection: Selection) -> Cluster:
        """Return a cluster that nobody feeds."""
        return super().get(FromObjects(repr(source)), selection)
