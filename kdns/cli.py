"""The command line: words to a command, errors to exit statuses.

kdns [serve] -conf Corefile              as CoreDNS
kdns [serve] --manifests PATH [...]      without a Corefile
kdns check [Corefile]                    and the other commands of ``kdns.commands``
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn, Protocol, cast

from kdns.errors import KdnsError
from kdns.version import VERSION

EXIT_FAILED = 1
EXIT_PIPE = 128 + signal.SIGPIPE
COMMANDS = {
    "serve": "answer queries (the default command)",
    "check": "read a Corefile and say what it comes to",
    "explain": "say why a name gives what it gives",
    "compare": "ask two servers the same and print what differs",
    "lint": "find in manifests what will not resolve as it is meant",
    "query": "resolve a name as a pod would, without a server",
    "records": "write every record of the cluster as zone files or JSON",
}
"""Each is a module of ``kdns.commands``, imported when it is chosen: all take 0.1 s more."""


class Command(Protocol):
    """What a module of ``kdns.commands`` has."""

    add: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run kdns and return its exit status: 0 ended as asked, 1 failed, 2 unreadable arguments.

    Where nobody reads what is printed any more, as with ``| head``, it is that of a program which
    the signal for that has ended.
    """
    try:
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # What is left is written at the end of the program, to where it does no harm.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE


def _run(argv: list[str]) -> int:
    arguments = _parse(argv)
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
    for name, text in COMMANDS.items():
        its_parser = commands.add_parser(name, help=text)
        if name == argv[0]:
            command = cast("Command", import_module(f"kdns.commands.{name}"))
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
