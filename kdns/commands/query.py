"""``kdns query``: resolve a name as a pod would, without a server."""

import argparse
import sys
from collections.abc import Sequence

import msgspec

from kdns.cluster import FromCluster, FromManifests
from kdns.commands import exits, source
from kdns.commands.words import Number
from kdns.errors import UsageError
from kdns.resolver.blocking import Cluster
from kdns.resolver.results import NOERROR, Result
from kdns.resolver.sources import SYSTEM, Source
from kdns.stub.resolvconf import ResolvConf

MAX_WAIT = 3600


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_question(parser)
    parser.add_argument(
        "--output",
        choices=("text", "json"),
        default="text",
        help="form of the answer (%(default)s)",
    )
    source.add(parser, search=False)


def add_question(parser: argparse.ArgumentParser) -> None:
    """Declare what is asked, and from where."""
    parser.add_argument("name", metavar="NAME", help="completed as the C library does it")
    parser.add_argument("rtype", metavar="TYPE", nargs="?", default="A", help="type (%(default)s)")
    parser.add_argument(
        "--from",
        dest="place",
        default="default",
        metavar="NAMESPACE[/POD]",
        help="where the question is asked (%(default)s)",
    )
    parser.add_argument(
        "--resolv-conf",
        default="",
        metavar="FILE",
        help="complete names as this resolv.conf says, not as that of the place",
    )
    parser.add_argument(
        "--style", choices=("glibc", "musl"), default="glibc", help="C library (%(default)s)"
    )
    add_wait(parser)
    parser.add_argument(
        "--upstream",
        action="append",
        metavar="ADDR[:PORT]|system",
        help="who is asked about other names; repeatable (nobody)",
    )


def add_wait(parser: argparse.ArgumentParser) -> None:
    """Declare how long a start may take."""
    parser.add_argument(
        "--wait",
        type=Number(0, MAX_WAIT),
        default=10,
        metavar="SECONDS",
        help="how long the API server may take to list everything (%(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the answer; return the exit status, which depends on the rcode: see ``exits``."""
    with opened(arguments) as cluster:
        result = ask(cluster, arguments)
        if trouble := cluster.trouble:
            print(f"kdns: {trouble}", file=sys.stderr)
    if arguments.output == "json":
        print(msgspec.json.format(msgspec.json.encode(result)).decode())
    else:
        print(_text(result))
    return exits.status(result)


def opened(arguments: argparse.Namespace) -> Cluster:
    """Return the cluster that the options name, to be entered."""
    wanted = _where(source.source(arguments))
    wanted["settings"] = source.settings(arguments)
    wanted["upstream"] = _upstream(arguments.upstream or [])
    wanted["wait"] = arguments.wait
    return Cluster(**wanted)


def ask(cluster: Cluster, arguments: argparse.Namespace) -> Result:
    """Ask what the options say."""
    conf = ResolvConf.read(arguments.resolv_conf) if arguments.resolv_conf else None
    resolver = cluster.resolver(arguments.place, conf=conf, style=arguments.style)
    return resolver.resolve(arguments.name, arguments.rtype)


def _where(found: FromManifests | FromCluster) -> Source:
    """Say in the words of the library where the data come from."""
    match found:
        case FromManifests(paths, assign):
            return {"manifests": paths, "assign": assign}
        case FromCluster(kubeconfig, context, snapshot=snapshot, snapshot_max_age=age):
            where: Source = {"kubeconfig": kubeconfig} if kubeconfig else {"in_cluster": True}
            if context:
                where["context"] = context
            if snapshot:
                where |= {"snapshot": snapshot, "snapshot_max_age": age}
            return where


def _upstream(words: Sequence[str]) -> str | Sequence[str]:
    if SYSTEM in words and len(words) > 1:
        raise UsageError(f"--upstream {SYSTEM} stands alone")
    return SYSTEM if words == [SYSTEM] else words


def _text(result: Result) -> str:
    """Write the names tried as comments and the answer as dig does."""
    if result.found:
        return "\n".join([str(result), *([f"; {result.reason}"] if result.reason else [])])
    became = "NODATA" if result.rcode == NOERROR else result.rcode or "not asked"
    return f"{result}\n; {became}"
