"""Faults with their stack, and debug messages."""

import asyncio
import logging

import pytest

from kdns.errors import CorefileError
from kdns.plugins import debug
from tests.plugin import running, setup_of


@pytest.mark.parametrize("text", ["debug", "debug\ndebug"])
def test_faults_are_traced(text: str) -> None:
    plugin, block = setup_of(debug.setup, text)

    assert plugin is None
    assert block.traced


def test_debug_messages_are_logged_while_any_block_wants_them() -> None:
    _, old = setup_of(debug.setup, "debug")
    _, new = setup_of(debug.setup, "debug")
    log = logging.getLogger("kdns.server.tcp")
    seen: list[bool] = []

    def look() -> None:
        seen.append(log.isEnabledFor(logging.DEBUG))

    async def reload() -> None:
        look()
        before, after = running(old), running(new)
        await before.__aenter__()
        look()
        await after.__aenter__()
        await before.__aexit__(None, None, None)
        look()
        await after.__aexit__(None, None, None)
        look()

    asyncio.run(reload())

    assert seen == [False, True, True, False]


@pytest.mark.parametrize("text", ["debug on", "debug {\nx\n}", "debug\ndebug on"])
def test_what_is_refused(text: str) -> None:
    with pytest.raises(CorefileError, match=r"Corefile:[23]: debug"):
        setup_of(debug.setup, text)
