"""resolv.conf as the C library reads it."""

from pathlib import Path

import pytest

from kdns.errors import UsageError
from kdns.stub.resolvconf import ResolvConf

READ = {
    "a pod's": (
        "nameserver 10.96.0.10\nsearch a.svc.z svc.z z\noptions ndots:5\n",
        ResolvConf(("a.svc.z", "svc.z", "z"), 5, ("10.96.0.10",)),
    ),
    "nothing": ("", ResolvConf()),
    "comments": ("# search a.test\n; search b.test\n", ResolvConf()),
    "a comment behind is none": ("search a.test # b\n", ResolvConf(("a.test", "#", "b"))),
    "the last list counts": ("search a.test\nsearch b.test\n", ResolvConf(("b.test",))),
    "a domain is a list": ("search a.test\ndomain b.test c.test\n", ResolvConf(("b.test",))),
    "a list after a domain": ("domain b.test\nsearch a.test\n", ResolvConf(("a.test",))),
    "an empty list is none": ("search a.test\nsearch\n", ResolvConf(("a.test",))),
    "tabs": ("search\ta.test\tb.test\n", ResolvConf(("a.test", "b.test"))),
    "a blank before the keyword": (" search a.test\n", ResolvConf()),
    "a longer keyword": ("searching a.test\n", ResolvConf()),
    "a carriage return is part of a name": (
        "search a.test\r\noptions ndots:2\r\n",
        ResolvConf(("a.test\r",), 2),
    ),
    "ndots is at most 15": ("options ndots:99\n", ResolvConf(ndots=15)),
    "ndots that is no number": ("options ndots:many\n", ResolvConf(ndots=0)),
    "ndots without a number": ("options ndots:\n", ResolvConf(ndots=0)),
    "the word ndots alone": ("options ndots\n", ResolvConf(options=("ndots",))),
    "options add up": (
        "options ndots:2 rotate\noptions timeout:1 ndots:3\n",
        ResolvConf(ndots=3, options=("rotate", "timeout:1")),
    ),
    "an option twice": (
        "options timeout:1 timeout:2\n",
        ResolvConf(options=("timeout:2",)),
    ),
    "nameservers add up": (
        "nameserver 192.0.2.1\nnameserver fe80::1%eth0 ignored\n",
        ResolvConf(nameservers=("192.0.2.1", "fe80::1%eth0")),
    ),
    "no final newline": ("search a.test", ResolvConf(("a.test",))),
}


@pytest.mark.parametrize(("text", "expected"), READ.values(), ids=READ)
def test_it_is_read_as_the_c_library_does(text: str, expected: ResolvConf) -> None:
    assert ResolvConf.parse(text) == expected


def test_what_is_written_reads_the_same() -> None:
    conf = ResolvConf(("a.test", "b.test"), 3, ("192.0.2.1", "192.0.2.2"), ("rotate", "edns0"))

    assert ResolvConf.parse(str(conf)) == conf


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_bytes(b"search a.test\n# \xff\n")

    assert ResolvConf.read(path) == ResolvConf(("a.test",))


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none: No such file or directory"):
        ResolvConf.read(tmp_path / "none")
