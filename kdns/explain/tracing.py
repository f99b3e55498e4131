"""Server blocks whose plugins are looked at while they answer one question.

The plugins are those that answer everybody, wrapped once more: state such as a cache is shared,
and nothing of this is on the way of any other query.
"""

from collections.abc import Sequence
from contextvars import ContextVar

from msgspec import Struct
from msgspec.structs import replace

from kdns.chain import Answer, Dropped, Handler, Plugin, Relay, Request, Response, compose
from kdns.configuration import Assembled
from kdns.corefile.mnemonics import type_text
from kdns.explain.report import Part
from kdns.resolver.engine import rcode_text
from kdns.server.routes import UNSERVED, Route, Routes
from kdns.wire import codes, names, relay
from kdns.wire.query import Query


class Visit(Struct):
    """One question of a client, on its way through a server block."""

    block: str = ""
    assembled: Assembled | None = None
    chain: tuple[str, ...] = ()
    parts: list[Part | None] = []


class Traced:
    """The server blocks behind one address; a plugin to whoever asks them."""

    def __init__(self, blocks: Sequence[Assembled], hidden: str = "") -> None:
        """``hidden`` is a plugin that is left out: who asks does not come to it."""
        self.visits: list[Visit] = []
        self._blocks, self._hidden = blocks, hidden

    def wrap(self, following: Handler) -> Handler:
        """Route each question to its block; ``following`` ends every chain."""
        found: dict[bytes, Assembled] = {}
        routes: list[Route] = []
        for assembled in self._blocks:
            handler = compose(self._plugins(assembled), following)
            for key in assembled.keys:
                found[key.zone] = assembled
                routes.append(Route(key.zone, names.to_text(key.zone), handler))
        routing = Routes(routes)

        async def handle(request: Request) -> Response:
            route = routing.find(request.query)
            if not request.depth:
                self.visits.append(Visit(parts=[]))
            if route is None:
                return UNSERVED
            if not request.depth:
                self._enter(self.visits[-1], route, found[route.zone])
            return await route.handler(replace(request, zone=route.label))

        return handle

    def _enter(self, visit: Visit, route: Route, assembled: Assembled) -> None:
        visit.block, visit.assembled = route.label, assembled
        visit.chain = tuple(name for name, _ in self._named(assembled))

    def _named(self, assembled: Assembled) -> list[tuple[str, Plugin]]:
        named = ((name, one) for name, one in assembled.plugins if one is not None)
        return [(name, one) for name, one in named if name != self._hidden]

    def _plugins(self, assembled: Assembled) -> list[Plugin]:
        return [_Watched(name, one, self.visits) for name, one in self._named(assembled)]


class _Frame(Struct):
    """What a plugin handed on while it answered one request."""

    query: Query | None = None
    response: Response | None = None


class _Watched:
    """A plugin, with an eye on what goes in and what comes out."""

    def __init__(self, name: str, plugin: Plugin, visits: list[Visit]) -> None:
        self._name, self._plugin, self._visits = name, plugin, visits
        self._frame: ContextVar[_Frame | None] = ContextVar(name, default=None)

    def wrap(self, following: Handler) -> Handler:
        """Wrap what follows, and the plugin itself."""

        async def behind(request: Request) -> Response:
            frame = self._frame.get() or _Frame()
            frame.query = request.query
            frame.response = await following(request)
            return frame.response

        inner = self._plugin.wrap(behind)

        async def handle(request: Request) -> Response:
            frame = _Frame()
            parts = self._visits[-1].parts
            at = len(parts)
            parts.append(None)
            token = self._frame.set(frame)
            try:
                response = await inner(request)
            except Dropped:
                parts[at] = Part(self._name, "drops", depth=request.depth)
                raise
            except Exception as error:
                parts[at] = Part(self._name, "fails", detail=str(error), depth=request.depth)
                raise
            finally:
                self._frame.reset(token)
            parts[at] = self._part(request, frame, response)
            return response

        return handle

    def _part(self, request: Request, frame: _Frame, response: Response) -> Part:
        part = Part(self._name, "answers", rcode_text(_rcode(response)), depth=request.depth)
        if frame.query is None:
            return part
        if frame.query.question != request.query.question:
            asked = f"{names.to_text(frame.query.asked)} {type_text(frame.query.rtype)}"
            return replace(part, does="alters", asked=asked)
        if frame.response is not None and _says_the_same(frame.response, response):
            return replace(part, does="passes")
        return replace(part, does="alters", detail=_altered(frame.response, response))


def _rcode(response: Response) -> int:
    match response:
        case Answer(sections):
            return sections.rcode
        case Relay(message):
            return relay.rcode(message)


def _says_the_same(one: Response, other: Response) -> bool:
    match one, other:
        case Answer(), Answer():
            return one.sections == other.sections and not _rotates(one, other)
        case Relay(), Relay():
            return one.message == other.message
        case _:
            return False


def _rotates(before: Answer, after: Answer) -> bool:
    """Whether addresses take turns only now."""
    addresses = [one for one in after.sections.answer if one.rtype in {codes.A, codes.AAAA}]
    return after.rotate and not before.rotate and len(addresses) > 1


def _altered(before: Response | None, after: Response) -> str:
    """Say in a word or two what a plugin changed."""
    match before, after:
        case Answer(), Answer():
            return ", ".join(_differences(before, after))
        case _:
            return "the message"


def _differences(before: Answer, after: Answer) -> list[str]:
    one, other = before.sections, after.sections
    found = {
        "the order of the addresses from one reply to the next": _rotates(before, after),
        "the rcode": one.rcode != other.rcode,
        "the answer": one.answer != other.answer,
        "the authority section": one.authority != other.authority,
        "the additional section": one.additional != other.additional,
        "the reason": one.ede != other.ede,
        "the flags": (one.set_flags, one.clear_flags, one.authoritative)
        != (other.set_flags, other.clear_flags, other.authoritative),
        "the EDNS options": one.options != other.options,
    }
    return [text for text, differs in found.items() if differs]
