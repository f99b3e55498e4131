"""The differences that are known, each with its reason and a predicate that finds it.

The numbers are those of docs/coredns-differences.md. An entry explains kinds of difference between
two answers; an answer is as it should be when everything that differs in it is explained. What an
entry expects of the answers is narrow, so that it cannot hide another fault. Knows no server.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from tests.differential.case import Case
from tests.differential.compare import Reply, Row
from tests.differential.contestants import COMPAT, NORMAL
from tests.differential.options import OptionSet
from tests.differential.population import objects
from tests.differential.question import IN, Question

Kinds = frozenset[str]
NOTHING: Kinds = frozenset()
ADDRESSES = frozenset({"A", "AAAA"})
CHASED = ADDRESSES | {"CNAME"}
SECTIONS = frozenset({"answer", "authority", "additional"})
ELSEWHERE = frozenset({"rcode", "flag AA", "flag RA", "flag TC", "edns", "ttl"}) | SECTIONS
"""What may differ where one of the two asked the next plugin."""
CIRCLE = ELSEWHERE | {"order"}
"""What may differ where aliases lead back to themselves."""
V4_LABELS, V6_LABELS = 6, 34
EDNS_FIXED = 3
"""Size, DO and version; options follow."""


Explains = Callable[[Case], Kinds]


@dataclass(frozen=True)
class Known:
    """One entry of the list."""

    name: str
    reason: str
    explains: Explains
    where: Callable[[OptionSet], bool] = lambda _options: True
    """Which option sets can show it."""
    chance: bool = False
    """Whether it shows itself only now and then: then it need not be met."""

    def applies(self, sets: Sequence[OptionSet]) -> bool:
        """Whether a run of these option sets must show it."""
        return not self.chance and any(map(self.where, sets))


SLICES = [item for item in objects() if item["kind"] == "EndpointSlice"]


def _forwards(options: OptionSet) -> bool:
    return options.forwards


# -- parts of predicates --------------------------------------------------------------------------


def _no_data(reply: Reply) -> bool:
    return reply.rcode == "NOERROR" and reply.negative


def _found(reply: Reply) -> bool:
    return reply.rcode == "NOERROR" and not reply.negative


def _denied(case: Case, reply: Reply) -> bool:
    """Whether the name does not exist for the server, or is left to the next plugin."""
    return (reply.rcode == "NXDOMAIN" and reply.negative) or case.leaves


def _exists(case: Case) -> Kinds:
    """Explain that the name exists for kdns, without the type, and not for CoreDNS."""
    if not (_no_data(case.ours) and _denied(case, case.theirs)):
        return NOTHING
    return ELSEWHERE if case.leaves else frozenset({"rcode"})


def _answered(case: Case) -> Kinds:
    """Explain that kdns answers, and CoreDNS does not."""
    if not (_found(case.ours) and (case.theirs.negative or case.leaves)):
        return NOTHING
    return ELSEWHERE if case.leaves else SECTIONS | {"rcode", "flag TC"}


def _not_answered(case: Case) -> Kinds:
    """Explain that CoreDNS answers, and kdns says that the name does not exist."""
    if not (_denied(case, case.ours) and case.theirs.rcode == "NOERROR"):
        return NOTHING
    return ELSEWHERE if case.leaves else SECTIONS | {"rcode", "flag TC"}


def _bare(rows: Sequence[Row], at: int) -> Counter[tuple[str, ...]]:
    """Count records without one word of their rdata."""
    words = [row.rdata.split() for row in rows]
    return Counter(
        (row.owner, row.rtype, *found[:at], *found[at + 1 :])
        for row, found in zip(rows, words, strict=True)
    )


def _address(case: Case) -> str:
    """Read the address out of a complete reverse name."""
    size = V4_LABELS if "in-addr" in case.labels[-2:] else V6_LABELS
    if not case.reverse or len(case.labels) != size:
        return ""
    parts = case.labels[-3::-1]
    text = "".join(parts) if size == V6_LABELS else ".".join(parts)
    if size == V6_LABELS:
        text = ":".join(text[at : at + 4] for at in range(0, len(text), 4))
    try:
        return str(ip_address(text))
    except ValueError:
        return ""


def _short(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return text


TWINS = {"twin-a.shop", "twin-b.default"}
"""Services that share an address."""
NAMELESS = {
    _short(text)
    for item in SLICES
    if "kubernetes.io/service-name" not in item["metadata"]["labels"]
    for one in item["endpoints"]
    for text in one["addresses"]
}
"""Addresses in slices of no service."""


# -- the entries ----------------------------------------------------------------------------------


def _q1(case: Case) -> Kinds:
    branch = case.below[-1:] in {(), ("svc",), ("pod",)} and len(case.below) <= 2
    return _exists(case) if branch and case.question.type == "TXT" else NOTHING


def _q2(case: Case) -> Kinds:
    return _exists(case) if case.below == ("dns-version",) and not case.reverse else NOTHING


def _q3(case: Case) -> Kinds:
    return _exists(case) if case.below in {("dns",), ("ns", "dns")} else NOTHING


def _q4(case: Case) -> Kinds:
    if case.question.type != "SOA" or not _no_data(case.theirs):
        return NOTHING
    return _not_answered(case)


def _q5(case: Case) -> Kinds:
    if case.below != ("ns", "dns") or not case.spelled:
        return NOTHING
    return _answered(case) or _exists(case)


def _q6(case: Case) -> Kinds:
    return _exists(case) if _address(case) and case.question.type != "PTR" else NOTHING


def _q8(case: Case) -> Kinds:
    if case.question.type != "SRV":
        return NOTHING
    same = _bare(case.theirs.answer, 1) == _bare(case.ours.answer, 1)
    return frozenset({"answer"}) if same else NOTHING


def _q9(case: Case) -> Kinds:
    if case.question.type != "PTR":
        return NOTHING
    found = [{row.rdata.split(".svc.")[0] for row in r.answer} for r in (case.theirs, case.ours)]
    one = len(found[0]) == 1 and all(found) and found[0] | found[1] <= TWINS
    return frozenset({"answer"}) if one else NOTHING


def _q11(case: Case) -> Kinds:
    if not case.alias or case.question.type in CHASED or not _no_data(case.theirs):
        return NOTHING
    return CIRCLE if _is_alias(case.ours) else NOTHING


def _q12(case: Case) -> Kinds:
    """CoreDNS says NOERROR with the alias, or leaves the alias off where its target is inside."""
    if not case.alias or case.question.type not in ADDRESSES or case.theirs.rcode != "NOERROR":
        return NOTHING
    # Out of a cache, the alias has the lowest TTL of the answer.
    theirs, ours = ({row.bare for row in reply.answer} for reply in (case.theirs, case.ours))
    return CIRCLE if theirs <= ours and _is_alias(case.ours) else NOTHING


def _is_alias(reply: Reply) -> bool:
    return [row.rtype for row in reply.answer[:1]] == ["CNAME"]


def _q13(case: Case) -> Kinds:
    return _answered(case) or _exists(case) if _is_literal(case.alias) else NOTHING


def _is_literal(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _q14(case: Case) -> Kinds:
    recursion = {"flag RA"} if case.options.forwards and "RA" in case.ours.flags else set()
    return frozenset(recursion) | _cached(case)


def _cached(case: Case) -> Kinds:
    once = case.options.caches and "RA" in case.theirs.flags
    return frozenset({"flag AA"}) if once else NOTHING


def _q16(case: Case) -> Kinds:
    if case.below[-1:] != ("pod",):
        return NOTHING
    if len(case.below) in {4, 5}:
        return _not_answered(case)
    answer = case.theirs.answer
    port = case.question.type == "SRV" and len(answer) == 1 and answer[0].rdata.split()[2] == "0"
    return SECTIONS if port and _no_data(case.ours) else NOTHING


def _q17(case: Case) -> Kinds:
    service = case.below[-3:-1] == ("by-name", "shop")
    if not service or case.theirs.rcode != "NOERROR":
        return NOTHING
    return ELSEWHERE


def _q18(case: Case) -> Kinds:
    if case.below[-1:] != ("pod",) or not case.options.has("pods verified"):
        return NOTHING
    return _answered(case) or _exists(case)


def _q19(case: Case) -> Kinds:
    if case.labels and not case.options.has("endpoint_pod_names"):
        return NOTHING
    names = {"long-pods", "172-17-2-53", "a"}
    asked = names & set(case.labels) or _address(case) == "172.17.2.53"
    return frozenset(SECTIONS | {"rcode"}) if asked else NOTHING


def _q20(case: Case) -> Kinds:
    return _not_answered(case) if "_" in case.below[:2] else NOTHING


def _q21(case: Case) -> Kinds:
    hidden = case.theirs.answer and {row.rdata.split(".svc.")[0] for row in case.theirs.answer}
    if case.options.has("namespaces") or not case.reverse or not hidden:
        return NOTHING
    return _not_answered(case) or (
        frozenset({"answer"}) if set(case.ours.answer) < set(case.theirs.answer) else NOTHING
    )


def _q22(case: Case) -> Kinds:
    odd = {"2001:db8::a", "2001:db8::b"} & {_address(case)}
    return _answered(case) or _exists(case) if odd else NOTHING


def _q22_case(case: Case) -> Kinds:
    """CoreDNS leaves the capitals of an address in the endpoint's name."""
    if [row.rdata.lower() for row in sorted(case.theirs.answer)] != [
        row.rdata.lower() for row in sorted(case.ours.answer)
    ]:
        return NOTHING
    capitals = "2001-DB8" in str(case.theirs)
    return frozenset({"answer", "additional"}) if capitals else NOTHING


