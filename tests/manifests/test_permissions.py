"""kdns under its own ServiceAccount, with the ClusterRole of the manifests and nothing else.

The Corefile is that of the manifests too, but for ports, paths and the way to the API server,
which are a pod's.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from pathlib import Path

import pytest

from tests.cluster import lines, rcode
from tests.controlplane.client import MERGE, Json, Refused, eventually
from tests.controlplane.objects import add_pod, add_service
from tests.controlplane.plane import ControlPlane
from tests.end_to_end.corefiles import ZONE, free_port, page
from tests.end_to_end.running import Kdns
from tests.manifests.applying import applied, built, one, path

SETTLED = r"^linux/"
NAMES = {
    "namespaces": "namespaces",
    "services": "services",
    "endpointslices": "endpointslices.discovery.k8s.io",
}
RESOURCES = tuple(NAMES)
PERMISSIONS = [(resource, verb) for resource in RESOURCES for verb in ("list", "watch")]
PATIENCE = 60


class Installed:
    """The base of the manifests in a cluster, as a pod of it would see that."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.plane = plane
        self.items = built("base")
        self.role = one(self.items, "ClusterRole")
        self._folder = folder

    @property
    def token(self) -> str:
        account = one(self.items, "ServiceAccount")["metadata"]
        return self.plane.service_account_token(account["namespace"], account["name"])

    @contextmanager
    def kdns(self) -> Iterator[tuple[Kdns, int]]:
        """Run kdns, and tell the port of its page ``/ready``."""
        port, ready = free_port(), free_port()
        kubeconfig = self.plane.kubeconfig("kdns", token=self.token)
        substitutions = {
            ".:53 {": f".:{port} {{\nbind 127.0.0.1",
            "health {": f"health 127.0.0.1:{free_port()} {{",
            "lameduck 5s": "lameduck 0s",
            "ready\n": f"ready 127.0.0.1:{ready}\n",
            "prometheus :9153": f"prometheus 127.0.0.1:{free_port()}",
            "/var/lib/kdns": str(self._folder),
            "pods insecure": f"pods insecure\nstartup_timeout 1s\nkubeconfig {kubeconfig}",
            "/etc/resolv.conf": f"127.0.0.1:{free_port()}",
            "loop\n": "",
        }
        text: str = one(self.items, "ConfigMap")["data"]["Corefile"]
        for shipped, here in substitutions.items():
            assert shipped in text
            text = text.replace(shipped, here)
        corefile = self._folder / "Corefile"
        corefile.write_text(text)
        server = Kdns("-conf", str(corefile), started=ZONE)
        try:
            server.wait_for(SETTLED)
            yield server, ready
        finally:
            server.stop()

    @contextmanager
    def without(self, resource: str, verb: str) -> Iterator[None]:
        """Take one permission away, and wait until the API server knows."""
        try:
            self._permit(_less(self.role["rules"], resource, verb))
            eventually(lambda: not self._may(resource, verb))
            yield
        finally:
            self._permit(self.role["rules"])
            eventually(lambda: self._may(resource, verb))

    def _permit(self, rules: list[Json]) -> None:
        self.plane.request("PATCH", path(self.role), {"rules": rules}, MERGE)

    def _may(self, resource: str, verb: str) -> bool:
        attributes = {"verb": verb, "resource": resource, "group": _group(resource)}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        with self.plane.client(token=self.token) as client:
            return bool(client.request("POST", review, body)["status"]["allowed"])


def _group(resource: str) -> str:
    return NAMES[resource].partition(".")[2]


def _less(rules: list[Json], resource: str, verb: str) -> list[Json]:
    """The rules without one permission."""
    found = []
    for rule in deepcopy(rules):
        others = [one for one in rule["resources"] if one != resource]
        found.append({**rule, "resources": others})
        if resource in rule["resources"]:
            verbs = [one for one in rule["verbs"] if one != verb]
            found.append({**rule, "resources": [resource], "verbs": verbs})
    return [rule for rule in found if rule["resources"] and rule["verbs"]]


