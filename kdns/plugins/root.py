"""``root``: where relative paths of the other plugins begin. Opens nothing, looks once."""

from collections.abc import Sequence
from pathlib import Path
from stat import S_ISDIR

from kdns.assembly import Block
from kdns.corefile.syntax import Directive, Token
from kdns.corefile.values import arguments, fail, no_lines


def setup(directives: Sequence[Directive], block: Block) -> None:
    """Set the block's root; the last of several directives counts, as in CoreDNS."""
    for directive in directives:
        no_lines(directive)
        (path,) = arguments(directive, 1, what="directory")
        block.root = Path(path.text)
        _look(path, block)


def _look(path: Token, block: Block) -> None:
    """Warn of a root that is not there: it may come later, what is in it may not be needed."""
    try:
        found = block.root.stat()
    except FileNotFoundError:
        block.warn(path, f"root: the directory {path.text!r} does not exist")
    except OSError as error:
        fail(path, f"root: cannot access {path.text!r}: {error.strerror}")
    else:
        if not S_ISDIR(found.st_mode):
            block.warn(path, f"root: {path.text!r} is no directory")
