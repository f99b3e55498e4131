"""Explanations for programs: of a cluster that is followed, of a Corefile, of a running server."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from kdns import configuration
from kdns.app import FromCorefile, Server
from kdns.cluster import Cluster as Followed
from kdns.cluster import Clusters, From
from kdns.configuration import Assembled, Configuration
from kdns.corefile import parser
from kdns.corefile.mnemonics import TYPES
from kdns.corefile.values import nearest
from kdns.errors import UsageError
from kdns.explain.explaining import Subject
from kdns.explain.explaining import explain as explain_subject
from kdns.explain.report import Explanation
from kdns.kube.resources import Selection
from kdns.kube.store import Store
from kdns.presentation.rdata import rtype_of
from kdns.resolver import places
from kdns.resolver.blocking import Cluster
from kdns.resolver.cluster import AsyncCluster
from kdns.resolver.places import Place, View
from kdns.stub import policy
from kdns.stub.resolvconf import ResolvConf
from kdns.stub.walk import Style
from kdns.wire import names

PORT = 53
_ZONE = "cluster.local"


def explain(  # noqa: PLR0913 - what may be said about a question
    cluster: Cluster,
    name: str,
    rtype: str = "A",
    place: str = "default",
    *,
    conf: ResolvConf | None = None,
    style: Style = "glibc",
) -> Explanation:
    """Explain what a name gives in a place, ``NAMESPACE`` or ``NAMESPACE/POD``.

    ``conf`` and ``style`` are those of ``Cluster.resolver``. UsageError for an unknown type or a
    pod that there is not; a name that does not exist is explained like any other.
    """
    return cluster.run(
        lambda inner: explain_async(inner, name, rtype, place, conf=conf, style=style)
    )


async def explain_async(  # noqa: PLR0913 - as above
    cluster: AsyncCluster,
    name: str,
    rtype: str = "A",
    place: str = "default",
    *,
    conf: ResolvConf | None = None,
    style: Style = "glibc",
) -> Explanation:
    """Do what ``explain`` does, for asyncio."""
    view = await cluster.view(Place.parse(place), conf=conf)
    subject = Subject(name, number(rtype), place, view, cluster.blocks, style)
    return await explain_subject(subject)


async def explain_corefile(  # noqa: PLR0913 - as above
    corefile: str,
    name: str,
    rtype: str = "A",
    place: str = "default",
    *,
    source: From | None = None,
    conf: ResolvConf | None = None,
    style: Style = "glibc",
) -> Explanation:
    """Explain what a Corefile makes of a name; nothing is bound.

    With ``source`` every ``kubernetes`` block follows that in the place of its own API server.
    Raises CorefileError for a file that cannot be used.
    """
    clusters = None if source is None else _Instead(source)
    server = Server(FromCorefile(corefile, PORT), clusters)
    built = configuration.build(parser.load(corefile), PORT, server)
    async with _running(built):
        asked = name, number(rtype), Place.parse(place)
        return await explain_subject(
            await _subject(built, server.clusters, asked, conf=conf, style=style)
        )


async def explain_running(
    server: Server, name: str, rtype: str = "A", place: str = "default", style: Style = "glibc"
) -> Explanation:
    """Explain what a running server answers; to be called on its event loop."""
    asked = name, number(rtype), Place.parse(place)
    subject = await _subject(server.running, server.clusters, asked, style=style)
    return await explain_subject(subject)


def number(rtype: str) -> int:
    """Read a type, or raise UsageError."""
    found = rtype_of(rtype)
    if found is None:
        raise UsageError(f"unknown type {rtype!r}{nearest(rtype.upper(), TYPES)}")
    return found


class _Instead(Clusters):
    """Follows one source, whatever a Corefile asks for."""

    def __init__(self, source: From) -> None:
        super().__init__()
        self._source = source

    def get(self, source: From, selection: Selection) -> Followed:  # noqa: ARG002 - see above
        return super().get(self._source, selection)


@asynccontextmanager
async def _running(built: Configuration) -> AsyncIterator[None]:
    """Run what plugins need to answer; sockets of the server's own are none of it."""
    async with AsyncExitStack() as stack:
        for one in built.blocks:
            for resource in one.block.resources:
                await stack.enter_async_context(resource)
        yield


async def _subject(
    built: Configuration,
    clusters: Clusters,
    asked: tuple[str, int, Place],
    *,
    conf: ResolvConf | None = None,
    style: Style = "glibc",
) -> Subject:
    name, rtype, place = asked
    blocks = _answering(built)
    view = View(conf) if conf is not None else await _view(place, blocks, clusters)
    return Subject(name, rtype, str(place), view, blocks, style)


def _answering(built: Configuration) -> tuple[Assembled, ...]:
    """Return the blocks on port 53, the one that pods ask; else those of the first server."""
    ports = [port for _, port in built.servers]
    port = PORT if PORT in ports else ports[0]
    return tuple(one for one in built.blocks if port in {at for _, at in one.block.addresses})


async def _view(place: Place, blocks: Iterable[Assembled], clusters: Clusters) -> View:
    """Return how the DNS looks from a place of the first cluster that is served."""
    for one in blocks:
        if one.block.kubernetes is not None:
            store, authority = one.block.kubernetes
            zone = names.to_text(authority.primary).removesuffix(".")
            return await places.view(place, store, _source(store, clusters), zone, None)
    if place.pod:
        raise UsageError(f"pod {place}: there is no kubernetes block")
    return View(policy.of_namespace(place.namespace, _ZONE))


def _source(store: Store, clusters: Clusters) -> From:
    """Return what a store is fed from."""
    return next(source for (source, _), one in clusters.items() if one.store is store)
