"""RFC 1035, 2181, 6891, 7766, 8906, 8914, 9619: what a message gets, whatever it is."""

import dns.edns
import dns.flags
import dns.message
import dns.rdatatype
import pytest

from kdns.kube.objects import Namespace
from kdns.server.table import Door
from kdns.zone.settings import Settings
from tests.cluster import F1, Cluster, ede, endpoints, headless, lines, rcode

SVC = "svc1.testns.svc.cluster.local."
BIG = (
    Namespace("testns"),
    headless("big"),
    endpoints("big", *(f"172.16.{n // 250}.{n % 250}" for n in range(100))),
)


CLIENT = ("192.0.2.7", 5353)
UDP: Door = ("udp", "1")


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(F1)


def _wire(question: str = f"{SVC} A", **more: object) -> bytearray:
    name, rtype = question.split()
    return bytearray(dns.message.make_query(name, rtype, **more).to_wire())  # type: ignore[arg-type]


def _reply(cluster: Cluster, message: bytes) -> bytes:
    reply = cluster.responder.respond(message, CLIENT, UDP)
    assert isinstance(reply, bytes)
    return reply


SILENCE = {
    "empty": b"",
    "shorter than a header": b"\0" * 11,
    "a response": b"\0\1\x80\0\0\1\0\0\0\0\0\0\0\0\1\0\1",
}


@pytest.mark.parametrize("message", SILENCE.values(), ids=SILENCE)
def test_what_is_no_query_gets_silence(cluster: Cluster, message: bytes) -> None:
    assert cluster.responder.respond(message, CLIENT, UDP) is None


HEADER = b"\x12\x34\1\0"
ONE = b"\0\1\0\0\0\0\0\0"
A_IN = b"\0\1\0\1"
LONG = b"".join(b"\x3f" + b"x" * 63 for _ in range(4))
OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
FORMERR = {
    "RFC 9619 no question": HEADER + b"\0\0" * 4,
    "RFC 9619 two questions": HEADER + b"\0\2\0\0\0\0\0\0" + b"\1a\0" + A_IN + b"\1b\0" + A_IN,
    "question missing": HEADER + ONE,
    "name without end": HEADER + ONE + b"\3abc",
    "type cut short": HEADER + ONE + b"\1a\0\0",
    "class cut short": HEADER + ONE + b"\1a\0\0\1\0",
    "name of 257 octets": HEADER + ONE + LONG + b"\0" + A_IN,
    "label of 64 octets": HEADER + ONE + b"\x40" + b"x" * 64 + b"\0" + A_IN,
    "reserved label 01": HEADER + ONE + b"\x41x\0" + A_IN,
    "reserved label 10": HEADER + ONE + b"\x80x\0" + A_IN,
    "pointer in the question": HEADER + ONE + b"\xc0\x0c" + A_IN,
    "two answers": HEADER + b"\0\1\0\2\0\0\0\0" + b"\1a\0" + A_IN,
    "record missing": HEADER + b"\0\1\0\0\0\0\0\1" + b"\1a\0" + A_IN,
    "OPT cut short": HEADER + b"\0\1\0\0\0\0\0\1" + b"\1a\0" + A_IN + OPT[:-1],
    "RFC 6891 6.1.1 two OPT": HEADER + b"\0\1\0\0\0\0\0\2" + b"\1a\0" + A_IN + OPT + OPT,
    "RFC 6891 6.1.2 OPT not at the root": HEADER
    + b"\0\1\0\0\0\0\0\1"
    + b"\1a\0"
    + A_IN
    + b"\1x"
    + OPT,
    "EDNS option cut short": HEADER
    + b"\0\1\0\0\0\0\0\1"
    + b"\1a\0"
    + A_IN
    + OPT[:-1]
    + b"\4\0\x0a\0\x08",
}


@pytest.mark.parametrize("message", FORMERR.values(), ids=FORMERR)
def test_what_cannot_be_read_gets_formerr(cluster: Cluster, message: bytes) -> None:
    reply = _reply(cluster, message)

    assert reply[:2] == b"\x12\x34"
    assert reply[2] & 0x80
    assert reply[3] & 0xF == 1
    assert len(reply) == 12


