"""What is known of how a collection is followed, for readiness, metrics and people.

A fold of the replies beside ``watch.step``. Knows no sockets, no clock and no DNS.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.kube.changes import Init, InitDone
from kdns.kube.exchange import (
    Bookmark,
    Broken,
    List,
    Lost,
    Opened,
    Page,
    Refused,
    Reply,
    Seen,
    Silent,
    Skipped,
    Watch,
)
from kdns.kube.objects import Kind
from kdns.kube.resources import Target
from kdns.kube.watch import Listing, State, Step, Watching

Phase: TypeAlias = Literal["syncing", "live", "stale", "assumed"]
"""``assumed``: the configured namespaces are taken to exist, since nobody may look."""

SHOWN = 3
"""Collections that are named one by one."""
EXPIRED = "the watch is too old to be resumed"
SILENT = "the API server is silent"


class Status(Struct, frozen=True, gc=False):
    """How one collection is doing."""

    kind: Kind
    resource: str
    """As RBAC writes it: ``endpointslices.discovery.k8s.io``."""
    namespace: str = ""
    """Empty for the whole cluster."""
    state: Phase = "syncing"
    since: float = 0.0
    """When the state began; while stale, the last time that the data was known to be current."""
    heard: float = 0.0
    """When the last event, bookmark or complete list came; 0 for never."""
    objects: int = 0
    """Objects that the server has, or has sent so far while syncing."""
    undecodable: int = 0
    relists: int = 0
    """Complete lists after the first one."""
    restarts: int = 0
    """Watches that had to be resumed, whatever ended them."""
    synced: bool = False
    """Whether there was a complete list. It is never false again."""
    forbidden: bool = False
    trouble: str = ""
    """What is wrong at present; empty when nothing is."""
    error: str = ""
    """The last error in full; it stays after it is over."""

    @property
    def known(self) -> bool:
        """Whether there is something to answer from."""
        return self.synced or self.state == "assumed"


def observe(status: Status, target: Target, before: State, reply: Reply, after: Step) -> Status:
    """Take in what a reply says about the following itself; ``seen_at`` puts the time to it."""
    status = _counted(status, before, reply, after)
    match reply:
        case Refused() if isinstance(after.request, List):
            return status  # it wants to be read in another way, which is no trouble
        case Refused() | Broken() | Silent():
            verb = "list" if isinstance(before, Listing) else "watch"
            return _troubled(status, target, verb, reply)
        case Opened() if isinstance(before, Watching):
            # 200 proves nothing after silence: a server restored from a backup accepts a watch
            # from its future, too.
            return status if status.trouble == SILENT else _live(status)
        case Seen() | Lost() | Skipped() | Bookmark() if isinstance(before, Watching):
            return _live(status)
        case _ if _completed(after):
            return _live(replace(status, synced=True))
        case _:
            return status


def seen_at(before: Status, status: Status, reply: Reply, now: float) -> Status:
    """Put the time of day to what a reply changed."""
    proof = status.state == "live" and not isinstance(reply, Opened)
    heard = now if proof else status.heard
    if status.state == before.state:
        return status if heard == status.heard else replace(status, heard=heard)
    since = status.heard if status.state == "stale" else now
    return replace(status, heard=heard, since=since)


def assumed(status: Status) -> Status:
    """Say that the configured namespaces are taken to exist."""
    return replace(status, state="assumed")


def progress(statuses: Iterable[Status], elapsed: float) -> str:
    """Return one line about the first sync: objects per resource, and the time it takes."""
    counts = (f"{_name(status)} {status.objects}{_mark(status)}" for status in statuses)
    return f"syncing {elapsed:.1f} s: {', '.join(counts)}"


def staleness(statuses: Iterable[Status]) -> str:
    """Say which collections may be out of date, since when and why; empty when none is."""
    stale = [status for status in statuses if status.state == "stale"]
    if not stale:
        return ""
    since = min(status.since for status in stale)
    first, *others = dict.fromkeys(status.trouble for status in stale if status.trouble)
    reason = f"{first} and {len(others)} more" if others else first
    names = list(dict.fromkeys(map(_name, stale)))
    shown = ", ".join(names) if len(names) <= SHOWN else f"{len(names)} collections"
    return f"stale since {moment(since)}: {reason} ({shown})"


def describe(status: Status, now: float) -> str:
    """Return one line for the readiness report."""
    name = _name(status)
    match status.state:
        case "live":
            age = max(0.0, now - status.heard)
            return f"{name}: live, {status.objects} objects, last news {age:.0f} s ago"
        case "stale":
            return f"{name}: stale since {moment(status.since)}: {status.trouble}"
        case "syncing":
            return f"{name}: syncing{': ' + status.trouble if status.trouble else ''}"
        case "assumed":
            return f"{name}: the configured ones are taken to exist: {status.trouble}"


def moment(seconds: float) -> str:
    """Write a time of day, UTC, to the second (RFC 3339)."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _mark(status: Status) -> str:
    return "" if status.known else f" ({status.trouble})" if status.trouble else "..."


