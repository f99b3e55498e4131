"""A steady stream of queries to one server, and how long each answer took.

    python -m bench.stream PORT RATE NAME...

Runs until its standard input closes, then prints a line ``sent seconds`` for each query: when it
was sent, by the monotonic clock, and how long its answer took, ``inf`` without one. A process of
its own, of real-time priority where that is allowed: its own lateness must not look like the
server's.
"""

import math
import os
import select
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.probe import Question

LINGER = 2.0  # for the last answers
PRIORITY = 10
ROOT = Path(__file__).parent.parent


@dataclass
class Latencies:
    """What one stream saw."""

    samples: list[tuple[float, float]] = field(default_factory=list)

    def since(self, start: float, end: float = math.inf) -> list[float]:
        """Return the milliseconds of the queries sent in that time, sorted."""
        return sorted(took * 1000 for sent, took in self.samples if start <= sent < end)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value below which that share of the sorted values is."""
    return values[min(len(values) - 1, len(values) * percent // 100)] if values else math.nan


def median(values: Sequence[float]) -> float:
    """Return the median, not-a-number of nothing."""
    return statistics.median(values) if values else math.nan


@contextmanager
def streaming(
    port: int, rate: int, names: Sequence[str], core: int | None = None
) -> Iterator[Latencies]:
    """Ask steadily while the block runs; the latencies are there after it."""
    found = Latencies()
    pin = [] if core is None else ["taskset", "-c", str(core)]
    command = [*pin, sys.executable, "-m", "bench.stream", str(port), str(rate), *names]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield found
        output, _ = process.communicate()
    for line in output.splitlines():
        sent, took = line.split()
        found.samples.append((float(sent), float(took)))


def main(port: int, rate: int, names: Sequence[str]) -> None:
    """Send on schedule whatever the answers do."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    queries = [Question(name, "").query()[2:] for name in names]
    sent: list[float] = []
    took: dict[int, float] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setblocking(False)
        server.connect(("127.0.0.1", port))
        due = time.monotonic()
        end = math.inf
        while (now := time.monotonic()) < end:
            if now >= due and end == math.inf:
                head = struct.pack("!H", len(sent) % 65_536)
                sent.append(time.monotonic())
                with suppress(OSError):
                    server.send(head + queries[len(sent) % len(queries)])
                due += 1 / rate
                continue
            watched = [server, sys.stdin] if end == math.inf else [server]
            ready, _, _ = select.select(watched, [], [], min(end, max(due, now + 1e-5)) - now)
            if server in ready:
                receive(server, sent, took)
            if sys.stdin in ready:
                end, due = time.monotonic() + LINGER, math.inf
    for number, at in enumerate(sent):
        print(at, took.get(number, math.inf))


def receive(server: socket.socket, sent: list[float], took: dict[int, float]) -> None:
    """Take in one answer; ids come round again after two minutes of 500 queries a second."""
    with suppress(OSError):
        low = int.from_bytes(server.recv(65_535)[:2], "big")
        number = low + (len(sent) - 1 - low) // 65_536 * 65_536
        took[number] = time.monotonic() - sent[number]


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
