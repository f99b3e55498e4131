"""The order of addresses, under a chance that is the same in every run."""

import asyncio
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from random import Random

import pytest

from kdns.chain import FIXED, Answer, Handler, Plugin, Relay, Response
from kdns.corefile.zones import Network
from kdns.errors import CorefileError
from kdns.plugins import loadbalance
from kdns.plugins.loadbalance import LoadBalance, Weights
from kdns.wire import codes, names, relay
from kdns.wire.query import Edns, Query, ask
from tests.patience import PATIENCE
from tests.plugin import (
    answer,
    block,
    dropped,
    handled,
    lines,
    message,
    own,
    plugin_of,
    request,
    running,
    says,
    setup_of,
)
from tests.unit.wire.test_relay import response, texts

NAME = "www.example.org."
QUERY = ask(names.from_text(NAME), codes.A)
ADDRESSES = [f"{NAME} 60 IN A 192.0.2.{n}" for n in (1, 2, 3)]
ALIAS = f"{NAME} 60 IN CNAME edge.example.org."
EDGE = [f"edge.example.org. 60 IN A 192.0.2.{n}" for n in (1, 2, 3)]
MAIL = [f"{NAME} 60 IN MX {n} mail{n}.example.org." for n in (1, 2, 3)]
GLUE = [f"additional ns.example.org. 60 IN A 192.0.2.{n}" for n in (1, 2)]
TIMES = 600


def upstream(*given: str, query: Query = QUERY, rcode: int = 0) -> Relay:
    return Relay(response(*given, query=query, rcode=rcode), "forward")


def ours(*given: str, query: Query = QUERY, rcode: int = 0) -> Answer:
    sections = relay.sections(response(*given, query=query, rcode=rcode), query)
    return Answer(sections, FIXED, by="file")


def shown(response: Response, query: Query = QUERY) -> list[str]:
    read = message(response, query)
    return [*lines(read.answer), *lines(read.additional)]


def seen(plugin: LoadBalance, last: Handler, query: Query = QUERY) -> list[tuple[str, ...]]:
    """What many clients get, one after the other."""
    return [tuple(shown(answer(plugin, query, last=last), query)) for _ in range(TIMES)]


def evenly(counts: Counter[tuple[str, ...]], kinds: int) -> bool:
    """Whether there are so many kinds, and none is much more frequent than another."""
    expected = TIMES / kinds
    return len(counts) == kinds and all(abs(n - expected) < 0.4 * expected for n in counts.values())


def balance(*prefer: str, weights: Weights | None = None) -> LoadBalance:
    networks: list[Network] = [ip_network(one) for one in prefer]
    return LoadBalance(weights, networks, Random(20))  # noqa: S311 - the same in every run


# -- what upstreams say -------------------------------------------------------------------------


def test_every_order_of_an_upstreams_addresses_is_as_likely() -> None:
    assert evenly(Counter(seen(balance(), says(upstream(*ADDRESSES)))), 6)


def test_addresses_behind_an_alias_change_places_and_the_alias_does_not() -> None:
    orders = seen(balance(), says(upstream(ALIAS, *EDGE)))

    assert {order[0] for order in orders} == {f"{NAME} 60 CNAME edge.example.org."}
    assert len(set(orders)) == 6


def test_additional_addresses_change_places_too() -> None:
    orders = seen(balance(), says(upstream(ADDRESSES[0], *GLUE)))

    assert len(set(orders)) == 2
    assert {order[0] for order in orders} == {f"{NAME} 60 A 192.0.2.1"}


def test_what_is_known_of_its_order_is_not_looked_for_again() -> None:
    found = relay.order(relay.locate(upstream(*ADDRESSES).message))
    came = Relay(upstream(*ADDRESSES).message, "cache", QUERY, found, (("pod", "a"),))

    went = answer(balance(), QUERY, last=says(came))

    assert isinstance(went, Relay)
    assert (went.by, went.ready, went.order, went.owners) == ("cache", QUERY, found, came.owners)
    assert sorted(texts(went.message)) == ADDRESSES

    unordered = Relay(came.message, order=relay.Order())
    assert answer(balance(), QUERY, last=says(unordered)) is unordered


