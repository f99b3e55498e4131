"""Addresses as a cluster would hand them out. Knows nothing of what gets them.

A range gives the same address for the same seed, whatever else asks, unless two seeds meet at one
address; then the order of asking decides, so callers ask in a fixed order.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Literal, TypeAlias

from kdns.kube.manifests.names import stable_number

Family: TypeAlias = Literal["IPv4", "IPv6"]

API_SERVER = "10.96.0.1"
CLUSTER_DNS = "10.96.0.10"

# kubeadm's service range for IPv4, kind's for IPv6 and for pods.
SERVICE_RANGES: dict[Family, str] = {"IPv4": "10.96.0.0/12", "IPv6": "fd00:10:96::/112"}
POD_RANGES: dict[Family, str] = {"IPv4": "10.244.0.0/16", "IPv6": "fd00:10:244::/56"}

# The low addresses of a range are for people and for the cluster's own services.
_LOWEST = 256


def family(address: str) -> Family:
    """Return the family of a valid address."""
    return "IPv6" if ":" in address else "IPv4"


def canonical(address: str) -> str:
    """Return the one text of a valid address, so that equal addresses are equal texts."""
    return str(ip_address(address)) if ":" in address else address


class Range:
    """One network whose addresses are handed out, each once."""

    def __init__(self, network: str, reserved: Iterable[str] = ()) -> None:
        parsed = ip_network(network)
        self._text = IPv4Address if parsed.version == 4 else IPv6Address  # noqa: PLR2004 - IP's
        self._base = int(parsed.network_address)
        self._size = self._room = parsed.num_addresses - _LOWEST - 1
        self._taken = set(map(canonical, reserved))

    def take(self, seed: str) -> str:
        """Hand out the seed's address, or another one of its own if that is taken.

        A range that is nearly full spills into the addresses that follow it: this is a
        simulation, and refusing the last pods of a large one would help nobody.
        """
        while len(self._taken) > self._room * 3 // 4:
            self._room += self._size
        attempt = 0
        while (address := self._at(f"{seed} {attempt}")) in self._taken:
            attempt += 1
        self._taken.add(address)
        return address

    def _at(self, seed: str) -> str:
        return str(self._text(self._base + _LOWEST + stable_number(seed) % self._room))


def ranges(networks: dict[Family, str], reserved: Iterable[str]) -> dict[Family, Range]:
    """Open one range for each family, without the addresses that are already someone's."""
    taken = tuple(reserved)
    return {
        name: Range(network, (text for text in taken if family(text) == name))
        for name, network in networks.items()
    }
