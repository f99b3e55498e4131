"""What a program says about the cluster -> the options of a server without a Corefile."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias, TypedDict

from msgspec import Struct
from msgspec.structs import replace

from kdns.chain import Address
from kdns.cluster import From, FromCluster, FromManifests, FromObjects
from kdns.errors import UsageError
from kdns.kube.manifests.memory import Objects, Written, flattened
from kdns.standalone import REVERSE, Options, kubeadm
from kdns.zone.settings import Settings

PathText: TypeAlias = str | os.PathLike[str]
Paths: TypeAlias = PathText | Sequence[PathText]
Upstream: TypeAlias = str | Sequence[str]

SYSTEM = "system"
_KINDS = ("manifests", "objects", "kubeconfig", "in_cluster")


class Source(TypedDict, total=False):
    """Where a cluster is, what is answered for, and who is asked about the rest.

    Exactly one of the first four says where it is.
    """

    manifests: Paths
    """Files and directories of manifests, which are watched; ``-`` is standard input."""
    objects: Objects
    """Manifests in memory: dictionaries, YAML or JSON text, and ``pathlib.Path`` objects. More can
    be applied later."""
    kubeconfig: PathText
    """A kubeconfig; ``~`` is the home directory."""
    in_cluster: bool
    """The service account of the pod that this runs in."""
    context: str
    """Context of the kubeconfig; its current one when left out."""
    snapshot: PathText
    """File that keeps the last known objects of an API server, to start without it."""
    snapshot_max_age: float
    """Seconds; an older snapshot is not used (a day)."""
    assign: bool
    """Whether the addresses and endpoints that a cluster adds to manifests are simulated (yes)."""
    zone: str
    """The cluster's domain (``cluster.local``)."""
    settings: Settings
    """All options of the ``kubernetes`` block, in the place of ``zone``."""
    upstream: Upstream
    """Who is asked about other names: ``ADDR[:PORT]``, several of them, or ``"system"`` for those
    of /etc/resolv.conf. Left out, nobody: such names are REFUSED."""
    wait: float
    """Seconds to wait for the first complete list of an API server (10); what is not known by then
    is SERVFAIL until it is."""


class Wanted(Struct, frozen=True):
    """What is to be followed and served."""

    options: Options
    objects: tuple[Written, ...] = ()
    assign: bool = True
    wait: float = 10.0


def read(source: Source) -> Wanted:
    """Read what a program gave.

    Raises UsageError for what contradicts itself or is missing, TypeError for unknown words.
    """
    _check(source)
    upstream = source.get("upstream", ())
    options = Options(
        source=_from(source),
        settings=_settings(source),
        port=0,
        upstream=None if upstream == SYSTEM else _words(upstream),
    )
    return Wanted(
        options,
        tuple(flattened(source.get("objects", ()))),
        source.get("assign", True),
        source.get("wait", 10.0),
    )


def served(
    options: Options,
    *,
    port: int,
    bind: tuple[str, ...],
    search: Sequence[str] | None,
    admin: Address | None,
) -> Options:
    """Return the options of a server for what a resolver follows already."""
    zone = next(one for one in options.settings.zones if not one.endswith(REVERSE))
    domains = kubeadm(zone).search if search is None else tuple(search)
    settings = replace(options.settings, search=domains)
    return replace(options, settings=settings, port=port, bind=bind, admin=admin)


def _check(source: Source) -> None:
    if unknown := source.keys() - Source.__annotations__.keys():
        raise TypeError(f"unexpected {', '.join(sorted(unknown))}")
    given = [kind for kind in _KINDS if kind in source and source.get(kind) is not False]
    if len(given) != 1:
        raise UsageError(
            f"expected one of {', '.join(_KINDS)}, got {' and '.join(given) or 'none of them'}"
        )
    for word, kinds in (
        ("context", ("kubeconfig",)),
        ("snapshot", ("kubeconfig", "in_cluster")),
        ("snapshot_max_age", ("kubeconfig", "in_cluster")),
        ("assign", ("manifests", "objects")),
    ):
        if word in source and given[0] not in kinds:
            raise UsageError(f"{word} goes with {' or '.join(kinds)}, not with {given[0]}")
    if "zone" in source and "settings" in source:
        raise UsageError("zone and settings exclude one another: settings has zones")


def _from(source: Source) -> From:
    if "manifests" in source:
        paths = source["manifests"]
        several = [paths] if isinstance(paths, str | os.PathLike) else paths
        return FromManifests(tuple(os.fspath(path) for path in several), source.get("assign", True))
    if "objects" in source:
        return FromObjects("objects")
    return FromCluster(
        str(Path(source["kubeconfig"]).expanduser()) if "kubeconfig" in source else "",
        source.get("context", ""),
        snapshot=os.fspath(source.get("snapshot", "")),
        snapshot_max_age=source.get("snapshot_max_age", 86_400.0),
    )


def _settings(source: Source) -> Settings:
    """Take kubeadm's; names are completed by the resolver, as in a pod."""
    if "settings" in source:
        return replace(source["settings"], search=())
    return kubeadm(source.get("zone", "cluster.local"), search=())


def _words(upstream: str | Sequence[str]) -> tuple[str, ...]:
    return (upstream,) if isinstance(upstream, str) else tuple(upstream)
