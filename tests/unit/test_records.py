"""Every record of a cluster, of zones that only some clusters have."""

from kdns.kube.objects import Endpoint, EndpointSlice, Namespace, Pod, Port, Service
from kdns.records import ZoneRecords, zones
from kdns.wire import names
from kdns.zone.authority import Authority
from kdns.zone.settings import Settings
from tests.cluster import Cluster

HTTP = (Port("http", "tcp", 80),)
OBJECTS = (
    Namespace("default"),
    Service("default", "db", headless=True, ports=HTTP),
    EndpointSlice(
        "default", "db-1", "db", ports=HTTP, endpoints=(Endpoint(("192.0.2.1",), zone="eu-1a"),)
    ),
    Service("default", "far", headless=True, ports=HTTP, imported=True),
    EndpointSlice(
        "default",
        "far-1",
        "far",
        ports=HTTP,
        endpoints=(Endpoint(("192.0.2.9",), hostname="h"),),
        imported=True,
        cluster="c2",
    ),
    Pod("default", "six", ips=("2001:db8::5",)),
)


def _zones(settings: Settings) -> list[ZoneRecords]:
    cluster = Cluster(OBJECTS, settings)
    return zones(cluster.store, Authority(settings, ("127.0.0.1",)))


def _owners(settings: Settings) -> set[str]:
    return {names.to_text(one.owner) for zone in _zones(settings) for one in zone.records}


def test_topology_zones_are_listed_where_they_are_served() -> None:
    name = "eu-1a.pin._zone.db.default.svc.cluster.local."

    assert name in _owners(Settings(zonal=True))
    assert name not in _owners(Settings())


def test_imported_services_are_in_their_own_zone() -> None:
    owners = _owners(Settings(zones=("cluster.local", "set.local"), multicluster=("set.local",)))

    assert "h.c2.far.default.svc.set.local." in owners
    assert "db.default.svc.cluster.local." in owners
    assert not any(one.startswith("far.") and one.endswith("cluster.local.") for one in owners)


def test_pods_are_listed_where_they_are_looked_at() -> None:
    name = "2001-db8--5.default.pod.cluster.local."

    assert name in _owners(Settings(pods="verified"))
    assert name not in _owners(Settings(pods="insecure"))


def test_short_names_are_listed_unless_they_are_off() -> None:
    assert "db.default.cluster.local." in _owners(Settings())
    assert "db.default.cluster.local." not in _owners(Settings(short_names=False))


def test_a_zone_below_another_has_its_names_alone() -> None:
    outer, inner = _zones(Settings(zones=("cluster.local", "svc.cluster.local")))

    assert not any(
        names.is_below(one.owner, names.from_text(inner.origin)) for one in outer.records
    )


def test_the_root_has_a_file_name() -> None:
    assert ZoneRecords(".", ()).file == "root.zone"
