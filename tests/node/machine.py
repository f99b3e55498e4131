"""Make the namespaces that this process is in look like a machine of its own.

Knows mounts and devices. Does not know Kubernetes, but for where its programs write.
"""

import socket
import subprocess
from pathlib import Path

NAME = "node-1"
ADDRESS = "192.0.2.10"
RESOLVER = "192.0.2.53"
"""Where the resolver listens that the node is told of: on the node, since nothing is outside."""
LINK_LOCAL = "kdns"
"""The device that the overlay *node-local* gives its address to."""

# Folders that the programs of a node write to, and whose content on this machine is none of theirs.
PRIVATE = ("/run", "/var/log", "/var/lib", "/etc/cni")
# Those of them that need a disk: images, and what kubelet measures.
ON_DISK = ("/var/lib/kubelet", "/var/lib/containerd")

# What kubelet wants of the kernel as a whole. It sees these files in their place, since the
# settings are not ours to change.
TUNABLES = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
# These belong to the network namespace: a bridge's traffic passes iptables, and is forwarded.
FORWARDING = {
    "net/bridge/bridge-nf-call-iptables": 1,
    "net/bridge/bridge-nf-call-ip6tables": 1,
    "net/ipv4/ip_forward": 1,
    "net/ipv6/conf/all/forwarding": 1,
}


def prepare(folder: Path) -> None:
    """Mount, name and connect everything; the folder is on a disk."""
    socket.sethostname(NAME)
    _mount_system()
    _mount_private(folder)
    _pretend_tunables(folder)
    _connect()
    for name, value in FORWARDING.items():
        (Path("/proc/sys") / name).write_text(str(value))
    _resolve_by(folder / "resolv.conf")


def _mount_system() -> None:
    """Show the own devices and the own control groups only."""
    controllers = [
        line.split(":")[1] for line in Path("/proc/self/cgroup").read_text().splitlines()
    ]
    _run("mount", "-t", "sysfs", "sysfs", "/sys")
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/sys/fs/cgroup")
    for name in filter(None, controllers):
        place = Path("/sys/fs/cgroup") / name.removeprefix("name=")
        place.mkdir()
        options = f"none,{name}" if name.startswith("name=") else name
        _run("mount", "-t", "cgroup", "-o", options, "cgroup", str(place))


def _mount_private(folder: Path) -> None:
    for name in PRIVATE:
        if Path(name).exists():
            _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", name)
    for name in ON_DISK:
        (source := folder / Path(name).name).mkdir()
        Path(name).mkdir()
        _run("mount", "--bind", str(source), name)


def _pretend_tunables(folder: Path) -> None:
    (pretended := folder / "tunables").mkdir()
    for name, value in TUNABLES.items():
        file = pretended / Path(name).name
        file.write_text(f"{value}\n")
        _run("mount", "--bind", str(file), f"/proc/sys/{name}")


def _connect() -> None:
    """Make a network card whose other end leads nowhere."""
    for words in (
        "link set lo up",
        "link add eth0 type veth peer name nowhere",
        "link set nowhere up",
        f"addr add {ADDRESS}/24 dev eth0",
        f"addr add {RESOLVER}/32 dev eth0",
        "link set eth0 up",
        # For what is sent to a Service: its address is changed only after there is a route.
        "route add default via 192.0.2.1",
        # The overlay makes a device of type `dummy`, unless there is one of this name; some
        # kernels for virtual machines have no such type.
        f"link add {LINK_LOCAL} type bridge",
    ):
        _run("ip", *words.split())


def _resolve_by(file: Path) -> None:
    file.write_text(f"nameserver {RESOLVER}\n")
    _run("mount", "--bind", str(file), "/etc/resolv.conf")


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
