"""Which objects have an address. Knows no DNS and no changes."""

from kdns.kube.objects import Key


class AddressIndex:
    """Address to the keys of the objects that have it.

    Nearly every address has one object, and there may be 200,000 of them: a lone key is stored
    bare, which saves the 200 octets of a set.
    """

    def __init__(self) -> None:
        self._keys: dict[str, Key | frozenset[Key]] = {}

    def get(self, address: str) -> list[Key]:
        """Return the keys in order."""
        found = self._keys.get(address)
        if found is None:
            return []
        return sorted(found) if isinstance(found, frozenset) else [found]

    def addresses(self) -> set[str]:
        """Return every address."""
        return set(self._keys)

    def has(self, address: str) -> bool:
        """Whether any object has the address."""
        return address in self._keys

    def add(self, address: str, key: Key) -> None:
        """Note that the object has the address."""
        if self._keys.setdefault(address, key) != key:
            self._keys[address] = self._at(address) | {key}

    def remove(self, address: str, key: Key) -> None:
        """Note that the object has it no longer."""
        keys = self._at(address) - {key}
        if not keys:
            self._keys.pop(address, None)
        else:
            self._keys[address] = next(iter(keys)) if len(keys) == 1 else keys

    def _at(self, address: str) -> frozenset[Key]:
        found = self._keys.get(address, frozenset[Key]())
        return found if isinstance(found, frozenset) else frozenset((found,))
