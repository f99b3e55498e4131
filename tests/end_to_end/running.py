"""Start the real program and talk to it as its users do."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.query
import pytest

from tests.patience import PATIENCE

ROOT = Path(__file__).parents[2]
POLL_SECONDS = 0.02
LISTENING = r"listening on \S+:(\d+)"
"""What is printed at the start without a Corefile."""


class Kdns:
    """A running kdns, its port and what it printed."""

    def __init__(
        self,
        *arguments: str,
        stdin: str | None = None,
        started: str = LISTENING,
        port: int | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Start it and wait for a line, which has the port unless that is given."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kdns", *arguments],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if stdin is not None and self.process.stdin is not None:
            self.process.stdin.write(stdin)
            self.process.stdin.close()
        self.output: list[str] = []
        self._grown = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.host = "127.0.0.1"
        try:
            shown = self.wait_for(started)
            self.port = int(shown[1]) if port is None else port
        except BaseException:
            self.stop(signal.SIGKILL)
            raise

    def wait_for(self, pattern: str, times: int = 1) -> re.Match[str]:
        """Wait until so many printed lines match; returns the last of these."""

        def seen() -> bool:
            return len(self.printed(pattern)) >= times or not self._reader.is_alive()

        with self._grown:
            self._grown.wait_for(seen, PATIENCE)
        found = self.printed(pattern)
        assert len(found) >= times, f"never printed {pattern!r}: {self.output}"
        return found[times - 1]

    def printed(self, pattern: str) -> list[re.Match[str]]:
        """Return what matches of what was printed until now."""
        return [found for line in self.output if (found := re.search(pattern, line))]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._reader.join(PATIENCE)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status

    def ask(self, question: str) -> dns.message.Message:
        """Ask ``name type`` over UDP, with EDNS."""
        name, rtype = question.split()
        query = dns.message.make_query(name, rtype, use_edns=0, payload=4096)
        return dns.query.udp(query, self.host, port=self.port, timeout=PATIENCE)

    def comes_to(
        self,
        question: str,
        right: Callable[[dns.message.Message], bool],
        seconds: float = PATIENCE,
    ) -> float:
        """Ask until the answer is right; returns how long that took."""
        began = time.monotonic()
        while not right(answer := self.ask(question)):
            assert time.monotonic() - began < seconds, f"{question} stays {answer}\n{self.output}"
            # Asking without a pause would starve the fake API server, which is in this process.
            threading.Event().wait(POLL_SECONDS)
        return time.monotonic() - began

    def dig(self, *arguments: str, tool: str = "dig", server: str = "127.0.0.1") -> str:
        """Run dig or kdig against the server and return what it prints."""
        command = [need(tool), "-p", str(self.port), f"@{server}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._grown:
                self.output.append(line.rstrip())
                self._grown.notify_all()
        with self._grown:
            self._grown.notify_all()


@contextmanager
def kdns(*arguments: str, stdin: str | None = None) -> Iterator[Kdns]:
    """Run kdns on a free port for as long as a block runs."""
    server = Kdns(*arguments, "-dns.port", "0", stdin=stdin)
    try:
        yield server
    finally:
        server.stop()


def need(tool: str) -> str:
    """Find a program, or skip the test with the reason; in CI a missing one is a failure."""
    found = shutil.which(tool)
    if found is not None:
        return found
    reason = f"{tool} is not installed: run .ci/tools"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
