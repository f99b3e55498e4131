"""The fixtures of the real control plane; ``tests/conftest.py`` names this module as a plugin.

Where there is no control plane the tests are skipped with the reason, except in CI.
"""

import os
from collections.abc import Iterator
from itertools import count
from typing import NoReturn

import pytest

from tests.controlplane.build import programs
from tests.controlplane.objects import add_namespace
from tests.controlplane.plane import ControlPlane
from tests.gobuild import NotBuilt

START_SECONDS = 180
NUMBERS = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests the time that a busy machine needs to start or restart the servers."""
    for item in items:
        wants = "control_plane" in getattr(item, "fixturenames", ())
        if wants and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(START_SECONDS))


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One control plane for all tests: give each its own namespace, and undo what is global."""
    if reason := lacking():
        unavailable(reason)
    with ControlPlane(folder=tmp_path_factory.mktemp("controlplane")) as plane:
        yield plane


@pytest.fixture
def controllers(control_plane: ControlPlane) -> ControlPlane:
    """The control plane, for tests that need kube-controller-manager."""
    if not control_plane.has_controllers:
        unavailable("KUBEBUILDER_ASSETS has no kube-controller-manager")
    return control_plane


@pytest.fixture
def fresh_namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace that nobody else uses."""
    name = f"test-{next(NUMBERS)}"
    add_namespace(control_plane.api, name)
    yield name
    control_plane.request("DELETE", f"/api/v1/namespaces/{name}")


def lacking() -> str:
    """Say why there is no control plane, empty when there is one."""
    try:
        programs()
    except NotBuilt as reason:
        return str(reason)
    return ""


def unavailable(reason: str) -> NoReturn:
    """Skip the test; fail it in CI, where a skipped test looks like a passed one."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
