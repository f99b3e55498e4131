"""``multisocket``: several processes share the sockets and the work.

Only a setting: ``kdns.workers.crew`` starts the processes and looks after them.
"""

import os
from collections.abc import Sequence

from kdns.assembly import Block
from kdns.corefile import values
from kdns.corefile.syntax import Directive

MOST = 1024
"""As in CoreDNS; more would be a slip of the pen."""


def setup(directives: Sequence[Directive], block: Block) -> None:
    """Read how many; without a number there is one for each processor that may be used."""
    directive = values.once(directives)
    values.no_lines(directive)
    number = values.arguments(directive, 0, 1, what="number")
    processors = len(os.sched_getaffinity(0))
    block.workers = values.integer(number[0], 1, MOST) if number else processors
