"""``forward`` in a Corefile: what is read, what is refused, and which names it is for."""

import asyncio
from functools import partial
from pathlib import Path

import dns.message
import dns.rdatatype
import pytest

from kdns.assembly import Block
from kdns.chain import Answer, Handler, Relay, Response
from kdns.directives import forward as forward_block
from kdns.directives.forward import UNLIMITED, Rules, Wanted
from kdns.errors import CorefileError
from kdns.plugins import forward
from kdns.upstream import resolvconf
from kdns.upstream.address import Upstream
from kdns.upstream.settings import Check, Settings
from kdns.wire import names
from tests.authority import Authority
from tests.end_to_end.fake_upstream import (
    Fake,
    addresses,
    failure,
    fake,
    rcode,
    run,
    says,
    says_rcode,
    somewhere,
)
from tests.patience import PATIENCE
from tests.plugin import block, directives, handled, request, running, sample, setup_of

ANYONE = "192.0.2.1"


def read(text: str, made: Block | None = None) -> Wanted:
    [wanted] = forward_block.read(directives(text), made or block())
    return wanted


def with_option(option: str) -> Wanted:
    return read(f"forward . {ANYONE} {{\n{option}\n}}")


# -- what is read -------------------------------------------------------------------------------


def test_without_options_it_is_as_with_coredns() -> None:
    wanted = read(f"forward . {ANYONE} 2001:db8::1 192.0.2.2:5353")

    assert forward_block.upstreams(wanted, block()) == (
        [Upstream(ANYONE), Upstream("2001:db8::1"), Upstream("192.0.2.2", 5353)],
        "",
    )
    assert wanted.rules == Rules(most=UNLIMITED)
    assert wanted.settings == Settings(
        policy="random", expire=10.0, read_timeout=2.0, max_fails=2, check=Check(0.5)
    )
    assert wanted.context is None


asks = partial(Settings, policy="random")
"""Settings as they are in a Corefile where nothing else is said."""


SETTINGS = {
    "force_tcp": asks(force_tcp=True),
    "prefer_udp": asks(prefer_udp=True),
    "expire 1m": asks(expire=60.0),
    "expire 0s": asks(expire=0.0),
    "max_age 1m": asks(max_age=60.0),
    "max_age 0s": asks(),
    "max_idle_conns 0": asks(),
    "max_idle_conns 7": asks(max_idle=7),
    "read_timeout 500ms": asks(read_timeout=0.5),
    "max_fails 0": asks(max_fails=0),
    "max_fails 3": asks(max_fails=3),
    "max_connect_attempts 0": asks(max_attempts=0),
    "max_connect_attempts 5": asks(max_attempts=5),
    "policy random": asks(),
    "policy round_robin": Settings(policy="round_robin"),
    "policy sequential": Settings(policy="sequential"),
    "health_check 0.5s": asks(),
    "health_check 5s": asks(check=Check(5.0)),
    "health_check 5s no_rec": asks(check=Check(5.0, recursion=False)),
    "health_check 5s domain Example.org": asks(
        check=Check(5.0, domain=names.from_text("example.org"))
    ),
    "health_check 5s no_rec domain .": asks(check=Check(5.0, recursion=False)),
    "failfast_all_unhealthy_upstreams": asks(failfast=True),
    "failover SERVFAIL refused": asks(failover=frozenset((2, 5))),
    "failover SERVFAIL\nfailover REFUSED": asks(failover=frozenset((2, 5))),
    "source_address 192.0.2.7": asks(source="192.0.2.7"),
    "source_address 2001:DB8::7": asks(source="2001:db8::7"),
    "tls_servername dns.example": asks(),
    "resolver 192.0.2.53": asks(),
    "resolver 192.0.2.53 192.0.2.54:5353 [2001:db8::1]:53 2001:db8::1": asks(),
    "max_fails 3\nmax_fails 4": asks(max_fails=4),
}


@pytest.mark.parametrize(("option", "expected"), SETTINGS.items())
def test_an_option_about_asking(option: str, expected: Settings) -> None:
    assert with_option(option).settings == expected


limited = partial(Rules, most=UNLIMITED)


