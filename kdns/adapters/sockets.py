"""A drop-in for ``socket.getaddrinfo``: cluster names in programs that know nothing of kdns.

What is put in its place is seen by all who look it up in the module ``socket``: asyncio,
``socket.create_connection``, http.client, urllib3. ``socket.connect`` with a name, and extensions
in C, ask the C library itself and see nothing of it.
"""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeAlias

from kdns.resolver.blocking import Resolver
from kdns.resolver.lookup import AddressInfo, Host, LookupFailed, Port, Wanted, numeric_only


class GetAddrInfo(Protocol):
    """The signature of ``socket.getaddrinfo``."""

    def __call__(  # noqa: PLR0913, PLR0917 - it is not ours
        self,
        host: Host,
        port: Port,
        family: int = 0,
        type: int = 0,  # noqa: A002 - as above
        proto: int = 0,
        flags: int = 0,
    ) -> list[AddressInfo]:
        """Return the addresses of a host; raises socket.gaierror."""


Otherwise: TypeAlias = Callable[..., Sequence[AddressInfo]]
"""A function like ``socket.getaddrinfo``."""


def getaddrinfo(resolver: Resolver, otherwise: Otherwise | None = None) -> GetAddrInfo:
    """Return a function to use in the place of ``socket.getaddrinfo``.

    ``otherwise`` is asked for names outside the cluster, where the resolver asks no upstream;
    without it they are not known.
    """

    def function(  # noqa: PLR0913, PLR0917 - the signature of socket.getaddrinfo
        host: Host,
        port: Port,
        family: int = 0,
        type: int = 0,  # noqa: A002 - as above
        proto: int = 0,
        flags: int = 0,
    ) -> list[AddressInfo]:
        # The thread of the resolver itself comes here too, but never with a name.
        numeric = numeric_only(Wanted(host, port, family, type, proto, flags))
        if numeric is not None:
            return numeric
        try:
            return resolver.getaddrinfo(host, port, family, type, proto, flags)
        except LookupFailed as error:
            if otherwise is None or not error.result.unasked:
                raise
        return list(otherwise(host, port, family, type, proto, flags))

    return function


@contextmanager
def patched(resolver: Resolver, *, others: bool = True) -> Iterator[None]:
    """Put it in the place of ``socket.getaddrinfo`` while the block runs, in the whole process.

    Names outside the cluster go to what was there before, unless ``others`` is false.
    """
    before = socket.getaddrinfo
    ours = getaddrinfo(resolver, before if others else None)
    socket.getaddrinfo = ours  # type: ignore[assignment] # less is said about what it returns
    try:
        yield
    finally:
        socket.getaddrinfo = before
