"""``kdns explain`` as people and programs use it."""

import json
import signal
import socket
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from kdns.cli import main
from tests.end_to_end.corefiles import running
from tests.end_to_end.running import ROOT, kdns
from tests.patience import PATIENCE

DEMO = str(ROOT / "manifests" / "demo")
COREFILE = """
.:53 {
    rewrite name old.example.org web.default.svc.cluster.local
    hosts {
        192.0.2.9 nine.example.org
        fallthrough
    }
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        fallthrough in-addr.arpa ip6.arpa
    }
}
example.com:53 {
    whoami
}
"""


@pytest.mark.parametrize(
    ("question", "status"),
    [
        pytest.param("web A", 0, id="answer"),
        pytest.param("weeb A", 3, id="NXDOMAIN"),
        pytest.param("db AAAA", 4, id="NODATA"),
        pytest.param("example.org. A", 5, id="REFUSED"),
    ],
)
def test_the_exit_status_is_by_rcode(
    question: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", *question.split(), "--manifests", DEMO]) == status
    assert "\x1b" not in capsys.readouterr().out


def test_a_running_server_explains_over_http(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--manifests", DEMO, "--upstream", "none", "--search", "off")
    with kdns(*options, "--admin", "127.0.0.1:0") as server:
        where = server.wait_for(r"on http://(\S+)")[1]
        asked = ["explain", "db", "A", "--from", "data", "--output", "json"]
        there = main([*asked, "--server", where])
        told = json.loads(capsys.readouterr().out)
        with urlopen(f"http://{where}/explain?name=db&type=A&from=data", timeout=PATIENCE) as reply:
            assert json.loads(reply.read()) == told
        with pytest.raises(HTTPError) as refused:
            urlopen(f"http://{where}/explain?type=A", timeout=PATIENCE)
        with refused.value as failure:
            assert failure.code == 400
            assert "expected /explain?name=NAME" in json.loads(failure.read())["error"]
        wrong = main(["explain", "db", "SVR", "--server", where])

    assert there == 3
    assert told["reading"]["namespace"] == "data"
    assert "db.default.svc.cluster.local." in [near["name"] for near in told["nearest"]]
    assert wrong == 1
    assert "did you mean 'SRV'" in capsys.readouterr().err


def test_a_server_with_a_corefile_explains_at_its_health_address(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        health = f"127.0.0.1:{probe.getsockname()[1]}"
    corefile = (
        f".:0 {{\n bind 127.0.0.1\n health {health}\n"
        f" kubernetes cluster.local {{\n manifests {DEMO}\n }}\n}}\n"
    )
    with running(corefile, tmp_path) as server:
        first = _rcode(health)
        server.process.send_signal(signal.SIGUSR1)
        server.wait_for("Reloading complete")
        assert (first, _rcode(health)) == ("NOERROR", "NOERROR")


def _rcode(where: str) -> str:
    with urlopen(f"http://{where}/explain?name=web", timeout=PATIENCE) as reply:
        return str(json.loads(reply.read())["rcode"])


@pytest.mark.parametrize(
    ("name", "plugin", "does", "source"),
    [
        pytest.param("nine.example.org.", "hosts", "answers", "plugin hosts", id="hosts"),
        pytest.param("old.example.org.", "rewrite", "alters", "Service default/web", id="rewrite"),
        pytest.param("web", "kubernetes", "answers", "Service default/web", id="kubernetes"),
    ],
)
def test_a_corefile_is_explained_over_manifests(  # noqa: PLR0913, PLR0917 - a table
    name: str,
    plugin: str,
    does: str,
    source: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    corefile = tmp_path / "Corefile"
    corefile.write_text(COREFILE)

    asked = ["explain", name, "--conf", str(corefile), "--manifests", DEMO, "--output", "json"]
    assert main(asked) == 0

    told = json.loads(capsys.readouterr().out)
    parts = {part["plugin"]: part["does"] for part in told["tried"][-1]["parts"]}
    assert parts[plugin] == does
    assert [record["source"] for record in told["records"]] == [source]


def test_the_longest_zone_has_the_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corefile = tmp_path / "Corefile"
    corefile.write_text(COREFILE)

    asked = ["explain", "a.example.com.", "--conf", str(corefile), "--manifests", DEMO]
    main(asked)

    assert "server block example.com. (whoami)" in capsys.readouterr().out


def test_data_and_a_server_exclude_one_another(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "web", "--manifests", DEMO, "--server", "127.0.0.1:1"]) == 1

    assert "--server has its own data" in capsys.readouterr().err
