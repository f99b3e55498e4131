import asyncio
import logging
from pathlib import Path

import pytest

from kdns.errors import SnapshotError
from kdns.kube.objects import Endpoint, EndpointSlice, Kind, Namespace, Object, Pod, Port, Service
from kdns.kube.snapshot import Keeper, decode, encode, load, save, usable

HTTP = Port("http", "tcp", 80)
OBJECTS: tuple[Object, ...] = (
    Namespace("prod", "u1", 7),
    Service("prod", "web", "u2", 8, cluster_ips=("10.0.0.1", "2001:db8::1"), ports=(HTTP,)),
    Service("prod", "far", "u3", 9, external_name="example.com"),
    Service("prod", "all", "u4", 10, cluster_ips=("10.0.0.2",), imported=True),
    EndpointSlice("prod", "web-x", "web", ports=(HTTP,), endpoints=(Endpoint(("10.1.0.1",)),)),
    Pod("prod", "web-1", ips=("10.1.0.1",)),
)
KINDS: tuple[Kind, ...] = ("Namespace", "Service", "ServiceImport", "EndpointSlice", "Pod")
DATA = b"".join(encode((KINDS, OBJECTS), 1000.0, "here"))


def test_what_was_written_is_read() -> None:
    found = decode(DATA)

    assert (found.written, found.kinds, found.objects) == (1000.0, KINDS, OBJECTS)


DAMAGED = {
    "empty": b"",
    "one line": DATA.splitlines()[0],
    "cut in a line": DATA[:-9],
    "cut between lines": DATA[: DATA.rindex(b"\n", 0, -1) + 1],
    "a line is missing": b"".join(DATA.splitlines(keepends=True)[::2]),
    "a bit is wrong": DATA.replace(b"10.0.0.1", b"10.0.0.3"),
    "not text": bytes(range(256)),
    "nested too deep": b'{"format":' + b"[" * 200_000 + b"\n\n",
    "another format": DATA.replace(b"kdns snapshot", b"etcd snapshot"),
    "a newer version": DATA.replace(b'"version":2', b'"version":3', 1),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_whatever_is_damaged_is_refused(data: bytes) -> None:
    with pytest.raises(SnapshotError):
        decode(data)


def test_a_recent_one_of_this_cluster_is_usable() -> None:
    snapshot = decode(DATA)

    assert usable(snapshot, 1060.0, 60.0, "here") is snapshot


REFUSED = {
    "old": (1061.0, "here", "it is 61 s old, expected at most 60 s"),
    "from the future": (600.0, "here", "it is from the future, by 400 s"),
    "of another cluster": (1000.0, "there", "it is of 'here', expected 'there'"),
}


@pytest.mark.parametrize(("now", "about", "why"), REFUSED.values(), ids=REFUSED)
def test_others_are_refused(now: float, about: str, why: str) -> None:
    with pytest.raises(SnapshotError, match=why):
        usable(decode(DATA), now, 60.0, about)


@pytest.mark.parametrize("content", [b"junk", DATA[:-1] + b"x"])
def test_a_file_of_no_use_is_a_warning_and_no_more(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "snapshot"
    path.write_bytes(content)

    assert load(path, 60.0, "here", lambda: 1000.0) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_no_file_is_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert load(tmp_path / "snapshot", 60.0) is None
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_writing_leaves_nothing_but_the_file(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    path.write_bytes(b"the one before")
    save(path, (KINDS, OBJECTS), 1000.0, "here")

    assert path.read_bytes() == DATA
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    path.write_bytes(b"the one before")
    with pytest.raises(AttributeError):
        save(path, (KINDS, [object()]), 1000.0)  # type: ignore[list-item]

    assert path.read_bytes() == b"the one before"
    assert list(tmp_path.iterdir()) == [path]


def test_many_changes_are_one_write(tmp_path: Path) -> None:
    path, asked = tmp_path / "snapshot", []

    async def scenario() -> None:
        wrote = asyncio.Event()

        def contents() -> tuple[tuple[Kind, ...], tuple[Object, ...]]:
            asked.append(1)
            wrote.set()
            return KINDS, OBJECTS

        async with Keeper(
            path, contents, interval=0.01, about="here", now=lambda: 1000.0
        ) as keeper:
            for _ in range(100):
                keeper.changed()
            await wrote.wait()

    asyncio.run(scenario())

    assert path.read_bytes() == DATA
    assert len(asked) == 1


def test_the_end_writes_what_is_left(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"

    async def scenario() -> None:
        async with Keeper(
            path, lambda: (KINDS, OBJECTS), about="here", now=lambda: 1000.0
        ) as keeper:
            keeper.changed()

    asyncio.run(scenario())

    assert path.read_bytes() == DATA


def test_a_full_disk_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        missing = tmp_path / "missing" / "snapshot"
        async with Keeper(missing, lambda: (KINDS, OBJECTS)) as keeper:
            keeper.changed()

    asyncio.run(scenario())

    assert "is not written" in caplog.text
