"""What kdns prints, into a pipe whose reader has had enough."""

import os
import subprocess
import sys

import pytest

from kdns.cli import EXIT_PIPE
from tests.end_to_end.running import ROOT
from tests.patience import PATIENCE

DEMO = ("--manifests", str(ROOT / "manifests" / "demo"))
COMMANDS = {
    "explain": ("explain", *DEMO, "kube-dns.kube-system"),
    "lint": ("lint", *DEMO),
    "records as JSON": ("records", *DEMO, "--output", "json"),
    "check": ("check", str(ROOT / "tests" / "data" / "corefiles" / "aks" / "Corefile")),
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_who_stops_reading_gets_no_traceback(words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "kdns", *words]
    with os.fdopen(writer) as pipe:
        outcome = subprocess.run(
            command, stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False
        )

    assert outcome.stderr == ""
    assert outcome.returncode == EXIT_PIPE
