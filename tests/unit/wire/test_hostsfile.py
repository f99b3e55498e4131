"""Any lines in: names and addresses out, and never an exception."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.wire import codes, names
from kdns.wire.hostsfile import read
from kdns.wire.names import ROOT, Name

ALL = (ROOT,)
WORDS = st.one_of(
    st.sampled_from([b"10.0.0.1", b"::1", b"a", b"*.b.", b".", b"#", b"\\", b"\\300", b"x" * 64]),
    st.binary(max_size=20),
)


@given(st.lists(st.lists(WORDS, max_size=4).map(b" ".join), max_size=5))
def test_nothing_is_raised_and_every_name_is_one(lines: list[bytes]) -> None:
    entries = read(lines, ALL, reverse=True)

    for known in entries.addresses.values():
        assert all(names.from_text(names.to_text(name)) == name for name in known)
    assert all(0 < number <= len(lines) for number, _ in entries.faults)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_every_address_leads_back(address: IPv4Address | IPv6Address) -> None:
    entries = read([f"{address} a".encode()], ALL, reverse=True)
    plain = getattr(address, "ipv4_mapped", None) or address
    rtype = codes.A if plain.version == 4 else codes.AAAA

    assert entries.find(b"\1a\0", rtype) == [plain.packed]
    assert entries.names == {names.from_text(plain.reverse_pointer): [b"\1a\0"]}
    assert entries.size == 2


LONGEST = ".".join(["x" * 63] * 3 + ["y" * 61])
NAMES = {
    "lower case": (b"WWW.Example.Org", "www.example.org."),
    "a final dot": (b"example.org.", "example.org."),
    "the root": (b".", "."),
    "an escaped dot": (rb"a\.b.org", r"a\.b.org."),
    "an escaped octet": (rb"\065.org", "a.org."),
    "UTF-8": ("m\u00fcller.org".encode(), r"m\195\188ller.org."),
    "the longest label": (b"x" * 63, "x" * 63 + "."),
    "the longest name": (LONGEST.encode(), f"{LONGEST}."),
}


@pytest.mark.parametrize(("word", "name"), NAMES.values(), ids=NAMES)
def test_a_name(word: bytes, name: str) -> None:
    entries = read([b"10.0.0.1 " + word], ALL, reverse=False)

    assert [names.to_text(found) for found in entries.addresses[codes.A]] == [name]
    assert entries.faults == []


FAULTS = {
    "no name": (b"10.0.0.1", "expected a name after '10.0.0.1'"),
    "no address": (b"localhost 127.0.0.1", "expected an IP address, got 'localhost'"),
    "a leading zero": (b"10.0.0.01 a", "expected an IP address, got '10.0.0.01'"),
    "too few parts": (b"10.1 a", "expected an IP address, got '10.1'"),
    "no octet": (b"10.0.0.256 a", "expected an IP address, got '10.0.0.256'"),
    "an underscore": (b"10.0.0.1_0 a", "expected an IP address, got '10.0.0.1_0'"),
    "an empty label": (b"::1 a..b", "expected a name, got 'a..b': label of 0 octets"),
    "a long label": (b"::1 " + b"x" * 64, f"expected a name, got '{'x' * 64}': label of 64 octets"),
    "a long name": (b"::1 " + b"x." * 128, f"expected a name, got '{'x.' * 128}': name over 255"),
}


@pytest.mark.parametrize(("line", "text"), FAULTS.values(), ids=FAULTS)
def test_what_is_no_entry(line: bytes, text: str) -> None:
    entries = read([b"# hosts", line], ALL, reverse=True)

    [(number, found)] = entries.faults
    assert number == 2
    assert found.startswith(text)
    assert entries.size == 0


@pytest.mark.parametrize("address", ["0:0::1", "::1%lo", "0000::0001"])
def test_one_address_may_be_written_in_many_ways(address: str) -> None:
    entries = read([f"{address} a".encode()], ALL, reverse=False)

    assert entries.find(b"\1a\0", codes.AAAA) == [ip_address("::1").packed]


@pytest.mark.parametrize(
    ("zones", "size"),
    [((b"\1b\0",), 1), ((b"\1b\0", b"\1c\0"), 2), ((b"\1c\0", ROOT), 3)],
    ids=["one", "two", "all"],
)
def test_names_outside_of_the_zones_are_left_out(zones: tuple[Name, ...], size: int) -> None:
    assert read([b"::1 a.b b.c a"], zones, reverse=False).size == size
