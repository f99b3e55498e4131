"""``bufsize``: the most octets over UDP that a client is believed to take."""

from collections.abc import Sequence

from kdns.assembly import Block
from kdns.corefile.syntax import Directive
from kdns.corefile.values import arguments, integer, no_lines

DEFAULT = 1232
"""It fits every path unfragmented (DNS flag day 2020)."""
LOWEST = 512
HIGHEST = 4096


def setup(directives: Sequence[Directive], block: Block) -> None:
    """Set the size that a client's own is clamped to; the first directive counts, as in CoreDNS."""
    sizes = [_size(directive) for directive in directives]
    block.udp_size = sizes[0]
    for directive in directives[1:]:
        block.warn(directive.name, "bufsize: this one does not count, the first one does")


def _size(directive: Directive) -> int:
    no_lines(directive)
    size = arguments(directive, 0, 1, what="number of octets")
    return integer(size[0], LOWEST, HIGHEST) if size else DEFAULT
