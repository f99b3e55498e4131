"""What all tests share."""

import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A machine that is busy with something else says nothing about an example.
settings.register_profile("kdns", deadline=None)
settings.load_profile("kdns")

pytest_plugins = ["pytester", "tests.controlplane.conftest_plane"]


@pytest.fixture(scope="session", autouse=True)
def event_loop_of_servers() -> Iterator[None]:
    """Have the programs that tests start use the event loop of the image, which has no uvloop."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KDNS_LOOP", "asyncio")
        yield


@pytest.fixture(scope="session", autouse=True)
def byte_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have the programs that tests start compile kdns once, and not each for itself.

    Half of the time that kdns takes to start would be that, where byte code is not to be written.
    """
    with pytest.MonkeyPatch.context() as environment:
        if sys.dont_write_bytecode:
            environment.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
            environment.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        yield
