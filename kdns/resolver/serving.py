"""``async with kdns.serving(...)``: the server for programs."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Unpack

from kdns.app import FromCorefile
from kdns.chain import Address
from kdns.errors import UsageError
from kdns.resolver.cluster import AsyncCluster
from kdns.resolver.listening import Serving, listening
from kdns.resolver.sources import PathText, Source


@asynccontextmanager
async def serving(
    *,
    port: int = 0,
    bind: Sequence[str] = ("127.0.0.1",),
    search: Sequence[str] | None = None,
    admin: Address | None = None,
    **source: Unpack[Source],
) -> AsyncIterator[Serving]:
    """Serve a cluster while a block runs, UDP and TCP, on a free port if ``port`` is 0.

    See ``AsyncCluster`` for the source and ``AsyncCluster.serving`` for the rest. No signal is
    handled and no state is shared: there can be several at once.
    """
    async with (
        AsyncCluster(**source) as cluster,
        cluster.serving(port=port, bind=bind, search=search, admin=admin) as server,
    ):
        yield server


@asynccontextmanager
async def serving_corefile(path: PathText, *, port: int = 0) -> AsyncIterator[Serving]:
    """Serve what a Corefile says while a block runs; ``port`` is for zones without one.

    Raises CorefileError for a file that cannot be used.
    """
    text = os.fspath(path)
    if text == "stdin":
        raise UsageError("expected the path of a Corefile, got stdin")
    async with listening(FromCorefile(text, port)) as server:
        yield server
