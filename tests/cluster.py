"""A cluster in memory, asked through the whole path from bytes to bytes; dnspython reads it."""

from collections.abc import Iterable

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
from msgspec.structs import replace

from kdns.chain import Answer, Handler, Request, Response, Serial, compose
from kdns.kube.changes import Apply, Change, Init, InitDone
from kdns.kube.objects import Endpoint, EndpointSlice, Namespace, Object, Pod, Port, Service
from kdns.kube.store import KINDS, Store
from kdns.plugins.forward import refuse
from kdns.plugins.kubernetes import Kubernetes
from kdns.server.responder import Responder
from kdns.server.routes import Route, Routes
from kdns.server.table import AnswerTable, Door
from kdns.wire import names
from kdns.zone.authority import Authority
from kdns.zone.settings import Settings

HTTP = Port("http", "tcp", 80)


class Cluster:
    """Store, zone, chain, table and responder, without sockets."""

    def __init__(  # noqa: PLR0913 - each is one thing that a test may vary
        self,
        objects: Iterable[Object] = (),
        settings: Settings | None = None,
        *,
        upstream: Handler = refuse,
        nameservers: tuple[str, ...] = ("127.0.0.1",),
        synced: bool = True,
        rotate: bool = False,
    ) -> None:
        self.store = Store()
        self.table = AnswerTable()
        self.asked: list[Request] = []
        authority = Authority(settings or Settings(), nameservers)

        async def counting(request: Request) -> Response:
            self.asked.append(request)
            return await upstream(request)

        self.serial = Serial()
        chain = compose([Kubernetes(self.store, authority, self.serial)], counting)

        async def turning(request: Request) -> Response:
            response = await chain(request)
            return replace(response, rotate=True) if isinstance(response, Answer) else response

        route = Route(names.ROOT, ".", turning if rotate else chain)
        self.responder = Responder(Routes([route]), self.table)
        if synced:
            for kind in KINDS:
                self.change(Init(kind))
                self.change(InitDone(kind))
        for item in objects:
            self.change(Apply(item))

    def change(self, change: Change) -> None:
        """Take in one change, as the application does."""
        self.table.drop(self.store.apply(change))
        self.serial.set(self.store.serial)

    def ask(
        self, question: str, *, transport: str = "udp", edns: int | None = None
    ) -> dns.message.Message:
        """Ask ``name type``; ``edns`` is the payload size of an OPT record."""
        name, rtype = question.split()
        query = dns.message.make_query(name, rtype)
        if edns is not None:
            query.use_edns(0, payload=edns)
        door: Door = ("tcp" if transport == "tcp" else "udp", "1")
        reply = self.responder.respond(query.to_wire(), ("192.0.2.7", 5353), door)
        assert isinstance(reply, bytes)
        answer = dns.message.from_wire(reply)
        assert answer.id == query.id
        assert query.is_response(answer)
        return answer


def lines(sections: Iterable[object]) -> set[str]:
    """Every record of a section as a line of a zone file, without class."""
    return {
        f"{rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata}"  # type: ignore[attr-defined]
        for rrset in sections
        for rdata in rrset  # type: ignore[attr-defined]
    }


def rcode(message: dns.message.Message) -> str:
    return dns.rcode.to_text(message.rcode())


def ede(message: dns.message.Message) -> str:
    """The text of the extended error, empty when there is none."""
    texts = [option.text for option in message.options if int(option.otype) == 15]
    return texts[0] if texts else ""


def service(name: str, *ips: str, namespace: str = "testns", **more: object) -> Service:
    """A ClusterIP Service with the port http, unless ``ports`` says otherwise."""
    return Service(namespace, name, cluster_ips=ips, **{"ports": (HTTP,), **more})  # type: ignore[arg-type]


def headless(name: str, namespace: str = "testns", **more: object) -> Service:
    return Service(namespace, name, headless=True, **{"ports": (HTTP,), **more})  # type: ignore[arg-type]


def external(name: str, target: str, namespace: str = "testns") -> Service:
    return Service(namespace, name, external_name=target)


def endpoints(
    service_name: str,
    *addresses: str | Endpoint,
    namespace: str = "testns",
    ports: tuple[Port, ...] = (HTTP,),
    name: str = "",
    **more: object,
) -> EndpointSlice:
    """A slice of a Service; an address may carry a hostname as ``hostname@address``."""
    return EndpointSlice(
        namespace,
        name or f"{service_name}-slice",
        service_name,
        ports=ports,
        endpoints=tuple(_endpoint(address) for address in addresses),
        **more,  # type: ignore[arg-type]
    )


def _endpoint(address: str | Endpoint) -> Endpoint:
    if isinstance(address, Endpoint):
        return address
    hostname, _, ip = address.rpartition("@")
    return Endpoint((ip,), hostname)


# The fixture F1 of docs/coredns-differences.md: what the other server's own tests use.
F1: tuple[Object, ...] = (
    *(Namespace(name) for name in ("testns", "unexposedns", "kube-system", "podns", "svcns")),
    service("svc1", "10.0.0.1"),
    endpoints("svc1", "ep1a@172.0.0.1"),
    service("svcempty", "10.0.0.1"),
    endpoints("svcempty"),
    service("svc6", "1234:abcd::1"),
    service("svc-dual-stack", "10.0.0.3", "10::3"),
    headless("hdls1"),
    endpoints(
        "hdls1",
        "172.0.0.2",
        "172.0.0.3",
        "dup-name@172.0.0.4",
        "dup-name@172.0.0.5",
        "5678:abcd::1",
        "5678:abcd::2",
    ),
    headless("hdlsprtls", ports=()),
    endpoints("hdlsprtls", "172.0.0.20", ports=()),
    external("external", "ext.interwebs.test"),
    external("external-to-service", "svc1.testns.svc.cluster.local."),
    service("svc1", "10.0.0.2", namespace="unexposedns"),
    service("kubedns", "10.0.0.10", namespace="kube-system", ports=(Port("dns", "udp", 53),)),
    Pod("podns", "foo", ips=("10.240.0.1",)),
)
