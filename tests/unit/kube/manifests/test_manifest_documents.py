import json

import pytest

from kdns.errors import ManifestError
from kdns.kube.manifests import yamls
from kdns.kube.manifests.documents import Known, Manifest, parse

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
JSON_LIST = """{
  "apiVersion": "v1",
  "kind": "List",
  "items": [
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}},
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "prod"}},
    {
      "apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"}
    }
  ]
}
"""
SERVICE_JSON = '{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api"}}'


def titles(manifest: Manifest) -> list[tuple[int, str]]:
    return [(one.line, one.title) for one in manifest.documents]


FORMS = {
    "one document": (SERVICE, [(1, "Service default/web")]),
    "several, with empty ones": (
        f"# hello\n---\n---\n{SERVICE}---\n{SERVICE}...\n",
        [(4, "Service default/web"), (8, "Service default/web")],
    ),
    "nothing": ("", []),
    "a comment": ("# nothing\n", []),
    "a List": (
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Node, metadata: {name: n}}\n",
        [(4, "Node n")],
    ),
    "an empty List": ("apiVersion: v1\nkind: List\nitems: []\n", []),
    "a typed list": (
        "apiVersion: v1\nkind: ServiceList\nitems:\n- metadata:\n    name: web\n",
        [(4, "Service default/web")],
    ),
    "a list in a list as YAML": (
        "{apiVersion: v1, kind: List, items: [{kind: PodList, items: [{metadata: {name: a}}]}]}",
        [(1, "Pod default/a")],
    ),
    "a list in a list": (
        '{"apiVersion": "v1", "kind": "List", "items": [\n'  # noqa: ISC004 - one document
        '{"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "a"}}]}]}',
        [(2, "Pod default/a")],
    ),
    "JSON": (JSON_LIST, [(5, "Service default/web"), (7, "Service default/db")]),
    "JSON documents one after the other": (
        JSON_LIST + SERVICE_JSON + SERVICE_JSON + "\n\n" + SERVICE_JSON + "\n",
        [
            (5, "Service default/web"),
            (7, "Service default/db"),
            *((number, "Service default/api") for number in (12, 12, 14)),
        ],
    ),
    "JSON and then YAML": (
        SERVICE_JSON + SERVICE_JSON + "\n---\n" + SERVICE,
        [(1, "Service default/api"), (1, "Service default/api"), (3, "Service default/web")],
    ),
    "JSON and a comment": (SERVICE_JSON + " # the API\n", [(1, "Service default/api")]),
    "JSON after blank lines": (
        "\n\n" + JSON_LIST.replace("\n", ""),
        [(3, "Service default/web"), (3, "Service default/db")],
    ),
    "a typed list as JSON": (
        '{"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "a"}}]}',
        [(1, "Pod default/a")],
    ),
    "flow YAML that looks like JSON": (
        "{apiVersion: v1, kind: Pod, metadata: {name: a}}",
        [(1, "Pod default/a")],
    ),
    "JSON with a null": (
        '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "uid": null}}',
        [(1, "Pod default/a")],
    ),
    "a byte order mark": ("\ufeff" + SERVICE, [(1, "Service default/web")]),
}


@pytest.mark.parametrize("form", FORMS)
def test_reads_what_kubectl_reads(form: str) -> None:
    text, expected = FORMS[form]

    assert titles(parse(text.encode(), "x.yaml")) == expected


def test_counts_other_kinds_and_remembers_their_namespaces() -> None:
    manifest = parse(JSON_LIST.encode(), "x.json")

    assert manifest.others == ("ConfigMap",)
    assert manifest.namespaces == {"prod"}


@pytest.mark.parametrize("api_version", ["serving.knative.dev/v1", "apps/v1"])
def test_a_service_of_another_api_group_is_another_kind(api_version: str) -> None:
    text = SERVICE.replace("v1", api_version)

    assert parse(text.encode(), "x.yaml").others == (f"Service ({api_version})",)


IMPORTS = """
apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ServiceImport
metadata: {name: web, namespace: shop}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {multicluster.kubernetes.io/service-name: web}}
---
"""


