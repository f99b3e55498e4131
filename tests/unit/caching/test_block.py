"""The words of a ``cache`` directive -> settings, and the message for each that is wrong."""

import pytest

from kdns.directives.caching import block as caching_block
from kdns.directives.caching.settings import Bounds, Prefetch, Settings, Stale
from kdns.errors import CorefileError
from kdns.wire import names
from kdns.wire.names import ROOT, Name
from tests.plugin import block, directives


def zone(text: str) -> Name:
    return names.from_text(text)


def read(text: str, *zones: str) -> Settings:
    return caching_block.read(directives(text), block(*zones))


def inside(line: str) -> Settings:
    return read(f"cache {{ \n {line} \n}}")


SETTINGS = {
    "cache": Settings(),
    "cache 30": Settings(success=Bounds(ttl=30), denial=Bounds(ttl=30)),
    "cache 9000": Settings(success=Bounds(ttl=9000), denial=Bounds(ttl=9000)),
    "cache example.org": Settings(zones=(zone("example.org"),)),
    "cache 10 Example.org 10.0.0.0/8": Settings(
        zones=(zone("example.org"), zone("10.in-addr.arpa")),
        success=Bounds(ttl=10),
        denial=Bounds(ttl=10),
    ),
    "cache 60 { \n success 5000 \n denial 2500 30 \n}": Settings(
        success=Bounds(5000, 60), denial=Bounds(2500, 30)
    ),
}


@pytest.mark.parametrize(("text", "settings"), SETTINGS.items(), ids=SETTINGS)
def test_settings(text: str, settings: Settings) -> None:
    assert read(text) == settings


LINES = {
    "success 5000 60 10": Settings(success=Bounds(5000, 60, 10)),
    "denial 0 60 0": Settings(denial=Bounds(0, 60, 0)),
    "prefetch 3": Settings(prefetch=Prefetch(3)),
    "prefetch 3 2m 50%": Settings(prefetch=Prefetch(3, 120.0, 50)),
    "prefetch 0": Settings(),
    "serve_stale": Settings(stale=Stale()),
    "serve_stale 90s": Settings(stale=Stale(90)),
    "serve_stale 1h IMMEDIATE": Settings(stale=Stale()),
    "serve_stale 1h immediate 30s": Settings(stale=Stale(ttl=30)),
    "serve_stale 1h immediate 30s 10s": Settings(stale=Stale(ttl=30, recheck=10.0)),
    "serve_stale 1h verify": Settings(stale=Stale(verify=True)),
    "serve_stale 1h verify 100ms": Settings(stale=Stale(verify=True, timeout=0.1)),
    "serve_stale 1h verify 0 30s 5m": Settings(stale=Stale(verify=True, ttl=30, recheck=300.0)),
    "serve_stale \n serve_stale_policy prefer_positive": Settings(
        stale=Stale(prefer_positive=True)
    ),
    "servfail 90s": Settings(servfail=90),
    "servfail 0": Settings(servfail=0),
    "servfail 1500ms": Settings(servfail=1),
    "disable success": Settings(not_success=(ROOT,)),
    "disable denial Example.org example.com": Settings(
        not_denial=(zone("example.org"), zone("example.com"))
    ),
    "disable success example.org \n disable denial \n disable success example.com": Settings(
        not_success=(zone("example.org"), zone("example.com")), not_denial=(ROOT,)
    ),
    "keepttl": Settings(keep_ttl=True),
}


@pytest.mark.parametrize(("line", "settings"), LINES.items(), ids=LINES)
def test_options(line: str, settings: Settings) -> None:
    assert inside(line) == settings


def test_the_zones_are_those_of_the_block_unless_there_are_others() -> None:
    assert read("cache", "example.org", "example.com").zones == (
        zone("example.org"),
        zone("example.com"),
    )
    assert read("cache example.net", "example.org").zones == (zone("example.net"),)


