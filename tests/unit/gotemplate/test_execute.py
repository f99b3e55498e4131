"""What templates render to. Every expectation was written by Go's text/template of Go 1.26."""

import pytest

from kdns.directives.gotemplate.execute import MAX_STEPS, MAX_TEXT, execute
from kdns.directives.gotemplate.formatting import MAX_WIDTH
from kdns.directives.gotemplate.parser import parse
from kdns.directives.gotemplate.values import Composite, Short, TemplateFailure, Unsigned

QUESTION = Composite("*dns.Question", {"Name": "IP-10.example.org.", "Qtype": Short(1)})
DATA = Composite(
    "*template.templateData",
    {
        "Zone": "example.org.",
        "Name": "ip-10-1-2-3.example.org.",
        "Type": "A",
        "Match": ["ip-10-1-2-3", "10", "1", ""],
        "Group": {"b": "1f", "a": "10", "e": ""},
        "Question": QUESTION,
        "Meta": lambda label: f"<{label}>",
    },
)


def rendered(template: str) -> str:
    return execute(parse(template), DATA)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ .Name }}", "ip-10-1-2-3.example.org."),
        ("{{.Group.a}}.{{.Group.b}}", "10.1f"),
        ("{{- .Zone -}}  x", "example.org.x"),
        ("a {{- /* c */ -}} b", "ab"),
        ("{{/* c */}}", ""),
        (
            '{{ index .Match 1 }}|{{ index .Group "b" }}|{{ index .Group "zz" }}|{{ .Group.zz }}',
            "10|1f||<no value>",
        ),
        ("{{ .Group }} {{ .Match }}", "map[a:10 b:1f e:] [ip-10-1-2-3 10 1 ]"),
        ("{{ parseInt .Group.b 16 8 }}", "31"),
        (
            '{{ parseInt "0x1f" 0 16 }} {{ parseInt "1_000" 0 64 }} {{ parseInt "017" 0 0 }}',
            "31 1000 15",
        ),
        ('{{ .Group.b | printf "%04s" }}', "001f"),
        ('{{ printf "%02x%02x" 10 255 }}', "0aff"),
        (
            '{{ parseInt .Group.b 16 8 | printf "%[1]d %[1]x %[1]T %[1]s" }}',
            "31 1f uint64 %!s(uint64=31)",
        ),
        (
            '{{ printf "%d %x %X %o %b %c %q %U" 65 65 65 65 65 65 65 65 }}',
            "65 41 41 101 1000001 A 'A' U+0041",
        ),
        (
            '{{ printf "%5d|%-5d|%05d|%+d|%.3d|%x" 42 42 42 42 42 -42 }}',
            "   42|42   |00042|+42|042|-2a",
        ),
        (
            '{{ printf "%s %q %v %x %X % x" "a b" "a\\"b" "c" "hi" "hi" "hi" }}',
            'a b "a\\"b" c 6869 6869 68 69',
        ),
        ('{{ printf "%5s|%-5s|%.2s|%05s" "abc" "abc" "abc" "abc" }}', "  abc|abc  |ab|00abc"),
        ('{{ printf "%t %v" true false }}', "true false"),
        ('{{ printf "%v %q" .Match .Match }}', '[ip-10-1-2-3 10 1 ] ["ip-10-1-2-3" "10" "1" ""]'),
        ('{{ slice .Match 1 2 | printf "%d %s" 1 }}', "1 [10]"),
        ('{{ printf "%v %s" .Group .Group }}', "map[a:10 b:1f e:] map[a:10 b:1f e:]"),
        ('{{ printf "%#v %#v" .Group "x" }}', 'map[string]string{"a":"10", "b":"1f", "e":""} "x"'),
        ('{{ printf "%#v" .Match }}', '[]string{"ip-10-1-2-3", "10", "1", ""}'),
        ('{{ printf "%#x %#o %O" 255 8 8 }}', "0xff 010 0o10"),
        ('{{ printf "%d" "a" }}', "%!d(string=a)"),
        ('{{ printf "%s" 5 }}', "%!s(int=5)"),
        ('{{ printf "%d %d" 1 }}', "1 %!d(MISSING)"),
        ('{{ printf "%d" 1 2 }}', "1%!(EXTRA int=2)"),
        ('{{ printf "%z %!" 1 }}', "%!z(int=1) %!!(MISSING)"),
        ('{{ printf "%[2]d %[1]d" 1 2 }}', "2 1"),
        ('{{ printf "%*d|%-*d|" 5 42 5 42 }}', "   42|42   |"),
        ('{{ printf "%[3]d" 1 }}', "%!d(BADINDEX)"),
        ('{{ printf "100%%" }}', "100%"),
        ('{{ printf "%d" nil }}', "%!d(<nil>)"),
        ('{{ printf "%+q %#q %q" "é" "é" "\\a\\x00é" }}', '"\\u00e9" `é` "\\a\\x00é"'),
        ('{{ print "a" 1 2 "b" true false }}', "a1 2btrue false"),
        ('{{ println "a" 1 true }}', "a 1 true\n"),
        ('{{ len .Name }} {{ len .Match }} {{ len .Group }} {{ len "é" }}', "24 4 3 2"),
        (
            '{{ slice .Name 3 }} {{ slice .Name 0 2 }} {{ slice .Match 1 3 }} {{ slice "abc" }}',
            "10-1-2-3.example.org. ip [10 1] abc",
        ),
        ('{{ html "<a href=\'x\'>&\\"" 1 2 }}', "&lt;a href=&#39;x&#39;&gt;&amp;&#34;1 2"),
        ('{{ js "it\'s <b> = \\"é\\"\\n" }}', 'it\\\'s \\u003Cb\\u003E \\u003D \\"é\\"\\u000A'),
        ('{{ urlquery "a b&c/é~_-." }}', "a+b%26c%2F%C3%A9~_-."),
        ('{{ and 1 0 }} {{ and 1 "x" }} {{ or 0 "" "y" }} {{ or 0 "" }}', "0 x y "),
        ('{{ not "" }} {{ not 1 }} {{ not .Group.zz }} {{ 0 | and 1 }}', "true false true 0"),
        ("{{ and 0 (index .Match 99) }}{{ or 1 (index .Match 99) }}", "01"),
        (
            '{{ eq 1 1 }} {{ eq "a" "b" "a" }} {{ ne 1 2 }} {{ eq true false }}',
            "true true true false",
        ),
        ('{{ lt 1 2 }} {{ le 2 2 }} {{ gt "b" "a" }} {{ ge 1 2 }}', "true true true false"),
        ('{{ eq (parseInt "10" 10 64) 10 }} {{ lt (parseInt "10" 10 64) 11 }}', "true true"),
        ('{{ eq .Group.zz "" }} {{ ne .Group.zz nil }}', "false false"),
        ('{{ if eq .Type "A" }}yes{{ else }}no{{ end }}', "yes"),
        ("{{ if .Group.e }}e{{ else if .Group.a }}a{{ else }}none{{ end }}", "a"),
        (
            "{{ with .Group.a }}{{ . }}{{ end }}{{ with .Group.e }}{{ . }}{{ else }}empty{{ end }}",
            "10empty",
        ),
        ("{{ with .Group.e }}e{{ else with .Group.b }}{{ . }}{{ end }}", "1f"),
        ("{{ with $x := .Group.a }}{{ $x }}{{ $.Name }}{{ end }}", "10ip-10-1-2-3.example.org."),
        ("{{ range .Match }}<{{ . }}>{{ end }}", "<ip-10-1-2-3><10><1><>"),
        ("{{ range $i, $m := .Match }}{{ $i }}={{ $m }} {{ end }}", "0=ip-10-1-2-3 1=10 2=1 3= "),
        ("{{ range $k, $v := .Group }}{{ $k }}={{ $v }} {{ end }}", "a=10 b=1f e= "),
        ("{{ range 3 }}{{ . }}{{ end }}{{ range $i := 2 }}[{{ $i }}]{{ end }}", "012[0][1]"),
        (
            '{{ range .Match }}{{ if eq . "10" }}{{ continue }}{{ end }}{{ . }} {{ end }}',
            "ip-10-1-2-3 1  ",
        ),
        (
            '{{ range .Match }}{{ if eq . "1" }}{{ break }}{{ end }}{{ . }} {{ end }}',
            "ip-10-1-2-3 10 ",
        ),
        ("{{ range 0 }}x{{ else }}none{{ end }}", "none"),
        ('{{ $x := "a" }}{{ $x }}{{ $x = "b" }}{{ $x }}', "ab"),
        ('{{ $x := "a" }}{{ if true }}{{ $x = "b" }}{{ $y := $x }}{{ end }}{{ $x }}', "b"),
        ("{{ $q := .Question }}{{ $q.Name }} {{ $q.Qtype }}", "IP-10.example.org. 1"),
        ("{{ (index .Match 0) }} {{ (print .Name) | len }}", "ip-10-1-2-3 24"),
        ('{{ .Meta "foo" }} {{ "bar" | .Meta }}', "<foo> <bar>"),
        (
            "{{ `raw \"x\"` }} {{ \"\\t|\\u00e9|\\x41|\\101|\\\"\" }} {{ 'a' }} {{ '\\'' }}",
            'raw "x" \t|é|A|A|" 97 39',
        ),
        ("{{ 0x1F }} {{ 1_000 }} {{ 017 }} {{ 0o17 }} {{ 0b11 }} {{ -5 }}", "31 1000 15 15 3 -5"),
        ('{{ true }} {{ "x" | printf "%s-%s" "y" }}', "true y-x"),
        ('{{ "a" | print "b" | len }}', "2"),
        ('{{"{{"}}}}', "{{}}"),
    ],
)
def test_renders_as_go_does(template: str, expected: str) -> None:
    assert rendered(template) == expected


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ index .Match 9 }}", "index: index out of range: 9"),
        ("{{ index .Match -1 }}", "index: index out of range: -1"),
        ('{{ index .Match "a" }}', "index: cannot index with string"),
        ("{{ index .Group 1 }}", "index: a key is a string, not int"),
        ("{{ index true 1 }}", "index: can't index bool"),
        ("{{ index nil 1 }}", "index: index of a missing value"),
        ('{{ parseInt "gg" 16 8 }}', "parseInt: 'gg' is no number in base 16"),
        ('{{ parseInt "" 10 8 }}', "parseInt: '' is no number in base 10"),
        ('{{ parseInt "+1" 10 8 }}', "parseInt: '+1' is no number in base 10"),
        ('{{ parseInt "_1" 0 8 }}', "parseInt: '_1' is no number in base 0"),
        ('{{ parseInt "256" 10 8 }}', "parseInt: 256 does not fit in 8 bits"),
        ('{{ parseInt "1" 1 8 }}', "parseInt: invalid base 1 or bit size 8"),
        ("{{ parseInt 1 10 8 }}", "parseInt: the first argument is a string, not int"),
        ('{{ parseInt "1" "10" 8 }}', "parseInt: base and size are int, not string"),
        ('{{ parseInt "1" 10 }}', "wrong number of arguments for parseInt: 2"),
        ('{{ eq 1 "1" }}', "eq: incompatible types: int and string"),
        ('{{ lt 1 "1" }}', "lt: incompatible types: int and string"),
        ("{{ lt true false }}", "lt: incompatible types: bool and bool"),
        ("{{ eq .Match .Match }}", "eq: []string cannot be compared"),
        ("{{ len 3 }}", "len: len of int"),
        ("{{ slice 3 }}", "slice: can't slice int with 0 indices"),
        ("{{ slice .Name 3 2 }}", "slice: invalid slice index: 3 > 2"),
        ("{{ slice .Name 0 1 2 }}", "slice: can't slice string with 3 indices"),
        ("{{ slice .Match 0 2 1 }}", "slice: invalid slice index: 0 > 2"),
        ("{{ printf 5 }}", "printf: the first argument is a string, not int"),
        ("{{ .Name.Foo }}", "no field .Foo in string"),
        ("{{ .Foo }}", "no field .Foo in *template.templateData"),
        ("{{ . }}", "a *template.templateData cannot be written"),
        ("{{ .Meta }}", ".Meta takes one argument, a string"),
        ("{{ .Meta 1 }}", ".Meta takes one argument, a string"),
        ('{{ .Name "x" }}', "Name is no function and takes no argument"),
        ('{{ "x" "y" }}', '"x" is no function and takes no argument'),
        ("{{ nil }}", "nil is no command"),
        ("{{ range .Name }}x{{ end }}", "range can't iterate over string"),
        ("{{ range $i, $x := 3 }}x{{ end }}", "a range over a number has one variable"),
        (
            "{{ if .Name }}{{ $x := 1 }}{{ end }}{{ $ }}",
            "a *template.templateData cannot be written",
        ),
    ],
)
def test_what_cannot_be_carried_out_fails_with_a_reason(template: str, reason: str) -> None:
    nodes = parse(template)

    with pytest.raises(TemplateFailure) as failed:
        execute(nodes, DATA)

    assert str(failed.value) == reason


