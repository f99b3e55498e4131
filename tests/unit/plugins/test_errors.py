"""``errors`` before handlers that fail, and with a clock for what it consolidates."""

import asyncio
import logging

import pytest

from kdns.assembly import Block
from kdns.chain import Answer, Dropped, Handler, Plugin, Request, Response
from kdns.errors import CorefileError, UpstreamError
from kdns.kube.owners import Owner
from kdns.plugins.errors import setup
from kdns.wire import codes
from kdns.wire.message import Sections
from tests import plugin

OWNERS: tuple[Owner, ...] = (("hosts", "x"),)
TIMEOUT = "read udp 10.0.0.1: i/o timeout"
LIKE = "consolidate 100ms timeout$"


def _errors(text: str = "errors") -> tuple[Plugin, Block]:
    made, block = plugin.setup_of(setup, text)
    assert made is not None
    return made, block


def _fails(error: str, owners: tuple[Owner, ...] = ()) -> Handler:
    return plugin.says(Answer(Sections(codes.SERVFAIL), owners, error=error))


def _raises(error: Exception) -> Handler:
    async def handle(_: Request) -> Response:
        raise error

    return handle


def _ask(errors: Plugin, last: Handler, asked: str = "WWW.example.org A") -> Response:
    return plugin.answer(errors, asked, last=last)


def _lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        f"[{record.levelname}] {record.getMessage()}"
        for record in caplog.records
        if record.name == "kdns.plugins.errors"
    ]


def test_a_failure_is_logged_as_coredns_does(caplog: pytest.LogCaptureFixture) -> None:
    _ask(_errors()[0], _fails(TIMEOUT))

    assert _lines(caplog) == [f"[ERROR] plugin/errors: 2 www.example.org. A: {TIMEOUT}"]


def test_a_failure_is_made_anew_each_time_so_that_each_has_its_line() -> None:
    response = _ask(_errors()[0], _fails(TIMEOUT, OWNERS))

    assert plugin.own(response).owners == ()


def test_an_answer_without_an_error_passes_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    answer = Answer(Sections(codes.NXDOMAIN), OWNERS)

    assert _ask(_errors()[0], plugin.says(answer)) is answer
    assert not caplog.records


@pytest.mark.parametrize(
    ("error", "text"),
    [
        pytest.param(UpstreamError("all upstreams failed"), "all upstreams failed", id="our own"),
        pytest.param(KeyError("x"), "KeyError('x')", id="a fault"),
    ],
)
def test_an_exception_is_logged_and_passes_on(
    error: Exception, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(type(error)):
        _ask(_errors()[0], _raises(error), "x. TYPE65280")

    assert _lines(caplog) == [f"[ERROR] plugin/errors: 2 x. TYPE65280: {text}"]


def test_silence_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Dropped):
        _ask(_errors()[0], _raises(Dropped("acl")))

    assert not caplog.records


def test_what_an_upstream_says_cannot_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    _ask(_errors()[0], _fails("said \n[ERROR] x\x1b[2J\u202e\u00e9"))

    assert _lines(caplog)[0].endswith("said \\n[ERROR] x\\x1b[2J\\u202e\u00e9")


def test_stacktrace_shows_faults_with_their_stack() -> None:
    assert _errors("errors stdout {\nstacktrace\n}")[1].traced
    assert not _errors()[1].traced


# -- consolidation ------------------------------------------------------------------------------


def _consolidated(
    text: str, errors: list[str], caplog: pytest.LogCaptureFixture, *, wait: bool = True
) -> list[str]:
    """Let a block fail in these ways, wait for the summary, and return all lines."""
    caplog.set_level(logging.DEBUG)

    async def failing() -> None:
        made, block = _errors(f"errors {{\n{text}\n}}")
        summed = asyncio.Event()
        async with plugin.running(block):
            for error in errors:
                await plugin.handled(plugin.request([made], "x. A", last=_fails(error)))
            if wait:
                asyncio.get_running_loop().call_later(0.11, summed.set)
                await summed.wait()

    asyncio.run(failing())
    return _lines(caplog)


