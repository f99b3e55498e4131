"""Small worlds: few names and addresses, so that they collide."""

from hypothesis import strategies as st

from kdns.kube.changes import Apply, Change, Delete
from kdns.kube.objects import Endpoint, EndpointSlice, Namespace, Pod, Port, Service

NAMESPACES = ("a", "b", "svc", "dns")
NAMES = ("web", "db", "ns", "a")
PORTS = (Port("http", "tcp", 80), Port("dns", "udp", 53), Port("", "tcp", 1))
CLUSTER_IPS = ("10.0.0.1", "10.0.0.2", "fd00::1")
POD_IPS = ("172.16.0.1", "172.16.0.2", "172.17.0.1", "fd01::1", "fd01:0::2")

namespaces = st.sampled_from(NAMESPACES)
names = st.sampled_from(NAMES)
versions = st.integers(1, 9)
ports = st.lists(st.sampled_from(PORTS), unique=True, max_size=2).map(tuple)
endpoint = st.builds(
    Endpoint,
    addresses=st.lists(st.sampled_from(POD_IPS), min_size=1, max_size=2, unique=True).map(tuple),
    hostname=st.sampled_from(("", "db-0", "db-1")),
    ready=st.booleans(),
    pod=st.sampled_from(("", "pod-0")),
    zone=st.sampled_from(("", "east")),
)
service = st.one_of(
    st.builds(
        Service,
        namespaces,
        names,
        version=versions,
        cluster_ips=st.lists(st.sampled_from(CLUSTER_IPS), unique=True, max_size=2).map(tuple),
        ports=ports,
    ),
    st.builds(Service, namespaces, names, version=versions, headless=st.just(True), ports=ports),
    st.builds(
        Service,
        namespaces,
        names,
        version=versions,
        external_name=st.sampled_from(
            ("example.com", "web.a.svc.cluster.local", "db.b.svc.cluster.local", "10.0.0.9")
        ),
    ),
)
endpoint_slice = st.builds(
    EndpointSlice,
    namespaces,
    st.sampled_from(("one", "two")),
    names,
    version=versions,
    ports=ports,
    endpoints=st.lists(endpoint, max_size=3).map(tuple),
)
pod = st.builds(
    Pod,
    namespaces,
    st.sampled_from(("p", "q")),
    version=versions,
    ips=st.lists(st.sampled_from(POD_IPS), max_size=1).map(tuple),
)
thing = st.one_of(st.builds(Namespace, namespaces, version=versions), service, endpoint_slice, pod)


def _delete(item: Namespace | Service | EndpointSlice | Pod) -> Change:
    return Delete(item.KIND, item.key, version=item.version)


change = st.one_of(thing.map(Apply), thing.map(_delete))
histories = st.lists(change, max_size=25)

suffixes = ("svc.cluster.local", "cluster.local", "pod.cluster.local")
questions = st.one_of(
    st.builds(
        "{}{}.{}.{}. {}".format,
        st.sampled_from(
            ("", "_http._tcp.", "db-0.", "_tcp.", "x.", "172-16-0-1.", "east.pin._zone.")
        ),
        names,
        namespaces,
        st.sampled_from(suffixes),
        st.sampled_from(("A", "AAAA", "SRV", "TXT", "SOA", "CNAME")),
    ),
    st.builds(
        "{}.{}.pod.cluster.local. A".format,
        st.sampled_from(("172-16-0-1", "172-17-0-1", "x")),
        namespaces,
    ),
    st.sampled_from(
        (
            "cluster.local. NS",
            "cluster.local. SOA",
            "a.svc.cluster.local. A",
            "1.0.0.10.in-addr.arpa. PTR",
            "1.0.16.172.in-addr.arpa. PTR",
            "16.172.in-addr.arpa. PTR",
            "172.in-addr.arpa. PTR",
            "web. A",
            "web.b. A",
            "_http._tcp.db.a. SRV",
        )
    ),
)
