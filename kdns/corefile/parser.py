"""A Corefile -> server blocks, with imports and snippets unfolded.

What is read is structure only: whether a directive exists, and what its words mean, is for
others. The reading of files is an argument.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.corefile import files
from kdns.corefile.files import Read, Source
from kdns.corefile.lexer import lines
from kdns.corefile.statements import Statement, statements
from kdns.corefile.syntax import Corefile, Directive, Line, ServerBlock, Token
from kdns.corefile.values import fail, nearest
from kdns.errors import CorefileError

MAX_IMPORTS = 10_000
"""Imports that one Corefile may unfold, those in files and snippets included."""
MAX_NESTED = 100
"""Imports that may stand in one another."""

_Within: TypeAlias = tuple[str, ...]
"""The files and snippets that are being imported, from the outside in."""
_Unfolded: TypeAlias = tuple[Statement, _Within]


class _Snippet(Struct, frozen=True):
    name: Token
    body: list[Statement]


def load(path: str, environment: Mapping[str, str] = os.environ) -> Corefile:
    """Read a file, or standard input for ``stdin``; CorefileError where it cannot be used."""
    try:
        source = files.read(path)
    except OSError as error:
        raise CorefileError(path, 0, error.strerror or str(error)) from error
    return _parsed(source, files.matching, environment)


def parse(
    text: str,
    path: str,
    read: Read = files.matching,
    environment: Mapping[str, str] = os.environ,
) -> Corefile:
    """Read a text as if it stood at ``path``, which imports are relative to.

    Raises CorefileError for anything that is no Corefile; an empty one has no blocks.
    """
    return _parsed(Source(path, text.encode("utf-8", "replace")), read, environment)


def _parsed(source: Source, read: Read, environment: Mapping[str, str]) -> Corefile:
    parser = _Parser(read, environment)
    blocks = tuple(parser.blocks(source))
    return Corefile(source.path, blocks, tuple(parser.sources.items()))


class _Parser:
    """One reading of a Corefile: the snippets so far and the files that it took."""

    def __init__(self, read: Read, environment: Mapping[str, str]) -> None:
        self._read = read
        self._environment = environment
        self._snippets: dict[str, _Snippet] = {}
        self._imports = 0
        self.sources: dict[str, bytes] = {}

    def blocks(self, source: Source) -> Iterator[ServerBlock]:
        """Yield the server blocks in their order."""
        within: _Within = (os.path.normpath(source.path),)
        unfolded = self._unfold(self._statements(source), within)
        for first in unfolded:
            keys, statement, within = _addresses(first, unfolded)
            if _is_snippet(keys):
                self._define(keys[0], statement.body)
                continue
            # A file of one server block needs no braces: all that follows is in it.
            braced = statement.body is not None
            inside = self._unfold(statement.body or [], within) if braced else unfolded
            directives = tuple(self._directive(*each) for each in inside)
            yield ServerBlock(tuple(keys), directives)

    def _statements(self, source: Source) -> list[Statement]:
        self.sources.setdefault(source.path, source.content)
        text = source.content.decode("utf-8", "replace")
        return statements(lines(text, source.path, self._environment))

    def _unfold(self, inside: Iterable[Statement], within: _Within) -> Iterator[_Unfolded]:
        """Yield statements with what they came from, every import replaced by what it names."""
        pending = [(iter(inside), within)]
        while pending:
            rest, within = pending[-1]
            statement = next(rest, None)
            if statement is None:
                pending.pop()
            elif _is_import(statement):
                imported = reversed(self._import(statement, within))
                pending += [(iter(body), (*within, origin)) for origin, body in imported]
            else:
                yield statement, within

    def _import(self, statement: Statement, within: _Within) -> list[tuple[str, list[Statement]]]:
        """Return what an import names: a snippet, or the files of a pattern, in their order."""
        target = _target(statement)
        self._imports += 1
        if self._imports > MAX_IMPORTS or len(within) > MAX_NESTED:
            limits = f"{MAX_IMPORTS} imports, {MAX_NESTED} of them in one another"
            fail(target, f"too many imports: expected at most {limits}")
        snippet = self._snippets.get(target.text)
        if snippet is not None:
            origin = f"({target.text})"
            _refuse_cycle(target, origin, within)
            return [(origin, snippet.body)]
        return [self._file(target, source, within) for source in self._sources(target)]

    def _file(self, target: Token, source: Source, within: _Within) -> tuple[str, list[Statement]]:
        _refuse_cycle(target, source.path, within)
        return source.path, self._statements(source)

    def _sources(self, target: Token) -> Iterable[Source]:
        """Read the files that an import names, relative to the file that it stands in."""
        try:
            return self._read(target.text, Path(target.path).parent)
        except FileNotFoundError:
            near = nearest(target.text, self._snippets)
            fail(target, f"file to import not found: {target.text!r}, nor a snippet{near}")
        except OSError as error:
            reason = error.strerror or str(error)
            where = f" ({error.filename})" if error.filename else ""
            fail(target, f"cannot import {target.text!r}: {reason}{where}")
        except ValueError as error:
            fail(target, f"cannot import {target.text!r}: {error}")

    def _define(self, key: Token, body: list[Statement] | None) -> None:
        name = key.text[1:-1]
        if body is None:
            fail(key, f"expected '{{' after the name of snippet {name!r}")
        if name in self._snippets:
            first = self._snippets[name].name
            fail(key, f"snippet {name!r} is already defined at {first.path}:{first.line}")
        self._snippets[name] = _Snippet(key, body)

    def _directive(self, statement: Statement, within: _Within) -> Directive:
        name, *args = statement.words
        inside = self._unfold(statement.body or [], within)
        return Directive(name, tuple(args), tuple(_line(line) for line, _ in inside))


def _line(statement: Statement) -> Line:
    name, *args = statement.words
    if statement.body is not None:
        fail(name, f"expected no braces inside a directive's braces, got some after {name.text!r}")
    return Line(name, tuple(args))


def _is_import(statement: Statement) -> bool:
    return statement.words[0].text == "import" and not statement.words[0].quoted


def _target(statement: Statement) -> Token:
    """Return the one word of an import."""
    keyword, *words = statement.words
    if statement.body is not None:
        fail(keyword, "import takes no block")
    if len(words) != 1 or not words[0].text:
        got = " ".join(repr(word.text) for word in words) or "nothing"
        fail(keyword, f"import: expected one file, pattern or snippet, got {got}")
    return words[0]


def _refuse_cycle(target: Token, origin: str, within: _Within) -> None:
    if origin in within:
        way = " -> ".join((*within[within.index(origin) :], origin))
        fail(target, f"import of itself: {way}")


def _addresses(
    first: _Unfolded, following: Iterator[_Unfolded]
) -> tuple[list[Token], Statement, _Within]:
    """Collect the keys of a server block: after a comma they go on in the next line.

    Returns them without their commas, with the statement that ends them.
    """
    statement, within = first
    keys = list(statement.words)
    while keys[-1].text.endswith(","):
        another = next(following, None) if statement.body is None else None
        if another is None:
            fail(keys[-1], "expected another zone after the comma")
        statement, within = another
        keys += statement.words
    bare = [replace(key, text=key.text.removesuffix(",")) for key in keys]
    named = [key for key in bare if key.text]
    if not named:
        fail(keys[0], "expected a zone before '{', got nothing: is a variable not set?")
    return named, statement, within


def _is_snippet(keys: list[Token]) -> bool:
    return len(keys) == 1 and keys[0].text.startswith("(") and keys[0].text.endswith(")")
