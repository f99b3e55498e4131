"""Sockets, and the finished answers in front of the chain. Knows no zones and no Kubernetes.

A datagram goes ``udp`` (or ``tcp``) -> ``table`` -> out, when its answer is prepared; otherwise
``udp`` -> ``responder`` -> chain -> ``table`` -> out.
"""
