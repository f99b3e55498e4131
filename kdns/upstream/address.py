"""The address of an upstream resolver, as a value and as a word. Asks nobody."""

import re
from ipaddress import ip_address

from msgspec import Struct

from kdns.errors import UsageError

PORT = 53
MAX_PORT = 65_535
_BRACKETS = re.compile(r"\[(.+)\](?::(.*))?")
_ONE_COLON = re.compile(r"([^:]+):([^:]*)")


class Upstream(Struct, frozen=True):
    """A resolver: IP address, with its scope where it has one, and port."""

    host: str
    port: int = PORT
    tls: bool = False
    """Whether it is asked over TLS (RFC 7858)."""
    name: str = ""
    """The name that its certificate must have; its address when empty."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str, default_port: int = PORT) -> Upstream:
    """Read ``ADDR``, ``ADDR:PORT``, ``[ADDR]:PORT`` or a plain IPv6 address."""
    host, port = split(text, str(default_port))
    try:
        address = ip_address(host)
    except ValueError:
        raise UsageError(f"upstream {text!r}: expected ADDR, ADDR:PORT or [IPV6]:PORT") from None
    return Upstream(str(address), read_port(port, text))


def split(text: str, port: str) -> tuple[str, str]:
    """Divide into host and port; what has several colons and no brackets is all host."""
    found = _BRACKETS.fullmatch(text) or _ONE_COLON.fullmatch(text)
    if found is None:
        return text, port
    host, own_port = found.groups(default=port)
    return host, own_port


def read_port(digits: str, text: str) -> int:
    """Read the port of an upstream that is written ``text``."""
    if not (digits.isascii() and digits.isdigit() and 0 < int(digits) <= MAX_PORT):
        raise UsageError(f"upstream {text!r}: expected a port from 1 to {MAX_PORT}")
    return int(digits)
