"""``header``: sets and clears bits of the header, in queries and in responses. Opens nothing."""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from kdns.assembly import Block
from kdns.chain import Answer, Handler, Plugin, Relay, Request, Response
from kdns.corefile import values
from kdns.corefile.syntax import Directive, Line, Token
from kdns.corefile.values import MANY, arguments, fail
from kdns.wire import relay
from kdns.wire.query import AA, RA, RD

_FLAGS = {"aa": AA, "ra": RA, "rd": RD}
_SELECTORS = ("query", "response")


class Rules(Struct, frozen=True):
    """Bits to set and bits to clear; no bit is both."""

    set_flags: int = 0
    clear_flags: int = 0

    def then(self, *, sets: bool, flags: int) -> "Rules":
        """Return these and one more, which comes last and is right."""
        if sets:
            return Rules(self.set_flags | flags, self.clear_flags & ~flags)
        return Rules(self.set_flags & ~flags, self.clear_flags | flags)

    def of(self, flags: int) -> int:
        """Return what becomes of these bits."""
        return (flags | self.set_flags) & ~self.clear_flags


_NONE = Rules()


def setup(directives: Sequence[Directive], block: Block) -> Plugin:  # noqa: ARG001 - as all are
    """Read all rules of a block, in their order; CoreDNS reads those of one directive only."""
    for directive in directives:
        arguments(directive, 0)
        if not directive.lines:
            fail(directive.name, "header: expected a block with lines like: response set ra")
    lines = [line for directive in directives for line in directive.lines]
    for line in lines:
        _selector(line)
    return Header(_rules(lines, "query"), _rules(lines, "response"))


class Header:
    """Changes the header of queries on their way in, and of responses on their way out."""

    def __init__(self, query: Rules = _NONE, response: Rules = _NONE) -> None:
        self._query = query
        self._response = response

    def wrap(self, following: Handler) -> Handler:
        """Apply the rules around the following handler."""
        of_query, of_response = self._query, self._response

        async def handle(request: Request) -> Response:
            if of_query is not _NONE:
                query = request.query
                request = replace(request, query=replace(query, flags=of_query.of(query.flags)))
            response = await following(request)
            return response if of_response is _NONE else _changed(response, of_response)

        return handle


def _changed(response: Response, rules: Rules) -> Response:
    sets, clears = rules.set_flags, rules.clear_flags
    match response:
        case Answer(sections):
            # The latest decides, so what an earlier one cleared may be set again.
            sections = replace(
                sections,
                set_flags=sections.set_flags & ~clears | sets,
                clear_flags=sections.clear_flags & ~sets | clears,
            )
            return replace(response, sections=sections)
        case Relay(message):
            return replace(response, message=relay.with_flags(message, sets, clears))


# -- reading ----------------------------------------------------------------------------------


def _rules(lines: Iterable[Line], selector: str) -> Rules:
    """Read ``query|response set|clear FLAGS...``, those of one selector."""
    rules = _NONE
    for line in lines:
        if _selector(line) == selector:
            action, *flags = arguments(line, 2, MANY, what="word")
            sets = values.choice(_lowered(action), ("set", "clear"), "action of header") == "set"
            for flag in flags:
                name = values.choice(_lowered(flag), _FLAGS, "flag")
                rules = rules.then(sets=sets, flags=_FLAGS[name])
    return rules


def _selector(line: Line) -> str:
    return values.choice(_lowered(line.name), _SELECTORS, "selector of header")


def _lowered(token: Token) -> Token:
    return replace(token, text=token.text.lower())
