"""Entries make room for one another; what is bounded is their number and their octets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.chain import Answer
from kdns.directives.caching.shelf import LEAST_CAPACITY, OCTETS, Entry, Key, Shelf, rounded
from kdns.kube.owners import EVERYTHING, Owner
from kdns.wire import codes, names, relay
from kdns.wire.kept import Kept
from kdns.wire.message import Sections
from tests.unit.wire.test_relay import NAME, response

WEB: Owner = ("service", "default", "web")
POD: Owner = ("pod", "default", "10.0.0.1")
FAILED = Answer(Sections(codes.SERVFAIL))
LARGE = Kept(relay.locate(response(f"{NAME} 60 IN TXT " + 12 * f'"{200 * "x"}" ')))
"""Larger than the share that each has."""


def key(number: int) -> Key:
    return names.from_text(f"{number}.example.org"), codes.A, codes.CLASS_IN, 0, False


def entry(number: int, *owners: Owner, stored: float = 0.0, ttl: int = 30) -> Entry:
    made = Entry(key(number), FAILED, ttl, stored)
    made.owners = owners
    return made


def numbers(shelf: Shelf) -> list[int]:
    return [int(names.labels(name)[0]) for name, *_ in shelf.entries]


def test_the_longest_unused_makes_room() -> None:
    shelf = Shelf(3)
    assert [shelf.add(entry(number)) for number in (1, 2, 3)] == [0, 0, 0]
    shelf.entries.move_to_end(key(1))

    assert shelf.add(entry(4)) == 1
    assert numbers(shelf) == [3, 1, 4]


def test_a_new_one_takes_the_place_of_the_old() -> None:
    shelf = Shelf(3)
    for number in (1, 2, 1, 1, 1):
        assert shelf.add(entry(number)) == 0

    assert numbers(shelf) == [2, 1]


def test_large_ones_make_room_by_their_octets() -> None:
    shelf, limit = Shelf(10), 10 * OCTETS
    evicted = sum(shelf.add(Entry(key(number), LARGE, 30, 0.0)) for number in range(20))

    assert evicted == 20 - len(shelf.entries) > 0
    assert limit - LARGE.octets - 600 < shelf.octets <= limit


def test_what_expired_goes_before_there_is_no_room() -> None:
    shelf = Shelf(100)
    for number in range(6):
        shelf.add(entry(number, ttl=5))
    assert shelf.add(entry(6, stored=5.0)) == 0

    assert numbers(shelf) == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(("owner", "left"), [(WEB, [3]), (POD, [2, 3]), (EVERYTHING, [3])])
def test_owners_that_are_touched_take_theirs_along(owner: Owner, left: list[int]) -> None:
    shelf = Shelf(10)
    for one in (entry(1, WEB, POD), entry(2, WEB), entry(3)):
        shelf.add(one)
    shelf.drop([("pod", "default", "10.0.0.2"), owner])

    assert numbers(shelf) == left


def test_an_owner_is_forgotten_with_the_last_of_its_entries() -> None:
    shelf = Shelf(1)
    shelf.add(entry(1, WEB))
    shelf.add(entry(2))
    shelf.add(entry(1))
    shelf.drop([WEB])

    assert numbers(shelf) == [1]


def test_nothing_is_left_of_what_is_cleared() -> None:
    shelf = Shelf(10)
    shelf.add(entry(1, WEB))
    shelf.clear()

    assert not shelf.entries
    assert shelf.octets == 0


@pytest.mark.parametrize(
    ("wanted", "capacity"),
    [(0, LEAST_CAPACITY), (1024, 1024), (5000, 4864), (9984, 9984), (10_000, 9984)],
)
def test_a_capacity_is_what_coredns_makes_of_it(wanted: int, capacity: int) -> None:
    assert rounded(wanted) == capacity


steps = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from(["add", "large", "remove", "drop"])), max_size=60
)


@given(steps)
def test_the_bounds_hold_and_the_octets_add_up(taken: list[tuple[int, str]]) -> None:
    shelf = Shelf(4)
    for number, step in taken:
        match step:
            case "add":
                shelf.add(entry(number, WEB, stored=number))
            case "large":
                shelf.add(Entry(key(number), LARGE, 30, 0.0))
            case "remove":
                shelf.remove(key(number))
            case _:
                shelf.drop([WEB])
        assert len(shelf.entries) <= 4
        assert sum(one.size for one in shelf.entries.values()) == shelf.octets <= 4 * OCTETS
