"""``timeouts``: the time that clients of TCP have, and how much they may ask in one connection."""

from collections.abc import Sequence

from msgspec.structs import replace

from kdns.assembly import Block
from kdns.corefile.syntax import Directive, Line
from kdns.corefile.values import MANY, arguments, duration, fail, integer, unknown

SHORTEST = 1.0
LONGEST = 24 * 3600.0
"""Seconds."""
_UNLIMITED = "-1"
_TIMES = ("read", "write", "idle")


def setup(directives: Sequence[Directive], block: Block) -> None:
    """Change the limits of a block's TCP clients; what is not named stays."""
    for directive in directives:
        arguments(directive, 0)
        if not directive.lines:
            fail(
                directive.name, "timeouts: expected a block with read, write, idle or maxtcpqueries"
            )
        for line in directive.lines:
            _set(line, block)


def _set(line: Line, block: Block) -> None:
    option = line.name.text
    if option in _TIMES:
        (token,) = arguments(line, 1, what="duration")
        seconds = duration(token, SHORTEST, LONGEST, bare="seconds")
        block.limits = replace(block.limits, **{option: seconds})
    elif option == "maxtcpqueries":
        block.limits = replace(block.limits, queries=_queries(line))
    else:
        unknown(line, (*_TIMES, "maxtcpqueries"), of="timeouts")


def _queries(line: Line) -> int | None:
    (token,) = arguments(line, 1, what="number")
    return None if token.text == _UNLIMITED else integer(token, 1, MANY)
