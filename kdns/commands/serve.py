"""``kdns serve``: answer queries, from a Corefile or from a few options."""

import argparse
import asyncio
import gc
import logging
import os
import platform
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

from kdns.app import FromCorefile, Options, Server, serving
from kdns.cluster import Cluster
from kdns.commands import loops, source
from kdns.commands.words import MAX_PORT, Number, place
from kdns.corefile.directives import KNOWN
from kdns.errors import UsageError
from kdns.kube.status import progress
from kdns.server.http import Page, Reply, Visit
from kdns.server.listeners import show
from kdns.version import VERSION

COREFILE = Path("Corefile")
"""What is served when nothing else is said, as CoreDNS does it."""
COREFILE_PORT, STANDALONE_PORT = 53, 1053
EXPLAIN = "/explain"
SWITCH_INTERVAL = 0.0001
"""Seconds that a thread may keep the interpreter while another one waits for it."""
PAINT = 0.2
"""Seconds between two pictures of the progress on a terminal."""
EXIT_OK, EXIT_AT_ONCE = 0, 2
log = logging.getLogger(__name__)
_ENDING = (signal.SIGINT, signal.SIGTERM)


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options: first those of CoreDNS."""
    _add_corefile(parser)
    source.add(parser)
    _add_network(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until the process is asked to end; return the exit status."""
    if arguments.extra:
        words = " ".join(arguments.extra)
        raise UsageError(f"extra command line arguments: {words} (see kdns --help)")
    if arguments.plugins:
        print("\n".join(f"dns.{name}" for name in sorted(KNOWN)))
        return EXIT_OK
    wanted = _wanted(arguments)
    corefile = isinstance(wanted, FromCorefile)
    # CoreDNS logs to standard output; without a Corefile that is for what people read.
    stream = sys.stdout if corefile else sys.stderr
    logging.basicConfig(format="[%(levelname)s] %(message)s", level=logging.INFO, stream=stream)
    # Readers of the API server decode beside the event loop: it must not wait 5 ms for its turn.
    sys.setswitchinterval(SWITCH_INTERVAL)
    return loops.run(partial(_serve, wanted, arguments))


async def _serve(wanted: FromCorefile | Options, arguments: argparse.Namespace) -> int:
    pidfile = Path(arguments.pidfile) if arguments.pidfile else None
    _handle_early_signals()
    async with serving(wanted) as server:
        _handle_signals(server, pidfile)
        server.offer(EXPLAIN, _explaining(server, asyncio.get_running_loop()))
        if pidfile is not None:
            _write_pid(pidfile)
        if not arguments.quiet:
            print("\n".join(_greeting(server, wanted)), flush=True)
        settling = asyncio.create_task(_settle(server, drawn=_is_drawn(wanted)))
        await server.stopped.wait()
        settling.cancel()
    _forget_pid(pidfile)
    return server.status


def _explaining(server: Server, loop: asyncio.AbstractEventLoop) -> Page:
    """Return the page that explains answers; most servers are never asked for it."""

    def explained(visit: Visit) -> Reply:
        from kdns.explain.page import page  # noqa: PLC0415 - 15 ms of every start

        return page(server, loop)(visit)

    return explained


def _handle_early_signals() -> None:
    """Do what can be done while nothing is answered yet.

    Whoever reads manifests from a pipe waits where the event loop hears nothing.
    """
    for number in _ENDING:
        signal.signal(number, _leave)
    signal.signal(signal.SIGQUIT, lambda *_: os._exit(EXIT_OK))
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


def _leave(_number: int, _frame: object) -> NoReturn:
    """End quietly from whatever is being done."""
    raise SystemExit(EXIT_OK)


def _handle_signals(server: Server, pidfile: Path | None) -> None:
    """Do what CoreDNS does, in the words of its log."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[object]] = set()

    def start(work: Callable[[], Coroutine[None, None, object]]) -> None:
        task = loop.create_task(work())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def end() -> None:
        await server.say_farewell()
        server.stopped.set()

    def asked(number: signal.Signals, text: str) -> None:
        if not server.ending:
            log.info("%s: %s", number.name, text)
            start(end)
        elif number == signal.SIGINT:
            leave(EXIT_AT_ONCE, "SIGINT: Force quit")

    def leave(status: int, text: str) -> None:
        log.info("%s", text)
        _forget_pid(pidfile)
        os._exit(status)

    def reload() -> None:
        log.info("SIGUSR1: Reloading")
        start(server.reload)

    terminating = "Shutting down servers then terminating"
    loop.add_signal_handler(signal.SIGTERM, asked, signal.SIGTERM, terminating)
    loop.add_signal_handler(signal.SIGINT, asked, signal.SIGINT, "Shutting down")
    quitting = "SIGQUIT: Quitting process immediately"
    loop.add_signal_handler(signal.SIGQUIT, leave, EXIT_OK, quitting)
    loop.add_signal_handler(signal.SIGUSR1, reload)
    # CoreDNS starts its successor here. In a pod nobody does that, and ending would be worse.
    upgrading = "SIGUSR2: kdns does not replace itself by a new program"
    loop.add_signal_handler(signal.SIGUSR2, log.warning, upgrading)


def _write_pid(path: Path) -> None:
    """Write the process id; without it everything else works, and so it does in CoreDNS."""
    try:
        path.write_text(f"{os.getpid()}\n")
    except OSError as error:
        log.error("-pidfile %s: %s", path, error.strerror)  # noqa: TRY400 - the text says it


def _forget_pid(path: Path | None) -> None:
    if path is not None:
        with suppress(OSError):
            path.unlink()


async def _settle(server: Server, *, drawn: bool) -> None:
    """Show the first sync, then let the collector forget what is there to stay."""
    for cluster in server.clusters.running:
        if drawn and cluster.statuses:
            await _show_progress(cluster)
        await cluster.synced.wait()
    # 100,000 endpoints need not be looked through at every full collection: 50 ms each.
    gc.freeze()


def _is_drawn(wanted: FromCorefile | Options) -> bool:
    """Whether somebody looks on: with a Corefile, what is printed is CoreDNS's."""
    return isinstance(wanted, Options) and sys.stderr.isatty()


