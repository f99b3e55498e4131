"""Builds the control plane that the tests start, once for each version of the module beside it.

``python tests/controlplane/build.py`` builds what is missing and prints the folder. Knows Go and
the cache. Does not know how the programs are run. Needs nothing but the standard library.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODULE = Path(__file__).parent
SERVERS = ("etcd", "kube-apiserver")
PROGRAMS = (*SERVERS, "kube-controller-manager")
COMMAND = "python tests/controlplane/build.py"

# Two compilers at once: each may take 2 GB, and the machine may be shared.
BUILD = ("go", "build", "-p", "2", "-v", "-trimpath", "-buildvcs=false", "-mod=readonly")
VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
REPORT_EVERY = 30.0
ERROR_LINES = 30


class NotBuilt(Exception):
    """There is no control plane to start; the text says why and what would change that."""


def programs() -> Path:
    """Return the folder of the programs, or raise ``NotBuilt``; never builds."""
    given = os.environ.get("KUBEBUILDER_ASSETS")
    folder, wanted = (Path(given), SERVERS) if given else (cache(), PROGRAMS)
    if not (lacking := missing(folder, wanted)):
        return folder
    if given:
        raise NotBuilt(f"KUBEBUILDER_ASSETS={given} has no {', '.join(lacking)}")
    need_go()
    raise NotBuilt(f"{', '.join(lacking)} not built yet: `{COMMAND}` does it in about ten minutes")


def build() -> Path:
    """Build what the cache lacks and return the folder of the programs."""
    if os.environ.get("KUBEBUILDER_ASSETS") or not missing(cache(), PROGRAMS):
        return programs()
    need_go()
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock"):
        # Whoever held the lock before us may have built everything.
        if lacking := missing(folder, PROGRAMS):
            compile_into(folder, lacking)
    return folder


def cache() -> Path:
    """Where the programs of this very module are kept, outside the tree."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "kdns" / "controlplane" / fingerprint()


def fingerprint() -> str:
    """Name everything that decides what the programs are."""
    digest = hashlib.sha256(repr((BUILD, VERSION_PACKAGES, platform.machine())).encode())
    for path in (MODULE / "go.mod", MODULE / "go.sum", *sorted(MODULE.glob("cmd/*/main.go"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def missing(folder: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the names that are no programs in the folder."""
    return tuple(name for name in names if not os.access(folder / name, os.X_OK))


def need_go() -> None:
    """Raise ``NotBuilt`` when Go is not installed."""
    if not shutil.which("go"):
        raise NotBuilt("the real control plane is built with Go, and there is no `go` on PATH")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the file's lock, so that two runs do not both compile for ten minutes."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run is building; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def compile_into(folder: Path, names: tuple[str, ...]) -> None:
    """Compile aside and move each program into place whole, so that none is ever half there."""
    aside = folder / "partial"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    say(f"building {', '.join(names)} in {folder}")
    run_go([*BUILD, "-ldflags", link_flags(), "-o", f"{aside}/", *(f"./cmd/{n}" for n in names)])
    for name in names:
        (aside / name).replace(folder / name)
    aside.rmdir()


def link_flags() -> str:
    """Strip the programs and give them their version: without it the server says v0.0.0."""
    found = re.search(r"^\s+k8s\.io/kubernetes (v(\d+)\.(\d+)\S*)$", go_mod(), re.MULTILINE)
    if not found:
        raise NotBuilt("tests/controlplane/go.mod names no version of k8s.io/kubernetes")
    version, major, minor = found.groups()
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    stamps = (f"-X {p}.{name}={text}" for p in VERSION_PACKAGES for name, text in values.items())
    return " ".join(("-s", "-w", *stamps))


def go_mod() -> str:
    """Return the text of the module's go.mod."""
    return (MODULE / "go.mod").read_text()


def run_go(command: list[str]) -> None:
    """Run one build, saying now and then how far it is; raise its last words when it fails."""
    # CGO would tie the programs to this machine's C library; a go.work above would replace go.mod.
    environment = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
    started = time.monotonic()
    last: deque[str] = deque(maxlen=ERROR_LINES)
    with subprocess.Popen(
        command, cwd=MODULE, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        follow(process.stderr, last, started)
    if process.returncode:
        raise NotBuilt(f"go build ended with status {process.returncode}:\n{''.join(last)}")
    say(f"built in {time.monotonic() - started:.0f} s")


def follow(lines: Iterator[str], last: deque[str], started: float) -> None:
    """Count the packages that Go names as it compiles them."""
    due = started
    for count, line in enumerate(lines, 1):
        last.append(line)
        if (now := time.monotonic()) >= due:
            say(f"{count} packages after {now - started:.0f} s, now {line.strip()}")
            due = now + REPORT_EVERY


def say(text: str) -> None:
    """Report progress where it does not mix with the result."""
    sys.stderr.write(f"controlplane: {text}\n")
    sys.stderr.flush()


def main() -> int:
    """Build and print the folder."""
    try:
        sys.stdout.write(f"{build()}\n")
    except NotBuilt as reason:
        say(str(reason))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
