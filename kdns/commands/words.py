"""How arguments of the command line are read; argparse shows the errors."""

import argparse
from ipaddress import ip_address

MAX_PORT = 65_535


def domains(text: str) -> tuple[str, ...]:
    """Read a search list, or off."""
    found = words(text)
    return () if found == ("off",) else found


def words(text: str) -> tuple[str, ...]:
    """Read a list, separated by spaces or commas."""
    found = tuple(text.replace(",", " ").split())
    if not found:
        raise argparse.ArgumentTypeError("expected a list, separated by spaces or commas")
    return found


def place(text: str) -> tuple[str, int]:
    """Read an address and a port; an IPv6 address stands in brackets."""
    host, _, port = text.rpartition(":")
    try:
        return str(ip_address(host.removeprefix("[").removesuffix("]"))), PORT(port)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected ADDR:PORT, not {text!r}") from None


class Number:
    """An integer within bounds, for argparse."""

    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def __call__(self, text: str) -> int:
        """Read the number, or tell argparse what was expected."""
        if not text.isascii() or not text.isdecimal() or not self._low <= int(text) <= self._high:
            raise argparse.ArgumentTypeError(f"expected {self._low} to {self._high}, not {text!r}")
        return int(text)


PORT = Number(0, MAX_PORT)
