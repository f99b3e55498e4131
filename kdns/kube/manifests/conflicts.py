"""What files say about the same thing, and who waits when they disagree. Opens no files.

Two documents contradict each other when they define one object with other content, or give one
cluster IP to two Services. Nothing else can keep valid documents from making a cluster, and it
always takes two: so a set of files that go together still does without one of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from msgspec import Struct

from kdns.errors import ManifestError
from kdns.kube.manifests import shapes
from kdns.kube.manifests.documents import Document, Manifest

Subject: TypeAlias = tuple[str, tuple[str, str]] | str
"""What a document claims: the kind and key of an object, or a cluster IP."""


class Conflict(ManifestError):
    """A document that contradicts another one."""

    def __init__(self, subject: Subject, document: Document, other: Document) -> None:
        if isinstance(subject, str):
            text = (
                f"{document.title} has the clusterIP {subject} of {other.title}"
                f" at {other.place}, expected an address of its own"
            )
        else:
            text = (
                f"{document.title} is defined with other content at {other.place},"
                " expected one definition"
            )
        super().__init__(document.path, document.line, text)
        self.about = (document.path, subject, other.path, other.title)
        """The same for the same problem, whichever lines it has moved to."""


class Edit(Struct, frozen=True):
    """A file that has changed."""

    new: Manifest
    old: Manifest
    """What is used while it waits; nothing when the file is new."""
    age: tuple[int, int]
    """Greater is newer."""


class _Found(Struct, frozen=True):
    """A contradiction of a file, and whose document the other one is."""

    subject: Subject
    document: Document
    whose: str
    other: Document


def check(manifests: Iterable[Manifest]) -> dict[Subject, Document]:
    """Find who claims what; of two that contradict each other, the second one is the error."""
    claimed: dict[Subject, Document] = {}
    for manifest in manifests:
        for subject, document in _claims(manifest):
            other = claimed.setdefault(subject, document)
            if not _agree(subject, document, other):
                raise Conflict(subject, document, other)
    return claimed


def waiting(unchanged: Mapping[str, Manifest], edits: Mapping[str, Edit]) -> dict[str, Conflict]:
    """Choose the edits that wait so that all others go together, and say what is wrong with each.

    The unchanged files go together with the old contents of all edits. Of two edits that
    contradict each other the newer one waits, unless only the older one's waiting would help.
    """
    choice = _Choice(unchanged, edits)
    choice.hold()
    choice.release()
    return choice.conflicts()


def _claims(manifest: Manifest) -> Iterator[tuple[Subject, Document]]:
    for document in manifest.documents:
        yield (document.kind, document.key), document
        if isinstance(document.shape, shapes.Service):
            for address in document.shape.addresses:
                yield address, document


def _agree(subject: Subject, one: Document, other: Document) -> bool:
    if isinstance(subject, str):
        return one.key == other.key
    return one is other or one.shape == other.shape


class _Table:
    """What each file claims."""

    def __init__(self) -> None:
        self._said: dict[str, Manifest] = {}
        self._claimed: dict[Subject, dict[str, Document]] = {}

    def put(self, path: str, manifest: Manifest) -> None:
        """Take in what a file claims now, instead of what it claimed before."""
        for subject, _ in _claims(self._said.get(path, Manifest())):
            self._claimed[subject].pop(path, None)
        self._said[path] = manifest
        for subject, document in _claims(manifest):
            self._claimed.setdefault(subject, {}).setdefault(path, document)

    def against(self, path: str, manifest: Manifest) -> _Found | None:
        """Find the first contradiction of a file, to itself or to what the others claim."""
        own: dict[Subject, Document] = {}
        for subject, document in _claims(manifest):
            others = {**self._claimed.get(subject, {}), path: own.setdefault(subject, document)}
            for whose in sorted(others):
                if not _agree(subject, document, others[whose]):
                    return _Found(subject, document, whose, others[whose])
        return None


class _Choice:
    """Which edits wait."""

    def __init__(self, unchanged: Mapping[str, Manifest], edits: Mapping[str, Edit]) -> None:
        self._edits = edits
        self._oldest_first = sorted(edits, key=self._age)
        self._held: set[str] = set()
        self._table = _Table()
        for path, manifest in unchanged.items():
            self._table.put(path, manifest)
        for path, edit in edits.items():
            self._table.put(path, edit.new)

    def hold(self) -> None:
        """Hold edits back until the others go together."""
        held = -1
        # What a file goes back to can contradict an edit that was fine before.
        while held != len(self._held):
            held = len(self._held)
            for path in reversed(self._oldest_first):
                self._hold_for(path)

    def release(self) -> None:
        """Let in, one by one, what need not wait for the sake of the others after all."""
        while path := next(filter(self._fits, self._oldest_first), None):
            self._held.remove(path)
            self._table.put(path, self._edits[path].new)

    def conflicts(self) -> dict[str, Conflict]:
        """Say what each edit that waits contradicts."""
        found = {path: self._against(path) for path in self._oldest_first if path in self._held}
        return {
            path: Conflict(one.subject, one.document, one.other)
            for path, one in found.items()
            if one
        }

    def _hold_for(self, path: str) -> None:
        """Hold back this edit or those that it contradicts."""
        while path not in self._held and (found := self._against(path)):
            loser = self._loser(path, found)
            self._held.add(loser)
            self._table.put(loser, self._edits[loser].old)

    def _loser(self, path: str, found: _Found) -> str:
        """Choose who waits: the newest of those whose waiting helps."""
        helpful = {path: self._helps(path, found.subject, found.other)}
        if found.whose in self._edits and found.whose not in self._held:
            helpful.setdefault(found.whose, self._helps(found.whose, found.subject, found.document))
        return max(helpful, key=lambda one: (helpful[one], self._age(one)))

    def _helps(self, path: str, subject: Subject, opponent: Document) -> bool:
        """Say whether a file had nothing against the opponent before its edit."""
        return all(
            _agree(subject, document, opponent)
            for claimed, document in _claims(self._edits[path].old)
            if claimed == subject
        )

    def _fits(self, path: str) -> bool:
        return path in self._held and self._against(path) is None

    def _against(self, path: str) -> _Found | None:
        return self._table.against(path, self._edits[path].new)

    def _age(self, path: str) -> tuple[tuple[int, int], str]:
        return self._edits[path].age, path
