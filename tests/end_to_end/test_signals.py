"""The flags, signals and exit statuses of CoreDNS, by the program itself (behaviour.md 3.4)."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from kdns.testing import FakeApiServer
from tests.cluster import lines, rcode
from tests.controlplane.client import eventually
from tests.end_to_end.cluster import namespace
from tests.end_to_end.corefiles import SETTLED, ZONE, free_port, loopback, page, running, upstream
from tests.end_to_end.running import ROOT, Kdns
from tests.patience import PATIENCE

WHOAMI = ".:0 {\n whoami\n}\n"
TEMPLATE = """
.:{port} {{
    template IN A {{
        answer "{{{{ .Name }}}} 5 IN A {address}"
    }}
}}
"""


def _answering(address: str, port: int = 0) -> str:
    """Return a Corefile that answers every A question with an address."""
    return TEMPLATE.format(port=port, address=address)


def _addresses(server: Kdns) -> set[str]:
    return {line.split(" ")[-1] for line in lines(server.ask("x.example. A").answer)}


def _run(
    *arguments: str, cwd: Path | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kdns", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=cwd,
        input=stdin,
        env=environment,
    )


# -- flags --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["-conf", "here"], ["--conf", "here"], ["-conf=here"], ["serve", "-conf", "here"]]
)
def test_conf_names_the_corefile(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "here").write_text(_answering("192.0.2.7"))
    server = Kdns(*words, started=ZONE, cwd=tmp_path)
    try:
        assert _addresses(server) == {"192.0.2.7"}
    finally:
        assert server.stop() == 0


def test_conf_stdin_reads_standard_input() -> None:
    server = Kdns("-conf", "stdin", started=ZONE, stdin=_answering("192.0.2.8"))
    try:
        assert _addresses(server) == {"192.0.2.8"}
        server.process.send_signal(signal.SIGUSR1)
        server.wait_for("the old configuration stays: a Corefile from standard input cannot be")
        assert _addresses(server) == {"192.0.2.8"}
    finally:
        assert server.stop() == 0


def test_the_corefile_of_the_directory_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "Corefile").write_text(_answering("192.0.2.9"))
    server = Kdns(started=ZONE, cwd=tmp_path)
    try:
        assert _addresses(server) == {"192.0.2.9"}
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize("flag", ["-dns.port", "--dns.port", "-p"])
@pytest.mark.parametrize("form", ["two words", "one"])
def test_the_port_flag_is_for_zones_without_port(tmp_path: Path, flag: str, form: str) -> None:
    port, own = free_port(), free_port()
    text = f"example.org {{\n whoami\n}}\nexample.net:{own} {{\n whoami\n}}\n"
    words = [flag, str(port)] if form == "two words" else [f"{flag}={port}"]
    with running(text, tmp_path, *words) as server:
        assert server.output[:2] == [f"example.org.:{port}", f"example.net.:{own}"]
        assert rcode(server.ask("example.org. A")) == "NOERROR"


def test_the_pidfile_has_the_process_id_for_as_long_as_it_runs(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    with running(WHOAMI, tmp_path, "-pidfile", str(pidfile)) as server:
        assert pidfile.read_text() == f"{server.process.pid}\n"

    assert not pidfile.exists()


def test_a_pidfile_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    with running(WHOAMI, tmp_path, "-pidfile", str(tmp_path / "no" / "pid")) as server:
        server.wait_for(r"ERROR.*-pidfile .*/no/pid: No such file or directory")
        assert rcode(server.ask("x.example. A")) == "NOERROR"


def test_plugins_are_listed() -> None:
    outcome = _run("-plugins")

    assert outcome.returncode == 0
    assert {"dns.kubernetes", "dns.forward", "dns.cache"} < set(outcome.stdout.split())


@pytest.mark.parametrize("flags", [["-version"], ["--version"], ["-conf", "x", "-version"]])
def test_the_version_is_printed_whatever_else_is_wanted(flags: list[str]) -> None:
    outcome = _run(*flags)

    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert re.fullmatch(r"kdns-\d+\.\d+\.\d+\n", outcome.stdout)


def test_the_text_at_the_start_is_that_of_coredns(tmp_path: Path) -> None:
    address, port = loopback(), free_port()
    text = f"b.example:{port} a.example:{port} {{\n bind {address}\n whoami\n}}\n" + WHOAMI
    with running(text, tmp_path) as server:
        shown = server.output[:]

    assert shown[0] == f"a.example.:{port} on {address}"
    assert shown[1] == f"b.example.:{port} on {address}"
    assert re.fullmatch(r"\.:\d+", shown[2])
    assert re.fullmatch(r"kdns-\d+\.\d+\.\d+", shown[3])
    assert re.fullmatch(r"linux/\w+, Python 3\.\d+\.\d+", shown[4])


def test_quiet_prints_nothing_at_the_start(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "Corefile").write_text(f".:{port} {{\n whoami\n reload\n}}\n")
    log = r"^\[INFO\] plugin/reload: Running configuration"
    server = Kdns("-quiet", started=log, port=port, cwd=tmp_path)
    try:
        assert rcode(server.ask("x.example. A")) == "NOERROR"
    finally:
        assert server.stop() == 0

    assert all(line.startswith("[INFO] ") for line in server.output)


FAULTS = {
    "extra words": (["-conf", "Corefile", "once", "more"], 1, "extra command line arguments: once"),
    "a word alone": (["start"], 1, "extra command line arguments: start"),
    "an unknown flag": (["-config", "x"], 2, "-config"),
    "a port out of range": (["-p", "65536"], 2, "expected 0 to 65535"),
    "no such file": (["-conf", "/nonexistent/Corefile"], 1, "No such file or directory"),
    "a directory": (["-conf", "/"], 1, "Is a directory"),
    "an option of another mode": (
        ["-conf", "x", "--ttl", "5"],
        1,
        "--ttl has no effect with -conf",
    ),
}


@pytest.mark.parametrize(("words", "status", "text"), FAULTS.values(), ids=FAULTS)
def test_wrong_arguments_are_explained_on_standard_error(
    words: list[str], status: int, text: str
) -> None:
    outcome = _run(*words)

    assert (outcome.returncode, outcome.stdout) == (status, "")
    assert text in outcome.stderr
    assert "Traceback" not in outcome.stderr


# -- faults at the start ------------------------------------------------------------------------


BAD = {
    "a word that nobody knows": (".:{port} {{\n whoamy\n}}\n", 2, "did you mean"),
    "an option that nobody knows": (
        ".:{port} {{\n errors\n cache {{\n deny 5\n }}\n}}\n",
        4,
        "deny",
    ),
    "what CoreDNS has and kdns has not": (".:{port} {{\n etcd\n}}\n", 2, "kdns does not have it"),
    "braces": (".:{port} {{\n whoami\n", 1, "never closed"),
    "a zone twice": (".:{port} {{\n}}\n.:{port} {{\n}}\n", 3, "already defined"),
    "nothing at all": ("# {port}\n", 0, "no server block"),
}


@pytest.mark.parametrize(("text", "line", "words"), BAD.values(), ids=BAD)
def test_a_bad_corefile_ends_the_start_and_nothing_was_bound(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    port = free_port()
    path = tmp_path / "Corefile"
    path.write_text(text.format(port=port))
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        # If anything were bound, this would be the fault instead.
        taken.bind(("0.0.0.0", port))
        outcome = _run("-conf", str(path))

    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith(f"kdns: {path}:{line or ''}")
    assert words in outcome.stderr
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["UDP", "TCP"])
def test_an_address_in_use_is_named(tmp_path: Path, kind: socket.SocketKind) -> None:
    port = free_port()
    path = tmp_path / "Corefile"
    path.write_text(_answering("192.0.2.1", port))
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("0.0.0.0", port))
        outcome = _run("-conf", str(path))

    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == f"kdns: cannot listen on 0.0.0.0:{port}: Address already in use\n"


SHARED = {
    "from the start": [".:{port} {{\n bind {a}\n whoami\n}}\nexample:{port} {{\n whoami\n}}\n"],
    "since changes": [
        ".:{port} {{\n bind {a}\n whoami\n}}\n",
        ".:{port} {{\n whoami\n}}\n",
        ".:{port} {{\n bind {a} {b}\n whoami\n}}\n",
    ],
    "since a change that failed": [
        ".:{port} {{\n bind {a}\n whoami\n}}\n",
        ".:{port} {{\n bind {a} 192.0.2.1\n whoami\n}}\n",
    ],
}


@pytest.mark.parametrize("texts", SHARED.values(), ids=SHARED)
def test_a_second_server_is_refused_though_addresses_share_a_port(
    tmp_path: Path, texts: list[str]
) -> None:
    places = {"port": free_port(), "a": loopback(), "b": loopback()}
    first, *others = (text.format(**places) for text in texts)
    # One that is willing to share has a wildcard beside an address.
    (tmp_path / "second").write_text(SHARED["from the start"][0].format(**places))
    with running(first, tmp_path) as server:
        for number, text in enumerate(others, 1):
            (tmp_path / "Corefile").write_text(text)
            server.process.send_signal(signal.SIGUSR1)
            server.wait_for("Reloading complete|the old configuration stays", number)
        outcome = _run("-conf", str(tmp_path / "second"))

    assert outcome.returncode == 1
    assert f":{places['port']}: Address already in use" in outcome.stderr


def test_a_page_in_use_is_named(tmp_path: Path) -> None:
    port = free_port()
    path = tmp_path / "Corefile"
    path.write_text(f".:0 {{\n whoami\n prometheus 127.0.0.1:{port}\n}}\n")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        outcome = _run("-conf", str(path))

    assert outcome.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in outcome.stderr


# -- signals ------------------------------------------------------------------------------------


@contextmanager
def _lame(tmp_path: Path, seconds: int) -> Iterator[tuple[Kdns, int]]:
    """Run a server that takes its time to end; the port is that of its pages."""
    pages = free_port()
    extra = f"health 127.0.0.1:{pages} {{\n lameduck {seconds}s\n }}\n ready 127.0.0.1:{pages}\n"
    text = _answering("192.0.2.5").replace("template", f"{extra} template", 1)
    with running(text, tmp_path) as server:
        yield server, pages


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_is_asked_to_end_answers_during_lameduck_and_is_not_ready(
    tmp_path: Path, number: signal.Signals
) -> None:
    with _lame(tmp_path, 600) as (server, pages):
        assert page("127.0.0.1", pages, "/ready") == (200, "OK")
        server.process.send_signal(number)
        server.wait_for("Going into lameduck mode for 10m0s")
        # A second SIGTERM changes nothing.
        server.process.send_signal(signal.SIGTERM)
        assert page("127.0.0.1", pages, "/ready")[0] == 503
        assert page("127.0.0.1", pages, "/health") == (200, "OK")
        assert _addresses(server) == {"192.0.2.5"}
        assert server.stop(signal.SIGQUIT) == 0


def test_it_ends_when_the_lameduck_time_is_over(tmp_path: Path) -> None:
    with _lame(tmp_path, 1) as (server, _):
        began = time.monotonic()
        assert server.stop(signal.SIGTERM) == 0
        assert time.monotonic() - began > 1


def test_a_second_sigint_ends_it_at_once(tmp_path: Path) -> None:
    with _lame(tmp_path, 600) as (server, _):
        server.process.send_signal(signal.SIGINT)
        server.wait_for("lameduck")
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE) == 2


def test_sigquit_ends_it_at_once(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    with _lame(tmp_path, 600) as (server, _):
        server.process.send_signal(signal.SIGQUIT)
        assert server.process.wait(PATIENCE) == 0
    with running(WHOAMI, tmp_path, "-pidfile", str(pidfile)) as server:
        server.process.send_signal(signal.SIGQUIT)
        assert server.process.wait(PATIENCE) == 0

    assert not pidfile.exists()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2])
def test_what_coredns_uses_otherwise_ends_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with running(_answering("192.0.2.5"), tmp_path) as server:
        server.process.send_signal(number)
        assert _addresses(server) == {"192.0.2.5"}
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGTERM, 0),
        (signal.SIGINT, 0),
        (signal.SIGQUIT, 0),
        (signal.SIGUSR1, None),
        (signal.SIGHUP, None),
    ],
)
def test_signals_while_it_waits_for_the_first_sync(
    tmp_path: Path, number: signal.Signals, status: int | None
) -> None:
    port = free_port()
    with FakeApiServer() as api:
        api.apply(namespace("default"))
        api.forbid("Service")
        text = f"kubernetes cluster.local {{\n kubeconfig {api.kubeconfig()}\n}}"
        path = tmp_path / "Corefile"
        path.write_text(f".:{port} {{\n {text}\n}}\n")
        server = Kdns("-conf", str(path), started="(waiting) for Kubernetes API", port=port)
        server.process.send_signal(number)
        if status is None:
            server.wait_for("starting server with unsynced Kubernetes API")
            server.wait_for(SETTLED)
            assert rcode(server.ask("cluster.local. SOA")) == "NOERROR"
        else:
            assert server.process.wait(PATIENCE) == status
            assert not any("Traceback" in line for line in server.output)
        server.stop()


PATIENT = ".:0 {{\n forward . {} {{\n read_timeout 20s\n }}\n}}\n"


def test_queries_that_wait_are_answered_before_the_end(tmp_path: Path) -> None:
    with (
        upstream() as resolver,
        running(PATIENT.format(resolver), tmp_path) as server,
        socket.create_connection(("127.0.0.1", server.port)) as stream,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        resolver.delay = 1.0
        query = bytes.fromhex("0001010000010000000000000178076578616d706c650000010001")
        client.sendto(query, ("127.0.0.1", server.port))
        stream.sendall(len(query).to_bytes(2) + query)
        resolver.wait_for(2)
        server.process.send_signal(signal.SIGTERM)
        client.settimeout(PATIENCE)
        assert client.recv(512)[:2] == query[:2]
        assert stream.makefile("rb").read()[2:4] == query[:2]
        assert server.process.wait(PATIENCE) == 0


def test_sigusr1_reloads_in_place(tmp_path: Path) -> None:
    port = free_port()
    with running(_answering("192.0.2.5", port), tmp_path) as server:
        (tmp_path / "Corefile").write_text(_answering("192.0.2.6", port))
        server.process.send_signal(signal.SIGUSR1)
        server.wait_for(r"^\[INFO\] Reloading complete$")
        assert _addresses(server) == {"192.0.2.6"}
        assert server.process.poll() is None


@pytest.mark.parametrize(("text", "line", "words"), BAD.values(), ids=BAD)
def test_after_a_bad_corefile_the_old_one_stays(
    tmp_path: Path, text: str, line: int, words: str
) -> None:
    port = free_port()
    with running(_answering("192.0.2.5", port), tmp_path) as server:
        (tmp_path / "Corefile").write_text(text.format(port=port))
        server.process.send_signal(signal.SIGUSR1)
        told = server.wait_for(r"^\[ERROR\] .*the old configuration stays: (.*)$")[1]
        assert told.startswith(f"{tmp_path / 'Corefile'}:{line or ''}")
        assert words in told
        assert _addresses(server) == {"192.0.2.5"}


def test_what_cannot_be_bound_leaves_the_old_configuration(tmp_path: Path) -> None:
    port, other = free_port(), free_port()
    with (
        running(_answering("192.0.2.5", port), tmp_path) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken,
    ):
        taken.bind(("0.0.0.0", other))
        new = _answering("192.0.2.6", port) + f"example.org:{other} {{\n whoami\n}}\n"
        (tmp_path / "Corefile").write_text(new)
        server.process.send_signal(signal.SIGUSR1)
        server.wait_for(rf"old configuration stays: cannot listen on 0\.0\.0\.0:{other}")
        assert _addresses(server) == {"192.0.2.5"}
        taken.close()
        server.process.send_signal(signal.SIGUSR1)
        server.wait_for("Reloading complete")
        assert _addresses(server) == {"192.0.2.6"}


def _is_free(port: int) -> bool:
    """Whether another program may listen there, over UDP and TCP."""
    with ExitStack() as stack, suppress(OSError):
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            stack.enter_context(socket.socket(socket.AF_INET, kind)).bind(("0.0.0.0", port))
        return True
    return False


def test_a_port_that_was_taken_off_is_given_back(tmp_path: Path) -> None:
    port, other = free_port(), free_port()
    with running(
        _answering("192.0.2.5", port) + _answering("192.0.2.6", other), tmp_path
    ) as server:
        (tmp_path / "Corefile").write_text(_answering("192.0.2.5", port))
        server.process.send_signal(signal.SIGUSR1)
        server.wait_for("Reloading complete")
        assert _addresses(server) == {"192.0.2.5"}
        eventually(lambda: _is_free(other), seconds=PATIENCE)
