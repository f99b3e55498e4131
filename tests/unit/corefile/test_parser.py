import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kdns.corefile.files import Source
from kdns.corefile.parser import MAX_IMPORTS, MAX_NESTED, load, parse
from kdns.corefile.syntax import Corefile, ServerBlock
from kdns.errors import CorefileError

Written = tuple[list[str], list[list[str] | tuple[list[str], list[list[str]]]]]
Add = Callable[[str, str], Path]


def written(block: ServerBlock) -> Written:
    """A block as lists of words: a directive with lines is a pair."""
    directives: list[list[str] | tuple[list[str], list[list[str]]]] = []
    for directive in block.directives:
        words = [directive.name.text, *(word.text for word in directive.args)]
        inside = [[word.text for word in line.words] for line in directive.lines]
        directives.append((words, inside) if inside else words)
    return [key.text for key in block.keys], directives


def nothing_to_import(pattern: str, directory: Path) -> Sequence[Source]:
    raise FileNotFoundError(2, "No such file or directory", str(directory / pattern))


def blocks(text: str) -> list[Written]:
    corefile = parse(text, "Corefile", nothing_to_import, {"ZONE": "a.example"})
    return [written(block) for block in corefile.blocks]


@pytest.fixture
def add(tmp_path: Path) -> Add:
    def to(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return to


def imported(corefile: Corefile) -> list[Written]:
    return [written(block) for block in corefile.blocks]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="empty"),
        pytest.param("# nothing\n", [], id="only a comment"),
        pytest.param(". {\n}", [(["."], [])], id="no directives"),
        pytest.param(".", [(["."], [])], id="only a zone"),
        pytest.param(". {\nlog\n}\na {\n}\n", [(["."], [["log"]]), (["a"], [])], id="two blocks"),
        pytest.param(".:53\nlog\nerrors\n", [([".:53"], [["log"], ["errors"]])], id="no braces"),
        pytest.param("a,\nb\nlog", [(["a", "b"], [["log"]])], id="no braces, two lines of keys"),
        pytest.param("a b {\n}", [(["a", "b"], [])], id="keys divided by a space"),
        pytest.param("a, b {\n}", [(["a", "b"], [])], id="keys divided by a comma"),
        pytest.param("a , b {\n}", [(["a", "b"], [])], id="a comma by itself"),
        pytest.param("a,\nb,\n c {\n}", [(["a", "b", "c"], [])], id="a comma goes on"),
        pytest.param(".\n{\nlog\n}", [(["."], [["log"]])], id="brace on the next line"),
        pytest.param(". { log\n}", [(["."], [["log"]])], id="a directive after the brace"),
        pytest.param(
            ". {\nlog a {\nclass all\n}\n}",
            [(["."], [(["log", "a"], [["class", "all"]])])],
            id="lines of a directive",
        ),
        pytest.param(
            ". {\nlog { class all\n}\n}",
            [(["."], [(["log"], [["class", "all"]])])],
            id="a line after the brace",
        ),
        pytest.param(". {\nlog {\n}\n}", [(["."], [["log"]])], id="empty braces"),
        pytest.param(
            '. {\nlog "{" "}"\n}', [(["."], [["log", "{", "}"]])], id="quoted braces are words"
        ),
        pytest.param("{$ZONE} {\n}", [(["a.example"], [])], id="a key from the environment"),
        pytest.param(
            ". {\nforward . {\nexcept a\n\n}\nlog\n}",
            [(["."], [(["forward", "."], [["except", "a"]]), ["log"]])],
            id="a blank line inside",
        ),
    ],
)
def test_blocks_directives_and_lines(text: str, expected: list[Written]) -> None:
    assert blocks(text) == expected


def test_words_keep_the_line_that_they_stand_in() -> None:
    block = parse("# c\n. {\n  log {\n    class all\n  }\n}", "Corefile").blocks[0]
    line = block.directives[0].lines[0]

    assert [block.keys[0].line, block.directives[0].name.line, line.args[0].line] == [2, 3, 4]
    assert line.name.path == "Corefile"


