"""YAML to plain values, and the lines they came from. Knows no Kubernetes and no files.

Built on PyYAML's events rather than on its loader: half the time, and the values are those of the
API's own reader: timestamps and times of day stay texts, a null in a mapping is an absent field
(in labels and selectors, an empty text), and a key that is written twice is an error.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, TypeAlias

import yaml

from kdns.kube.manifests.jsons import Part

Path: TypeAlias = Sequence[str | int]
"""Keys and indexes from a document down to a value."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "<<"
# Mappings of texts to texts, in which a null is an empty text.
_TEXTS = frozenset({"labels", "selector"})
_BOOLS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}
_PLAIN: dict[str, object] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **{
        form(word): value
        for word, value in _BOOLS.items()
        for form in (str.lower, str.upper, str.title)
    },
}
_INTEGER = re.compile(
    r"[-+]?(?:0[xX][0-9a-fA-F][0-9a-fA-F_]*|0o?[0-7][0-7_]*|0b[01][01_]*|0|[1-9][0-9_]*)"
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")


# A line that begins so begins a document, whatever it stands in; a directive holds for the next.
_DOCUMENT = re.compile(rb"^(?=---(?:[ \t\r\n]|\Z))", re.MULTILINE)
_DIRECTIVE = re.compile(rb"^%", re.MULTILINE)


class Unreadable(Exception):
    """Text that is not YAML, or YAML that is no data."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


class Mapping(dict[str, Any]):
    """A mapping near the top of a document, where items of lists are: it knows its line."""

    __slots__ = ("line",)
    line: int


def split(data: bytes) -> list[Part]:
    """Split a stream where its documents begin; what has directives stays whole."""
    if _DIRECTIVE.search(data):
        return [Part(0, data)]
    parts, line = [], 0
    for text in filter(None, _DOCUMENT.split(data)):
        parts.append(Part(line, text))
        line += text.count(b"\n")
    return parts


def documents(data: bytes) -> Iterator[object]:
    """Read each document of a stream, empty ones as None."""
    try:
        yield from _Reader(data).documents()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        text = error.problem or error.context or "unreadable"
        raise Unreadable(mark.line + 1 if mark else 1, text) from None
    except yaml.reader.ReaderError as error:
        line = data.count(b"\n", 0, error.position) + 1
        raise Unreadable(line, f"{error.reason} (byte {error.position})") from None
    except RecursionError:
        raise Unreadable(1, "too many levels of nesting") from None


def line_of(data: bytes, document: int, path: Path) -> int:
    """Return the line of the value at a path, or of the last thing on the way that exists."""
    node: yaml.Node = next(islice(yaml.compose_all(data, Loader=_LOADER), document, None))
    for step in path:
        child = _child(node, step)
        if child is None:
            break
        node = child
    return int(node.start_mark.line) + 1


def _child(node: yaml.Node, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return node.value[step] if step < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    return None


class _Reader:
    """The events of one stream, folded into values."""

    def __init__(self, data: bytes) -> None:
        self._events = yaml.parse(data, Loader=_LOADER)
        self._anchors: dict[str, object] = {}
        self._plain = dict(_PLAIN)

    def documents(self) -> Iterator[object]:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors.clear()
                yield self._value(next(self._events), 0, "")

    def _value(self, event: Any, depth: int, name: str) -> object:  # noqa: ANN401 - PyYAML's events
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        value: object
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(event, depth + 1, name)
        else:
            value = self._sequence(depth + 1)
        if event.anchor:
            self._anchors[event.anchor] = value
        return value

    def _alias(self, event: yaml.AliasEvent) -> object:
        if event.anchor not in self._anchors:
            raise Unreadable(_line(event), f"alias *{event.anchor} without anchor")
        return self._anchors[event.anchor]

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        text: str = event.value
        # Quoted texts and those with a tag of their own (!!str) are what they say.
        if not event.implicit[0]:
            return text
        try:
            return self._plain[text]
        except KeyError:
            value = self._plain[text] = _read_plain(event)
            return value

    def _sequence(self, depth: int) -> list[object]:
        values = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(event, depth, ""))
        return values

    def _mapping(self, start: yaml.MappingStartEvent, depth: int, name: str) -> dict[str, object]:
        # An item of a List is the third level down: document, items, item.
        values: dict[str, object] = Mapping() if depth <= 3 else {}  # noqa: PLR2004
        if isinstance(values, Mapping):
            values.line = _line(start)
        merged: list[object] = []
        seen: set[str] = set()
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = _key(event, seen)
            value = self._value(next(self._events), depth, key)
            if key == _MERGE:
                merged.append(value)
            elif value is not None:
                values[key] = value
            elif name in _TEXTS:
                values[key] = ""
        return _merge(values, merged) if merged else values


def _line(event: Any) -> int:  # noqa: ANN401 - PyYAML's events
    return int(event.start_mark.line) + 1


def _key(event: Any, seen: set[str]) -> str:  # noqa: ANN401 - PyYAML's events
    line = _line(event)
    if not isinstance(event, yaml.ScalarEvent):
        raise Unreadable(line, "found a mapping or a list as a key, expected a text")
    if event.value in seen:
        raise Unreadable(line, f"found the key {event.value!r} a second time, expected it once")
    seen.add(event.value)
    return str(event.value)


def _merge(values: dict[str, object], merged: list[object]) -> dict[str, object]:
    """Fill in what ``<<`` refers to; what is written here wins, then the first of a list."""
    for source in merged:
        for mapping in source if isinstance(source, list) else [source]:
            if isinstance(mapping, dict):
                for key, value in mapping.items():
                    values.setdefault(key, value)
    return values


def _read_plain(event: yaml.ScalarEvent) -> object:
    try:
        return _plain(event.value)
    except ValueError:
        # Python reads no longer ones, whose time grows with the square of their length.
        found = f"found a number of {len(event.value)} digits, expected one that fits 64 bits"
        raise Unreadable(_line(event), found) from None


def _plain(text: str) -> object:
    if _INTEGER.fullmatch(text):
        return _integer(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _integer(text: str) -> int:
    digits = text.lstrip("+-")
    # YAML 1.1 writes octal numbers with a bare 0.
    if digits.isdigit() and digits.startswith("0"):
        return int(text, 8)
    return int(text, 0)
