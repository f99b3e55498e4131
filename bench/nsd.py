"""CPU per query of a prepared A answer: kdns beside NSD, on the same names.

    python bench/nsd.py [--services 1000] [--rounds 5] [--seconds 3]

Each server runs pinned to core 0, dnsperf to core 1, in turns. CPU is user and system time of the
server's process by /proc, divided by the queries that dnsperf says were completed. Needs dnsperf
and nsd (Debian packages of these names).
"""

import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KDNS_PORT, NSD_PORT = 10_531, 10_532
START_SECONDS = 20
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Print a table of medians."""
    options = _options()
    for tool in ("dnsperf", "nsd", "taskset"):
        if shutil.which(tool) is None and not Path(f"/usr/sbin/{tool}").exists():
            print(f"{tool} is missing: apt-get install dnsperf nsd util-linux")
            return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_inputs(folder, options.services)
        with _kdns(folder) as kdns, _nsd(folder) as nsd:
            rounds = [_round(folder, kdns, nsd, options.seconds) for _ in range(options.rounds)]
    _report(rounds)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    return parser.parse_args()


def _write_inputs(folder: Path, services: int) -> None:
    """Write the same names as manifests, as a zone file and as queries."""
    addresses = {f"svc-{n}": f"10.100.{n // 250}.{n % 250 + 1}" for n in range(services)}
    manifest = "\n---\n".join(
        f"{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: default}}, "
        f"spec: {{clusterIP: {ip}, ports: [{{port: 80}}]}}}}"
        for name, ip in addresses.items()
    )
    (folder / "services.yaml").write_text(manifest)
    zone = [
        "$ORIGIN cluster.local.",
        "@ 30 IN SOA ns.dns hostmaster 1 7200 1800 86400 30",
        "@ 30 IN NS ns.dns",
        "ns.dns 30 IN A 127.0.0.1",
        *(f"{name}.default.svc 30 IN A {ip}" for name, ip in addresses.items()),
    ]
    (folder / "cluster.local.zone").write_text("\n".join(zone) + "\n")
    queries = "".join(f"{name}.default.svc.cluster.local A\n" for name in addresses)
    (folder / "queries").write_text(queries)
    (folder / "nsd.conf").write_text(
        f"""server:
  ip-address: 127.0.0.1@{NSD_PORT}
  server-count: 1
  username: ""
  chroot: ""
  pidfile: "{folder}/nsd.pid"
  zonesdir: "{folder}"
  database: ""
  rrl-ratelimit: 0
remote-control:
  control-enable: no
zone:
  name: cluster.local
  zonefile: cluster.local.zone
"""
    )


@contextmanager
def _kdns(folder: Path) -> Iterator[int]:
    command = [sys.executable, "-m", "kdns", "--manifests", str(folder / "services.yaml")]
    command += ["-p", str(KDNS_PORT), "--bind", "127.0.0.1", "--upstream", "none"]
    with _running(command, KDNS_PORT) as pid:
        yield pid


@contextmanager
def _nsd(folder: Path) -> Iterator[int]:
    nsd = shutil.which("nsd") or "/usr/sbin/nsd"
    with _running([nsd, "-d", "-c", str(folder / "nsd.conf")], NSD_PORT) as pid:
        yield pid


@contextmanager
def _running(command: list[str], port: int) -> Iterator[int]:
    process = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _wait_for(port: int) -> None:
    query = b"\0\1\1\0\0\1\0\0\0\0\0\0\x07cluster\5local\0\0\6\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.2)
        probe.connect(("127.0.0.1", port))
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                probe.send(query)
                probe.recv(512)
            except OSError:
                continue
            return
    raise TimeoutError(f"no answer on port {port}")


def _round(folder: Path, kdns: int, nsd: int, seconds: int) -> tuple[float, float, int, int]:
    """Load both in turn: microseconds per query of each, and their queries per second."""
    kdns_cpu, kdns_rate = _load(folder, kdns, KDNS_PORT, seconds)
    nsd_cpu, nsd_rate = _load(folder, nsd, NSD_PORT, seconds)
    return kdns_cpu, nsd_cpu, kdns_rate, nsd_rate


def _load(folder: Path, pid: int, port: int, seconds: int) -> tuple[float, int]:
    before = _cpu_seconds(pid)
    output = subprocess.run(
        [
            "taskset",
            "-c",
            "1",
            "dnsperf",
            "-s",
            "127.0.0.1",
            "-p",
            str(port),
            "-d",
            str(folder / "queries"),
            "-l",
            str(seconds),
            "-c",
            "1",
            "-q",
            "100",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    spent = _cpu_seconds(pid) - before
    completed = int(_number(r"Queries completed:\s+(\d+)", output))
    return spent / completed * 1e6, int(completed / seconds)


def _number(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"dnsperf did not print {pattern}")
    return found[1]


def _cpu_seconds(pid: int) -> float:
    """Add up user and system time of a process and its descendants."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended between the listing and the reading
        parents[int(path.parent.name)] = int(fields[1])
        ticks[int(path.parent.name)] = int(fields[11]) + int(fields[12])
    return sum(spent for one, spent in ticks.items() if _descends(one, pid, parents)) / TICKS


def _descends(one: int, pid: int, parents: dict[int, int]) -> bool:
    while one > 1 and one != pid:
        one = parents.get(one, 0)
    return one == pid


def _report(rounds: list[tuple[float, float, int, int]]) -> None:
    kdns, nsd, kdns_rate, nsd_rate = zip(*rounds, strict=True)
    ratios = [one / other for one, other in zip(kdns, nsd, strict=True)]
    print("server  us/query (median)  queries/s")
    print(f"kdns    {statistics.median(kdns):17.2f}  {statistics.median(kdns_rate):9.0f}")
    print(f"NSD     {statistics.median(nsd):17.2f}  {statistics.median(nsd_rate):9.0f}")
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    sys.exit(main())
