"""The resolver that both servers forward to: a few names, always the same. Knows no cluster.

``python -m tests.differential.upstream PORT [HOST]`` answers until it is ended.
"""

import asyncio
import sys
from contextlib import suppress
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

HOST = "127.0.0.1"
ORIGIN = dns.name.from_text("example.org.")
MANY = 60
"""How many addresses ``many`` has: more than a small datagram holds."""
RECORDS = """
example.org. 300 SOA ns.example.org. root.example.org. 1 7200 1800 86400 60
example.org. 300 NS ns.example.org.
www.example.org. 3600 A 192.0.2.1
www.example.org. 3600 AAAA 2001:db8::1
www.example.org. 3600 HTTPS 1 . alpn=h2
text.example.org. 60 TXT "one" "two"
mail.example.org. 60 MX 10 www.example.org.
alias.example.org. 120 CNAME www.example.org.
chain.example.org. 20 CNAME alias.example.org.
away.example.org. 20 CNAME www.example.net.
zero.example.org. 0 A 192.0.2.2
once.example.org. 1 A 192.0.2.3
long.example.org. 604800 A 192.0.2.4
_http._tcp.example.org. 60 SRV 1 2 80 www.example.org.
1.1.168.192.in-addr.arpa. 60 PTR host.example.org.
"""
BROKEN = {"broken.example.org.": dns.rcode.SERVFAIL, "refused.example.org.": dns.rcode.REFUSED}
ROOT_SOA = dns.rrset.from_text(".", 900, "IN", "SOA", "a.root. nstld.root. 1 1800 900 604800 900")
NAMES = (
    *(line.split()[0] for line in RECORDS.splitlines() if line),
    *BROKEN,
    "many.example.org.",
    "missing.example.org.",
    "www.example.net.",
    "org.",
    ".",
    "version.bind.",
    "localhost.",
    "arpa.",
)
Table = dict[tuple[dns.name.Name, dns.rdatatype.RdataType], dns.rrset.RRset]


class Upstream(asyncio.DatagramProtocol):
    """Answers from the records; what they do not name does not exist."""

    def __init__(self) -> None:
        self._table = _table()
        self._names = {name for name, _ in self._table}
        self._transport: asyncio.DatagramTransport | None = None
        self._replies: dict[bytes, bytes] = {}
        """What was said to each query, without ids: making a message takes its time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        assert self._transport is not None
        known = self._replies.get(data[2:])
        if known is None:
            known = self._replies[data[2:]] = self._fitting(data)
        self._transport.sendto(data[:2] + known, address)

    def _fitting(self, data: bytes) -> bytes:
        """Return what fits into a datagram, without the id."""
        query = dns.message.from_wire(data)
        reply = self._reply(query)
        room = max(512, query.payload if query.edns >= 0 else 512)
        try:
            return reply.to_wire(max_size=room)[2:]
        except dns.exception.TooBig:
            reply.answer.clear()
            reply.flags |= dns.flags.TC
            return reply.to_wire()[2:]

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer on a connection until it ends."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while size := int.from_bytes(await reader.readexactly(2)):
                query = dns.message.from_wire(await reader.readexactly(size))
                wire = self._reply(query).to_wire(max_size=65_535)
                writer.write(len(wire).to_bytes(2) + wire)
        writer.close()

    def _reply(self, query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query, recursion_available=True, pad=0)
        reply.flags |= query.flags & dns.flags.CD
        name, rtype = query.question[0].name, query.question[0].rdtype
        broken = BROKEN.get(name.to_text().lower())
        if broken is not None:
            reply.set_rcode(broken)
            return reply
        while (name, dns.rdatatype.CNAME) in self._table and rtype != dns.rdatatype.CNAME:
            alias = self._table[name, dns.rdatatype.CNAME]
            reply.answer.append(alias)
            name = alias[0].target
        self._finish(reply, name, rtype)
        return reply

    def _finish(
        self, reply: dns.message.Message, name: dns.name.Name, rtype: dns.rdatatype.RdataType
    ) -> None:
        found = self._table.get((name, rtype))
        if found is not None:
            reply.answer.append(found)
            return
        below = name.is_subdomain(ORIGIN)
        reply.authority.append(self._table[ORIGIN, dns.rdatatype.SOA] if below else ROOT_SOA)
        if name not in self._names and name != dns.name.root:
            reply.set_rcode(dns.rcode.NXDOMAIN)


def _table() -> Table:
    found: Table = {}
    for line in filter(None, RECORDS.splitlines()):
        name, ttl, rtype, rdata = line.split(maxsplit=3)
        rrset = dns.rrset.from_text(name, int(ttl), "IN", rtype, rdata)
        found[rrset.name, rrset.rdtype] = rrset
    many = [f"198.51.100.{number}" for number in range(MANY)]
    rrset = dns.rrset.from_text("many.example.org.", 60, "IN", "A", *many)
    found[rrset.name, rrset.rdtype] = rrset
    return found


async def serve(port: int, host: str = HOST) -> None:
    """Answer on a port, of loopback unless said, over UDP and TCP."""
    one = Upstream()
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: one, local_addr=(host, port))
    server = await asyncio.start_server(one.connected, host, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), *sys.argv[2:3]))
