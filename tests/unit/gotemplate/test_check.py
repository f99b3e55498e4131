"""What a template uses is known before it is executed, and so is what is not there."""

import re

import pytest

from kdns.directives.gotemplate.check import Fields, ListOf, check
from kdns.directives.gotemplate.parser import parse

QUESTION = Fields(".Question", {"Name": "string", "Qtype": "number"})
SHAPE = Fields(
    "the data",
    {
        "Name": "string",
        "Match": ListOf("string"),
        "Group": "strings by name",
        "Question": QUESTION,
        "Questions": ListOf(QUESTION),
        "Meta": "method",
        "Remote": "string",
    },
)


@pytest.mark.parametrize(
    ("template", "fields"),
    [
        ("plain text", ""),
        ("{{ .Name }}", "Name"),
        ("{{ $.Name }}", "Name"),
        ("{{ if .Remote }}x{{ end }}", "Remote"),
        ("{{ if true }}{{ else }}{{ .Remote }}{{ end }}", "Remote"),
        ("{{ with . }}{{ .Remote }}{{ end }}", "Remote"),
        ("{{ $x := . }}{{ $x.Remote }}", "Remote"),
        ("{{ with $x := . }}{{ $x.Remote }}{{ end }}", "Remote"),
        ("{{ (.).Remote }}", "Remote"),
        ("{{ printf `%s` (print .Remote) }}", "Remote"),
        ("{{ .Remote | print }}", "Remote"),
        ('{{ .Meta "x" }}', "Meta"),
        ('{{ "x" | .Meta }}', "Meta"),
        ("{{ range $m := .Match }}{{ $m }}{{ end }}", "Match"),
        ("{{ range .Questions }}{{ .Name }}{{ end }}", "Questions"),
        ("{{ (index .Questions 0).Name }}", "Questions"),
        ("{{ .Question.Qtype }}{{ .Group.a }}", "Group Question"),
    ],
)
def test_the_fields_that_a_template_reads_are_found(template: str, fields: str) -> None:
    assert check(parse(template), SHAPE).fields == set(fields.split())


def test_the_names_of_groups_are_found() -> None:
    nodes = parse('{{ .Group.a }}{{ $g := .Group }}{{ $g.b }}{{ index .Group "c" }}')

    assert check(nodes, SHAPE).keys == {"a", "b"}


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ .Foo }}", "unknown field .Foo of the data: expected one of .Name, .Match, .Group"),
        ("{{ $.Foo }}", "unknown field .Foo of the data"),
        ("{{ with . }}{{ .Foo }}{{ end }}", "unknown field .Foo of the data"),
        ("{{ $x := . }}{{ $x.Foo }}", "unknown field .Foo of the data"),
        ("{{ .Question.Foo }}", "unknown field .Foo of .Question: expected one of .Name, .Qtype"),
        ("{{ range .Questions }}{{ .Foo }}{{ end }}", "unknown field .Foo of .Question"),
        ("{{ (index .Questions 0).Foo }}", "unknown field .Foo of .Question"),
        ("{{ .Name.Foo }}", "a string has no field .Foo"),
        ("{{ .Match.Foo }}", "a list has no field .Foo"),
        ("{{ range .Match }}{{ .Foo }}{{ end }}", "a string has no field .Foo"),
        ("{{ range .Group }}{{ .Foo }}{{ end }}", "a string has no field .Foo"),
        ("{{ . }}", "{{.}} would write the data: name a field of it"),
        ("{{ .Question }}", "{{.Question}} would write .Question"),
        ("{{ print . }}", "print cannot take the data, only fields of it"),
        ("{{ or . true }}", "or cannot take the data, only fields of it"),
        ("{{ . | print }}", "print cannot take the data, only fields of it"),
        ("{{ .Meta }}", ".Meta takes one argument, in {{.Meta}}"),
        ('{{ .Meta "x" "y" }}', '.Meta takes one argument, in {{.Meta "x" "y"}}'),
        ("{{ $m := .Meta }}", ".Meta takes one argument"),
        ("{{ print .Meta }}", "print cannot take a method that has no argument"),
        ('{{ .Name "x" }}', ".Name is no function and takes no argument"),
        ("{{ .Name | .Name }}", ".Name is no function and takes no argument"),
        ('{{ "x" "y" }}', '"x" is no function and takes no argument'),
        ("{{ nil }}", "nil is no command"),
        ("{{ len }}", "wrong number of arguments for len: 0"),
        ("{{ print (not 1 2) }}", "wrong number of arguments for not: 2"),
        ('{{ parseInt "1" 10 }}', "wrong number of arguments for parseInt: 2"),
    ],
)
def test_what_is_not_there_is_refused(template: str, reason: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(reason)):
        check(parse(template), SHAPE)


@pytest.mark.parametrize(
    "template",
    [
        "{{ $x := .Name }}{{ if true }}{{ $x = .Question }}{{ end }}{{ if $x }}y{{ end }}",
        "{{ (or .Match .Name).Foo }}",
        "{{ not . }}",
        "{{ range $i, $m := .Match }}{{ $i }}{{ end }}",
    ],
)
def test_what_can_be_of_several_shapes_is_left_to_the_execution(template: str) -> None:
    check(parse(template), SHAPE)
