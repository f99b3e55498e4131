"""A resolver for asyncio programs: one place, its search list, and the cluster behind it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress

from msgspec import Struct

from kdns.chain import Address
from kdns.corefile.mnemonics import TYPES
from kdns.corefile.values import nearest
from kdns.errors import UsageError
from kdns.kube.owners import Owner
from kdns.presentation.rdata import rtype_of
from kdns.resolver import engine, lookup
from kdns.resolver.engine import Engine, Finding, Question
from kdns.resolver.lookup import AddressInfo, Host, Port
from kdns.resolver.places import View
from kdns.resolver.results import Result, same
from kdns.resolver.wakeups import ANYTHING, Wakeups
from kdns.stub.resolvconf import ResolvConf
from kdns.stub.walk import Style

AGAIN = 5.0
"""Seconds after which an answer is looked at again that nobody says the lifetime of."""
_CLUSTER = "kubernetes"
"""The plugin whose answers change only when the cluster does."""


class Backend(Struct, frozen=True):
    """What a resolver needs of its cluster."""

    engine: Callable[[View], Engine]
    exchange: Callable[[bytes, Address], Awaitable[bytes]]
    """Message and client to reply."""
    wakeups: Wakeups


class AsyncResolver:
    """Resolves names as a pod does. Made by ``AsyncCluster.resolver``."""

    def __init__(self, backend: Backend, view: Callable[[], Awaitable[View]], style: Style) -> None:
        """Take what finds out, at the first question, how the DNS looks from the place."""
        self._backend = backend
        self._look = view
        self._seen: tuple[View, Engine] | None = None
        self._style: Style = style

    async def conf(self) -> ResolvConf:
        """Return the resolv.conf of the place.

        Raises UsageError for a pod that there is not.
        """
        view, _ = await self._prepared()
        return view.conf

    async def elsewhere(self) -> str:
        """Return why the cluster's DNS is not asked from the place; empty where it is."""
        view, _ = await self._prepared()
        return view.elsewhere

    async def resolve(self, name: str, rtype: str = "A") -> Result:
        """Resolve a name, completed as the C library completes it.

        A name that does not exist is a result and no exception. UsageError for an unknown type.
        """
        return await self._result(name, (_number(rtype),))

    async def getaddrinfo(  # noqa: PLR0913, PLR0917 - the signature of socket.getaddrinfo
        self,
        host: Host,
        port: Port,
        family: int = 0,
        type: int = 0,  # noqa: A002 - as above
        proto: int = 0,
        flags: int = 0,
    ) -> list[AddressInfo]:
        """Return what ``socket.getaddrinfo`` would in a pod; raises socket.gaierror."""
        return await lookup.getaddrinfo(
            self._result, lookup.Wanted(host, port, family, type, proto, flags)
        )

    async def watch(self, name: str, rtype: str = "A") -> AsyncGenerator[Result, None]:
        """Yield the answer now, and again whenever it is another one; ends with the cluster.

        Names of the cluster are asked again when an object changes that the answer was made from,
        others when their TTL is over. Changes that undo one another at once are not seen.
        """
        rtypes, wakeups = (_number(rtype),), self._backend.wakeups
        last: Result | None = None
        while not wakeups.closed:
            with wakeups.recording() as touched:
                finding = await self.find(name, rtypes)
                found = engine.result(finding)
            interest = _interest(finding)
            # From here on nothing is missed, however long the consumer takes.
            with wakeups.waiting(interest) as event:
                if last is None or not same(last, found):
                    last = found
                    yield found
                if touched.isdisjoint(interest):
                    with suppress(TimeoutError):
                        await asyncio.wait_for(event.wait(), _patience(finding))

    async def exchange(self, message: bytes) -> bytes:
        """Return the response to a DNS message as the server sends it over TCP; empty for none.

        UsageError for a pod that does not ask the cluster's DNS.
        """
        view, _ = await self._prepared()
        if view.elsewhere:
            raise UsageError(view.elsewhere)
        return await self._backend.exchange(message, view.client)

    async def find(self, name: str, rtypes: tuple[int, ...]) -> Finding:
        """Walk the search list and return all that was said on the way."""
        view, asking = await self._prepared()
        return await asking.find(Question(name, rtypes, view.conf, self._style, view.client))

    async def _result(self, name: str, rtypes: tuple[int, ...]) -> Result:
        return engine.result(await self.find(name, rtypes))

    async def _prepared(self) -> tuple[View, Engine]:
        if self._seen is None:
            view = await self._look()
            self._seen = view, self._backend.engine(view)
        return self._seen


def _interest(finding: Finding) -> frozenset[Owner]:
    """Return what makes it worth asking again when it is touched."""
    replies = finding.replies
    anything = any(reply.by == _CLUSTER and not reply.lasting for reply in replies)
    return finding.owners | {ANYTHING} if anything else finding.owners


def _patience(finding: Finding) -> float | None:
    """Return the seconds after which to ask again though nothing was touched; None for never."""
    return None if finding.lasting else max(1.0, finding.ttl or AGAIN)


def _number(rtype: str) -> int:
    """Read a type, or raise UsageError."""
    number = rtype_of(rtype)
    if number is None:
        raise UsageError(f"unknown type {rtype!r}{nearest(rtype.upper(), TYPES)}")
    return number
