"""The source that reads manifests and watches them. Knows no shapes and no DNS.

``poll`` holds all the logic and neither waits nor sends: it looks at the files and returns what
changed. ``watch`` is the loop around it.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.errors import ManifestError
from kdns.kube.changes import Apply, Change, Delete, Init, InitDone, Sink
from kdns.kube.manifests.cluster import KINDS, Cluster, Settings, Source, build
from kdns.kube.manifests.documents import Manifest, parse
from kdns.kube.manifests.files import File, Listing, Stamp, find
from kdns.kube.objects import Key, Kind, Object
from kdns.kube.selectors import Selector

_log = logging.getLogger(__name__)

# A change is seen within the first, and acted on when it has stood still for the second.
_INTERVAL = 0.3
_SETTLING = 0.05
# So many changes go to the sink before queries get their turn.
_AT_ONCE = 200


class _Read(Struct, frozen=True):
    """What a file holds, as far as it could be read."""

    file: File
    """The file that the manifest is from."""
    manifest: Manifest
    seen: Stamp
    """The stamp of the last attempt, which may have failed."""
    error: str = ""


_Files: TypeAlias = dict[str, _Read]


def load(
    paths: Sequence[str],
    *,
    assign: bool = True,
    labels: Selector | str = "",
    namespace_labels: Selector | str = "",
) -> Cluster:
    """Read files, directories and ``-`` (stdin) once; ManifestError says what is wrong where."""
    source = ManifestSource(
        paths, _nowhere, assign=assign, labels=labels, namespace_labels=namespace_labels
    )
    return source.load()


class ManifestSource:
    """Manifests as a source of changes: all of them first, then what is edited."""

    def __init__(
        self,
        paths: Sequence[str],
        sink: Sink,
        *,
        assign: bool = True,
        labels: Selector | str = "",
        namespace_labels: Selector | str = "",
    ) -> None:
        """Take ``labels`` for Services, EndpointSlices and Pods; see ``load`` for the paths."""
        self._paths, self._sink = paths, sink
        self._settings = Settings(assign, _selector(labels), _selector(namespace_labels))
        self._listings: dict[str, Listing] = {}
        self._known: _Files = {}
        """Every file as it was last read."""
        self._used: _Files = {}
        """What the cluster is made of: without the edits that contradict other files."""
        self._conflicts: dict[str, str] = {}
        self._errors: dict[str, str] = {}
        self._cluster = Cluster()
        self._settled = True

    def load(self) -> Cluster:
        """Read everything and tell it to the sink, one complete list for each kind."""
        self._listings = {path: find(path) for path in self._paths}
        files = _merged(self._listings.values())
        self._known = {path: _read(file) for path, file in files.items()}
        self._used = self._known
        self._cluster = self._build(self._known)
        for change in _listed(self._cluster):
            self._sink(change)
        return self._cluster

    async def watch(self) -> None:
        """Tell the sink what changes, until cancelled; ``load`` comes first."""
        while True:
            for number, change in enumerate(await asyncio.to_thread(self.poll), 1):
                self._sink(change)
                if number % _AT_ONCE == 0:
                    await asyncio.sleep(0)
            await asyncio.sleep(_INTERVAL if self._settled else _SETTLING)

    def poll(self) -> list[Change]:
        """Look at the files and return what has changed since the last look.

        An edit counts when two looks in a row find the file the same, so that neither an editor
        that is still writing nor one that moves a new file into place can show half a file.
        """
        before = _merged(self._listings.values())
        missing = self._look()
        files = _merged(self._listings.values())
        self._settled = files == before
        known = dict(self._reread(files, before))
        changed = _differ(known, self._known)
        self._known = known
        changes = self._rebuild() if changed else []
        unread = {path: read.error for path, read in known.items() if read.error}
        self._report({**unread, **self._conflicts, **missing})
        return changes

    def _look(self) -> dict[str, str]:
        """List the paths anew; one that has gone keeps its files, and the error says so."""
        errors = {}
        for path in self._paths:
            try:
                self._listings[path] = find(path)
            except ManifestError as error:
                errors[path] = str(error)
        return errors

    def _reread(
        self, files: Mapping[str, File], before: Mapping[str, File]
    ) -> Iterator[tuple[str, _Read]]:
        """Read the files that have changed and stand still; leave the others as they were."""
        for path, file in files.items():
            known = self._known.get(path)
            if known and known.seen == file.stamp:
                same = bool(known.error) or known.file == file
                yield path, known if same else replace(known, file=file)
            elif path in before and before[path].stamp == file.stamp:
                yield path, _read_again(file, known)
            elif known:
                yield path, known
        for path in self._known.keys() - files.keys():
            if path in before:
                yield path, self._known[path]

    def _rebuild(self) -> list[Change]:
        """Make the cluster anew, without the edits that contradict other files."""
        used, last, before = dict(self._known), self._used, self._cluster
        self._conflicts = {}
        while True:
            try:
                self._cluster = self._build(used)
                break
            except ManifestError as error:
                edited = {path for path, read in used.items() if read is not last.get(path)}
                if not edited:
                    raise
                for path in edited & {error.path} or edited:
                    self._conflicts[path] = str(error)
                    _fall_back(used, last, path)
        self._used = used
        return list(_differences(before, self._cluster))

    def _build(self, files: _Files) -> Cluster:
        sources = [Source(files[path].manifest, files[path].file.version) for path in sorted(files)]
        cluster = build(sources, self._settings)
        listed = max((listing.version for listing in self._listings.values()), default=0)
        return replace(cluster, version=max(cluster.version, listed))

    def _report(self, errors: dict[str, str]) -> None:
        """Log each error once, and once that it is over."""
        for path, error in errors.items():
            if self._errors.get(path) != error:
                _log.error("manifest not used, its last good data stay: %s", error)
        for path in self._errors.keys() - errors.keys():
            _log.info("manifest is good again: %s", path)
        self._errors = errors


def _selector(selector: Selector | str) -> Selector:
    return Selector.parse(selector) if isinstance(selector, str) else selector


def _nowhere(_: Change) -> None:
    """Take the changes of a source that is only asked for its cluster."""


def _merged(listings: Iterable[Listing]) -> dict[str, File]:
    """Join listings; a file that is named counts as named, also when a directory has it."""
    files: dict[str, File] = {}
    for listing in listings:
        for file in listing.files:
            if file.path not in files or not file.lenient:
                files[file.path] = file
    return files


def _read(file: File) -> _Read:
    manifest = parse(file.read(), file.name, lenient=file.lenient)
    return _Read(file, manifest, file.stamp)


def _read_again(file: File, known: _Read | None) -> _Read:
    """Read a file; what cannot be read keeps what it held before."""
    try:
        return _read(file)
    except ManifestError as error:
        last = known or _Read(file, Manifest(), file.stamp)
        return replace(last, seen=file.stamp, error=str(error))


def _fall_back(used: _Files, last: _Files, path: str) -> None:
    """Use a file's last contents that went together with the others', if it had any."""
    if path in last:
        used[path] = last[path]
    else:
        del used[path]


def _differ(one: _Files, other: _Files) -> bool:
    same = len(one) == len(other) and all(other.get(path) is read for path, read in one.items())
    return not same


def _listed(cluster: Cluster) -> Iterator[Change]:
    """Tell a cluster as complete lists."""
    for kind in KINDS:
        yield Init(kind)
        yield from (Apply(one) for one in cluster.objects if kind == one.KIND)
        yield InitDone(kind)


def _differences(before: Cluster, after: Cluster) -> Iterator[Change]:
    """Tell what is gone, then what is new or different."""
    old, new = _by_key(before), _by_key(after)
    for kind, key in old.keys() - new.keys():
        yield Delete(kind, key, old[kind, key].uid, after.version)
    for place, one in new.items():
        if old.get(place) != one:
            yield Apply(one)


def _by_key(cluster: Cluster) -> dict[tuple[Kind, Key], Object]:
    return {(one.KIND, one.key): one for one in cluster.objects}
