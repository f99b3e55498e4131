"""A regular expression of Go (RE2) -> Python's, with the same meaning or not at all.

What the two read alike passes through, what has another spelling is translated, and what one of
them does not have is a ValueError. Syntax: https://pkg.go.dev/regexp/syntax.
"""

import re

from kdns.corefile import charclass

_MAX_REPEAT = 1000
"""Go's bound of a count in braces."""
_MAX_DEPTH = 100
_NAMED = re.compile(r"\(\?P?<([A-Za-z0-9_]+)>")
_FLAGS = re.compile(r"\(\?([imsU]*)(?:-([imsU]+))?([:)])")
_QUANTIFIER = re.compile(r"(?:[*+?]|\{([0-9]{1,9})(?:,([0-9]{0,9}))?\})\??")
_QUOTED = re.compile(r"\\Q(.*?)(?:\\E|\Z)", re.DOTALL)
# Not \B: before Python 3.14 it is false in an empty text.
_ASSERTIONS = {"A": r"\A", "z": r"\Z", "b": r"\b", "B": r"(?!\b)"}


def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of Go; ValueError says what cannot be read, or not with one meaning."""
    try:
        return re.compile(translated(pattern), re.ASCII)
    except re.error as error:
        raise ValueError(error.msg) from None


def translated(pattern: str) -> str:
    """Write a pattern of Go in Python's syntax, for ``re.ASCII``."""
    return _Translation(pattern).run()


class _Group:
    """An open parenthesis: the flags that hold in it, and how they were switched in its midst.

    Go's ``a(?i)b|c`` holds to the end of the group, over ``|``; Python has only ``(?i:b)``: it
    is opened after the switch, and closed and opened again at every ``|``.
    """

    def __init__(self, flags: frozenset[str]) -> None:
        self.outer = flags
        self.flags = flags
        self.switch = ""


class _Translation:
    """One pass over a pattern; ``_at`` is where the next thing begins."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._out: list[str] = []
        self._groups = [_Group(frozenset())]
        self._repeatable = False

    def run(self) -> str:
        while self._at < len(self._pattern):
            self._step(self._pattern[self._at])
        if len(self._groups) > 1:
            raise ValueError("'(' is never closed")
        self._close_switch()
        return "".join(self._out)

    def _step(self, char: str) -> None:
        """Translate the next thing, which begins with this character."""
        quantifier = _QUANTIFIER.match(self._pattern, self._at)
        if quantifier:
            self._quantifier(quantifier)
        elif char == "\\":
            self._escape()
        elif char == "[":
            text, self._at = charclass.bracketed(self._pattern, self._at)
            self._put(text)
        elif char == "(":
            self._open()
        else:
            self._at += 1
            self._plain(char)

    def _plain(self, char: str) -> None:
        if char == ")":
            self._close()
        elif char == "|":
            self._alternative()
        elif char == "$":
            # Python's $ is also true before a newline that ends the text.
            self._put("$" if "m" in self._groups[-1].flags else r"\Z")
        else:
            self._put(char if char in ".^" else re.escape(char))

    def _put(self, text: str) -> None:
        self._out.append(text)
        self._repeatable = True

    def _quantifier(self, found: re.Match[str]) -> None:
        """Copy ``*``, ``{2,5}?``...; a second one in a row is possessive in Python only."""
        if not self._repeatable:
            raise ValueError(f"nothing that {found.group()!r} could repeat")
        low, high = found.groups()
        if max(int(low or 0), int(high or 0)) > _MAX_REPEAT or (high and int(high) < int(low)):
            raise ValueError(f"expected counts up to {_MAX_REPEAT}, got {found.group()!r}")
        self._out.append(found.group())
        self._at = found.end()
        self._repeatable = False

    def _escape(self) -> None:
        quoted = _QUOTED.match(self._pattern, self._at)
        letter = self._pattern[self._at + 1 : self._at + 2]
        written = _ASSERTIONS.get(letter) or charclass.perl(letter)
        if quoted:
            for char in quoted.group(1):
                self._put(re.escape(char))
            self._at = quoted.end()
        elif written:
            self._put(written)
            self._at += 2
        else:
            code, self._at = charclass.character(self._pattern, self._at)
            self._put(charclass.literal(code))

    def _open(self) -> None:
        named = _NAMED.match(self._pattern, self._at)
        flags = _FLAGS.match(self._pattern, self._at)
        if flags:
            self._flagged(flags)
        elif named:
            self._push(f"(?P<{named.group(1)}>", named.end())
        elif self._pattern.startswith("(?", self._at):
            raise ValueError(f"{self._pattern[self._at : self._at + 3]!r} is not in Go's syntax")
        else:
            self._push("(", self._at + 1)

    def _push(self, written: str, after: int) -> None:
        if len(self._groups) > _MAX_DEPTH:
            raise ValueError(f"groups nest deeper than {_MAX_DEPTH}")
        self._out.append(written)
        self._groups.append(_Group(self._groups[-1].flags))
        self._at = after
        self._repeatable = False

    def _flagged(self, found: re.Match[str]) -> None:
        """Open ``(?i-s:``, or switch flags for the rest of the group that is open."""
        on, off, end = found.group(1), found.group(2) or "", found.group(3)
        if "U" in on + off:
            raise ValueError("the flag U, which makes + and +? change places, is not supported")
        flags = (self._groups[-1].flags | set(on)) - set(off)
        if end == ":":
            self._push(_switch(self._groups[-1].flags, flags), found.end())
            self._groups[-1].flags = self._groups[-1].outer = flags
            return
        self._at = found.end()
        self._close_switch()
        group = self._groups[-1]
        group.flags = flags
        group.switch = "" if flags == group.outer else _switch(group.outer, flags)
        self._out.append(group.switch)
        self._repeatable = False

    def _alternative(self) -> None:
        self._close_switch()
        self._out.append("|" + self._groups[-1].switch)
        self._repeatable = False

    def _close(self) -> None:
        if len(self._groups) == 1:
            raise ValueError("')' closes nothing")
        self._close_switch()
        self._groups.pop()
        self._put(")")

    def _close_switch(self) -> None:
        if self._groups[-1].switch:
            self._out.append(")")


def _switch(before: frozenset[str], after: frozenset[str]) -> str:
    """Write the beginning of a group in which these flags hold after those."""
    on, off = "".join(sorted(after - before)), "".join(sorted(before - after))
    return f"(?{on}-{off}:" if off else f"(?{on}:"
