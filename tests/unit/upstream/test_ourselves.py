"""Upstreams that would be this server asking itself."""

import socket
from ipaddress import ip_address
from pathlib import Path

import pytest

from kdns.errors import UsageError
from kdns.upstream.address import Upstream, parse
from kdns.upstream.ourselves import machine, without

LOCAL = frozenset(map(ip_address, ("127.0.0.1", "10.0.0.7", "fe80::7")))

OWN = {
    "the same address": ("127.0.0.1:53", "127.0.0.1", True),
    "another port": ("127.0.0.1:54", "127.0.0.1", False),
    "another loopback address": ("127.0.0.53:53", "127.0.0.1", False),
    "loopback under a wildcard": ("127.0.0.53:53", "0.0.0.0", True),
    "another machine under a wildcard": ("10.0.0.1:53", "0.0.0.0", False),
    "an address of this machine under a wildcard": ("10.0.0.7:53", "0.0.0.0", True),
    "an address of this machine on another port": ("10.0.0.7:54", "0.0.0.0", False),
    "an address of this machine elsewhere": ("10.0.0.7:53", "127.0.0.1", False),
    "a link-local address": ("[fe80::7%eth0]:53", "::", True),
    "IPv6 spelled otherwise": ("[0:0::1]:53", "::1", True),
    "the other family": ("127.0.0.1:53", "::", False),
    "no address in particular": ("0.0.0.0:53", "127.0.0.1", True),
    "no address in particular elsewhere": ("0.0.0.0:53", "10.0.0.1", False),
}


@pytest.mark.parametrize(("upstream", "bound", "ours"), OWN.values(), ids=OWN)
def test_what_is_this_server_itself(upstream: str, bound: str, *, ours: bool) -> None:
    other = Upstream("192.0.2.1")
    own = [("192.0.2.7", 53), (bound, 53)]
    kept, dropped = without([parse(upstream), other], own, LOCAL)

    assert (kept, dropped) == (
        ([other], [parse(upstream)]) if ours else ([parse(upstream), other], [])
    )


def test_an_own_address_that_is_none_is_named() -> None:
    with pytest.raises(UsageError, match="'localhost': expected an IP address"):
        without([], [("localhost", 53)])


FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.0.0.0/24 2 0 2
        |-- 10.0.0.0
           /24 link UNICAST
        |-- 10.0.0.7
           /32 host LOCAL
        |-- 10.0.0.255
           /32 link BROADCAST
Local:
  +-- 127.0.0.0/8 2 0 2
     |-- 127.0.0.0
        /8 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
"""
IF_INET6 = """\
00000000000000000000000000000001 01 80 10 80       lo
fe800000000000000000000000000007 02 40 20 80     eth0
"""


def test_the_addresses_of_the_machine_are_in_tables_of_its_kernel(tmp_path: Path) -> None:
    (tmp_path / "fib_trie").write_text(FIB_TRIE)
    (tmp_path / "if_inet6").write_text(IF_INET6)

    assert machine(tmp_path) == LOCAL | {ip_address("::1")}


def test_without_these_tables_no_address_is_known(tmp_path: Path) -> None:
    assert machine(tmp_path) == frozenset()


def test_a_wildcard_is_looked_up_when_nobody_says_what_is_behind_it() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.2", 0))
    loopback, elsewhere = Upstream("127.0.0.2"), Upstream("192.0.2.1")

    assert without([loopback, elsewhere], [("0.0.0.0", 53)]) == ([elsewhere], [loopback])
