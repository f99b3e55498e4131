"""Lines of ``log``: what they say, which exchanges get one, and that nobody can forge one."""

import logging

import dns.message
import dns.rcode
import dns.rrset
import pytest
from msgspec.structs import replace

from kdns.chain import Answer, Exchange, Relay, Request, Response, Transport
from kdns.errors import CorefileError
from kdns.plugins.log import Log, class_of, outcome, setup
from kdns.wire import codes, names
from kdns.wire.message import Sections
from kdns.wire.query import RD, Edns, Query
from kdns.wire.records import Record
from tests import plugin

OWNER = names.from_text("www.example.org")
ADDRESS = Record(OWNER, codes.A, 30, bytes((192, 0, 2, 1)))
SOA = Record(names.from_text("example.org"), codes.SOA, 30, bytes(22))
NS = Record(names.from_text("example.org"), codes.NS, 30, OWNER)
REPLY = bytes.fromhex("0007 8580 0001 0001 0000 0000") + bytes(18)
COMMON = (
    '10.0.0.1:40212 - 7 "A IN www.example.org. udp 33 false 512" NOERROR qr,aa,rd,ra 30 0.0015s'
)


def _log(text: str) -> Log:
    _, block = plugin.setup_of(setup, text)
    [observer] = block.observers
    assert isinstance(observer, Log)
    return observer


def _request(asked: str | Query = "www.example.org A", client: str = "10.0.0.1") -> Request:
    return plugin.request([], asked, client=client)


def _answer(rcode: int = codes.NOERROR, *answer: Record, soa: bool = False) -> Answer:
    return Answer(Sections(rcode, answer, (SOA,) if soa else ()))


def _line(text: str, caplog: pytest.LogCaptureFixture, exchange: Exchange) -> str:
    with caplog.at_level(logging.INFO, "kdns.plugins.log"):
        _log(text).saw(exchange)
    [record] = caplog.records
    assert record.levelname == "INFO"
    return record.getMessage()


def _exchange(
    request: Request | None = None, response: Response | None = None, reply: bytes = REPLY
) -> Exchange:
    answer = response or _answer(codes.NOERROR, ADDRESS)
    return Exchange(request or _request(), answer, codes.NOERROR, reply, 0.0015)


def test_a_line_looks_like_one_of_coredns(caplog: pytest.LogCaptureFixture) -> None:
    assert _line("log", caplog, _exchange()) == COMMON


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("log . {common}!", COMMON + "!", id="common"),
        pytest.param("log . {combined}", COMMON + ' "0"', id="combined"),
        pytest.param("log . {local}:{>opcode}", "127.0.0.1:0", id="local"),
        pytest.param("log . {/log/class}/{/log/type}", "success/NOERROR", id="classification"),
        pytest.param("log . {/kubernetes/service}", "-", id="metadata that nobody sets"),
        pytest.param("log . {nothing}{type}", "{nothing}A", id="an unknown word stays"),
        pytest.param("log . {{type}}", "{A}", id="the innermost braces count"),
        pytest.param("log . {Type}-}{type", "{Type}-}{type", id="words have a case, braces ends"),
        pytest.param("log . {>DO}", "{>DO}", id="so have words of the header"),
    ],
)
def test_formats(text: str, line: str, caplog: pytest.LogCaptureFixture) -> None:
    assert _line(text, caplog, _exchange()) == line


def test_an_ipv6_client_stands_in_brackets(caplog: pytest.LogCaptureFixture) -> None:
    exchange = _exchange(_request(client="2001:db8::1"))

    assert _line("log . {remote}:{port}", caplog, exchange) == "[2001:db8::1]:40212"


