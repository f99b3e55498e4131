import pytest

from kdns.corefile.places import place, shown
from kdns.errors import CorefileError
from tests.plugin import directives

DEFAULT = ("", 8080)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("health", DEFAULT, id="none"),
        pytest.param("health :1", ("", 1), id="every address"),
        pytest.param("health localhost:1", ("localhost", 1), id="name"),
        pytest.param("health 10.0.0.1:1", ("10.0.0.1", 1), id="IPv4"),
        pytest.param("health [2001:DB8::1]:1", ("2001:db8::1", 1), id="IPv6"),
    ],
)
def test_a_place_is_read(text: str, found: tuple[str, int]) -> None:
    [directive] = directives(text)

    assert place(directive, DEFAULT) == found


@pytest.mark.parametrize("text", ["8080", "localhost", "10.0.0.1", "2001:db8::1", ":65536", ":x"])
def test_a_place_has_a_port(text: str) -> None:
    [directive] = directives(f"health {text}")

    with pytest.raises(CorefileError, match="got "):
        place(directive, DEFAULT)


def test_places_are_shown_as_they_are_written() -> None:
    assert shown(("", 8080)) == ":8080"
    assert shown(("::1", 8080)) == "[::1]:8080"
