"""Which zone a name belongs to, and how it reads there. Knows no objects and no answers."""

from ipaddress import IPv4Network, ip_address, ip_network
from typing import Literal, TypeAlias

from msgspec import Struct

from kdns.errors import UsageError
from kdns.wire import names
from kdns.wire.names import Name
from kdns.wire.query import Query
from kdns.zone.settings import Settings, problems

Role: TypeAlias = Literal["cluster", "multicluster", "reverse"]

V4_SUFFIX = ("in-addr", "arpa")
V6_SUFFIX = ("ip6", "arpa")
_REVERSE = (names.from_text("in-addr.arpa"), names.from_text("ip6.arpa"))


class Zone(Struct, frozen=True):
    """A zone that is answered for."""

    origin: Name
    """In lower case."""
    role: Role


class Question(Struct, frozen=True, gc=False):
    """A name and a type, read inside the zone that it belongs to."""

    name: Name
    """As asked, case and all: the owner of what is answered."""
    rtype: int
    zone: Zone
    origin: Name
    """The zone in the case of the client."""
    labels: tuple[str, ...]
    """What stands below the zone, in lower case, left to right."""


class Authority:
    """The zones of some settings, ready to be matched."""

    def __init__(self, settings: Settings, nameservers: tuple[str, ...] = ()) -> None:
        """``nameservers`` are the server's own addresses, for NS and ``ns.dns`` records.

        Raises UsageError for zones that are no names, and for options that contradict.
        """
        if found := problems(settings):
            raise UsageError("; ".join(found))
        self.settings = settings
        # Q23: CoreDNS never names a loopback address.
        self.nameservers = tuple(
            text for text in nameservers if not (settings.compat and ip_address(text).is_loopback)
        )
        self._zones = {zone.origin: zone for zone in _zones(settings)}
        cluster = [zone for zone in self._zones.values() if zone.role != "reverse"]
        if not cluster:
            raise UsageError("zones: at least one zone that is no reverse zone is needed")
        self.primary = cluster[0].origin
        """The first zone that is no reverse zone: reverse answers point into it."""
        self.search = [_name(domain, "search domain") for domain in settings.search]
        """The domains that complete short names."""
        self._fallthrough = _origins(settings.fallthrough or ())

    @property
    def zones(self) -> list[Zone]:
        """Return the zones in the order of the settings."""
        return list(self._zones.values())

    def question(self, query: Query) -> Question | None:
        """Read a query inside the longest zone that it falls in; None when it is in none."""
        name, zones, at = query.name, self._zones, 0
        labels: list[str] = []
        while (zone := zones.get(name[at:])) is None:
            length = name[at]
            if not length:
                return None
            labels.append(name[at + 1 : at + 1 + length].decode("latin-1"))
            at += 1 + length
        asked = query.asked
        return Question(asked, query.rtype, zone, asked[at:], tuple(labels))

    def falls_through(self, name: Name) -> bool:
        """Whether a missing name (in lower case) is left to the next plugin."""
        if self.settings.fallthrough is None:
            return False
        if not self._fallthrough:
            return True
        for origin in self._fallthrough:  # noqa: SIM110 - `any` takes twice as long
            if names.is_below(name, origin):
                return True
        return False


def _zones(settings: Settings) -> list[Zone]:
    multicluster = set(_origins(settings.multicluster))
    return [Zone(origin, _role(origin, multicluster)) for origin in _origins(settings.zones)]


def _role(origin: Name, multicluster: set[Name]) -> Role:
    if any(names.is_below(origin, reverse) for reverse in _REVERSE):
        return "reverse"
    return "multicluster" if origin in multicluster else "cluster"


def _origins(zones: tuple[str, ...]) -> list[Name]:
    return [origin for text in zones for origin in _expand(text)]


def _expand(text: str) -> list[Name]:
    """Read a zone name, or the reverse zones of a CIDR."""
    if "/" not in text:
        return [_name(text, "zone")]
    try:
        return [names.from_text(zone) for zone in reverse_zones(text)]
    except ValueError as error:
        raise UsageError(f"zone {text!r}: expected a CIDR ({error})") from None


def _name(text: str, what: str) -> Name:
    if not text:
        raise UsageError(f"{what} '': expected a domain name")
    try:
        return names.from_text(text).lower()
    except ValueError as error:
        raise UsageError(f"{what} {text!r}: expected a domain name ({error})") from None


def reverse_zones(cidr: str) -> list[str]:
    """Return the reverse zones that cover a CIDR, split at octets (IPv4) or nibbles (IPv6).

    A prefix between two boundaries becomes several zones: 10.96.0.0/12 is 96.10.in-addr.arpa to
    111.10.in-addr.arpa. Raises ValueError for what is no CIDR.
    """
    network = ip_network(cidr, strict=False)
    step = 8 if isinstance(network, IPv4Network) else 4
    prefix = -(-network.prefixlen // step) * step
    parts = prefix // step
    # reverse_pointer of a network would include its length: take an address and cut.
    return [
        ".".join(net.network_address.reverse_pointer.split(".")[-(parts + 2) :])
        for net in network.subnets(new_prefix=prefix)
    ]
