"""``loadbalance``: who asks again gets the addresses in another order, CNAMEs always first.

Answers of ours rotate as prepared packets, one address further in every reply. Where chance
decides by weights, or some addresses come first, an answer is made anew for every query. In what
upstreams say the addresses are moved within the octets. Knows no sockets.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random

from msgspec.structs import replace

from kdns.assembly import Block
from kdns.chain import Answer, Handler, Plugin, Relay, Request, Response
from kdns.corefile import values
from kdns.corefile.syntax import Directive, Line, Token
from kdns.corefile.values import MANY, arguments, duration, fail
from kdns.corefile.zones import Network
from kdns.errors import CorefileError, UpstreamError
from kdns.kube.owners import Owner
from kdns.wire import codes, relay, weightsfile
from kdns.wire.message import Sections
from kdns.wire.names import Name
from kdns.wire.query import Query
from kdns.wire.records import Record

log = logging.getLogger(__name__)

NAME = "loadbalance"
POLICIES = ("round_robin", "weighted")
RELOAD = 30.0
"""Seconds between two looks at a weight file."""
_ADDRESSES = (codes.A, codes.AAAA)
_WEIGHTED = frozenset({codes.A, codes.AAAA, codes.SRV})
"""The types of questions that weights are for."""
_RANKS = {codes.CNAME: 0, codes.A: 2, codes.AAAA: 2, codes.MX: 3}
_OTHER = 1


def setup(directives: Sequence[Directive], block: Block) -> Plugin:
    """Read ``loadbalance [round_robin | weighted FILE]``; of several the last policy counts."""
    weights: Weights | None = None
    prefer: list[Network] = []
    for directive in directives:
        weights = _policy(directive, block)
        prefer += _preferred(directive)
    for directive in directives[:-1]:
        block.warn(directive.name, "loadbalance: only the policy of the last one counts")
    return LoadBalance(weights, prefer)


# -- weights ----------------------------------------------------------------------------------


class Weights:
    """What a weight file says, now and after every change of it."""

    def __init__(self, path: Path) -> None:
        self.known: weightsfile.Weights = {}
        self.owner: Owner = (NAME, str(path))
        """Touched when the file changes."""
        self._path = path
        self._content: bytes | None = None

    def draw(self, owner: Name, addresses: Sequence[bytes], chance: Random) -> int:
        """Return the index of the address that comes first; its weight is 1 unless it has one."""
        known = self.known.get(owner, {})
        weights = [known.get(address, 1) for address in addresses]
        return chance.choices(range(len(addresses)), weights)[0]

    def read(self) -> bool:
        """Read the file; whether it changed. Raises OSError or CorefileError, the latter once."""
        content = self._path.read_bytes()
        if content == self._content:
            return False
        self._content = content
        lines = content.decode(errors="backslashreplace").splitlines()
        self.known = weightsfile.read(lines, str(self._path))
        return True

    @asynccontextmanager
    async def followed(
        self, seconds: float, changed: Callable[[Iterable[Owner]], None]
    ) -> AsyncIterator[None]:
        """Read the file again every so many seconds while the block runs."""
        task = asyncio.create_task(self._follow(seconds, changed))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _follow(self, seconds: float, changed: Callable[[Iterable[Owner]], None]) -> None:
        """Look at the file; what cannot be read leaves the weights of before."""
        complaint = ""
        while True:
            await asyncio.sleep(seconds)
            try:
                if await asyncio.to_thread(self.read):
                    log.info("read the weight file %s", self._path)
                    changed([self.owner])
                complaint = ""
            except (OSError, CorefileError) as error:
                if str(error) != complaint:
                    log.error("the weights stay as they are: %s", error)  # noqa: TRY400 - no fault
                complaint = str(error)


# -- the plugin -------------------------------------------------------------------------------


class LoadBalance:
    """Changes the order of addresses."""

    def __init__(
        self,
        weights: Weights | None = None,
        prefer: Iterable[Network] = (),
        chance: Random | None = None,
    ) -> None:
        """``prefer`` are the networks whose addresses come first, in this order."""
        self._weights = weights
        self._prefer = [_prefix(network) for network in prefer]
        self._chance = chance or Random()  # noqa: S311 - an order is no secret

    def wrap(self, following: Handler) -> Handler:
        """Change the order of what the following handler answers."""

        async def handle(request: Request) -> Response:
            response = await following(request)
            if isinstance(response, Answer):
                return self._balanced(response, request.query)
            return self._relayed(response, request.query)

        return handle

    # -- what upstreams say ---------------------------------------------------------------

    def _relayed(self, response: Relay, query: Query) -> Response:
        message, order = response.message, response.order
        if order is None:
            try:
                order = relay.order(relay.locate(message))
            except UpstreamError:
                return response
        if order.jumbled and self._concerns(query, relay.rcode(message)):
            try:
                sections = relay.sections(message, query)
            except UpstreamError:
                return response
            return self._balanced(Answer(sections, by=response.by), query)
        if not order.sets or not self._concerns(query, relay.rcode(message)):
            return response
        arranged = relay.arranged(message, order.sets, self._arrange)
        reorder = partial(relay.arranged, message, order.sets, self._arrange)
        return replace(response, message=arranged, order=order, reorder=reorder)

    # -- what we say ----------------------------------------------------------------------

    def _balanced(self, answer: Answer, query: Query) -> Answer:
        """Have an answer rotate, or make one in an order of its own."""
        sections = answer.sections
        if len(sections.answer) <= 1 and len(sections.additional) <= 1:
            return answer  # one record has one order
        if not self._concerns(query, sections.rcode):
            return answer
        arranged = _aliases_first(sections.answer)
        if arranged is not sections.answer:
            sections = replace(sections, answer=arranged)
        if self._is_particular(sections):
            return replace(answer, sections=self._drawn(sections), owners=(), rotate=False)
        owners = answer.owners
        if owners and self._weights is not None:
            owners = (*owners, self._weights.owner)
        return replace(answer, sections=sections, owners=owners, rotate=True)

    def _is_particular(self, sections: Sections) -> bool:
        """Whether rotation is not enough: chance is not even, or addresses are not alike."""
        mx = [record for record in sections.answer if record.rtype == codes.MX]
        if len(mx) > 1:
            return True
        if self._weights is None and not self._prefer:
            return False
        return any(
            self._is_uneven([records[index] for index in places])
            for records in (sections.answer, sections.additional)
            for places in _sets(records)
        )

    def _is_uneven(self, records: Sequence[Record]) -> bool:
        if self._weights is not None and records[0].owner.lower() in self._weights.known:
            return True
        return len({self._preference(record.rdata) for record in records}) > 1

    def _drawn(self, sections: Sections) -> Sections:
        """Return sections in an order for this query only."""
        mx = [record for record in sections.answer if record.rtype == codes.MX]
        others = sections.answer[: len(sections.answer) - len(mx)]
        self._chance.shuffle(mx)
        return replace(
            sections,
            answer=(*self._rearranged(others), *mx),
            additional=self._rearranged(sections.additional),
        )

    def _rearranged(self, records: Sequence[Record]) -> tuple[Record, ...]:
        out = list(records)
        for places in _sets(records):
            owner = records[places[0]].owner.lower()
            addresses = self._arrange(owner, [records[index].rdata for index in places])
            for index, address in zip(places, addresses, strict=True):
                out[index] = replace(records[index], rdata=address)
        return tuple(out)

    # -- the order ------------------------------------------------------------------------

    def _concerns(self, query: Query, rcode: int) -> bool:
        if rcode != codes.NOERROR or query.rtype in (codes.AXFR, codes.IXFR):
            return False
        return self._weights is None or query.rtype in _WEIGHTED

    def _arrange(self, owner: Name, addresses: list[bytes]) -> list[bytes]:
        """Put the addresses of one owner and type in an order for this query."""
        if self._weights is None:
            # A sixth of the time that ``shuffle`` takes.
            random = self._chance.random
            addresses = sorted(addresses, key=lambda _: random())
        else:
            first = self._weights.draw(owner, addresses, self._chance)
            addresses[0], addresses[first] = addresses[first], addresses[0]
        return sorted(addresses, key=self._preference) if self._prefer else addresses

    def _preference(self, address: bytes) -> int:
        """Return which of the networks an address is in; the last of all where in none."""
        number = int.from_bytes(address)
        for index, (size, bits, prefix) in enumerate(self._prefer):
            if size == len(address) and number >> bits == prefix:
                return index
        return len(self._prefer)


def _prefix(network: Network) -> tuple[int, int, int]:
    """Return octets of an address, bits behind the prefix, and the prefix."""
    bits = network.max_prefixlen - network.prefixlen
    return network.max_prefixlen // 8, bits, int(network.network_address) >> bits


def _aliases_first(records: tuple[Record, ...]) -> tuple[Record, ...]:
    """Return CNAMEs, others, addresses, MX: glibc is particular about the first."""
    if len({record.rtype for record in records}) <= 1:
        return records
    ranks = [_RANKS.get(record.rtype, _OTHER) for record in records]
    if ranks == sorted(ranks):
        return records
    return tuple(sorted(records, key=lambda record: _RANKS.get(record.rtype, _OTHER)))


def _sets(records: Iterable[Record]) -> list[list[int]]:
    """Return where addresses of the same owner and type stand, if there are several."""
    found: dict[tuple[Name, int], list[int]] = {}
    for index, record in enumerate(records):
        if record.rtype in _ADDRESSES:
            found.setdefault((record.owner.lower(), record.rtype), []).append(index)
    return [places for places in found.values() if len(places) > 1]


# -- reading ----------------------------------------------------------------------------------


def _policy(directive: Directive, block: Block) -> Weights | None:
    """Read the policy of a directive; None is ``round_robin``."""
    words = arguments(directive, 0, 2)
    lines = {line.name.text: line for line in directive.lines}
    for line in directive.lines:
        if line.name.text not in ("reload", "prefer"):
            values.unknown(line, ("reload", "prefer"), of=NAME)
    policy = values.choice(words[0], POLICIES, "policy") if words else POLICIES[0]
    if policy == "weighted":
        if len(words) == 1:
            fail(words[0], "weighted: expected the path of a weight file")
        return _weights(words[1], lines.get("reload"), block)
    if len(words) > 1:
        fail(words[1], f"unexpected {words[1].text!r} after round_robin")
    if "reload" in lines:
        fail(lines["reload"].name, "reload is for a weight file: expected weighted FILE")
    return None


def _weights(file: Token, line: Line | None, block: Block) -> Weights:
    """Read a weight file; one that is missing may come later, if it is looked for again."""
    seconds = RELOAD if line is None else duration(arguments(line, 1)[0])
    weights = Weights(block.root / file.text)
    try:
        weights.read()
    except OSError as error:
        text = f"cannot read the weight file {block.root / file.text}: {error.strerror}"
        if not seconds:
            fail(file, text)
        block.warn(file, f"{text}; looking for it again every {seconds:g} s")
    if seconds:
        block.during(weights.followed(seconds, block.drop))
    return weights


def _preferred(directive: Directive) -> list[Network]:
    """Read all lines ``prefer CIDR...`` of a directive."""
    return [
        values.network(word)
        for line in directive.lines
        if line.name.text == "prefer"
        for word in arguments(line, 1, MANY)
    ]
