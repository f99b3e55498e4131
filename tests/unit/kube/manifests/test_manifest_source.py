import asyncio
import errno
import logging
import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kdns.errors import ManifestError, UsageError
from kdns.kube.changes import Apply, Change, Delete, Init, InitDone
from kdns.kube.manifests import ManifestSource, load
from kdns.kube.manifests.cluster import KINDS
from kdns.kube.manifests.files import File, Stamp, find
from kdns.kube.objects import Key, Kind, Object, Service
from tests.patience import PATIENCE
from tests.unit.kube.manifests.cases import cluster, made_pod, made_service

CLOCK = count(1_000_000)
Held = dict[tuple[Kind, Key], Object]


def write(path: Path, text: str) -> None:
    """Write a file and make sure that its time of modification is a new one."""
    path.write_text(text)
    seconds = next(CLOCK)
    os.utime(path, (seconds, seconds))


class Follower:
    """A source and the objects that its changes amount to."""

    def __init__(self, *paths: Path, assign: bool = False) -> None:
        self.told: list[Change] = []
        self.held: Held = {}
        self.source = ManifestSource([str(path) for path in paths], self.take, assign=assign)
        self.source.load()

    def take(self, change: Change) -> None:
        self.told.append(change)
        match change:
            case Apply(one):
                self.held[one.KIND, one.key] = one
            case Delete(kind, key):
                del self.held[kind, key]
            case Init() | InitDone():
                pass

    def look(self) -> list[Change]:
        """Look twice, as long as it takes to believe in a change."""
        changes = [*self.source.poll(), *self.source.poll()]
        for change in changes:
            self.take(change)
        return changes

    @property
    def names(self) -> list[str]:
        return sorted(key[1] for kind, key in self.held if kind == "Service")


def service(name: str, port: int = 80) -> str:
    return made_service(name, f"{{ports: [{{port: {port}}}]}}")


def test_everything_is_told_as_one_list_for_each_kind(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", service("web"))

    told = Follower(tmp_path).told

    assert [one for one in told if not isinstance(one, Apply)] == [
        one(kind) for kind in KINDS for one in (Init, InitDone)
    ]
    inside = [one.object.KIND for one in told[:6] if isinstance(one, Apply)]
    assert inside == ["Namespace", "Service"]


def test_directories_are_read_recursively_in_order_without_hidden_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".git").mkdir()
    for name in ("b.yml", "a.json", "sub/c.yaml", ".hidden.yaml", ".git/d.yaml", "notes.txt"):
        write(tmp_path / name, service(Path(name).stem.strip(".")))
    (tmp_path / "nowhere.yaml").symlink_to(tmp_path / "gone")
    write(tmp_path / "kustomization.yaml", "resources: [b.yml]\n")

    cluster = load([str(tmp_path)], assign=False)

    assert [one.name for one in cluster.objects if one.KIND == "Service"] == ["a", "b", "c"]
    assert cluster.summary.ignored == "ignored: 1 document without apiVersion and kind"


def test_a_named_file_may_have_any_suffix_but_must_be_a_manifest(tmp_path: Path) -> None:
    write(tmp_path / "web.txt", service("web"))
    write(tmp_path / "values.yaml", "replicas: 3\n")

    assert str(load([str(tmp_path / "web.txt")], assign=False).summary).startswith("1 service,")
    with pytest.raises(ManifestError) as error:
        load([str(tmp_path), str(tmp_path / "values.yaml")])

    assert str(error.value) == (
        f"{tmp_path}/values.yaml:1: found no kind, expected a manifest with apiVersion and kind"
    )


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as error:
        load([str(tmp_path / "gone")])

    assert str(error.value) == f"{tmp_path}/gone: cannot be read: No such file or directory"


def test_no_path_is_no_path() -> None:
    with pytest.raises(UsageError, match=r"^manifests '': expected a path$"):
        load([""])


def test_a_directory_that_cannot_be_listed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)

    with pytest.raises(ManifestError, match="cannot be read: Permission denied"):
        find(str(tmp_path))


