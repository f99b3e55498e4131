"""Replace kdns by CoreDNS and back under load, and print what a client saw.

``python -m tests.service_ip --mode nftables --period 10 --failures 3`` does it with the readiness
probe that kubeadm's Deployment has. It takes root, and the programs that the tests need.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.service_ip import proxy
from tests.service_ip.cluster import PODS, PROBE, running
from tests.service_ip.rollout import Replaced, disagreements, replace


def measure(mode: str, period: int, failures: int) -> Replaced:
    """Replace the servers once, with this readiness probe."""
    probe = PROBE | {"periodSeconds": period, "failureThreshold": failures}
    with TemporaryDirectory(prefix="kdns-service-ip-") as name, running(Path(name), probe) as one:
        kubeconfig = one.plane.kubeconfig(proxy.USER)
        with proxy.kube_proxy(mode, one.node, kubeconfig, one.folder, PODS):
            one.wait_for_answers()
            return replace(one)


def words(replaced: Replaced) -> Iterator[str]:
    """Write what came of it."""
    report = replaced.meanwhile
    yield f"{report.asked} questions in {report.seconds:.1f} s, {len(report.failed)} failed"
    yield f"{len(report.lost)} queries lost; the slowest answer took {report.slowest:.3f} s"
    for (port, why), number in Counter((one.port, one.why) for one in report.lost).items():
        at = sorted(one.at for one in report.lost if (one.port, one.why) == (port, why))
        yield f"  {number} of {port} ports: {why}, from {at[0]:.1f} s to {at[-1]:.1f} s"
    different = disagreements(replaced)
    yield f"{len(different)} messages as CoreDNS never sent them"
    yield from different


def main() -> None:
    """Do as the command line says."""
    parser = argparse.ArgumentParser("python -m tests.service_ip")
    parser.add_argument("--mode", default="iptables", help="of kube-proxy: iptables or nftables")
    parser.add_argument("--period", type=int, default=PROBE["periodSeconds"], help="seconds")
    parser.add_argument("--failures", type=int, default=PROBE["failureThreshold"])
    chosen = parser.parse_args()
    replaced = measure(chosen.mode, chosen.period, chosen.failures)
    sys.stdout.writelines(f"{line}\n" for line in words(replaced))


if __name__ == "__main__":
    main()
