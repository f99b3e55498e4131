"""Manifests as a source: what is written, and what a cluster would have added. Knows no DNS."""

from kdns.kube.manifests.cluster import Cluster, Summary
from kdns.kube.manifests.source import ManifestSource, load

__all__ = ["Cluster", "ManifestSource", "Summary", "load"]
