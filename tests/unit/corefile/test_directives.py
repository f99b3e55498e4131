import pytest

from kdns.corefile.directives import KNOWN, ORDER, check
from kdns.corefile.parser import parse
from kdns.errors import CorefileError


def test_every_directive_of_kdns_has_its_place_in_the_chain() -> None:
    assert set(ORDER) >= KNOWN
    assert len(set(ORDER)) == len(ORDER) == 60


def test_directives_of_kdns_are_taken() -> None:
    (block,) = parse(".\n" + "\n".join(sorted(KNOWN)), "Corefile").blocks

    check(block)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("dnssec", "directive 'dnssec' is one of CoreDNS, and kdns does not have it"),
        ("view", "directive 'view' is one of CoreDNS, and kdns does not have it"),
        ("foward", "Unknown directive 'foward', did you mean 'forward'?"),
        ("imprt", "Unknown directive 'imprt', did you mean 'import'?"),
        ("xyzzy", "Unknown directive 'xyzzy'"),
        ('"import" a', "Unknown directive 'import'"),
        ("a.example {\nlog\n}", "Unknown directive 'a.example'"),
    ],
)
def test_other_words_are_refused_where_they_stand(word: str, expected: str) -> None:
    (block,) = parse(f". {{\nlog\n{word}\n}}", "Corefile").blocks

    with pytest.raises(CorefileError) as caught:
        check(block)

    assert str(caught.value) == f"Corefile:3: {expected}"