def test_a_snippet_stands_wherever_it_is_imported() -> None:
    text = "(both) {\nlog\nerrors\n}\na {\nimport both\n}\nb {\nwhoami\nimport both\nany\n}"

    assert blocks(text) == [
        (["a"], [["log"], ["errors"]]),
        (["b"], [["whoami"], ["log"], ["errors"], ["any"]]),
    ]


def test_a_snippet_may_hold_server_blocks_and_other_snippets() -> None:
    text = "(l) {\nlog {\nclass all\n}\n}\n(z) {\na {\nimport l\n}\n}\nimport z\n"

    assert blocks(text) == [(["a"], [(["log"], [["class", "all"]])])]


def test_a_snippet_may_be_lines_of_a_directive() -> None:
    text = "(names) {\n10.0.0.1 a\n}\n. {\nhosts {\nimport names\nfallthrough\n}\n}"

    assert blocks(text) == [(["."], [(["hosts"], [["10.0.0.1", "a"], ["fallthrough"]])])]


def test_files_are_imported_relative_to_the_file_that_names_them(add: Add) -> None:
    add("conf/one", "log\nimport deeper/two\n")
    add("conf/deeper/two", "errors\n")
    corefile = load(str(add("Corefile", ". {\nimport conf/one\n}\n")))

    assert imported(corefile) == [(["."], [["log"], ["errors"]])]


def test_imported_words_name_their_own_file_and_line(add: Add) -> None:
    path = add("one", "\n\nlog\n")
    corefile = load(str(add("Corefile", ". {\nimport one\n}\n")))
    name = corefile.blocks[0].directives[0].name

    assert (name.path, name.line) == (str(path), 3)


def test_a_pattern_imports_its_files_in_order_of_their_names(add: Add) -> None:
    for name in ("b.server", "a.server", ".hidden.server", "c.other"):
        add(f"custom/{name}", f"{name} {{\n}}\n")
    corefile = load(str(add("Corefile", "import custom/*.server\n")))

    assert [block.keys[0].text for block in corefile.blocks] == [
        ".hidden.server",
        "a.server",
        "b.server",
    ]


@pytest.mark.parametrize("directory", ["custom", "missing"])
def test_a_pattern_without_files_imports_nothing(add: Add, tmp_path: Path, directory: str) -> None:
    (tmp_path / "custom").mkdir()
    text = f". {{\nimport {directory}/*.override\nlog\n}}\nimport {directory}/*.server\n"

    assert imported(load(str(add("Corefile", text)))) == [(["."], [["log"]])]


def test_a_path_from_the_root_is_imported_as_it_is(add: Add, tmp_path: Path) -> None:
    add("custom/a.conf", "log\n")
    text = f". {{\nimport {tmp_path}/custom/*.conf\nimport {tmp_path}/custom/a.conf\n}}\n"

    assert imported(load(str(add("Corefile", text)))) == [(["."], [["log"], ["log"]])]


def test_a_snippet_goes_before_a_file_of_its_name(add: Add) -> None:
    add("one", "errors\n")
    corefile = load(str(add("Corefile", "(one) {\nlog\n}\n. {\nimport one\n}\n")))

    assert imported(corefile) == [(["."], [["log"]])]


def test_a_snippet_of_an_imported_file_can_be_imported(add: Add) -> None:
    add("snippets", "(one) {\nlog\n}\n")
    corefile = load(str(add("Corefile", "import snippets\n. {\nimport one\n}\n")))

    assert imported(corefile) == [(["."], [["log"]])]


def test_keys_may_come_from_an_imported_file(add: Add) -> None:
    add("block", "b {\nlog\n}\n")
    corefile = load(str(add("Corefile", "a,\nimport block\n")))

    assert imported(corefile) == [(["a", "b"], [["log"]])]