def test_errors_that_are_alike_become_one_line(caplog: pytest.LogCaptureFixture) -> None:
    lines = _consolidated(LIKE, [TIMEOUT, "another", TIMEOUT], caplog)

    assert lines == [
        "[ERROR] plugin/errors: 2 x. A: another",
        "[ERROR] plugin/errors: 2 errors like 'timeout$' occurred in last 100ms",
    ]


@pytest.mark.parametrize("level", ["warning", "error", "info", "debug"])
def test_the_summary_has_the_level_that_is_wished(
    level: str, caplog: pytest.LogCaptureFixture
) -> None:
    [line] = _consolidated(f"{LIKE} {level}", [TIMEOUT], caplog)

    assert line == (
        f"[{level.upper()}] plugin/errors: 1 errors like 'timeout$' occurred in last 100ms"
    )


def test_the_first_one_can_be_shown_at_once(caplog: pytest.LogCaptureFixture) -> None:
    lines = _consolidated(f"{LIKE} warning show_first", [TIMEOUT] * 3, caplog)

    assert lines == [
        f"[WARNING] plugin/errors: 2 x. A: {TIMEOUT}",
        "[WARNING] plugin/errors: 3 errors like 'timeout$' occurred in last 100ms",
    ]


def test_a_first_one_that_stays_alone_needs_no_summary(caplog: pytest.LogCaptureFixture) -> None:
    lines = _consolidated(f"{LIKE} show_first", [TIMEOUT], caplog)

    assert lines == [f"[ERROR] plugin/errors: 2 x. A: {TIMEOUT}"]


def test_the_first_pattern_that_matches_takes_it(caplog: pytest.LogCaptureFixture) -> None:
    lines = _consolidated(f"{LIKE}\nconsolidate 100ms . warning", [TIMEOUT, "x"], caplog)

    assert sorted(lines) == [
        "[ERROR] plugin/errors: 1 errors like 'timeout$' occurred in last 100ms",
        "[WARNING] plugin/errors: 1 errors like '.' occurred in last 100ms",
    ]


def test_what_was_counted_is_said_when_the_configuration_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines = _consolidated("consolidate 5m timeout$", [TIMEOUT], caplog, wait=False)

    assert lines == ["[ERROR] plugin/errors: 1 errors like 'timeout$' occurred in last 5m0s"]


def test_counting_begins_anew_after_a_summary(caplog: pytest.LogCaptureFixture) -> None:
    async def failing_twice() -> None:
        made, block = _errors("errors {\nconsolidate 0s x\n}")
        async with plugin.running(block):
            for _ in range(2):
                await plugin.handled(plugin.request([made], "x. A", last=_fails("x")))
                await asyncio.sleep(0.01)

    asyncio.run(failing_twice())

    assert _lines(caplog) == ["[ERROR] plugin/errors: 1 errors like 'x' occurred in last 0s"] * 2


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("errors\nerrors", "errors may stand only once", id="twice"),
        pytest.param("errors stderr", "unknown place for errors 'stderr'", id="another place"),
        pytest.param("errors stdout x", "errors: expected at most one argument", id="two words"),
        pytest.param("errors {\nconsolidat\n}", "did you mean 'consolidate'?", id="no option"),
        pytest.param("errors {\nconsolidate 1s\n}", "expected 2 to 4 arguments", id="too few"),
        pytest.param("errors {\nconsolidate 1 x\n}", "expected a duration like", id="no unit"),
        pytest.param("errors {\nconsolidate 1s (\n}", "regular expression '('", id="no regex"),
        pytest.param("errors {\nconsolidate 1s x fatal\n}", "unknown option", id="no level"),
        pytest.param(
            "errors {\nconsolidate 1s x info warning\n}",
            "unknown option of consolidate 'warning': expected show_first",
            id="two levels",
        ),
        pytest.param(
            "errors {\nconsolidate 1s x show_first info\n}",
            "expected nothing after show_first, got 'info'",
            id="the level last",
        ),
        pytest.param(
            f"errors {{\nconsolidate 1s {'x' * 10_001}\n}}", "at most 10000 characters", id="long"
        ),
    ],
)
def test_what_is_refused(text: str, error: str) -> None:
    with pytest.raises(CorefileError) as refused:
        _errors(text)

    assert error in str(refused.value)
