"""From one configuration to the next, in one process: what stays, what goes, what is undone."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kdns.app import FromCorefile, Server, serving
from kdns.errors import KdnsError

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.80, ports: [{port: 80}]}
"""
KUBERNETES = (
    ".:0 {{\n bind 127.0.0.1\n kubernetes cluster.local {{\n manifests {0}\n {1}\n }}\n}}\n"
)
WHOAMI = ".:0 {\n bind 127.0.0.1\n whoami\n}\n"


class Home:
    """A directory with manifests and a Corefile."""

    def __init__(self, directory: Path) -> None:
        self.manifests = directory / "web.yaml"
        self.manifests.write_text(SERVICE)
        self.corefile = directory / "Corefile"

    def write(self, text: str) -> None:
        self.corefile.write_text(text)

    def kubernetes(self, option: str = "") -> str:
        return KUBERNETES.format(self.manifests, option)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def _serve(home: Home, text: str, test: Callable[[Server], Awaitable[None]]) -> None:
    """Run a test on a server of this Corefile."""

    async def run() -> None:
        home.write(text)
        async with serving(FromCorefile(str(home.corefile))) as server:
            await test(server)

    asyncio.run(run())


def _files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_cluster_with_the_same_source_is_taken_over_as_it_is(home: Home) -> None:
    async def test(server: Server) -> None:
        [before] = server.clusters.running
        home.write(home.kubernetes("ttl 60"))
        assert await server.reload()
        await server.settle()
        assert server.clusters.running == [before]
        assert before.used == 1

    _serve(home, home.kubernetes(), test)


def test_a_cluster_that_nobody_wants_ends_and_can_be_wanted_again(home: Home) -> None:
    async def test(server: Server) -> None:
        [before] = server.clusters.running
        home.write(WHOAMI)
        assert await server.reload()
        await server.settle()
        assert server.clusters.running == []
        home.write(home.kubernetes())
        assert await server.reload()
        [after] = server.clusters.running
        assert after is not before
        assert after.store.service("default", "web") is not None

    _serve(home, home.kubernetes(), test)


def test_a_cluster_that_is_ending_does_not_harm_a_change_that_wants_it_again(home: Home) -> None:
    async def test(server: Server) -> None:
        for text in (WHOAMI, home.kubernetes()) * 5:
            home.write(text)
            # Without a pause: what was before may not have ended yet.
            assert await server.reload()
        [cluster] = server.clusters.running
        assert cluster.store.service("default", "web") is not None

    _serve(home, home.kubernetes(), test)


def test_many_changes_at_once_are_made_one_after_the_other(home: Home) -> None:
    async def test(server: Server) -> None:
        outcomes = await asyncio.gather(*(server.reload() for _ in range(10)))
        assert all(outcomes)
        await server.settle()
        [cluster] = server.clusters.running
        assert cluster.used == 1

    _serve(home, home.kubernetes(), test)


BAD = {
    "a word that nobody knows": (".:0 {\n whoamy\n}\n", "Corefile:2: "),
    "an address that is not here": (
        ".:0 {\n bind 127.0.0.3 192.0.2.1\n prometheus 127.0.0.3:0\n}\n",
        "cannot listen on 192.0.2.1",
    ),
    "manifests that are not there": (KUBERNETES.format("/nonexistent", ""), "/nonexistent"),
    "an empty file": ("", "no server block"),
}


@pytest.mark.parametrize(("text", "why"), BAD.values(), ids=BAD)
def test_a_change_that_fails_is_undone_and_its_reason_told(
    home: Home, caplog: pytest.LogCaptureFixture, text: str, why: str
) -> None:
    async def test(server: Server) -> None:
        before, addresses, files = server.running, server.addresses, _files()
        home.write(text)
        assert not await server.reload()
        assert (server.running, server.addresses) == (before, addresses)
        assert _files() == files

    _serve(home, home.kubernetes(), test)

    assert "the old configuration stays: " in caplog.text
    assert why in caplog.text


@pytest.mark.parametrize(("text", "why"), BAD.values(), ids=BAD)
def test_a_start_that_fails_leaves_nothing(home: Home, text: str, why: str) -> None:
    async def never(_: Server) -> None:
        raise AssertionError("it started")

    files = _files()
    with pytest.raises(KdnsError, match=why):
        _serve(home, text, never)
    assert _files() == files


def test_a_fault_of_ours_in_a_change_leaves_the_old_configuration(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Server) -> None:
        raise ZeroDivisionError

    async def test(server: Server) -> None:
        before = server.running
        monkeypatch.setattr(Server, "_read", fail)
        assert not await server.reload()
        assert server.running is before

    _serve(home, WHOAMI, test)

    assert "ZeroDivisionError" in caplog.text


def test_before_the_first_configuration_nothing_is_ready() -> None:
    async def test() -> None:
        server = Server(FromCorefile("Corefile"))
        checks = server.checks()
        assert [check() for check in checks.values()] == [False]
        with pytest.raises(RuntimeError):
            server.running  # noqa: B018 - it is the question that fails

    asyncio.run(test())


def test_a_free_port_stays_the_same(home: Home) -> None:
    async def test(server: Server) -> None:
        before = server.addresses
        home.write(WHOAMI.replace("whoami", "whoami\n errors"))
        assert await server.reload()
        assert server.addresses == before

    _serve(home, WHOAMI, test)
