"""``hosts``: answers from a hosts file and from entries in the Corefile.

The file is read before the first query and again when it changed, on a thread: a list of 100,000
names must not hold up answers. What cannot be read leaves the contents of before.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from stat import S_ISREG
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.assembly import Block
from kdns.chain import Answer, Handler, Plugin, Relay, Request, Response
from kdns.corefile import values
from kdns.corefile.syntax import Directive, Line, Token
from kdns.corefile.values import MANY, arguments, duration, fail, integer, nearest, once
from kdns.kube.owners import Owner
from kdns.wire import codes, names, records
from kdns.wire.hostsfile import Entries, Fault, read
from kdns.wire.message import Sections
from kdns.wire.names import ROOT, Name
from kdns.wire.query import Query

log = logging.getLogger(__name__)

PATH = "/etc/hosts"
TTL = 3600
MAX_TTL = 65_535
RELOAD = 5.0
"""Seconds between two looks at the file."""
MOST = 5_050
"""Records of an answer: more than a message has room for, which has to say that it is cut."""
_OPTIONS = ("ttl", "no_reverse", "reload", "fallthrough", "fallthrough_unsupported")

_Stamp: TypeAlias = tuple[int, ...]
"""Tells one state of a file from another."""


class Settings(Struct, frozen=True):
    """What a ``hosts`` directive says."""

    path: str
    zones: tuple[Name, ...]
    ttl: int = TTL
    reverse: bool = True
    """Whether addresses are answered for too (``no_reverse``)."""
    reload: float = RELOAD
    """Seconds; 0 reads the file once."""
    fallthrough: tuple[Name, ...] = ()
    """Zones whose missing names go to the next plugin."""
    unsupported: bool = False
    """Whether types other than A, AAAA and PTR do (``fallthrough_unsupported``)."""


# -- answering --------------------------------------------------------------------------------


class Hosts:
    """Answers from a file, which may change, and from entries that do not."""

    def __init__(self, settings: Settings, inline: Entries) -> None:
        self.entries = Entries()
        """What the file says; replaced as a whole."""
        self.inline = inline
        self.owner: Owner = ("hosts", settings.path)
        """Touched when the file changes."""
        self._settings = settings

    def wrap(self, following: Handler) -> Handler:
        """Answer for names of these entries, pass others on."""

        async def handle(request: Request) -> Response:
            query = request.query
            sections = self._sections(query) if query.rclass == codes.CLASS_IN else None
            if sections is None:
                return self._watched(await following(request))
            return Answer(sections, (self.owner,), by="hosts")

        return handle

    def _sections(self, query: Query) -> Sections | None:
        """Answer; None where that is left to the next plugin."""
        if query.rtype == codes.PTR:
            # Reverse zones need not be among the zones, and what has no name always goes on.
            return self._pointers(query)
        if not _inside(query.name, self._settings.zones):
            return None
        through = _inside(query.name, self._settings.fallthrough)
        served = query.rtype in (codes.A, codes.AAAA)
        if self._settings.unsupported and through and not served:
            return None
        if served and (found := self._find(query.name, query.rtype)):
            ttl = self._settings.ttl
            answer = (records.address(query.asked, ttl, packed) for packed in found)
            return Sections(answer=tuple(answer))
        if self._find(query.name, codes.A) or self._find(query.name, codes.AAAA):
            return Sections()
        return None if through else _MISSING

    def _pointers(self, query: Query) -> Sections | None:
        found = _joined(*(one.names.get(query.name, ()) for one in (self.entries, self.inline)))
        answer = (records.ptr(query.asked, self._settings.ttl, name) for name in found)
        return Sections(answer=tuple(answer)) if found else None

    def _find(self, name: Name, rtype: int) -> list[bytes]:
        """Return the addresses of the file, then those of the Corefile."""
        return _joined(self.entries.find(name, rtype), self.inline.find(name, rtype))

    def _watched(self, response: Response) -> Response:
        """Have another's response dropped too when the file changes: it may be ours by then."""
        if isinstance(response, Relay) or response.owners:
            return replace(response, owners=(*response.owners, self.owner))
        return response


_MISSING = Sections(
    # As CoreDNS: NXDOMAIN wants a SOA, and a hosts file has none.
    codes.SERVFAIL,
    authoritative=False,
    ede=(codes.EDE_OTHER, "hosts has no entry of this name, which may not fall through"),
)


def _joined(file: Sequence[bytes], inline: Sequence[bytes]) -> list[bytes]:
    """Return each value once (RFC 2181 section 5), of very many no more than can be sent."""
    return list(dict.fromkeys((*file[:MOST], *inline[:MOST])))[:MOST]


def _inside(name: Name, zones: Iterable[Name]) -> bool:
    return any(names.is_below(name, zone) for zone in zones)


# -- the file ---------------------------------------------------------------------------------


class Contents(Struct, frozen=True):
    """A file as it was once."""

    entries: Entries
    modified: float
    """Seconds since the epoch."""


