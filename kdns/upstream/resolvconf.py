"""The resolvers of resolv.conf(5), and those behind the stub of systemd-resolved.

Asks nobody: an upstream is an address, not a name.
"""

from contextlib import suppress
from pathlib import Path

from kdns.errors import UsageError
from kdns.upstream.address import Upstream, parse
from kdns.upstream.ourselves import without

__all__ = [
    "MAX_UPSTREAMS",
    "REAL",
    "SYSTEM",
    "Upstream",
    "nameservers",
    "parse",
    "system",
    "without",
]

MAX_UPSTREAMS = 15
SYSTEM = Path("/etc/resolv.conf")
REAL = Path("/run/systemd/resolve/resolv.conf")
"""The resolvers behind systemd-resolved's stub."""
# systemd-resolved(8): the stub and its proxy. In a pod they lead back to the pod itself.
_STUBS = frozenset({"127.0.0.53", "127.0.0.54"})


def system(path: Path = SYSTEM, real: Path = REAL) -> list[Upstream]:
    """Find the resolvers of this machine.

    Behind the stub of systemd-resolved they are the ones that it asks itself.
    """
    found = _present(path)
    if found and all(upstream.host in _STUBS for upstream in found):
        found = _present(real) or found
    # resolv.conf(5): "If no nameserver entries are present, the default is to use the name
    # server on the local machine."
    return found or [Upstream("127.0.0.1")]


def nameservers(path: Path) -> list[Upstream]:
    """Read the ``nameserver`` lines of a file, in their order.

    Raises UsageError for a file that cannot be read.
    """
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    found: list[Upstream] = []
    for line in lines:
        words = line.split()
        if words[:1] == ["nameserver"]:
            # libc passes over what is no address, and so do we.
            with suppress(UsageError):
                found += [parse(host) for host in words[1:2]]
    return found[:MAX_UPSTREAMS]


def _present(path: Path) -> list[Upstream]:
    return nameservers(path) if path.exists() else []
