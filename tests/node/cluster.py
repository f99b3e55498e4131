"""A cluster of one node: the control plane, and on the same machine the programs of a node.

Knows their settings. Does not know what runs in the cluster.
"""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.controlplane.build import programs
from tests.controlplane.client import eventually
from tests.controlplane.plane import ControlPlane
from tests.controlplane.process import Guard, Server
from tests.coredns import build as coredns
from tests.node import machine
from tests.node.build import MODULE

DNS = "10.96.0.10"
DOMAIN = "cluster.local"
EXTERNAL = "203.0.113.10"
POD_RANGE = "10.244.0.0/24"
PAUSE = "registry.k8s.io/pause:3.10.1"
PLUGINS = "/usr/lib/cni"
SOCKET = "/run/containerd/containerd.sock"
START_WITHIN = 120.0  # seconds

# The tests of the ordinary run have neither kubelets nor service accounts.
OF_TESTS = (
    "--bind-address=",
    "--advertise-address=",
    "--disable-admission-plugins=",
    "--endpoint-reconciler-type=",
)

# The node's name is in nobody's DNS.
NODES_BY = "--kubelet-preferred-address-types=InternalIP"

CONTAINERD = f"""
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  disable_apparmor = true
  # A machine may not let even root exempt processes from its OOM killer.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "/etc/cni/net.d"
"""

NETWORK: dict[str, Any] = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": POD_RANGE}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}

KUBELET: dict[str, Any] = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "clusterDomain": DOMAIN,
    "containerRuntimeEndpoint": f"unix://{SOCKET}",
    "cgroupDriver": "cgroupfs",
    # The machine's first choice may be cgroup v1, which kubelet 1.36 still knows but refuses.
    "failCgroupV1": False,
    "protectKernelDefaults": True,
    "failSwapOn": False,
    # Nobody else reaches it, and the API server has no certificate to show.
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    # Of the machine's disk nothing is known: it may be as good as full.
    "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%"},
    "imageGCHighThresholdPercent": 100,
    "imageGCLowThresholdPercent": 99,
}

# What a provider's or a company's resolver is to a cluster: it knows two names.
UPSTREAM = f""".:53 {{
    bind {machine.RESOLVER}
    errors
    template IN A {{
        match ^(www|api\\.payments)\\.example\\.com\\.$
        answer "{{{{ .Name }}}} 60 IN A {EXTERNAL}"
        fallthrough
    }}
    template IN ANY {{
        match ^(www|api\\.payments)\\.example\\.com\\.$
        fallthrough
    }}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


class Plane(ControlPlane):
    """The control plane of the tests, for a cluster in which pods run."""

    def _api_server_command(self) -> list[str | Path]:
        command = super()._api_server_command()
        kept = [word for word in command if not str(word).startswith(OF_TESTS)]
        return [*kept, f"--advertise-address={machine.ADDRESS}", NODES_BY]

    def _controller_manager_command(self) -> list[str | Path]:
        command = super()._controller_manager_command()
        kept = [word for word in command if not str(word).startswith("--controllers=")]
        return [*kept, "--use-service-account-credentials=true"]

    def answers(self) -> bool:
        """Say whether the API server is up."""
        return self._api_server_ready()


class Cluster:
    """What runs, and how its programs are restarted."""

    def __init__(self, folder: Path, plane: Plane, guard: Guard) -> None:
        self.folder, self.plane = folder, plane
        self.config = plane.kubeconfig()
        self._guard = guard
        self.programs = MODULE.find()
        self._kubelet = Server(guard, plane.folder / "kubelet.log")

    def start(self, name: str, *words: str | Path, program: Path | None = None) -> Server:
        """Start a program; its log is beside those of the control plane."""
        command = [program or self.programs / name, *words]
        return Server(self._guard, self.plane.folder / f"{name}.log").start(command)

    def start_kubelet(self, servers: Sequence[str]) -> Server:
        """Start kubelet, or start it again, so that new pods get these servers of names."""
        self._kubelet.kill()
        file = self.folder / "resolv.conf"
        settings = KUBELET | {"clusterDNS": list(servers), "resolvConf": str(file)}
        config = _write(self.folder / "kubelet.json", json.dumps(settings))
        return self._kubelet.start(
            [
                self.programs / "kubelet",
                f"--config={config}",
                f"--kubeconfig={self.config}",
                f"--hostname-override={machine.NAME}",
                f"--node-ip={machine.ADDRESS}",
            ]
        )


@contextmanager
def running(folder: Path, images: Sequence[Path]) -> Iterator[Cluster]:
    """Run a cluster whose node has these images, while the block runs."""
    with ExitStack() as stack:
        (logs := folder / "logs").mkdir()
        plane = stack.enter_context(Plane(folder=logs))
        guard = Guard()
        stack.callback(guard.close)
        cluster = Cluster(folder, plane, guard)
        for start in (_upstream, _containerd):
            stack.callback(start(cluster).kill)
        for image in images:
            _import(image)
        stack.callback(cluster.start_kubelet([DNS]).kill)
        for start in (_scheduler, _proxy):
            stack.callback(start(cluster).kill)
        yield cluster


def _upstream(cluster: Cluster) -> Server:
    file = _write(cluster.folder / "Corefile.upstream", UPSTREAM)
    return cluster.start("upstream", "-conf", file, program=coredns.program())


def _containerd(cluster: Cluster) -> Server:
    _write(Path("/etc/cni/net.d/10-pods.conflist"), json.dumps(NETWORK))
    file = _write(cluster.folder / "containerd.toml", CONTAINERD)
    server = cluster.start("containerd", "--config", file, program=Path("/usr/bin/containerd"))
    server.wait(Path(SOCKET).exists, seconds=START_WITHIN)
    return server


def _scheduler(cluster: Cluster) -> Server:
    return cluster.start(
        "kube-scheduler",
        f"--kubeconfig={cluster.config}",
        f"--authentication-kubeconfig={cluster.config}",
        f"--authorization-kubeconfig={cluster.config}",
        "--leader-elect=false",
    )


def _proxy(cluster: Cluster) -> Server:
    return cluster.start(
        "kube-proxy",
        f"--kubeconfig={cluster.config}",
        f"--hostname-override={machine.NAME}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={POD_RANGE}",
        # The size of the kernel's table is not the namespace's to set.
        "--conntrack-max-per-core=0",
        program=programs() / "kube-proxy",
    )


def _import(image: Path) -> None:
    command = ["ctr", "--address", SOCKET, "--namespace", "k8s.io", "images", "import", str(image)]
    eventually(lambda: _succeeds(command), seconds=START_WITHIN)


def _write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def _succeeds(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
