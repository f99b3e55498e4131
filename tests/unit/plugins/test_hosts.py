"""Hosts files: what they may say, what is answered from them, and how changes are noticed."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kdns.assembly import Block
from kdns.chain import FIXED, Answer, Handler, Plugin, Relay, compose
from kdns.errors import CorefileError
from kdns.plugins import hosts
from kdns.server.responder import Responder
from kdns.server.routes import Route, Routes
from kdns.server.table import AnswerTable
from kdns.wire import codes
from kdns.wire.message import Sections
from kdns.wire.query import write_query
from tests.plugin import (
    answer,
    ask,
    dropped,
    ede,
    flags,
    handled,
    lines,
    own,
    plugin_of,
    question,
    rcode,
    request,
    running,
    sample,
    says,
    setup_of,
)

EXAMPLE = """
127.0.0.1 localhost localhost.domain
::1 localhost localhost.domain
10.0.0.1 example.org # a comment
::FFFF:10.0.0.2 example.com
10.0.0.3 Mixed.Example.ORG.\tsecond
10.0.0.4 many.example.org
10.0.0.5 many.example.org
fe80::1%eth0 scoped.example.org
2001:db8::1 six.example.org

5.6.7.8 *.apps.example.com
1.2.3.4 own.apps.example.com
2001:db8::2 *.apps.example.com
"""


def served(text: str = "", content: str = EXAMPLE, zones: tuple[str, ...] = ()) -> Plugin:
    """The plugin whose inline entries are those of the example, and then what the test says."""
    return plugin_of(hosts.setup, f"hosts none {{\n{content}\n{text}\n}}", zones)


ADDRESSES = {
    "IPv4": ("example.org. A", ["example.org. 3600 A 10.0.0.1"]),
    "IPv6": ("six.example.org. AAAA", ["six.example.org. 3600 AAAA 2001:db8::1"]),
    "IPv6 with a zone": ("scoped.example.org. AAAA", ["scoped.example.org. 3600 AAAA fe80::1"]),
    "IPv4 in IPv6": ("example.com. A", ["example.com. 3600 A 10.0.0.2"]),
    "the second name of a line": ("second. A", ["second. 3600 A 10.0.0.3"]),
    "any case, as it was asked": (
        "MIXED.example.ORG. A",
        ["MIXED.example.ORG. 3600 A 10.0.0.3"],
    ),
    "all addresses, in the order of the lines": (
        "many.example.org. A",
        ["many.example.org. 3600 A 10.0.0.4", "many.example.org. 3600 A 10.0.0.5"],
    ),
    "a wildcard": ("www.apps.example.com. A", ["www.apps.example.com. 3600 A 5.6.7.8"]),
    "the wildcard itself": ("*.apps.example.com. A", ["*.apps.example.com. 3600 A 5.6.7.8"]),
    "a name beside a wildcard": (
        "own.apps.example.com. A",
        ["own.apps.example.com. 3600 A 1.2.3.4"],
    ),
    "the wildcard for what a name beside it has not": (
        "own.apps.example.com. AAAA",
        ["own.apps.example.com. 3600 AAAA 2001:db8::2"],
    ),
    "a reverse name": (
        "1.0.0.127.in-addr.arpa. PTR",
        [
            "1.0.0.127.in-addr.arpa. 3600 PTR localhost.",
            "1.0.0.127.in-addr.arpa. 3600 PTR localhost.domain.",
        ],
    ),
    "a reverse name of IPv6": (
        f"1.{'0.' * 23}8.b.d.0.1.0.0.2.ip6.arpa. PTR",
        [f"1.{'0.' * 23}8.b.d.0.1.0.0.2.ip6.arpa. 3600 PTR six.example.org."],
    ),
}


@pytest.mark.parametrize(("asked", "expected"), ADDRESSES.values(), ids=ADDRESSES)
def test_what_is_answered(asked: str, expected: list[str]) -> None:
    response = own(answer(served(), asked))
    read = ask(served(), asked)

    assert lines(read.answer) == expected
    assert rcode(read) == "NOERROR"
    assert "AA" in flags(read)
    assert response.by == "hosts"
    assert response.owners == (("hosts", "none"),)


NODATA = {
    "the other family": "example.org. AAAA",
    "MX": "example.org. MX",
    "ANY": "example.org. ANY",
    "SOA": "example.org. SOA",
    "a wildcard": "www.apps.example.com. TXT",
}


@pytest.mark.parametrize("asked", NODATA.values(), ids=NODATA)
def test_other_types_of_a_known_name_are_nodata_without_soa(asked: str) -> None:
    read = ask(served("fallthrough"), asked)

    assert rcode(read) == "NOERROR"
    assert read.sections[1:] == [[], [], []]
    assert "AA" in flags(read)


MISSING = {
    "a name": "nobody.example.org. A",
    "another type of a name": "nobody.example.org. TXT",
    "a wildcard's domain": "apps.example.com. A",
    "two labels for a wildcard": "deep.www.apps.example.com. A",
    "the root": ". A",
}


@pytest.mark.parametrize("asked", MISSING.values(), ids=MISSING)
def test_a_missing_name_is_servfail_as_there_is_no_soa(asked: str) -> None:
    read = ask(served(), asked, edns=1232)

    assert rcode(read) == "SERVFAIL"
    assert read.authority == []
    assert ede(read) == (0, "hosts has no entry of this name, which may not fall through")


@pytest.mark.parametrize("asked", MISSING.values(), ids=MISSING)
def test_a_missing_name_falls_through(asked: str) -> None:
    assert own(answer(served("fallthrough"), asked)).by == "last"


FALLTHROUGH = {
    "in the zone": ("x.example.org. A", "last"),
    "in another zone": ("x.example.com. A", "hosts"),
    "in the zone, another case": ("x.EXAMPLE.org. A", "last"),
    "a known name": ("example.org. A", "hosts"),
}


@pytest.mark.parametrize(("asked", "by"), FALLTHROUGH.values(), ids=FALLTHROUGH)
def test_fallthrough_of_some_zones(asked: str, by: str) -> None:
    assert own(answer(served("fallthrough example.org"), asked)).by == by


UNSUPPORTED = {
    "a type that hosts has not": ("example.org. HTTPS", "last"),
    "A": ("example.org. A", "hosts"),
    "no AAAA": ("example.org. AAAA", "hosts"),
    "a zone that does not fall through": ("example.com. HTTPS", "hosts"),
}


@pytest.mark.parametrize(("asked", "by"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_unsupported_types_fall_through_where_that_is_wanted(asked: str, by: str) -> None:
    plugin = served("fallthrough_unsupported\nfallthrough example.org")

    assert own(answer(plugin, asked)).by == by


ELSEWHERE = {
    "another zone": "www.example.net. A",
    "an address without a name": "9.0.0.10.in-addr.arpa. PTR",
    "PTR of a name": "example.org. PTR",
    "another class": "example.org. A CH",
}


@pytest.mark.parametrize("asked", ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_is_always_left_to_the_next_plugin(asked: str) -> None:
    assert own(answer(served(zones=("example.org",)), asked)).by == "last"


def test_only_names_in_its_zones_are_read() -> None:
    plugin = plugin_of(
        hosts.setup,
        "hosts none example.org {\n10.0.0.1 www.example.org www.example.com\n}",
        ("example.com",),
    )

    assert own(answer(plugin, "www.example.com. A")).by == "last"
    read = ask(plugin, "1.0.0.10.in-addr.arpa. PTR")
    assert lines(read.answer) == ["1.0.0.10.in-addr.arpa. 3600 PTR www.example.org."]


def test_without_reverse_names() -> None:
    plugin = served("no_reverse\nfallthrough")

    assert own(answer(plugin, "1.0.0.127.in-addr.arpa. PTR")).by == "last"
    assert own(answer(plugin, "localhost. A")).by == "hosts"


def test_the_ttl_is_that_of_the_corefile() -> None:
    read = ask(served("ttl 60"), "example.org. A")

    assert lines(read.answer) == ["example.org. 60 A 10.0.0.1"]


def test_an_address_that_is_written_twice_is_answered_once() -> None:
    read = ask(served(content="10.0.0.1 a a\n10.0.0.1 a"), "a. A")

    assert lines(read.answer) == ["a. 3600 A 10.0.0.1"]


def test_what_no_message_has_room_for_is_cut_and_says_so() -> None:
    content = "\n".join(f"0.0.0.0 n{number}" for number in range(6000))
    read = ask(served(content=content), "0.0.0.0.in-addr.arpa. PTR", transport="tcp")

    assert "TC" in flags(read)
    assert len(read.answer[0]) > 3000


# -- passing on -------------------------------------------------------------------------------


def _answered(*owners: tuple[str, ...]) -> Handler:
    return says(Answer(Sections(), owners))


def test_an_answer_of_others_is_dropped_with_the_file() -> None:
    passed = own(answer(served("fallthrough"), "x. A", last=_answered(*FIXED)))

    assert passed.owners == (*FIXED, ("hosts", "none"))


def test_an_answer_that_is_not_kept_passes_as_it_is() -> None:
    response = Answer(Sections())

    assert answer(served("fallthrough"), "x. A", last=says(response)) is response


def test_what_a_cache_keeps_of_others_is_dropped_with_the_file() -> None:
    passed = answer(served("fallthrough"), "x. A", last=says(Relay(b"")))

    assert passed == Relay(b"", owners=(("hosts", "none"),))


# -- the file ---------------------------------------------------------------------------------


class File:
    """A hosts file that is followed by a plugin, and what was dropped."""

    def __init__(self, path: Path, options: str = "reload 5ms", inline: str = "") -> None:
        self.path = path
        text = f"hosts {path} {{\n{inline}\n{options}\nfallthrough\n}}"
        plugin, self.block = setup_of(hosts.setup, text)
        assert plugin is not None
        self.plugin = plugin
        self.dropped = dropped(self.block)
        self._drop = asyncio.Event()
        self.block.drops.append(lambda _: self._drop.set())

    async def changed(self) -> None:
        await self._drop.wait()
        self._drop.clear()

    async def addresses(self, name: str) -> list[str]:
        response = own(await handled(request([self.plugin], f"{name} A")))
        return [".".join(map(str, record.rdata)) for record in response.sections.answer]


async def follow(
    file: File, *steps: tuple[Callable[[], object], list[str]], name: str = "a."
) -> None:
    """Do each step, wait until it was noticed, and look what the name has then."""
    async with running(file.block):
        await file.changed()
        for step, expected in steps:
            step()
            await file.changed()
            assert await file.addresses(name) == expected


def replaced(path: Path, content: str) -> Callable[[], object]:
    """What an editor does: the new file takes the place of the old one."""

    def replace() -> None:
        other = path.with_suffix(".new")
        other.write_text(content)
        other.replace(path)

    return replace


def test_a_change_of_the_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("10.0.0.1 a\n")
    file = File(path)

    asyncio.run(
        follow(
            file,
            (replaced(path, "10.0.0.2 a\n"), ["10.0.0.2"]),
            (replaced(path, "10.0.0.3 a\n10.0.0.4 a\n"), ["10.0.0.3", "10.0.0.4"]),
            (lambda: path.write_text(""), []),
        )
    )

    assert set(file.dropped) == {("hosts", str(path))}


@pytest.mark.parametrize("asked", ["a. A", "b. A"], ids=["its own", "another plugin's"])
def test_a_prepared_answer_goes_when_the_file_changes(tmp_path: Path, asked: str) -> None:
    path = tmp_path / "hosts"
    path.write_text("10.0.0.1 a\n")
    file = File(path)
    table = AnswerTable()
    file.block.drops.insert(0, table.drop)
    chain = compose([file.plugin], _answered(*FIXED))
    responder = Responder(Routes([Route(b"\0", ".", chain)]), table)
    query = write_query(question(asked), 7)

    def reply() -> bytes:
        answered = responder.respond(query, ("10.0.0.1", 53), ("udp", "1"))
        assert isinstance(answered, bytes)
        return answered

    async def replies() -> list[bytes]:
        async with running(file.block):
            await file.changed()
            before = [reply() for _ in range(3)]
            assert table.packets["udp", "1"]
            replaced(path, "10.0.0.2 a b\n")()
            await file.changed()
            return [*before, reply()]

    *before, after = asyncio.run(replies())
    assert len(set(before)) == 1
    assert after not in before
    assert after.endswith(b"\x0a\0\0\2")


def test_a_configmap_that_is_swapped_is_noticed(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}" / "hosts").write_text(f"10.0.0.{number} a\n")
        os.utime(tmp_path / f"..{number}" / "hosts", (1, 1))
    (tmp_path / "..data").symlink_to("..1")
    path = tmp_path / "hosts"
    path.symlink_to("..data/hosts")

    def swap() -> None:
        (tmp_path / "..tmp").symlink_to("..2")
        (tmp_path / "..tmp").replace(tmp_path / "..data")

    asyncio.run(follow(File(path), (swap, ["10.0.0.2"])))


def test_a_file_may_come_later(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    file = File(path)

    async def come() -> None:
        async with running(file.block):
            assert await file.addresses("a.") == []
            replaced(path, "10.0.0.1 a\n")()
            await file.changed()
            assert await file.addresses("a.") == ["10.0.0.1"]

    asyncio.run(come())

    assert file.block.warnings == [f"Corefile:2: hosts: the file '{path}' does not exist"]


def test_the_contents_stay_when_the_file_goes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "hosts"
    path.write_text("10.0.0.1 a\n")
    settings = hosts.Settings(str(path), (b"\0",))
    file = hosts.HostsFile(settings)
    assert file.look() is not None

    path.unlink()

    assert file.look() is None
    assert file.look() is None
    text = f"hosts: cannot read {path}: No such file or directory; its contents of before stay"
    assert caplog.messages == [text]


def test_a_file_that_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("10.0.0.1 a\n")
    file = hosts.HostsFile(hosts.Settings(str(path), (b"\0",)))

    assert file.look() is not None
    assert file.look() is None


def test_a_file_that_is_not_followed_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("10.0.0.1 a\n")
    file = File(path, options="reload 0s")

    async def tasks() -> int:
        async with running(file.block):
            assert await file.addresses("a.") == ["10.0.0.1"]
            return len(asyncio.all_tasks())

    assert asyncio.run(tasks()) == 1


def test_addresses_of_the_file_come_before_those_of_the_corefile(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("10.0.0.1 a\n")
    file = File(path, inline="10.0.0.9 a\n10.0.0.1 a")

    async def asked() -> list[str]:
        async with running(file.block):
            return await file.addresses("a.")

    assert asyncio.run(asked()) == ["10.0.0.1", "10.0.0.9"]


def test_entries_and_time_of_the_file_are_metrics(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("10.0.0.1 a b\n10.0.0.2 *.c\n")
    os.utime(path, (1.5, 1234.5))
    file = File(path, inline="10.0.0.3 d")

    async def run() -> None:
        async with running(file.block):
            pass

    asyncio.run(run())

    # Two names with an address each and back, a wildcard, a name of the Corefile and back.
    assert sample(file.block, "coredns_hosts_entries", hostsfile=str(path)) == 7
    assert sample(file.block, "coredns_hosts_reload_timestamp_seconds") == 1234.5


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a directory", "a pipe"])
def test_what_is_no_file_says_nothing(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "hosts")
    file = File(tmp_path / "hosts", inline="10.0.0.9 a")

    async def asked() -> list[str]:
        async with running(file.block):
            return await file.addresses("a.")

    assert asyncio.run(asked()) == ["10.0.0.9"]
    assert file.block.warnings == [f"Corefile:2: hosts: '{tmp_path}/hosts' is no file"]


def test_lines_that_are_no_entries_are_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "hosts"
    path.write_bytes(
        b"timeout 3600\n10.0.0.1\n010.0.0.1 a\n10.0.0.1 a..b \xff c\n1.2.3 a\n10.0.0.2 a\n"
    )
    file = hosts.HostsFile(hosts.Settings(str(path), (b"\0",)))
    contents = file.look()

    assert contents is not None
    assert [line for line, _ in contents.entries.faults] == [1, 2, 3, 4, 5]
    assert contents.entries.find(b"\1a\0", codes.A) == [b"\x0a\0\0\2"]
    assert contents.entries.find(b"\1c\0", codes.A) == [b"\x0a\0\0\1"]
    assert contents.entries.find(b"\1\xff\0", codes.A) == [b"\x0a\0\0\1"]
    text = f"{path}:1: expected an IP address, got 'timeout' (and 4 more): left out"
    assert caplog.messages == [text]


# -- the Corefile -----------------------------------------------------------------------------


def _path(text: str, root: str = ".") -> str:
    """The path that a directive leads to."""
    block = _block(root)
    plugin, _ = setup_of(hosts.setup, text, into=block)
    assert isinstance(plugin, hosts.Hosts)
    return plugin.owner[1]


def _block(root: str) -> Block:
    _, block = setup_of(lambda *_: None, "hosts")
    block.root = Path(root)
    return block


PATHS = {
    "the machine's": ("hosts", ".", "/etc/hosts"),
    "the machine's, whatever the root": ("hosts", "/srv", "/etc/hosts"),
    "below the root": ("hosts custom/hosts", "/srv", "/srv/custom/hosts"),
    "absolute": ("hosts /etc/coredns/NodeHosts", "/srv", "/etc/coredns/NodeHosts"),
    "below the working directory": ("hosts custom/hosts", ".", "custom/hosts"),
}


@pytest.mark.parametrize(("text", "root", "path"), PATHS.values(), ids=PATHS)
def test_where_the_file_is(text: str, root: str, path: str) -> None:
    assert _path(text, root) == path


REFUSED = {
    "twice": ("hosts\nhosts", "3: hosts may stand only once"),
    "an entry after fallthrough": (
        "hosts {\nfallthrough\n10.0.0.1 a\n}",
        "4: hosts: expected entries before fallthrough, got '10.0.0.1'",
    ),
    "a misspelt option after fallthrough": (
        "hosts {\nfallthrough\nttll 5\n}",
        "4: hosts: expected entries before fallthrough, got 'ttll', did you mean 'ttl'?",
    ),
    "a TTL of 0": ("hosts {\nttl 0\n}", "3: expected a whole number from 1 to 65535, got '0'"),
    "a TTL that is none": ("hosts {\nttl 1m\n}", "3: expected a whole number"),
    "no TTL": ("hosts {\nttl\n}", "3: ttl: expected one number of seconds"),
    "a negative reload": ("hosts {\nreload -1s\n}", "3: expected a duration of at least 0s"),
    "a reload without unit": ("hosts {\nreload 5\n}", "3: expected a duration like"),
    "no_reverse with a word": ("hosts {\nno_reverse x\n}", "3: no_reverse: expected no arguments"),
    "fallthrough_unsupported alone": (
        "hosts {\nfallthrough_unsupported\n}",
        "3: hosts: fallthrough_unsupported needs fallthrough",
    ),
    "fallthrough_unsupported with a zone": (
        "hosts {\nfallthrough\nfallthrough_unsupported example.org\n}",
        "4: fallthrough_unsupported: expected no arguments",
    ),
    "a path through a file": ("hosts /dev/null/hosts", "2: hosts: cannot access '/dev/null/hosts'"),
}


@pytest.mark.parametrize(("text", "error"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(text: str, error: str) -> None:
    with pytest.raises(CorefileError) as caught:
        setup_of(hosts.setup, text)

    assert str(caught.value).startswith(f"Corefile:{error}")


def test_an_inline_line_that_is_no_entry_is_warned_of() -> None:
    _, block = setup_of(hosts.setup, "hosts {\nttll 60\n10.0.0.1 a\n}")

    text = "expected an IP address, got 'ttll', did you mean 'ttl'?"
    assert block.warnings == [f"Corefile:3: hosts: left out: {text}"]
