"""kdns as a program that follows an API server: the fake one, which misbehaves on order."""

import os
import pty
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import dns.message
import pytest

from kdns.testing import FakeApiServer
from kdns.testing.history import Json
from tests.cluster import ede, lines, rcode
from tests.end_to_end.cluster import endpoint_slice, namespace, service
from tests.end_to_end.running import Kdns, kdns
from tests.patience import PATIENCE

DB = "db.default.svc.cluster.local."
SOME, MANY = 3, 10
"""Restarts of the API server; after the first few, one has to be quick."""
QUICK = 8
"""Seconds, as long as a machine that is not busy needs for none of them."""


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as fake:
        fake.apply(namespace("default"))
        fake.apply(_with_ip("web", "10.96.0.80"))
        fake.apply(service("default", "db"))
        fake.apply(endpoint_slice("default", "db", "10.244.0.1", "10.244.0.2"))
        yield fake


def _with_ip(name: str, ip: str) -> Json:
    made = service("default", name)
    made["spec"]["clusterIP"] = ip
    return made


@contextmanager
def _following(server: FakeApiServer, *arguments: str) -> Iterator[Kdns]:
    with kdns(
        "serve", "--kubeconfig", str(server.kubeconfig()), "--upstream", "none", *arguments
    ) as running:
        yield running


def _is(*records: str) -> Callable[[dns.message.Message], bool]:
    return lambda answer: {line.split(" ", 2)[2] for line in lines(answer.answer)} == set(records)


def _fails_with(expected: str) -> Callable[[dns.message.Message], bool]:
    return lambda answer: rcode(answer) == expected


def _says(text: str) -> Callable[[dns.message.Message], bool]:
    return lambda answer: text in ede(answer)


def _synced(running: Kdns) -> None:
    """Wait until everything was listed: only then there is something to snapshot."""
    for resource in ("namespaces", "services", "endpointslices"):
        running.wait_for(rf"{resource}.*: synced after")
    running.comes_to("x.default.svc.cluster.local. A", _fails_with("NXDOMAIN"))


def test_it_serves_what_the_api_server_has(server: FakeApiServer) -> None:
    with _following(server) as running:
        running.comes_to(f"{DB} A", _is("A 10.244.0.1", "A 10.244.0.2"))
        running.comes_to("web.default.svc.cluster.local. A", _is("A 10.96.0.80"))
        running.comes_to("x.default.svc.cluster.local. A", _fails_with("NXDOMAIN"))
        running.wait_for(r"services at the cluster scope: synced after [\d.]+ s, 2 objects")


def test_changes_show_at_once(server: FakeApiServer) -> None:
    with _following(server) as running:
        running.comes_to("new.default.svc.cluster.local. A", _fails_with("NXDOMAIN"))
        server.apply(_with_ip("new", "10.96.0.81"))
        running.comes_to("new.default.svc.cluster.local. A", _is("A 10.96.0.81"))
        server.delete("Service", "default", "new")
        running.comes_to("new.default.svc.cluster.local. A", _fails_with("NXDOMAIN"))


def test_before_the_first_sync_unknown_names_are_servfail(server: FakeApiServer) -> None:
    server.forbid("EndpointSlice")
    with _following(server) as running:
        running.comes_to("web.default.svc.cluster.local. A", _is("A 10.96.0.80"))
        answer = running.ask(f"{DB} A")
        gone = running.ask("x.default.svc.cluster.local. A")

    assert rcode(answer) == "SERVFAIL"
    assert [int(option.code) for option in answer.options] == [14]
    assert rcode(gone) == "NXDOMAIN"


def test_a_missing_permission_is_named_and_its_grant_noticed(server: FakeApiServer) -> None:
    server.forbid("EndpointSlice")
    with _following(server, "--admin", "127.0.0.1:0") as running:
        running.wait_for(
            r"WARNING.*cannot watch endpointslices\.discovery\.k8s\.io at the cluster scope:"
            r" our account needs \{.*\} in a ClusterRole bound to it"
        )
        server.permit("EndpointSlice")
        running.comes_to(f"{DB} A", _is("A 10.244.0.1", "A 10.244.0.2"))


def test_an_outage_is_admitted_in_answers(server: FakeApiServer) -> None:
    with _following(server) as running:
        running.comes_to(f"{DB} A", _is("A 10.244.0.1", "A 10.244.0.2"))
        with server.outage():
            running.comes_to(f"{DB} A", _says("the API server cannot be reached"))
            stale = running.ask(f"{DB} A")
            gone = running.ask("x.default.svc.cluster.local. A")
        running.comes_to(f"{DB} A", lambda answer: not answer.options)

    assert _is("A 10.244.0.1", "A 10.244.0.2")(stale)
    assert [int(option.code) for option in stale.options] == [3]
    assert [int(option.code) for option in gone.options] == [19]
    assert _says("stale since 20")(stale)


