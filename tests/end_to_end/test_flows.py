"""kdns as a program on a real kube-apiserver, with the controllers: a cluster's life.

Every test has a namespace of its own; each waits for the answer, never for the clock.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dns.message
import pytest

from kdns.kube.access import Access
from kdns.kube.api import ApiSource
from kdns.kube.changes import Change, InitDone
from kdns.kube.objects import Kind
from tests.cluster import ede, lines, rcode
from tests.controlplane.objects import (
    DNS_RULES,
    add_pod,
    add_service,
    grant,
    ready_addresses,
    revoke,
    run_pod,
)
from tests.controlplane.plane import ControlPlane
from tests.end_to_end.running import Kdns, kdns
from tests.patience import PATIENCE

USER = "stranger"


def _run(plane: ControlPlane, *arguments: str, user: str = "admin") -> Kdns:
    return Kdns(
        "serve",
        *("--kubeconfig", str(plane.kubeconfig(user))),
        *("--upstream", "none", "-dns.port", "0", *arguments),
    )


@pytest.fixture
def running(controllers: ControlPlane) -> Iterator[Kdns]:
    server = _run(controllers)
    yield server
    assert server.stop() == 0


def _addresses(answer: dns.message.Message) -> list[str]:
    return sorted(line.split(" A ")[1] for line in lines(answer.answer) if " A " in line)


def _become(server: Kdns, name: str, *addresses: str) -> None:
    server.comes_to(f"{name} A", lambda answer: _addresses(answer) == sorted(addresses))


def _vanish(server: Kdns, name: str) -> None:
    server.comes_to(f"{name} A", lambda answer: rcode(answer) == "NXDOMAIN")


def test_the_controllers_slices_become_records(
    controllers: ControlPlane, fresh_namespace: str, running: Kdns
) -> None:
    api, ns = controllers.api, fresh_namespace
    add_service(api, ns, "db", clusterIP="None")
    for number in range(3):
        pod = f"db-{number}"
        add_pod(api, ns, pod, f"10.244.3.{number}", app="db", hostname=pod, subdomain="db")
    name = f"db.{ns}.svc.cluster.local."

    _become(running, name, "10.244.3.0", "10.244.3.1", "10.244.3.2")
    assert _addresses(running.ask(f"db-1.{name} A")) == ["10.244.3.1"]
    assert "db-2.db" in running.dig("+short", "_http._tcp." + name, "SRV")
    assert running.dig("+short", "-x", "10.244.3.1") == f"db-1.{name}\n"

    run_pod(api, ns, "db-1", "10.244.3.1", ready=False)
    _become(running, name, "10.244.3.0", "10.244.3.2")
    assert "is not ready" in ede(running.ask(f"db-1.{name} A"))


def test_a_service_has_the_cluster_ip_that_it_was_given(
    controllers: ControlPlane, fresh_namespace: str, running: Kdns
) -> None:
    made = add_service(controllers.api, fresh_namespace, "web")
    name = f"web.{fresh_namespace}.svc.cluster.local."

    _become(running, name, made["spec"]["clusterIP"])


def test_delete_and_recreate(
    controllers: ControlPlane, fresh_namespace: str, running: Kdns
) -> None:
    name = f"web.{fresh_namespace}.svc.cluster.local."
    path = f"/api/v1/namespaces/{fresh_namespace}/services/web"
    for _ in range(3):
        made = add_service(controllers.api, fresh_namespace, "web")
        _become(running, name, made["spec"]["clusterIP"])
        controllers.request("DELETE", path)
        _vanish(running, name)


def test_scale_from_3_to_300(
    controllers: ControlPlane, fresh_namespace: str, running: Kdns
) -> None:
    api, ns = controllers.api, fresh_namespace
    add_service(api, ns, "big", clusterIP="None")
    addresses = [f"10.244.{10 + n // 100}.{n % 100 + 1}" for n in range(300)]
    for number, address in enumerate(addresses):
        add_pod(api, ns, f"big-{number}", address, app="big")
        if number == 2:
            _become(running, f"big.{ns}.svc.cluster.local.", *addresses[:3])

    def all_of_them() -> bool:
        output = running.dig("+tcp", "+short", f"big.{ns}.svc.cluster.local")
        return sorted(output.split()) == sorted(addresses)

    running.comes_to("cluster.local. SOA", lambda _: all_of_them())
    assert ready_addresses(api, ns, "big") == sorted(addresses)


def test_a_namespace_that_goes_takes_its_names_along(
    controllers: ControlPlane, running: Kdns
) -> None:
    controllers.request("POST", "/api/v1/namespaces", {"metadata": {"name": "short-lived"}})
    made = add_service(controllers.api, "short-lived", "web")
    _become(running, "web.short-lived.svc.cluster.local.", made["spec"]["clusterIP"])

    controllers.request("DELETE", "/api/v1/namespaces/short-lived")

    _vanish(running, "web.short-lived.svc.cluster.local.")
    why = "namespace short-lived does not exist"
    running.comes_to("web.short-lived.svc.cluster.local. A", lambda answer: ede(answer) == why)


def test_kill_9_of_the_api_server(
    controllers: ControlPlane, fresh_namespace: str, running: Kdns
) -> None:
    made = add_service(controllers.api, fresh_namespace, "web")
    name = f"web.{fresh_namespace}.svc.cluster.local."
    _become(running, name, made["spec"]["clusterIP"])

    with controllers.api_server_down():
        running.comes_to(f"{name} A", lambda answer: "stale since" in ede(answer))
        assert _addresses(running.ask(f"{name} A")) == [made["spec"]["clusterIP"]]
    after = add_service(controllers.api, fresh_namespace, "after")

    _become(running, f"after.{fresh_namespace}.svc.cluster.local.", after["spec"]["clusterIP"])
    running.comes_to(f"{name} A", lambda answer: not answer.options)


def test_410_after_the_history_was_compacted(
    controllers: ControlPlane, fresh_namespace: str, running: Kdns
) -> None:
    made = add_service(controllers.api, fresh_namespace, "web")
    name = f"web.{fresh_namespace}.svc.cluster.local."
    _become(running, name, made["spec"]["clusterIP"])
    # What the watches have seen is older than the history that will be left.
    for number in range(3):
        controllers.request(
            "POST",
            f"/api/v1/namespaces/{fresh_namespace}/configmaps",
            {"metadata": {"name": f"passes-by-{number}"}},
        )

    controllers.forget_history()
    controllers.request("DELETE", f"/api/v1/namespaces/{fresh_namespace}/services/web")

    _vanish(running, name)
    running.wait_for("the watch is too old to be resumed")


def test_a_permission_is_revoked_and_granted(
    controllers: ControlPlane, fresh_namespace: str
) -> None:
    api = controllers.api
    no_slices = [rule for rule in DNS_RULES if "endpointslices" not in rule["resources"]]
    grant(api, USER, no_slices)
    server = _run(controllers, user=USER)
    try:
        made = add_service(api, fresh_namespace, "web")
        _become(server, f"web.{fresh_namespace}.svc.cluster.local.", made["spec"]["clusterIP"])
        server.wait_for(
            r"cannot watch endpointslices\.discovery\.k8s\.io at the cluster scope:"
            rf" user {USER} needs \{{.*\}} in a ClusterRole bound to it"
        )
        add_service(api, fresh_namespace, "db", clusterIP="None")
        add_pod(api, fresh_namespace, "db-0", "10.244.7.1", app="db")
        db = f"db.{fresh_namespace}.svc.cluster.local."
        assert rcode(server.ask(f"{db} A")) == "SERVFAIL"

        revoke(api, USER)
        grant(api, USER)

        _become(server, db, "10.244.7.1")
    finally:
        assert server.stop() == 0
        revoke(api, USER)


def test_a_restart_without_the_api_server_answers_at_once(
    controllers: ControlPlane, fresh_namespace: str, tmp_path: Path
) -> None:
    made = add_service(controllers.api, fresh_namespace, "web")
    name = f"web.{fresh_namespace}.svc.cluster.local."
    arguments = ("--snapshot", str(tmp_path / "snapshot"))
    first = _run(controllers, *arguments)
    _become(first, name, made["spec"]["clusterIP"])
    for resource in ("namespaces", "services", "endpointslices"):
        first.wait_for(rf"{resource}.*: synced after")
    first.stop()

    with controllers.api_server_down():
        second = _run(controllers, *arguments)
        answer = second.ask(f"{name} A")
        second.stop()

    assert _addresses(answer) == [made["spec"]["clusterIP"]]


SCRIPT = """
import asyncio, sys
from kdns.app import FromCluster, Options, kubeadm, serving

