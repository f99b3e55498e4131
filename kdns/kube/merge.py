"""Several collections of one kind as one stream. Knows no sockets, threads, clock or DNS.

With only a Role in each namespace there is a list per namespace, but the store takes one list per
kind. So the first one is put together here, and a later list of one namespace becomes the single
changes that it amounts to.
"""

from collections.abc import Iterable, Iterator

from kdns.kube.changes import Apply, Change, Delete, Init, InitDone
from kdns.kube.objects import Key, Kind, Object


class Merger:
    """The collections of one kind, by namespace."""

    def __init__(self, kind: Kind, scopes: Iterable[str]) -> None:
        """Expect a complete list from each of these scopes."""
        self._kind = kind
        self._missing = set(scopes)
        self._settled = False
        self._live: dict[str, dict[Key, Object]] = {}
        self._incoming: dict[str, dict[Key, Object]] = {}

    def feed(self, scope: str, change: Change) -> Iterator[Change]:
        """Take in a change of one scope and yield what it means for the whole."""
        match change:
            case Init():
                self._incoming[scope] = {}
            case InitDone():
                yield from self._completed(scope)
            case _ if scope in self._incoming:
                _fold(self._incoming[scope], change)
            case _:
                _fold(self._live.setdefault(scope, {}), change)
                if self._settled:
                    yield change

    def excuse(self, scope: str) -> Iterator[Change]:
        """Wait no longer for a scope that may not be listed: it counts as empty until it may."""
        self._missing.discard(scope)
        yield from self._settle()

    def _completed(self, scope: str) -> Iterator[Change]:
        before = self._live.get(scope, {})
        after = self._live[scope] = self._incoming.pop(scope, {})
        self._missing.discard(scope)
        if self._settled:
            yield from _difference(before, after)
        else:
            yield from self._settle()

    def _settle(self) -> Iterator[Change]:
        """Open the whole as soon as every scope is known; that none may be listed is no list."""
        if self._settled or self._missing or not self._live:
            return
        self._settled = True
        yield Init(self._kind)
        for scope in self._live.values():
            yield from map(Apply, scope.values())
        yield InitDone(self._kind)


def _fold(objects: dict[Key, Object], change: Change) -> None:
    match change:
        case Apply(item):
            objects[item.key] = item
        case Delete(_, key, uid):
            before = objects.get(key)
            if before is not None and uid in {"", before.uid}:
                del objects[key]
        case Init() | InitDone():
            raise AssertionError("a list is not folded into another")


def _difference(before: dict[Key, Object], after: dict[Key, Object]) -> Iterator[Change]:
    for key in before.keys() - after.keys():
        yield Delete(before[key].KIND, key, before[key].uid)
    for key, item in after.items():
        if before.get(key) != item:
            yield Apply(item)
