"""The one vocabulary between every source and the store. Knows nothing but objects.

A source is a stream of these. ``Init`` opens a complete list of one kind, ``Apply`` within it
names its members, ``InitDone`` closes it: until then nobody sees any of it, and whatever the list
did not name is gone afterwards. Outside such a list, ``Apply`` and ``Delete`` are single changes.
"""

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from kdns.kube.objects import Key, Kind, Object


class Init(Struct, frozen=True, gc=False):
    """A complete list of this kind begins."""

    kind: Kind


class Apply(Struct, frozen=True, gc=False):
    """The object exists in this form."""

    object: Object
    triggered: str = ""
    """When the cause of a single change was, as an EndpointSlice says it (RFC 3339)."""


class Delete(Struct, frozen=True, gc=False):
    """The object is gone.

    With a ``uid`` only that incarnation is meant: a late Delete cannot remove an object that was
    created again under the same name.
    """

    kind: Kind
    key: Key
    uid: str = ""
    version: int = 0


class InitDone(Struct, frozen=True, gc=False):
    """The list of this kind is complete."""

    kind: Kind


Change: TypeAlias = Init | Apply | Delete | InitDone
Sink: TypeAlias = Callable[[Change], None]
"""Where a source sends its changes. It is called on the event loop's thread."""
