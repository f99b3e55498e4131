from math import inf

import pytest
from msgspec.structs import replace

from kdns.kube.changes import Apply, Delete, Init, InitDone
from kdns.kube.exchange import (
    Bookmark,
    Broken,
    Ended,
    List,
    Lost,
    Opened,
    Page,
    Refused,
    Reply,
    Request,
    Seen,
    Silent,
    Skipped,
    Trouble,
    Watch,
)
from kdns.kube.objects import Namespace
from kdns.kube.watch import At, Listing, Pace, Past, State, Step, Streaming, Watching, start, step

PACE = Pace()
NOW = 1000.0
A, B = Namespace("a", "ua", 11), Namespace("b", "ub", 12)
GONE = Delete("Namespace", ("", "a"), "ua", 13)

FIRST = Past("Namespace", NOW - 50)
PAST = Past("Namespace", NOW - 50, "10")
STREAMING = Streaming(PAST, opened=True)
WATCHING = Watching(PAST, opened=NOW - 10)
LISTING = Listing(PAST)

REFUSED = Broken("refused", unreachable=True)
RESET = Broken("reset")
TOO_NEW = Refused(504, "Timeout", causes=("ResourceVersionTooLarge",), retry_after=1)


def at(state: State, reply: Reply, luck: float = 0.0) -> Step:
    return step(state, reply, At(NOW, luck), PACE)


def watch(version: str, *, initial: bool = False) -> Watch:
    return Watch(version, 300, initial)


EVERYTHING, SINCE, FRESH = watch("10", initial=True), watch("10"), watch("", initial=True)
PAGES, WHOLE = List(500), List(0)


def test_it_begins_with_everything_there_is() -> None:
    begun = start("Namespace", At(NOW, 0.5), PACE)

    assert begun == Step(Streaming(Past("Namespace", NOW)), request=Watch("", 450, initial=True))


@pytest.mark.parametrize(
    ("reply", "version", "changes"),
    [
        (Seen(A, "11", added=True), "11", (Apply(A),)),
        (Seen(A, "12"), "12", (Apply(A),)),
        (Lost(GONE, "13"), "13", (GONE,)),
        (Bookmark("14"), "14", ()),
        (Skipped("15", problem="nonsense"), "15", ()),
        (Skipped(problem="not even a version"), "10", ()),
    ],
)
def test_an_event_of_a_watch_moves_the_version(
    reply: Reply, version: str, changes: tuple[object, ...]
) -> None:
    after = at(WATCHING, reply)

    moved = Watching(replace(PAST, version=version, heard=NOW), NOW - 10, 1)
    assert after == Step(moved, changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reply", "changes"),
    [
        (Seen(B, "12", added=True), (Apply(B),)),
        (Seen(B, "12"), (Apply(B),)),
        (Lost(GONE, "13"), (GONE,)),
        (Bookmark("14"), ()),
        (Bookmark("", complete=True), ()),
        (Skipped("15"), ()),
    ],
)
def test_initial_events_never_move_the_version(reply: Reply, changes: tuple[object, ...]) -> None:
    assert at(STREAMING, reply) == Step(STREAMING, changes)  # type: ignore[arg-type]


def test_a_list_opens_with_the_reply_and_not_with_the_request() -> None:
    assert at(Streaming(FIRST), Opened()).changes == (Init("Namespace"),)
    assert at(Streaming(FIRST), REFUSED).changes == ()


def test_the_end_of_the_initial_events_completes_the_list_on_the_same_stream() -> None:
    after = at(STREAMING, Bookmark("20", complete=True))

    past = replace(PAST, version="20", heard=NOW)
    assert after == Step(Watching(past, NOW), (InitDone("Namespace"),))


