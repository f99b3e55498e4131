"""The functions of a template: those of Go's package, and ``parseInt`` of CoreDNS.

``and`` and ``or`` stand in the table only to be known: they do not look at all their arguments.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias
from urllib.parse import quote_plus

from msgspec import Struct

from kdns.directives.gotemplate import formatting
from kdns.directives.gotemplate.values import (
    Octet,
    TemplateFailure,
    Unsigned,
    Value,
    is_true,
    octets,
    text_of,
    type_name,
)

Body: TypeAlias = Callable[..., Value]


class Builtin(Struct, frozen=True):
    """A function and how many arguments it takes."""

    body: Body
    least: int = 0
    most: int | None = None


_HTML = str.maketrans(
    {"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"}
)
_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"'}
_JS_SPECIAL = "<>&="
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PREFIXES = {"0b": 2, "0o": 8, "0x": 16}
_MIN_BASE, _MAX_BASE = 2, 36
_MAX_BITS = 64
_MAX_INDICES = 3


def _index(item: Value, *indices: Value) -> Value:
    if item is None:
        raise TemplateFailure("index of a missing value")
    for index in indices:
        item = _element(item, index)
    return item


def _element(item: Value, index: Value) -> Value:
    match item:
        case Mapping():
            if not isinstance(index, str):
                raise TemplateFailure(f"a key is a string, not {type_name(index)}")
            return item.get(index, "")
        case str():
            data = octets(item)
            return Octet(data[_position(index, len(data) - 1)])
        case Sequence():
            return item[_position(index, len(item) - 1)]
        case _:
            raise TemplateFailure(f"can't index {type_name(item)}")


def _position(index: Value, highest: int) -> int:
    if not isinstance(index, int) or isinstance(index, bool):
        raise TemplateFailure(f"cannot index with {type_name(index)}")
    if not 0 <= index <= highest:
        raise TemplateFailure(f"index out of range: {int(index)}")
    return index


def _slice(item: Value, *bounds: Value) -> Value:
    if isinstance(item, str) and len(bounds) < _MAX_INDICES:
        data = octets(item)
        return text_of(data[_range(bounds, len(data))])
    if isinstance(item, Sequence) and not isinstance(item, str):
        return item[_range(bounds, len(item))]
    raise TemplateFailure(f"can't slice {type_name(item)} with {len(bounds)} indices")


def _range(bounds: Sequence[Value], size: int) -> slice:
    given = [_position(bound, size) for bound in bounds]
    start = given[0] if given else 0
    end = given[1] if len(given) > 1 else size
    if start > end or (given[2:] and end > given[2]):
        raise TemplateFailure(f"invalid slice index: {start} > {end}")
    return slice(start, end)


def _length(item: Value) -> Value:
    match item:
        case str():
            return len(octets(item))
        case Mapping() | Sequence():
            return len(item)
        case _:
            raise TemplateFailure(f"len of {type_name(item)}")


def _kind(value: Value) -> str:
    """Return what values have in common that can be compared."""
    match value:
        case bool():
            return "truth"
        case int():
            return "number"
        case str():
            return "string"
        case None:
            return "nothing"
        case _:
            raise TemplateFailure(f"{type_name(value)} cannot be compared")


def _equal(one: Value, *others: Value) -> Value:
    return any(_same(one, other) for other in others)


def _same(one: Value, other: Value) -> bool:
    kinds = {_kind(one), _kind(other)}
    if len(kinds) > 1 and "nothing" not in kinds:
        raise _incompatible(one, other)
    return one == other


def _unequal(one: Value, other: Value) -> Value:
    return not _same(one, other)


def _less(one: Value, other: Value) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return octets(one) < octets(other)
    if _kind(one) == _kind(other) == "number":
        return one < other  # type: ignore[operator] # both are int
    raise _incompatible(one, other)


def _incompatible(one: Value, other: Value) -> TemplateFailure:
    return TemplateFailure(f"incompatible types: {type_name(one)} and {type_name(other)}")


def _printf(form: Value, *values: Value) -> Value:
    if not isinstance(form, str):
        raise TemplateFailure(f"the first argument is a string, not {type_name(form)}")
    return formatting.interpolated(form, values)


def _plain(values: Sequence[Value]) -> str:
    """Return what the escaping functions escape: all arguments as ``print`` writes them."""
    if len(values) == 1:
        return formatting.display(values[0])
    return formatting.joined(["<no value>" if value is None else value for value in values])


def _html(*values: Value) -> Value:
    return _plain(values).translate(_HTML)


def _js(*values: Value) -> Value:
    return "".join(map(_js_character, _plain(values)))


def _js_character(character: str) -> str:
    if character in _JS:
        return _JS[character]
    plain = character.isprintable() or character == "\x7f"
    if plain and character not in _JS_SPECIAL:
        return character
    return f"\\u{ord(character):04X}"


def _urlquery(*values: Value) -> Value:
    return quote_plus(octets(_plain(values)))


def _parse_int(text: Value, base: Value, bits: Value) -> Value:
    """Read an unsigned number, as Go's strconv.ParseUint does."""
    if not isinstance(text, str):
        raise TemplateFailure(f"the first argument is a string, not {type_name(text)}")
    for number in (base, bits):
        if type(number) is not int:
            raise TemplateFailure(f"base and size are int, not {type_name(number)}")
    if not (base == 0 or _MIN_BASE <= base <= _MAX_BASE) or not 0 <= bits <= _MAX_BITS:  # type: ignore[operator]
        raise TemplateFailure(f"invalid base {base} or bit size {bits}")
    value = _digits(text, base)  # type: ignore[arg-type] # an int
    if value is None:
        raise TemplateFailure(f"{text!r} is no number in base {base}")
    if value >= 1 << (bits or _MAX_BITS):  # type: ignore[operator]
        raise TemplateFailure(f"{text} does not fit in {bits} bits")
    return Unsigned(value)


