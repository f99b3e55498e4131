"""What answers are made from, as names: a change touches owners, and their answers go.

Also the form of addresses that equal addresses share. Knows no store and no DNS.
"""

from ipaddress import ip_address
from typing import TypeAlias

Owner: TypeAlias = tuple[str, ...]
"""What an answer was made from, as a name: see the functions below."""

EVERYTHING: Owner = ("everything",)
"""Touched when so much changed at once that all answers have to be made again."""
SYNC: Owner = ("sync",)
"""Touched when the first list of a kind is complete."""
ADDRESSES: Owner = ("addresses",)
"""Touched when an address of a Service or an endpoint comes or goes."""
NAMESPACES: Owner = ("namespaces",)
"""Touched when a namespace comes or goes: reverse answers depend on whether one is served."""


def namespace_owner(name: str) -> Owner:
    """Whether a namespace exists."""
    return "namespace", name


def service_owner(namespace: str, name: str, *, imported: bool = False) -> Owner:
    """Return the owner of a Service (or ServiceImport) and its slices, present or not."""
    return "import" if imported else "service", namespace, name


def address_owner(address: str) -> Owner:
    """Who has an address; takes the form of ``address_key``."""
    return "address", address


def pod_owner(namespace: str, address: str) -> Owner:
    """Whether a pod of a namespace has an address."""
    return "pod", namespace, address


def address_key(text: str) -> str:
    """Return the form that equal addresses share: dotted IPv4, or ":" and 32 hexadecimal digits.

    Cut short, either is the prefix of everything below a reverse zone. Text that is no address
    stands for itself.
    """
    if ":" not in text:
        return text
    try:
        return ":" + ip_address(text).packed.hex()
    except ValueError:
        return text
