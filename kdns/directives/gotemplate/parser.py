"""The text of a template -> its nodes. Raises ValueError for what is no template or not known."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kdns.directives.gotemplate import literals
from kdns.directives.gotemplate.functions import FUNCTIONS
from kdns.directives.gotemplate.lexer import Kind, Piece, Token, pieces
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

_KEYWORDS = frozenset({"if", "with", "range", "else", "end", "break", "continue"})
_REFUSED = frozenset({"define", "block", "template"})
_CONSTANTS = (Truth, Dot, Nil, Number, String)
_MAX_DEPTH = 100
"""How deep parentheses and branches may stand in one another."""


def parse(text: str) -> tuple[Node, ...]:
    """Read a template."""
    nodes, end = _Parser(pieces(text)).nodes()
    if end is not None:
        raise ValueError(f"unexpected {{{{{end.keyword}}}}}")
    return nodes


class _Words:
    """The tokens of one action, read from left to right."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self.keyword = self.take_keyword()
        """What the action begins with, if that is a word of the language."""

    def peek(self, ahead: int = 0) -> Token | None:
        """Return the next token, or one after it; None at the end."""
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else None

    def take(self) -> Token:
        """Return the next token and move on; ValueError at the end."""
        token = self.peek()
        if token is None:
            raise ValueError("an action ends too early")
        self._at += 1
        return token

    def take_keyword(self) -> str:
        """Take a word of the language if that is what comes next."""
        token = self.peek()
        if token is None or token.kind != "word" or token.text not in _KEYWORDS | _REFUSED:
            return ""
        self._at += 1
        return token.text

    def is_next(self, *marks: str, ahead: int = 0) -> bool:
        """Whether one of these marks comes next."""
        token = self.peek(ahead)
        return token is not None and token.kind == "mark" and token.text in marks

    def takes(self, *marks: str) -> bool:
        """Take one of these marks if that is what comes next."""
        found = self.is_next(*marks)
        self._at += found
        return found

    def end(self, what: str) -> None:
        """Refuse what is left."""
        token = self.peek()
        if token is not None:
            raise ValueError(f"unexpected {token.text!r} in {what}")