def test_a_variable_of_a_branch_that_was_not_taken_is_not_there() -> None:
    nodes = parse("{{ if .Group.e }}{{ $x := 1 }}{{ else }}{{ $x }}{{ end }}")

    with pytest.raises(TemplateFailure, match=r"undefined variable \$x"):
        execute(nodes, DATA)


def test_a_range_that_never_ends_is_ended() -> None:
    endless = Composite("data", {"Count": Unsigned(2**64 - 1)})

    with pytest.raises(TemplateFailure, match=f"more than {MAX_STEPS} commands"):
        execute(parse("{{ range .Count }}{{ $x := . }}{{ end }}"), endless)


def test_a_text_that_no_record_needs_is_not_written() -> None:
    long = Composite("data", {"Text": "x" * (MAX_TEXT // 2)})

    with pytest.raises(TemplateFailure, match=f"more than {MAX_TEXT} characters"):
        execute(parse("{{ .Text }}{{ .Text }}{{ .Text }}"), long)


@pytest.mark.parametrize("template", ['{{ printf "%99999d" 1 }}', '{{ printf "%.*d" 99999 1 }}'])
def test_a_width_that_only_fills_memory_is_refused(template: str) -> None:
    nodes = parse(template)

    with pytest.raises(TemplateFailure, match=f"printf: wider than {MAX_WIDTH} characters"):
        execute(nodes, DATA)