def _digits(text: str, base: int) -> int | None:
    """Read digits, where base 0 takes prefixes and underscores; None for anything else."""
    digits = text.lower()
    if base == 0:
        base, digits = _prefixed(digits)
    if not digits or not set(digits) <= set(_DIGITS[:base]):
        return None
    return int(digits, base)


def _prefixed(digits: str) -> tuple[int, str]:
    """Take the prefix off a number, and its underscores where they may stand."""
    base = _PREFIXES.get(digits[:2], 8 if digits[:1] == "0" and len(digits) > 1 else 10)
    inner = digits[2:] if digits[:2] in _PREFIXES else digits
    led = base != 10 and inner.startswith("_")  # noqa: PLR2004
    inner = inner[1:] if led else inner
    if re.fullmatch(r"[0-9a-z]+(_[0-9a-z]+)*", inner) is None:
        return base, ""
    return base, inner.replace("_", "")


def _short_circuits(*_: Value) -> Value:
    raise TypeError("and, or: done where they are called")


_NO_OTHER = 2

FUNCTIONS: Mapping[str, Builtin] = MappingProxyType(
    {
        "and": Builtin(_short_circuits, 1),
        "eq": Builtin(_equal, 2),
        "ge": Builtin(lambda one, other: not _less(one, other), 2, _NO_OTHER),
        "gt": Builtin(lambda one, other: _less(other, one), 2, _NO_OTHER),
        "html": Builtin(_html),
        "index": Builtin(_index, 1),
        "js": Builtin(_js),
        "le": Builtin(lambda one, other: not _less(other, one), 2, _NO_OTHER),
        "len": Builtin(_length, 1, 1),
        "lt": Builtin(_less, 2, _NO_OTHER),
        "ne": Builtin(_unequal, 2, _NO_OTHER),
        "not": Builtin(lambda value: not is_true(value), 1, 1),
        "or": Builtin(_short_circuits, 1),
        "parseInt": Builtin(_parse_int, 3, 3),
        "print": Builtin(lambda *values: formatting.joined(values)),
        "printf": Builtin(_printf, 1),
        "println": Builtin(lambda *values: formatting.spaced(values)),
        "slice": Builtin(_slice, 1, 1 + _MAX_INDICES),
        "urlquery": Builtin(_urlquery),
    }
)