def test_a_file_that_vanishes_before_it_is_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read: No such file"):
        File(str(tmp_path / "gone.yaml"), Stamp(0, 0, 0)).read()


def test_a_directory_that_vanishes_is_no_error_when_it_is_not_the_one_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "a.yaml", service("a"))
    entries = list(os.scandir(tmp_path))
    (tmp_path / "sub").rmdir()
    monkeypatch.setattr(os, "scandir", lambda _: entries)

    assert [Path(file.path).name for file in find(str(tmp_path)).files] == ["a.yaml"]


def test_a_file_that_is_named_too_must_be_a_manifest_and_is_read_once(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", service("a"))

    cluster = load([str(tmp_path / "a.yaml"), str(tmp_path)], assign=False)

    assert str(cluster.summary).endswith("from 1 file")


def test_stdin_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "in", service("web"))
    with (tmp_path / "in").open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        follower = Follower(Path("-"))

    assert follower.names == ["web"]
    assert max(one.version for one in follower.held.values()) == 1
    assert follower.look() == []


def test_errors_in_stdin_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "in", "kind: Pod\n")
    with (tmp_path / "in").open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        with pytest.raises(ManifestError, match=r"^stdin:1: found no apiVersion"):
            load(["-"])


def test_nothing_is_told_when_nothing_changed(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", service("web"))

    assert Follower(tmp_path).look() == []


def test_an_edit_tells_only_what_is_different(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.yaml", service(name))
    follower = Follower(*(tmp_path / f"{name}.yaml" for name in ("a", "b")))

    write(tmp_path / "a.yaml", service("a", 81) + "---" + service("c"))
    changes = follower.look()

    told = [one.object.key[1] for one in changes if isinstance(one, Apply)]
    assert told == ["default", "a", "c"]
    assert len(changes) == 3


def test_an_edit_counts_when_it_stands_still(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write(path, service("web"))
    follower = Follower(path)

    write(path, "")
    assert follower.source.poll() == []
    write(path, service("web") + "---" + service("db"))
    assert follower.source.poll() == []
    follower.look()

    assert follower.names == ["db", "web"]


def test_deleted_files_take_their_objects_with_them(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.yaml", service(name))
    follower = Follower(tmp_path)
    version = max(one.version for one in follower.held.values())

    (tmp_path / "a.yaml").unlink()
    os.utime(tmp_path, (version + 5, version + 5))
    changes = follower.look()

    [gone] = [one for one in changes if isinstance(one, Delete)]
    assert gone == Delete("Service", ("default", "a"), "", version + 5)
    assert follower.names == ["b"]


def test_new_files_are_found(tmp_path: Path) -> None:
    follower = Follower(tmp_path)

    write(tmp_path / "a.yaml", service("web"))
    follower.look()

    assert follower.names == ["web"]


def test_a_config_map_volume_is_followed_when_its_link_moves(tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / f"..{version}").mkdir()
        write(tmp_path / f"..{version}" / "a.yaml", service(f"web{version}"))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    follower = Follower(tmp_path)
    assert follower.names == ["web1"]

    (tmp_path / "..tmp").symlink_to("..2")
    (tmp_path / "..tmp").rename(tmp_path / "..data")
    follower.look()

    assert follower.names == ["web2"]


@pytest.mark.parametrize("bad", ["kind: [", "metadata: {}\n", service("Bad_Name")])
def test_a_file_that_breaks_keeps_its_last_good_data(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, bad: str
) -> None:
    caplog.set_level(logging.INFO)
    paths = [tmp_path / name for name in ("a.yaml", "b.yaml")]
    write(paths[0], service("a"))
    write(paths[1], service("b"))
    follower = Follower(*paths)

    write(paths[0], bad)
    write(paths[1], service("b") + "---" + service("c"))
    follower.look()
    follower.look()
    assert follower.names == ["a", "b", "c"]

    write(paths[0], service("d"))
    follower.look()
    assert follower.names == ["b", "c", "d"]
    [broken, good] = caplog.messages
    assert broken.startswith(f"manifest not used, its last good data stay: {paths[0]}:")
    assert good == f"manifest is good again: {paths[0]}"


def test_a_named_file_that_vanishes_keeps_its_data(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.yaml"
    write(path, service("a"))
    follower = Follower(path)

    path.unlink()
    follower.look()
    follower.look()
    write(path, service("b"))
    follower.look()

    assert follower.names == ["b"]
    [message] = caplog.messages
    assert message == (
        f"manifest not used, its last good data stay: {path}: cannot be read:"
        " No such file or directory"
    )


def test_a_new_file_that_cannot_be_used_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    follower = Follower(tmp_path)

    write(tmp_path / "a.yaml", "kind: [")
    follower.look()

    [message] = caplog.messages
    assert message.startswith(f"manifest not used: {tmp_path}/a.yaml:2: not YAML")


def test_imports_are_ignored_when_no_zone_serves_them(tmp_path: Path) -> None:
    write(
        tmp_path / "a.yaml",
        "apiVersion: multicluster.x-k8s.io/v1alpha1\nkind: ServiceImport\nmetadata: {name: web}\n",
    )

    ignoring, reading = load([str(tmp_path)], imports=False), load([str(tmp_path)])

    assert ignoring.summary.ignored == "ignored: 1 ServiceImport"
    assert ignoring.summary.warning
    assert not [one for one in ignoring.objects if one.KIND == "ServiceImport"]
    assert [one for one in reading.objects if one.KIND == "ServiceImport"]


# Whatever stands there


def links_to_nowhere(directory: Path) -> None:
    write(directory / "a.yaml", service("a"))
    (directory / "b.yaml").symlink_to("b.yaml")
    (directory / "c.yaml").symlink_to("a.yaml/x")
    (directory / "d.yaml").symlink_to("gone")
    (directory / "e.yaml").symlink_to("x" * 300)


def test_links_to_nowhere_are_passed_over(tmp_path: Path) -> None:
    links_to_nowhere(tmp_path)
    follower = Follower(tmp_path)
    assert follower.names == ["a"]

    (tmp_path / "b.yaml").unlink()
    write(tmp_path / "b.yaml", service("b"))
    follower.look()
    (tmp_path / "a.yaml").unlink()
    (tmp_path / "a.yaml").symlink_to("a.yaml")
    follower.look()

    assert follower.names == ["b"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [("b.yaml", "Too many levels of symbolic links"), ("a.yaml/x", "Not a directory")],
)
def test_a_link_to_nowhere_that_is_named_is_an_error(
    tmp_path: Path, target: str, reason: str
) -> None:
    write(tmp_path / "a.yaml", service("a"))
    (tmp_path / "b.yaml").symlink_to(target)

    with pytest.raises(ManifestError, match=rf"b\.yaml: cannot be read: {reason}$"):
        load([str(tmp_path / "b.yaml")])


class BrokenEntry:
    name, path = "a.yaml", "/x/a.yaml"

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        assert not follow_symlinks
        raise OSError(errno.EIO, "Input/output error")


def test_an_entry_that_cannot_be_looked_at_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "scandir", lambda _: [BrokenEntry()])

    with pytest.raises(ManifestError, match=r"^/x/a\.yaml: cannot be read: Input/output error$"):
        find(str(tmp_path))


def test_a_standard_input_that_is_closed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)

    with pytest.raises(ManifestError, match=r"^stdin: cannot be read: it is closed$"):
        load(["-"])


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = Thread(target=pipe.write_text, args=(service("web"),))
    writer.start()
    follower = Follower(pipe)
    writer.join()

    assert follower.look() == []
    pipe.unlink()
    write(pipe, service("other"))
    assert follower.look() == []
    assert follower.names == ["web"]


def test_a_pipe_in_the_place_of_a_file_is_not_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "a.yaml", service("web"))
    follower = Follower(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").unlink()
    os.mkfifo(tmp_path / "a.yaml")

    follower.look()

    assert follower.names == ["web"]
    [message] = caplog.messages
    assert message.endswith("a.yaml: cannot be read: no regular file any more")


def test_a_pipe_that_comes_after_the_look_does_not_block(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", service("web"))
    [file] = find(str(tmp_path)).files
    (tmp_path / "a.yaml").unlink()
    os.mkfifo(tmp_path / "a.yaml")

    with pytest.raises(ManifestError, match="no regular file any more"):
        file.read()


# Files that contradict each other

CONFLICTS = {
    "other content": (service("web", 81), "Service default/web is defined with other content at"),
    "one address": (
        made_service("rival", "{clusterIP: 10.96.9.9}"),
        "Service default/rival has the clusterIP 10.96.9.9 of Service default/web at",
    ),
}
WEB = made_service("web", "{clusterIP: 10.96.9.9}")


@pytest.mark.parametrize("conflict", CONFLICTS)
@pytest.mark.parametrize("name", ["0.yaml", "new.yaml"])
@pytest.mark.parametrize("before", ["", service("old")])
def test_only_the_file_that_brings_a_conflict_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, conflict: str, name: str, before: str
) -> None:
    caplog.set_level(logging.INFO)
    text, expected = CONFLICTS[conflict]
    for other, content in {"a": WEB, "b": service("b"), "c": service("c")}.items():
        write(tmp_path / f"{other}.yaml", content)
    if before:
        write(tmp_path / name, before)
    follower = Follower(tmp_path)

    write(tmp_path / name, text)
    write(tmp_path / "b.yaml", service("edited"))
    write(tmp_path / "d.yaml", service("d"))
    (tmp_path / "c.yaml").unlink()
    follower.look()
    write(tmp_path / "a.yaml", f"# a comment\n---{WEB}")
    follower.look()

    assert follower.names == ["d", "edited", *(["old"] if before else []), "web"]
    begin = "manifest not used, its last good data stay" if before else "manifest not used"
    [message] = caplog.messages
    assert message.startswith(f"{begin}: {tmp_path}/{name}:2: {expected} {tmp_path}/a.yaml:2,")


def test_recovery_is_told_of_the_files_that_were_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write(tmp_path / "a.yaml", service("web"))
    follower = Follower(tmp_path)
    for number, name in enumerate("bc", 81):
        write(tmp_path / f"{name}.yaml", service("web", number))
    follower.look()
    assert len(caplog.messages) == 2
    caplog.clear()

    write(tmp_path / "a.yaml", service("a"))
    (tmp_path / "c.yaml").unlink()
    follower.look()

    assert follower.names == ["a", "web"]
    assert caplog.messages == [f"manifest is good again: {tmp_path}/b.yaml"]


def test_edits_that_go_together_do_not_wait_for_each_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, text in {"a": service("web"), "b": service("db"), "c": service("c")}.items():
        write(tmp_path / f"{name}.yaml", text)
    follower = Follower(tmp_path)

    write(tmp_path / "d.yaml", service("c", 82))
    write(tmp_path / "a.yaml", service("db", 81))
    write(tmp_path / "b.yaml", service("web", 81))
    write(tmp_path / "c.yaml", service("c") + "---" + service("more"))
    follower.look()

    ports = [one.ports[0].number for one in follower.held.values() if isinstance(one, Service)]
    assert follower.names == ["c", "db", "more", "web"]
    assert sorted(ports) == [80, 80, 81, 81]
    [message] = caplog.messages
    assert f": {tmp_path}/d.yaml:2: " in message


def test_an_old_file_that_is_moved_into_place_is_the_newest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "old", service("web", 81))
    follower = Follower(tmp_path)

    write(tmp_path / "z.yaml", service("web"))
    follower.look()
    (tmp_path / "old").rename(tmp_path / "a.yaml")
    follower.look()

    [message] = caplog.messages
    assert f": {tmp_path}/a.yaml:2: " in message


def test_a_file_that_contradicts_itself_keeps_its_last_good_data(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.yaml"
    write(path, service("a"))
    follower = Follower(path)

    write(path, service("b") + "---" + service("b", 81))
    follower.look()

    assert follower.names == ["a"]
    [message] = caplog.messages
    assert f"{path}:7: Service default/b is defined with other content at {path}:2," in message


def test_what_a_file_goes_back_to_can_hold_back_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "a.yaml", service("web"))
    write(tmp_path / "b.yaml", service("db"))
    follower = Follower(tmp_path)

    write(tmp_path / "c.yaml", service("web", 81))
    write(tmp_path / "a.yaml", service("db", 81))
    follower.look()

    assert follower.names == ["db", "web"]
    named = [message.partition(f"{tmp_path}/")[2][0] for message in caplog.messages]
    assert sorted(named) == ["a", "c"]


NAMES = ("a.yaml", "b.yaml", "c.json", "d.yaml")
TEXTS = (
    "",
    "kind: [",
    service("web"),
    service("web", 81) + "---" + service("db"),
    service("db") + "---" + made_service("rival", "{clusterIP: 10.96.9.9}"),
    made_service("web", "{clusterIP: None, selector: {app: web}}"),
    made_pod("p"),
    made_pod("q", status="{podIP: 10.0.0.9}"),
    made_service("fixed", "{clusterIP: 10.96.9.9}"),
    made_service("rival", "{clusterIP: 10.96.9.9}"),
    service("twice") + "---" + service("twice", 81),
)
BATCH = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from((None, *TEXTS))), max_size=5)
DIRECTORIES = count()


