"""A small client of the API server: JSON over one kept connection.

Knows HTTP and the API's errors. Does not know objects, nor the program that serves them. It is
not kdns's own client on purpose: the tests must not believe what they test.
"""

import json
import ssl
import time
from collections.abc import Callable, Generator
from http.client import HTTPResponse, HTTPSConnection
from pathlib import Path
from threading import Event, Lock
from typing import Any, Self, TypeAlias, TypeVar

from tests.controlplane.places import HERE, Place
from tests.patience import SLOWER

Json: TypeAlias = dict[str, Any]
T = TypeVar("T")

TIMEOUT = 30.0
POLL = 0.05
MERGE = "application/merge-patch+json"


class Refused(Exception):
    """The API server answered with an error: its status code, and its message as the text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Client:
    """One user of the API server; a context manager that closes its connection."""

    def __init__(self, port: int, token: str, authority: Path, place: Place = HERE) -> None:
        self._port = port
        self._token = token
        self._place = place
        self._trust = ssl.create_default_context(cafile=authority)
        self._kept: HTTPSConnection | None = None
        self._lock = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the kept connection; the next request opens another."""
        kept, self._kept = self._kept, None
        if kept:
            kept.close()

    def request(
        self, method: str, path: str, body: Json | None = None, kind: str = "application/json"
    ) -> Json:
        """Return the decoded answer; raise ``Refused`` for an error, OSError without a server."""
        with self._lock:
            status, text = self._exchange(method, path, body, kind)
        return decode(status, text)

    def _exchange(self, method: str, path: str, body: Json | None, kind: str) -> tuple[int, bytes]:
        """Ask once, and once more when the kept connection turns out to be closed."""
        reused = self._kept is not None
        try:
            response = self._send(self._connection(), method, path, body, kind)
            return response.status, response.read()
        except Exception as error:
            self.close()
            if not (reused and isinstance(error, ConnectionError | ssl.SSLError)):
                raise
        return self._exchange(method, path, body, kind)

    def _connection(self) -> HTTPSConnection:
        self._kept = self._kept or self._connect(TIMEOUT)
        return self._kept

    def _connect(self, seconds: float) -> HTTPSConnection:
        connection = HTTPSConnection("127.0.0.1", self._port, timeout=seconds, context=self._trust)
        with self._place.entered():
            connection.connect()
        return connection

    def _send(
        self, connection: HTTPSConnection, method: str, path: str, body: Json | None, kind: str
    ) -> HTTPResponse:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, headers)
        return connection.getresponse()

    def watch(self, path: str, *, seconds: float = TIMEOUT) -> Generator[Json, None, None]:
        """Yield the events of a watch, on a connection of its own, until the server ends it."""
        connection = self._connect(seconds)
        try:
            response = self._send(connection, "GET", path, None, "application/json")
            if response.status != 200:
                decode(response.status, response.read())
            while line := response.readline():
                yield json.loads(line)
        finally:
            connection.close()


def decode(status: int, text: bytes) -> Json:
    """Return the object, or raise what the Status object says."""
    answer: Json
    try:
        answer = json.loads(text)
    except ValueError:
        # /readyz and the likes answer in words.
        answer = {"message": text.decode(errors="replace")}
    if status >= 400:
        raise Refused(status, str(answer.get("message")))
    return answer


def eventually(check: Callable[[], T], *, seconds: float = TIMEOUT) -> T:
    """Call until the result is true and return it; the last result stands in the error."""
    pause, end = Event(), time.monotonic() + seconds * SLOWER
    while not (result := check()):
        if time.monotonic() > end:
            raise TimeoutError(f"still {result!r} after {seconds:g} s")
        pause.wait(POLL)
    return result
