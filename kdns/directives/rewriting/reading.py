"""The words of one ``rewrite`` -> its rule. Raises CorefileError at the word that is wrong."""

import binascii
import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec.structs import replace

from kdns.corefile.syntax import Directive, Token
from kdns.corefile.values import (
    choice,
    fail,
    integer,
    nearest,
    rclass,
    rcode,
    regex,
    rtype,
)
from kdns.directives.rewriting import matching
from kdns.directives.rewriting.matching import Exact, Matcher, Prefix, Regex, Substring, Suffix
from kdns.directives.rewriting.options import SUBNET, WORDS, Action, Content, Edit, Subnet
from kdns.directives.rewriting.revisions import Recode, Redirect, Rename, Retime, Revalue, Revision
from kdns.directives.rewriting.rules import (
    ClassRule,
    NameRule,
    OptionRule,
    ResponseRule,
    Rule,
    TypeRule,
)
from kdns.wire import codes

MAX_PATTERN = 10_000
"""Characters of a regular expression."""

Warn: TypeAlias = Callable[[Token, str], None]

_MODES = ("stop", "continue")
_FIELDS = ("name", "type", "class", "edns0", "ttl", "cname", "rcode")
_KINDS = ("exact", "prefix", "suffix", "substring", "regex")
_ACTIONS: tuple[Action, ...] = ("set", "append", "replace", "unset")
_OPTION_KINDS = ("local", "nsid", "subnet")
_ANSWER_KINDS = ("auto", "name", "value")
_LABEL = re.compile(r"\{[^{}/]+/[^{}]+\}")
"""A variable that a plugin would set as metadata."""
_RANGE = re.compile(r"(?:([0-9]{1,10})|([0-9]{1,10})?-([0-9]{1,10})?)")
_MAX_TTL = 0x7FFF_FFFF
_MAX_32 = 0xFFFF_FFFF
_MAX_CODE = 65_535


def rule(directive: Directive, warn: Warn) -> Rule | None:
    """Read a rule, on one line or in braces; None where it can never apply."""
    words = _Words(directive, warn)
    stop = True
    if words.peek() in _MODES:
        stop = words.take("stop or continue").text.lower() == "stop"
    token = words.take("a field like name")
    field = token.text.lower()
    if field == "answer":
        fail(token, "rewrite: answer stands after the name rule that it belongs to")
    found = _read(_one(token, field, _FIELDS, "field of rewrite"), words, stop=stop)
    words.end()
    return found


def _read(  # noqa: PLR0911 - one for each field
    field: str, words: "_Words", *, stop: bool
) -> Rule | None:
    match field:
        case "name":
            return _name_rule(words, stop=stop)
        case "type":
            return TypeRule(stop, rtype(words.take("a type")), rtype(words.take("a type")))
        case "class":
            return ClassRule(stop, rclass(words.take("a class")), rclass(words.take("a class")))
        case "edns0":
            edit = _edit(words)
            return None if edit is None else OptionRule(stop, edit)
        case "ttl":
            matcher = _question(words, more=1)
            return ResponseRule(stop, _times(words.take("a TTL")), matcher)
        case "rcode":
            matcher = _question(words, more=2)
            change = Recode(rcode(words.take("an rcode")), rcode(words.take("an rcode")))
            return ResponseRule(stop, change, matcher)
        case _:
            return ResponseRule(stop, _redirect(words))


class _Words:
    """The words of a rule from left to right: lines in braces are only a way to write it."""

    def __init__(self, directive: Directive, warn: Warn) -> None:
        self.warn = warn
        self._name = directive.name
        self._words = list(directive.args)
        if directive.lines and len(self._words) > 1:
            # CoreDNS takes a block only where nothing but the mode stands before it.
            fail(directive.lines[0].name, "rewrite: a rule is on one line or in braces, not both")
        self._words += [word for line in directive.lines for word in line.words]
        self._at = 0

    def left(self) -> int:
        """Return how many words are left."""
        return len(self._words) - self._at

    def peek(self) -> str:
        """Return the next word in lower case; empty at the end."""
        return self._words[self._at].text.lower() if self.left() else ""

    def take(self, what: str) -> Token:
        """Take the next word, which is to be ``what``."""
        if not self.left():
            last = self._words[-1] if self._words else self._name
            fail(last, f"rewrite: expected {what} after {last.text!r}, got the end of the rule")
        self._at += 1
        return self._words[self._at - 1]

    def takes(self, word: str) -> bool:
        """Take the next word if it is this one."""
        found = bool(self.left()) and self._words[self._at].text == word
        self._at += found
        return found

    def takes_last(self, word: str) -> bool:
        """Take the last word off if it is this one."""
        found = bool(self.left()) and self._words[-1].text == word
        if found:
            self._words.pop()
        return found

    def end(self) -> None:
        """Refuse what is left."""
        if self.left():
            token = self._words[self._at]
            fail(token, f"rewrite: expected the end of the rule, got {token.text!r}")


