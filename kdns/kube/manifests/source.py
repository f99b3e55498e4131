"""The source that reads manifests and watches them. Knows no shapes and no DNS.

``poll`` holds all the logic and neither waits nor sends: it looks at the files and returns what
changed. ``watch`` is the loop around it.
"""

import asyncio
import logging
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.errors import ManifestError
from kdns.kube.changes import Change, Sink
from kdns.kube.manifests.cluster import Cluster, Settings, build
from kdns.kube.manifests.conflicts import Conflict, Edit, waiting
from kdns.kube.manifests.differences import differences, listed
from kdns.kube.manifests.documents import Known, Manifest, parse
from kdns.kube.manifests.files import File, Listing, Stamp, find
from kdns.kube.selectors import Selector

_log = logging.getLogger(__name__)

# A change is seen within the first, and acted on when it has stood still for the second.
_INTERVAL = 0.3
_SETTLING = 0.05
# So many changes go to the sink before queries get their turn.
_AT_ONCE = 200

_KEPT = "manifest not used, its last good data stay: %s"
_LEFT_OUT = "manifest not used: %s"


class _Read(Struct, frozen=True):
    """What a file holds, as far as it could be read."""

    file: File
    """The file that the manifest is from."""
    manifest: Manifest
    seen: Stamp
    """The stamp of the last attempt, which may have failed."""
    error: str = ""
    look: int = 0
    """Which look at the files read it: an old file that was moved into place is new here."""
    documents: Known = {}
    """What its next reading need not read anew."""


class _Problem(Struct, frozen=True):
    """Why a path is not used as it is now."""

    text: str
    about: Hashable
    """The same for the same problem, which is logged once."""


_Files: TypeAlias = dict[str, _Read]


def load(
    paths: Sequence[str],
    *,
    assign: bool = True,
    labels: Selector | str = "",
    namespace_labels: Selector | str = "",
    imports: bool = True,
) -> Cluster:
    """Read files, directories and ``-`` (stdin) once; ManifestError says what is wrong where."""
    source = ManifestSource(
        paths,
        _nowhere,
        assign=assign,
        labels=labels,
        namespace_labels=namespace_labels,
        imports=imports,
    )
    return source.load()


