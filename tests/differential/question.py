"""One question: what is asked, how, and its octets. Knows no objects."""

import struct
from dataclasses import dataclass

import dns.name
import dns.rdataclass
import dns.rdatatype

Labels = tuple[bytes, ...]

RD, CD, AD = 0x0100, 0x0010, 0x0020
DO = 0x8000
IN = 1
OPT = 41


@dataclass(frozen=True)
class Edns:
    """The OPT record of a question."""

    size: int
    do: bool = False
    version: int = 0
    options: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True)
class Question:
    """Everything that is asked, and how."""

    labels: Labels
    rtype: int
    rclass: int = IN
    flags: int = RD
    edns: Edns | None = None
    tcp: bool = False

    @property
    def name(self) -> str:
        """The name as in a zone file, case and all."""
        return dns.name.Name((*self.labels, b"")).to_text()

    @property
    def below(self) -> str:
        """The name in lower case."""
        return self.name.lower()

    @property
    def type(self) -> str:
        """The type's name."""
        return dns.rdatatype.to_text(dns.rdatatype.RdataType.make(self.rtype))

    def wire(self, number: int) -> bytes:
        """Write the message with an id."""
        counts = (1, 0, 0, 1 if self.edns else 0)
        header = struct.pack("!6H", number, self.flags, *counts)
        name = b"".join(bytes((len(label),)) + label for label in self.labels) + b"\0"
        return header + name + struct.pack("!HH", self.rtype, self.rclass) + self._opt()

    def _opt(self) -> bytes:
        if self.edns is None:
            return b""
        data = b"".join(
            struct.pack("!HH", code, len(text)) + text for code, text in self.edns.options
        )
        ttl = self.edns.version << 16 | (DO if self.edns.do else 0)
        return b"\0" + struct.pack("!HHIH", OPT, self.edns.size, ttl, len(data)) + data

    def __str__(self) -> str:
        """Write it about as dig is called."""
        parts = [self.name, self.type]
        if self.rclass != IN:
            parts.append(dns.rdataclass.to_text(dns.rdataclass.RdataClass.make(self.rclass)))
        parts += [f"+{word}" for bit, word in ((CD, "cd"), (AD, "ad")) if self.flags & bit]
        parts += [] if self.flags & RD else ["+nord"]
        parts += ["+tcp"] if self.tcp else []
        if self.edns is not None:
            parts.append(f"+bufsize={self.edns.size}" + (" +do" if self.edns.do else ""))
            parts += [f"+edns={self.edns.version}"] if self.edns.version else []
            parts += [f"+ednsopt={code}:{text.hex()}" for code, text in self.edns.options]
        return " ".join(parts)