def test_an_alias_comes_before_addresses() -> None:
    came = upstream(*EDGE[:1], ALIAS)
    query = ask(QUERY.name, codes.A, edns=Edns(1232))

    went = answer(balance(), query, last=says(came))

    assert own(went).by == "forward"
    assert own(went).owners == ()
    assert shown(went, query) == [
        f"{NAME} 60 CNAME edge.example.org.",
        "edge.example.org. 60 A 192.0.2.1",
    ]


@pytest.mark.parametrize("made", [upstream, ours])
def test_mx_records_change_places(made: object) -> None:
    query = ask(QUERY.name, codes.MX)
    came = upstream(*MAIL, query=query) if made is upstream else ours(*MAIL, query=query)

    assert evenly(Counter(seen(balance(), says(came), query)), 6)
    assert own(answer(balance(), query, last=says(came))).owners == ()


UNTOUCHED = {
    "one address": upstream(ADDRESSES[0]),
    "NXDOMAIN with addresses": upstream(*ADDRESSES, rcode=3),
    "NXDOMAIN with an alias behind": upstream(*EDGE[:1], ALIAS, rcode=3),
    "malformed": Relay(b"\0\0\x80\0\0\1\0\1"),
    "an NXDOMAIN of ours": ours(*ADDRESSES, rcode=3),
}


@pytest.mark.parametrize("came", UNTOUCHED.values(), ids=UNTOUCHED)
def test_what_passes_untouched(came: Response) -> None:
    assert answer(balance(), QUERY, last=says(came)) is came


def test_what_cannot_be_read_passes_untouched() -> None:
    other = ask(names.from_text("wwx.example.org"), codes.A)
    came = upstream(*EDGE[:1], ALIAS, query=other)

    assert answer(balance(), QUERY, last=says(came)) is came


@pytest.mark.parametrize("rtype", [codes.AXFR, codes.IXFR])
def test_a_transfer_keeps_its_order(rtype: int) -> None:
    query = ask(QUERY.name, rtype)
    for came in (upstream(*ADDRESSES, query=query), ours(*ADDRESSES, query=query)):
        assert answer(balance(), query, last=says(came)) is came


# -- what we say --------------------------------------------------------------------------------


def test_an_answer_of_ours_rotates_and_is_prepared() -> None:
    came = ours(ALIAS, *EDGE)
    went = own(answer(balance(), QUERY, last=says(came)))

    assert went.rotate
    assert (went.sections, went.owners, went.by) == (came.sections, FIXED, "file")


def test_aliases_come_first_and_addresses_last() -> None:
    came = ours(EDGE[0], f"{NAME} 60 IN TXT x", ALIAS, EDGE[1])

    assert shown(answer(balance(), QUERY, last=says(came))) == [
        f"{NAME} 60 CNAME edge.example.org.",
        f'{NAME} 60 TXT "x"',
        "edge.example.org. 60 A 192.0.2.1",
        "edge.example.org. 60 A 192.0.2.2",
    ]


# -- weights ------------------------------------------------------------------------------------


def weights(tmp_path: Path, text: str) -> Weights:
    path = tmp_path / "weights"
    path.write_text(text)
    made = Weights(path)
    assert made.read()
    return made


WEIGHTS = "WWW.example.org\n192.0.2.1 3\n192.0.2.3 2\n"


@pytest.mark.parametrize("made", [upstream, ours])
def test_the_first_address_is_drawn_by_weight(made: object, tmp_path: Path) -> None:
    came = upstream(*ADDRESSES) if made is upstream else ours(*ADDRESSES)
    orders = seen(balance(weights=weights(tmp_path, WEIGHTS)), says(came))

    first = Counter(order[0].split()[-1][-1] for order in orders)
    assert first["1"] == pytest.approx(TIMES * 3 / 6, rel=0.2)
    assert first["2"] == pytest.approx(TIMES * 1 / 6, rel=0.4)
    assert first["3"] == pytest.approx(TIMES * 2 / 6, rel=0.2)
    assert all(len(order) == 3 for order in orders)


def test_only_the_first_two_change_places(tmp_path: Path) -> None:
    sure = "www.example.org\n192.0.2.3 255\n"
    orders = seen(balance(weights=weights(tmp_path, sure)), says(upstream(*ADDRESSES)))

    [(order, _)] = Counter(orders).most_common(1)
    assert [line.split()[-1][-1] for line in order] == ["3", "2", "1"]


