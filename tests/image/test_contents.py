"""What is in the image, what is not, and that its list of parts is true."""

import email
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kdns.version import VERSION
from tests.image.container import Container, running

PYTHON = "/opt/kdns/bin/python3"
BOM = "usr/share/sbom/kdns.cdx.json"
MEGABYTES = 80
"""What CoreDNS 1.14's image has."""

EVERY_MODULE = """
import importlib, pkgutil, kdns
def left_out(error_of):
    # They are for programs that have pytest or dnspython, which is not in the image.
    assert error_of.startswith(("kdns.testing", "kdns.adapters")), error_of
for module in pkgutil.walk_packages(kdns.__path__, "kdns.", left_out):
    if not module.name.startswith(("kdns.testing", "kdns.adapters", "kdns.__main__")):
        importlib.import_module(module.name)
print("imported")
"""
EVERY_LIBRARY = """
import ctypes, pathlib, sysconfig
folders = ("/opt/kdns/lib", "/usr/lib/python3.11/lib-dynload")
found = [path for folder in folders for path in pathlib.Path(folder).rglob("*.so")]
for path in found:
    ctypes.CDLL(str(path))
print(len(found) > 30 and "loaded")
"""
CREDENTIALS = """
import json, os
from kdns.kube.access import Access
from kdns.kube.connect import configure
print(*configure(Access("/etc/coredns/kubeconfig")).api_key.values())
os.environ["HTTPS_PROXY"] = "http://192.0.2.1:3128"
print(configure(Access(endpoint="https://192.0.2.2")).proxy)
"""
EXEC_VERSION = "client.authentication.k8s.io/v1"
CREDENTIAL = {
    "apiVersion": EXEC_VERSION,
    "kind": "ExecCredential",
    "status": {"token": "from-a-plugin"},
}
PLUGIN = {
    "apiVersion": EXEC_VERSION,
    "command": PYTHON,
    "args": ["-c", f"print({json.dumps(json.dumps(CREDENTIAL))})"],
    "interactiveMode": "Never",
}
TRUST = """
import ssl
print(ssl.create_default_context().cert_store_stats()["x509_ca"] > 100 and "trusting")
"""


@contextmanager
def _python(rootfs: Path, tmp_path: Path, program: str) -> Iterator[Container]:
    bundle, etc = tmp_path / "bundle", tmp_path / "etc"
    bundle.mkdir()
    etc.mkdir(exist_ok=True)
    etc.chmod(0o755)
    mounts = {"/etc/coredns": etc}
    with running(rootfs, bundle, ("-c", program), mounts, command=PYTHON) as one:
        yield one


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        pytest.param(EVERY_MODULE, "imported", id="every-module-has-what-it-imports"),
        pytest.param(EVERY_LIBRARY, "loaded", id="every-library-has-what-it-links-to"),
        pytest.param(TRUST, "trusting", id="the-authorities-of-debian-are-trusted"),
    ],
)
def test_nothing_is_missing(rootfs: Path, tmp_path: Path, program: str, expected: str) -> None:
    with _python(rootfs, tmp_path, program) as one:
        assert (one.wait(), one.output) == (0, [expected])


def test_the_rest_of_the_kubernetes_package_does_what_it_is_there_for(
    rootfs: Path, tmp_path: Path
) -> None:
    sections: dict[str, dict[str, Any]] = {
        "clusters": {"cluster": {"server": "http://192.0.2.2"}},
        "users": {"user": {"exec": PLUGIN}},
        "contexts": {"context": {"cluster": "one", "user": "one"}},
    }
    named = {section: [{"name": "one", **entry}] for section, entry in sections.items()}
    kubeconfig = {"apiVersion": "v1", "kind": "Config", "current-context": "one", **named}
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "kubeconfig").write_text(json.dumps(kubeconfig))
    with _python(rootfs, tmp_path, CREDENTIALS) as one:
        assert one.wait() == 0, one.output
    assert one.output[-2:] == ["Bearer from-a-plugin", "http://192.0.2.1:3128"]


