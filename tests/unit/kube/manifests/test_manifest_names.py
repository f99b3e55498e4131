import re

import pytest

from kdns.kube.manifests.names import DOMAIN_1123, SUBDOMAIN_1123, generated, letters


def test_generated_names_give_way_to_their_letters() -> None:
    name = generated("x" * 70 + "-", "seed", set())

    assert re.fullmatch("x{58}[bcdfghjklmnpqrstvwxz2456789]{5}", name)


def test_a_name_that_is_taken_is_not_given_again() -> None:
    taken: set[str] = set()

    names = {generated("web-", "seed", taken) for _ in range(100)}

    assert len(names) == 100
    assert names == taken


def test_letters_depend_on_the_seed_alone() -> None:
    assert letters("seed", 10) == letters("seed", 10) != letters("other", 10)


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("a", True),
        ("a.b-c.9", True),
        ("a." * 126 + "a", True),
        ("a." * 127 + "a", False),
        ("a..b", False),
        ("-a", False),
        ("a-", False),
        ("", False),
        ("A", False),
    ],
)
def test_names_are_those_of_rfc_1123(name: str, valid: bool) -> None:
    assert bool(SUBDOMAIN_1123.fullmatch(name)) is valid
    assert bool(DOMAIN_1123.fullmatch(name)) is valid


def test_names_of_the_api_may_have_parts_that_are_too_long_for_dns() -> None:
    assert SUBDOMAIN_1123.fullmatch("a" * 64)
    assert not DOMAIN_1123.fullmatch("a" * 64)
