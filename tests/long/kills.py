"""Checks that are killed at random moments, and what they leave: no process, no mount, no token that is another one.

    python tests/long/kills.py [--kills N] [--seed N] [CASE...]

Each kill is a SIGKILL of a running `p11conform check`. A token that was not given over is as it was right after it; one
that was is as it was, but for what the level gives over, after the next check at the same level. Directories of dead
runs are gone after the next start. It exits with 1 if anything is left or changed.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

ROOT: Final = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from left import mounted, still_running  # noqa: E402

from p11conform.adapters.census import Census, census_isolated  # noqa: E402
from p11conform.adapters.modules import registry  # noqa: E402
from p11conform.adapters.modules.module import Module  # noqa: E402
from p11conform.adapters.wire import TakeCensus  # noqa: E402
from p11conform.model.state import Pin  # noqa: E402
from p11conform.model.vocabulary import CKR  # noqa: E402
from p11conform.options import PIN, SO_PIN  # noqa: E402

CALLS: Final = 2000
"""The budget of a check that is to be killed. One runs first that is not, to see how long it takes: a kill comes at any
moment of that."""

PATIENCE: Final = 60.0
"""Seconds in which what a killed check left must have ended, on a machine that may be busy with other things."""

EVERY: Final = 5
"""Kills after which a check that nobody kills has to sweep, where the case does not want one after each."""


@dataclass(frozen=True)
class Case:
    """A check: of a module by name, or by path with a token of ours, given over by some `options`.

    `share` is that of all kills, in hundredths. `puts_back`: the next check is to put the token back. `keeps`: objects
    on it that are not p11conform's stay.
    """

    module: str
    share: int
    by_path: bool = False
    options: tuple[str, ...] = ()
    puts_back: bool = False
    keeps: bool = True


CASES: Final = {
    "softhsm2": Case("softhsm2", 30),
    "softhsm2, two jobs": Case("softhsm2", 8, options=("--jobs", "2")),
    "by path": Case("softhsm2", 20, by_path=True),
    "by path, token objects": Case("softhsm2", 10, True, ("--allow-token-objects",), True),
    "by path, destructive": Case("softhsm2", 12, True, ("--allow-destructive",), True, False),
    "opencryptoki": Case("opencryptoki", 5),
    "tpm2": Case("tpm2", 5),
}

_THEIRS: Final = """
import os, sys
import PyKCS11 as p
library = p.PyKCS11Lib()
library.load(sys.argv[1])
session = library.openSession(int(sys.argv[2]), p.CKF_SERIAL_SESSION | p.CKF_RW_SESSION)
session.login(os.environ["P11CONFORM_PIN"])
for label, private in (("theirs", False), ("theirs, private", True)):
    names = ((p.CKA_CLASS, p.CKO_DATA), (p.CKA_TOKEN, True), (p.CKA_PRIVATE, private), (p.CKA_LABEL, label))
    session.createObject([*names, (p.CKA_VALUE, b"x")])
"""
"""Makes objects on a token that are nobody's business."""


