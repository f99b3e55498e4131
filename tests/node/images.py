"""The images that the node gets, as archives: built here, since no registry is asked.

kdns's is that of the real Dockerfile, by ``tests.image.build``. Knows buildah and compilers. Does
not know what runs in the cluster.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.coredns import build as coredns
from tests.gobuild import NotBuilt, say
from tests.image import build as image
from tests.node.build import MODULE
from tests.node.cluster import PAUSE

SOURCES = Path(__file__).parent / "images"
KDNS = f"docker.io/library/{image.NAME}"
COREDNS = "registry.k8s.io/coredns/coredns:v1.14.7"
GLIBC, MUSL, GO = (f"docker.io/library/client-{name}:1" for name in ("glibc", "musl", "go"))
# Debian's busybox under the name that the overlay *node-local* asks for.
BUSYBOX = "docker.io/library/busybox:1.37.0"
BUSYBOX_PROGRAM = Path("/bin/busybox")
TOOLS = ("buildah", "debootstrap", "musl-gcc", BUSYBOX_PROGRAM)


def build(given: Path | None) -> list[Path]:
    """Return an archive of each image, kdns's first, and build what the cache lacks.

    ``given`` is an archive of kdns's image to use in its place. Raises ``NotBuilt``.
    """
    if lacking := [str(tool) for tool in TOOLS if not shutil.which(tool)]:
        raise NotBuilt(f"not found: {', '.join(lacking)}; see tests/node/README.md")
    store = Store(_cache().parent / "image")
    resolve = MODULE.find() / "resolve"
    return [
        given or store.saved(image.NAME, KDNS, _built().name),
        store.built("pause", PAUSE, {"pause": _compiled("pause/pause.c")}),
        store.built("busybox", BUSYBOX, {"busybox": BUSYBOX_PROGRAM}),
        store.built("glibc", GLIBC, {"resolve": SOURCES / "glibc/resolve"}),
        store.built("musl", MUSL, {"resolve": _compiled("musl/resolve.c")}),
        store.built("go", GO, {"resolve": resolve}),
        store.built("coredns", COREDNS, {"coredns": coredns.program()}),
    ]


def _built() -> Path:
    try:
        return image.find()
    except NotBuilt:
        return image.build()


def _compiled(source: str) -> Path:
    """Compile a C program with musl, static, and return it."""
    program = _cache() / Path(source).stem
    program.parent.mkdir(parents=True, exist_ok=True)
    command = ["musl-gcc", "-static", "-O2", "-s", "-Wall", "-Werror", "-o", str(program)]
    subprocess.run([*command, str(SOURCES / source)], check=True)
    return program


def _cache() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "kdns" / "node-images"


class Store:
    """buildah's store of ``tests.image.build``, which has the base image, and our archives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def built(self, kind: str, name: str, files: Mapping[str, Path]) -> Path:
        """Return the archive of an image of ours, made of its Containerfile and these files."""
        recipe = SOURCES / kind / "Containerfile"
        archive = _cache() / f"{kind}-{_digest(name, [recipe, *files.values()])}.tar"
        if archive.exists():
            return archive
        say(f"node: image {name}")
        with tempfile.TemporaryDirectory() as context:
            for called, path in files.items():
                shutil.copy(path, Path(context) / called)
            shutil.copy(recipe, context)
            how = ("--isolation", "chroot", "--pull-never", "--format", "docker")
            self._buildah("bud", *how, "--tag", name, context)
        self._save(name, name, archive)
        return archive

    def saved(self, here: str, name: str, state: str) -> Path:
        """Return the archive of an image that is in the store, under the name that nodes use."""
        archive = _cache() / f"kdns-{state}.tar"
        if not archive.exists():
            self._save(here, name, archive)
        return archive

    def _save(self, here: str, name: str, archive: Path) -> None:
        archive.parent.mkdir(parents=True, exist_ok=True)
        partial = archive.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        self._buildah("push", "--quiet", here, f"docker-archive:{partial}:{name}")
        partial.replace(archive)

    def _buildah(self, *words: str) -> None:
        where = ("--root", str(self._folder / "storage"), "--runroot", str(self._folder / "run"))
        command = ["buildah", *where, "--storage-driver", "vfs", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotBuilt(
                f"buildah {words[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )


def _digest(name: str, files: Sequence[Path]) -> str:
    digest = hashlib.sha256(name.encode())
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
