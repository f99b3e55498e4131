"""``acl``: who may ask what. The first rule that a query matches decides; without one it may.

What is decided alike for every client is left as it is, so that it can be prepared; what is not
is answered anew for each. Opens nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv6Network, ip_network
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.assembly import Block
from kdns.chain import Answer, Dropped, Handler, Plugin, Request, Response
from kdns.corefile import values
from kdns.corefile.syntax import Directive, Line, Token
from kdns.corefile.values import MANY, arguments, fail
from kdns.corefile.zones import Network
from kdns.metrics import Metrics
from kdns.wire import codes, names, records
from kdns.wire.message import Sections
from kdns.wire.names import Name
from kdns.wire.query import Query

_ACTIONS = ("allow", "block", "filter", "drop")
_SECTIONS = ("type", "net")
_ALL = "*"
_NEGATIVE = {
    "block": Sections(
        codes.REFUSED,
        authoritative=False,
        ede=(codes.EDE_BLOCKED, "blocked by the access rules of this server"),
    ),
    "filter": Sections(
        authoritative=False,
        ede=(codes.EDE_FILTERED, "filtered by the access rules of this server"),
    ),
}


class Networks:
    """A set of networks: one look-up for each length of prefix, however many there are."""

    def __init__(self, wanted: Sequence[Network]) -> None:
        self._prefixes: dict[tuple[int, int], set[int]] = {}
        """Numbers of networks, by octets of the address and bits behind the prefix."""
        for one in wanted:
            known = _unmapped(one)
            bits = known.max_prefixlen - known.prefixlen
            prefixes = self._prefixes.setdefault((known.max_prefixlen // 8, bits), set())
            prefixes.add(int(known.network_address) >> bits)

    def __contains__(self, packed: bytes) -> bool:
        address = int.from_bytes(packed)
        return any(
            size == len(packed) and address >> bits in prefixes
            for (size, bits), prefixes in self._prefixes.items()
        )


def _unmapped(one: Network) -> Network:
    """Return the IPv4 network for one of IPv4-mapped addresses: clients of IPv4 are meant."""
    if isinstance(one, IPv6Network) and one.network_address.ipv4_mapped and one.prefixlen >= 96:  # noqa: PLR2004 - bits before the IPv4 address
        return ip_network((one.network_address.ipv4_mapped, one.prefixlen - 96))
    return one


class Rule(Struct, frozen=True):
    """What is done with queries of some types from some clients."""

    action: str
    types: frozenset[int] | None = None
    """All when None."""
    sources: Networks | None = None
    """All when None."""


class Policy(Struct, frozen=True):
    """The rules of one directive, for queries in its zones."""

    zones: tuple[Name, ...]
    rules: tuple[Rule, ...]

    def zone(self, name: Name) -> Name | None:
        """Return the longest zone that a name is in."""
        found = (zone for zone in self.zones if names.is_below(name, zone))
        return max(found, key=len, default=None)


class Verdict(Struct, frozen=True):
    """What is done with a query."""

    action: str
    zone: Name = names.ROOT
    """The zone of the rule that says so."""
    personal: bool = False
    """Whether another client could get another verdict."""


Count: TypeAlias = Callable[[Verdict, Request], None]


def setup(directives: Sequence[Directive], block: Block) -> Plugin:
    """Read all rules of a block."""
    policies = [_policy(directive, block) for directive in directives]
    return Acl(policies, _counting(block.runtime.metrics))


class Acl:
    """Lets queries pass, or does not."""

    def __init__(self, policies: Sequence[Policy], count: Count) -> None:
        self._policies = tuple(policies)
        self._count = count

    def wrap(self, following: Handler) -> Handler:
        """Ask the following handler what may be asked."""

        async def handle(request: Request) -> Response:
            verdict = self.judge(request.query, request.client[0])
            self._count(verdict, request)
            if verdict.action == "drop":
                raise Dropped("dropped by acl")
            if verdict.action != "allow":
                # No owners: every one is counted.
                return Answer(_NEGATIVE[verdict.action], by="acl")
            response = await following(request)
            if not verdict.personal:
                return response
            if isinstance(response, Answer):
                return replace(response, owners=())
            return replace(response, repeat=None)

        return handle

    def judge(self, query: Query, client: str) -> Verdict:
        """Decide about a query. Without a client it is kdns's own, and is allowed."""
        if not client:
            return Verdict("allow")
        packed = records.pack_address(client.partition("%")[0])
        if packed is None:  # no rule could tell who that is
            return Verdict("block", personal=True)
        personal = False
        for zone, rule in self._matching(query):
            personal = personal or rule.sources is not None
            if rule.sources is None or packed in rule.sources:
                return Verdict(rule.action, zone, personal)
        return Verdict("allow", personal=personal)

    def _matching(self, query: Query) -> Iterator[tuple[Name, Rule]]:
        """Find the rules that are for a question, whoever asks."""
        for policy in self._policies:
            zone = policy.zone(query.name)
            if zone is not None:
                for rule in policy.rules:
                    if rule.types is None or query.rtype in rule.types:
                        yield zone, rule


# -- metrics ----------------------------------------------------------------------------------


def _counting(metrics: Metrics) -> Count:
    labels = ("server", "zone", "view")
    allowed = metrics.counter(
        "coredns_acl_allowed_requests_total", "Queries that were allowed.", ("server", "view")
    )
    others = {
        action: metrics.counter(
            f"coredns_acl_{word}_requests_total", f"Queries that were {word}.", labels
        )
        for action, word in (("block", "blocked"), ("filter", "filtered"), ("drop", "dropped"))
    }

    def count(verdict: Verdict, request: Request) -> None:
        if verdict.action == "allow":
            allowed.labels(request.server, "").inc()
        else:
            zone = names.to_text(verdict.zone)
            others[verdict.action].labels(request.server, zone, "").inc()

    return count


# -- reading ----------------------------------------------------------------------------------


def _policy(directive: Directive, block: Block) -> Policy:
    zones = values.zones(arguments(directive, 0, MANY), block.zones)
    return Policy(zones, tuple(_rule(line) for line in directive.lines))


def _rule(line: Line) -> Rule:
    """Read ``ACTION [type TYPE...] [net SOURCE...]``, in which a ``*`` stands for all."""
    action = values.choice(_lowered(line.name), _ACTIONS, "action of acl")
    sections = _sections(line)
    types, sources = sections.get("type"), sections.get("net")
    return Rule(
        action,
        None if types is None else frozenset(map(values.rtype, types)),
        None if sources is None else Networks([values.network(source) for source in sources]),
    )


def _sections(line: Line) -> dict[str, list[Token]]:
    """Return the words of ``type`` and ``net``, each only where it does not stand for all."""
    found: dict[str, list[Token]] = {}
    words: list[Token] | None = None
    for word in line.args:
        if word.text.lower() in _SECTIONS:
            words = found.setdefault(word.text.lower(), [])
        elif words is None:
            fail(word, f"unexpected {word.text!r} after {line.name.text}: expected type or net")
        else:
            words.append(word)
    for section, given in found.items():
        if not given:
            fail(line.name, f"expected at least one word or {_ALL} after {section}")
    return {name: given for name, given in found.items() if all(w.text != _ALL for w in given)}


def _lowered(token: Token) -> Token:
    return replace(token, text=token.text.lower())
