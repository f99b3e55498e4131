"""Names as texts: whether they match, and what they become.

A name is in presentation form with its final dot. Questions come here in lower case.
"""

import re
from typing import TypeAlias

from msgspec import Struct

_GROUP = re.compile(r"\{([0-9]+)\}")


class Exact(Struct, frozen=True):
    """The whole name."""

    text: str


class Prefix(Struct, frozen=True):
    """What the name begins with."""

    text: str


class Suffix(Struct, frozen=True):
    """What the name ends with; not only at a dot."""

    text: str


class Substring(Struct, frozen=True):
    """What the name contains."""

    text: str


class Regex(Struct, frozen=True):
    """A regular expression that is found in the name."""

    pattern: re.Pattern[str]


class Within(Struct, frozen=True):
    """The whole name, or the end of a name below it."""

    text: str


Matcher: TypeAlias = Exact | Prefix | Suffix | Substring | Regex | Within


def matches(matcher: Matcher, name: str) -> bool:
    """Whether a name matches."""
    return replaced(matcher, "", name) is not None


def replaced(matcher: Matcher, to: str, name: str) -> str | None:  # noqa: PLR0911 - one for each
    """Return the name with ``to`` for what matches; None where nothing does.

    ``{1}`` in ``to`` is a group of a regular expression, whose result is the whole name.
    """
    match matcher:
        case Exact(text) if name == text:
            return to
        case Prefix(text) if name.startswith(text):
            return to + name.removeprefix(text)
        case Suffix(text) if name.endswith(text):
            return name.removesuffix(text) + to
        case Substring(text) if text in name:
            return name.replace(text, to)
        case Within(text) if name == text or name.endswith("." + text):
            return name.removesuffix(text) + to
        case Regex(pattern):
            found = pattern.search(name)
            return None if found is None else _filled(to, found)
        case _:
            return None


def groups(to: str) -> set[int]:
    """Return the numbers of the groups that a replacement uses."""
    return {int(number) for number in _GROUP.findall(to)}


def _filled(to: str, found: re.Match[str]) -> str:
    """Fill in groups; one that took no part is empty, one that is not there stays as it is."""

    def group(written: re.Match[str]) -> str:
        number = int(written.group(1))
        return (found.group(number) or "") if number <= found.re.groups else written.group()

    return _GROUP.sub(group, to)
