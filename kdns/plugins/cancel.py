"""``cancel``: a query that takes too long is given up, and gets no reply."""

import asyncio
from collections.abc import Sequence

from kdns.assembly import Block
from kdns.chain import Dropped, Handler, Plugin, Request, Response
from kdns.corefile.syntax import Directive
from kdns.corefile.values import arguments, duration, fail, no_lines
from kdns.server.eager import Rest, start

DEFAULT = 5.001
"""Seconds; most clients give up after 5."""


def setup(directives: Sequence[Directive], block: Block) -> Plugin:  # noqa: ARG001 - as all are
    """Give up queries after a time; the last of several directives counts, as in CoreDNS."""
    return Cancel([_timeout(directive) for directive in directives][-1])


def _timeout(directive: Directive) -> float:
    no_lines(directive)
    given = arguments(directive, 0, 1, what="duration")
    if not given:
        return DEFAULT
    seconds = duration(given[0])
    if not seconds:
        fail(given[0], f"cancel: expected a duration of more than 0, got {given[0].text!r}")
    return seconds


class Cancel:
    """Gives up what takes longer than a number of seconds."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout

    def wrap(self, following: Handler) -> Handler:
        """Cancel the following handler when time is up, and answer nothing."""

        async def handle(request: Request) -> Response:
            # No asyncio.timeout: it needs a task, and what does not wait never becomes one.
            outcome = start(_asked(following, request))
            if isinstance(outcome, Rest):
                return await self._in_time(outcome)
            return outcome

        return handle

    async def _in_time(self, rest: Rest[Response]) -> Response:
        try:
            done, _ = await asyncio.wait((rest,), timeout=self.timeout)
        finally:
            rest.cancel()
        if not done:
            raise Dropped(f"no answer within {self.timeout:g} s")
        return rest.result()


async def _asked(following: Handler, request: Request) -> Response:
    return await following(request)