async def _show_progress(cluster: Cluster) -> None:
    """Draw the progress of the first sync over itself, at least once, until it is complete."""
    loop = asyncio.get_running_loop()
    began, done = loop.time(), False
    while not done:
        done = cluster.synced.is_set()
        line = progress(cluster.statuses, loop.time() - began)
        print(f"\r\x1b[K{line}", end="\n" if done else "", file=sys.stderr, flush=True)
        with suppress(TimeoutError):
            await asyncio.wait_for(cluster.synced.wait(), PAINT)


# -- what is printed at the start ---------------------------------------------------------------


def _greeting(server: Server, wanted: FromCorefile | Options) -> list[str]:
    match wanted:
        case FromCorefile():
            return _greeting_of_corefile(server)
        case Options():
            return _greeting_without_corefile(server, wanted)


def _greeting_of_corefile(server: Server) -> list[str]:
    """Print what CoreDNS prints: a line for each zone, the version, the platform."""
    lines = [
        f"{zone}:{server.port_of(address)}" + (f" on {address[0]}" if address[0] else "")
        for address, served in server.running.servers.items()
        for zone in sorted(served.zones)
    ]
    system = f"{platform.system().lower()}/{platform.machine()}"
    return [
        *lines,
        f"kdns-{VERSION}",
        f"{system}, Python {platform.python_version()}{loops.remark()}",
    ]


def _greeting_without_corefile(server: Server, options: Options) -> list[str]:
    host, port = server.addresses[0]
    places = " and ".join(map(show, server.addresses))
    others = ", ".join(server.running.upstreams)
    about = [line for cluster in server.clusters.running for line in cluster.about]
    pages = [show(address) for address in server.http.values()]
    version = f"dns-version.{options.settings.zones[0]}".rstrip(".") + "."
    return [
        f"kdns {VERSION}",
        *about,
        f"other names go to {others}" if others else "other names are refused",
        f"listening on {places}, UDP and TCP",
        *(f"/ready, /health and /metrics on http://{page}" for page in pages),
        f"try: dig -p {port} @{host} {version} TXT",
    ]


# -- options ------------------------------------------------------------------------------------


def _wanted(arguments: argparse.Namespace) -> FromCorefile | Options:
    """Decide between a Corefile and options, or raise UsageError where there are both."""
    given = [action for action in _standalone(arguments) if action]
    if arguments.conf or (not given and COREFILE.exists()):
        if given:
            raise UsageError(f"{given[0]} has no effect with -conf: it belongs into the Corefile")
        port = COREFILE_PORT if arguments.port is None else arguments.port
        return FromCorefile(arguments.conf or str(COREFILE), port)
    return Options(
        source=source.source(arguments),
        settings=source.settings(arguments),
        port=STANDALONE_PORT if arguments.port is None else arguments.port,
        bind=tuple(arguments.bind),
        upstream=_upstream(arguments.upstream),
        admin=arguments.admin,
    )


def _standalone(arguments: argparse.Namespace) -> list[str]:
    """Return the options in use that only a server without a Corefile has."""
    parser = argparse.ArgumentParser()
    source.add(parser)
    _add_standalone(parser.add_argument_group())
    return [
        action.option_strings[0]
        for action in parser._actions  # noqa: SLF001 - argparse shows them nowhere else
        if action.dest != "help" and getattr(arguments, action.dest) != action.default
    ]


def _upstream(words: list[str] | None) -> tuple[str, ...] | None:
    if words is None:
        return None
    if "none" in words and len(words) > 1:
        raise UsageError("--upstream none stands alone")
    return () if words == ["none"] else tuple(words)


def _add_corefile(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("as CoreDNS").add_argument
    add(
        "-conf",
        "--conf",
        default="",
        metavar="FILE",
        help="Corefile to run, stdin for standard input (Corefile, where there is one)",
    )
    add(
        "-dns.port",
        "--dns.port",
        "-p",
        dest="port",
        type=Number(0, MAX_PORT),
        metavar="PORT",
        help="UDP and TCP port, 0 for a free one (53 with a Corefile, 1053 without)",
    )
    add("-version", "--version", action="version", version=f"kdns-{VERSION}")
    add("extra", nargs="*", help=argparse.SUPPRESS)
    add("-pidfile", "--pidfile", default="", metavar="FILE", help="write the process id there")
    add("-plugins", "--plugins", action="store_true", help="list the plugins and exit")
    add("-quiet", "--quiet", action="store_true", help="print nothing at the start")


def _add_network(parser: argparse.ArgumentParser) -> None:
    _add_standalone(parser.add_argument_group("network"))


def _add_standalone(group: "argparse._ArgumentGroup") -> None:
    add = group.add_argument
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
        type=place,
        metavar="ADDR:PORT",
        help="serve /ready, /health and /metrics over HTTP (nowhere)",
    )