class Expected:
    """What should be served, judging by the files and by what was logged about them."""

    def __init__(self) -> None:
        self.named: set[str] = set()
        self.used: dict[str, str] = {}

    def see(self, present: dict[str, str], messages: list[str]) -> None:
        for message in messages:
            [name] = re.findall(r"^manifest .*?: /.*?/([abcd]\.\w+)(?::|$)", message)
            assert name in present
            if message.startswith("manifest is good again"):
                assert name in self.named
                self.named.remove(name)
            else:
                self.named.add(name)
        self.named &= present.keys()
        held = {name: text for name, text in self.used.items() if name in self.named}
        going = {name: text for name, text in present.items() if name not in self.named}
        self.used = {**going, **held}

    @property
    def objects(self) -> Held:
        return unversioned(cluster(*self.used.values(), assign=True).objects)


def unversioned(objects: Iterable[Object]) -> Held:
    return {(one.KIND, one.key): replace(one, version=0) for one in objects}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(BATCH, max_size=6))
def test_any_history_of_edits_ends_where_a_fresh_start_begins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, batches: list[list[tuple[str, str | None]]]
) -> None:
    caplog.set_level(logging.INFO)
    directory = tmp_path / str(next(DIRECTORIES))
    directory.mkdir()
    follower, expected = Follower(directory, assign=True), Expected()
    for batch in batches:
        caplog.clear()
        for name, text in batch:
            if text is None:
                (directory / name).unlink(missing_ok=True)
            else:
                write(directory / name, text)
        follower.look()
        present = {path.name: path.read_text() for path in directory.iterdir()}
        expected.see(present, caplog.messages)

        assert unversioned(follower.held.values()) == expected.objects
        for name in expected.named:
            with pytest.raises(ManifestError):
                cluster(*{**expected.used, name: present[name]}.values())

    with suppress(ManifestError):
        fresh = load([str(directory)])
        assert follower.held == {(one.KIND, one.key): one for one in fresh.objects}
        assert not expected.named


