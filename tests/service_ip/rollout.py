"""CoreDNS is replaced while a client asks. Knows what is asked and what may differ."""

import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import msgspec

from tests.differential.compare import SECTIONS, Reply, read
from tests.patience import SLOWER
from tests.service_ip.asking import Report
from tests.service_ip.cluster import DNS, KDNS, PYTHON, Cluster

RATE = round(500 / SLOWER)
"""Questions a second."""
OFTEN = """\
web.default.svc.cluster.local A
web.default.svc.cluster.local AAAA
web.default.svc.cluster.local MX
webs.default.svc.cluster.local A
_http._tcp.web.default.svc.cluster.local SRV
_http._tcp.webs.default.svc.cluster.local SRV
kubernetes.default.svc.cluster.local A
kube-dns.kube-system.svc.cluster.local A
10-244-1-7.default.pod.cluster.local A
outside.default.svc.cluster.local A
outside.default.svc.cluster.local CNAME
80.0.96.10.in-addr.arpa PTR
1.1.244.10.in-addr.arpa PTR
9.9.9.10.in-addr.arpa PTR
cluster.local SOA
dns-version.cluster.local TXT
web.default.svc.cluster.local.default.svc.cluster.local A
missing.default.svc.cluster.local A
www.example.org.default.svc.cluster.local A
www.example.org.svc.cluster.local AAAA
www.example.org.cluster.local A
www.example.org A
www.example.org AAAA
missing.example.org A
"""
SELDOM = """\
many.default.svc.cluster.local A
many.default.svc.cluster.local AAAA
many.example.org A
"""
"""Long answers, whose records come in another order each time, take their time to compare."""


class Asking:
    """``asking`` in the client's pod: a process that asks until it is told to stop."""

    def __init__(self, cluster: Cluster) -> None:
        file = cluster.folder / "questions"
        file.write_text(OFTEN * 4 + SELDOM)
        words = ("-m", "tests.service_ip.asking", DNS, str(RATE), str(file))
        self._process = subprocess.Popen(
            [*cluster.client.sandbox.prefix, *PYTHON, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def seconds(self, number: int) -> None:
        """Wait until it has asked for so many seconds."""
        assert self._process.stdout
        for _ in range(number):
            assert self._process.stdout.readline()

    def stop(self) -> Report:
        """Let it come to its end."""
        *_, last = self._process.communicate(timeout=60)[0].splitlines()
        return msgspec.json.decode(last, type=Report)


@dataclass(frozen=True)
class Replaced:
    """What a client was told while CoreDNS took kdns's place, and then kdns CoreDNS's."""

    coredns: Report
    """By CoreDNS alone."""
    meanwhile: Report


def replace(cluster: Cluster) -> Replaced:
    """Change the image of the Deployment to CoreDNS's, and back, while a client asks."""
    with Asking(cluster) as load:
        load.seconds(1)
        cluster.set_image(cluster.coredns_image)
        with Asking(cluster) as alone:
            coredns = alone.stop()
        cluster.set_image(KDNS)
        load.seconds(1)
        return Replaced(coredns, load.stop())


def disagreements(replaced: Replaced) -> list[str]:
    """Return what was answered as CoreDNS alone never did, but for what may differ."""
    found = []
    for question, messages in replaced.meanwhile.answers.items():
        alone = _read(replaced.coredns.answers[question])
        known = {essence(reply, flags) for reply in alone for flags in _flags(reply)}
        wrong = [one for one in _read(messages) if essence(one, one.flags - {"RA"}) not in known]
        found += [f"{question}: {reply.lines()}" for reply in wrong]
    return found


def _read(messages: Iterable[str]) -> list[Reply]:
    """Read messages that have lost their id."""
    return [read(bytes(2) + bytes.fromhex(message)) for message in messages]


def _flags(reply: Reply) -> Iterator[frozenset[str]]:
    """Return the flags that kdns may set where CoreDNS set these; RA is Q14 of the differences."""
    yield reply.flags - {"RA"}
    if "RA" in reply.flags:
        # From the upstream: then both set AA where the answer comes out of the cache.
        yield (reply.flags - {"RA"}) ^ {"AA"}


def essence(reply: Reply, flags: frozenset[str]) -> tuple[object, ...]:
    """Return what counts: not the order, nor a TTL, nor the serial of a SOA.

    Which records of a set are left in an answer that was cut is chance.
    """
    rows = [[row.bare for row in reply.section(name)] for name in SECTIONS]
    if reply.cut:
        rows = [[*{(owner, rtype, "") for owner, rtype, _ in section}] for section in rows]
    counted = [frozenset(Counter(section).items()) for section in rows]
    return reply.rcode, flags, reply.question, *counted
