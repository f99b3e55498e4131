"""Run the image's files with runc, under the security context of a manifest.

What containerd makes of such a context for a user other than root: the capabilities are bounding,
permitted and effective, none is inheritable or ambient. Knows no DNS.
"""

import json
import os
import platform
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.controlplane.client import eventually

SECCOMP = Path("/usr/share/containers/seccomp.json")
"""The default profile of Debian's golang-github-containers-common."""
USER = 65532
PORT_53 = "CAP_NET_BIND_SERVICE"
_Json = dict[str, Any]


class Container:
    """A container that runs, and what it printed."""

    def __init__(self, name: str, folder: Path) -> None:
        self._state = ("runc", "--root", str(folder / "runc"))
        self._name = name
        self.output: list[str] = []
        command = [*self._state, "run", "--bundle", str(folder), name]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, text: str) -> None:
        """Wait until something with this text was printed, or the process ended."""
        eventually(lambda: self._said(text) or self._process.poll() is not None)
        assert self._said(text), self.output

    def wait(self) -> int:
        """Wait for the end and return the exit status."""
        status = self._process.wait(20)
        self._reader.join(20)
        return status

    def dig(self, *words: str) -> str:
        """Ask from inside the container's network."""
        return self._enter("dig", "@127.0.0.1", "+time=2", "+tries=3", *words)

    def get(self, port: int, path: str) -> str:
        """Get a page from inside the container's network."""
        return self._enter("curl", "--silent", f"http://127.0.0.1:{port}{path}")

    def status(self) -> dict[str, str]:
        """Return what /proc says about the first process (proc_pid_status(5))."""
        lines = Path(f"/proc/{self._pid()}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def stop(self) -> int:
        """End it as a kubelet does."""
        subprocess.run([*self._state, "kill", self._name, "TERM"], check=True)
        return self.wait()

    def close(self) -> None:
        """Remove what is left of it."""
        done = [*self._state, "delete", "--force", self._name]
        subprocess.run(done, capture_output=True, check=False)
        self.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _said(self, text: str) -> bool:
        return any(text in line for line in self.output)

    def _pid(self) -> int:
        command = [*self._state, "state", self._name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(json.loads(done.stdout)["pid"])

    def _enter(self, *command: str) -> str:
        words = ["nsenter", "--target", str(self._pid()), "--net", *command]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.output.extend(line.decode().rstrip() for line in self._process.stdout)


@contextmanager
def running(  # noqa: PLR0913 - what a manifest may say about a container
    rootfs: Path,
    folder: Path,
    args: Sequence[str],
    mounts: Mapping[str, Path],
    *,
    command: str = "",
    capabilities: Sequence[str] = (PORT_53,),
    volumes: Mapping[str, Path] | None = None,
    network: str = "",
) -> Iterator[Container]:
    """Run the image's entrypoint, or a command, with arguments while the block runs.

    Its root and its mounts are read-only, its volumes are not, and it gains no privilege. Its
    network has only loopback, unless it is to be that of a path as in ``network_namespaces(7)``.
    """
    image = json.loads(rootfs.with_suffix(".json").read_text())["Docker"]["config"]
    entrypoint = [command] if command else image["Entrypoint"]
    config = _config(rootfs, [*entrypoint, *args], image, capabilities)
    config["mounts"] += [_bind(inside, outside) for inside, outside in mounts.items()]
    config["mounts"] += [_bind(inside, path, "rw") for inside, path in (volumes or {}).items()]
    namespace = {"type": "network"} | ({"path": network} if network else {})
    config["linux"]["namespaces"].append(namespace)
    (folder / "config.json").write_text(json.dumps(config))
    container = Container(f"kdns-{os.getpid()}-{folder.name}", folder)
    try:
        yield container
    finally:
        container.close()


def lacking() -> str:
    """Say what is missing to run a container; empty when nothing is."""
    tools = [tool for tool in ("runc", "nsenter", "dig", "curl") if not shutil.which(tool)]
    if tools:
        return f"not on PATH: {', '.join(tools)}"
    if not SECCOMP.exists():
        return f"there is no {SECCOMP}"
    return "runc needs root here" if os.geteuid() else ""


def _config(rootfs: Path, args: Sequence[str], image: _Json, capabilities: Sequence[str]) -> _Json:
    granted = list(capabilities)
    sets = dict.fromkeys(("bounding", "effective", "permitted"), granted)
    user, group = map(int, image["User"].split(":"))
    namespaces = [{"type": name} for name in ("pid", "ipc", "uts", "mount")]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": user, "gid": group},
            "args": list(args),
            "env": image["Env"],
            "cwd": image["WorkingDir"],
            "capabilities": {**sets, "inheritable": [], "ambient": []},
            "noNewPrivileges": True,
        },
        "root": {"path": str(rootfs), "readonly": True},
        "mounts": _usual_mounts(),
        "linux": {"namespaces": namespaces, "seccomp": _seccomp(granted)},
    }


def _usual_mounts() -> list[_Json]:
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"]},
    ]


def _bind(inside: str, outside: Path, mode: str = "ro") -> _Json:
    options = ["rbind", mode]
    return {"destination": inside, "type": "bind", "source": str(outside), "options": options}


def _seccomp(capabilities: Sequence[str]) -> _Json:
    """Resolve the default profile's conditions for this machine and these capabilities."""
    profile = json.loads(SECCOMP.read_text())
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")
    native = {"amd64": "SCMP_ARCH_X86_64", "arm64": "SCMP_ARCH_AARCH64"}[machine]
    [known] = [one for one in profile["archMap"] if one["architecture"] == native]
    rules = [
        {name: rule[name] for name in ("names", "action", "args", "errnoRet") if rule.get(name)}
        for rule in profile["syscalls"]
        if _holds(rule, machine, set(capabilities))
    ]
    return {
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile.get("defaultErrnoRet", 1),
        "architectures": [native, *known["subArchitectures"]],
        "syscalls": rules,
    }


def _holds(rule: _Json, machine: str, capabilities: set[str]) -> bool:
    only, never = rule.get("includes") or {}, rule.get("excludes") or {}
    if only.get("arches") and machine not in only["arches"]:
        return False
    if machine in never.get("arches", ()) or capabilities & set(never.get("caps", ())):
        return False
    return set(only.get("caps", ())) <= capabilities
