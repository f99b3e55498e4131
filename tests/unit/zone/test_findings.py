"""What an adversary found, each once."""

import dns.edns
import dns.message
import pytest

from kdns.kube.changes import Apply, Change, Delete, Init, InitDone
from kdns.kube.objects import Endpoint, EndpointSlice, Namespace, Object, Port, Service
from kdns.zone.settings import Settings
from tests.cluster import Cluster, ede, endpoints, external, headless, lines, rcode, service

ZONES = Settings(zones=("cluster.local", "in-addr.arpa", "ip6.arpa"))
NS = Namespace("testns")
READY = endpoints("db", "db-0@10.1.0.1")
UNREADY = endpoints("db", Endpoint(("10.1.0.1",), "db-0", ready=False))
IMPORTED = EndpointSlice(
    "testns", READY.name, "db", ports=READY.ports, endpoints=READY.endpoints, imported=True
)
OWN = endpoints("dns", "10.244.0.20")

# Objects, a question, a change, settings: prepared, changed, and compared with a fresh start.
CHANGES: dict[str, tuple[tuple[Object, ...], str, Change, Settings]] = {
    "NS: a headless service is made": (
        (NS, OWN),
        "cluster.local. NS",
        Apply(headless("dns")),
        ZONES,
    ),
    "NS: a headless service goes": (
        (NS, OWN, headless("dns")),
        "cluster.local. NS",
        Delete("Service", ("testns", "dns")),
        ZONES,
    ),
    "NS: an alias becomes headless": (
        (NS, OWN, external("dns", "x.example")),
        "cluster.local. NS",
        Apply(headless("dns")),
        ZONES,
    ),
    "above an address that becomes unready": (
        (NS, headless("db"), READY),
        "1.10.in-addr.arpa. PTR",
        Apply(UNREADY),
        ZONES,
    ),
    "above an address that becomes ready": (
        (NS, headless("db"), UNREADY),
        "1.10.in-addr.arpa. PTR",
        Apply(READY),
        ZONES,
    ),
    "PTR: a slice becomes imported": (
        (NS, headless("db"), READY),
        "1.0.1.10.in-addr.arpa. PTR",
        Apply(IMPORTED),
        ZONES,
    ),
    "PTR: an imported slice becomes a plain one": (
        (NS, headless("db"), IMPORTED),
        "1.0.1.10.in-addr.arpa. PTR",
        Apply(READY),
        ZONES,
    ),
    "PTR: its namespace goes": (
        (NS, headless("db"), READY),
        "1.0.1.10.in-addr.arpa. PTR",
        Delete("Namespace", ("", "testns")),
        ZONES,
    ),
    "compat: an alias of nothing gets another target": (
        (NS, external("a", "x.testns.svc.cluster.local"), service("web", "10.0.0.1")),
        "a.testns.svc.cluster.local. A",
        Apply(external("a", "web.testns.svc.cluster.local")),
        Settings(compat=True),
    ),
}


@pytest.mark.parametrize(("objects", "question", "change", "zone"), CHANGES.values(), ids=CHANGES)
def test_no_prepared_answer_outlives_its_truth(
    objects: tuple[Object, ...], question: str, change: Change, zone: Settings
) -> None:
    live = Cluster(objects, zone, nameservers=("10.244.0.20",))
    for _ in range(3):
        live.ask(question)
    live.change(change)
    fresh = Cluster((), zone, nameservers=("10.244.0.20",))
    for item in objects:
        fresh.change(Apply(item))
    fresh.change(change)

    for _ in range(3):
        one, other = live.ask(question), fresh.ask(question)
        assert (rcode(one), lines(one.answer)) == (rcode(other), lines(other.answer))


def test_a_slice_that_was_imported_leaves_nothing_behind() -> None:
    cluster = Cluster((NS, headless("db"), READY), ZONES)
    cluster.change(Apply(IMPORTED))
    cluster.change(Delete("EndpointSlice", READY.key))

    assert rcode(cluster.ask("1.0.1.10.in-addr.arpa. PTR")) == "NXDOMAIN"
    assert rcode(cluster.ask("1.10.in-addr.arpa. PTR")) == "NXDOMAIN"


def test_a_late_delete_within_a_list_leaves_the_new_object() -> None:
    cluster = Cluster((NS,))
    for change in (
        Init("Service"),
        Apply(Service("testns", "web", uid="new", cluster_ips=("10.0.0.1",))),
        Delete("Service", ("testns", "web"), uid="old"),
        InitDone("Service"),
    ):
        cluster.change(change)

    assert cluster.ask("web.testns.svc.cluster.local. A").answer


