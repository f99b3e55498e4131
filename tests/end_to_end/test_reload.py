"""The Corefile changes and nobody notices: reload, under load and over and over."""

import asyncio
import re
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import dns.message
import pytest
from msgspec import Struct, structs

from kdns.testing import FakeApiServer
from tests.cluster import ede, lines, rcode
from tests.end_to_end.cluster import endpoint_slice, namespace, service
from tests.end_to_end.corefiles import Upstream, free_port, page, running, upstream
from tests.end_to_end.running import Kdns
from tests.patience import PATIENCE

DONE = r"Reloading complete$|the old configuration stays.*"
SLOW = 0.3
"""Seconds that an upstream takes: at every change some queries wait for one."""


class Setting(Struct, frozen=True):
    """What a Corefile says in a test."""

    upstream: str
    kubeconfig: str
    port: int
    metrics: int
    ttl: int = 30
    reload: str = "60s 0s"
    """Seldom, so that only signals count."""
    bind: str = ""
    more: str = ""
    """Directives."""
    blocks: str = ""
    """More server blocks."""

    def __str__(self) -> str:
        bind = f"bind {self.bind}" if self.bind else ""
        return f"""
            .:{self.port} {{
                errors
                {bind}
                kubernetes cluster.local in-addr.arpa {{
                    kubeconfig {self.kubeconfig}
                    ttl {self.ttl}
                }}
                prometheus 127.0.0.1:{self.metrics}
                forward . {self.upstream} {{
                    read_timeout 20s
                }}
                reload {self.reload}
                {self.more}
            }}
            {self.blocks}
        """


@pytest.fixture
def api() -> Iterator[FakeApiServer]:
    with FakeApiServer() as server:
        web = service("default", "web")
        web["spec"]["clusterIP"] = "10.96.0.80"
        for item in (namespace("default"), web, endpoint_slice("default", "web", "10.244.0.1")):
            server.apply(item)
        yield server


@pytest.fixture
def setting(api: FakeApiServer) -> Setting:
    return Setting("127.0.0.1:1", api.kubeconfig(), free_port(), free_port())


class Corefile:
    """The Corefile of a running server, and how often it changed."""

    def __init__(self, server: Kdns, path: Path) -> None:
        self._server = server
        self._path = path
        self.changes = 0

    def change(self, text: object) -> str:
        """Write another one and have it read; returns what the server says about it."""
        self._path.write_text(str(text))
        self._server.process.send_signal(signal.SIGUSR1)
        return self.changed()

    def changed(self) -> str:
        """Wait for the next change; returns what the server says about it."""
        self.changes += 1
        return self._server.wait_for(DONE, self.changes)[0]


@contextmanager
def _served(setting: object, directory: Path) -> Iterator[tuple[Kdns, Corefile]]:
    with running(str(setting), directory) as server:
        yield server, Corefile(server, directory / "Corefile")


# -- clients ------------------------------------------------------------------------------------


class Datagrams(asyncio.DatagramProtocol):
    """One UDP socket with many queries in flight."""

    def __init__(self) -> None:
        self.waiting: dict[int, asyncio.Future[bytes]] = {}

    def datagram_received(self, data: bytes, _: tuple[str, int]) -> None:
        waiting = self.waiting.pop(int.from_bytes(data[:2]))
        if not waiting.done():
            waiting.set_result(data)

    def error_received(self, exc: Exception) -> None:
        for waiting in self.waiting.values():
            waiting.set_exception(exc)


class Load:
    """Asks and asks, and notes what came of it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._numbers = count(1)
        self.outcomes: Counter[str] = Counter()
        self.ending = False

    def ask(self, name: str, rtype: str = "A") -> bytes:
        query = dns.message.make_query(name.format(next(self._numbers)), rtype, use_edns=0)
        query.id = next(self._numbers) % 65_536
        return query.to_wire()

    async def over_udp(self, name: str, expected: str, pause: float) -> None:
        loop = asyncio.get_running_loop()
        where = ("127.0.0.1", self._port)
        transport, protocol = await loop.create_datagram_endpoint(Datagrams, remote_addr=where)
        while not self.ending:
            query = self.ask(name)
            reply = protocol.waiting[int.from_bytes(query[:2])] = loop.create_future()
            transport.sendto(query)
            await self._note(reply, expected, f"UDP {name}")
            await asyncio.sleep(pause)
        transport.close()

    async def over_tcp(self, name: str, expected: str, pause: float) -> None:
        """Ask over one connection that stays open."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while not self.ending:
            query = self.ask(name)
            writer.write(len(query).to_bytes(2) + query)
            await self._note(_framed(reader), expected, f"TCP {name}")
            await asyncio.sleep(pause)
        writer.close()
        await writer.wait_closed()

    async def _note(
        self, reply: "asyncio.Future[bytes] | asyncio.Task[bytes]", expected: str, what: str
    ) -> None:
        try:
            message = dns.message.from_wire(await asyncio.wait_for(reply, PATIENCE))
        except (TimeoutError, OSError, EOFError) as error:
            self.outcomes[f"{what}: {error!r}"] += 1
        else:
            found = rcode(message)
            wrong = f"{what}: {found} {ede(message)}"
            self.outcomes["right" if found == expected else wrong] += 1


