"""What to ask: the names of a cluster, of a list, or of a query log. Text and objects in."""

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from kdns.corefile.mnemonics import type_text
from kdns.errors import UsageError
from kdns.kube.objects import Namespace, Service
from kdns.kube.store import Store
from kdns.presentation.rdata import rtype_of
from kdns.wire import codes, names
from kdns.wire.names import Name
from kdns.wire.records import pack_address
from kdns.zone.authority import Authority
from kdns.zone.endpoints import ready_backends

NOBODY = "kdns-compare-nobody"
"""A Service that no namespace has: what is missing should be missing in both."""

# A line of ``log`` in its common and combined formats, whatever stands before it.
_LOGGED = re.compile(r'"(?P<type>[A-Z0-9-]+) (?P<class>[A-Z0-9]+) (?P<name>\S+) (?:udp|tcp) \d')
_TRANSFERS = frozenset({codes.AXFR, codes.IXFR})
_NAME_TYPE = 2


class Question(Struct, frozen=True, gc=False):
    """A name, in lower case, and a type."""

    name: Name
    rtype: int

    def __str__(self) -> str:
        return f"{names.to_text(self.name)} {type_text(self.rtype)}"


class Read(Struct, frozen=True):
    """The questions of a text, each once, and what was left out."""

    questions: tuple[Question, ...]
    passed_over: int = 0
    """Lines that hold no query that can be asked again."""


def of_store(store: Store, authority: Authority) -> Read:
    """Ask for everything that a cluster's Services have: both families, ports, endpoints, PTR."""
    found: dict[Question, None] = {}
    _add(found, names.of("dns-version") + authority.primary, codes.TXT)
    for item in store.objects(("Namespace", "Service")):
        if isinstance(item, Namespace):
            _add(found, names.of(NOBODY, item.name, "svc") + authority.primary, codes.A)
        elif isinstance(item, Service):
            for question in _of_service(store, authority, item):
                found.setdefault(question)
    return Read(tuple(found))


def of_list(text: str, path: str) -> Read:
    """Read lines of ``NAME [TYPE]``; without a type it is A. ``#`` begins a comment."""
    found: dict[Question, None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) > _NAME_TYPE:
            raise UsageError(f"{path}:{number}: expected NAME [TYPE], got {' '.join(words)!r}")
        found.setdefault(_written(words, f"{path}:{number}"))
    if not found:
        raise UsageError(f"{path}: no names in it, expected lines of NAME [TYPE]")
    return Read(tuple(found))


def of_log(text: str, path: str) -> Read:
    """Read the queries of class IN in a log of ``log``, of CoreDNS or kdns.

    Other lines are passed over: the log of a server has them. A log without a query is an error.
    """
    found: dict[Question, None] = {}
    lines = text.splitlines()
    left = 0
    for line in lines:
        question = _logged(line)
        if question is None:
            left += 1
        else:
            found.setdefault(question)
    if not found:
        example = '"A IN example.org. udp 41 false 4096"'
        raise UsageError(f"{path}: no query in {len(lines)} lines, expected some with {example}")
    return Read(tuple(found), left)


def _add(found: dict[Question, None], name: Name, rtype: int) -> None:
    found.setdefault(Question(name.lower(), rtype))


def _of_service(store: Store, authority: Authority, service: Service) -> Iterator[Question]:
    name = names.of(service.name, service.namespace, "svc") + authority.primary
    name = name.lower()
    yield Question(name, codes.A)
    yield Question(name, codes.AAAA)
    for port in service.ports:
        if port.name:
            owner = names.of(f"_{port.name}", f"_{port.protocol}") + name
            yield Question(owner.lower(), codes.SRV)
    yield from _reverse(filter(None, map(pack_address, service.cluster_ips)))
    if service.headless:
        backends = ready_backends(store, authority.settings, service).all
        for backend in backends:
            family = codes.A if len(backend.address) == 4 else codes.AAAA  # noqa: PLR2004
            yield Question(names.of(*backend.name.split(".")).lower() + name, family)
        yield from _reverse(backend.address for backend in backends)


def _reverse(addresses: Iterable[bytes]) -> Iterator[Question]:
    """RFC 1035 section 3.5 and RFC 3596 section 2.5."""
    for address in addresses:
        if len(address) == 4:  # noqa: PLR2004 - octets
            labels = [*map(str, reversed(address)), "in-addr", "arpa"]
        else:
            labels = [*reversed(address.hex()), "ip6", "arpa"]
        yield Question(names.of(*labels) + names.ROOT, codes.PTR)


def _written(words: list[str], place: str) -> Question:
    rtype = rtype_of(words[1]) if len(words) == _NAME_TYPE else codes.A
    if rtype is None or rtype in _TRANSFERS:
        raise UsageError(f"{place}: expected a type like A or SRV, got {words[1]!r}")
    try:
        return Question(names.from_text(words[0]).lower(), rtype)
    except ValueError as error:
        raise UsageError(f"{place}: {words[0]!r} is no name: {error}") from None


def _logged(line: str) -> Question | None:
    found = _LOGGED.search(line)
    if found is None or found["class"] != "IN":
        return None
    rtype = rtype_of(found["type"])
    if rtype is None or rtype in _TRANSFERS:
        return None
    try:
        return Question(names.from_text(found["name"]).lower(), rtype)
    except ValueError:
        return None
