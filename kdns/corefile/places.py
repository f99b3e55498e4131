"""Where a directive wants its pages to be served. Knows no plugin and no socket."""

from kdns.corefile.syntax import Directive
from kdns.corefile.values import arguments, fail, host_port

_MISSING = -1


def place(directive: Directive, default: tuple[str, int]) -> tuple[str, int]:
    """Read the ``ADDRESS:PORT`` that a directive may have; host "" is every address.

    The port must be there, as in CoreDNS: a word alone could be meant as either.
    """
    words = arguments(directive, 0, 1)
    if not words:
        return default
    host, port = host_port(words[0], _MISSING)
    if port == _MISSING:
        fail(words[0], f"expected ADDRESS:PORT or :PORT, got {words[0].text!r}")
    return host, port


def shown(place: tuple[str, int]) -> str:
    """Write a place as a Corefile does."""
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
