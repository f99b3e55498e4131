"""The ``kubernetes`` directive: every option, good and bad."""

import asyncio
import logging
from collections.abc import Iterable

import pytest

from kdns.assembly import Block
from kdns.chain import Serial
from kdns.cluster import FromCluster, FromManifests, FromObjects
from kdns.directives import kubernetes
from kdns.directives.kubernetes import Wanted
from kdns.errors import CorefileError
from kdns.kube.owners import Owner
from kdns.kube.resources import Selection
from kdns.zone.settings import Settings
from tests.plugin import block, directives

ZONE = ("cluster.local",)
DEFAULT = Settings(zones=ZONE)


def _read(option: str, zones: str = "cluster.local", made: Block | None = None) -> Wanted:
    """Read a block with one line of options, which is line 3."""
    text = f"kubernetes {zones} {{\n{option}\n}}"
    return kubernetes.read(directives(text), made or block())


SETTINGS: dict[str, Settings] = {
    "": DEFAULT,
    "ttl 0": Settings(ZONE, ttl=0),
    "ttl 3600": Settings(ZONE, ttl=3600),
    "pods disabled": DEFAULT,
    "pods insecure": Settings(ZONE, pods="insecure"),
    "pods verified": Settings(ZONE, pods="verified"),
    "endpoint_pod_names": Settings(ZONE, endpoint_pod_names=True),
    "noendpoints": Settings(ZONE, noendpoints=True),
    "ignore empty_service": Settings(ZONE, ignore_empty_service=True),
    "namespaces prod": Settings(ZONE, namespaces=("prod",)),
    "namespaces prod stage": Settings(ZONE, namespaces=("prod", "stage")),
    "namespaces prod\nnamespaces stage": Settings(ZONE, namespaces=("prod", "stage")),
    "namespace_labels istio-injection=enabled": Settings(
        ZONE, namespace_labels="istio-injection=enabled"
    ),
    'labels "environment in (production, qa),tier!=cache"': Settings(
        ZONE, labels="environment in (production, qa),tier!=cache"
    ),
    "labels environment in (production, qa)": Settings(
        ZONE, labels="environment in (production, qa)"
    ),
    "fallthrough": Settings(ZONE, fallthrough=()),
    "fallthrough in-addr.arpa 10.0.0.0/8": Settings(
        ZONE, fallthrough=("in-addr.arpa", "10.in-addr.arpa")
    ),
    "zonal": Settings(ZONE, zonal=True),
    "multicluster cluster.local": Settings(ZONE, multicluster=ZONE),
    "short_names off": Settings(ZONE, short_names=False),
    "short_names on": DEFAULT,
    "search default.svc.cluster.local svc.cluster.local": Settings(
        ZONE, search=("default.svc.cluster.local", "svc.cluster.local")
    ),
    "compat coredns": Settings(ZONE, compat=True),
}


@pytest.mark.parametrize(("option", "expected"), SETTINGS.items())
def test_an_option_becomes_a_setting(option: str, expected: Settings) -> None:
    assert _read(option).authority.settings == expected


SOURCES: dict[str, FromCluster | FromManifests] = {
    "": FromCluster(),
    "endpoint https://10.0.0.1:6443": FromCluster(endpoint="https://10.0.0.1:6443"),
    "endpoint https://10.0.0.1\ntls a.crt a.key /etc/ca.crt": FromCluster(
        endpoint="https://10.0.0.1", tls=("/srv/a.crt", "/srv/a.key", "/etc/ca.crt")
    ),
    "kubeconfig config": FromCluster("/srv/config"),
    "kubeconfig /etc/config admin": FromCluster("/etc/config", "admin"),
    "kubeconfig /etc/config\nendpoint https://10.0.0.1": FromCluster("/etc/config"),
    "snapshot kdns.snapshot": FromCluster(snapshot="/srv/kdns.snapshot"),
    "snapshot /var/kdns 90m": FromCluster(snapshot="/var/kdns", snapshot_max_age=5400),
    "snapshot /var/kdns 60": FromCluster(snapshot="/var/kdns", snapshot_max_age=60),
    "manifests a.yaml /b -": FromManifests(("/srv/a.yaml", "/b", "-")),
    "manifests /a\nmanifests /b": FromManifests(("/a", "/b")),
    "manifests /a\nassign off": FromManifests(("/a",), assign=False),
}


