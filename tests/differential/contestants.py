"""CoreDNS and kdns, as they are and with ``compat coredns``, beside one another on one cluster.

Each is one process with one Corefile: a server block for each option set. Knows processes and
ports, no names.
"""

import json
import socket
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from kdns.testing import FakeApiServer
from tests.controlplane.plane import free_ports
from tests.controlplane.process import Guard, Server
from tests.coredns import build as coredns
from tests.differential.options import OptionSet
from tests.differential.population import objects
from tests.differential.upstream import HOST
from tests.patience import PATIENCE

COREDNS, NORMAL, COMPAT = "CoreDNS", "kdns", "kdns with compat"
MODES = (NORMAL, COMPAT)


@dataclass(frozen=True)
class Running:
    """What runs, and where."""

    ports: dict[str, dict[str, int]]
    """By contestant and option set."""
    upstream: int
    """The port of the upstream."""


@contextmanager
def running(options: Sequence[OptionSet]) -> Iterator[Running]:
    """Run all of them while the block runs. Raises ``NotBuilt`` where CoreDNS is not built."""
    programs = {
        COREDNS: [str(coredns.program())],
        **{mode: [sys.executable, "-m", "kdns"] for mode in MODES},
    }
    guard = Guard()
    with TemporaryDirectory(prefix="kdns-differential-") as name, FakeApiServer() as api:
        kubeconfig = _fill(api, Path(name))
        # All at once: what is free now may be chosen again before it is taken.
        ports = iter(free_ports(1 + len(programs) * (1 + len(options))))
        found = Running({}, next(ports))
        servers = [Server(guard, Path(name) / "upstream.log")]
        upstream = [sys.executable, "-m", "tests.differential.upstream", str(found.upstream)]
        waits = [(servers[0], lambda: _is_open(found.upstream))]
        try:
            servers[0].start(upstream)
            for contestant, program in programs.items():
                start = _Start(contestant, Path(name), guard, kubeconfig, found, ports)
                servers.append(start.start(program, options))
                waits.append((servers[-1], start.is_ready))
            for server, is_ready in waits:
                server.wait(is_ready, seconds=PATIENCE)
            yield found
        finally:
            for server in servers:
                server.kill()
            guard.close()


def _is_open(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), 1):
        return True
    return False


def _fill(api: FakeApiServer, folder: Path) -> str:
    """Store the objects and write a kubeconfig without a user."""
    for item in objects():
        api.apply(item)
    config = json.loads(Path(api.kubeconfig()).read_text())
    # A Go client sends no token over plain HTTP.
    api.token = ""
    config["users"] = [{"name": "fake", "user": {}}]
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)


@dataclass
class _Start:
    contestant: str
    folder: Path
    guard: Guard
    kubeconfig: str
    found: Running
    ports: Iterator[int]
    _ready: int = 0

    def start(self, program: list[str], options: Sequence[OptionSet]) -> Server:
        """Write the Corefile and start the program with it."""
        self._ready = next(self.ports)
        named = {one.name: next(self.ports) for one in options}
        self.found.ports[self.contestant] = named
        stem = self.contestant.replace(" ", "-")
        corefile = self.folder / f"{stem}.Corefile"
        corefile.write_text("\n".join(self._block(one, named[one.name]) for one in options))
        server = Server(self.guard, self.folder / f"{stem}.log")
        return server.start([*program, "-conf", str(corefile)])

    def _block(self, options: OptionSet, port: int) -> str:
        more = ("compat coredns",) if self.contestant == COMPAT else ()
        return options.block(
            port, self._ready, self.kubeconfig, f"{HOST}:{self.found.upstream}", *more
        )

    def is_ready(self) -> bool:
        """Whether it says that it is ready."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self._ready}/ready", timeout=5) as page:
                return bool(page.status == 200)
        except OSError:
            return False