def test_an_outage_before_everything_was_listed_is_admitted_too(server: FakeApiServer) -> None:
    server.forbid("EndpointSlice")
    with _following(server) as running:
        running.comes_to("web.default.svc.cluster.local. A", _is("A 10.96.0.80"))
        running.comes_to("x.default.svc.cluster.local. A", _fails_with("NXDOMAIN"))
        with server.outage():
            running.comes_to("web.default.svc.cluster.local. A", _says("stale since 20"))


def test_a_relist_brings_what_changed_and_empties_nothing(server: FakeApiServer) -> None:
    with _following(server) as running:
        running.comes_to(f"{DB} A", _is("A 10.244.0.1", "A 10.244.0.2"))
        server.forget()
        server.apply(endpoint_slice("default", "db", "10.244.0.3"))
        server.delete("Service", "default", "web")
        server.forget()
        server.cut()
        shown: set[int] = set()

        def changed(answer: dns.message.Message) -> bool:
            shown.add(len(lines(answer.answer)))
            return _is("A 10.244.0.3")(answer)

        running.comes_to(f"{DB} A", changed)
        running.comes_to("web.default.svc.cluster.local. A", _fails_with("NXDOMAIN"))

    assert 0 not in shown


def test_a_snapshot_answers_while_the_api_server_is_down(
    server: FakeApiServer, tmp_path: Path
) -> None:
    snapshot = tmp_path / "kdns.snapshot"
    with _following(server, "--snapshot", str(snapshot)) as running:
        running.comes_to(f"{DB} A", _is("A 10.244.0.1", "A 10.244.0.2"))
    with server.outage(), _following(server, "--snapshot", str(snapshot)) as running:
        known = running.ask(f"{DB} A")
        unknown = running.ask("x.default.svc.cluster.local. A")

    assert _is("A 10.244.0.1", "A 10.244.0.2")(known)
    assert _says("from the snapshot of 20")(known)
    assert rcode(unknown) == "SERVFAIL"


def test_a_snapshot_is_replaced_by_the_first_sync(server: FakeApiServer, tmp_path: Path) -> None:
    snapshot = tmp_path / "kdns.snapshot"
    with _following(server, "--snapshot", str(snapshot)) as running:
        running.comes_to("web.default.svc.cluster.local. A", _is("A 10.96.0.80"))
        _synced(running)
    server.delete("Service", "default", "web")
    with _following(server, "--snapshot", str(snapshot)) as running:
        running.comes_to("web.default.svc.cluster.local. A", _fails_with("NXDOMAIN"))
        running.comes_to(f"{DB} A", lambda answer: not answer.options)


def test_a_damaged_snapshot_stops_nobody(server: FakeApiServer, tmp_path: Path) -> None:
    snapshot = tmp_path / "kdns.snapshot"
    snapshot.write_bytes(b"{}\n")
    with _following(server, "--snapshot", str(snapshot)) as running:
        running.wait_for("WARNING.*is not used")
        running.comes_to("web.default.svc.cluster.local. A", _is("A 10.96.0.80"))


def test_only_the_wanted_namespaces_are_watched(server: FakeApiServer) -> None:
    server.apply(namespace("other"))
    server.apply(service("other", "db"))
    server.forbid("Namespace")
    with _following(server, "--namespaces", "default") as running:
        running.comes_to(f"{DB} A", _is("A 10.244.0.1", "A 10.244.0.2"))
        running.comes_to("db.other.svc.cluster.local. A", _fails_with("NXDOMAIN"))

    asked = {(one.kind, one.namespace) for one in server.requests}
    assert asked == {("Namespace", ""), ("Service", "default"), ("EndpointSlice", "default")}