def test_imports_can_count_as_other_kinds() -> None:
    found = parse((IMPORTS + SERVICE).encode(), "x.yaml")

    manifest = found.without_imports()

    assert len(found.documents) == 3
    assert [one.title for one in manifest.documents] == ["Service default/web"]
    assert manifest.others == ("ServiceImport", "EndpointSlice (imported)")
    assert manifest.namespaces == {"default", "shop"}
    assert manifest.without_imports() is manifest


@pytest.mark.parametrize(
    "text", ["replicas: 3\n", "- a\n", "[1, 2]", '{"version": 2}', "kind: X\n"]
)
def test_files_of_a_directory_may_be_no_manifests(text: str) -> None:
    assert parse(text.encode(), "x.yaml", lenient=True) == Manifest(strays=1)


SCALARS = {
    "2020-01-01": "2020-01-01",
    "2001-12-14T21:59:43Z": "2001-12-14T21:59:43Z",
    "'80'": "80",
    "!!str 80": "80",
    "22:30": "22:30",
    "1.2.3": "1.2.3",
    "&x web": "web",
}


@pytest.mark.parametrize("text", SCALARS)
def test_texts_stay_texts(text: str) -> None:
    written = f"{SERVICE}spec: {{externalName: {text}}}\n"

    [document] = parse(written.encode(), "x.yaml").documents

    assert document.shape.spec.external_name == SCALARS[text]  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["8080", "0x1f90", "017620", "0o17620", "8_080", "+8080"])
def test_numbers_are_numbers(text: str) -> None:
    written = f"{SERVICE}spec: {{ports: [{{port: {text}}}]}}\n"

    [document] = parse(written.encode(), "x.yaml").documents

    assert document.shape.spec.ports[0].port == 8080  # type: ignore[union-attr,index]


def test_anchors_aliases_and_merge_keys_are_followed() -> None:
    written = """
x: [&labels {app: web, tier: front}, &more {zone: a, app: no}]
apiVersion: v1
kind: Service
metadata: {name: web, labels: {<<: [*labels, *more], app: mine}}
spec: {selector: *labels}
"""

    [document] = parse(written.encode(), "x.yaml").documents

    assert document.shape.metadata.labels == {"app": "mine", "tier": "front", "zone": "a"}
    assert document.shape.spec.selector == {"app": "web", "tier": "front"}  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["8.5", "1e3", "-.5"])
def test_a_fraction_is_no_port(text: str) -> None:
    with pytest.raises(ManifestError, match="Expected `int`, got `float`"):
        parse(f"{SERVICE}spec: {{ports: [{{port: {text}}}]}}\n".encode(), "x.yaml")


def line(number: int, text: str) -> str:
    return f"x.yaml:{number}: {text}"