def test_an_answer_by_weight_is_made_for_every_query(tmp_path: Path) -> None:
    plugin = balance(weights=weights(tmp_path, WEIGHTS))

    assert own(answer(plugin, QUERY, last=says(ours(*ADDRESSES)))).owners == ()
    assert own(answer(plugin, QUERY, last=says(ours(ADDRESSES[0])))).owners


def test_an_answer_without_weights_rotates_until_it_has_some(tmp_path: Path) -> None:
    known = weights(tmp_path, "other.example.org\n192.0.2.1 3\n")
    went = own(answer(balance(weights=known), QUERY, last=says(ours(*ADDRESSES))))

    assert went.rotate
    assert went.owners == (*FIXED, known.owner)


def test_an_upstreams_addresses_without_weights_are_as_likely(tmp_path: Path) -> None:
    known = weights(tmp_path, "other.example.org\n192.0.2.1 3\n")
    orders = seen(balance(weights=known), says(upstream(*ADDRESSES)))

    assert evenly(Counter(order[:1] for order in orders), 3)


@pytest.mark.parametrize("rtype", [codes.TXT, codes.MX, codes.CNAME])
def test_weights_are_for_questions_about_addresses_and_services(rtype: int, tmp_path: Path) -> None:
    query = ask(QUERY.name, rtype)
    plugin = balance(weights=weights(tmp_path, WEIGHTS))
    for came in (upstream(*ADDRESSES, query=query), ours(*ADDRESSES, query=query)):
        assert answer(plugin, query, last=says(came)) is came


def test_the_targets_of_a_service_have_weights(tmp_path: Path) -> None:
    query = ask(names.from_text("_http._tcp.example.org"), codes.SRV)
    given = (
        f"_http._tcp.example.org. 60 IN SRV 0 0 80 {NAME}",
        *(f"additional {line}" for line in ADDRESSES),
    )
    plugin = balance(weights=weights(tmp_path, "www.example.org\n192.0.2.2 255\n"))
    for came in (upstream(*given, query=query), ours(*given, query=query)):
        first = Counter(order[1] for order in seen(plugin, says(came), query))
        assert first.most_common(1)[0][0] == f"{NAME} 60 A 192.0.2.2"


# -- preferred networks -------------------------------------------------------------------------

PREFERRED = [f"{NAME} 60 IN A {address}" for address in ("10.9.3.1", "192.0.2.1", "10.9.2.1")]


@pytest.mark.parametrize("made", [upstream, ours])
def test_addresses_of_preferred_networks_come_first(made: object) -> None:
    given = [*PREFERRED, f"{NAME} 60 IN A 10.9.2.2", f"{NAME} 60 IN A 192.0.2.2"]
    came = upstream(*given) if made is upstream else ours(*given)
    orders = seen(balance("2001:db8::/32", "10.9.2.0/24", "10.9.3.1/32"), says(came))

    found = {tuple(line.split()[-1] for line in order) for order in orders}
    assert {(frozenset(one[:2]), one[2], frozenset(one[3:])) for one in found} == {
        (frozenset({"10.9.2.1", "10.9.2.2"}), "10.9.3.1", frozenset({"192.0.2.1", "192.0.2.2"}))
    }
    assert len(found) == 4


def test_addresses_of_version_6_are_preferred_too() -> None:
    query = ask(QUERY.name, codes.AAAA)
    given = [f"{NAME} 60 IN AAAA {one}" for one in ("fd00::1", "2001:db8::1")]
    went = answer(balance("2001:db8::/32"), query, last=says(upstream(*given, query=query)))

    assert shown(went, query)[0].endswith(" 2001:db8::1")


def test_addresses_that_are_alike_rotate_all_the_same() -> None:
    plugin = balance("10.0.0.0/8")

    assert own(answer(plugin, QUERY, last=says(ours(*ADDRESSES)))).owners == FIXED
    assert own(answer(plugin, QUERY, last=says(ours(*PREFERRED)))).owners == ()


# -- set up -------------------------------------------------------------------------------------

GOOD = [
    "loadbalance",
    "loadbalance round_robin",
    "loadbalance round_robin {\n prefer 10.0.0.0/8\n}",
]


@pytest.mark.parametrize("text", GOOD)
def test_policies(text: str) -> None:
    went = answer(plugin_of(loadbalance.setup, text), QUERY, last=says(ours(*ADDRESSES)))

    assert own(went).rotate


def setup_in(root: Path, text: str) -> list[str]:
    made = block()
    made.root = root
    setup_of(loadbalance.setup, text, into=made)
    return made.warnings