def _http(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_readiness_and_metrics_tell_the_age_of_the_data(server: FakeApiServer) -> None:
    server.forbid("EndpointSlice")
    with _following(server, "--admin", "127.0.0.1:0") as running:
        port = int(running.wait_for(r"/metrics on http://127\.0\.0\.1:(\d+)")[1])
        missing = "endpointslices: syncing: cannot watch endpointslices.discovery.k8s.io"
        running.comes_to("cluster.local. SOA", lambda _: missing in _http(port, "/ready")[1])
        assert _http(port, "/ready")[0] == 503

        server.permit("EndpointSlice")
        running.comes_to(f"{DB} A", _is("A 10.244.0.1", "A 10.244.0.2"))
        running.comes_to("cluster.local. SOA", lambda _: _http(port, "/ready")[0] == 200)
        report = _http(port, "/ready")[1]
        metrics = _http(port, "/metrics")[1]
        assert _http(port, "/health") == (200, "OK")
        assert _http(port, "/")[0] == 404

    assert re.search(r"^services: live, 2 objects, last news \d+ s ago$", report, re.MULTILINE)
    where = '{namespace="",resource="services"'
    assert f'kdns_kubernetes_state{where},state="live"}} 1.0' in metrics
    assert f"kdns_kubernetes_objects{where}}} 2.0" in metrics
    assert f"kdns_kubernetes_data_age_seconds{where}}}" in metrics
    assert "process_resident_memory_bytes" in metrics


@contextmanager
def _slow_client(port: int) -> Iterator[None]:
    """Ask for a page, an octet a second: who waits for that waits for ever."""
    ended = Event()

    def drip() -> None:
        while not ended.wait(1):
            with suppress(OSError):
                client.sendall(b"x")

    with socket.create_connection(("127.0.0.1", port)) as client:
        dripping = Thread(target=drip)
        dripping.start()
        try:
            yield
        finally:
            ended.set()
            dripping.join()


def test_a_slow_client_holds_up_neither_the_probes_nor_the_end(server: FakeApiServer) -> None:
    with _following(server, "--admin", "127.0.0.1:0") as running:
        port = int(running.wait_for(r"/metrics on http://127\.0\.0\.1:(\d+)")[1])
        with _slow_client(port):
            assert _http(port, "/health") == (200, "OK")
            assert running.stop() == 0


def test_names_of_a_namespace_that_may_not_be_read_are_unknown(server: FakeApiServer) -> None:
    server.apply(namespace("closed"))
    server.apply(service("closed", "x"))
    server.forbid("Service", "closed")
    server.forbid("EndpointSlice", "closed")
    with _following(server, "--namespaces", "default,closed") as running:
        running.comes_to("web.default.svc.cluster.local. A", _is("A 10.96.0.80"))
        running.comes_to("x.closed.svc.cluster.local. A", _fails_with("SERVFAIL"))
        running.comes_to("x.default.svc.cluster.local. A", _fails_with("NXDOMAIN"))


def test_a_single_label_is_not_asked_elsewhere_before_the_first_sync(
    server: FakeApiServer,
) -> None:
    with server.outage(), _following(server) as running:
        assert rcode(running.ask("web. A")) == "SERVFAIL"
        assert rcode(running.ask("example.com. A")) == "REFUSED"


def test_restarts_in_a_row_do_not_add_up(server: FakeApiServer) -> None:
    with _following(server) as running:
        running.comes_to(f"{DB} A", _is("A 10.244.0.1", "A 10.244.0.2"))
        took = PATIENCE
        for number in range(MANY):
            with server.outage():
                running.comes_to(f"{DB} A", _says("stale since 20"))
                server.apply(_with_ip(f"after-{number}", f"10.96.1.{number}"))
                server.forget()
            took = running.comes_to(
                f"after-{number}.default.svc.cluster.local. A", _is(f"A 10.96.1.{number}")
            )
            # Were they added up, no later one would be as quick.
            if number >= SOME and took < QUICK:
                break

    assert took < QUICK, running.output


def test_a_snapshot_of_another_cluster_is_not_used(server: FakeApiServer, tmp_path: Path) -> None:
    snapshot = tmp_path / "kdns.snapshot"
    with _following(server, "--snapshot", str(snapshot)) as running:
        running.comes_to("web.default.svc.cluster.local. A", _is("A 10.96.0.80"))
        _synced(running)
    with (
        FakeApiServer() as other,
        other.outage(),
        _following(other, "--snapshot", str(snapshot)) as running,
    ):
        running.wait_for("WARNING.*is not used: it is of 'http://127")
        assert rcode(running.ask("web.default.svc.cluster.local. A")) == "SERVFAIL"


KUBECONFIGS = {
    "no server": ("clusters: [{name: a, cluster: {}}]", "kubeconfig"),
    "a number": ("clusters: [{name: a, cluster: {server: 5}}]", "kubeconfig"),
    "a strange proxy": (
        "clusters: [{name: a, cluster: {server: 'http://x', proxy-url: 5}}]",
        "kubeconfig",
    ),
}


@pytest.mark.parametrize(("clusters", "why"), KUBECONFIGS.values(), ids=KUBECONFIGS)
def test_a_bad_kubeconfig_is_explained(tmp_path: Path, clusters: str, why: str) -> None:
    path = tmp_path / "config"
    path.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\n"
        "contexts: [{name: a, context: {cluster: a, user: a}}]\n"
        f"users: [{{name: a, user: {{}}}}]\n{clusters}\n"
    )
    command = [sys.executable, "-m", "kdns", "--kubeconfig", str(path), "-p", "0"]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert outcome.returncode == 1
    assert outcome.stderr.startswith(f"kdns: kubeconfig {path}: ")
    assert why in outcome.stderr


def test_the_first_sync_is_drawn_on_a_terminal(server: FakeApiServer) -> None:
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "kdns", "--kubeconfig", str(server.kubeconfig()), "-p", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=end)
    os.close(end)
    try:
        drawn = b""
        while not re.search(
            rb"syncing [\d.]+ s: namespaces 1, services 2, endpointslices 1\r\n", drawn
        ):
            drawn += os.read(terminal, 4096)
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0
        os.close(terminal)

    assert b"\r\x1b[K" in drawn


def test_no_source_is_explained() -> None:
    command = [sys.executable, "-m", "kdns", "--kubeconfig", "/nonexistent", "-p", "0"]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert outcome.returncode == 1
    assert outcome.stderr.startswith("kdns: kubeconfig /nonexistent: ")
    assert "Traceback" not in outcome.stderr
