"""What a stub resolver does before it asks: resolv.conf, and the names that stand for a short one.

Pure: knows no sockets, no messages and no Kubernetes but a Pod's own words about its resolv.conf.
"""
