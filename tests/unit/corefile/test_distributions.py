"""What distributions ship, one directory each under tests/data/corefiles."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from kdns.corefile import directives
from kdns.corefile.files import Source, matching
from kdns.corefile.keys import Served, check_overlaps, read_keys
from kdns.corefile.parser import parse
from kdns.corefile.syntax import Corefile

CONFIGURATION = "/etc/coredns/"
CORPUS = Path(__file__).parents[2] / "data" / "corefiles"
BLOCKS = {
    "aks": [".:53", "corp.example:53", "svc.example:53"],
    "eks": [".:53"],
    "gardener": [".:8053", "corp.example:8053"],
    "helm": ["dns://.:53"],
    "k3s": [".:53", "corp.example:53"],
    "k3s-without-custom": [".:53"],
    "kind": [".:53"],
    "kubeadm": [".:53"],
    "kubeadm-older": [".:53"],
    "minikube": [".:53"],
    "nodelocal": ["cluster.local:53", "in-addr.arpa:53", "ip6.arpa:53", ".:53"],
    "openshift": ["corp.example:5353", "example.net:5353", ".:5353", "hostname.bind:5353"],
    "rke2": [".:53"],
}


def corefile(distribution: str) -> Corefile:
    """Parse one as if it were mounted where pods have it."""

    def mounted(pattern: str, directory: Path) -> Sequence[Source]:
        return matching(pattern.removeprefix(CONFIGURATION), directory)

    path = CORPUS / distribution / "Corefile"
    return parse(path.read_text(), str(path), mounted)


def test_every_distribution_of_the_corpus_is_expected() -> None:
    assert sorted(BLOCKS) == sorted(path.name for path in CORPUS.iterdir())


@pytest.mark.parametrize("distribution", sorted(BLOCKS))
def test_a_distribution_is_read_as_it_is(distribution: str) -> None:
    found = corefile(distribution)
    served = [Served(read_keys(block)) for block in found.blocks]
    check_overlaps(served)
    for block in found.blocks:
        directives.check(block)

    assert [key.text for block in served for key in block.keys] == BLOCKS[distribution]


def test_the_custom_files_of_k3s_are_in_their_places() -> None:
    names = [
        [directive.name.text for directive in block.directives] for block in corefile("k3s").blocks
    ]

    assert names[0][-2:] == ["loadbalance", "log"]
    assert names[1] == ["errors", "cache", "forward"]
    assert [Path(path).name for path, _ in corefile("k3s").sources] == [
        "Corefile",
        "log.override",
        "corp.server",
    ]
