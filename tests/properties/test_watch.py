"""Any cut, re-list or repeat leaves the folded changes equal to the objects of the server.

The server is ``kdns.testing``'s history without HTTP; its lines are decoded as if from the wire.
"""

import json
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from kdns.kube.changes import Apply, Change, Delete, Init, InitDone
from kdns.kube.decode import INITIAL_EVENTS_END, read_event, read_page, read_refusal
from kdns.kube.exchange import (
    Broken,
    Ended,
    List,
    Opened,
    Refused,
    Reply,
    Request,
    Seen,
    Silent,
    Trouble,
    Watch,
)
from kdns.kube.objects import Key, Object
from kdns.kube.watch import At, Pace, start, step
from kdns.testing.history import Expired, History, Json, TooNew, Where

PACE = Pace(page=2)
EVERYTHING = Where()
ALWAYS = ("prod", "always")


class Fold:
    """What a store does, in as few words as possible."""

    def __init__(self) -> None:
        self.live: dict[Key, Object] = {}
        self.incoming: dict[Key, Object] | None = None
        self.synced = False

    def apply(self, change: Change) -> None:
        objects = self.live if self.incoming is None else self.incoming
        match change:
            case Init():
                self.incoming = {}
            case InitDone():
                self.live, self.incoming, self.synced = self.incoming or {}, None, True
            case Apply(item):
                objects[item.key] = item
            case Delete(_, key, uid):
                if key in objects and objects[key].uid == uid:
                    del objects[key]


def line(event: str, item: Json) -> Reply:
    return read_event("Service", json.dumps({"type": event, "object": item}).encode())


def bookmark(version: int, annotations: dict[str, str]) -> Reply:
    meta = {"resourceVersion": str(version), "annotations": annotations}
    return line("BOOKMARK", {"metadata": meta})


def status(code: int, reason: str, *, streamed: bool = False) -> Refused:
    said = {"code": code, "reason": reason, "message": reason}
    if streamed:
        refused = line("ERROR", said)
        assert isinstance(refused, Refused)
        return refused
    return read_refusal(code, json.dumps(said).encode())


