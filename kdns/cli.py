"""The command line: words to options, errors to exit statuses, and the only signal handlers.

kdns serve --manifests PATH [...]        also without the word serve
"""

import argparse
import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import NoReturn

from msgspec.structs import replace

from kdns.app import FromCluster, FromManifests, Options, Server, Source, kubeadm, serving
from kdns.errors import KdnsError, UsageError
from kdns.kube.status import progress
from kdns.server.listeners import Address, show
from kdns.version import VERSION
from kdns.zone.settings import MAX_TTL

EXIT_OK, EXIT_FAILED = 0, 1
COMMANDS = ("serve",)
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
SWITCH_INTERVAL = 0.0005
"""Seconds that a thread may keep the interpreter while another one waits for it."""
PAINT = 0.2
"""Seconds between two pictures of the progress on a terminal."""
MAX_AGE = 366 * 86_400
MAX_PORT = 65_535
_ENDING = (signal.SIGINT, signal.SIGTERM)


def main(argv: Sequence[str] | None = None) -> int:
    """Run kdns and return its exit status: 0 ended as asked, 1 failed, 2 unreadable arguments."""
    arguments = _parse(list(sys.argv[1:] if argv is None else argv))
    logging.basicConfig(format="[%(levelname)s] %(message)s", level=logging.INFO)
    # Readers of the API server decode beside the event loop: it must not wait 5 ms for its turn.
    sys.setswitchinterval(SWITCH_INTERVAL)
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
    # Whoever reads manifests from a pipe waits where the event loop hears nothing.
    for number in _ENDING:
        signal.signal(number, _leave)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    async with serving(options) as server:
        for number in _ENDING:
            loop.add_signal_handler(number, stop.set)
        print("\n".join(_greeting(server)), flush=True)
        settling = asyncio.create_task(_settle(server))
        await stop.wait()
        settling.cancel()


def _leave(_number: int, _frame: object) -> NoReturn:
    """End quietly from whatever is being done."""
    raise SystemExit(EXIT_OK)


async def _settle(server: Server) -> None:
    """Show the first sync, then let the collector forget what is there to stay."""
    if sys.stderr.isatty():
        await _show_progress(server.source)
    await server.source.synced.wait()
    # 100,000 endpoints need not be looked through at every full collection: 50 ms each.
    gc.freeze()


async def _show_progress(source: Source) -> None:
    """Draw the progress of the first sync over itself until it is complete."""
    if source.synced.is_set():
        return
    loop = asyncio.get_running_loop()
    began, done = loop.time(), False
    while not done:
        done = source.synced.is_set()
        line = progress(source.statuses(), loop.time() - began)
        print(f"\r\x1b[K{line}", end="\n" if done else "", file=sys.stderr, flush=True)
        with suppress(TimeoutError):
            await asyncio.wait_for(source.synced.wait(), PAINT)


def _greeting(server: Server) -> list[str]:
    host, port = server.addresses[0]
    places = " and ".join(map(show, server.addresses))
    others = ", ".join(server.upstreams)
    return [
        f"kdns {VERSION}",
        *server.source.about,
        f"other names go to {others}" if others else "other names are refused",
        f"listening on {places}, UDP and TCP",
        *_admin_line(server.admin),
        f"try: dig -p {port} @{host} {server.example}",
    ]


def _admin_line(admin: Address | None) -> list[str]:
    return [f"/ready, /health and /metrics on http://{show(admin)}"] if admin is not None else []


def _options(arguments: argparse.Namespace) -> Options:
    settings = replace(
        kubeadm(arguments.zone, arguments.ttl, arguments.search),
        namespaces=arguments.namespaces,
        labels=arguments.labels,
        namespace_labels=arguments.namespace_labels,
        pods=arguments.pods,
    )
    return Options(
        source=_source(arguments),
        settings=settings,
        port=arguments.port,
        bind=tuple(arguments.bind),
        upstream=_upstream(arguments.upstream),
        admin=arguments.admin,
    )


