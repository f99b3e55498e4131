"""Names as the API server and its controllers make them. Knows nothing but text.

Where a cluster draws random letters, these come from a hash of what the name is for: the same
manifests give the same names on every run.
"""

import re
from hashlib import blake2b

LABEL_1035 = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
LABEL_1123 = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
# The API bounds a name as a whole, but not its parts: a pod's name of 100 letters is one.
_PART = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
SUBDOMAIN_1123 = re.compile(rf"(?=.{{1,253}}$){_PART}(?:\.{_PART})*")
DOMAIN_1123 = re.compile(rf"(?=.{{1,253}}$){LABEL_1123.pattern}(?:\.{LABEL_1123.pattern})*")
"""A name whose parts fit DNS, too."""
LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
PORT_NAME = re.compile(rf"(?=.{{1,15}}$)(?=.*[a-z])(?!.*--){_PART}")
"""IANA_SVC_NAME, as targetPort and the ports of containers have it."""

# Without vowels and look-alikes: no generated name spells a word.
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
# A generated name fits a label: its base gives way to the five letters.
_LONGEST_BASE = 58


def stable_number(seed: str) -> int:
    """Return 64 bits that depend on nothing but the seed, on any machine and in any run."""
    return int.from_bytes(blake2b(seed.encode(), digest_size=8).digest(), "big")


def letters(seed: str, count: int) -> str:
    """Return that many letters of the alphabet of generated names."""
    number, text = stable_number(seed), ""
    while len(text) < count:
        number, digit = divmod(number, len(_ALPHABET))
        text += _ALPHABET[digit]
    return text


def generated(base: str, seed: str, taken: set[str]) -> str:
    """Complete a ``generateName`` to a name that is not taken, and take it."""
    base, attempt = base[:_LONGEST_BASE], 0
    name = base + letters(seed, 5)
    while name in taken:
        attempt += 1
        name = base + letters(f"{seed} {attempt}", 5)
    taken.add(name)
    return name
