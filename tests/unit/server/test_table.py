import pytest

from kdns.chain import Answer, Serial
from kdns.kube.changes import Apply
from kdns.kube.objects import Namespace
from kdns.server.packets import Packet, Rotating, pack
from kdns.server.table import MAX_FORMS, MAX_KEY, AnswerTable, Door
from kdns.wire import codes, records
from kdns.wire.message import Message, Sections
from tests.cluster import F1, Cluster, endpoints, headless, lines, service

UDP: Door = ("udp", "1")
ONE, TWO = ("service", "a", "one"), ("service", "a", "two")


def _answer(*owners: tuple[str, ...]) -> Answer:
    return Answer(Sections(), owners)


def _promote(table: AnswerTable, question: bytes, answer: Answer, packet: bytes = b"p") -> None:
    table.put(question, answer)
    assert table.put(question, answer)
    table.put_packet(question, UDP, b"key of " + question, Packet(packet))


def test_an_answer_goes_with_any_of_its_owners() -> None:
    table = AnswerTable()
    _promote(table, b"q", _answer(ONE, TWO))

    table.drop([TWO])

    assert table.answer(b"q") is None
    assert not table.packets[UDP]
    assert table.octets == 0
    assert len(table) == 0


def test_an_owner_takes_only_its_own() -> None:
    table = AnswerTable()
    _promote(table, b"q", _answer(ONE))
    _promote(table, b"r", _answer(TWO))

    table.drop([TWO])

    assert table.answer(b"q") is not None
    assert list(table.packets[UDP]) == [b"key of q"]


def test_a_first_answer_makes_no_packet() -> None:
    table = AnswerTable()
    table.put(b"q", _answer(ONE))
    table.put_packet(b"q", UDP, b"key", Packet(b"p"))

    assert not table.packets[UDP]


def test_a_flood_of_names_asked_once_leaves_the_working_set() -> None:
    table = AnswerTable()
    _promote(table, b"q", _answer(ONE))
    before = table.octets
    for number in range(1000):
        assert not table.put(b"%d" % number, _answer(("service", "a", str(number))))

    assert table.answer(b"q") is not None
    assert (len(table), table.octets) == (1, before)
    assert len(table._owned) == 1  # noqa: SLF001 - the index must not grow either


def test_many_names_that_take_turns_are_all_kept() -> None:
    table = AnswerTable()
    names = [b"%d" % number for number in range(10_000)]
    for _ in range(2):
        for name in names:
            table.put(name, _answer(ONE))

    assert len(table) > 0.97 * len(names)  # a few share a place, and take it from one another


@pytest.mark.parametrize("bounds", [{"max_answers": 3}, {"max_bytes": 3 * (500 + 8 + 10)}])
def test_the_oldest_goes_when_the_table_is_full(bounds: dict[str, int]) -> None:
    table = AnswerTable(None, **bounds)
    for number in range(5):
        _promote(table, b"%d" % number, _answer(ONE), b"0123456789")

    assert [key[-1:] for key in table.packets[UDP]] == [b"2", b"3", b"4"]


def test_one_question_has_few_forms() -> None:
    table = AnswerTable()
    _promote(table, b"q", _answer(ONE))
    for number in range(100):
        table.put_packet(b"q", UDP, b"cookie %d" % number, Packet(b"p"))

    assert len(table.packets[UDP]) == MAX_FORMS


def test_a_padded_query_makes_no_packet() -> None:
    table = AnswerTable()
    _promote(table, b"q", _answer(ONE))
    table.put_packet(b"q", UDP, bytes(MAX_KEY + 1), Packet(b"p"))

    assert list(table.packets[UDP]) == [b"key of q"]


def test_missing_names_that_are_asked_twice_push_out_only_missing_names() -> None:
    table = AnswerTable(max_answers=10)
    _promote(table, b"q", _answer(ONE))
    missing = Answer(Sections(codes.NXDOMAIN), (TWO,))
    for number in range(100):
        _promote(table, b"%d" % number, missing)

    assert b"key of q" in table.packets[UDP]
    assert len(table) == 11


def test_large_answers_are_charged_for_their_records() -> None:
    many = tuple(records.address(b"\0", 5, number.to_bytes(4)) for number in range(1000))
    table = AnswerTable(max_bytes=1 << 20)
    for number in range(100):
        _promote(table, b"%d" % number, Answer(Sections(answer=many), (ONE,)), b"")

    assert table.octets <= 1 << 20
    assert len(table) == (1 << 20) // (500 + 1000 * 164 + 8)


def test_udp_never_finds_what_was_prepared_for_tcp() -> None:
    objects = (
        Namespace("testns"),
        headless("big"),
        endpoints("big", *(f"10.0.{n // 250}.{n % 250}" for n in range(1000))),
    )
    cluster = Cluster(objects)
    for _ in range(3):
        assert (
            len(cluster.ask("big.testns.svc.cluster.local. A", transport="tcp").answer[0]) == 1000
        )

    assert not cluster.table.packets[UDP]
    assert len(cluster.ask("big.testns.svc.cluster.local. A").answer[0]) == 29


def test_addresses_rotate_by_one() -> None:
    packet = Rotating(Message(b"<", b"AABBCC", 2, 3, b">"))
    shown = [packet.next() for _ in range(4)]

    first = shown[0]
    assert shown[3] == first
    assert set(shown) == {b"<AABBCC>", b"<BBCCAA>", b"<CCAABB>"}


def test_a_truncated_set_shows_every_address_in_turn() -> None:
    packet = Rotating(Message(b"", b"AABBCC", 2, 2))
    shown = {packet.next() for _ in range(3)}

    assert shown == {b"AABB", b"BBCC", b"CCAA"}


def test_addresses_stay_where_rotation_is_off() -> None:
    assert pack(Message(b"<", b"AABB", 2, 2, b">"), Serial(), rotate=False).body == b"<AABB>"


def test_a_prepared_negative_answer_shows_the_serial_of_the_moment() -> None:
    cluster = Cluster(F1)
    question = "x.testns.svc.cluster.local. A"
    for _ in range(3):
        cluster.ask(question)
    cluster.change(Apply(Namespace("elsewhere", version=4_294_967_296 + 77)))

    [soa] = lines(cluster.ask(question).authority)

    assert " 77 7200 " in soa


def test_rotation_reaches_the_client() -> None:
    objects = (Namespace("testns"), headless("db"), endpoints("db", "10.0.0.1", "10.0.0.2"))
    cluster = Cluster(objects, rotate=True)
    firsts = [str(cluster.ask("db.testns.svc.cluster.local. A").answer[0][0]) for _ in range(6)]

    assert set(firsts) == {"10.0.0.1", "10.0.0.2"}
    assert firsts[2:4] == firsts[4:6]


def test_a_new_service_resolves_at_once() -> None:
    cluster = Cluster(F1)
    question = "new.testns.svc.cluster.local. A"
    for _ in range(3):
        assert not cluster.ask(question).answer

    cluster.change(Apply(service("new", "10.0.0.77")))

    assert lines(cluster.ask(question).answer) == {"new.testns.svc.cluster.local. 5 A 10.0.0.77"}