class World:
    """A server, one watcher and the fold behind it; one move at a time."""

    def __init__(self, *, watch_list: bool, statuses: bool) -> None:
        self.history = History(keep=4)
        self.fold = Fold()
        self.now = 0.0
        self.watch_list = watch_list
        self.statuses = statuses
        self.pages: list[tuple[int, list[Json]]] = []
        self.put("always", 0)
        self.following = start("Service", At(0.0, 0.0), PACE)
        self.replies = self.answer()
        self.last: Reply | None = None

    def put(self, name: str, address: int) -> None:
        meta = {"namespace": "prod", "name": name}
        spec = {"clusterIPs": [f"10.0.0.{address}"]}
        self.history.apply({"kind": "Service", "metadata": meta, "spec": spec})

    def remove(self, name: str) -> None:
        if ("Service", "prod", name) in self.history.objects:
            self.history.delete("Service", "prod", name)

    def forget(self) -> None:
        self.history.apply({"kind": "Event", "metadata": {"name": str(self.history.version)}})
        self.history.forget()
        self.pages.clear()

    def deliver(self) -> bool:
        """Let the next reply arrive; tell whether there was one."""
        reply = next(self.replies, None)
        if reply is None:
            self.replies = self.follow()
            reply = next(self.replies, None)
        if reply is not None:
            self.take(reply)
        return reply is not None

    def repeat(self) -> None:
        if self.last is not None and self.following.request is None:
            self.take(self.last)

    def take(self, reply: Reply) -> None:
        self.now += 0.1
        after = step(self.following.state, reply, At(self.now, 0.0), PACE)
        for change in after.changes:
            self.fold.apply(change)
        asks = after.request is not None
        self.last = None if asks or isinstance(reply, Opened) else reply
        if asks:
            self.now += after.delay
            self.following, self.replies = after, self.answer(after.request)
        else:
            self.following = after
        assert not self.fold.synced or ALWAYS in self.fold.live

    def answer(self, request: Request | None = None) -> Iterator[Reply]:
        request = request or self.following.request
        match request:
            case List(limit, token):
                yield self.page(limit, token)
            case Watch(version, initial=True):
                yield from self.stream(int(version or "0"))
            case Watch(version):
                yield from self.open(int(version))
            case None:
                raise AssertionError("nothing was asked")

    def page(self, limit: int, token: str) -> Reply:
        if token and not self.pages:
            return status(410, "Expired")
        now = self.history.version, self.history.all("Service", EVERYTHING)
        version, items = self.pages.pop() if token else now
        rest = items[limit:] if limit else []
        if rest:
            self.pages.append((version, rest))
        meta = {"resourceVersion": str(version), "continue": "more" if rest else ""}
        body = {"metadata": meta, "items": items[: limit or None] or None}
        return read_page("Service", json.dumps(body).encode())

    def stream(self, version: int) -> Iterator[Reply]:
        if not self.watch_list:
            yield status(422, "Invalid")
            return
        assert version <= self.history.version
        items, self.cursor = self.history.all("Service", EVERYTHING), self.history.version
        yield Opened()
        for item in items:
            yield line("ADDED", item)
        yield bookmark(self.cursor, {INITIAL_EVENTS_END: "true"})

    def open(self, version: int) -> Iterator[Reply]:
        self.cursor = version
        if self.statuses:
            try:
                self.history.since(version)
            except Expired:
                yield status(410, "Expired")
                return
        yield Opened()

    def follow(self) -> Iterator[Reply]:
        try:
            for event in list(self.history.since(self.cursor)):
                self.cursor = event.version
                seen = event.seen_by(EVERYTHING) if event.name[0] == "Service" else None
                yield line(*seen) if seen else bookmark(event.version, {})
        except (Expired, TooNew):
            yield status(410, "Expired", streamed=True)


NAMES = st.sampled_from("abc")
TROUBLES: st.SearchStrategy[Trouble] = st.sampled_from(
    [
        Broken("refused", unreachable=True),
        Broken("reset"),
        Silent(),
        Ended(),
        Refused(401),
        Refused(403),
        Refused(429, retry_after=1),
        Refused(500),
        Refused(500, streamed=True),
        Refused(504, causes=("ResourceVersionTooLarge",)),
    ]
)
MOVES = st.one_of(
    st.tuples(st.just("put"), NAMES, st.integers(0, 3)),
    st.tuples(st.just("remove"), NAMES),
    st.tuples(st.just("forget")),
    st.tuples(st.just("deliver")),
    st.tuples(st.just("deliver")),
    st.tuples(st.just("repeat")),
    st.tuples(st.just("take"), TROUBLES),
)


@given(watch_list=st.booleans(), statuses=st.booleans(), moves=st.lists(MOVES, max_size=60))
def test_it_ends_where_the_server_is(
    *, watch_list: bool, statuses: bool, moves: list[tuple[object, ...]]
) -> None:
    world = World(watch_list=watch_list, statuses=statuses)
    for move, *arguments in moves:
        getattr(world, str(move))(*arguments)
    while world.deliver():
        pass

    assert world.fold.live == dict(map(entry, world.history.all("Service", EVERYTHING)))


def entry(item: Json) -> tuple[Key, Object]:
    reply = line("ADDED", item)
    assert isinstance(reply, Seen)
    return reply.object.key, reply.object


@given(st.binary(max_size=300))
def test_any_line_is_a_reply(data: bytes) -> None:
    assert read_event("EndpointSlice", data) is not None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_any_object_is_used_or_skipped(value: object) -> None:
    for name in ("metadata", "spec", "endpoints", "ports", "status"):
        read_event("EndpointSlice", json.dumps({"type": "ADDED", "object": {name: value}}).encode())
        read_page("Pod", json.dumps({"items": [{name: value}], "metadata": {}}).encode())
