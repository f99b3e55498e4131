"""Public helpers for tests: a Kubernetes API server in memory. Knows nothing of kdns's inside.

``pytest_plugin`` has the fixtures, which do know it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kdns.testing.apiserver import FakeApiServer

__all__ = ["FakeApiServer"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        # Every pytest with the plugin imports this package; an HTTP server is for those who ask.
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from kdns.testing.apiserver import FakeApiServer  # noqa: PLC0415 - see above

        return FakeApiServer
