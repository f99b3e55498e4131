"""What in manifests will not resolve as it is meant."""

from pathlib import Path

import pytest

from kdns.cli import main
from kdns.lint import lint


def _found(tmp_path: Path, text: str) -> list[tuple[str, str, str]]:
    path = tmp_path / "all.yaml"
    path.write_text(text)
    return [(one.code, one.level, one.object) for one in lint([str(path)])]


def _service(spec: str, name: str = "web", namespace: str = "default") -> str:
    return (
        f"---\n{{apiVersion: v1, kind: Service, metadata: {{name: {name},"
        f" namespace: {namespace}}}, spec: {spec}}}\n"
    )


def _workload(kind: str, spec: str, pod: str = "{}") -> str:
    template = f"{{metadata: {{labels: {{app: web}}}}, spec: {pod}}}"
    return (
        f"---\n{{apiVersion: apps/v1, kind: {kind}, metadata: {{name: web}},"
        f" spec: {{{spec}template: {template}}}}}\n"
    )


NAMED = "{ports: [{name: http, port: 80}]}"
HEADLESS = "{clusterIP: None, ports: [{name: http, port: 80}]}"
SELECTING = "{selector: {app: web}, ports: [{name: http, port: 80, targetPort: web}]}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(_service(NAMED), [], id="nothing"),
        pytest.param(_service("{ports: [{port: 80}]}"), [("K001", "info")], id="unnamed port"),
        pytest.param(
            _workload("StatefulSet", "serviceName: web, "), [("K002", "error")], id="no service"
        ),
        pytest.param(
            _service(NAMED) + _workload("StatefulSet", "serviceName: web, "),
            [("K003", "warning")],
            id="governing service with a cluster IP",
        ),
        pytest.param(
            _service(HEADLESS) + _workload("StatefulSet", "serviceName: web, "),
            [],
            id="governing service",
        ),
        pytest.param(
            _service("{type: ExternalName, externalName: 192.0.2.1}"),
            [("K004", "error")],
            id="alias of an address",
        ),
        pytest.param(
            _service("{type: ExternalName, externalName: a.example.org.}"),
            [("K005", "info")],
            id="alias with a final dot",
        ),
        pytest.param(
            _service("{type: ExternalName, externalName: other}"),
            [("K006", "warning")],
            id="alias without a dot",
        ),
        pytest.param(_service(NAMED, "com"), [("K007", "warning")], id="service com"),
        pytest.param(_service(NAMED, "web", "io"), [("K008", "warning")], id="namespace io"),
        pytest.param(_service(SELECTING), [("K009", "warning")], id="selects nothing"),
        pytest.param(
            _service(SELECTING)
            + _workload("Deployment", "", "{containers: [{ports: [{containerPort: 80}]}]}"),
            [("K013", "error")],
            id="no such target port",
        ),
        pytest.param(
            _service(SELECTING)
            + _workload(
                "Deployment", "", "{containers: [{ports: [{name: web, containerPort: 80}]}]}"
            ),
            [],
            id="target port",
        ),
        pytest.param(
            _service("{clusterIP: 10.96.0.9, ports: [{name: a, port: 80}]}", "one")
            + _service("{clusterIP: 10.96.0.9, ports: [{name: a, port: 80}]}", "two"),
            [("K011", "error")],
            id="same address",
        ),
        pytest.param(
            _service("{clusterIP: None}"), [("K012", "info")], id="headless without ports"
        ),
        pytest.param(
            _workload("Deployment", "", "{hostname: a, subdomain: gone}"),
            [("K014", "warning")],
            id="subdomain without service",
        ),
        pytest.param(
            _service("{ports: [{name: a, port: 80}]}") + _service("{ports: [{name: b, port: 80}]}"),
            [("K101", "error")],
            id="two definitions",
        ),
    ],
)
def test_a_finding_has_its_code(text: str, expected: list[tuple[str, str]], tmp_path: Path) -> None:
    assert [(code, level) for code, level, _ in _found(tmp_path, text)] == expected


def test_the_pods_of_a_stateful_set_have_the_labels_of_its_controller(tmp_path: Path) -> None:
    def one(pod: str) -> str:
        selector = f'{{"statefulset.kubernetes.io/pod-name": {pod}}}'
        return _service(f"{{selector: {selector}, ports: [{{name: a, port: 80}}]}}", "primary")

    governed = _service(HEADLESS) + _workload("StatefulSet", "serviceName: web, ")

    assert _found(tmp_path, one("web-0") + governed) == []
    assert _found(tmp_path, one("db-0") + governed) == [
        ("K009", "warning", "Service default/primary")
    ]


def test_a_selector_is_not_missed_where_the_endpoints_are_written(tmp_path: Path) -> None:
    written = (
        "---\n{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,"
        " metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}, endpoints: []}\n"
    )
    assert _found(tmp_path, _service(SELECTING) + written) == []


def test_a_name_can_be_too_long_for_the_zone(tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(_service(NAMED, "a" * 63, "b" * 63))
    zone = ".".join(["c" * 60] * 2)

    (finding,) = lint([str(path)], zone)

    assert (finding.code, finding.level) == ("K010", "error")
    assert "_http._tcp." in finding.text
    assert lint([str(path)]) == []


def test_a_finding_has_its_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(_service(NAMED) + _service(NAMED, "com"))

    assert main(["lint", "--manifests", str(path)]) == 1

    first, summary = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{path}:4: warning K007: Service default/com: named like")
    assert summary == "errors: 0, warnings: 1, information: 0"


@pytest.mark.parametrize(
    ("spec", "options", "status"),
    [
        pytest.param("{ports: [{port: 80}]}", [], 0, id="information"),
        pytest.param(SELECTING, [], 1, id="warning"),
        pytest.param(SELECTING, ["--ignore", "K009"], 0, id="ignored"),
        pytest.param(SELECTING, ["--output", "json"], 1, id="json"),
    ],
)
def test_the_exit_status_tells_whether_there_is_something_to_do(
    spec: str, options: list[str], status: int, tmp_path: Path
) -> None:
    (tmp_path / "all.yaml").write_text(_service(spec))

    assert main(["lint", "--manifests", str(tmp_path), *options]) == status
