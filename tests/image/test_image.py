"""The image runs as CoreDNS's does under kubeadm's manifest: read-only, as nobody, on port 53.

``python -m tests.image.build`` builds it; that takes minutes and root, so that these tests are
skipped, with the reason, where it was not done.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kdns.version import VERSION
from tests.image import build
from tests.image.container import USER, Container, running

DEMO = build.ROOT / "manifests/demo"
KUBEADM = build.ROOT / "tests/data/corefiles/kubeadm/Corefile"
ARGS = ("-conf", "/etc/coredns/Corefile")
"""As kubeadm, k3s and the Helm chart give them."""
STARTED = "linux/"


@pytest.fixture
def mounts(tmp_path: Path) -> dict[str, Path]:
    """What kubelet mounts, with manifests in the place of an API server."""
    corefile = tmp_path / "etc" / "Corefile"
    corefile.parent.mkdir()
    corefile.parent.chmod(0o755)
    corefile.write_text(
        KUBEADM.read_text().replace("pods insecure", "pods insecure\nmanifests /demo")
    )
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("nameserver 192.0.2.53\n")
    return {"/etc/coredns": corefile.parent, "/etc/resolv.conf": resolv, "/demo": DEMO}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "bundle"
    found.mkdir()
    return found


@pytest.fixture(params=["", "/coredns"], ids=["entrypoint", "command-of-coredns"])
def container(
    request: pytest.FixtureRequest, rootfs: Path, folder: Path, mounts: dict[str, Path]
) -> Iterator[Container]:
    with running(rootfs, folder, ARGS, mounts, command=request.param) as one:
        one.wait_for(STARTED)
        yield one


def test_it_answers_on_port_53_and_its_pages_are_where_the_probes_look(
    container: Container,
) -> None:
    assert f"kdns-{VERSION}" in container.output
    for transport in ("+notcp", "+tcp"):
        assert container.dig(transport, "+short", "db.default.svc.cluster.local").count("10.") == 3
    assert container.get(8080, "/health") == "OK"
    assert container.get(8181, "/ready") == "OK"
    assert "coredns_dns_requests_total{" in container.get(9153, "/metrics")
    assert container.stop() == 0


def test_it_has_one_capability_and_can_gain_none(container: Container) -> None:
    status = container.status()
    net_bind_service = f"{1 << 10:016x}"

    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(USER)}
    assert status["CapPrm"] == status["CapEff"] == status["CapBnd"] == net_bind_service
    assert status["CapInh"] == status["CapAmb"] == f"{0:016x}"
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_workers_have_port_53_too(rootfs: Path, folder: Path, mounts: dict[str, Path]) -> None:
    corefile = mounts["/etc/coredns"] / "Corefile"
    corefile.write_text(corefile.read_text().replace("loop\n", "multisocket 2\n"))
    with running(rootfs, folder, ARGS, mounts) as one:
        one.wait_for(STARTED)
        assert one.dig("+short", "db.default.svc.cluster.local").count("10.") == 3
        assert one.stop() == 0


def test_without_the_capability_the_kernel_refuses_to_start_it_as_it_does_coredns(
    rootfs: Path, folder: Path, mounts: dict[str, Path]
) -> None:
    with running(rootfs, folder, ARGS, mounts, capabilities=()) as one:
        assert one.wait() != 0
        assert any("operation not permitted" in line.lower() for line in one.output), one.output
