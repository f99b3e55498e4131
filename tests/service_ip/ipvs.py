"""These tests with kube-proxy in IPVS mode, in a virtual machine with Debian's kernel.

``python -m tests.service_ip.ipvs`` downloads the kernel, boots it in an emulated processor with
this machine's files as its own, read-only below a layer in memory, runs the tests and prints what
they print. It needs Debian, root, the package qemu-system-x86, what the tests need, and 5 GB of
memory; nothing is installed, and what it makes in a temporary folder is removed. Words after the
command are pytest's. Knows packages and the machine; the tests know kube-proxy.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.gobuild import NotBuilt

ROOT = Path(__file__).parents[2]
TOOLS = ("apt-cache", "apt-get", "dpkg-deb", "qemu-system-x86_64")
KERNEL = "linux-image-amd64"
LIBRARIES = ("libkmod2", "libipset13", "libnl-3-200", "libnl-genl-3-200", "libpopt0")
PACKAGES = ("busybox-static", "kmod", "ipset", "ipvsadm", *LIBRARIES)
BOOT_MODULES = ("9p", "9pnet_virtio", "virtio_pci", "overlay")
"""What it takes to see this machine's files; the kernel finds all others there itself."""
SLOWER = 10
TESTS = ("tests/service_ip/test_clients.py", "tests/service_ip/test_killed.py")
PYTEST = (
    *("-p", "no:cacheprovider", "-p", "no:randomly", "-v", "--no-header", "--color=no"),
    # The cluster takes minutes to start.
    *("--basetemp=/tests", "-o", "timeout_func_only=true"),
)
KEPT = ("HOME", "KDNS_IMAGE", "KUBEBUILDER_ASSETS", "PATH", "VIRTUAL_ENV", "XDG_CACHE_HOME")
ENDED = "tests ended with status "

# The first program: makes / out of the layer and this machine's files.
INIT = """\
#!/bin/busybox sh
set -e
/bin/busybox --install -s /bin
mount -t proc proc /proc
for module in {modules}; do modprobe $module; done
for share in host layer; do
    mkdir /$share
    mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 $share /$share
done
mkdir /memory /new
mount -t tmpfs -o size=3g tmpfs /memory
mkdir /memory/upper /memory/work
mount -t overlay overlay /new \
    -o lowerdir=/layer:/host,upperdir=/memory/upper,workdir=/memory/work
mount -t proc proc /new/proc
mount -t sysfs sysfs /new/sys
mount -t devtmpfs devtmpfs /new/dev
mount -t tmpfs tmpfs /new/run
umount /proc
exec switch_root /new /bin/sh {script}
"""
SCRIPT = """\
export {environment}
busybox hostname node
ip link set lo up
modprobe ip_vs_rr
cd {folder}
echo "Linux $(uname -r) is up"
{command} < /dev/null
echo "{ended}$?"
busybox poweroff -f
"""


def run(folder: Path, words: Sequence[str]) -> int:
    """Boot, print what comes, and return pytest's status; NotBuilt where something is missing."""
    need()
    layer = folder / "layer"
    release = unpack(folder, layer)
    # The machine would see half of what is edited meanwhile.
    shutil.copytree(ROOT, layer / ROOT.relative_to("/"), ignore=shutil.ignore_patterns(".*"))
    script = folder / "script"
    script.write_text(inside(words))
    first = first_files(folder, layer, release, script)
    return boot(layer, layer / "boot" / f"vmlinuz-{release}", first)


def need() -> None:
    """Raise NotBuilt for what this machine lacks."""
    if lacking := [tool for tool in TOOLS if not shutil.which(tool)]:
        raise NotBuilt(f"not on PATH: {', '.join(lacking)}")
    if os.geteuid():
        raise NotBuilt("whose files are read by a virtual machine has to be root")