# -- names -------------------------------------------------------------------------------------


def _name_rule(words: _Words, *, stop: bool) -> NameRule:
    kind = "exact"
    if words.left() > 2:  # noqa: PLR2004 - FROM and TO
        kind = _kind(words.take("a kind of match"))
    written, to = words.take("a name"), words.take("a name")
    matcher, replacement = _matcher(kind, written), _normal(to.text)
    _look(matcher, replacement, to, words.warn)
    auto, answers = _answers(words)
    if kind == "suffix" and auto:
        # What was put at the end is taken away again, whatever stands before it.
        back = Suffix(replacement)
        text = _normal(written.text)
        return NameRule(
            stop, matcher, replacement, False, (Rename(back, text), Revalue(back, text), *answers)
        )
    return NameRule(stop, matcher, replacement, auto or kind == "exact", answers)


def _question(words: _Words, more: int) -> Matcher:
    """Read ``[KIND] NAME`` of a rule that has so many words after it."""
    kind = _kind(words.take("a kind of match")) if words.left() > 1 + more else "exact"
    return _matcher(kind, words.take("a name"))


def _redirect(words: _Words) -> Redirect:
    kind = _kind(words.take("a kind of match")) if words.left() > 2 else "exact"  # noqa: PLR2004 - FROM and TO
    written, to = words.take("a target"), words.take("a target")
    if kind in ("exact", "regex"):
        matcher = _matcher(kind, written)
    else:
        # CoreDNS adds no final dot here, so that a part of a label can be meant.
        matcher = _literal(kind, written.text.lower())
    replacement = _normal(to.text) if kind == "exact" else to.text.lower()
    if isinstance(matcher, Regex):
        # Targets come in lower case; CoreDNS lowers the pattern, which makes \D a \d.
        matcher = Regex(regex(replace(written, text=f"(?i){written.text}")))
    _look(matcher, replacement, to, words.warn)
    return Redirect(matcher, replacement)


def _kind(token: Token) -> str:
    return _one(token, token.text.lower(), _KINDS, "kind of match")


def _matcher(kind: str, token: Token) -> Matcher:
    if kind != "regex":
        return _literal(kind, _normal(token.text))
    if len(token.text) > MAX_PATTERN:
        fail(token, f"rewrite: a regular expression of more than {MAX_PATTERN} characters")
    return Regex(regex(token))


def _literal(kind: str, text: str) -> Matcher:
    match kind:
        case "prefix":
            return Prefix(text)
        case "suffix":
            return Suffix(text)
        case "substring":
            return Substring(text)
        case _:
            return Exact(text)


def _normal(text: str) -> str:
    """Write a name, or a part of one, in lower case and with a final dot, as CoreDNS does."""
    bare = text.removesuffix(".")
    escaped = (len(bare) - len(bare.rstrip("\\"))) % 2
    return text.lower() + ("." if bare == text or escaped else "")


def _look(matcher: Matcher, to: str, token: Token, warn: Warn) -> None:
    """Tell of a replacement with groups that the regular expression does not have."""
    known = matcher.pattern.groups if isinstance(matcher, Regex) else None
    for group in sorted(matching.groups(to)):
        if known is not None and group > known:
            text = f"rewrite: the pattern has no group {group}, {{{group}}} stays as it is"
            warn(token, text)


