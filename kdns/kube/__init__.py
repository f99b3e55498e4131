"""Kubernetes to values: objects, changes, the store and the sources. Knows no DNS."""
