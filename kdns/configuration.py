"""Server blocks -> what listens where, with which chain behind it. Opens nothing.

The order of the chain is fixed here and nowhere else. What runs a configuration is ``app``.
"""

from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from itertools import chain as chained

from msgspec import Struct

from kdns.assembly import Block, Check, Runtime, Setup
from kdns.chain import Address, Answer, Plugin, Request, Response, compose
from kdns.corefile import directives, keys
from kdns.corefile.keys import Key
from kdns.corefile.syntax import Corefile, Directive, ServerBlock
from kdns.errors import CorefileError
from kdns.metrics import Enabled
from kdns.plugins import forward
from kdns.server.http import Page
from kdns.server.responder import Responder
from kdns.server.routes import Route, Routes
from kdns.server.table import AnswerTable
from kdns.server.tcp import TcpLimits
from kdns.wire import codes, names
from kdns.wire.message import Sections

ONCE = frozenset({"health", "multisocket", "ready", "reload"})
"""What the parent of several processes does for all of them."""


class Assembled(Struct, frozen=True):
    """A server block that was put together."""

    keys: tuple[Key, ...]
    block: Block
    plugins: tuple[tuple[str, Plugin | None], ...]
    """By name, in the order of the chain; None for what is only a setting."""
    source: ServerBlock | None = None

    @property
    def directives(self) -> tuple[Directive, ...]:
        """Return what is written in the block."""
        return self.source.directives if self.source is not None else ()


class Served(Struct, frozen=True):
    """One address and what answers there."""

    label: str
    """As metrics and the start-up text have it: ``dns://:53``."""
    responder: Responder
    limits: TcpLimits
    zones: tuple[str, ...]
    shared: bool
    """Whether another server has the same port on another address."""


class Configuration(Struct, frozen=True):
    """All that a Corefile says, ready to be run."""

    blocks: tuple[Assembled, ...]
    servers: dict[Address, Served]
    """By the address to bind; host "" is every address."""
    default_port: int
    """Of zones without one."""
    corefile: Corefile | None = None
    upstreams: tuple[str, ...] = ()
    """Where other names go, for people; only without a Corefile."""

    @property
    def pages(self) -> dict[Address, dict[str, Page]]:
        """Return what is served over HTTP, by address and path."""
        found: dict[Address, dict[str, Page]] = {}
        for one in self.blocks:
            for address, pages in one.block.pages.items():
                found.setdefault(address, {}).update(pages)
        return found

    @property
    def enabled(self) -> list[Enabled]:
        """Return which plugins take part where."""
        return [
            Enabled(label_of(address), names.to_text(key.zone), name)
            for one in self.blocks
            for key in one.keys
            for address in _places(one, key, self.default_port)
            for name, plugin in one.plugins
            if plugin is not None
        ]

    @property
    def checks(self) -> dict[str, Check]:
        """Return whether each plugin is ready; of several of one name all have to be."""
        found: dict[str, list[Check]] = {}
        for one in self.blocks:
            for name, check in one.block.checks.items():
                found.setdefault(name, []).append(check)
        return {name: _all(checks) for name, checks in found.items()}

    def flush(self) -> None:
        """Count the prepared packets that were sent until now."""
        for served in self.servers.values():
            served.responder.table.flush()

    @property
    def workers(self) -> int:
        """Return how many processes are to answer (``multisocket``)."""
        return max((one.block.workers for one in self.blocks), default=1)

    @property
    def warnings(self) -> list[str]:
        """Return what is legal but wrong."""
        return list(chained.from_iterable(one.block.warnings for one in self.blocks))

    @property
    def remarks(self) -> list[str]:
        """Return what is wrong on this machine."""
        return list(chained.from_iterable(one.block.remarks for one in self.blocks))


