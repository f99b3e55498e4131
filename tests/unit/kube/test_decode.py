import json

import pytest

from kdns.kube.changes import Delete
from kdns.kube.decode import read_event, read_page, read_refusal
from kdns.kube.exchange import Bookmark, Broken, Lost, Page, Refused, Reply, Seen, Skipped
from kdns.kube.objects import Kind, Namespace, Pod, Service

META = {"namespace": "prod", "name": "web", "uid": "u", "resourceVersion": "7"}
WEB = Service("prod", "web", "u", 7)
ENDED = {"annotations": {"k8s.io/initial-events-end": "true"}, "resourceVersion": "9"}
RUNNING = {"phase": "Running", "podIP": "10.1.0.1"}
ODD = json.dumps({"type": "ADDED", "object": {"metadata": META, "spec": []}}).encode()
OVER = {"phase": "Succeeded", "podIP": "10.1.0.1"}


def event(type_: str, kind: Kind, only: frozenset[str] = frozenset(), **fields: object) -> Reply:
    return read_event(kind, json.dumps({"type": type_, "object": fields}).encode(), only)


def test_objects_are_seen_and_lost() -> None:
    gone = Lost(Delete("Service", ("prod", "web"), "u", 7), "7")

    assert event("ADDED", "Service", metadata=META) == Seen(WEB, "7", added=True)
    assert event("MODIFIED", "Service", metadata=META) == Seen(WEB, "7")
    assert event("DELETED", "Service", metadata=META) == gone


def test_what_cannot_be_decoded_can_still_be_deleted() -> None:
    assert isinstance(event("DELETED", "Service", metadata=META, spec="?"), Lost)


def test_bookmarks_tell_where_and_whether_the_initial_events_end() -> None:
    assert event("BOOKMARK", "Service", metadata={"resourceVersion": "8"}) == Bookmark("8")
    assert event("BOOKMARK", "Service", metadata=ENDED) == Bookmark("9", complete=True)


def test_an_error_event_is_a_refusal() -> None:
    details = {"causes": [{"reason": "ResourceVersionTooLarge"}], "retryAfterSeconds": 1}
    found = event("ERROR", "Service", code=504, reason="Timeout", message="m", details=details)

    causes = ("ResourceVersionTooLarge",)
    assert found == Refused(504, "Timeout", "m", causes, 1.0, streamed=True)


def test_a_pod_that_ends_is_lost_but_not_yet_deleted() -> None:
    change = Delete("Pod", ("prod", "web"), "u", 7)

    running = Pod("prod", "web", "u", 7, ("10.1.0.1",))
    assert event("MODIFIED", "Pod", metadata=META, status=RUNNING) == Seen(running, "7")
    assert event("MODIFIED", "Pod", metadata=META, status=OVER) == Lost(change, "7", final=False)
    assert event("ADDED", "Pod", metadata=META, status=OVER) == Skipped("7", added=True)


def test_only_namespaces_of_interest_are_seen() -> None:
    only = frozenset({"prod"})
    prod, other = ({"name": name, "resourceVersion": "7"} for name in ("prod", "other"))

    assert event("ADDED", "Namespace", only, metadata=prod) == Seen(
        Namespace("prod", "", 7), "7", added=True
    )
    assert event("ADDED", "Namespace", only, metadata=other) == Skipped("7")
    assert event("DELETED", "Namespace", only, metadata=other) == Skipped("7")


@pytest.mark.parametrize(
    ("line", "version", "problem"),
    [
        (b"not JSON", "", "unreadable event"),
        (b'"text"', "", "unreadable event"),
        (b'{"type":"ADDED"}', "", "unreadable event"),
        (b'{"type":"\xff","object":{}}', "", "unreadable event"),
        (b"[" * 100_000, "", "unreadable event"),
        (b'{"type":"CHANGED","object":{}}', "", "unknown event type 'CHANGED'"),
        (b'{"type":"ADDED","object":{"metadata":{"name":7}}}', "", "Expected `str`"),
        (ODD, "7", "prod/web: Expected `object`"),
    ],
)
def test_nonsense_is_skipped_and_told(line: bytes, version: str, problem: str) -> None:
    found = read_event("Service", line)

    assert isinstance(found, Skipped)
    assert found.version == version
    assert problem in found.problem


def page(kind: Kind, items: object, only: frozenset[str] = frozenset()) -> Reply:
    meta = {"resourceVersion": "9", "continue": "more"}
    return read_page(kind, json.dumps({"metadata": meta, "items": items}).encode(), only)


def test_a_page_keeps_what_it_can() -> None:
    bad = {"metadata": {"name": "bad"}, "spec": []}
    found = page("Service", [{"metadata": META}, bad])

    assert isinstance(found, Page)
    assert (found.objects, found.version, found.token, found.count) == ((WEB,), "9", "more", 2)
    assert [problem.partition(":")[0] for problem in found.problems] == ["bad"]


def test_a_page_of_nothing_is_a_page() -> None:
    assert page("Service", None) == Page((), "9", "more")


def test_a_page_leaves_out_what_is_over_or_of_no_interest() -> None:
    pods = [{"metadata": META, "status": status} for status in (RUNNING, OVER)]
    names = [{"metadata": {"name": name}} for name in ("prod", "other")]

    assert page("Pod", pods) == Page((Pod("prod", "web", "u", 7, ("10.1.0.1",)),), "9", "more", 2)
    assert page("Namespace", names, frozenset({"prod"})) == Page(
        (Namespace("prod"),), "9", "more", 1
    )


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"items": 7}'])
def test_a_page_of_something_else_is_a_broken_transport(body: bytes) -> None:
    assert isinstance(read_page("Service", body), Broken)


def test_a_refusal_is_read_from_a_status_or_from_words() -> None:
    body = json.dumps({"reason": "TooManyRequests", "message": "m"}).encode()

    assert read_refusal(429, body, "7") == Refused(429, "TooManyRequests", "m", retry_after=7.0)
    assert read_refusal(429, b"slow down\n", "7") == Refused(429, text="slow down", retry_after=7.0)
    assert read_refusal(503, b"\xff", "soon").retry_after == 0
