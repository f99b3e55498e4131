"""``kdns records``: every record of the cluster, as master files or as JSON."""

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from kdns.commands import query, source
from kdns.corefile.mnemonics import type_text
from kdns.errors import UsageError
from kdns.kube.store import Store
from kdns.presentation import text
from kdns.records import ZoneRecords, zones
from kdns.resolver.cluster import AsyncCluster
from kdns.wire import names
from kdns.wire.names import Name
from kdns.zone.authority import Authority

NSD_CONF = "nsd-zones.conf"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--output",
        choices=("zone", "json"),
        default="zone",
        help="form of the records (%(default)s)",
    )
    parser.add_argument(
        "--origin", default="", metavar="ZONE", help="only this zone, as NSD wants it (all)"
    )
    parser.add_argument(
        "--directory",
        default="",
        metavar="DIR",
        help=f"write a file for each zone there, and {NSD_CONF} that names them",
    )
    query.add_wait(parser)
    source.add(parser, search=False)


def run(arguments: argparse.Namespace) -> int:
    """Print the records, or write them; return the exit status."""
    if arguments.directory and arguments.output == "json":
        raise UsageError("--directory is for master files, not for --output json")
    arguments.upstream = []
    with query.opened(arguments) as cluster:
        if trouble := cluster.trouble:
            # Half a zone in another server would deny what exists.
            raise UsageError(f"not everything is known: {trouble}")
        found = _wanted(cluster.run(_zones), arguments.origin)
    if arguments.directory:
        _write(Path(arguments.directory), found)
    elif arguments.output == "json":
        print(msgspec.json.format(msgspec.json.encode(list(map(_plain, found)))).decode())
    else:
        sys.stdout.write("\n".join(map(str, found)))
    return 0


async def _zones(cluster: AsyncCluster) -> list[ZoneRecords]:
    found: tuple[Store, Authority] | None = cluster.blocks[0].block.kubernetes
    return [] if found is None else zones(*found)


def _wanted(found: list[ZoneRecords], origin: str) -> list[ZoneRecords]:
    if not origin:
        return found
    wanted = _name(origin)
    chosen = [one for one in found if names.from_text(one.origin) == wanted]
    if not chosen:
        known = ", ".join(one.origin for one in found)
        raise UsageError(f"--origin {origin}: expected one of {known}")
    return chosen


def _name(text: str) -> Name:
    try:
        return names.from_text(text).lower()
    except ValueError as error:
        raise UsageError(f"--origin {text}: {error}") from None


def _write(directory: Path, found: list[ZoneRecords]) -> None:
    """Write master files and what includes them; the files are complete before NSD sees them."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for one in found:
            _replace(directory / one.file, str(one))
        _replace(directory / NSD_CONF, "".join(_clause(one) for one in found))
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from None


def _replace(path: Path, content: str) -> None:
    aside = path.with_name(f"{path.name}.new")
    aside.write_text(content)
    aside.replace(path)


def _clause(one: ZoneRecords) -> str:
    name = one.origin.removesuffix(".") or "."
    return f'zone:\n    name: "{name}"\n    zonefile: "{one.file}"\n'


def _plain(one: ZoneRecords) -> dict[str, Any]:
    """Return a zone in plain values."""
    records = [
        {
            "name": names.to_text(record.owner),
            "ttl": record.ttl,
            "rtype": type_text(record.rtype),
            "data": text.rdata(record),
        }
        for record in one.records
    ]
    return {"origin": one.origin, "records": records}
