"""``template``: answers with records that a template makes out of the question.

Which template answers is ``kdns.directives.templating``, the language
``kdns.directives.gotemplate``; the records are read by ``kdns.presentation``. What needs no query
to be found wrong is refused at start.
"""

import re
from collections.abc import Sequence

from msgspec.structs import replace

from kdns.assembly import Block
from kdns.chain import (
    FIXED,
    MAX_DEPTH,
    Answer,
    Dropped,
    Handler,
    Plugin,
    Request,
    Response,
    again,
)
from kdns.corefile import values
from kdns.corefile.syntax import Directive, Line, Token
from kdns.directives.gotemplate.check import Uses, check
from kdns.directives.gotemplate.execute import execute
from kdns.directives.gotemplate.nodes import Text, written
from kdns.directives.gotemplate.parser import parse
from kdns.directives.gotemplate.values import Composite, TemplateFailure
from kdns.directives.templating.data import PRIVATE, SHAPE, class_text, data, type_text
from kdns.directives.templating.rules import Match, Pattern, Section, Source, Template, matched
from kdns.errors import UpstreamError
from kdns.kube.owners import Owner
from kdns.metrics import Metrics
from kdns.presentation.record import read_record
from kdns.wire import codes, names, relay
from kdns.wire.message import MAX_EDE_TEXT, Ede, Sections
from kdns.wire.names import ROOT
from kdns.wire.query import ask
from kdns.wire.records import Record

MAX_PATTERN = 10_000
"""Characters of a regular expression."""

_SECTIONS: tuple[Section, ...] = ("answer", "authority", "additional")
_PROPERTIES = ("match", *_SECTIONS, "rcode", "ederror", "fallthrough", "upstream")
_EVERYTHING = Pattern(re.compile(".*"), ".*")
_MAX_EDE = 65_535


# -- reading the Corefile ----------------------------------------------------------------------


def setup(directives: Sequence[Directive], block: Block) -> Plugin:
    """Read the templates; they are tried in the order in which they are written."""
    templates = tuple(_template(directive, block) for directive in directives)
    return Templates(templates, block.runtime.metrics)


def _template(directive: Directive, block: Block) -> Template:
    rclass, rtype, *zones = values.arguments(directive, 2, values.MANY)
    template = Template(
        values.rclass(rclass), values.rtype(rtype), values.zones(zones, block.zones)
    )
    for line in directive.lines:
        if line.name.text not in _PROPERTIES:
            values.unknown(line, _PROPERTIES, of="template")
        template = _with(template, line, block)
    patterns = tuple(_pattern(token) for token in _words(directive, "match"))
    groups = {group for pattern in patterns for group in pattern.compiled.groupindex}
    sources: list[Source] = []
    for section in _SECTIONS:
        for token in _words(directive, section):
            source, uses = _source(section, token)
            _warn(token, uses, groups, block)
            sources.append(source)
            template = replace(template, private=template.private or bool(PRIVATE & uses.fields))
    return replace(template, patterns=patterns or (_EVERYTHING,), sources=tuple(sources))


def _words(directive: Directive, name: str) -> list[Token]:
    """Return the arguments of all lines of a name."""
    lines = [line for line in directive.lines if line.name.text == name]
    return [token for line in lines for token in values.arguments(line, 1, values.MANY)]


def _with(template: Template, line: Line, block: Block) -> Template:
    """Read a property that is no list of regular expressions or records."""
    match line.name.text:
        case "rcode":
            (token,) = values.arguments(line, 1)
            template = replace(template, rcode=values.rcode(token))
        case "ederror":
            template = replace(template, ede=_extended_error(line, block))
        case "fallthrough":
            template = replace(template, leaves=values.zones(line.args, (ROOT,)))
        case "upstream":
            block.warn(line.name, "template: upstream means nothing, as in CoreDNS")
        case _:
            pass
    return template


def _extended_error(line: Line, block: Block) -> Ede:
    code, *text = values.arguments(line, 1, 2)
    reason = text[0].text if text else ""
    if len(reason.encode()) > MAX_EDE_TEXT:
        block.warn(text[0], f"template: only {MAX_EDE_TEXT} octets of the reason are sent")
    return values.integer(code, 0, _MAX_EDE), reason


def _pattern(token: Token) -> Pattern:
    if len(token.text) > MAX_PATTERN:
        values.fail(token, f"a regular expression of more than {MAX_PATTERN} characters")
    return Pattern(values.regex(token), token.text)


def _source(section: Section, token: Token) -> tuple[Source, Uses]:
    """Read the template of a record; plain text has to be a record already."""
    try:
        nodes = parse(token.text)
        uses = check(nodes, SHAPE)
        plain = all(isinstance(node, Text) for node in nodes)
        constant = read_record(written(nodes)) if plain else None
    except ValueError as error:
        values.fail(token, f"template {token.text!r}: {error}")
    return Source(section, nodes, written(nodes), constant), uses


