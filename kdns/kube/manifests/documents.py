"""Bytes of a manifest to documents: typed shapes with the place they stand at. Opens no files.

YAML goes through ``yamls``. JSON goes straight into the shapes, which is what makes a large
``kubectl get -o json`` quick to read; only JSON with something wrong in it takes the way of YAML,
of which it is a part, to learn the line. There, a key that is written twice is an error, as it is
for the API server; in JSON the last one counts. JSON documents may follow one another.
"""

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import chain
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from kdns.errors import ManifestError
from kdns.kube.manifests import jsons, yamls
from kdns.kube.manifests.checks import HELM, Refused, Way, check
from kdns.kube.manifests.shapes import SHAPES, EndpointSlice, ServiceImport, Shape

_KNOWN = frozenset(kind for _, kind in SHAPES)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_WHERE = re.compile(r" - at `(?:key in )?(?P<path>\$[^`]*)`$")
_RANGE = re.compile(r"Expected `int` [<>]=")
_BYTE = re.compile(r" \(byte (\d+)\)$")


class Document(Struct, frozen=True, gc=False):
    """One object as it was written, and where."""

    path: str
    line: int
    kind: str
    shape: Shape

    @property
    def place(self) -> str:
        """``file:line``."""
        return f"{self.path}:{self.line}"

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name; the namespace of a Namespace or Node is empty."""
        return self.shape.metadata.namespace, self.shape.metadata.name

    @property
    def title(self) -> str:
        """The object in words: ``Service default/web``."""
        return f"{self.kind} {'/'.join(filter(None, self.key))}"

    @property
    def imported(self) -> bool:
        """Whether only a zone that serves imports can show it: a ServiceImport or its slice."""
        shape = self.shape
        return isinstance(shape, ServiceImport) or (
            isinstance(shape, EndpointSlice) and shape.imported
        )


class Manifest(Struct, frozen=True):
    """Everything that one file holds."""

    documents: tuple[Document, ...] = ()
    others: tuple[str, ...] = ()
    """The kinds of the objects that DNS does not need, one entry for each object."""
    strays: int = 0
    """How many documents were no manifests: values of a chart, a compose file."""
    namespaces: frozenset[str] = frozenset()
    """The namespaces that the other objects are in."""

    def without_imports(self) -> "Manifest":
        """Count ServiceImports and their slices among the objects that DNS does not need."""
        imported = [one for one in self.documents if one.imported]
        if not imported:
            return self
        return replace(
            self,
            documents=tuple(one for one in self.documents if not one.imported),
            others=(*self.others, *map(_imported_kind, imported)),
            namespaces=self.namespaces.union(one.key[0] for one in imported),
        )


Known: TypeAlias = dict[bytes, Manifest]
"""What the documents of a file hold, by a hash of their text."""


def _imported_kind(document: Document) -> str:
    return document.kind if document.kind == "ServiceImport" else f"{document.kind} (imported)"


def parse(data: bytes, path: str, *, lenient: bool = False, known: Known | None = None) -> Manifest:
    """Read one file's bytes; ``path`` is its name in messages.

    ``lenient`` counts documents that are no manifests, which directories contain, as strays.
    ``known`` remembers the documents of a file of several, so that an edit reads only its own.
    """
    data = data.removeprefix(b"\xef\xbb\xbf")
    reading = _Reading(path, lenient, {} if known is None else known)
    try:
        return _parse(data, reading)
    # Numbers and nesting that a library gives up on.
    except (ValueError, RecursionError) as error:
        raise ManifestError(path, 1, f"cannot be read: {error}") from None


class _Reading(Struct, frozen=True):
    """Where the bytes are from, and how they are read."""

    path: str
    lenient: bool
    known: Known


def _parse(data: bytes, reading: _Reading) -> Manifest:
    content = data.lstrip()
    if content.startswith(b"[") and reading.lenient:
        return Manifest(strays=1)
    if content.startswith(b"{"):
        line = data.count(b"\n", 0, len(data) - len(content)) + 1
        try:
            return _collect(_json_objects(content, line), data, reading)
        # YAML's reader knows how deep it went, and where there is no text.
        except (msgspec.ValidationError, RecursionError, UnicodeDecodeError):
            pass
        except msgspec.DecodeError as error:
            if len(parts := jsons.split(data)) > 1:
                return _parse_parts(parts, reading)
            if reading.path.endswith(".json"):
                raise _malformed(data, reading.path, str(error)) from None
    if len(parts := yamls.split(data)) > 1:
        return _parse_parts(parts, reading)
    try:
        return _collect(_yaml_objects(data), data, reading)
    except yamls.Unreadable as error:
        text = HELM if b"{{" in data else f"not YAML: {error}"
        raise ManifestError(reading.path, error.line, text) from None


def _parse_parts(parts: Iterable[jsons.Part], reading: _Reading) -> Manifest:
    """Read the documents of a stream, but for those that an earlier reading knew."""
    found: Known = {}
    manifests = []
    for part in parts:
        digest = blake2b(part.data, digest_size=16).digest()
        manifest = found.get(digest) or reading.known.get(digest) or _parse_part(part, reading)
        found[digest] = manifest
        moved = (replace(one, line=one.line + part.line) for one in manifest.documents)
        manifests.append(replace(manifest, documents=tuple(moved)))
    # What is gone is forgotten, but not by an edit that cannot be read.
    reading.known.clear()
    reading.known.update(found)
    return _joined(manifests)


def _parse_part(part: jsons.Part, reading: _Reading) -> Manifest:
    """Read one document, with the stream's lines in what is wrong with it."""
    try:
        # A part of a part is not an entry of its own.
        return _parse(part.data, replace(reading, known={}))
    except ManifestError as error:
        text = _BYTE.sub("", error.text)
        raise ManifestError(reading.path, error.line + part.line, text) from None