def _q23(case: Case) -> Kinds:
    named = case.below == ("ns", "dns") or (not case.below and case.question.type == "NS")
    # Nothing is additional with ``minimal``.
    itself = {"127.0.0.1", "ns.dns." + case.question.name.split("ns.dns.")[-1]}
    itself |= {name.lower() for name in itself}  # a cache may have it in another spelling
    ours = {row.rdata for row in case.ours.answer}
    return SECTIONS if named and ours and ours <= itself and _no_data(case.theirs) else NOTHING


def _q24(case: Case) -> Kinds:
    if not case.reverse or case.below not in {("svc",), ("pod",), ("dns-version",)}:
        return NOTHING
    return _not_answered(case)


def _q25(case: Case) -> Kinds:
    outside = case.origin is None or case.leaves
    if not outside or (case.theirs.rcode, case.ours.rcode) != ("SERVFAIL", "REFUSED"):
        return NOTHING
    return frozenset({"rcode"})


def _q26(case: Case) -> Kinds:
    silent = case.theirs.rcode == "SILENCE" and case.question.type == "PTR"
    address = _address(case) or _address(replace(case, question=_shorter(case)))
    return frozenset({"silence"}) if silent and address in NAMELESS else NOTHING


def _shorter(case: Case) -> Question:
    """Leave off what stands in front of a reversed IPv6 address (Q28)."""
    return replace(case.question, labels=case.question.labels[-V6_LABELS:])


