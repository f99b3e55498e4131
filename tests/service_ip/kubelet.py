"""What a kubelet does for the pods of its node: starts, probes, reports and ends them.

Knows Pods, ConfigMaps and service accounts. An image is a command here, and a container a process
in the pod's sandbox. Does not know DNS. The rest is as in any cluster: Deployments make the pods,
and EndpointSlices follow what is reported.
"""

import http.client
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Self

from tests.controlplane.client import Json, eventually
from tests.controlplane.objects import NODE, run_pod
from tests.controlplane.plane import ControlPlane
from tests.controlplane.process import Guard, Server
from tests.service_ip.sandbox import Node, Sandbox

POLL = 0.1
"""Seconds between two looks at the pods that are wanted; a kubelet watches them."""
RELIST = 1.0
"""Seconds between two looks at the containers that run, as a kubelet's."""
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
ENVIRONMENT = ("KUBERNETES_SERVICE_HOST=10.96.0.1", "KUBERNETES_SERVICE_PORT=443")


@dataclass(frozen=True)
class Machine:
    """What a kubelet finds on its machine."""

    node: Node
    folder: Path
    images: Mapping[str, Sequence[str]]
    """The command that each image stands for; an empty one is a pod to run commands in."""
    resolvers: Mapping[str, Path]
    """The resolv.conf for each ``dnsPolicy``."""
    addresses: Iterator[str]