@pytest.mark.parametrize(("option", "expected"), SOURCES.items())
def test_an_option_says_where_the_objects_come_from(
    option: str, expected: FromCluster | FromManifests
) -> None:
    made = block()
    made.root = made.root / "/srv"

    assert _read(option, made=made).source == expected


@pytest.mark.parametrize(
    ("option", "seconds"),
    [("", 5), ("startup_timeout 0s", 0), ("startup_timeout 30s", 30), ("startup_timeout 1m", 60)],
)
def test_how_long_a_start_waits_can_be_set(option: str, seconds: float) -> None:
    assert _read(option).startup_timeout == seconds


ZONES = {
    "cluster.local": ("cluster.local",),
    "Cluster.Local.": ("cluster.local",),
    "cluster.local in-addr.arpa": ("cluster.local", "in-addr.arpa"),
    "cluster.local 10.96.0.0/16": ("cluster.local", "96.10.in-addr.arpa"),
    "cluster.local 10.96.0.0/15": (
        "cluster.local",
        "96.10.in-addr.arpa",
        "97.10.in-addr.arpa",
    ),
    "cluster.local 2001:db8::/32": ("cluster.local", "8.b.d.0.1.0.0.2.ip6.arpa"),
    "": ("example.org", "10.in-addr.arpa"),
}


@pytest.mark.parametrize(("zones", "expected"), ZONES.items())
def test_zones_are_those_of_the_directive_or_of_the_block(
    zones: str, expected: tuple[str, ...]
) -> None:
    made = block("example.org", "10.in-addr.arpa")

    assert _read("", zones, made).authority.settings.zones == expected


BAD = {
    "ttl": ("ttl", 3, "ttl"),
    "a ttl of words": ("ttl long", 3, "from 0 to 3600, got 'long'"),
    "a ttl too long": ("ttl 3601", 3, "from 0 to 3600, got '3601'"),
    "a ttl below 0": ("ttl -1", 3, "from 0 to 3600, got '-1'"),
    "two ttls": ("ttl 5 6", 3, "ttl"),
    "pods": ("pods", 3, "pods"),
    "pods of another kind": ("pods secure", 3, "disabled, insecure, verified"),
    "a flag with an argument": ("noendpoints yes", 3, "noendpoints"),
    "ignore something else": ("ignore services", 3, "empty_service"),
    "no namespaces": ("namespaces", 3, "namespaces"),
    "no selector": ("labels", 3, "labels"),
    "a selector that is none": ("labels a in", 3, "labels"),
    "a namespace selector that is none": ("ttl 5\nnamespace_labels a=b=c", 4, "namespace_labels"),
    "a strange zone": ("fallthrough a..b", 3, "a..b"),
    "no zones of many clusters": ("multicluster", 3, "multicluster"),
    "a stranger": ("multicluster clusterset.local", 2, "multicluster clusterset.local: not among"),
    "zonal without endpoints": ("zonal\nnoendpoints", 2, "zonal needs endpoints"),
    "both ways to choose": (
        "namespaces a\nnamespace_labels a=b",
        2,
        "namespaces and namespace_labels exclude one another",
    ),
    "compat with others": ("compat bind", 3, "coredns"),
    "neither on nor off": ("short_names maybe", 3, "maybe"),
    "no endpoint": ("endpoint", 3, "endpoint"),
    "half of a certificate": ("tls a.crt a.key", 3, "tls: expected 3 files, got 2"),
    "no kubeconfig": ("kubeconfig", 3, "kubeconfig"),
    "a kubeconfig too many": ("kubeconfig a b c", 3, "kubeconfig"),
    "a snapshot too young": ("snapshot /a 0s", 3, "0s"),
    "manifests and a cluster": ("manifests /a\nkubeconfig /b", 2, "exclude one another"),
    "assign neither": ("assign perhaps", 3, "perhaps"),
    "a strange duration": ("startup_timeout soon", 3, "soon"),
    "a rate below 0": ("apiserver_qps -1", 3, "-1"),
    "a typing error": ("fallthru", 3, "did you mean 'fallthrough'?"),
    "a word of nobody": ("xyzzy", 3, "unknown"),
}


@pytest.mark.parametrize(("option", "line", "text"), BAD.values(), ids=BAD)
def test_what_cannot_be_meant_is_an_error_with_its_line(option: str, line: int, text: str) -> None:
    with pytest.raises(CorefileError) as raised:
        _read(option)

    assert str(raised.value).startswith(f"Corefile:{line}: ")
    assert text in str(raised.value)


