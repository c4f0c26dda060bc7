"""Checks of every module that is installed, again and again: what they come to, and that nothing is left behind.

    python tests/long/modules.py [--seconds N] [--rounds N] [MODULE...]

Each is checked in several rounds, then by two testers at a time, then by one that is killed in its midst and one after
that. It exits with 1 if anything is left, or a check ends otherwise than with a report.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from left import mounted, processes, still_running  # noqa: E402

from p11conform.adapters.modules import registry  # noqa: E402

SHORT: Final = 5.0
"""Seconds before a tester is killed, and that the next one has."""

Row = Sequence[object]


def started(place: Path, name: str, seconds: float, report: Path) -> subprocess.Popen[bytes]:
    command = (sys.executable, "-m", "p11conform", "check", name, "--seconds", str(seconds), "--json", str(report))
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(place)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def checked(place: Path, name: str, seconds: float, many: int = 1) -> Iterator[Row]:
    """So many checks at a time."""
    began = time.monotonic()
    with TemporaryDirectory() as directory:
        reports = [Path(directory) / f"{k}.json" for k in range(many)]
        testers = [started(place, name, seconds, report) for report in reports]
        for tester, report in zip(testers, reports, strict=True):
            code = tester.wait()
            yield code, *figures(json.loads(report.read_text()) if report.exists() else {}), time.monotonic() - began


def figures(report: Mapping[str, Any]) -> Row:
    coverage = report.get("coverage", {})
    how = report.get("run", {}).get("ended", {}).get("how", "no report")
    return report.get("calls", 0), len(coverage.get("pairs", ())), len(report.get("findings", ())), how


def killed(place: Path, name: str) -> None:
    """A check that is killed in its midst."""
    with TemporaryDirectory() as directory:
        tester = started(place, name, 10 * SHORT, Path(directory) / "report.json")
        time.sleep(SHORT)
        tester.kill()
        tester.wait()


def left(place: Path, mounts: str) -> str:
    """What is left there, in words; it is taken away."""
    ran, files = still_running(place), sorted(path.name for path in place.iterdir())
    for process in processes(place):
        with suppress(Exception):
            process.kill()
    found = [f"{len(ran)} processes: {ran}"] * bool(ran) + [f"files: {files}"] * bool(files)
    return "; ".join(found + ["mounts"] * (mounted() != mounts)) or "nothing"


def rounds(name: str, seconds: float, many: int) -> Iterator[tuple[str, Row, str]]:
    """Every check of a module: what it is, its figures, and what was left after it."""
    mounts = mounted()
    with TemporaryDirectory(prefix="t", ignore_cleanup_errors=True) as directory:
        place = Path(directory)
        for k in range(many):
            (row,) = checked(place, name, seconds)
            yield f"round {k + 1}", row, left(place, mounts)
        one, other = checked(place, name, seconds, 2)
        yield "side by side", one, ""
        yield "side by side", other, left(place, mounts)
        killed(place, name)
        ran = still_running(place)
        (row,) = checked(place, name, SHORT)
        yield "after a kill", row, f"{ran}" if ran else left(place, mounts)


def main() -> int:
    parser = argparse.ArgumentParser(description="Check every module that is installed, again and again.")
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    bad = False
    print(f"{'module':<14} {'check':<13} {'exit':>4} {'calls':>8} {'pairs':>6} {'findings':>8} {'seconds':>8}  left")
    for name in given.modules or registry.names():
        if (obstacle := registry.obstacle(name)) is not None:
            print(f"{name:<14} {obstacle}")
            continue
        for what, (code, calls, pairs, findings, how, took), remains in rounds(name, given.seconds, given.rounds):
            line = f"{name:<14} {what:<13} {code:>4} {calls:>8} {pairs:>6} {findings:>8} {took:>8.1f}  {remains}"
            print(f"{line}  ({how})", flush=True)
            bad |= code not in (0, 1) or remains not in ("", "nothing")
    return bad


if __name__ == "__main__":
    sys.exit(main())
