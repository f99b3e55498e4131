"""Pages over HTTP for probes, Prometheus and people.

Served on threads, so that a slow scrape never holds up an answer; a page is asked on the thread
and reads only what is replaced as a whole, or asks the event loop itself. Knows no DNS.
"""

import socket
from collections.abc import Callable, Iterable, Mapping
from socketserver import ThreadingMixIn
from threading import Thread
from typing import TypeAlias
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIEnvironment

from msgspec import Struct

from kdns.errors import UsageError

PLAIN = "text/plain; charset=utf-8"
TIMEOUT = 5.0
"""Seconds that a client may take to ask."""


class Reply(Struct, frozen=True):
    """What a page says."""

    body: bytes
    status: str = "200 OK"
    kind: str = PLAIN


class Visit(Struct, frozen=True):
    """What a page is asked with."""

    query: str = ""
    """Whatever follows the question mark."""
    accept: str = ""


Page: TypeAlias = Callable[[Visit], Reply]


class HttpListener:
    """One bound address and the pages that are there now; ``pages`` may be replaced at any time."""

    def __init__(
        self, host: str, port: int, pages: Mapping[str, Page], *, shared: bool = False
    ) -> None:
        """Bind; host "" is every address. Raises UsageError where that is impossible.

        ``shared`` lets others bind the same port, if they do so too.
        """
        self.pages: Mapping[str, Page] = dict(pages)
        try:
            self._server = _bind(host, port, shared=shared)
        except OSError as error:
            where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            raise UsageError(f"cannot listen on {where}: {error.strerror}") from error
        self._server.set_app(self._answer)
        self.address = (host, int(self._server.server_port))
        self._thread = Thread(target=self._server.serve_forever, name="kdns-http", daemon=True)
        self._thread.start()

    def share(self, *, on: bool = True) -> None:
        """Let others bind the same port from now on, or nobody any more."""
        self._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, on)

    def close(self) -> None:
        """Stop listening, without waiting for visitors."""
        # Not on the event loop, which has answers to give; a daemon holds up nobody.
        self._server.server_close()
        Thread(target=self._server.shutdown, daemon=True).start()

    def _answer(self, environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        page = self.pages.get(environment["PATH_INFO"])
        if page is None:
            expected = ", ".join(sorted(self.pages))
            reply = Reply(f"expected one of {expected}\n".encode(), "404 Not Found")
        else:
            visit = Visit(environment["QUERY_STRING"], environment.get("HTTP_ACCEPT", ""))
            reply = page(visit)
        start(
            reply.status,
            [("Content-Type", reply.kind), ("Content-Length", str(len(reply.body)))],
        )
        return [reply.body]


class _Quiet(WSGIRequestHandler):
    """Probes come every few seconds: they are not worth a line each."""

    timeout = TIMEOUT

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each client: one that says nothing must not hold up the probes."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, *, shared: bool) -> None:
        self.allow_reuse_port = shared
        super().__init__((host, port), _Quiet)


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Everywhere(_Server6):
    """IPv6 and IPv4 on one socket."""

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def _bind(host: str, port: int, *, shared: bool) -> _Server:
    if host:
        return (_Server6 if ":" in host else _Server)(host, port, shared=shared)
    try:
        return _Everywhere("::", port, shared=shared)
    except OSError:
        return _Server("0.0.0.0", port, shared=shared)
