"""Sandboxes: a network of their own, and a few files of their own, as pods have them.

Knows namespaces, links and addresses. Does not know Kubernetes. Nothing of the host changes, and
nothing is left behind: the namespaces have no names and end with the process that holds them.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Self

from tests.patience import SLOWER

GATEWAY = "169.254.1.1"
"""A node's address on every link to a pod."""
CLONE_NEWNET = 0x40000000

# The mounts are private to this mount namespace. /run is empty so that neither nscd nor the lock of
# iptables is the host's, and so that there is a place for a service account's files.
SCRIPT = """
set -e
mount -t tmpfs tmpfs /run
while [ $# -gt 0 ]; do
    target=$(readlink -m "$2")
    case $target in /run/*) install -D /dev/null "$target" ;; esac
    mount --bind "$1" "$target"
    shift 2
done
ip link set lo up
echo ready
exec cat > /dev/null
"""


class Sandbox:
    """Namespaces for the length of a ``with`` block, or until ``close``.

    ``files`` are seen in the place of others, by path; RuntimeError where the kernel refuses.
    """

    def __init__(self, files: Mapping[str, Path] | None = None) -> None:
        words = [word for path, file in (files or {}).items() for word in (str(file), path)]
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c", SCRIPT, "sandbox", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Ctrl-C is for pytest, which then closes us in order.
            start_new_session=True,
        )
        assert self._holder.stdout
        said = self._holder.stdout.readline()
        if said != "ready\n":
            self.close()
            raise RuntimeError(f"no sandbox: {said.strip()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the namespaces; processes in them keep them."""
        self._holder.communicate()

    @cached_property
    def prefix(self) -> tuple[str, ...]:
        """The words before a command that start it inside; its process id stays the same."""
        return ("nsenter", f"--target={self._holder.pid}", "--net", "--mount", "--")

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let the sockets that this thread opens in the block be of this network."""
        outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        inside = os.open(f"/proc/{self._holder.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set_network(inside)
            try:
                yield
            finally:
                _set_network(outside)
        finally:
            os.close(inside)
            os.close(outside)

    def run(
        self, *command: str, given: str | None = None, seconds: float = 30
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end, with text as its standard input."""
        return subprocess.run(
            [*self.prefix, *command],
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds * SLOWER,
        )

    def configure(self, *lines: str) -> None:
        """Run lines of ``ip`` inside; RuntimeError with what it says against one."""
        done = self.run("ip", "-batch", "-", given="\n".join(lines))
        if done.returncode:
            raise RuntimeError(f"ip: {done.stderr.strip()}")

    @property
    def pid(self) -> int:
        """The process that holds the namespaces, which ``ip`` knows them by."""
        return self._holder.pid


class Node(Sandbox):
    """A sandbox that forwards between the pods that are joined to it, and to nowhere else."""

    def __init__(self, address: str, files: Mapping[str, Path] | None = None) -> None:
        super().__init__(files)
        self._numbers = count(1)
        self.configure(f"address add {address}/32 dev lo")
        # Of this network namespace only, as everything below net/ipv4.
        self.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward").check_returncode()

    def join(self, pod: Sandbox, address: str) -> None:
        """Give a pod its address, and a link to the node as its only way."""
        link = f"pod{next(self._numbers)}"
        self.configure(
            f"link add {link} type veth peer name eth0 netns {pod.pid}",
            f"link set {link} up",
            f"address add {GATEWAY}/32 dev {link}",
            f"route add {address}/32 dev {link}",
        )
        pod.configure(
            f"address add {address}/32 dev eth0",
            "link set eth0 up",
            f"route add {GATEWAY} dev eth0",
            f"route add default via {GATEWAY}",
        )


def _set_network(descriptor: int) -> None:
    """Move this thread; ``os.setns`` is there from Python 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