def _answers(words: _Words) -> tuple[bool, tuple[Revision, ...]]:
    """Read ``answer auto``, ``answer name FROM TO`` and ``answer value FROM TO``.

    Only the first needs the word ``answer``. Returns whether ``auto`` is among them.
    """
    auto: Token | None = None
    found: list[Revision] = []
    while words.left():
        if not words.takes("answer") and not found and auto is None:
            token = words.take("answer")
            fail(token, f"rewrite: expected answer, got {token.text!r}")
        token = words.take("auto, name or value")
        kind = _one(token, token.text, _ANSWER_KINDS, "answer rule")
        # "answer name auto" is what CoreDNS's page has, and its code takes for a name rule.
        if kind == "auto" or (kind == "name" and words.takes("auto")):
            auto = token
            continue
        found.append(_answer(kind, words))
    if auto is not None and any(isinstance(one, Rename) for one in found):
        fail(auto, "rewrite: answer auto and answer name do not go together")
    return auto is not None, tuple(found)


def _answer(kind: str, words: _Words) -> Rename | Revalue:
    written, to = words.take("a regular expression"), words.take("a name")
    matcher, replacement = _matcher("regex", written), _normal(to.text)
    _look(matcher, replacement, to, words.warn)
    return (Rename if kind == "name" else Revalue)(matcher, replacement)


def _times(token: Token) -> Retime:
    """Read ``30``, ``30-300``, ``-30`` or ``30-``: seconds."""
    found = _RANGE.fullmatch(token.text)
    if found is None or token.text == "-":
        fail(token, f"rewrite: expected a TTL or a range like 30-300, got {token.text!r}")
    only, low, high = found.groups()
    bounds = (only or low or "0", only or high or str(_MAX_TTL))
    least, most = map(int, bounds)
    if not least <= most <= _MAX_32:
        fail(token, f"rewrite: expected a range from low to high, got {token.text!r}")
    return Retime(least, most)


# -- EDNS --------------------------------------------------------------------------------------


def _edit(words: _Words) -> Edit | None:
    """Read ``local|nsid|subnet ACTION ...``; None for a variable that nothing sets."""
    first = words.take("local, nsid or subnet")
    kind = _one(first, first.text.lower(), _OPTION_KINDS, "kind of EDNS option")
    token = words.take("an action")
    wanted = _one(token, token.text.lower(), _ACTIONS, "action")
    action = next(known for known in _ACTIONS if known == wanted)
    revert = action != "unset" and words.takes_last("revert")
    code = _code(words, kind)
    content: Content | None = b""
    if action != "unset":
        content = _content(words, kind)
    return None if content is None else Edit(action, code, content, revert)


def _code(words: _Words, kind: str) -> int:
    match kind:
        case "nsid":
            return codes.EDNS_NSID
        case "subnet":
            return SUBNET
        case _:
            return _option_code(words.take("the code of an option"))


def _content(words: _Words, kind: str) -> Content | None:
    match kind:
        case "nsid":
            return b""
        case "subnet":
            ipv4 = integer(words.take("the bits of an IPv4 network"), 0, 32)
            return Subnet(ipv4, integer(words.take("the bits of an IPv6 network"), 0, 128))
        case _:
            return _data(words.take("the data of an option"), words.warn)


def _option_code(token: Token) -> int:
    try:
        value = int(token.text, 0)
    except ValueError:
        value = -1
    if not 0 <= value <= _MAX_CODE:
        fail(token, f"rewrite: expected the code of an option like 0xffee, got {token.text!r}")
    return value


def _data(token: Token, warn: Warn) -> Content | None:
    text = token.text
    if text.startswith("{") and text.endswith("}"):
        return _variable(token, warn)
    if not text.startswith("0x"):
        return text.encode()
    try:
        return binascii.unhexlify(text[2:])
    except ValueError:
        fail(token, f"rewrite: expected pairs of hex digits after 0x, got {text!r}")


def _variable(token: Token, warn: Warn) -> Content | None:
    for word in WORDS:
        if token.text == word:
            return word
    if _LABEL.fullmatch(token.text) is None:
        choice(token, WORDS, "variable of rewrite")
    warn(token, f"rewrite: nothing here sets metadata, {token.text} is never there")
    return None


def _one(token: Token, word: str, known: Sequence[str], what: str) -> str:
    """Return a word that is one of the known; the token is where it stands."""
    if word not in known:
        near = nearest(word, known)
        fail(token, f"unknown {what} {token.text!r}: expected one of {', '.join(known)}{near}")
    return word
