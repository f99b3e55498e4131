"""``reload``: changes over to another Corefile when the file, or one that it imports, changes.

The files are read again now and then and compared with what is running. Of several server blocks
that want this, the last one decides how often; there is one watch for the whole process.
"""

import asyncio
import hashlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from kdns.assembly import Block, Runtime
from kdns.corefile import parser
from kdns.corefile.durations import written
from kdns.corefile.files import STDIN
from kdns.corefile.syntax import Corefile, Directive
from kdns.corefile.values import arguments, duration, fail, no_lines
from kdns.errors import CorefileError

log = logging.getLogger(__name__)

NAME = "reload"
INTERVAL, JITTER = 30.0, 15.0
"""Seconds, where the directive has none."""
MIN_INTERVAL, MIN_JITTER = 2.0, 1.0


def setup(directives: Sequence[Directive], block: Block) -> None:
    """Watch the Corefile; as in CoreDNS the first directive of a block counts."""
    directive, *others = directives
    for other in others:
        at = f"{directive.name.path}:{directive.name.line}"
        block.warn(other.name, f"reload is passed over: it is already at {at}")
    watch = Watch(directive, block.runtime, spread(*_times(directive)))
    block.during(watch.running())
    block.when_running(watch.begin)


def spread(interval: float, jitter: float, luck: Callable[[], float] = random.random) -> float:
    """Return the seconds between two looks: up to half the jitter more or less than the interval.

    So servers with the same Corefile do not all change over at the same moment.
    """
    return interval + (luck() - 0.5) * min(jitter, interval / 2)


def digest(corefile: Corefile) -> str:
    """Return the SHA-512 of all that was read, in hexadecimal digits."""
    found = hashlib.sha512()
    for path, content in corefile.sources:
        found.update(f"{path}\n{len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()


class Watch:
    """Compares the files with what runs."""

    def __init__(
        self,
        directive: Directive,
        runtime: Runtime,
        interval: float,
        load: Callable[[str], Corefile] = parser.load,
    ) -> None:
        """``interval`` is in seconds; ``load`` reads a Corefile with what it imports."""
        self._directive = directive
        self._runtime = runtime
        self._interval = interval
        self._load = load
        self._seen = ""
        self._task: asyncio.Task[None] | None = None
        self._failures = runtime.metrics.counter(
            "coredns_reload_failed_total", "Changes of the Corefile that could not be used."
        )
        self._version = runtime.metrics.gauge(
            "coredns_reload_version_info",
            "1, with the digest of the configuration that is running.",
            ("hash", "value"),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Stop looking when the configuration ends."""
        try:
            yield
        finally:
            if self._task is not None:
                self._task.cancel()
                with suppress(asyncio.CancelledError):
                    await self._task

    def begin(self) -> None:
        """Say what is running, and start to look, unless another block does."""
        corefile = self._runtime.corefile
        if corefile is None or _last(corefile) is not self._directive:
            return
        value = digest(corefile)
        log.info("plugin/reload: Running configuration SHA512 = %s", value)
        self._version.clear()
        self._version.labels("sha512", value).set(1)
        if corefile.path == STDIN:
            log.warning("plugin/reload: standard input cannot be read again: nothing is watched")
        else:
            self._task = asyncio.create_task(self._watch(corefile))

    async def _watch(self, running: Corefile) -> None:
        while True:
            await asyncio.sleep(self._interval)
            if self._runtime.corefile is not running:
                # Another one runs already, and this one only finishes its last queries.
                return
            await self.look(running)

    async def look(self, running: Corefile) -> None:
        """Change over to what is new; what was tried once is not tried again."""
        try:
            found = digest(await asyncio.to_thread(self._load, running.path))
        except CorefileError as error:
            found = f"unusable: {error}"
        if found == self._seen:
            return
        self._seen = found
        if found != digest(running) and not await self._runtime.reload():
            self._failures.inc()


def _last(corefile: Corefile) -> Directive | None:
    """Return the directive that decides: of each block the first one, of those the last."""
    found = None
    for block in corefile.blocks:
        own = (one for one in block.directives if one.name.text == NAME)
        found = next(own, found)
    return found


def _times(directive: Directive) -> tuple[float, float]:
    """Read ``reload [INTERVAL] [JITTER]``, in seconds."""
    no_lines(directive)
    words = arguments(directive, 0, 2)
    interval = duration(words[0], low=MIN_INTERVAL) if words else INTERVAL
    if len(words) < 2:  # noqa: PLR2004 - the second one is the jitter
        return interval, JITTER
    jitter = duration(words[1])
    if 0 < jitter < MIN_JITTER:
        least = written(MIN_JITTER)
        fail(words[1], f"expected a jitter of 0s or at least {least}, got {words[1].text!r}")
    return interval, jitter