@pytest.fixture
def installed(controllers: ControlPlane, tmp_path: Path) -> Iterator[Installed]:
    there = Installed(controllers, tmp_path)
    with applied(controllers.api, there.items):
        yield there


def test_with_its_own_account_everything_works(installed: Installed, fresh_namespace: str) -> None:
    api, ns = installed.plane.api, fresh_namespace
    web = add_service(api, ns, "web")["spec"]["clusterIP"]
    add_service(api, ns, "db", clusterIP="None")
    with installed.kdns() as (server, ready):
        server.comes_to(f"web.{ns}.svc.cluster.local. A", lambda a: web in str(a), PATIENCE)
        assert page("127.0.0.1", ready, "/ready") == (200, "OK")
        # What comes later comes over the watches.
        add_pod(api, ns, "db-0", "10.244.9.1", app="db", hostname="db-0", subdomain="db")
        name = f"db-0.db.{ns}.svc.cluster.local."
        server.comes_to(f"{name} A", lambda a: "10.244.9.1" in str(a), PATIENCE)
        assert lines(server.ask("1.9.244.10.in-addr.arpa. PTR").answer) == {
            f"1.9.244.10.in-addr.arpa. 30 PTR {name}"
        }
        assert rcode(server.ask(f"nobody.{ns}.svc.cluster.local. A")) == "NXDOMAIN"
        assert not [line for line in server.output if "cannot" in line or "WARN" in line]


def test_the_account_may_do_nothing_else(installed: Installed) -> None:
    rules = one(installed.items, "ClusterRole")["rules"]
    allowed = {(r, verb) for rule in rules for r in rule["resources"] for verb in rule["verbs"]}

    assert allowed == set(PERMISSIONS)
    with installed.plane.client(token=installed.token) as client:
        for denied in ("/api/v1/pods", "/api/v1/secrets", "/api/v1/nodes", "/api/v1/configmaps"):
            with pytest.raises(Refused, match="cannot list resource"):
                client.request("GET", denied)


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_missing_watch_is_named(installed: Installed, resource: str) -> None:
    with installed.without(resource, "watch"), installed.kdns() as (server, ready):
        _is_named(server, resource, "watch")
        status, text = page("127.0.0.1", ready, "/ready")

    assert (status, text) == (503, "kubernetes")


@pytest.mark.timeout(300)
def test_a_missing_list_is_named_where_the_server_cannot_stream_lists(installed: Installed) -> None:
    with installed.plane.api_server_with("--feature-gates=WatchList=false"):
        with installed.kdns() as (_, ready):
            assert page("127.0.0.1", ready, "/ready") == (200, "OK")
        for resource in RESOURCES:
            with installed.without(resource, "list"), installed.kdns() as (server, ready):
                _is_named(server, resource, "list")
                assert page("127.0.0.1", ready, "/ready")[0] == 503


def test_a_permission_that_is_given_at_last_is_noticed(installed: Installed) -> None:
    name = "kubernetes.default.svc.cluster.local."
    with ExitStack() as stack:
        with installed.without("services", "watch"):
            server, ready = stack.enter_context(installed.kdns())
            _is_named(server, "services", "watch")
            assert rcode(server.ask(f"{name} A")) == "SERVFAIL"
        server.comes_to(f"{name} A", lambda a: rcode(a) == "NOERROR", PATIENCE)
        assert page("127.0.0.1", ready, "/ready") == (200, "OK")


def _is_named(server: Kdns, resource: str, verb: str) -> None:
    """In one line of the log: what is missing, where to add it, and the server's own words."""
    what = rf"cannot {verb} {re.escape(NAMES[resource])} at the cluster scope"
    who = "ServiceAccount kube-system/kdns"
    server.wait_for(rf'WARNING.*{what}: {who} needs .*cannot {verb} resource "{resource}"')