def build(corefile: Corefile, port: int, runtime: Runtime) -> Configuration:
    """Put a Corefile together; ``port`` is for zones without one.

    Raises CorefileError; nothing was started then.
    """
    if not corefile.blocks:
        # A file that is being written may be empty for a moment: no reason to stop answering.
        raise CorefileError(corefile.path, 0, "no server block: expected one like '. { ... }'")
    blocks = [_assemble(block, runtime) for block in corefile.blocks]
    served = (keys.Served(one.keys, tuple(one.block.binds)) for one in blocks)
    keys.check_overlaps(served, port)
    return combine(blocks, port, runtime, corefile)


def combine(
    blocks: Sequence[Assembled],
    default_port: int,
    runtime: Runtime,
    corefile: Corefile | None = None,
) -> Configuration:
    """Put server blocks behind the addresses that they want."""
    wanted: dict[Address, list[tuple[Assembled, Key]]] = {}
    for one in blocks:
        places = [(address, key) for key in one.keys for address in _places(one, key, default_port)]
        one.block.addresses = tuple(dict.fromkeys(address for address, _ in places))
        for placement in one.block.placements:
            placement()
        for address, key in places:
            wanted.setdefault(address, []).append((one, key))
    ports = Counter(port for _, port in wanted if port)
    servers = {
        address: _serve(address, parts, runtime, shared=ports[address[1]] > 1)
        for address, parts in wanted.items()
    }
    return Configuration(tuple(blocks), servers, default_port, corefile)


def _assemble(source: ServerBlock, runtime: Runtime) -> Assembled:
    """Run the setup of every plugin that a block names, in the order of the chain."""
    directives.check(source)
    its_keys = keys.read_keys(source)
    block = Block(tuple(key.zone for key in its_keys), runtime)
    named: dict[str, list[Directive]] = {}
    for directive in source.directives:
        named.setdefault(directive.name.text, []).append(directive)
    skipped = ONCE if runtime.is_worker else frozenset()
    order = (name for name in directives.ORDER if name in named and name not in skipped)
    plugins = tuple((name, setup_of(name)(named[name], block)) for name in order)
    return Assembled(its_keys, block, plugins, source)


def setup_of(name: str) -> Setup:
    """Return what puts a plugin into a block: each is a module, imported when it is first named.

    All of them would take 25 ms more of every start.
    """
    setup: Setup = import_module(f"kdns.plugins.{name}").setup
    return setup


def _serve(
    address: Address, parts: Sequence[tuple[Assembled, Key]], runtime: Runtime, *, shared: bool
) -> Served:
    """Route the zones of one address to their blocks."""
    label = label_of(address)
    table = AnswerTable(runtime.tally(label))
    routes = [_route(assembled, key) for assembled, key in parts]
    for assembled, _ in parts:
        if table.drop not in assembled.block.drops:
            assembled.block.drops.append(table.drop)
    responder = Responder(Routes(routes), table, server=label, local=address)
    zones = tuple(names.to_text(key.zone) for _, key in parts)
    return Served(label, responder, parts[0][0].block.limits, zones, shared)


def label_of(address: Address) -> str:
    """Return the name of a server in metrics."""
    host, port = address
    return f"dns://[{host}]:{port}" if ":" in host else f"dns://{host}:{port}"


async def _fail(_request: Request) -> Response:
    """End a chain as CoreDNS does: a name that nobody answers for is a failure."""
    return Answer(Sections(codes.SERVFAIL, authoritative=False), error="no next plugin found")


def _route(assembled: Assembled, key: Key) -> Route:
    block = assembled.block
    plugins = [plugin for _, plugin in assembled.plugins if plugin is not None]
    return Route(
        zone=key.zone,
        label=names.to_text(key.zone),
        handler=compose(plugins, _fail if block.compat else forward.refuse),
        udp_size=block.udp_size,
        any_class=block.any_class,
        recursion=block.recursion and not block.compat,
        counted=block.counted,
        observers=tuple(block.observers),
    )


def _places(assembled: Assembled, key: Key, default_port: int) -> list[Address]:
    port = default_port if key.port is None else key.port
    return [(host, port) for host in assembled.block.binds or [""]]


def _all(checks: Sequence[Check]) -> Check:
    return lambda: all(check() for check in checks)