def test_pages_follow_each_other_and_then_a_watch() -> None:
    first = at(LISTING, Page((A,), "20", "more"))
    last = at(first.state, Page((B,), "21"))

    assert (first.changes, first.request) == ((Init("Namespace"), Apply(A)), List(500, "more"))
    assert (last.changes, last.request) == ((Apply(B), InitDone("Namespace")), watch("20"))
    assert last.state == Watching(replace(PAST, version="20", heard=NOW), inf)


FAILED = replace(PAST, failures=1, failed=NOW - 5)
EXPIRED = replace(FAILED, expired=NOW - 5)
STARTING = replace(PAST, failures=7, failed=NOW - 1, unreached=NOW - 5)
UNREACHED = replace(FAILED, unreachable=True)
OFTEN = replace(PAST, failures=9, failed=NOW - 5)
LONG_AGO = replace(PAST, failures=9, failed=NOW - 121)
DEAF = replace(PAST, heard=NOW - 180)

TROUBLES: dict[str, tuple[State, Trouble, Request, float]] = {
    # Every transport error resumes the watch before anything is listed.
    "reset": (WATCHING, RESET, SINCE, 0.0),
    "refused": (WATCHING, REFUSED, SINCE, 0.0),
    "reset again": (Watching(FAILED), RESET, SINCE, 0.8),
    "reset often": (Watching(OFTEN), RESET, SINCE, 30.0),
    "reset after a quiet time": (Watching(LONG_AGO), RESET, SINCE, 0.0),
    "a server that is back": (Watching(replace(OFTEN, unreachable=True)), RESET, SINCE, 0.8),
    "unreachable again": (Watching(UNREACHED), REFUSED, SINCE, 0.8),
    "silence": (WATCHING, Silent(), SINCE, 0.0),
    "regular end": (WATCHING, Ended(), SINCE, 0.0),
    # The very short watch: 200 and an immediate end is how some servers say "expired".
    "short and empty": (Watching(FAILED, NOW - 0.9), Ended(), EVERYTHING, 0.8),
    "short but useful": (Watching(FAILED, NOW - 0.9, 1), Ended(), SINCE, 0.8),
    # Watches from the future: 200, and silence for ever.
    "deaf, silent": (Watching(DEAF, NOW - 90), Silent(), FRESH, 0.0),
    "deaf, ended": (Watching(DEAF, NOW - 90), Ended(), FRESH, 0.0),
    "deaf, refused": (Watching(DEAF), REFUSED, FRESH, 0.0),
    # 410 in both forms lists at once, but not again and again.
    "410": (WATCHING, Refused(410, "Gone"), EVERYTHING, 0.0),
    "410 event": (WATCHING, Refused(410, "Expired", streamed=True), EVERYTHING, 0.0),
    "410 after a reset": (Watching(FAILED), Refused(410, "Gone"), EVERYTHING, 0.0),
    "410 again": (Watching(EXPIRED), Refused(410, "Expired", streamed=True), EVERYTHING, 0.8),
    # A server that could not be reached a moment ago may refuse while it starts.
    "403 of a starting server": (Watching(STARTING), Refused(403), SINCE, 0.8),
    "too new": (WATCHING, TOO_NEW, FRESH, 1.0),
    # 429 is obeyed, with and without advice.
    "429": (WATCHING, Refused(429), SINCE, 0.8),
    "429 and advice": (WATCHING, Refused(429, retry_after=7), SINCE, 7.0),
    "429 event": (WATCHING, Refused(429, streamed=True), SINCE, 0.8),
    "429 and bad advice": (WATCHING, Refused(429, retry_after=86400), SINCE, 60.0),
    "advice below the back-off": (Watching(OFTEN), Refused(429, retry_after=1), SINCE, 30.0),
    # No right, no server: the version is still good.
    "401": (WATCHING, Refused(401), SINCE, 0.0),
    "401 again": (Watching(FAILED), Refused(401), SINCE, 0.8),
    "403": (Watching(FAILED), Refused(403), SINCE, 0.8),
    "500": (Watching(FAILED), Refused(500), SINCE, 0.8),
    "503": (Watching(FAILED), Refused(503), SINCE, 0.8),
    "504": (Watching(FAILED), Refused(504), SINCE, 0.8),
    # These speak of the version, or of a stream that was given up.
    "400": (Watching(FAILED), Refused(400), EVERYTHING, 0.8),
    "500 event": (Watching(FAILED), Refused(500, streamed=True), EVERYTHING, 0.8),
    # While the initial events are awaited.
    "initial refused": (Streaming(FAILED), REFUSED, EVERYTHING, 0.8),
    "initial, fresh, refused": (Streaming(UNREACHED, fresh=True), REFUSED, FRESH, 0.8),
    "initial broken off": (Streaming(FAILED, opened=True), RESET, PAGES, 0.8),
    "initial ended": (STREAMING, Ended(), PAGES, 0.0),
    "initial silent": (STREAMING, Silent(), PAGES, 0.0),
    "initial 410": (Streaming(PAST), Refused(410), FRESH, 0.0),
    "initial 410 again": (Streaming(FAILED), Refused(410), FRESH, 0.8),
    "initial too new": (Streaming(PAST), TOO_NEW, FRESH, 1.0),
    "initial 429": (Streaming(PAST), Refused(429, retry_after=3), EVERYTHING, 3.0),
    "initial 401": (Streaming(FAILED), Refused(401), EVERYTHING, 0.8),
    "initial 403": (Streaming(FAILED), Refused(403), EVERYTHING, 0.8),
    "initial 422": (Streaming(PAST), Refused(422, "Invalid"), PAGES, 0.0),
    "initial 500 event": (STREAMING, Refused(500, streamed=True), PAGES, 0.0),
    # While a page is awaited.
    "page broken": (Listing(FAILED), RESET, EVERYTHING, 0.8),
    "page silent": (Listing(FAILED), Silent(), EVERYTHING, 0.8),
    "page 500": (Listing(FAILED), Refused(500), EVERYTHING, 0.8),
    "page 429": (Listing(PAST), Refused(429, retry_after=3), EVERYTHING, 3.0),
    "page 410": (Listing(FAILED), Refused(410), FRESH, 0.8),
    "later page 410": (Listing(PAST, "9"), Refused(410), WHOLE, 0.0),
    "everything at once 410": (Listing(FAILED, whole=True), Refused(410), FRESH, 0.8),
    "page too new": (Listing(PAST), TOO_NEW, FRESH, 1.0),
}


