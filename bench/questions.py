"""The questions of a row: names and types in the order in which they are asked.

All are lines as dnsperf reads them. Chance is seeded: every run asks the same. Knows the cluster's
names, no server.
"""

import random
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import count, islice

from bench.population import PER_NAMESPACE, Member, Population
from bench.zonefile import ELSEWHERE, FORWARD, endpoint_label, reversed_name

LINES = 20_000
"""Of the mix."""
PTR_NAMES = 1000
"""So few that CoreDNS keeps them all in its cache, as it does in a small cluster."""
OUTSIDE_NAMES = 1000
"""Names elsewhere that a cluster asks for again and again."""
ASKERS = 10
"""Namespaces in which pods ask."""
# How pods name what they look up, out of a hundred: another namespace's service, one of their
# own, a full name, and a host outside, of which only the search list's part is asked here.
KINDS = {"service.namespace": 45, "service": 25, "full": 15, "outside": 15}
_NUMBERS = count()


class Questions:
    """What can be asked about a cluster."""

    def __init__(self, population: Population) -> None:
        self._members = population.members()
        self._large = population.large
        self._with_address = [member for member in self._members if not member.headless]
        self._names = {name(member) for member in [*self._members, self._large]}

    def cluster_ip(self) -> list[str]:
        """Ask for A of every service with an address."""
        return _shuffled(f"{name(member)} A" for member in self._with_address)

    def search_list(self) -> list[str]:
        """Ask for hosts outside as the search list completes them: no such name exists."""
        domains = (*map(_domain, range(ASKERS)), f"svc.{FORWARD}", FORWARD)
        hosts = [f"www.host-{n}.{ELSEWHERE}" for n in range(100)]
        return _shuffled(f"{host}.{domain} A" for host in hosts for domain in domains)

    def srv(self) -> list[str]:
        """SRV of every named port."""
        return _shuffled(f"_http._tcp.{name(member)} SRV" for member in self._with_address)

    def ptr(self) -> list[str]:
        """PTR of ClusterIPs."""
        chosen = self._with_address[:PTR_NAMES]
        return _shuffled(f"{reversed_name(member.address)} PTR" for member in chosen)

    def headless(self) -> list[str]:
        """Ask for A of a hundred endpoints."""
        return [f"{name(self._large)} A"]

    def mix(self) -> list[str]:
        """Ask for A and AAAA as pods do with ndots:5, most of them for few services."""
        chance = random.Random(5)  # noqa: S311 - nobody is to be kept from guessing
        weights = [1 / (rank + 1) for rank in range(len(self._members))]
        members = chance.choices(self._members, weights, k=LINES)
        kinds = chance.choices(list(KINDS), list(KINDS.values()), k=LINES)
        steps = (
            step
            for member, kind in zip(members, kinds, strict=True)
            for step in self._lookup(member, kind, chance)
        )
        lines = (f"{step} {rtype}" for step in steps for rtype in ("A", "AAAA"))
        return list(islice(lines, LINES))

    def _lookup(self, member: Member, kind: str, chance: random.Random) -> Iterator[str]:
        """Return the names that one look-up tries, up to the first that exists."""
        asker = chance.randrange(ASKERS)
        short = {
            "service.namespace": f"{member.name}.{member.namespace}",
            "service": member.name,
            "full": name(member),
            "outside": f"www.host-{chance.randrange(50)}.{ELSEWHERE}",
        }[kind]
        if kind == "service":
            asker = member.number // PER_NAMESPACE
        for domain in (_domain(asker), f"svc.{FORWARD}", FORWARD):
            yield f"{short}.{domain}"
            if f"{short}.{domain}" in self._names:
                return
        if kind == "full":
            yield short

    @cached_property
    def everything(self) -> list[str]:
        """Every name once: services by A, AAAA and SRV, endpoints by A, addresses by PTR."""
        lines = []
        for member in self._members:
            whole, pods = name(member), member.pods()
            lines += [f"{whole} A", f"{whole} AAAA", f"_http._tcp.{whole} SRV"]
            lines += [f"{endpoint_label(pod)}.{whole} A" for pod in pods]
            lines += [f"{reversed_name(pod)} PTR" for pod in pods]
        return _shuffled(lines)


def name(member: Member) -> str:
    """Return the name of a service."""
    return f"{member.name}.{member.namespace}.svc.{FORWARD}"


def missing(size: int) -> list[str]:
    """Ask for services that do not exist; no name comes twice, in this call or another."""
    chance = random.Random(next(_NUMBERS))  # noqa: S311 - as above
    return [f"{chance.getrandbits(48):012x}.{_domain(0)} A" for _ in range(size)]


def outside(size: int) -> list[str]:
    """Ask for hosts elsewhere that were never asked for."""
    chance = random.Random(next(_NUMBERS))  # noqa: S311 - as above
    return [f"{chance.getrandbits(48):012x}.{ELSEWHERE} A" for _ in range(size)]


def known_outside() -> list[str]:
    """Ask for hosts elsewhere, always the same."""
    return [f"www-{n}.{ELSEWHERE} A" for n in range(OUTSIDE_NAMES)]


def part(lines: Sequence[str], number: int, of: int) -> Sequence[str]:
    """Return one of so many equal parts."""
    return lines[number % of :: of]


def _domain(namespace: int) -> str:
    return f"team-{namespace}.svc.{FORWARD}"


def _shuffled(lines: Iterator[str] | list[str]) -> list[str]:
    """Bring into an order that no server can profit from."""
    found = list(lines)
    random.Random(1).shuffle(found)  # noqa: S311 - as above
    return found