def _joined(manifests: list[Manifest]) -> Manifest:
    return Manifest(
        tuple(chain.from_iterable(one.documents for one in manifests)),
        tuple(chain.from_iterable(one.others for one in manifests)),
        sum(one.strays for one in manifests),
        frozenset(chain.from_iterable(one.namespaces for one in manifests)),
    )


class _Object(Struct, gc=False):
    """An object before it has a shape."""

    value: Any
    """A mapping, or undecoded JSON."""
    line: int
    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    document: int = 0
    at: tuple[str | int, ...] = ()
    """The way from the document to the object, when it is an item of a list."""


class _HeadMetadata(Struct, gc=False):
    namespace: str = ""


class _Head(Struct, rename="camel", gc=False):
    """What tells which shape a JSON object has; everything else stays undecoded."""

    api_version: str = ""
    kind: str = ""
    items: msgspec.Raw = msgspec.Raw()
    metadata: _HeadMetadata = field(default_factory=_HeadMetadata)


def _json_objects(
    data: bytes, line: int, api_version: str = "", kind: str = ""
) -> Iterator[_Object]:
    head = msgspec.json.decode(data, type=_Head)
    items = bytes(head.items)
    api_version, kind = head.api_version or api_version, head.kind or kind
    if not (kind.endswith("List") and items.startswith(b"[")):
        yield _Object(msgspec.Raw(data), line, api_version, kind, head.metadata.namespace)
        return
    kind, end = kind.removesuffix("List"), data.find(items)
    line, end = line + data.count(b"\n", 0, end), 0
    for raw in msgspec.json.decode(items, type=list[msgspec.Raw]):
        item = bytes(raw)
        # Only a comma and blanks stand between items, so the first match is the item itself.
        start = items.find(item, end)
        line += items.count(b"\n", end, start)
        yield from _json_objects(item, line, api_version, kind)
        line, end = line + item.count(b"\n"), start + len(item)


def _yaml_objects(data: bytes) -> Iterator[_Object]:
    for index, value in enumerate(yamls.documents(data)):
        if isinstance(value, yamls.Mapping):
            yield from _expand(value, _Object(value, value.line, document=index))
        elif value is not None:
            yield _Object(value, yamls.line_of(data, index, ()), document=index)


