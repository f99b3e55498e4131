"""A cluster of one node in a network of its own: API server, controllers, kubelet, a few pods.

Knows what is in it and where. kube-proxy is not part of it: ``proxy`` starts that.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from kdns.version import VERSION
from tests.controlplane.client import MERGE, Json, eventually
from tests.controlplane.objects import NODE, add_node, add_service
from tests.controlplane.plane import CONTROLLERS, ControlPlane
from tests.controlplane.process import Guard, Server
from tests.coredns import build as coredns
from tests.manifests.applying import apply, kubeadm, one
from tests.service_ip import proxy
from tests.service_ip.kubelet import Kubelet, Machine, Pod
from tests.service_ip.sandbox import Node

ROOT = Path(__file__).parents[2]
HOST = "192.0.2.10"
PODS = "10.244.0.0/16"
DNS = "10.96.0.10"
MANY = 120
"""Endpoints of the Service ``many``: more than 512 or 1,232 octets hold."""
PAGE = "served by a pod\n"
RESOLV_CONF = f"""\
search default.svc.cluster.local svc.cluster.local cluster.local
nameserver {DNS}
options ndots:5
"""
PYTHON = ("env", f"PYTHONPATH={ROOT}", sys.executable)
KDNS = f"kdns:{VERSION}"
PROBE = {"periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 5}
"""Notices within the lameduck of 5 s that a server is ending; kubeadm's takes up to 30 s."""
DEPLOYMENT = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(frozen=True)
class Cluster:
    """What runs."""

    plane: ControlPlane
    node: Node
    kubelet: Kubelet
    folder: Path
    coredns_image: str

    @property
    def client(self) -> Pod:
        """A pod to run programs in."""
        [pod] = self.kubelet.wait("client")
        return pod

    @property
    def servers(self) -> list[Pod]:
        """The pods behind the Service kube-dns."""
        return self.kubelet.wait("kube-dns", 2)

    def run(self, *command: str) -> str:
        """Run a program in the client's pod, and return what it prints."""
        done = self.client.sandbox.run(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def wait_for_answers(self) -> None:
        """Wait until the Service leads to a server that answers."""
        dig = ("dig", "+tries=1", "+timeout=1", "kubernetes.default.svc.cluster.local")
        self.kubelet.wait("kube-dns", 2)
        eventually(lambda: self.client.sandbox.run(*dig).returncode == 0)

    def set_image(self, image: str) -> list[Pod]:
        """Do as ``kubectl set image deployment/coredns coredns=IMAGE``, and wait for the end."""
        container = {"name": "coredns", "image": image}
        template = {"spec": {"containers": [container]}}
        self.plane.request("PATCH", DEPLOYMENT, {"spec": {"template": template}}, STRATEGIC)
        eventually(self._is_rolled_out, seconds=90)
        return self.servers

    def _is_rolled_out(self) -> bool:
        """Whether `kubectl rollout status` would say so."""
        found = self.plane.request("GET", DEPLOYMENT)
        status, wanted = found["status"], found["spec"]["replicas"]
        seen = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        counts = ("replicas", "updatedReplicas", "availableReplicas")
        return seen and all(status.get(name) == wanted for name in counts)


@contextmanager
def running(folder: Path, probe: Mapping[str, int] = PROBE) -> Iterator[Cluster]:
    """Run it while the block runs; NotBuilt where a program is missing.

    Behind kube-dns is kubeadm's Deployment of CoreDNS, with kdns's image instead of its own, and
    with this readiness probe.
    """
    objects = kubeadm()
    pod = one(objects, "Deployment")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    images = {
        container["image"]: (str(coredns.program()),),
        KDNS: (*PYTHON, "-m", "kdns"),
        "web": _web(folder),
        "shell": (),
    }
    # There is no scheduler.
    pod["nodeName"] = NODE
    coredns_image, container["image"] = container["image"], KDNS
    container["readinessProbe"] |= probe
    with ExitStack() as stack:
        node = stack.enter_context(Node(HOST))
        stack.enter_context(_upstream(node, folder))
        plane = stack.enter_context(_plane(node, folder))
        _add_node(plane)
        machine = Machine(node, folder, images, _resolvers(folder), _addresses())
        kubelet = stack.enter_context(Kubelet(plane, machine))
        populate(plane)
        for item in objects:
            apply(plane.api, item)
        yield Cluster(plane, node, kubelet, folder, coredns_image)


def _web(folder: Path) -> tuple[str, ...]:
    """Return the command of a web server with one page."""
    pages = folder / "pages"
    pages.mkdir()
    (pages / "index.html").write_text(PAGE)
    return sys.executable, "-m", "http.server", "8080", "--directory", str(pages)


@contextmanager
def _upstream(node: Node, folder: Path) -> Iterator[None]:
    """Run the resolver of the node, which pods with ``dnsPolicy: Default`` get."""
    guard = Guard()
    server = Server(guard, folder / "upstream.log")
    try:
        server.start([*node.prefix, *PYTHON, "-m", "tests.differential.upstream", "53", HOST])
        yield
    finally:
        server.kill()
        guard.close()


def _plane(node: Node, folder: Path) -> ControlPlane:
    """Return a control plane on the node, which pods reach through the Service kubernetes."""
    flags = ("--bind-address=0.0.0.0", f"--advertise-address={HOST}")
    return ControlPlane(
        folder=folder,
        users=(proxy.USER,),
        api_flags=(*flags, "--endpoint-reconciler-type=lease"),
        controllers=(*CONTROLLERS, "deployment-controller", "replicaset-controller"),
        place=node,
    )


def _add_node(plane: ControlPlane) -> None:
    add_node(plane.api)
    status = {"addresses": [{"type": "InternalIP", "address": HOST}]}
    plane.request("PATCH", f"/api/v1/nodes/{NODE}/status", {"status": status}, MERGE)


def _resolvers(folder: Path) -> dict[str, Path]:
    """Write a resolv.conf for each ``dnsPolicy``."""
    found = {policy: folder / f"{policy}.conf" for policy in ("Default", "ClusterFirst")}
    found["Default"].write_text(f"nameserver {HOST}\n")
    found["ClusterFirst"].write_text(RESOLV_CONF)
    return found


def _addresses() -> Iterator[str]:
    """Return addresses of pods; none comes twice."""
    return (f"10.244.0.{host}" for host in range(2, 255))


def populate(plane: ControlPlane) -> None:
    """Add what clients ask for: in the namespace default, where the client is."""
    api, services = plane.api, "/api/v1/namespaces/default/services"
    add_pod_of(plane, "client", "shell")
    for number in (1, 2):
        add_pod_of(plane, f"web-{number}", "web", app="web")
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    add_service(api, "default", "web", clusterIP="10.96.0.80", ports=ports)
    add_service(api, "default", "webs", clusterIP="None", selector={"app": "web"}, ports=ports)
    add_service(api, "default", "many", clusterIP="None", selector=None)
    external = {"type": "ExternalName", "externalName": "www.example.org"}
    api.request("POST", services, {"metadata": {"name": "outside"}, "spec": external})
    slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    api.request("POST", slices, many())


def add_pod_of(plane: ControlPlane, name: str, image: str, app: str = "") -> None:
    """Make a pod of an image; the kubelet starts it."""
    spec = {"nodeName": NODE, "containers": [{"name": "main", "image": image}]}
    body = {"metadata": {"name": name, "labels": {"app": app or name}}, "spec": spec}
    plane.request("POST", "/api/v1/namespaces/default/pods", body)


def many() -> Json:
    """Return a slice made by hand, without the label of the controller that would undo it."""
    labels = {"kubernetes.io/service-name": "many"}
    return {
        "metadata": {"name": "many", "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 80}],
        "endpoints": [{"addresses": [f"10.244.1.{host}"]} for host in range(1, MANY + 1)],
    }
