"""Where CoreDNS deviates from the specification: the right answer in, CoreDNS's answer out.

Only behind ``compat coredns``. The numbers are those of docs/coredns-differences.md. Quirks that
are not about the outcome of a look-up stand where the records are made, with ``settings.compat``.
"""

from kdns.wire import codes
from kdns.zone.answers import Alias, Found, Lookup, NoData, NoName
from kdns.zone.authority import Question

_CHASED = frozenset({codes.A, codes.AAAA})


def deviate(lookup: Lookup, question: Question) -> Lookup:
    """Turn a right answer into the one that CoreDNS gives."""
    match lookup:
        case Found():
            return _found(lookup, question)
        case Alias():
            # Q11: only address queries and CNAME show an alias.
            if question.rtype in _CHASED:
                return lookup
            return NoData("an alias", lookup.owners)
        case NoData():
            return _no_data(lookup, question)
        case NoName():
            # Q4: SOA of any name below a zone exists.
            if question.rtype == codes.SOA:
                return NoData(lookup.reason, lookup.owners)
            return lookup


def _found(lookup: Found, question: Question) -> Lookup:
    # Q5: names are compared in lower case with a zone in the client's case.
    if question.origin != question.zone.origin:
        if not question.labels and question.rtype == codes.NS:
            return NoData("the zone's case was changed", lookup.owners)
        if question.labels == ("ns", "dns"):
            return NoName("the zone's case was changed", lookup.owners)
    return lookup


def _no_data(lookup: NoData, question: Question) -> Lookup:
    labels, rtype = question.labels, question.rtype
    if rtype == codes.SOA:
        return lookup
    missing = NoName(lookup.reason, lookup.owners)
    # Q1: TXT at an empty non-terminal; it is also what becomes of Q3's dns.<zone>.
    if lookup.empty and (rtype == codes.TXT or _is_ours_alone(labels)):
        return missing
    # Q2 and Q3: a name with one type has no others.
    if labels == ("dns-version",) or (labels == ("ns", "dns") and rtype not in _CHASED):
        return missing
    # Q6: reverse names have PTR or do not exist.
    if question.zone.role == "reverse" and labels:
        return missing
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
