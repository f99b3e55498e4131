"""How one resource is listed and watched: replies in, changes and the next request out.

Knows no sockets, threads, clock or randomness: time and luck are arguments. Knows no DNS either.
Everything that decides when to list again, what to resume from and how long to wait is here.

``Streaming`` asks for a list as a watch (WatchList), ``Listing`` reads it in pages where the
server cannot do that, ``Watching`` follows the changes. The rules are those of client-go's
reflector, but for these, which DNS wants: a transport error resumes the watch where it was before
anything is listed again; a paged list never asks for the one huge body that resourceVersion=0
gives; silence is distrusted, since a server restored from a backup answers a watch from its future
with nothing at all.
"""

from http import HTTPStatus
from math import inf
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.kube.changes import Apply, Change, Init, InitDone
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
from kdns.kube.objects import Kind


class Pace(Struct, frozen=True):
    """How patient to be, in seconds."""

    first: float = 0.8
    """The second attempt after a failure waits this long; the first one waits for nothing."""
    ceiling: float = 30.0
    """No wait is longer, before jitter at most doubles it."""
    forget: float = 120.0
    """So long without a failure, and the next one counts as the first."""
    silence: float = 180.0
    """So long without an event or a bookmark, and nothing but a consistent list is believed."""
    short: float = 1.0
    """A watch that ends sooner without an event is a failure: its version may be unusable."""
    watch: float = 300.0
    """A watch is asked to last this long, and by luck up to twice as long."""
    settle: float = 10.0
    """So long after it could not be reached, a server may still be starting: it refuses what it
    will soon allow, and that is no reason to wait longer and longer."""
    obey: float = 60.0
    """Longest Retry-After that is obeyed to the letter."""
    page: int = 500
    """Objects in a page of a list."""


class At(Struct, frozen=True, gc=False):
    """The circumstances of a step."""

    now: float
    """Any clock that only goes forward."""
    luck: float
    """A fresh random number in [0, 1)."""


_DENIED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
_BUSY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


# -- states -----------------------------------------------------------------------------------


class Past(Struct, frozen=True, gc=False):
    """What outlives a state."""

    kind: Kind
    heard: float
    """When the last event, bookmark or complete list came."""
    version: str = ""
    """The resourceVersion to resume from; empty before the first list."""
    failures: int = 0
    failed: float = -inf
    unreachable: bool = False
    """Whether the last failure was of the kind that reaches nobody."""
    unreached: float = -inf
    """When the last failure of that kind was."""
    expired: float = -inf
    """When the version last turned out to be too old."""


class Streaming(Struct, frozen=True, gc=False):
    """Waiting for the initial events of a WatchList to end."""

    past: Past
    fresh: bool = False
    """Asked for the newest state, not for one at least as new as ``past.version``."""
    opened: bool = False


class Listing(Struct, frozen=True, gc=False):
    """Waiting for a page of a list."""

    past: Past
    version: str = ""
    """That of the first page; empty while it is awaited."""
    whole: bool = False


class Watching(Struct, frozen=True, gc=False):
    """Following a watch."""

    past: Past
    opened: float = inf
    events: int = 0


State: TypeAlias = Streaming | Listing | Watching


class Step(Struct, frozen=True, gc=False):
    """What comes of a reply."""

    state: State
    changes: tuple[Change, ...] = ()
    request: Request | None = None
    """What to send; ``None`` means to go on reading."""
    delay: float = 0.0
    """Wait this long before sending it."""


def start(kind: Kind, at: At, pace: Pace, delay: float = 0.0) -> Step:
    """Begin: nothing is known yet."""
    return _sync(Past(kind, at.now), at, pace, delay)


def step(state: State, reply: Reply, at: At, pace: Pace) -> Step:
    """Take in one reply."""
    match state:
        case Watching():
            return _watching(state, reply, at, pace)
        case Streaming():
            return _streaming(state, reply, at, pace)
        case Listing():
            return _listing(state, reply, at, pace)


def _watching(state: Watching, reply: Reply, at: At, pace: Pace) -> Step:
    match reply:
        case Seen(item, version, triggered=triggered):
            return Step(_moved(state, version, at, pace), (Apply(item, triggered),))
        case Lost(change, version):
            return Step(_moved(state, version, at, pace), (change,))
        case Skipped(version) | Bookmark(version):
            return Step(_moved(state, version, at, pace))
        case Opened():
            return Step(replace(state, opened=at.now))
        case Refused() | Ended() | Silent() | Broken():
            return _watch_troubled(state, reply, at, pace)
        case Page():
            raise _impossible(state, reply)


