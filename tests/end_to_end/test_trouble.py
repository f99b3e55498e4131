"""What the API source does when the fake API server misbehaves as ordered."""

from collections.abc import Iterator
from time import monotonic

import pytest

from kdns.kube.access import Access
from kdns.kube.objects import Service
from kdns.kube.resources import Selection
from kdns.kube.watch import Pace
from kdns.testing.apiserver import FakeApiServer
from kdns.testing.conversation import Asked
from kdns.testing.faults import (
    Answer,
    Cut,
    Drip,
    Error,
    Fault,
    Garbage,
    NullItems,
    Repeat,
    Reset,
    Silence,
)
from tests.end_to_end.cluster import FakeCluster, endpoint_slice, namespace, service
from tests.end_to_end.follower import HASTY, Follower, following

SYNCED = 3
IMPATIENT = 0.3


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as server:
        server.apply(namespace("prod"))
        for name in ("web-1", "web-2", "web-3"):
            server.apply(service("prod", name))
        yield server


def access(server: FakeApiServer) -> Access:
    return Access(server.kubeconfig(), read_timeout=IMPATIENT)


def knows_all(seen: Follower, server: FakeApiServer) -> bool:
    return seen.versions("Service") == FakeCluster(server).versions("Service")


BEFORE_THE_FIRST_SYNC: dict[str, Fault] = {
    "reset": Reset(),
    "silence": Silence(),
    "opened and silent": Silence(opened=True),
    "cut between lines": Cut(2),
    "cut in a line": Cut(2, early=True),
    "dripping": Drip(),
    "garbage": Garbage(),
    "repeated": Repeat(),
    "401": Answer(401, "Unauthorized"),
    "403": Answer(403, "Forbidden"),
    "404": Answer(404, "NotFound"),
    "410": Answer(410, "Gone"),
    "422": Answer(422, "Invalid"),
    "429": Answer(429, "TooManyRequests"),
    "429 in words": Answer(429, text="slow down", retry_after=0),
    "500": Answer(500, "InternalError"),
    "504": Answer(504, "Timeout"),
    "too new": Answer(504, "Timeout", "Too large resource version: 9, current: 1"),
    "event 410": Error(410, "Expired", after=1),
    "event 429": Error(429, "TooManyRequests", after=1),
    "event 500": Error(500, "InternalError", after=1),
    "event without anything": Error(0),
}


@pytest.mark.parametrize("fault", BEFORE_THE_FIRST_SYNC.values(), ids=BEFORE_THE_FIRST_SYNC)
def test_the_first_sync_survives(server: FakeApiServer, fault: Fault) -> None:
    server.fault(fault, "Service", times=2)
    with following(access(server), pace=HASTY) as seen:
        seen.until(lambda: "Service" in seen.synced)

        assert knows_all(seen, server)


WHILE_WATCHING: dict[str, Fault] = {
    **{name: fault for name, fault in BEFORE_THE_FIRST_SYNC.items() if name != "422"},
    "cut at once": Cut(),
    "an error at once": Error(500, "InternalError"),
}


@pytest.mark.parametrize("fault", WHILE_WATCHING.values(), ids=WHILE_WATCHING)
def test_a_watch_survives(server: FakeApiServer, fault: Fault) -> None:
    with following(access(server), pace=HASTY) as seen:
        seen.until(lambda: "Service" in seen.synced)
        server.fault(fault, "Service", times=2)
        server.cut()
        for round_ in range(4):
            server.apply(service("prod", "web-1", 8000 + round_))
        server.delete("Service", "prod", "web-2")
        seen.until(lambda: knows_all(seen, server))


PAGED: dict[str, Fault] = {
    "reset": Reset(),
    "silence": Silence(),
    "410": Answer(410, "Expired"),
    "429": Answer(429, "TooManyRequests"),
    "500": Answer(500, "InternalError"),
}


@pytest.mark.parametrize("fault", PAGED.values(), ids=PAGED)
def test_a_paged_list_survives(server: FakeApiServer, fault: Fault) -> None:
    server.watch_list = False
    server.fault(NullItems(), "Namespace", "list")
    server.fault(fault, "Service", "list", times=2)
    with following(access(server), pace=Pace(first=0.01, ceiling=0.05, page=2)) as seen:
        seen.until(lambda: len(seen.synced) == SYNCED)

        assert knows_all(seen, server)
        assert not seen.live("Namespace")


def test_an_expired_continue_token_leads_to_one_list_of_everything(server: FakeApiServer) -> None:
    server.watch_list = False
    with following(Access(server.kubeconfig()), pace=Pace(page=2)) as seen:
        seen.until(lambda: any(resumes(asked) for asked in server.requests))
        server.requests.clear()
        server.fault(Answer(410, "Expired"), "Service", "watch")
        # The first page passes; what follows it has expired.
        server.fault(Drip(), "Service", "list")
        server.fault(Answer(410, "Expired"), "Service", "list")
        server.cut()
        seen.until(lambda: seen.status("Service").relists > 0)

    lists = [r.query for r in server.requests if (r.kind, r.verb) == ("Service", "list")]
    assert [("limit" in query, "continue" in query) for query in lists] == [
        (True, False),
        (True, True),
        (False, False),
    ]


def resumes(asked: Asked) -> bool:
    return asked.kind == "Service" and asked.verb == "watch" and "resourceVersion" in asked.query


