"""The words after FROM in ``forward``: addresses, files like resolv.conf, and names of hosts.

Raises UsageError for what is none of these.
"""

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from kdns.errors import UsageError
from kdns.upstream import resolvconf
from kdns.upstream.address import PORT, Upstream, read_port, split
from kdns.wire import names

TLS_PORT = 853

Lookup: TypeAlias = Callable[[str], list[str]]
"""Finds the IP addresses of a host."""


class Destination(Struct, frozen=True):
    """What one word stands for."""

    upstreams: tuple[Upstream, ...]
    file: Path | None = None
    """The file that they are from."""


def read(text: str, root: Path, lookup: Lookup) -> Destination:
    """Read one word; a relative path begins at ``root``."""
    tls, rest = _scheme(text)
    written, name = _divide(rest) if tls else (rest, "")
    host, port = split(written, str(TLS_PORT if tls else PORT))
    if _is_address(host):
        found = Upstream(str(ip_address(host)), read_port(port, text), tls, name)
        return Destination((found,))
    file = root / rest
    if file.exists():
        return Destination(tuple(resolvconf.nameservers(file)), file)
    if not _is_host(host):
        raise UsageError(f"{text!r}: expected an IP address, a file that is there, or a host name")
    number = read_port(port, text)
    return Destination(tuple(Upstream(one, number, tls, name) for one in lookup(host)))


def _scheme(text: str) -> tuple[bool, str]:
    """Take off the scheme; whether it is TLS."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return False, text
    if scheme == "https":
        raise UsageError(f"{text!r}: upstreams are not asked over HTTPS; tls:// is supported")
    if scheme not in {"dns", "tls"}:
        raise UsageError(f"{text!r}: expected dns:// or tls://, got {scheme}://")
    return scheme == "tls", rest


def _divide(text: str) -> tuple[str, str]:
    """Take ``%NAME``, the name in the certificate, out of an address: it stands before the port."""
    before, percent, after = text.rpartition("%")
    if not percent:
        return text, ""
    name, colon, port = after.partition(":")
    if before.startswith("["):
        return f"{before}]{colon}{port}", name.removesuffix("]")
    if colon and ":" in before:
        before = f"[{before}]"
    return f"{before}{colon}{port}", name


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_host(text: str) -> bool:
    try:
        return names.from_text(text) != names.ROOT and "/" not in text
    except ValueError:
        return False
