"""How Go's fmt package writes values: ``print``, ``println`` and ``printf``."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from kdns.directives.gotemplate.values import (
    Composite,
    TemplateFailure,
    Value,
    octets,
    type_name,
)

MAX_WIDTH = 65_536
"""Characters; a record takes less."""

_VERB = re.compile(
    r"%(?P<flags>[-+# 0]*)"
    r"(?P<at_width>\[\d+\])?(?P<width>\*|\d+)?"
    r"(?:(?P<point>\.)(?P<at_precision>\[\d+\])?(?P<precision>\*|\d+)?)?"
    r"(?P<at>\[\d+\])?(?P<verb>.)?",
    re.DOTALL,
)
_BASES: Mapping[str, tuple[int, str]] = {
    "d": (10, ""),
    "v": (10, ""),
    "b": (2, "0b"),
    "o": (8, "0"),
    "O": (8, "0o"),
    "x": (16, "0x"),
    "X": (16, "0X"),
}
_NAMED = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r"}


class Form(Struct, frozen=True):
    """A verb with its flags."""

    verb: str
    minus: bool = False
    plus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    width: int | None = None
    precision: int | None = None


def display(value: Value) -> str:
    """Write a value as ``{{ value }}`` does."""
    return "<no value>" if value is None else formatted(value, Form("v"))


def joined(values: Sequence[Value]) -> str:
    """Write values as ``print`` does: a space between two of which neither is a string."""
    out: list[str] = []
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            out.append(" ")
        out.append(formatted(value, Form("v")))
    return "".join(out)


def spaced(values: Sequence[Value]) -> str:
    """Write values as ``println`` does."""
    return " ".join(formatted(value, Form("v")) for value in values) + "\n"


def interpolated(template: str, values: Sequence[Value]) -> str:
    """Write values as ``printf`` does, its complaints about verbs included."""
    arguments = _Arguments(values)
    written = _VERB.sub(partial(_directive, arguments), template)
    return written + arguments.extra()


class _Arguments:
    """The values of one ``printf``, taken in turn or by number."""

    def __init__(self, values: Sequence[Value]) -> None:
        self._values = values
        self._at = 0
        self._numbered = False
        self.bad = False
        """Whether the directive in hand named a number that is none."""

    def choose(self, index: str | None) -> None:
        """Go on at ``[n]``, counted from 1."""
        if index is None:
            return
        self._numbered = True
        number = int(index[1:-1])
        if 1 <= number <= len(self._values):
            self._at = number - 1
        else:
            self.bad = True

    def has_next(self) -> bool:
        """Whether a value is left."""
        return self._at < len(self._values)

    def next(self) -> Value:
        """Take the next value."""
        self._at += 1
        return self._values[self._at - 1]

    def number(self) -> int | None:
        """Take a width or precision given as ``*``; None where it cannot be one."""
        value = self.next() if self.has_next() else None
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def extra(self) -> str:
        """Complain about values that no verb took."""
        if self._numbered or not self.has_next():
            return ""
        rest = ", ".join(
            "<nil>" if value is None else f"{type_name(value)}={formatted(value, Form('v'))}"
            for value in self._values[self._at :]
        )
        return f"%!(EXTRA {rest})"


def _directive(arguments: _Arguments, found: re.Match[str]) -> str:
    """Write what stands for one verb."""
    arguments.bad = False
    form, complaint = _form(arguments, found)
    arguments.choose(found["at"])
    verb = found["verb"]
    if verb is None:
        return f"{complaint}%!(NOVERB)"
    if verb == "%":
        return f"{complaint}%"
    if arguments.bad:
        return f"{complaint}%!{verb}(BADINDEX)"
    if not arguments.has_next():
        return f"{complaint}%!{verb}(MISSING)"
    return complaint + formatted(arguments.next(), form)


def _form(arguments: _Arguments, found: re.Match[str]) -> tuple[Form, str]:
    """Read flags, width and precision; and a complaint about them."""
    flags, complaint = found["flags"], ""
    arguments.choose(found["at_width"])
    if found["at_width"] and found["width"] != "*" and (found["width"] or found["point"]):
        arguments.bad = True  # a number belongs right before the verb or a star
    width = _size(arguments, found["width"])
    if found["width"] == "*" and width is None:
        complaint += "%!(BADWIDTH)"
    arguments.choose(found["at_precision"])
    precision = _size(arguments, found["precision"]) if found["precision"] else 0
    if found["precision"] == "*" and (precision is None or precision < 0):
        complaint += "%!(BADPREC)"
        precision = None
    minus = "-" in flags or (width is not None and width < 0)
    form = Form(
        found["verb"] or "v",
        minus,
        "+" in flags,
        "#" in flags,
        " " in flags,
        "0" in flags and not minus,
        None if width is None else abs(width),
        precision if found["point"] else None,
    )
    return form, complaint


def _size(arguments: _Arguments, written: str | None) -> int | None:
    """Return a width or precision; None where there is none, or none that can be one."""
    if written is None:
        return None
    size = arguments.number() if written == "*" else int(written[: len(str(MAX_WIDTH)) + 1])
    if size is not None and abs(size) > MAX_WIDTH:
        raise TemplateFailure(f"wider than {MAX_WIDTH} characters")
    return size


def formatted(value: Value, form: Form) -> str:  # noqa: PLR0911 - one for each kind of value
    """Write one value with a verb."""
    if form.verb == "T":
        return _string(type_name(value), replace(form, verb="s"))
    match value:
        case None:
            return _padded("<nil>", form) if form.verb == "v" else f"%!{form.verb}(<nil>)"
        case bool():
            return _truth(value, form)
        case int():
            return _number(value, form)
        case str():
            return _string(value, form)
        case Composite() | Callable():
            raise TemplateFailure(f"a {type_name(value)} cannot be written")
        case Mapping():
            return _mapping(value, form)
        case _:
            return _sequence(value, form)


def _bad(value: Value, form: Form) -> str:
    plain = replace(form, verb="v", sharp=False)
    return f"%!{form.verb}({type_name(value)}={formatted(value, plain)})"


def _truth(value: bool, form: Form) -> str:
    if form.verb not in "tv":
        return _bad(value, form)
    return _padded("true" if value else "false", form)


def _mapping(value: Mapping[str, Value], form: Form) -> str:
    if form.sharp and form.verb == "v":
        inner = ", ".join(f"{formatted(k, form)}:{formatted(v, form)}" for k, v in _sorted(value))
        return f"{type_name(value)}{{{inner}}}"
    inner = " ".join(f"{formatted(k, form)}:{formatted(v, form)}" for k, v in _sorted(value))
    return f"map[{inner}]"


def _sorted(value: Mapping[str, Value]) -> list[tuple[str, Value]]:
    return sorted(value.items(), key=lambda item: octets(item[0]))


def _sequence(value: Sequence[Value], form: Form) -> str:
    if form.sharp and form.verb == "v":
        return f"{type_name(value)}{{{', '.join(formatted(one, form) for one in value)}}}"
    return f"[{' '.join(formatted(one, form) for one in value)}]"


def _number(value: int, form: Form) -> str:
    match form.verb:
        case "c":
            return _padded(_character(value), form)
        case "q":
            return _padded(_quoted_character(value, form), form)
        case "U":
            return _padded(_code_point(value, form), replace(form, zero=False))
        case verb if verb in _BASES:
            return _digits(value, form)
        case _:
            return _bad(value, form)


def _digits(value: int, form: Form) -> str:
    """Write a number in the base of its verb (fmt: a precision is the least number of digits)."""
    base, prefix = _BASES[form.verb]
    if form.precision == 0 and value == 0:
        return " " * (form.width or 0)
    digits = _in_base(abs(value), base)
    sign = "-" if value < 0 else "+" if form.plus else " " if form.space else ""
    least = form.precision or 0
    if form.precision is None and form.zero and form.width is not None:
        least = form.width - len(sign)
    digits = digits.rjust(least, "0")
    if form.verb == "o":
        prefix = "" if digits.startswith("0") else prefix
    prefix = prefix if form.sharp or form.verb == "O" else ""
    digits = digits.upper() if form.verb == "X" else digits
    return _padded(sign + prefix + digits, replace(form, zero=False))


def _in_base(value: int, base: int) -> str:
    return format(value, {2: "b", 8: "o", 10: "d", 16: "x"}[base])


def _character(point: int) -> str:
    return chr(point) if 0 <= point <= 0x10FFFF and not 0xD800 <= point <= 0xDFFF else "\ufffd"  # noqa: PLR2004


def _quoted_character(point: int, form: Form) -> str:
    return _quote(_character(point), "'", ascii_only=form.plus)


def _code_point(value: int, form: Form) -> str:
    written = "U+" + format(value, "X").rjust(form.precision or 4, "0")
    character = chr(value) if 0 <= value <= 0x10FFFF else ""  # noqa: PLR2004 - Unicode
    return f"{written} '{character}'" if form.sharp and character.isprintable() else written


def _string(value: str, form: Form) -> str:
    match form.verb:
        case "v" if form.sharp:
            return _padded(_quoted(value, form), form)
        case "v" | "s":
            return _padded(value[: form.precision], form)
        case "x" | "X":
            return _padded(_hex(octets(value)[: form.precision], form), form)
        case "q":
            return _padded(_quoted(value[: form.precision], form), form)
        case _:
            return _bad(value, form)


def _hex(data: bytes, form: Form) -> str:
    """Write octets; with a space in the flags one by one, with ``#`` after 0x."""
    prefix = "0x" if form.sharp and data else ""
    written = (" " + prefix).join(f"{octet:02x}" for octet in data) if form.space else data.hex()
    return (prefix + written).upper() if form.verb == "X" else prefix + written


