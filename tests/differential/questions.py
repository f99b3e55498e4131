"""Questions at random: names that exist, names that nearly exist and names that do not.

The same seed asks the same. Knows the objects and the forms of names; does not know what is right.
"""

import string
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from random import Random
from typing import TypeVar

import dns.rdataclass
import dns.rdatatype

from tests.differential.options import OptionSet
from tests.differential.question import AD, CD, IN, RD, Edns, Labels, Question
from tests.differential.upstream import NAMES
from tests.differential.vocabulary import Vocabulary, dashed

T = TypeVar("T")

MAX_NAME, MAX_LABEL = 255, 63
ASCII = 128
CH, HS, ANY_CLASS = 3, 4, 255
PTR, SRV, AXFR, IXFR = 12, 33, 252, 251
TYPES = {
    "A": 24,
    "AAAA": 12,
    "SRV": 12,
    "PTR": 4,
    "CNAME": 5,
    "TXT": 6,
    "NS": 5,
    "SOA": 5,
    "MX": 2,
    "HTTPS": 3,
    "SVCB": 1,
    "CAA": 1,
    "HINFO": 1,
    "ANY": 2,
    "NAPTR": 1,
    "DS": 1,
    "DNSKEY": 1,
    "NSEC": 1,
    "TYPE65280": 1,
    "TYPE0": 1,
    "AXFR": 1,
    "IXFR": 1,
}
TYPE_NUMBERS = [int(dns.rdatatype.from_text(name)) for name in TYPES]
TYPE_WEIGHTS = list(TYPES.values())
SIZES = (512, 1232, 4096, 0, 100, 65_535)
OPTIONS = ((10, b"12345678"), (3, b""), (12, bytes(7)), (8, b"\0\1\x18\0\x0a\0\0"), (65_001, b"x"))
"""EDNS options: COOKIE, NSID, PADDING, client subnet and one of nobody."""
ODD = (b"*", b"any", b"_", b"__", b"-", b"a.b", b"\\", b"\0", b"x y", b"\xff", b"_zone", b"_http")
WORDS = (b"www", b"svc", b"pod", b"default", b"local", b"cluster", b"dns", b"0", b"nothing")


FIRST = """
dns-version TXT
dns-version A
ns.dns A
ns.dns TXT
dns A
svc TXT
shop.svc TXT
nothing.shop.svc SOA
web.shop.svc A
web.shop A
_tcp.web.shop.svc A
many.shop.svc SRV
dual.shop.svc SRV
_._tcp.many.shop.svc SRV
outside.shop.svc A
outside.shop.svc MX
inside.shop.svc A
outside-missing.shop.svc A
inside-missing.shop.svc AAAA
literal.shop.svc A
by-name.shop.svc A
spelled.shop.svc SRV
long-pods.shop.svc SRV
db.shop.svc A
one.two.172-17-0-1.shop.pod A
172-17-0-1.shop.pod SRV
fd00-10-244--22.shop.pod AAAA
alone.shop.svc A
172-19-0-1.east.web.shop.svc A
"""
FIRST_REVERSE = """
svc.in-addr.arpa A
1.0.96.10.in-addr.arpa TXT
8.0.96.10.in-addr.arpa PTR
1.1.96.10.in-addr.arpa PTR
10.17.172.in-addr.arpa A
1.4.17.172.in-addr.arpa PTR
5.4.17.172.in-addr.arpa PTR
53.2.17.172.in-addr.arpa PTR
b.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR
x.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.4.4.2.0.0.1.0.0.0.0.d.f.ip6.arpa PTR
www.example.org A
many.example.org A IN 512
example.org AXFR
"""
"""What is asked in any case, below each zone and as it stands: what a known difference is about."""


