"""What the API server refuses, as far as DNS would show it. Knows no files and no lines.

Whatever a real cluster takes is taken: each rule is the API's own for its field. The ranges of
numbers and the fixed words are part of the shapes.
"""

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import TypeAlias

import msgspec

from kdns.kube.manifests import names, shapes
from kdns.kube.schema import IMPORT_CLUSTER, IMPORT_NAME, SERVICE_NAME

Way: TypeAlias = tuple[str | int, ...]
"""Keys and indexes from an object down to a value."""
_Rule: TypeAlias = tuple[re.Pattern[str], str]
_Text: TypeAlias = tuple[str, _Rule, Way]

HELM = "looks like a Helm template; render it first with helm template"

_CLUSTER_SCOPED = frozenset({"Namespace", "Node"})
_LABEL_1035 = names.LABEL_1035, "at most 63 of a-z, 0-9 and '-', a letter first (RFC 1035)"
_LABEL_1123 = names.LABEL_1123, "at most 63 of a-z, 0-9 and '-' (RFC 1123)"
_SUBDOMAIN = names.SUBDOMAIN_1123, "a-z, 0-9, '-' and '.' (RFC 1123)"
_DOMAIN = names.DOMAIN_1123, "a domain of a-z, 0-9, '-' and '.' (RFC 1123), or an IP address"
_PORT_NAME = names.PORT_NAME, "at most 15 of a-z, 0-9 and '-', with a letter (RFC 6335)"
_VALUE = names.LABEL_VALUE, "at most 63 letters, digits, '-', '_' and '.'"
_POD_NAME = names.LABEL_1123, "pods whose names fit a hostname: 63 of a-z, 0-9 and '-' (RFC 1123)"
_NAMES = {"Service": _LABEL_1035, "ServiceImport": _LABEL_1035, "Namespace": _LABEL_1123}
_SHOWN = 80


class Refused(msgspec.ValidationError):
    """A value that the API server would not take, and the way to it."""

    def __init__(self, problem: str, at: Way) -> None:
        super().__init__(f"{problem} - at `${''.join(map(_step, at))}`")
        self.at = at


def check(kind: str, shape: shapes.Shape) -> None:
    """Refuse what the API server would, and fill in the namespace that kubectl would."""
    _check_names(kind, shape)
    for text, (pattern, expected), at in _texts(kind, shape):
        if not pattern.fullmatch(text):
            raise _refused(text, expected, at)
    for one in shapes.stated(shape):
        if not one.valid:
            raise _refused(one.text, one.expected, one.at)


def _check_names(kind: str, shape: shapes.Shape) -> None:
    metadata = shape.metadata
    metadata.namespace = "" if kind in _CLUSTER_SCOPED else metadata.namespace or "default"
    pattern, expected = _NAMES.get(kind, _SUBDOMAIN)
    if not pattern.fullmatch(metadata.name):
        raise _refused(metadata.name, expected, ("metadata", "name"))
    pattern, expected = _LABEL_1123
    if metadata.namespace and not pattern.fullmatch(metadata.namespace):
        raise _refused(metadata.namespace, expected, ("metadata", "namespace"))


def _refused(text: str, expected: str, at: Way) -> Refused:
    found = repr(text[:_SHOWN]) if text else f"no {at[-1]}"
    found += f" and {len(text) - _SHOWN} characters more" if len(text) > _SHOWN else ""
    return Refused(f"found {found}, {HELM if '{{' in text else f'expected {expected}'}", at)


def _step(step: str | int) -> str:
    return f".{step}" if isinstance(step, str) and step.isidentifier() else f"[{step!r}]"


def _texts(kind: str, shape: shapes.Shape) -> Iterator[_Text]:
    """Find every text that becomes part of a name, with its rule."""
    match shape:
        case shapes.Service():
            yield from _of_service(shape.spec)
        case shapes.EndpointSlice():
            yield from _of_slice(shape)
        case shapes.Endpoints():
            yield from _of_endpoints(shape)
        case shapes.ServiceImport():
            yield from _of_ports(shape.spec.ports, ("spec", "ports"))
        case shapes.Pod():
            yield from _of_pod(shape.spec, ("spec",))
        case shapes.Workload():
            yield from _of_pod(shape.spec.template.spec, ("spec", "template", "spec"))
            for pod in _longest_hostname(kind, shape):
                yield pod, _POD_NAME, ("metadata", "name")
        case shapes.Namespace() | shapes.Node():
            pass


def _of_service(spec: shapes.ServiceSpec) -> Iterator[_Text]:
    yield from _of_ports(spec.ports, ("spec", "ports"))
    for index, port in enumerate(spec.ports or ()):
        if port.target_port and isinstance(port.target_port, str):
            yield port.target_port, _PORT_NAME, ("spec", "ports", index, "targetPort")
    alias = spec.external_name if spec.type == "ExternalName" else None
    if alias and not _is_address(alias):
        yield alias.removesuffix("."), _DOMAIN, ("spec", "externalName")


def _of_slice(shape: shapes.EndpointSlice) -> Iterator[_Text]:
    for label in (SERVICE_NAME, IMPORT_NAME, IMPORT_CLUSTER):
        yield shape.metadata.label(label), _VALUE, ("metadata", "labels", label)
    yield from _of_ports(shape.ports, ("ports",))
    yield from _of_hostnames([one.hostname for one in shape.endpoints or ()], ("endpoints",))


def _of_endpoints(shape: shapes.Endpoints) -> Iterator[_Text]:
    for number, subset in enumerate(shape.subsets or ()):
        at = ("subsets", number)
        yield from _of_ports(subset.ports, (*at, "ports"))
        lists = (
            ("addresses", subset.addresses),
            ("notReadyAddresses", subset.not_ready_addresses),
        )
        for name, addresses in lists:
            yield from _of_hostnames([one.hostname for one in addresses or ()], (*at, name))


def _of_ports(
    ports: Iterable[shapes.Port] | Iterable[shapes.ServicePort] | None, at: Way
) -> Iterator[_Text]:
    for index, port in enumerate(ports or ()):
        if port.name:
            yield port.name, _LABEL_1123, (*at, index, "name")


def _of_hostnames(hostnames: Iterable[str | None], at: Way) -> Iterator[_Text]:
    for index, hostname in enumerate(hostnames):
        if hostname:
            yield hostname, _LABEL_1123, (*at, index, "hostname")


def _of_pod(spec: shapes.PodSpec, at: Way) -> Iterator[_Text]:
    for name, text in (("hostname", spec.hostname), ("subdomain", spec.subdomain)):
        if text:
            yield text, _LABEL_1123, (*at, name)


def _longest_hostname(kind: str, shape: shapes.Workload) -> Iterator[str]:
    """Yield the hostname of the last pod of a workload that numbers its pods, if it has any."""
    spec, count = shape.spec, 0
    if kind == "StatefulSet":
        count = 1 if spec.replicas is None else spec.replicas
    elif kind == "Job" and spec.completion_mode == "Indexed":
        count = spec.completions or 0
    if count:
        first = spec.ordinals.start if kind == "StatefulSet" else 0
        yield f"{shape.metadata.name}-{first + count - 1}"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