RULES = {
    "except example.org Example.NET": limited(
        excepted=(names.from_text("example.org"), names.from_text("example.net"))
    ),
    "except a\nexcept b": limited(excepted=(names.from_text("a"), names.from_text("b"))),
    "except 10.0.0.0/15": limited(
        excepted=(names.from_text("0.10.in-addr.arpa"), names.from_text("1.10.in-addr.arpa"))
    ),
    "max_concurrent 1000": limited(most=1000),
    "max_concurrent 0": limited(),
    "next NXDOMAIN servfail": limited(next_rcodes=frozenset((3, 2))),
    "next_on_nodata": limited(next_on_nodata=True),
}


@pytest.mark.parametrize(("option", "expected"), RULES.items())
def test_an_option_about_names(option: str, expected: Rules) -> None:
    assert with_option(option).rules == expected


def test_from_is_a_zone_in_lower_case() -> None:
    assert read(f"forward Example.ORG {ANYONE}").rules.zone == names.from_text("example.org")
    assert read(f"forward 10.9.0.0/16 {ANYONE}").rules.zone == names.from_text("9.10.in-addr.arpa")


def test_of_a_network_that_is_several_zones_the_first_is_used_with_a_warning() -> None:
    made = block()
    wanted = read(f"forward 10.9.3.0/18 {ANYONE}", made)

    assert wanted.rules.zone == names.from_text("0.9.10.in-addr.arpa")
    assert made.warnings == [
        "Corefile:2: 10.9.3.0/18 is 64 zones, of which only 0.9.10.in-addr.arpa. is used"
    ]


def test_an_upstream_that_is_named_twice_is_asked_once() -> None:
    wanted = read("forward . 192.0.2.1 192.0.2.1:53 dns://192.0.2.1 192.0.2.2")

    found, _ = forward_block.upstreams(wanted, block())
    assert found == [Upstream(ANYONE), Upstream("192.0.2.2")]


def test_a_server_name_is_for_those_that_are_asked_over_tls() -> None:
    text = "forward . tls://9.9.9.9 192.0.2.1 {\ntls_servername dns.quad9.net\n}"

    found, _ = forward_block.upstreams(read(text), block())
    assert found == [Upstream("9.9.9.9", 853, True, "dns.quad9.net"), Upstream(ANYONE)]


