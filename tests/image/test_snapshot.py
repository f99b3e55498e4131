"""A container that restarts while the API server is away answers from the emptyDir of its pod."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.controlplane.client import eventually
from tests.image.container import USER, Container, running
from tests.image.test_image import ARGS, STARTED
from tests.manifests.applying import built, one

VOLUME = "/var/lib/kdns"
WEB = "web.default.svc.cluster.local"


class ApiServer:
    """A fake API server in a network namespace of its own."""

    def __init__(self) -> None:
        program = [sys.executable, "-m", "tests.image.api_server"]
        script = f"ip link set lo up && exec {shlex.join(program)}"
        self._process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url, self.token = self._line().split()

    @property
    def network(self) -> str:
        return f"/proc/{self._process.pid}/ns/net"

    def go_away(self) -> None:
        """Cut all connections and refuse others; the network namespace stays."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        assert self._line() == "down"

    def close(self) -> None:
        self._process.communicate(timeout=20)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture
def api_server(rootfs: Path) -> Iterator[ApiServer]:
    del rootfs  # it skips where nothing can be run
    server = ApiServer()
    yield server
    server.close()


class Pod:
    """What outlives a container: its volume, its configuration, its network."""

    def __init__(self, folder: Path, server: ApiServer) -> None:
        self._folder, self._network = folder, server.network
        self.volume = folder / "volume"
        self.volume.mkdir()
        # As kubelet prepares an emptyDir for an fsGroup.
        os.chown(self.volume, 0, USER)
        self.volume.chmod(0o2777)
        resolv = folder / "resolv.conf"
        resolv.write_text("nameserver 192.0.2.53\n")
        self._mounts = {"/etc/coredns": _configuration(folder, server), "/etc/resolv.conf": resolv}

    @contextmanager
    def container(self, rootfs: Path, name: str) -> Iterator[Container]:
        bundle = self._folder / name
        bundle.mkdir()
        volumes = {VOLUME: self.volume}
        with running(
            rootfs, bundle, ARGS, self._mounts, volumes=volumes, network=self._network
        ) as one:
            one.wait_for(STARTED)
            yield one


def _configuration(folder: Path, server: ApiServer) -> Path:
    """Write the Corefile of the manifests, and how to get at the API server."""
    path = folder / "etc"
    path.mkdir()
    path.chmod(0o755)
    text: str = one(built("base"), "ConfigMap")["data"]["Corefile"]
    assert f"snapshot {VOLUME}/cluster.snapshot" in text
    shipped, here = "pods insecure", "pods insecure\nkubeconfig /etc/coredns/kubeconfig"
    (path / "Corefile").write_text(text.replace(shipped, here))
    sections = {
        "clusters": {"cluster": {"server": server.url}},
        "users": {"user": {"token": server.token}},
        "contexts": {"context": {"cluster": "fake", "user": "fake"}},
    }
    named = {section: [{"name": "fake", **entry}] for section, entry in sections.items()}
    kubeconfig = {"apiVersion": "v1", "kind": "Config", "current-context": "fake", **named}
    (path / "kubeconfig").write_text(json.dumps(kubeconfig))
    return path


def test_it_answers_from_the_snapshot_that_the_container_before_it_wrote(
    rootfs: Path, tmp_path: Path, api_server: ApiServer
) -> None:
    pod = Pod(tmp_path, api_server)
    with pod.container(rootfs, "first") as first:
        eventually(lambda: "10.96.0.80" in first.dig("+short", WEB))
        assert first.stop() == 0
    api_server.go_away()
    with pod.container(rootfs, "second") as second:
        known, unknown = second.dig(WEB), second.dig(f"other.{WEB}")

    assert (pod.volume / "cluster.snapshot").stat().st_uid == USER
    assert "10.96.0.80" in known
    assert "(from the snapshot of 20" in known
    assert "status: SERVFAIL" in unknown
