"""The keys of a server block -> zones and ports, and whether two blocks serve the same.

Knows no sockets: where a block listens comes from its ``bind``, read elsewhere.
"""

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from kdns.corefile.syntax import ServerBlock, Token
from kdns.corefile.values import fail, nearest
from kdns.corefile.zones import SCHEMES, divide, expand
from kdns.wire.names import Name, to_text

PORT = 53
"""Of a zone without one, where the command line gives no other."""

_SERVED = "dns"
_SCHEME = re.compile(r"([A-Za-z0-9+.-]*)://")
_STRAY = re.compile(r"[(){},]")


class Key(Struct, frozen=True):
    """A zone that a server block serves."""

    scheme: str
    zone: Name
    port: int | None
    """None where the zone has none: the server's default."""
    token: Token

    @property
    def text(self) -> str:
        """As it is written; the zones of one network have the same text."""
        return self.token.text


class Served(Struct, frozen=True):
    """What a server block serves, and the addresses that it is bound to; none means all."""

    keys: tuple[Key, ...]
    binds: tuple[str, ...] = ()


class _Listener(Struct, frozen=True):
    zone: Name
    port: int
    host: str
    """Empty for all addresses."""

    def __str__(self) -> str:
        on = f" on {self.host}" if self.host else ""
        return f"{_SERVED}://{to_text(self.zone)}:{self.port}{on}"


def read_keys(block: ServerBlock) -> tuple[Key, ...]:
    """Read a block's keys; a network is as many as it has reverse zones.

    Raises CorefileError for what is no zone and for a scheme that kdns does not serve.
    """
    return tuple(key for token in block.keys for key in _read(token))


def check_overlaps(blocks: Iterable[Served], default_port: int = PORT) -> None:
    """Refuse a zone that is served twice on one port and address.

    A block that is bound to no address takes them all. The error names both lines.
    """
    taken: dict[_Listener, Token] = {}
    for block in blocks:
        for key in block.keys:
            for host in block.binds or ("",):
                port = default_port if key.port is None else key.port
                _take(_Listener(key.zone, port, host), key.token, taken)


def _take(listener: _Listener, token: Token, taken: dict[_Listener, Token]) -> None:
    other = _rival(listener, taken)
    if other == listener:
        fail(token, f"cannot serve {listener} - it is already defined at {_place(taken[other])}")
    if other is not None:
        overlap = f"its listeners overlap with those of {other} at {_place(taken[other])}"
        fail(token, f"cannot serve {listener} - {overlap}")
    taken[listener] = token


def _rival(listener: _Listener, taken: dict[_Listener, Token]) -> _Listener | None:
    """Return who gets the same queries: the same listener, or one where either has all hosts."""
    if listener in taken:
        return listener
    everywhere = _Listener(listener.zone, listener.port, "")
    if listener.host:
        return everywhere if everywhere in taken else None
    same = (other for other in taken if (other.zone, other.port) == (listener.zone, listener.port))
    return next(same, None)


def _place(token: Token) -> str:
    return f"{token.path}:{token.line}"


def _read(token: Token) -> Sequence[Key]:
    _refuse_stray(token)
    try:
        scheme, zone, port = divide(token.text)
    except ValueError as error:
        fail(token, f"expected a zone like example.org:53, got {token.text!r}: {error}")
    _check_scheme(token, scheme, zone)
    if not zone and port is None:
        fail(token, f"expected a zone like example.org:53, got {token.text!r}")
    try:
        return [Key(scheme, name, port, token) for name in expand(zone)]
    except ValueError as error:
        fail(token, f"expected a zone like example.org:53, got {token.text!r}: {error}")


def _refuse_stray(token: Token) -> None:
    """Refuse what CoreDNS would serve as a zone of a strange name: ``.:53{``, ``a,b``."""
    stray = _STRAY.search(token.text)
    if stray:
        what = f"{stray.group()!r} stands in no zone, is a space missing?"
        fail(token, f"expected a zone, got {token.text!r}: {what}")


def _check_scheme(token: Token, scheme: str, zone: str) -> None:
    unknown = _SCHEME.match(zone)
    if unknown:
        near = nearest(unknown.group(1), SCHEMES)
        fail(token, f"unknown scheme in {token.text!r}: expected {_SERVED}://{near}")
    if scheme != _SERVED:
        fail(token, f"{token.text!r} is not served: kdns serves DNS over UDP and TCP, {_SERVED}://")
