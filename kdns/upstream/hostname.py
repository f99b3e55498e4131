"""The addresses of an upstream that is written as a name: asked for once, while setting up.

This waits for others, which nothing else here does; who sets up waits too, as with CoreDNS.
"""

import secrets
import socket
from collections.abc import Sequence

from kdns.errors import UpstreamError, UsageError
from kdns.upstream.address import Upstream
from kdns.upstream.datagrams import connected
from kdns.wire import codes, names, relay
from kdns.wire.query import Query, ask, write_query

TIMEOUT = 2.0
"""Seconds that one question to one resolver waits."""
_MAX_MESSAGE = 65_535


def addresses(host: str, resolvers: Sequence[Upstream]) -> list[str]:
    """Return the IP addresses of a host, IPv4 before IPv6, as resolvers say.

    The first that knows any is believed; without resolvers it is the machine's own way. Raises
    UsageError where there are none.
    """
    if not resolvers:
        return _system(host)
    reason = "no addresses"
    for resolver in resolvers:
        try:
            found = _lookup(host, resolver)
        except (OSError, UpstreamError) as error:
            reason = f"{resolver}: {error}"
        else:
            if found:
                return found
    raise UsageError(f"{host!r} cannot be found: {reason}")


def _system(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise UsageError(f"{host!r} cannot be found: {error.strerror}") from error
    except UnicodeError:
        raise UsageError(f"{host!r} cannot be found: it is no host name") from None
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def _lookup(host: str, resolver: Upstream) -> list[str]:
    name = names.from_text(host)
    found = _records(ask(name, codes.A), resolver)
    try:
        return found + _records(ask(name, codes.AAAA), resolver)
    except (OSError, UpstreamError):
        if not found:
            raise
        return found


def _records(query: Query, resolver: Upstream) -> list[str]:
    """Ask one question, wherever its aliases lead."""
    family = socket.AF_INET if query.rtype == codes.A else socket.AF_INET6
    records = relay.read(_exchange(query, resolver), query).answer
    return [socket.inet_ntop(family, one.rdata) for one in records if one.rtype == query.rtype]


def _exchange(query: Query, resolver: Upstream) -> bytes:
    message_id = secrets.randbits(16)
    with connected(resolver, "") as opened:
        opened.settimeout(TIMEOUT)
        opened.send(write_query(query, message_id))
        while not relay.is_answer(message := opened.recv(_MAX_MESSAGE), query, message_id):
            pass
        return message
