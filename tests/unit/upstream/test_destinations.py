"""The words after FROM."""

from pathlib import Path

import pytest

from kdns.errors import UsageError
from kdns.upstream.address import Upstream
from kdns.upstream.destinations import Destination, read


def lookup(host: str) -> list[str]:
    known = {"dns.example": ["192.0.2.1", "2001:db8::1"], "ns": ["192.0.2.2"]}
    if host not in known:
        raise UsageError(f"cannot find the addresses of {host!r}")
    return known[host]


def tls(host: str, port: int = 853, name: str = "") -> Upstream:
    return Upstream(host, port, tls=True, name=name)


WORDS = {
    "192.0.2.1": Upstream("192.0.2.1"),
    "192.0.2.1:5353": Upstream("192.0.2.1", 5353),
    "dns://192.0.2.1": Upstream("192.0.2.1"),
    "dns://192.0.2.1:5353": Upstream("192.0.2.1", 5353),
    "2001:DB8::1": Upstream("2001:db8::1"),
    "[2001:db8::1]:5353": Upstream("2001:db8::1", 5353),
    "fe80::1%eth0": Upstream("fe80::1%eth0"),
    "tls://9.9.9.9": tls("9.9.9.9"),
    "tls://9.9.9.9:8853": tls("9.9.9.9", 8853),
    "tls://9.9.9.9%dns.quad9.net": tls("9.9.9.9", name="dns.quad9.net"),
    "tls://9.9.9.9%dns.quad9.net:8853": tls("9.9.9.9", 8853, "dns.quad9.net"),
    "tls://2620:fe::fe": tls("2620:fe::fe"),
    "tls://[2620:fe::fe]:8853": tls("2620:fe::fe", 8853),
    "tls://2620:fe::fe%dns.quad9.net": tls("2620:fe::fe", name="dns.quad9.net"),
    "tls://2620:fe::fe%dns.quad9.net:8853": tls("2620:fe::fe", 8853, "dns.quad9.net"),
    "tls://[2620:fe::fe%dns.quad9.net]": tls("2620:fe::fe", name="dns.quad9.net"),
    "tls://[2620:fe::fe%dns.quad9.net]:8853": tls("2620:fe::fe", 8853, "dns.quad9.net"),
    "ns": Upstream("192.0.2.2"),
    "ns:5353": Upstream("192.0.2.2", 5353),
    "tls://ns%dns.quad9.net:8853": tls("192.0.2.2", 8853, "dns.quad9.net"),
}


@pytest.mark.parametrize(("word", "upstream"), WORDS.items())
def test_a_word_is_an_upstream(word: str, upstream: Upstream) -> None:
    assert read(word, Path(), lookup) == Destination((upstream,))


def test_a_host_is_all_its_addresses() -> None:
    found = read("tls://dns.example", Path(), lookup)

    assert found.upstreams == (tls("192.0.2.1"), tls("2001:db8::1"))


@pytest.mark.parametrize("word", ["resolv.conf", "dns://resolv.conf", "./resolv.conf"])
def test_a_file_is_its_nameservers(word: str, tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 192.0.2.1\nnameserver 2001:db8::1\n")

    found = read(word, tmp_path, lookup)
    assert found.upstreams == (Upstream("192.0.2.1"), Upstream("2001:db8::1"))
    assert found.file == path
    assert read(str(path), Path("/elsewhere"), lookup) == found


def test_a_file_may_have_no_nameserver(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("search example.org\n")

    assert read("resolv.conf", tmp_path, lookup) == Destination((), path)


WRONG = {
    "https://9.9.9.9": "not asked over HTTPS; tls:// is supported",
    "https://9.9.9.9/dns-query": "not asked over HTTPS",
    "https3://9.9.9.9": "expected dns:// or tls://, got https3://",
    "quic://9.9.9.9": "expected dns:// or tls://, got quic://",
    "grpc://9.9.9.9": "got grpc://",
    "unix:///run/dns.sock": "got unix://",
    "192.0.2.1:0": "expected a port from 1 to 65535",
    "192.0.2.1:dns": "expected a port from 1 to 65535",
    "ns:99999": "expected a port from 1 to 65535",
    "/no/such/file": "expected an IP address, a file that is there, or a host name",
    "": "expected an IP address",
    "tls://": "expected an IP address",
    "a..b": "expected an IP address",
    "nowhere.example": "cannot find the addresses of 'nowhere.example'",
    "1.2.3.4.5": "cannot find the addresses of '1.2.3.4.5'",
}


@pytest.mark.parametrize(("word", "reason"), WRONG.items())
def test_what_is_no_upstream(word: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        read(word, Path("/none"), lookup)
