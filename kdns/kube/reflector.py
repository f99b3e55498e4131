"""One thread that follows one collection: requests, reading, waiting. Knows no event loop, no DNS.

What to do is decided by ``watch.step``; this sends its requests, hands its changes on in batches
and keeps the status. Whatever the transport raises becomes a reply, so that the thread lives on.
"""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import closing
from http import HTTPStatus
from random import random
from threading import Event, Thread

from msgspec import Struct

from kdns.kube.changes import Apply, Change, Init, InitDone
from kdns.kube.connect import CHUNK, Connection, CutShort, lines, trouble
from kdns.kube.decode import read_event, read_page, read_refusal
from kdns.kube.exchange import Broken, Ended, List, Opened, Page, Refused, Reply, Request, Skipped
from kdns.kube.objects import Namespace
from kdns.kube.resources import Target, query
from kdns.kube.status import EXPIRED, Status, assumed, observe, seen_at
from kdns.kube.watch import At, Pace, Step, Streaming, settling, start, step

log = logging.getLogger(__name__)

BATCH = 100
"""Changes that are handed on at once: the event loop answers queries between two batches."""
COMPLAINTS = 100
"""Undecodable objects of one collection that are logged; all of them are counted."""


class Clock:
    """Time, to be replaced in a test that cannot wait."""

    def now(self) -> float:
        """Return a time that only goes forward."""
        return time.monotonic()

    def today(self) -> float:
        """Return the time of day."""
        return time.time()

    def wait(self, stop: Event, seconds: float) -> None:
        """Wait, but no longer than until the event is set."""
        stop.wait(seconds)


class Batch(Struct, frozen=True):
    """Changes in their order, and the status after them."""

    target: Target
    status: Status
    changes: tuple[Change, ...] = ()