@pytest.mark.parametrize(("state", "trouble", "request_", "delay"), TROUBLES.values(), ids=TROUBLES)
def test_after_trouble(state: State, trouble: Trouble, request_: Request, delay: float) -> None:
    after = at(state, trouble)

    assert (after.request, after.delay, after.changes) == (request_, delay, ())


def test_a_list_without_a_version_is_no_list() -> None:
    after = at(Listing(FAILED), Page((A,), ""))

    assert (after.changes, after.request, after.delay) == ((), EVERYTHING, 0.8)


def test_back_off_doubles_up_to_its_ceiling_and_jitter_at_most_doubles_it() -> None:
    state: State = WATCHING
    delays, lucky = [], []
    for _ in range(9):
        after = at(state, RESET)
        delays.append(after.delay)
        lucky.append(at(state, RESET, luck=0.5).delay)
        state = after.state

    assert delays == pytest.approx([0, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30])
    assert lucky == pytest.approx([1.5 * delay for delay in delays])


def test_old_servers_tell_too_new_versions_in_words() -> None:
    assert Refused(504, text="Too large resource version: 9, current: 5").too_new
    assert not Refused(504, text="etcd does not answer").too_new


@pytest.mark.parametrize(
    ("state", "reply"),
    [(WATCHING, Page((), "1")), (STREAMING, Page((), "1")), (LISTING, Opened())],
)
def test_a_reply_to_another_request_is_a_bug(state: State, reply: Reply) -> None:
    with pytest.raises(AssertionError):
        at(state, reply)
