"""The fake API server answers as kube-apiserver 1.36 does."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from kdns.testing import FakeApiServer
from kdns.testing.faults import Answer
from tests.end_to_end.cluster import namespace, service
from tests.patience import PATIENCE

SERVICES = "/api/v1/services"


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer(keep=5, bookmarks=0.01) as server:
        for name in "abcde":
            server.apply(service("prod", name))
        yield server


class Client:
    """Asks over HTTP, with nothing of kdns."""

    def __init__(self, server: FakeApiServer) -> None:
        with open(server.kubeconfig()) as file:  # noqa: PTH123
            config = json.load(file)
        self.url = config["clusters"][0]["cluster"]["server"]
        self.token = server.token

    def open(self, path: str, query: dict[str, str]) -> Any:  # noqa: ANN401
        url = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310
        return urllib.request.urlopen(request, timeout=PATIENCE)  # noqa: S310

    def get(self, path: str = SERVICES, **query: str) -> tuple[int, dict[str, Any]]:
        try:
            with self.open(path, query) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def watch(self, count: int, **query: str) -> list[tuple[str, str]]:
        with self.open(SERVICES, {"watch": "true", "timeoutSeconds": "1", **query}) as response:
            events = [json.loads(response.readline()) for _ in range(count)]
        return [(event["type"], _name(event["object"])) for event in events]


def _name(item: dict[str, Any]) -> str:
    return str(item.get("metadata", {}).get("name") or item.get("code", ""))


@pytest.fixture
def client(server: FakeApiServer) -> Client:
    return Client(server)


def names(body: dict[str, Any]) -> str:
    return "".join(item["metadata"]["name"] for item in body["items"])


def test_pages_are_of_one_version(server: FakeApiServer, client: Client) -> None:
    _, first = client.get(limit="3")
    server.delete("Service", "prod", "e")
    _, second = client.get(limit="3", **{"continue": first["metadata"]["continue"]})

    assert (names(first), names(second)) == ("abc", "de")
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
    assert not second["metadata"]["continue"]


def test_a_continue_token_expires(server: FakeApiServer, client: Client) -> None:
    _, first = client.get(limit="3")
    server.forget()

    assert client.get(limit="3", **{"continue": first["metadata"]["continue"]})[0] == 410


@pytest.mark.parametrize(
    ("query", "code", "found"),
    [
        ({"resourceVersion": "0", "limit": "2"}, 200, "abcde"),
        ({"resourceVersion": "4", "limit": "9"}, 200, "abc"),
        ({"resourceVersion": "4"}, 200, "abcde"),
        ({"resourceVersion": "99"}, 504, ""),
        ({"sendInitialEvents": "true"}, 422, ""),
        ({"continue": "x", "resourceVersion": "4"}, 400, ""),
        ({"watch": "true", "sendInitialEvents": "true"}, 422, ""),
        ({"watch": "true", "resourceVersionMatch": "NotOlderThan"}, 422, ""),
        ({"labelSelector": "x"}, 200, ""),
        ({"fieldSelector": "metadata.name!=b,spec.clusterIP=None"}, 200, "acde"),
    ],
)
def test_versions_and_parameters(
    client: Client, query: dict[str, str], code: int, found: str
) -> None:
    status, body = client.get(**query)

    assert status == code
    assert code != 200 or names(body) == found


def test_a_watch_sends_what_is_after_its_version(server: FakeApiServer, client: Client) -> None:
    server.apply(service("prod", "a", 81))
    server.delete("Service", "prod", "b")
    server.apply(namespace("prod"))

    found = client.watch(3, resourceVersion="6", allowWatchBookmarks="true")
    assert found == [("MODIFIED", "a"), ("DELETED", "b"), ("BOOKMARK", "")]


def test_a_watch_list_ends_with_a_bookmark(client: Client) -> None:
    found = client.watch(6, sendInitialEvents="true", resourceVersionMatch="NotOlderThan")

    assert found == [*(("ADDED", name) for name in "abcde"), ("BOOKMARK", "")]


def test_the_history_runs_out(server: FakeApiServer, client: Client) -> None:
    server.apply(service("prod", "f"))

    assert client.watch(1, resourceVersion="1") == [("ERROR", "410")]
    server.expired_as_status = True
    assert client.get(watch="true", resourceVersion="1")[0] == 410


def test_leaving_a_selection_is_a_deletion(server: FakeApiServer, client: Client) -> None:
    server.apply(service("prod", "a", tier="web"))
    server.apply(service("prod", "a", tier="db"))

    found = client.watch(2, resourceVersion="6", labelSelector="tier=web")
    assert found == [("ADDED", "a"), ("DELETED", "a")]


def test_rights_and_tokens(server: FakeApiServer, client: Client) -> None:
    server.forbid("Service")
    assert client.get()[0] == 403
    assert client.get("/api/v1/namespaces/prod/services")[0] == 200
    server.rotate_token()
    assert client.get()[0] == 401
    assert client.get("/api/v1/nonsense")[0] == 404


def test_an_order_is_for_so_many_requests_of_a_kind(server: FakeApiServer, client: Client) -> None:
    server.fault(Answer(500, "InternalError"), "Service", "list", times=2)

    codes = [client.get("/api/v1/namespaces")[0], *(client.get()[0] for _ in range(3))]
    assert codes == [200, 500, 500, 200]


def test_an_equal_object_is_no_news(server: FakeApiServer) -> None:
    before = server.history.version
    server.apply(service("prod", "a"))

    assert server.history.version == before
