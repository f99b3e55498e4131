"""``ready``: whom the page asks, how often, and what it says."""

import logging

import pytest

from kdns.errors import CorefileError
from kdns.plugins.ready import setup
from kdns.server.http import Reply, Visit
from tests import plugin
from tests.plugin import FakeRuntime


class Check:
    """A plugin that is ready or not, and counts how often it is asked."""

    def __init__(self, *, ready: bool) -> None:
        self.ready = ready
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.ready


class Shown:
    """The page of a block, and the checks behind it."""

    def __init__(self, text: str = "ready", **checks: bool) -> None:
        self.runtime = FakeRuntime()
        self.checks = {name: Check(ready=ready) for name, ready in checks.items()}
        self.runtime.ready = {**self.checks}
        _, block = plugin.setup_of(setup, text, into=plugin.block(runtime=self.runtime))
        [(self.address, pages)] = block.pages.items()
        self._page = pages["/ready"]

    def ask(self) -> tuple[str, str]:
        reply: Reply = self._page(Visit())
        return reply.status, reply.body.decode()


OK = ("200 OK", "OK")


def test_everything_is_ready() -> None:
    assert Shown(kubernetes=True, hosts=True).ask() == OK


def test_nothing_to_be_ready_is_ready() -> None:
    assert Shown().ask() == OK


def test_what_is_not_ready_is_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    page = Shown(kubernetes=False, erratic=False, hosts=True)

    assert page.ask() == ("503 Service Unavailable", "erratic,kubernetes")
    assert 'plugin/ready: Plugins not ready: "erratic,kubernetes"' in caplog.text


def test_what_was_ready_once_is_not_asked_again() -> None:
    page = Shown(kubernetes=True)
    page.ask()
    page.checks["kubernetes"].ready = False

    assert page.ask() == OK
    assert page.checks["kubernetes"].asked == 1


def test_what_is_not_ready_is_asked_again() -> None:
    page = Shown("ready {\nmonitor until-ready\n}", kubernetes=False)
    page.ask()
    page.checks["kubernetes"].ready = True

    assert page.ask() == OK


def test_all_are_asked_every_time_if_that_is_wished() -> None:
    page = Shown("ready {\nmonitor continuously\n}", kubernetes=True)
    page.ask()
    page.checks["kubernetes"].ready = False

    assert page.ask() == ("503 Service Unavailable", "kubernetes")


def test_nobody_is_ready_who_is_ending() -> None:
    page = Shown(kubernetes=True)
    page.runtime.ending = True

    assert page.ask() == ("503 Service Unavailable", "Shutting down")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        pytest.param("ready", ("", 8181), id="default"),
        pytest.param("ready localhost:1234", ("localhost", 1234), id="elsewhere"),
    ],
)
def test_where_it_is(text: str, address: tuple[str, int]) -> None:
    assert Shown(text).address == address


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("ready\nready", "may stand only once", id="twice"),
        pytest.param("ready bla", "expected ADDRESS:PORT", id="no port"),
        pytest.param("ready :1 b", "expected at most one argument", id="two words"),
        pytest.param("ready {\nmonitro continuously\n}", "did you mean 'monitor'?", id="option"),
        pytest.param("ready {\nmonitor 404\n}", "unknown way to monitor '404'", id="way"),
        pytest.param("ready {\nmonitor\n}", "expected one argument", id="no way"),
    ],
)
def test_what_is_refused(text: str, error: str) -> None:
    with pytest.raises(CorefileError) as refused:
        Shown(text)

    assert error in str(refused.value)
