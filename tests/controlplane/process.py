"""Server processes that never outlive the tests that started them.

Knows processes and their logs. Does not know Kubernetes.
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Self

from tests.controlplane.client import eventually

LOG_TAIL = 4000

# Ends what is still running when this process goes away without a word, as on `kill -9` or when a
# timeout ends pytest. PR_SET_PDEATHSIG would do it too, but it fires when the starting *thread*
# ends.
GUARD = """
import os, signal, sys
running = set()
for line in sys.stdin:
    word, pid = line.split()
    (running.add if word == "start" else running.discard)(int(pid))
for pid in running:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


class Failed(Exception):
    """A server did not come up; the text ends with the last lines of its log."""


class Guard:
    """A helper process that knows what runs, and kills it once its standard input closes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", GUARD],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def tell(self, word: str, pid: int) -> None:
        """Say that a process has started or ended."""
        assert self._process.stdin
        with self._lock, suppress(BrokenPipeError):
            self._process.stdin.write(f"{word} {pid}\n")
            self._process.stdin.flush()

    def close(self) -> None:
        """Let it kill what it still knows of, and end."""
        self._process.communicate()


class Server:
    """One program with a log, started and killed any number of times."""

    def __init__(self, guard: Guard, log: Path) -> None:
        self.log = log
        self._guard = guard
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """The program's name, which is the log's."""
        return self.log.stem

    @property
    def pid(self) -> int:
        """The process's id, 0 when it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else 0

    def start(self, command: Sequence[str | Path]) -> Self:
        """Start the program; what it prints is added to the log."""
        assert not self.pid, f"{self.name} runs already"
        with self.log.open("ab") as log:
            # In a session of its own: Ctrl-C is for pytest, which then stops us in order.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._guard.tell("start", self._process.pid)
        return self

    def wait(self, ready: Callable[[], object], *, seconds: float) -> None:
        """Return once it is ready; raise ``Failed`` when it ends before, or takes too long."""
        try:
            eventually(lambda: not self.pid or ready(), seconds=seconds)
        except TimeoutError:
            raise Failed(self._sad_story(f"not ready after {seconds:g} s")) from None
        if self._process and not self.pid:
            raise Failed(self._sad_story(f"ended with status {self._process.returncode}"))

    def kill(self) -> None:
        """End it at once and for certain; nothing happens when it does not run."""
        if not self._process:
            return
        # Not SIGTERM: with open watches the API server stays for another 60 seconds.
        self._process.kill()
        self._process.wait()
        self._guard.tell("end", self._process.pid)
        self._process = None

    def _sad_story(self, what: str) -> str:
        tail = self.log.read_bytes()[-LOG_TAIL:].decode(errors="replace")
        return f"{self.name} {what}; {self.log.name} ends:\n{tail}"
