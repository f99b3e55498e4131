"""One upstream resolver: over which transport it is asked, and how it is doing.

Knows no second one.
"""

import asyncio
import ssl
from collections.abc import Awaitable
from contextlib import suppress
from time import monotonic

from kdns.chain import Transport
from kdns.errors import UpstreamError
from kdns.upstream import question
from kdns.upstream.address import Upstream
from kdns.upstream.counts import Counts
from kdns.upstream.datagrams import Datagrams
from kdns.upstream.health import Health
from kdns.upstream.question import Question, Response
from kdns.upstream.settings import Settings
from kdns.upstream.streams import Streams


class Resolver:
    """An upstream and its sockets."""

    def __init__(
        self,
        upstream: Upstream,
        settings: Settings,
        counts: Counts,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """``context`` is for an upstream that is asked over TLS."""
        self.upstream = upstream
        self._settings = settings
        self._counts = counts
        used = context if upstream.tls else None
        self._forced = settings.force_tcp or upstream.tls
        self._datagrams = Datagrams(upstream, settings, counts)
        self._streams = Streams(upstream, settings, counts, used)
        # Checks have sockets of their own: a new one tells more than an old one.
        self._checks: Datagrams | Streams = (
            Streams(upstream, settings, Counts(), used)
            if self._forced
            else Datagrams(upstream, settings, Counts())
        )
        self.health = Health(self._checks.ask, settings, counts)

    def ask(self, asked: Question, transport: Transport, until: float) -> Awaitable[Response]:
        """Ask over the client's transport, or the one that the settings want.

        Raises OSError or UpstreamError where nothing usable comes until a time of the event loop.
        """
        if self._forced:
            return self._over("tcp", asked, until)
        if self._settings.prefer_udp:
            return self._rather_over_udp(asked, until)
        return self._over(transport, asked, until)

    def close(self) -> None:
        """Close all sockets and stop checking."""
        self.health.close()
        for sockets in (self._datagrams, self._streams, self._checks):
            sockets.close()

    async def _rather_over_udp(self, asked: Question, until: float) -> Response:
        response = await self._over("udp", asked, until)
        if response.truncated:
            # RFC 7766 section 5: the rest is to be had over TCP.
            with suppress(OSError, UpstreamError):
                return await self._over("tcp", asked, until)
        return response

    async def _over(self, transport: Transport, asked: Question, until: float) -> Response:
        until = min(until, asyncio.get_running_loop().time() + self._settings.read_timeout)
        began = monotonic()
        sockets = self._datagrams if transport == "udp" else self._streams
        response = question.read(asked, await sockets.ask(asked, until))
        self._counts.answered(response.rcode, monotonic() - began)
        return response
