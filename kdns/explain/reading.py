"""How a name is read: its labels below the zone -> what each of them stands for. Pure.

The same order of decisions as ``kdns.zone.lookup``, from which nothing is asked here: a name that
does not exist is read too.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from kdns.explain.report import Reading
from kdns.wire import names
from kdns.zone.authority import Authority, Question
from kdns.zone.reverse import address_of


def read(authority: Authority, question: Question) -> Reading:
    """Read a name in its zone."""
    found = _read(authority, question, names.to_text(question.zone.origin))
    return replace(found, name=names.to_text(question.name))


def _read(authority: Authority, question: Question, zone: str) -> Reading:
    if question.zone.role == "reverse" and question.labels:
        return _reverse(zone, question)
    match question.labels:
        case () | ("dns",) | ("ns", "dns") | ("dns-version",):
            return _made(zone, "apex")
        case (*below, "svc"):
            return _service(zone, below, question)
        case (*below, "pod"):
            return _pod(zone, below)
        case labels if authority.settings.short and question.zone.role == "cluster":
            return replace(_service(zone, labels, question), short=True)
        case _:
            return _made(zone, "none")


def _made(  # noqa: PLR0913, PLR0917 - the parts of a name
    zone: str,
    kind: str,
    namespace: str = "",
    service: str = "",
    port: str = "",
    protocol: str = "",
    *,
    endpoint: str = "",
    cluster: str = "",
    topology: str = "",
    pod: str = "",
    address: str = "",
) -> Reading:
    """Make a reading of a name that is put in later."""
    parts = (namespace, service, port, protocol, endpoint, cluster, topology, pod, address)
    return Reading("", zone, kind, *parts)


def _reverse(zone: str, question: Question) -> Reading:
    found = address_of(question.name.lower())
    if found is None:
        return _made(zone, "none")
    return _made(zone, "reverse", address=found.key)


def _pod(zone: str, labels: Sequence[str]) -> Reading:
    match labels:
        case ():
            return _made(zone, "branch")
        case (namespace,):
            return _made(zone, "namespace", namespace)
        case (*_, label, namespace):
            return _made(zone, "pod", namespace, pod=label)
        case _:
            return _made(zone, "none")


def _service(zone: str, labels: Sequence[str], question: Question) -> Reading:
    match labels:
        case ():
            return _made(zone, "branch")
        case (namespace,):
            return _made(zone, "namespace", namespace)
        case (service, namespace):
            return _made(zone, "service", namespace, service)
        case (*below, service, namespace):
            imported = question.zone.role == "multicluster"
            return _below(zone, (namespace, service), below, imported=imported)
        case _:
            return _made(zone, "none")


def _below(
    zone: str, service: tuple[str, str], labels: Sequence[str], *, imported: bool
) -> Reading:
    match labels:
        case (*wanted, "_zone"):
            return _made(zone, "topology", *service, topology=".".join(wanted))
        case (name,):
            return _made(zone, "endpoint", *service, endpoint=name)
        case (name, cluster) if imported and "_" not in name + cluster:
            return _made(zone, "endpoint", *service, endpoint=name, cluster=cluster)
        case (port, protocol):
            bare = port.removeprefix("_"), protocol.removeprefix("_")
            return _made(zone, "port", *service, *bare)
        case _:
            return _made(zone, "none", *service)
