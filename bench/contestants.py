"""The servers that are compared, and what the kernel says they used.

Knows command lines, configurations and /proc. Does not know what is asked of them.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Event

from tests.controlplane.plane import free_ports
from tests.controlplane.process import Guard
from tests.coredns import build as coredns

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"
KDNS, FAST, TWICE = "kdns", "kdns, uvloop", "kdns, multisocket 2"
COREDNS, CACHING = "CoreDNS", "CoreDNS, cache 30"
NSD, UNBOUND, UPSTREAM = "NSD", "unbound", "upstream"
NAMES = (KDNS, COREDNS)
QUIET_SECONDS, SETTLE_SECONDS = 3.0, 30.0
QUIET_CPU = 0.01
SBIN = "/usr/sbin"

# What kubeadm 1.36 writes, on ports of our own and with an upstream on loopback.
COREFILE = """.:{port} {{
    bind 127.0.0.1
    {workers}
    errors
    health 127.0.0.1:{health} {{
       lameduck 5s
    }}
    ready 127.0.0.1:{ready}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
       kubeconfig {kubeconfig}
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }}
    prometheus 127.0.0.1:{metrics}
    forward . 127.0.0.1:{upstream} {{
       max_concurrent 1000
    }}
    {cache}
    loop
    reload
    loadbalance
}}
"""
KUBEADM_CACHE = """cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }"""
# The interpreter is told which event loop to use; otherwise kdns takes what is installed.
WITHOUT_UVLOOP = "import os, sys; os.environ['KDNS_LOOP'] = 'asyncio'"
WITH_UVLOOP = "import sys, uvloop; uvloop.install()"
RUN = "; from kdns.cli import main; sys.exit(main(sys.argv[1:]))"

# round-robin: kdns and CoreDNS rotate too. minimal-responses: neither adds NS records.
NSD_CONF = """server:
  ip-address: 127.0.0.1@{port}
  server-count: 1
  username: ""
  chroot: ""
  pidfile: "{folder}/{port}.pid"
  xfrdfile: "{folder}/{port}.xfrd"
  zonesdir: "{folder}"
  database: ""
  rrl-ratelimit: 0
  minimal-responses: yes
  round-robin: yes
  ipv4-edns-size: 4096
remote-control:
  control-enable: no
"""
NSD_ZONE = """zone:
  name: {zone}
  zonefile: {zone}.zone
"""
UNBOUND_CONF = """server:
  interface: 127.0.0.1
  port: {port}
  num-threads: 1
  do-daemonize: no
  use-syslog: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/unbound.pid"
  module-config: "iterator"
  do-not-query-localhost: no
  num-queries-per-thread: 1024
  outgoing-range: 2048
  cache-max-ttl: 30
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{upstream}
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
        """Return the seconds of CPU used so far by it and its children, user and system.

        The same sum as in /proc/PID/stat, by the processes' own clocks: in nanoseconds.
        """
        return sum(process_clock(pid) for pid in family(self.pid))

    def memory(self) -> Memory:
        """Return what is resident: at most, now, and now without mapped files."""
        found = [_status(pid) for pid in family(self.pid)]
        peak, kept, anonymous = (
            sum(int(one[key].split()[0]) for one in found) * 1024 / 1e6
            for key in ("VmHWM", "VmRSS", "RssAnon")
        )
        return Memory(peak, kept, anonymous)

    def settle(self) -> None:
        """Return once it has been idle for a while."""
        pause, end = Event(), time.monotonic() + SETTLE_SECONDS
        before, quiet_since = self.cpu(), time.monotonic()
        while (now := time.monotonic()) < min(end, quiet_since + QUIET_SECONDS):
            pause.wait(0.5)
            if (after := self.cpu()) > before + QUIET_CPU:
                quiet_since = now
            before = after


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            found += map(int, thread.read_text().split())
    return [pid, *(one for child in found for one in family(child))]


def process_clock(pid: int) -> float:
    """Return the seconds of CPU that a process used (clock_getcpuclockid(3))."""
    cpuclock_sched = 2
    return time.clock_gettime(~pid << 3 | cpuclock_sched)


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":", 1) for line in lines)


