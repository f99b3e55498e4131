"""``forward`` over TLS: whose certificate is believed, and what is used again."""

import ssl
from pathlib import Path

import pytest

from kdns.chain import Response, Transport
from kdns.upstream import certificates
from kdns.upstream.address import Upstream
from kdns.upstream.settings import Check, Settings
from tests.authority import Authority
from tests.end_to_end.fake_upstream import (
    Fake,
    addresses,
    asked_once,
    failure,
    fake,
    forwarding,
    request,
    run,
    says,
    silence,
    somewhere,
)

NAME = "dns.example"
ONCE = Settings(max_attempts=1)


def serving(authority: Authority, *names: str) -> ssl.SSLContext:
    """Prepare a server that has a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.certificate("server", names))
    return context


def over_tls(at: Upstream, name: str = "") -> Upstream:
    return Upstream(at.host, at.port, tls=True, name=name)


async def _ask(
    server: ssl.SSLContext, name: str, client: ssl.SSLContext | None, transport: Transport = "udp"
) -> tuple[Response, Fake]:
    async with fake(silence, says(), context=server) as one:
        upstream = over_tls(one.upstream, name)
        response = await asked_once(upstream, transport=transport, settings=ONCE, context=client)
        return response, one


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_certificate_of_the_right_name_is_believed(tmp_path: Path, transport: Transport) -> None:
    authority = Authority(tmp_path)
    context = certificates.context(authority=authority.path)

    response, server = run(_ask(serving(authority, "other", NAME), NAME, context, transport))
    assert addresses(response) == ["192.0.2.1"]
    assert (len(server.udp), len(server.tcp)) == (0, 1)


def test_without_a_name_the_certificate_must_have_the_address(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = certificates.context(authority=authority.path)
    at = somewhere()

    async def ask(names: str) -> Response:
        async with fake(silence, says(), at, serving(authority, names)):
            return await asked_once(over_tls(at), settings=ONCE, context=context)

    assert addresses(run(ask(at.host))) == ["192.0.2.1"]
    assert f"IP address mismatch, certificate is not valid for '{at.host}'" in failure(
        run(ask("127.0.0.1"))
    )


def test_a_certificate_of_another_name_is_not_believed(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = certificates.context(authority=authority.path)

    response, server = run(_ask(serving(authority, "other.example"), NAME, context))
    reason = f"certificate verify failed: Hostname mismatch, certificate is not valid for '{NAME}'."
    assert failure(response) == f"{server.upstream}: {reason}"
    assert not server.tcp


def test_a_common_name_is_no_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = certificates.context(authority=authority.path)

    response, _ = run(_ask(serving(authority), "server", context))
    assert "certificate verify failed: Hostname mismatch" in failure(response)


@pytest.mark.parametrize("own", [True, False], ids=["another authority", "those of the system"])
def test_a_certificate_of_an_unknown_authority_is_not_believed(
    tmp_path: Path, *, own: bool
) -> None:
    other = certificates.context(authority=Authority(tmp_path, "other").path) if own else None

    response, server = run(_ask(serving(Authority(tmp_path), NAME), NAME, other))
    assert "certificate verify failed: unable to get local issuer certificate" in failure(response)
    assert not server.tcp


@pytest.mark.parametrize("known", [True, False])
def test_a_server_that_wants_a_certificate_gets_it(tmp_path: Path, *, known: bool) -> None:
    authority = Authority(tmp_path)
    server = serving(authority, NAME)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(authority.path)
    pair = authority.certificate("client") if known else ("", "")

    response, _ = run(_ask(server, NAME, certificates.context(*pair, authority.path)))
    if known:
        assert addresses(response) == ["192.0.2.1"]
    else:
        failure(response)


def test_a_server_without_tls_is_of_no_use(tmp_path: Path) -> None:
    context = certificates.context(authority=Authority(tmp_path).path)

    async def test() -> Response:
        async with fake(says()) as one:
            settings = Settings(max_attempts=1, read_timeout=0.2)
            return await asked_once(over_tls(one.upstream), settings=settings, context=context)

    failure(run(test()))


def test_a_connection_is_used_again(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = certificates.context(authority=authority.path)

    async def test() -> Fake:
        async with (
            fake(silence, says(), context=serving(authority, NAME)) as one,
            forwarding(over_tls(one.upstream, NAME), context=context) as handler,
        ):
            for transport in ("udp", "tcp", "udp"):
                assert addresses(await handler(request(transport=transport)))
            return one

    server = run(test())
    assert (server.connections, len(server.tcp)) == (1, 3)


def test_health_is_checked_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = certificates.context(authority=authority.path)

    async def test() -> list[str]:
        at = somewhere()
        upstream, settings = over_tls(at, NAME), Settings(check=Check(0.01))
        async with forwarding(upstream, settings=settings, context=context) as handler:
            failure(await handler(request()))
            async with fake(silence, says(), at, serving(authority, NAME)) as one:
                await one.arrived.wait()
                return [str(query.question[0]) for query in one.tcp]

    assert run(test()) == [". IN NS"]