def _watch_troubled(state: Watching, trouble: Trouble, at: At, pace: Pace) -> Step:
    match trouble:
        case Refused():
            return _watch_refused(state.past, trouble, at, pace)
        case Broken(unreachable=unreachable):
            past, delay = _failed(state.past, at, pace, unreachable=unreachable)
            return _resume(past, at, pace, delay)
        case Silent():
            return _resume(state.past, at, pace)
        case Ended():
            return _watch_ended(state, at, pace)


def _watch_refused(past: Past, reply: Refused, at: At, pace: Pace) -> Step:
    if reply.expired and at.now - past.expired >= pace.settle:
        # After every restart of the server this is the normal case and no failure: the list is
        # read at once, but not again and again.
        return _sync(replace(past, expired=at.now), at, pace)
    after, delay = _failed(past, at, pace, floor=_floor(reply, pace))
    if reply.too_new:
        return _sync(after, at, pace, delay, fresh=True)
    if reply.expired:
        return _sync(replace(after, expired=at.now), at, pace, delay)
    if reply.code == HTTPStatus.TOO_MANY_REQUESTS:
        return _resume(after, at, pace, delay)
    # Other HTTP statuses than these speak of the request, so of its version; an ERROR event
    # speaks of a stream that the server gave up.
    passing = reply.code in _DENIED or reply.code >= HTTPStatus.INTERNAL_SERVER_ERROR
    if passing and not reply.streamed:
        return _resume(after, at, pace, delay)
    return _sync(after, at, pace, delay)


def _watch_ended(state: Watching, at: At, pace: Pace) -> Step:
    if at.now - state.opened >= pace.short:
        return _resume(state.past, at, pace)
    past, delay = _failed(state.past, at, pace)
    if state.events:
        return _resume(past, at, pace, delay)
    # kubernetes/kubernetes#104171: a version that the server cannot serve may be answered with
    # 200 and an immediate end. Only a list gets out of that.
    return _sync(past, at, pace, delay)


def _streaming(state: Streaming, reply: Reply, at: At, pace: Pace) -> Step:
    match reply:
        case Opened():
            return Step(replace(state, opened=True), (Init(state.past.kind),))
        case Seen(item):
            return Step(state, (Apply(item),))
        case Lost(change):
            return Step(state, (change,))
        case Bookmark(version, complete=True) if version:
            past = _listed(state.past, version, at)
            return Step(Watching(past, opened=at.now), (InitDone(past.kind),))
        # The initial events come in the order of their names, not of their versions: none of
        # these tells where to resume.
        case Skipped() | Bookmark():
            return Step(state)
        case Refused() | Ended() | Silent() | Broken():
            return _stream_troubled(state, reply, at, pace)
        case Page():
            raise _impossible(state, reply)


def _stream_troubled(state: Streaming, trouble: Trouble, at: At, pace: Pace) -> Step:
    match trouble:
        case Refused():
            return _stream_refused(state, trouble, at, pace)
        case Broken(unreachable=unreachable):
            past, delay = _failed(state.past, at, pace, unreachable=unreachable)
            if state.opened:
                return _list(past, pace, delay)
            return _sync(past, at, pace, delay, fresh=state.fresh)
        case Ended() | Silent():
            # Whoever ends, or forgets, the initial events does not know WatchList.
            return _list(state.past, pace)


def _stream_refused(state: Streaming, reply: Refused, at: At, pace: Pace) -> Step:
    past, delay = _failed(state.past, at, pace, floor=_floor(reply, pace))
    if reply.expired or reply.too_new:
        return _sync(past, at, pace, delay, fresh=True)
    if reply.code in _DENIED | _BUSY:
        return _sync(past, at, pace, delay, fresh=state.fresh)
    # 422 from servers that do not know sendInitialEvents, 500 from those whose etcd lacks
    # RequestWatchProgress (before 3.4.31 and 3.5.13), and whatever else a plain list may survive.
    return _list(state.past, pace)