class HostsFile:
    """A file that is looked at again and again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stamp: _Stamp = ()
        self._readable = False

    def look(self) -> Contents | None:
        """Return the contents if they are others than last time; blocks."""
        try:
            contents = self._read()
        except OSError as error:
            if self._readable:
                text = "hosts: cannot read %s: %s; its contents of before stay"
                log.warning(text, self._settings.path, error.strerror)
            self._readable = False
            return None
        self._readable = True
        if contents is not None and contents.entries.faults:
            self._complain(contents.entries.faults)
        return contents

    def _read(self) -> Contents | None:
        # Without O_NONBLOCK opening a pipe waits for whoever writes to it.
        descriptor = os.open(self._settings.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
            found = os.fstat(descriptor)
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev)
            if stamp == self._stamp:
                return None
            # A device or a pipe might never end.
            lines = file if S_ISREG(found.st_mode) else ()
            entries = read(lines, self._settings.zones, reverse=self._settings.reverse)
        self._stamp = stamp
        return Contents(entries, found.st_mtime)

    def _complain(self, faults: Sequence[Fault]) -> None:
        line, text = faults[0]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        log.warning("%s:%d: %s%s: left out", self._settings.path, line, text, more)


_Take: TypeAlias = Callable[[Contents], None]


@asynccontextmanager
async def _followed(settings: Settings, take: _Take) -> AsyncIterator[None]:
    """Read the file, and again whenever it changes while the block runs."""
    file = HostsFile(settings)
    await _look(file, take)
    if not settings.reload:
        yield
        return
    following = asyncio.create_task(_follow(file, take, settings.reload))
    try:
        yield
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def _follow(file: HostsFile, take: _Take, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        await _look(file, take)


async def _look(file: HostsFile, take: _Take) -> None:
    contents = await asyncio.to_thread(file.look)
    if contents is not None:
        take(contents)


# -- setting up -------------------------------------------------------------------------------


def setup(directives: Sequence[Directive], block: Block) -> Plugin:
    """Answer from a hosts file and the entries in the directive's block."""
    directive = once(directives)
    options, written = _divided(directive)
    settings = _settings(directive, options, block)
    hosts = Hosts(settings, _inline(written, settings, block))
    block.during(_followed(settings, _taking(hosts, settings, block)))
    return hosts


def _taking(hosts: Hosts, settings: Settings, block: Block) -> _Take:
    """Return what is done with the contents of the file."""
    metrics = block.runtime.metrics
    text = "Addresses and names in the hosts file and in the Corefile."
    count = metrics.gauge("coredns_hosts_entries", text, ("hostsfile",)).labels(settings.path)
    text = "When the hosts file was changed that was read last."
    modified = metrics.gauge("coredns_hosts_reload_timestamp_seconds", text)

    def take(contents: Contents) -> None:
        hosts.entries = contents.entries
        count.set(contents.entries.size + hosts.inline.size)
        modified.set(contents.modified)
        block.drop([hosts.owner])

    return take


def _divided(directive: Directive) -> tuple[list[Line], list[Line]]:
    """Divide the block into options and entries, which stand before ``fallthrough``."""
    options: list[Line] = []
    written: list[Line] = []
    for line in directive.lines:
        word = line.name.text
        if word in _OPTIONS:
            options.append(line)
        elif any(option.name.text == "fallthrough" for option in options):
            near = nearest(word, _OPTIONS)
            fail(line.name, f"hosts: expected entries before fallthrough, got {word!r}{near}")
        else:
            written.append(line)
    return options, written


def _inline(written: Sequence[Line], settings: Settings, block: Block) -> Entries:
    """Read the entries of the Corefile; what is none is left out with a warning, as in a file."""
    lines = [" ".join(word.text for word in line.words).encode() for line in written]
    entries = read(lines, settings.zones, reverse=settings.reverse)
    for number, text in entries.faults:
        word = written[number - 1].name
        block.warn(word, f"hosts: left out: {text}{nearest(word.text, _OPTIONS)}")
    return entries


def _settings(directive: Directive, options: Sequence[Line], block: Block) -> Settings:
    path, *zones = arguments(directive, 0, MANY) or (None,)
    file = PATH if path is None else _path(path, block)
    settings = Settings(file, values.zones(zones, block.zones))
    for line in options:
        settings = replace(settings, **_option(line))
    for line in options:
        if line.name.text == "fallthrough_unsupported" and not settings.fallthrough:
            fail(line.name, "hosts: fallthrough_unsupported needs fallthrough")
    return settings


def _path(word: Token, block: Block) -> str:
    """Return the path of the file. One that does not exist is only warned of: it may come."""
    path = block.root / word.text
    try:
        if not S_ISREG(path.stat().st_mode):
            block.warn(word, f"hosts: {str(path)!r} is no file")
    except FileNotFoundError:
        block.warn(word, f"hosts: the file {str(path)!r} does not exist")
    except OSError as error:
        fail(word, f"hosts: cannot access {str(path)!r}: {error.strerror}")
    return str(path)


def _option(line: Line) -> dict[str, object]:
    """Return the setting that a line changes."""
    match line.name.text:
        case "ttl":
            (seconds,) = arguments(line, 1, what="number of seconds")
            return {"ttl": integer(seconds, 1, MAX_TTL)}
        case "reload":
            (interval,) = arguments(line, 1, what="duration")
            return {"reload": duration(interval)}
        case "fallthrough":
            return {"fallthrough": values.zones(line.args, (ROOT,))}
        case option:
            arguments(line, 0)
            return {"reverse": False} if option == "no_reverse" else {"unsupported": True}
