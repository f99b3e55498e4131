"""The parts of a Corefile: every word knows the file and line that it came from."""

from msgspec import Struct


class Token(Struct, frozen=True):
    """A word."""

    text: str
    path: str = ""
    line: int = 0
    """Counted from 1."""
    quoted: bool = False


class Line(Struct, frozen=True):
    """A line inside the braces of a directive: an option and its arguments."""

    name: Token
    args: tuple[Token, ...] = ()

    @property
    def words(self) -> tuple[Token, ...]:
        """The whole line, as ``hosts`` and ``rewrite`` read it."""
        return (self.name, *self.args)


class Directive(Struct, frozen=True):
    """A plugin's name, its arguments and the lines in its braces."""

    name: Token
    args: tuple[Token, ...] = ()
    lines: tuple[Line, ...] = ()


class ServerBlock(Struct, frozen=True):
    """Keys (zones with ports) and directives in the order in which they are written."""

    keys: tuple[Token, ...]
    directives: tuple[Directive, ...]


class Corefile(Struct, frozen=True):
    """Everything that was read."""

    path: str
    blocks: tuple[ServerBlock, ...]
    sources: tuple[tuple[str, bytes], ...]
    """The files that were read, imports included, with their contents: what ``reload`` watches."""
