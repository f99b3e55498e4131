"""What operators look at, over HTTP: ``/ready``, ``/health`` and ``/metrics``.

Runs on a thread of its own, so that a slow scrape never holds up an answer, and only reads values
that are replaced as a whole. Knows no DNS.
"""

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from threading import Thread
from typing import TypeAlias
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import make_wsgi_app
from prometheus_client.registry import Collector

from kdns.errors import UsageError
from kdns.kube.status import Status, describe
from kdns.server.listeners import show

Statuses: TypeAlias = Callable[[], tuple[Status, ...]]
"""How each collection is doing; empty where there is nothing to follow."""

_STATES = ("syncing", "live", "stale", "assumed")
_OK, _NOT_READY, _NOT_FOUND = "200 OK", "503 Service Unavailable", "404 Not Found"


@contextmanager
def administered(host: str, port: int, statuses: Statuses) -> Iterator[int]:
    """Serve while the block runs; yields the port. Raises UsageError where it cannot listen."""
    family = _Server6 if ":" in host else _Server
    try:
        server = make_server(host, port, _application(statuses), family, _Quiet)
    except OSError as error:
        raise UsageError(f"cannot listen on {show((host, port))}: {error.strerror}") from error
    thread = Thread(target=server.serve_forever, name="kdns-admin", daemon=True)
    thread.start()
    try:
        yield int(server.server_port)
    finally:
        # Not on the event loop, which has answers to give; a daemon holds up nobody.
        server.server_close()
        Thread(target=server.shutdown, daemon=True).start()


def readiness(statuses: Iterable[Status], now: float) -> tuple[bool, str]:
    """Tell whether everything was listed once, and how each collection is doing.

    Stale data are served, so they do not end readiness; the report says so.
    """
    known = list(statuses)
    ready = all(status.known for status in known)
    lines = ["OK" if ready else "not ready", *(describe(status, now) for status in known)]
    return ready, "\n".join(lines) + "\n"


class InformerCollector(Collector):
    """The statuses as metrics, read at every scrape."""

    def __init__(self, statuses: Statuses, now: Callable[[], float] = time.time) -> None:
        self._statuses = statuses
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Yield one family after the other."""
        statuses = self._statuses()
        yield self._state(statuses)
        yield self._age(statuses)
        labels = ["resource", "namespace"]
        objects = GaugeMetricFamily(
            "kdns_kubernetes_objects", "Objects that the API server has.", labels=labels
        )
        counters = {
            field: CounterMetricFamily(f"kdns_kubernetes_{field}", text, labels=labels)
            for field, text in _COUNTERS.items()
        }
        for status in statuses:
            where = [status.resource, status.namespace]
            objects.add_metric(where, status.objects)
            for field, counter in counters.items():
                counter.add_metric(where, getattr(status, field))
        yield objects
        yield from counters.values()

    def _state(self, statuses: tuple[Status, ...]) -> Metric:
        family = GaugeMetricFamily(
            "kdns_kubernetes_state",
            "1 for the state that a resource is in.",
            labels=["resource", "namespace", "state"],
        )
        for status in statuses:
            for state in _STATES:
                where = [status.resource, status.namespace, state]
                family.add_metric(where, float(status.state == state))
        return family

    def _age(self, statuses: tuple[Status, ...]) -> Metric:
        family = GaugeMetricFamily(
            "kdns_kubernetes_data_age_seconds",
            "Time since the last event, bookmark or list of a resource.",
            labels=["resource", "namespace"],
        )
        now = self._now()
        for status in statuses:
            if status.heard:
                age = max(0.0, now - status.heard)
                family.add_metric([status.resource, status.namespace], age)
        return family


_COUNTERS = {
    "undecodable": "Objects that could not be decoded.",
    "relists": "Complete lists after the first one.",
    "restarts": "Watches that had to be resumed.",
}


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each client: one that says nothing must not hold up the probes."""

    daemon_threads = True
    block_on_close = False


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Quiet(WSGIRequestHandler):
    """Probes come every few seconds: they are not worth a line each."""

    timeout = 5.0
    """Seconds that a client may take to ask."""

    def log_message(self, *_: object) -> None:
        pass


_Application: TypeAlias = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]


def _application(statuses: Statuses) -> _Application:
    metrics = make_wsgi_app(_registry(statuses))

    def application(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        match environment["PATH_INFO"]:
            case "/metrics":
                return metrics(environment, start)  # type: ignore[no-any-return]
            case "/ready":
                ready, text = readiness(statuses(), time.time())
                return _text(start, _OK if ready else _NOT_READY, text)
            case "/health":
                return _text(start, _OK, "OK")
            case _:
                return _text(start, _NOT_FOUND, "expected /ready, /health or /metrics\n")

    return application


def _registry(statuses: Statuses) -> CollectorRegistry:
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    registry.register(InformerCollector(statuses))
    return registry


def _text(start: StartResponse, status: str, text: str) -> list[bytes]:
    body = text.encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start(status, headers)
    return [body]
