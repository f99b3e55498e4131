"""Any text is a Corefile or a CorefileError; what was read, written down, is read the same."""

from collections.abc import Sequence
from pathlib import Path

from hypothesis import assume, example, given
from hypothesis import strategies as st

from kdns.corefile import directives
from kdns.corefile.files import Source
from kdns.corefile.keys import Served, check_overlaps, read_keys
from kdns.corefile.parser import parse
from kdns.corefile.regex import compiled
from kdns.corefile.syntax import Corefile, Directive, ServerBlock, Token
from kdns.errors import CorefileError

FRAGMENTS = (
    *(". ", "a.example:53 ", "10.0.0.0/15", "tls://.", ",", "a, ", "log ", "forward . 1.1.1.1"),
    *(" {\n", "\n}\n", "{", "}", "\n", "\n", " ", "#c ", "x#y z", '"q w"', '"q\\"\n"', '"', "\\"),
    *("import ", "import file\n", "import *.conf\n", "(s) {\nlog\n}\n", "import s\n", "(t) {\n"),
    *(". {\n", "log {\nclass all\n}\n", "{$VAR}", "{%VAR%}", "{$NONE}", "\r\n", "\ufeff", "\x85"),
)
corefiles = st.one_of(st.text(), st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join))
patterns = st.one_of(
    st.text(),
    st.lists(st.sampled_from([*r"ab()[]{}^$.*+?|\-,:1", "(?i)", "[:alpha:]", r"\d", "(?P<a>"])).map(
        "".join
    ),
)


def printed(corefile: Corefile) -> str:
    """Write down what was read, as plainly as possible."""
    return "\n" + "".join(map(_block, corefile.blocks))


def _block(block: ServerBlock) -> str:
    *others, last = (_word(key) for key in block.keys)
    keys = " ".join([*(_with_comma(key) for key in others), last])
    return f"{keys} {{\n{''.join(map(_directive, block.directives))}}}\n"


def _with_comma(written: str) -> str:
    return written[:-1] + ',"' if written.startswith('"') else written + ","


def _directive(directive: Directive) -> str:
    words = " ".join(map(_word, (directive.name, *directive.args)))
    lines = "".join(" ".join(map(_word, line.words)) + "\n" for line in directive.lines)
    return f"{words} {{\n{lines}}}\n" if lines else f"{words}\n"


def _word(token: Token) -> str:
    return '"' + token.text.replace('"', '\\"') + '"' if token.quoted else token.text


def placeless(corefile: Corefile) -> list[object]:
    """What a Corefile says, without where it says it."""

    def words(tokens: Sequence[Token]) -> list[tuple[str, bool]]:
        return [(token.text, token.quoted) for token in tokens]

    return [
        (
            words(block.keys),
            [
                (words((each.name, *each.args)), [words(line.words) for line in each.lines])
                for each in block.directives
            ],
        )
        for block in corefile.blocks
    ]


def use(corefile: Corefile) -> None:
    """Read the keys and names too; CorefileError is as good as none."""
    check_overlaps(Served(read_keys(block)) for block in corefile.blocks)
    for block in corefile.blocks:
        directives.check(block)


@given(corefiles, st.one_of(st.binary(), corefiles.map(str.encode)), corefiles)
@example(". {\nimport file\n}\n", b"import file\n", "")
@example("{$VAR}", b"", "{$VAR}")
def test_any_text_is_a_corefile_or_an_error_of_one(text: str, file: bytes, value: str) -> None:
    def read(pattern: str, directory: Path) -> Sequence[Source]:
        if pattern != "file" and "*" not in pattern:
            raise FileNotFoundError
        return [Source(str(directory / "file"), file)]

    try:
        corefile = parse(text, "Corefile", read, {"VAR": value})
        use(corefile)
    except CorefileError as error:
        understood = error.path in {"Corefile", "file"} and error.line > 0
    else:
        understood = corefile.sources[0] == ("Corefile", text.encode())

    assert understood


def nothing(_pattern: str, _directory: Path) -> Sequence[Source]:
    return []


@given(corefiles)
@example('"a b\\\\" c {\nlog "{" "}" \\ {\n"import" a\n}\n}\n')
def test_what_was_read_is_read_again_when_it_is_written_down(text: str) -> None:
    assume("{$" not in text)
    assume("{%" not in text)
    try:
        corefile = parse(text, "Corefile", nothing, {})
    except CorefileError:
        return

    assert placeless(parse(printed(corefile), "Corefile", nothing, {})) == placeless(corefile)


@given(patterns)
def test_any_pattern_is_compiled_or_a_value_error(pattern: str) -> None:
    try:
        outcome: object = compiled(pattern)
    except ValueError as error:
        outcome = str(error)

    assert outcome