class _Parser:
    """Reads pieces one after the other, with the variables that are known so far."""

    def __init__(self, found: Iterator[Piece]) -> None:
        self._pieces = found
        self._variables = ["$"]
        self._ranges = 0
        self._depth = 0

    def nodes(self) -> tuple[tuple[Node, ...], _Words | None]:
        """Read nodes up to an ``end`` or ``else``, which is returned too, or to the end."""
        found: list[Node] = []
        for piece in self._pieces:
            if isinstance(piece, str):
                found.append(Text(piece))
                continue
            words = _Words(piece)
            if words.keyword in ("end", "else"):
                return tuple(found), words
            found.append(self._node(words))
        return tuple(found), None

    def _node(self, words: _Words) -> Node:
        match words.keyword:
            case "if" | "with" | "range":
                return self._branch(words)
            case ("break" | "continue") as word:
                words.end(f"{{{{{word}}}}}")
                if not self._ranges:
                    raise ValueError(f"{{{{{word}}}}} outside of {{{{range}}}}")
                return Leave(word)
            case "":
                pipe = self._pipe(words, "a command")
                words.end("a command")
                return Action(pipe)
            case word:
                raise ValueError(f"{{{{{word}}}}} is not supported: a record is one template")

    # -- branches -----------------------------------------------------------------------------

    def _branch(self, words: _Words) -> Branch:
        word, known = words.keyword, len(self._variables)
        with self._deeper():
            pipe = self._pipe(words, word)
            words.end(word)
            self._ranges += word == "range"
            body, end = self.nodes()
            self._ranges -= word == "range"
            otherwise = self._otherwise(word, end)
        del self._variables[known:]
        return Branch(word, pipe, body, otherwise)  # type: ignore[arg-type] # one of the three

    def _otherwise(self, word: str, end: _Words | None) -> tuple[Node, ...] | None:
        """Read what follows ``else``; None where the branch ends without one."""
        if end is not None and end.keyword == "else" and end.peek() is not None:
            # "else if" and "else with" begin a branch that shares the "end" of this one.
            end.keyword = end.take_keyword()
            if word == "range" or end.keyword != word:
                raise ValueError(f"unexpected word after {{{{else}}}} of {{{{{word}}}}}")
            return (self._branch(end),)
        otherwise = None
        if end is not None and end.keyword == "else":
            otherwise, end = self.nodes()
        if end is None or end.keyword != "end":
            raise ValueError(f"{{{{{word}}}}} without {{{{end}}}}")
        end.end("{{end}}")
        return otherwise

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(f"nested more than {_MAX_DEPTH} deep")
        yield
        self._depth -= 1

    # -- pipelines ----------------------------------------------------------------------------

    def _pipe(self, words: _Words, context: str) -> Pipe:
        variables, assigns = self._declared(words, context)
        commands = [self._command(words)]
        while words.takes("|"):
            commands.append(self._command(words))
            _takes_value(commands[-1])
        # Known from here on, not in its own pipeline.
        self._variables += variables
        return Pipe(tuple(commands), variables, assigns)

    def _declared(self, words: _Words, context: str) -> tuple[tuple[str, ...], bool]:
        """Read ``$x :=``, ``$x =``, and ``$i, $x :=`` of a range."""
        token = words.peek()
        if token is None or token.kind != "variable":
            return (), False
        count = 1
        if words.is_next(",", ahead=1):
            second = words.peek(2)
            if context != "range" or second is None or second.kind != "variable":
                raise ValueError(f"unexpected ',' after {token.text}")
            count = 2
        if not words.is_next(":=", "=", ahead=2 * count - 1):
            if count > 1:
                raise ValueError("expected := after the variables of a range")
            return (), False
        taken = [words.take() for _ in range(2 * count)]
        assigns = taken[-1].text == "="
        names = tuple(token.text for token in taken if token.kind == "variable")
        for name in names if assigns else ():
            self._known(name)
        return names, assigns

    def _command(self, words: _Words) -> Command:
        operands = [self._operand(words)]
        while not words.is_next("|", ")") and (token := words.peek()) is not None:
            if not token.spaced:
                raise ValueError(
                    f"unexpected {token.text!r} after {operands[-1]}: expected a space"
                )
            operands.append(self._operand(words))
        return Command(tuple(operands))

    # -- operands -----------------------------------------------------------------------------

    def _operand(self, words: _Words) -> Operand:
        """Read a term and the fields that follow it at once."""
        operand = self._term(words)
        names: list[str] = []
        while _continues(words.peek(), "field"):
            names.append(words.take().text[1:])
        if not names:
            return operand
        match operand:
            case Field(first):
                return Field((*first, *names))
            case Variable(name):
                return Variable(name, tuple(names))
            case Function() | Pipe():
                return Chain(operand, tuple(names))
            case _:
                raise ValueError(f"unexpected .{names[0]} after {operand}")

    def _term(self, words: _Words) -> Operand:  # noqa: PLR0911 - one for each kind of token
        token = words.peek()
        if token is None:
            raise ValueError("a value is missing")
        if words.takes("("):
            return self._inner(words)
        words.take()
        match token.kind:
            case "string" | "raw":
                return String(token.text, literals.string(token))
            case "char":
                return Number(token.text, literals.character(token))
            case "number":
                return Number(token.text, literals.integer(token))
            case "field":
                return Field((token.text[1:],))
            case "dot":
                return Dot()
            case "variable":
                self._known(token.text)
                return Variable(token.text)
            case "word":
                return _word(token.text)
            case _:
                raise ValueError(f"unexpected {token.text!r}: expected a value")

    def _inner(self, words: _Words) -> Pipe:
        """Read a pipeline in parentheses, whose opening one was read."""
        with self._deeper():
            pipe = self._pipe(words, "parentheses")
        if not words.takes(")"):
            raise ValueError("a parenthesis is not closed")
        return pipe

    def _known(self, name: str) -> None:
        if name not in self._variables:
            raise ValueError(f"undefined variable {name}")


def _takes_value(command: Command) -> None:
    if isinstance(command.operands[0], _CONSTANTS):
        raise ValueError(f"{command} can take no value from the pipeline before it")  # noqa: TRY004


def _continues(token: Token | None, kind: Kind) -> bool:
    return token is not None and token.kind == kind and not token.spaced


def _word(word: str) -> Operand:
    match word:
        case "true" | "false":
            return Truth(word == "true")
        case "nil":
            return Nil()
        case _ if word in FUNCTIONS:
            return Function(word)
        case _ if word in _KEYWORDS | _REFUSED:
            raise ValueError(f"unexpected word {word!r}")
        case _:
            raise ValueError(f"unknown function {word!r}: expected one of {', '.join(FUNCTIONS)}")
