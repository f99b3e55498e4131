"""A server is killed without a word, and clients go on with the other."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import dns.message
import pytest

from tests.controlplane.client import eventually
from tests.patience import SLOWER
from tests.service_ip.cluster import DNS, Cluster
from tests.service_ip.kubelet import Pod
from tests.service_ip.rollout import Asking

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("settled")]

NOTICED_WITHIN = 6.0
"""Seconds; a kubelet looks once a second, and kube-proxy writes rules once a second."""
QUERY = dns.message.make_query("web.default.svc.cluster.local", "A").to_wire()
FLOW = re.compile(r"dport=53 src=(\S+)")


@contextmanager
def flow_to(cluster: Cluster, pod: Pod) -> Iterator[socket.socket]:
    """Open sockets to the Service until one leads to the pod."""
    while True:
        with cluster.client.sandbox.entered():
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with one:
            one.settimeout(0.5)
            one.connect((DNS, 53))
            assert is_answered(one)
            if server_of(cluster, one) == pod.address:
                yield one
                return


def is_answered(one: socket.socket) -> bool:
    """Whether a query gets an answer."""
    try:
        one.send(QUERY)
        return one.recv(512)[:2] == QUERY[:2]
    except OSError:
        return False


def server_of(cluster: Cluster, one: socket.socket) -> str:
    """Return which server the kernel sends this socket's datagrams to."""
    port = str(one.getsockname()[1])
    words = ("conntrack", "-L", "-p", "udp", "--orig-dst", DNS, "--orig-port-src", port)
    return "".join(FLOW.findall(cluster.node.run(*words).stdout))


def test_clients_go_on(cluster: Cluster) -> None:
    victim, other = cluster.servers
    with flow_to(cluster, victim) as one, Asking(cluster) as load:
        load.seconds(1)
        os.kill(victim.server.pid, signal.SIGKILL)
        # Until kube-proxy removes the kernel's entry, which queries would keep alive for ever.
        eventually(
            lambda: is_answered(one) and server_of(cluster, one) == other.address,
            seconds=NOTICED_WITHIN,
        )
        load.seconds(1)
        report = load.stop()
    times = [loss.at for loss in report.lost]
    assert max(times) - min(times) < NOTICED_WITHIN * SLOWER
    assert len(report.failed) < len(report.lost) < report.asked / 4
