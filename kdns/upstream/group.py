"""Several upstream resolvers for the same names: who is asked first, and who is asked next."""

import asyncio
import os
import random
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from kdns.chain import Transport
from kdns.errors import UpstreamError
from kdns.upstream.question import Question, Response
from kdns.upstream.resolver import Resolver
from kdns.upstream.settings import Settings

CHANCES = 2
"""Attempts that may fail for each upstream, unless the settings say how many."""
PAUSE = 0.05
"""Seconds between two rounds of attempts beyond these: they may fail at once every time."""


class Failure(Struct, frozen=True):
    """No upstream answered."""

    text: str
    """Which and why."""
    talked: bool
    """Whether one of them did answer, but not in a way that can be passed on."""


class Group:
    """Asks one upstream after the other until one answers or time is up."""

    def __init__(
        self, resolvers: Sequence[Resolver], settings: Settings, all_down: Callable[[], None]
    ) -> None:
        """``all_down`` is called for every query for which no upstream is in working order."""
        self._resolvers = tuple(resolvers)
        self._settings = settings
        self._all_down = all_down
        self._turn = 0
        most = settings.max_attempts
        self._most = CHANCES * len(resolvers) if most is None else most
        # An operator who waits longer for one response wants it to be waited for.
        self._seconds = max(settings.deadline, settings.read_timeout)

    async def ask(self, asked: Question, transport: Transport) -> Response | Failure:
        """Return what the first upstream that answers says."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._seconds
        errors: dict[Resolver, OSError | UpstreamError] = {}
        passed: list[Response] = []
        failed = 0
        for resolver in self._candidates():
            try:
                response = await resolver.ask(asked, transport, deadline)
            except (OSError, UpstreamError) as error:
                resolver.health.suspect()
                # What comes later may only be that time is up.
                errors.setdefault(resolver, error)
                failed += 1
                if failed == self._most or loop.time() >= deadline:
                    break
                await self._pause(failed)
            else:
                passed.append(response)
                failover = response.rcode in self._settings.failover
                if not failover or len(passed) >= len(self._resolvers) or loop.time() >= deadline:
                    break
        # Of a row of failovers the last one counts, even where nobody came after it.
        return passed[-1] if passed else _failure(errors)

    def close(self) -> None:
        """Close all sockets."""
        for resolver in self._resolvers:
            resolver.close()

    def _candidates(self) -> Iterator[Resolver]:
        """Return whom to ask, round after round, for as long as somebody is in working order."""
        order = self._in_order()
        while up := [resolver for resolver in order if not resolver.health.down]:
            yield from up
        self._all_down()
        if not self._settings.failfast:
            # Perhaps it is the checks that do not work.
            yield random.choice(order)  # noqa: S311 - nothing is kept secret

    def _in_order(self) -> Sequence[Resolver]:
        """Return all as the policy has it, but those that failed of late at the end."""
        if len(self._resolvers) == 1:
            return self._resolvers
        return sorted(self._by_policy(), key=lambda resolver: resolver.health.doubtful)

    def _by_policy(self) -> Sequence[Resolver]:
        resolvers = self._resolvers
        match self._settings.policy:
            case "random":
                return random.sample(resolvers, len(resolvers))
            case "round_robin":
                self._turn = (self._turn + 1) % len(resolvers)
                return (*resolvers[self._turn :], *resolvers[: self._turn])
            case "sequential":
                return resolvers

    async def _pause(self, failed: int) -> None:
        """Wait between rounds, when there are more of them than usual."""
        count = len(self._resolvers)
        if failed >= CHANCES * count and failed % count == 0:
            await asyncio.sleep(PAUSE)


def _failure(errors: dict[Resolver, OSError | UpstreamError]) -> Failure:
    if not errors:
        return Failure("no upstream is in working order", talked=False)
    text = "; ".join(f"{resolver.upstream}: {_reason(e)}" for resolver, e in errors.items())
    return Failure(text, talked=any(isinstance(e, UpstreamError) for e in errors.values()))


def _reason(error: OSError | UpstreamError) -> str:
    """Say why an exchange failed, in the words that CoreDNS has for the same."""
    match error:
        case TimeoutError(errno=None):
            return "i/o timeout"
        case ssl.SSLCertVerificationError():
            return f"certificate verify failed: {error.verify_message}"
        case ssl.SSLError(reason=str(reason)):
            return f"tls: {reason.lower().replace('_', ' ')}"
        case socket.gaierror(strerror=str(text)):
            return text.lower()
        case OSError(errno=int(number)):
            return os.strerror(number).lower()
        case _:
            return str(error)
