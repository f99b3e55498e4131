"""Addresses as ``socket.getaddrinfo`` gives them, and what is put in its place."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import kdns
from kdns.adapters import sockets
from kdns.resolver.lookup import LookupFailed
from tests.patience import PATIENCE
from tests.unit.resolver.objects import SHOP, alias, service

STREAM = socket.SOCK_STREAM
V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.fixture(scope="module")
def resolver() -> Iterator[kdns.Resolver]:
    more = (
        service("global", clusterIPs=["2600::1", "10.0.0.3"], clusterIP="2600::1"),
        alias("round", "round.shop.svc.cluster.local"),
    )
    with kdns.Cluster(objects=(*SHOP, *more)) as cluster:
        yield cluster.resolver("shop")


def test_it_gives_what_the_c_library_gives(resolver: kdns.Resolver) -> None:
    assert resolver.getaddrinfo("web", "http") == socket.getaddrinfo("10.0.0.1", "http")
    assert resolver.getaddrinfo("web", 53) == socket.getaddrinfo("10.0.0.1", 53)


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        pytest.param(0, ["10.0.0.2", "fd00::2"], id="any"),
        pytest.param(V4, ["10.0.0.2"], id="IPv4"),
        pytest.param(V6, ["fd00::2"], id="IPv6"),
    ],
)
def test_a_family_may_be_wanted(resolver: kdns.Resolver, family: int, expected: list[str]) -> None:
    found = resolver.getaddrinfo("dual", 80, family, STREAM)

    assert [info[4][0] for info in found] == expected


def test_a_global_ipv6_address_comes_before_ipv4_and_a_local_one_after(
    resolver: kdns.Resolver,
) -> None:
    # RFC 6724 section 2.1: 40 for ::/0, 35 for IPv4, 3 for fc00::/7.
    assert [info[4][0] for info in resolver.getaddrinfo("global", 80, type=STREAM)] == [
        "2600::1",
        "10.0.0.3",
    ]


def test_the_canonical_name_is_at_the_first_address(resolver: kdns.Resolver) -> None:
    found = resolver.getaddrinfo("bank", 80, flags=socket.AI_CANONNAME)

    assert [info[3] for info in found] == ["vault.bank.svc.cluster.local", "", ""]


def test_ipv4_may_stand_for_ipv6(resolver: kdns.Resolver) -> None:
    found = resolver.getaddrinfo("web", 80, V6, STREAM, flags=socket.AI_V4MAPPED)

    assert [info[4][0] for info in found] == ["::ffff:10.0.0.1"]


UNRESOLVED = {
    "nowhere": ("nope", 0, socket.EAI_NONAME, "service nope does not exist in namespace shop"),
    "the other family": ("web", V6, socket.EAI_NODATA, "service web has no IPv6 address"),
    "outside": ("www.example.org.", 0, socket.EAI_FAIL, "is outside the cluster"),
    "an alias to outside": ("mail", 0, socket.EAI_NODATA, "is outside the cluster"),
    "an alias of itself": ("round", 0, socket.EAI_AGAIN, "aliases in a row"),
}


@pytest.mark.parametrize(("host", "family", "number", "why"), UNRESOLVED.values(), ids=UNRESOLVED)
def test_the_errors_are_those_of_the_c_library_and_say_why(
    resolver: kdns.Resolver, host: str, family: int, number: int, why: str
) -> None:
    with pytest.raises(socket.gaierror) as error:
        resolver.getaddrinfo(host, 80, family)

    assert error.value.errno == number
    assert f"{host}: " in str(error.value.strerror)
    assert why in str(error.value.strerror)


# What nobody has to be asked about comes from the C library.
NUMERIC = {
    "an IPv4 address": ("192.0.2.1", 80, 0, 0),
    "an IPv6 address": ("2001:db8::1", "http", 0, 0),
    "an address as octets": (b"192.0.2.1", b"80", 0, 0),
    "no host": (None, 80, V4, 0),
    "no host, to listen": (None, 80, V4, socket.AI_PASSIVE),
    "an old form": ("127.1", 80, 0, 0),
    "no port": ("192.0.2.1", None, 0, 0),
}


@pytest.mark.parametrize(("host", "port", "family", "flags"), NUMERIC.values(), ids=NUMERIC)
def test_what_is_no_name_is_not_asked_for(
    resolver: kdns.Resolver,
    host: str | bytes | None,
    port: int | str | bytes | None,
    family: int,
    flags: int,
) -> None:
    expected = socket.getaddrinfo(host, port, family, flags=flags)

    assert resolver.getaddrinfo(host, port, family, flags=flags) == expected


ERRORS = {
    "a port": (("web", "no-such-service"), socket.EAI_SERVICE),
    "a name": (("web", 80, 0, 0, 0, socket.AI_NUMERICHOST), socket.EAI_NONAME),
    "a family": (("192.0.2.1", 80, V6), socket.EAI_ADDRFAMILY),
    "no family": (("web", 80, 12345), socket.EAI_FAMILY),
}


@pytest.mark.parametrize(("arguments", "number"), ERRORS.values(), ids=ERRORS)
def test_the_c_librarys_own_errors_stay(
    resolver: kdns.Resolver, arguments: tuple[Any, ...], number: int
) -> None:
    with pytest.raises(socket.gaierror) as error:
        resolver.getaddrinfo(*arguments)

    assert error.value.errno == number


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "web.localhost"])
def test_the_machines_own_name_is_not_asked_for(resolver: kdns.Resolver, host: str) -> None:
    found = resolver.getaddrinfo(host, 80, V4, STREAM)

    assert [info[4] for info in found] == [("127.0.0.1", 80)]


def test_names_may_be_octets_and_international(resolver: kdns.Resolver) -> None:
    assert resolver.getaddrinfo(b"web", 80, type=STREAM)[0][4] == ("10.0.0.1", 80)
    with pytest.raises(LookupFailed, match="xn--bcher-kva: service xn--bcher-kva does not exist"):
        resolver.getaddrinfo("bücher", 80)


def test_the_result_is_at_hand(resolver: kdns.Resolver) -> None:
    with pytest.raises(LookupFailed) as error:
        resolver.getaddrinfo("nope", 80)

    assert error.value.result.rtype == "A AAAA"
    assert error.value.result.tried[0].name == "nope.shop.svc.cluster.local."


def test_asyncio_has_it_too() -> None:
    async def lookup() -> list[object]:
        async with kdns.AsyncCluster(objects=SHOP) as cluster:
            found = await cluster.resolver("shop").getaddrinfo("web", 80, type=STREAM)
            return [info[4] for info in found]

    assert asyncio.run(lookup()) == [("10.0.0.1", 80)]


# -- in the place of socket.getaddrinfo ---------------------------------------------------------


def refuse(*_: object, **__: object) -> list[kdns.resolver.lookup.AddressInfo]:
    raise socket.gaierror(socket.EAI_NONAME, "asked the original")


def test_a_function_asks_the_cluster_and_then_another_one(resolver: kdns.Resolver) -> None:
    function = sockets.getaddrinfo(resolver, refuse)

    assert function("web", 80, type=STREAM)[0][4] == ("10.0.0.1", 80)
    with pytest.raises(socket.gaierror, match="asked the original"):
        function("www.example.org", 80)


def test_a_full_name_of_the_cluster_goes_to_nobody_else(resolver: kdns.Resolver) -> None:
    with pytest.raises(socket.gaierror, match="service nope does not exist"):
        sockets.getaddrinfo(resolver, refuse)("nope.shop.svc.cluster.local.", 80)


def test_without_another_function_names_outside_are_not_known(resolver: kdns.Resolver) -> None:
    with pytest.raises(socket.gaierror, match="outside the cluster"):
        sockets.getaddrinfo(resolver)("www.example.org", 80)


def test_it_is_in_place_while_a_block_runs(resolver: kdns.Resolver) -> None:
    before = socket.getaddrinfo

    with sockets.patched(resolver):
        assert socket.getaddrinfo("web", 80, type=STREAM)[0][4] == ("10.0.0.1", 80)
        assert socket.getaddrinfo("127.0.0.1", 80, type=STREAM)[0][4] == ("127.0.0.1", 80)

    assert socket.getaddrinfo is before


def test_it_is_gone_after_an_error(resolver: kdns.Resolver) -> None:
    before = socket.getaddrinfo

    with pytest.raises(ZeroDivisionError), sockets.patched(resolver):
        _ = 1 / 0

    assert socket.getaddrinfo is before


def test_programs_that_know_nothing_of_it_connect_by_name() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    there = service("here", "127.0.0.1", "default")

    def accept() -> None:
        connection, _ = listener.accept()
        connection.close()

    with listener, kdns.Cluster(objects=[there]) as cluster, sockets.patched(cluster.resolver()):
        thread = threading.Thread(target=accept)
        thread.start()
        with socket.create_connection(("here", port), 5) as connection:
            assert connection.recv(1) == b""
        thread.join(PATIENCE)


def test_asyncio_programs_do_too() -> None:
    async def connect(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("here", port)
        writer.close()
        await writer.wait_closed()
        return await reader.read()

    async def test() -> bytes:
        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            return await connect(server.sockets[0].getsockname()[1])

    there = service("here", "127.0.0.1", "default")
    with kdns.Cluster(objects=[there]) as cluster, sockets.patched(cluster.resolver()):
        assert asyncio.run(test()) == b""


def test_strict_patching_knows_only_the_cluster(resolver: kdns.Resolver) -> None:
    with sockets.patched(resolver, others=False), pytest.raises(socket.gaierror, match="outside"):
        socket.getaddrinfo("www.example.org", 80)
