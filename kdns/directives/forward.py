"""A ``forward`` directive of a Corefile: its words -> upstreams, and how they are asked.

Takes every option of CoreDNS 1.14. Names of hosts are looked up while it is read; nothing else is
asked. Knows no query.
"""

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.assembly import Block
from kdns.chain import Address
from kdns.corefile import values
from kdns.corefile.syntax import Directive, Line, Token
from kdns.corefile.values import MANY, arguments, fail
from kdns.errors import UsageError
from kdns.upstream import certificates, destinations, hostname, resolvconf
from kdns.upstream.address import Upstream, parse
from kdns.upstream.destinations import Destination
from kdns.upstream.ourselves import without
from kdns.upstream.settings import Check, Settings
from kdns.wire import codes, names
from kdns.wire.names import ROOT, Name

MAX_DESTINATIONS = 15
UNLIMITED = 10_000
"""Queries that wait at the same time where nothing else is said: memory is not without end."""
_MAX_COUNT = 2**32 - 1
_ALL = ("0.0.0.0", "::")


class Rules(Struct, frozen=True):
    """Which queries are forwarded."""

    zone: Name = ROOT
    excepted: tuple[Name, ...] = ()
    most: int = 1000
    """Queries that may wait at the same time."""
    next_rcodes: frozenset[int] = frozenset()
    """With which the forward that follows in the same block is asked."""
    next_on_nodata: bool = False
    """Whether it is asked too where there is no answer to a name that exists."""


class Wanted(Struct, frozen=True):
    """What one directive asks for."""

    destinations: tuple[tuple[Token, Destination], ...]
    """What every word after FROM stands for."""
    rules: Rules
    settings: Settings
    context: ssl.SSLContext | None


