"""Connections to the API server: configuration, credentials, TLS, interruption. Knows no watching.

The ``kubernetes`` package finds and refreshes credentials and speaks TLS; its models, its watch
and its informer are not used. Where its answers leave the wire, the kind of trouble gets a name.
"""

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from kubernetes.client import ApiClient, ApiException, Configuration
from kubernetes.config import load_kube_config
from kubernetes.config.incluster_config import InClusterConfigLoader
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ReadTimeoutError
from urllib3.response import BaseHTTPResponse

from kdns.errors import UsageError
from kdns.kube.access import Access
from kdns.kube.exchange import Broken, Silent
from kdns.kube.measures import FAILED, Measures
from kdns.version import VERSION

CHUNK = 65536
RENEW = 60.0
"""Seconds after which credentials are read again before they are used."""


class CutShort(Exception):
    """A stream ended in the middle of a line."""


class Connection:
    """The connection of one reader, to be interrupted from any thread."""

    def __init__(self, access: Access, measures: Measures | None = None) -> None:
        """Read the configuration; ``UsageError`` says what is wrong with it."""
        self.measures = measures or Measures()
        self._access = access
        self._socket: socket.socket | None = None
        self._interrupted = False
        self._built = time.monotonic()
        self._client = self._build()

    def get(
        self, path: str, query: list[tuple[str, str]], *, compressed: bool = False
    ) -> BaseHTTPResponse:
        """Send a GET and return the reply, whatever its status, with its body unread."""
        if time.monotonic() - self._built >= RENEW:
            self.renew()
        headers = {"Accept": "application/json"}
        if compressed:
            headers["Accept-Encoding"] = "gzip"
        method, url, sent, *_ = self._client.param_serialize(
            "GET", path, query_params=query, header_params=headers, auth_settings=["BearerToken"]
        )
        # A token file may end in a newline, which no header may.
        sent = {name: str(value).strip() for name, value in sent.items()}
        timeout = (self._access.connect_timeout, self._access.read_timeout)
        try:
            reply = self._client.call_api(method, url, sent, _request_timeout=timeout)
        except Exception:
            self.measures.answered(self.host, FAILED)
            raise
        response: BaseHTTPResponse = reply.response
        self.measures.answered(self.host, str(response.status))
        return response

    @property
    def server(self) -> str:
        """Return the URL of the API server."""
        url: str = self._client.configuration.host
        return url

    @property
    def host(self) -> str:
        """Return host and port of the API server, as its URL has them, without credentials."""
        return urlsplit(self.server).netloc.rpartition("@")[2]

    def renew(self) -> None:
        """Read the credentials again, all of them: token files, exec plugins, certificates."""
        self._built = time.monotonic()
        with suppress(UsageError):  # a file that is just being replaced; the old ones stay
            self._client = self._build()

    def reachable(self) -> bool:
        """Whether the server accepts a connection; through a proxy nobody can tell."""
        configuration = self._client.configuration
        if configuration.proxy:
            return False
        parts = urlsplit(configuration.host)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with suppress(OSError), socket.create_connection((parts.hostname or "", port), 1.0):
            return True
        return False

    def interrupt(self) -> None:
        """End the current read, and any later one, at once."""
        self._interrupted = True
        if self._socket is not None:
            _shut(self._socket)

    def close(self) -> None:
        """Close what is idle."""
        self._client.close()

    def _build(self) -> ApiClient:
        client = ApiClient(configure(self._access))
        client.user_agent = f"kdns/{VERSION}"
        # urllib3 leaves this table to be replaced; it is the one way to learn of the socket
        # while a reply is still awaited.
        client.rest_client.pool_manager.pool_classes_by_scheme = {
            "http": _tracked(HTTPConnectionPool, self._connected),
            "https": _tracked(HTTPSConnectionPool, self._connected),
        }
        return client

    def _connected(self, connected: socket.socket) -> None:
        self._socket = connected
        if self._interrupted:
            _shut(connected)


def configure(access: Access) -> Configuration:
    """Return the client configuration, or say in a ``UsageError`` why there is none."""
    configuration = Configuration()
    try:
        if access.kubeconfig:
            load_kube_config(
                access.kubeconfig, access.context or None, configuration, persist_config=False
            )
        elif access.endpoint:
            _point_at(configuration, access)
        else:
            account = Path(access.service_account)
            token, authority = str(account / "token"), str(account / "ca.crt")
            InClusterConfigLoader(token, authority).load_and_set(configuration)
        ApiClient(configuration)
    # The package checks little: a port where a name should be is an AttributeError, a socks proxy
    # an ImportError.
    except Exception as problem:
        raise UsageError(f"{access.place}: {problem}") from problem
    if urlsplit(configuration.host).scheme not in {"http", "https"}:
        text = f"found server {configuration.host!r}, expected an http(s) URL"
        raise UsageError(f"{access.place}: {text}")
    # Otherwise urllib3 tries three times more, and sleeps through Retry-After uninterruptibly.
    configuration.retries = False
    configuration.socket_options = list(_socket_options())
    return configuration


def _point_at(configuration: Configuration, access: Access) -> None:
    """Use a URL and certificates, as ``endpoint`` and ``tls`` of a Corefile give them."""
    configuration.host = access.endpoint.rstrip("/")
    for path in filter(None, access.tls):
        Path(path).read_bytes()  # the package would only say that something is wrong
    certificate, key, authority = access.tls
    configuration.cert_file = certificate or None
    configuration.key_file = key or None
    configuration.ssl_ca_cert = authority or None


def lines(chunks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Cut a stream into lines, as many at a time as a chunk completes."""
    begun: list[bytes] = []
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        if whole:
            whole[0], begun = b"".join((*begun, whole[0])), []
            yield [line for line in whole if line and not line.isspace()]
        if rest:
            begun.append(rest)
    if left := b"".join(begun).strip():
        raise CutShort(f"the stream ended in the middle of a line of {len(left)} bytes")


def trouble(error: Exception) -> Broken | Silent:
    """Name the trouble that a transport error is."""
    if isinstance(error, ReadTimeoutError | TimeoutError):
        return Silent()
    unreachable = isinstance(error, NewConnectionError | ConnectTimeoutError)
    reason = error.reason if isinstance(error, ApiException) else error
    return Broken(f"{type(error).__name__}: {reason}", unreachable)


def _tracked(
    pool: type[HTTPConnectionPool], connected: Callable[[socket.socket], None]
) -> type[HTTPConnectionPool]:
    class TrackedConnection(pool.ConnectionCls):  # type: ignore[name-defined,misc]
        def connect(self: HTTPConnection) -> None:
            super().connect()  # type: ignore[misc]
            connected(self.sock)

    class TrackedPool(pool):  # type: ignore[valid-type,misc]
        ConnectionCls = TrackedConnection

    return TrackedPool


def _shut(connected: socket.socket) -> None:
    # Not SSLSocket's own shutdown, which would pull the session from under the reading thread.
    with suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def _socket_options() -> Iterator[tuple[int, int, int]]:
    """Yield what makes the kernel notice within half a minute that the other side is gone."""
    yield socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
    yield socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1
    options = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 25_000}
    for name, value in options.items():
        if hasattr(socket, name):  # not every system has them all
            yield socket.IPPROTO_TCP, getattr(socket, name), value
