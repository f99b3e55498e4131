"""The addresses to listen on."""

import pytest

from kdns.errors import CorefileError
from kdns.plugins import bind
from kdns.server.interfaces import interfaces
from tests.plugin import setup_of

LOOPBACK = interfaces()["lo"]
BINDS = {
    "an address": ("bind 127.0.0.1", ["127.0.0.1"]),
    "some": ("bind 127.0.0.1 ::1", ["127.0.0.1", "::1"]),
    "several directives": ("bind 127.0.0.1\nbind ::1", ["127.0.0.1", "::1"]),
    "each once": ("bind 127.0.0.1 ::1 127.0.0.1\nbind 0:0::1", ["127.0.0.1", "::1"]),
    "an address that this machine has not": ("bind 192.0.2.7", ["192.0.2.7"]),
    "an address with a zone": ("bind fe80::1%lo", ["fe80::1%lo"]),
    "an interface": ("bind lo", LOOPBACK),
    "an interface and an address": ("bind lo 192.0.2.7", [*LOOPBACK, "192.0.2.7"]),
    "all but an address": (
        "bind lo 192.0.2.7 {\nexcept 127.0.0.1\n}",
        [*(address for address in LOOPBACK if address != "127.0.0.1"), "192.0.2.7"],
    ),
    "all but an interface": ("bind 192.0.2.7 127.0.0.1 {\nexcept lo\n}", ["192.0.2.7"]),
    "an exception is of one directive": (
        "bind 192.0.2.7 192.0.2.8 {\nexcept 192.0.2.8\n}\nbind 192.0.2.8",
        ["192.0.2.7", "192.0.2.8"],
    ),
}


@pytest.mark.parametrize(("text", "addresses"), BINDS.values(), ids=BINDS)
def test_the_addresses(text: str, addresses: list[str]) -> None:
    plugin, block = setup_of(bind.setup, text)

    assert plugin is None
    assert block.binds == addresses


REFUSED = {
    "nothing": ("bind", "2: bind: expected at least one address"),
    "neither address nor interface": (
        "bind nic0",
        "2: bind: expected an IP address or an interface (lo",
    ),
    "nothing that is left": (
        "bind 192.0.2.7 {\nexcept 192.0.2.7\n}",
        "2: bind: no address is left to listen on",
    ),
    "except nothing": ("bind lo {\nexcept\n}", "3: except: expected at least one address"),
    "another option": ("bind lo {\nonly ::1\n}", "3: unknown property 'only' of bind"),
    "a port": ("bind 127.0.0.1:53", "2: bind: expected an IP address"),
}


@pytest.mark.parametrize(("text", "error"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(text: str, error: str) -> None:
    with pytest.raises(CorefileError) as caught:
        setup_of(bind.setup, text)

    assert str(caught.value).startswith(f"Corefile:{error}")


def test_where_the_kernel_does_not_say_addresses_are_still_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(bind, "interfaces", fail)
    _, block = setup_of(bind.setup, "bind 127.0.0.1")

    assert block.binds == ["127.0.0.1"]
    [warning] = block.warnings
    assert warning.startswith("Corefile:2: bind: the interfaces are not known, only addresses are")
    with pytest.raises(CorefileError, match="or an interface"):
        setup_of(bind.setup, "bind lo")