def _source(arguments: argparse.Namespace) -> FromManifests | FromCluster:
    if arguments.manifests:
        if arguments.kubeconfig or arguments.snapshot:
            raise UsageError("--manifests and a cluster exclude one another")
        return FromManifests(tuple(arguments.manifests), arguments.assign == "on")
    if not arguments.kubeconfig and not Path(SERVICE_ACCOUNT).exists():
        raise UsageError(
            "nothing to serve: expected --manifests PATH or --kubeconfig FILE"
            f" (this is no pod: there is no {SERVICE_ACCOUNT})"
        )
    return FromCluster(
        arguments.kubeconfig, arguments.context, arguments.snapshot, arguments.snapshot_max_age
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
    for add_options in (_add_sources, _add_answers, _add_network):
        add_options(parser)


def _add_sources(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("where the data come from").add_argument
    add(
        "--manifests",
        action="append",
        metavar="PATH",
        help="file or directory of Kubernetes manifests, - for standard input; repeatable",
    )
    add(
        "--assign",
        choices=("on", "off"),
        default="on",
        help="simulate the addresses and endpoints that a cluster would add (%(default)s)",
    )
    add("--kubeconfig", default="", metavar="FILE", help="cluster to serve (that of this pod)")
    add("--context", default="", metavar="NAME", help="context of the kubeconfig (current)")
    add(
        "--snapshot",
        default="",
        metavar="PATH",
        help="file that keeps the last known objects, to start without the API server",
    )
    add(
        "--snapshot-max-age",
        type=_Number(1, MAX_AGE),
        default=86_400,
        metavar="SECONDS",
        help="an older snapshot is not used (%(default)s)",
    )


def _add_answers(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what is answered").add_argument
    add("--zone", default="cluster.local", help="the cluster's domain (%(default)s)")
    add(
        "--ttl",
        type=_Number(0, MAX_TTL),
        default=30,
        metavar="SECONDS",
        help="TTL of cluster records (%(default)s)",
    )
    add(
        "--search",
        type=_domains,
        metavar="LIST|off",
        help="domains that complete short names"
        " (default.svc.ZONE svc.ZONE ZONE, as in a pod of the namespace default)",
    )
    add(
        "--pods",
        choices=("disabled", "insecure", "verified"),
        default="insecure",
        help="whether pod names resolve, and on what evidence (%(default)s)",
    )
    add(
        "--namespaces",
        type=_words,
        default=(),
        metavar="LIST",
        help="serve only these; a Role in each is then enough (all)",
    )
    add("--labels", default="", metavar="SELECTOR", help="serve only what matches (all)")
    add(
        "--namespace-labels",
        default="",
        metavar="SELECTOR",
        help="serve only namespaces that match (all)",
    )


def _add_network(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("network").add_argument
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
        "--upstream",
        action="append",
        metavar="ADDR[:PORT]|none",
        help="where other names are asked; repeatable (resolv.conf)",
    )
    add(
        "--admin",
        type=_place,
        metavar="ADDR:PORT",
        help="serve /ready, /health and /metrics over HTTP (nowhere)",
    )


def _domains(text: str) -> tuple[str, ...]:
    """Read a search list, or off."""
    words = _words(text)
    return () if words == ("off",) else words


def _words(text: str) -> tuple[str, ...]:
    """Read a list, separated by spaces or commas."""
    words = tuple(text.replace(",", " ").split())
    if not words:
        raise argparse.ArgumentTypeError("expected a list, separated by spaces or commas")
    return words


def _place(text: str) -> tuple[str, int]:
    """Read an address and a port; an IPv6 address stands in brackets."""
    host, _, port = text.rpartition(":")
    try:
        return str(ip_address(host.removeprefix("[").removesuffix("]"))), _PORT(port)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected ADDR:PORT, not {text!r}") from None


class _Number:
    """An integer within bounds, for argparse."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def __call__(self, text: str) -> int:
        if not text.isascii() or not text.isdecimal() or not self._low <= int(text) <= self._high:
            raise argparse.ArgumentTypeError(f"expected {self._low} to {self._high}, not {text!r}")
        return int(text)


_PORT = _Number(0, MAX_PORT)


class _Parser(argparse.ArgumentParser):
    """Like argparse, but without guessing at abbreviations of options."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings, allow_abbrev=False)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is, exit status 2."""
        self.exit(2, f"kdns: {message} (see kdns serve --help)\n")