WRONG = {
    "cache 0": "expected a whole number from 1 to 2147483647, got '0'",
    "cache -5": "expected a whole number from 1 to 2147483647, got '-5'",
    "cache a..b": "expected a zone or a network, got 'a..b'",
    "success": "success: expected 1 to 3 arguments",
    "success x": "expected a whole number of at least 0, got 'x'",
    "success -1": "expected a whole number of at least 0, got '-1'",
    "success 1 0": "expected a whole number from 1 to 2147483647, got '0'",
    "success 1 2 -1": "expected a whole number from 0 to 2147483647, got '-1'",
    "denial 1 2 3 4": "denial: expected 1 to 3 arguments",
    "prefetch": "prefetch: expected 1 to 3 arguments",
    "prefetch -1": "expected a whole number of at least 0, got '-1'",
    "prefetch 1 5": "expected a duration like 30s",
    "prefetch 1 1m 9%": "expected a percentage from 10% to 90%, got '9%'",
    "prefetch 1 1m 50": "expected a percentage from 10% to 90%, got '50'",
    "serve_stale -1s": "expected a duration of at least 0s, got '-1s'",
    "serve_stale 1h never": "unknown mode of serve_stale 'never': expected one of immediate",
    "serve_stale 1h immediate 1500ms": "expected a whole number of seconds, got '1500ms'",
    "serve_stale 1h immediate 1s 6m": "expected a duration of at most 5m0s, got '6m'",
    "serve_stale 1h immediate 1s 1s 1s": "unexpected '1s' after serve_stale",
    "serve_stale 1h verify 1s 1s 1s 1s": "serve_stale: expected at most 5 arguments",
    "serve_stale_policy prefer_positive": "serve_stale_policy is nothing without serve_stale",
    "serve_stale \n serve_stale_policy": "serve_stale_policy: expected one argument",
    "serve_stale \n serve_stale_policy x": "unknown policy 'x': expected prefer_positive",
    "servfail": "servfail: expected one argument",
    "servfail 301s": "expected a duration of at most 5m0s, got '301s'",
    "disable": "disable: expected at least one argument",
    "disable failures": "unknown part of the cache 'failures': expected one of success, denial",
    "keepttl yes": "keepttl: expected no arguments",
    "sucess 10": "unknown property 'sucess' of cache: expected one of success, denial",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items(), ids=WRONG)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(CorefileError) as error:
        read(text) if text.startswith("cache") else inside(text)

    assert message in error.value.text
    assert (error.value.path, error.value.line > 0) == ("Corefile", True)


def test_the_nearest_option_is_named() -> None:
    with pytest.raises(CorefileError, match="did you mean 'success'"):
        inside("sucess 10")


TWICE = {
    "cache \n cache 30": "Corefile:3: cache may stand only once",
    "cache { \n serve_stale \n serve_stale_policy prefer_positive \n serve_stale_policy x \n}": (
        "Corefile:5: serve_stale_policy may stand only once"
    ),
}


@pytest.mark.parametrize(("text", "message"), TWICE.items(), ids=TWICE)
def test_what_may_stand_only_once(text: str, message: str) -> None:
    with pytest.raises(CorefileError, match=message):
        read(text)


WARNINGS = {
    "cache 30s": "Corefile:2: cache: '30s' is taken for a zone: a TTL has no unit",
    "cache { \n success 1 \n success 2 \n}": (
        "Corefile:3: cache: this success does not count, the last one does"
    ),
}


@pytest.mark.parametrize(("text", "warning"), WARNINGS.items(), ids=WARNINGS)
def test_what_is_legal_but_surprising_is_warned_of(text: str, warning: str) -> None:
    made = block()
    caching_block.read(directives(text), made)

    assert made.warnings == [warning]


def test_of_two_lines_the_last_counts() -> None:
    assert inside("servfail 1s \n servfail 2s").servfail == 2
