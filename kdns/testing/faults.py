"""What an API server can do wrong, as values to order from the fake one. Knows no HTTP."""

from typing import TypeAlias

from msgspec import Struct


class Answer(Struct, frozen=True):
    """An error status instead of an answer; as plain text when there is no ``reason``."""

    code: int
    reason: str = ""
    text: str = "on order"
    retry_after: int | None = None


class Reset(Struct, frozen=True):
    """A TCP reset instead of an answer."""


class Silence(Struct, frozen=True):
    """Nothing instead of an answer; with ``opened`` the status 200 and then nothing."""

    opened: bool = False


class Cut(Struct, frozen=True):
    """End the stream after so many events, ``early`` in the middle of the next line."""

    after: int = 0
    early: bool = False


class Drip(Struct, frozen=True):
    """Send every event in pieces of so many bytes."""

    size: int = 7


class Error(Struct, frozen=True):
    """An ERROR event after so many events, and the end of the stream."""

    code: int
    reason: str = ""
    after: int = 0


class Garbage(Struct, frozen=True):
    """A line that nobody expects before the first event."""

    line: bytes = b"this is not JSON"


class Repeat(Struct, frozen=True):
    """Every event comes twice."""


class NullItems(Struct, frozen=True):
    """A list whose ``items`` are null."""


Fault: TypeAlias = Answer | Reset | Silence | Cut | Drip | Error | Garbage | Repeat | NullItems
