"""``/explain?name=NAME&type=TYPE&from=PLACE`` over HTTP, as JSON."""

import asyncio
from urllib.parse import parse_qsl, urlencode
from urllib.request import urlopen

import msgspec

from kdns.app import Server
from kdns.errors import KdnsError, UsageError
from kdns.explain.library import explain_running
from kdns.explain.report import Explanation
from kdns.server.http import Page, Reply, Visit

PATH = "/explain"
PATIENCE = 10.0
"""Seconds that an answer may take, upstreams included."""
_JSON = "application/json"
_KNOWN = ("name", "type", "from", "style")


def page(server: Server, loop: asyncio.AbstractEventLoop) -> Page:
    """Return the page of a running server; it is asked on other threads than the loop's."""

    def explained(visit: Visit) -> Reply:
        try:
            words = _words(visit.query)
            work = explain_running(
                server,
                words["name"],
                words.get("type", "A"),
                words.get("from", "default"),
                "musl" if words.get("style") == "musl" else "glibc",
            )
            found = asyncio.run_coroutine_threadsafe(work, loop).result(PATIENCE)
        except KdnsError as error:
            return _failure(str(error), "400 Bad Request")
        except TimeoutError:
            return _failure(f"no answer within {PATIENCE:.0f} s", "504 Gateway Timeout")
        return Reply(msgspec.json.encode(found), kind=_JSON)

    return explained


def ask(where: str, name: str, rtype: str, place: str, style: str) -> Explanation:
    """Ask the page of a server at ``ADDR:PORT``; UsageError where it does not answer."""
    words = urlencode({"name": name, "type": rtype, "from": place, "style": style})
    try:
        with urlopen(f"http://{where}{PATH}?{words}", timeout=PATIENCE) as reply:
            return msgspec.json.decode(reply.read(), type=Explanation)
    except OSError as error:
        raise UsageError(f"{where}: {_told(error)}") from None
    except msgspec.DecodeError:
        raise UsageError(f"{where}: expected the page {PATH} of a kdns of this version") from None


def _told(error: OSError) -> str:
    """Return what the page says is wrong, else what the network says."""
    read = getattr(error, "read", None)
    if read is None:
        return str(getattr(error, "reason", error))
    try:
        return str(msgspec.json.decode(read())["error"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return f"expected the page {PATH} of a kdns, got {error}"


def _words(query: str) -> dict[str, str]:
    words = dict(parse_qsl(query))
    if unknown := words.keys() - set(_KNOWN):
        raise UsageError(f"unknown {', '.join(sorted(unknown))}: expected {', '.join(_KNOWN)}")
    if not words.get("name"):
        raise UsageError(f"expected {PATH}?name=NAME, with type=TYPE and from=NAMESPACE[/POD]")
    return words


def _failure(text: str, status: str) -> Reply:
    return Reply(msgspec.json.encode({"error": text}), status, _JSON)
