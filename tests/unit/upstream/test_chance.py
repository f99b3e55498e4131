"""Octets that nobody can guess, from a supply."""

from kdns.upstream.chance import Chance


def test_no_octets_are_handed_out_twice() -> None:
    chance = Chance()
    found = [chance.octets(8) for _ in range(1000)]
    assert {len(one) for one in found} == {8}
    assert len(set(found)) == 1000


def test_numbers_are_below_their_limit_and_all_come() -> None:
    chance = Chance()
    assert {chance.below(7) for _ in range(1000)} == set(range(7))


def test_two_supplies_are_different() -> None:
    assert Chance().octets(16) != Chance().octets(16)
