"""Upstreams out of resolv.conf(5)."""

from pathlib import Path

import pytest

from kdns.errors import UsageError
from kdns.upstream import resolvconf
from kdns.upstream.resolvconf import Upstream, nameservers

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


def test_nameservers_are_those_of_the_file_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.53\n")
    assert nameservers(path) == [Upstream("127.0.0.53")]
    path.write_text("# nameserver 10.0.0.1\n")
    assert nameservers(path) == []
