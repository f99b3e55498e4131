"""An explanation for people: lines of text, with colour where that is wanted."""

from collections.abc import Iterator

from kdns.explain.report import Explanation, LeftOut, Origin, Part, Reading, Tried, Used

MOST = 12
"""Records, objects and endpoints that are shown of each; the number of the others is told."""
_GREEN, _RED, _YELLOW, _BOLD, _DIM = "32", "31", "33", "1", "2"
_PARTS = ("namespace", "service", "port", "protocol", "endpoint", "cluster", "topology", "pod")


class Paint:
    """Colours for a terminal, or none."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def __call__(self, text: str, code: str) -> str:
        """Paint a text."""
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour and text else text


def text(explained: Explanation, *, colour: bool = False) -> str:
    """Write an explanation."""
    return "\n".join(_lines(explained, Paint(colour=colour)))


def _lines(one: Explanation, paint: Paint) -> Iterator[str]:
    became = "NODATA" if one.rcode == "NOERROR" and not one.records else one.rcode or "not asked"
    colour = _GREEN if one.found else _RED
    yield f"{paint(f'{one.question} {one.rtype}', _BOLD)} from {one.place}: {paint(became, colour)}"
    if one.reason and one.found:
        yield f"  {one.reason}"
    yield from _searched(one, paint)
    yield from _chain(one, paint)
    yield from _read(one.reading, paint)
    yield from _section("objects", [_object(used) for used in one.objects], paint)
    yield from _section("records", list(map(_record, one.records)), paint)
    yield from _section("left out", list(map(_left_out, one.left_out)), paint)
    yield from _section("nearest", [f"{near.name}  ({near.why})" for near in one.nearest], paint)
    yield from _sizes(one, paint)
    yield from _coredns(one, paint)
    yield from _section("notes", list(one.notes), paint)


def _section(title: str, lines: list[str], paint: Paint) -> Iterator[str]:
    """Write a title and the lines below it; nothing without lines."""
    if lines:
        yield paint(title, _BOLD)
        yield from (f"  {line}" for line in lines[:MOST])
    if len(lines) > MOST:
        yield paint(f"  and {len(lines) - MOST} more", _DIM)


def _searched(one: Explanation, paint: Paint) -> Iterator[str]:
    queries = f"{one.queries} {'query' if one.queries == 1 else 'queries'}, {one.wasted} wasted"
    search = " ".join(one.search) or "nothing"
    yield f"{paint('search', _BOLD)} {search}, ndots {one.ndots}: {queries}"
    for tried in one.tried:
        yield f"  {_step(tried, paint, told=tried.name == one.name)}"


def _step(tried: Tried, paint: Paint, *, told: bool) -> str:
    colour = _GREEN if tried.became == "NOERROR" else _YELLOW
    because = f"  ({tried.reason})" if tried.reason else ""
    mark = "->" if told else "  "
    return f"{mark} {tried.name}  {paint(tried.became, colour)}{because}"


def _chain(one: Explanation, paint: Paint) -> Iterator[str]:
    """Write what each plugin did with the name that tells."""
    tried = next((tried for tried in one.tried if tried.name == one.name), None)
    if tried is None or not tried.block:
        return
    yield f"{paint('server block', _BOLD)} {tried.block} ({' -> '.join(tried.chain)})"
    for part in tried.parts:
        yield f"  {'  ' * part.depth}{_part(part)}"
    reached = {part.plugin for part in tried.parts}
    if rest := [name for name in tried.chain if name not in reached]:
        yield f"  {', '.join(rest)}: not reached"


def _part(part: Part) -> str:
    match part.does:
        case "answers":
            return f"{part.plugin}: answers {part.rcode}"
        case "alters" if part.asked:
            return f"{part.plugin}: asks for {part.asked} instead"
        case "alters":
            return f"{part.plugin}: alters {part.detail}"
        case "passes":
            return f"{part.plugin}: passes on"
        case "drops":
            return f"{part.plugin}: drops the query"
        case "fails":
            return f"{part.plugin}: fails: {part.detail}"


def _read(reading: Reading | None, paint: Paint) -> Iterator[str]:
    if reading is None:
        yield f"{paint('read as', _BOLD)} a name outside the zones of the cluster"
        return
    parts = [f"{part} {getattr(reading, part)}" for part in _PARTS if getattr(reading, part)]
    if reading.kind == "reverse":
        parts.append("a reversed address")
    kind = {
        "none": "no name that the zone can have",
        "apex": "the zone itself",
        "branch": "a branch of the zone",
    }.get(reading.kind)
    short = ", short form" if reading.short else ""
    what = ", ".join(parts) or kind or reading.kind
    yield f"{paint('read as', _BOLD)} {what}, zone {reading.zone}{short}"


def _object(used: Used) -> str:
    version = f"resourceVersion {used.resource_version}" if used.resource_version else "no version"
    age = f", {used.age:.0f} s old" if used.age is not None else ""
    return f"{used.title}  {version}{age}"


def _record(origin: Origin) -> str:
    field = f" {origin.field}" if origin.field else ""
    record = origin.record
    return f"{record.name} {record.rtype} {record.data}  <- {origin.source}{field}"


def _left_out(one: LeftOut) -> str:
    pod = f" of pod {one.pod}" if one.pod else ""
    return f"{one.address}{pod}: {one.reason}  (EndpointSlice {one.slice} {one.field})"


def _sizes(one: Explanation, paint: Paint) -> Iterator[str]:
    if not one.octets:
        return
    cut = (
        f"UDP {size.limit}: {f'truncated to {size.octets}' if size.truncated else 'fits'}"
        for size in one.sizes
    )
    yield f"{paint('size', _BOLD)} {one.octets} octets; {', '.join(cut)}"


def _coredns(one: Explanation, paint: Paint) -> Iterator[str]:
    if one.coredns is None:
        return
    found = one.coredns
    lines = [f"{record.name} {record.rtype} {record.data}" for record in found.records]
    nothing = ", no records" if not lines else ""
    yield paint(f"CoreDNS would answer {found.rcode}{nothing}", _YELLOW)
    yield from (f"  {line}" for line in lines[:MOST])
