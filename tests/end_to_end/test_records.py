"""``kdns records``: loaded into NSD, a zone answers as kdns does."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest

from kdns.cli import main
from tests.end_to_end.running import ROOT, kdns, need
from tests.patience import PATIENCE

DEMO = ROOT / "manifests" / "demo"
TYPES = ("A", "AAAA", "SRV", "CNAME", "PTR", "TXT", "NS", "SOA")
MORE = """
{apiVersion: v1, kind: Service, metadata: {name: dual}, spec:
  {clusterIPs: [10.96.7.7, "fd00:10:96::77"], ports: [{port: 80}, {name: "9p", port: 564}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: inside}, spec:
  {type: ExternalName, externalName: dual.default.svc.cluster.local}}
---
{apiVersion: v1, kind: Service, metadata: {name: literal}, spec:
  {type: ExternalName, externalName: 192.0.2.77}}
---
{apiVersion: v1, kind: Service, metadata: {name: empty}, spec:
  {clusterIP: None, ports: [{name: http, port: 80}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: lonely, namespace: data}, status: {podIP: 10.244.5.5}}
"""


@contextmanager
def _nsd(directory: Path) -> Iterator[int]:
    """Run NSD with what ``kdns records`` wrote."""
    program = need("nsd")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    conf = directory / "nsd.conf"
    conf.write_text(
        f'server:\n  ip-address: 127.0.0.1@{port}\n  server-count: 1\n  username: ""\n'
        f'  chroot: ""\n  pidfile: "{directory}/nsd.pid"\n  zonesdir: "{directory}"\n'
        f'  xfrdfile: "{directory}/xfrd"\n  zonelistfile: "{directory}/zones.list"\n'
        "  rrl-ratelimit: 0\n  minimal-responses: yes\n  refuse-any: no\n"
        f'remote-control:\n  control-enable: no\ninclude: "{directory}/nsd-zones.conf"\n'
    )
    process = subprocess.Popen([program, "-d", "-c", str(conf)], stderr=subprocess.PIPE, text=True)
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)


def _wait_for(port: int, process: "subprocess.Popen[str]") -> None:
    query = dns.message.make_query("cluster.local", "SOA")
    for _ in range(int(PATIENCE * 5)):
        try:
            dns.query.udp(query, "127.0.0.1", port=port, timeout=0.2)
        except (dns.exception.Timeout, OSError):
            assert process.poll() is None, "NSD did not start"
        else:
            return
    pytest.fail("NSD does not answer")


@contextmanager
def _stream(port: int) -> Iterator[socket.socket]:
    """Connect once for all questions."""
    with socket.create_connection(("127.0.0.1", port)) as stream:
        stream.setblocking(False)
        yield stream


def _answers(stream: socket.socket, name: str, rtype: str) -> tuple[int, frozenset[str]]:
    query = dns.message.make_query(name, rtype, use_edns=0, payload=4096)
    reply = dns.query.tcp(query, "127.0.0.1", timeout=PATIENCE, sock=stream)
    records = {f"{one.name} {line}" for one in reply.answer for line in one.to_text().splitlines()}
    return reply.rcode(), frozenset(records)


def test_nsd_answers_as_kdns_for_every_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = tmp_path / "more.yaml"
    more.write_text(MORE)
    data = ["--manifests", str(DEMO), "--manifests", str(more), "--pods", "verified"]
    zones = tmp_path / "zones"
    assert main(["records", *data, "--directory", str(zones)]) == 0
    assert main(["records", *data, "--output", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    owners = {record["name"] for zone in listed for record in zone["records"]}
    pairs = {(one["name"], one["rtype"]) for zone in listed for one in zone["records"]}

    with (
        _nsd(zones) as port,
        kdns(*data, "--upstream", "none", "--search", "off") as server,
        _stream(port) as theirs,
        _stream(server.port) as ours,
    ):
        for name in sorted(owners):
            for rtype in TYPES:
                found = _answers(ours, name, rtype)
                assert found == _answers(theirs, name, rtype), f"{name} {rtype}"
                answered = (name, rtype) in pairs or (name, "CNAME") in pairs
                assert bool(found[1]) == answered, f"{name} {rtype} is not in the zone file"

    assert len(pairs) > 100
    assert "10-244-5-5.data.pod.cluster.local." in owners
    assert "dual.default.cluster.local." in owners
    servers = {one["data"] for zone in listed for one in zone["records"] if one["rtype"] == "NS"}
    assert servers <= owners


def test_every_zone_has_a_file_and_a_clause(tmp_path: Path) -> None:
    assert main(["records", "--manifests", str(DEMO), "--directory", str(tmp_path)]) == 0

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cluster.local.zone",
        "in-addr.arpa.zone",
        "ip6.arpa.zone",
        "nsd-zones.conf",
    ]


def test_one_zone_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["records", "--manifests", str(DEMO), "--origin", "In-Addr.arpa"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "$ORIGIN in-addr.arpa."
    assert "10.0.96.10.in-addr.arpa.\t30\tIN\tPTR\tkube-dns.kube-system.svc.cluster.local." in lines


def test_another_zone_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["records", "--manifests", str(DEMO), "--origin", "example.org"]) == 1

    expected = "expected one of cluster.local., in-addr.arpa., ip6.arpa."
    assert expected in capsys.readouterr().err