def test_ignore_empty_service_is_about_everything_below_it() -> None:
    cluster = Cluster(
        (NS, service("web", "10.0.0.1"), endpoints("web")), Settings(ignore_empty_service=True)
    )

    for name in ("web", "_http._tcp.web", "_tcp.web"):
        answer = cluster.ask(f"{name}.testns.svc.cluster.local. SRV", edns=1232)
        assert rcode(answer) == "NXDOMAIN"
        assert "ignore empty_service" in ede(answer)


HIDDEN = {
    "hidden": (Settings(namespaces=("other",)), OWN),
    "unready": (Settings(), endpoints("dns", Endpoint(("10.244.0.20",), ready=False))),
    "without endpoints": (Settings(noendpoints=True), OWN),
}


@pytest.mark.parametrize(("zone", "item"), HIDDEN.values(), ids=HIDDEN)
def test_ns_never_leads_to_a_name_that_is_missing(zone: Settings, item: EndpointSlice) -> None:
    cluster = Cluster((NS, headless("dns"), item), zone, nameservers=("10.244.0.20",))

    assert lines(cluster.ask("cluster.local. NS").answer) == {
        "cluster.local. 5 NS ns.dns.cluster.local."
    }


def test_ns_knows_its_address_in_any_spelling() -> None:
    cluster = Cluster(
        (NS, headless("dns"), endpoints("dns", "fd00:0::1")), nameservers=("fd00::1",)
    )

    [record] = lines(cluster.ask("cluster.local. NS").answer)
    assert record.endswith(".dns.testns.svc.cluster.local.")


def test_an_ipv4_mapped_address_is_ipv6() -> None:
    cluster = Cluster((NS, headless("db"), endpoints("db", "::ffff:10.1.2.3")))

    assert lines(cluster.ask("db.testns.svc.cluster.local. AAAA").answer) == {
        "db.testns.svc.cluster.local. 5 AAAA ::ffff:10.1.2.3"
    }


@pytest.mark.parametrize("label", [r"10\.0\.0\.1", r"\:\:1", "fe80--1%eth0", "10-0-0-256"])
def test_odd_labels_are_no_pods(label: str) -> None:
    cluster = Cluster((NS,), Settings(pods="insecure"))

    assert rcode(cluster.ask(f"{label}.testns.pod.cluster.local. A")) == "NXDOMAIN"


@pytest.mark.parametrize("hostname", ["x" * 64, "x" * 300, "h中", "a.b"])
def test_a_hostname_that_is_no_label_is_replaced_by_the_address(hostname: str) -> None:
    item = endpoints("db", Endpoint(("10.1.0.1",), hostname))
    answer = Cluster((NS, headless("db"), item)).ask("db.testns.svc.cluster.local. SRV")

    assert "10-1-0-1.db.testns.svc.cluster.local." in " ".join(lines(answer.answer))


def test_targets_too_long_for_a_name_are_left_out() -> None:
    names = ["x" * 63, "y" * 63, "z" * 63]
    imported = Service(
        names[0], names[1], headless=True, ports=(Port("http", "tcp", 80),), imported=True
    )
    item = EndpointSlice(
        names[0],
        "s",
        names[1],
        ports=imported.ports,
        endpoints=(Endpoint(("10.0.0.1",), names[2]),),
        imported=True,
        cluster="c" * 63,
    )
    zone = Settings(zones=("cluster.local", "clusterset.local"), multicluster=("clusterset.local",))
    cluster = Cluster((Namespace(names[0]), imported, item), zone)
    answer = cluster.ask(f"{names[1]}.{names[0]}.svc.clusterset.local. SRV")

    assert rcode(answer) == "NOERROR"
    assert not answer.answer


@pytest.mark.parametrize("size", [512, 1232])
@pytest.mark.parametrize("padding", [100, 1000, 20_000])
@pytest.mark.parametrize("name", ["web", "missing"])
def test_edns_options_never_make_a_reply_too_large(size: int, padding: int, name: str) -> None:
    cluster = Cluster((NS, service("web", "10.0.0.1")))
    option: dns.edns.Option = dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(padding))
    query = dns.message.make_query(f"{name}.testns.svc.cluster.local.", "A")
    for options in ([], [option], [option] * 3):
        query.use_edns(0, payload=size, options=options)
        wire = query.to_wire(max_size=65_535)
        reply = cluster.responder.respond(wire, ("192.0.2.7", 5353), ("udp", "1"))
        assert isinstance(reply, bytes)
        assert len(reply) <= size
