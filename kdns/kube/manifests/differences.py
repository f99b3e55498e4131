"""From one cluster that manifests make to the next, as changes. Opens no files."""

from collections.abc import Iterator

from kdns.kube.changes import Apply, Change, Delete, Init, InitDone
from kdns.kube.manifests.cluster import KINDS, Cluster
from kdns.kube.objects import Key, Kind, Object


def listed(cluster: Cluster) -> Iterator[Change]:
    """Tell a cluster as complete lists."""
    for kind in KINDS:
        yield Init(kind)
        yield from (Apply(one) for one in cluster.objects if kind == one.KIND)
        yield InitDone(kind)


def differences(before: Cluster, after: Cluster) -> Iterator[Change]:
    """Tell what is gone, then what is new or different.

    What is gone has the version of what made it go only where versions are times: the time of a
    file would stand above every resourceVersion for good.
    """
    version = after.version if after.dated else 0
    old, new = _by_key(before), _by_key(after)
    for kind, key in old.keys() - new.keys():
        yield Delete(kind, key, old[kind, key].uid, version)
    for place, one in new.items():
        if old.get(place) != one:
            yield Apply(one)


def _by_key(cluster: Cluster) -> dict[tuple[Kind, Key], Object]:
    return {(one.KIND, one.key): one for one in cluster.objects}
