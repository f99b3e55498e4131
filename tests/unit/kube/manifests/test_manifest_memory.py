"""Manifests that a program holds: what is told, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from kdns.errors import ManifestError, UsageError
from kdns.kube.changes import Apply, Change, Delete, Init, InitDone
from kdns.kube.manifests.memory import MemorySource, Objects, Written, flattened
from kdns.kube.objects import EndpointSlice, Namespace, Object, Pod, Service
from kdns.kube.store import KINDS

WEB = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1}
"""
DB: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "db", "namespace": "shop"},
    "spec": {"clusterIP": "None", "selector": {"app": "db"}},
}
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "db-0", "namespace": "shop", "labels": {"app": "db"}},
}


def source(
    *objects: Written, assign: bool = True, labels: str = ""
) -> tuple[MemorySource, list[Change]]:
    """A source that has told its first objects, and what it will tell."""
    told: list[Change] = []
    made = MemorySource(told.append, assign=assign, labels=labels)
    made.start(objects)
    told.clear()
    return made, told


def applied(told: list[Change]) -> list[Object]:
    """What was applied, but for Namespaces: one of these shows when all of it last changed."""
    objects = [one.object for one in told if isinstance(one, Apply)]
    return [one for one in objects if not isinstance(one, Namespace)]


def test_the_first_objects_are_complete_lists() -> None:
    told: list[Change] = []
    MemorySource(told.append, assign=False).start([WEB])

    assert [one.kind for one in told if isinstance(one, Init)] == [*KINDS]
    assert [one.kind for one in told if isinstance(one, InitDone)] == [*KINDS]
    assert [type(one) for one in applied(told)] == [Service]


def test_only_what_is_new_is_told() -> None:
    memory, told = source(WEB, assign=False)

    memory.apply([WEB, DB])

    assert [one.key for one in applied(told)] == [("shop", "db")]


def test_what_a_cluster_would_add_is_told_too() -> None:
    memory, told = source(DB)

    memory.apply([POD])

    assert [type(one) for one in applied(told)] == [EndpointSlice, Pod]


def test_an_object_is_replaced() -> None:
    memory, told = source(WEB, assign=False)

    memory.apply([WEB.replace("10.0.0.1", "10.0.0.2")])

    (changed,) = applied(told)
    assert isinstance(changed, Service)
    assert changed.cluster_ips == ("10.0.0.2",)


def test_an_object_is_deleted() -> None:
    memory, told = source(WEB, DB, assign=False)

    memory.delete("Service", "shop", "web")

    assert [one for one in told if isinstance(one, Delete)] == [
        Delete("Service", ("shop", "web"), version=2)
    ]


def test_the_namespace_of_other_kinds_exists() -> None:
    memory, told = source(assign=False)

    memory.apply([{"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "vault"}}])

    assert [type(one.object) for one in told if isinstance(one, Apply)] == [Namespace]


def test_every_change_has_a_later_version() -> None:
    memory, told = source(WEB)
    seen = []
    for number in (2, 3):
        memory.apply([WEB.replace("10.0.0.1", f"10.0.0.{number}")])
        seen.append(max(one.object.version for one in told if isinstance(one, Apply)))

    assert seen == [2, 3]


def test_labels_select() -> None:
    memory, told = source(assign=False, labels="app=db")

    memory.apply([WEB, POD])

    assert [one.key for one in applied(told)] == [("shop", "db-0")]


REFUSED = {
    "a word": ("web", "objects[0]:1: found no mapping"),
    "no kind": ({"apiVersion": "v1"}, "objects[0]:1: found no kind"),
    "a wrong value": (WEB.replace("10.0.0.1", "ten"), "objects[0]:4: Service: found 'ten'"),
    "what is no JSON": ({**DB, "spec": object()}, "objects[0]: found what no manifest can hold"),
    "no file": (Path("/nowhere.yaml"), "/nowhere.yaml: cannot be read: No such file"),
}


@pytest.mark.parametrize(("written", "why"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_named_and_nothing_of_it_taken(written: Written, why: str) -> None:
    memory, told = source(WEB)

    with pytest.raises(ManifestError) as error:
        memory.apply([written])

    assert why in str(error.value)
    assert not told


def test_a_contradiction_is_refused_and_leaves_all_as_it_was() -> None:
    memory, told = source(WEB, assign=False)
    same_address = {**DB, "spec": {"clusterIP": "10.0.0.1"}}

    with pytest.raises(ManifestError, match=r"10\.0\.0\.1"):
        memory.apply([same_address])
    memory.apply([DB])

    assert [one.key for one in applied(told)] == [("shop", "db")]


def test_what_is_not_there_cannot_be_deleted() -> None:
    memory, _ = source(WEB)

    with pytest.raises(UsageError, match="there is no Service shop/wep"):
        memory.delete("Service", "shop", "wep")


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text(f"{WEB}---\n{WEB.replace('web', 'api').replace('.1', '.2')}")
    memory, told = source(assign=False)

    memory.apply([path])

    assert [one.key for one in applied(told)] == [("shop", "api"), ("shop", "web")]


@pytest.mark.parametrize(
    ("objects", "count"),
    [
        pytest.param(WEB, 1, id="a text"),
        pytest.param(DB, 1, id="a dictionary"),
        pytest.param(Path("web.yaml"), 1, id="a file"),
        pytest.param([WEB, DB], 2, id="a list"),
        pytest.param((), 0, id="nothing"),
    ],
)
def test_one_or_several(objects: Objects, count: int) -> None:
    assert len([*flattened(objects)]) == count
