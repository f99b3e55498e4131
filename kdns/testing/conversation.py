"""One connection to the fake API server: HTTP in, lists and watches out. Knows no threads' start.

The rules about versions, pages and initial events are those that kube-apiserver 1.36 showed.
"""

import gzip
import json
import re
import socket
import struct
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from kdns.kube.decode import INITIAL_EVENTS_END
from kdns.kube.objects import Kind
from kdns.kube.resources import RESOURCES
from kdns.testing.faults import (
    Answer,
    Cut,
    Drip,
    Error,
    Fault,
    Garbage,
    NullItems,
    Repeat,
    Reset,
    Silence,
)
from kdns.testing.history import Expired, Json, TooNew, Where

if TYPE_CHECKING:
    from kdns.testing.apiserver import FakeApiServer

GZIP_FROM = 128 * 1024
"""kube-apiserver compresses only bodies that are bigger."""


class Asked(Struct, frozen=True):
    """A request as it came."""

    kind: Kind
    namespace: str
    query: dict[str, str]
    headers: dict[str, str]

    @property
    def verb(self) -> str:
        """Return ``watch`` or ``list``."""
        return "watch" if self.query.get("watch") == "true" else "list"

    @property
    def where(self) -> Where:
        """Return what is selected."""
        query = self.query
        labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
        return Where(self.namespace, labels, fields)


class _Over(Exception):
    """The stream is to end here."""


