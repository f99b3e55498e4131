"""From a question to an answer: which part of the tree a name is in. Start reading here.

    <zone>                              apex       this module and apex.py
    dns-version, dns, ns.dns            apex
    svc   <service names>               services.py
    pod   <pod names>                   pods.py
    <service names without svc>         services.py, when short names are on
    <reversed address>                  reverse.py, in a reverse zone

Pure: knows no sockets, no clock, no messages.
"""

from kdns.kube.store import Store
from kdns.zone import apex, compat, pods, reverse, services
from kdns.zone.answers import Lookup, NoData, NoName
from kdns.zone.authority import Authority, Question


def answer(store: Store, authority: Authority, question: Question) -> Lookup:
    """Answer a question from the store, by the specification or as CoreDNS would."""
    lookup = _answer(store, authority, question)
    if authority.settings.compat:
        return compat.deviate(lookup, question)
    return lookup


def _answer(store: Store, authority: Authority, question: Question) -> Lookup:
    labels = question.labels
    special = apex.answer(store, authority, question)
    if special is not None:
        return special
    if question.zone.role == "reverse":
        return reverse.answer(store, authority, question)
    if labels[-1] == "svc":
        return _below_svc(store, authority, question)
    if labels[-1] == "pod":
        return pods.answer(store, authority, question, labels[:-1])
    if authority.settings.short and question.zone.role == "cluster":
        return services.answer(store, authority, question, labels)
    return NoName(f"{labels[-1]} is neither svc nor pod", ())


def _below_svc(store: Store, authority: Authority, question: Question) -> Lookup:
    labels = question.labels[:-1]
    if not labels:
        return NoData("names of services are below svc", (), empty=True)
    return services.answer(store, authority, question, labels)
