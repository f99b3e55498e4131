"""One run of dnsperf against one server. Knows dnsperf's output, no names."""

import re
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.contestants import HOST, Running, tool
from bench.probe import exchange

CORE = 1
"""Of the load; the server has core 0."""
TC = 0x0200
_NUMBER = r"[\d.]+"
_RCODE = re.compile(r"([A-Z0-9]+) (\d+) \(")


@dataclass(frozen=True)
class Way:
    """How the questions are asked."""

    seconds: float
    once: bool = False
    """Stop at the end of the questions."""
    edns: bool = False
    tcp: bool = False
    rate: int = 0
    """Queries a second; 0 is as many as are answered."""
    clients: int = 1
    outstanding: int = 100

    def options(self) -> list[str]:
        """Return dnsperf's options."""
        found = ["-l", f"{self.seconds:g}", "-c", str(self.clients), "-q", str(self.outstanding)]
        found += ["-n", "1"] if self.once else []
        found += ["-e"] if self.edns else []
        found += ["-m", "tcp"] if self.tcp else []
        found += ["-Q", str(self.rate)] if self.rate else []
        return found


@dataclass(frozen=True)
class Load:
    """What one run came to."""

    cpu: float
    """Seconds that the server used."""
    seconds: float
    answered: int
    lost: int
    octets: float
    """Of a reply, on average."""
    rcodes: dict[str, float] = field(default_factory=dict)
    """Their shares."""

    @property
    def cost(self) -> float:
        """Return microseconds of CPU for one answered query."""
        return self.cpu / self.answered * 1e6 if self.answered else float("inf")

    @property
    def rate(self) -> float:
        """Return answers a second."""
        return self.answered / self.seconds


def load(server: Running, questions: Path, way: Way) -> Load:
    """Ask, and return what it took."""
    before = server.cpu()
    with started(server, questions, way) as process:
        output, _ = process.communicate()
    return read(output, server.cpu() - before)


def started(
    server: Running, questions: Path, way: Way, core: int | None = CORE
) -> "subprocess.Popen[str]":
    """Start dnsperf on its core."""
    pin = [] if core is None else ["taskset", "-c", str(core)]
    command = [*pin, tool("dnsperf"), "-s", HOST, "-p", str(server.port), "-d", str(questions)]
    # What is lost is lost: there is no waiting for it but at the end of a run.
    command += ["-t", "1", "-W", *way.options()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def read(output: str, cpu: float) -> Load:
    """Read dnsperf's report."""
    shares = _RCODE.findall(_found(r"Response codes:(.*)", output))
    total = sum(int(times) for _, times in shares) or 1
    return Load(
        cpu,
        float(_found(rf"Run time \(s\):\s+({_NUMBER})", output)),
        int(_found(r"Queries completed:\s+(\d+)", output)),
        int(_found(r"Queries lost:\s+(\d+)", output)),
        float(_found(rf"response ({_NUMBER})", output)),
        {rcode: int(times) / total for rcode, times in shares},
    )


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"dnsperf did not print {pattern}:\n{text}")
    return found[1]


def kind(server: Running, line: str, *, edns: bool) -> tuple[int, bool, bool]:
    """Ask one question; return rcode, whether it was cut, and whether it has an answer.

    What was cut is to be asked for again over TCP: how much of it is left does not matter.
    """
    name, rtype = line.split()
    reply = exchange(server.port, name, rtype, edns=edns)
    _, flags, _, answers = struct.unpack_from("!4H", reply)
    return flags & 0xF, bool(flags & TC), bool(answers or flags & TC)


def write(path: Path, lines: Sequence[str]) -> Path:
    """Write questions to a file for dnsperf."""
    path.write_text("\n".join(lines) + "\n")
    return path
