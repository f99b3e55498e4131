"""``reload``: when the files are read again, and what comes of it."""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from kdns.assembly import Block
from kdns.corefile import parser
from kdns.corefile.syntax import Corefile
from kdns.errors import CorefileError
from kdns.plugins.reload import Watch, digest, setup, spread
from tests import plugin
from tests.patience import PATIENCE
from tests.plugin import FakeRuntime

FAILED = "coredns_reload_failed_total"
COREFILE = ". {\n reload\n import *.override\n}\n"


class Watched:
    """A Corefile on the disk, a runtime that runs it, and a watch that is asked to look."""

    def __init__(self, folder: Path, text: str = COREFILE) -> None:
        self.path = folder / "Corefile"
        self.path.write_text(text)
        self.runtime: FakeRuntime = FakeRuntime()
        self.run()

    def run(self) -> None:
        """Run what the file says now."""
        self.runtime.corefile = parser.load(str(self.path))

    @property
    def failures(self) -> float | None:
        return self.runtime.metrics.registry.get_sample_value(FAILED)

    def watch(self, block: int = -1, interval: float = 60.0) -> Watch:
        assert self.runtime.corefile is not None
        directive = self.runtime.corefile.blocks[block].directives[0]
        return Watch(directive, self.runtime, interval)

    def looks(self, *steps: Callable[[], object]) -> list[int]:
        """Look after each of these steps, twice; return how often a reload was asked for."""
        counts = []

        async def looking() -> None:
            watch, running = self.watch(), self.runtime.corefile
            assert running is not None
            for step in steps:
                step()
                await watch.look(running)
                await watch.look(running)
                counts.append(self.runtime.reloads)

        asyncio.run(looking())
        return counts


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_what_did_not_change_is_left_alone(watched: Watched) -> None:
    assert watched.looks(lambda: None) == [0]


def test_a_changed_file_is_loaded(watched: Watched) -> None:
    assert watched.looks(lambda: watched.path.write_text(". {\n reload 10s\n}\n")) == [1]
    assert watched.failures == 0


def test_an_imported_file_that_appears_is_a_change(watched: Watched, tmp_path: Path) -> None:
    override = tmp_path / "a.override"

    assert watched.looks(
        lambda: override.write_text("errors\n"), lambda: override.write_text("log\n")
    ) == [1, 2]


def test_a_bad_one_is_tried_once_and_counted_once(watched: Watched) -> None:
    watched.runtime.reloaded = False

    assert watched.looks(lambda: watched.path.write_text(". {\n relod\n}\n")) == [1]
    assert watched.failures == 1


def test_a_bad_one_is_tried_again_after_it_was_taken_back(watched: Watched) -> None:
    watched.runtime.reloaded = False
    bad = ". {\n relod\n}\n"

    assert watched.looks(
        lambda: watched.path.write_text(bad),
        lambda: watched.path.write_text(COREFILE),
        lambda: watched.path.write_text(bad),
    ) == [1, 1, 2]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.unlink(), id="gone"),
        pytest.param(lambda path: path.write_text(". {\n"), id="cut short"),
        pytest.param(lambda path: path.write_text("import missing\n"), id="import gone"),
    ],
)
def test_what_cannot_be_read_is_a_bad_one(
    watched: Watched, spoil: Callable[[Path], object]
) -> None:
    watched.runtime.reloaded = False

    assert watched.looks(lambda: spoil(watched.path)) == [1]
    assert watched.failures == 1


def _begun(watched: Watched, *watches: Watch) -> int:
    """Begin as a server does, end, and return how many watched meanwhile."""

    async def running() -> int:
        block = plugin.block(runtime=watched.runtime)
        for watch in watches:
            block.during(watch.running())
            block.when_running(watch.begin)
        async with plugin.running(block):
            for beginning in block.beginnings:
                beginning()
            return len(asyncio.all_tasks()) - 1

    return asyncio.run(running())