def test_a_weight_file_is_read_from_the_root(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text(WEIGHTS)
    made = block()
    made.root = tmp_path
    plugin, _ = setup_of(
        loadbalance.setup,
        "loadbalance weighted weights {\n reload 0\n prefer 10.0.0.0/8\n}",
        (),
        made,
    )

    assert plugin is not None
    assert not made.resources
    assert own(answer(plugin, QUERY, last=says(ours(*ADDRESSES)))).owners == ()


def test_a_weight_file_may_come_later(tmp_path: Path) -> None:
    [warning] = setup_in(tmp_path, "loadbalance weighted weights")

    assert warning.startswith(
        f"Corefile:2: cannot read the weight file {tmp_path}/weights: No such"
    )
    assert warning.endswith("looking for it again every 30 s")


WRONG = {
    "loadbalance fair": "Corefile:2: unknown policy 'fair': expected one of round_robin, weighted",
    "loadbalance round_robin x": "Corefile:2: unexpected 'x' after round_robin",
    "loadbalance weighted": "Corefile:2: weighted: expected the path of a weight file",
    "loadbalance weighted a b": "Corefile:2: loadbalance: expected at most 2 arguments",
    "loadbalance weighted missing {\n reload 0\n}": "Corefile:2: cannot read the weight file",
    "loadbalance weighted bad": "bad:2: expected a weight from 1 to 255, got '0'",
    "loadbalance weighted bad {\n reload x\n}": "Corefile:3: expected a duration",
    "loadbalance weighted bad {\n reload 1s 2s\n}": "Corefile:3: reload: expected one argument",
    "loadbalance {\n reload 1s\n}": "Corefile:3: reload is for a weight file",
    "loadbalance {\n prefer\n}": "Corefile:3: prefer: expected at least one argument",
    "loadbalance {\n prefer x\n}": "Corefile:3: expected an address or a network",
    "loadbalance {\n preferred 10.0.0.0/8\n}": "did you mean 'prefer'?",
}


@pytest.mark.parametrize(("text", "expected"), WRONG.items(), ids=WRONG)
def test_what_is_wrong_is_said(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("www.example.org\n192.0.2.1 0\n")
    with pytest.raises(CorefileError) as error:
        setup_in(tmp_path, text)

    assert expected in str(error.value)


def test_of_several_policies_the_last_counts() -> None:
    plugin, made = setup_of(loadbalance.setup, "loadbalance {\n prefer 10.0.0.0/8\n}\n loadbalance")

    assert made.warnings == ["Corefile:2: loadbalance: only the policy of the last one counts"]
    assert plugin is not None
    assert own(answer(plugin, QUERY, last=says(ours(*PREFERRED)))).owners == ()


# -- a weight file that changes -----------------------------------------------------------------


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - a file and a log have no events
            await asyncio.sleep(0.001)


async def is_prepared(plugin: Plugin) -> bool:
    went = await handled(request([plugin], QUERY, last=says(ours(*ADDRESSES))))
    return own(went).owners != ()


def put(path: Path, text: str) -> None:
    """Change a file at once: nobody reads half of it."""
    aside = path.with_suffix(".new")
    aside.write_text(text)
    aside.rename(path)


def test_a_weight_file_is_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, made = tmp_path / "weights", block()
    made.root = tmp_path
    put(path, "")
    text = "loadbalance weighted weights {\n reload 1ms\n}"
    plugin, _ = setup_of(loadbalance.setup, text, into=made)
    assert plugin is not None
    owners = dropped(made)

    async def follow() -> None:
        async with running(made):
            assert await is_prepared(plugin)
            put(path, WEIGHTS)
            await until(lambda: ("loadbalance", str(path)) in owners)
            assert not await is_prepared(plugin)
            put(path, "192.0.2.1 1\n")
            await until(lambda: "weights:1: expected a name before" in caplog.text)
            assert not await is_prepared(plugin)
            path.unlink()
            await until(lambda: "No such file" in caplog.text)

    asyncio.run(follow())

    assert caplog.text.count("weights:1: expected a name before") == 1


def test_a_weight_file_that_did_not_change_drops_nothing(tmp_path: Path) -> None:
    known = weights(tmp_path, WEIGHTS)

    assert not known.read()
    (tmp_path / "weights").write_text(WEIGHTS + "# a comment\n")
    assert known.read()