class ManifestSource:
    """Manifests as a source of changes: all of them first, then what is edited."""

    def __init__(  # noqa: PLR0913 - keywords, each of which stands alone
        self,
        paths: Sequence[str],
        sink: Sink,
        *,
        assign: bool = True,
        labels: Selector | str = "",
        namespace_labels: Selector | str = "",
        imports: bool = True,
    ) -> None:
        """Take ``labels`` for Services, EndpointSlices and Pods; see ``load`` for the paths.

        Without ``imports``, ServiceImports and their slices are ignored.
        """
        self._paths, self._sink, self._imports = paths, sink, imports
        self._settings = Settings(assign, _selector(labels), _selector(namespace_labels))
        self._listings: dict[str, Listing] = {}
        self._known: _Files = {}
        """Every file as it was last read."""
        self._used: _Files = {}
        """What the cluster is made of: without the edits that contradict other files."""
        self._conflicts: dict[str, Conflict] = {}
        self._problems: dict[str, _Problem] = {}
        self._unexpected: set[str] = set()
        self._looks = 0
        self._cluster = Cluster()
        self._changed = 0
        """When one of the files or directories last changed, as far as it stands still."""
        self._settled = True

    def load(self) -> Cluster:
        """Read everything and tell it to the sink, one complete list for each kind."""
        self._listings = {path: find(path) for path in self._paths}
        files = _merged(self._listings.values())
        self._known = {path: self._read(file) for path, file in files.items()}
        self._changed = _latest(self._listings.values())
        self._use(self._known)
        for change in listed(self._cluster):
            self._sink(change)
        return self._cluster

    async def watch(self) -> None:
        """Tell the sink what changes, until cancelled; ``load`` comes first."""
        while True:
            changes: list[Change] = []
            with self._going_on():
                changes = await asyncio.to_thread(self.poll)
            for number, change in enumerate(changes, 1):
                with self._going_on():
                    self._sink(change)
                if number % _AT_ONCE == 0:
                    await asyncio.sleep(0)
            await asyncio.sleep(_INTERVAL if self._settled else _SETTLING)

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Log what nobody expected, once: whatever it is, watching goes on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - nothing else would tell of it
            text = f"{type(error).__name__}: {error}"
            if text not in self._unexpected:
                self._unexpected.add(text)
                _log.error("manifests not followed for a moment: %s", text, exc_info=error)

    def poll(self) -> list[Change]:
        """Look at the files and return what has changed since the last look.

        An edit counts when two looks in a row find the file the same, so that neither an editor
        that is still writing nor one that moves a new file into place can show half a file.
        """
        # Should a look fail, the next one has time.
        self._settled = True
        before = _merged(self._listings.values())
        missing = self._look()
        files = _merged(self._listings.values())
        self._settled = files == before
        known = dict(self._reread(files, before))
        latest = _latest(self._listings.values()) if self._settled else self._changed
        changed = latest != self._changed or _differ(known, self._known)
        self._known, self._changed = known, latest
        changes = self._rebuild() if changed else []
        self._report(missing)
        return changes

    def _look(self) -> dict[str, str]:
        """List the paths anew; one that has gone keeps its files, and the error says so."""
        self._looks += 1
        errors = {}
        for path, listing in self._listings.items():
            try:
                self._listings[path] = listing if listing.once else _find_again(path)
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
                yield path, self._read_again(file)
            elif known:
                yield path, known
        for path in self._known.keys() - files.keys():
            if path in before:
                yield path, self._known[path]

    def _read(self, file: File) -> _Read:
        before = self._known.get(file.path)
        documents = before.documents if before else {}
        manifest = parse(file.read(), file.name, lenient=file.lenient, known=documents)
        if not self._imports:
            manifest = manifest.without_imports()
        return _Read(file, manifest, file.stamp, look=self._looks, documents=documents)

    def _read_again(self, file: File) -> _Read:
        """Read a file; what cannot be read keeps what is used of it."""
        try:
            return self._read(file)
        except ManifestError as error:
            last = self._used.get(file.path) or _Read(file, Manifest(), file.stamp)
            return replace(last, seen=file.stamp, error=str(error))

    def _rebuild(self) -> list[Change]:
        """Make the cluster anew, without the edits that contradict other files."""
        before, self._conflicts = self._cluster, {}
        try:
            self._use(self._known)
        except Conflict:
            self._conflicts = waiting(*_edited(self._known, self._used))
            going = {path: one for path, one in self._known.items() if path not in self._conflicts}
            kept = {path: self._used[path] for path in self._conflicts if path in self._used}
            self._use({**going, **kept})
        return list(differences(before, self._cluster))

    def _use(self, files: _Files) -> None:
        """Make the cluster from these files; those of before stay if they contradict each other."""
        manifests = [files[path].manifest for path in sorted(files)]
        self._cluster = build(manifests, self._settings, self._changed)
        self._used = files

    def _report(self, missing: Mapping[str, str]) -> None:
        """Log each problem once, and once that it is over."""
        unread = {path: read.error for path, read in self._known.items() if read.error}
        problems = {path: _Problem(text, text) for path, text in {**unread, **missing}.items()}
        for path, conflict in self._conflicts.items():
            problems.setdefault(path, _Problem(str(conflict), conflict.about))
        for path, problem in problems.items():
            before = self._problems.get(path)
            if before is None or before.about != problem.about:
                _log.error(self._consequence(path), problem.text)
        for path in sorted(self._problems.keys() - problems.keys()):
            if path in self._known or path in self._listings:
                _log.info("manifest is good again: %s", path)
        self._problems = problems

    def _consequence(self, path: str) -> str:
        """Say what happens instead of using a path as it is now."""
        new = path not in self._listings and not _filled(self._used.get(path))
        return _LEFT_OUT if new else _KEPT


def _selector(selector: Selector | str) -> Selector:
    return Selector.parse(selector) if isinstance(selector, str) else selector


def _nowhere(_: Change) -> None:
    """Take the changes of a source that is only asked for its cluster."""


def _find_again(path: str) -> Listing:
    """List a path once more; a pipe in the place of a file would be empty for its next reader."""
    listing = find(path)
    if listing.once:
        raise ManifestError(path, 0, "cannot be read: no regular file any more")
    return listing


def _latest(listings: Iterable[Listing]) -> int:
    """Return when one of the files or directories last changed."""
    return max((listing.version for listing in listings), default=0)


def _merged(listings: Iterable[Listing]) -> dict[str, File]:
    """Join listings; a file that is named counts as named, also when a directory has it."""
    files: dict[str, File] = {}
    for listing in listings:
        for file in listing.files:
            if file.path not in files or not file.lenient:
                files[file.path] = file
    return files


def _edited(known: _Files, used: _Files) -> tuple[dict[str, Manifest], dict[str, Edit]]:
    """Tell the files that say what is used of them from those that say something else."""
    unchanged, edits = {}, {}
    for path, read in known.items():
        old = used[path].manifest if path in used else Manifest()
        if old is read.manifest or old == read.manifest:
            unchanged[path] = old
        else:
            age = read.look, read.file.stamp.modified
            edits[path] = Edit(read.manifest, old, age)
    return unchanged, edits


def _filled(read: _Read | None) -> bool:
    """Say whether there are data that can stay."""
    return bool(read and read.manifest.documents)


def _differ(one: _Files, other: _Files) -> bool:
    same = len(one) == len(other) and all(other.get(path) is read for path, read in one.items())
    return not same
