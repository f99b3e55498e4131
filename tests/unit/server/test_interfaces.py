"""What the kernel says about interfaces."""

from ipaddress import ip_address
from struct import pack

import pytest

from kdns.server.interfaces import address, interfaces, messages

V4, V6 = 2, 10


def told(kind: int, body: bytes) -> bytes:
    return pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body + b"\0" * (-len(body) % 4)


def attribute(kind: int, value: bytes) -> bytes:
    return pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def test_this_machine_has_a_loopback() -> None:
    found = interfaces()

    assert "127.0.0.1" in found["lo"]
    assert all(ip_address(text) for addresses in found.values() for text in addresses)


def test_messages_are_told_apart() -> None:
    datagram = told(20, b"12345") + told(3, b"1234")

    assert list(messages(datagram)) == [(20, b"12345"), (3, b"1234")]
    assert list(messages(b"")) == []


def test_an_error_of_the_kernel_is_raised() -> None:
    with pytest.raises(PermissionError):
        list(messages(told(2, pack("=i", -1) + bytes(16))))


ADDRESSES = {
    "IPv4": (
        pack("=BBBBI", V4, 8, 0, 0, 1)
        + attribute(1, bytes((127, 0, 0, 1)))
        + attribute(3, b"eth0:1\0"),
        (1, "127.0.0.1"),
    ),
    "our end of a link, not the other one": (
        pack("=BBBBI", V4, 32, 0, 0, 7)
        + attribute(1, bytes((10, 0, 0, 1)))
        + attribute(2, bytes((10, 0, 0, 2))),
        (7, "10.0.0.2"),
    ),
    "IPv6": (
        pack("=BBBBI", V6, 64, 0, 0, 2) + attribute(3, b"odd\0") + attribute(1, bytes(15) + b"\1"),
        (2, "::1"),
    ),
}


@pytest.mark.parametrize(("body", "expected"), ADDRESSES.values(), ids=ADDRESSES)
def test_an_address_is_read(body: bytes, expected: tuple[int, str]) -> None:
    index, found = address(body)

    assert (index, str(found)) == expected
