"""The scope `logins` explored by p11conform and by SPIN: the same states and steps, and how long each takes.

Run it as `python benchmarks/spin/run.py` with p11conform installed. Exits with 1 if the two differ, with 2 if SPIN or
a C compiler is missing.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from p11conform.model.oracle import build
from p11conform.model.state import Session
from p11conform.properties.search.graph import SCOPES, explore

PROMELA = Path(__file__).with_name("logins.pml")
SESSIONS = (2, 3, 4)
"""Sizes of the scope; what is pinned in docs/scopes.json has two sessions."""

RUNS, ENOUGH = 3, 5.0
"""Each is timed so often, or until so many seconds have gone, and the least time counts."""

DIFFER, MISSING = 1, 2


@dataclass(frozen=True, slots=True)
class Explored:
    """What an explorer found: states, and steps that change the state, one for each call and outcome."""

    states: int
    steps: int


def ours(sessions: int) -> Callable[[], tuple[Explored, int]]:
    """Our explorer on the scope; also how many edges it visited, those among them that change nothing."""
    scope = SCOPES["logins"]
    model, initial = scope.of(build()), replace(scope.initial, sessions=(Session(),) * sessions)

    def run() -> tuple[Explored, int]:
        graph = explore(model, initial)
        # Several codes may come with one change; SPIN's model has an option for the change.
        steps = {(e.source, e.call, e.target) for e in graph.edges if e.source != e.target}
        return Explored(len(graph.states), len(steps)), len(graph.edges)

    return run


def spins(sessions: int, directory: Path) -> Callable[[], tuple[Explored, int]]:
    """SPIN's verifier for the same scope, compiled."""
    for command in (
        ("spin", "-a", f"-DSESSIONS={sessions}", str(PROMELA)),
        ("cc", "-O2", "-DSAFETY", "-DNOREDUCE", "-o", "pan", "pan.c"),
    ):
        subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL)

    def run() -> tuple[Explored, int]:
        # A hash table of 2^18 places: making one of the usual size takes longer than the search.
        command = [str(directory / "pan"), "-n", "-w18", "-m1000000"]
        said = subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout
        states, transitions = (
            int(found[1]) for name in ("states, stored", "transitions") if (found := re.search(rf"(\d+) {name}", said))
        )
        # SPIN counts the coming of the initial state as a transition.
        return Explored(states, transitions - 1), transitions - 1

    return run


def timed(run: Callable[[], tuple[Explored, int]]) -> tuple[Explored, int, float]:
    """What was found, the edges visited, and the least time of several runs."""
    seconds: list[float] = []
    while len(seconds) < RUNS and sum(seconds) < ENOUGH:
        start = time.perf_counter()
        found, edges = run()
        seconds.append(time.perf_counter() - start)
    return found, edges, min(seconds)


def main() -> None:
    """Print the table."""
    for tool, package in (("spin", "spin"), ("cc", "gcc")):
        if shutil.which(tool) is None:
            print(f"{tool} is missing; install it with apt-get install {package}", file=sys.stderr)
            raise SystemExit(MISSING)
    print("| sessions | by | states | steps that change it | edges visited | seconds | states/s | edges/s |")
    print("|---|---|---|---|---|---|---|---|")
    agree = True
    for sessions in SESSIONS:
        with TemporaryDirectory() as directory:
            rows = {"p11conform": timed(ours(sessions)), "SPIN": timed(spins(sessions, Path(directory)))}
        for name, (found, edges, seconds) in rows.items():
            rates = f"{found.states / seconds:,.0f} | {edges / seconds:,.0f}"
            counts = f"{found.states:,} | {found.steps:,} | {edges:,}"
            print(f"| {sessions} | {name} | {counts} | {seconds:.4f} | {rates} |", flush=True)
        agree = agree and len({found for found, _, _ in rows.values()}) == 1
    if not agree:
        print("the two differ: one of the models is wrong", file=sys.stderr)
        raise SystemExit(DIFFER)


if __name__ == "__main__":
    main()
