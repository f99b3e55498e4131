"""The parts of a parsed template. ``str`` writes them as Go's package does: metrics show that."""

from collections.abc import Iterable
from typing import Literal, TypeAlias

from msgspec import Struct


class Text(Struct, frozen=True):
    """Text that is copied."""

    text: str

    def __str__(self) -> str:
        return self.text


class Dot(Struct, frozen=True):
    """The value that the cursor is at."""

    def __str__(self) -> str:
        return "."


class Nil(Struct, frozen=True):
    """The constant ``nil``."""

    def __str__(self) -> str:
        return "nil"


class Truth(Struct, frozen=True):
    """``true`` or ``false``."""

    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


class Number(Struct, frozen=True):
    """A whole number, or the code point of a character."""

    text: str
    value: int

    def __str__(self) -> str:
        return self.text


class String(Struct, frozen=True):
    """A string constant."""

    quoted: str
    """As it is written."""
    value: str

    def __str__(self) -> str:
        return self.quoted


class Function(Struct, frozen=True):
    """The name of a function."""

    name: str

    def __str__(self) -> str:
        return self.name


class Field(Struct, frozen=True):
    """``.A.B``: fields of the value that the cursor is at."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


class Variable(Struct, frozen=True):
    """``$x.A``: a variable, and fields of its value."""

    name: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((self.name, *self.fields))


class Chain(Struct, frozen=True):
    """``(pipeline).A.B``: fields of the value of another operand."""

    of: "Operand"
    names: tuple[str, ...]

    def __str__(self) -> str:
        return _operand(self.of) + "".join(f".{name}" for name in self.names)


class Command(Struct, frozen=True):
    """An operand, or a function or method with its arguments."""

    operands: "tuple[Operand, ...]"

    def __str__(self) -> str:
        return " ".join(map(_operand, self.operands))


class Pipe(Struct, frozen=True):
    """Commands, each of which gets the value of the one before as its last argument."""

    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    """Variables that get the value."""
    assigns: bool = False
    """Whether they exist already (``=``, not ``:=``)."""

    def __str__(self) -> str:
        sign = " = " if self.assigns else " := "
        names = ", ".join(self.variables) + sign if self.variables else ""
        return names + " | ".join(map(str, self.commands))


class Action(Struct, frozen=True):
    """A pipeline whose value is written, if it sets no variable."""

    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


class Branch(Struct, frozen=True):
    """``if``, ``with`` or ``range``, and what is done otherwise."""

    word: Literal["if", "with", "range"]
    pipe: Pipe
    body: "tuple[Node, ...]"
    otherwise: "tuple[Node, ...] | None" = None

    def __str__(self) -> str:
        rest = "" if self.otherwise is None else "{{else}}" + written(self.otherwise)
        return f"{{{{{self.word} {self.pipe}}}}}{written(self.body)}{rest}{{{{end}}}}"


class Leave(Struct, frozen=True):
    """Ends a ``range``, or this round of it."""

    word: Literal["break", "continue"]

    def __str__(self) -> str:
        return f"{{{{{self.word}}}}}"


Operand: TypeAlias = (
    Dot | Nil | Truth | Number | String | Function | Field | Variable | Chain | Pipe
)
Node: TypeAlias = Text | Action | Branch | Leave


def written(nodes: Iterable[Node]) -> str:
    """Write nodes as a template that parses to the same nodes."""
    return "".join(map(str, nodes))


def _operand(operand: Operand) -> str:
    return f"({operand})" if isinstance(operand, Pipe) else str(operand)