def _framed(reader: asyncio.StreamReader) -> "asyncio.Task[bytes]":
    async def read() -> bytes:
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))

    return asyncio.create_task(read())


CLIENTS = (
    *[("web.default.svc.cluster.local.", "NOERROR", 0.02)] * 2,
    ("missing-{}.default.svc.cluster.local.", "NXDOMAIN", 0.02),
    ("80.0.96.10.in-addr.arpa.", "NOERROR", 0.02),
    *[("once-{}.example.org.", "NOERROR", 0.0)] * 10,
)


@asynccontextmanager
async def _loaded(port: int, *, tcp: bool = True) -> AsyncIterator[Load]:
    """Ask over UDP, and TCP, while the block runs."""
    load = Load(port)
    ways = (load.over_udp, load.over_tcp) if tcp else (load.over_udp,)
    tasks = [
        asyncio.create_task(way(name, expected, pause))
        for name, expected, pause in CLIENTS
        for way in ways
    ]
    try:
        yield load
    finally:
        load.ending = True
        await asyncio.gather(*tasks)


# -- what is looked at --------------------------------------------------------------------------


def _counts(setting: Setting) -> dict[str, float]:
    """Return everything that only grows."""
    status, text = page("127.0.0.1", setting.metrics, "/metrics")
    assert status == 200
    found = re.findall(r"^(\w+_(?:total|count|sum|bucket)(?:\{.*\})?) (\S+)$", text, re.MULTILINE)
    return {series: float(value) for series, value in found}


def _shrunk(before: dict[str, float], after: dict[str, float]) -> list[str]:
    return [series for series, value in before.items() if after.get(series, -1.0) < value]


