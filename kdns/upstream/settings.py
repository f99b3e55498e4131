"""How upstreams are asked: the options of ``forward`` that are about sockets, time and health."""

from typing import Literal, TypeAlias

from msgspec import Struct

from kdns.wire.names import ROOT, Name

Policy: TypeAlias = Literal["random", "round_robin", "sequential"]


class Check(Struct, frozen=True):
    """What a health check asks, and how often while it fails."""

    interval: float = 0.5
    """Seconds."""
    recursion: bool = True
    """RD of its query."""
    domain: Name = ROOT


class Settings(Struct, frozen=True):
    """Times are in seconds."""

    policy: Policy = "sequential"
    force_tcp: bool = False
    prefer_udp: bool = False
    """Ask over UDP even for a client of TCP, and over TCP what was truncated."""
    source: str = ""
    """IP address to ask from; the kernel chooses when empty."""
    expire: float = 10.0
    """A socket that was idle for longer is not used again."""
    max_age: float = 0.0
    """A socket that was opened longer ago is not used again; 0 for no such limit."""
    max_idle: int = 0
    """Idle sockets of each transport to each upstream; 0 for no limit."""
    read_timeout: float = 2.0
    """Wait for one response."""
    max_fails: int = 2
    """Health checks in a row that may fail before an upstream is down; 0 for never."""
    max_attempts: int | None = None
    """Attempts for one query that may fail; 0 for no limit, None for two at each upstream."""
    check: Check = Check()
    failover: frozenset[int] = frozenset()
    """Rcodes with which the next upstream is asked."""
    deadline: float = 5.0
    """For all attempts; after that the client has given up."""
    failfast: bool = False
    """Whether nobody is asked while all upstreams are down."""
