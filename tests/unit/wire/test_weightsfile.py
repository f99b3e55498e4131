"""The lines of a weight file: what they say, and the message for each that says nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.errors import CorefileError
from kdns.wire import names, weightsfile
from kdns.wire.records import pack_address

FILE = """
# of the web
www.example.org
192.0.2.1 3
 192.0.2.2   1
192.0.2.1 9
2001:db8::1 255

API.example.org.
# of the API
192.0.2.1 2
"""


def packed(text: str) -> bytes:
    found = pack_address(text)
    assert found is not None
    return found


def test_names_have_addresses_with_weights() -> None:
    assert weightsfile.read(FILE.splitlines(), "weights") == {
        names.from_text("www.example.org"): {
            packed("192.0.2.1"): 3,
            packed("192.0.2.2"): 1,
            packed("2001:db8::1"): 255,
        },
        names.from_text("api.example.org"): {packed("192.0.2.1"): 2},
    }


def test_a_name_may_stand_twice() -> None:
    lines = ["a.example", "192.0.2.1 1", "b.example", "A.example.", "192.0.2.2 2"]

    assert weightsfile.read(lines, "weights")[names.from_text("a.example")] == {
        packed("192.0.2.1"): 1,
        packed("192.0.2.2"): 2,
    }


WRONG = {
    "192.0.2.1": "expected a weight after the address 192.0.2.1",
    "2001:db8::1": "expected a weight after the address 2001:db8::1",
    "www..example.org": "expected a name, got 'www..example.org'",
    "192.0.2 1": "expected an IP address, got '192.0.2'",
    "192.0.2.1 0": "expected a weight from 1 to 255, got '0'",
    "192.0.2.1 256": "expected a weight from 1 to 255, got '256'",
    "192.0.2.1 -1": "expected a weight from 1 to 255, got '-1'",
    "192.0.2.1 1.5": "expected a weight from 1 to 255, got '1.5'",
    "192.0.2.1 " + 5000 * "9": "expected a weight from 1 to 255",
    "192.0.2.1 1 2": "expected a name, or an address and its weight, got '192.0.2.1 1 2'",
}


@pytest.mark.parametrize(("line", "message"), WRONG.items(), ids=list(range(len(WRONG))))
def test_what_is_wrong_is_said(line: str, message: str) -> None:
    with pytest.raises(CorefileError) as error:
        weightsfile.read(["www.example.org", "", line], "some/weights")

    assert str(error.value).startswith(f"some/weights:3: {message}")


def test_an_address_needs_a_name() -> None:
    with pytest.raises(CorefileError, match="w:2: expected a name before the first address"):
        weightsfile.read(["# nothing", "192.0.2.1 1"], "w")


@given(st.lists(st.text(max_size=40), max_size=8))
def test_any_lines_are_weights_or_a_corefile_error(lines: list[str]) -> None:
    try:
        found = weightsfile.read(lines, "w")
    except CorefileError:
        return
    assert all(1 <= weight <= 255 for known in found.values() for weight in known.values())
