"""Label selectors of the Kubernetes API, as text and as values. Knows no objects, no manifests."""

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from kdns.errors import UsageError

Operator: TypeAlias = Literal["in", "notin", "exists", "absent"]

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = rf"(?:[a-z0-9](?:[-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_NAME}"
_REQUIREMENT = re.compile(
    rf"""\s*(?:
        !\s*(?P<absent>{_KEY})
        | (?P<key>{_KEY}) (?:
            \s*(?P<sign>==|=|!=)\s*(?P<value>[^\s,()=!<>]*)
            | \s+(?P<word>in|notin)\s*\((?P<values>[^()=!<>]*)\)
        )?
    )\s*(?:,(?=.)|$)""",
    re.VERBOSE | re.DOTALL,
)
_VALUE = re.compile(rf"(?:{_NAME})?")


class Requirement(Struct, frozen=True):
    """One condition on one label."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels meet the condition; ``notin`` is met by an absent label too."""
        match self.operator:
            case "in":
                return labels.get(self.key) in self.values
            case "notin":
                return labels.get(self.key) not in self.values
            case "exists":
                return self.key in labels
            case "absent":
                return self.key not in labels


class Selector(Struct, frozen=True):
    """Conditions that must all hold; without any it selects everything."""

    requirements: tuple[Requirement, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """Read ``a=b,c!=d,e in (f,g),h notin (i),j,!k``."""
        requirements, position = [], 0
        while position < len(text.rstrip()):
            found = _REQUIREMENT.match(text, position)
            if found is None:
                raise _unreadable(text, text[position:].strip())
            requirements.append(_requirement(text, found))
            position = found.end()
        return cls(tuple(requirements))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return all(requirement.matches(labels) for requirement in self.requirements)


def _requirement(text: str, found: re.Match[str]) -> Requirement:
    if found["absent"]:
        return Requirement(found["absent"], "absent")
    if found["sign"]:
        operator: Operator = "notin" if found["sign"] == "!=" else "in"
        return Requirement(found["key"], operator, _values(text, [found["value"]]))
    if found["word"]:
        operator = "in" if found["word"] == "in" else "notin"
        return Requirement(found["key"], operator, _values(text, found["values"].split(",")))
    return Requirement(found["key"], "exists")


def _values(text: str, values: list[str]) -> frozenset[str]:
    stripped = [value.strip() for value in values]
    for value in stripped:
        if not _VALUE.fullmatch(value):
            raise UsageError(
                f"label selector {text!r}: found the value {value!r}, expected at most 63 letters,"
                " digits, '-', '_' and '.', with a letter or digit at both ends"
            )
    return frozenset(stripped)


def _unreadable(text: str, rest: str) -> UsageError:
    return UsageError(
        f"label selector {text!r}: found {rest!r}, expected a=b, a!=b, a in (b,c),"
        " a notin (b,c), a or !a, joined by commas"
    )
