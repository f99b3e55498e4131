"""The rules: documents -> findings. Pure; each rule is one function."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from ipaddress import ip_address

from kdns.kube.manifests import shapes
from kdns.kube.manifests.documents import Document
from kdns.kube.objects import Key
from kdns.lint.finding import Finding, Level
from kdns.lint.tlds import TLDS
from kdns.wire import names
from kdns.wire.names import MAX_NAME

UNNAMED_PORT = "K001"
NO_GOVERNING_SERVICE = "K002"
GOVERNING_NOT_HEADLESS = "K003"
ALIAS_OF_ADDRESS = "K004"
ALIAS_WITH_FINAL_DOT = "K005"
ALIAS_WITHOUT_DOT = "K006"
SERVICE_LIKE_TLD = "K007"
NAMESPACE_LIKE_TLD = "K008"
SELECTS_NOTHING = "K009"
NAME_TOO_LONG = "K010"
SAME_ADDRESS = "K011"
HEADLESS_WITHOUT_PORTS = "K012"
NO_SUCH_TARGET_PORT = "K013"
SUBDOMAIN_WITHOUT_SERVICE = "K014"

POD_NAME = "statefulset.kubernetes.io/pod-name"


class Manifests:
    """All documents, indexed the way the rules ask."""

    def __init__(self, documents: Iterable[Document], zone: str) -> None:
        self.documents = list(documents)
        self.zone = zone

    @cached_property
    def services(self) -> list[tuple[Document, shapes.Service]]:
        """The Services."""
        found = ((one, one.shape) for one in self.documents)
        return [(one, shape) for one, shape in found if isinstance(shape, shapes.Service)]

    @cached_property
    def by_key(self) -> dict[Key, shapes.Service]:
        """The Services by namespace and name."""
        return {one.key: shape for one, shape in self.services}

    @cached_property
    def templates(self) -> list[tuple[Document, shapes.Labels, shapes.PodSpec]]:
        """Everything that is, or makes, a pod: its labels and its spec."""
        found: list[tuple[Document, shapes.Labels, shapes.PodSpec]] = []
        for one in self.documents:
            match one.shape:
                case shapes.Pod(metadata=metadata, spec=spec):
                    found.append((one, metadata.labels or {}, spec))
                case shapes.Workload(spec=spec):
                    template = spec.template
                    found.append((one, template.metadata.labels or {}, template.spec))
                case _:
                    pass
        return found

    @cached_property
    def _sliced(self) -> set[Key]:
        """The Services whose endpoints are written."""
        slices = {
            (one.key[0], one.shape.trim().service)
            for one in self.documents
            if isinstance(one.shape, shapes.EndpointSlice)
        }
        return slices | {
            one.key for one in self.documents if isinstance(one.shape, shapes.Endpoints)
        }

    def is_written(self, key: Key) -> bool:
        """Whether the endpoints of a Service are written, and not selected."""
        return key in self._sliced

    def selected(self, namespace: str, selector: shapes.Labels) -> list[shapes.PodSpec]:
        """Return the pods of a namespace that have all of these labels."""
        return [
            spec
            for one, labels, spec in self.templates
            if one.key[0] == namespace and _matches(selector, labels, one)
        ]


_ADDED = {
    "StatefulSet": {POD_NAME, "apps.kubernetes.io/pod-index"},
    "Deployment": {"pod-template-hash"},
    "Job": {"job-name", "batch.kubernetes.io/job-name", "batch.kubernetes.io/job-completion-index"},
}
"""Labels that the controller of a kind gives its pods."""


def _matches(selector: shapes.Labels, labels: shapes.Labels, maker: Document) -> bool:
    """Whether a selector meets pods with these labels, and those that their maker adds."""
    added = _ADDED.get(maker.kind, set())
    pod = selector.get(POD_NAME, "").rpartition("-")[0]
    if POD_NAME in added and POD_NAME in selector and pod != maker.key[1]:
        return False
    wanted = {key: value for key, value in selector.items() if key not in added}
    return wanted.items() <= labels.items()


def findings(manifests: Manifests) -> Iterator[Finding]:
    """Apply every rule."""
    for document, shape in manifests.services:
        for of_service in _SERVICE_RULES:
            yield from of_service(manifests, document, shape)
    for of_all in _OTHER_RULES:
        yield from of_all(manifests)


def _finding(code: str, level: Level, document: Document, text: str) -> Finding:
    return Finding(code, level, document.path, document.line, document.title, text)


# -- Services -----------------------------------------------------------------------------------


def _unnamed_ports(_: Manifests, document: Document, shape: shapes.Service) -> Iterator[Finding]:
    for port in shape.spec.ports or ():
        if not port.name and not _is_alias(shape):
            text = f"port {port.port} has no name, so no name like _http._tcp has an SRV record"
            yield _finding(UNNAMED_PORT, "info", document, text)


def _aliases(_: Manifests, document: Document, shape: shapes.Service) -> Iterator[Finding]:
    target = shape.spec.external_name or ""
    if not _is_alias(shape) or not target:
        return
    if _is_address(target):
        text = f"externalName {target} is an address: CoreDNS answers NXDOMAIN, kdns the address"
        yield _finding(ALIAS_OF_ADDRESS, "error", document, text)
    elif target.endswith("."):
        text = f"externalName {target} ends in a dot: proxies and certificates do not expect it"
        yield _finding(ALIAS_WITH_FINAL_DOT, "info", document, text)
    elif "." not in target:
        text = f"externalName {target} has no dot: no search list completes the target of an alias"
        yield _finding(ALIAS_WITHOUT_DOT, "warning", document, text)


def _like_tld(_: Manifests, document: Document, __: shapes.Service) -> Iterator[Finding]:
    namespace, name = document.key
    if name in TLDS:
        text = (
            f"named like the top-level domain {name}: from namespace {namespace} the search list"
            f" turns ANY.{name} into names below this service first"
        )
        yield _finding(SERVICE_LIKE_TLD, "warning", document, text)


def _selectors(
    manifests: Manifests, document: Document, shape: shapes.Service
) -> Iterator[Finding]:
    selector = shape.spec.selector
    if _is_alias(shape) or not selector or manifests.is_written(document.key):
        return
    selected = manifests.selected(document.key[0], selector)
    if not selected:
        wanted = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        text = f"the selector {wanted} matches no pod and no workload of namespace"
        text += f" {document.key[0]} in these manifests"
        yield _finding(SELECTS_NOTHING, "warning", document, text)
        return
    for port in shape.spec.ports or ():
        if isinstance(port.target_port, str) and port.target_port:
            yield from _target_port(document, port, port.target_port, selected)


def _target_port(
    document: Document, port: shapes.ServicePort, target: str, selected: Sequence[shapes.PodSpec]
) -> Iterator[Finding]:
    wanted = target, port.protocol or "TCP"
    offered = [(one.name, one.protocol or "TCP") for spec in selected for one in spec.ports]
    if wanted not in offered:
        known = ", ".join(sorted({name for name, _ in offered if name})) or "none"
        text = f"no container has the target port {target}/{wanted[1]} (named ports: {known})"
        yield _finding(NO_SUCH_TARGET_PORT, "error", document, text)


def _portless(_: Manifests, document: Document, shape: shapes.Service) -> Iterator[Finding]:
    if shape.trim().headless and not shape.spec.ports:
        text = "headless without ports: no SRV records, and some clients expect at least one port"
        yield _finding(HEADLESS_WITHOUT_PORTS, "info", document, text)


def _long_names(
    manifests: Manifests, document: Document, shape: shapes.Service
) -> Iterator[Finding]:
    namespace, name = document.key
    base = f"{name}.{namespace}.svc.{manifests.zone}"
    prefixes = [""]
    prefixes += [f"_{one.name}._tcp." for one in shape.spec.ports or () if one.name]
    prefixes += [f"{pod}." for pod in _pod_names(manifests, namespace, name)]
    for prefix in dict.fromkeys(prefixes):
        problem = _problem(f"{prefix}{base}")
        if problem:
            yield _finding(NAME_TOO_LONG, "error", document, problem)


def _pod_names(manifests: Manifests, namespace: str, service: str) -> Iterator[str]:
    """Yield the longest name of a pod of each StatefulSet that a Service governs."""
    for one in manifests.documents:
        shape = one.shape
        if one.kind == "StatefulSet" and isinstance(shape, shapes.Workload):
            spec = shape.spec
            if one.key[0] == namespace and spec.service_name == service:
                count = 1 if spec.replicas is None else spec.replicas
                yield f"{one.key[1]}-{max(0, spec.ordinals.start + count - 1)}"


def _problem(text: str) -> str:
    try:
        size = len(names.from_text(text))
    except ValueError as error:
        return f"{text}: {error}"
    return f"{text}: name over {MAX_NAME} octets" if size > MAX_NAME else ""


def _is_alias(shape: shapes.Service) -> bool:
    return shape.spec.type == "ExternalName"


def _is_address(text: str) -> bool:
    try:
        ip_address(text.removesuffix("."))
    except ValueError:
        return False
    return True


# -- everything else ----------------------------------------------------------------------------


def _governing(manifests: Manifests) -> Iterator[Finding]:
    """Look at the Service that gives the pods of a StatefulSet their names."""
    for one in manifests.documents:
        if one.kind != "StatefulSet" or not isinstance(one.shape, shapes.Workload):
            continue
        name = one.shape.spec.service_name
        if not name:
            continue
        service = manifests.by_key.get((one.key[0], name))
        if service is None:
            text = f"serviceName {name}: there is no such Service, so its pods have no names"
            yield _finding(NO_GOVERNING_SERVICE, "error", one, text)
        elif not service.trim().headless:
            text = f"serviceName {name}: the Service is not headless, so it does not give the pods"
            yield _finding(GOVERNING_NOT_HEADLESS, "warning", one, f"{text} themselves")


def _namespaces(manifests: Manifests) -> Iterator[Finding]:
    """Look at namespaces in which NAME.NAMESPACE is the name of somebody else's domain."""
    for document, _ in manifests.services:
        namespace, name = document.key
        if namespace in TLDS:
            text = (
                f"namespace {namespace} is named like a top-level domain: every pod whose search"
                f" list completes {name}.{namespace} gets this service, not the domain"
            )
            yield _finding(NAMESPACE_LIKE_TLD, "warning", document, text)


