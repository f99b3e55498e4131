"""Where programs run: here, or in a network of their own. Knows no program."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Place(Protocol):
    """A network that programs are started in, and that the tests call them in."""

    @property
    def prefix(self) -> tuple[str, ...]:
        """The words before a command that start it there."""

    def entered(self) -> AbstractContextManager[None]:
        """Let the sockets that this thread opens in the block be of that network."""


class Here:
    """The network that the tests run in."""

    prefix = ()

    def entered(self) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()


HERE = Here()
