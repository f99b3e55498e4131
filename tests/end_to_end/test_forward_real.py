"""``forward`` in a running kdns, between dig and resolvers that others wrote."""

import asyncio
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.authority import Authority
from tests.end_to_end.corefiles import free_port, loopback, running, upstream
from tests.end_to_end.running import Kdns, need
from tests.patience import PATIENCE

NAME = "www.example.org."
LARGE = "large.example.org."
TEXTS = 40
"""Strings of the large answer, 200 octets each: too many for UDP."""
POLL_SECONDS = 0.02


class Server:
    """A resolver that runs as a program."""

    def __init__(self, command: Sequence[str], host: str, port: int) -> None:
        self.host, self.port = host, port
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + PATIENCE
        while not self._listens():
            assert self.process.poll() is None, f"{command} ended"
            assert time.monotonic() < end, f"{command} does not listen"
            threading.Event().wait(POLL_SECONDS)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)

    def _listens(self) -> bool:
        with suppress(OSError):
            socket.create_connection((self.host, self.port), timeout=1).close()
            return True
        return False


def _found(tool: str) -> str:
    """Find a server, which Debian installs where only root looks."""
    return shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin") or need(tool)


UNBOUND = """\
server:
    directory: "{directory}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    logfile: ""
    verbosity: 0
    interface: {host}@{port}
    interface: {host}@{tls_port}
    tls-port: {tls_port}
    tls-service-pem: "{certificate}"
    tls-service-key: "{key}"
    access-control: 127.0.0.0/8 allow
    module-config: "iterator"
    local-zone: "example.org." static
    local-data: "www.example.org. 60 IN A 192.0.2.1"
    local-data: "www.example.org. 60 IN AAAA 2001:db8::1"
{more}
remote-control:
    control-enable: no
"""


class Unbound:
    """Unbound with a zone of its own, over UDP, TCP and TLS; may be stopped and started again."""

    def __init__(self, directory: Path) -> None:
        self.host, self.port, self.tls_port = loopback(), free_port(), free_port()
        self.authority = Authority(directory)
        certificate, key = self.authority.certificate("unbound", ("dns.example", self.host))
        texts = (f"""    local-data: '{LARGE} 60 IN TXT "{n:0200}"'""" for n in range(TEXTS))
        self._config = directory / "unbound.conf"
        self._config.write_text(
            UNBOUND.format(
                directory=directory,
                host=self.host,
                port=self.port,
                tls_port=self.tls_port,
                certificate=certificate,
                key=key,
                more="\n".join(texts),
            )
        )
        self._server: Server | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        command = [_found("unbound"), "-d", "-c", str(self._config)]
        self._server = Server(command, self.host, self.port)

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None


@contextmanager
def _unbound(directory: Path) -> Iterator[Unbound]:
    server = Unbound(directory)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def _forwarding(text: str, directory: Path) -> Iterator[Kdns]:
    """Run kdns with these directives in a block of its own."""
    host = loopback()
    corefile = f".:{free_port()} {{\nbind {host}\nerrors\n{text}\n}}\n"
    with running(corefile, directory) as server:
        server.host = host
        yield server


def _ask(
    server: Kdns, name: str = NAME, rtype: str = "A", *, tcp: bool = False, payload: int = 1232
) -> dns.message.Message:
    query = dns.message.make_query(name, rtype, use_edns=0 if payload else -1, payload=payload)
    ask = dns.query.tcp if tcp else dns.query.udp
    return ask(query, server.host, port=server.port, timeout=PATIENCE)


def _addresses(message: dns.message.Message) -> list[str]:
    return [rdata.address for rrset in message.answer for rdata in rrset]


def _explained(message: dns.message.Message) -> str:
    assert message.rcode() == dns.rcode.SERVFAIL
    return str(
        *(option.text for option in message.options if isinstance(option, dns.edns.EDEOption))
    )


# -- unbound --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tcp", [False, True], ids=["UDP", "TCP"])
def test_an_answer_of_unbound_comes_as_it_is(tmp_path: Path, *, tcp: bool) -> None:
    with _unbound(tmp_path) as resolver, _forwarding(f"forward . {resolver}", tmp_path) as server:
        address, missing = _ask(server, tcp=tcp), _ask(server, "none.example.org.", tcp=tcp)

    assert _addresses(address) == ["192.0.2.1"]
    assert address.flags & dns.flags.RA
    assert missing.rcode() == dns.rcode.NXDOMAIN


def test_a_large_answer_is_truncated_over_udp_and_whole_over_tcp(tmp_path: Path) -> None:
    with _unbound(tmp_path) as resolver, _forwarding(f"forward . {resolver}", tmp_path) as server:
        small = _ask(server, LARGE, "TXT")
        plain = _ask(server, LARGE, "TXT", payload=0)
        whole = _ask(server, LARGE, "TXT", tcp=True)

    assert small.flags & dns.flags.TC
    assert plain.flags & dns.flags.TC
    assert len(plain.to_wire()) <= 512
    assert sum(len(rrset) for rrset in whole.answer) == TEXTS
    assert not whole.flags & dns.flags.TC


