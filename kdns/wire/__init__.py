"""Bytes to values and back: RFC 1035 messages. Knows no Kubernetes, no sockets, no clock."""