POD = '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}'
HELM = "looks like a Helm template; render it first with helm template"
REFUSED = {
    "kind: [": line(2, "not YAML: did not find expected node content"),
    "a: b: c": line(1, "not YAML: mapping values are not allowed in this context"),
    "a: 1\na: 2": line(2, "not YAML: found the key 'a' a second time, expected it once"),
    "a: *b": line(1, "not YAML: alias *b without anchor"),
    "{a: b}: c": line(1, "not YAML: found a mapping or a list as a key, expected a text"),
    "a: {{ .Values.x }}": line(1, HELM),
    "{{- if .Values.x }}\na: b\n": line(1, HELM),
    "metadata: {}": line(1, "found no kind, expected a manifest with apiVersion and kind"),
    "\nkind: Pod": line(2, "found no apiVersion, expected a manifest with apiVersion and kind"),
    "- a": line(1, "found no mapping, expected a manifest with apiVersion and kind"),
    "text": line(1, "found no mapping, expected a manifest with apiVersion and kind"),
    f"{SERVICE}spec:\n  ports:\n  - port: 80\n  - port: http\n": line(
        7, "Service: Expected `int`, got `str` - at `$.spec.ports[1].port`"
    ),
    f"{SERVICE}spec:\n  ports:\n  - port: 70000\n": line(
        6, "Service: found 70000, expected `int` <= 65535 - at `$.spec.ports[0].port`"
    ),
    f"{SERVICE}spec:\n  ports:\n  - name: a\n": line(
        6, "Service: Object missing required field `port` - at `$.spec.ports[0]`"
    ),
    f"{SERVICE}spec:\n  selector:\n    app: 1\n": line(
        6, "Service: Expected `str`, got `int` - at `$.spec.selector[...]`"
    ),
    f"{SERVICE}spec:\n  type: ClusterIP\n  clusterIP: 10.0.0.300\n": line(
        6, "Service: found '10.0.0.300', expected an IP address or None - at `$.spec.clusterIP`"
    ),
    f"{SERVICE}spec: {{clusterIP: none}}\n": line(
        4, "Service: found 'none', expected an IP address or None - at `$.spec.clusterIP`"
    ),
    f"{SERVICE}spec:\n  clusterIPs:\n  - 10.0.0.1\n  - fd00::g\n": line(
        7, "Service: found 'fd00::g', expected an IP address or None - at `$.spec.clusterIPs[1]`"
    ),
    f"{SERVICE}spec: {{type: ExternalName}}\n": line(
        4,
        "Service: found type ExternalName without externalName, expected a name - at `$.spec`",
    ),
    "apiVersion: v1\nkind: Service\nmetadata:\n  name: Web\n": line(
        4,
        "Service: found 'Web', expected at most 63 of a-z, 0-9 and '-', a letter first (RFC 1035)"
        " - at `$.metadata.name`",
    ),
    "apiVersion: v1\nkind: Service\nmetadata: {}\n": line(
        3,
        "Service: found no name, expected at most 63 of a-z, 0-9 and '-', a letter first (RFC 1035)"
        " - at `$.metadata.name`",
    ),
    "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace: a.b\n": line(
        5,
        "Pod: found 'a.b', expected at most 63 of a-z, 0-9 and '-' (RFC 1123)"
        " - at `$.metadata.namespace`",
    ),
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: '{{ .x }}'}\n": line(
        3, f"Namespace: found '{{{{ .x }}}}', {HELM} - at `$.metadata.name`"
    ),
    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a}\n"
    "addressType: IPv6\nendpoints:\n- addresses: [fd00::1]\n- addresses:\n  - 10.0.0.1\n": line(
        8,
        "EndpointSlice: found '10.0.0.1', expected an IPv6 address"
        " - at `$.endpoints[1].addresses[0]`",
    ),
    "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Node, metadata: {name: n}}\n"
    "- apiVersion: v1\n  kind: Pod\n  metadata: {name: 5}\n": line(
        7, "Pod: Expected `str`, got `int` - at `$.metadata.name`"
    ),
    JSON_LIST.replace('"db"', "5"): line(
        8, "Service: Expected `str`, got `int` - at `$.metadata.name`"
    ),
    '["a"]': line(1, "found no mapping, expected a manifest with apiVersion and kind"),
    f"{SERVICE}x: {'1' * 5000}\n": line(
        4, "not YAML: found a number of 5000 digits, expected one that fits 64 bits"
    ),
    f'{{"apiVersion": "v1", "kind": "Service", "metadata": {{"name":\n{"1" * 5000}}}}}': line(
        2, "not YAML: found a number of 5000 digits, expected one that fits 64 bits"
    ),
    f"{SERVICE}---\n{SERVICE}spec:\n  ports:\n  - port: http\n": line(
        10, "Service: Expected `int`, got `str` - at `$.spec.ports[0].port`"
    ),
    f"{SERVICE}---\n{SERVICE}---\nx: [\n---\n": line(
        10, "not YAML: did not find expected node content"
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_says_where_and_what_it_cannot_use(text: str) -> None:
    with pytest.raises(ManifestError) as error:
        parse(text.encode(), "x.yaml")

    assert str(error.value) == REFUSED[text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a":\n1,}', "x.json:2: not JSON: JSON is malformed: trailing comma in object (byte 8)"),
        ('\n{"a": {\n', "x.json:2: not JSON: Input data was truncated"),
        (POD + '\n{"a":\n1,}', "x.json:3: not JSON: JSON is malformed: trailing comma in object"),
        (
            POD + POD + "\n\n[]",
            "x.json:3: found no mapping, expected a manifest with apiVersion and kind",
        ),
        (POD + "\n]", "x.json:2: not JSON: JSON is malformed: trailing characters (byte 64)"),
        (POD + "\xff", "x.json:1: not JSON: JSON is malformed: trailing characters (byte 63)"),
        (
            POD + "\n" + POD.replace('"a"', "5"),
            "x.json:2: Pod: Expected `str`, got `int` - at `$.metadata.name`",
        ),
    ],
)
def test_broken_json_has_a_line_too(text: str, expected: str) -> None:
    with pytest.raises(ManifestError) as error:
        parse(text.encode("latin-1"), "x.json")

    assert str(error.value) == expected


