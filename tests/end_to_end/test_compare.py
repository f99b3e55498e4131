"""``kdns compare`` between two servers: kdns and kdns, kdns and CoreDNS."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import kdns
from kdns import cli
from kdns.testing import FakeApiServer
from tests.controlplane.client import eventually
from tests.controlplane.process import Guard, Server
from tests.coredns import build as coredns
from tests.end_to_end.cluster import endpoint_slice, namespace, service
from tests.end_to_end.corefiles import free_port
from tests.gobuild import NotBuilt
from tests.patience import PATIENCE

WEB = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: %s, ports: [{name: http, port: 80}]}
"""
NAMES = "web.default.svc.cluster.local\nnobody.default.svc.cluster.local AAAA\n"
COREFILE = """
.:%d {
    bind 127.0.0.1
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig %s
        pods insecure
        ttl 30
    }
}
"""


@contextmanager
def _serving(*objects: str) -> Iterator[str]:
    with kdns.Cluster(objects=objects) as cluster, cluster.serving() as server:
        yield f"{server.host}:{server.port}"


@pytest.fixture
def theirs() -> Iterator[str]:
    with _serving(WEB % "10.96.0.80") as address:
        yield address


@pytest.fixture
def names(tmp_path: Path) -> str:
    path = tmp_path / "names"
    path.write_text(NAMES)
    return str(path)


def test_servers_that_say_the_same_end_with_0_and_print_nothing(
    theirs: str, names: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with _serving(WEB % "10.96.0.80") as ours:
        status = cli.main(["compare", "--with", theirs, "--server", ours, "--names", names])

    assert (status, *capsys.readouterr()) == (0, "", "2 questions, 0 with different answers\n")


def test_what_differs_is_printed_as_a_diff_and_ends_with_1(
    theirs: str, names: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with _serving(WEB % "10.96.0.81") as ours:
        status = cli.main(["compare", "--with", theirs, "--server", ours, "--names", names])

    assert status == 1
    assert capsys.readouterr().out.splitlines() == [
        f"--- {theirs}",
        f"+++ {ours}",
        "web.default.svc.cluster.local. A",
        "  - web.default.svc.cluster.local. A 10.96.0.80",
        "  + web.default.svc.cluster.local. A 10.96.0.81",
    ]


def test_large_answers_are_compared_whole(names: str) -> None:
    addresses = [f"10.244.{n // 250}.{n % 250 + 1}" for n in range(600)]
    Path(names).write_text("big.default.svc.cluster.local")
    items = [json.dumps(service("default", "big"))]
    small, large = (
        [*items, json.dumps(endpoint_slice("default", "big", *some))]
        for some in (addresses[:-1], addresses)
    )
    with _serving(*large) as theirs, _serving(*large) as same, _serving(*small) as ours:
        assert cli.main(["compare", "--with", theirs, "--server", same, "--names", names]) == 0
        assert cli.main(["compare", "--with", theirs, "--server", ours, "--names", names]) == 1


def test_a_server_that_is_not_there_is_named(
    theirs: str, names: str, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    assert cli.main(["compare", "--with", nobody, "--server", theirs, "--names", names]) == 1
    assert capsys.readouterr().err == (
        f"kdns: {nobody} answers none of 2 questions: Connection refused\n"
    )


@pytest.mark.parametrize(
    ("more", "error"),
    [
        pytest.param(["--server", "127.0.0.1:53"], "are both 127.0.0.1:53", id="one-server"),
        pytest.param(["--names", "/nonexistent"], "/nonexistent: No such file", id="no-file"),
        pytest.param(["--names", "x", "--manifests", "y"], "exclude --manifests", id="two-sources"),
    ],
)
def test_a_command_that_cannot_be_carried_out_says_why(
    more: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["compare", "--with", "127.0.0.1:53", *more]) == 1
    assert error in capsys.readouterr().err


@pytest.fixture
def api() -> Iterator[FakeApiServer]:
    web = service("default", "web")
    web["spec"]["clusterIP"] = "10.96.0.80"
    db = service("shop", "db")
    for one in (web, db):  # an API server puts it in
        one["spec"]["ports"][0]["protocol"] = "TCP"
    items = [namespace("default"), namespace("shop"), web, db]
    items.append(endpoint_slice("shop", "db", "10.244.0.1", "10.244.0.2"))
    items.append(endpoint_slice("default", "web", "10.244.0.3"))
    with FakeApiServer() as server:
        for item in items:
            server.apply(item)
        yield server


def _kubeconfig(api: FakeApiServer, folder: Path) -> str:
    """A kubeconfig without a token: a Go client sends none over plain HTTP."""
    config = json.loads(Path(api.kubeconfig()).read_text())
    api.token = ""
    config["users"] = [{"name": "fake", "user": {}}]
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)


def _is_open(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def test_kdns_and_coredns_say_the_same_about_a_cluster(
    api: FakeApiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        program = coredns.program()
    except NotBuilt as reason:
        if os.environ.get("CI"):
            pytest.fail(str(reason))
        pytest.skip(str(reason))
    port, kubeconfig = free_port(), _kubeconfig(api, tmp_path)
    corefile = tmp_path / "Corefile"
    corefile.write_text(COREFILE % (port, kubeconfig))
    guard = Guard()
    server = Server(guard, tmp_path / "coredns.log")
    try:
        server.start([program, "-conf", corefile]).wait(lambda: _is_open(port), seconds=PATIENCE)
        with (
            kdns.Cluster(kubeconfig=kubeconfig) as cluster,
            cluster.serving(search=()) as ours,
        ):
            addresses = ("--with", f"127.0.0.1:{port}", "--server", f"{ours.host}:{ours.port}")
            command = ["compare", *addresses, "--kubeconfig", kubeconfig]
            status = eventually(lambda: cli.main(command) == 0)
    finally:
        server.kill()
        guard.close()

    assert status, capsys.readouterr().out
    assert "questions, 0 with different answers" in capsys.readouterr().err
