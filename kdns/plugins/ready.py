"""``ready``: a page that says whether everything is there that answers need.

What can be not ready has a check in its server block; the page asks those of all blocks.
"""

import logging
from collections.abc import Sequence

from kdns.assembly import Block, Runtime
from kdns.chain import Address
from kdns.corefile.places import place
from kdns.corefile.syntax import Directive
from kdns.corefile.values import arguments, choice, once, unknown
from kdns.server.http import Reply, Visit

log = logging.getLogger(__name__)

PATH = "/ready"
EVERYWHERE: Address = ("", 8181)
UNTIL_READY, CONTINUOUSLY = "until-ready", "continuously"
_UNAVAILABLE = "503 Service Unavailable"


def setup(directives: Sequence[Directive], block: Block) -> None:
    """Serve the page."""
    directive = once(directives)
    address = place(directive, EVERYWHERE)
    mode = UNTIL_READY
    for line in directive.lines:
        if line.name.text != "monitor":
            unknown(line, ("monitor",), of="ready")
        mode = choice(arguments(line, 1)[0], (UNTIL_READY, CONTINUOUSLY), "way to monitor")
    page = Readiness(block.runtime, continuously=mode == CONTINUOUSLY)
    block.serve_http(address, PATH, page.show)


class Readiness:
    """Asks every plugin that can be not ready, most of them until it was ready once."""

    def __init__(self, runtime: Runtime, *, continuously: bool = False) -> None:
        """``continuously`` asks also those that were ready once."""
        self._runtime = runtime
        self._continuously = continuously
        self._done: set[str] = set()

    def show(self, _visit: Visit) -> Reply:
        """Say "OK", or what is not ready; called on a thread of the visitor's."""
        if self._runtime.ending:
            return Reply(b"Shutting down", _UNAVAILABLE)
        waiting = ",".join(sorted(self._waiting()))
        if not waiting:
            return Reply(b"OK")
        log.info('plugin/ready: Plugins not ready: "%s"', waiting)
        return Reply(waiting.encode(), _UNAVAILABLE)

    def _waiting(self) -> set[str]:
        checks = self._runtime.checks()
        waiting = {name for name in checks.keys() - self._done if not checks[name]()}
        if not self._continuously:
            self._done |= checks.keys() - waiting
        return waiting
