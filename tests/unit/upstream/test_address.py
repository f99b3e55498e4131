"""Addresses of upstreams as people write them."""

import pytest

from kdns.errors import UsageError
from kdns.upstream.address import Upstream, parse

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
