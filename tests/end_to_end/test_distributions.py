"""What distributions ship starts as a process and answers, with as little changed as possible."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import pytest

from kdns.testing import FakeApiServer
from tests.cluster import lines, rcode
from tests.end_to_end.cluster import endpoint_slice, namespace, service
from tests.end_to_end.corefiles import (
    SETTLED,
    ZONE,
    Upstream,
    free_port,
    loopback,
    page,
    upstream,
)
from tests.end_to_end.running import ROOT, Kdns

CORPUS = ROOT / "tests" / "data" / "corefiles"
DISTRIBUTIONS = sorted(path.name for path in CORPUS.iterdir())
WITH_CLUSTER = [name for name in DISTRIBUTIONS if name != "nodelocal"]
WEB, BACK = "web.default.svc.cluster.local.", "80.0.96.10.in-addr.arpa."


class Place:
    """Where a Corefile runs instead of a pod, and what that makes of its words."""

    def __init__(self, directory: Path, api: FakeApiServer, resolver: Upstream) -> None:
        self.directory = directory
        self.port, self.health, self.ready, self.metrics = (free_port() for _ in range(4))
        self.host, self.other = loopback(), loopback()
        self.substitutions = {
            "10.0.0.53": str(resolver),
            "10.0.1.53:5353": str(resolver),
            "10.0.1.53": str(resolver),
            "10.96.0.11": str(resolver),
            # Ports under 1024 are not everybody's, and the others may be taken.
            ":53 ": f":{self.port} ",
            ":5353 ": f":{self.port} ",
            ":8053 ": f":{self.port} ",
            "health {": f"health 127.0.0.1:{self.health} {{",
            "health\n": f"health 127.0.0.1:{self.health}\n",
            "health 169.254.20.10:8080": f"health {self.host}:{self.health}",
            "ready\n": f"ready 127.0.0.1:{self.ready}\n",
            "prometheus :9153": f"prometheus :{self.metrics}",
            "prometheus :9253": f"prometheus :{self.metrics}",
            "prometheus 0.0.0.0:9153": f"prometheus 0.0.0.0:{self.metrics}",
            "prometheus 127.0.0.1:9153": f"prometheus 127.0.0.1:{self.metrics}",
            # Only a pod has a service account, and resolvers of its own.
            "pods insecure": f"pods insecure\nkubeconfig {api.kubeconfig()}",
            "kubernetes cluster.local\n": (
                f"kubernetes cluster.local {{\nkubeconfig {api.kubeconfig()}\n}}\n"
            ),
            "/etc/resolv.conf": str(resolver),
            "/etc/coredns/": f"{directory}/",
            # Addresses that only a node has.
            "bind 169.254.20.10 10.96.0.10": f"bind {self.host} {self.other}",
            # Nobody waits for the end of a test.
            "lameduck 5s": "lameduck 0s",
            "lameduck 10s": "lameduck 0s",
            "lameduck 15s": "lameduck 0s",
            "lameduck 20s": "lameduck 0s",
        }

    def fit(self, path: Path) -> None:
        text = path.read_text()
        for shipped, here in self.substitutions.items():
            text = text.replace(shipped, here)
        path.write_text(text)


@contextmanager
def _running(
    distribution: str, directory: Path, resolver: Upstream
) -> Iterator[tuple[Kdns, Place]]:
    """Run a copy of what a distribution ships."""
    copy = directory / distribution
    shutil.copytree(CORPUS / distribution, copy)
    with FakeApiServer() as api:
        _fill(api)
        place = Place(copy, api, resolver)
        for path in (copy / "Corefile", *copy.glob("custom/*")):
            place.fit(path)
        server = Kdns("-conf", str(copy / "Corefile"), started=ZONE)
        try:
            server.wait_for(SETTLED)
            yield server, place
        finally:
            assert server.stop() == 0, server.output


def _fill(api: FakeApiServer) -> None:
    web = service("default", "web")
    web["spec"]["clusterIP"] = "10.96.0.80"
    for item in (namespace("default"), web, endpoint_slice("default", "web", "10.244.0.1")):
        api.apply(item)


@pytest.fixture
def resolver() -> Iterator[Upstream]:
    with upstream() as one:
        yield one


def _records(answer: dns.message.Message) -> set[str]:
    assert rcode(answer) == "NOERROR"
    return {line.split(" ", 2)[2] for line in lines(answer.answer)}


@pytest.mark.parametrize("distribution", WITH_CLUSTER)
def test_a_distribution_starts_and_answers(
    distribution: str, tmp_path: Path, resolver: Upstream
) -> None:
    with _running(distribution, tmp_path, resolver) as (server, place):
        assert server.port == place.port
        assert _records(server.ask(f"{WEB} A")) == {"A 10.96.0.80"}
        assert _records(server.ask(f"{BACK} PTR")) == {f"PTR {WEB}"}
        assert _records(server.ask("www.example.org. A")) == {"A 192.0.2.1"}
        assert rcode(server.ask("nobody.default.svc.cluster.local. A")) == "NXDOMAIN"
        assert "www.example.org." in resolver.asked
        assert page("127.0.0.1", place.health, "/health") == (200, "OK")
        assert page("127.0.0.1", place.ready, "/ready") == (200, "OK")
        assert "coredns_dns_requests_total{" in page("127.0.0.1", place.metrics, "/metrics")[1]


NODE = "nodelocal"


def test_the_cache_of_a_node_asks_upstream_over_tcp_on_both_addresses(
    tmp_path: Path, resolver: Upstream
) -> None:
    with _running(NODE, tmp_path, resolver) as (server, place):
        for host in (place.host, place.other):
            server.host = host
            assert _records(server.ask(f"{WEB} A")) == {"A 192.0.2.1"}
            assert _records(server.ask(f"{BACK} PTR")) == {"PTR host.example.org."}
            assert _records(server.ask("www.example.org. A")) == {"A 192.0.2.1"}
        assert page(place.host, place.health, "/health") == (200, "OK")
        labels = 'proto="tcp",proxy_name="forward"'
        metrics = page("127.0.0.1", place.metrics, "/metrics")[1]

    assert resolver.asked.count(WEB) == 1  # both listeners share the cache of their block
    assert "coredns_proxy_conn_cache_misses_total{" + labels in metrics


ANSWERS: dict[str, tuple[str, dict[str, set[str] | str]]] = {
    "aks": (
        "what customers put into coredns-custom",
        {
            "shop.example.com. A": "NXDOMAIN",
            "legacy.example.com. A": {"A 10.1.2.3"},
            "web.svc.example. A": {"A 10.96.0.80"},
            "www.corp.example. A": {"A 192.0.2.1"},
            "a.b.c.d.internal.cloudapp.net. A": "NXDOMAIN",
            "internal.cloudapp.net. A": {"A 192.0.2.1"},
            "x.reddog.microsoft.com. A": "NXDOMAIN",
        },
    ),
    "gardener": (
        "names that search domains were added to",
        {
            "web.default.svc.cluster.local.svc.cluster.local. A": {"A 10.96.0.80"},
            "web.api.example. A": {"A 10.96.0.80"},
            "www.corp.example. A": {"A 192.0.2.1"},
        },
    ),
    "k3s": (
        "nodes, and a zone of the office",
        {"server-0. A": {"A 192.168.5.10"}, "www.corp.example. A": {"A 192.0.2.1"}},
    ),
    "k3s-without-custom": ("nodes", {"agent-0. A": {"A 192.168.5.11"}}),
    "minikube": ("the host", {"host.minikube.internal. A": {"A 192.168.49.1"}}),
    "openshift": (
        "zones with resolvers of their own",
        {"www.corp.example. A": {"A 192.0.2.1"}, "www.example.net. A": {"A 192.0.2.1"}},
    ),
}


@pytest.mark.parametrize("distribution", ANSWERS)
def test_what_a_distribution_adds_is_answered(
    distribution: str, tmp_path: Path, resolver: Upstream
) -> None:
    what, answers = ANSWERS[distribution]
    with _running(distribution, tmp_path, resolver) as (server, _):
        for question, expected in answers.items():
            answer = server.ask(question)
            found = rcode(answer) if isinstance(expected, str) else _records(answer)
            assert found == expected, (what, question, server.output)


def test_openshift_says_which_pod_answers(tmp_path: Path, resolver: Upstream) -> None:
    with _running("openshift", tmp_path, resolver) as (server, _):
        output = server.dig("+short", "hostname.bind", "CH", "TXT")

    assert socket.gethostname() in output
