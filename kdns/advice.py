"""What is legal in a Corefile and probably not meant, beyond what plugins warn of themselves.

Looks at a configuration that was put together and never run. Knows no query.
"""

from collections.abc import Iterator
from contextlib import suppress

from kdns.configuration import Assembled, Configuration
from kdns.corefile import values
from kdns.corefile.syntax import Directive
from kdns.errors import CorefileError, UsageError
from kdns.server.listeners import EVERYWHERE
from kdns.upstream.address import parse
from kdns.upstream.ourselves import without
from kdns.wire import names
from kdns.wire.names import ROOT, Name

LONG_DENIAL = 300
"""Seconds for which a missing name may be kept before a warning: somebody waits for new names."""


def of(configuration: Configuration) -> list[str]:
    """Return all warnings, each with its file and line."""
    found = list(configuration.warnings)
    for assembled in configuration.blocks:
        found += _of_block(assembled)
        found += _shadowed(assembled, configuration)
    return found


def _of_block(assembled: Assembled) -> Iterator[str]:
    for directive in assembled.directives:
        match directive.name.text:
            case "hosts":
                yield from _closed_hosts(directive, assembled)
            case "cache":
                yield from _long_denial(directive)
            case "autopath":
                yield from _blind_autopath(directive, assembled)
            case "forward":
                yield from _circle(directive, assembled)
            case _:
                pass


def _closed_hosts(directive: Directive, assembled: Assembled) -> Iterator[str]:
    falls = any(line.name.text == "fallthrough" for line in directive.lines)
    zones = values.zones(directive.args[1:], assembled.block.zones)
    if not falls and ROOT in zones and len(assembled.directives) > 1:
        text = "hosts without fallthrough: every name that it does not have is NXDOMAIN"
        yield _at(directive, text)


def _long_denial(directive: Directive) -> Iterator[str]:
    """Warn of a negative TTL; whatever the cluster answers is not kept that way, the rest is."""
    for line in directive.lines:
        if line.name.text == "denial" and len(line.args) > 1:
            try:
                ttl = values.integer(line.args[1], 0, 2**31 - 1)
            except CorefileError:
                continue
            if ttl > LONG_DENIAL:
                text = f"cache: a name that is missing stays missing for up to {ttl} s"
                yield f"{line.name.path}:{line.name.line}: {text}"


def _blind_autopath(directive: Directive, assembled: Assembled) -> Iterator[str]:
    """Warn where nobody knows whose address a query comes from."""
    if directive.args and directive.args[-1].text == "@kubernetes":
        known = assembled.block.kubernetes
        if known is None:
            yield _at(directive, "autopath @kubernetes: the server block has no kubernetes")
        elif known[1].settings.pods != "verified":
            yield _at(directive, "autopath @kubernetes has no effect without pods verified")


def _circle(directive: Directive, assembled: Assembled) -> Iterator[str]:
    """Warn of upstreams that are this server: what is forwarded there comes back."""
    own = [
        (one, port)
        for host, port in assembled.block.addresses
        for one in ([host] if host else EVERYWHERE)
    ]
    for word in directive.args[1:]:
        with suppress(UsageError):  # a file, a host name or a URL
            _, ours = without([parse(word.text)], own)
            if ours:
                text = f"forward to {word.text} is a loop: this server block listens there"
                yield f"{word.path}:{word.line}: {text}"


def _shadowed(assembled: Assembled, configuration: Configuration) -> Iterator[str]:
    """Warn of a cluster zone whose queries another block gets; ``rewrite`` may bring them back."""
    if any(directive.name.text == "rewrite" for directive in assembled.directives):
        return
    for directive in assembled.directives:
        if directive.name.text == "kubernetes":
            for zone in values.zones(directive.args, assembled.block.zones):
                taker = _taker(zone, assembled, configuration)
                if taker is not None:
                    name = names.to_text(zone)
                    text = f"kubernetes is never asked about {name}: {taker} takes it"
                    yield _at(directive, text)


def _taker(zone: Name, assembled: Assembled, configuration: Configuration) -> str | None:
    """Return the key of the block that gets a zone's queries, if it is another one."""
    addresses = set(assembled.block.addresses)
    rivals = [
        (len(key.zone), one is assembled, key)
        for one in configuration.blocks
        for key in one.keys
        if names.is_below(zone, key.zone) and addresses <= set(one.block.addresses)
    ]
    if not rivals:
        return None
    _, is_own, key = max(rivals, key=lambda rival: rival[:2])
    return None if is_own else f"{key.text} at {key.token.path}:{key.token.line}"


def _at(directive: Directive, text: str) -> str:
    return f"{directive.name.path}:{directive.name.line}: {text}"
