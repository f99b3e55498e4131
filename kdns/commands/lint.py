"""``kdns lint``: find in manifests what will not resolve as it is meant.

Exit status 0 where there is nothing but information, 1 where there is an error or a warning.
"""

import argparse
from collections import Counter

import msgspec

from kdns.commands.words import words
from kdns.lint import Finding, lint

EXIT_OK, EXIT_FOUND = 0, 1


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--manifests",
        action="append",
        required=True,
        metavar="PATH",
        help="file or directory of Kubernetes manifests, - for standard input; repeatable",
    )
    parser.add_argument(
        "--zone", default="cluster.local", help="the cluster's domain (%(default)s)"
    )
    parser.add_argument(
        "--ignore", type=words, default=(), metavar="LIST", help="codes that are not told (none)"
    )
    parser.add_argument(
        "--output",
        choices=("text", "json"),
        default="text",
        help="form of the findings (%(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; return the exit status."""
    everything = lint(arguments.manifests, arguments.zone)
    found = [one for one in everything if one.code not in arguments.ignore]
    if arguments.output == "json":
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        print("\n".join([*map(str, found), _summary(found)]))
    return EXIT_FOUND if any(one.level != "info" for one in found) else EXIT_OK


def _summary(found: list[Finding]) -> str:
    levels = Counter(one.level for one in found)
    numbers = levels["error"], levels["warning"], levels["info"]
    return "errors: {}, warnings: {}, information: {}".format(*numbers)