@pytest.mark.parametrize("words", ["", "ca", "cert key", "cert key ca"])
def test_tls_takes_files_below_root(words: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = (Path(one).name for one in authority.certificate("client"))
    files = {"ca": Path(authority.path).name, "cert": certificate, "key": key}
    made = block()
    made.root = tmp_path

    wanted = read(
        f"forward . tls://9.9.9.9 {{\ntls {' '.join(files[word] for word in words.split())}\n}}",
        made,
    )
    assert wanted.context is not None
    if "ca" in words.split():
        assert len(wanted.context.get_ca_certs()) == 1


def test_a_host_is_looked_up_with_the_resolver() -> None:
    def answers(query: dns.message.Message) -> list[bytes]:
        ipv4 = query.question[0].rdtype == dns.rdatatype.A
        return says("192.0.2.99")(query) if ipv4 else says_rcode("NOERROR")(query)

    async def test() -> tuple[list[Upstream], str]:
        async with fake(answers) as one:
            text = f"forward . dns.example:5353 {{\nresolver {one.upstream}\n}}"
            wanted = await asyncio.to_thread(read, text)
            return forward_block.upstreams(wanted, block())

    assert run(test()) == ([Upstream("192.0.2.99", 5353)], "")


def test_a_block_with_forward_has_recursion_and_all_classes() -> None:
    _, made = setup_of(forward.setup, f"forward . {ANYONE}")

    assert made.recursion
    assert made.any_class


# -- what is refused ----------------------------------------------------------------------------

WORDS = {
    "forward": "forward: expected a zone and at least one address, got no words",
    "forward .": "forward: expected a zone and at least one address, got one word",
    f"forward . {' '.join(f'192.0.2.{n}' for n in range(1, 17))}": "at most 15 addresses, got 16",
    "forward . https://9.9.9.9": "'https://9.9.9.9': upstreams are not asked over HTTPS; tls:// is",
    "forward . quic://9.9.9.9": "expected dns:// or tls://, got quic://",
    "forward . /no/such/resolv.conf": "expected an IP address, a file that is there, or a host",
    "forward . 192.0.2.1:99999": "expected a port from 1 to 65535",
    f"forward {'x' * 64} {ANYONE}": "expected a zone or a network",
    "forward . tls://9.9.9.9%one {\ntls_servername two\n}": "tls_servername two: expected one",
}
OPTIONS = {
    "blaatl": "unknown property 'blaatl' of forward: expected one of except, force_tcp",
    "max_failss 1": "did you mean 'max_fails'",
    "except": "except: expected at least one name, got no words",
    "force_tcp yes": "force_tcp: expected no arguments",
    "prefer_udp yes": "prefer_udp: expected no arguments",
    "failfast_all_unhealthy_upstreams false": "expected no arguments",
    "next_on_nodata yes": "expected no arguments",
    "expire": "expire: expected one duration, got no words",
    "expire 10": "expected a duration like 30s",
    "expire -1s": "expected a duration of at least 0s, got '-1s'",
    "max_age -1s": "expected a duration of at least 0s",
    "expire 30s\nmax_age 10s": "max_age must not be less than expire",
    "max_idle_conns -1": "expected a whole number from 0",
    "max_idle_conns many": "expected a whole number from 0",
    "read_timeout 0s": "read_timeout: expected a duration above 0",
    "read_timeout -1s": "expected a duration of at least 0s",
    "max_fails -1": "expected a whole number from 0",
    "max_fails 1 2": "max_fails: expected one number, got 2 words",
    "max_connect_attempts -4": "expected a whole number from 0",
    "max_concurrent many": "expected a whole number from 0",
    "max_concurrent -4": "expected a whole number from 0",
    "doh_method POST": "doh_method: upstreams are not asked over HTTPS; tls:// is supported",
    "policy best": "unknown policy 'best': expected one of random, round_robin, sequential",
    "health_check": "health_check: expected at least one word",
    "health_check no_rec": "expected a duration like 30s",
    "health_check 1s rec": "unknown option of health_check 'rec': expected one of no_rec, domain",
    "health_check 1s domain": "health_check: expected a name after domain",
    "health_check 1s domain a..b": "health_check: expected a name, got 'a..b'",
    "next": "next: expected at least one rcode",
    "next NXDOMIAN": "unknown rcode 'NXDOMIAN'.*did you mean 'NXDOMAIN'",
    "failover": "failover: expected at least one rcode",
    "failover NOERROR": "failover: NOERROR is no failure",
    "failover WHAT": "unknown rcode 'WHAT'",
    "source_address here": "expected an IP address, got 'here'",
    "source_address": "source_address: expected one address",
    "resolver": "resolver: expected at least one address",
    "resolver dns.example": "resolver: upstream 'dns.example': expected ADDR",
    "tls a b c d": "tls: expected at most 3 files, got 4 words",
    "tls /no/such.pem": r"tls: /no/such\.pem: No such file",
    "tls_servername": "tls_servername: expected one name",
}
TEXTS = {
    **WORDS,
    **{f"forward . {ANYONE} {{\n{option}\n}}": why for option, why in OPTIONS.items()},
}


@pytest.mark.parametrize(("text", "reason"), TEXTS.items())
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(CorefileError, match=f"Corefile:.*{reason}"):
        read(text)


def test_files_without_any_nameserver_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.conf"
    empty.write_text("# nameserver 192.0.2.1\n")

    with pytest.raises(CorefileError, match="none of the files has a nameserver"):
        read(f"forward . {empty}")
    found, _ = forward_block.upstreams(read(f"forward . {empty} {ANYONE}"), block())
    assert found == [Upstream(ANYONE)]


# -- a file that leads to this server -------------------------------------------------------------


def _placed(path: Path, *, host: str = "", port: int = 53) -> tuple[Block, Wanted]:
    made = block()
    wanted = read(f"forward . {path}", made)
    made.addresses = ((host, port),)
    return made, wanted


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A resolv.conf that names the stub of systemd-resolved; nothing is known behind it."""
    monkeypatch.setattr(resolvconf, "REAL", tmp_path / "real.conf")
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.53\n")
    return path


def test_a_stub_that_is_this_server_is_replaced_by_the_resolvers_behind_it(stub: Path) -> None:
    real = stub.parent / "real.conf"
    real.write_text("nameserver 192.0.2.1\nnameserver 127.0.0.1\n")
    made, wanted = _placed(stub)

    assert forward_block.upstreams(wanted, made) == ([Upstream(ANYONE)], "")
    ours = f"127.0.0.53:53 of {stub} is this server itself"
    assert made.remarks == [f"Corefile:2: {ours}: the resolvers of {real} are asked instead"]


def test_where_nothing_is_behind_it_forwarding_fails_and_says_so(stub: Path) -> None:
    made, wanted = _placed(stub)

    failed = f"127.0.0.53:53 of {stub} is this server itself"
    assert forward_block.upstreams(wanted, made) == ([], failed)
    [warning] = made.remarks
    assert f"{failed}: what would be forwarded is answered SERVFAIL; name other" in warning


def test_of_several_only_those_that_are_this_server_are_left_out(stub: Path) -> None:
    stub.write_text("nameserver 127.0.0.1\nnameserver 192.0.2.1\nnameserver ::1\n")
    made, wanted = _placed(stub)

    assert forward_block.upstreams(wanted, made) == ([Upstream(ANYONE)], "")
    assert made.remarks == [
        f"Corefile:2: 127.0.0.1:53, [::1]:53 of {stub} is this server itself: it is not asked"
    ]


ELSEWHERE = {"another port": ("", 5353), "another address": ("169.254.20.10", 53), "free": ("", 0)}


@pytest.mark.parametrize(("host", "port"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_stub_that_is_another_server_is_asked(stub: Path, host: str, port: int) -> None:
    made, wanted = _placed(stub, host=host, port=port)

    assert forward_block.upstreams(wanted, made) == ([Upstream("127.0.0.53")], "")
    assert made.remarks == []


def test_an_address_that_is_written_out_is_asked_whoever_it_is() -> None:
    made = block()
    wanted = read("forward . 127.0.0.1", made)
    made.addresses = (("", 53),)

    assert forward_block.upstreams(wanted, made) == ([Upstream("127.0.0.1")], "")
    assert made.warnings == []


def test_where_forwarding_fails_names_outside_get_servfail_and_others_are_answered(
    stub: Path,
) -> None:
    plugin, made = setup_of(forward.setup, f"forward example.org {stub}")
    assert plugin is not None
    made.addresses = (("", 53),)
    for placement in made.placements:
        placement()

    async def test() -> tuple[Response, Response]:
        async with running(made):
            return (
                await handled(request([plugin], "www.example.org A")),
                await handled(request([plugin], "www.example.net A")),
            )

    inside, outside = run(test())
    assert failure(inside) == f"127.0.0.53:53 of {stub} is this server itself"
    assert outside.by == "last"


# -- which names --------------------------------------------------------------------------------


async def _asked(text: str, *questions: str, last: Handler | None = None) -> list[Response]:
    """Ask a block of forwards."""
    plugin, made = setup_of(forward.setup, text)
    assert plugin is not None
    more = {} if last is None else {"last": last}
    async with running(made):
        return [await handled(request([plugin], one, **more)) for one in questions]  # type: ignore[arg-type]


NAMES = {
    "example.org": True,
    "www.example.org": True,
    "WWW.Example.ORG": True,
    "example.net": False,
    "badexample.org": False,
    "org": False,
    "internal.example.org": False,
    "a.INTERNAL.example.org": False,
    "notinternal.example.org": True,
}


@pytest.mark.parametrize(("name", "expected"), NAMES.items())
def test_from_and_except_decide_by_name(name: str, *, expected: bool) -> None:
    async def test() -> Response:
        async with fake(says()) as one:
            text = f"forward example.org {one.upstream} {{\nexcept internal.example.org\n}}"
            [response] = await _asked(text, f"{name} A")
            return response

    response = run(test())
    assert response.by == ("forward" if expected else "last")


def test_from_itself_is_forwarded_whatever_is_excepted() -> None:
    async def test() -> list[Response]:
        async with fake(says()) as one:
            text = f"forward example.org {one.upstream} {{\nexcept org\n}}"
            return await _asked(text, "example.org A", "www.example.org A")

    assert [response.by for response in run(test())] == ["forward", "last"]


def test_the_first_forward_that_a_name_is_in_is_asked() -> None:
    async def test() -> list[Response]:
        async with fake(says("192.0.2.1")) as one, fake(says("192.0.2.2")) as two:
            text = f"forward lab.example {one.upstream}\nforward example {two.upstream}"
            return await _asked(text, "a.lab.example A", "a.example A", "a.test A")

    lab, example, other = run(test())
    assert (addresses(lab), addresses(example)) == (["192.0.2.1"], ["192.0.2.2"])
    assert other.by == "last"


def test_a_forward_that_is_never_reached_is_warned_about() -> None:
    text = "forward example 192.0.2.1\nforward lab.example 192.0.2.2\nforward . 192.0.2.3"
    _, made = setup_of(forward.setup, text)

    assert made.warnings == [
        "Corefile:3: forward lab.example is never reached: forward example. stands before it"
    ]


REACHED = {
    "next": "forward . 192.0.2.1 {\nnext NXDOMAIN\n}\nforward . 192.0.2.2",
    "next_on_nodata": "forward . 192.0.2.1 {\nnext_on_nodata\n}\nforward . 192.0.2.2",
    "except": "forward . 192.0.2.1 {\nexcept lab.example\n}\nforward lab.example 192.0.2.2",
    "except below": "forward . 192.0.2.1 {\nexcept a.lab.example\n}\nforward lab.example 192.0.2.2",
    "the other order": "forward lab.example 192.0.2.2\nforward . 192.0.2.1",
}


@pytest.mark.parametrize("text", REACHED.values(), ids=REACHED)
def test_a_forward_that_is_reached_is_not_warned_about(text: str) -> None:
    _, made = setup_of(forward.setup, text)

    assert made.warnings == []


# -- next ---------------------------------------------------------------------------------------


def _nodata(query: dns.message.Message) -> list[bytes]:
    return [dns.message.make_response(query).to_wire()]


NEXT = {
    "an rcode": ("next NXDOMAIN SERVFAIL", says_rcode("NXDOMAIN"), "NOERROR", 1),
    "another rcode": ("next SERVFAIL", says_rcode("NXDOMAIN"), "NXDOMAIN", 0),
    "no data": ("next_on_nodata", _nodata, "NOERROR", 1),
    "data": ("next_on_nodata", says("192.0.2.1"), "NOERROR", 0),
    "no data, and NXDOMAIN": ("next_on_nodata", says_rcode("NXDOMAIN"), "NXDOMAIN", 0),
}


@pytest.mark.parametrize(("option", "first", "expected", "asked"), NEXT.values(), ids=NEXT)
def test_next_asks_the_forward_after_it(
    option: str, first: object, expected: str, asked: int
) -> None:
    async def test() -> tuple[Response, Fake]:
        async with fake(first) as one, fake(says("192.0.2.2")) as two:  # type: ignore[arg-type]
            text = f"forward . {one.upstream} {{\n{option}\n}}\nforward . {two.upstream}"
            [response] = await _asked(text, "www.example A")
            return response, two

    response, second = run(test())
    assert (rcode(response), len(second.udp)) == (expected, asked)


def test_next_asks_no_other_plugin() -> None:
    async def test() -> Response:
        async with fake(says_rcode("NXDOMAIN")) as one:
            [response] = await _asked(f"forward . {one.upstream} {{\nnext NXDOMAIN\n}}", "a. A")
            return response

    assert rcode(run(test())) == "NXDOMAIN"


def test_the_forward_after_it_may_be_for_other_names() -> None:
    async def test() -> list[Response]:
        async with fake(says_rcode("NXDOMAIN")) as one, fake(says()) as two:
            first = f"forward . {one.upstream} {{\nnext NXDOMAIN\n}}"
            return await _asked(f"{first}\nforward example {two.upstream}", "a.example A", "b. A")

    inside, outside = run(test())
    assert rcode(inside) == "NOERROR"
    assert outside.by == "last"


# -- metrics ------------------------------------------------------------------------------------


def _sampled(
    text: str, *names_of: str, count: int = 2
) -> tuple[dict[tuple[str, str], float | None], str]:
    """Ask so often; return samples by name and rcode, for one upstream."""
    found: dict[tuple[str, str], float | None] = {}

    async def test() -> str:
        async with fake(says_rcode("NXDOMAIN")) as one:
            plugin, made = setup_of(forward.setup, text.format(one.upstream))
            assert plugin is not None
            async with running(made):
                for _ in range(count):
                    await handled(request([plugin], "www.example. A"))
            for name in names_of:
                name_, _, labels = name.partition("{")
                pairs = dict(pair.split("=") for pair in labels.rstrip("}").split(",") if pair)
                to = {"to": str(one.upstream)} if "to" not in pairs else {}
                found[name_, labels] = sample(made, name_, **pairs, **to)
            return str(one.upstream)

    return found, run(test())


def test_exchanges_are_counted_as_with_coredns_and_under_their_historic_names() -> None:
    found, _ = _sampled(
        "forward . {}",
        "coredns_proxy_request_duration_seconds_count{proxy_name=forward,rcode=NXDOMAIN}",
        "coredns_proxy_conn_cache_misses_total{proxy_name=forward,proto=udp}",
        "coredns_proxy_conn_cache_hits_total{proxy_name=forward,proto=udp}",
        "coredns_forward_requests_total",
        "coredns_forward_responses_total{rcode=NXDOMAIN}",
        "coredns_forward_request_duration_seconds_count{rcode=NXDOMAIN}",
        "coredns_forward_request_duration_seconds_bucket{rcode=NXDOMAIN,le=+Inf}",
    )

    assert [*found.values()] == [2, 1, 1, 2, 2, 2, 2]


def test_a_connection_is_counted_by_its_transport() -> None:
    found, _ = _sampled(
        "forward . {} {{\nforce_tcp\n}}",
        "coredns_proxy_conn_cache_misses_total{proxy_name=forward,proto=tcp}",
        "coredns_proxy_conn_cache_hits_total{proxy_name=forward,proto=tcp}",
        count=3,
    )

    assert [*found.values()] == [1, 2]


def test_failures_are_counted() -> None:
    gone = somewhere()

    async def test() -> Block:
        text = f"forward . {gone} {{\nhealth_check 10ms\n}}"
        plugin, made = setup_of(forward.setup, text)
        assert plugin is not None
        async with running(made), asyncio.timeout(PATIENCE):
            while not sample(made, "coredns_forward_healthcheck_broken_total"):
                response = await handled(request([plugin], "www.example. A"))
                assert isinstance(response, Answer)
                await asyncio.sleep(0.01)
        return made

    made = run(test())
    checks = sample(
        made, "coredns_proxy_healthcheck_failures_total", proxy_name="forward", to=str(gone)
    )
    assert checks is not None
    assert checks >= 3
    historic = sample(made, "coredns_forward_healthcheck_failures_total", to=str(gone))
    assert historic == checks
    assert sample(made, "coredns_forward_max_concurrent_rejects_total") == 0


def test_queries_beyond_max_concurrent_are_counted() -> None:
    async def test() -> tuple[list[Response], float | None]:
        async with fake(says()) as one:
            text = f"forward . {one.upstream} {{\nmax_concurrent 1\n}}"
            plugin, made = setup_of(forward.setup, text)
            assert plugin is not None
            async with running(made):
                both = (handled(request([plugin], f"{n}.example. A")) for n in range(2))
                responses = await asyncio.gather(*both)
            return responses, sample(made, "coredns_forward_max_concurrent_rejects_total")

    responses, count = run(test())
    assert [type(one) for one in responses] == [Relay, Answer]
    assert rcode(responses[1]) == "REFUSED"
    assert count == 1


def test_counts_outlive_a_configuration() -> None:
    async def test() -> float | None:
        async with fake(says()) as one:
            made = block()
            for _ in range(2):
                plugin, _ = setup_of(forward.setup, f"forward . {one.upstream}", into=made)
                assert plugin is not None
                await handled(request([plugin], "www.example. A"))
            async with running(made):
                return sample(made, "coredns_forward_requests_total", to=str(one.upstream))

    assert run(test()) == 2
