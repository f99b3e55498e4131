"""A server in a program: sockets in front of what a program follows already."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from kdns.app import FromCorefile, Server
from kdns.chain import Address
from kdns.cluster import Clusters
from kdns.standalone import Options


class Serving(Struct, frozen=True):
    """A DNS server that runs."""

    addresses: tuple[Address, ...]
    """Where it listens, UDP and TCP."""
    pages: tuple[Address, ...] = ()
    """Where it serves ``/ready``, ``/health`` and ``/metrics`` over HTTP."""

    @property
    def host(self) -> str:
        """The first address."""
        return self.addresses[0][0]

    @property
    def port(self) -> int:
        """The port of the first address."""
        return self.addresses[0][1]


@asynccontextmanager
async def listening(
    wanted: Options | FromCorefile, clusters: Clusters | None = None
) -> AsyncIterator[Serving]:
    """Serve while the block runs; ``clusters`` are shared with others.

    Raises UsageError for an address that cannot be had.
    """
    server = Server(wanted, clusters)
    try:
        await server.start()
        yield Serving(server.addresses, tuple(server.http.values()))
    finally:
        await server.close()
