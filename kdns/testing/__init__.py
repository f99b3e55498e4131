"""Public helpers for tests: a Kubernetes API server in memory. Knows nothing of kdns's inside."""

from kdns.testing.apiserver import FakeApiServer

__all__ = ["FakeApiServer"]