def _files(server: Kdns) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def _memory(server: Kdns) -> int:
    """Return the resident memory in KiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.findall(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)[0])


# -- under load ---------------------------------------------------------------------------------


def _changes(setting: Setting, other: Upstream) -> Iterator[tuple[object, str]]:
    """Yield Corefiles, and what the server says of them."""
    done, stays = "Reloading complete", "the old configuration stays"
    replace = partial(structs.replace, setting)
    extra, page_port = free_port(), free_port()
    block = f".:{extra} {{\n whoami\n prometheus 127.0.0.1:{setting.metrics}\n}}"
    yield replace(ttl=60), done
    yield replace(blocks=block), done
    yield replace(upstream=str(other)), done
    yield f"{setting}\nexample.org {{", stays
    yield replace(more="cache 30"), done
    yield replace(more="cache 30 {\n denial many\n}"), stays
    yield replace(upstream=f"{setting.upstream} {other}", more="loadbalance"), done
    yield "", stays
    yield replace(blocks=f"svc.cluster.local:{extra} {{\n whoami\n}}"), done
    yield replace(more=f"health 127.0.0.1:{page_port}\n ready 127.0.0.1:{page_port}"), done
    yield replace(more="log . {\n class error\n}\n acl {\n allow\n}"), done
    yield replace(more="unknown"), stays
    yield setting, done


def _rebound(setting: Setting) -> Iterator[tuple[object, str]]:
    """Yield Corefiles that listen on the same port of fewer, more and other addresses."""
    replace = partial(structs.replace, setting)
    for wanted in (
        replace(bind="127.0.0.1"),
        replace(bind="127.0.0.1 127.0.0.2"),
        setting,
        replace(bind="0.0.0.0"),
        replace(bind="127.0.0.1"),
        replace(bind="127.0.0.1", blocks=f".:{setting.port} {{\n bind ::1\n}}"),
        setting,
    ):
        yield wanted, "Reloading complete"


def test_no_query_is_lost_while_the_corefile_changes_every_second(
    setting: Setting, api: FakeApiServer, tmp_path: Path
) -> None:
    async def test(first: Upstream, other: Upstream) -> None:
        began = structs.replace(setting, upstream=str(first))
        with _served(began, tmp_path) as (server, corefile):
            listed = len(api.requests)
            counts = _counts(began)
            async with _loaded(server.port) as load:
                for text, expected in _changes(began, other):
                    _, said = await asyncio.gather(
                        asyncio.sleep(1), asyncio.to_thread(corefile.change, text)
                    )
                    assert expected in said, (said, str(text))
                    before, counts = counts, await asyncio.to_thread(_counts, began)
                    assert _shrunk(before, counts) == [], str(text)
            total = sum(load.outcomes.values())
            assert load.outcomes == {"right": total}, server.output
            assert total > 1000
            assert len(api.requests) == listed, "nothing was listed or watched again"
            assert _asked(_counts(began)) >= total
            assert first.asked
            assert other.asked
            assert not server.printed("Traceback")

    with upstream("192.0.2.1") as first, upstream("192.0.2.2") as other:
        first.delay = other.delay = SLOW
        asyncio.run(test(first, other))


def test_no_datagram_is_lost_while_addresses_come_and_go(setting: Setting, tmp_path: Path) -> None:
    async def test(resolver: Upstream) -> None:
        began = structs.replace(setting, upstream=str(resolver))
        with _served(began, tmp_path) as (server, corefile):
            async with _loaded(server.port, tcp=False) as load:
                for text, expected in _rebound(began):
                    _, said = await asyncio.gather(
                        asyncio.sleep(1), asyncio.to_thread(corefile.change, text)
                    )
                    assert expected in said, (said, str(text))
            total = sum(load.outcomes.values())
            assert load.outcomes == {"right": total}, server.output
            assert total > 500

    with upstream() as resolver:
        resolver.delay = SLOW
        asyncio.run(test(resolver))


def _asked(counts: dict[str, float]) -> float:
    return sum(
        value for name, value in counts.items() if name.startswith("coredns_dns_requests_total{")
    )


def test_reloading_over_and_over_costs_neither_memory_nor_files(
    setting: Setting, api: FakeApiServer, tmp_path: Path
) -> None:
    with upstream() as resolver:
        more = f"""
            cache 30
            loadbalance
            health 127.0.0.1:{free_port()}
            ready 127.0.0.1:{free_port()}
            rewrite name exact a.example b.example
        """
        both = [
            structs.replace(setting, upstream=str(resolver), ttl=ttl, more=more) for ttl in (5, 30)
        ]
        with _served(both[0], tmp_path) as (server, corefile):
            listed = len(api.requests)
            sizes = []
            for _ in range(3):
                for number in range(40):
                    corefile.change(both[number % 2])
                    assert rcode(server.ask("www.example.org. A")) == "NOERROR"
                    assert rcode(server.ask("web.default.svc.cluster.local. A")) == "NOERROR"
                sizes.append((_files(server), _memory(server)))
            assert len(api.requests) == listed

    (_, _), (files, memory), (files_after, memory_after) = sizes
    assert files_after == files
    assert memory_after - memory < 2048, sizes


# -- one change at a time -----------------------------------------------------------------------


def _query(name: str) -> bytes:
    return dns.message.make_query(name, "A").to_wire()


@contextmanager
def _waiting(port: int, resolver: Upstream) -> Iterator[list[Callable[[], bytes]]]:
    """Ask over UDP and over TCP what the upstream is slow to answer; yield how to get replies."""
    query = _query("slow.example.org.")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as stream,
    ):
        client.settimeout(PATIENCE)
        before = len(resolver.asked)
        client.sendto(query, ("127.0.0.1", port))
        stream.sendall(len(query).to_bytes(2) + query)
        resolver.wait_for(before + 2)
        yield [lambda: client.recv(512), lambda: stream.recv(512)[2:]]


CHANGES: dict[str, Callable[[Setting, Upstream], object]] = {
    "another upstream": lambda setting, other: structs.replace(setting, upstream=str(other)),
    "another port": lambda setting, _: structs.replace(setting, port=free_port()),
    "another address": lambda setting, _: structs.replace(setting, bind="127.0.0.1"),
    "no forwarding": lambda setting, _: str(setting).replace("forward .", "forward nowhere."),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_queries_that_wait_at_a_change_are_answered(
    setting: Setting, tmp_path: Path, change: Callable[[Setting, Upstream], object]
) -> None:
    with upstream("192.0.2.1") as first, upstream("192.0.2.2") as other:
        began = structs.replace(setting, upstream=str(first))
        with _served(began, tmp_path) as (server, corefile):
            first.delay = 1.0
            with _waiting(server.port, first) as replies:
                assert "complete" in corefile.change(change(began, other))
                for reply in replies:
                    answer = dns.message.from_wire(reply())
                    assert lines(answer.answer) == {"slow.example.org. 60 A 192.0.2.1"}
        assert first.asked.count("slow.example.org.") == 2, "nobody had to ask again"


def test_reload_notices_the_corefile_and_what_it_imports(setting: Setting, tmp_path: Path) -> None:
    custom = tmp_path / "custom"
    custom.mkdir()
    watched = structs.replace(setting, reload="2s 0s", blocks="import custom/*.server")
    with _served(watched, tmp_path) as (server, corefile):
        assert rcode(server.ask("web.example. A")) == "SERVFAIL"
        (custom / "a.server").write_text(
            f"example:{setting.port} {{\n hosts {{\n 192.0.2.9 web.example\n }}\n}}\n"
        )
        assert "complete" in corefile.changed()
        assert lines(server.ask("web.example. A").answer) == {"web.example. 3600 A 192.0.2.9"}
        (custom / "a.server").write_text("example {")
        assert "a.server:1: " in corefile.changed()
        assert lines(server.ask("web.example. A").answer) == {"web.example. 3600 A 192.0.2.9"}
        failed = _counts(setting)["coredns_reload_failed_total"]
        (custom / "a.server").unlink()
        assert "complete" in corefile.changed()
        assert rcode(server.ask("web.example. A")) == "SERVFAIL"

    assert failed == 1
