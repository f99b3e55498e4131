"""Version, authors and host, for those who ask in class CH."""

import socket

import pytest

from kdns.chain import FIXED
from kdns.errors import CorefileError
from kdns.plugins import chaos
from kdns.version import VERSION
from tests.plugin import answer, ask, lines, own, plugin_of, rcode, setup_of

OURS = f"kdns-{VERSION}"
HOST = socket.gethostname()
TEXTS = {
    "version.bind": ("chaos", "version.bind. TXT CH", f'version.bind. 0 TXT "{OURS}"'),
    "version.server": ("chaos", "version.server. TXT CH", f'version.server. 0 TXT "{OURS}"'),
    "a version of one's own": ("chaos one", "version.bind. TXT CH", 'version.bind. 0 TXT "one"'),
    "in any case": ("chaos one", "Version.BIND. TXT CH", 'Version.BIND. 0 TXT "one"'),
    "hostname.bind": ("chaos", "hostname.bind. TXT CH", f'hostname.bind. 0 TXT "{HOST}"'),
    "id.server": ("chaos", "id.server. TXT CH", f'id.server. 0 TXT "{HOST}"'),
    "authors": ("chaos", "authors.bind. TXT CH", 'authors.bind. 0 TXT "The authors of kdns"'),
    "authors with a version": (
        "chaos one", "authors.bind. TXT CH", 'authors.bind. 0 TXT "The authors of kdns"',
    ),
    "a text of 255 octets": (
        f"chaos {'x' * 300}", "version.bind. TXT CH", f'version.bind. 0 TXT "{"x" * 255}"',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "asked", "expected"), TEXTS.values(), ids=TEXTS)
def test_what_is_answered(text: str, asked: str, expected: str) -> None:
    plugin = plugin_of(chaos.setup, text)
    read = ask(plugin, asked)

    assert lines(read.answer) == [expected]
    assert "CH" in str(read.answer[0])
    assert (rcode(read), own(answer(plugin, asked)).by) == ("NOERROR", "chaos")


def test_authors_are_answered_in_ever_new_order() -> None:
    plugin = plugin_of(chaos.setup, "chaos one b a c d a")
    replies = [ask(plugin, "authors.bind. TXT CH") for _ in range(20)]
    orders = {tuple(lines(read.answer)) for read in replies}

    assert {tuple(sorted(order)) for order in orders} == {
        tuple(f'authors.bind. 0 TXT "{author}"' for author in "abcd")
    }
    assert len(orders) > 1


def test_what_never_changes_is_prepared_and_what_is_shuffled_is_not() -> None:
    plugin = plugin_of(chaos.setup, "chaos")

    assert own(answer(plugin, "id.server. TXT CH")).owners == FIXED
    assert own(answer(plugin, "authors.bind. TXT CH")).owners == ()


@pytest.mark.parametrize(
    "asked", ["version.bind. TXT IN", "version.bind. A CH", "www.version.bind. TXT CH", ". TXT CH"]
)
def test_other_questions_go_on(asked: str) -> None:
    assert own(answer(plugin_of(chaos.setup, "chaos"), asked)).by == "last"


def test_other_classes_come_to_the_chain() -> None:
    _, block = setup_of(chaos.setup, "chaos")

    assert block.any_class


def test_the_first_of_several_counts() -> None:
    plugin, block = setup_of(chaos.setup, "chaos one\nchaos two")
    assert plugin is not None

    assert lines(ask(plugin, "version.bind. TXT CH").answer) == ['version.bind. 0 TXT "one"']
    assert block.warnings == ["Corefile:3: chaos: this one does not count, the first one does"]


def test_a_block_is_refused() -> None:
    with pytest.raises(CorefileError, match="Corefile:3: chaos takes no block, got 'x'"):
        setup_of(chaos.setup, "chaos {\nx\n}")
