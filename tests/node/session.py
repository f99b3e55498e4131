"""What is asked of the cluster and what comes back, all of it written into the log.

Knows kubectl and the clients. Does not know what ought to come.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.controlplane.client import Json, eventually
from tests.node.cluster import DNS, SOCKET, Cluster

NAMESPACE = "trial"
CLIENTS = ("glibc", "musl", "go")
PER_SECOND = 200
STREAMED = "web.trial.svc.cluster.local."
PATIENCE = 180.0  # seconds, for the cluster to do what it was told


CTR = ("ctr", "--address", SOCKET, "--namespace", "k8s.io")


class Wrong(Exception):
    """Something else came than what was expected; the text says what."""


@dataclass(frozen=True)
class Came:
    """What a command printed, and its exit status."""

    status: int
    text: str


class Session:
    """A person at the cluster, with a log."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._kubectl = str(cluster.programs / "kubectl")
        self._environment = os.environ | {"KUBECONFIG": str(cluster.config)}
        self.started = time.monotonic()

    def say(self, text: str) -> None:
        """Write a line, behind the seconds since the start."""
        sys.stdout.write(f"{time.monotonic() - self.started:6.1f} {text}\n")
        sys.stdout.flush()

    def check(self, what: str, holds: object) -> None:
        """Say that it holds, or raise ``Wrong``."""
        if not holds:
            raise Wrong(f"not so: {what}")
        self.say(f"ok: {what}")

    def kubectl(self, *words: str) -> str:
        """Run kubectl; raise ``Wrong`` when it fails."""
        self.say(f"$ kubectl {shlex.join(words)}")
        came = self._run(self._kubectl, *words)
        self._show(came.text)
        if came.status:
            raise Wrong(f"kubectl ended with status {came.status}: {came.text}")
        return came.text

    def apply(self, *words: str) -> None:
        """Apply objects as the documentation says it."""
        self.kubectl("apply", "--server-side", *words)

    def rolled_out(self, what: str, namespace: str = "kube-system") -> None:
        """Wait for a rollout."""
        self.kubectl(
            *("-n", namespace, "rollout", "status", what, f"--timeout={PATIENCE:g}s", "--watch")
        )

    def get(self, *words: str) -> Json:
        """Return an object, or a list of them; not in the log."""
        came = self._run(self._kubectl, "get", *words, "-o", "json")
        if came.status:
            raise Wrong(came.text)
        answer: Json = json.loads(came.text)
        return answer

    def inside(self, pod: str, *command: str, namespace: str = NAMESPACE) -> Came:
        """Run a command in a pod, whatever becomes of it."""
        self.say(f"$ kubectl -n {namespace} exec {pod} -- {shlex.join(command)}")
        came = self._run(self._kubectl, "-n", namespace, "exec", pod, "--", *command)
        self._show(came.text)
        return came

    def on_node(self, *command: str) -> Came:
        """Run a command on the node itself."""
        self.say(f"node# {shlex.join(command)}")
        came = self._run(*command)
        self._show(came.text)
        return came

    def ask_alone(self, container: str, server: str) -> str:
        """Ask once for `web` from a client's container, without the API server and kubectl."""
        words = ("dig", server, "+short", "+search", "+tries=1", "+time=1", "web")
        return self._run(*CTR, "tasks", "exec", "--exec-id", new_exec(), container, *words).text

    def containers(self, pod: str, name: str) -> list[str]:
        """Return the ids of a pod's running containers of a name, from containerd."""
        labels = {"io.kubernetes.pod.name": pod, "io.kubernetes.container.name": name}
        wanted = ",".join(f'labels."{label}"=={value}' for label, value in labels.items())
        known = self._run(*CTR, "containers", "list", "--quiet", wanted).text.split()
        return [one for one in known if one in self._processes()]

    def process(self, pod: str, name: str) -> Path:
        """Return what the node's kernel shows of a container's first process (proc(5))."""
        [container] = self.containers(pod, name)
        return Path("/proc") / self._processes()[container]

    def _processes(self) -> dict[str, str]:
        """Return the first process of each container that runs."""
        rows = [line.split() for line in self._run(*CTR, "tasks", "list").text.splitlines()]
        return {row[0]: row[1] for row in rows if row[2:] == ["RUNNING"]}

    def addresses(self, client: str, names: Sequence[str]) -> dict[str, str]:
        """Return what a client says about each name: addresses, or why there are none."""
        came = self.inside(client, "/resolve", *names)
        rows = [line.partition(": ") for line in came.text.splitlines()]
        return {name: text for name, _, text in rows}

    def wait(self, what: str, check: Callable[[], Any]) -> None:
        """Wait until something holds, and say how long it took."""
        started = time.monotonic()
        try:
            eventually(check, seconds=PATIENCE)
        except TimeoutError as error:
            raise Wrong(f"{what}: {error}") from None
        self.say(f"ok: {what}, after {time.monotonic() - started:.1f} s")

    def look(self) -> None:
        """Write down what the cluster says about itself."""
        events = ("-n", "kube-system", "get", "events", "--sort-by=.lastTimestamp")
        for words in (("get", "pods", "-A", "-o", "wide"), events):
            came = self._run(self._kubectl, *words, "--request-timeout=10s")
            self._show("\n".join(came.text.splitlines()[-20:]))

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Ask steadily from a pod while the block runs; raise ``Wrong`` when anything is lost."""
        [client] = self.containers("go", "client")
        words = ("/resolve", "stream", f"{DNS}:53", STREAMED, str(PER_SECOND))
        # Not kubectl: it needs the API server all the while.
        self.say(f"node# ctr tasks exec, in the pod `go`: {shlex.join(words)}")
        with subprocess.Popen(
            [*CTR, "tasks", "exec", "--exec-id", new_exec(), client, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin
            assert process.stdout
            if process.stdout.readline() != "asking\n":
                raise Wrong("the stream of questions did not start")
            yield
            process.stdin.close()
            text = process.stdout.read()
        self.say(f"stream, each from a port of its own, and once: {text.strip()}")
        result = json.loads(text)
        self.check(f"{result['Asked']} questions, none lost", not result["Failed"])

    def _show(self, text: str) -> None:
        for line in text.rstrip().splitlines():
            self.say(f"  | {line}")

    def _run(self, *command: str) -> Came:
        done = subprocess.run(
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Came(done.returncode, done.stdout)


def new_exec() -> str:
    """Return a name for a process that containerd starts in a container."""
    return f"asked-{time.monotonic_ns()}"
