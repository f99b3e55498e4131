"""The cluster and its resolvers for programs without asyncio: the same, on a thread of its own."""

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from kdns.chain import Address
from kdns.kube.manifests.memory import Written
from kdns.resolver.background import Background
from kdns.resolver.cluster import AsyncCluster
from kdns.resolver.listening import Serving
from kdns.resolver.lookup import AddressInfo, Host, Port
from kdns.resolver.resolver import AsyncResolver
from kdns.resolver.results import Result
from kdns.resolver.sources import Source
from kdns.stub.resolvconf import ResolvConf
from kdns.stub.walk import Style

T = TypeVar("T")


class Cluster:
    """A cluster that is followed while its block runs.

    ``with Cluster(manifests="manifests/") as cluster: ...``

    Every thread may use it. It has a thread of its own, and takes no signals.
    """

    def __init__(self, **source: Unpack[Source]) -> None:
        """See ``Source`` for the keywords. Nothing is opened yet but a kubeconfig.

        Raises UsageError for what cannot be carried out.
        """
        self._inner = AsyncCluster(**source)
        self._background = Background("kdns")

    def __enter__(self) -> Self:
        """Read the manifests, or follow the API server; see ``AsyncCluster``."""
        self._background.start()
        try:
            self._background.run(self._inner.__aenter__())
        except BaseException:
            self._background.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of everything; who watches is told that this is the end."""
        try:
            self._background.run(self._inner.__aexit__(kind, error, trace))
        finally:
            self._background.stop()

    @property
    def zone(self) -> str:
        """The cluster's domain, without a final dot."""
        return self._inner.zone

    @property
    def trouble(self) -> str:
        """Why what is here may be incomplete or out of date; empty when it is not."""
        return self._background.call(lambda: self._inner.trouble)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until everything was listed once, and return whether it was."""
        return self._background.run(self._inner.wait(seconds))

    def resolver(
        self,
        place: str = "default",
        *,
        conf: ResolvConf | None = None,
        node: ResolvConf | None = None,
        style: Style = "glibc",
    ) -> "Resolver":
        """Return a resolver as it is in a place; see ``AsyncCluster.resolver``."""
        inner = self._inner.resolver(place, conf=conf, node=node, style=style)
        return Resolver(inner, self._background)

    def run(self, work: Callable[[AsyncCluster], Coroutine[Any, Any, T]]) -> T:
        """Run something on the thread of the cluster, and return what it returns."""
        return self._background.run(work(self._inner))

    def apply(self, *objects: Written) -> None:
        """Create or replace objects of a cluster of ``objects``; see ``AsyncCluster.apply``.

        When it returns, every question is answered from them.
        """
        self._background.call(lambda: self._inner.apply(*objects))

    def delete(self, kind: str, name: str, namespace: str = "default") -> None:
        """Delete an object of a cluster of ``objects``; UsageError where there is none."""
        self._background.call(lambda: self._inner.delete(kind, name, namespace))

    @contextmanager
    def serving(
        self,
        *,
        port: int = 0,
        bind: Sequence[str] = ("127.0.0.1",),
        search: Sequence[str] | None = None,
        admin: Address | None = None,
    ) -> Iterator[Serving]:
        """Serve this cluster while a block runs; see ``AsyncCluster.serving``."""

        def prepared() -> AbstractAsyncContextManager[Serving]:
            return self._inner.serving(port=port, bind=bind, search=search, admin=admin)

        context = self._background.call(prepared)
        server = self._background.run(context.__aenter__())
        try:
            yield server
        finally:
            self._background.run(context.__aexit__(None, None, None))


class Resolver:
    """Resolves names as a pod does. Made by ``Cluster.resolver``."""

    def __init__(self, inner: AsyncResolver, background: Background) -> None:
        self._inner = inner
        self._background = background

    def conf(self) -> ResolvConf:
        """Return the resolv.conf of the place.

        Raises UsageError for a pod that there is not.
        """
        return self._background.run(self._inner.conf())

    def elsewhere(self) -> str:
        """Return why the cluster's DNS is not asked from the place; empty where it is."""
        return self._background.run(self._inner.elsewhere())

    def resolve(self, name: str, rtype: str = "A") -> Result:
        """Resolve a name, completed as the C library completes it.

        A name that does not exist is a result and no exception. UsageError for an unknown type.
        """
        return self._background.run(self._inner.resolve(name, rtype))

    def getaddrinfo(  # noqa: PLR0913, PLR0917 - the signature of socket.getaddrinfo
        self,
        host: Host,
        port: Port,
        family: int = 0,
        type: int = 0,  # noqa: A002 - as above
        proto: int = 0,
        flags: int = 0,
    ) -> list[AddressInfo]:
        """Return what ``socket.getaddrinfo`` would in a pod; raises socket.gaierror."""
        return self._background.run(self._inner.getaddrinfo(host, port, family, type, proto, flags))

    def exchange(self, message: bytes) -> bytes:
        """Return the response to a DNS message as the server sends it over TCP; empty for none.

        UsageError for a pod that does not ask the cluster's DNS.
        """
        return self._background.run(self._inner.exchange(message))

    def watch(self, name: str, rtype: str = "A") -> Generator[Result, None, None]:
        """Yield the answer now, and again whenever it is another one; ends with the cluster.

        See ``AsyncResolver.watch``. It waits in between for as long as it takes: a program that
        has other things to do gives it a thread.
        """
        watching = self._inner.watch(name, rtype)
        try:
            while (found := self._background.run(_next(watching))) is not None:
                yield found
        finally:
            self._background.finish(watching.aclose())


async def _next(watching: AsyncGenerator[Result, None]) -> Result | None:
    return await anext(watching, None)
