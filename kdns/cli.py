"""The command line: words to a command, errors to exit statuses.

kdns [serve] -conf Corefile              as CoreDNS
kdns [serve] --manifests PATH [...]      without a Corefile
kdns check [Corefile]                    and the other commands of ``kdns.commands``
"""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from kdns.commands import check, compare, explain, lint, query, records, serve
from kdns.errors import KdnsError
from kdns.version import VERSION

EXIT_FAILED = 1
COMMANDS = {
    "serve": (serve, "answer queries (the default command)"),
    "check": (check, "read a Corefile and say what it comes to"),
    "explain": (explain, "say why a name gives what it gives"),
    "compare": (compare, "ask two servers the same and print what differs"),
    "lint": (lint, "find in manifests what will not resolve as it is meant"),
    "query": (query, "resolve a name as a pod would, without a server"),
    "records": (records, "write every record of the cluster as zone files or JSON"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run kdns and return its exit status: 0 ended as asked, 1 failed, 2 unreadable arguments."""
    arguments = _parse(list(sys.argv[1:] if argv is None else argv))
    try:
        return int(arguments.run(arguments))
    except KdnsError as error:
        print(f"kdns: {error}", file=sys.stderr)
        return EXIT_FAILED


def _parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line. ``serve`` may be left out: it is what kdns does."""
    if not argv or argv[0] not in (*COMMANDS, "-h", "-help", "--help", "-version", "--version"):
        argv = ["serve", *argv]
    parser = _Parser(prog="kdns", description="A cluster DNS server for Kubernetes.")
    parser.add_argument("-version", "--version", action="version", version=f"kdns-{VERSION}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (command, text) in COMMANDS.items():
        its_parser = commands.add_parser(name, help=text)
        its_parser.set_defaults(run=command.run)
        command.add(its_parser)
    return parser.parse_args(argv)


class _Parser(argparse.ArgumentParser):
    """Like argparse, but without guessing at abbreviations of options."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings, allow_abbrev=False)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is, exit status 2."""
        self.exit(2, f"kdns: {message} (see {self.prog} --help)\n")
