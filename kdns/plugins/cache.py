"""``cache``: keeps what other servers said, for as long as they allow and no longer than 30 s.

Only a ``Relay`` is kept. What kdns answers itself is true until an object changes, and has a table
of its own. A response is kept whole, so that it serves UDP and TCP alike. Knows no sockets.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from cachetools import TLRUCache
from msgspec import Struct

from kdns.chain import Answer, Handler, Relay, Request, Response
from kdns.errors import UpstreamError
from kdns.wire import codes, relay
from kdns.wire.names import Name
from kdns.wire.query import CD, Query

CAPACITY = 9984
"""Responses with an answer, and as many without: names that do not exist push out only others."""
MAX_OCTETS = 4096
"""Larger responses are rare, and 10,000 of 64 kB would be 640 MB."""
MIN_TTL = 5
MAX_TTL = 30
SERVFAIL_TTL = 5
"""Seconds; RFC 2308 section 7.1 allows five minutes."""

_Key: TypeAlias = tuple[Name, int, int, int, bool | None]
"""Name, type, class, CD, and DO, which is None without EDNS: then no OPT may come back."""


class _Entry(Struct, frozen=True):
    """A response that is kept."""

    template: relay.Template
    ttl: int
    stored: float

    def expires(self) -> float:
        return self.stored + self.ttl

    def left(self, now: float) -> int:
        """TTL at a later time."""
        return max(0, self.ttl - int(now - self.stored))


_Store: TypeAlias = TLRUCache[_Key, _Entry, float]


class Cache:
    """Remembers responses of upstreams."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._positive = _store(clock)
        self._negative = _store(clock)

    def wrap(self, following: Handler) -> Handler:
        """Answer from memory, or remember what the following handler answers."""

        async def handle(request: Request) -> Response:
            key = _key(request.query)
            entry = self._find(key)
            if entry is not None:
                left = entry.left(self._clock())
                return Relay(relay.fill(entry.template, request.query, left))
            response = await following(request)
            return response if isinstance(response, Answer) else self._keep(key, response)

        return handle

    def _find(self, key: _Key) -> _Entry | None:
        for store in (self._positive, self._negative):
            with suppress(KeyError):
                return store[key]
        return None

    def _keep(self, key: _Key, response: Relay) -> Relay:
        """Keep a response if it may be; it is sent with the TTL for which it is kept."""
        try:
            reply = relay.locate(response.message)
        except UpstreamError:
            return response
        ttl = _lifetime(reply)
        if ttl is None:
            return response
        template = relay.template(reply)
        positive = reply.rcode == codes.NOERROR and reply.answers
        store = self._positive if positive else self._negative
        store[key] = _Entry(template, ttl, self._clock())
        return Relay(relay.retime(response.message, template.ttls, ttl))


def _store(clock: Callable[[], float]) -> _Store:
    return TLRUCache(CAPACITY, lambda _key, entry, _now: entry.expires(), clock)


def _key(query: Query) -> _Key:
    do = None if query.edns is None else query.edns.do
    return query.name, query.rtype, query.rclass, query.flags & CD, do


def _lifetime(reply: relay.Reply) -> int | None:
    """Seconds for which a response may be kept; None for not at all."""
    if reply.truncated or len(reply.message) > MAX_OCTETS:
        return None
    match reply.rcode:
        case codes.NOERROR | codes.NXDOMAIN:
            ttl = reply.lowest_ttl
            # RFC 2308 section 5: a negative response without SOA is not to be kept.
            if ttl is None or not (reply.answers or reply.has_soa):
                return None
            return min(max(MIN_TTL, ttl), MAX_TTL)
        case codes.SERVFAIL:
            return SERVFAIL_TTL
        case _:
            return None
