"""The servers that are compared, and what the kernel says they used.

Knows command lines and /proc. Does not know what is asked of them.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from tests.controlplane.plane import free_ports
from tests.controlplane.process import Guard
from tests.coredns import build as coredns

ROOT = Path(__file__).parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
KDNS, COREDNS = "kdns", "CoreDNS"
NAMES = (KDNS, COREDNS)
QUIET_SECONDS, SETTLE_SECONDS = 3.0, 30.0
COREFILE = """.:{port} {{
    bind 127.0.0.1
    errors
    ready 127.0.0.1:{ready}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 30
        fallthrough in-addr.arpa ip6.arpa
    }}
}}
"""


@dataclass(frozen=True)
class Memory:
    """Megabytes, of a million bytes."""

    peak: float
    kept: float
    anonymous: float


@dataclass(frozen=True)
class Running:
    """A server that runs."""

    name: str
    pid: int
    port: int
    started: float

    def cpu(self) -> float:
        """Return the seconds of CPU used so far, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> Memory:
        """Return what is resident: at most, now, and now without mapped files."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = dict(line.split(":", 1) for line in status.splitlines())
        peak, kept, anonymous = (
            int(found[key].split()[0]) * 1024 / 1e6 for key in ("VmHWM", "VmRSS", "RssAnon")
        )
        return Memory(peak, kept, anonymous)

    def settle(self) -> None:
        """Return once it has been idle for a while."""
        pause, end = Event(), time.monotonic() + SETTLE_SECONDS
        before, quiet_since = self.cpu(), time.monotonic()
        while (now := time.monotonic()) < min(end, quiet_since + QUIET_SECONDS):
            pause.wait(0.5)
            if (after := self.cpu()) > before + 1 / TICKS:
                quiet_since = now
            before = after


class Contestants:
    """Starts the servers, each with a kubeconfig of the same user."""

    def __init__(self, names: Sequence[str], kubeconfig: Path, folder: Path) -> None:
        self.names = tuple(names)
        self._kubeconfig = kubeconfig
        self._folder = folder
        self._guard = Guard()

    def close(self) -> None:
        """End the process that would end the servers if this one did not."""
        self._guard.close()

    @contextmanager
    def all(self) -> Iterator[dict[str, Running]]:
        """Run all of them at once."""
        with ExitStack() as stack:
            yield {name: stack.enter_context(self.running(name)) for name in self.names}

    @contextmanager
    def running(self, name: str, core: int | None = None) -> Iterator[Running]:
        """Run one of them, on one core or wherever."""
        port, ready = free_ports(2)
        command = self._command(name, port, ready)
        pin = [] if core is None else ["taskset", "-c", str(core)]
        started = time.monotonic()
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*pin, *command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._guard.tell("start", process.pid)
        try:
            yield Running(name, process.pid, port, started)
        finally:
            process.kill()
            process.wait()
            self._guard.tell("end", process.pid)

    def _command(self, name: str, port: int, ready: int) -> list[str]:
        if name == KDNS:
            options = ["--kubeconfig", str(self._kubeconfig), "-dns.port", str(port)]
            options += ["--bind", "127.0.0.1", "--upstream", "none"]
            return [sys.executable, "-m", "kdns", "serve", *options]
        corefile = self._folder / "Corefile"
        corefile.write_text(COREFILE.format(port=port, ready=ready, kubeconfig=self._kubeconfig))
        return [str(coredns.program()), "-conf", str(corefile)]