def test_it_is_no_larger_than_coredns(rootfs: Path) -> None:
    files = (path.lstat() for path in rootfs.rglob("*"))
    sizes = {one.st_ino: one.st_size for one in files}
    assert sum(sizes.values()) / 1e6 < MEGABYTES


def test_what_is_imported_was_compiled(rootfs: Path) -> None:
    """Nothing can be compiled later: the root is read-only."""
    sources = [path for path in rootfs.rglob("*.py") if "/lib" in str(path)]
    lacking = [
        str(path)
        for path in sources
        if not (path.parent / "__pycache__" / f"{path.stem}.cpython-311.pyc").exists()
    ]
    assert len(sources) > 1000
    assert lacking == []


def test_no_shell_compiler_or_installer_is_in_it(rootfs: Path) -> None:
    names = r"(.*sh|busybox|perl.*|gcc|g\+\+|cc|c\+\+|clang|make|ld|apt.*|dpkg.*|pip[0-9.]*)"
    found = [
        str(path.relative_to(rootfs))
        for folder in ("usr/bin", "usr/sbin", "usr/local/bin", "opt/kdns/bin")
        for path in (rootfs / folder).glob("*")
        if re.fullmatch(names, path.name)
    ]
    assert found == []
    assert not list(rootfs.rglob("site-packages/pip"))


def test_only_the_interpreter_has_a_capability(rootfs: Path) -> None:
    marked = [
        str(path.relative_to(rootfs))
        for path in rootfs.rglob("*")
        if path.is_file() and not path.is_symlink() and _capability(os.listxattr(path))
    ]
    assert marked == ["usr/bin/python3.11"]
    assert (rootfs / PYTHON[1:]).readlink() == Path("python3.11")


def _capability(names: list[str]) -> bool:
    return "security.capability" in names


# -- the bill of materials ---------------------------------------------------------------------


@pytest.fixture
def components(rootfs: Path) -> list[dict[str, Any]]:
    bill = json.loads((rootfs / BOM).read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "kdns"
    assert bill["metadata"]["component"]["version"] == VERSION
    return list(bill["components"])


def _listed(components: list[dict[str, Any]], kind: str) -> set[tuple[str, str]]:
    """The names and versions of one kind of package URL (purl-spec)."""
    return {
        (_normal(one["name"]), one["version"])
        for one in components
        if one.get("purl", "").startswith(f"pkg:{kind}/")
    }


def _normal(name: str) -> str:
    """A name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_bill_of_materials_has_the_parts_of_python_and_no_others(
    rootfs: Path, components: list[dict[str, Any]]
) -> None:
    folders = (rootfs / "opt/kdns/lib").rglob("*.dist-info/METADATA")
    read = [email.message_from_string(path.read_text()) for path in folders]
    installed = {(_normal(one["Name"]), one["Version"]) for one in read}

    assert ("kdns", VERSION) in installed
    assert _listed(components, "pypi") == installed


def test_the_bill_of_materials_has_the_packages_of_debian_and_no_others(
    rootfs: Path, components: list[dict[str, Any]]
) -> None:
    status = (rootfs / "var/lib/dpkg/status").read_text()
    read = [email.message_from_string(text) for text in status.strip().split("\n\n")]
    installed = {(_normal(one["Package"]), one["Version"]) for one in read}
    binaries = [one for one in components if "arch=source" not in one.get("purl", "")]

    assert "libssl3" in {name for name, _ in installed}
    assert _listed(binaries, "deb") == installed


def test_every_package_of_debian_comes_with_its_licence(rootfs: Path) -> None:
    status = (rootfs / "var/lib/dpkg/status").read_text()
    names = re.findall(r"^Package: (\S+)$", status, re.MULTILINE)
    assert [one for one in names if not (rootfs / f"usr/share/doc/{one}/copyright").exists()] == []
