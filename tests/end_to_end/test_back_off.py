"""However long a server refuses, it is not asked more often than the back-off allows."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

import pytest
from urllib3.response import BaseHTTPResponse

from kdns.kube.access import Access
from kdns.kube.connect import Connection
from kdns.kube.reflector import Batch, Clock, Reflector
from kdns.kube.resources import RESOURCES, Target
from kdns.kube.watch import Pace
from kdns.testing.apiserver import FakeApiServer
from kdns.testing.faults import Answer, Cut, Error, Fault, Reset
from tests.end_to_end.cluster import service
from tests.patience import PATIENCE

MINUTES = 10
ROUNDS = 8 + MINUTES * 60 // 30
"""0, 0.8, 1.6 ... 25.6, and then one in 30 s: the most that jitter leaves."""


class FastClock(Clock):
    """Ten minutes in no time: waiting moves the hands, and ends when they are over."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.over = Event()

    def now(self) -> float:
        return self.passed

    def today(self) -> float:
        return self.passed

    def wait(self, stop: Event, seconds: float) -> None:
        self.passed += seconds
        if self.passed > MINUTES * 60:
            self.over.set()
            stop.wait()


class Counting(Connection):
    """A connection that counts what is asked of it, and how often it looks whether to ask."""

    asked = 0
    glances = 0

    def get(
        self, path: str, query: list[tuple[str, str]], *, compressed: bool = False
    ) -> BaseHTTPResponse:
        self.asked += 1
        return super().get(path, query, compressed=compressed)

    def reachable(self) -> bool:
        self.glances += 1
        return super().reachable()


@contextmanager
def ten_minutes(server: FakeApiServer) -> Iterator[Counting]:
    """Run a reflector for ten minutes of a clock that does not wait."""
    clock, connection, batches = FastClock(), Counting(Access(server.kubeconfig())), list[Batch]()
    target = Target(RESOURCES["Service"])
    reflector = Reflector(target, connection, batches.append, Pace(), clock)
    reflector.start()
    try:
        assert clock.over.wait(PATIENCE)
        yield connection
    finally:
        reflector.stop()
        reflector.join(PATIENCE)


REFUSALS: dict[str, tuple[Fault, int]] = {
    "401": (Answer(401, "Unauthorized"), 1),
    "403": (Answer(403, "Forbidden"), 1),
    "404": (Answer(404, "NotFound"), 1),
    "410": (Answer(410, "Expired"), 1),
    "429": (Answer(429, "TooManyRequests"), 1),
    "429 with advice": (Answer(429, "TooManyRequests", retry_after=1), 1),
    "503": (Answer(503, "ServiceUnavailable"), 1),
    "reset": (Reset(), 1),
    # These are asked twice in a round: as a stream, and as a list.
    "422": (Answer(422, "Invalid"), 2),
    "500": (Answer(500, "InternalError"), 2),
}


@pytest.mark.parametrize(("fault", "requests"), REFUSALS.values(), ids=REFUSALS)
def test_a_server_that_refuses_is_left_alone(fault: Fault, requests: int) -> None:
    with FakeApiServer() as server:
        server.fault(fault, times=None)
        with ten_minutes(server):
            pass

    assert 10 <= len(server.requests) <= requests * ROUNDS


WATCHES: dict[str, tuple[Fault, int]] = {
    "ends at once": (Cut(), 3),
    "410 event": (Error(410, "Expired"), 3),
    "500 event": (Error(500, "InternalError"), 3),
    "429 event": (Error(429, "TooManyRequests"), 3),
    "410": (Answer(410, "Expired"), 3),
    "500": (Answer(500, "InternalError"), 3),
}


@pytest.mark.parametrize(("fault", "requests"), WATCHES.values(), ids=WATCHES)
def test_a_server_that_lists_but_cannot_watch_is_left_alone(fault: Fault, requests: int) -> None:
    with FakeApiServer(bookmarks=0.01) as server:
        server.apply(service("prod", "web"))
        server.fault(fault, verb="watch", times=None)
        with ten_minutes(server):
            pass

    assert 10 <= len(server.requests) <= requests * ROUNDS


def test_a_server_that_is_down_is_looked_at_and_not_asked() -> None:
    with FakeApiServer() as server, server.outage(), ten_minutes(server) as connection:
        assert 10 <= connection.asked <= ROUNDS
        # Between 0.5 s and 1.5 s apart.
        assert connection.glances <= 2 * 60 * MINUTES + ROUNDS