def test_what_runs_is_said(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert watched.runtime.corefile is not None
    value = digest(watched.runtime.corefile)

    assert _begun(watched, watched.watch()) == 1
    assert f"plugin/reload: Running configuration SHA512 = {value}" in caplog.text
    labels = {"hash": "sha512", "value": value}
    assert watched.runtime.metrics.registry.get_sample_value("coredns_reload_version_info", labels)


class Awaited(FakeRuntime):
    """A runtime that tells when it was asked to reload."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def reload(self) -> bool:
        self.asked.set()
        return True


def test_the_files_are_looked_at_now_and_then(watched: Watched) -> None:
    runtime = watched.runtime = Awaited()
    watched.run()
    watched.path.write_text(". {\n reload 10s\n}\n")

    async def changed() -> None:
        watch = watched.watch(interval=0.001)
        async with watch.running(), asyncio.timeout(PATIENCE):
            watch.begin()
            await runtime.asked.wait()

    asyncio.run(changed())


def test_the_version_is_that_of_what_runs_now_and_no_other(watched: Watched) -> None:
    registry = watched.runtime.metrics.registry

    async def begun() -> None:
        for text in (COREFILE, ". {\n reload\n}\n"):
            watched.path.write_text(text)
            watched.run()
            watch = watched.watch()
            async with watch.running():
                watch.begin()

    asyncio.run(begun())

    [family] = [one for one in registry.collect() if one.name == "coredns_reload_version_info"]
    assert watched.runtime.corefile is not None
    assert [one.labels["value"] for one in family.samples] == [digest(watched.runtime.corefile)]


def test_of_many_blocks_one_watches(tmp_path: Path) -> None:
    text = "a {\n reload\n}\nb {\n reload\n reload\n}\nc {\n log\n}\n"
    watched = Watched(tmp_path, text)
    first, last = watched.watch(0), watched.watch(1)

    assert _begun(watched, first, last) == 1
    assert _begun(watched, first) == 0


def test_standard_input_is_not_watched(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    read = parser.parse(COREFILE, "stdin")
    watched.runtime.corefile = Corefile("stdin", read.blocks, read.sources)

    assert _begun(watched, watched.watch()) == 0
    assert "standard input cannot be read again" in caplog.text


def test_without_a_corefile_nothing_is_watched(watched: Watched) -> None:
    watch = watched.watch()
    watched.runtime.corefile = None

    assert _begun(watched, watch) == 0


def test_the_digest_is_of_paths_and_contents() -> None:
    content = hashlib.sha512(b"Corefile\n3\nabcx\n1\n1").hexdigest()

    assert digest(Corefile("Corefile", (), (("Corefile", b"abc"), ("x", b"1")))) == content


@pytest.mark.parametrize(
    ("interval", "jitter", "luck", "seconds"),
    [
        pytest.param(30.0, 15.0, 0.0, 22.5, id="earliest"),
        pytest.param(30.0, 15.0, 1.0, 37.5, id="latest"),
        pytest.param(10.0, 15.0, 0.0, 7.5, id="at most half the interval"),
        pytest.param(10.0, 0.0, 0.0, 10.0, id="none"),
    ],
)
def test_looks_are_spread(interval: float, jitter: float, luck: float, seconds: float) -> None:
    assert spread(interval, jitter, lambda: luck) == seconds


def _setup(text: str) -> Block:
    return plugin.setup_of(setup, text)[1]


@pytest.mark.parametrize("text", ["reload", "reload 10s", "reload 10s 2s", "reload 2s 0s"])
def test_what_is_accepted(text: str) -> None:
    block = _setup(text)

    assert len(block.resources) == len(block.beginnings) == 1


def test_a_second_one_in_a_block_is_warned_about() -> None:
    assert _setup("reload\nreload 2s").warnings == [
        "Corefile:3: reload is passed over: it is already at Corefile:2"
    ]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("reload foo", "expected a duration like", id="no duration"),
        pytest.param("reload 10s foo", "expected a duration like", id="no jitter"),
        pytest.param("reload 10s 5s foo", "expected at most 2 arguments", id="three words"),
        pytest.param("reload 1s", "expected a duration of at least 2s, got '1s'", id="short"),
        pytest.param("reload 3s 0.5s", "expected a jitter of 0s or at least 1s", id="jitter"),
        pytest.param("reload 3s -1s", "expected a duration of at least 0s", id="negative"),
        pytest.param("reload {\nx\n}", "reload takes no block", id="block"),
    ],
)
def test_what_is_refused(text: str, error: str) -> None:
    with pytest.raises(CorefileError) as refused:
        _setup(text)

    assert error in str(refused.value)
