"""The fixtures, in tests of another project."""

import tomllib
from importlib import import_module
from importlib.metadata import entry_points

import pytest

from tests.end_to_end.running import ROOT

PLUGIN = "kdns.testing.pytest_plugin"
WEB = '''
WEB = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{port: 80}]}
"""
'''


def passes(pytester: pytest.Pytester, text: str) -> None:
    """Run a test file as another project does; it must pass."""
    pytester.makepyfile(text)
    # A checkout that was installed before there was an entry point has none.
    installed = any(one.value == PLUGIN for one in entry_points(group="pytest11"))
    loaded = () if installed else ("-p", PLUGIN)

    result = pytester.runpytest_subprocess(*loaded, "-p", "no:randomly", "-W", "error")

    result.assert_outcomes(passed=text.count("def test_"))


def test_a_test_fills_a_cluster_and_asks_it(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        WEB
        + """
def test_it_is_there(kdns_cluster, kdns_resolver):
    kdns_cluster.apply(WEB)
    assert kdns_resolver.resolve("web.shop").found

def test_every_test_has_a_cluster_of_its_own(kdns_resolver):
    assert kdns_resolver.resolve("web.shop").rcode == "NXDOMAIN"
""",
    )


def test_a_project_says_what_is_there_and_who_asks(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        WEB
        + """
import pytest

@pytest.fixture
def kdns_objects():
    return [WEB]

@pytest.fixture
def kdns_place():
    return "shop"

def test_it_is_there(kdns_resolver):
    assert kdns_resolver.resolve("web").found
""",
    )


def test_there_is_a_port(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        WEB
        + """
import socket
import struct

NAME = b"\\3web\\4shop\\3svc\\7cluster\\5local\\0"
QUERY = struct.pack("!6H", 1, 0x100, 1, 0, 0, 0) + NAME + b"\\0\\1\\0\\1"

def test_udp(kdns_cluster, kdns_server):
    kdns_cluster.apply(WEB)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(120)
        sock.sendto(QUERY, (kdns_server.host, kdns_server.port))
        assert sock.recv(512).endswith(b"\\x0a\\0\\0\\1")

def test_tcp(kdns_cluster, kdns_server):
    kdns_cluster.apply(WEB)
    with socket.create_connection((kdns_server.host, kdns_server.port), 120) as sock:
        sock.sendall(len(QUERY).to_bytes(2, "big") + QUERY)
        assert sock.recv(512).endswith(b"\\x0a\\0\\0\\1")
""",
    )


def test_programs_under_test_know_the_names(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        WEB
        + """
import http.client
import http.server
import threading

import pytest

HERE = WEB.replace("10.0.0.1", "127.0.0.1")

def test_a_client_connects_by_name(kdns_cluster, kdns_sockets):
    kdns_cluster.apply(HERE)
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        connection = http.client.HTTPConnection("web.shop", server.server_port, timeout=120)
        connection.request("GET", "/")
        assert connection.getresponse().status == 501
        connection.close()
        thread.join()

def test_afterwards_they_do_not(kdns_cluster):
    import socket
    assert socket.getaddrinfo.__module__ == "socket"
""",
    )


def test_nothing_is_imported_that_no_test_asks_for(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        WEB
        + """
import sys

def test_it_is_light():
    loaded = {name for name in sys.modules if name.split(".")[0] == "kdns"}
    assert loaded <= {"kdns", "kdns.version", "kdns.testing", "kdns.testing.pytest_plugin"}
""",
    )


def test_pytest_finds_it_by_its_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["entry-points"]["pytest11"] == {"kdns": PLUGIN}
    assert import_module(PLUGIN).kdns_cluster
