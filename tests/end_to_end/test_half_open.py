"""A connection whose other end is gone without a word: packets vanish, and no FIN comes.

Two network namespaces of the test's own, joined by a veth pair; the API server's side loses its
route back, so that not even an acknowledgement returns.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.end_to_end.running import need

NOTICED_WITHIN = 90
"""Seconds. The kernel's keepalive takes 25, TCP_USER_TIMEOUT as long, the read timeout 90."""
OURS, THEIRS = f"kdns-a-{os.getpid()}", f"kdns-b-{os.getpid()}"
SERVER = """
import sys
from kdns.testing import FakeApiServer
with FakeApiServer(host="198.18.0.2") as server:
    server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
    print(server.kubeconfig(), flush=True)
    sys.stdin.read()
"""
CLIENT = """
import asyncio, json, sys
from kdns.app import FromCluster, Options, kubeadm, serving

async def main():
    options = Options(FromCluster(sys.argv[1]), kubeadm(), port=0, upstream=())
    async with serving(options) as server:
        [cluster] = server.clusters.running
        await cluster.synced.wait()
        print("synced", flush=True)
        while not all(status.state == "stale" for status in cluster.statuses):
            await asyncio.sleep(0.1)
        print(json.dumps([status.trouble for status in cluster.statuses]), flush=True)

asyncio.run(main())
"""


def _ip(*words: str) -> None:
    subprocess.run([need("ip"), *words], check=True, capture_output=True, text=True)


@pytest.fixture
def joined() -> Iterator[None]:
    """Two namespaces at 198.18.0.1 and 198.18.0.2 (RFC 2544, for benchmarks)."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    with ExitStack() as stack:
        for name in (OURS, THEIRS):
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name)
        _ip("link", "add", "kdns0", "netns", OURS, "type", "veth", "peer", "kdns1", "netns", THEIRS)
        for name, link, host in ((OURS, "kdns0", 1), (THEIRS, "kdns1", 2)):
            _ip("-n", name, "address", "add", f"198.18.0.{host}/30", "dev", link)
            for up in (link, "lo"):
                _ip("-n", name, "link", "set", up, "up")
        yield


def _start(namespace: str, script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [need("ip"), "netns", "exec", namespace, sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.usefixtures("joined")
def test_a_half_open_connection_is_noticed() -> None:
    with _start(THEIRS, SERVER) as server:
        assert server.stdout is not None
        with _start(OURS, CLIENT, server.stdout.readline().strip()) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == "synced\n"
            began = time.monotonic()
            _ip("-n", THEIRS, "route", "add", "blackhole", "198.18.0.1/32")
            troubles = json.loads(client.stdout.readline())
            took = time.monotonic() - began
            client.communicate()
        server.communicate()

    assert took < NOTICED_WITHIN
    assert all(troubles)
