"""Every exception of kdns, named by whose fault it is. Knows nothing else.

KdnsError
├── MalformedMessage   the client sent it: answered with an rcode or with silence, never logged
├── UsageError         the command line asked for something impossible
├── ManifestError      the operator wrote it: names file, line and what was expected
├── CorefileError      the operator wrote it: names file, line and what was expected
├── SnapshotError      a file of an earlier run: warned about, and done without
└── UpstreamError      an upstream resolver failed: the client gets SERVFAIL and the reason
"""


class KdnsError(Exception):
    """Base of everything that kdns raises on purpose."""


class MalformedMessage(KdnsError):
    """A message that cannot be answered as a query.

    ``rcode`` is what RFC 1035 section 4.1.1 or RFC 6891 section 6.1.3 wants in the reply;
    ``None`` means silence: the bytes were no query at all (too short, or a response).
    """

    def __init__(self, text: str, rcode: int | None) -> None:
        super().__init__(text)
        self.rcode = rcode


class UsageError(KdnsError):
    """A command line or a library call that cannot be carried out, in words for its author."""


class _FileError(KdnsError):
    """A file that an operator wrote and that cannot be used.

    Its text reads ``file:line: what was found, what was expected``; ``line`` counts from 1, and
    is 0 for what has no lines: a file that cannot be read.
    """

    def __init__(self, path: str, line: int, text: str) -> None:
        super().__init__(f"{path}:{line}: {text}" if line else f"{path}: {text}")
        self.path = path
        self.line = line
        self.text = text


class ManifestError(_FileError):
    """A manifest that cannot be used."""


class CorefileError(_FileError):
    """A Corefile that cannot be used; the configuration before it stays."""


class SnapshotError(KdnsError):
    """A snapshot that cannot be used: damaged, too old, or of another version of kdns."""


class UpstreamError(KdnsError):
    """No upstream resolver gave a usable reply; the text says which and why."""