class Pod:
    """A pod that was started, and what was said about it."""

    def __init__(
        self, item: Json, address: str, sandbox: Sandbox, server: Server, command: Sequence[str]
    ) -> None:
        self.address = address
        self.sandbox = sandbox
        self.server = server
        self.ready: bool | None = None
        self.is_ending = False
        self._command = command
        self._meta: Json = item["metadata"]
        [self._container] = item["spec"]["containers"]
        self._probe: Json = self._container.get("readinessProbe") or {}
        self._failures = 0
        self._next_probe = 0.0

    @property
    def namespace(self) -> str:
        """Where it is."""
        return str(self._meta["namespace"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self._meta["name"])

    @property
    def labels(self) -> frozenset[str]:
        """The values of its labels."""
        return frozenset(self._meta.get("labels", {}).values())

    @property
    def has_ended(self) -> bool:
        """Whether its process has; a pod without a command is there to run commands in."""
        return not self.server.pid if self._command else self.is_ending

    def start(self) -> None:
        """Start the process, the first time or again."""
        self.server.kill()
        if self._command:
            self.server.start([*self.sandbox.prefix, "env", *ENVIRONMENT, *self._command])
        self._next_probe = 0.0

    def end(self) -> None:
        """Ask the process to end."""
        self.is_ending = True
        if self.server.pid:
            os.kill(self.server.pid, signal.SIGTERM)

    def close(self) -> None:
        """End what is left of it."""
        self.server.kill()
        self.sandbox.close()

    def probe(self, node: Node) -> bool:
        """Return whether it is ready, after a probe where one is due."""
        if (now := time.monotonic()) < self._next_probe:
            return bool(self.ready)
        self._next_probe = now + self._probe.get("periodSeconds", RELIST)
        passed = not self._probe or self._ask(node)
        self._failures = 0 if passed else self._failures + 1
        patient = bool(self.ready) and self._failures < self._probe.get("failureThreshold", 1)
        return passed or patient

    def _ask(self, node: Node) -> bool:
        page: Json = self._probe["httpGet"]
        ports = {port.get("name"): port["containerPort"] for port in self._container["ports"]}
        port, seconds = ports.get(page["port"], page["port"]), self._probe["timeoutSeconds"]
        connection = http.client.HTTPConnection(self.address, port, timeout=seconds)
        with suppress(OSError, http.client.HTTPException), closing(connection), node.entered():
            connection.request("GET", page["path"])
            return connection.getresponse().status == http.HTTPStatus.OK
        return False


class Kubelet:
    """Runs the pods that are bound to its node, for the length of a ``with`` block."""

    def __init__(self, plane: ControlPlane, machine: Machine) -> None:
        self._plane = plane
        self._machine = machine
        self._api = plane.client()
        self._guard = Guard()
        self._pods: dict[str, Pod] = {}
        """By uid."""
        self._next_relist = 0.0
        self._over = Event()
        self._thread = Thread(target=self._work)
        self._trouble: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for pod in self._pods.values():
            pod.close()
        self._guard.close()
        self._api.close()

    def pods(self, label: str) -> list[Pod]:
        """Return the pods with a label of this value; raise what has ended the kubelet."""
        if self._trouble:
            raise self._trouble
        known = [pod for pod in [*self._pods.values()] if label in pod.labels]
        return sorted(known, key=lambda pod: pod.name)

    def wait(self, label: str, number: int = 1, *, seconds: float = 60) -> list[Pod]:
        """Wait until exactly so many pods are there, and all are ready to stay."""

        def settled() -> bool:
            found = self.pods(label)
            return len(found) == number and all(pod.ready and not pod.is_ending for pod in found)

        eventually(settled, seconds=seconds)
        return self.pods(label)

    def _work(self) -> None:
        try:
            while not self._over.wait(POLL):
                self._look()
        except BaseException as error:
            self._trouble = error
            raise

    def _look(self) -> None:
        """Do what is wanted, then report what is."""
        query = f"fieldSelector=spec.nodeName%3D{NODE}"
        for item in self._api.request("GET", f"/api/v1/pods?{query}")["items"]:
            self._obey(item)
        is_due = time.monotonic() >= self._next_relist
        if is_due:
            self._next_relist = time.monotonic() + RELIST
        for uid, pod in [*self._pods.items()]:
            if not pod.has_ended:
                self._say(pod, ready=pod.probe(self._machine.node))
            elif pod.is_ending:
                self._let_go(self._pods.pop(uid))
            elif is_due:
                self._say(pod, ready=False)
                pod.start()

    def _obey(self, item: Json) -> None:
        uid = item["metadata"]["uid"]
        is_leaving = "deletionTimestamp" in item["metadata"]
        pod = self._pods.get(uid)
        if pod is None and not is_leaving:
            self._pods[uid] = self._start(item)
        elif pod is not None and is_leaving and not pod.is_ending:
            pod.end()

    def _let_go(self, pod: Pod) -> None:
        pod.close()
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
        self._api.request("DELETE", path, {"gracePeriodSeconds": 0})

    def _say(self, pod: Pod, *, ready: bool) -> None:
        """Report what has changed."""
        if ready != pod.ready:
            run_pod(self._api, pod.namespace, pod.name, pod.address, ready=ready)
            pod.ready = ready

    def _start(self, item: Json) -> Pod:
        name, address = item["metadata"]["name"], next(self._machine.addresses)
        folder = self._machine.folder / name
        folder.mkdir()
        sandbox = Sandbox(self._files(item, folder))
        self._machine.node.join(sandbox, address)
        server = Server(self._guard, folder / f"{name}.log")
        pod = Pod(item, address, sandbox, server, self._command(item, folder))
        pod.start()
        return pod

    def _files(self, item: Json, folder: Path) -> dict[str, Path]:
        """Return what the pod sees in the place of the machine's files."""
        spec, namespace = item["spec"], item["metadata"]["namespace"]
        resolver = self._machine.resolvers[spec["dnsPolicy"]]
        files = {"/etc/resolv.conf": resolver}
        if account := spec.get("serviceAccountName"):
            token = folder / "token"
            token.write_text(self._plane.service_account_token(namespace, account))
            files |= {f"{ACCOUNT}/token": token, f"{ACCOUNT}/ca.crt": self._plane.keys.authority}
        return files

    def _command(self, item: Json, folder: Path) -> list[str]:
        """Return the container's command, with the folders of mounted ConfigMaps replaced."""
        [container] = item["spec"]["containers"]
        command = [*self._machine.images[container["image"]], *container.get("args", ())]
        volumes = {volume["name"]: volume for volume in item["spec"].get("volumes", ())}
        for mount in container.get("volumeMounts", ()):
            name = volumes[mount["name"]]["configMap"]["name"]
            self._write_config_map(item["metadata"]["namespace"], name, folder)
            command = [word.replace(mount["mountPath"], str(folder)) for word in command]
        return command

    def _write_config_map(self, namespace: str, name: str, folder: Path) -> None:
        path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
        for key, text in self._api.request("GET", path)["data"].items():
            (folder / key).write_text(text)