def _q27(case: Case) -> Kinds:
    bad = case.ours.rcode == "BADVERS" and case.theirs.rcode in {"BADVERS", "REFUSED"}
    return frozenset({"edns", "rcode"}) if bad else NOTHING


def _q28(case: Case) -> Kinds:
    longer = case.labels[-2:-1] == ("ip6",) and V6_LABELS < len(case.labels) < V6_LABELS + 4
    if not longer or case.question.type != "PTR":
        return NOTHING
    return _not_answered(case)


def _q29(case: Case) -> Kinds:
    transfer = case.question.type in {"AXFR", "IXFR"}
    return ELSEWHERE if transfer and case.ours.rcode == "REFUSED" else NOTHING


def _q30(case: Case) -> Kinds:
    theirs, ours = case.theirs.edns, case.ours.edns
    if theirs is None or ours is None or not case.options.forwards:
        return NOTHING
    fewer = theirs[:EDNS_FIXED] == ours and "RA" in case.theirs.flags
    return frozenset({"edns"}) if fewer else NOTHING


def _q31(case: Case) -> Kinds:
    """The upstream cut its answer for the client of CoreDNS."""
    if case.question.type != "A" or "TC" not in case.theirs.flags:
        return NOTHING
    many = "many.example.org." in {case.alias + ".", case.question.below}
    return frozenset({"answer", "cut", "flag TC"}) if many else NOTHING


def _q33(case: Case) -> Kinds:
    inside = case.origin is not None and case.alias.endswith(".".join(case.origin))
    elsewhere = inside and case.options.has_line("hosts {")
    return frozenset({"answer", "authority"}) if elsewhere else NOTHING


def _q34(case: Case) -> Kinds:
    """CoreDNS explains itself, and does so in an OPT record of its own."""
    refused = case.question.type in {"MX", "NAPTR"} and case.options.has_line("acl {")
    own = case.theirs.edns is not None and case.theirs.edns[1:] == (True, 0)
    return frozenset({"edns"}) if refused and own else NOTHING


def _q35(case: Case) -> Kinds:
    cleared = case.options.has_line("    query clear rd") and "RD" in case.ours.flags
    return frozenset({"flag RD"}) if cleared else NOTHING


def _q38(case: Case) -> Kinds:
    alias = _is_alias(case.theirs) and case.options.has_line("minimal")
    types = {row.rtype for row in case.ours.authority}
    return frozenset({"authority"}) if alias and types == {"SOA"} else NOTHING


def _q36(case: Case) -> Kinds:
    folded = [set(reply.folded().answer) for reply in (case.theirs, case.ours)]
    lower = case.theirs.answer == case.theirs.folded().answer
    same = case.options.has_line("hosts {") and lower and folded[0] == folded[1]
    return frozenset({"answer"}) if same else NOTHING


def _q37(case: Case) -> Kinds:
    other = case.question.rclass != IN and case.options.has_line("hosts {")
    return ELSEWHERE if other else NOTHING


