"""The source that a program feeds with manifests: dictionaries and YAML. Knows no DNS.

What a cluster would add is simulated as for files, anew after every change; the sink is told only
what differs, all of it before ``apply`` or ``delete`` returns.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from kdns.errors import ManifestError, UsageError
from kdns.kube.changes import Sink
from kdns.kube.manifests.cluster import Cluster, Settings, build
from kdns.kube.manifests.differences import differences, listed
from kdns.kube.manifests.documents import Document, Manifest, parse
from kdns.kube.objects import Key
from kdns.kube.selectors import Selector

Written: TypeAlias = Mapping[str, Any] | str | os.PathLike[str]
"""A manifest as a dictionary, the text of one or several (YAML or JSON), or the path of a file."""

_Documents: TypeAlias = dict[tuple[str, Key], Document]


class MemorySource:
    """Manifests in memory as a source of changes."""

    def __init__(
        self,
        sink: Sink,
        *,
        assign: bool = True,
        labels: str = "",
        namespace_labels: str = "",
        imports: bool = True,
    ) -> None:
        """See ``ManifestSource``; nothing is told to the sink before ``start``."""
        self._sink, self._imports = sink, imports
        self._settings = Settings(assign, Selector.parse(labels), Selector.parse(namespace_labels))
        self._documents: _Documents = {}
        self._namespaces: frozenset[str] = frozenset()
        self._cluster = Cluster()
        self._version = 0

    def start(self, objects: Iterable[Written] = ()) -> None:
        """Tell the sink that everything is listed, and the first objects."""
        self._use(*self._joined(objects))
        for change in listed(self._cluster):
            self._sink(change)

    def apply(self, objects: Iterable[Written]) -> None:
        """Create objects, or replace those of the same kind, namespace and name.

        ManifestError says what is wrong where; then nothing of it is taken.
        """
        self._change(*self._joined(objects))

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object; UsageError where there is none."""
        key = kind, (namespace, name)
        if key not in self._documents:
            raise UsageError(f"there is no {kind} {'/'.join(filter(None, key[1]))}")
        left = {place: one for place, one in self._documents.items() if place != key}
        self._change(left, self._namespaces)

    def _change(self, documents: _Documents, namespaces: frozenset[str]) -> None:
        before = self._cluster
        self._use(documents, namespaces)
        for change in differences(before, self._cluster):
            self._sink(change)

    def _use(self, documents: _Documents, namespaces: frozenset[str]) -> None:
        manifest = Manifest(tuple(documents.values()), namespaces=namespaces)
        self._cluster = build([manifest], self._settings, self._version + 1)
        self._version += 1
        self._documents, self._namespaces = documents, namespaces

    def _joined(self, objects: Iterable[Written]) -> tuple[_Documents, frozenset[str]]:
        """Return all documents, with these in the place of older ones of the same name."""
        documents, namespaces = dict(self._documents), self._namespaces
        for number, written in enumerate(objects):
            manifest = _read(written, f"objects[{number}]")
            if not self._imports:
                manifest = manifest.without_imports()
            documents.update(((one.kind, one.key), one) for one in manifest.documents)
            namespaces |= manifest.namespaces
        return documents, namespaces


def _read(written: Written, place: str) -> Manifest:
    """Read one piece; ``place`` is its name in messages."""
    if isinstance(written, os.PathLike):
        path = Path(written)
        try:
            return parse(path.read_bytes(), str(path))
        except OSError as error:
            raise ManifestError(str(path), 0, f"cannot be read: {error.strerror}") from None
    if isinstance(written, str):
        return parse(written.encode(), place)
    try:
        return parse(msgspec.json.encode(written), place)
    except TypeError as error:
        raise ManifestError(place, 0, f"found what no manifest can hold: {error}") from None


def flattened(objects: "Objects") -> Iterator[Written]:
    """Yield the pieces of one or several."""
    if isinstance(objects, Mapping | str | os.PathLike):
        yield objects
    else:
        yield from objects


Objects: TypeAlias = Written | Iterable[Written]
