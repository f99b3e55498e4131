import json

import pytest
import yaml

from kdns.errors import ManifestError
from kdns.kube.manifests.documents import parse

LABEL = "at most 63 of a-z, 0-9 and '-' (RFC 1123)"
PODS = "pods whose names fit a hostname: 63 of a-z, 0-9 and '-' (RFC 1123)"
PORT = "at most 15 of a-z, 0-9 and '-', with a letter (RFC 6335)"
DOMAIN = "a domain of a-z, 0-9, '-' and '.' (RFC 1123), or an IP address"
TOP = "`int` <= 65535"
VALUE = "at most 63 letters, digits, '-', '_' and '.'"
API = {
    "EndpointSlice": "discovery.k8s.io/v1",
    "ServiceImport": "multicluster.x-k8s.io/v1alpha1",
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "Job": "batch/v1",
}
L63, L64 = "a" * 63, "a" * 64


def written(kind: str, body: str, name: str = "web") -> str:
    return f"apiVersion: {API.get(kind, 'v1')}\nkind: {kind}\nmetadata:\n  name: {name}\n{body}\n"


def endpoint(hostname: str) -> str:
    return written("EndpointSlice", f"endpoints:\n- addresses: []\n  hostname: {hostname}")


def old_endpoint(hostname: str, where: str = "addresses") -> str:
    return written("Endpoints", f"subsets:\n- {where}:\n  - ip: 10.0.0.1\n    hostname: {hostname}")


def labelled(label: str, value: str) -> str:
    return written("EndpointSlice", f"  labels:\n    x: y\n    {label}: {value}")


def port(kind: str, line: str) -> str:
    where = {"EndpointSlice": "ports:", "Endpoints": "subsets:\n- ports:"}
    begin = where.get(kind, "spec:\n  ports:")
    indent = "  " * begin.count("\n")
    first = "port: 80" if not line.startswith("port:") else "protocol: TCP"
    return written(kind, f"{begin}\n{indent}- {first}\n{indent}  {line}")


def alias(name: str) -> str:
    return written("Service", f"spec:\n  type: ExternalName\n  externalName: {name}")


def numbered(kind: str, name: str, spec: str = "") -> str:
    begin = f"apiVersion: {API[kind]}\nkind: {kind}\nspec: {{{spec}}}\n"
    return f"{begin}metadata:\n  name: {name}\n"


def in_pod(line: str) -> str:
    return written("Pod", f"spec:\n  {line}")


def in_template(line: str) -> str:
    return written("Deployment", f"spec:\n  template:\n    spec:\n      {line}")


