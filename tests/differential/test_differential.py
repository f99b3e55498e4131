"""kdns against the real CoreDNS: the same questions about the same objects and Corefile."""

import os

import pytest

from tests.differential.options import OPTION_SETS
from tests.differential.run import Plan, Report, compare
from tests.gobuild import NotBuilt

QUESTIONS = 6000


@pytest.fixture(scope="module")
def report() -> Report:
    """Ask once for all tests of this module. In CI CoreDNS must be there."""
    try:
        return compare(Plan(QUESTIONS))
    except NotBuilt as reason:
        if os.environ.get("CI"):
            pytest.fail(str(reason))
        pytest.skip(str(reason))


def test_every_difference_is_on_the_list_of_known_ones(report: Report) -> None:
    assert not report.unknown, report.story()


def test_every_known_difference_is_still_there(report: Report) -> None:
    assert report.unused(OPTION_SETS) == []


def test_at_least_five_thousand_questions_are_asked_and_every_option_set_has_its_share(
    report: Report,
) -> None:
    assert report.questions.total() >= 5000
    assert set(report.questions) == {one.name for one in OPTION_SETS}
    assert min(report.questions.values()) == max(report.questions.values())
