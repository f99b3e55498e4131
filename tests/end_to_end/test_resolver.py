"""The library beside whole servers: an API server that is followed, sockets, the command line."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

import kdns
from kdns.cli import main
from kdns.testing import FakeApiServer
from kdns.testing.faults import Silence
from tests.end_to_end.running import ROOT
from tests.patience import PATIENCE
from tests.unit.resolver.objects import SHOP, pod, service

OUTSIDE = "web.shop.svc.example.org."


@pytest.fixture
def api() -> Iterator[FakeApiServer]:
    with FakeApiServer() as server:
        server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        server.apply(service("web", "10.0.0.1"))
        yield server


def asked(server: kdns.Serving, question: str, transport: str = "udp") -> list[str]:
    """Ask a server over a socket: the rdata of the answer, or the rcode."""
    name, rtype = question.split()
    query = dns.message.make_query(name, rtype)
    send = dns.query.udp if transport == "udp" else dns.query.tcp
    reply = send(query, server.host, PATIENCE, server.port)
    found = [rdata.to_text() for rrset in reply.answer for rdata in rrset]
    return found or [dns.rcode.to_text(reply.rcode())]


# -- an API server ------------------------------------------------------------------------------


def test_an_api_server_is_followed_and_its_changes_are_pushed(api: FakeApiServer) -> None:
    with kdns.Cluster(kubeconfig=api.kubeconfig()) as cluster:
        assert cluster.trouble == ""
        watching = cluster.resolver("shop").watch("web")
        first = next(watching)
        api.apply(service("web", "10.0.0.2"))
        second = next(watching)
        api.delete("Service", "shop", "web")
        third = next(watching)
        watching.close()

    assert [*map(str, (*first.addresses, *second.addresses))] == ["10.0.0.1", "10.0.0.2"]
    assert third.rcode == "NXDOMAIN"


def test_two_api_servers_are_followed_in_one_process(api: FakeApiServer) -> None:
    with FakeApiServer() as other:
        other.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        other.apply(service("web", "10.0.9.9"))
        with (
            kdns.Cluster(kubeconfig=api.kubeconfig()) as one,
            kdns.Cluster(kubeconfig=other.kubeconfig(), zone="other.test") as two,
        ):
            found = [cluster.resolver("shop").resolve("web") for cluster in (one, two)]

    assert [str(*result.addresses) for result in found] == ["10.0.0.1", "10.0.9.9"]


def test_a_pod_of_an_api_server_is_asked_for(api: FakeApiServer) -> None:
    api.apply(pod("cart-0", "10.1.0.1", dnsConfig={"searches": ["a.test"]}))
    with kdns.Cluster(kubeconfig=api.kubeconfig()) as cluster:
        assert cluster.resolver("shop/cart-0").conf().search[-1] == "a.test"
        with pytest.raises(kdns.UsageError, match="pod shop/cart-1 does not exist"):
            cluster.resolver("shop/cart-1").conf()


def test_an_api_server_that_is_not_there_is_said_so(api: FakeApiServer) -> None:
    kubeconfig = api.kubeconfig()
    with api.outage(), kdns.Cluster(kubeconfig=kubeconfig, wait=0.3) as cluster:
        result = cluster.resolver("shop").resolve("web")
        trouble = cluster.trouble

    assert result.rcode == "SERVFAIL"
    assert result.reason.startswith("not known yet: not synced with the API server")
    assert trouble.startswith("not synced with the API server; the API server cannot be reached")


def test_what_is_listed_late_is_pushed(api: FakeApiServer) -> None:
    api.fault(Silence(), "Service", times=None)
    with kdns.Cluster(kubeconfig=api.kubeconfig(), wait=0.1) as cluster:
        assert not cluster.wait(0.01)
        watching = cluster.resolver("shop").watch("web")
        first = next(watching)
        api.heal()
        assert cluster.wait(PATIENCE)
        second = next(watching)
        while not second.found:
            second = next(watching)
        watching.close()

    assert first.rcode == "SERVFAIL"
    assert [*map(str, second.addresses)] == ["10.0.0.1"]


def test_only_a_cluster_of_objects_can_be_changed(api: FakeApiServer) -> None:
    with kdns.Cluster(kubeconfig=api.kubeconfig()) as cluster:
        with pytest.raises(kdns.UsageError, match="only a cluster of objects can be changed"):
            cluster.apply(service("web"))
        with pytest.raises(kdns.UsageError, match="only a cluster of objects can be changed"):
            cluster.delete("Service", "web")


def test_edits_of_manifests_are_pushed(tmp_path: Path) -> None:
    path = tmp_path / "web.json"
    path.write_text(json.dumps(service("web", "10.0.0.1")))
    with kdns.Cluster(manifests=tmp_path) as cluster:
        watching = cluster.resolver("shop").watch("web")
        first = next(watching)
        path.write_text(json.dumps(service("web", "10.0.0.2")))
        second = next(watching)
        watching.close()

    assert [*map(str, (*first.addresses, *second.addresses))] == ["10.0.0.1", "10.0.0.2"]


# -- upstreams ----------------------------------------------------------------------------------


@pytest.fixture
def outside() -> Iterator[kdns.Serving]:
    """Another name server, which has one name outside the cluster."""
    with (
        kdns.Cluster(objects=[service("web", "192.0.2.1")], zone="example.org") as cluster,
        cluster.serving(search=()) as server,
    ):
        yield server


def test_names_outside_go_upstream_where_that_is_wanted(outside: kdns.Serving) -> None:
    upstream = f"{outside.host}:{outside.port}"
    with kdns.Cluster(objects=SHOP, upstream=upstream) as cluster:
        found = cluster.resolver("shop").resolve(OUTSIDE.removesuffix("."))
        missing = cluster.resolver("shop").resolve("nope.svc.example.org.")

    assert [*map(str, found.addresses)] == ["192.0.2.1"]
    assert not found.unasked
    assert [one.by for one in found.tried][-1] == "forward"
    assert missing.rcode == "NXDOMAIN"


def test_an_alias_leads_outside(outside: kdns.Serving) -> None:
    mail = service("mail", type="ExternalName", externalName=OUTSIDE)
    upstream = [f"{outside.host}:{outside.port}"]
    with kdns.Cluster(objects=[mail], upstream=upstream) as cluster:
        result = cluster.resolver("shop").resolve("mail")

    assert (result.canonical, *map(str, result.addresses)) == (OUTSIDE, "192.0.2.1")


def test_a_pod_that_asks_others_is_answered_by_the_upstream(outside: kdns.Serving) -> None:
    own = pod("own", dnsPolicy="None", dnsConfig={"nameservers": ["192.0.2.53"]})
    upstream = f"{outside.host}:{outside.port}"
    with kdns.Cluster(objects=[*SHOP, own], upstream=upstream) as cluster:
        resolver = cluster.resolver("shop/own")

        assert resolver.resolve(OUTSIDE).found
        # It refuses what is outside its own zones: nobody here answers in its place.
        assert resolver.resolve("web.shop.svc.cluster.local.").rcode == "REFUSED"


def test_an_upstream_that_is_dead_is_told() -> None:
    with kdns.Cluster(objects=SHOP, upstream="127.0.0.1:1") as cluster:
        result = cluster.resolver("shop").resolve("www.example.org.")

    assert result.rcode == "SERVFAIL"
    assert "127.0.0.1:1" in result.reason


# -- serving ------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_program_serves_on_a_free_port(transport: str) -> None:
    async def test() -> list[str]:
        async with kdns.serving(objects=SHOP) as server:
            assert server.host == "127.0.0.1"
            question = "web.shop.svc.cluster.local. A"
            return await asyncio.to_thread(asked, server, question, transport)

    assert asyncio.run(test()) == ["10.0.0.1"]


def test_two_servers_run_in_one_process_and_no_signal_is_handled() -> None:
    async def test() -> list[list[str]]:
        loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)
        async with (
            kdns.serving(objects=[service("web", "10.0.0.1")]) as one,
            kdns.serving(objects=[service("web", "10.0.0.2")], zone="other.test") as other,
        ):
            assert signal.getsignal(signal.SIGTERM) == before
            assert not loop.remove_signal_handler(signal.SIGTERM)
            return [
                await asyncio.to_thread(asked, one, "web.shop.svc.cluster.local. A"),
                await asyncio.to_thread(asked, other, "web.shop.svc.other.test. A"),
                await asyncio.to_thread(asked, other, "web.shop.svc.cluster.local. A"),
            ]

    assert asyncio.run(test()) == [["10.0.0.1"], ["10.0.0.2"], ["REFUSED"]]


def test_a_cluster_is_served_as_it_changes() -> None:
    with kdns.Cluster(objects=SHOP) as cluster, cluster.serving() as server:
        before = asked(server, "web.shop.svc.cluster.local. A")
        cluster.apply(service("web", "10.0.0.77"))
        after = asked(server, "web.shop.svc.cluster.local. A")

    assert (before, after) == (["10.0.0.1"], ["10.0.0.77"])


def test_short_names_are_completed_where_that_is_wanted() -> None:
    there = service("web", "10.0.0.1", "default")
    with kdns.Cluster(objects=[there]) as cluster:
        with cluster.serving() as server:
            assert asked(server, "web. A") == ["web.default.svc.cluster.local.", "10.0.0.1"]
        with cluster.serving(search=()) as server:
            assert asked(server, "web. A") == ["REFUSED"]


def test_pages_are_served_where_that_is_wanted() -> None:
    with kdns.Cluster(objects=SHOP) as cluster:
        with cluster.serving(admin=("127.0.0.1", 0)) as server:
            ((host, port),) = server.pages
            page = subprocess.run(
                [sys.executable, "-c", READ, f"http://{host}:{port}/ready"],
                capture_output=True,
                text=True,
                check=True,
            )
        assert page.stdout.startswith("200 OK")


READ = """
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1]) as page:
    print(page.status, page.read().decode())