ALL_PORTS = ("Service", "EndpointSlice", "Endpoints", "ServiceImport")
ACCEPTED = [
    *(endpoint(name) for name in ("a", "'9'", L63, "''", "null", "db-0")),
    *(old_endpoint(name) for name in ("a", "'9'", L63, "''")),
    *(labelled("kubernetes.io/service-name", name) for name in ("web", L63, "''", "Web_1.x")),
    labelled("multicluster.kubernetes.io/service-name", "web"),
    *(port(kind, f"name: {name}") for kind in ALL_PORTS for name in (L63, "'9'", "''", "a--b")),
    *(port(kind, "port: 65535") for kind in ALL_PORTS),
    *(port(kind, "protocol: SCTP") for kind in ALL_PORTS),
    *(port(kind, "port: 0") for kind in ALL_PORTS[1:]),
    port("EndpointSlice", "port: null"),
    *(port("Service", f"targetPort: {one}") for one in (0, "''", 65535, "http", "a-1", "x" * 15)),
    *(alias(name) for name in ("example.com", "example.com.", "db", "192.0.2.1", "'fd00::1'")),
    *(alias(name) for name in ("9.example", ".".join([L63] * 3))),
    written("Service", "spec: {externalName: 'Not_used'}"),
    *(in_pod(f"{name}: {text}") for name in ("hostname", "subdomain") for text in (L63, "''")),
    in_template("hostname: web"),
    numbered("StatefulSet", "a" * 61, "replicas: 10"),
    numbered("StatefulSet", "a" * 100, "replicas: 0"),
    numbered("Job", L63, "completions: 10"),
    *(written(kind, "spec: {}", name=f"{L64}.b") for kind in ("Pod", "Deployment")),
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_what_a_cluster_takes_is_taken(text: str) -> None:
    value = yaml.safe_load(text)

    [document] = parse(text.encode(), "x.yaml").documents
    [as_json] = parse(json.dumps(value).encode(), "x.json").documents

    assert as_json.title == document.title


BAD = (L64, "a.b", "ä", "A", "-a", "a_b", " ", "a\n")
AT = {
    "Service": "spec.ports[0]",
    "EndpointSlice": "ports[0]",
    "Endpoints": "subsets[0].ports[0]",
    "ServiceImport": "spec.ports[0]",
}
LABELS = (
    "kubernetes.io/service-name",
    "multicluster.kubernetes.io/service-name",
    "multicluster.kubernetes.io/source-cluster",
)
REFUSED = {
    **{endpoint(json.dumps(name)): (name, LABEL, "endpoints[0].hostname") for name in BAD},
    **{
        old_endpoint(L64, where): (L64, LABEL, f"subsets[0].{where}[0].hostname")
        for where in ("addresses", "notReadyAddresses")
    },
    **{labelled(label, L64): (L64, VALUE, f"metadata.labels['{label}']") for label in LABELS},
    **{
        port(kind, f"name: {json.dumps(name)}"): (name, LABEL, f"{at}.name")
        for kind, at in AT.items()
        for name in BAD
    },
    **{port(kind, "port: 65536"): (65536, TOP, f"{at}.port") for kind, at in AT.items()},
    **{port(kind, "port: -1"): (-1, "`int` >= 0", f"{at}.port") for kind, at in AT.items()},
    port("Service", "port: -1"): (-1, "`int` >= 1", "spec.ports[0].port"),
    **{
        port("Service", f"targetPort: {name!r}"): (name, PORT, "spec.ports[0].targetPort")
        for name in ("8080", "HTTP", "x" * 16, "a--b", "-a")
    },
    port("Service", "targetPort: 65536"): (65536, TOP, "spec.ports[0].targetPort"),
    **{
        alias(name): (name, DOMAIN, "spec.externalName")
        for name in ("a..b", "under_score.example", "Example.com", f"{L64}.example", "ä.example")
    },
    in_pod("hostname: a.b"): ("a.b", LABEL, "spec.hostname"),
    in_pod("subdomain: a.b"): ("a.b", LABEL, "spec.subdomain"),
    in_template("subdomain: A"): ("A", LABEL, "spec.template.spec.subdomain"),
    numbered("StatefulSet", "a" * 61, "replicas: 11"): (f"{'a' * 61}-10", PODS, "metadata.name"),
    numbered("StatefulSet", "a.b"): ("a.b-0", PODS, "metadata.name"),
    numbered("Job", "a" * 62, "completions: 1, completionMode: Indexed"): (
        f"{'a' * 62}-0",
        PODS,
        "metadata.name",
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_a_cluster_refuses_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ManifestError) as error:
        parse(text.encode(), "x.yaml")

    found, expected, at = REFUSED[text]
    line, kind = len(text.splitlines()), text.split()[3]
    assert str(error.value) == (
        f"x.yaml:{line}: {kind}: found {found!r}, expected {expected} - at `$.{at}`"
    )


def test_templates_and_long_texts_are_told_in_short() -> None:
    with pytest.raises(ManifestError, match=r"found '\{\{ .x \}\}', looks like a Helm template"):
        parse(endpoint("'{{ .x }}'").encode(), "x.yaml")
    with pytest.raises(ManifestError, match=r"found 'b{80}' and 920 characters more, expected"):
        parse(endpoint("b" * 1000).encode(), "x.yaml")


@pytest.mark.parametrize("kind", ALL_PORTS)
@pytest.mark.parametrize("line", ["port: -1", "port: 65536", "protocol: tcp"])
def test_ports_are_those_of_dns(kind: str, line: str) -> None:
    text = port(kind, line)

    with pytest.raises(ManifestError, match=rf"^x\.json:1: {kind}: .*ports\[0\]"):
        parse(json.dumps(yaml.safe_load(text)).encode(), "x.json")
