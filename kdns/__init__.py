"""A cluster DNS server for Kubernetes, and a resolver library.

These are the public names, and nothing else; docs/library.md has the page. Whatever is imported
from a module below may change with any version, except ``kdns.adapters`` and ``kdns.testing``.
"""

from typing import TYPE_CHECKING

from kdns import version

if TYPE_CHECKING:
    from kdns.errors import (
        CorefileError,
        KdnsError,
        ManifestError,
        UpstreamError,
        UsageError,
    )
    from kdns.resolver.blocking import Cluster, Resolver
    from kdns.resolver.cluster import AsyncCluster
    from kdns.resolver.listening import Serving
    from kdns.resolver.resolver import AsyncResolver
    from kdns.resolver.results import Record, Result, Tried
    from kdns.resolver.serving import serving, serving_corefile
    from kdns.stub.resolvconf import ResolvConf
    from kdns.zone.settings import Settings

__version__ = version.VERSION

__all__ = [
    "AsyncCluster",
    "AsyncResolver",
    "Cluster",
    "CorefileError",
    "KdnsError",
    "ManifestError",
    "Record",
    "ResolvConf",
    "Resolver",
    "Result",
    "Serving",
    "Settings",
    "Tried",
    "UpstreamError",
    "UsageError",
    "__version__",
    "serving",
    "serving_corefile",
]

# The server's command line and every pytest with the plugin import this module: what they do not
# use, they do not pay for.
_HOMES = {
    "AsyncCluster": "kdns.resolver.cluster",
    "AsyncResolver": "kdns.resolver.resolver",
    "Cluster": "kdns.resolver.blocking",
    "CorefileError": "kdns.errors",
    "KdnsError": "kdns.errors",
    "ManifestError": "kdns.errors",
    "Record": "kdns.resolver.results",
    "ResolvConf": "kdns.stub.resolvconf",
    "Resolver": "kdns.resolver.blocking",
    "Result": "kdns.resolver.results",
    "Serving": "kdns.resolver.listening",
    "Settings": "kdns.zone.settings",
    "Tried": "kdns.resolver.results",
    "UpstreamError": "kdns.errors",
    "UsageError": "kdns.errors",
    "serving": "kdns.resolver.serving",
    "serving_corefile": "kdns.resolver.serving",
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 - see above

        globals()[name] = found = getattr(import_module(home), name)
        return found

    def __dir__() -> list[str]:
        return [*__all__]
