"""The real control plane as a cluster of the conformance tests."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from kdns.kube.objects import Key, Kind
from kdns.kube.resources import RESOURCES
from kdns.testing.history import Json
from tests.controlplane.client import Client, Refused, eventually
from tests.controlplane.objects import RBAC
from tests.controlplane.plane import ControlPlane

KINDS: tuple[Kind, ...] = ("Namespace", "Service", "EndpointSlice", "Pod")
VERBS = ["list", "watch"]
NOT_FOUND = 404
NUMBERS = count(1)


class RealCluster:
    """A ServiceAccount of the control plane, and the rights that it has at the moment."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._number = next(NUMBERS)
        self._user = f"kdns-{self._number}"
        self._forbidden: set[tuple[Kind, str]] = set()
        self._made: list[tuple[Kind, str, str]] = []
        self._token = plane.folder / f"{self._user}.token"
        plane.request("POST", self._accounts, {"metadata": {"name": self._user}})
        self._write_token()
        self._grant()

    _accounts = "/api/v1/namespaces/default/serviceaccounts"

    def close(self) -> None:
        """Remove what was made."""
        for kind, namespace, name in reversed(self._made):
            with suppress(Refused):
                self.delete(kind, namespace, name)
        eventually(lambda: not self._left())
        self._revoke("")
        self._plane.request("DELETE", f"{self._accounts}/{self._user}")

    def _left(self) -> list[Key]:
        made = {(namespace, name) for kind, namespace, name in self._made if kind == "Namespace"}
        return [key for key in self.versions("Namespace") if key in made]

    def kubeconfig(self) -> str:
        path = Path(self._plane.kubeconfig())
        config = json.loads(path.read_text())
        config["users"][0]["user"] = {"tokenFile": str(self._token)}
        path.write_text(json.dumps(config))
        return str(path)

    def apply(self, item: Json) -> None:
        meta = item["metadata"]
        kind, namespace, name = item["kind"], meta.get("namespace", ""), meta["name"]
        path = RESOURCES[kind].path(namespace)
        try:
            self._plane.request("PATCH", f"{path}/{name}", item, "application/merge-patch+json")
        except Refused as refused:
            if refused.status != NOT_FOUND:
                raise
            self._plane.request("POST", path, item)
            self._made.append((kind, namespace, name))
            if kind == "Namespace":
                self._grant()

    def delete(self, kind: Kind, namespace: str, name: str) -> None:
        self._plane.request("DELETE", f"{RESOURCES[kind].path(namespace)}/{name}")

    def versions(self, kind: Kind, namespace: str = "") -> dict[Key, int]:
        items = self._plane.request("GET", RESOURCES[kind].path(namespace))["items"]
        metas = [item["metadata"] for item in items]
        return {
            (meta.get("namespace", ""), meta["name"]): int(meta["resourceVersion"])
            for meta in metas
        }

    @contextmanager
    def outage(self) -> Iterator[None]:
        with self._plane.api_server_down():
            yield

    def expire(self) -> None:
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": "default", "labels": {"expired": str(next(NUMBERS))}},
            }
        )
        self._plane.forget_history()

    def forbid(self, kind: Kind, namespace: str = "") -> None:
        self._forbidden.add((kind, namespace))
        self._grant()

    def permit(self, kind: Kind, namespace: str = "") -> None:
        self._forbidden.discard((kind, namespace))
        self._grant()

    def rotate_token(self) -> None:
        # A token dies with its account; one of the same name is another account.
        self._plane.request("DELETE", f"{self._accounts}/{self._user}")
        self._plane.request("POST", self._accounts, {"metadata": {"name": self._user}})
        self._write_token()
        with self._plane.api_server_down():
            pass

    @contextmanager
    def without_watch_list(self) -> Iterator[None]:
        with self._plane.api_server_with("--feature-gates=WatchList=false"):
            yield

    def _write_token(self) -> None:
        self._token.write_text(self._plane.service_account_token("default", self._user))

    def _grant(self) -> None:
        """Let the rights be what they are to be, and wait until the server knows."""
        self._revoke("")
        self._bind("", [kind for kind in KINDS if (kind, "") not in self._forbidden])
        for meta in self._namespaces():
            self._revoke(meta)
            self._bind(meta, [kind for kind in KINDS if (kind, meta) not in self._forbidden])
        eventually(self._known)

    def _namespaces(self) -> list[str]:
        return [name for kind, _, name in self._made if kind == "Namespace"]

    def _known(self) -> bool:
        scopes = ("", *self._namespaces())
        wanted = {
            (kind, scope)
            for kind in KINDS
            for scope in scopes
            if scope == "" or kind != "Namespace"
        }
        with self._plane.client(token=self._token.read_text()) as client:
            return all(self._may(client, *one) == self._should(*one) for one in wanted)

    def _should(self, kind: Kind, namespace: str) -> bool:
        return (kind, "") not in self._forbidden or (
            namespace != "" and (kind, namespace) not in self._forbidden
        )

    def _may(self, client: Client, kind: Kind, namespace: str) -> bool:
        try:
            client.request("GET", RESOURCES[kind].path(namespace) + "?limit=1")
        except Refused:
            return False
        return True

    def _bind(self, namespace: str, kinds: list[Kind]) -> None:
        root, prefix = (f"{RBAC}/namespaces/{namespace}", "") if namespace else (RBAC, "cluster")
        rules = [
            {"apiGroups": [RESOURCES[k].group], "resources": [RESOURCES[k].plural], "verbs": VERBS}
            for k in kinds
        ]
        role = "ClusterRole" if prefix else "Role"
        meta = {"name": self._user}
        subject = {"kind": "ServiceAccount", "name": self._user, "namespace": "default"}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": self._user}
        self._plane.request("POST", f"{root}/{prefix}roles", {"metadata": meta, "rules": rules})
        binding = {"metadata": meta, "roleRef": reference, "subjects": [subject]}
        self._plane.request("POST", f"{root}/{prefix}rolebindings", binding)

    def _revoke(self, namespace: str) -> None:
        root, prefix = (f"{RBAC}/namespaces/{namespace}", "") if namespace else (RBAC, "cluster")
        for resource in (f"{prefix}rolebindings", f"{prefix}roles"):
            with suppress(Refused):
                self._plane.request("DELETE", f"{root}/{resource}/{self._user}")
