"""A client of the API server whose requests can be sent now and read later.

Knows HTTP. Does not know objects. One thread that polls DNS meanwhile needs no second one for the
request, which would make both late.
"""

import json
import socket
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException, HTTPSConnection
from queue import SimpleQueue
from typing import Any, TypeAlias

from tests.controlplane.plane import ADMIN, ControlPlane

Json: TypeAlias = dict[str, Any]
Body: TypeAlias = Mapping[str, Any] | Sequence[Json] | None

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
TIMEOUT = 60.0


class Api:
    """The administrator's connection to the API server, kept open."""

    def __init__(self, plane: ControlPlane) -> None:
        trust = ssl.create_default_context(cafile=plane.keys.authority)
        self._connection = HTTPSConnection("127.0.0.1", plane.port, timeout=TIMEOUT, context=trust)
        self._token = plane.tokens[ADMIN]

    def send(self, method: str, path: str, body: Body = None, kind: str = JSON) -> None:
        """Send a request and return at once."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
        text = None if body is None else json.dumps(body)
        self._connection.request(method, path, text, headers)

    def fileno(self) -> int:
        """Let ``select`` tell when the answer is there."""
        return int(self._connection.sock.fileno())

    def receive(self) -> Json:
        """Return the answer to what was sent."""
        response = self._connection.getresponse()
        answer: Json = json.loads(response.read())
        if response.status >= 400:
            raise HTTPException(f"{response.status}: {answer.get('message')}")
        return answer

    def request(self, method: str, path: str, body: Body = None, kind: str = JSON) -> Json:
        """Send a request and return its answer."""
        self.send(method, path, body, kind)
        return self.receive()

    def reconnect(self) -> None:
        """Open a new connection; after a restart of the API server the old one is dead."""
        self._connection.close()
        self._connection.connect()


class Watch:
    """A bare watcher: it only knows that something arrived, and so is never late."""

    def __init__(self, plane: ControlPlane, path: str) -> None:
        trust = ssl.create_default_context(cafile=plane.keys.authority)
        plain = socket.create_connection(("127.0.0.1", plane.port), TIMEOUT)
        self._socket = trust.wrap_socket(plain, server_hostname="127.0.0.1")
        newest = plane.request("GET", f"{path}?limit=1")["metadata"]["resourceVersion"]
        request = (
            f"GET {path}?watch=true&resourceVersion={newest} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {plane.tokens[ADMIN]}\r\n\r\n"
        )
        self._socket.sendall(request.encode())
        self._socket.recv(1)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Let ``select`` tell when something arrived."""
        return self._socket.fileno()

    def drain(self) -> None:
        """Drop what arrived."""
        with suppress(ssl.SSLWantReadError):
            while self._socket.recv(65_536):
                pass

    def close(self) -> None:
        """End the watch."""
        self._socket.close()


class Pool:
    """Several connections, for as many requests at a time."""

    def __init__(self, plane: ControlPlane, size: int) -> None:
        self._idle: SimpleQueue[Api] = SimpleQueue()
        for _ in range(size):
            self._idle.put(Api(plane))
        self.executor = ThreadPoolExecutor(size)

    def post_all(self, requests: Sequence[tuple[str, Json]]) -> None:
        """Make all the objects, and return once they are made."""
        list(self.executor.map(lambda one: self.request("POST", *one), requests, chunksize=50))

    def request(self, method: str, path: str, body: Body = None, kind: str = JSON) -> Json:
        """Send a request over whichever connection is idle."""
        api = self._idle.get()
        try:
            return api.request(method, path, body, kind)
        except OSError:
            api.reconnect()
            raise
        finally:
            self._idle.put(api)
