"""Which server block a query is for: the longest zone that its name is in. Knows no sockets."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from kdns.chain import Answer, Handler, Observer, Request, Response
from kdns.wire import codes
from kdns.wire.message import Sections
from kdns.wire.names import ROOT, Name
from kdns.wire.query import Query


class Route(Struct, frozen=True):
    """A zone, and the chain of the server block that has it."""

    zone: Name
    label: str
    """The zone as metrics name it."""
    handler: Handler
    udp_size: int | None = None
    """Octets that the EDNS size of a client is clamped to."""
    any_class: bool = False
    """Whether the chain is asked about classes other than IN."""
    recursion: bool = False
    """RA in every answer of ours."""
    counted: bool = False
    observers: tuple[Observer, ...] = ()


class Routes:
    """The server blocks behind one address."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = {route.zone: route for route in routes}
        self._only = self._routes.get(ROOT) if len(self._routes) == 1 else None
        """The route of every name, where that is the only one."""
        self.any_class = any(route.any_class for route in routes)
        """Classes are looked at before zones: one block's wish is granted to all, as in CoreDNS."""

    def find(self, query: Query) -> Route | None:
        """Return the route with the longest zone that the name is in.

        DS belongs to the parent (RFC 4035 section 3.1.4.1), which may be served here too: it goes
        to the shortest zone, of which the root is none, as in CoreDNS.
        """
        if self._only is not None:
            return self._only
        routes, name = self._routes, query.name
        found: Route | None = None
        while name != ROOT:
            route = routes.get(name)
            if route is not None:
                found = route
                if query.rtype != codes.DS:
                    break
            name = name[1 + name[0] :]
        return found or routes.get(ROOT)

    async def handle(self, request: Request) -> Response:
        """Ask the chain that a name belongs to: the head of the chain for questions of ours."""
        route = self.find(request.query)
        if route is None:
            return UNSERVED
        return await route.handler(replace(request, chain=self.handle))


UNSERVED = Answer(
    Sections(
        codes.REFUSED,
        authoritative=False,
        ede=(codes.EDE_NOT_AUTHORITATIVE, "no server block is for this name"),
    )
)
"""The response to a name that is in no zone."""