class _Draft:
    """The options so far."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.settings: dict[str, Any] = {"policy": "random"}
        self.rules: dict[str, Any] = {"most": UNLIMITED}
        self.check: dict[str, Any] = {}
        self.excepted: list[Name] = []
        self.failover: set[int] = set()
        self.next: set[int] = set()
        self.resolvers: list[Upstream] = []
        self.context: ssl.SSLContext | None = None
        self.server_name = ""


_Read: TypeAlias = Callable[[Line, _Draft], None]


def read(directives: Sequence[Directive], block: Block) -> list[Wanted]:
    """Read all directives of a block. Raises CorefileError for what cannot be meant."""
    wanted = [_read(directive, block) for directive in directives]
    for index, (directive, one) in enumerate(zip(directives, wanted, strict=True)):
        for earlier in wanted[:index]:
            if not earlier.rules.next_rcodes and _covers(earlier.rules, one.rules.zone):
                before, zone = names.to_text(earlier.rules.zone), directive.args[0].text
                text = f"forward {zone} is never reached: forward {before} stands before it"
                block.warn(directive.name, text)
    return wanted


def _covers(rules: Rules, zone: Name) -> bool:
    excepted = any(names.is_below(zone, one) or names.is_below(one, zone) for one in rules.excepted)
    return not rules.next_on_nodata and not excepted and names.is_below(zone, rules.zone)


def _read(directive: Directive, block: Block) -> Wanted:
    if len(directive.args) < 2:  # noqa: PLR2004 - FROM and one TO
        got = "one word" if directive.args else "no words"
        fail(directive.name, f"forward: expected a zone and at least one address, got {got}")
    first, *words = directive.args
    if len(words) > MAX_DESTINATIONS:
        fail(directive.name, f"forward: at most {MAX_DESTINATIONS} addresses, got {len(words)}")
    draft = _Draft(block)
    # Options come first: ``resolver`` is needed for the addresses.
    for line in directive.lines:
        take = _OPTIONS.get(line.name.text)
        if take is None:
            values.unknown(line, _OPTIONS, of="forward")
        take(line, draft)
    found = tuple((word, _destination(word, draft)) for word in words)
    if not any(destination.upstreams for _, destination in found):
        fail(words[0], "forward: none of the files has a nameserver")
    settings = Settings(
        **draft.settings, check=Check(**draft.check), failover=frozenset(draft.failover)
    )
    _check(settings, directive)
    rules = Rules(
        zone=_zone(first, block),
        excepted=tuple(draft.excepted),
        next_rcodes=frozenset(draft.next),
        **draft.rules,
    )
    return Wanted(found, rules, settings, draft.context)


def _zone(token: Token, block: Block) -> Name:
    """Read FROM. A network is the first of its zones, as with CoreDNS."""
    zone, *others = values.zones([token], ())
    if others:
        shown = names.to_text(zone)
        block.warn(token, f"{token.text} is {1 + len(others)} zones, of which only {shown} is used")
    return zone


def _check(settings: Settings, directive: Directive) -> None:
    if 0 < settings.max_age < settings.expire:
        fail(directive.name, "forward: max_age must not be less than expire")


# -- whom to ask ------------------------------------------------------------------------------


def _destination(word: Token, draft: _Draft) -> Destination:
    def lookup(host: str) -> list[str]:
        return hostname.addresses(host, draft.resolvers)

    try:
        found = destinations.read(word.text, draft.block.root, lookup)
    except UsageError as error:
        fail(word, f"forward: {error}")
    if not draft.server_name:
        return found
    return replace(found, upstreams=tuple(_named(word, one, draft) for one in found.upstreams))


def _named(word: Token, upstream: Upstream, draft: _Draft) -> Upstream:
    """Give an upstream that is asked over TLS the name that all have, unless it has its own."""
    if upstream.name:
        text = f"{word.text} has a server name, and so does tls_servername {draft.server_name}"
        fail(word, f"forward: {text}: expected one of them")
    return replace(upstream, name=draft.server_name) if upstream.tls else upstream


def upstreams(wanted: Wanted, block: Block) -> tuple[list[Upstream], str]:
    """Return whom to ask, each once, or else why there is nobody.

    A loop that a resolv.conf would make is left out, with a warning; to be called when it is
    known where the block listens. One that is written out is the operator's own: a name may come
    back as another one (``rewrite``).
    """
    found: dict[tuple[str, int], Upstream] = {}
    failures: list[str] = []
    for word, destination in wanted.destinations:
        kept = destination.upstreams
        if destination.file is not None:
            kept, failed = _outside(word, destination.file, kept, block)
            failures += failed
        for upstream in kept:
            found.setdefault((upstream.host, upstream.port), upstream)
    return [*found.values()], "" if found else "; ".join(failures)


def _outside(
    word: Token, file: Path, present: tuple[Upstream, ...], block: Block
) -> tuple[tuple[Upstream, ...], list[str]]:
    """Leave off what is this server itself; return the rest, or else why there is none.

    A stub on the node, 127.0.0.53, is in a pod the pod itself.
    """
    own = _own(block)
    kept, ours = without(present, own)
    if not ours:
        return present, []
    shown = f"{', '.join(map(str, ours))} of {file} is this server itself"
    if kept:
        block.remark(word, f"{shown}: it is not asked")
        return tuple(kept), []
    real = resolvconf.REAL
    behind, _ = without(resolvconf.nameservers(real) if real.exists() else [], own)
    if behind:
        block.remark(word, f"{shown}: the resolvers of {real} are asked instead")
        return tuple(behind), []
    advice = "name other resolvers here, or give kubelet the resolvConf of the node's real ones"
    block.remark(word, f"{shown}: what would be forwarded is answered SERVFAIL; {advice}")
    return (), [shown]


def _own(block: Block) -> list[Address]:
    return [(one, port) for host, port in block.addresses for one in ([host] if host else _ALL)]


# -- options ----------------------------------------------------------------------------------


def _except(line: Line, draft: _Draft) -> None:
    draft.excepted += values.zones(arguments(line, 1, MANY, what="name"), ())


def _flag(field: str) -> _Read:
    def take(line: Line, draft: _Draft) -> None:
        arguments(line, 0)
        draft.settings[field] = True

    return take


def _seconds(field: str) -> _Read:
    def take(line: Line, draft: _Draft) -> None:
        [word] = arguments(line, 1, what="duration")
        draft.settings[field] = values.duration(word)

    return take


def _read_timeout(line: Line, draft: _Draft) -> None:
    [word] = arguments(line, 1, what="duration")
    seconds = values.duration(word)
    if not seconds:
        fail(word, "read_timeout: expected a duration above 0")
    draft.settings["read_timeout"] = seconds


def _count(field: str) -> _Read:
    def take(line: Line, draft: _Draft) -> None:
        [word] = arguments(line, 1, what="number")
        draft.settings[field] = values.integer(word, 0, _MAX_COUNT)

    return take


def _max_concurrent(line: Line, draft: _Draft) -> None:
    [word] = arguments(line, 1, what="number")
    draft.rules["most"] = values.integer(word, 0, _MAX_COUNT) or UNLIMITED


def _policy(line: Line, draft: _Draft) -> None:
    [word] = arguments(line, 1, what="policy")
    known = ("random", "round_robin", "sequential")
    draft.settings["policy"] = values.choice(word, known, "policy")


def _health_check(line: Line, draft: _Draft) -> None:
    """Read ``DURATION [no_rec] [domain FQDN]``."""
    first, *words = arguments(line, 1, MANY, what="word")
    draft.check["interval"] = values.duration(first)
    draft.check["domain"] = ROOT
    waiting = iter(words)
    for word in waiting:
        if values.choice(word, ("no_rec", "domain"), "option of health_check") == "no_rec":
            draft.check["recursion"] = False
        else:
            draft.check["domain"] = _domain(word, next(waiting, None))


def _domain(word: Token, name: Token | None) -> Name:
    if name is None:
        fail(word, "health_check: expected a name after domain")
    try:
        return names.from_text(name.text).lower()
    except ValueError as error:
        fail(name, f"health_check: expected a name, got {name.text!r}: {error}")


def _next(line: Line, draft: _Draft) -> None:
    draft.next.update(map(values.rcode, arguments(line, 1, MANY, what="rcode")))


def _next_on_nodata(line: Line, draft: _Draft) -> None:
    arguments(line, 0)
    draft.rules["next_on_nodata"] = True


def _failover(line: Line, draft: _Draft) -> None:
    for word in arguments(line, 1, MANY, what="rcode"):
        code = values.rcode(word)
        if code == codes.NOERROR:
            fail(word, "failover: NOERROR is no failure")
        draft.failover.add(code)


def _source_address(line: Line, draft: _Draft) -> None:
    [word] = arguments(line, 1, what="address")
    draft.settings["source"] = values.address(word)


def _resolver(line: Line, draft: _Draft) -> None:
    found = []
    for word in arguments(line, 1, MANY, what="address"):
        try:
            found.append(parse(word.text))
        except UsageError as error:
            fail(word, f"resolver: {error}")
    draft.resolvers = found


def _tls(line: Line, draft: _Draft) -> None:
    """Read ``[CERT KEY] [CA]``."""
    paths = [str(draft.block.root / word.text) for word in arguments(line, 0, 3, what="file")]
    authority = paths.pop() if len(paths) in {1, 3} else ""
    certificate, key = paths or ("", "")
    try:
        draft.context = certificates.context(certificate, key, authority)
    except UsageError as error:
        fail(line.name, f"tls: {error}")


def _tls_servername(line: Line, draft: _Draft) -> None:
    [word] = arguments(line, 1, what="name")
    draft.server_name = word.text


def _doh_method(line: Line, _: _Draft) -> None:
    fail(line.name, "doh_method: upstreams are not asked over HTTPS; tls:// is supported")


_OPTIONS: dict[str, _Read] = {
    "except": _except,
    "force_tcp": _flag("force_tcp"),
    "prefer_udp": _flag("prefer_udp"),
    "expire": _seconds("expire"),
    "max_age": _seconds("max_age"),
    "max_idle_conns": _count("max_idle"),
    "read_timeout": _read_timeout,
    "max_fails": _count("max_fails"),
    "max_connect_attempts": _count("max_attempts"),
    "doh_method": _doh_method,
    "tls": _tls,
    "tls_servername": _tls_servername,
    "policy": _policy,
    "health_check": _health_check,
    "max_concurrent": _max_concurrent,
    "next": _next,
    "next_on_nodata": _next_on_nodata,
    "failfast_all_unhealthy_upstreams": _flag("failfast"),
    "failover": _failover,
    "source_address": _source_address,
    "resolver": _resolver,
}
