"""Who is to be woken when something that an answer was made from is touched."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from kdns.kube.owners import EVERYTHING, Owner

ANYTHING: Owner = ("anything",)
"""Touched by every change: for answers of which nobody knows what they were made from."""


class Wakeups:
    """Events by owner: a change costs those who wait for it, and not those who do not."""

    def __init__(self) -> None:
        self._waiting: dict[Owner, set[asyncio.Event]] = {}
        self._records: list[set[Owner]] = []
        self.closed: bool = False
        """Set when nothing will be touched any more."""

    @contextmanager
    def waiting(self, owners: Iterable[Owner]) -> Iterator[asyncio.Event]:
        """Have an event set while the block runs when one of these, or everything, is touched."""
        event = asyncio.Event()
        mine = (*owners, EVERYTHING)
        for owner in mine:
            self._waiting.setdefault(owner, set()).add(event)
        try:
            yield event
        finally:
            for owner in mine:
                self._remove(owner, event)

    @contextmanager
    def recording(self) -> Iterator[set[Owner]]:
        """Collect what is touched while the block runs."""
        record: set[Owner] = set()
        self._records.append(record)
        try:
            yield record
        finally:
            # By identity: two records may be equal.
            self._records = [one for one in self._records if one is not record]

    def touched(self, owners: Iterable[Owner]) -> None:
        """Wake those who wait for one of these."""
        mine = (*owners, ANYTHING)
        for record in self._records:
            record.update(mine)
        for owner in mine:
            for event in self._waiting.get(owner, ()):
                event.set()

    def close(self) -> None:
        """Wake everybody for the last time."""
        self.closed = True
        for event in self._waiting.get(EVERYTHING, ()):
            event.set()

    def _remove(self, owner: Owner, event: asyncio.Event) -> None:
        events = self._waiting[owner]
        events.discard(event)
        if not events:
            del self._waiting[owner]
