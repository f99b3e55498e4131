"""The built image, for the tests beside this file."""

from pathlib import Path

import pytest

from tests.gobuild import NotBuilt
from tests.image import build
from tests.image.container import lacking


@pytest.fixture(scope="session")
def rootfs() -> Path:
    """The files of the image; without it a test is skipped."""
    if reason := lacking():
        pytest.skip(reason)
    try:
        return build.find()
    except NotBuilt as reason:
        pytest.skip(str(reason))
