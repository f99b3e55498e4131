"""``multisocket``: several processes, one server."""

import os
import re
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from kdns.testing import FakeApiServer
from tests.end_to_end.running import Kdns
from tests.patience import PATIENCE

WORKERS = 2
NAME = "web.default.svc.cluster.local."
QUERY = dns.message.make_query(NAME, "A").to_wire()
AT_A_TIME = 50
"""Sockets, each of which may be another worker's client."""
LOST = 20.0
"""Seconds until a client gives up."""


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
        self._reloads = 0
        self.kdns = Kdns("-conf", str(self.corefile), started=r"^\S+:(\d+)")

    def write(
        self, *, ttl: int = 30, workers: int = WORKERS, lameduck: str = "1s", more: str = ""
    ) -> None:
        self.corefile.write_text(
            f""".:{self.port} {{
                bind 127.0.0.1
                errors
                health 127.0.0.1:0 {{
                    lameduck {lameduck}
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

    def reload(self) -> None:
        """Have the Corefile read again, and wait until it is."""
        self._reloads += 1
        self.kdns.process.send_signal(signal.SIGUSR1)
        self.kdns.wait_for("Reloading complete", self._reloads)

    def ask(self, name: str = NAME) -> dns.message.Message:
        """Ask from a new socket: the kernel may give it to any worker."""
        query = dns.message.make_query(name, "A")
        return dns.query.udp(query, "127.0.0.1", port=self.port, timeout=PATIENCE)

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
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as reply:
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
def own_crew(server: FakeApiServer, tmp_path: Path) -> Iterator[Crew]:
    """One that a test may end."""
    with _running(tmp_path, server) as running:
        yield running


@pytest.fixture(scope="module")
def common_crew(server: FakeApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    with _running(tmp_path_factory.mktemp("crew"), server) as running:
        yield running


@pytest.fixture
def crew(common_crew: Crew) -> Crew:
    """One with the workers and the Corefile that it began with."""
    common_crew.write()
    common_crew.reload()
    eventually(lambda: len(common_crew.workers()) == WORKERS and _ready(common_crew))
    return common_crew


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

    server.apply(_service("10.96.0.8", "later"))
    eventually(lambda: crew.addresses("later.default.svc.cluster.local.") == {"10.96.0.8"})
    server.delete("Service", "default", "later")
    eventually(lambda: crew.addresses("later.default.svc.cluster.local.") == {"NXDOMAIN"})

    before = crew.counted()
    crew.addresses(times=50)
    assert crew.counted() == before + 50


def test_a_worker_that_dies_is_replaced_and_its_count_is_kept(crew: Crew) -> None:
    crew.addresses()
    before = crew.counted()
    killed = crew.workers()[0]
    os.kill(killed, signal.SIGKILL)

    crew.kdns.wait_for(rf"worker {killed} ended with status -9: replaced")
    eventually(lambda: len(set(crew.workers()) - {killed}) == WORKERS)
    eventually(lambda: _ready(crew))
    assert crew.addresses() == {"10.96.0.7"}
    assert crew.counted() == before + 20


class Load:
    """Asks from many sockets at a time, and counts the questions and the answers."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self.asked = self.answered = 0
        self.ending = threading.Event()

    def __call__(self) -> None:
        where = ("127.0.0.1", self._crew.port)
        while not self.ending.is_set():
            with ExitStack() as stack, suppress(TimeoutError):
                clients = [stack.enter_context(_client()) for _ in range(AT_A_TIME)]
                for client in clients:
                    client.sendto(QUERY, where)
                self.asked += AT_A_TIME
                for client in clients:
                    client.recv(512)
                    self.answered += 1


def _client() -> socket.socket:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(LOST)
    return client


@contextmanager
def _loaded(crew: Crew) -> Iterator[Load]:
    """Ask on a thread while the block runs."""
    load = Load(crew)
    thread = threading.Thread(target=load)
    thread.start()
    try:
        yield load
    finally:
        load.ending.set()
        thread.join()


def test_fewer_workers_lose_no_query_and_no_count(crew: Crew) -> None:
    crew.write(workers=4)
    crew.reload()
    before = crew.counted()
    with _loaded(crew) as load:
        crew.write(workers=2)
        crew.reload()
        eventually(lambda: len(crew.workers()) == 2)
    assert load.answered == load.asked
    assert crew.counted() - before == load.asked > 0

    with _loaded(crew) as load:
        crew.write(workers=1)
        crew.reload()
        eventually(lambda: not crew.workers())
    assert load.answered == load.asked


def test_a_reload_reaches_every_worker_and_a_bad_one_none(crew: Crew) -> None:
    pids = crew.workers()
    crew.write(ttl=77)
    crew.reload()
    eventually(lambda: {crew.ask().answer[0].ttl for _ in range(20)} == {77})
    assert crew.workers() == pids

    crew.write(ttl=5, more="nonsense")
    crew.kdns.process.send_signal(signal.SIGUSR1)
    crew.kdns.wait_for("Unknown directive 'nonsense'")
    assert {crew.ask().answer[0].ttl for _ in range(20)} == {77}

    crew.write(ttl=78, workers=3)
    crew.reload()
    eventually(lambda: len(crew.workers()) == 3)
    eventually(lambda: {crew.ask().answer[0].ttl for _ in range(20)} == {78})

    crew.write(ttl=79, workers=1)
    crew.reload()
    eventually(lambda: not crew.workers())
    eventually(lambda: {crew.ask().answer[0].ttl for _ in range(20)} == {79})


def test_workers_answer_through_the_lameduck_time(own_crew: Crew) -> None:
    own_crew.write(lameduck="600s")
    own_crew.reload()
    own_crew.kdns.process.send_signal(signal.SIGTERM)
    own_crew.kdns.wait_for("lameduck mode")
    assert own_crew.addresses() == {"10.96.0.7"}
    assert not _ready(own_crew)

    pids = own_crew.workers()
    assert own_crew.kdns.stop(signal.SIGQUIT) == 0
    eventually(lambda: not _alive(pids))


def test_workers_end_when_the_parent_is_killed(own_crew: Crew) -> None:
    pids = own_crew.workers()
    own_crew.kdns.process.kill()
    own_crew.kdns.process.wait(PATIENCE)

    eventually(lambda: not _alive(pids))


def _alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def eventually(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
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