@pytest.mark.parametrize("option", ["prefer_udp", "force_tcp"])
def test_what_is_asked_otherwise_than_the_client_asks_is_the_same(
    tmp_path: Path, option: str
) -> None:
    text = "forward . {} {{\n{}\n}}"
    with (
        _unbound(tmp_path) as resolver,
        _forwarding(text.format(resolver, option), tmp_path) as server,
    ):
        for tcp in (False, True):
            assert _addresses(_ask(server, tcp=tcp)) == ["192.0.2.1"]
        # A client that takes it gets over UDP what was fetched over TCP.
        large = _ask(server, LARGE, "TXT", payload=65_000)

    assert sum(len(rrset) for rrset in large.answer) == TEXTS


TLS = {
    "the right name": ("tls_servername dns.example\ntls {ca}", ""),
    "the address": ("tls {ca}", ""),
    "another name": ("tls_servername dns.other\ntls {ca}", "not valid for 'dns.other'"),
    "an unknown authority": ("tls_servername dns.example", "unable to get local issuer"),
}


@pytest.mark.parametrize(("options", "reason"), TLS.values(), ids=TLS)
def test_unbound_over_tls(tmp_path: Path, options: str, reason: str) -> None:
    with _unbound(tmp_path) as resolver:
        lines = options.format(ca=resolver.authority.path)
        upstream = f"tls://{resolver.host}:{resolver.tls_port}"
        with _forwarding(f"forward . {upstream} {{\n{lines}\n}}", tmp_path) as server:
            message = _ask(server)

    if reason:
        assert reason in _explained(message)
    else:
        assert _addresses(message) == ["192.0.2.1"]


def test_an_upstream_that_ends_and_comes_back(tmp_path: Path) -> None:
    with (
        _unbound(tmp_path) as resolver,
        _forwarding(f"forward . {resolver} {{\nhealth_check 50ms\n}}", tmp_path) as server,
    ):
        assert _addresses(_ask(server)) == ["192.0.2.1"]
        resolver.stop()
        assert _explained(_ask(server)) == f"{resolver}: connection refused"
        assert _explained(_ask(server, tcp=True)) == f"{resolver}: connection refused"
        server.wait_for(rf"plugin/errors: 2 {NAME} A: {resolver}: connection refused")
        resolver.start()
        assert _addresses(_ask(server)) == ["192.0.2.1"]
        assert _addresses(_ask(server, tcp=True)) == ["192.0.2.1"]


def test_when_one_of_two_ends_nobody_notices(tmp_path: Path) -> None:
    with upstream("192.0.2.2") as other, _unbound(tmp_path) as resolver:
        text = f"forward . {resolver} {other} {{\npolicy sequential\n}}"
        with _forwarding(text, tmp_path) as server:
            assert _addresses(_ask(server)) == ["192.0.2.1"]
            resolver.stop()
            for _ in range(20):
                assert _addresses(_ask(server)) == ["192.0.2.2"]


# -- nsd ------------------------------------------------------------------------------------------

NSD = """\
server:
    ip-address: {host}@{port}
    username: ""
    chroot: ""
    pidfile: "{directory}/nsd.pid"
    zonesdir: "{directory}"
    zonelistfile: "{directory}/zone.list"
    xfrdfile: "{directory}/xfrd.state"
    xfrdir: "{directory}"
    database: ""
    rrl-ratelimit: 0
remote-control:
    control-enable: no
zone:
    name: example.org
    zonefile: example.zone
"""
ZONE = """\
$ORIGIN example.org.
$TTL 60
@ SOA ns1 hostmaster 1 2 3 4 5
@ NS ns1
@ NS ns2.example.net.
@ MX 10 mail
@ MX 20 mail.example.net.
ns1 A 192.0.2.53
mail A 192.0.2.25
www CNAME web.example.org.
web A 192.0.2.1
web A 192.0.2.2
_sip._udp SRV 1 2 5060 web
_sip._udp NAPTR 1 2 "s" "SIP+D2U" "" web
www TXT "not beside an alias"
*.wild TXT "wild"
below NS ns.below
ns.below A 192.0.2.99
info HINFO "a" "b"
who RP me.example.org. www.example.org.
"""
QUESTIONS = (
    "example.org SOA",
    "example.org NS",
    "example.org MX",
    "example.org ANY",
    "www.example.org A",
    "www.example.org AAAA",
    "a.wild.example.org TXT",
    "_sip._udp.example.org SRV",
    "_sip._udp.example.org NAPTR",
    "none.example.org A",
    "host.below.example.org A",
    "info.example.org HINFO",
    "who.example.org RP",
    "elsewhere.example A",
)