def _expand(value: dict[str, Any], found: _Object) -> Iterator[_Object]:
    """Give the object its kind, or yield the items of a list in its place."""
    kind, items = _text(value, "kind") or found.kind, value.get("items")
    api_version = _text(value, "apiVersion") or found.api_version
    if not (kind.endswith("List") and isinstance(items, list)):
        metadata = value.get("metadata")
        namespace = _text(metadata, "namespace") if isinstance(metadata, dict) else ""
        yield replace(found, api_version=api_version, kind=kind, namespace=namespace)
        return
    for index, item in enumerate(items):
        line = item.line if isinstance(item, yamls.Mapping) else found.line
        at = (*found.at, "items", index)
        inner = _Object(item, line, api_version, kind.removesuffix("List"), "", found.document, at)
        yield from _expand(item, inner) if isinstance(item, dict) else (inner,)


def _text(mapping: dict[str, Any], key: str) -> str:
    value = mapping.get(key)
    return value if isinstance(value, str) else ""


def _collect(objects: Iterable[_Object], data: bytes, reading: _Reading) -> Manifest:
    """Sort the objects into those with a shape, other kinds and strays."""
    documents, others, strays, namespaces = [], [], 0, set()
    for found in objects:
        complete = bool(found.kind and found.api_version)
        shape = SHAPES.get((found.api_version.rpartition("/")[0], found.kind))
        if complete and shape:
            documents.append(_document(found, shape, data, reading.path))
        elif complete:
            others.append(_other_kind(found))
            namespaces.add(found.namespace)
        elif reading.lenient:
            strays += 1
        else:
            raise ManifestError(reading.path, found.line, _not_a_manifest(found))
    return Manifest(tuple(documents), tuple(others), strays, frozenset(namespaces - {""}))


def _other_kind(found: _Object) -> str:
    """Name a kind that is not used, with its group where the kind alone would surprise."""
    return f"{found.kind} ({found.api_version})" if found.kind in _KNOWN else found.kind


def _not_a_manifest(found: _Object) -> str:
    if not isinstance(found.value, dict | msgspec.Raw):
        return "found no mapping, expected a manifest with apiVersion and kind"
    missing = "apiVersion" if found.kind else "kind"
    return f"found no {missing}, expected a manifest with apiVersion and kind"


def _document(found: _Object, shape_type: type[Shape], data: bytes, path: str) -> Document:
    try:
        if isinstance(found.value, msgspec.Raw):
            shape = msgspec.json.decode(found.value, type=shape_type)
        else:
            shape = msgspec.convert(found.value, shape_type)
        check(found.kind, shape)
    except msgspec.ValidationError as error:
        if isinstance(found.value, msgspec.Raw):
            raise
        way = error.at if isinstance(error, Refused) else _steps(str(error))
        line = yamls.line_of(data, found.document, (*found.at, *way))
        text = _with_number(str(error), found.value, way)
        raise ManifestError(path, line, f"{found.kind}: {text}") from None
    return Document(path, found.line, found.kind, shape)


def _with_number(error: str, value: Any, way: Way) -> str:  # noqa: ANN401 - plain values
    """Name the number that is out of range: msgspec names only the range."""
    if not _RANGE.match(error):
        return error
    for step in way:
        value = value[step]
    return f"found {value}, expected{error.removeprefix('Expected')}"


def _steps(error: str) -> Way:
    """Return the path that a msgspec message ends with; it stops at the keys of a free mapping."""
    where = _WHERE.search(error)
    path = where["path"].partition("[...]")[0] if where else ""
    return tuple(name or int(index) for name, index in _STEP.findall(path))


def _malformed(data: bytes, path: str, text: str) -> ManifestError:
    byte = _BYTE.search(text)
    start, end = len(data) - len(data.lstrip()), len(data.rstrip())
    end = start + int(byte[1]) if byte else end
    return ManifestError(path, data.count(b"\n", 0, end) + 1, f"not JSON: {text}")
