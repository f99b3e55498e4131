"""``debug``: faults are shown with their stack, and debug messages of all kdns are logged."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from kdns.assembly import Block
from kdns.corefile.syntax import Directive
from kdns.corefile.values import arguments, no_lines

_LOGGER = "kdns"


class Verbose(logging.Filter):
    """A mark on a logger: somebody wants its debug messages. It lets everything pass."""


def setup(directives: Sequence[Directive], block: Block) -> None:
    """Have the faults of a block traced, and all debug messages logged while it runs."""
    for directive in directives:
        no_lines(directive)
        arguments(directive, 0)
    block.traced = True
    block.during(_verbose())


@asynccontextmanager
async def _verbose() -> AsyncIterator[None]:
    """Log debug messages until the last block that wants them ends.

    At a reload the new block begins before the old one ends.
    """
    logger, mark = logging.getLogger(_LOGGER), Verbose()
    logger.addFilter(mark)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeFilter(mark)
        if not any(isinstance(other, Verbose) for other in logger.filters):
            logger.setLevel(logging.NOTSET)