async def main():
    options = Options(FromCluster(sys.argv[1]), kubeadm(), port=0, upstream=())
    async with serving(options) as one, serving(options) as two:
        for server in one, two:
            [cluster] = server.clusters.running
            await cluster.synced.wait()
        print(one.addresses != two.addresses)

asyncio.run(main())
"""


def test_two_servers_in_one_process(controllers: ControlPlane) -> None:
    command = [sys.executable, "-c", SCRIPT, str(controllers.kubeconfig())]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)

    assert outcome.stdout == "True\n"
    assert not outcome.stderr


def test_q15_serials_of_servers_that_saw_the_same_agree(
    controllers: ControlPlane, fresh_namespace: str, running: Kdns
) -> None:
    other = _run(controllers)
    try:
        name = f"web.{fresh_namespace}.svc.cluster.local."
        _become(other, "kubernetes.default.svc.cluster.local.", "10.96.0.1")
        _become(running, "kubernetes.default.svc.cluster.local.", "10.96.0.1")
        made = add_service(controllers.api, fresh_namespace, "web")
        _become(running, name, made["spec"]["clusterIP"])
        _become(other, name, made["spec"]["clusterIP"])
        running.comes_to("cluster.local. SOA", lambda answer: _serial(other) in str(answer))
    finally:
        other.stop()


def _serial(server: Kdns) -> str:
    [soa] = lines(server.ask("cluster.local. SOA").answer)
    return soa.split("hostmaster.cluster.local. ")[1]


def test_the_kubernetes_service_is_there(controllers: ControlPlane, running: Kdns) -> None:
    with kdns("serve", "--kubeconfig", str(controllers.kubeconfig()), "--upstream", "none") as own:
        own.comes_to("kubernetes.default. A", lambda answer: len(answer.answer) == 2)
    _become(running, "kubernetes.default.svc.cluster.local.", "10.96.0.1")


def test_the_service_account_of_a_pod(
    controllers: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    controllers.request(
        "POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "kdns-pod"}}
    )
    user = "system:serviceaccount:default:kdns-pod"
    grant(controllers.api, user)
    (tmp_path / "token").write_text(controllers.service_account_token("default", "kdns-pod"))
    (tmp_path / "ca.crt").write_bytes(controllers.keys.authority.read_bytes())
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(controllers.port))

    async def follow() -> set[Kind]:
        listed: set[Kind] = set()
        complete = asyncio.Event()

        def take(change: Change) -> None:
            if isinstance(change, InitDone):
                listed.add(change.kind)
            if listed == source.kinds:
                complete.set()

        source = ApiSource(take, Access(service_account=str(tmp_path)))
        async with source, asyncio.timeout(PATIENCE):
            await complete.wait()
        return listed

    assert asyncio.run(follow()) == {"Namespace", "Service", "EndpointSlice"}