def test_every_file_that_was_read_is_a_source_once(add: Add, tmp_path: Path) -> None:
    add("one", "log\n")
    add("b.conf", "errors\n")
    text = ". {\nimport one\nimport one\nimport *.conf\nimport *.none\n}\n"
    path = add("Corefile", text)

    assert load(str(path)).sources == (
        (str(path), text.encode()),
        (str(tmp_path / "one"), b"log\n"),
        (str(tmp_path / "b.conf"), b"errors\n"),
    )


def test_bytes_that_are_no_text_do_not_stop_a_comment_from_being_one(tmp_path: Path) -> None:
    path = tmp_path / "Corefile"
    path.write_bytes(b". { # caf\xe9\nlog\n}\n")
    corefile = load(str(path))

    assert imported(corefile) == [(["."], [["log"]])]
    assert corefile.sources == ((str(path), b". { # caf\xe9\nlog\n}\n"),)


def test_standard_input_is_read_for_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b". {\nlog\n}\n")))
    corefile = load("stdin")

    assert imported(corefile) == [(["."], [["log"]])]
    assert corefile.sources == (("stdin", b". {\nlog\n}\n"),)


def test_a_file_called_stdin_is_imported_as_a_file(
    add: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("stdin", "log\n")
    monkeypatch.chdir(tmp_path)

    assert imported(parse(". {\nimport stdin\n}\n", "Corefile")) == [(["."], [["log"]])]


def test_a_missing_corefile_is_an_error_of_its_path(tmp_path: Path) -> None:
    with pytest.raises(CorefileError) as caught:
        load(str(tmp_path / "Corefile"))

    assert str(caught.value) == f"{tmp_path}/Corefile: No such file or directory"


def test_a_directory_that_a_pattern_matches_is_refused(add: Add, tmp_path: Path) -> None:
    add("custom/data/file", "")
    path = add("Corefile", "import custom/*\n")

    with pytest.raises(CorefileError) as caught:
        load(str(path))

    where = f"({tmp_path}/custom/data)"
    assert str(caught.value) == f"{path}:1: cannot import 'custom/*': Is a directory {where}"


def test_a_file_that_imports_itself_is_refused(add: Add, tmp_path: Path) -> None:
    add("one", "import two\n")
    add("two", "log\nimport ./one\n")
    path = add("Corefile", ". {\nimport one\n}\n")

    with pytest.raises(CorefileError) as caught:
        load(str(path))

    way = f"{tmp_path}/one -> {tmp_path}/two -> {tmp_path}/one"
    assert str(caught.value) == f"{tmp_path}/two:2: import of itself: {way}"


def test_a_corefile_that_imports_itself_is_refused(add: Add) -> None:
    path = add("Corefile", "import *\n")

    with pytest.raises(
        CorefileError, match=r"Corefile:1: import of itself: .*Corefile -> .*Corefile$"
    ):
        load(str(path))


def test_imports_beyond_the_limit_are_refused() -> None:
    doubling = "".join(f"(s{n}) {{\nimport s{n - 1}\nimport s{n - 1}\n}}\n" for n in range(1, 20))
    text = f"(s0) {{\nlog\n}}\n{doubling}. {{\nimport s19\n}}\n"

    with pytest.raises(CorefileError, match=f"too many imports: expected at most {MAX_IMPORTS}"):
        blocks(text)


def test_imports_in_one_another_are_limited() -> None:
    levels = range(1, MAX_NESTED + 1)
    nested = "".join(f"(s{n}) {{\nimport s{n - 1}\n}}\n" for n in levels)
    snippets = f"(s0) {{\nlog\n}}\n{nested}"

    assert blocks(f"{snippets}. {{\nimport s{MAX_NESTED - 1}\n}}") == [(["."], [["log"]])]
    with pytest.raises(CorefileError, match=f"{MAX_NESTED} of them in one another"):
        blocks(f"{snippets}. {{\nimport s{MAX_NESTED}\n}}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(". {\nlog\n", "1: '{' is never closed: expected a line with '}'", id="open"),
        pytest.param(
            ". {\nlog {\nclass all\n}\n",
            "1: '{' is never closed: expected a line with '}'",
            id="the outer one is open",
        ),
        pytest.param(". {\n}\n}\n", "3: '}' closes nothing: no '{' is open", id="closed twice"),
        pytest.param(
            ". {\nlog { class all }\n}",
            "2: expected '}' on a line of its own",
            id="closed at the end of a line",
        ),
        pytest.param(
            ". {\n} a {\n}",
            "2: expected the end of the line after '}', got 'a'",
            id="a word after the end",
        ),
        pytest.param("{\nlog\n}", "1: expected a word before '{'", id="no key"),
        pytest.param(". {\nlog\n{\n}\n}", "3: expected a word before '{'", id="a brace by itself"),
        pytest.param(
            ".:53{\nlog\n}", "1: expected a space before the '{' of '.:53{'", id="glued key"
        ),
        pytest.param(
            ". {\nlog{\n}\n}", "2: expected a space before the '{' of 'log{'", id="glued directive"
        ),
        pytest.param(
            ". {\nlog {\nclass {\nall\n}\n}\n}",
            "3: expected no braces inside a directive's braces, got some after 'class'",
            id="braces in a directive's braces",
        ),
        pytest.param(
            "a {\nb {\nc {\nd {\n}\n}\n}\n}",
            "4: braces nest too deep: expected a server block, a directive and its lines",
            id="deeper still",
        ),
        pytest.param("a, {\n}", "1: expected another zone after the comma", id="comma, brace"),
        pytest.param("a,\n", "1: expected another zone after the comma", id="comma, end"),
        pytest.param(
            "\n{$NONE} {\n}",
            "2: expected a zone before '{', got nothing: is a variable not set?",
            id="a variable that is not set",
        ),
        pytest.param(
            ". {\nimport\n}",
            "2: import: expected one file, pattern or snippet, got nothing",
            id="import of nothing",
        ),
        pytest.param(
            ". {\nimport a b\n}",
            "2: import: expected one file, pattern or snippet, got 'a' 'b'",
            id="import with arguments",
        ),
        pytest.param(". {\nimport a {\n}\n}", "2: import takes no block", id="import with a block"),
        pytest.param(
            "(common) {\n}\n. {\nimport comon\n}",
            "4: file to import not found: 'comon', nor a snippet, did you mean 'common'?",
            id="a snippet's name with a slip",
        ),
        pytest.param(
            "(a) {\n}\n\n(a) {\n}",
            "4: snippet 'a' is already defined at Corefile:1",
            id="a snippet twice",
        ),
        pytest.param(
            "(a)\nlog", "1: expected '{' after the name of snippet 'a'", id="snippet, no braces"
        ),
        pytest.param(
            "(a) {\nimport a\n}\n. {\nimport a\n}",
            "2: import of itself: (a) -> (a)",
            id="a snippet in itself",
        ),
    ],
)
def test_what_is_refused_and_where(text: str, expected: str) -> None:
    with pytest.raises(CorefileError) as caught:
        blocks(text)

    assert str(caught.value) == f"Corefile:{expected}"


@pytest.mark.parametrize("pattern", ["*/*.conf", "a?b?", "[ab].conf"])
def test_a_pattern_with_many_wildcards_is_refused_as_caddy_does(add: Add, pattern: str) -> None:
    path = add("Corefile", f"import {pattern}\n")

    with pytest.raises(CorefileError) as caught:
        load(str(path))

    expected = "expected at most one * and one ?, and no [, in a pattern"
    assert str(caught.value) == f"{path}:1: cannot import {pattern!r}: {expected}"
