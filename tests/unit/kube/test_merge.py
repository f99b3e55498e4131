from kdns.kube.changes import Apply, Change, Delete, Init, InitDone
from kdns.kube.merge import Merger
from kdns.kube.objects import Service

A, B = Service("a", "web", "ua", 1), Service("b", "web", "ub", 2)
INIT, DONE = Init("Service"), InitDone("Service")


def merged(merger: Merger, *fed: tuple[str, Change]) -> list[Change]:
    return [change for scope, one in fed for change in merger.feed(scope, one)]


def settled() -> Merger:
    merger = Merger("Service", "ab")
    merged(merger, ("a", INIT), ("a", Apply(A)), ("a", DONE), ("b", INIT), ("b", DONE))
    return merger


def test_the_first_list_is_complete_when_all_are() -> None:
    merger = Merger("Service", "ab")
    first = merged(merger, ("a", INIT), ("b", INIT), ("a", Apply(A)), ("a", DONE))
    second = merged(merger, ("b", Apply(B)), ("b", DONE))

    assert first == []
    assert second == [INIT, Apply(A), Apply(B), DONE]


def test_what_happens_before_that_is_not_lost() -> None:
    merger = Merger("Service", "ab")
    merged(merger, ("a", INIT), ("a", Apply(A)), ("a", DONE), ("b", INIT))
    newer = Service("a", "web", "ua", 3)
    merged(merger, ("a", Apply(newer)), ("b", Apply(B)), ("b", Delete("Service", B.key, "ub")))

    assert merged(merger, ("b", DONE)) == [INIT, Apply(newer), DONE]


def test_a_list_that_begins_again_forgets_its_beginning() -> None:
    merger = Merger("Service", "a")
    merged(merger, ("a", INIT), ("a", Apply(A)), ("a", INIT))

    assert merged(merger, ("a", DONE)) == [INIT, DONE]


def test_single_changes_pass() -> None:
    gone = Delete("Service", A.key, "ua")

    assert merged(settled(), ("b", Apply(B)), ("a", gone)) == [Apply(B), gone]


def test_a_later_list_is_what_it_changes() -> None:
    merger = settled()
    new = Service("a", "new", "un", 5)
    collected = merged(merger, ("a", INIT), ("a", Apply(A)), ("a", Apply(new)))

    assert collected == []
    assert merged(merger, ("a", DONE)) == [Apply(new)]
    assert merged(merger, ("a", INIT), ("a", Apply(new)), ("a", DONE)) == [
        Delete("Service", A.key, "ua")
    ]


def test_a_late_delete_leaves_another_incarnation_alone() -> None:
    merger = settled()
    merged(merger, ("a", Delete("Service", A.key, "older")))

    assert merged(merger, ("a", INIT), ("a", DONE)) == [Delete("Service", A.key, "ua")]


def test_a_forbidden_scope_is_empty_until_it_is_not() -> None:
    merger = Merger("Service", "ab")
    merged(merger, ("a", INIT), ("a", Apply(A)), ("a", DONE))

    assert list(merger.excuse("b")) == [INIT, Apply(A), DONE]
    assert list(merger.excuse("b")) == []
    assert merged(merger, ("b", INIT), ("b", Apply(B)), ("b", DONE)) == [Apply(B)]


def test_if_nothing_may_be_listed_nothing_is_known() -> None:
    merger = Merger("Service", "ab")

    assert [*merger.excuse("a"), *merger.excuse("b")] == []
