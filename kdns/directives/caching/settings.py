"""How long what is kept, and what is done when it expires. Knows no Corefile."""

from msgspec import Struct

from kdns.wire.names import ROOT, Name

CAPACITY = 9984
MAX_TTL = 3600
MAX_DENIAL_TTL = 1800
MIN_TTL = 5
SERVFAIL_TTL = 5


class Bounds(Struct, frozen=True):
    """How many responses of one sort are kept, and for how many seconds."""

    capacity: int = CAPACITY
    ttl: int = MAX_TTL
    min_ttl: int = MIN_TTL

    def clamp(self, ttl: int) -> int:
        """Return the seconds for which a response of this TTL is kept."""
        return min(max(ttl, self.min_ttl), self.ttl)


class Prefetch(Struct, frozen=True):
    """When something is asked for again before it expires."""

    amount: int
    """After so many queries."""
    gap: float = 60.0
    """Seconds that may pass between two of them, for both to count."""
    percentage: int = 10
    """How much of the TTL is left then, at the most."""


class Stale(Struct, frozen=True):
    """What is done with what expired (RFC 8767)."""

    seconds: int = 3600
    """For how long it is served."""
    verify: bool = False
    """Whether the upstream is asked first, and not behind."""
    timeout: float = 0.0
    """Seconds for which a client waits for that; 0 is for as long as it takes."""
    ttl: int = 0
    """Seconds, in what is sent."""
    recheck: float = 0.0
    """Seconds for which nobody asks again after a failure."""
    prefer_positive: bool = False
    """Whether a denial never takes the place of an answer."""


class Settings(Struct, frozen=True):
    """What the directive says; the defaults are those of CoreDNS."""

    zones: tuple[Name, ...] = (ROOT,)
    success: Bounds = Bounds()
    denial: Bounds = Bounds(ttl=MAX_DENIAL_TTL)
    servfail: int = SERVFAIL_TTL
    """Seconds for which a failure is kept; 0 is not at all."""
    prefetch: Prefetch | None = None
    stale: Stale | None = None
    not_success: tuple[Name, ...] = ()
    """Zones whose answers are not kept."""
    not_denial: tuple[Name, ...] = ()
    """Zones whose denials are not kept."""
    keep_ttl: bool = False
    """Whether what is kept shows the TTL that it began with."""


KUBEADM = Settings(success=Bounds(ttl=30), denial=Bounds(ttl=30))
"""What kubeadm writes into a Corefile: ``cache 30``."""
