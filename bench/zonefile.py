"""A cluster's names as zone files, for servers that know no Kubernetes.

The same names, types and TTLs as kdns and CoreDNS have. Knows no server.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

from bench.population import Member, Population

FORWARD, REVERSE, ELSEWHERE = "cluster.local", "in-addr.arpa", "example.org"
TTL = 30
_SOA = "@ 30 IN SOA ns.dns.{zone}. hostmaster.{zone}. 1 7200 1800 86400 30"
_NS = "@ 30 IN NS ns.dns.{zone}."


def write(folder: Path, population: Population) -> None:
    """Write the zones of a cluster, and one elsewhere."""
    members = [*population.members(), population.large]
    _write(folder, FORWARD, (line for member in members for line in _below(member)))
    _write(folder, REVERSE, (line for member in members for line in _reverse(member)))
    write_elsewhere(folder)


def write_elsewhere(folder: Path) -> None:
    """Write the zone in which every name exists."""
    _write(folder, ELSEWHERE, ["* 3600 IN A 192.0.2.1"])


def _write(folder: Path, zone: str, lines: Iterator[str] | list[str]) -> None:
    head = [text.format(zone=zone) for text in (f"$ORIGIN {zone}.", _SOA, _NS)]
    with (folder / f"{zone}.zone").open("w") as file:
        file.writelines(f"{line}\n" for line in (*head, "ns.dns 30 IN A 127.0.0.1"))
        file.writelines(f"{line}\n" for line in lines)


def _below(member: Member) -> Iterator[str]:
    """Write A and SRV of a service, and A of its endpoints."""
    name = f"{member.name}.{member.namespace}.svc"
    pods = member.pods()
    for address in pods:
        yield f"{endpoint_label(address)}.{name} {TTL} IN A {address}"
    if not member.headless:
        yield f"{name} {TTL} IN A {member.address}"
        yield from _srv(name, [name], 80)
        return
    yield from (f"{name} {TTL} IN A {address}" for address in pods)
    yield from _srv(name, [f"{endpoint_label(address)}.{name}" for address in pods], 8080)


def _srv(name: str, targets: list[str], port: int) -> Iterator[str]:
    """Write SRV by port and of the service itself; all targets have the same weight."""
    for owner in (f"_http._tcp.{name}", name):
        for target in targets:
            yield f"{owner} {TTL} IN SRV 0 {100 // len(targets) or 1} {port} {target}"


def _reverse(member: Member) -> Iterator[str]:
    name = f"{member.name}.{member.namespace}.svc.{FORWARD}."
    if not member.headless:
        yield f"{reversed_name(member.address)} {TTL} IN PTR {name}"
    for address in member.pods():
        yield f"{reversed_name(address)} {TTL} IN PTR {endpoint_label(address)}.{name}"


def endpoint_label(address: str) -> str:
    """Return the first label of an endpoint's name."""
    return address.replace(".", "-")


def reversed_name(address: str) -> str:
    """Return the name of an address in the reverse zone, absolute."""
    return IPv4Address(address).reverse_pointer + "."
