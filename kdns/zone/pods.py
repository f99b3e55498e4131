"""Pod names: ``10-244-0-7.default.pod``. Dropped from the specification, still in use.

Pure: knows no sockets, no clock, no messages.
"""

from collections.abc import Sequence
from ipaddress import ip_address

from kdns.kube.owners import Owner, address_key, namespace_owner, pod_owner
from kdns.kube.store import Store
from kdns.wire import records
from kdns.zone.answers import Lookup, NoData, NoName, found
from kdns.zone.authority import Authority, Question
from kdns.zone.services import why_hidden

_POD_LABEL = frozenset("0123456789abcdef-")


def answer(store: Store, authority: Authority, question: Question, labels: Sequence[str]) -> Lookup:
    """Answer for ``[address, namespace]``."""
    settings = authority.settings
    if not labels:
        return NoData("names of pods are below pod", (), empty=True)
    namespace = labels[-1]
    owners: tuple[Owner, ...] = (namespace_owner(namespace),)
    if settings.pods == "disabled":
        return NoName("pod names are disabled (option pods)", owners)
    if hidden := why_hidden(store, settings, namespace):
        return NoName(hidden, owners, ("Namespace",))
    if len(labels) == 1:
        return NoData(f"names of pods are below {namespace}.pod", owners, empty=True)
    if len(labels) > 2 and not settings.compat:  # noqa: PLR2004 - address and namespace
        return NoName("a pod has no names below its own", owners)
    return _pod(store, authority, question, labels[-2], namespace)


def _pod(
    store: Store, authority: Authority, question: Question, label: str, namespace: str
) -> Lookup:
    packed = _address(label)
    if packed is None:
        return NoName(f"{label} is no address of a pod", (namespace_owner(namespace),))
    key = address_key(str(ip_address(packed)))
    owners = (namespace_owner(namespace), pod_owner(namespace, key))
    if authority.settings.pods == "verified" and not store.has_pod(namespace, key):
        reason = f"no running pod of namespace {namespace} has this address"
        return NoName(reason, owners, ("Namespace", "Pod"))
    record = records.address(question.name, authority.settings.ttl, packed)
    wanted = [record] if record.rtype == question.rtype else []
    return found(wanted, "the pod's address is of the other family or type", owners)


def _address(label: str) -> bytes | None:
    """Read an address out of a label: three single dashes are IPv4, all else is IPv6."""
    if not _POD_LABEL.issuperset(label):
        return None
    dotted = label.count("-") == 3 and "--" not in label  # noqa: PLR2004 - octets less one
    try:
        return ip_address(label.replace("-", "." if dotted else ":")).packed
    except ValueError:
        return None
