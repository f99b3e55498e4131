"""Resolvers of dnspython with kdns behind them."""

import asyncio
from collections.abc import Iterator

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.resolver
import dns.reversename
import pytest

import kdns
from kdns.adapters import dnspython
from kdns.errors import UsageError
from tests.unit.resolver.objects import SHOP, pod, service

MANY = service("many", "None")
OWN = pod("own", dnsPolicy="None", dnsConfig={"nameservers": ["1.1.1.1"]})
SLICE = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {
        "name": "many-1",
        "namespace": "shop",
        "labels": {"kubernetes.io/service-name": "many"},
    },
    "addressType": "IPv4",
    "endpoints": [{"addresses": [f"10.2.{n // 256}.{n % 256}"]} for n in range(1000)],
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[kdns.Cluster]:
    with kdns.Cluster(objects=(*SHOP, MANY, SLICE, OWN)) as cluster:
        yield cluster


@pytest.fixture
def resolver(cluster: kdns.Cluster) -> dns.resolver.Resolver:
    return dnspython.resolver(cluster.resolver("shop"))


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        pytest.param("web A", "web.shop.svc.cluster.local. 30 IN A 10.0.0.1", id="short"),
        pytest.param("web.shop A", "web.shop.svc.cluster.local. 30 IN A 10.0.0.1", id="longer"),
        pytest.param(
            "web.shop.svc.cluster.local. A",
            "web.shop.svc.cluster.local. 30 IN A 10.0.0.1",
            id="full",
        ),
        pytest.param(
            "_http._tcp.web SRV",
            "_http._tcp.web.shop.svc.cluster.local. 30 IN SRV 0 100 80 web.shop.svc.cluster.local.",
            id="SRV",
        ),
    ],
)
def test_it_answers(resolver: dns.resolver.Resolver, asked: str, line: str) -> None:
    name, rtype = asked.split()
    answer = resolver.resolve(name, rtype)

    assert str(answer.rrset) == line
    assert answer.nameserver == "kdns"


def test_an_alias_is_followed(resolver: dns.resolver.Resolver) -> None:
    answer = resolver.resolve("bank")

    assert answer.canonical_name.to_text() == "vault.bank.svc.cluster.local."
    assert [one.to_text() for one in answer] == ["10.0.0.9"]


def test_addresses_have_names(resolver: dns.resolver.Resolver) -> None:
    assert resolver.resolve_address("10.0.0.1")[0].to_text() == "web.shop.svc.cluster.local."


def test_a_large_answer_is_whole(resolver: dns.resolver.Resolver) -> None:
    answer = resolver.resolve("many")

    assert len(answer) == 1000
    assert not answer.response.flags & dns.flags.TC


FAULTS: dict[str, tuple[str, str, type[Exception]]] = {
    "nowhere": ("nope.shop.svc.cluster.local.", "A", dns.resolver.NXDOMAIN),
    "no such type": ("web", "AAAA", dns.resolver.NoAnswer),
    "outside": ("www.example.org.", "A", dns.resolver.NoNameservers),
}


@pytest.mark.parametrize(("name", "rtype", "fault"), FAULTS.values(), ids=FAULTS)
def test_faults_are_those_of_dnspython(
    resolver: dns.resolver.Resolver, name: str, rtype: str, fault: type[Exception]
) -> None:
    with pytest.raises(fault):
        resolver.resolve(name, rtype)


def test_asyncio_programs_have_one_too() -> None:
    async def test() -> str:
        async with kdns.AsyncCluster(objects=SHOP) as cluster:
            resolver = await dnspython.async_resolver(cluster.resolver("shop"))
            assert isinstance(resolver, dns.asyncresolver.Resolver)
            return str((await resolver.resolve("web")).rrset)

    assert asyncio.run(test()) == "web.shop.svc.cluster.local. 30 IN A 10.0.0.1"


def test_a_pod_that_asks_others_gets_no_answers_of_the_cluster(cluster: kdns.Cluster) -> None:
    with pytest.raises(UsageError, match=r"pod shop/own asks 1\.1\.1\.1"):
        dnspython.resolver(cluster.resolver("shop/own"))
    with pytest.raises(UsageError, match=r"pod shop/own asks 1\.1\.1\.1"):
        cluster.resolver("shop/own").exchange(b"")


def test_what_is_no_message_gets_no_reply(cluster: kdns.Cluster) -> None:
    assert cluster.resolver().exchange(b"") == b""