@pytest.mark.parametrize(
    ("edns", "transport", "line"),
    [
        pytest.param(Edns(4096, do=True), "udp", "44 true 4096", id="as the client says"),
        pytest.param(Edns(100), "udp", "44 false 512", id="at least what needs no EDNS"),
        pytest.param(Edns(1232, options=((10, bytes(8)),)), "udp", "56 false 1232", id="options"),
        pytest.param(None, "tcp", "33 false 65535", id="TCP takes everything"),
    ],
)
def test_sizes(
    edns: Edns | None, transport: Transport, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    request = plugin.request([], "www.example.org A", edns=edns, transport=transport)

    text = 'log . "{size} {>do} {>bufsize}"'

    assert _line(text, caplog, _exchange(request)) == line


def test_a_server_on_every_address_is_shown_as_such(caplog: pytest.LogCaptureFixture) -> None:
    exchange = _exchange(replace(_request(), local=("", 53)))

    assert _line("log . {local}", caplog, exchange) == "[::]"


def test_silence_has_no_rcode(caplog: pytest.LogCaptureFixture) -> None:
    exchange = Exchange(_request(), None, codes.NOERROR, b"", 0.0)

    assert _line("log . {rcode}/{>rflags}/{rsize}/{duration}", caplog, exchange) == "-/-/0/0s"


def test_numbers_without_a_name_are_written_as_such(caplog: pytest.LogCaptureFixture) -> None:
    query = plugin.question("www.example.org TYPE65280 CLASS7")
    exchange = Exchange(_request(query), _answer(3841), 3841, REPLY, 0.0)

    assert _line("log . {type}/{class}/{rcode}", caplog, exchange) == "TYPE65280/CLASS7/3841"


def test_a_hostile_name_cannot_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    name = names.from_labels([b'a\n[ERROR] b\x1b[2J"', b"ORG"])
    query = Query(7, RD, name + bytes((0, 1, 0, 1)), name.lower(), codes.A)

    line = _line("log . {name}", caplog, _exchange(_request(query)))

    assert line == r"a\010[error]\032b\027[2j\".org."


# -- classes ------------------------------------------------------------------------------------


def _relay(rcode: str = "NOERROR", *, answer: str = "", authority: str = "") -> Relay:
    message = dns.message.make_response(dns.message.make_query("www.example.org", "A"))
    message.set_rcode(dns.rcode.from_text(rcode))
    for section, line in ((message.answer, answer), (message.authority, authority)):
        if line:
            section.append(dns.rrset.from_text("www.example.org.", 5, "IN", *line.split(" ", 1)))
    return Relay(message.to_wire())


CNAME = Answer(Sections(codes.NXDOMAIN, (Record(OWNER, codes.CNAME, 5, OWNER),), (SOA,)))
OUTCOMES = [
    pytest.param(_answer(0, ADDRESS), "NOERROR", "success", id="an address"),
    pytest.param(_answer(soa=True), "NODATA", "denial", id="no such type"),
    pytest.param(_answer(codes.NXDOMAIN, soa=True), "NXDOMAIN", "denial", id="no such name"),
    pytest.param(_answer(), "NOERROR", "success", id="nothing at all"),
    pytest.param(CNAME, "OTHERERROR", "error", id="an alias of no name"),
    pytest.param(_answer(codes.SERVFAIL), "SERVERERROR", "error", id="SERVFAIL"),
    pytest.param(_answer(codes.NOTIMP), "SERVERERROR", "error", id="NOTIMP"),
    pytest.param(_answer(codes.REFUSED), "OTHERERROR", "error", id="REFUSED"),
    pytest.param(_answer(codes.BADVERS), "OTHERERROR", "error", id="BADVERS"),
    pytest.param(Answer(Sections(authority=(NS,))), "DELEGATION", "success", id="a referral"),
    pytest.param(None, "OTHERERROR", "error", id="silence"),
    pytest.param(_relay(answer="A 192.0.2.1"), "NOERROR", "success", id="relayed address"),
    pytest.param(
        _relay(authority="SOA a. b. 1 2 3 4 5"), "NODATA", "denial", id="relayed: no such type"
    ),
    pytest.param(_relay(authority="NS a."), "DELEGATION", "success", id="relayed referral"),
    pytest.param(_relay(), "NOERROR", "success", id="relayed nothing"),
    pytest.param(_relay("NXDOMAIN"), "NXDOMAIN", "denial", id="relayed: no such name"),
    pytest.param(
        _relay("NXDOMAIN", answer="CNAME a."), "OTHERERROR", "error", id="relayed alias of no name"
    ),
    pytest.param(_relay("SERVFAIL"), "SERVERERROR", "error", id="relayed SERVFAIL"),
    pytest.param(_relay("YXDOMAIN"), "OTHERERROR", "error", id="relayed other rcode"),
    pytest.param(
        Relay(_relay(authority="NS a.").message[:-3]), "OTHERERROR", "error", id="relayed rubbish"
    ),
]


@pytest.mark.parametrize(("response", "kind", "group"), OUTCOMES)
def test_what_a_response_is(response: Response | None, kind: str, group: str) -> None:
    assert outcome(_request(), response) == kind
    assert class_of(kind) == group


def test_a_transfer_is_no_success() -> None:
    assert class_of(outcome(_request("example.org AXFR"), _answer(0, ADDRESS))) == "error"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param("log", "success denial error", id="everything"),
        pytest.param("log . {\nclass error\n}", "error", id="errors"),
        pytest.param("log . {\nclass denial error\n}", "denial error", id="two in a line"),
        pytest.param("log . {\nclass denial\nclass success\n}", "success denial", id="two lines"),
        pytest.param("log . {\nclass error all\n}", "success denial error", id="all wins"),
        pytest.param("log example.org {\nclass error\n}", "error", id="a zone"),
        pytest.param("log example.com", "", id="another zone"),
        pytest.param("log example.com example.org", "success denial error", id="one of two"),
        pytest.param(
            "log example.org {\nclass error\n}\nlog", "error", id="the first that matches decides"
        ),
        pytest.param("log . {\n}", "success denial error", id="an empty block"),
        pytest.param("log EXAMPLE.org.", "success denial error", id="any spelling"),
    ],
)
def test_what_is_wanted(text: str, wanted: str) -> None:
    log, request = _log(text), _request("www.example.org A")
    responses = {
        "success": _answer(0, ADDRESS),
        "denial": _answer(codes.NXDOMAIN, soa=True),
        "error": _answer(codes.SERVFAIL),
    }

    assert wanted.split() == [
        group for group, response in responses.items() if log.wants(request, response)
    ]


def test_a_format_of_its_own_for_each_zone(caplog: pytest.LogCaptureFixture) -> None:
    assert _line("log example.com\nlog example.org {type}!", caplog, _exchange()) == "A!"


def test_a_lone_format_is_warned_about() -> None:
    _, block = plugin.setup_of(setup, "log {combined}")

    [warning] = block.warnings
    assert warning == (
        "Corefile:2: log {combined} is read as a name, as CoreDNS does, and no query is for it:"
        " expected log . {combined}"
    )
    assert not block.observers[0].wants(_request(), _answer(0, ADDRESS))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param(
            "log . {\nclass\n}",
            "Corefile:3: class: expected at least one argument, got no words",
            id="no class",
        ),
        pytest.param(
            "log . {\nclass succes\n}",
            "Corefile:3: unknown class 'succes': expected one of success, denial, error, all,"
            " did you mean 'success'?",
            id="no such class",
        ),
        pytest.param(
            "log . {\nclas error\n}",
            "Corefile:3: unknown property 'clas' of log: expected class, did you mean 'class'?",
            id="no such option",
        ),
    ],
)
def test_what_is_refused(text: str, error: str) -> None:
    with pytest.raises(CorefileError) as refused:
        _log(text)

    assert str(refused.value) == error
