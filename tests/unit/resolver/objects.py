"""Manifests for tests of the library: a shop and what is around it."""

from typing import Any

Json = dict[str, Any]


def service(name: str, address: str = "", namespace: str = "shop", **spec: object) -> Json:
    """A Service at a ClusterIP, with the port http."""
    ports = [{"name": "http", "port": 80}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**({"clusterIP": address} if address else {}), "ports": ports, **spec},
    }


def pod(name: str, address: str = "", namespace: str = "shop", **spec: object) -> Json:
    """A Pod that runs."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": spec,
        "status": {"podIP": address} if address else {},
    }


def alias(name: str, target: str, namespace: str = "shop") -> Json:
    return service(name, namespace=namespace, type="ExternalName", externalName=target)


def headless(name: str, namespace: str = "shop", **selector: str) -> Json:
    return service(name, "None", namespace, selector=selector)


def slice_of(service_name: str, *addresses: str, namespace: str = "shop") -> Json:
    """An EndpointSlice of a Service, with the port http."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service_name}-1",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service_name},
        },
        "addressType": "IPv6" if any(":" in one for one in addresses) else "IPv4",
        "ports": [{"name": "http", "port": 80}],
        "endpoints": [{"addresses": [one]} for one in addresses],
    }


SHOP: tuple[Json, ...] = (
    service("web", "10.0.0.1"),
    service("six", "fd00::1"),
    service("dual", clusterIPs=["10.0.0.2", "fd00::2"], clusterIP="10.0.0.2"),
    headless("db"),
    slice_of("db", "10.1.0.1", "10.1.0.2"),
    alias("bank", "vault.bank.svc.cluster.local"),
    alias("mail", "mail.example.org"),
    service("vault", "10.0.0.9", "bank"),
    {
        **service("kube-dns", "10.96.0.10", "kube-system"),
        "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 53, "protocol": "UDP"}]},
    },
)
