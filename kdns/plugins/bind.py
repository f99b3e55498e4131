"""``bind``: the addresses to listen on, by themselves or by the name of their interface.

Interfaces are looked up when the Corefile is read: at the start and at every reload.
"""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from kdns.assembly import Block
from kdns.corefile.syntax import Directive, Line, Token
from kdns.corefile.values import MANY, arguments, fail, nearest, unknown
from kdns.server.interfaces import Interfaces, interfaces


def setup(directives: Sequence[Directive], block: Block) -> None:
    """Listen on the addresses of all directives; ``except`` is of its own directive only."""
    present = _interfaces(directives[0].name, block)
    found = dict.fromkeys(block.binds)
    for directive in directives:
        found |= dict.fromkeys(_kept(directive, present))
    block.binds = list(found)


def _interfaces(token: Token, block: Block) -> Interfaces:
    try:
        return interfaces()
    except OSError as error:
        block.warn(token, f"bind: the interfaces are not known, only addresses are: {error}")
        return {}


def _kept(directive: Directive, present: Interfaces) -> list[str]:
    """Return the addresses of one directive without those that it excepts."""
    wanted = _addresses(arguments(directive, 1, MANY, what="address"), present)
    excepted = {address for line in directive.lines for address in _excepted(line, present)}
    kept = [address for address in wanted if address not in excepted]
    if not kept:
        # No addresses at all would mean every address.
        fail(directive.name, "bind: no address is left to listen on")
    return kept


def _excepted(line: Line, present: Interfaces) -> list[str]:
    if line.name.text != "except":
        unknown(line, ("except",), of="bind")
    return _addresses(arguments(line, 1, MANY, what="address"), present)


def _addresses(words: Iterable[Token], present: Interfaces) -> list[str]:
    return [address for word in words for address in _addresses_of(word, present)]


def _addresses_of(word: Token, present: Interfaces) -> list[str]:
    """Return the addresses of an interface, or the one that is written."""
    if word.text in present:
        return present[word.text]
    try:
        return [str(ip_address(word.text))]
    except ValueError:
        known = ", ".join(present) or "none that are known"
        near = nearest(word.text, present)
        text = f"expected an IP address or an interface ({known}), got {word.text!r}{near}"
        fail(word, f"bind: {text}")