def test_gzip_is_asked_for_lists_only(server: FakeApiServer) -> None:
    server.watch_list = False
    for number in range(400):
        server.apply(service("prod", f"more-{number}", note="x" * 300))
    with following(access(server)) as seen:
        seen.until(lambda: len(seen.synced) == SYNCED)
        assert knows_all(seen, server)

    encodings = {r.verb: r.headers["accept-encoding"] for r in server.requests}
    assert encodings == {"list": "gzip", "watch": "identity"}


def test_an_object_that_cannot_be_decoded_is_counted_and_no_more(server: FakeApiServer) -> None:
    bad = service("prod", "bad") | {"spec": {"ports": "none of your business"}}
    server.apply(bad)
    with following(access(server)) as seen:
        seen.until(lambda: "Service" in seen.synced)
        assert ("prod", "bad") not in seen.live("Service")
        assert seen.status("Service").undecodable == 1
        server.apply(service("prod", "web-1") | {"spec": {"ports": [{"port": "http"}]}})
        server.apply(service("prod", "web-4"))
        seen.until(lambda: ("prod", "web-4") in seen.live("Service"))
        assert seen.status("Service").undecodable == 2
        server.delete("Service", "prod", "bad")
        server.apply(service("prod", "web-1", 81))
        seen.until(lambda: seen.status("Service").objects == 4)
        seen.until(lambda: knows_all(seen, server))


def test_null_lists_and_big_objects_are_objects(server: FakeApiServer) -> None:
    empty = endpoint_slice("prod", "none") | {"endpoints": None, "ports": None}
    server.apply(empty)
    big = endpoint_slice("prod", "big", *(f"10.{n >> 8 & 255}.{n & 255}.1" for n in range(60_000)))
    server.apply(big)
    server.fault(Drip(4096), "EndpointSlice")
    with following(Access(server.kubeconfig())) as seen:
        seen.until(lambda: "EndpointSlice" in seen.synced)

        assert set(seen.live("EndpointSlice")) == {("prod", "none"), ("prod", "big")}


def test_pods_that_end_are_gone(server: FakeApiServer) -> None:
    def pod(name: str, phase: str, **meta: str) -> None:
        metadata = {"namespace": "prod", "name": name, **meta}
        status = {"phase": phase, "podIP": "10.1.0.1"}
        server.apply({"kind": "Pod", "metadata": metadata, "status": status})

    for name in ("stays", "ends", "terminates"):
        pod(name, "Running")
    pod("ended", "Failed")
    pod("terminating", "Running", deletionTimestamp="2026-01-01T00:00:00Z")
    with following(access(server), Selection(pods=True)) as seen:
        seen.until(lambda: "Pod" in seen.synced)
        assert {name for _, name in seen.live("Pod")} == {"stays", "ends", "terminates"}
        pod("ends", "Succeeded")
        pod("terminates", "Running", deletionTimestamp="2026-01-01T00:00:00Z")
        seen.until(lambda: {name for _, name in seen.live("Pod")} == {"stays"})


def test_imports_are_services_of_another_kind(server: FakeApiServer) -> None:
    spec = {"type": "ClusterSetIP", "ips": ["10.9.0.1"], "ports": []}
    server.apply({"kind": "ServiceImport", "metadata": meta("web"), "spec": spec})
    with following(access(server), Selection(imports=True)) as seen:
        seen.until(lambda: "ServiceImport" in seen.synced)

        found = seen.live("ServiceImport")["prod", "web"]
        assert isinstance(found, Service)
        assert found.imported


def meta(name: str) -> dict[str, str]:
    return {"namespace": "prod", "name": name}


def test_a_server_that_went_back_in_time_is_found_out(server: FakeApiServer) -> None:
    for port in range(20):
        server.apply(service("prod", "web-1", 8000 + port))
    pace = Pace(first=0.01, ceiling=0.05, silence=2 * IMPATIENT)
    with following(access(server), pace=pace) as seen:
        seen.until(lambda: "Service" in seen.synced)
        server.rewind(15)
        server.delete("Service", "prod", "web-2")
        seen.until(lambda: knows_all(seen, server))

        assert seen.status("Service").relists > 0


def test_silence_is_no_life(server: FakeApiServer) -> None:
    server.bookmarks = 0.05
    with following(access(server)) as seen:
        seen.until(lambda: seen.status("Service").state == "live")
        server.fault(Silence(opened=True), "Service", times=None)
        server.cut()
        seen.until(lambda: seen.status("Service").trouble == "the API server is silent")
        assert seen.status("Service").state == "stale"
        server.heal()
        seen.until(lambda: seen.status("Service").state == "live")


@pytest.mark.parametrize("fault", [Silence(), Silence(opened=True), Answer(500), Reset()])
def test_it_stops_at_once_whatever_it_waits_for(server: FakeApiServer, fault: Fault) -> None:
    server.fault(fault, times=None)
    patient = Access(server.kubeconfig())
    with following(patient, pace=Pace(first=100, ceiling=100)) as seen:
        seen.until(lambda: len(server.requests) >= SYNCED)
        asked = monotonic()

    assert monotonic() - asked < patient.read_timeout / 2


def test_a_warning_is_logged_once_and_not_at_each_attempt(
    server: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.forbid("Service")
    with following(access(server)) as seen:
        seen.until(lambda: sum(r.kind == "Service" for r in server.requests) > 5)

    found = [r for r in caplog.records if "in a ClusterRole bound to it" in r.getMessage()]
    assert len(found) == 1
