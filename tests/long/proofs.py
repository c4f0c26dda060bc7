"""Every version proved whole, as `p11conform prove` does it: what comes of it, and how much processor time it takes.

    python tests/long/proofs.py [VERSION...]

It exits with 1 if an invariant is not proved, or a call has no answer.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Final

import psutil

ROOT: Final = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src")]

from p11conform.model.interface import COVERED  # noqa: E402
from p11conform.model.vocabulary import Version  # noqa: E402


def proved(version: Version) -> bool:
    """Whether all is proved of a version."""
    before = psutil.Process().cpu_times()
    ran = subprocess.run(
        (sys.executable, "-m", "p11conform", "prove", "--spec", str(version)),
        capture_output=True,
        text=True,
        cwd=ROOT / "src",
    )
    after = psutil.Process().cpu_times()
    took = sum(getattr(after, x) - getattr(before, x) for x in ("children_user", "children_system"))
    told = ran.stdout if ran.returncode else ran.stdout.splitlines()[-1]
    print(f"{told.strip()}; {took:.0f} s of processor time", flush=True)
    return ran.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", type=Version, metavar="VERSION")
    given = parser.parse_args()
    # All of them are tried, whatever comes of the first.
    failed = [version for version in given.versions or COVERED if not proved(version)]
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
