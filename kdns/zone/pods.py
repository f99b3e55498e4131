"""Pod names: ``10-244-0-7.default.pod``. Dropped from the specification, still in use.

Pure: knows no sockets, no clock, no messages.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from kdns.kube.objects import Pod
from kdns.kube.owners import Owner, address_key, namespace_owner, pod_owner
from kdns.kube.store import Store
from kdns.wire import codes, names, records
from kdns.zone import compat
from kdns.zone.answers import Lookup, NoData, NoName, found
from kdns.zone.authority import Authority, Question
from kdns.zone.services import why_hidden
from kdns.zone.settings import Settings

_POD_LABEL = frozenset("0123456789abcdef-")
_LABELS = 2
"""Address and namespace."""
_COMPAT_LABELS = 4
"""Q16: CoreDNS reads up to two more, as an endpoint or a port, and forgets them."""


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
    if len(labels) > (_COMPAT_LABELS if settings.compat else _LABELS):
        return NoName("a pod has no names below its own", owners)
    return _pod(store, authority, question, labels[-2], namespace)


def _pod(
    store: Store, authority: Authority, question: Question, label: str, namespace: str
) -> Lookup:
    settings, address = authority.settings, address_of_label(label)
    if address is None:
        return NoName(f"{label} is no address of a pod", (namespace_owner(namespace),))
    key = address_key(str(address))
    owners = (namespace_owner(namespace), pod_owner(namespace, key))
    having = 1
    if settings.pods == "verified":
        having = sum(_is_at(pod, label, settings) for pod in store.pods_at(key, namespace))
    if not having:
        reason = f"no running pod of namespace {namespace} has this address"
        return NoName(reason, owners, ("Namespace", "Pod"))
    record = records.address(question.name, settings.ttl, address.packed)
    if question.rtype == codes.SRV and settings.compat:
        below = names.of(label, namespace, "pod") + question.origin
        return compat.pod_srv(record, below, having, owners)
    wanted = [record] if record.rtype == question.rtype else []
    return found(wanted, "the pod's address is of the other family or type", owners)


def _is_at(pod: Pod, label: str, settings: Settings) -> bool:
    """Whether a pod that has an address is found there."""
    # Q18: CoreDNS knows a pod by the text of its first address.
    return not settings.compat or pod.ips[0] == _spelled(label)


def address_of_label(label: str) -> IPv4Address | IPv6Address | None:
    """Read the address that a label stands for; None when it is none."""
    if not _POD_LABEL.issuperset(label):
        return None
    try:
        return ip_address(_spelled(label))
    except ValueError:
        return None


def _spelled(label: str) -> str:
    """Write the address that a label stands for: three single dashes are dots, others colons."""
    dotted = label.count("-") == 3 and "--" not in label  # noqa: PLR2004 - octets less one
    return label.replace("-", "." if dotted else ":")
