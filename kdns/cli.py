"""The command line: words to options, errors to exit statuses, and the only signal handlers.

kdns serve --manifests PATH [...]        also without the word serve
"""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from kdns.app import Options, Server, kubeadm, serving
from kdns.errors import KdnsError, UsageError
from kdns.server.listeners import show
from kdns.version import VERSION
from kdns.zone.settings import MAX_TTL

EXIT_OK, EXIT_FAILED = 0, 1
COMMANDS = ("serve",)
MAX_PORT = 65_535


def main(argv: Sequence[str] | None = None) -> int:
    """Run kdns and return its exit status: 0 ended as asked, 1 failed, 2 wrong usage."""
    arguments = _parse(list(sys.argv[1:] if argv is None else argv))
    logging.basicConfig(format="[%(levelname)s] %(message)s", level=logging.INFO)
    try:
        asyncio.run(_serve(_options(arguments)))
    except KdnsError as error:
        print(f"kdns: {error}", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_OK


async def _serve(options: Options) -> None:
    """Serve until SIGINT or SIGTERM. SIGHUP does nothing, as users of CoreDNS expect."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    async with serving(options) as server:
        print("\n".join(_greeting(server)), flush=True)
        await stop.wait()


def _greeting(server: Server) -> list[str]:
    host, port = server.addresses[0]
    places = " and ".join(map(show, server.addresses))
    others = ", ".join(server.upstreams)
    return [
        f"kdns {VERSION}",
        f"serving {server.loaded}",
        *([server.ignored] if server.ignored else []),
        f"other names go to {others}" if others else "other names are refused",
        f"listening on {places}, UDP and TCP",
        f"try: dig -p {port} @{host} kubernetes.default.svc.cluster.local",
    ]


def _options(arguments: argparse.Namespace) -> Options:
    if not arguments.manifests:
        raise UsageError("nothing to serve: expected --manifests PATH")
    settings = kubeadm(arguments.zone, arguments.ttl, arguments.search)
    return Options(
        manifests=tuple(arguments.manifests),
        settings=settings,
        port=arguments.port,
        bind=tuple(arguments.bind),
        upstream=_upstream(arguments.upstream),
        assign=arguments.assign == "on",
    )


def _upstream(words: list[str] | None) -> tuple[str, ...] | None:
    if words is None:
        return None
    if "none" in words and len(words) > 1:
        raise UsageError("--upstream none stands alone")
    return () if words == ["none"] else tuple(words)


def _parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line. ``serve`` may be left out: it is what kdns does."""
    if not argv or argv[0] not in (*COMMANDS, "-h", "-help", "--help", "-version", "--version"):
        argv = ["serve", *argv]
    parser = _Parser(prog="kdns", description="A cluster DNS server for Kubernetes.")
    parser.add_argument("-version", "--version", action="version", version=f"kdns-{VERSION}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_serve(commands.add_parser("serve", help="answer queries (the default command)"))
    return parser.parse_args(argv)


def _add_serve(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--manifests",
        action="append",
        metavar="PATH",
        help="file or directory of Kubernetes manifests, - for standard input; repeatable",
    )
    add("--zone", default="cluster.local", help="the cluster's domain (%(default)s)")
    add(
        "-dns.port",
        "--dns.port",
        "-p",
        dest="port",
        type=_Number(0, MAX_PORT),
        default=1053,
        metavar="PORT",
        help="UDP and TCP port, 0 for a free one (%(default)s)",
    )
    add(
        "--bind",
        action="append",
        default=[],
        metavar="ADDR",
        help="address to listen on, 0.0.0.0 or :: for all; repeatable (loopback)",
    )
    add(
        "--ttl",
        type=_Number(0, MAX_TTL),
        default=30,
        metavar="SECONDS",
        help="TTL of cluster records (%(default)s)",
    )
    add(
        "--upstream",
        action="append",
        metavar="ADDR[:PORT]|none",
        help="where other names are asked; repeatable (resolv.conf)",
    )
    add(
        "--search",
        type=_domains,
        metavar="LIST|off",
        help="domains that complete short names"
        " (default.svc.ZONE svc.ZONE ZONE, as in a pod of the namespace default)",
    )
    add(
        "--assign",
        choices=("on", "off"),
        default="on",
        help="simulate the addresses and endpoints that a cluster would add (%(default)s)",
    )


def _domains(text: str) -> tuple[str, ...]:
    """Read a search list, separated by spaces or commas."""
    words = text.replace(",", " ").split()
    if not words:
        raise argparse.ArgumentTypeError("expected domains or off")
    return () if words == ["off"] else tuple(words)


class _Number:
    """An integer within bounds, for argparse."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def __call__(self, text: str) -> int:
        if not text.isascii() or not text.isdecimal() or not self._low <= int(text) <= self._high:
            raise argparse.ArgumentTypeError(f"expected {self._low} to {self._high}, not {text!r}")
        return int(text)


class _Parser(argparse.ArgumentParser):
    """Like argparse, but without guessing at abbreviations of options."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings, allow_abbrev=False)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is, exit status 2."""
        self.exit(2, f"kdns: {message} (see kdns serve --help)\n")
