"""Octets that nobody can guess, taken from the kernel many at a time: each call costs 1 us."""

import os

_SUPPLY = 1024
_WORD = 4


class Chance:
    """A supply of octets, none of which is handed out twice."""

    def __init__(self) -> None:
        self._supply = b""
        self._at = 0

    def octets(self, count: int) -> bytes:
        """Return so many octets."""
        at = self._at
        if at + count > len(self._supply):
            self._supply, at = os.urandom(_SUPPLY), 0
        self._at = at + count
        return self._supply[at : at + count]

    def below(self, limit: int) -> int:
        """Return a number from 0 on, below a small limit: the bias is one part in 2**32 / limit."""
        return int.from_bytes(self.octets(_WORD)) % limit