class Contestants:
    """Starts the servers, each with a kubeconfig of the same user.

    The folder holds the zone files, which NSD and the upstream read.
    """

    def __init__(
        self, names: Sequence[str], kubeconfig: Path | str, folder: Path, zones: Sequence[str] = ()
    ) -> None:
        self.names = tuple(names)
        self._kubeconfig = kubeconfig
        self._folder = folder
        self._zones = tuple(zones)
        self._guard = Guard()
        self._upstream = free_ports(1)[0]
        self._env = compiling(folder / "compiled")

    def close(self) -> None:
        """End the process that would end the servers if this one did not."""
        self._guard.close()

    @contextmanager
    def all(self, core: int | None = None) -> Iterator[dict[str, Running]]:
        """Run all of them at once."""
        with ExitStack() as stack:
            yield {name: stack.enter_context(self.running(name, core)) for name in self.names}

    @contextmanager
    def running(self, name: str, core: int | None = None) -> Iterator[Running]:
        """Run one of them, on one core or wherever."""
        port = self._upstream if name == UPSTREAM else free_ports(1)[0]
        pin = [] if core is None else ["taskset", "-c", str(core)]
        command = [*pin, *self._command(name, port)]
        started = time.monotonic()
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._env
            )
        self._guard.tell("start", process.pid)
        try:
            yield Running(name, process.pid, port, started)
        finally:
            # Children go first, or nobody could find them.
            for pid in reversed(family(process.pid)[1:]):
                os.kill(pid, 9)
            process.kill()
            process.wait()
            self._guard.tell("end", process.pid)

    def log(self, name: str) -> str:
        """Return the end of what a server printed."""
        return (self._folder / f"{name}.log").read_text(errors="replace")[-2000:]

    def _command(self, name: str, port: int) -> list[str]:
        match name:
            case "NSD":
                return self._nsd(port, self._zones)
            case "upstream":
                return self._nsd(port, ["example.org"])
            case "unbound":
                text = UNBOUND_CONF.format(port=port, upstream=self._upstream, folder=self._folder)
                return [tool("unbound"), "-d", "-c", self._write(name, text)]
            case "CoreDNS" | "CoreDNS, cache 30":
                return [str(coredns.program()), "-conf", self._corefile(name, port)]
            case "kdns, uvloop":
                program = WITH_UVLOOP + RUN
                return [sys.executable, "-c", program, "-conf", self._corefile(name, port)]
            case _:
                return [
                    *(sys.executable, "-c", WITHOUT_UVLOOP + RUN),
                    *("-conf", self._corefile(name, port)),
                ]

    def _nsd(self, port: int, zones: Sequence[str]) -> list[str]:
        text = NSD_CONF.format(port=port, folder=self._folder)
        text += "".join(NSD_ZONE.format(zone=zone) for zone in zones)
        return [tool("nsd"), "-d", "-c", self._write(f"{zones[0]}.nsd", text)]

    def _corefile(self, name: str, port: int) -> str:
        health, ready, metrics = free_ports(3)
        text = COREFILE.format(
            port=port,
            health=health,
            ready=ready,
            metrics=metrics,
            kubeconfig=self._kubeconfig,
            upstream=self._upstream,
            workers="multisocket 2" if name == TWICE else "",
            cache="cache 30" if name == CACHING else KUBEADM_CACHE,
        )
        return self._write(f"{name}.Corefile", text)

    def _write(self, name: str, text: str) -> str:
        path = self._folder / name.replace(", ", "-").replace(" ", "-")
        path.write_text(text)
        return str(path)


def compiling(folder: Path) -> dict[str, str]:
    """Return an environment in which Python keeps the modules that it compiled, in a folder.

    pip and the image install kdns compiled; a checkout may be told to stay clean, and then every
    start would compile 250 modules again.
    """
    kept = {name: one for name, one in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(folder)}


def tool(name: str) -> str:
    """Return the path of an installed program, or raise FileNotFoundError with the remedy."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + os.pathsep + SBIN)
    if found is None:
        raise FileNotFoundError(f"{name} is missing: bash bench/tools installs what is needed")
    return found


def has_uvloop() -> bool:
    """Whether kdns can be run with uvloop here."""
    return find_spec("uvloop") is not None
