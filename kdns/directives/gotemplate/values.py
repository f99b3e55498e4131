"""The values of a template while it is executed.

Strings, whole numbers, truth values, lists, maps with string keys, and structures with fields and
methods. None is Go's missing value. A string is what Go would hold as UTF-8; octets that are none
stand in it as PEP 383 says.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from kdns.errors import KdnsError

Method: TypeAlias = Callable[[str], str]
"""A method with one argument, a string."""


class TemplateFailure(KdnsError):
    """A template that could not be executed with these data."""


class Unsigned(int):
    """A number of a type that Go prints another name for."""

    name = "uint64"


class Octet(Unsigned):
    """An element of a string."""

    name = "uint8"


class Short(Unsigned):
    """A field of a DNS header or question."""

    name = "uint16"


class Composite(Struct, frozen=True):
    """A structure."""

    name: str
    """As errors name it."""
    fields: "Mapping[str, Value]"


Value: TypeAlias = (
    str | int | bool | Sequence["Value"] | Mapping[str, "Value"] | Composite | Method | None
)


def is_true(value: Value) -> bool:
    """Whether ``if`` takes it for true: what is not empty, zero or missing."""
    return bool(value)


def octets(text: str) -> bytes:
    """Return what Go counts and slices a string by."""
    return text.encode(errors="surrogateescape")


def text_of(data: bytes) -> str:
    """Return a string of these octets."""
    return data.decode(errors="surrogateescape")


def type_name(value: Value) -> str:  # noqa: PLR0911 - one for each type
    """Return what Go calls the type of a value."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "bool"
        case Unsigned():
            return value.name
        case int():
            return "int"
        case str():
            return "string"
        case Composite():
            return value.name
        case Mapping():
            return "map[string]string"
        case Sequence():
            return f"[]{type_name(value[0]) if value else 'string'}"
        case _:
            return "func(string) string"
