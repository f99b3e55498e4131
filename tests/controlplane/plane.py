"""A real control plane on loopback: etcd, kube-apiserver and kube-controller-manager.

Knows their command lines, users and tokens. Does not know what the tests put into it.
"""

import base64
import json
import secrets
import shutil
import socket
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from tests.controlplane.build import programs
from tests.controlplane.client import Client, Json, Refused
from tests.controlplane.keys import Keys
from tests.controlplane.places import HERE, Place
from tests.controlplane.process import Guard, Server

ADMIN = "admin"
USERS = ("kdns", "stranger")
ISSUER = "https://kubernetes.default.svc"
SERVICE_RANGES = "10.96.0.0/16,fd00:10:96::/112"
CONTROLLERS = (
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
    "namespace-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
)
START_WITHIN = 90.0

# Below the kernel's range for outgoing connections: a port from inside it may be taken as
# somebody's source port between a kill and the restart that needs it again.
PORTS = range(20_000, 32_000)

SHORTEST_TOKEN = 600  # seconds, that the API server gives out
LEEWAY = 60  # seconds, that the API server accepts a token after its end
EVERY_KEY = "AA=="


class ControlPlane:
    """A control plane for the length of a ``with`` block.

    ``users`` have a token and no rights; ``api_flags`` are added to the API server's command
    line; ``folder`` keeps the logs after the end; ``controllers`` are those of the controller
    manager, without which EndpointSlices made by hand stay; ``place`` is whose loopback it is on.
    """

    def __init__(
        self,
        *,
        folder: Path | None = None,
        users: Sequence[str] = USERS,
        api_flags: Sequence[str] = (),
        controllers: Sequence[str] = CONTROLLERS,
        place: Place = HERE,
    ) -> None:
        self._programs = programs()
        self._given_folder = folder
        self.api_flags = tuple(api_flags)
        self.tokens = {user: secrets.token_hex(16) for user in (ADMIN, *users)}
        manager = self._programs / "kube-controller-manager"
        self._controllers = controllers
        self.has_controllers = bool(controllers) and manager.exists()
        self._place = place

    def __enter__(self) -> Self:
        self._prepare()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _prepare(self) -> None:
        self.folder = self._given_folder or Path(tempfile.mkdtemp(prefix="kdns-plane-"))
        self.keys = Keys(self.folder / "keys")
        self.port, self._etcd_port, self._peer_port = free_ports(3)
        rows = (f'{token},{user},{user},"{groups(user)}"' for user, token in self.tokens.items())
        (self.folder / "tokens.csv").write_text("\n".join(rows) + "\n")
        self.api = self.client()
        self._guard = Guard()
        self._etcd, self._api_server, self._controller_manager = (
            Server(self._guard, self.folder / f"{name}.log")
            for name in ("etcd", "kube-apiserver", "kube-controller-manager")
        )

    def _start(self) -> None:
        self._etcd.start(self._etcd_command()).wait(self._etcd_ready, seconds=START_WITHIN)
        self.start_api_server()

    def stop(self) -> None:
        """Kill what runs and remove its data."""
        self.api.close()
        for server in (self._controller_manager, self._api_server, self._etcd):
            server.kill()
        self._guard.close()
        # The logs are worth keeping where somebody looks; etcd's files are 64 MB and more.
        data = self.folder / "etcd" if self._given_folder else self.folder
        shutil.rmtree(data, ignore_errors=True)

    # What the tests ask for

    def client(self, user: str = ADMIN, *, token: str = "") -> Client:
        """Return a client for the user, or for whoever the token belongs to."""
        known = token or self.tokens[user]
        return Client(self.port, known, self.keys.authority, self._place)

    def request(
        self, method: str, path: str, body: Json | None = None, kind: str = "application/json"
    ) -> Json:
        """Ask the API server as the administrator."""
        return self.api.request(method, path, body, kind)

    def kubeconfig(self, user: str = ADMIN, *, token: str = "") -> Path:
        """Write a kubeconfig for the user; with a token, for its owner, whatever the name."""
        authority = base64.b64encode(self.keys.authority.read_bytes()).decode()
        cluster = {"server": self.url, "certificate-authority-data": authority}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token or self.tokens[user]}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "current-context": "test",
        }
        path = self.folder / f"{user}-{secrets.token_hex(4)}.kubeconfig"
        path.write_text(json.dumps(config, indent=2))
        return path

    @property
    def url(self) -> str:
        """Where the API server listens, before and after a restart."""
        return f"https://127.0.0.1:{self.port}"

    def kill_api_server(self) -> None:
        """End the API server with SIGKILL; clients see their connections end."""
        self._api_server.kill()

    def start_api_server(self) -> None:
        """Start the API server, at the same port as before, and wait until it is ready."""
        self._api_server.start(self._api_server_command())
        self._api_server.wait(self._api_server_ready, seconds=START_WITHIN)
        # Controllers that saw the outage are in back-off: their next slice may take a minute.
        self._controller_manager.kill()
        if self.has_controllers:
            self._controller_manager.start(self._controller_manager_command())
            self._controller_manager.wait(self._controllers_ready, seconds=START_WITHIN)

    @contextmanager
    def api_server_down(self) -> Iterator[None]:
        """Kill the API server, and start it again at the end of the block."""
        self.kill_api_server()
        try:
            yield
        finally:
            self.start_api_server()

    @contextmanager
    def api_server_with(self, *flags: str) -> Iterator[None]:
        """Restart the API server with more flags, and without them at the end of the block."""
        before = self.api_flags
        try:
            with self.api_server_down():
                self.api_flags = (*before, *flags)
            yield
        finally:
            with self.api_server_down():
                self.api_flags = before

    def compact(self) -> int:
        """Make etcd forget everything before its current revision, and return that.

        The API server remembers recent events itself, and goes on answering from them. See
        ``forget_history``, or start it with ``--watch-cache=false``: then what is compacted
        expires at once, in watches, in lists and in their continue tokens.
        """
        revision = int(self._etcd_call("kv/range", {"key": EVERY_KEY})["header"]["revision"])
        self._etcd_call("kv/compaction", {"revision": revision, "physical": True})
        return revision

    def forget_history(self) -> int:
        """Restart the API server over a compacted etcd: every older resume gets 410."""
        with self.api_server_down():
            return self.compact()

    def service_account_token(self, namespace: str, name: str, seconds: int = 3600) -> str:
        """Return a token of a ServiceAccount, good for so many seconds.

        The API server gives none for less than ten minutes, and accepts its own for a minute past
        their end; a shorter one is signed here, with its key, and without that minute. A token
        that it accepted once it remembers for ten seconds, whatever happens.
        """
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}"
        if seconds < SHORTEST_TOKEN:
            return self.keys.sign(claims(self.request("GET", path)["metadata"], seconds))
        answer = self.request("POST", f"{path}/token", {"spec": {"expirationSeconds": seconds}})
        return str(answer["status"]["token"])

    # Command lines, and when each is ready

    def _etcd_command(self) -> list[str | Path]:
        clients, peers = self._etcd_url, f"http://127.0.0.1:{self._peer_port}"
        return [
            *self._place.prefix,
            self._programs / "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            "--unsafe-no-fsync",
        ]

    def _api_server_command(self) -> list[str | Path]:
        keys = self.keys
        return [
            *self._place.prefix,
            self._programs / "kube-apiserver",
            f"--etcd-servers={self._etcd_url}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--tls-cert-file={keys.server_certificate}",
            f"--tls-private-key-file={keys.server_key}",
            f"--client-ca-file={keys.authority}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={keys.account_public_key}",
            f"--service-account-signing-key-file={keys.account_key}",
            f"--service-cluster-ip-range={SERVICE_RANGES}",
            # Pods of the tests have no service account, and nothing else answers for the Service
            # `kubernetes`: a loopback address is not allowed as its endpoint.
            "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none",
            "--allow-privileged=true",
            # History goes when a test says so, not after five minutes.
            "--etcd-compaction-interval=0",
            *self.api_flags,
        ]

    def _controller_manager_command(self) -> list[str | Path]:
        return [
            *self._place.prefix,
            self._programs / "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig()}",
            f"--controllers={','.join(self._controllers)}",
            f"--root-ca-file={self.keys.authority}",
            f"--service-account-private-key-file={self.keys.account_key}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        ]

    @property
    def _etcd_url(self) -> str:
        return f"http://127.0.0.1:{self._etcd_port}"

    def _etcd_call(self, method: str, body: Json) -> Json:
        """Call etcd's own API."""
        url = f"{self._etcd_url}/v3/{method}"
        request = urllib.request.Request(url, json.dumps(body).encode())  # noqa: S310 - it is HTTP
        with (
            self._place.entered(),
            urllib.request.urlopen(request, timeout=10) as response,  # noqa: S310
        ):
            answer: Json = json.load(response)
        return answer

    def _etcd_ready(self) -> bool:
        with suppress(OSError):
            return bool(self._etcd_call("maintenance/status", {}).get("leader"))
        return False

    def _api_server_ready(self) -> bool:
        with suppress(OSError, Refused):
            return self.request("GET", "/readyz") == {"message": "ok"}
        return False

    def _controllers_ready(self) -> bool:
        """Whether the controllers work: the first thing they do is to equip the namespaces."""
        with suppress(Refused):
            self.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")
            return True
        return False


def groups(user: str) -> str:
    """Return the groups of a user of the token file."""
    return "system:masters" if user == ADMIN else ""


def claims(account: Json, seconds: int) -> Json:
    """Return what the API server writes into a token for the ServiceAccount of this metadata."""
    now = int(time.time())
    namespace, name = account["namespace"], account["name"]
    return {
        "iss": ISSUER,
        "aud": [ISSUER],
        "sub": f"system:serviceaccount:{namespace}:{name}",
        "iat": now - LEEWAY,
        "nbf": now - LEEWAY,
        "exp": now + seconds - LEEWAY,
        "kubernetes.io": {
            "namespace": namespace,
            "serviceaccount": {"name": name, "uid": account["uid"]},
        },
    }


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody uses now."""
    found: set[int] = set()
    while len(found) < count:
        # `random` is seeded by the test run, so that two runs would try the same.
        port = secrets.choice(PORTS)
        with socket.socket() as trial, suppress(OSError):
            trial.bind(("127.0.0.1", port))
            found.add(port)
    return list(found)
