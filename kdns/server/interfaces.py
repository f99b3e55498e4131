"""The network interfaces of this machine and their addresses, as the kernel tells them (netlink).

Only Linux has that. Knows no DNS.
"""

import os
import socket
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct as Layout
from typing import TypeAlias

Interfaces: TypeAlias = dict[str, list[str]]
"""The name of each interface, and its addresses in the kernel's order."""

_HEADER = Layout("=IHHII")
"""Length, type, flags, sequence and port of a message (linux/netlink.h)."""
_ADDRESS = Layout("=BBBBI")
"""Family, bits of the prefix, flags, scope and index of the interface (linux/if_addr.h)."""
_ATTRIBUTE = Layout("=HH")
"""Length and type of an attribute (linux/rtnetlink.h)."""
_ALIGNMENT = 4
_NETLINK_ROUTE = 0
_REQUEST_DUMP = 0x301
_ERROR, _DONE, _NEW_ADDRESS, _GET_ADDRESS = 2, 3, 20, 22
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_LARGEST = 1 << 16
_SECONDS = 5.0
"""Wait for the kernel, which answers at once or not at all."""


def interfaces() -> Interfaces:
    """Ask the kernel for all interfaces; raises OSError where it does not say."""
    indices = dict(socket.if_nameindex())
    found: Interfaces = {name: [] for name in indices.values()}
    for index, address in _dumped():
        name = indices.get(index)
        if name is not None:  # it may have come in between
            scoped = isinstance(address, IPv6Address) and address.is_link_local
            found[name].append(f"{address}%{name}" if scoped else str(address))
    return found


def _dumped() -> Iterator[tuple[int, IPv4Address | IPv6Address]]:
    """Ask for all addresses, each with the index of its interface."""
    question = _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    header = _HEADER.pack(_HEADER.size + len(question), _GET_ADDRESS, _REQUEST_DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE) as kernel:
        kernel.settimeout(_SECONDS)
        kernel.sendto(header + question, (0, 0))
        while True:
            for kind, body in messages(kernel.recv(_LARGEST)):
                if kind == _DONE:
                    return
                if kind == _NEW_ADDRESS:
                    yield address(body)


def messages(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    """Split what the kernel sent into types and bodies; raises OSError for its error."""
    while len(datagram) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(datagram)
        body = datagram[_HEADER.size : length]
        if kind == _ERROR:
            number = -int.from_bytes(body[:4], sys.byteorder, signed=True)
            raise OSError(number, os.strerror(number))
        yield kind, body
        datagram = datagram[_aligned(length) :]


def address(body: bytes) -> tuple[int, IPv4Address | IPv6Address]:
    """Read an address and the index of its interface.

    Where the link has two ends IFA_ADDRESS is the other one, and IFA_LOCAL ours.
    """
    *_, index = _ADDRESS.unpack_from(body)
    values = dict(_attributes(body[_ADDRESS.size :]))
    return index, ip_address(values.get(_IFA_LOCAL) or values[_IFA_ADDRESS])


def _attributes(octets: bytes) -> Iterator[tuple[int, bytes]]:
    while len(octets) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(octets)
        yield kind, octets[_ATTRIBUTE.size : length]
        octets = octets[_aligned(length) :]


def _aligned(length: int) -> int:
    return -(-length // _ALIGNMENT) * _ALIGNMENT