def test_reverse_zones_alone_are_not_enough() -> None:
    with pytest.raises(CorefileError, match=r"Corefile:2: kubernetes: .*no reverse zone is needed"):
        _read("", "10.96.0.0/16 ip6.arpa")


def test_a_second_directive_of_a_block_is_refused() -> None:
    with pytest.raises(CorefileError, match="Corefile:3: "):
        kubernetes.read(directives("kubernetes a\nkubernetes b"), block())


WARNED = {
    "resyncperiod 5m": "resyncperiod has no effect since CoreDNS 1.6: it may be left out",
    "resyncperiod": "resyncperiod has no effect since CoreDNS 1.6: it may be left out",
    "upstream": "upstream left CoreDNS with 1.7: it may be left out",
    "upstream /etc/resolv.conf": "upstream left CoreDNS with 1.7: it may be left out",
    "federation prod prod.example.org": "federation left CoreDNS with 1.7: it may be left out",
    "apiserver_qps 10": "apiserver_qps: not needed, kdns keeps one watch a resource",
    "apiserver_burst 20": "apiserver_burst: not needed, kdns keeps one watch a resource",
    "apiserver_max_inflight 5": (
        "apiserver_max_inflight: not needed, kdns keeps one watch a resource"
    ),
    "endpoint https://a https://b": "endpoint: only the first one, https://a, is used",
}


@pytest.mark.parametrize(("option", "warning"), WARNED.items())
def test_what_has_no_effect_is_warned_of_and_the_rest_counts(option: str, warning: str) -> None:
    made = block()
    wanted = _read(f"{option}\nttl 7", made=made)

    assert made.warnings == [f"Corefile:3: {warning}"]
    assert wanted.authority.settings.ttl == 7


def test_a_limit_of_0_is_the_default_and_nothing_to_say() -> None:
    made = block()
    _read("apiserver_qps 0", made=made)

    assert made.warnings == []


SELECTIONS = {
    "": Selection(),
    "noendpoints": Selection(endpoints=False),
    "pods verified": Selection(pods=True),
    "pods insecure": Selection(),
    "multicluster cluster.local": Selection(imports=True),
    "namespaces a b": Selection(namespaces=("a", "b")),
    "labels a=b": Selection(labels="a=b"),
    "namespace_labels a=b": Selection(namespace_labels="a=b"),
}


@pytest.mark.parametrize(("option", "expected"), SELECTIONS.items())
def test_only_what_an_option_needs_is_followed(option: str, expected: Selection) -> None:
    assert kubernetes.selection(_read(option).authority.settings) == expected


def test_compat_is_known_to_the_whole_block() -> None:
    made = block()
    _read("compat coredns", made=made)

    assert made.compat


def test_two_blocks_with_the_same_source_share_a_cluster() -> None:
    first = block()
    second = block("example.org", runtime=first.runtime)  # type: ignore[arg-type]
    wanted = _read("ttl 5\nmanifests /a"), _read("ttl 30\nmanifests /a")
    one, _ = kubernetes.follow(wanted[0], first)
    two, _ = kubernetes.follow(wanted[1], second)

    assert one is two


def _nothing(_: Iterable[Owner]) -> None:
    """Drop nothing: nobody has prepared an answer."""


@pytest.mark.parametrize(
    ("patience", "told"),
    [
        (0.0, []),
        (0.01, ["waiting for Kubernetes API before", "starting server with unsynced"]),
    ],
)
def test_a_start_waits_for_the_first_sync_but_not_for_ever(
    caplog: pytest.LogCaptureFixture, patience: float, told: list[str]
) -> None:
    async def test() -> None:
        cluster = block().runtime.clusters.get(FromObjects("a", known=False), Selection())
        async with kubernetes.serving(cluster, Serial(), _nothing, patience):
            assert cluster.used == 1
        assert cluster.listeners == []

    with caplog.at_level(logging.INFO):
        asyncio.run(test())

    assert len(caplog.messages) == len(told)
    assert all(words in shown for words, shown in zip(told, caplog.messages, strict=True))


def test_a_start_waits_no_longer_than_it_has_to(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        cluster = block().runtime.clusters.get(FromObjects("a", known=False), Selection())
        asyncio.get_running_loop().call_soon(cluster.synced.set)
        async with kubernetes.serving(cluster, Serial(), _nothing, 60.0):
            assert cluster.synced.is_set()

    with caplog.at_level(logging.INFO):
        asyncio.run(test())

    assert caplog.messages == []
