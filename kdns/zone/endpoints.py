"""The endpoints of a Service as DNS sees them: who is ready, and under which name.

Kubernetes DNS specification 1.1.0 sections 2.1 (hostname, ready) and 2.4. Pure.
"""

from collections.abc import Iterator

from msgspec import Struct

from kdns.kube.objects import Endpoint, EndpointSlice, Port, Service
from kdns.kube.owners import service_owner
from kdns.kube.store import Store
from kdns.wire import names
from kdns.wire.names import MAX_LABEL, Name
from kdns.wire.records import pack_address
from kdns.zone.settings import Settings


class Backend(Struct, frozen=True, gc=False):
    """One ready address of a Service."""

    name: str
    """Its label below the Service's name; several, with dots, as CoreDNS names some pods."""
    address: bytes
    """Four or sixteen octets."""
    ports: tuple[Port, ...]
    zone: str
    cluster: str


class Backends(Struct, frozen=True, gc=False):
    """The ready addresses of a Service, in the order of slices and endpoints."""

    all: tuple[Backend, ...] = ()
    by_name: dict[str, list[Backend]] = {}


def ready_backends(store: Store, settings: Settings, service: Service) -> Backends:
    """Return the ready addresses. They are derived once: a Service may have thousands."""
    if settings.noendpoints:
        return Backends()
    owner = service_owner(service.namespace, service.name, imported=service.imported)
    form = ("backends", settings.endpoint_pod_names, settings.compat)
    return store.derived(owner, form, lambda: _derive(store, settings, service))


def _derive(store: Store, settings: Settings, service: Service) -> Backends:
    found = tuple(
        backend
        for item in store.slices(service)
        # An FQDN slice has no addresses; naming them as aliases would break RFC 1034 3.6.2.
        if item.address_type != "FQDN"
        for backend in _backends(settings, item)
    )
    by_name: dict[str, list[Backend]] = {}
    for backend in found:
        by_name.setdefault(backend.name.lower(), []).append(backend)
    return Backends(found, by_name)


def _backends(settings: Settings, item: EndpointSlice) -> Iterator[Backend]:
    for endpoint in item.endpoints:
        if not endpoint.ready:
            continue
        for text in endpoint.addresses:
            packed = pack_address(text)
            if packed is not None:
                name = endpoint_name(settings, endpoint, text)
                yield Backend(name, packed, item.ports, endpoint.zone.lower(), item.cluster)


def census(store: Store, service: Service) -> str:
    """Count endpoints as people do: ``0/3``, ready and all."""
    endpoints = [endpoint for item in store.slices(service) for endpoint in item.endpoints]
    return f"{sum(endpoint.ready for endpoint in endpoints)}/{len(endpoints)}"


def unready_names(store: Store, settings: Settings, service: Service) -> set[str]:
    """Return the names that endpoints would have if they were ready."""
    owner = service_owner(service.namespace, service.name, imported=service.imported)
    form = ("unready", settings.endpoint_pod_names, settings.compat)
    return store.derived(owner, form, lambda: _unready(store, settings, service))


def _unready(store: Store, settings: Settings, service: Service) -> set[str]:
    return {
        endpoint_name(settings, endpoint, address).lower()
        for item in store.slices(service)
        for endpoint in item.endpoints
        if not endpoint.ready
        for address in endpoint.addresses
    }


def endpoint_name(settings: Settings, endpoint: Endpoint, address: str) -> str:
    """Name an endpoint: its hostname, its pod if that is wanted and one label, or its address.

    ``10.11.12.13`` is named ``10-11-12-13``, ``2001:db8::`` is named ``2001-db8--0``.
    """
    if _is_label(endpoint.hostname):
        return endpoint.hostname.lower()
    if settings.endpoint_pod_names and _is_pod_name(settings, endpoint.pod):
        return endpoint.pod
    dashed = address.replace(".", "-").replace(":", "-")
    dashed = dashed if settings.compat else dashed.lower()
    return dashed + "0" if dashed.endswith("-") else dashed


def prefix(name: str) -> Name:
    """Return what stands in front of the Service's name in the name of an endpoint."""
    return names.of(*name.split("."))


def _is_pod_name(settings: Settings, name: str) -> bool:
    # Q19: CoreDNS minds the length and no dots.
    return 0 < len(name) <= MAX_LABEL if settings.compat else _is_label(name)


def _is_label(name: str) -> bool:
    # A pod's name may have dots; as a name below the Service it would be several labels. And a
    # hostname may have been written by somebody whom no API server checked.
    return 0 < len(name) <= MAX_LABEL and name.isascii() and "." not in name