@pytest.mark.parametrize(
    "data",
    [
        *(b"\x00", b"a: \x01", b"\xff\xfe\x00"),
        *(b"[" * 100_000, b'{"a":' * 100_000, b"{}" + b'{"a":' * 100_000),
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        *(b'{"kind": "\xff"}', POD.encode() + b'{"kind": "\xff"}'),
    ],
)
def test_bytes_that_are_no_text_are_an_error_like_any_other(data: bytes) -> None:
    with pytest.raises(ManifestError):
        parse(data, "x.yaml")


@pytest.mark.parametrize("error", [ValueError("too long"), RecursionError("too long")])
def test_what_a_library_gives_up_on_is_an_error_of_the_file(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def give_up(_: bytes) -> None:
        raise error

    monkeypatch.setattr(yamls, "split", give_up)

    with pytest.raises(ManifestError, match=r"^x\.yaml:1: cannot be read: too long$"):
        parse(SERVICE.encode(), "x.yaml")


def test_json_documents_may_be_divided_as_yaml_is() -> None:
    manifest = parse(f"{SERVICE_JSON}\n---\n{SERVICE_JSON}\n".encode(), "x.json")

    assert [one.line for one in manifest.documents] == [1, 3]


def test_a_stream_is_read_as_its_documents_are() -> None:
    texts = [
        f"# before\n{SERVICE}",
        f"--- # web\n{SERVICE}data:\n  x: |\n   ---\n   a\n  y: ---a\n",
        "---\n",
        f"---\t\n{SERVICE}...\n",
        "---\r\n" + SERVICE.replace("\n", "\r\n"),
        "--- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n",
        "---",
    ]

    manifest = parse("".join(texts).encode(), "x.yaml")

    assert titles(manifest) == [
        *((number, "Service default/web") for number in (2, 6, 16, 21)),
        (24, "Pod default/a"),
    ]


def test_directives_hold_for_what_follows() -> None:
    text = f"{SERVICE}...\n%TAG !k! tag:yaml.org,2002:\n---\n{SERVICE}x: !k!str 5\n"

    assert titles(parse(text.encode(), "x.yaml")) == [
        (1, "Service default/web"),
        (7, "Service default/web"),
    ]


def test_a_document_that_is_known_is_not_read_anew() -> None:
    pod = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"
    known: Known = {}

    before = parse(f"{SERVICE}{pod}{pod}".encode(), "x.yaml", known=known)
    with pytest.raises(ManifestError):
        parse(f"{SERVICE}{pod}---\nx: [".encode(), "x.yaml", known=known)
    after = parse(f"\n{SERVICE}# more\n{pod}".encode(), "x.yaml", known=known)

    assert titles(before) == [
        (1, "Service default/web"),
        (5, "Pod default/a"),
        (9, "Pod default/a"),
    ]
    assert titles(after) == [(2, "Service default/web"), (7, "Pod default/a")]
    assert after.documents[1].shape is before.documents[1].shape
    assert after.documents[0].shape is not before.documents[0].shape
    assert len(known) == 2


def test_documents_that_follow_one_another_count_together() -> None:
    other = '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "b"}}'

    manifest = parse(f"{other}{other}{{}}\n{{}}".encode(), "x.json", lenient=True)

    assert manifest == Manifest((), ("Secret", "Secret"), 2, frozenset({"b"}))


def test_json_and_yaml_give_the_same_shapes() -> None:
    yaml = f"{SERVICE}spec: {{ports: [{{port: 80, targetPort: http}}], selector: {{app: web}}}}\n"
    spec = {"ports": [{"port": 80, "targetPort": "http"}], "selector": {"app": "web"}}
    value = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}

    assert parse(json.dumps(value).encode(), "x") == parse(yaml.encode(), "x")
