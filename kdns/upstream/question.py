"""What an upstream is asked for a client, and what it answers. Knows no sockets."""

from msgspec import Struct

from kdns.errors import UpstreamError
from kdns.wire import codes, relay, soundness
from kdns.wire.query import CD, DO, HEADER, QR, RD, TC, Query
from kdns.wire.relay import AD

UDP_SIZE = 1232
"""What we take over UDP: it fits every path unfragmented (DNS flag day 2020)."""
_FLAGS = RD | AD | CD
_COUNTS = b"\0\1\0\0\0\0\0\0"
_COUNTS_OPT = b"\0\1\0\0\0\0\0\1"
_OPT_HEAD = b"\0" + codes.OPT.to_bytes(2) + UDP_SIZE.to_bytes(2) + b"\0\0"
_OPT = {do: _OPT_HEAD + (DO if do else 0).to_bytes(2) for do in (False, True)}
_ID = 2
_RCODE = 0x000F


class Question(Struct, frozen=True, gc=False):
    """A query and its message, which is the same for all who ask the same."""

    query: Query
    body: bytes
    """The message without its id."""


class Response(Struct, frozen=True, gc=False):
    """A response that was looked at: it is sound, and to the question."""

    message: bytes
    rcode: int
    truncated: bool

    @property
    def answers(self) -> int:
        """How many records the answer section has."""
        return int.from_bytes(self.message[6:8])


def question(query: Query) -> Question:
    """Reduce a query to what an upstream is asked.

    RFC 6891 section 6.1.1 forbids to forward OPT: size and options belong to one hop. So it is
    ours, sent if the client sent one; it carries the client's DO and the options of ``rewrite``.
    """
    flags = (query.flags & _FLAGS).to_bytes(2)
    if query.edns is None:
        return Question(query, flags + _COUNTS + query.question)
    passed = b"".join(
        code.to_bytes(2) + len(data).to_bytes(2) + data for code, data in query.edns.passed
    )
    opt = _OPT[query.edns.do] + len(passed).to_bytes(2) + passed
    return Question(query, flags + _COUNTS_OPT + query.question + opt)


def is_answer(asked: Question, message: bytes) -> bool:
    """Whether a message with the right id is the response to this question."""
    expected = asked.query.question
    if message[HEADER.size : HEADER.size + len(expected)] == expected:
        return message[2] & QR >> 8 != 0 and message[4:6] == b"\0\1"
    return relay.is_answer(message, asked.query, int.from_bytes(message[:_ID]))


def is_complaint(message: bytes) -> bool:
    """Whether a message is a mere header with an error: a server that could not read the query."""
    if len(message) != HEADER.size:
        return False
    _, flags, *counts = HEADER.unpack(message)
    return bool(flags & QR and flags & _RCODE and not any(counts))


def read(asked: Question, message: bytes) -> Response:
    """Look at a response to this question. Raises UpstreamError for what cannot be passed on."""
    query = asked.query
    flags = message[2] << 8 | message[3]
    end = HEADER.size + len(query.question)
    try:
        upper = soundness.check(message, end)
    except UpstreamError:
        if not flags & TC:
            raise
        # Some servers truncate in the middle of a record.
        return Response(soundness.stump(message, end), flags & _RCODE, truncated=True)
    if upper is None:
        return Response(message, flags & _RCODE, bool(flags & TC))
    if query.edns is None:
        # RFC 6891 section 7: nobody asked for OPT.
        message = relay.without_edns(relay.locate(message))
    return Response(message, upper << 4 | flags & _RCODE, bool(flags & TC))
