"""Build the image of the Dockerfile without a daemon and without a registry.

``python -m tests.image.build`` needs root and Debian's packages buildah and debootstrap, takes some
minutes, and prints the folder that ``test_image.py`` runs. The base image cannot be pulled
everywhere, so it is made as its publisher makes it, out of Debian's packages, and given its name.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from kdns.version import VERSION
from tests.gobuild import NotBuilt, main, say

ROOT = Path(__file__).parents[2]
TOOLS = ("buildah", "debootstrap")
SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
NAME = f"kdns:{VERSION}"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
INSIDE = "/run/machine-certificates.crt"


def find() -> Path:
    """Return the folder of the built image's files; raise ``NotBuilt`` for none of this state.

    ``KDNS_IMAGE``, where set, is the folder that is used instead.
    """
    if given := os.environ.get("KDNS_IMAGE"):
        return Path(given)
    if not (rootfs := _cache() / fingerprint()).is_dir():
        raise NotBuilt("the image is not built from this state: `python -m tests.image.build`")
    return rootfs


def build() -> Path:
    """Build the image, and unpack it."""
    if lacking := [tool for tool in TOOLS if not shutil.which(tool)]:
        raise NotBuilt(f"apt-get install {' '.join(lacking)}: not on PATH")
    if os.geteuid():
        raise NotBuilt("debootstrap and buildah with --isolation chroot need root")
    cache = _cache()
    cache.mkdir(parents=True, exist_ok=True)
    # Now: somebody may edit the sources meanwhile.
    rootfs = cache / fingerprint()
    _make_base(cache)
    _build(cache)
    _unpack(cache, rootfs)
    return rootfs


def fingerprint() -> str:
    """Name everything that decides what is in the image, apart from what Debian has today."""
    digest = hashlib.sha256()
    for path in sorted(_sources()):
        digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def base() -> str:
    """Return the name of the base image, as the Dockerfile has it."""
    found = re.search(r"^ARG BASE=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    if found is None:
        raise NotBuilt("the Dockerfile names no base image")
    return found[1]


def _sources() -> Iterator[Path]:
    yield from (ROOT / name for name in ("Dockerfile", ".dockerignore", "pyproject.toml"))
    yield from (ROOT / "requirements").glob("*.txt")
    yield from (ROOT / "kdns").rglob("*.py")


def _cache() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "kdns" / "image"


def _make_base(cache: Path) -> None:
    """Make the base image, unless it is there."""
    if _buildah(cache, "images", "--quiet", "--filter", f"reference={base()}").strip():
        return
    say(f"image: {base()} out of the packages of {SUITE}")
    folder = cache / "base"
    shutil.rmtree(folder, ignore_errors=True)
    log = cache / "debootstrap.log"
    with log.open("wb") as file:
        command = ["debootstrap", "--variant=minbase", SUITE, str(folder), MIRROR]
        done = subprocess.run(command, stdout=file, stderr=file, check=False)
    if done.returncode:
        raise NotBuilt(f"debootstrap failed, see {log}")
    shutil.rmtree(folder / "var/lib/apt/lists")
    packed = cache / "base.tar"
    subprocess.run(["tar", "-C", folder, "-cf", packed, "."], check=True)
    container = _buildah(cache, "from", "scratch").strip()
    _buildah(cache, "add", container, str(packed), "/")
    _buildah(cache, "config", "--cmd", "bash", container)
    _buildah(cache, "commit", "--rm", container, base())
    packed.unlink()
    shutil.rmtree(folder)


def _build(cache: Path) -> None:
    say(f"image: {NAME}")
    _buildah(
        cache,
        *("bud", "--isolation", "chroot", "--pull-never", "--format", "docker"),
        *_certificates(cache),
        *("--label", f"org.opencontainers.image.version={VERSION}"),
        *("--tag", NAME, "--file", str(ROOT / "Dockerfile"), str(ROOT)),
    )
    # Stages, and what had the name before: half a gigabyte each time.
    _buildah(cache, "rmi", "--prune")


def _certificates(cache: Path) -> list[str]:
    """Let pip trust in the build whom this machine trusts: it may be behind a proxy of its own."""
    if not Path(CERTIFICATES).exists():
        return []
    settings = cache / "pip.conf"
    settings.write_text(f"[global]\ncert = {INSIDE}\n")
    mounts = (f"{CERTIFICATES}:{INSIDE}:ro", f"{settings}:/etc/pip.conf:ro")
    return [word for mount in mounts for word in ("--volume", mount)]


def _unpack(cache: Path, rootfs: Path) -> None:
    """Copy the files of the image, with their capabilities, and its configuration beside them."""
    container = _buildah(cache, "from", "--pull-never", NAME).strip()
    try:
        mounted = _buildah(cache, "mount", container).strip()
        shutil.rmtree(rootfs, ignore_errors=True)
        subprocess.run(["cp", "--archive", mounted, rootfs], check=True)
        text = _buildah(cache, "inspect", "--type", "image", NAME)
        rootfs.with_suffix(".json").write_text(text)
    finally:
        _buildah(cache, "rm", container)


def _buildah(cache: Path, *words: str) -> str:
    where = ("--root", str(cache / "storage"), "--runroot", str(cache / "run"))
    command = ["buildah", *where, "--storage-driver", "vfs", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotBuilt(f"buildah {words[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(build))
