"""A program that uses the library, for the type checker as much as for the test run."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import assert_type

import kdns
from kdns.adapters import dnspython, sockets
from tests.unit.resolver.objects import SHOP


def test_a_program_with_threads_is_typed() -> None:
    with kdns.Cluster(objects=[*SHOP, "", Path("/dev/null")], wait=1) as cluster:
        assert_type(cluster, kdns.Cluster)
        resolver = assert_type(cluster.resolver("shop", style="musl"), kdns.Resolver)
        result = assert_type(resolver.resolve("web"), kdns.Result)
        assert_type(result.records, tuple[kdns.Record, ...])
        assert_type(result.tried, tuple[kdns.Tried, ...])
        assert_type(result.addresses, tuple[IPv4Address | IPv6Address, ...])
        assert_type(next(resolver.watch("web")), kdns.Result)
        assert_type(resolver.conf(), kdns.ResolvConf)
        assert_type(resolver.exchange(b""), bytes)
        family, kind, proto, canonical, address = resolver.getaddrinfo("web", 80)[0]
        assert_type(family, socket.AddressFamily)
        assert_type(kind, socket.SocketKind)
        assert_type(proto, int)
        assert_type(canonical, str)
        assert address == ("10.0.0.1", 80)
        with cluster.serving() as server:
            assert_type(server, kdns.Serving)
        assert dnspython.resolver(resolver).ndots == 5
        assert sockets.getaddrinfo(resolver, socket.getaddrinfo)("web", 80)


def test_a_program_with_asyncio_is_typed() -> None:
    async def program() -> None:
        async with kdns.AsyncCluster(
            objects=SHOP, zone="z.test", upstream=["192.0.2.1"]
        ) as cluster:
            assert_type(cluster, kdns.AsyncCluster)
            resolver = assert_type(cluster.resolver("shop"), kdns.AsyncResolver)
            assert_type(await resolver.resolve("web", "A"), kdns.Result)
            async for result in resolver.watch("web"):
                assert_type(result, kdns.Result)
                break
            async with cluster.serving() as server:
                assert_type(server, kdns.Serving)
        async with kdns.serving(objects=SHOP, port=0) as server:
            assert_type(server, kdns.Serving)
            assert_type(server.port, int)

    asyncio.run(program())


def test_errors_are_one_tree() -> None:
    for error in (kdns.UsageError, kdns.ManifestError, kdns.CorefileError, kdns.UpstreamError):
        assert issubclass(error, kdns.KdnsError)