def test_the_longest_name_is_read(cluster: Cluster) -> None:
    name = LONG[: 3 * 64] + b"\x3d" + b"x" * 61 + b"\0"
    reply = _reply(cluster, HEADER + ONE + name + A_IN)

    assert len(name) == 255
    assert reply[3] & 0xF == 5


@pytest.mark.parametrize("opcode", [1, 2, 4, 5, 6, 15])
def test_other_opcodes_get_notimp(cluster: Cluster, opcode: int) -> None:
    message = _wire()
    message[2] = opcode << 3 | 1
    reply = _reply(cluster, bytes(message))

    assert reply[3] & 0xF == 4
    assert reply[2] == 0x80 | opcode << 3 | 1


def test_rfc6891_version_1_gets_badvers(cluster: Cluster) -> None:
    reply = _reply(cluster, bytes(_wire(use_edns=1)))
    answer = dns.message.from_wire(reply)

    assert rcode(answer) == "BADVERS"
    assert answer.edns == 0


@pytest.mark.parametrize("rdclass", ["CH", "HS", "ANY"])
def test_other_classes_are_refused(cluster: Cluster, rdclass: str) -> None:
    query = dns.message.make_query("version.bind.", "TXT", rdclass)
    answer = dns.message.from_wire(_reply(cluster, query.to_wire()))

    assert rcode(answer) == "REFUSED"


@pytest.mark.parametrize("rtype", ["AXFR", "IXFR"])
def test_zone_transfer_is_refused(cluster: Cluster, rtype: str) -> None:
    query = dns.message.make_query("cluster.local.", rtype)

    assert rcode(dns.message.from_wire(_reply(cluster, query.to_wire()))) == "REFUSED"


@pytest.mark.parametrize(("asked", "flags"), [(0, 0), (dns.flags.RD, dns.flags.RD)])
def test_flags_of_a_cluster_answer(cluster: Cluster, asked: int, flags: int) -> None:
    query = dns.message.make_query(SVC, "A", flags=asked)
    answer = dns.message.from_wire(_reply(cluster, query.to_wire()))

    assert answer.flags == flags | dns.flags.QR | dns.flags.AA


def test_checking_disabled_is_copied_and_ad_is_not(cluster: Cluster) -> None:
    query = dns.message.make_query(SVC, "A", flags=dns.flags.CD | dns.flags.AD)
    answer = dns.message.from_wire(_reply(cluster, query.to_wire()))

    assert answer.flags & (dns.flags.CD | dns.flags.AD) == dns.flags.CD


def test_no_opt_without_opt(cluster: Cluster) -> None:
    assert cluster.ask(f"{SVC} A").edns == -1


def _option(code: int, data: bytes) -> dns.edns.Option:
    return dns.edns.GenericOption(dns.edns.OptionType.make(code), data)


def test_opt_repeats_size_do_bit_and_some_options(cluster: Cluster) -> None:
    options = [
        _option(10, b"12345678"),
        _option(8, b"\0\1\x18\0\x0a\0\0"),
        _option(12, b"\0\0"),
    ]
    query = dns.message.make_query(
        SVC, "A", use_edns=0, payload=1400, want_dnssec=True, options=options
    )
    answer = dns.message.from_wire(_reply(cluster, query.to_wire()))

    assert answer.payload == 1400
    assert answer.ednsflags == dns.flags.DO
    assert [int(option.otype) for option in answer.options] == [10, 12]


@pytest.mark.parametrize(("edns", "most"), [(None, 512), (512, 512), (100, 512), (1232, 1232)])
def test_truncation_keeps_as_many_records_as_fit(edns: int | None, most: int) -> None:
    cluster = Cluster(BIG)
    query = dns.message.make_query("big.testns.svc.cluster.local.", "A")
    if edns is not None:
        query.use_edns(0, payload=edns)
    wire = _reply(cluster, query.to_wire())
    answer = dns.message.from_wire(wire)

    assert most - 16 < len(wire) <= most
    assert answer.flags & dns.flags.TC
    assert len(answer.answer[0]) == (most - 12 - 35 - (11 if edns else 0)) // 16
    assert (answer.edns == 0) == (edns is not None)


