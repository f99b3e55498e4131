"""A long run: ``python -m tests.differential --questions 100000 --seed 7``.

Prints the table of differences by reason, then what has none. Ends with 1 when there is any.
"""

import argparse
import sys
import time

from tests.differential.options import OPTION_SETS
from tests.differential.run import Plan, Report, compare
from tests.gobuild import NotBuilt


def main() -> int:
    """Run, report and return the exit status."""
    arguments = _parse()
    wanted = set(arguments.options or ())
    sets = tuple(one for one in OPTION_SETS if not wanted or one.name in wanted)
    started = time.monotonic()
    try:
        report = compare(Plan(arguments.questions, arguments.seed, sets))
    except NotBuilt as reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    seconds = time.monotonic() - started
    sys.stdout.write(f"seed {arguments.seed}, {seconds:.0f} s\n{_text(report)}\n")
    return 1 if report.unknown else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--questions", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    names = [one.name for one in OPTION_SETS]
    parser.add_argument("--options", action="append", choices=names, help="only this option set")
    return parser.parse_args()


def _text(report: Report) -> str:
    return report.table() + (f"\n\n{report.story()}" if report.unknown else "")


if __name__ == "__main__":
    sys.exit(main())
