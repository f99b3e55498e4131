"""What a template uses of its data, found without executing it.

A field that the data do not have is a ValueError here, not a failed query later. Where a value can
be of several shapes, it is not followed further.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NoReturn, TypeAlias

from msgspec import Struct

from kdns.directives.gotemplate.functions import FUNCTIONS
from kdns.directives.gotemplate.nodes import (
    Action,
    Branch,
    Chain,
    Command,
    Dot,
    Field,
    Function,
    Leave,
    Nil,
    Node,
    Number,
    Operand,
    Pipe,
    String,
    Text,
    Truth,
    Variable,
)


class Fields(Struct, frozen=True):
    """The shape of a structure."""

    name: str
    known: "Mapping[str, Shape]"


class ListOf(Struct, frozen=True):
    """The shape of a list."""

    element: "Shape"


Scalar: TypeAlias = Literal["string", "number", "truth", "strings by name", "method", "unknown"]
Shape: TypeAlias = Scalar | Fields | ListOf


class Uses(Struct, frozen=True):
    """What a template reads."""

    fields: frozenset[str]
    """Fields of the data."""
    keys: frozenset[str]
    """Names that are looked up in maps as ``.Map.name``."""


def check(nodes: Sequence[Node], data: Fields) -> Uses:
    """Return what a template uses; ValueError for what is not there."""
    checker = _Checker(data)
    checker.walk(nodes, data)
    return Uses(frozenset(checker.fields), frozenset(checker.keys))


class _Checker:
    """Goes through all nodes, with the shapes of the variables that are known so far."""

    def __init__(self, data: Fields) -> None:
        self._data = data
        self._variables: list[tuple[str, Shape]] = [("$", data)]
        self.fields: set[str] = set()
        self.keys: set[str] = set()

    def walk(self, nodes: Sequence[Node], dot: Shape) -> None:
        """Check nodes in their order."""
        for node in nodes:
            match node:
                case Action(pipe):
                    shape = self._pipe(pipe, dot)
                    if not pipe.variables:
                        _printable(shape, node)
                case Branch():
                    self._branch(node, dot)
                case Text() | Leave():
                    pass

    def _branch(self, node: Branch, dot: Shape) -> None:
        known = len(self._variables)
        shape = self._pipe(Pipe(node.pipe.commands), dot)
        element = _element(shape) if node.word == "range" else shape
        names = node.pipe.variables
        for name in names[:-1]:
            self._set(name, "unknown")
        for name in names[-1:]:
            self._set(name, element)
        self.walk(node.body, dot if node.word == "if" else element)
        self.walk(node.otherwise or (), dot)
        del self._variables[known:]

    def _pipe(self, pipe: Pipe, dot: Shape) -> Shape:
        shape: Shape | None = None
        for command in pipe.commands:
            shape = self._command(command, dot, shape)
        shape = "unknown" if shape is None else shape
        for name in pipe.variables:
            self._set(name, "unknown" if pipe.assigns else shape)
        return shape

    def _set(self, name: str, shape: Shape) -> None:
        self._variables.append((name, shape))

    def _command(self, command: Command, dot: Shape, final: Shape | None) -> Shape:
        first, *rest = command.operands
        if isinstance(first, Function):
            return self._call(first.name, rest, dot, final)
        shape = self._shape(first, dot)
        arguments = [self._shape(operand, dot) for operand in rest]
        count = len(arguments) + (final is not None)
        if shape == "method":
            if count != 1:
                raise ValueError(f"{first} takes one argument, in {{{{{command}}}}}")
            return "string"
        if count and not (shape == "unknown" and isinstance(first, (Field, Variable, Chain))):
            raise ValueError(f"{first} is no function and takes no argument, in {{{{{command}}}}}")
        if isinstance(first, Nil):
            _refuse("nil is no command")
        return shape

    def _call(self, name: str, rest: Sequence[Operand], dot: Shape, final: Shape | None) -> Shape:
        shapes = [self._shape(operand, dot) for operand in rest]
        shapes += [] if final is None else [final]
        function = FUNCTIONS[name]
        if len(shapes) < function.least or (function.most or len(shapes)) < len(shapes):
            raise ValueError(f"wrong number of arguments for {name}: {len(shapes)}")
        for shape in shapes:
            if isinstance(shape, Fields) and name != "not":
                raise ValueError(f"{name} cannot take {shape.name}, only fields of it")
            if shape == "method":
                raise ValueError(f"{name} cannot take a method that has no argument")
        if name == "index" and len(shapes) == 2:  # noqa: PLR2004 - one index
            return _element(shapes[0])
        return "unknown"

    def _shape(self, operand: Operand, dot: Shape) -> Shape:
        shape: Shape = "unknown"
        names: Sequence[str] = ()
        match operand:
            case Dot():
                shape = dot
            case Field(names):
                shape = dot
            case Variable(name, names):
                shape = dict(self._variables).get(name, "unknown")
            case Chain(inner, names):
                shape = self._shape(inner, dot)
            case Pipe():
                shape = self._pipe(operand, dot)
            case Function(name):
                shape = self._call(name, (), dot, None)
            case Truth() | Number() | String() | Nil():
                pass
        for name in names:
            shape = self._field(shape, name)
        return shape

    def _field(self, shape: Shape, name: str) -> Shape:
        match shape:
            case "unknown":
                return "unknown"
            case "strings by name":
                self.keys.add(name)
                return "string"
            case Fields(_, known) if name in known:
                if shape is self._data:
                    self.fields.add(name)
                return known[name]
            case Fields(title, known):
                raise ValueError(
                    f"unknown field .{name} of {title}: expected one of {_listed(known)}"
                )
            case _:
                raise ValueError(f"a {_called(shape)} has no field .{name}")


def _element(shape: Shape) -> Shape:
    match shape:
        case ListOf(element):
            return element
        case "strings by name":
            return "string"
        case _:
            return "unknown"


def _printable(shape: Shape, node: Action) -> None:
    if isinstance(shape, Fields):
        _refuse(f"{node} would write {shape.name}: name a field of it")
    if shape == "method":
        _refuse(f"{node} takes an argument")


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)


def _called(shape: Shape) -> str:
    return "list" if isinstance(shape, ListOf) else str(shape)


def _listed(known: Mapping[str, Shape]) -> str:
    return ", ".join(f".{name}" for name in known)
