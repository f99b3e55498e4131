"""The real kube-proxy, in the network of a node. Knows its configuration and its rules."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.controlplane.build import programs
from tests.controlplane.objects import NODE
from tests.controlplane.process import Guard, Server
from tests.service_ip.sandbox import Node

USER = "system:kube-proxy"
"""Whom the API server's own ClusterRoleBinding gives the rights of a kube-proxy."""
START_SECONDS = 30.0


@contextmanager
def kube_proxy(mode: str, node: Node, kubeconfig: Path, folder: Path, pods: str) -> Iterator[None]:
    """Run it in a mode while the block runs; its rules stay, until one of another mode starts."""
    config = folder / f"kube-proxy-{mode}.json"
    config.write_text(json.dumps(configuration(mode, kubeconfig, pods)))
    guard = Guard()
    server = Server(guard, folder / f"kube-proxy-{mode}.log")
    try:
        server.start([*node.prefix, programs() / "kube-proxy", f"--config={config}"])
        server.wait(lambda: "10.96.0.10" in rules(node, mode), seconds=START_SECONDS)
        yield
    finally:
        server.kill()
        guard.close()


def configuration(mode: str, kubeconfig: Path, pods: str) -> dict[str, object]:
    """Return its configuration, with its own values but where they would set sysctls."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": mode,
        "hostnameOverride": NODE,
        "clusterCIDR": pods,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "conntrack": {
            "maxPerCore": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
        "iptables": {"localhostNodePorts": False},
        "oomScoreAdj": 0,
    }


def rules(node: Node, mode: str) -> str:
    """Return kube-proxy's rules of one mode; what is not there is empty."""
    if mode == "nftables":
        return node.run("nft", "list", "table", "ip", "kube-proxy").stdout
    if mode == "ipvs":
        return node.run("ipvsadm", "--list", "--numeric").stdout
    lines = node.run("iptables-save", "-t", "nat").stdout.splitlines()
    return "\n".join(line for line in lines if "KUBE-" in line)