def _name(status: Status) -> str:
    plural = status.resource.partition(".")[0]
    return f"{status.namespace}/{plural}" if status.namespace else plural


def _completed(step: Step) -> bool:
    return any(isinstance(change, InitDone) for change in step.changes)


def _live(status: Status) -> Status:
    if status.state == "live" and not status.trouble:
        return status
    return replace(status, state="live", trouble="", forbidden=False)


def _counted(status: Status, before: State, reply: Reply, after: Step) -> Status:
    status = _sized(status, reply, after)
    if _restarted(before, after):
        return replace(status, restarts=status.restarts + 1)
    if status.synced and _completed(after):
        return replace(status, relists=status.relists + 1)
    return status


def _sized(status: Status, reply: Reply, after: Step) -> Status:
    opens = bool(after.changes) and isinstance(after.changes[0], Init)
    objects, undecodable = 0 if opens else status.objects, status.undecodable
    match reply:
        case Seen(added=True):
            objects += 1
        case Lost(final=True):
            objects -= 1
        case Skipped(added=added, problem=problem):
            objects, undecodable = objects + added, undecodable + bool(problem)
        case Page(count=count, problems=problems):
            objects, undecodable = objects + count, undecodable + len(problems)
        case _:
            if not opens:
                return status
    return replace(status, objects=objects, undecodable=undecodable)


def _restarted(before: State, after: Step) -> bool:
    request = after.request
    resumed = isinstance(request, Watch) and not request.initial
    return resumed and isinstance(before, Watching)


def _troubled(
    status: Status, target: Target, verb: str, reply: Refused | Broken | Silent
) -> Status:
    trouble, error = _words(target, verb, reply)
    return replace(
        status,
        state="stale" if status.synced else status.state,
        forbidden=isinstance(reply, Refused) and reply.code == HTTPStatus.FORBIDDEN,
        trouble=trouble,
        error=error,
    )


def _words(target: Target, verb: str, reply: Refused | Broken | Silent) -> tuple[str, str]:
    """Return what is wrong, always in the same words, and all that is known about it."""
    match reply:
        case Silent():
            return SILENT, SILENT
        case Broken(text, unreachable):
            what = "the API server cannot be reached" if unreachable else "the connection broke"
            return what, text
        case Refused(code, reason, text):
            return _refusal(target, verb, reply), f"{code} {reason}: {text}"


def _refusal(target: Target, verb: str, reply: Refused) -> str:
    if reply.expired or reply.too_new:
        return EXPIRED
    match reply.code:
        case HTTPStatus.UNAUTHORIZED:
            return "the API server does not accept our token or certificate"
        case HTTPStatus.FORBIDDEN:
            missing = f"cannot {verb} {target.resource.name} {target.scope}"
            return f"{missing}: {_who(reply.text)} needs {_rule(target)}"
        case HTTPStatus.NOT_FOUND:
            return f"the API server has no {target.resource.name}"
        case HTTPStatus.TOO_MANY_REQUESTS:
            return "the API server has too much to do"
        case code:
            return f"the API server answers with status {code}"


def _who(text: str) -> str:
    """Return whom the API server's authorizer speaks of."""
    found = re.search(r'User "([^"]+)"', text)
    if found is None:
        return "our account"
    user = found[1]
    if account := re.fullmatch("system:serviceaccount:([^:]+):([^:]+)", user):
        return f"ServiceAccount {account[1]}/{account[2]}"
    return f"user {user}"


def _rule(target: Target) -> str:
    """Return the rule of RBAC that would do, as YAML, and where it belongs."""
    group, plural = target.resource.group or '""', target.resource.plural
    role = f"a Role in {target.namespace}" if target.namespace else "a ClusterRole"
    rule = f"apiGroups: [{group}], resources: [{plural}], verbs: [list, watch]"
    return f"{{{rule}}} in {role} bound to it"


def readiness(statuses: Iterable[Status], now: float) -> tuple[bool, str]:
    """Tell whether everything was listed once, and how each collection is doing.

    Stale data are served, so they do not end readiness; the report says so.
    """
    known = list(statuses)
    ready = all(status.known for status in known)
    lines = ["OK" if ready else "not ready", *(describe(status, now) for status in known)]
    return ready, "\n".join(lines) + "\n"