def _q32(case: Case) -> Kinds:
    """CoreDNS answered out of its cache what it says to another spelling of the name."""
    cached = case.options.has_line("cache 30") and case.below == ("ns", "dns")
    return _exists(case) or _denied_only(case) if cached else NOTHING


def _denied_only(case: Case) -> Kinds:
    both = _no_data(case.theirs) and case.ours.rcode == "NXDOMAIN"
    return frozenset({"rcode"}) if both else NOTHING


def _q39(case: Case) -> Kinds:
    named = case.place == ("alone", "shop") and case.origin == ("clusterset", "local")
    return _answered(case) or _exists(case) if named else NOTHING


def _q40(case: Case) -> Kinds:
    named = case.place[2:] == ("web", "shop") and case.origin == ("clusterset", "local")
    return _not_answered(case) if named else NOTHING


def _above(case: Case) -> Kinds:
    """Names between a service and its ports, a service and its zones, a zone and an address."""
    ports = case.service is not None and (len(case.below) == 4 or "_zone" in case.below)
    part = case.reverse and len(case.below) > 0 and not _address(case)
    return _exists(case) if ports or part else NOTHING


def _short_name(case: Case) -> Kinds:
    if not case.short or not _denied(case, case.theirs):
        return NOTHING
    return CIRCLE if _is_alias(case.ours) else _answered(case) or _exists(case)


def _schema(case: Case) -> Kinds:
    asked = case.below == ("dns-version",) and case.question.type == "TXT"
    right = [row.rdata for row in case.ours.answer] == ['"1.0.0"']
    return frozenset({"answer"}) if asked and right else NOTHING


_EITHER = (
    Known("Q17", "slices of type FQDN are no aliases", _q17),
    Known("Q26", "a slice of no service has no names to be found by", _q26),
    Known("Q29", "a zone transfer is refused", _q29, _forwards),
    Known("Q34", "what acl answers has the OPT of any other answer", _q34),
    Known("Q36", "hosts answers in the spelling of the question", _q36),
    Known("Q38", "minimal leaves the SOA of what does not exist behind an alias", _q38),
    Known("Q37", "hosts are of class IN", _q37, chance=True),
    Known("Q35", "RD in an answer is the client's", _q35),
    Known("Q30", "options of EDNS are not those of another server", _q30, _forwards),
    Known("Q31", "an upstream is asked for all that it has", _q31, _forwards),
    Known("Q27", "a wrong EDNS version is answered with the client's size", _q27),
)
KNOWN: dict[str, tuple[Known, ...]] = {
    NORMAL: (
        *_EITHER,
        Known("Q25", "nobody is asked after the last plugin: refused, not failed", _q25),
        Known("Q1", "TXT at a name that has others below it: no data", _q1),
        Known("Q2", "dns-version exists for all types", _q2),
        Known("Q3", "ns.dns and dns exist for all types", _q3),
        Known("Q4", "SOA of a name that does not exist", _q4),
        Known("Q5", "ns.dns in a zone in capitals", _q5),
        Known("Q6", "a reverse name exists for all types", _q6),
        Known("Q8", "weights are shared by the records that are returned", _q8),
        Known("Q9", "all services of an address", _q9),
        Known("Q11", "an alias is one for all types", _q11),
        Known("Q12", "the rcode is that of the end of the aliases", _q12),
        Known("Q13", "an alias that is an address has it", _q13),
        Known("Q14", "RA says that there is recursion", _q14, _forwards),
        Known("Q16", "a pod has no names below it and no ports", _q16),
        Known("Q18", "a pod has all its addresses, however spelled", _q18),
        Known("Q19", "the name of an endpoint is one label", _q19),
        Known("Q20", "an underscore alone is no port", _q20),
        Known("Q21", "reverse names of namespaces that are not served", _q21),
        Known("Q22", "an address is the same however it is spelled", _q22),
        Known("Q22", "names of endpoints are in lower case", _q22_case),
        Known("Q23", "a server on loopback names itself", _q23),
        Known("Q24", "names of a cluster's zone in a reverse one", _q24),
        Known("Q28", "an address with labels in front is none", _q28),
        Known("Q33", "an alias that leads inside is asked about as any other", _q33),
        Known("Q39", "a ServiceImport needs no ports", _q39),
        Known("Q40", "a ServiceImport with an address has no names of endpoints", _q40),
        Known("8020", "a name with others below it exists", _above),
        Known("short", "<svc>.<ns>.<zone> is answered", _short_name),
        Known("1645", "the schema of multicluster zones", _schema),
    ),
    COMPAT: (
        *_EITHER,
        Known("Q9", "one service of an address; CoreDNS takes any", _q9, chance=True),
        Known("Q14", "whether an answer is out of the cache", _cached, chance=True),
        Known("Q32", "a cache answers one spelling with another", _q32, chance=True),
    ),
}
