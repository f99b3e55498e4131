"""``kdns compare``: ask two servers the same and print what differs.

Exit status 0 where nothing does, 1 where something does or nothing could be compared.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from kdns.cluster import Cluster, Clusters
from kdns.commands import source
from kdns.commands.words import Number
from kdns.compare import questions
from kdns.compare.asking import Outcome, Plan, compare, sides
from kdns.compare.questions import Read
from kdns.directives import kubernetes as kubernetes_block
from kdns.errors import UsageError
from kdns.upstream import address
from kdns.zone.authority import Authority

EXIT_SAME, EXIT_DIFFERENT = 0, 1
SERVER = "127.0.0.1:1053"
"""Where ``kdns serve`` listens without a Corefile."""
MAX_WAIT = 3600
_NEITHER = ("manifests", "kubeconfig")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    who = parser.add_argument_group("who is asked").add_argument
    who("--with", dest="other", required=True, metavar="ADDR[:PORT]", help="CoreDNS, say")
    who("--server", default=SERVER, metavar="ADDR[:PORT]", help="kdns (%(default)s)")
    what = parser.add_argument_group(
        "what is asked", "the names of the cluster, unless one of these is given"
    ).add_mutually_exclusive_group()
    what.add_argument("--names", metavar="FILE", help="lines of NAME [TYPE], - for standard input")
    what.add_argument("--log", metavar="FILE", help="a log of queries, - for standard input")
    parser.add_argument(
        "--all",
        dest="everything",
        action="store_true",
        help="compare flags, TTLs, other sections and serials, too; never the order",
    )
    parser.add_argument(
        "--wait",
        type=Number(0, MAX_WAIT),
        default=10,
        metavar="SECONDS",
        help="how long the API server may take to list everything (%(default)s)",
    )
    source.add(parser, search=False)


def run(arguments: argparse.Namespace) -> int:
    """Print the differences; return the exit status."""
    plan = Plan(
        address.parse(arguments.other),
        address.parse(arguments.server),
        everything=arguments.everything,
    )
    if plan.theirs == plan.ours:
        raise UsageError(f"--with and --server are both {plan.theirs}: nothing to compare")
    read, outcome = asyncio.run(_compare(arguments, plan))
    if outcome.differences:
        print(f"--- {plan.theirs}\n+++ {plan.ours}")
        print("\n".join(sides(outcome.differences)))
    print(_summary(read, outcome), file=sys.stderr)
    return EXIT_DIFFERENT if outcome.differences else EXIT_SAME


async def _compare(arguments: argparse.Namespace, plan: Plan) -> tuple[Read, Outcome]:
    read = await _read(arguments)
    return read, await compare(read.questions, plan)


async def _read(arguments: argparse.Namespace) -> Read:
    if not (arguments.names or arguments.log):
        return await _of_cluster(arguments)
    if any(getattr(arguments, word) for word in _NEITHER):
        raise UsageError("--names and --log exclude --manifests and --kubeconfig")
    if arguments.names:
        return questions.of_list(_text(arguments.names), arguments.names)
    return questions.of_log(_text(arguments.log), arguments.log)


async def _of_cluster(arguments: argparse.Namespace) -> Read:
    settings = source.settings(arguments)
    where = source.source(arguments)
    cluster = Clusters().get(where, kubernetes_block.selection(settings))
    async with cluster:
        try:
            await asyncio.wait_for(cluster.synced.wait(), arguments.wait)
        except TimeoutError:
            raise UsageError(_unsynced(cluster, arguments.wait)) from None
        return questions.of_store(cluster.store, Authority(settings))


def _unsynced(cluster: Cluster, seconds: int) -> str:
    troubles = dict.fromkeys(one.trouble for one in cluster.statuses if one.trouble)
    return "; ".join((f"not everything was listed in {seconds} s", *troubles))


def _text(path: str) -> str:
    try:
        if path == "-":
            return sys.stdin.read()
        return Path(path).read_text(errors="replace")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def _summary(read: Read, outcome: Outcome) -> str:
    different = len(outcome.differences)
    found = [f"{outcome.asked} questions, {different} with different answers"]
    if outcome.passing:
        found.append(f"{outcome.passing} more only for a moment")
    if read.passed_over:
        found.append(f"{read.passed_over} lines are no queries of class IN")
    return "; ".join(found)
