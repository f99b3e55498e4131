"""The real control plane does what the tests of kdns rely on."""

import re
from contextlib import closing
from itertools import islice
from urllib.parse import quote

import pytest

from tests.controlplane.client import Client, Json, Refused, eventually
from tests.controlplane.objects import add_pod, add_service, grant, ready_addresses, revoke
from tests.controlplane.plane import ControlPlane

SERVICES = "/api/v1/services"
WATCH_LIST = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"


def status_of(client: Client, path: str = SERVICES) -> int:
    try:
        client.request("GET", path)
    except Refused as refused:
        return refused.status
    return 200


def events(client: Client, query: str, count: int = 1) -> list[Json]:
    """The first events of a watch of all Services."""
    with closing(client.watch(f"{SERVICES}?watch=true&timeoutSeconds=10&{query}")) as watch:
        return list(islice(watch, count))


def summary(event: Json) -> tuple[str, int | None]:
    return event["type"], event["object"].get("code")


def latest(control_plane: ControlPlane) -> str:
    """The resourceVersion that a watch would resume from."""
    return str(control_plane.request("GET", f"{SERVICES}?limit=1")["metadata"]["resourceVersion"])


def test_server_tells_its_version(control_plane: ControlPlane) -> None:
    version = control_plane.request("GET", "/version")["gitVersion"]
    assert re.fullmatch(r"v1\.\d+\.\d+", version)


def test_controller_makes_slices_of_the_ready_pods(
    controllers: ControlPlane, fresh_namespace: str
) -> None:
    api = controllers.api
    add_service(api, fresh_namespace, "web")
    add_pod(api, fresh_namespace, "web-1", "10.1.0.1", app="web")
    add_pod(api, fresh_namespace, "web-2", "10.1.0.2", app="web")
    add_pod(api, fresh_namespace, "web-3", "10.1.0.3", app="web", ready=False)
    ready = ["10.1.0.1", "10.1.0.2"]
    assert eventually(lambda: ready_addresses(api, fresh_namespace, "web") == ready)


def test_rbac_refuses_a_user_until_granted_and_once_revoked(control_plane: ControlPlane) -> None:
    with control_plane.client("kdns") as user:
        assert status_of(user) == 403
        grant(control_plane.api, "kdns")
        eventually(lambda: status_of(user) == 200)
        revoke(control_plane.api, "kdns")
        eventually(lambda: status_of(user) == 403)


def test_initial_events_end_with_a_bookmark(control_plane: ControlPlane) -> None:
    known = len(control_plane.request("GET", SERVICES)["items"])
    *_, last = events(control_plane.api, WATCH_LIST, known + 1)
    assert summary(last) == ("BOOKMARK", None)


def test_compaction_and_a_restart_expire_an_old_watch(
    control_plane: ControlPlane, fresh_namespace: str
) -> None:
    old = latest(control_plane)
    add_service(control_plane.api, fresh_namespace, "newer")
    assert summary(*events(control_plane.api, f"resourceVersion={old}")) == ("ADDED", None)
    control_plane.forget_history()
    assert summary(*events(control_plane.api, f"resourceVersion={old}")) == ("ERROR", 410)


def test_compaction_alone_is_enough_without_the_watch_cache(
    control_plane: ControlPlane, fresh_namespace: str
) -> None:
    add_service(control_plane.api, fresh_namespace, "one")
    with control_plane.api_server_with("--watch-cache=false"):
        page = control_plane.request("GET", f"{SERVICES}?limit=1")["metadata"]
        add_service(control_plane.api, fresh_namespace, "two")
        control_plane.compact()
        [event] = events(control_plane.api, f"resourceVersion={page['resourceVersion']}")
        rest = f"{SERVICES}?limit=1&continue={quote(page['continue'])}"
        assert (summary(event), status_of(control_plane.api, rest)) == (("ERROR", 410), 410)


def test_killed_server_serves_the_same_objects_again(
    control_plane: ControlPlane, fresh_namespace: str
) -> None:
    made = add_service(control_plane.api, fresh_namespace, "web")
    path = f"/api/v1/namespaces/{fresh_namespace}/services/web"
    with control_plane.api_server_down(), pytest.raises(ConnectionRefusedError):
        control_plane.request("GET", path)
    assert control_plane.request("GET", path) == made


@pytest.mark.parametrize("seconds", [3600, 60])
def test_service_account_token_names_its_account(controllers: ControlPlane, seconds: int) -> None:
    token = controllers.service_account_token("default", "default", seconds)
    with controllers.client(token=token) as account:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        status = account.request("POST", path, review)["status"]
    assert status["userInfo"]["username"] == "system:serviceaccount:default:default"


def test_token_past_its_end_is_unauthorized(controllers: ControlPlane) -> None:
    token = controllers.service_account_token("default", "default", seconds=-1)
    with controllers.client(token=token) as account:
        assert status_of(account) == 401
