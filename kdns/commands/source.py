"""The options that say what is served when there is no Corefile, shared by several commands."""

import argparse
from pathlib import Path

from msgspec.structs import replace

from kdns.cluster import FromCluster, FromManifests
from kdns.commands.words import Number, domains, words
from kdns.errors import UsageError
from kdns.standalone import kubeadm
from kdns.zone.settings import MAX_TTL, Settings

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
MAX_AGE = 366 * 86_400


def add(parser: argparse.ArgumentParser, *, search: bool = True) -> None:
    """Declare them; without ``search`` names are completed by nobody, or by the command."""
    _add_sources(parser)
    _add_answers(parser)
    if search:
        _add_search(parser)
    else:
        parser.set_defaults(search=())


def source(arguments: argparse.Namespace) -> FromManifests | FromCluster:
    """Return where the data come from, or raise UsageError."""
    if arguments.manifests:
        if arguments.kubeconfig or arguments.snapshot:
            raise UsageError("--manifests and a cluster exclude one another")
        return FromManifests(tuple(arguments.manifests), arguments.assign == "on")
    if not arguments.kubeconfig and not Path(SERVICE_ACCOUNT).exists():
        raise UsageError(
            f"no cluster: expected --manifests PATH or --kubeconfig FILE{_corefile(arguments)}"
            f" (this is no pod: there is no {SERVICE_ACCOUNT})"
        )
    return FromCluster(
        arguments.kubeconfig,
        arguments.context,
        snapshot=arguments.snapshot,
        snapshot_max_age=arguments.snapshot_max_age,
    )


def _corefile(arguments: argparse.Namespace) -> str:
    return " or -conf COREFILE" if "conf" in arguments else ""


def settings(arguments: argparse.Namespace) -> Settings:
    """Return how the zones are to be answered for."""
    return replace(
        kubeadm(arguments.zone, arguments.ttl, arguments.search),
        namespaces=arguments.namespaces,
        labels=arguments.labels,
        namespace_labels=arguments.namespace_labels,
        pods=arguments.pods,
    )


def _add_sources(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("where the data come from").add_argument
    add(
        "--manifests",
        action="append",
        metavar="PATH",
        help="file or directory of Kubernetes manifests, - for standard input; repeatable",
    )
    add(
        "--assign",
        choices=("on", "off"),
        default="on",
        help="simulate the addresses and endpoints that a cluster would add (%(default)s)",
    )
    add("--kubeconfig", default="", metavar="FILE", help="cluster to serve (that of this pod)")
    add("--context", default="", metavar="NAME", help="context of the kubeconfig (current)")
    add(
        "--snapshot",
        default="",
        metavar="PATH",
        help="file that keeps the last known objects, to start without the API server",
    )
    add(
        "--snapshot-max-age",
        type=Number(1, MAX_AGE),
        default=86_400,
        metavar="SECONDS",
        help="an older snapshot is not used (%(default)s)",
    )


def _add_answers(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what is answered").add_argument
    add("--zone", default="cluster.local", help="the cluster's domain (%(default)s)")
    add(
        "--ttl",
        type=Number(0, MAX_TTL),
        default=30,
        metavar="SECONDS",
        help="TTL of cluster records (%(default)s)",
    )
    add(
        "--pods",
        choices=("disabled", "insecure", "verified"),
        default="insecure",
        help="whether pod names resolve, and on what evidence (%(default)s)",
    )
    add(
        "--namespaces",
        type=words,
        default=(),
        metavar="LIST",
        help="serve only these; a Role in each is then enough (all)",
    )
    add("--labels", default="", metavar="SELECTOR", help="serve only what matches (all)")
    add(
        "--namespace-labels",
        default="",
        metavar="SELECTOR",
        help="serve only namespaces that match (all)",
    )


def _add_search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument_group("short names").add_argument(
        "--search",
        type=domains,
        metavar="LIST|off",
        help="domains that complete short names"
        " (default.svc.ZONE svc.ZONE ZONE, as in a pod of the namespace default)",
    )
