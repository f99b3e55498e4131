"""Objects with resourceVersions and a history, as an API server keeps them. Knows no HTTP, no time.

Objects are JSON-like dictionaries of the Kubernetes API; nothing is validated, so that a test may
store what a server would refuse.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, TypeAlias

from msgspec import Struct

from kdns.kube.selectors import Selector

Json: TypeAlias = dict[str, Any]
Name: TypeAlias = tuple[str, str, str]
"""Kind, namespace and name."""


class Expired(Exception):
    """The history does not reach back so far: 410."""


class TooNew(Exception):
    """The version has not happened yet: ResourceVersionTooLarge."""


class Where(Struct, frozen=True):
    """Which objects of a kind are meant."""

    namespace: str = ""
    labels: str = ""
    fields: str = ""

    def matches(self, item: Json) -> bool:
        """Whether an object is selected."""
        meta = item["metadata"]
        if self.namespace and meta.get("namespace") != self.namespace:
            return False
        if not Selector.parse(self.labels).matches(meta.get("labels") or {}):
            return False
        return all(_field(item, term) for term in self.fields.split(",") if term)


class Event(Struct, frozen=True):
    """One thing that happened; ``item`` and ``before`` are ``None`` where there is no object."""

    version: int
    name: Name
    item: Json | None
    before: Json | None

    def seen_by(self, where: Where) -> tuple[str, Json] | None:
        """Return type and object as a selecting watcher sees them: leaving is DELETED."""
        was = self.before is not None and where.matches(self.before)
        if self.item is not None and where.matches(self.item):
            return ("MODIFIED" if was else "ADDED"), self.item
        if not was:
            return None
        last = deepcopy(self.item or self.before or {})
        last["metadata"]["resourceVersion"] = str(self.version)
        return "DELETED", last


class History:
    """The objects of a cluster, and the events that led to them as far as they are remembered."""

    def __init__(self, keep: int = 1000) -> None:
        """Remember the last ``keep`` events."""
        self.version: int = 1
        self.objects: dict[Name, Json] = {}
        self._keep = keep
        self._events: list[Event] = []
        self._oldest = 1
        self._uids = 0

    def apply(self, item: Json) -> Json:
        """Create or replace an object; one that is equal to what there is changes nothing."""
        item = deepcopy(item)
        meta = item.setdefault("metadata", {})
        name = (item["kind"], meta.get("namespace", ""), meta["name"])
        before = self.objects.get(name)
        meta["uid"] = before["metadata"]["uid"] if before else self._uid()
        meta["resourceVersion"] = before["metadata"]["resourceVersion"] if before else ""
        if item == before:
            return before
        meta["resourceVersion"] = str(self.version + 1)
        self._happened(name, item, before)
        return item

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object; ``KeyError`` when there is none."""
        key = (kind, namespace, name)
        self._happened(key, None, self.objects[key])

    def forget(self) -> None:
        """Forget all events, as a compaction does: every older version has expired."""
        self._events, self._oldest = [], self.version

    def rewind(self, versions: int) -> None:
        """Go back in versions with the objects as they are, as a restored backup does."""
        self.forget()
        self.version = self._oldest = max(self.version - versions, 1)

    def all(self, kind: str, where: Where, version: int | None = None) -> list[Json]:
        """Return the selected objects in the order of their names, now or as of a version."""
        objects = self.objects if version is None else self._as_of(version)
        found = sorted(name for name in objects if name[0] == kind)
        return [objects[name] for name in found if where.matches(objects[name])]

    def since(self, version: int) -> Iterator[Event]:
        """Yield what happened after a version."""
        if version < self._oldest:
            raise Expired(f"too old resource version: {version} ({self._oldest})")
        return (event for event in self._events if event.version > version)

    def _as_of(self, version: int) -> dict[Name, Json]:
        if version > self.version:
            raise TooNew(f"Too large resource version: {version}, current: {self.version}")
        objects = dict(self.objects)
        for event in reversed(list(self.since(version))):
            if event.before is None:
                del objects[event.name]
            else:
                objects[event.name] = event.before
        return objects

    def _happened(self, name: Name, item: Json | None, before: Json | None) -> None:
        self.version += 1
        if item is None:
            del self.objects[name]
        else:
            self.objects[name] = item
        self._events.append(Event(self.version, name, item, before))
        if len(self._events) > self._keep:
            self._oldest = self._events.pop(0).version

    def _uid(self) -> str:
        self._uids += 1
        return f"00000000-0000-4000-8000-{self._uids:012}"


def _field(item: Json, term: str) -> bool:
    path, _, wanted = term.replace("==", "=").partition("=")
    found: Any = item
    for step in path.removesuffix("!").split("."):
        found = found.get(step, "") if isinstance(found, dict) else ""
    return bool(found == wanted) != path.endswith("!")
