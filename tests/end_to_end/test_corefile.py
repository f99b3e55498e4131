"""A Corefile with faults of its surroundings, as a program: what still works, and what is said."""

import re
import socket
from pathlib import Path

import pytest

from kdns.testing import FakeApiServer
from tests.cluster import ede, lines, rcode
from tests.end_to_end.cluster import namespace, service
from tests.end_to_end.corefiles import free_port, loopback, page, running, upstream
from tests.patience import PATIENCE

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.80, ports: [{port: 80}]}
"""
WEB = "web.default.svc.cluster.local. A"


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    path = tmp_path / "web.yaml"
    path.write_text(SERVICE)
    return path


@pytest.fixture
def own_address() -> str:
    """An address on whose port 53 a server may listen: resolv.conf knows no other port."""
    host = loopback()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 53))
        except PermissionError:
            pytest.skip("port 53 needs root or CAP_NET_BIND_SERVICE")
    return host


def test_a_resolv_conf_that_leads_back_is_told_of_and_harms_no_cluster_name(
    tmp_path: Path, manifests: Path, own_address: str
) -> None:
    resolv = tmp_path / "resolv.conf"
    resolv.write_text(f"nameserver {own_address}\n")
    text = f"""
        . {{
            errors
            bind {own_address}
            kubernetes cluster.local {{
                manifests {manifests}
            }}
            forward . {resolv}
            cache 30
            loop
        }}
    """
    with running(text, tmp_path) as server:
        server.host = own_address
        assert {line.split(" ")[-1] for line in lines(server.ask(WEB).answer)} == {"10.96.0.80"}
        outside = server.ask("www.example.org. A")
        if rcode(outside) == "SERVFAIL":  # unless systemd-resolved runs here: then its are asked
            assert "is this server itself" in ede(outside)
        assert lines(server.ask(WEB).answer)
        [told] = server.printed(r"^\[WARNING\] (.*)")
        assert server.stop() == 0

    place = re.escape(f"{tmp_path}/Corefile:8: {own_address}:53 of {resolv} is this server itself")
    assert re.match(place, told[1])


def test_what_is_legal_but_wrong_is_told_at_the_start(tmp_path: Path, manifests: Path) -> None:
    text = f".:0 {{\n kubernetes cluster.local {{\n manifests {manifests}\n upstream\n }}\n}}\n"
    with running(text, tmp_path) as server:
        server.wait_for(r"^\[WARNING\] .*/Corefile:4: upstream left CoreDNS with 1\.7")
        assert lines(server.ask(WEB).answer)


def test_a_loop_over_another_server_ends_it_with_status_1(tmp_path: Path) -> None:
    first, second = free_port(), free_port()
    text = f"""
        .:{first} {{
            errors
            forward . 127.0.0.1:{second}
            loop
        }}
        .:{second} {{
            forward . 127.0.0.1:{first}
        }}
    """
    with running(text, tmp_path) as server:
        server.wait_for(r"^\[CRITICAL\] plugin/loop: Loop \(127\.0\.0\.1:\d+ -> .*\) detected")
        assert server.process.wait(PATIENCE) == 1


def test_without_the_api_server_it_starts_after_a_while_and_says_so(tmp_path: Path) -> None:
    ready = free_port()
    with FakeApiServer() as api, upstream() as resolver:
        for item in (namespace("default"), service("default", "web")):
            api.apply(item)
        text = f"""
            .:0 {{
                errors
                ready 127.0.0.1:{ready}
                kubernetes cluster.local {{
                    kubeconfig {api.kubeconfig()}
                    startup_timeout 1s
                }}
                forward . {resolver}
            }}
        """
        with api.outage(), running(text, tmp_path) as server:
            server.wait_for("waiting for Kubernetes API before starting server")
            server.wait_for("WARNING.*starting server with unsynced Kubernetes API")
            assert rcode(server.ask(WEB)) == "SERVFAIL"
            assert lines(server.ask("www.example.org. A").answer)
            assert page("127.0.0.1", ready, "/ready") == (503, "kubernetes")
            assert server.stop() == 0


def test_one_zone_answers_on_the_ports_and_addresses_of_all_its_blocks(tmp_path: Path) -> None:
    port, host, other = free_port(), loopback(), loopback()
    with upstream("192.0.2.1") as first, upstream("192.0.2.2") as second:
        text = f"""
            .:{port} {{
                bind {host}
                forward . {first}
            }}
            .:{port} {{
                bind {other}
                forward . {second}
            }}
            example.org:{port} {{
                hosts {{
                    192.0.2.3 a.example.org
                }}
            }}
        """
        with running(text, tmp_path) as server:
            found = {}
            for place in (host, other):
                server.host = place
                found[place] = [line.split(" ")[-1] for line in lines(server.ask("x. A").answer)]
            server.host = "127.0.0.1"
            assert found == {host: ["192.0.2.1"], other: ["192.0.2.2"]}
            assert lines(server.ask("a.example.org. A").answer)
            assert rcode(server.ask("x. A")) == "REFUSED"
