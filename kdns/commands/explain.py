"""``kdns explain``: why a name gives what it gives. Exit statuses are those of ``exits``."""

import argparse
import asyncio
import os
import sys

import msgspec

from kdns.commands import exits, query, source
from kdns.errors import UsageError
from kdns.explain import page
from kdns.explain.library import explain, explain_corefile
from kdns.explain.report import Explanation
from kdns.explain.text import text
from kdns.stub.resolvconf import ResolvConf


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    query.add_question(parser)
    parser.add_argument(
        "--output",
        choices=("text", "json"),
        default="text",
        help="form of the explanation (%(default)s)",
    )
    parser.add_argument(
        "-conf",
        "--conf",
        default="",
        metavar="FILE",
        help="explain what this Corefile answers; with --manifests from these",
    )
    parser.add_argument(
        "--server",
        default="",
        metavar="ADDR:PORT",
        help="ask the /explain page of a server: its --admin or health address",
    )
    source.add(parser, search=False)


def run(arguments: argparse.Namespace) -> int:
    """Print the explanation; return the exit status, which depends on the rcode."""
    found = _explained(arguments)
    if arguments.output == "json":
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        print(text(found, colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR")))
    return exits.status(found)


def _explained(arguments: argparse.Namespace) -> Explanation:
    asked = arguments.name, arguments.rtype, arguments.place
    given = arguments.manifests or arguments.kubeconfig
    if arguments.server:
        if arguments.conf or given or arguments.resolv_conf or arguments.upstream:
            raise UsageError("--server has its own data: it stands alone with the question")
        return page.ask(arguments.server, *asked, arguments.style)
    conf = ResolvConf.read(arguments.resolv_conf) if arguments.resolv_conf else None
    if arguments.conf:
        if arguments.upstream:
            raise UsageError("--upstream has no effect with -conf: it belongs into the Corefile")
        data = source.source(arguments) if given else None
        return asyncio.run(
            explain_corefile(arguments.conf, *asked, source=data, conf=conf, style=arguments.style)
        )
    with query.opened(arguments) as cluster:
        found = explain(cluster, *asked, conf=conf, style=arguments.style)
        if trouble := cluster.trouble:
            print(f"kdns: {trouble}", file=sys.stderr)
    return found
