"""What is noted on the way: of requests, and of the time when a change of endpoints began."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from kdns.kube.access import Access
from kdns.kube.api import ApiSource
from kdns.kube.changes import Apply, Change, InitDone
from kdns.kube.connect import Connection
from kdns.kube.decode import read_event
from kdns.kube.exchange import Seen
from kdns.kube.measures import FAILED, Measures
from kdns.testing import FakeApiServer
from tests.end_to_end.cluster import endpoint_slice, namespace

TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
WHEN = "2024-01-01T00:00:00.123456789Z"


class Noted(Measures):
    """Remembers everything."""

    def __init__(self) -> None:
        self.codes: list[tuple[str, str]] = []
        self.lists: list[tuple[str, float]] = []

    def answered(self, host: str, code: str) -> None:
        self.codes.append((host, code))

    def listed(self, host: str, seconds: float) -> None:
        self.lists.append((host, seconds))


def _get(kubeconfig: str, path: str) -> Noted:
    noted = Noted()
    connection = Connection(Access(kubeconfig), noted)
    with suppress(Exception):
        connection.get(path, []).release_conn()
    connection.close()
    return noted


@pytest.mark.parametrize(
    ("path", "code"), [("/api/v1/services", "200"), ("/api/v1/nothing", "404")]
)
def test_an_answer_is_noted_with_its_status(path: str, code: str) -> None:
    with FakeApiServer() as server:
        noted = _get(server.kubeconfig(), path)

    [(host, noted_code)] = noted.codes
    assert host.startswith("127.0.0.1:")
    assert noted_code == code


def test_a_request_without_an_answer_is_noted_as_client_go_does() -> None:
    with FakeApiServer() as server, server.outage():
        noted = _get(server.kubeconfig(), "/api/v1/services")

    assert [code for _, code in noted.codes] == [FAILED]


def test_credentials_in_a_url_are_not_noted(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    cluster = {"server": "http://user:secret@127.0.0.1:1"}
    config = {
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": cluster}],
        "users": [{"name": "x", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }
    path.write_text(json.dumps(config))

    assert Connection(Access(str(path))).host == "127.0.0.1:1"
    assert urlsplit(cluster["server"]).netloc == "user:secret@127.0.0.1:1"


def test_lists_are_measured_where_the_server_knows_no_other_way() -> None:
    noted, listed = Noted(), set[str]()

    async def follow(kubeconfig: str) -> None:
        complete = asyncio.Event()

        def sink(change: Change) -> None:
            if isinstance(change, InitDone):
                listed.add(change.kind)
            if len(listed) == 3:
                complete.set()

        async with ApiSource(sink, Access(kubeconfig), measures=noted):
            await complete.wait()

    with FakeApiServer(watch_list=False) as server:
        asyncio.run(follow(server.kubeconfig()))

    assert len(noted.lists) == 3
    assert all(seconds > 0 for _, seconds in noted.lists)


def _event(annotations: object) -> str:
    meta = {"namespace": "prod", "name": "web-1", "annotations": annotations}
    line = json.dumps({"type": "MODIFIED", "object": {"metadata": meta}}).encode()
    seen = read_event("EndpointSlice", line)
    assert isinstance(seen, Seen)
    return seen.triggered


@pytest.mark.parametrize(
    ("annotations", "triggered"),
    [
        pytest.param({TRIGGER: WHEN, "x": "y"}, WHEN, id="the controller says it"),
        pytest.param({"x": "y"}, "", id="others"),
        pytest.param({}, "", id="none"),
        pytest.param(None, "", id="null"),
    ],
)
def test_a_slice_says_when_its_change_began(annotations: object, triggered: str) -> None:
    assert _event(annotations) == triggered


def test_a_change_brings_along_when_it_began_but_what_was_there_before_does_not() -> None:
    def item(address: str) -> dict[str, object]:
        made = endpoint_slice("default", "db", address)
        made["metadata"]["annotations"] = {TRIGGER: WHEN}
        return made

    async def follow(server: FakeApiServer) -> list[str]:
        told, first, second = list[str](), asyncio.Event(), asyncio.Event()

        def sink(change: Change) -> None:
            match change:
                case Apply(one, triggered) if one.KIND == "EndpointSlice":
                    told.append(triggered)
                    if first.is_set():
                        second.set()
                case InitDone("EndpointSlice"):
                    first.set()
                case _:
                    pass

        async with ApiSource(sink, Access(server.kubeconfig())):
            await first.wait()
            server.apply(item("10.0.0.2"))
            await second.wait()
        return told

    with FakeApiServer() as server:
        server.apply(namespace("default"))
        server.apply(item("10.0.0.1"))
        assert asyncio.run(follow(server)) == ["", WHEN]
