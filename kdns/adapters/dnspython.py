"""Resolvers of dnspython that ask kdns in the same process. Needs dnspython 2.6 or later.

They are dnspython's own, with its results, its exceptions and its search list: only the name
server behind them is kdns. So NODATA ends a search, which it does not in the C library, and names
outside the cluster are refused unless kdns has an upstream.
"""

import asyncio

import dns.asyncresolver
import dns.message
import dns.name
import dns.nameserver
import dns.resolver

from kdns.errors import UsageError
from kdns.resolver.blocking import Resolver
from kdns.resolver.resolver import AsyncResolver
from kdns.stub.resolvconf import ResolvConf


def resolver(place: Resolver) -> dns.resolver.Resolver:
    """Return a resolver of dnspython with the search list and ndots of one of ours.

    Raises UsageError for a pod that does not ask the cluster's DNS.
    """
    _check(place.elsewhere())
    made = dns.resolver.Resolver(configure=False)
    _configure(made, place.conf(), _Blocking(place))
    return made


async def async_resolver(place: AsyncResolver) -> dns.asyncresolver.Resolver:
    """Return an asyncio resolver of dnspython; see ``resolver``."""
    _check(await place.elsewhere())
    made = dns.asyncresolver.Resolver(configure=False)
    _configure(made, await place.conf(), _Async(place))
    return made


def _check(elsewhere: str) -> None:
    if elsewhere:
        raise UsageError(elsewhere)


def _configure(
    made: dns.resolver.BaseResolver, conf: ResolvConf, nameserver: dns.nameserver.Nameserver
) -> None:
    made.nameservers = [nameserver]
    made.search = [dns.name.from_text(domain) for domain in conf.search]
    made.ndots = conf.ndots
    made.use_search_by_default = True


class _Nameserver(dns.nameserver.Nameserver):
    """A name server without an address."""

    def __str__(self) -> str:
        return "kdns"

    def kind(self) -> str:
        return "kdns"

    def is_always_max_size(self) -> bool:
        """Say that nothing is truncated."""
        return True

    def answer_nameserver(self) -> str:
        return "kdns"

    def answer_port(self) -> int:
        return 0


class _Blocking(_Nameserver):
    def __init__(self, place: Resolver) -> None:
        self._place = place

    def query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,
        source: str | None,
        source_port: int,
        max_size: bool,
        one_rr_per_rrset: bool = False,
        ignore_trailing: bool = False,
    ) -> dns.message.Message:
        """Ask kdns. Its upstreams have a deadline of their own."""
        reply = self._place.exchange(request.to_wire())
        return dns.message.from_wire(
            reply, one_rr_per_rrset=one_rr_per_rrset, ignore_trailing=ignore_trailing
        )


class _Async(_Nameserver):
    def __init__(self, place: AsyncResolver) -> None:
        self._place = place

    async def async_query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,
        source: str | None,
        source_port: int,
        max_size: bool,
        backend: object,
        one_rr_per_rrset: bool = False,
        ignore_trailing: bool = False,
    ) -> dns.message.Message:
        """Ask kdns. Its upstreams have a deadline of their own."""
        async with asyncio.timeout(timeout):
            reply = await self._place.exchange(request.to_wire())
        return dns.message.from_wire(
            reply, one_rr_per_rrset=one_rr_per_rrset, ignore_trailing=ignore_trailing
        )
