"""Checks of every installed module as a stranger's: by its path, at each level of what may be touched.

    python tests/long/by_path.py [--seconds N] [--replays N] [MODULE...]

The module is made ready by its provider and then given as a path with its PINs, as a user would. Each check must end
with a report, in its budget, with exit code 0 or 1, and each finding must fail again in every replay, by itself in a
fresh process. It exits with 1 where one does not.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src")]

from p11conform.adapters.modules import registry  # noqa: E402
from p11conform.adapters.modules.module import Module  # noqa: E402
from p11conform.model.state import Pin  # noqa: E402
from p11conform.options import PIN, SO_PIN  # noqa: E402

LEVELS: Final = ("", "--allow-token-objects", "--allow-pins", "--allow-destructive")

OVERDUE: Final = 1.1
"""Budgets that a check may take, beside what it takes to begin and to end."""

BESIDE: Final = 15.0
"""Seconds for that: a census before and after, each in a process of its own, and a token put back."""

_JOINED: Final = {"user": "--user", "mnt": "--mount", "ipc": "--ipc"}


def command(module: Module, word: str, *more: str) -> list[str]:
    """p11conform as a user of the module calls it, in the namespaces that the module wants."""
    joined = [f"{_JOINED[Path(file).name]}={file}" for file in module.namespaces]
    enter = ["nsenter", "--preserve-credentials", *joined, "--"] if joined else []
    binding = module.binding
    token = [f"--slot={binding.slots[0]}"] if binding.slots else []
    reserved = [f"--init-reserved={binding.init_reserved}"] if binding.init_reserved is not None else []
    return [*enter, sys.executable, "-m", "p11conform", word, *more, *token, *reserved]


def environment(module: Module) -> dict[str, str]:
    """What its library wants, and the PINs."""
    pins = ((PIN, Pin.USER), (SO_PIN, Pin.SO))
    known = {name: given.decode() for name, pin in pins if (given := module.binding.pins.get(pin.name))}
    return os.environ | {"PYTHONPATH": str(ROOT / "src")} | dict(module.environment) | known


def run(module: Module, *arguments: str) -> tuple[int, str]:
    """The exit code, and the last line that was said."""
    done = subprocess.run(arguments, env=environment(module), capture_output=True, text=True, check=False)
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return done.returncode, said[-1] if said else ""


def again(module: Module, file: Path, finding: dict[str, Any], level: Sequence[str], times: int) -> int:
    """How often of so many times a finding fails again, each in a fresh process."""
    replay = command(module, "replay", str(file), finding["id"], "--module", module.library)
    # That a session object outlives its process is shown by one that does, for which there must be leave.
    given = [*level] or ["--allow-token-objects"] * (not finding["confirmed"])
    return sum(run(module, *replay, *given)[0] == 1 for _ in range(times))


def checks(name: str, seconds: float, replays: int) -> Iterator[tuple[str, bool]]:
    """A line for each level, and whether all is as it must be."""
    for level in LEVELS:
        module = registry.provider(name).provision()
        try:
            with TemporaryDirectory() as directory:
                file, allowed = Path(directory) / "report.json", [level] if level else []
                began = time.monotonic()
                arguments = (module.library, "--seconds", str(seconds), "--json", str(file), *allowed)
                code, said = run(module, *command(module, "check", *arguments))
                took = time.monotonic() - began
                if not file.exists():
                    yield (
                        f"{level or 'default':<22} exit {code}, no report: {said}",
                        "needs" in said or "needed" in said,
                    )
                    continue
                report = json.loads(file.read_text())
                findings, coverage = report["findings"], report["coverage"]
                shown = {f["id"]: again(module, file, f, allowed, replays) for f in findings}
                poor = {key: n for key, n in shown.items() if n < replays}
                good = code in (0, 1) and not poor and took <= OVERDUE * seconds + BESIDE
                yield (
                    (
                        f"{level or 'default':<22} exit {code}, {took:5.1f} s, {report['calls']:>7} calls, "
                        f"{len(coverage['pairs']):>4} pairs, {len(findings):>3} findings, not again: {poor or 'none'}, "
                        f"{len(report['unconfirmed'])} unconfirmed, {'; '.join(report['run']['token']['census'])}"
                    ),
                    good,
                )
        finally:
            module.discard()


def main() -> int:
    parser = argparse.ArgumentParser(description="Check every installed module by its path, at each level.")
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--replays", type=int, default=3)
    given = parser.parse_args()
    bad = False
    for name in given.modules or registry.names():
        obstacle = registry.obstacle(name)
        for line, good in [(obstacle, True)] if obstacle is not None else checks(name, given.seconds, given.replays):
            print(f"{name:<14} {'' if good else 'BAD '}{line}", flush=True)
            bad |= not good
    return bad


if __name__ == "__main__":
    sys.exit(main())
