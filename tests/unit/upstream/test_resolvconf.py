"""Addresses of upstreams, from a command line and from resolv.conf(5)."""

from pathlib import Path

import pytest

from kdns.errors import UsageError
from kdns.upstream import resolvconf
from kdns.upstream.resolvconf import Upstream, parse, without

ADDRESSES = {
    "10.0.0.1": Upstream("10.0.0.1", 53),
    "10.0.0.1:5353": Upstream("10.0.0.1", 5353),
    "2001:DB8::1": Upstream("2001:db8::1", 53),
    "[2001:db8::1]": Upstream("2001:db8::1", 53),
    "[2001:db8::1]:5353": Upstream("2001:db8::1", 5353),
    "fe80::1%eth0": Upstream("fe80::1%eth0", 53),
    "[fe80::1%eth0]:54": Upstream("fe80::1%eth0", 54),
    "::1": Upstream("::1", 53),
}


@pytest.mark.parametrize(("text", "upstream"), ADDRESSES.items())
def test_an_address(text: str, upstream: Upstream) -> None:
    assert parse(text) == upstream
    assert parse(str(upstream)) == upstream


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dns.example.org",
        "10.0.0",
        "10.0.0.1.1:53",
        "[10.0.0.1",
        "[::1]53x",
        "1:2:3",
        "[]:53",
        "10.0.0.1]",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        parse(text)


@pytest.mark.parametrize("port", ["", "0", "65536", "-1", "dns", "٣"])
def test_what_is_no_port(port: str) -> None:
    with pytest.raises(UsageError, match="expected a port from 1 to 65535"):
        parse(f"10.0.0.1:{port}")


FILES = {
    "comments and other lines": (
        "# nameserver 10.0.0.9\nsearch a\nnameserver 10.0.0.1 # x\n\tnameserver\t10.0.0.2\n",
        ["10.0.0.1:53", "10.0.0.2:53"],
    ),
    "IPv6": ("nameserver ::1\nnameserver fe80::1%eth0", ["[::1]:53", "[fe80::1%eth0]:53"]),
    "what is no address is passed over": (
        "nameserver\nnameserver dns.example\nnameserver 10.0.0.1",
        ["10.0.0.1:53"],
    ),
    "none": ("search example.org\n", ["127.0.0.1:53"]),
    "a stub": ("nameserver 127.0.0.53\n", ["192.0.2.53:53"]),
    "a resolver of one's own": ("nameserver 127.0.0.1\n", ["127.0.0.1:53"]),
    "a stub and another": (
        "nameserver 127.0.0.53\nnameserver 10.0.0.1",
        ["127.0.0.53:53", "10.0.0.1:53"],
    ),
    "many": (
        "\n".join(f"nameserver 10.0.0.{n}" for n in range(1, 20)),
        [f"10.0.0.{n}:53" for n in range(1, 16)],
    ),
}


@pytest.mark.parametrize(("text", "expected"), FILES.values(), ids=FILES)
def test_resolv_conf(tmp_path: Path, text: str, expected: list[str]) -> None:
    path, real = tmp_path / "resolv.conf", tmp_path / "real.conf"
    path.write_text(text)
    real.write_text("nameserver 192.0.2.53\n")

    assert [str(upstream) for upstream in resolvconf.system(path, real)] == expected


def test_a_stub_is_used_when_nothing_is_known_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.53\n")

    assert resolvconf.system(path, tmp_path / "none") == [Upstream("127.0.0.53")]


def test_without_a_file_it_is_this_machine(tmp_path: Path) -> None:
    assert resolvconf.system(tmp_path / "none", tmp_path / "none") == [Upstream("127.0.0.1")]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory"):
        resolvconf.system(tmp_path)


OWN = {
    "the same address": ("127.0.0.1:53", "127.0.0.1", True),
    "another port": ("127.0.0.1:54", "127.0.0.1", False),
    "another loopback address": ("127.0.0.53:53", "127.0.0.1", False),
    "loopback under a wildcard": ("127.0.0.53:53", "0.0.0.0", True),
    "another machine under a wildcard": ("10.0.0.1:53", "0.0.0.0", False),
    "IPv6 spelled otherwise": ("[0:0::1]:53", "::1", True),
    "the other family": ("127.0.0.1:53", "::", False),
    "no address in particular": ("0.0.0.0:53", "127.0.0.1", True),
    "no address in particular elsewhere": ("0.0.0.0:53", "10.0.0.1", False),
}


@pytest.mark.parametrize(("upstream", "bound", "ours"), OWN.values(), ids=OWN)
def test_what_is_this_server_itself(upstream: str, bound: str, *, ours: bool) -> None:
    other = Upstream("192.0.2.1")
    kept, dropped = without([parse(upstream), other], [("192.0.2.7", 53), (bound, 53)])

    assert (kept, dropped) == (
        ([other], [parse(upstream)]) if ours else ([parse(upstream), other], [])
    )


def test_an_own_address_that_is_none_is_named() -> None:
    with pytest.raises(UsageError, match="'localhost': expected an IP address"):
        without([], [("localhost", 53)])
