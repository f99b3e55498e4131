"""What the store tells of lists; what it answers from is tested through the zone."""

from kdns.kube.changes import Apply, Change, Init, InitDone
from kdns.kube.objects import Service
from kdns.kube.owners import EVERYTHING, SYNC, service_owner
from kdns.kube.store import Store


def _service(name: str, ip: str, version: int) -> Service:
    return Service("default", name, uid=name, version=version, cluster_ips=(ip,))


def _list(*services: Service) -> list[Change]:
    return [Init("Service"), *map(Apply, services), InitDone("Service")]


def test_the_first_list_touches_everything() -> None:
    store = Store()
    *_, touched = map(store.apply, _list(_service("a", "10.0.0.1", 1)))

    assert touched == {EVERYTHING}
    assert store.services_at("10.0.0.1")


def test_a_list_after_a_snapshot_touches_what_differs() -> None:
    store = Store()
    store.apply(Apply(_service("a", "10.0.0.1", 1)))
    *_, touched = map(store.apply, _list(_service("a", "10.0.0.1", 1)))

    assert touched == {SYNC}


def test_a_list_again_touches_what_differs_and_keeps_the_objects_it_has() -> None:
    store = Store()
    for change in _list(_service("a", "10.0.0.1", 1), _service("b", "10.0.0.2", 1)):
        store.apply(change)
    before = store.service("default", "a")
    *_, touched = map(
        store.apply, _list(_service("a", "10.0.0.1", 1), _service("b", "10.0.0.3", 2))
    )

    assert service_owner("default", "b") in touched
    assert service_owner("default", "a") not in touched
    assert store.service("default", "a") is before
    assert store.serial == 2


def test_objects_without_a_version_are_compared() -> None:
    store = Store()
    for change in _list(_service("a", "10.0.0.1", 0)):
        store.apply(change)
    for change in _list(_service("a", "10.0.0.2", 0)):
        store.apply(change)

    assert store.services_at("10.0.0.2")
    assert not store.services_at("10.0.0.1")
