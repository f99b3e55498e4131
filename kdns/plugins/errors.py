"""``errors``: a line for each query that failed, or one for many that failed alike.

Stands outermost in the chain, so that it hears of everything that goes wrong behind it.
"""

import logging
import re
from asyncio import TimerHandle, get_running_loop
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from msgspec import Struct
from msgspec.structs import replace

from kdns.assembly import Block
from kdns.chain import Answer, Dropped, Handler, Plugin, Request, Response
from kdns.corefile.durations import written
from kdns.corefile.mnemonics import type_text
from kdns.corefile.syntax import Directive, Line, Token
from kdns.corefile.values import arguments, choice, duration, fail, once, regex, unknown
from kdns.errors import KdnsError
from kdns.wire import codes, names

log = logging.getLogger(__name__)

MAX_PATTERN = 10_000
"""Characters of a regular expression."""
SHOW_FIRST = "show_first"
LEVELS = {
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}


def setup(directives: Sequence[Directive], block: Block) -> Plugin:
    """Log what fails in a block."""
    directive = once(directives)
    for word in arguments(directive, 0, 1):
        choice(word, ("stdout",), "place for errors")
    digests = []
    for line in directive.lines:
        match line.name.text:
            case "stacktrace":
                arguments(line, 0)
                block.traced = True
            case "consolidate":
                digests.append(_digest(line))
            case _:
                unknown(line, ("stacktrace", "consolidate"), of="errors")
    errors = Errors(digests)
    block.during(errors.running())
    return errors


class Alike(Struct, frozen=True):
    """Errors that are put together."""

    text: str
    """The regular expression as it is written."""
    pattern: re.Pattern[str]
    seconds: float
    """Time from the first one to the summary."""
    level: int = logging.ERROR
    shows_first: bool = False
    """Whether the first one is logged at once, and the summary only when more came."""


class Digest:
    """Counts errors that are alike, and says after a while how many there were."""

    def __init__(self, wanted: Alike) -> None:
        self.wanted = wanted
        self._count = 0
        self._timer: TimerHandle | None = None

    def take(self) -> bool:
        """Count an error; whether it is to be logged now."""
        self._count += 1
        if self._timer is not None:
            return False
        self._timer = get_running_loop().call_later(self.wanted.seconds, self.close)
        return self.wanted.shows_first

    def close(self) -> None:
        """Say how many there were, and begin anew."""
        if self._timer is not None:
            self._timer.cancel()
        count, self._count, self._timer = self._count, 0, None
        wanted = self.wanted
        if count > 1 or (count and not wanted.shows_first):
            text = "plugin/errors: %d errors like '%s' occurred in last %s"
            log.log(wanted.level, text, count, wanted.text, written(wanted.seconds))


class Errors:
    """Logs what fails, and passes it on."""

    def __init__(self, digests: Sequence[Digest] = ()) -> None:
        self._digests = tuple(digests)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Say at the end what was not said yet."""
        try:
            yield
        finally:
            for digest in self._digests:
                digest.close()

    def wrap(self, following: Handler) -> Handler:
        """Listen to the following handler."""

        async def handle(request: Request) -> Response:
            try:
                response = await following(request)
            except Dropped:
                raise
            except Exception as error:
                text = str(error) if isinstance(error, KdnsError) else repr(error)
                self._log(request, codes.SERVFAIL, text)
                raise
            if isinstance(response, Answer) and response.error:
                self._log(request, response.sections.rcode, response.error)
                # Prepared, it would be sent without a line.
                return replace(response, owners=())
            return response

        return handle

    def _log(self, request: Request, rcode: int, error: str) -> None:
        text, level = _printable(error), logging.ERROR
        digest = next((one for one in self._digests if one.wanted.pattern.search(text)), None)
        if digest is not None:
            if not digest.take():
                return
            level = digest.wanted.level
        query = request.query
        name, rtype = names.to_text(query.name), type_text(query.rtype)
        log.log(level, "plugin/errors: %d %s %s: %s", rcode, name, rtype, text)


def _printable(text: str) -> str:
    """Escape what could forge a line or move a terminal's cursor: upstreams may have said it."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )


def _digest(line: Line) -> Digest:
    """Read ``consolidate DURATION REGEXP [LEVEL] [show_first]``."""
    period, pattern, *rest = arguments(line, 2, 4)
    if len(pattern.text) > MAX_PATTERN:
        expected = f"expected a regular expression of at most {MAX_PATTERN} characters"
        fail(pattern, f"{expected}, got {len(pattern.text)}")
    level, shows_first = _options(rest)
    wanted = Alike(pattern.text, regex(pattern), duration(period), level, shows_first)
    return Digest(wanted)


def _options(words: Sequence[Token]) -> tuple[int, bool]:
    """Read ``[LEVEL] [show_first]``."""
    known: tuple[str, ...] = (*LEVELS, SHOW_FIRST)
    level, shows_first = logging.ERROR, False
    for word in words:
        if not known:
            fail(word, f"expected nothing after {SHOW_FIRST}, got {word.text!r}")
        choice(word, known, "option of consolidate")
        if word.text == SHOW_FIRST:
            known, shows_first = (), True
        else:
            known, level = (SHOW_FIRST,), LEVELS[word.text]
    return level, shows_first
