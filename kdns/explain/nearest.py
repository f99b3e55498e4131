"""The names that exist near one that does not. Pure.

Likeness is that of ``difflib``, as in the errors of a Corefile.
"""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from heapq import nsmallest

from kdns.explain.origins import View
from kdns.explain.report import Near, Reading
from kdns.kube.objects import Service

MOST = 3
"""Names of one sort."""


def nearest(view: View, reading: Reading) -> tuple[Near, ...]:
    """Return names that somebody may have meant, the likeliest first."""
    if reading.kind in {"none", "apex", "reverse"} or not reading.namespace:
        return ()
    return tuple(dict.fromkeys(_found(view, reading)))


def _found(view: View, reading: Reading) -> Iterator[Near]:
    if reading.namespace not in view.store.namespaces:
        yield from _other_namespaces(view, reading)
        return
    service = view.service(reading)
    if service is not None:
        yield from _below(view, reading, service)
    elif reading.service:
        yield from _other_services(view, reading)


def _other_namespaces(view: View, reading: Reading) -> Iterator[Near]:
    for namespace in _like(reading.namespace, view.store.namespaces):
        if not reading.service:
            yield Near(f"{namespace}.svc.{reading.zone}", "a namespace with a similar name")
        elif view.store.service(namespace, reading.service) is not None:
            yield _near(reading, reading.service, namespace, "in a namespace with a similar name")
    yield from _namesakes(view, reading)


def _other_services(view: View, reading: Reading) -> Iterator[Near]:
    here = (one.name for one in _services(view) if one.namespace == reading.namespace)
    for name in _like(reading.service, here):
        yield _near(reading, name, reading.namespace, "a service with a similar name")
    yield from _namesakes(view, reading)


def _namesakes(view: View, reading: Reading) -> Iterator[Near]:
    """Yield the Services of that name in other namespaces."""
    others = (
        one.namespace
        for one in _services(view)
        if one.name == reading.service and one.namespace != reading.namespace
    )
    for namespace in nsmallest(MOST, others):
        yield _near(reading, reading.service, namespace, "the same service in another namespace")


def _below(view: View, reading: Reading, service: Service) -> Iterator[Near]:
    """Yield ports or endpoints of a Service that exists."""
    name = f"{service.name}.{service.namespace}.svc.{reading.zone}"
    if reading.kind == "port":
        sets = [item.ports for item in view.store.slices(service)]
        ports = {port for one in sets for port in one} if service.headless else service.ports
        known = sorted({f"_{port.name}._{port.protocol}" for port in ports if port.name})
        for one in _like(f"_{reading.port}._{reading.protocol}", known) or known[:MOST]:
            yield Near(f"{one}.{name}", "a port of the service")
    if reading.kind == "endpoint":
        ready = (place.name for place in view.places(service) if place.endpoint.ready)
        for one in _like(reading.endpoint, ready):
            yield Near(f"{one}.{name}", "a ready endpoint with a similar name")


def _services(view: View) -> Iterator[Service]:
    found = view.store.objects(("Service",))
    hidden = view.settings.namespaces
    for one in found:
        if isinstance(one, Service) and (not hidden or one.namespace in hidden):
            yield one


def _like(word: str, known: Iterable[str]) -> list[str]:
    return get_close_matches(word, sorted(set(known) - {word}), n=MOST)


def _near(reading: Reading, service: str, namespace: str, why: str) -> Near:
    return Near(f"{service}.{namespace}.svc.{reading.zone}", why)
