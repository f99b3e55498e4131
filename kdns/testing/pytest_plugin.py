"""Fixtures for pytest: a cluster in memory, a resolver, a DNS port. docs/library.md shows them.

pytest loads this by itself where kdns is installed, so nothing is imported that no test asks for.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pytest

import kdns

if TYPE_CHECKING:
    from kdns.kube.manifests.memory import Written


@pytest.fixture
def kdns_objects() -> "Iterable[Written]":
    """Return the objects that every cluster begins with; none, unless you override this."""
    return ()


@pytest.fixture
def kdns_place() -> str:
    """Return where names are asked, ``NAMESPACE`` or ``NAMESPACE/POD``; override this."""
    return "default"


@pytest.fixture
def kdns_cluster(kdns_objects: "Iterable[Written]") -> "Iterator[kdns.Cluster]":
    """Make a cluster in memory; ``apply`` and ``delete`` change it."""
    with kdns.Cluster(objects=kdns_objects) as cluster:
        yield cluster


@pytest.fixture
def kdns_resolver(kdns_cluster: "kdns.Cluster", kdns_place: str) -> "kdns.Resolver":
    """Resolve names of the cluster as a pod in that place does."""
    return kdns_cluster.resolver(kdns_place)


@pytest.fixture
def kdns_server(kdns_cluster: "kdns.Cluster") -> "Iterator[kdns.Serving]":
    """Serve the cluster by UDP and TCP on a free port of 127.0.0.1: ``host`` and ``port``."""
    with kdns_cluster.serving() as server:
        yield server


@pytest.fixture
def kdns_sockets(kdns_resolver: "kdns.Resolver") -> Iterator[None]:
    """Have ``socket.getaddrinfo`` know the names of the cluster while the test runs.

    Names outside the cluster are looked up as ever.
    """
    from kdns.adapters.sockets import patched  # noqa: PLC0415 - see above

    with patched(kdns_resolver):
        yield
