"""Where CoreDNS deviates from the specification: the right answer in, CoreDNS's answer out.

Only behind ``compat coredns``. The numbers are those of docs/coredns-differences.md. Quirks that
are not about the outcome of a look-up stand where the records are made, with ``settings.compat``.
"""

from msgspec.structs import replace

from kdns.wire import codes, names, records
from kdns.wire.names import Name
from kdns.wire.records import Record
from kdns.zone.answers import Alias, Found, Lookup, NoData, NoName, Owners
from kdns.zone.authority import Question

_CHASED = frozenset({codes.A, codes.AAAA})
_IP6_LABELS = 34
_GROUP = 4
"""Nibbles that CoreDNS reads at a time; what is left over is not looked at."""


def deviate(lookup: Lookup, question: Question) -> Lookup:
    """Turn a right answer into the one that CoreDNS gives."""
    if question.rtype == codes.SOA:
        return _soa(lookup)
    if question.labels == ("ns", "dns"):
        return _name_server(lookup, question)
    match lookup:
        case Found():
            return _found(lookup, question)
        case Alias():
            # Q11: only address queries and CNAME show an alias.
            return lookup if question.rtype in _CHASED else NoData("an alias", lookup.owners)
        case NoData():
            return _no_data(lookup, question)
        case NoName():
            return _no_name(lookup, question)


def shortened(name: Name) -> Name:
    """Q28: leave off up to three labels in front of a reversed IPv6 address."""
    labels = names.labels(name)
    extra = len(labels) - _IP6_LABELS
    if labels[-2:] == [b"ip6", b"arpa"] and 0 < extra <= _GROUP - 1:
        return names.from_labels(labels[extra:])
    return name


def pod_srv(address: Record, target: Name, having: int, owners: Owners) -> Found:
    """Q16: answer SRV of a pod's name with port 0, ``having`` pods sharing the weight."""
    weight = max(1, 100 // having)
    answer = records.srv(address.owner, address.ttl, weight, 0, target)
    return Found((answer,), owners, (replace(address, owner=target),))


def _soa(lookup: Lookup) -> Lookup:
    # Q4 and Q11: any name below a zone exists, and none is an alias.
    match lookup:
        case Found() | NoData():
            return lookup
        case Alias():
            return NoData("an alias", lookup.owners)
        case NoName():
            return NoData(lookup.reason, lookup.owners)


def _name_server(lookup: Lookup, question: Question) -> Lookup:
    # Q5: names are compared in lower case with a zone in the client's case.
    if question.origin != question.zone.origin:
        return NoName("the zone's case was changed", lookup.owners)
    # Q3: it does not exist for these two types.
    if question.rtype in {codes.TXT, codes.PTR}:
        return NoName("ns.dns has only addresses", lookup.owners)
    return lookup


def _found(lookup: Found, question: Question) -> Lookup:
    # Q5, for NS of the zone.
    if (
        not question.labels
        and question.rtype == codes.NS
        and question.origin != question.zone.origin
    ):
        return NoData("the zone's case was changed", lookup.owners)
    return lookup


def _no_data(lookup: NoData, question: Question) -> Lookup:
    labels = question.labels
    missing = NoName(lookup.reason, lookup.owners)
    # Q1: TXT at an empty non-terminal; it is also what becomes of Q3's dns.<zone>.
    if lookup.empty and (question.rtype == codes.TXT or _is_ours_alone(labels)):
        return missing
    # Q2: a name with one type has no others.
    if labels == ("dns-version",):
        return missing
    # Q6: reverse names have PTR or do not exist.
    if question.zone.role == "reverse" and labels:
        return missing
    return lookup


def _no_name(lookup: NoName, question: Question) -> Lookup:
    # Q24: the two branches of a cluster's zone are taken to be in reverse zones too.
    reverse = question.zone.role == "reverse" and question.labels in {("svc",), ("pod",)}
    if reverse and question.rtype != codes.TXT:
        return NoData(lookup.reason, lookup.owners)
    return lookup


def _is_ours_alone(labels: tuple[str, ...]) -> bool:
    """Whether CoreDNS denies this empty non-terminal for every type.

    It knows only the zone, ``svc``, ``pod`` and namespaces below them.
    """
    match labels:
        case () | ("svc",) | ("pod",) | (_, "svc") | (_, "pod"):
            return False
        case _:
            return True
