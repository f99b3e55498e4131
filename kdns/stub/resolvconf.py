"""resolv.conf(5) as the C library reads it. Text in, a value out."""

import re
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from kdns.errors import UsageError

MAX_NDOTS = 15
NO_TLD_QUERY = "no-tld-query"
_NUMBER = re.compile(r"\d+", re.ASCII)


class ResolvConf(Struct, frozen=True):
    """What a resolv.conf says."""

    search: tuple[str, ...] = ()
    """Domains that complete a name, in the order in which they are tried."""
    ndots: int = 1
    """So many dots in a name let it be tried as it is before it is completed."""
    nameservers: tuple[str, ...] = ()
    """IP addresses of who is asked."""
    options: tuple[str, ...] = ()
    """All options but ndots, as they are written."""

    @classmethod
    def parse(cls, text: str) -> "ResolvConf":
        """Read the text of the file; what the C library passes over is passed over."""
        found = cls()
        for line in text.split("\n"):
            # A keyword begins its line: one with a blank before it is none to glibc.
            keyword, *values = re.split(r"[ \t]+", line.rstrip(" \t"))
            found = _taken(found, keyword, values)
        return found

    @classmethod
    def read(cls, path: str | Path = "/etc/resolv.conf") -> "ResolvConf":
        """Read the file, or raise UsageError."""
        try:
            return cls.parse(Path(path).read_text(errors="replace"))
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None

    def __str__(self) -> str:
        """Write it as the file would have it."""
        options = (f"ndots:{self.ndots}", *self.options)
        lines = [f"nameserver {address}" for address in self.nameservers]
        if self.search:
            lines.append(f"search {' '.join(self.search)}")
        return "\n".join([*lines, f"options {' '.join(options)}", ""])


def _taken(conf: ResolvConf, keyword: str, values: list[str]) -> ResolvConf:
    """Return what is said after one more line."""
    match keyword, values:
        case "nameserver", [address, *_]:
            return replace(conf, nameservers=(*conf.nameservers, address))
        # Of several lines the last one counts; ``domain`` is a list of one.
        case "search", [_, *_]:
            return replace(conf, search=tuple(values))
        case "domain", [domain, *_]:
            return replace(conf, search=(domain,))
        case "options", _:
            return with_options(conf, values)
        case _:
            return conf


def with_options(conf: ResolvConf, options: list[str]) -> ResolvConf:
    """Return what is said after more options; of two that say different things the last counts."""
    ndots, others = conf.ndots, list(conf.options)
    for option in options:
        name, colon, value = option.partition(":")
        if name == "ndots" and colon:
            number = _NUMBER.match(value)
            ndots = min(int(number[0]), MAX_NDOTS) if number else 0
            continue
        others = [one for one in others if one.partition(":")[0] != name]
        others.append(option)
    return replace(conf, ndots=ndots, options=tuple(others))