class Site:
    """Where the checks of a case run, and the token that they are given, if they are."""

    def __init__(self, case: Case, place: Path, module: Module | None) -> None:
        self._case, self._place, self._module = case, place, module
        self.temporary = place / "tmp"
        self.temporary.mkdir()
        self._mounts = mounted()
        self._environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(self.temporary)}
        self._target: Sequence[str] = (case.module,)
        if module is not None:
            slot, pins = module.binding.slots[0], module.binding.pins
            self._environment |= {
                **module.environment,
                PIN: pins[Pin.USER.name].decode(),
                SO_PIN: pins[Pin.SO.name].decode(),
            }
            subprocess.run(
                (sys.executable, "-c", _THEIRS, module.library, str(slot)), env=self._environment, check=True
            )
            self._target = (module.library, "--token-label", module.binding.labels[0])
        self._before = self._census()

    def start(self, *more: str) -> subprocess.Popen[str]:
        """A check as the case has it."""
        return self._started("check", *self._target, *self._case.options, *more)

    def _started(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            (sys.executable, "-m", "p11conform", *arguments),
            env=self._environment,
            cwd=self._place,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _census(self) -> Census | None:
        if self._module is None:
            return None
        binding = self._module.binding
        order = TakeCensus(
            self._module.library, binding.slots[0], binding.labels[0], binding.pins[Pin.USER.name], None, False
        )
        return census_isolated(order, environment=self._module.environment)

    def after_kill(self) -> Iterator[str]:
        """What is wrong right after a kill."""
        yield from (f"still runs: {name}" for name in still_running(self._place, PATIENCE))
        if mounted() != self._mounts:
            yield "mounts"
        if not self._case.puts_back:
            yield from self._changed()

    def after_next(self) -> Iterator[str]:
        """What is wrong after the next check, which nobody kills."""
        again = self.start("--calls", "300") if self._case.puts_back else self._started("profile", "simulated")
        _, said = again.communicate()
        if again.returncode not in (0, 1):
            yield f"the next check ends with {again.returncode}: {said.strip().splitlines()[-1]}"
        yield from (f"not swept: {path.name}" for path in self.temporary.iterdir())
        yield from self._changed()

    def _changed(self) -> Iterator[str]:
        now, before = self._census(), self._before
        if now is None or before is None:
            return
        if now.login != CKR.OK:
            yield f"the user PIN is refused: {now.login}"
        if now.flags != before.flags:
            yield f"token flags 0x{before.flags:x}, now 0x{now.flags:x}"
        yield from (f"new: {x.label}" for x in before.missing(now))
        if self._case.keeps:
            yield from (f"gone: {x.label}" for x in now.missing(before))


@contextmanager
def site(case: Case) -> Iterator[Site]:
    """A place for the checks of a case, with nothing else in it."""
    module = registry.provider(case.module).provision() if case.by_path else None
    try:
        with TemporaryDirectory(prefix="k", ignore_cleanup_errors=True) as directory:
            yield Site(case, Path(directory), module)
    finally:
        if module is not None:
            module.discard()


def killed(here: Site, latest: float, random: Random) -> tuple[float, str]:
    """A check is killed: after so many seconds, and what was wrong with one that came to its end before it was."""
    while True:
        moment = random.uniform(0, latest)
        tester = here.start("--calls", str(CALLS))
        try:
            _, said = tester.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            tester.kill()
            tester.communicate()
            return moment, ""
        if tester.returncode not in (0, 1):
            return moment, f"ended with {tester.returncode}: {said.strip().splitlines()[-1]}"


def kills(case: Case, count: int, random: Random) -> Iterator[str]:
    """Kill checks of a case so many times; what is wrong, in a line each."""
    with site(case) as here:
        began = time.monotonic()
        _, said = (whole := here.start("--calls", str(CALLS))).communicate()
        if whole.returncode not in (0, 1):
            yield f"ends with {whole.returncode} where nobody kills it: {said.strip().splitlines()[-1]}"
            return
        latest = time.monotonic() - began
        for number in range(1, count + 1):
            moment, wrong = killed(here, latest, random)
            found = [wrong] * bool(wrong) + [*here.after_kill()]
            if case.puts_back or number % EVERY == 0 or number == count:
                found += here.after_next()
            yield from (f"kill {number}, after {moment:.2f} of {latest:.2f} s: {what}" for what in found)


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill checks at random moments, and look what they leave.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of these: {'; '.join(CASES)}")
    parser.add_argument("--kills", type=int, default=100, help="of all cases together")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    chosen = {name: CASES[name] for name in given.cases or CASES if registry.obstacle(CASES[name].module) is None}
    bad = total = 0
    for name, case in chosen.items():
        count = max(1, round(given.kills * case.share / sum(x.share for x in chosen.values())))
        began, wrong = time.monotonic(), 0
        for line in kills(case, count, Random(f"{given.seed} {name}")):
            print(f"{name}: {line}", flush=True)
            wrong += 1
        print(f"{name:<24} {count:>4} kills {wrong:>4} wrong {time.monotonic() - began:>8.1f} s", flush=True)
        total, bad = total + count, bad + wrong
    print(f"{'all':<24} {total:>4} kills {bad:>4} wrong", flush=True)
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
