"""What is no template is refused with a reason; what is one is written as Go writes it."""

import re

import pytest

from kdns.directives.gotemplate.nodes import written
from kdns.directives.gotemplate.parser import parse


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param("{{ .Name }} 60 IN A  1", "{{.Name}} 60 IN A  1", id="text is kept"),
        pytest.param("a  {{- .Name -}}  b", "a{{.Name}}b", id="trimmed"),
        pytest.param("a{{/* c */}}b", "ab", id="comment"),
        pytest.param("{{print .Name|len}}", "{{print .Name | len}}", id="pipeline"),
        pytest.param("{{ (  .A.B  ).C }}", "{{(.A.B).C}}", id="chain"),
        pytest.param("{{$x:=1}}{{$x =2}}", "{{$x := 1}}{{$x = 2}}", id="variables"),
        pytest.param(
            "{{range $i,$m:=.Match}}{{break}}{{end}}",
            "{{range $i, $m := .Match}}{{break}}{{end}}",
            id="range",
        ),
        pytest.param(
            "{{if true}}a{{else if nil | not}}b{{else}}c{{end}}",
            "{{if true}}a{{else}}{{if nil | not}}b{{else}}c{{end}}{{end}}",
            id="else if",
        ),
        pytest.param(
            '{{ index $.A 0x1F `r` "\\"" }}', '{{index $.A 0x1F `r` "\\""}}', id="constants"
        ),
        pytest.param("{{ if . }}{{ else }}{{ end }}", "{{if .}}{{else}}{{end}}", id="empty else"),
    ],
)
def test_a_template_is_written_as_go_writes_it(template: str, expected: str) -> None:
    nodes = parse(template)

    assert written(nodes) == expected
    # Nodes side by side may have been one text: the text is what stays.
    assert written(parse(expected)) == expected


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ .Name", "unclosed action: expected }}"),
        ('{{ "x }}', "unterminated quoted string"),
        ("{{ `x }}", "unterminated raw quoted string"),
        ("{{ 'x }}", "unterminated character constant"),
        ("{{ /* x */ }}", "unexpected '/' in an action"),
        ("{{/* x }}", "unclosed comment"),
        ("{{/* x */ .Name }}", "a comment must fill its action: {{/* like this */}}"),
        ('{{ print"x" }}', "bad character '\"' after 'print'"),
        ("{{ .Name! }}", "bad character '!' after '.Name'"),
        ("{{ }}", "a value is missing"),
        ("{{ | print }}", "unexpected '|': expected a value"),
        ("{{ print | }}", "a value is missing"),
        ("{{ print | 5 }}", "5 can take no value from the pipeline before it"),
        ("{{ (print }}", "a parenthesis is not closed"),
        ("{{ print) }}", "unexpected ')' in a command"),
        ("{{ (print)(print) }}", "unexpected '(' after print: expected a space"),
        ('{{ "x".Name }}', 'unexpected .Name after "x"'),
        ("{{ 1.5 }}", "bad number '1.5': expected a whole number"),
        ("{{ 1i }}", "bad number '1i': expected a whole number"),
        ("{{ 08 }}", "bad number '08': expected a whole number"),
        ("{{ 99999999999999999999 }}", "the number 99999999999999999999 has more than 64 bits"),
        ("{{ 'ab' }}", "malformed character constant 'ab'"),
        (r'{{ "\q" }}', r"unknown escape '\\q' in '\\q'"),
        (r'{{ "\ud800" }}', r"unknown escape '\\ud800' in '\\ud800'"),
        ("{{ $x }}", "undefined variable $x"),
        ("{{ $x = 1 }}", "undefined variable $x"),
        ("{{ $x, $y := 1 }}", "unexpected ',' after $x"),
        ("{{ range $x, $y }}{{ end }}", "expected := after the variables of a range"),
        ("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", "undefined variable $x"),
        ("{{ if }}{{ end }}", "a value is missing"),
        ("{{ if true }}", "{{if}} without {{end}}"),
        ("{{ if true }}{{ else }}", "{{if}} without {{end}}"),
        ("{{ if true }}{{ else }}{{ else }}{{ end }}", "{{if}} without {{end}}"),
        ("{{ with .A }}{{ else if .B }}{{ end }}", "unexpected word after {{else}} of {{with}}"),
        (
            "{{ range .A }}{{ else range .B }}{{ end }}",
            "unexpected word after {{else}} of {{range}}",
        ),
        ("{{ end }}", "unexpected {{end}}"),
        ("{{ else }}", "unexpected {{else}}"),
        ("{{ break }}", "{{break}} outside of {{range}}"),
        ("{{ print if }}", "unexpected word 'if'"),
        ("{{ template .A }}", "{{template}} is not supported: a record is one template"),
        ('{{ define "x" }}{{ end }}', "{{define}} is not supported: a record is one template"),
        ("{{ " + "(" * 101 + " }}", "nested more than 100 deep"),
    ],
)
def test_what_is_no_template_is_refused_with_a_reason(template: str, reason: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(reason)):
        parse(template)


def test_an_unknown_function_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match="unknown function 'call': expected one of and, eq, ge"):
        parse("{{ call .Name }}")
