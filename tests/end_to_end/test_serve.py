"""The program as a whole: arguments in, exit status out, real sockets, dig and kdig."""

import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Thread

import dns.message
import dns.query
import pytest

from tests.cluster import lines, rcode
from tests.end_to_end.running import ROOT, Kdns, kdns
from tests.patience import PATIENCE

DEMO = str(ROOT / "manifests" / "demo")
ATTEMPTS = 20
"""One of them must take less than a second, however busy the machine is."""
WEB = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: %s, ports: [{name: http, port: 80}]}
"""


@pytest.fixture(scope="module")
def demo() -> Iterator[Kdns]:
    with kdns("serve", "--manifests", DEMO, "--upstream", "none") as server:
        yield server


def _ask(server: Kdns, name: str, rtype: str = "A") -> dns.message.Message:
    query = dns.message.make_query(name, rtype)
    return dns.query.udp(query, "127.0.0.1", port=server.port, timeout=PATIENCE)


def test_it_says_what_it_loaded_and_where_it_listens(demo: Kdns) -> None:
    demo.wait_for(
        r"serving \d+ services, \d+ headless, \d+ endpoints in \d+ namespaces from \d+ files"
    )
    demo.wait_for(rf"listening on 127\.0\.0\.1:{demo.port}.* UDP and TCP")


@pytest.mark.parametrize("tool", ["dig", "kdig"])
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_dig_gets_an_answer(demo: Kdns, tool: str, transport: str) -> None:
    output = demo.dig(transport, "+short", "kube-dns.kube-system.svc.cluster.local", tool=tool)

    assert output == "10.96.0.10\n"


def test_dig_over_ipv6(demo: Kdns) -> None:
    if not socket.has_ipv6 or not any("[::1]" in line for line in demo.output):
        pytest.skip("this machine has no IPv6 loopback")

    assert demo.dig("+short", "kube-dns.kube-system", server="::1").endswith("10.96.0.10\n")


def test_dig_prints_the_reason(demo: Kdns) -> None:
    output = demo.dig("nobody.default.svc.cluster.local")

    assert "status: NXDOMAIN" in output
    assert "EDE: 0 (Other): (service nobody does not exist in namespace default)" in output


def test_short_names_are_led_to_their_full_name(demo: Kdns) -> None:
    answer = _ask(demo, "kube-dns.kube-system.")

    assert lines(answer.answer) == {
        "kube-dns.kube-system. 30 CNAME kube-dns.kube-system.svc.cluster.local.",
        "kube-dns.kube-system.svc.cluster.local. 30 A 10.96.0.10",
    }


def test_stateful_pods_have_names(demo: Kdns) -> None:
    answer = _ask(demo, "db-0.db.default.svc.cluster.local.")
    [address] = [str(item) for rrset in answer.answer for item in rrset]
    pointer = _ask(demo, ".".join(reversed(address.split("."))) + ".in-addr.arpa.", "PTR")

    assert "PTR db-0.db.default.svc.cluster.local." in " ".join(lines(pointer.answer))


def test_other_names_are_refused_without_upstream(demo: Kdns) -> None:
    assert rcode(_ask(demo, "example.com.")) == "REFUSED"


def test_tcp_answers_several_queries_of_one_segment(demo: Kdns) -> None:
    queries = [
        dns.message.make_query("kube-dns.kube-system.svc.cluster.local.", t)
        for t in ("A", "SRV", "TXT")
    ]
    wire = b"".join(struct.pack("!H", len(q.to_wire())) + q.to_wire() for q in queries)
    with socket.create_connection(("127.0.0.1", demo.port), timeout=PATIENCE) as connection:
        connection.sendall(wire)
        connection.shutdown(socket.SHUT_WR)
        stream = connection.makefile("rb")
        replies = [stream.read(int.from_bytes(stream.read(2))) for _ in queries]
        rest = stream.read()

    assert {dns.message.from_wire(reply).id for reply in replies} == {q.id for q in queries}
    assert rest == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly(number: int) -> None:
    server = Kdns("--manifests", DEMO, "-p", "0")

    assert server.stop(number) == 0
    assert not any("Traceback" in line for line in server.output)


def _start(*arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kdns", *arguments, "-p", "0", "--upstream", "none"]
    return subprocess.Popen(
        command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@SIGNALS
def test_signals_end_it_while_it_reads_standard_input(number: int) -> None:
    with _start("--manifests", "-", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        # More than a pipe holds: when all is written, kdns has begun to read.
        process.stdin.write("# nothing\n" * 100_000)
        process.stdin.flush()
        process.send_signal(number)

        assert process.wait(PATIENCE) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""


@SIGNALS
def test_signals_end_it_while_it_waits_for_a_pipe(tmp_path: Path, number: int) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with _start("--manifests", str(pipe)) as process:
        # Opening waits for the reader, which then waits for a first octet.
        with pipe.open("w"):
            process.send_signal(number)
            assert process.wait(PATIENCE) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""


@SIGNALS
def test_signals_end_it_when_it_has_read_a_pipe(tmp_path: Path, number: int) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = Thread(target=pipe.write_text, args=(WEB % "10.96.0.53",))
    writer.start()
    server = Kdns("--manifests", str(pipe), "-p", "0", "--upstream", "none")
    writer.join()
    with pytest.raises(subprocess.TimeoutExpired):
        # Long enough for two looks at the files.
        server.process.wait(0.8)

    assert server.stop(number) == 0
    assert not any("Traceback" in line for line in server.output)


def test_nothing_that_is_dropped_in_ends_watching(tmp_path: Path) -> None:
    with kdns("--manifests", str(tmp_path), "--upstream", "none") as server:
        (tmp_path / "b.yaml").symlink_to("b.yaml")
        (tmp_path / "c.yaml").symlink_to("d.yaml/x")
        (tmp_path / "d.yaml").write_text(f"x: {'1' * 5000}\n")
        (tmp_path / "e.json").write_text('{"a": ' + "[" * 100_000)
        (tmp_path / "f.json").write_bytes(b'{"kind": "\xff"}')
        version = f"name: version, resourceVersion: '{'1' * 5000}'"
        (tmp_path / "g.yaml").write_text(WEB.replace("name: web", version) % "10.96.0.54")
        for name in ("d.yaml", "e.json", "f.json"):
            server.wait_for(rf"ERROR.*manifest not used: .*{name}:1: ")
        (tmp_path / "a.yaml").write_text(WEB % "10.96.0.55")
        server.comes_to("web.default.svc.cluster.local. A", lambda answer: bool(answer.answer))

        assert server.stop() == 0
        assert not any("Traceback" in line for line in server.output)


def _has(address: str, answer: dns.message.Message) -> bool:
    return any(line.endswith(f" A {address}") for line in lines(answer.answer))


def test_an_edit_shows_within_a_second(tmp_path: Path) -> None:
    file, name = tmp_path / "web.yaml", "web.default.svc.cluster.local."
    file.write_text(WEB % "10.96.0.50")
    with kdns("--manifests", str(tmp_path), "--upstream", "none") as server:
        assert server.dig("+short", name) == "10.96.0.50\n"
        took, address = PATIENCE, ""
        for number in range(ATTEMPTS):
            address = f"10.96.1.{number}"
            file.write_text(WEB % address)
            took = server.comes_to(f"{name} A", partial(_has, address))
            if took < 1:
                break

        file.write_text("kind: [")
        server.wait_for(r"ERROR.*web\.yaml:\d+: ")
        assert server.dig("+short", name) == f"{address}\n"

    assert took < 1


def test_standard_input() -> None:
    with kdns("--manifests", "-", "--upstream", "none", stdin=WEB % "10.96.0.52") as server:
        assert server.dig("+short", "web.default.svc.cluster.local") == "10.96.0.52\n"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kdns", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_a_bad_manifest_at_start_is_an_error_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("apiVersion: v1\nkind: Service\nmetadata: {name: [}\n")
    outcome = _run("--manifests", str(tmp_path), "-p", "0")

    assert outcome.returncode == 1
    assert outcome.stderr.startswith(f"kdns: {tmp_path}/bad.yaml:3: ")
    assert "Traceback" not in outcome.stderr


def test_a_port_in_use_is_an_error(demo: Kdns) -> None:
    outcome = _run("--manifests", DEMO, "-p", str(demo.port))

    assert outcome.returncode == 1
    assert outcome.stderr == (
        f"kdns: cannot listen on 127.0.0.1:{demo.port}: Address already in use\n"
    )


USAGE = {
    "no source": ([], 1, "expected --manifests PATH"),
    "no such option": (["--manifest", "x"], 2, "unrecognized arguments: --manifest"),
    "port": (["-p", "70000"], 2, "expected 0 to 65535, not '70000'"),
    "ttl": (["--ttl", "-1"], 2, "expected 0 to 3600, not '-1'"),
    "bind": (["--manifests", DEMO, "--bind", "localhost"], 1, "expected an IP address"),
    "zone": (["--manifests", DEMO, "--zone", "a..b"], 1, "zone 'a..b': expected a domain name"),
    "empty zone": (["--manifests", DEMO, "--zone", ""], 1, "zone '': expected a domain name"),
    "search": (["--manifests", DEMO, "--search", "a..b"], 1, "search domain 'a..b'"),
    "upstream": (["--manifests", DEMO, "--upstream", "dns.example"], 1, "dns.example"),
    "none and more": (
        ["--manifests", DEMO, "--upstream", "none", "--upstream", "192.0.2.1"],
        1,
        "--upstream none stands alone",
    ),
    "no such file": (["--manifests", "/nonexistent"], 1, "/nonexistent"),
}


@pytest.mark.parametrize(("arguments", "status", "message"), USAGE.values(), ids=USAGE)
def test_wrong_usage_is_explained(arguments: list[str], status: int, message: str) -> None:
    outcome = _run(*arguments)

    assert outcome.returncode == status
    assert message in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize("flag", ["-version", "--version"])
def test_version(flag: str) -> None:
    assert _run(flag).stdout.startswith("kdns-")