def _quoted(value: str, form: Form) -> str:
    plain = all(character.isprintable() or character == "\t" for character in value)
    if form.sharp and form.verb == "q" and plain and "`" not in value:
        return f"`{value}`"
    return _quote(value, '"', ascii_only=form.plus)


def _quote(value: str, mark: str, *, ascii_only: bool) -> str:
    inner = "".join(_escaped(character, mark, ascii_only=ascii_only) for character in value)
    return mark + inner + mark


def _escaped(character: str, mark: str, *, ascii_only: bool) -> str:
    """Write a character as in the source text of Go (strconv.Quote)."""
    point = ord(character)
    if character in (mark, "\\"):
        return "\\" + character
    if character.isprintable() and not (ascii_only and point > 0x7E):  # noqa: PLR2004 - ASCII
        return character
    if point in _NAMED:
        return "\\" + _NAMED[point]
    if 0xDC80 <= point <= 0xDCFF:  # noqa: PLR2004 - an octet that is no UTF-8, PEP 383
        return f"\\x{point - 0xDC00:02x}"
    if point < 0x20 or point == 0x7F:  # noqa: PLR2004 - control characters
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"  # noqa: PLR2004


def _padded(text: str, form: Form) -> str:
    """Fill up to the width, counted in characters."""
    if form.width is None:
        return text
    if form.minus:
        return text.ljust(form.width)
    return text.rjust(form.width, "0" if form.zero else " ")
