"""``local``: answers for localhost and reverse zones, so that nobody is asked upstream."""

import logging
from collections.abc import Callable, Sequence

from kdns.assembly import Block
from kdns.chain import FIXED, Answer, Handler, Plugin, Request, Response
from kdns.corefile.syntax import Directive, Line
from kdns.corefile.values import arguments, switch, unknown
from kdns.wire import codes, names, records
from kdns.wire.message import Sections
from kdns.wire.names import Name
from kdns.wire.query import Query
from kdns.wire.records import Record

log = logging.getLogger(__name__)

TTL = 604_800
"""Seconds of every record, and of what is missing."""
_LOCALHOST = names.from_text("localhost")
_FIRST_LABEL = names.of("localhost")
_MAILBOX = names.from_text("root.localhost")
_ZONES = (
    _LOCALHOST,
    *map(names.from_text, ("0.in-addr.arpa", "127.in-addr.arpa", "255.in-addr.arpa")),
)
_LOOPBACK_REVERSE = names.from_text("1.0.0.127.in-addr.arpa")
_LOOPBACK = {codes.A: bytes((127, 0, 0, 1)), codes.AAAA: (1).to_bytes(16)}


def setup(directives: Sequence[Directive], block: Block) -> Plugin:
    """Answer for these zones, and for ``localhost.`` in front of any domain unless that is off."""
    prefix = True
    for directive in directives:
        arguments(directive, 0)
        for line in directive.lines:
            prefix = _prefix(line)
    count = block.runtime.metrics.counter(
        "coredns_local_localhost_requests_total", "Queries for names below or before localhost."
    )
    return Local(count.inc, prefix=prefix)


def _prefix(line: Line) -> bool:
    if line.name.text != "localhost_prefix":
        unknown(line, ("localhost_prefix",), of="local")
    return switch(*arguments(line, 1, what="switch"))


class Local:
    """Answers for what is local by definition."""

    def __init__(self, count: Callable[[], None], *, prefix: bool = True) -> None:
        """``count`` is called for names that someone ought not to ask for."""
        self._count = count
        self._prefix = prefix

    def wrap(self, following: Handler) -> Handler:
        """Answer for local names, pass all others on."""

        async def handle(request: Request) -> Response:
            query = request.query
            if query.rclass != codes.CLASS_IN:
                return await following(request)
            if self._is_special(query.name):
                log.debug("%s asks for %s", request.client[0], names.to_text(query.name))
                self._count()
                # No owners: every such query is counted.
                return Answer(_host(query), by="local")
            zone = _zone(query.name)
            if zone is None:
                return await following(request)
            return Answer(_in_zone(query, zone), FIXED, by="local")

        return handle

    def _is_special(self, name: Name) -> bool:
        """Whether a name stands for this machine and is not ``localhost.`` itself."""
        if name == _LOCALHOST:
            return False
        # RFC 6761 section 6.3; the second form is CoreDNS's own.
        below = names.is_below(name, _LOCALHOST)
        return below or (self._prefix and name.startswith(_FIRST_LABEL))


def _zone(name: Name) -> Name | None:
    return next((zone for zone in _ZONES if names.is_below(name, zone)), None)


def _host(query: Query) -> Sections:
    """Answer for a name that has the addresses of loopback."""
    return _sections(_loopback(query), query.asked)


def _in_zone(query: Query, zone: Name) -> Sections:
    """Answer for a name in one of the zones; most of them are empty."""
    origin = query.asked[-len(zone) :]
    if query.name == zone:
        return _sections(_at_apex(query, zone), origin)
    if query.name != _LOOPBACK_REVERSE:
        return _sections(None, origin, codes.NXDOMAIN)
    is_ptr = query.rtype == codes.PTR
    return _sections(records.ptr(query.asked, TTL, _LOCALHOST) if is_ptr else None, origin)


def _at_apex(query: Query, zone: Name) -> Record | None:
    match query.rtype:
        case codes.SOA:
            return _soa(query.asked)
        case codes.NS:
            return records.ns(query.asked, TTL, _LOCALHOST)
        case _:
            return _loopback(query) if zone == _LOCALHOST else None


def _loopback(query: Query) -> Record | None:
    packed = _LOOPBACK.get(query.rtype)
    return None if packed is None else records.address(query.asked, TTL, packed)


def _sections(answer: Record | None, origin: Name, rcode: int = codes.NOERROR) -> Sections:
    """Answer with a record, or negatively with the SOA of the origin."""
    if answer is None:
        return Sections(rcode, authority=(_soa(origin),), authoritative=False)
    return Sections(answer=(answer,), authoritative=False)


def _soa(origin: Name) -> Record:
    return records.soa(origin, TTL, (_LOCALHOST, _MAILBOX), (1, 0, 0, 0, TTL))