"""


def test_a_port_that_is_taken_is_an_error() -> None:
    with (
        kdns.Cluster(objects=()) as cluster,
        cluster.serving() as server,
        pytest.raises(kdns.UsageError, match=rf"cannot listen on 127\.0\.0\.1:{server.port}"),
        cluster.serving(port=server.port),
    ):
        pass


def test_a_corefile_is_served(tmp_path: Path) -> None:
    path = tmp_path / "Corefile"
    path.write_text("example.org {\n    bind 127.0.0.1\n    whoami\n}\n")

    async def test() -> list[str]:
        async with kdns.serving_corefile(path) as server:
            return await asyncio.to_thread(asked, server, "www.example.org. A")

    assert asyncio.run(test()) == ["NOERROR"]


def test_standard_input_is_no_corefile_for_a_program() -> None:
    async def test() -> None:
        async with kdns.serving_corefile("stdin"):
            pass

    with pytest.raises(kdns.UsageError, match="expected the path of a Corefile"):
        asyncio.run(test())


# -- kdns query ---------------------------------------------------------------------------------


def test_kdns_query_follows_an_api_server(
    api: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    api.apply(pod("cart-0", "10.1.0.1", dnsConfig={"options": [{"name": "ndots", "value": "1"}]}))

    status = main(["query", "web.shop", "--from", "shop/cart-0", "--kubeconfig", api.kubeconfig()])

    first, *_, last = capsys.readouterr().out.splitlines()
    assert status == 0
    assert first.startswith("; web.shop. A: REFUSED (")
    assert last.split() == ["web.shop.svc.cluster.local.", "30", "IN", "A", "10.0.0.1"]


def test_kdns_query_says_what_is_wrong_with_an_api_server(
    api: FakeApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    api.forbid("Service")

    status = main(["query", "web.shop", "--kubeconfig", api.kubeconfig(), "--wait", "1"])

    assert status == 6
    assert "cannot watch services" in capsys.readouterr().err


def test_kdns_query_runs_as_a_program() -> None:
    command = [sys.executable, "-m", "kdns", "query", "web", "--manifests", "manifests/demo"]

    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)

    assert done.stdout.endswith("web.default.svc.cluster.local.\t30\tIN\tA\t10.99.7.5\n")