def _warn(token: Token, uses: Uses, groups: set[str], block: Block) -> None:
    """Tell of what CoreDNS takes too, though it cannot be meant."""
    for key in sorted(uses.keys - groups):
        block.warn(token, f"template: no match of this template has a group {key!r}")
    if "Meta" in uses.fields:
        block.warn(token, "template: nothing here sets metadata, .Meta is always empty")


# -- answering ---------------------------------------------------------------------------------


class Templates:
    """Answers with the first template that a question matches."""

    def __init__(self, templates: Sequence[Template], metrics: Metrics) -> None:
        self._templates = tuple(templates)
        labels = ("server", "zone", "view", "class", "type")
        more = (*labels, "section", "template")
        self._matches = metrics.counter(
            "coredns_template_matches_total", "Counter of template regex matches.", labels
        )
        self._failures = metrics.counter(
            "coredns_template_template_failures_total", "Counter of go template failures.", more
        )
        self._bad_records = metrics.counter(
            "coredns_template_rr_failures_total", "Counter of mis-templated RRs.", more
        )

    def wrap(self, following: Handler) -> Handler:
        """Answer what a template is for, pass all else on."""

        async def handle(request: Request) -> Response:
            for template in self._templates:
                outcome = matched(template, request.query)
                match outcome:
                    case Match():
                        return await self._answer(request, template, outcome)
                    case "refused":
                        return _servfail(FIXED)
                    case "elsewhere":
                        continue
            return await following(request)

        return handle

    async def _answer(self, request: Request, template: Template, found: Match) -> Answer:
        zone = names.to_text(found.zone)
        labels = (request.server, zone, "", class_text(found.rclass), type_text(found.rtype))
        self._matches.labels(*labels).inc()
        if template.rcode == codes.SERVFAIL:
            return _servfail(FIXED)
        seen = data(request.query, request.client[0], found)
        try:
            made = [
                (source.section, self._record(source, seen, labels)) for source in template.sources
            ]
        except TemplateFailure as failure:
            # Without owners: every query is to be counted and logged.
            return _servfail(error=str(failure))
        answer, authority, additional = (
            tuple(record for section, record in made if section == wanted) for wanted in _SECTIONS
        )
        sections = Sections(template.rcode, answer, authority, additional, ede=template.ede)
        owners = () if template.private else FIXED
        return await _followed(request, Answer(sections, owners, by="template"))

    def _record(self, source: Source, seen: Composite, labels: Sequence[str]) -> Record:
        """Make one record; TemplateFailure says why there is none."""
        if source.constant is not None:
            return source.constant
        more = (*labels, source.section, source.label)
        try:
            text = execute(source.nodes, seen)
        except TemplateFailure as failure:
            self._failures.labels(*more).inc()
            raise TemplateFailure(f"template {source.label!r}: {failure}") from None
        try:
            return read_record(text)
        except ValueError as error:
            self._bad_records.labels(*more).inc()
            raise TemplateFailure(f"{text!r} is no record: {error}") from None


def _servfail(owners: tuple[Owner, ...] = (), error: str = "") -> Answer:
    sections = Sections(codes.SERVFAIL, authoritative=False)
    return Answer(sections, owners, by="template", error=error)


# -- aliases -----------------------------------------------------------------------------------


async def _followed(request: Request, made: Answer) -> Answer:
    """Put the addresses of its target after each CNAME that was made for an A or AAAA."""
    if request.query.rtype not in (codes.A, codes.AAAA):
        return made
    owners, truncated = made.owners, False
    records: list[Record] = []
    for record in made.sections.answer:
        records.append(record)
        if record.rtype == codes.CNAME and request.depth < MAX_DEPTH:
            rest = await _target(request, record)
            records += rest.sections.answer
            truncated = truncated or rest.sections.truncated
            owners = (*owners, *rest.owners) if owners and rest.owners else ()
    sections = replace(made.sections, answer=tuple(records), truncated=truncated)
    return replace(made, sections=sections, owners=owners)


async def _target(request: Request, alias: Record) -> Answer:
    """Ask the whole chain for the target of an alias; whatever fails is an answer without it."""
    target = alias.targets[0] if alias.targets else alias.rdata
    client = request.query
    query = replace(ask(target, client.rtype), id=client.id, flags=client.flags, edns=client.edns)
    try:
        rest = await again(request, query)
        return rest if isinstance(rest, Answer) else Answer(relay.read(rest.message, query))
    except (Dropped, UpstreamError):
        return Answer(Sections(codes.SERVFAIL))
