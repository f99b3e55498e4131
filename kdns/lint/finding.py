"""One thing that will not resolve as it is meant. Knows no files and no rules."""

from typing import Literal, TypeAlias

from msgspec import Struct

Level: TypeAlias = Literal["error", "warning", "info"]


class Finding(Struct, frozen=True):
    """A finding; its code means the same in every version."""

    code: str
    level: Level
    path: str
    line: int
    """Where the object begins, from 1."""
    object: str
    """``Service default/web``."""
    text: str

    def __str__(self) -> str:
        """Write it as compilers do."""
        return f"{self.path}:{self.line}: {self.level} {self.code}: {self.object}: {self.text}"
