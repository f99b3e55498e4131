"""``log``: a line for each query and its reply.

Looks on from outside of the chain, so that replies that it does not want can be prepared. The
format is that of CoreDNS, word for word; names are escaped, so that no name can forge a line.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from kdns.assembly import Block
from kdns.chain import Address, Answer, Exchange, Relay, Request, Response
from kdns.corefile.mnemonics import class_text, type_text
from kdns.corefile.syntax import Directive, Token
from kdns.corefile.values import MANY, arguments, choice, unknown, zones
from kdns.errors import UpstreamError
from kdns.server.tally import rcode_label
from kdns.wire import codes, names, relay
from kdns.wire.message import MAX_TCP_MESSAGE
from kdns.wire.names import ROOT, Name
from kdns.wire.query import AA, CD, HEADER, MIN_UDP_SIZE, QR, RA, RD, TC, Query
from kdns.wire.relay import AD

log = logging.getLogger(__name__)

COMMON = (
    '{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}"'
    " {rcode} {>rflags} {rsize} {duration}"
)
COMBINED = COMMON + ' "{>opcode}"'
MISSING = "-"
"""Stands for what is not known."""
EVERYWHERE = "[::]"
"""The address of a server that listens on every one."""
ALL = "all"
CLASSES = ("success", "denial", "error", ALL)

_WORD = re.compile(r"(\{[^{}]*\})")
_Z = 0x0040
_FLAGS = {QR: "qr", AA: "aa", TC: "tc", RD: "rd", RA: "ra", _Z: "z", AD: "ad", CD: "cd"}
_OPT_OCTETS = 11
_OPTION_OCTETS = 4
_CLASS_OF = {
    "NOERROR": "success",
    "DELEGATION": "success",
    "NXDOMAIN": "denial",
    "NODATA": "denial",
}
_Part: TypeAlias = Callable[[Exchange], str]


def setup(directives: Sequence[Directive], block: Block) -> None:
    """Have the queries of a block logged."""
    block.watch(Log([rule for one in directives for rule in _rules(one, block)]))


class Rule(Struct, frozen=True):
    """What is logged of the names in a zone, and how."""

    zone: Name
    classes: frozenset[str]
    parts: tuple[_Part, ...]

    def wants(self, request: Request, response: Response | None) -> bool:
        """Whether a response is of one of the classes."""
        return ALL in self.classes or class_of(outcome(request, response)) in self.classes


class Log:
    """Logs what its rules want: the first one that a name is under decides."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)

    def wants(self, request: Request, response: Response | None) -> bool:
        """Whether there will be a line; the same for every client that asks the same question."""
        rule = self._rule(request.query.name)
        return rule is not None and rule.wants(request, response)

    def saw(self, exchange: Exchange) -> None:
        """Write the line."""
        rule = self._rule(exchange.request.query.name)
        if rule is not None:
            log.info("%s", "".join(part(exchange) for part in rule.parts))

    def _rule(self, name: Name) -> Rule | None:
        for rule in self._rules:
            if rule.zone == ROOT or names.is_below(name, rule.zone):
                return rule
        return None


# -- what a response is -------------------------------------------------------------------------


def outcome(request: Request, response: Response | None) -> str:
    """Say what kind of response it is, in CoreDNS's words.

    An NXDOMAIN at the end of an alias is OTHERERROR there, so it is here.
    """
    if response is None:
        return "OTHERERROR"
    if request.query.rtype in (codes.AXFR, codes.IXFR):
        return "META"
    rcode, answers = _counted(response)
    match rcode:
        case codes.NOERROR:
            return "NOERROR" if answers else _without_answer(response)
        case codes.NXDOMAIN:
            return "OTHERERROR" if answers else "NXDOMAIN"
        case codes.SERVFAIL | codes.NOTIMP:
            return "SERVERERROR"
        case _:
            return "OTHERERROR"


def class_of(kind: str) -> str:
    """Return the class that a kind of response belongs to."""
    return _CLASS_OF.get(kind, "error")


def _counted(response: Response) -> tuple[int, int]:
    """Return the rcode and how many records the answer section has."""
    match response:
        case Answer(sections):
            return sections.rcode, len(sections.answer)
        case Relay(message):
            return relay.rcode(message), HEADER.unpack_from(message)[3]


def _without_answer(response: Response) -> str:
    """Tell a name without such data (RFC 2308 section 2.2) from a referral."""
    try:
        authority = set(_authority(response))
    except UpstreamError:
        return "OTHERERROR"
    if codes.SOA in authority:
        return "NODATA"
    return "DELEGATION" if codes.NS in authority else "NOERROR"


