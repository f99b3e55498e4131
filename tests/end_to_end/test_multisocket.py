"""``multisocket``: several processes, one server."""

import os
import re
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from kdns.testing import FakeApiServer
from tests.end_to_end.running import Kdns

WORKERS = 2
NAME = "web.default.svc.cluster.local."


def _free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports


def _service(address: str, name: str = "web") -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterIP": address, "clusterIPs": [address], "ports": [{"port": 80}]},
    }


class Crew:
    """A kdns with workers, on ports of its own."""

    def __init__(self, directory: Path, server: FakeApiServer) -> None:
        self.port, self.ready_port, self.metrics_port = _free_ports(3)
        self.corefile = directory / "Corefile"
        self.kubeconfig = server.kubeconfig()
        self.write()
        self.kdns = Kdns("-conf", str(self.corefile), started=r"^\S+:(\d+)")

    def write(self, *, ttl: int = 30, workers: int = WORKERS, more: str = "") -> None:
        self.corefile.write_text(
            f""".:{self.port} {{
                bind 127.0.0.1
                errors
                health 127.0.0.1:0 {{
                    lameduck 1s
                }}
                ready 127.0.0.1:{self.ready_port}
                prometheus 127.0.0.1:{self.metrics_port}
                kubernetes cluster.local {{
                    kubeconfig {self.kubeconfig}
                    ttl {ttl}
                }}
                multisocket {workers}
                {more}
            }}
            """
        )

    def ask(self, name: str = NAME) -> dns.message.Message:
        """Ask from a new socket: the kernel may give it to any worker."""
        query = dns.message.make_query(name, "A")
        return dns.query.udp(query, "127.0.0.1", port=self.port, timeout=5)

    def addresses(self, name: str = NAME, times: int = 20) -> set[str]:
        """Every address, or the rcode, that many questions to any worker give."""
        found: set[str] = set()
        for _ in range(times):
            reply = self.ask(name)
            if reply.answer:
                found |= {rr.address for rr in reply.answer[0]}
            else:
                found.add(dns.rcode.to_text(reply.rcode()))
        return found

    def page(self, port: int, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as reply:
            return str(reply.read().decode())

    def counted(self) -> int:
        """Queries, as the metrics of all workers together have them."""
        text = self.page(self.metrics_port, "/metrics")
        lines = re.findall(r"^coredns_dns_requests_total\{.*\} ([\d.e+]+)$", text, re.MULTILINE)
        return int(sum(map(float, lines)))

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        children = Path(f"/proc/{self.kdns.process.pid}/task/{self.kdns.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as fake:
        fake.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
        fake.apply(_service("10.96.0.7"))
        yield fake


@pytest.fixture
def crew(server: FakeApiServer, tmp_path: Path) -> Iterator[Crew]:
    with _running(tmp_path, server) as running:
        yield running


@contextmanager
def _running(directory: Path, server: FakeApiServer) -> Iterator[Crew]:
    running = Crew(directory, server)
    try:
        yield running
    finally:
        running.kdns.stop()


def test_all_workers_answer_hear_of_changes_and_count(crew: Crew, server: FakeApiServer) -> None:
    assert crew.addresses() == {"10.96.0.7"}
    assert len(crew.workers()) == WORKERS
    assert crew.counted() == 20

    server.apply(_service("10.96.0.8", "later"))
    eventually(lambda: crew.addresses("later.default.svc.cluster.local.") == {"10.96.0.8"})
    server.delete("Service", "default", "later")
    eventually(lambda: crew.addresses("later.default.svc.cluster.local.") == {"NXDOMAIN"})

    before = crew.counted()
    crew.addresses(times=50)
    assert crew.counted() == before + 50


def test_a_worker_that_dies_is_replaced_and_its_count_is_kept(crew: Crew) -> None:
    crew.addresses()
    assert crew.counted() == 20
    killed = crew.workers()[0]
    os.kill(killed, signal.SIGKILL)

    crew.kdns.wait_for(rf"worker {killed} ended with status -9: replaced")
    eventually(lambda: len(set(crew.workers()) - {killed}) == WORKERS)
    eventually(lambda: _ready(crew))
    assert crew.addresses() == {"10.96.0.7"}
    assert crew.counted() == 40


def test_a_reload_reaches_every_worker_and_a_bad_one_none(crew: Crew) -> None:
    pids = crew.workers()
    crew.write(ttl=77)
    crew.kdns.process.send_signal(signal.SIGUSR1)
    eventually(lambda: {crew.ask().answer[0].ttl for _ in range(20)} == {77})
    assert crew.workers() == pids

    crew.write(ttl=5, more="nonsense")
    crew.kdns.process.send_signal(signal.SIGUSR1)
    crew.kdns.wait_for("Unknown directive 'nonsense'")
    assert {crew.ask().answer[0].ttl for _ in range(20)} == {77}

    crew.write(ttl=78, workers=3)
    crew.kdns.process.send_signal(signal.SIGUSR1)
    eventually(lambda: len(crew.workers()) == 3)
    eventually(lambda: {crew.ask().answer[0].ttl for _ in range(20)} == {78})

    crew.write(ttl=79, workers=1)
    crew.kdns.process.send_signal(signal.SIGUSR1)
    eventually(lambda: not crew.workers())
    eventually(lambda: {crew.ask().answer[0].ttl for _ in range(20)} == {79})


def test_workers_answer_through_the_lameduck_time_and_end_with_the_parent(crew: Crew) -> None:
    pids = crew.workers()
    crew.kdns.process.send_signal(signal.SIGTERM)
    eventually(lambda: not _ready(crew))
    assert crew.addresses() == {"10.96.0.7"}

    assert crew.kdns.process.wait(10) == 0
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_workers_end_when_the_parent_is_killed(crew: Crew) -> None:
    pids = crew.workers()
    crew.kdns.process.kill()
    crew.kdns.process.wait(10)

    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Ask until it is so."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.05)


def _ready(crew: Crew) -> bool:
    with suppress(OSError):
        return crew.page(crew.ready_port, "/ready") == "OK"
    return False