@pytest.fixture(scope="module")
def nsd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory, host, port = tmp_path_factory.mktemp("nsd"), loopback(), free_port()
    config = directory / "nsd.conf"
    config.write_text(NSD.format(directory=directory, host=host, port=port))
    (directory / "example.zone").write_text(ZONE.replace('www TXT "not beside an alias"\n', ""))
    server = Server([_found("nsd"), "-d", "-c", str(config)], host, port)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def before_nsd(nsd: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kdns]:
    with _forwarding(f"forward . {nsd}", tmp_path_factory.mktemp("kdns")) as server:
        yield server


@pytest.mark.parametrize("tcp", [False, True], ids=["UDP", "TCP"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_every_response_of_nsd_comes_as_it_is(
    nsd: Server, before_nsd: Kdns, question: str, *, tcp: bool
) -> None:
    name, rtype = question.split()
    query = dns.message.make_query(name, rtype, use_edns=0, payload=1232)
    ask = dns.query.tcp if tcp else dns.query.udp
    theirs = ask(query, nsd.host, port=nsd.port, timeout=PATIENCE)
    ours = ask(query, before_nsd.host, port=before_nsd.port, timeout=PATIENCE)

    assert ours.flags == theirs.flags
    assert ours.rcode() == theirs.rcode()
    assert ours.sections == theirs.sections


# -- many queries ---------------------------------------------------------------------------------


class _Client(asyncio.DatagramProtocol):
    """Sends queries from one socket and keeps the replies by id."""

    def __init__(self) -> None:
        self.replies: dict[int, dns.message.Message] = {}
        self.news = asyncio.Event()

    def datagram_received(self, data: bytes, _: tuple[str, int]) -> None:
        message = dns.message.from_wire(data)
        self.replies[message.id] = message
        self.news.set()

    async def wait_for(self, ids: range) -> list[dns.message.Message]:
        async with asyncio.timeout(PATIENCE):
            while not all(one in self.replies for one in ids):
                self.news.clear()
                await self.news.wait()
        return [self.replies[one] for one in ids]


def test_a_slow_upstream_holds_up_neither_other_names_nor_more_queries_than_it_may(
    tmp_path: Path,
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.7 known.example\n")

    async def test(server: Kdns) -> tuple[list[dns.message.Message], dns.message.Message, bool]:
        loop = asyncio.get_running_loop()
        transport, client = await loop.create_datagram_endpoint(
            _Client, remote_addr=(server.host, server.port)
        )
        for number in range(60):
            query = dns.message.make_query(f"w{number}.example.org", "A", id=number)
            transport.sendto(query.to_wire())
        transport.sendto(dns.message.make_query("known.example", "A", id=99).to_wire())
        [known] = await client.wait_for(range(99, 100))
        first = any(
            reply.rcode() == dns.rcode.NOERROR for one, reply in client.replies.items() if one != 99
        )
        found = await client.wait_for(range(60))
        transport.close()
        return found, known, first

    with upstream() as slow:
        slow.delay = 1.0
        text = f"hosts {hosts} {{\nfallthrough\n}}\nforward . {slow} {{\nmax_concurrent 20\n}}"
        with _forwarding(text, tmp_path) as server:
            found, known, first = asyncio.run(test(server))

    assert _addresses(known) == ["192.0.2.7"]
    assert not first
    rcodes = [dns.rcode.to_text(one.rcode()) for one in found]
    assert (rcodes.count("NOERROR"), rcodes.count("REFUSED")) == (20, 40)


# -- loops ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["itself", "through another"])
def test_a_loop_ends_the_server(tmp_path: Path, how: str) -> None:
    host, port, other = loopback(), free_port(), free_port()
    second = f".:{other} {{\nbind {host}\nforward . {host}:{port}\n}}\n"
    to = port if how == "itself" else other
    corefile = f".:{port} {{\nbind {host}\nloop\nforward . {host}:{to}\n}}\n"
    with running(corefile + second, tmp_path) as server:
        server.wait_for(rf'Loop \(127\.\S+:\d+ -> {host}:{port}\) detected for zone "\."')
        assert server.process.wait(PATIENCE) == 1


def test_without_a_loop_the_server_goes_on(tmp_path: Path) -> None:
    with upstream() as resolver:
        with _forwarding(f"loop\nforward . {resolver}", tmp_path) as server:
            resolver.wait_for(1)
            assert _addresses(_ask(server)) == ["192.0.2.1"]
            assert server.process.poll() is None
        asked = resolver.asked
    assert sum(name.removesuffix(".").replace(".", "").isdigit() for name in asked) == 1
