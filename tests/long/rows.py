"""Every row of versions of the standard on the embedded module: that it fires, and that one that is dropped is found.

    python tests/long/rows.py [VERSION...]

Without versions it is the newest, which has the rows of all but a few. It names every row that no sequence leads to, or
that is not missed, and exits with 1 if there is one that tests/dropped.py has no reason for.
"""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from dropped import Fate, dropped, rows, ways_to  # noqa: E402

from p11conform.model.interface import COVERED  # noqa: E402
from p11conform.model.oracle import build  # noqa: E402
from p11conform.model.vocabulary import Version  # noqa: E402
from p11conform.subject import SIMULATED_STATE  # noqa: E402


def tried(version: Version) -> bool:
    """Whether every row of a version is reached and missed."""
    model, began = build(version), time.process_time()
    every = rows(model)
    ways = ways_to(model, SIMULATED_STATE, every)
    print(f"{version}: sequences to {len(every)} rows took {time.process_time() - began:.0f} s", flush=True)
    fates: Counter[Fate] = Counter()
    for row in every:
        one = dropped(model, SIMULATED_STATE, row, ways[row])
        fates[one.fate] += 1
        if one.fate in (Fate.UNREACHED, Fate.MISSED):
            print(f"    {one.function}: {one.rule.code!s} when {one.rule.condition}: {one.fate.value}", flush=True)
    for fate, number in fates.items():
        print(f"    {number}: {fate.value}")
    print(f"    {time.process_time() - began:.0f} s", flush=True)
    return not fates[Fate.UNREACHED] and not fates[Fate.MISSED]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", type=Version, metavar="VERSION")
    given = parser.parse_args()
    # All of them are tried, whatever comes of the first.
    failed = [version for version in given.versions or COVERED[-1:] if not tried(version)]
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