class Questions:
    """Asks about the objects in the zones of an option set."""

    def __init__(self, vocabulary: Vocabulary, options: OptionSet, seed: int) -> None:
        self._words = vocabulary
        self._options = options
        self._random = Random(f"{options.name} {seed}")  # noqa: S311 - repeatable is the point
        self._forms: dict[Callable[[], Labels], int] = {
            self._service: 16,
            self._endpoint: 14,
            self._port: 14,
            self._protocol: 2,
            self._pod: 9,
            self._short: 3,
            self._upper: 8,
            self._topology: 10 if options.has("zonal") else 2,
            self._member: 20 if options.has("multicluster") else 2,
            self._outside: 14 if options.others else 3,
            self._special: 6 * len(options.also),
        }

    def __iter__(self) -> Iterator[Question]:
        """Ask without end."""
        yield from self._first()
        while True:
            yield self._question()

    def _first(self) -> Iterator[Question]:
        """Ask what is asked in any case, without ornament."""
        zones = [zone for zone in self._options.origins if not zone.endswith("arpa")]
        lines = [f"{name}.{zone} {rtype}" for zone in zones for name, rtype in _words(FIRST)]
        lines += [f"NS.DNS.{zones[0].upper()} A", f"{zones[0]} NS"]
        lines += [" ".join(words) for words in _words(FIRST_REVERSE)]
        yield from (_plain(*line.split()) for line in (*lines, *self._options.also))

    # -- names --------------------------------------------------------------------------------

    def _service(self) -> Labels:
        namespace, name = self._pick(self._words.services)
        return self._in_zone(name, namespace, "svc")

    def _endpoint(self) -> Labels:
        namespace, service, name = self._pick(self._words.endpoints)
        return self._in_zone(name, service, namespace, "svc")

    def _port(self) -> Labels:
        namespace, service, port, protocol = self._pick(self._words.ports)
        first, second = self._pick((("_", "_"), ("_", "_"), ("", ""), ("_", ""), ("", "_")))
        return self._in_zone(first + port, second + protocol, service, namespace, "svc")

    def _protocol(self) -> Labels:
        namespace, service, _, protocol = self._pick(self._words.ports)
        return self._in_zone(self._pick(("_", "")) + protocol, service, namespace, "svc")

    def _pod(self) -> Labels:
        namespace, address = self._pick(self._words.pods)
        if self._chance(0.3):
            namespace = self._pick(self._words.namespaces)
        if ":" in address and self._chance(0.3):
            address = ip_address(address).exploded
        return self._in_zone(dashed(address), namespace, "pod")

    def _short(self) -> Labels:
        namespace, name = self._pick(self._words.services)
        return self._in_zone(name, namespace)

    def _upper(self) -> Labels:
        """Ask for what is above services and pods, and for the zone's own names."""
        namespace = self._pick(self._words.namespaces)
        return self._in_zone(
            *self._pick(
                (
                    (),
                    (),
                    ("svc",),
                    ("pod",),
                    (namespace, "svc"),
                    (namespace, "pod"),
                    ("dns-version",),
                    ("dns",),
                    ("ns", "dns"),
                    ("hostmaster",),
                )
            )
        )

    def _topology(self) -> Labels:
        namespace, name = self._pick([("shop", "zonal"), ("shop", "zonal-ip"), ("shop", "db")])
        zone = self._pick((*self._words.topology, "elsewhere"))
        directive = self._pick(("pin", "prefer", "prefer", "pin", "avoid"))
        labels = (*zone.split("."), directive, "_zone", name, namespace, "svc")
        return self._in_zone(*labels[self._pick((0, 0, 0, 0, 1, 2)) :])

    def _member(self) -> Labels:
        *below, service, namespace = self._pick(self._words.members)
        if below and self._chance(0.1):
            below[1] = self._pick(self._words.clusters)
        return self._in_zone(*below, service, namespace, "svc")

    def _outside(self) -> Labels:
        return _labels(self._pick(NAMES))

    def _special(self) -> Labels:
        return _labels(self._pick(self._options.also).split()[0])

    def _reversed(self) -> Labels:
        """Ask for an address, or for what is above it."""
        address = ip_address(self._pick(self._words.addresses))
        labels = _labels(address.reverse_pointer)
        above = self._pick((0, 0, 0, 0, 0, 1, 2, 3, self._random.randrange(len(labels))))
        return labels[above:]

    def _in_zone(self, *labels: str) -> Labels:
        """Complete a name with a zone, seldom with one where it should not be."""
        zones = self._options.origins
        forward = [zone for zone in zones if not zone.endswith("arpa")]
        zone = self._pick(zones if self._chance(0.08) else forward)
        found = tuple(label.encode() for label in labels if label) + _labels(zone)
        # The names of pods may have dots; they are asked for as several labels then.
        return tuple(part for label in found for part in label.split(b"."))

    # -- nearly names -------------------------------------------------------------------------

    def _changed(self, labels: Labels) -> Labels:
        """Change a name in one place."""
        change = self._pick(
            (
                self._drop,
                self._add,
                self._replace,
                self._misspell,
                self._swap,
                self._odd,
                self._toggle,
                self._lengthen,
            )
        )
        return change(list(labels))

    def _drop(self, labels: list[bytes]) -> Labels:
        if labels:
            del labels[self._at(labels)]
        return tuple(labels)

    def _add(self, labels: list[bytes]) -> Labels:
        labels.insert(self._pick((0, 0, self._random.randint(0, len(labels)))), self._word())
        return tuple(labels)

    def _replace(self, labels: list[bytes]) -> Labels:
        if labels:
            labels[self._at(labels)] = self._word()
        return tuple(labels)

    def _misspell(self, labels: list[bytes]) -> Labels:
        if labels:
            at = self._at(labels)
            label = bytearray(labels[at])
            label[self._random.randrange(len(label))] = ord(self._letter())
            labels[at] = bytes(label)
        return tuple(labels)

    def _swap(self, labels: list[bytes]) -> Labels:
        if len(labels) > 1:
            at = self._random.randrange(len(labels) - 1)
            labels[at], labels[at + 1] = labels[at + 1], labels[at]
        return tuple(labels)

    def _odd(self, labels: list[bytes]) -> Labels:
        at = self._random.randint(0, len(labels))
        labels[at : at + self._pick((0, 1))] = [self._pick(ODD)]
        return tuple(labels)

    def _toggle(self, labels: list[bytes]) -> Labels:
        """Give a label an underscore, or take it away."""
        if labels:
            at = self._pick((0, min(1, len(labels) - 1)))
            label = labels[at]
            labels[at] = label.removeprefix(b"_") if label.startswith(b"_") else b"_" + label
        return tuple(label for label in labels if label)

    def _lengthen(self, labels: list[bytes]) -> Labels:
        """Make a name as long as names may be."""
        room = MAX_NAME - 1 - sum(len(label) + 1 for label in labels)
        while room > 1:
            length = min(MAX_LABEL, room - 1)
            labels.insert(0, b"x" * length)
            room -= length + 1
        return tuple(labels)

    def _word(self) -> bytes:
        word = self._pick(
            (
                self._pick(self._words.services)[1].encode(),
                self._pick(self._words.namespaces).encode(),
                self._pick(self._words.endpoints)[2].encode(),
                self._pick(self._words.ports)[2].encode(),
                self._pick(WORDS),
                self._pick(ODD),
            )
        )
        return (word or b"x")[:MAX_LABEL]

    def _shouted(self, labels: Labels) -> Labels:
        """Write some letters in capitals."""
        share = 1.0 if self._chance(0.3) else 0.5

        def shout(octet: int) -> int:
            letter = octet < ASCII and self._chance(share)
            return ord(chr(octet).upper()) if letter else octet

        return tuple(bytes(map(shout, label)) for label in labels)

    # -- questions ----------------------------------------------------------------------------

    def _question(self) -> Question:
        reverse = self._chance(0.14)
        form = self._reversed if reverse else self._form()
        labels = form()
        if self._chance(0.3):
            labels = self._changed(labels)
        if self._chance(0.03):
            labels = self._changed(labels)
        if self._chance(0.15):
            labels = self._shouted(labels)
        labels = _short_enough(tuple(label[:MAX_LABEL] for label in labels if label))
        return self._ask(labels, PTR if reverse and self._chance(0.6) else self._type(labels))

    def _ask(self, labels: Labels, rtype: int) -> Question:
        zone_transfer = rtype in (AXFR, IXFR)
        return Question(
            labels,
            rtype,
            self._pick((CH, ANY_CLASS, HS)) if self._chance(0.01) else IN,
            self._flags(),
            self._edns() if self._chance(0.6) else None,
            tcp=not zone_transfer and self._chance(0.08),
        )

    def _form(self) -> Callable[[], Labels]:
        return self._random.choices(list(self._forms), list(self._forms.values()))[0]

    def _type(self, labels: Labels) -> int:
        if labels and labels[0].startswith(b"_") and self._chance(0.5):
            return SRV
        return self._random.choices(TYPE_NUMBERS, TYPE_WEIGHTS)[0]

    def _flags(self) -> int:
        flags = RD if self._chance(0.85) else 0
        flags |= CD if self._chance(0.05) else 0
        return flags | (AD if self._chance(0.1) else 0)

    def _edns(self) -> Edns:
        options = tuple(option for option in OPTIONS if self._chance(0.05))
        size = self._pick((1232, 4096, *SIZES))
        version = 1 if self._chance(0.01) else 0
        return Edns(size, self._chance(0.2), version, options)

    def _letter(self) -> str:
        return self._pick(string.ascii_lowercase + string.digits + "-")

    def _at(self, labels: Sequence[bytes]) -> int:
        # What stands to the left is where servers disagree.
        return min(self._random.randrange(len(labels)), self._random.randrange(len(labels)))

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _pick(self, choices: Sequence[T]) -> T:
        return self._random.choice(choices)


def _plain(name: str, rtype: str, rclass: str = "IN", size: str = "65535") -> Question:
    """Ask without ornament."""
    number, among = int(dns.rdatatype.from_text(rtype)), int(dns.rdataclass.from_text(rclass))
    return Question(_labels(name), number, among, edns=Edns(int(size)))


def _words(text: str) -> list[list[str]]:
    """Return the words of each line."""
    return [line.split() for line in text.split("\n") if line]


def _labels(name: str) -> Labels:
    """Split a name; the root is no label."""
    return tuple(label.encode() for label in name.split(".") if label)


def _short_enough(labels: Labels) -> Labels:
    """Leave labels off from the left until the name is one."""
    while sum(len(label) + 1 for label in labels) >= MAX_NAME:
        labels = labels[1:]
    return labels
