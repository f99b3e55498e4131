"""JSON documents that follow one another, as kubectl reads them. Knows no Kubernetes, no files."""

import json
import re

from msgspec import Struct

_BLANKS = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


class Part(Struct, frozen=True, gc=False):
    """One document, or what begins with a document that is no JSON."""

    line: int
    """How many lines of the stream stand before it."""
    data: bytes


def split(data: bytes) -> list[Part]:
    """Split a stream into its JSON documents and the rest, such as YAML after a ``---``.

    A stream that does not begin with two documents is one part.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return [Part(0, data)]
    parts: list[Part] = []
    line, end, start = 0, 0, _after_blanks(text, 0)
    while start < len(text):
        line += text.count("\n", end, start)
        end = _end(text, start) if text.startswith("{", start) else len(text)
        parts.append(Part(line, text[start:end].encode()))
        line += text.count("\n", start, end)
        start = _after_blanks(text, end)
    # YAML knows more that may follow a mapping: a comment, or a colon that makes it a key.
    stream = len(parts) > 1 and parts[1].data.startswith((b"{", b"---"))
    return parts if stream else [Part(0, data)]


def _after_blanks(text: str, start: int) -> int:
    blanks = _BLANKS.match(text, start)
    return blanks.end() if blanks else start


def _end(text: str, start: int) -> int:
    """Return where the document ends: with the text, when it is no JSON."""
    try:
        return _DECODER.raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return len(text)
