"""What can be counted of one upstream. Knows no metrics: a plugin does the counting."""

from typing import Protocol


class Counts(Protocol):
    """Is told what happens at one upstream."""

    def answered(self, rcode: int, seconds: float) -> None:
        """Take note of a response that came so many seconds after its question was sent."""

    def took(self, transport: str, *, again: bool) -> None:
        """Take note of a question from a socket that was used before, or from a new one."""

    def check_failed(self) -> None:
        """Take note of a health check that failed."""


class Uncounted:
    """Counts nothing."""

    def answered(self, rcode: int, seconds: float) -> None:
        """Pass over it."""

    def took(self, transport: str, *, again: bool) -> None:
        """Pass over it."""

    def check_failed(self) -> None:
        """Pass over it."""