def _listing(state: Listing, reply: Reply, at: At, pace: Pace) -> Step:
    match reply:
        case Page(version=version) if version or state.version:
            return _page(state, reply, at, pace)
        case Refused() if reply.expired and state.version:
            # The continue token has expired: now everything at once, however big.
            return Step(Listing(state.past, whole=True), request=List(0))
        case Refused():
            past, delay = _failed(state.past, at, pace, floor=_floor(reply, pace))
            return _sync(past, at, pace, delay, fresh=reply.expired or reply.too_new)
        case Broken() | Silent() | Ended() | Page():
            unreachable = isinstance(reply, Broken) and reply.unreachable
            past, delay = _failed(state.past, at, pace, unreachable=unreachable)
            return _sync(past, at, pace, delay)
        case Opened() | Seen() | Lost() | Skipped() | Bookmark():
            raise _impossible(state, reply)


def _page(state: Listing, page: Page, at: At, pace: Pace) -> Step:
    kind = state.past.kind
    changes: tuple[Change, ...] = tuple(Apply(item) for item in page.objects)
    if not state.version:
        changes = (Init(kind), *changes)
    # Pages that a server could not keep consistent are newer and newer: watching from the first
    # repeats some events, watching from the last would miss some.
    version = state.version or page.version
    if page.token:
        return Step(replace(state, version=version), changes, List(pace.page, page.token))
    past = _listed(state.past, version, at)
    return Step(Watching(past), (*changes, InitDone(kind)), _watch(version, at, pace))


def _listed(past: Past, version: str, at: At) -> Past:
    """Note a complete list. One with news is a success, and what failed before is over."""
    failures = past.failures if version == past.version else min(past.failures, 1)
    return replace(past, version=version, heard=at.now, failures=failures)


# -- where to go next -------------------------------------------------------------------------


def _sync(past: Past, at: At, pace: Pace, delay: float = 0.0, *, fresh: bool = False) -> Step:
    """Ask for everything, as a stream; ``fresh`` forgets the version, ``past`` keeps it."""
    request = _watch("" if fresh else past.version, at, pace, initial=True)
    return Step(Streaming(past, fresh=fresh), request=request, delay=delay)


def _list(past: Past, pace: Pace, delay: float = 0.0) -> Step:
    return Step(Listing(past), request=List(pace.page), delay=delay)


def _resume(past: Past, at: At, pace: Pace, delay: float = 0.0) -> Step:
    """Watch from where it was, unless that was too long ago to be believed."""
    if at.now - past.heard >= pace.silence:
        return _sync(past, at, pace, delay, fresh=True)
    return Step(Watching(past), request=_watch(past.version, at, pace), delay=delay)


def _watch(version: str, at: At, pace: Pace, *, initial: bool = False) -> Watch:
    # The spread keeps the watches of many clients from ending together.
    return Watch(version, int(pace.watch * (1 + at.luck)), initial)


def _moved(state: Watching, version: str, at: At, pace: Pace) -> Watching:
    past = replace(state.past, heard=at.now, version=version or state.past.version)
    if past.failures > 1 and at.now - state.opened >= pace.short:
        # The watch works: what failed before is over.
        past = replace(past, failures=1)
    return Watching(past, state.opened, state.events + 1)


def _failed(
    past: Past, at: At, pace: Pace, *, floor: float = 0.0, unreachable: bool = False
) -> tuple[Past, float]:
    """Count a failure and tell how long to wait.

    A server that answers again, with whatever, starts a new count: after a long outage it may
    still refuse for a moment, and nobody wants to wait half a minute then.
    """
    failures = past.failures
    if at.now - past.failed >= pace.forget:
        failures = 0
    elif unreachable != past.unreachable:
        failures = 1
    if settling(past, at, pace) and not unreachable:
        failures = min(failures, 1)
    # 2.0 ** 1024 overflows; the ceiling was reached long before.
    wait = min(pace.first * 2.0 ** min(failures - 1, 30), pace.ceiling) if failures else 0.0
    unreached = at.now if unreachable else past.unreached
    after = replace(
        past,
        failures=failures + 1,
        failed=at.now,
        unreachable=unreachable,
        unreached=unreached,
    )
    return after, max(wait * (1 + at.luck), floor)


def settling(past: Past, at: At, pace: Pace) -> bool:
    """Whether the server may still be starting."""
    return at.now - past.unreached < pace.settle


def _floor(reply: Refused, pace: Pace) -> float:
    asked = min(reply.retry_after, pace.obey)
    return asked or (pace.first if reply.code == HTTPStatus.TOO_MANY_REQUESTS else 0.0)


def _impossible(state: State, reply: Reply) -> AssertionError:
    return AssertionError(f"{type(reply).__name__} while {type(state).__name__}")