class Reflector:
    """Follows one collection from a thread of its own until it is stopped."""

    def __init__(
        self,
        target: Target,
        connection: Connection,
        out: Callable[[Batch], None],
        pace: Pace,
        clock: Clock,
    ) -> None:
        """Take everything that is needed; nothing happens before ``start``."""
        self.target = target
        self.status = Status(
            target.kind, target.resource.name, target.namespace, since=clock.today()
        )
        self._connection = connection
        self._out = out
        self._pace = pace
        self._clock = clock
        self._stop = Event()
        self._changes: list[Change] = []
        self._complaints: set[str] = set()
        self._where = (target.resource.name, target.scope)
        name = f"kdns-{target.resource.plural}-{target.namespace}".rstrip("-")
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """End whatever the thread is doing; ``join`` waits for it."""
        self._stop.set()
        self._connection.interrupt()

    def join(self, timeout: float) -> None:
        """Wait for the thread, which a connection attempt may hold for a moment."""
        self._thread.join(timeout)

    def _run(self) -> None:
        following = start(self.target.kind, self._at(), self._pace)
        while not self._stop.is_set():
            self._pause(following)
            if not self._stop.is_set():
                following = self._live_through(following)
        self._connection.close()

    def _live_through(self, following: Step) -> Step:
        """Converse; whatever goes wrong in us is tried again later, for nobody else will."""
        try:
            return self._converse(following)
        except Exception:
            log.exception("%s: following failed", self.target.resource.name)
            self._changes.clear()
            return start(self.target.kind, self._at(), self._pace, self._pace.ceiling)

    def _at(self) -> At:
        return At(self._clock.now(), random())  # noqa: S311 - it spreads load, it guards nothing

    def _pause(self, following: Step) -> None:
        """Wait out a delay, or until a server that could not be reached accepts connections.

        That look costs neither side much, and after an outage it is worth half a minute.
        """
        unreachable = following.state.past.unreachable
        until = self._clock.now() + following.delay
        while not self._stop.is_set() and (left := until - self._clock.now()) > 0:
            glance = 0.5 + random()  # noqa: S311
            self._clock.wait(self._stop, min(left, glance) if unreachable else left)
            if unreachable and not self._stop.is_set() and self._connection.reachable():
                return

    def _converse(self, following: Step) -> Step:
        """Send the request of a step and read until a reply asks for another request."""
        request = following.request
        assert request is not None, "only a reply within a conversation goes without"  # noqa: S101
        with closing(self._replies(request)) as batches:
            for replies in batches:
                for reply in replies:
                    following = self._advance(following, reply)
                    if following.request is not None or self._stop.is_set():
                        break
                # Every event comes in a portion of its own. Within a list nobody sees it before
                # the end, and handing on 100 at a time takes half the CPU.
                if len(self._changes) >= BATCH or not isinstance(following.state, Streaming):
                    self._flush()
                if following.request is not None or self._stop.is_set():
                    break
        self._flush()
        return following

    def _replies(self, request: Request) -> Generator[list[Reply]]:
        """Yield what comes of a request, in the portions in which it comes."""
        try:
            yield from self._exchange(request)
        except CutShort as cut:
            yield [Broken(str(cut))]
        except Exception as error:  # noqa: BLE001 - urllib3, ssl, kubernetes, an exec plugin: all
            yield [trouble(error)]

    def _exchange(self, request: Request) -> Generator[list[Reply]]:
        target = self.target
        paged, began = isinstance(request, List), self._clock.now()
        with closing(
            self._connection.get(target.path, query(target, request), compressed=paged)
        ) as response:
            if response.status != HTTPStatus.OK:
                after = response.headers.get("Retry-After", "")
                yield [read_refusal(response.status, response.read(CHUNK), after)]
            elif paged:
                body = response.read(decode_content=True)
                self._connection.measures.listed(self._connection.host, self._clock.now() - began)
                yield [read_page(target.kind, body, target.only)]
            else:
                yield [Opened()]
                for portion in lines(response.stream(CHUNK)):
                    yield [read_event(target.kind, line, target.only) for line in portion]
                yield [Ended()]

    def _advance(self, following: Step, reply: Reply) -> Step:
        if self._stop.is_set():  # the connection was interrupted: no trouble, and no news
            return following
        before, at = following.state, self._at()
        after = step(before, reply, at, self._pace)
        status = self.status
        if not (isinstance(reply, Refused) and settling(before.past, at, self._pace)):
            status = observe(status, self.target, before, reply, after)
            status = seen_at(self.status, status, reply, self._clock.today())
        self._changes += after.changes
        self._tell(status, reply)
        self.status = status
        if isinstance(reply, Refused):
            self._refused(reply)
        return after

    def _refused(self, reply: Refused) -> None:
        if reply.code == HTTPStatus.UNAUTHORIZED:
            self._connection.renew()
        only = self.target.only
        if self.status.forbidden and only and not self.status.synced:
            # With only a Role in each of them nobody may list namespaces.
            if self.status.state != "assumed":
                members = (Apply(Namespace(name)) for name in sorted(only))
                self._changes += [Init("Namespace"), *members, InitDone("Namespace")]
            self.status = assumed(self.status)

    def _flush(self) -> None:
        """Hand on what there is; the last part brings the status."""
        changes, self._changes = self._changes, []
        for begin in range(0, max(len(changes), 1), BATCH):
            part = tuple(changes[begin : begin + BATCH])
            self._out(Batch(self.target, self.status, part))

    def _tell(self, status: Status, reply: Reply) -> None:
        """Log each change of state once, however often it is tried again."""
        problems = reply.problems if isinstance(reply, Page) else ()
        if isinstance(reply, Skipped) and reply.problem:
            problems = (reply.problem,)
        for problem in problems:
            self._complain(problem)
        if status.trouble and status.trouble != self.status.trouble:
            level = logging.INFO if status.trouble == EXPIRED else logging.WARNING
            log.log(level, "%s %s: %s (%s)", *self._where, status.trouble, status.error)
        if status.state == "live" and self.status.state != "live":
            seconds = self._clock.today() - self.status.since
            what = "current again" if self.status.synced else "synced"
            log.info(
                "%s %s: %s after %.1f s, %d objects", *self._where, what, seconds, status.objects
            )

    def _complain(self, problem: str) -> None:
        if problem in self._complaints or len(self._complaints) >= COMPLAINTS:
            return
        self._complaints.add(problem)
        log.warning("%s: an object cannot be used: %s", self.target.resource.name, problem)
