"""Files of manifests -> findings."""

from collections.abc import Sequence

from kdns.errors import ManifestError
from kdns.kube.manifests.cluster import Settings, build
from kdns.kube.manifests.conflicts import Conflict
from kdns.kube.manifests.documents import Manifest, parse
from kdns.kube.manifests.files import File, find
from kdns.lint.finding import Finding
from kdns.lint.rules import Manifests, findings

CONFLICT = "K101"


def lint(paths: Sequence[str], zone: str = "cluster.local") -> list[Finding]:
    """Find what will not resolve as meant in files and directories; ``-`` is standard input.

    Raises ManifestError for what cannot be read.
    """
    manifests = [_read(file) for file in _files(paths)]
    documents = [one for manifest in manifests for one in manifest.documents]
    found = [*findings(Manifests(documents, zone)), *_contradictions(manifests)]
    # A file may be named twice, and one fault be told by two rules.
    return sorted(dict.fromkeys(found), key=lambda one: (one.path, one.line, one.code, one.text))


def _files(paths: Sequence[str]) -> list[File]:
    """List the files, each once; one that is named counts as named."""
    files: dict[str, File] = {}
    for path in paths:
        for file in find(path).files:
            if file.path not in files or not file.lenient:
                files[file.path] = file
    return [files[path] for path in sorted(files)]


def _read(file: File) -> Manifest:
    return parse(file.read(), file.name, lenient=file.lenient)


def _contradictions(manifests: Sequence[Manifest]) -> list[Finding]:
    """Return what keeps the documents from being one cluster, if anything does."""
    try:
        build(manifests, Settings())
    except Conflict as error:
        # Two Services with one address have a rule of their own, which finds all of them.
        if any(isinstance(part, tuple) for part in error.about):
            return [_conflict(error)]
    except ManifestError as error:
        return [_conflict(error)]
    return []


def _conflict(error: ManifestError) -> Finding:
    return Finding(CONFLICT, "error", error.path, error.line, "manifests", error.text)