class Conversation(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    # Headers and body in one segment; else Nagle and delayed ACKs cost 40 ms a reply.
    wbufsize = -1
    disable_nagle_algorithm = True

    @property
    def fake(self) -> "FakeApiServer":
        """Return the API server that this connection is with."""
        found: FakeApiServer = self.server.fake  # type: ignore[attr-defined]
        return found

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - inherited
        """Log nothing: the requests are kept."""

    def do_GET(self) -> None:
        """Answer, or do what was ordered instead."""
        asked = _read(self.path, dict(self.headers.items()))
        if asked is None:
            self._refuse(Answer(404, "NotFound", "the server could not find the resource"))
            return
        match self.fake.ordered(asked):
            case Answer() as answer:
                self._refuse(answer)
            case Reset():
                self._reset()
            case Silence(opened=False):
                self._hold()
            case fault:
                self._admit(asked, fault)

    def _admit(self, asked: Asked, fault: Fault | None) -> None:
        if asked.headers.get("authorization", "").removeprefix("Bearer ") != self.fake.token:
            self._refuse(Answer(401, "Unauthorized", "Unauthorized"))
        elif self.fake.forbidden(asked):
            resource = RESOURCES[asked.kind].name
            self._refuse(Answer(403, "Forbidden", f"{resource} is forbidden: cannot {asked.verb}"))
        elif asked.verb == "watch":
            self._watch(asked, fault)
        else:
            self._list(asked, fault)

    # -- lists --------------------------------------------------------------------------------

    def _list(self, asked: Asked, fault: Fault | None) -> None:
        query = asked.query
        if "sendInitialEvents" in query:
            self._refuse(Answer(422, "Invalid", "sendInitialEvents is forbidden for list"))
        elif "continue" in query and query.get("resourceVersion", "0") != "0":
            self._refuse(Answer(400, "BadRequest", "resourceVersion is not allowed with continue"))
        else:
            self._page(asked, fault)

    def _page(self, asked: Asked, fault: Fault | None) -> None:
        try:
            with self.fake.changed:
                version, items = self._selected(asked)
                limit = _limit(asked.query)
                rest = items[limit:] if limit else []
                token = f"{version}.{len(self.fake.pages)}" if rest else ""
                if rest:
                    self.fake.pages[token] = (version, rest)
        except Expired as problem:
            self._refuse(Answer(410, "Expired", str(problem)))
        except TooNew as problem:
            self._refuse(Answer(504, "Timeout", str(problem)))
        else:
            meta = {"resourceVersion": str(version), "continue": token}
            found = None if isinstance(fault, NullItems) else items[: limit or None]
            self._send(200, json.dumps({"metadata": meta, "items": found}).encode())

    def _selected(self, asked: Asked) -> tuple[int, list[Json]]:
        history, query = self.fake.history, asked.query
        if "continue" in query:
            page = self.fake.pages.pop(query["continue"], None)
            if page is None:
                raise Expired("The provided continue parameter is too old")
            return page
        version = int(query.get("resourceVersion", "0"))
        # With a limit and without a match a version is meant exactly, otherwise "at least".
        if version > history.version:
            raise TooNew(f"Too large resource version: {version}")
        exact = version if version and "limit" in query else None
        found = history.all(asked.kind, asked.where, exact)
        return exact or history.version, found

    # -- watches ------------------------------------------------------------------------------

    def _watch(self, asked: Asked, fault: Fault | None) -> None:
        refusal = self._refusal_of_watch(asked)
        if refusal is not None:
            self._refuse(refusal)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        stream = _Stream(self, fault)
        try:
            if isinstance(fault, Silence):
                self._hold()
            for line in self._events(asked):
                stream.send(line)
        except _Over:
            pass
        stream.end()

    def _refusal_of_watch(self, asked: Asked) -> Answer | None:
        query, history = asked.query, self.fake.history
        initial, match = "sendInitialEvents" in query, "resourceVersionMatch" in query
        if initial != match or (initial and not self.fake.watch_list):
            return Answer(422, "Invalid", "sendInitialEvents: Forbidden")
        version = int(query.get("resourceVersion", "0"))
        if initial and version > history.version:
            return Answer(504, "Timeout", f"Too large resource version: {version}", 1)
        if version and not initial and self.fake.expired_as_status:
            try:
                history.since(version)
            except Expired as problem:
                return Answer(410, "Expired", str(problem))
        return None

    def _events(self, asked: Asked) -> Iterator[bytes]:
        """Yield lines until the watch has lasted as long as it was asked to."""
        query, fake = asked.query, self.fake
        version = int(query.get("resourceVersion", "0"))
        marks = query.get("allowWatchBookmarks") == "true"
        if "sendInitialEvents" in query or not version:
            with fake.changed:
                items = fake.history.all(asked.kind, asked.where)
                version = fake.history.version
            yield from (_line("ADDED", item) for item in items)
            if "sendInitialEvents" in query:
                yield _bookmark(asked.kind, version, {INITIAL_EVENTS_END: "true"})
        end = monotonic() + float(query.get("timeoutSeconds", "1800"))
        while fake.running and (now := monotonic()) < end:
            lines, after = self._news(asked, version, min(end - now, fake.bookmarks))
            yield from lines
            if marks and not lines and after >= version:
                yield _bookmark(asked.kind, after)
            version = max(version, after)

    def _news(self, asked: Asked, version: int, patience: float) -> tuple[list[bytes], int]:
        """Wait for events; return them as lines, with the version that they lead to."""
        fake = self.fake
        with fake.changed:
            fake.changed.wait_for(
                lambda: not fake.running or fake.history.version > version, patience
            )
            try:
                events = list(fake.history.since(version))
            except Expired as problem:
                return [_error(410, "Expired", str(problem))], -1
            seen = [event.seen_by(asked.where) for event in events if event.name[0] == asked.kind]
            return [_line(*event) for event in seen if event is not None], fake.history.version

    # -- bytes --------------------------------------------------------------------------------

    def _refuse(self, answer: Answer) -> None:
        details = {"retryAfterSeconds": answer.retry_after} if answer.retry_after else {}
        status = _status(answer.code, answer.reason, answer.text) | {"details": details}
        body = json.dumps(status).encode() if answer.reason else answer.text.encode()
        more = {} if answer.retry_after is None else {"Retry-After": str(answer.retry_after)}
        self._send(answer.code, body, more)

    def _send(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        sent = {"Content-Type": "application/json", **(headers or {})}
        if len(body) > GZIP_FROM and "gzip" in self.headers.get("Accept-Encoding", ""):
            body, sent["Content-Encoding"] = gzip.compress(body, 1), "gzip"
        self.send_response(code)
        for name, value in {**sent, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        # An l_linger of 0 turns close into a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.connection.close()

    def _hold(self) -> None:
        """Say nothing until the other side, or a test, has had enough."""
        self.connection.recv(1)
        self.close_connection = True
        raise _Over


class _Stream:
    """The body of a watch, with what was ordered done to it."""

    def __init__(self, conversation: Conversation, fault: Fault | None) -> None:
        self._conversation = conversation
        self._fault = fault
        self._sent = 0

    def send(self, line: bytes) -> None:
        """Send one event, or end the stream as ordered."""
        match self._fault:
            case Cut(after, early) if self._sent == after:
                if early:
                    self._write(line[: len(line) // 2])
                raise _Over
            case Error(code, reason, after) if self._sent == after:
                self._write(_error(code, reason, "on order"))
                raise _Over
        for piece in self._pieces(line):
            self._write(piece)
        self._sent += 1
        if line.startswith(b'{"type": "ERROR"'):
            raise _Over

    def _pieces(self, line: bytes) -> list[bytes]:
        match self._fault:
            case Drip(size):
                return [line[begin : begin + size] for begin in range(0, len(line), size)]
            case Repeat():
                return [line, line]
            case Garbage(junk) if not self._sent:
                return [junk + b"\n", line]
            case _:
                return [line]

    def end(self) -> None:
        self._conversation.wfile.write(b"0\r\n\r\n")

    def _write(self, data: bytes) -> None:
        self._conversation.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self._conversation.wfile.flush()


def _read(path: str, headers: dict[str, str]) -> Asked | None:
    parts = urlsplit(path)
    where = re.fullmatch(r"(/.*?/v\w+)(?:/namespaces/([^/]+))?(/\w+)", parts.path)
    query = dict(parse_qsl(parts.query))
    if where is None:
        return None
    for kind, resource in RESOURCES.items():
        if resource.path() == where[1] + where[3]:
            lower = {name.lower(): value for name, value in headers.items()}
            return Asked(kind, where[2] or "", query, lower)
    return None


def _limit(query: dict[str, str]) -> int:
    # resourceVersion=0 is answered from the cache, which ignores the limit.
    return 0 if query.get("resourceVersion") == "0" else int(query.get("limit", "0"))


def _line(event: str, item: Json) -> bytes:
    return json.dumps({"type": event, "object": item}).encode() + b"\n"


def _bookmark(kind: Kind, version: int, annotations: dict[str, str] | None = None) -> bytes:
    meta: Json = {"resourceVersion": str(version)}
    if annotations:
        meta["annotations"] = annotations
    return _line("BOOKMARK", {"kind": kind, "metadata": meta})


def _error(code: int, reason: str, text: str) -> bytes:
    return _line("ERROR", _status(code, reason, text))


def _status(code: int, reason: str, text: str) -> Json:
    return {
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": text,
    }
