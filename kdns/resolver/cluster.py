"""A cluster for asyncio programs; ``blocking`` has the same without asyncio."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Self, Unpack

from kdns import standalone
from kdns.app import Server
from kdns.chain import Address
from kdns.cluster import FromObjects
from kdns.configuration import Assembled
from kdns.directives import kubernetes as kubernetes_block
from kdns.errors import UsageError
from kdns.kube.manifests.memory import MemorySource, Written
from kdns.resolver import places, sources
from kdns.resolver.engine import Engine
from kdns.resolver.listening import Serving, listening
from kdns.resolver.places import Place, View
from kdns.resolver.resolver import AsyncResolver, Backend
from kdns.resolver.sources import Source
from kdns.resolver.wakeups import Wakeups
from kdns.stub.resolvconf import ResolvConf
from kdns.stub.walk import Style
from kdns.wire import names
from kdns.zone.authority import Authority


class AsyncCluster:
    """A cluster that is followed while its block runs.

    ``async with AsyncCluster(manifests="manifests/") as cluster: ...``
    """

    def __init__(self, **source: Unpack[Source]) -> None:
        """See ``Source`` for the keywords. Nothing is opened yet but a kubeconfig.

        Raises UsageError for what cannot be carried out.
        """
        self._wanted = wanted = sources.read(source)
        # Never started: it is what outlives a configuration.
        self._server = Server(wanted.options)
        self._configured = standalone.configure(wanted.options, self._server)
        self._followed = self._server.clusters.get(
            wanted.options.source, kubernetes_block.selection(wanted.options.settings)
        )
        self._memory = MemorySource(
            self._followed.take,
            assign=wanted.assign,
            labels=wanted.options.settings.labels,
            namespace_labels=wanted.options.settings.namespace_labels,
            imports=bool(wanted.options.settings.multicluster),
        )
        self._wakeups = Wakeups()
        self._open: AsyncExitStack | None = None
        self._entered = False

    async def __aenter__(self) -> Self:
        """Read the manifests, or follow the API server.

        Returns when everything was listed once, or after ``wait`` seconds. Raises ManifestError for
        manifests that cannot be used.
        """
        if self._entered:
            raise UsageError("a cluster can be entered once: make another one")
        self._entered = True
        (block,) = (one.block for one in self._configured.blocks)
        async with AsyncExitStack() as stack:
            if self._is_memory:
                self._memory.start(self._wanted.objects)
            block.drops.append(self._wakeups.touched)
            for resource in block.resources:
                await stack.enter_async_context(resource)
            stack.callback(self._wakeups.close)
            await self.wait(self._wanted.wait)
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of everything; who watches is told that this is the end."""
        if self._open is not None:
            await self._open.aclose()
            self._open = None

    # -- what is known ------------------------------------------------------------------------

    @property
    def zone(self) -> str:
        """The cluster's domain, without a final dot."""
        primary = Authority(self._wanted.options.settings).primary
        return names.to_text(primary).removesuffix(".") or "."

    @property
    def trouble(self) -> str:
        """Why what is here may be incomplete or out of date; empty when it is not."""
        troubles = [status.trouble for status in self._followed.statuses if status.trouble]
        if self._followed.synced.is_set():
            return self._followed.store.stale
        return "; ".join(("not synced with the API server", *dict.fromkeys(troubles)))

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait until everything was listed once, and return whether it was."""
        try:
            await asyncio.wait_for(self._followed.synced.wait(), seconds)
        except TimeoutError:
            return False
        return True

    # -- asking -------------------------------------------------------------------------------

    def resolver(
        self,
        place: str = "default",
        *,
        conf: ResolvConf | None = None,
        node: ResolvConf | None = None,
        style: Style = "glibc",
    ) -> AsyncResolver:
        """Return a resolver as it is in a place: ``NAMESPACE`` or ``NAMESPACE/POD``.

        ``conf`` is used in the place of the resolv.conf that there would be, except for its
        nameservers: the cluster is asked. ``node`` is the resolv.conf of the node, to which a
        pod's refers. ``style`` is the C library: ``glibc`` or ``musl``.
        """
        parsed = Place.parse(place)

        async def view() -> View:
            return await self.view(parsed, conf=conf, node=node)

        backend = Backend(self._engine, self._exchange, self._wakeups)
        return AsyncResolver(backend, view, style)

    async def view(
        self, place: Place, *, conf: ResolvConf | None = None, node: ResolvConf | None = None
    ) -> View:
        """Return how the DNS looks from a place; see ``resolver``."""
        self._check_open()
        if conf is not None:
            return View(conf)
        store, source = self._followed.store, self._wanted.options.source
        return await places.view(place, store, source, self.zone, node)

    @property
    def blocks(self) -> tuple[Assembled, ...]:
        """The server block that answers."""
        return self._configured.blocks

    # -- changing and serving -------------------------------------------------------------------

    def apply(self, *objects: Written) -> None:
        """Create objects, or replace those of the same kind, namespace and name.

        Only in a cluster of ``objects``. Each is a dictionary, a text of YAML or JSON with one or
        more documents, or the ``Path`` of a file. Kinds that DNS does not need have no effect.
        ManifestError says what is wrong where; then nothing of it is taken.
        """
        self._writable().apply(objects)

    def delete(self, kind: str, name: str, namespace: str = "default") -> None:
        """Delete an object of a cluster of ``objects``; UsageError where there is none."""
        where = "" if kind in {"Namespace", "Node"} else namespace
        self._writable().delete(kind, where, name)

    def serving(
        self,
        *,
        port: int = 0,
        bind: Sequence[str] = ("127.0.0.1",),
        search: Sequence[str] | None = None,
        admin: Address | None = None,
    ) -> AbstractAsyncContextManager[Serving]:
        """Serve this cluster while a block runs, UDP and TCP; port 0 is a free one.

        ``search`` completes short names on the server, by default as in a pod of the namespace
        ``default``; an empty one completes nothing. ``admin`` is where ``/ready``, ``/health`` and
        ``/metrics`` are served.
        """
        self._check_open()
        options = sources.served(
            self._wanted.options, port=port, bind=tuple(bind), search=search, admin=admin
        )
        return listening(options, self._server.clusters)

    # -- inside -------------------------------------------------------------------------------

    @property
    def _is_memory(self) -> bool:
        return isinstance(self._wanted.options.source, FromObjects)

    async def _exchange(self, message: bytes, client: Address) -> bytes:
        served = next(iter(self._configured.servers.values()))
        reply = served.responder.respond(message, client, ("tcp", "1"))
        return (await reply if isinstance(reply, asyncio.Future) else reply) or b""

    def _engine(self, seen: View) -> Engine:
        """Return an engine for the chain; a pod that asks others sees only what is behind it."""
        (assembled,) = self._configured.blocks
        hidden = "kubernetes" if seen.elsewhere else ""
        plugins = [one for name, one in assembled.plugins if one is not None and name != hidden]
        return Engine(plugins, seen.elsewhere)

    def _writable(self) -> MemorySource:
        self._check_open()
        if not self._is_memory:
            raise UsageError("only a cluster of objects can be changed: Cluster(objects=...)")
        return self._memory

    def _check_open(self) -> None:
        if self._open is None:
            raise UsageError("the cluster is not open: use it in a with block")