def _authority(response: Response) -> Iterator[int]:
    """Yield the types of the authority section."""
    match response:
        case Answer(sections):
            yield from (record.rtype for record in sections.authority)
        case Relay(message):
            reply = relay.locate(message)
            count = HEADER.unpack_from(message)[4]
            yield from (place.rtype for place in reply.places[reply.answers :][:count])


# -- the words of a format ----------------------------------------------------------------------


def _format(text: str) -> tuple[_Part, ...]:
    """Compile a format; braces around an unknown word stand for themselves."""
    return tuple(_part(piece) for piece in _WORD.split(text) if piece)


def _part(piece: str) -> _Part:
    word = piece[1:-1] if _WORD.fullmatch(piece) else None
    if word is not None and word in _WORDS:
        return _WORDS[word]
    if word is not None and word.startswith("/"):
        return lambda _: MISSING
    return lambda _: piece


def _host(address: Address) -> str:
    return f"[{address[0]}]" if ":" in address[0] else address[0]


def _asked_octets(query: Query) -> int:
    """Octets of a query: header, question, and OPT with its options (RFC 6891 section 6.1.2)."""
    size = HEADER.size + len(query.question)
    if query.edns is None:
        return size
    return size + _OPT_OCTETS + sum(_OPTION_OCTETS + len(data) for _, data in query.edns.options)


def _buffer(request: Request) -> int:
    """Octets that the client takes."""
    if request.transport == "tcp":
        return MAX_TCP_MESSAGE
    edns = request.query.edns
    return MIN_UDP_SIZE if edns is None else max(MIN_UDP_SIZE, edns.size)


def _rflags(exchange: Exchange) -> str:
    if not exchange.reply:
        return MISSING
    flags = HEADER.unpack_from(exchange.reply)[1]
    return ",".join(text for bit, text in _FLAGS.items() if flags & bit)


def _duration(exchange: Exchange) -> str:
    """Write seconds without an exponent, to the nanosecond."""
    return f"{exchange.seconds:.9f}".rstrip("0").rstrip(".") + "s"


def _do(exchange: Exchange) -> str:
    edns = exchange.request.query.edns
    return "true" if edns is not None and edns.do else "false"


def _kind(exchange: Exchange) -> str:
    return outcome(exchange.request, exchange.response)


_WORDS: Mapping[str, _Part] = {
    "type": lambda exchange: type_text(exchange.request.query.rtype),
    "name": lambda exchange: names.to_text(exchange.request.query.name),
    "class": lambda exchange: class_text(exchange.request.query.rclass),
    "proto": lambda exchange: exchange.request.transport,
    "size": lambda exchange: str(_asked_octets(exchange.request.query)),
    "remote": lambda exchange: _host(exchange.request.client),
    "port": lambda exchange: str(exchange.request.client[1]),
    "local": lambda exchange: _host(exchange.request.local) or EVERYWHERE,
    ">id": lambda exchange: str(exchange.request.query.id),
    ">opcode": lambda exchange: str(exchange.request.query.opcode),
    ">do": _do,
    ">bufsize": lambda exchange: str(_buffer(exchange.request)),
    "rcode": lambda exchange: rcode_label(exchange.rcode) if exchange.reply else MISSING,
    "rsize": lambda exchange: str(len(exchange.reply)),
    "duration": _duration,
    ">rflags": _rflags,
    "/log/type": _kind,
    "/log/class": lambda exchange: class_of(_kind(exchange)),
}


# -- the directive ------------------------------------------------------------------------------


def _rules(directive: Directive, block: Block) -> Iterator[Rule]:
    """Read ``log [NAMES...] [FORMAT]`` and its block: a rule for each name."""
    words, text = list(directive.args), COMMON
    if len(words) > 1 and "{" in words[-1].text:
        text = words.pop().text.replace("{common}", COMMON).replace("{combined}", COMBINED)
    elif words and "{" in words[0].text:
        _warn_of_lone_format(words[0], block)
    classes = _classes(directive)
    for zone in zones(words, (ROOT,)):
        yield Rule(zone, classes, _format(text))


def _warn_of_lone_format(word: Token, block: Block) -> None:
    block.warn(
        word,
        f"log {word.text} is read as a name, as CoreDNS does, and no query is for it:"
        f" expected log . {word.text}",
    )


def _classes(directive: Directive) -> frozenset[str]:
    found: set[str] = set()
    for line in directive.lines:
        if line.name.text != "class":
            unknown(line, ("class",), of="log")
        found |= {choice(word, CLASSES, "class") for word in arguments(line, 1, MANY)}
    return frozenset(found or {ALL})
