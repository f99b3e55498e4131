"""Programs in a pod find kdns behind the address that their resolv.conf has."""

import re
import sys
import urllib.request

import pytest

from tests.controlplane.conftest_plane import unavailable
from tests.end_to_end.running import need
from tests.gobuild import NotBuilt
from tests.service_ip import build
from tests.service_ip.cluster import DNS, MANY, PAGE, Cluster
from tests.service_ip.kubelet import Pod
from tests.service_ip.proxy import rules

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("settled")]

WEB = "10.96.0.80"
REQUESTS = re.compile(r"^coredns_dns_requests_total\{.*\} (\S+)$", re.MULTILINE)
GETADDRINFO = """
import socket, sys
for *_, address in socket.getaddrinfo(sys.argv[1], 80, socket.AF_INET, socket.SOCK_STREAM):
    print(address[0])
"""
LOOKUP = """
const show = (_, found) => found.forEach((one) => console.log(one.address));
require("dns").lookup(process.argv[1], {all: true, family: 4}, show)
"""
RESOLVE = "require('dns').resolve4(process.argv[1], (_, found) => console.log(found.join(' ')))"
PROGRAMS = [
    pytest.param(("getent", "ahostsv4"), id="glibc"),
    pytest.param((sys.executable, "-c", GETADDRINFO), id="Python"),
    pytest.param(("node", "-e", LOOKUP), id="Node.js"),
    pytest.param(("lookup",), id="Go"),
]


def program(name: str) -> str:
    """Find a program, or skip the test."""
    if name != "lookup":
        return need(name)
    try:
        return str(build.program())
    except NotBuilt as reason:
        unavailable(str(reason))


def requests(cluster: Cluster, pod: Pod) -> float:
    """Return how much a server says that it was asked."""
    url = f"http://{pod.address}:9153/metrics"
    with cluster.node.entered(), urllib.request.urlopen(url, timeout=5) as page:
        return sum(float(value) for value in REQUESTS.findall(page.read().decode()))


def test_rules_are_those_of_the_mode(cluster: Cluster, mode: str) -> None:
    named = {one: DNS in rules(cluster.node, one) for one in ("iptables", "nftables", mode)}
    assert named == {one: one == mode for one in named}


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_dig_over_udp_and_tcp(cluster: Cluster, transport: str) -> None:
    assert cluster.run(need("dig"), "+short", "+search", transport, "web") == f"{WEB}\n"


@pytest.mark.parametrize(
    ("options", "transport", "is_cut"),
    [
        pytest.param(["+bufsize=4096", "+ignore"], "UDP", False, id="in-fragments"),
        pytest.param(["+bufsize=1232", "+ignore"], "UDP", True, id="cut-to-1232"),
        pytest.param(["+noedns", "+ignore"], "UDP", True, id="cut-to-512"),
        pytest.param(["+noedns"], "TCP", False, id="cut-then-tcp"),
    ],
)
def test_large_answer(
    cluster: Cluster, options: list[str], transport: str, *, is_cut: bool
) -> None:
    shown = cluster.run(need("dig"), *options, "many.default.svc.cluster.local")
    [flags] = re.findall(r"flags:([ a-z]+); QUERY", shown)
    assert ("tc" in flags.split()) == is_cut
    assert f"({transport})" in shown
    assert is_cut or len(re.findall(r"\sIN\s+A\s+10\.", shown)) == MANY


def test_both_replicas_are_asked(cluster: Cluster) -> None:
    before = [requests(cluster, pod) for pod in cluster.servers]
    # Each of them from another port: both modes choose at random, once for each.
    cluster.run(need("dig"), *["web.default.svc.cluster.local"] * 64)
    after = [requests(cluster, pod) for pod in cluster.servers]
    assert all(now > then for now, then in zip(after, before, strict=True))


@pytest.mark.parametrize("command", PROGRAMS)
@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        pytest.param("web", {WEB}, id="own-namespace"),
        pytest.param("web.default", {WEB}, id="with-namespace"),
        pytest.param("outside", {"192.0.2.1"}, id="alias-out-of-the-cluster"),
        pytest.param("many", {f"10.244.1.{host}" for host in range(1, MANY + 1)}, id="many"),
    ],
)
def test_program_looks_up(
    cluster: Cluster, command: list[str], name: str, addresses: set[str]
) -> None:
    shown = cluster.run(program(command[0]), *command[1:], name)
    assert set(re.findall(r"^[0-9]+[.][0-9.]+", shown, re.MULTILINE)) == addresses


def test_nodejs_asks_without_libc(cluster: Cluster) -> None:
    # It knows no search list.
    shown = cluster.run(need("node"), "-e", RESOLVE, "many.default.svc.cluster.local").split()
    assert len(shown) == MANY


@pytest.mark.parametrize("host", ["web", "web.default", "web.default.svc", "webs:8080"])
def test_curl_reaches_a_service_by_name(cluster: Cluster, host: str) -> None:
    shown = cluster.run(need("curl"), "--silent", "--show-error", "--noproxy", "*", host)
    assert shown == PAGE
