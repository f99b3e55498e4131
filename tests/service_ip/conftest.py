"""The cluster of these tests, and kube-proxy in it; skipped with the reason where it cannot be."""

import os
from collections.abc import Iterator

import pytest

from tests.controlplane.build import programs
from tests.controlplane.conftest_plane import unavailable
from tests.coredns import build as coredns
from tests.end_to_end.running import need
from tests.gobuild import NotBuilt, missing
from tests.service_ip import proxy
from tests.service_ip.cluster import PODS, Cluster, running
from tests.service_ip.rollout import Replaced, replace
from tests.service_ip.sandbox import Sandbox

TOOLS = ("ip", "unshare", "nsenter", "iptables", "nft", "conntrack", "dig")
MODES = os.environ.get("KDNS_PROXY_MODES", "iptables nftables").split()
"""``ipvs`` sets it: few kernels have that."""


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, without anything that leads to its Services."""
    for tool in TOOLS:
        need(tool)
    if reason := lacking():
        unavailable(reason)
    with running(tmp_path_factory.mktemp("service_ip")) as one:
        yield one


@pytest.fixture(scope="package", params=MODES)
def mode(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[str]:
    """A mode of kube-proxy, which runs in it."""
    name: str = request.param
    kubeconfig = cluster.plane.kubeconfig(proxy.USER)
    with proxy.kube_proxy(name, cluster.node, kubeconfig, cluster.folder, PODS):
        cluster.wait_for_answers()
        yield name


@pytest.fixture(scope="package")
def replaced(mode: str, cluster: Cluster) -> Replaced:  # noqa: ARG001 - it runs kube-proxy
    """What clients were told while servers were replaced; it is kdns that runs afterwards."""
    return replace(cluster)


@pytest.fixture(scope="package")
def settled(mode: str, request: pytest.FixtureRequest) -> None:
    """Have kdns behind the Service: again, but in IPVS mode, whose emulated machine is too slow."""
    if mode != "ipvs":
        request.getfixturevalue("replaced")


def lacking() -> str:
    """Say why there can be no such cluster, empty where there can be one."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        coredns.program()
        if missing(programs(), ("kube-proxy",)):
            return "KUBEBUILDER_ASSETS has no kube-proxy"
        Sandbox().close()
    except (NotBuilt, RuntimeError) as reason:
        return str(reason)
    return ""
