"""Bytes of the API server to replies, one object at a time. Knows no sockets, clock or DNS.

Whatever the bytes, the result is a reply: an object that cannot be decoded is skipped and told of,
and never stands in the way of the others.
"""

from typing import Generic, TypeVar

from msgspec import DecodeError, Raw, Struct, ValidationError, field
from msgspec.json import Decoder

from kdns.kube.changes import Delete
from kdns.kube.exchange import Bookmark, Broken, Lost, Page, Refused, Reply, Seen, Skipped
from kdns.kube.objects import Key, Kind, Object
from kdns.kube.schema import SHAPES, Metadata, PodShape, Shape, trim

INITIAL_EVENTS_END = "k8s.io/initial-events-end"

S = TypeVar("S", bound=Shape)


class _Event(Struct, gc=False):
    type: str
    object: Raw


class _Change(Struct, Generic[S], gc=False):
    """An event read in one pass; only ADDED and MODIFIED surely have such an object."""

    type: str
    object: S


class _ListMetadata(Struct, gc=False, rename="camel"):
    resource_version: str = ""
    token: str = field(name="continue", default="")


class _List(Struct, gc=False):
    metadata: _ListMetadata = field(default_factory=_ListMetadata)
    items: list[Raw] | None = None


class _BookmarkMetadata(Struct, gc=False, rename="camel"):
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class _Bookmark(Struct, gc=False):
    metadata: _BookmarkMetadata = field(default_factory=_BookmarkMetadata)


class _Named(Struct, gc=False):
    metadata: Metadata = field(default_factory=Metadata)


class _Cause(Struct, gc=False):
    reason: str | None = None


class _Details(Struct, gc=False, rename="camel"):
    causes: list[_Cause] | None = None
    retry_after_seconds: float | None = None


class _Status(Struct, gc=False):
    code: int | None = None
    reason: str | None = None
    message: str | None = None
    details: _Details | None = None


_event = Decoder(_Event).decode
_list = Decoder(_List).decode
_bookmark = Decoder(_Bookmark).decode
_named = Decoder(_Named).decode
_status = Decoder(_Status).decode
_shapes = {kind: Decoder(shape).decode for kind, shape in SHAPES.items()}
_changes = {kind: Decoder(_Change[shape]).decode for kind, shape in SHAPES.items()}  # type: ignore[valid-type]

# msgspec reports invalid UTF-8 as UnicodeDecodeError, and a bomb of brackets as RecursionError.
_UNDECODABLE = (DecodeError, ValidationError, UnicodeDecodeError, RecursionError)


def read_event(kind: Kind, line: bytes, only: frozenset[str] = frozenset()) -> Reply:
    """Read one line of a watch."""
    try:
        change = _changes[kind](line)
        if change.type in {"ADDED", "MODIFIED"}:
            return _present(change.object, only, added=change.type == "ADDED")
    except _UNDECODABLE:
        pass
    return _read_in_parts(kind, line, only)


def _read_in_parts(kind: Kind, line: bytes, only: frozenset[str]) -> Reply:
    """Read the line of another event, or find out what is wrong and as much as is not."""
    try:
        event = _event(line)
        match event.type:
            case "ADDED" | "MODIFIED":
                return _present_in_parts(kind, event, only)
            case "DELETED":
                return _deleted(kind, event, only)
            case "BOOKMARK":
                return _bookmarked(event)
            case "ERROR":
                return _refusal(event.object, streamed=True)
            case _:
                return Skipped(problem=f"unknown event type {event.type[:40]!r}")
    except _UNDECODABLE as problem:
        return Skipped(problem=f"unreadable event: {problem}")


def read_page(kind: Kind, body: bytes, only: frozenset[str] = frozenset()) -> Reply:
    """Read a page of a list."""
    try:
        page = _list(body)
    except _UNDECODABLE as problem:
        return Broken(f"unreadable list: {problem}")
    objects: list[Object] = []
    problems: list[str] = []
    for raw in page.items or ():
        try:
            _keep(kind, raw, only, objects)
        except _UNDECODABLE as problem:
            problems.append(_complaint(raw, problem))
    told = tuple(problems)
    count = len(objects) + len(told) if only else len(page.items or ())
    meta = page.metadata
    return Page(tuple(objects), meta.resource_version, meta.token, count, told)


def read_refusal(code: int, body: bytes, retry_after: str = "") -> Refused:
    """Read the body of an HTTP error, which may be a Status or any text."""
    seconds = float(retry_after) if retry_after.isdecimal() else 0.0
    try:
        found = _refusal(body)
    except _UNDECODABLE:
        return Refused(code, text=body[:200].decode(errors="replace").strip(), retry_after=seconds)
    return Refused(code, found.reason, found.text, found.causes, max(seconds, found.retry_after))


def _present(shape: Shape, only: frozenset[str], *, added: bool) -> Reply:
    meta = shape.metadata
    if only and meta.name not in only:
        return Skipped(meta.resource_version)
    if isinstance(shape, PodShape) and shape.gone:
        return _ended(meta, added=added)
    return Seen(trim(shape), meta.resource_version, added, shape.triggered)


def _present_in_parts(kind: Kind, event: _Event, only: frozenset[str]) -> Reply:
    added = event.type == "ADDED"
    try:
        shape = _shapes[kind](event.object)
    except _UNDECODABLE as problem:
        version = _version(event.object)
        return Skipped(version, added=added, problem=_complaint(event.object, problem))
    return _present(shape, only, added=added)


def _ended(meta: Metadata, *, added: bool) -> Reply:
    """Treat a Pod that has ended, or is ending, as no Pod."""
    if added:
        return Skipped(meta.resource_version, added=True)
    change = Delete("Pod", (meta.namespace, meta.name), meta.uid, meta.version)
    return Lost(change, meta.resource_version, final=False)


def _deleted(kind: Kind, event: _Event, only: frozenset[str]) -> Reply:
    # The name is all that matters: an object too odd to be decoded can still be deleted.
    meta = _named(event.object).metadata
    if only and meta.name not in only:
        return Skipped(meta.resource_version)
    change = Delete(kind, _key(kind, meta), meta.uid, meta.version)
    return Lost(change, meta.resource_version)


def _key(kind: Kind, meta: Metadata) -> Key:
    return ("", meta.name) if kind == "Namespace" else (meta.namespace, meta.name)


def _bookmarked(event: _Event) -> Bookmark:
    meta = _bookmark(event.object).metadata
    complete = (meta.annotations or {}).get(INITIAL_EVENTS_END) == "true"
    return Bookmark(meta.resource_version, complete)


def _keep(kind: Kind, raw: Raw, only: frozenset[str], objects: list[Object]) -> None:
    shape = _shapes[kind](raw)
    if only and shape.metadata.name not in only:
        return
    if isinstance(shape, PodShape) and shape.gone:
        return
    objects.append(trim(shape))


def _refusal(body: bytes | Raw, *, streamed: bool = False) -> Refused:
    status = _status(body)
    details = status.details or _Details()
    causes = tuple(cause.reason or "" for cause in details.causes or ())
    return Refused(
        status.code or 0,
        status.reason or "",
        status.message or "",
        causes,
        details.retry_after_seconds or 0.0,
        streamed,
    )


def _version(raw: Raw) -> str:
    try:
        return _named(raw).metadata.resource_version
    except _UNDECODABLE:
        return ""


def _complaint(raw: Raw, problem: Exception) -> str:
    try:
        meta = _named(raw).metadata
    except _UNDECODABLE:
        return str(problem)
    return f"{meta.namespace}/{meta.name}: {problem}".removeprefix("/")
