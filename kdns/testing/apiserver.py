"""A Kubernetes API server in memory, on loopback, that misbehaves on order. Knows nothing of DNS.

It lists and watches the resources that kdns reads, as kube-apiserver 1.36 does where a watcher can
tell: pages, versions, WatchList, bookmarks, a history that runs out, selectors, tokens and rights.
"""

import json
import socket
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import Any, Self

from msgspec import Struct

from kdns.kube.objects import Kind
from kdns.testing.conversation import Asked, Conversation
from kdns.testing.faults import Fault
from kdns.testing.history import History, Json


class _Order(Struct):
    fault: Fault
    kind: Kind | None
    verb: str | None
    left: int | None


class _Server(ThreadingHTTPServer):
    """The listener; it remembers its connections, so that they can be cut."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, port: int, fake: "FakeApiServer") -> None:
        self.fake = fake
        self.connections: set[socket.socket] = set()
        super().__init__((fake.host, port), Conversation)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections.add(connection)
        return connection, address

    def close_request(self, request: Any) -> None:  # noqa: ANN401 - socketserver's own type
        self.connections.discard(request)
        super().close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Say nothing: a broken connection is what most tests are about."""


class FakeApiServer:
    """An API server that runs while its block does.

    ``with FakeApiServer() as server: server.apply({...}); serve(server.kubeconfig())``
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        keep: int = 1000,
        watch_list: bool = True,
        bookmarks: float = 60,
    ) -> None:
        """Remember ``keep`` events; without ``watch_list`` be as old as 1.26."""
        self.host = host
        self.history: History = History(keep)
        self.changed: Condition = Condition()
        self.requests: list[Asked] = []
        """Everything that was asked, in order."""
        self.watch_list = watch_list
        self.bookmarks = bookmarks
        """Seconds between two bookmarks."""
        self.expired_as_status = False
        """Whether a watch from too long ago gets status 410, instead of an ERROR event."""
        self.pages: dict[str, tuple[int, list[Json]]] = {}
        """What is left of lists, by continue token."""
        self.token: str = "first"  # noqa: S105 - it opens nothing but this
        self.running: bool = True
        self._orders: deque[_Order] = deque()
        self._forbidden: set[tuple[Kind, str]] = set()
        self._files = tempfile.TemporaryDirectory(prefix="kdns-testing-")
        self._server = _Server(0, self)
        self._port: int = self._server.server_address[1]
        self._serve()

    # -- objects ------------------------------------------------------------------------------

    def apply(self, item: Json) -> Json:
        """Create or replace an object and return it as it is stored."""
        with self.changed:
            stored = self.history.apply(item)
            self.changed.notify_all()
        return stored

    def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object; Namespaces are in the namespace ``""``."""
        with self.changed:
            self.history.delete(kind, namespace, name)
            self.changed.notify_all()

    def objects(self, kind: Kind) -> list[Json]:
        """Return all objects of a kind."""
        with self.changed:
            return [item for name, item in self.history.objects.items() if name[0] == kind]

    # -- misbehaviour -------------------------------------------------------------------------

    def fault(
        self,
        fault: Fault,
        kind: Kind | None = None,
        verb: str | None = None,
        times: int | None = 1,
    ) -> None:
        """Order a fault for the next requests of a kind and a verb (``list`` or ``watch``).

        ``times=None`` repeats it until ``heal``. The oldest order that fits is taken.
        """
        with self.changed:
            self._orders.append(_Order(fault, kind, verb, times))

    def heal(self) -> None:
        """Cancel all orders; whoever waits in silence is cut off."""
        with self.changed:
            self._orders.clear()
        self.cut()

    def forget(self) -> None:
        """Compact: every version that was handed out so far has expired, continue tokens too."""
        with self.changed:
            self.history.apply({"kind": "Event", "metadata": {"name": str(self.history.version)}})
            self.history.forget()
            self.pages.clear()

    def rewind(self, versions: int) -> None:
        """Be restored from a backup: what was handed out before is now from the future."""
        with self.changed:
            self.history.rewind(versions)
        self.cut()

    def cut(self) -> None:
        """Cut every connection, as a restart does."""
        for connection in tuple(self._server.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def forbid(self, kind: Kind, namespace: str = "") -> None:
        """Take away the right to list a kind in a namespace or, without one, in the cluster."""
        with self.changed:
            self._forbidden.add((kind, namespace))
        self.cut()

    def permit(self, kind: Kind, namespace: str = "") -> None:
        """Give the right back."""
        with self.changed:
            self._forbidden.discard((kind, namespace))

    def rotate_token(self) -> None:
        """Accept only a new token from now on, and put it where the kubeconfig says."""
        self.token += "+"
        self._token_file.write_text(self.token)
        self.cut()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Be down: connections are cut and refused until the block ends."""
        self._stop()
        try:
            yield
        finally:
            self.running = True
            self._server = _Server(self._port, self)
            self._serve()

    # -- what a client is given ---------------------------------------------------------------

    def kubeconfig(self) -> str:
        """Write a kubeconfig with the token in a file, and return its path."""
        self._token_file.write_text(self.token)
        named = {
            "clusters": {"cluster": {"server": f"http://{self.host}:{self._port}"}},
            "users": {"user": {"tokenFile": str(self._token_file)}},
            "contexts": {"context": {"cluster": "fake", "user": "fake"}},
        }
        config: Json = {"apiVersion": "v1", "kind": "Config", "current-context": "fake"}
        config |= {section: [{"name": "fake", **entry}] for section, entry in named.items()}
        path = Path(self._files.name, "kubeconfig")
        path.write_text(json.dumps(config))
        return str(path)

    @property
    def _token_file(self) -> Path:
        return Path(self._files.name, "token")

    # -- for the conversations ----------------------------------------------------------------

    def ordered(self, asked: Asked) -> Fault | None:
        """Note a request and return the fault that was ordered for it."""
        with self.changed:
            self.requests.append(asked)
            for order in self._orders:
                if order.kind in {None, asked.kind} and order.verb in {None, asked.verb}:
                    if order.left is not None:
                        order.left -= 1
                        if order.left == 0:
                            self._orders.remove(order)
                    return order.fault
        return None

    def forbidden(self, asked: Asked) -> bool:
        """Whether the right to this request was taken away."""
        return (asked.kind, asked.namespace) in self._forbidden

    # -- its life -----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Serve; it does so from the beginning."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving."""
        self._stop()
        self._files.cleanup()

    def _serve(self) -> None:
        serve = self._server.serve_forever
        self._thread = Thread(target=serve, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def _stop(self) -> None:
        with self.changed:
            self.running = False
            self.changed.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.cut()