@pytest.mark.parametrize("edns", [1632 + 32 + 11, 4096, 65_535])
def test_what_fits_is_whole(edns: int) -> None:
    answer = Cluster(BIG).ask("big.testns.svc.cluster.local. A", edns=edns)

    assert len(answer.answer[0]) == 100
    assert not answer.flags & dns.flags.TC


def test_rfc7766_tcp_has_no_small_limit() -> None:
    answer = Cluster(BIG).ask("big.testns.svc.cluster.local. A", transport="tcp")

    assert len(answer.answer[0]) == 100


def test_tcp_is_cut_at_65535_octets() -> None:
    slices = [
        endpoints("huge", *(f"10.{n}.{m // 250}.{m % 250}" for m in range(1000)), name=str(n))
        for n in range(5)
    ]
    cluster = Cluster([Namespace("testns"), headless("huge"), *slices])
    answer = cluster.ask("huge.testns.svc.cluster.local. A", transport="tcp")

    assert answer.flags & dns.flags.TC
    assert len(answer.answer[0]) == (65_535 - 12 - 35) // 16


def test_srv_keeps_its_answers_before_its_additional_records() -> None:
    answer = Cluster(BIG).ask("_http._tcp.big.testns.svc.cluster.local. SRV", edns=4096)

    assert answer.flags & dns.flags.TC
    assert answer.answer
    assert not answer.additional


def test_rfc2782_srv_targets_are_not_compressed(cluster: Cluster) -> None:
    reply = _reply(cluster, bytes(_wire(f"_http._tcp.{SVC} SRV")))

    assert reply.count(b"\x04svc1\x06testns\x03svc\x07cluster\x05local\0") == 2


def test_owners_are_compressed() -> None:
    reply = _reply(Cluster(BIG), bytes(_wire("big.testns.svc.cluster.local. A")))

    assert reply.count(b"\x03big") == 1


REASONS = {
    "namespace": ("web.prod.svc.cluster.local. A", "namespace prod does not exist"),
    "service": ("x.testns.svc.cluster.local. A", "service x does not exist in namespace testns"),
    "port": (f"_https._tcp.{SVC} SRV", "no port named https/tcp; has http/tcp"),
    "family": (f"{SVC} AAAA", "service svc1 has no IPv6 address"),
    "type": (f"{SVC} MX", "service svc1 has no record of this type"),
    "endpoint": (f"x.{SVC} A", "service svc1 has no endpoint named x; has ep1a"),
}


@pytest.mark.parametrize(("question", "reason"), REASONS.values(), ids=REASONS)
def test_rfc8914_negative_answers_say_why(cluster: Cluster, question: str, reason: str) -> None:
    assert ede(cluster.ask(question, edns=1232)) == reason


def test_no_ready_endpoint_is_counted() -> None:
    objects = (Namespace("testns"), headless("db"), endpoints("db", ports=()))
    answer = Cluster(objects).ask("db.testns.svc.cluster.local. A", edns=1232)

    assert ede(answer) == "service db has 0/0 ready endpoints"


def test_names_outside_the_zone_are_refused_without_upstream(cluster: Cluster) -> None:
    assert rcode(cluster.ask("example.com. A")) == "REFUSED"


def test_missing_reverse_names_fall_through_where_wanted() -> None:
    zones = ("cluster.local", "in-addr.arpa")
    kept = Cluster(F1, Settings(zones=zones))
    passed = Cluster(F1, Settings(zones=zones, fallthrough=("in-addr.arpa",)))

    assert rcode(kept.ask("9.9.9.9.in-addr.arpa. PTR")) == "NXDOMAIN"
    assert rcode(passed.ask("9.9.9.9.in-addr.arpa. PTR")) == "REFUSED"
    assert rcode(passed.ask("x.cluster.local. A")) == "NXDOMAIN"


def test_unsynced_names_do_not_fall_through() -> None:
    settings = Settings(fallthrough=())
    cluster = Cluster(F1, settings, synced=False)

    assert rcode(cluster.ask("x.testns.svc.cluster.local. A")) == "SERVFAIL"
    assert not cluster.asked


def test_the_same_question_twice_has_the_same_answer(cluster: Cluster) -> None:
    answers = [lines(cluster.ask(f"{SVC} A").answer) for _ in range(4)]

    assert answers == [{f"{SVC} 5 A 10.0.0.1"}] * 4
