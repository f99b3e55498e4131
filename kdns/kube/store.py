"""The store: the fold of a stream of changes, indexed the way DNS asks. Knows no DNS names.

One writer, many readers on the same thread. ``apply`` returns the *owners* that a change touched:
whoever prepared something from them must prepare it again. A list between ``Init`` and
``InitDone`` is collected aside and swapped in at once, and touches only what differs.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from itertools import chain
from typing import Any, TypeVar

from kdns.kube.changes import Apply, Change, Delete, Init, InitDone
from kdns.kube.index import AddressIndex
from kdns.kube.objects import EndpointSlice, Key, Kind, Namespace, Object, Pod, Service
from kdns.kube.owners import (
    ADDRESSES,
    EVERYTHING,
    NAMESPACES,
    SYNC,
    Owner,
    address_key,
    address_owner,
    namespace_owner,
    pod_owner,
    service_owner,
)

T = TypeVar("T")

MAX_DERIVED = 1000
"""Owners of which something derived is kept; the oldest goes first."""
KINDS: tuple[Kind, ...] = ("Namespace", "Service", "EndpointSlice", "Pod", "ServiceImport")


class Store:
    """Everything that kdns knows of a cluster."""

    def __init__(self) -> None:
        self.stale = ""
        """Why what is here may be out of date, in words; empty when it is not."""
        self.unlisted: frozenset[tuple[Kind, str]] = frozenset()
        """Kinds that could not be listed in some namespace, though they were in others."""
        self.namespaces: dict[str, Namespace] = {}
        self.serial = 0
        """Highest resourceVersion seen, so that servers that saw the same objects agree."""
        self._listed: set[Kind] = set()
        self._objects: dict[Kind, dict[Key, Object]] = {kind: {} for kind in KINDS}
        self._incoming: dict[Kind, dict[Key, Object]] = {}
        self._slices: dict[Owner, dict[str, EndpointSlice]] = {}
        self._by_cluster_ip = AddressIndex()
        self._by_endpoint = AddressIndex()
        self._by_pod = AddressIndex()
        self._sorted_addresses: list[str] | None = None
        self._derived: dict[Owner, dict[Hashable, Any]] = {}

    # -- reading ------------------------------------------------------------------------------

    def lists(self, kinds: Collection[Kind], namespace: str = "") -> bool:
        """Whether each of these kinds was listed once, in the namespace or, without one, in all."""
        if not self._listed.issuperset(kinds):
            return False
        return not any(
            kind in kinds and (not namespace or where == namespace) for kind, where in self.unlisted
        )

    def service(self, namespace: str, name: str, *, imported: bool = False) -> Service | None:
        """Return the Service (or ServiceImport) of that name."""
        kind: Kind = "ServiceImport" if imported else "Service"
        found = self._objects[kind].get((namespace, name))
        return found if isinstance(found, Service) else None

    def slices(self, service: Service) -> list[EndpointSlice]:
        """Return the slices of a Service in the order of their names."""
        owner = service_owner(service.namespace, service.name, imported=service.imported)
        found = self._slices.get(owner)
        return [found[name] for name in sorted(found)] if found else []

    def services_at(self, address: str) -> list[Service]:
        """Return the Services whose ClusterIP this is, sorted; takes an ``address_key``."""
        keys = self._by_cluster_ip.get(address)
        return [found for key in keys if (found := self.service(*key)) is not None]

    def slices_at(self, address: str) -> list[EndpointSlice]:
        """Return the slices with an endpoint at this address, sorted; takes an ``address_key``."""
        live = self._objects["EndpointSlice"]
        found = [live.get(key) for key in self._by_endpoint.get(address)]
        return [item for item in found if isinstance(item, EndpointSlice)]

    def pod(self, namespace: str, name: str) -> Pod | None:
        """Return the running Pod of that name."""
        return _pod(self._objects["Pod"].get((namespace, name)))

    def pods_at(self, address: str, namespace: str = "") -> list[Pod]:
        """Return the running pods at an address, sorted; takes an ``address_key``.

        Those of one namespace, or of all: pods of the host's network share its address.
        """
        live = self._objects["Pod"]
        keys = self._by_pod.get(address)
        found = [live.get(key) for key in keys if not namespace or key[0] == namespace]
        return [item for item in found if isinstance(item, Pod)]

    def addresses_under(self, prefix: str) -> Iterator[str]:
        """Yield the addresses of Services and endpoints that start with a prefix.

        They are sorted on the first question: only names between a reverse zone and an address
        ask this.
        """
        if self._sorted_addresses is None:
            known = self._by_cluster_ip.addresses() | self._by_endpoint.addresses()
            self._sorted_addresses = sorted(known)
        everything = self._sorted_addresses
        for index in range(bisect_left(everything, prefix), len(everything)):
            if not everything[index].startswith(prefix):
                return
            yield everything[index]

    def objects(self, kinds: Iterable[Kind]) -> Iterator[Object]:
        """Yield every object of these kinds."""
        return chain.from_iterable(self._objects[kind].values() for kind in kinds)

    def replay(self) -> Iterator[Change]:
        """Yield changes that bring an empty store to where this one is, lists in progress too."""
        for kind, live in self._objects.items():
            if kind in self._listed:
                yield Init(kind)
            yield from map(Apply, live.values())
            if kind in self._listed:
                yield InitDone(kind)
        for kind, incoming in self._incoming.items():
            yield Init(kind)
            yield from map(Apply, incoming.values())

    def derived(self, owner: Owner, form: Hashable, make: Callable[[], T]) -> T:
        """Return what a reader makes of an owner's objects, made once until they change.

        ``form`` tells apart what different readers make of the same owner.
        """
        forms = self._derived.get(owner)
        if forms is None:
            while len(self._derived) >= MAX_DERIVED:
                del self._derived[next(iter(self._derived))]
            forms = self._derived[owner] = {}
        if form not in forms:
            forms[form] = make()
        made: T = forms[form]
        return made

    # -- writing ------------------------------------------------------------------------------

    def apply(self, change: Change) -> set[Owner]:
        """Take in one change and return the owners that it touched."""
        touched = self._apply(change)
        if EVERYTHING in touched:
            self._derived.clear()
        for owner in touched:
            self._derived.pop(owner, None)
        return touched

    def _apply(self, change: Change) -> set[Owner]:
        match change:
            case Init(kind):
                self._incoming[kind] = {}
                return set()
            case Apply(item) if item.KIND in self._incoming:
                self._incoming[item.KIND][item.key] = self._known(item)
                return set()
            case Delete(kind) if kind in self._incoming:
                if _is_meant(self._incoming[kind].get(change.key), change):
                    del self._incoming[kind][change.key]
                return set()
            case Apply(item):
                return self._put(item)
            case Delete():
                return self._delete(change)
            case InitDone(kind):
                return self._swap(kind)

    def _known(self, item: Object) -> Object:
        """Return the live object where it is the same one, so that a list costs no memory."""
        live = self._objects[item.KIND].get(item.key)
        if live is not None and item.version and live.uid == item.uid:
            return live if live.version == item.version else item
        return item

    def _swap(self, kind: Kind) -> set[Owner]:
        """Make a collected list the truth; readers run between calls and see all or nothing."""
        incoming = self._incoming.pop(kind, {})
        live = self._objects[kind]
        self._sorted_addresses = None  # sorting once is less than inserting many times
        first = kind not in self._listed
        self._listed.add(kind)
        if not live:
            self._load(kind, incoming)
            return {EVERYTHING}
        touched: set[Owner] = {SYNC} if first else set()
        for key in live.keys() - incoming.keys():
            touched |= self._delete(Delete(kind, key))
        for key, item in incoming.items():
            if live.get(key) is not item:
                touched |= self._put(item)
        return touched

    def _load(self, kind: Kind, incoming: dict[Key, Object]) -> None:
        """Take in the first objects of a kind.

        10,000 slices at once: telling their owners apart would take three times as long, and
        nothing that was prepared before is worth keeping.
        """
        self._objects[kind] = incoming
        self.serial = max((self.serial, *(item.version for item in incoming.values())))
        for key, item in incoming.items():
            match item:
                case Namespace(name=name):
                    self.namespaces[name] = item
                case Service():
                    for address in () if item.imported else _cluster_ips(item):
                        self._by_cluster_ip.add(address, key)
                case EndpointSlice():
                    self._slices.setdefault(_slice_owner(item), {})[item.name] = item
                    for address in _addresses(item):
                        self._by_endpoint.add(address, key)
                case Pod():
                    for address in _pod_addresses(item):
                        self._by_pod.add(address, key)

    def _put(self, item: Object) -> set[Owner]:
        self.serial = max(self.serial, item.version)
        live = self._objects[item.KIND]
        before = live.get(item.key)
        if before == item:
            return set()
        live[item.key] = item
        return self._reindex(before, item)

    def _delete(self, change: Delete) -> set[Owner]:
        live = self._objects[change.kind]
        before = live.get(change.key)
        if before is None or not _is_meant(before, change):
            return set()
        self.serial = max(self.serial, change.version)
        del live[change.key]
        return self._reindex(before, None)

    def _reindex(self, before: Object | None, after: Object | None) -> set[Owner]:
        """Bring the indices from one form of an object to the next."""
        match after or before:
            case Namespace() as namespace:
                return self._reindex_namespace(namespace, exists=after is not None)
            case Service():
                return self._reindex_service(_service(before), _service(after))
            case EndpointSlice():
                return self._reindex_slice(_slice(before), _slice(after))
            case Pod():
                return self._reindex_pod(_pod(before), _pod(after))
            case None:
                return set()

    def _reindex_namespace(self, namespace: Namespace, *, exists: bool) -> set[Owner]:
        name = namespace.name
        if exists == (name in self.namespaces):
            return set()
        if exists:
            self.namespaces[name] = namespace
        else:
            del self.namespaces[name]
        return {namespace_owner(name), NAMESPACES}

    def _reindex_service(self, before: Service | None, after: Service | None) -> set[Owner]:
        if _visible(before) == _visible(after):
            return set()
        one = after or before
        touched: set[Owner] = set()
        if one is not None:
            touched.add(service_owner(one.namespace, one.name, imported=one.imported))
            if not one.imported:
                ips = (_cluster_ips(before), _cluster_ips(after))
                touched |= self._move(self._by_cluster_ip, one.key, *ips)
        return touched

    def _reindex_slice(
        self, before: EndpointSlice | None, after: EndpointSlice | None
    ) -> set[Owner]:
        if _seen(before) == _seen(after):
            # Only the version moved; the index of slices must still hold the newest.
            if after is not None:
                self._slices[_slice_owner(after)][after.name] = after
            return set()
        touched: set[Owner] = set()
        if before is not None:
            touched.add(_slice_owner(before))
            self._drop_slice(before)
        if after is not None:
            touched.add(_slice_owner(after))
            self._slices.setdefault(_slice_owner(after), {})[after.name] = after
        one = after or before
        if one is not None:
            touched |= self._move(self._by_endpoint, one.key, _addresses(before), _addresses(after))
        # A hostname or readiness that changed changes the PTR of an address that stayed, and
        # whether there is a name above it.
        changed = _changed_addresses(before, after)
        if changed:
            touched.add(ADDRESSES)
            touched.update(map(address_owner, changed))
        return touched

    def _drop_slice(self, item: EndpointSlice) -> None:
        owner = _slice_owner(item)
        del self._slices[owner][item.name]
        if not self._slices[owner]:
            del self._slices[owner]

    def _reindex_pod(self, before: Pod | None, after: Pod | None) -> set[Owner]:
        old, new = _pod_addresses(before), _pod_addresses(after)
        one = after or before
        if one is None:
            return set()
        for address in old - new:
            self._by_pod.remove(address, one.key)
        for address in new - old:
            self._by_pod.add(address, one.key)
        return {pod_owner(one.namespace, address) for address in old ^ new}

    def _move(self, index: "AddressIndex", key: Key, old: set[str], new: set[str]) -> set[Owner]:
        """Replace the addresses of an object in an index."""
        if old == new:
            return set()
        for address in old - new:
            index.remove(address, key)
        for address in new - old:
            index.add(address, key)
        self._resort(old ^ new)
        return {address_owner(address) for address in old ^ new} | {ADDRESSES}

    def _resort(self, addresses: set[str]) -> None:
        """Keep the sorted addresses right, if anybody asked for them yet."""
        if self._sorted_addresses is None:
            return
        for address in addresses:
            known = self._by_cluster_ip.has(address) or self._by_endpoint.has(address)
            at = bisect_left(self._sorted_addresses, address)
            there = self._sorted_addresses[at : at + 1] == [address]
            if known and not there:
                self._sorted_addresses.insert(at, address)
            elif there and not known:
                del self._sorted_addresses[at]


def _is_meant(item: Object | None, change: Delete) -> bool:
    """Whether a Delete is of this incarnation of an object."""
    return item is not None and not (change.uid and item.uid and change.uid != item.uid)


def _service(item: Object | None) -> Service | None:
    return item if isinstance(item, Service) else None


def _slice(item: Object | None) -> EndpointSlice | None:
    return item if isinstance(item, EndpointSlice) else None


def _pod(item: Object | None) -> Pod | None:
    return item if isinstance(item, Pod) else None


def _visible(service: Service | None) -> tuple[object, ...] | None:
    """Everything of a Service that an answer can show."""
    if service is None:
        return None
    return service.cluster_ips, service.headless, service.external_name, service.ports


def _seen(item: EndpointSlice | None) -> tuple[object, ...] | None:
    """Everything of a slice that an answer can show."""
    if item is None:
        return None
    return item.service, item.address_type, item.ports, item.endpoints, item.imported, item.cluster


def _slice_owner(item: EndpointSlice) -> Owner:
    return service_owner(item.namespace, item.service, imported=item.imported)


def _cluster_ips(service: Service | None) -> set[str]:
    return {address_key(ip) for ip in service.cluster_ips} if service else set()


def _addresses(item: EndpointSlice | None) -> set[str]:
    if item is None or item.imported:
        return set()
    return {address_key(text) for endpoint in item.endpoints for text in endpoint.addresses}


def _changed_addresses(before: EndpointSlice | None, after: EndpointSlice | None) -> set[str]:
    """Addresses of the endpoints that are not in both, or all where the Service changed."""
    if before is None or after is None or _slice_owner(before) != _slice_owner(after):
        return _addresses(before) | _addresses(after)
    changed = set(before.endpoints) ^ set(after.endpoints)
    return {address_key(text) for endpoint in changed for text in endpoint.addresses}


def _pod_addresses(pod: Pod | None) -> set[str]:
    return {address_key(ip) for ip in pod.ips} if pod else set()