def _same_address(manifests: Manifests) -> Iterator[Finding]:
    first: dict[str, Document] = {}
    for document, shape in manifests.services:
        for address in shape.addresses:
            other = first.setdefault(address, document)
            if other.key != document.key:
                text = f"has the clusterIP {address} of {other.title} at {other.place}"
                yield _finding(SAME_ADDRESS, "error", document, text)


def _subdomains(manifests: Manifests) -> Iterator[Finding]:
    for one, _, spec in manifests.templates:
        if one.kind == "StatefulSet" or not (spec.hostname and spec.subdomain):
            continue
        service = manifests.by_key.get((one.key[0], spec.subdomain))
        if service is None or not service.trim().headless:
            text = (
                f"subdomain {spec.subdomain}: there is no headless Service of that name, so"
                f" {spec.hostname}.{spec.subdomain} does not resolve"
            )
            yield _finding(SUBDOMAIN_WITHOUT_SERVICE, "warning", one, text)


_ServiceRule = Callable[[Manifests, Document, shapes.Service], Iterator[Finding]]
_SERVICE_RULES: tuple[_ServiceRule, ...] = (
    _unnamed_ports,
    _aliases,
    _like_tld,
    _selectors,
    _portless,
    _long_names,
)
_OTHER_RULES: tuple[Callable[[Manifests], Iterator[Finding]], ...] = (
    _governing,
    _namespaces,
    _same_address,
    _subdomains,
)
