"""``chaos``: TXT records of class CH that say which server this is and who made it."""

import random
import socket
from collections.abc import Sequence

from msgspec.structs import replace

from kdns.assembly import Block
from kdns.chain import FIXED, Answer, Handler, Plugin, Request, Response
from kdns.corefile.syntax import Directive
from kdns.corefile.values import MANY, arguments, no_lines
from kdns.version import VERSION
from kdns.wire import codes, names, records
from kdns.wire.message import Sections
from kdns.wire.names import Name

AUTHORS = ("The authors of kdns",)
_VERSION_NAMES = tuple(map(names.from_text, ("version.bind", "version.server")))
_HOST_NAMES = tuple(map(names.from_text, ("hostname.bind", "id.server")))
_AUTHORS_NAME = names.from_text("authors.bind")


def setup(directives: Sequence[Directive], block: Block) -> Plugin:
    """Answer the questions of class CH; the first directive counts, as in CoreDNS."""
    for directive in directives:
        no_lines(directive)
    for directive in directives[1:]:
        block.warn(directive.name, "chaos: this one does not count, the first one does")
    version, *authors = [word.text for word in arguments(directives[0], 0, MANY)] or [""]
    block.any_class = True
    return Chaos(version or f"kdns-{VERSION}", sorted(set(authors)) or AUTHORS, hostname())


def hostname() -> str:
    """Return the name of this machine; in a cluster, of this pod."""
    return socket.gethostname() or "localhost"


class Chaos:
    """Answers TXT of class CH for five names."""

    def __init__(self, version: str, authors: Sequence[str], host: str) -> None:
        self._authors = tuple(authors)
        self._texts: dict[Name, str] = dict.fromkeys(_VERSION_NAMES, version)
        self._texts |= dict.fromkeys(_HOST_NAMES, host)

    def wrap(self, following: Handler) -> Handler:
        """Answer for these names, pass all others on."""

        async def handle(request: Request) -> Response:
            query = request.query
            if query.rclass != codes.CLASS_CH or query.rtype != codes.TXT:
                return await following(request)
            if query.name == _AUTHORS_NAME:
                # In a new order every time, so without owners.
                shuffled = random.sample(self._authors, len(self._authors))
                return Answer(_says(query.asked, shuffled), by="chaos")
            text = self._texts.get(query.name)
            if text is None:
                return await following(request)
            return Answer(_says(query.asked, [text]), FIXED, by="chaos")

        return handle


def _says(owner: Name, texts: Sequence[str]) -> Sections:
    answer = (replace(records.txt(owner, 0, text), rclass=codes.CLASS_CH) for text in texts)
    return Sections(answer=tuple(answer), authoritative=False)
