"""The octets that clients are believed to take."""

import pytest

from kdns.errors import CorefileError
from kdns.plugins import bufsize
from tests.plugin import setup_of

SIZES = {"bufsize": 1232, "bufsize 512": 512, "bufsize 4096": 4096, "bufsize 1220": 1220}


@pytest.mark.parametrize(("text", "size"), SIZES.items(), ids=SIZES)
def test_the_size(text: str, size: int) -> None:
    plugin, block = setup_of(bufsize.setup, text)

    assert plugin is None
    assert block.udp_size == size


def test_the_first_of_several_counts() -> None:
    _, block = setup_of(bufsize.setup, "bufsize 1000\nbufsize 2000")

    assert block.udp_size == 1000
    assert block.warnings == ["Corefile:3: bufsize: this one does not count, the first one does"]


REFUSED = {
    "too small": ("bufsize 511", "2: expected a whole number from 512 to 4096, got '511'"),
    "too large": ("bufsize 4097", "2: expected a whole number from 512 to 4096, got '4097'"),
    "no number": ("bufsize large", "2: expected a whole number from 512 to 4096, got 'large'"),
    "two": ("bufsize 512 1024", "2: bufsize: expected at most one number of octets"),
    "a second one that is wrong": ("bufsize\nbufsize 1", "3: expected a whole number"),
    "a block": ("bufsize {\nx\n}", "3: bufsize takes no block"),
}


@pytest.mark.parametrize(("text", "error"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(text: str, error: str) -> None:
    with pytest.raises(CorefileError) as caught:
        setup_of(bufsize.setup, text)

    assert str(caught.value).startswith(f"Corefile:{error}")
