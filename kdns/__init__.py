"""A cluster DNS server for Kubernetes, and a resolver library."""
