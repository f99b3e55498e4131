"""The page on the library is true: its examples run, and everything public is on it."""

import inspect
import re
import shlex
from contextlib import redirect_stdout
from io import StringIO
from itertools import chain

import pytest

import kdns
from kdns.adapters import dnspython, sockets
from kdns.cli import main
from kdns.resolver.sources import Source
from kdns.testing import pytest_plugin
from tests.end_to_end.running import ROOT
from tests.end_to_end.test_pytest_plugin import passes

PAGE = (ROOT / "docs" / "library.md").read_text()
FENCES = re.findall(
    r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", PAGE, re.MULTILINE | re.DOTALL
)
PROGRAMS = [(code, printed) for code, printed in FENCES if printed]
(TESTS,) = (code for code, printed in FENCES if not printed)
REFERENCE = PAGE.partition("## Reference")[2]
WORDS = frozenset(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", REFERENCE))))
CLASSES = (
    kdns.Cluster,
    kdns.AsyncCluster,
    kdns.Resolver,
    kdns.AsyncResolver,
    kdns.Result,
    kdns.Record,
    kdns.Tried,
    kdns.Serving,
    kdns.ResolvConf,
)


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(("code", "printed"), PROGRAMS, ids=range(len(PROGRAMS)))
def test_a_program_prints_what_is_shown(code: str, printed: str) -> None:
    out = StringIO()

    with redirect_stdout(out):
        exec(compile(code, "docs/library.md", "exec"), {"__name__": "example"})  # noqa: S102

    assert out.getvalue() == printed


def test_the_tests_pass(pytester: pytest.Pytester) -> None:
    passes(pytester, TESTS)


def test_the_command_prints_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(
        r"^```console\n\$ kdns (.*?)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
    )
    command, printed = example

    main(shlex.split(command))

    assert capsys.readouterr().out == printed


def test_the_options_of_kdns_query_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["query", "--help"])
    options = set(re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    section = PAGE.partition("## On the command line")[2].partition("## Reference")[0]

    assert options == set(re.findall(r"`(--[a-z-]+)", section))


def test_every_public_name_is_on_the_page() -> None:
    assert not {name for name in kdns.__all__ if name not in WORDS | {"__version__"}}


@pytest.mark.parametrize("one", CLASSES, ids=lambda one: one.__name__)
def test_every_member_of_a_public_class_is_on_the_page(one: type) -> None:
    members = {name for name in dir(one) if not name.startswith("_")}
    missing = members - WORDS

    assert not missing


@pytest.mark.parametrize(
    "function",
    [
        kdns.Cluster.resolver,
        kdns.Cluster.serving,
        kdns.Cluster.delete,
        kdns.Resolver.getaddrinfo,
        kdns.serving,
        kdns.serving_corefile,
        sockets.getaddrinfo,
        sockets.patched,
        dnspython.resolver,
    ],
    ids=lambda function: function.__qualname__,
)
def test_every_argument_is_on_the_page(function: object) -> None:
    assert callable(function)
    given = set(inspect.signature(function).parameters) - {"self", "source", "place"}

    assert not given - WORDS


def test_every_keyword_of_a_source_is_on_the_page() -> None:
    section = REFERENCE.partition("| member")[0]

    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [
        *dict.fromkeys(chain(["manifests", "objects", "kubeconfig"], Source.__annotations__))
    ]


def test_every_fixture_is_on_the_page() -> None:
    section = PAGE.partition("## Fixtures for pytest")[2]
    fixtures = {name for name in vars(pytest_plugin) if name.startswith("kdns_")}

    assert fixtures == set(re.findall(r"^\| `(kdns_\w+)` \|", section, re.MULTILINE))


def test_asyncio_and_threads_have_the_same_members() -> None:
    for one, other in ((kdns.Cluster, kdns.AsyncCluster), (kdns.Resolver, kdns.AsyncResolver)):
        ours, theirs = (
            {
                name: str(inspect.signature(member)).partition(" ->")[0]
                for name, member in inspect.getmembers(kind, inspect.isfunction)
                if not name.startswith("_") and name != "run"
            }
            for kind in (one, other)
        )
        assert ours.items() <= theirs.items()


def test_what_is_public_is_found_lazily() -> None:
    assert {*dir(kdns)} >= {*kdns.__all__}
    for name in kdns.__all__:
        assert getattr(kdns, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Clusters'"):
        _ = kdns.Clusters  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", PAGE))
def test_links_lead_somewhere(path: str) -> None:
    assert (ROOT / "docs" / path).exists()
