"""What an explanation consists of: plain values, the same in the library, as JSON and as text.

Knows no engine and no cluster. Fields are added with time; none changes its meaning.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

from kdns.resolver.results import NOERROR, Record

Does: TypeAlias = Literal["answers", "alters", "passes", "drops", "fails"]


class Part(Struct, frozen=True):
    """What one plugin did with a question."""

    plugin: str
    does: Does
    """``passes`` what the next plugin said, ``alters`` the question or what the next one said."""
    rcode: str = ""
    """Of what came out of the plugin; empty for nothing."""
    asked: str = ""
    """``NAME TYPE`` that the plugin handed on, where that is another question than it got."""
    detail: str = ""
    depth: int = 0
    """Greater than 0 for a question of kdns's own, about the target of an alias for instance."""


class Tried(Struct, frozen=True):
    """A name of the search walk."""

    name: str
    """With the final dot."""
    rcode: str
    """Empty where nobody was asked: too long for a name."""
    records: int
    """Records of the answer section; NOERROR with none is NODATA."""
    reason: str = ""
    by: str = ""
    """The plugin that answered; ``nobody`` where no plugin did."""
    block: str = ""
    """The zone of the server block that was asked."""
    chain: tuple[str, ...] = ()
    """The plugins of the block, in order; those that have no part were not reached."""
    parts: tuple[Part, ...] = ()

    @property
    def became(self) -> str:
        """What became of it, in one word."""
        if self.rcode == NOERROR and not self.records:
            return "NODATA"
        return self.rcode or "not asked"


class Reading(Struct, frozen=True):
    """How a name was read; a field is empty where the name has no such part."""

    name: str
    """With the final dot. Where nothing was found: that name of the walk which got furthest."""
    zone: str
    kind: str
    """``service``, ``port``, ``endpoint``, ``pod``, ``reverse``, ``topology``, ``namespace``,
    ``apex``, ``branch`` (``svc`` or ``pod`` alone) or ``none``."""
    namespace: str = ""
    service: str = ""
    port: str = ""
    protocol: str = ""
    endpoint: str = ""
    cluster: str = ""
    """The source cluster in the name of an imported endpoint."""
    topology: str = ""
    pod: str = ""
    """The label that stands for the address of a pod."""
    address: str = ""
    """The address that a reverse name stands for."""
    short: bool = False
    """Whether it is the form without ``svc``."""


class Used(Struct, frozen=True):
    """An object that the answer was made from."""

    kind: str
    namespace: str
    name: str
    resource_version: str = ""
    """Empty where the object states none, as in manifests."""
    uid: str = ""
    age: float | None = None
    """Seconds since its creation; null where that is not known: the server keeps no creation
    times."""

    @property
    def title(self) -> str:
        """The object in words: ``Service default/web``."""
        return f"{self.kind} {'/'.join(filter(None, (self.namespace, self.name)))}"


class Origin(Struct, frozen=True):
    """A record of the answer, and where it is from."""

    record: Record
    source: str = ""
    """``Service default/web``; in the words of the plugin where no object made it."""
    field: str = ""
    """``spec.clusterIPs[0]``, ``endpoints[3].addresses[0], ports[0] (http/tcp)``."""


class LeftOut(Struct, frozen=True):
    """An endpoint that is not in the answer."""

    slice: str
    """``default/web-abc``."""
    field: str
    address: str
    reason: str
    pod: str = ""


class Near(Struct, frozen=True):
    """A name that exists, near one that does not."""

    name: str
    why: str


class Size(Struct, frozen=True):
    """The response as a client of UDP gets it."""

    limit: int
    """Octets that the client takes: 512 without EDNS, else what it says."""
    octets: int
    truncated: bool


class Difference(Struct, frozen=True):
    """What CoreDNS would answer."""

    rcode: str
    records: tuple[Record, ...] = ()


class Explanation(Struct, frozen=True):
    """Why a name gives what it gives."""

    question: str
    rtype: str
    place: str
    """``NAMESPACE`` or ``NAMESPACE/POD`` that the question is asked from."""
    search: tuple[str, ...]
    ndots: int
    name: str
    """The full name that matched; where none did, the one whose failure is told."""
    rcode: str
    tried: tuple[Tried, ...]
    reason: str = ""
    queries: int = 0
    """Queries that a client sent for this one type."""
    wasted: int = 0
    """Those of them whose answers are not the one that is told."""
    reading: Reading | None = None
    """Null for a name outside the zones of the cluster."""
    objects: tuple[Used, ...] = ()
    records: tuple[Origin, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    nearest: tuple[Near, ...] = ()
    octets: int = 0
    """Of the whole response without EDNS, as over TCP."""
    sizes: tuple[Size, ...] = ()
    coredns: Difference | None = None
    """Null where CoreDNS would say the same, or is followed anyway."""
    notes: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        """Whether there is an answer."""
        return self.rcode == NOERROR and bool(self.records)