# Versions


def stated(name: str, version: int) -> str:
    return service(name).replace("labels:", f"resourceVersion: '{version}', labels:")


def highest(changes: Iterable[Change]) -> int:
    told = [change.object if isinstance(change, Apply) else change for change in changes]
    return max((one.version for one in told if not isinstance(one, Init | InitDone)), default=0)


def fresh(*paths: Path) -> int:
    return highest(Follower(*paths).told)


def test_no_time_of_a_file_stands_beside_resource_versions(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write(path, stated("a", 1000) + "---" + stated("b", 1001))
    follower = Follower(tmp_path)
    assert highest(follower.told) == fresh(tmp_path) == 1001

    write(path, stated("a", 1000))
    assert highest(follower.look()) == 0
    assert fresh(tmp_path) == 1000
    write(path, stated("a", 1005))
    follower.look()

    assert highest(follower.told) == fresh(tmp_path) == 1005


def test_a_directory_that_is_empty_for_a_while_brings_no_time_of_a_file(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", stated("a", 1000))
    follower = Follower(tmp_path)

    write(tmp_path / "a.yaml", "")
    follower.look()
    write(tmp_path / "a.yaml", stated("a", 1001))
    follower.look()

    assert highest(follower.told) == 1001


STEPS = st.lists(
    st.tuples(st.sampled_from(("a.yaml", "sub/b.yaml", "sub/sub/c.yaml")), st.integers(0, 4)),
    min_size=1,
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.sampled_from(("directory", "file", "both")))
def test_times_of_files_told_live_are_those_of_a_fresh_start(
    tmp_path: Path, steps: list[tuple[str, int]], named: str
) -> None:
    directory = tmp_path / str(next(DIRECTORIES))
    (directory / "sub" / "sub").mkdir(parents=True)
    write(tmp_path / "named.yaml", service("named") + "---" + service("more"))
    paths = {
        "directory": [directory],
        "file": [tmp_path / "named.yaml"],
        "both": [directory, tmp_path / "named.yaml"],
    }[named]
    write(directory / "a.yaml", service("a0"))
    for part in (directory, directory / "sub", directory / "sub" / "sub"):
        os.utime(part, (1, 1))
    follower = Follower(*paths)
    for name, size in steps:
        path = directory / name
        if size:
            write(path, "---".join(service(f"{path.stem}{number}") for number in range(size)))
        else:
            path.unlink(missing_ok=True)
        seconds = next(CLOCK)
        os.utime(path.parent, (seconds, seconds))
        write(tmp_path / "named.yaml", service("named"))
        follower.look()

        assert fresh(*paths) in ({0} if not follower.names else {highest(follower.told)})


# Watching


class Stumbling(ManifestSource):
    """A source whose first looks fail as nobody expected."""

    looks = 0

    def poll(self) -> list[Change]:
        self.looks += 1
        if self.looks < 4:
            raise RuntimeError("once" if self.looks < 3 else "twice")
        return super().poll()


def test_nothing_ends_watching_but_its_cancellation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdns.kube.manifests.source._INTERVAL", 0.001)
    seen, complete = [], asyncio.Event()

    def take(change: Change) -> None:
        match change:
            case Apply(Service(name=name)):
                seen.append(name)
                if len(seen) == 4:
                    complete.set()
                raise RuntimeError("sink")
            case _:
                pass

    async def watch() -> None:
        source = Stumbling([str(tmp_path)], lambda _: None, assign=False)
        source.load()
        source._sink = take  # noqa: SLF001 - load tells the sink, too
        write(tmp_path / "a.yaml", "---".join(service(f"s{number}") for number in range(4)))
        task = asyncio.create_task(source.watch())
        await asyncio.wait_for(complete.wait(), PATIENCE)
        assert not task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(watch())

    assert seen == ["s0", "s1", "s2", "s3"]
    assert caplog.records[0].exc_info
    begin = "manifests not followed for a moment: RuntimeError"
    assert caplog.messages == [f"{begin}: {text}" for text in ("once", "twice", "sink")]


def test_watching_tells_the_sink_until_it_is_cancelled(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", service("s0"))
    follower = Follower(tmp_path)
    complete = asyncio.Event()

    def take(change: Change) -> None:
        follower.take(change)
        if len(follower.names) == 300:
            complete.set()

    async def watch() -> None:
        source = ManifestSource([str(tmp_path)], take, assign=False)
        source.load()
        write(tmp_path / "a.yaml", "---".join(service(f"s{number}") for number in range(300)))
        task = asyncio.create_task(source.watch())
        await asyncio.wait_for(complete.wait(), PATIENCE)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    follower.held.clear()
    asyncio.run(watch())

    assert len(follower.names) == 300
