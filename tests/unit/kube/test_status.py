import pytest

from kdns.kube.exchange import (
    Bookmark,
    Broken,
    Ended,
    Opened,
    Page,
    Refused,
    Reply,
    Seen,
    Silent,
    Skipped,
)
from kdns.kube.objects import Namespace
from kdns.kube.resources import RESOURCES, Target
from kdns.kube.status import Status, observe, progress, seen_at
from kdns.kube.watch import At, Pace, Step, start, step

SLICES = Target(RESOURCES["EndpointSlice"])
ADDED = Seen(Namespace("a"), "1", added=True)
COMPLETE = Bookmark("1", complete=True)
RULE = "{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}"
FORBIDDEN = (
    "cannot watch endpointslices.discovery.k8s.io at the cluster scope:"
    f" our account needs {RULE} in a ClusterRole bound to it"
)
SYNC = (Opened(), ADDED, ADDED, COMPLETE)


def after(*replies: Reply, target: Target = SLICES) -> Status:
    """Return the status after replies that came in the seconds 1, 2, 3 ..."""
    status = Status(target.kind, target.resource.name, target.namespace)
    following: Step = start(target.kind, At(0.0, 0.0), Pace())
    for now, reply in enumerate(replies, 1):
        before = following.state
        following = step(before, reply, At(float(now), 0.0), Pace())
        new = observe(status, target, before, reply, following)
        status = seen_at(status, new, reply, float(now))
    return status


def test_it_syncs_and_lives() -> None:
    assert (after(*SYNC[:3]).state, after(*SYNC[:3]).objects) == ("syncing", 2)
    found = after(*SYNC)
    assert (found.state, found.since, found.heard, found.synced) == ("live", 4.0, 4.0, True)
    assert after(*SYNC, Bookmark("2")).heard == 5.0


def test_trouble_is_stale_since_the_last_proof_and_not_since_the_trouble() -> None:
    found = after(*SYNC, Bookmark("2"), Opened(), Broken("x", unreachable=True))

    assert (found.state, found.since, found.heard) == ("stale", 5.0, 5.0)
    assert (found.trouble, found.error) == ("the API server cannot be reached", "x")
    assert found.synced


def test_trouble_before_the_first_list_is_still_syncing() -> None:
    assert after(Broken("x")).state == "syncing"
    assert not after(Broken("x")).known


def test_an_accepted_watch_is_life_but_not_after_silence() -> None:
    assert after(*SYNC, Broken("x"), Opened()).state == "live"
    assert after(*SYNC, Silent(), Opened()).state == "stale"
    assert after(*SYNC, Silent(), Opened(), Bookmark("2")).state == "live"


def test_to_be_read_in_pages_is_no_trouble() -> None:
    assert not after(Refused(422, "Invalid")).trouble


def test_a_regular_end_is_no_trouble() -> None:
    assert after(*SYNC, Ended()).state == "live"


def test_counts() -> None:
    bad = Skipped("3", added=True, problem="?")
    relisted = (Refused(410), Opened(), ADDED, COMPLETE)
    found = after(*SYNC, bad, Broken("x"), Opened(), *relisted)

    assert (found.objects, found.undecodable) == (1, 1)
    assert (found.relists, found.restarts) == (1, 1)
    assert after(Refused(422), Page((), "1", "", 5, ("?",))).undecodable == 1
    assert after(Refused(422), Page((), "1", "", 5, ("?",))).objects == 5


@pytest.mark.parametrize(
    ("code", "trouble"),
    [
        (401, "the API server does not accept our token or certificate"),
        (403, FORBIDDEN),
        (404, "the API server has no endpointslices.discovery.k8s.io"),
        (410, "the watch is too old to be resumed"),
        (429, "the API server has too much to do"),
        (503, "the API server answers with status 503"),
    ],
)
def test_trouble_has_words(code: int, trouble: str) -> None:
    found = after(Refused(code, "Reason", "message"))

    assert (found.trouble, found.error) == (trouble, f"{code} Reason: message")
    assert found.forbidden == (code == 403)


@pytest.mark.parametrize(
    ("replies", "verb"),
    [
        pytest.param((Refused(403),), "watch", id="streaming"),
        pytest.param((*SYNC, Refused(403)), "watch", id="watching"),
        pytest.param((Refused(422), Refused(403)), "list", id="listing"),
    ],
)
def test_the_verb_that_was_refused_is_named(replies: tuple[Reply, ...], verb: str) -> None:
    assert after(*replies).trouble.startswith(f"cannot {verb} endpointslices")


@pytest.mark.parametrize(
    ("user", "named"),
    [
        ("system:serviceaccount:kube-system:coredns", "ServiceAccount kube-system/coredns"),
        ("system:serviceaccount:odd", "user system:serviceaccount:odd"),
        ("jane", "user jane"),
    ],
)
def test_whoever_lacks_a_permission_is_named(user: str, named: str) -> None:
    services = Target(RESOURCES["Service"], "shop")
    text = f'services is forbidden: User "{user}" cannot watch resource "services"'

    assert after(Refused(403, "Forbidden", text), target=services).trouble == (
        f"cannot watch services in namespace shop: {named} needs"
        ' {apiGroups: [""], resources: [services], verbs: [list, watch]}'
        " in a Role in shop bound to it"
    )


def test_progress_is_a_line() -> None:
    web = Target(RESOURCES["Service"], "web")
    statuses = [after(*SYNC), after(*SYNC[:2], target=web), after(Broken("x"))]

    assert progress(statuses, 1.25) == (
        "syncing 1.2 s: endpointslices 2, web/services 1...,"
        " endpointslices 0 (the connection broke)"
    )
