"""A server in either event loop: asyncio's own, and uvloop's where that is installed."""

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import dns.message
import dns.query
import pytest

from tests.end_to_end.corefiles import ZONE
from tests.end_to_end.running import ROOT, Kdns
from tests.patience import PATIENCE

COREFILE = """
.:0 {{
    bind 127.0.0.1
    template IN A {{
        answer "{{{{ .Name }}}} 5 IN A {address}"
    }}
}}
"""
UVLOOP = pytest.param(
    "uvloop",
    ", uvloop",
    marks=pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is not installed"),
)
LOOPS = pytest.mark.parametrize(("loop", "remark"), [("asyncio", ""), UVLOOP])


def _write(path: Path, address: str) -> None:
    path.write_text(COREFILE.format(address=address))


def _tcp(server: Kdns) -> str:
    query = dns.message.make_query("x.example.", "A")
    found = dns.query.tcp(query, server.host, port=server.port, timeout=PATIENCE)
    return str(found.answer[0][0])


@LOOPS
def test_it_answers_reloads_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: str, remark: str
) -> None:
    monkeypatch.setenv("KDNS_LOOP", loop)
    corefile = tmp_path / "Corefile"
    _write(corefile, "192.0.2.1")
    server = Kdns("-conf", str(corefile), started=ZONE)
    try:
        server.wait_for(rf"Python 3[.\d]+{remark}$")
        assert server.ask("x.example. A").answer[0][0].to_text() == "192.0.2.1"
        assert _tcp(server) == "192.0.2.1"
        _write(corefile, "192.0.2.2")
        server.process.send_signal(signal.SIGUSR1)
        server.comes_to("x.example. A", lambda seen: "192.0.2.2" in seen.answer[0].to_text())
        assert _tcp(server) == "192.0.2.2"
    finally:
        assert server.stop() == 0


def test_an_event_loop_that_nobody_knows_is_refused() -> None:
    command = [sys.executable, "-m", "kdns", "serve", "-conf", "stdin"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KDNS_LOOP": "trio"}
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, input="", env=environment
    )
    assert ended.returncode == 1
    assert "KDNS_LOOP: expected asyncio or uvloop, got 'trio'" in ended.stderr
