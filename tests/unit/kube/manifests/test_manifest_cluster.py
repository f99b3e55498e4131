import re
from ipaddress import ip_address, ip_network
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.errors import ManifestError
from kdns.kube.manifests.addresses import Range
from kdns.kube.manifests.cluster import Settings
from kdns.kube.objects import Endpoint, Namespace, Port
from kdns.kube.selectors import Selector
from tests.unit.kube.manifests.cases import (
    CHANGED,
    assigned,
    cluster,
    made_pod,
    made_service,
    pods,
    service,
    slices,
    workload,
)

HEADLESS = "{clusterIP: None, selector: {app: web}, ports: [{name: http, port: 80}]}"
WEB = "{selector: {app: web}, ports: [{name: http, port: 80}]}"
SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [192.0.2.1]}]
"""
ENDPOINTS = """
apiVersion: v1
kind: Endpoints
metadata: {name: web}
subsets:
- addresses: [{ip: 192.0.2.1, hostname: a, targetRef: {name: pod-a}}, {ip: 'fd00::1'}]
  notReadyAddresses: [{ip: 192.0.2.2}]
  ports: [{name: http, port: 8080}]
- addresses: [{ip: 192.0.2.3}]
"""
NODES = """
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Node, metadata: {name: n1, labels: {topology.kubernetes.io/zone: a}}}
- {apiVersion: v1, kind: Node, metadata: {name: n2, labels: {topology.kubernetes.io/zone: b}}}
"""

# Cluster IPs

FAMILIES = {
    "{}": ["IPv4"],
    "{type: NodePort}": ["IPv4"],
    "{type: LoadBalancer, clusterIP: ''}": ["IPv4"],
    "{ipFamilies: [IPv6]}": ["IPv6"],
    "{ipFamilies: [IPv6, IPv4]}": ["IPv6", "IPv4"],
    "{ipFamilyPolicy: SingleStack}": ["IPv4"],
    "{ipFamilyPolicy: SingleStack, ipFamilies: [IPv6]}": ["IPv6"],
    "{ipFamilyPolicy: PreferDualStack}": ["IPv4", "IPv6"],
    "{ipFamilyPolicy: RequireDualStack, ipFamilies: [IPv6]}": ["IPv6", "IPv4"],
    "{ipFamilyPolicy: RequireDualStack, clusterIP: 'fd00::5'}": ["IPv6", "IPv4"],
    "{ipFamilyPolicy: RequireDualStack, clusterIPs: [10.0.0.5]}": ["IPv4", "IPv6"],
    "{clusterIP: None}": [],
    "{type: ExternalName, externalName: example.com}": [],
}
NETWORKS = {4: ip_network("10.96.0.0/12"), 6: ip_network("fd00:10:96::/112")}


@pytest.mark.parametrize("spec", FAMILIES)
def test_a_service_gets_an_address_of_each_of_its_families(spec: str) -> None:
    found = service(assigned(made_service("web", spec)), "web")

    assert [f"IPv{ip_address(ip).version}" for ip in found.cluster_ips] == FAMILIES[spec]
    for text in found.cluster_ips:
        stated = text in spec
        assert stated or ip_address(text) in NETWORKS[ip_address(text).version]


def test_addresses_are_the_same_in_every_version_of_kdns() -> None:
    found = assigned(made_service("web", "{ipFamilyPolicy: PreferDualStack}"))

    assert service(found, "web").cluster_ips == ("10.99.7.5", "fd00:10:96::a30b")


@given(st.permutations(range(40)), st.sets(st.integers(0, 60), max_size=40))
def test_addresses_do_not_depend_on_the_order_of_asking_until_two_meet(
    order: list[int], reserved: set[int]
) -> None:
    network = "192.0.0.0/21"
    taken = [f"192.0.4.{number}" for number in reserved]
    pool = Range(network, taken)

    given_out = {number: pool.take(f"service {number}") for number in order}

    assert len(set(given_out.values())) == len(order)
    assert not set(given_out.values()) & set(taken)


@given(st.permutations(range(12)))
def test_a_cluster_does_not_depend_on_the_order_of_its_documents(order: list[int]) -> None:
    texts = [
        *(made_service(f"s{number}", "{selector: {app: web}}") for number in range(6)),
        made_service("fixed", "{clusterIP: 10.96.7.7}"),
        made_pod("a", status="{podIP: 10.244.3.3}"),
        made_pod("b"),
        workload("Deployment", "web", "replicas: 3"),
        workload("StatefulSet", "db", "replicas: 2"),
        NODES,
    ]

    found = assigned(*(texts[number] for number in order))

    assert found.objects == assigned(*texts).objects
    addresses = [*chain.from_iterable(one.ips for one in pods(found))]
    assert len(set(addresses)) == len(addresses)


def test_a_range_that_is_full_spills_over() -> None:
    pool = Range("192.0.0.0/22")

    assert len({pool.take(str(number)) for number in range(3000)}) == 3000


def test_one_cluster_ip_cannot_be_two_services() -> None:
    texts = [made_service(name, "{clusterIP: 'fd00::5'}") for name in "ab"]
    texts[1] = texts[1].replace("fd00::5", "fd00:0::5")

    with pytest.raises(ManifestError) as error:
        cluster(*texts)

    assert str(error.value) == (
        "2.yaml:2: Service default/b has the clusterIP fd00::5 of Service default/a at 1.yaml:2,"
        " expected an address of its own"
    )


# What every cluster has


def test_the_api_server_has_its_service() -> None:
    found = assigned()

    assert service(found, "kubernetes").cluster_ips == ("10.96.0.1",)
    [one] = slices(found, "kubernetes")
    assert one.ports == (Port("https", "tcp", 6443),)
    assert len(one.endpoints) == 1


def test_a_written_kubernetes_service_stands() -> None:
    found = assigned(made_service("kubernetes", "{clusterIP: 10.43.0.1}"))

    assert service(found, "kubernetes").cluster_ips == ("10.43.0.1",)
    assert slices(found, "kubernetes") == []


def test_the_api_server_leaves_its_address_to_whoever_wrote_it_down() -> None:
    found = assigned(made_service("web", "{clusterIP: 10.96.0.1}"))

    assert service(found, "kubernetes").cluster_ips != ("10.96.0.1",)


CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: prod}\n"


@pytest.mark.parametrize(
    ("assign", "expected"),
    [
        (False, ["default", "prod"]),
        (True, ["default", "kube-node-lease", "kube-public", "kube-system", "prod"]),
    ],
)
def test_namespaces_exist_when_something_is_in_them(assign: bool, expected: list[str]) -> None:
    found = cluster(CONFIG, made_service("web", "{}"), assign=assign)

    assert [one.name for one in found.objects if isinstance(one, Namespace)] == expected


# Slices


def test_without_assignment_nothing_is_invented() -> None:
    found = cluster(made_service("web", WEB), made_pod("a"), workload("Deployment", "web"))

    assert [one.KIND for one in found.objects] == ["Namespace", "Service", "Pod"]
    assert service(found, "web").cluster_ips == ()
    assert pods(found)[0].ips == ()


@pytest.mark.parametrize("assign", [False, True])
def test_written_slices_stand_as_they_are(assign: bool) -> None:
    found = cluster(
        made_service("web", WEB), SLICE, ENDPOINTS, workload("Deployment", "web"), assign=assign
    )

    [one] = slices(found, "web")
    assert one.name == "web-1"
    assert one.endpoints == (Endpoint(("192.0.2.1",)),)


@pytest.mark.parametrize("assign", [False, True])
def test_endpoints_are_mirrored_to_slices(assign: bool) -> None:
    found = slices(cluster(made_service("web", "{}"), ENDPOINTS, assign=assign), "web")

    port = Port("http", "tcp", 8080)
    not_ready = Endpoint(("192.0.2.2",), ready=False)
    assert {(one.address_type, one.ports, one.endpoints) for one in found} == {
        ("IPv4", (port,), (Endpoint(("192.0.2.1",), "a", pod="pod-a"), not_ready)),
        ("IPv6", (port,), (Endpoint(("fd00::1",)),)),
        ("IPv4", (), (Endpoint(("192.0.2.3",)),)),
    }


def test_endpoints_without_a_service_are_nobodys() -> None:
    assert slices(cluster(ENDPOINTS), "web") == []


def only_slice(*texts: str) -> tuple[tuple[Port, ...], tuple[Endpoint, ...]]:
    [one] = slices(assigned(*texts), "web")
    return one.ports, one.endpoints


READY = "conditions: [{type: Ready, status: 'True'}]"
UNREADY = "conditions: [{type: Ready, status: 'False'}]"
STATES = {
    "{phase: Running, podIP: 10.0.0.1}": True,
    f"{{phase: Running, podIP: 10.0.0.1, {READY}}}": True,
    f"{{podIPs: [{{ip: 10.0.0.1}}, {{ip: 'fd00::1'}}], {READY}}}": True,
    f"{{phase: Running, podIP: 10.0.0.1, {UNREADY}}}": False,
    "{podIP: 10.0.0.1, conditions: [{type: Initialized, status: 'True'}]}": False,
    "{phase: Succeeded, podIP: 10.0.0.1}": None,
    "{phase: Failed, podIP: 10.0.0.1}": None,
    "{phase: Pending}": None,
}


@pytest.mark.parametrize("status", STATES)
@pytest.mark.parametrize("publish", [False, True])
def test_readiness_comes_from_the_status(status: str, publish: bool) -> None:
    text = made_service(
        "web", f"{{selector: {{app: web}}, publishNotReadyAddresses: {str(publish).lower()}}}"
    )

    _, endpoints = only_slice(text, made_pod("a", status=status))

    ready = STATES[status]
    expected = () if ready is None else (Endpoint(("10.0.0.1",), ready=ready or publish, pod="a"),)
    assert endpoints == expected


def test_a_terminating_pod_is_not_ready_and_has_no_name_of_its_own() -> None:
    gone = made_pod("a", "{}", "{podIP: 10.0.0.1}", ", deletionTimestamp: 2026-01-01T00:00:00Z")

    found = assigned(made_service("web", WEB), gone)

    assert slices(found, "web")[0].endpoints == (Endpoint(("10.0.0.1",), ready=False, pod="a"),)
    assert pods(found)[0].ips == ()


@pytest.mark.parametrize(
    ("spec", "hostname"),
    [
        ("{hostname: me, subdomain: web}", "me"),
        ("{hostname: me, subdomain: other}", ""),
        ("{hostname: me}", ""),
        ("{subdomain: web}", ""),
    ],
)
def test_a_hostname_needs_the_subdomain_of_the_service(spec: str, hostname: str) -> None:
    _, [endpoint] = only_slice(made_service("web", HEADLESS), made_pod("a", spec))

    assert endpoint.hostname == hostname


CONTAINERS = """{containers: [
  {ports: [{name: http, containerPort: 8080}, {name: dns, containerPort: 53, protocol: UDP}]}],
  initContainers: [{ports: [{name: late, containerPort: 1}]},
  {restartPolicy: Always, ports: [{name: proxy, containerPort: 15000}]}]}"""
TARGETS = {
    "{port: 80}": 80,
    "{port: 80, targetPort: 8080}": 8080,
    "{port: 80, targetPort: http}": 8080,
    "{port: 80, targetPort: http, protocol: UDP}": None,
    "{port: 80, targetPort: dns, protocol: UDP}": 53,
    "{port: 80, targetPort: dns}": None,
    "{port: 80, targetPort: proxy}": 15000,
    "{port: 80, targetPort: late}": None,
    "{port: 80, targetPort: gone}": None,
}


@pytest.mark.parametrize("port", TARGETS)
def test_target_ports_are_found_on_the_pod(port: str) -> None:
    text = made_service("web", f"{{selector: {{app: web}}, ports: [{port}]}}")

    ports, endpoints = only_slice(text, made_pod("a", CONTAINERS))

    assert [one.number for one in ports] == [TARGETS[port]] * (TARGETS[port] is not None)
    assert len(endpoints) == 1


def test_pods_that_resolve_a_port_differently_go_to_different_slices() -> None:
    text = made_service("web", "{selector: {app: web}, ports: [{port: 80, targetPort: http}]}")
    other = CONTAINERS.replace("8080", "9090")

    found = slices(assigned(text, made_pod("a", CONTAINERS), made_pod("b", other)), "web")

    assert {(one.ports[0].number, one.endpoints[0].pod) for one in found} == {
        (8080, "a"),
        (9090, "b"),
    }


def test_a_slice_holds_a_hundred_endpoints() -> None:
    found = assigned(made_service("web", WEB), workload("Deployment", "web", "replicas: 250"))

    assert sorted(len(one.endpoints) for one in slices(found, "web")) == [50, 100, 100]


def test_a_dual_stack_service_has_slices_of_both_families() -> None:
    spec = "{clusterIP: None, ipFamilyPolicy: RequireDualStack, selector: {app: web}}"

    found = slices(assigned(made_service("web", spec), made_pod("a")), "web")

    assert [one.address_type for one in sorted(found, key=lambda one: one.address_type)] == [
        "IPv4",
        "IPv6",
    ]
    for one in found:
        [address] = one.endpoints[0].addresses
        network = {"IPv4": "10.244.0.0/16", "IPv6": "fd00:10:244::/56"}[one.address_type]
        assert ip_address(address) in ip_network(network)


def test_a_selector_wants_all_labels_and_the_same_namespace() -> None:
    text = made_service("web", "{selector: {app: web, tier: front}}")
    elsewhere = made_pod("c", metadata=", namespace: prod").replace("web", "web, tier: front")

    _, endpoints = only_slice(text, made_pod("a"), elsewhere)

    assert endpoints == ()


@pytest.mark.parametrize("null", ["null", "~", ""])
def test_a_null_in_a_selector_is_an_empty_text(null: str) -> None:
    text = made_service("web", f"{{selector: {{app: web, tier: {null}}}}}")
    empty = made_pod("b").replace("app: web", f"app: web, tier: {null}")
    front = made_pod("c").replace("app: web", "app: web, tier: front")

    _, endpoints = only_slice(text, made_pod("a"), empty, front)

    assert [one.pod for one in endpoints] == ["b"]


def test_a_null_in_a_selector_of_json_is_an_empty_text() -> None:
    text = (
        '{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "uid": null},'
        ' "spec": {"selector": {"tier": null}}}'
    )

    assert only_slice(text, made_pod("a"))[1] == ()


def test_endpoints_are_in_the_zones_of_their_nodes() -> None:
    text = made_service("web", WEB)

    _, written = only_slice(text, made_pod("a", "{nodeName: n2}"), NODES)
    _, spread = only_slice(text, workload("Deployment", "web", "replicas: 4"), NODES)

    assert [one.zone for one in written] == ["b"]
    assert sorted(one.zone for one in spread) == ["a", "a", "b", "b"]


# Workloads

FIVE = "[bcdfghjklmnpqrstvwxz2456789]{5}"
TEN = FIVE.replace("5}", "10}")
LONG = "x" * 57
NAMES = {
    ("Deployment", "web", ""): [f"web-{TEN}-{FIVE}"],
    ("Deployment", "web", "replicas: 2"): [f"web-{TEN}-{FIVE}"] * 2,
    ("Deployment", "web", "replicas: 0"): [],
    ("Deployment", LONG, ""): [f"{LONG}-{FIVE}"],
    ("ReplicaSet", "web", ""): [f"web-{FIVE}"],
    ("ReplicationController", "web", "replicas: 2"): [f"web-{FIVE}"] * 2,
    ("DaemonSet", "web", ""): [f"web-{FIVE}"],
    ("StatefulSet", "db", "replicas: 2"): ["db-0", "db-1"],
    ("StatefulSet", "db", "replicas: 2\n  ordinals: {start: 5}"): [
        "db-5",
        "db-6",
    ],
    ("Job", "once", ""): [f"once-{FIVE}"],
    ("Job", "once", "parallelism: 3\n  completions: 2"): [f"once-{FIVE}"] * 2,
    ("Job", "once", "suspend: true"): [],
    ("Job", "once", "completionMode: Indexed\n  parallelism: 2"): [
        f"once-0-{FIVE}",
        f"once-1-{FIVE}",
    ],
}


@pytest.mark.parametrize(("kind", "name", "spec"), NAMES)
def test_pods_are_named_as_the_controllers_do(kind: str, name: str, spec: str) -> None:
    found = [one.name for one in pods(assigned(workload(kind, name, spec)))]

    expected = NAMES[kind, name, spec]
    assert len(set(found)) == len(expected)
    assert all(re.fullmatch(*pair) for pair in zip(expected, found, strict=True))


def test_a_daemon_set_has_a_pod_on_each_node() -> None:
    _, endpoints = only_slice(made_service("web", WEB), workload("DaemonSet", "web"), NODES)

    assert sorted(one.zone for one in endpoints) == ["a", "b"]


def test_the_pods_of_a_stateful_set_have_hostnames_and_labels_of_their_own() -> None:
    database = workload("StatefulSet", "web", "replicas: 2\n  serviceName: web")
    first = made_service("first", "{selector: {statefulset.kubernetes.io/pod-name: web-0}}")

    found = assigned(made_service("web", HEADLESS), database, first)

    assert [one.hostname for one in slices(found, "web")[0].endpoints] == ["web-0", "web-1"]
    assert [one.pod for one in slices(found, "first")[0].endpoints] == ["web-0"]


def owned(name: str, kind: str, owner: str, labels: str = "") -> str:
    reference = f"ownerReferences: [{{kind: {kind}, name: {owner}, controller: true}}]"
    return made_pod(name, metadata=f", {reference}").replace("app: web", f"app: web{labels}")


OWNERS = {
    "Deployment": owned("a", "ReplicaSet", "web-abc", ", pod-template-hash: abc"),
    "ReplicaSet": owned("a", "ReplicaSet", "web"),
    "StatefulSet": owned("a", "StatefulSet", "web"),
    "DaemonSet": owned("a", "DaemonSet", "web"),
    "Job": owned("a", "Job", "web"),
}


@pytest.mark.parametrize("kind", OWNERS)
def test_a_workload_whose_pods_are_written_makes_no_others(kind: str) -> None:
    found = assigned(workload(kind, "web"), OWNERS[kind])

    assert [one.name for one in pods(found)] == ["a"]


def test_a_deployment_leaves_the_pods_to_its_written_replica_set() -> None:
    replica_set = workload("ReplicaSet", "web-abc").replace(
        "{name: web-abc}",
        "{name: web-abc, ownerReferences: [{kind: Deployment, name: web, controller: true}]}",
    )

    [pod] = pods(assigned(workload("Deployment", "web"), replica_set))

    assert pod.name.startswith("web-abc-")


def test_a_finished_job_has_no_pods() -> None:
    done = workload("Job", "once") + "status: {completionTime: '2026-01-01T00:00:00Z'}\n"

    assert pods(assigned(done)) == []


def test_simulated_pods_keep_off_written_addresses() -> None:
    deployment = workload("Deployment", "web")
    [alone] = pods(assigned(deployment))

    [other] = [
        one
        for one in pods(assigned(deployment, made_pod("a", status=f"{{podIP: {alone.ips[0]}}}")))
        if one.name != "a"
    ]

    assert other.name == alone.name
    assert other.ips[0] != alone.ips[0]


# The whole


def test_one_object_may_be_written_twice_but_not_differently() -> None:
    once = made_service("web", WEB)

    assert cluster(once, once).objects == cluster(once).objects
    with pytest.raises(ManifestError) as error:
        cluster(once, once.replace("80", "81"))

    assert str(error.value) == (
        "2.yaml:2: Service default/web is defined with other content at 1.yaml:2,"
        " expected one definition"
    )


IMPORT = """
apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ServiceImport
metadata: {name: web, resourceVersion: '99'}
spec: {type: ClusterSetIP, ips: [10.0.0.9], ports: [{port: 80}]}
"""


def test_a_service_import_is_a_service_of_its_own_kind() -> None:
    found = cluster(IMPORT)

    one = service(found, "web")
    assert (one.KIND, one.cluster_ips, one.version) == ("ServiceImport", ("10.0.0.9",), 99)
    assert found.version == 99


def versioned(name: str, version: str) -> str:
    return made_pod(name, metadata=f", resourceVersion: '{version}'")


def test_versions_are_those_that_are_written() -> None:
    found = assigned(made_service("web", WEB), versioned("a", "40"))

    assert [one.version for one in pods(found)] == [40]
    assert slices(found, "web")[0].version == 40
    assert found.version == 40


@pytest.mark.parametrize(
    ("texts", "version"),
    [
        ([versioned("a", "3")], 3),
        ([versioned("a", "3"), NODES], 3),
        ([versioned("a", "3"), made_service("web", WEB)], CHANGED),
        ([versioned("a", "3"), versioned("b", "1" * 20)], CHANGED),
        ([versioned("a", "3"), versioned("b", "1" * 5000)], CHANGED),
        ([versioned("a", "3"), versioned("b", "1x")], CHANGED),
        ([made_pod("a")], CHANGED),
        ([], 0),
    ],
)
@pytest.mark.parametrize("assign", [False, True])
def test_the_time_of_a_change_is_a_version_where_an_object_states_none(
    texts: list[str], version: int, assign: bool
) -> None:
    found = cluster(*texts, assign=assign)

    assert max((one.version for one in found.objects), default=0) == version
    assert found.version == version
    assert found.dated == (version == CHANGED)


def test_labels_select_services_slices_and_pods() -> None:
    texts = [
        made_service("web", WEB, "{team: shop}"),
        made_service("other", WEB),
        made_pod("a", metadata="").replace("app: web", "app: web, team: shop"),
        made_pod("b"),
    ]

    found = cluster(*texts, settings=Settings(labels=Selector.parse("team=shop")))

    names = [one.name for one in found.objects if not isinstance(one, Namespace)]
    assert [name.partition("-")[0] for name in names] == ["web", "web", "a"]


def test_namespace_labels_select_namespaces() -> None:
    text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: prod, labels: {stage: live}}\n"

    def names(selector: str) -> list[str]:
        settings = Settings(assign=False, namespace_labels=Selector.parse(selector))
        return [one.key[1] for one in cluster(text, made_pod("a"), settings=settings).objects][:-1]

    assert names("stage=live") == ["prod"]
    assert names("kubernetes.io/metadata.name in (default)") == ["default"]
    assert names("!stage") == ["default"]


SUMMARIES = {
    (): "0 services, 0 headless, 0 endpoints in 0 namespaces from 0 files",
    (made_service("web", WEB),): ("1 service, 0 headless, 0 endpoints in 1 namespace from 1 file"),
    (made_service("web", HEADLESS), SLICE, CONFIG): (
        "1 service, 1 headless, 1 endpoint in 1 namespace from 3 files"
    ),
}


@pytest.mark.parametrize("texts", SUMMARIES)
def test_the_summary_counts_what_is_served(texts: tuple[str, ...]) -> None:
    assert str(cluster(*texts).summary) == SUMMARIES[texts]


NOTHING = "warning: nothing to serve found"
WARNINGS = {
    (): NOTHING,
    ("",): NOTHING,
    (CONFIG,): NOTHING,
    (CONFIG, NODES): NOTHING,
    (SLICE,): "",
    (IMPORT,): "",
    (made_service("web", WEB),): "",
    (made_service("kubernetes", "{}"),): "",
    (made_pod("kubernetes"),): "",
}


@pytest.mark.parametrize("texts", WARNINGS)
@pytest.mark.parametrize("assign", [False, True])
def test_warns_of_having_nothing_to_serve(texts: tuple[str, ...], assign: bool) -> None:
    assert cluster(*texts, assign=assign).summary.warning == WARNINGS[texts]


def test_warns_when_nothing_is_selected() -> None:
    settings = Settings(labels=Selector.parse("team=shop"))

    assert cluster(made_service("web", WEB), settings=settings).summary.warning == NOTHING


def test_the_summary_counts_other_kinds() -> None:
    assert cluster(CONFIG, CONFIG, NODES).summary.ignored == "ignored: 2 ConfigMap"
    assert cluster(NODES).summary.ignored == ""
