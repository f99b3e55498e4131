"""Builds the Go programs that tests and benchmarks start, once for each version of their module.

Knows Go and the cache. Does not know what the programs do. Needs nothing but the standard library.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Two compilers at once: each may take 2 GB, and the machine may be shared.
BUILD = ("go", "build", "-p", "2", "-v", "-trimpath", "-buildvcs=false", "-mod=readonly")
REPORT_EVERY = 30.0
ERROR_LINES = 30


class NotBuilt(Exception):
    """There are no programs to start; the text says why and what would change that."""


@dataclass(frozen=True)
class Module:
    """A Go module of ours whose ``cmd/NAME`` are programs, pinned by its go.mod and go.sum.

    Programs that only know their version when the linker tells them get that of the module
    ``versioned_by``, as the variables of ``version_packages``.
    """

    name: str
    folder: Path
    programs: tuple[str, ...]
    minutes: int
    versioned_by: str = ""
    version_packages: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What a person types to build it."""
        return f"python -m tests.{self.name}.build"

    def find(self) -> Path:
        """Return the folder of the programs, or raise ``NotBuilt``; never builds."""
        lacking = missing(self.cache(), self.programs)
        if not lacking:
            return self.cache()
        self._need_go()
        hint = f"`{self.command}` does it in about {self.minutes} minutes"
        raise NotBuilt(f"{', '.join(lacking)} not built yet: {hint}")

    def build(self) -> Path:
        """Build what the cache lacks and return the folder of the programs."""
        folder = self.cache()
        if not missing(folder, self.programs):
            return folder
        self._need_go()
        folder.mkdir(parents=True, exist_ok=True)
        with self._locked(folder / "lock"):
            # Whoever held the lock before us may have built everything.
            if lacking := missing(folder, self.programs):
                self._compile_into(folder, lacking)
        return folder

    def cache(self) -> Path:
        """Where the programs of this very module are kept, outside the tree."""
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return root / "kdns" / self.name / self._fingerprint()

    def _fingerprint(self) -> str:
        """Name everything that decides what the programs are."""
        how = (BUILD, self.version_packages, platform.machine())
        digest = hashlib.sha256(repr(how).encode())
        mains = sorted(self.folder.glob("cmd/*/main.go"))
        for path in (self.folder / "go.mod", self.folder / "go.sum", *mains):
            digest.update(path.read_bytes())
        return digest.hexdigest()[:16]

    def _need_go(self) -> None:
        if not shutil.which("go"):
            raise NotBuilt(f"{self.name} is built with Go, and there is no `go` on PATH")

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        """Hold the file's lock, so that two runs do not both compile for minutes."""
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say("another run is building; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _compile_into(self, folder: Path, names: tuple[str, ...]) -> None:
        """Compile aside and move each program into place whole, so that none is ever half there."""
        aside = folder / "partial"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        self._say(f"building {', '.join(names)} in {folder}")
        sources = [f"./cmd/{name}" for name in names]
        self._run_go([*BUILD, "-ldflags", self._link_flags(), "-o", f"{aside}/", *sources])
        for name in names:
            (aside / name).replace(folder / name)
        aside.rmdir()

    def _link_flags(self) -> str:
        """Strip the programs, and give them their version where they ask for it."""
        return " ".join(("-s", "-w", *self._version_flags()))

    def _version_flags(self) -> Iterator[str]:
        if not self.versioned_by:
            return
        text = (self.folder / "go.mod").read_text()
        pinned = rf"^\s+{re.escape(self.versioned_by)} (v(\d+)\.(\d+)\S*)$"
        found = re.search(pinned, text, re.MULTILINE)
        if not found:
            raise NotBuilt(f"{self.folder / 'go.mod'} names no version of {self.versioned_by}")
        values = zip(("gitVersion", "gitMajor", "gitMinor"), found.groups(), strict=True)
        for variable, value in values:
            yield from (f"-X {package}.{variable}={value}" for package in self.version_packages)

    def _run_go(self, command: list[str]) -> None:
        """Run one build, saying now and then how far it is; raise its last words when it fails."""
        # CGO would tie the programs to this machine's C library; a go.work above would replace
        # go.mod.
        environment = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
        started = time.monotonic()
        last: deque[str] = deque(maxlen=ERROR_LINES)
        with subprocess.Popen(
            command, cwd=self.folder, env=environment, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr
            self._follow(process.stderr, last, started)
        if process.returncode:
            raise NotBuilt(f"go build ended with status {process.returncode}:\n{''.join(last)}")
        self._say(f"built in {time.monotonic() - started:.0f} s")

    def _follow(self, lines: Iterator[str], last: deque[str], started: float) -> None:
        """Count the packages that Go names as it compiles them."""
        due = started
        for count, line in enumerate(lines, 1):
            last.append(line)
            if (now := time.monotonic()) >= due:
                self._say(f"{count} packages after {now - started:.0f} s, now {line.strip()}")
                due = now + REPORT_EVERY

    def _say(self, text: str) -> None:
        say(f"{self.name}: {text}")


def missing(folder: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the names that are no programs in the folder."""
    return tuple(name for name in names if not os.access(folder / name, os.X_OK))


def say(text: str) -> None:
    """Report progress where it does not mix with the result."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main(build: Callable[[], Path]) -> int:
    """Build and print the folder; return the exit status."""
    try:
        sys.stdout.write(f"{build()}\n")
    except NotBuilt as reason:
        say(str(reason))
        return 1
    return 0