def unpack(folder: Path, layer: Path) -> str:
    """Make the layer of files that this machine lacks, and return the kernel's release."""
    shown = subprocess.check_output(["apt-cache", "depends", "--important", KERNEL], text=True)
    [image] = [word for word in shown.split() if word.startswith("linux-image-6")]
    # As root: apt's own user does not see the folder.
    options = ("-o", "APT::Sandbox::User=root", "--quiet=2")
    subprocess.run(["apt-get", *options, "download", image, *PACKAGES], cwd=folder, check=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", package, layer], check=True)
    for name in ("bin", "lib", "sbin"):
        # They are symbolic links on this machine, which the folders would hide.
        shutil.copytree(layer / name, layer / "usr" / name, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(layer / name)
    release = image.removeprefix("linux-image-")
    list_modules(layer, layer, release)
    return release


def list_modules(layer: Path, base: Path, release: str) -> None:
    """Write the lists that modprobe reads."""
    # It looks below lib.
    if not (link := base / "lib").exists():
        link.symlink_to("usr/lib")
    command = ("depmod", "--basedir", base, release)
    libraries = {"LD_LIBRARY_PATH": str(layer / "usr/lib/x86_64-linux-gnu")}
    # It misses what only the kernel's own list of modules needs.
    program = layer / "usr/bin/kmod"
    subprocess.run(
        command, executable=program, env=libraries, stderr=subprocess.DEVNULL, check=True
    )
    if link.is_symlink():
        link.unlink()


def first_files(folder: Path, layer: Path, release: str, script: Path) -> Path:
    """Return the archive that the kernel starts with."""
    base = folder / "first"
    busybox = base / "bin" / "busybox"
    for name in ("bin", "proc"):
        (base / name).mkdir(parents=True)
    shutil.copy(layer / "usr/bin/busybox", busybox)
    modules = Path("lib/modules") / release
    for path in boot_modules(layer / "usr" / modules):
        target = base / modules / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(layer / "usr" / modules / path, target)
    list_modules(layer, base, release)
    init = base / "init"
    init.write_text(INIT.format(modules=" ".join(BOOT_MODULES), script=script))
    init.chmod(0o755)
    return archive(busybox, base, folder / "first.cpio")


def boot_modules(modules: Path) -> Iterator[str]:
    """Find the files of BOOT_MODULES, and of what they need."""
    for line in (modules / "modules.dep").read_text().splitlines():
        path, needed = line.split(":")
        if Path(path).stem in BOOT_MODULES:
            yield from (path, *needed.split())


def archive(busybox: Path, base: Path, target: Path) -> Path:
    """Write the files below a folder as the kernel reads them."""
    names = "".join(f"{path.relative_to(base)}\n" for path in sorted(base.rglob("*")))
    with target.open("wb") as file:
        command = [str(busybox), "cpio", "-o", "-H", "newc"]
        subprocess.run(
            command, cwd=base, input=names.encode(), stdout=file, stderr=subprocess.PIPE, check=True
        )
    return target


def inside(words: Sequence[str]) -> str:
    """Return what the machine does."""
    settings = {name: os.environ[name] for name in KEPT if name in os.environ}
    settings |= {"KDNS_PROXY_MODES": "ipvs", "KDNS_TESTS_SLOWER": str(SLOWER)}
    command = (sys.executable, "-m", "pytest", *PYTEST, *TESTS, *words)
    environment = " ".join(f"{name}={shlex.quote(value)}" for name, value in settings.items())
    return SCRIPT.format(
        environment=environment, folder=ROOT, command=shlex.join(command), ended=ENDED
    )


def boot(layer: Path, kernel: Path, first: Path) -> int:
    """Run the machine until it is switched off, and print its console; return pytest's status."""
    status = 1
    with subprocess.Popen(machine(layer, kernel, first), stdout=subprocess.PIPE, text=True) as qemu:
        assert qemu.stdout
        try:
            for line in qemu.stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
                if line.startswith(ENDED):
                    status = int(line.removeprefix(ENDED))
        finally:
            qemu.kill()
    return status


def machine(layer: Path, kernel: Path, first: Path) -> list[str]:
    """Return the command that boots it, without a network."""
    share = "local,path={},mount_tag={},security_model=none,readonly=on,multidevs=remap"
    return [
        *("nice", "-n", "5", "qemu-system-x86_64", "-nodefaults", "-no-reboot"),
        *("-display", "none", "-serial", "stdio"),
        *("-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "5G"),
        *("-kernel", str(kernel), "-initrd", str(first)),
        *("-virtfs", share.format("/", "host"), "-virtfs", share.format(layer, "layer")),
        *("-append", "console=ttyS0 quiet panic=-1"),
    ]


def main() -> int:
    """Do it; what was made is removed when it is told to end, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with TemporaryDirectory(prefix="kdns-ipvs-") as name:
        try:
            return run(Path(name), sys.argv[1:])
        except NotBuilt as reason:
            sys.stderr.write(f"{reason}\n")
            return 1


if __name__ == "__main__":
    sys.exit(main())
