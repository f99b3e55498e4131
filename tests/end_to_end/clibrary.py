"""The C library and dig beside a resolv.conf and a name server of ours, in namespaces of their own.

Run as a program it does that: cases come on standard input, what the server was asked goes to
standard output, both as JSON. ``explore`` runs it, for whoever may make namespaces.
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias

import pytest

from kdns import Cluster
from kdns.chain import Answer, Request, Response
from kdns.corefile.mnemonics import type_text
from kdns.server.listeners import Listener
from kdns.server.responder import Responder
from kdns.server.routes import Route, Routes
from kdns.server.table import AnswerTable
from kdns.server.tcp import TcpLimits
from kdns.wire import codes, names, records
from kdns.wire.message import Sections
from kdns.wire.records import Record
from tests.end_to_end.running import ROOT, need

Case: TypeAlias = tuple[str, list[str], dict[str, str]]
"""resolv.conf without its nameserver, a command, and what becomes of names: see ``ANSWERS``."""
SYSTEM = Path("/etc")
OWN = ("198.18.0.1/32", "2001:db8::1/128")
ANSWERS = {"+": codes.NOERROR, "0": codes.NOERROR, "-": codes.NXDOMAIN, "!": codes.SERVFAIL, "x": 5}


class Ran(NamedTuple):
    """What became of a case."""

    asked: list[str]
    """``NAME TYPE`` of the questions, in order; none where kdns answers."""
    printed: str


def explore(cases: Sequence[Case], tmp_path: Path, manifests: str = "") -> list[Ran]:
    """Run the command of each case; with ``manifests``, kdns answers from these."""
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    for tool in ("unshare", "getent", "dig", "ip"):
        need(tool)
    program = [sys.executable, "-m", __name__, str(tmp_path), manifests]
    command = ["unshare", "--mount", "--net", *program]
    done = subprocess.run(
        command, input=json.dumps(cases), capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return [Ran(*one) for one in json.loads(done.stdout)]


class _Server:
    """A name server whose answers are laid down, and what it was asked."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.asked: list[str] = []

    async def handle(self, request: Request) -> Response:
        query = request.query
        name = names.to_text(query.asked)
        self.asked.append(f"{name} {type_text(query.rtype)}")
        letter = self.outcomes.get(name, "-")
        answer: tuple[Record, ...] = ()
        if letter == "+":
            packed = b"\x0a\0\0\1" if query.rtype == codes.A else bytes(15) + b"\7"
            answer = (records.address(query.asked, 5, packed),)
        return Answer(Sections(ANSWERS[letter], answer))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Listen on port 53 while a block runs."""
        with Runner() as runner:
            listener = Listener("127.0.0.1", 53)
            responder = Responder(Routes([Route(names.ROOT, ".", self.handle)]), AnswerTable())
            runner.run(listener.start(responder, TcpLimits()))
            yield
            runner.run(listener.close())


class Runner:
    """An event loop on a thread of its own."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _main(directory: Path, manifests: str) -> None:
    """Mount our files over those of the system, which only this namespace sees."""
    cases: list[Case] = json.loads(sys.stdin.read())
    # getent asks for no family of which the machine has only loopback addresses.
    for words in ("link set lo up", *(f"address add {one} dev lo" for one in OWN)):
        subprocess.run(["ip", *words.split()], check=True)
    files = {"resolv.conf": "", "nsswitch.conf": "hosts: dns\n", "hosts": ""}
    for name, text in files.items():
        (directory / name).write_text(text)
        subprocess.run(["mount", "--bind", directory / name, SYSTEM / name], check=True)
    file, server = directory / "resolv.conf", _Server()
    with _answering(manifests) if manifests else server.running():
        json.dump([_explored(server, file, *case) for case in cases], sys.stdout)


@contextmanager
def _answering(manifests: str) -> Iterator[None]:
    with Cluster(manifests=manifests) as cluster, cluster.serving(port=53, search=()):
        yield


def _explored(
    server: _Server, file: Path, conf: str, command: list[str], outcomes: dict[str, str]
) -> Ran:
    # A second attempt would only be the same once more.
    file.write_text(f"nameserver 127.0.0.1\n{conf}\noptions attempts:1 timeout:30\n")
    server.outcomes, server.asked = outcomes, []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Ran(server.asked, done.stdout)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2])
