"""Resolvers of dnspython that ask kdns in the same process. Needs dnspython 2.6 or later.

They are dnspython's own, with its results, its exceptions and its search list: only the name
server behind them is kdns. So a name with NODATA ends a search, which it does not in the C
library, and names outside the cluster are refused unless kdns has an upstream.
"""

import dns.asyncresolver
import dns.message
import dns.name
import dns.nameserver
import dns.resolver

from kdns.resolver.blocking import Cluster
from kdns.resolver.cluster import AsyncCluster
from kdns.stub.resolvconf import ResolvConf


class ClusterNameserver(dns.nameserver.Nameserver):
    """A cluster as a name server."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def __str__(self) -> str:
        return f"kdns for {self._cluster.zone}"
