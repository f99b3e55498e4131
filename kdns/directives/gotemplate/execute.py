"""The nodes of a template and data -> text. Raises TemplateFailure, no other exception."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from kdns.directives.gotemplate.formatting import display
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
from kdns.directives.gotemplate.values import Composite, TemplateFailure, Value, is_true, type_name

MAX_TEXT = 65_536
"""Characters of the text: more than any record takes."""
MAX_STEPS = 100_000
"""Commands that one execution may run: how often a range goes round may be up to the client."""


def execute(nodes: Sequence[Node], data: Value) -> str:
    """Render a template."""
    execution = _Execution(data)
    execution.walk(nodes, data)
    return "".join(execution.out)


class _Nothing:
    """Stands for the value that the first command of a pipeline is not given."""


_NOTHING = _Nothing()


class _Left(Exception):
    """Unwinds to the range that is left, or whose round is."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class _Execution:
    """One run: what was written, and the variables with the innermost last."""

    def __init__(self, data: Value) -> None:
        self.out: list[str] = []
        self._variables: list[tuple[str, Value]] = [("$", data)]
        self._written = 0
        self._steps = 0

    def walk(self, nodes: Sequence[Node], dot: Value) -> None:
        """Carry out nodes in their order."""
        for node in nodes:
            match node:
                case Text(text):
                    self._write(text)
                case Action(pipe):
                    value = self._pipe(pipe, dot)
                    if not pipe.variables:
                        self._write(display(value))
                case Branch("range"):
                    with self._scope():
                        self._range(node, dot)
                case Branch():
                    with self._scope():
                        self._choose(node, dot)
                case Leave(word):
                    raise _Left(word)

    def _write(self, text: str) -> None:
        self._written += len(text)
        if self._written > MAX_TEXT:
            raise TemplateFailure(f"more than {MAX_TEXT} characters")
        self.out.append(text)

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """Forget the variables that are declared inside."""
        known = len(self._variables)
        try:
            yield
        finally:
            del self._variables[known:]

    # -- branches -----------------------------------------------------------------------------

    def _choose(self, node: Branch, dot: Value) -> None:
        value = self._pipe(node.pipe, dot)
        if is_true(value):
            self.walk(node.body, value if node.word == "with" else dot)
        else:
            self.walk(node.otherwise or (), dot)

    def _range(self, node: Branch, dot: Value) -> None:
        value = self._pipe(Pipe(node.pipe.commands), dot)
        names = node.pipe.variables
        rounds = _rounds(value, len(names))
        if not rounds:
            self.walk(node.otherwise or (), dot)
        for index, element in rounds:
            with self._scope():
                shown = (index, element) if len(names) > 1 else (element,)
                for name, bound in zip(names, shown, strict=False):
                    self._set(name, bound, assigns=node.pipe.assigns)
                try:
                    self.walk(node.body, element)
                except _Left as left:
                    if left.word == "break":
                        return

    # -- pipelines ----------------------------------------------------------------------------

    def _pipe(self, pipe: Pipe, dot: Value) -> Value:
        value: Value | _Nothing = _NOTHING
        for command in pipe.commands:
            value = self._command(command, dot, value)
        for name in pipe.variables:
            self._set(name, value, assigns=pipe.assigns)  # type: ignore[arg-type] # has commands
        return value  # type: ignore[return-value] # has commands

    def _set(self, name: str, value: Value, *, assigns: bool) -> None:
        if not assigns:
            self._variables.append((name, value))
            return
        for at in range(len(self._variables) - 1, -1, -1):
            if self._variables[at][0] == name:
                self._variables[at] = (name, value)
                return
        raise TemplateFailure(f"undefined variable {name}")

    def _variable(self, name: str) -> Value:
        for known, value in reversed(self._variables):
            if known == name:
                return value
        raise TemplateFailure(f"undefined variable {name}")

    def _command(self, command: Command, dot: Value, final: "Value | _Nothing") -> Value:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise TemplateFailure(f"more than {MAX_STEPS} commands")
        first, *rest = command.operands
        match first:
            case Function(name):
                return self._call(name, rest, dot, final)
            case Field(names):
                receiver = _fields(dot, names[:-1])
            case Variable(name, names) if names:
                receiver = _fields(self._variable(name), names[:-1])
            case Chain(inner, names):
                receiver = _fields(self._operand(inner, dot), names[:-1])
            case Nil():
                raise TemplateFailure("nil is no command")
            case _:
                _no_arguments(first, rest, final)
                return self._operand(first, dot)
        return self._field(receiver, names[-1], rest, dot, final)

    def _operand(self, operand: Operand, dot: Value) -> Value:
        """Evaluate what stands as an argument."""
        match operand:
            case Dot():
                return dot
            case Nil():
                return None
            case Truth(value) | Number(_, value) | String(_, value):
                return value
            case Variable(name, ()):
                return self._variable(name)
            case Pipe():
                return self._pipe(operand, dot)
            case _:
                return self._command(Command((operand,)), dot, _NOTHING)

    def _field(
        self,
        receiver: Value,
        name: str,
        rest: Sequence[Operand],
        dot: Value,
        final: "Value | _Nothing",
    ) -> Value:
        """Read a field, or call a method with its one argument."""
        found = _fields(receiver, (name,))
        if not callable(found):
            _no_arguments(name, rest, final)
            return found
        arguments = self._arguments(rest, dot, final)
        match arguments:
            case [str(argument)]:
                return found(argument)
            case _:
                raise TemplateFailure(f".{name} takes one argument, a string")

    def _call(
        self, name: str, rest: Sequence[Operand], dot: Value, final: "Value | _Nothing"
    ) -> Value:
        function = FUNCTIONS[name]
        given = len(rest) + (final is not _NOTHING)
        if given < function.least or (function.most is not None and given > function.most):
            raise TemplateFailure(f"wrong number of arguments for {name}: {given}")
        if name in ("and", "or"):
            return self._until(rest, dot, final, truth=name == "or")
        try:
            return function.body(*self._arguments(rest, dot, final))
        except TemplateFailure as failure:
            raise TemplateFailure(f"{name}: {failure}") from None

    def _arguments(
        self, rest: Sequence[Operand], dot: Value, final: "Value | _Nothing"
    ) -> list[Value]:
        values = [self._operand(operand, dot) for operand in rest]
        return values if isinstance(final, _Nothing) else [*values, final]

    def _until(
        self, rest: Sequence[Operand], dot: Value, final: "Value | _Nothing", *, truth: bool
    ) -> Value:
        """Return the first value that is as true as that, else the last one."""
        value: Value = None
        for operand in rest:
            value = self._operand(operand, dot)
            if is_true(value) == truth:
                return value
        return value if isinstance(final, _Nothing) else final


def _no_arguments(what: object, rest: Sequence[Operand], final: "Value | _Nothing") -> None:
    if rest or not isinstance(final, _Nothing):
        raise TemplateFailure(f"{what} is no function and takes no argument")


def _fields(value: Value, names: Sequence[str]) -> Value:
    """Follow fields; what a map does not have is None, and so are the fields of None."""
    for name in names:
        match value:
            case None:
                return None
            case Composite(_, fields) if name in fields:
                value = fields[name]
            case Mapping():
                value = value.get(name)
            case _:
                raise TemplateFailure(f"no field .{name} in {type_name(value)}")
    return value


def _rounds(value: Value, variables: int) -> Sequence[tuple[Value, Value]]:
    """Return what a range goes over: index and element, key and value, or numbers from 0."""
    match value:
        case None:
            return ()
        case bool() | str() | Composite() | Callable():
            raise TemplateFailure(f"range can't iterate over {type_name(value)}")
        case int():
            if variables > 1:
                raise TemplateFailure("a range over a number has one variable")
            return [(None, number) for number in range(min(value, MAX_STEPS))]
        case Mapping():
            return sorted(value.items())
        case _:
            return list(enumerate(value))
