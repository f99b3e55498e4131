"""What a watcher and the API server say to each other, as values. Knows no encoding, no sockets."""

from http import HTTPStatus
from typing import TypeAlias

from msgspec import Struct

from kdns.kube.changes import Delete
from kdns.kube.objects import Object

# -- replies: what the server, or the lack of one, has to say ---------------------------------


class Opened(Struct, frozen=True, gc=False):
    """A watch was accepted; its events follow."""


class Page(Struct, frozen=True, gc=False):
    """One page of a list, or all of it."""

    objects: tuple[Object, ...]
    version: str
    token: str = ""
    """``continue``; empty on the last page."""
    count: int = 0
    """Objects on the page, with those that were left out."""
    problems: tuple[str, ...] = ()
    """One text for each object that could not be decoded."""


class Seen(Struct, frozen=True, gc=False):
    """ADDED or MODIFIED: the object exists in this form."""

    object: Object
    version: str
    added: bool = False
    triggered: str = ""
    """When the cause of the change was, if an EndpointSlice says so."""


class Lost(Struct, frozen=True, gc=False):
    """DELETED, or MODIFIED into something that is as good as deleted."""

    change: Delete
    version: str
    final: bool = True


class Skipped(Struct, frozen=True, gc=False):
    """An event that changes nothing here: undecodable, of unknown type, or of no interest."""

    version: str = ""
    added: bool = False
    problem: str = ""


class Bookmark(Struct, frozen=True, gc=False):
    """Everything up to this version was sent."""

    version: str
    complete: bool = False
    """The initial events end here (annotation ``k8s.io/initial-events-end``)."""


class Refused(Struct, frozen=True, gc=False):
    """A Status: the HTTP status of a reply, or an ERROR event in a stream."""

    code: int
    reason: str = ""
    text: str = ""
    causes: tuple[str, ...] = ()
    retry_after: float = 0.0
    streamed: bool = False

    @property
    def expired(self) -> bool:
        """Whether the version or the continue token is older than what the server keeps."""
        return self.code == HTTPStatus.GONE or self.reason in {"Expired", "Gone"}

    @property
    def too_new(self) -> bool:
        """Whether the version is newer than the server's own: it was restored, or lags behind."""
        if self.code != HTTPStatus.GATEWAY_TIMEOUT:
            return False
        # The cause is missing before Kubernetes 1.19.
        told = "ResourceVersionTooLarge" in self.causes
        return told or "Too large resource version" in self.text


class Ended(Struct, frozen=True, gc=False):
    """The stream came to its regular end."""


class Silent(Struct, frozen=True, gc=False):
    """Nothing came for as long as a reader waits."""


class Broken(Struct, frozen=True, gc=False):
    """The transport failed: refused, reset, TLS, cut in the middle of a line."""

    text: str
    unreachable: bool = False
    """There was not even a connection."""


Trouble: TypeAlias = Refused | Ended | Silent | Broken
Reply: TypeAlias = Opened | Page | Seen | Lost | Skipped | Bookmark | Trouble


# -- requests ---------------------------------------------------------------------------------


class Watch(Struct, frozen=True, gc=False):
    """Watch from a version; with ``initial`` the objects that exist come first."""

    version: str
    seconds: int
    initial: bool = False


class List(Struct, frozen=True, gc=False):
    """Ask for one page; a ``limit`` of 0 asks for everything in one."""

    limit: int
    token: str = ""


Request: TypeAlias = Watch | List
