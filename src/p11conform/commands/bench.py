"""Measures of speed, each a figure on a line of its own; benchmarks/README.md says what they mean."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click
import psutil

from .. import mortal
from ..adapters.base import Binding, ModuleUnusable
from ..adapters.isolated import Isolated, Kind
from ..adapters.modules import softhsm2
from ..console import waiting
from ..crew import Crew, measure_pace
from ..exits import fail
from ..messages import Task
from ..model.call import Call, Observation
from ..model.oracle import build, permitted
from ..model.state import Pin
from ..model.vocabulary import CKR
from ..options import PIN, SO_PIN
from ..properties.engine.beliefs import Compiled
from ..properties.engine.packed import uncollected
from ..properties.engine.verdict import null_arguments
from ..properties.policy import Level, Rights, anything
from ..properties.run.campaign import numbered_calls
from ..properties.run.work import Visit
from ..properties.search.goals import all_calls, by_function
from ..properties.search.graph import SCOPES, explore
from ..properties.search.suites import machine, transition_tour
from ..subject import SIMULATED_STATE, own_module

STEPS = 100_000
"""Steps of the walk that the oracle is measured on."""

TURN = 300
"""Steps after which it begins anew."""

SUCCEEDS = 0.8
"""How often a step succeeds where it may."""

LOOPS = 5
"""Each measure is taken so often; the best counts, being least disturbed by what else the machine does."""

DEATHS = 100
"""Deaths whose cost is measured."""

MORTAL = mortal.__name__

LOOK = 0.2
"""Seconds between two looks at the memory of a run."""

Figures = Iterator[tuple[str, float]]


def _best(run: Callable[[], int]) -> float:
    """How many a second: the best of several runs of something that says how many it did."""
    rates = []
    for _ in range(LOOPS):
        start = time.perf_counter()
        done = run()
        rates.append(done / (time.perf_counter() - start))
    return max(rates)


def calls_checked() -> Figures:
    """Checked calls beside bare ones, and beside a plain state machine."""
    model = build()
    tested = own_module("softhsm2", Kind.RAW, 10.0)
    assert tested.isolated is not None
    try:
        seen = measure_pace(Task(model, tested.initial, tested.rights), tested.isolated)
    finally:
        tested.discard()
    yield "checked_calls_vs_bare_cffi", seen.checked / seen.bare
    yield "checked_calls_vs_state_machine", seen.checked / seen.machine
    yield "checked_calls_per_s", seen.checked
    yield "bare_cffi_calls_per_s", seen.bare
    yield "state_machine_steps_per_s", seen.machine


def oracle_steps() -> Figures:
    """Steps of the oracle with everything to be worked out, and with everything remembered."""
    model, random = build(), Random(1)
    calls = all_calls(model, SIMULATED_STATE)
    numbers = {call: k for k, call in enumerate(calls)}
    members = [[numbers[c] for c in own] for own in by_function(calls).values()]
    oracle = Compiled(model, SIMULATED_STATE, calls, Observation, anything, full=STEPS)
    belief, walk = oracle.start, list[tuple[int, int]]()
    while len(walk) < STEPS:
        k = random.choice(random.choice(members))
        if not oracle.may(belief, k):
            continue
        codes = sorted(permitted(model, oracle.believed(belief)[0], calls[k]))
        if not codes:
            continue
        code = CKR.OK if CKR.OK in codes and random.random() < SUCCEEDS else random.choice(codes)
        step = oracle.step(belief, k, int(code))
        walk.append((k, int(code)))
        belief = oracle.start if step.over or len(walk) % TURN == 0 else step.after

    def again(oracle: Compiled) -> int:
        """The walk once more, as a driver walks it: where a step is remembered it is looked up, else worked out."""
        belief, n = oracle.start, 0
        for k, answer in walk:
            step = belief.steps.get(k)
            if step is None or step.answer != answer:
                step = oracle.step(belief, k, answer)
            n += 1
            belief = oracle.start if step.over or n % TURN == 0 else step.after
        return n

    distinct = sum(1 for _ in dict.fromkeys(_pairs(oracle, walk)))

    @uncollected()
    def cold() -> int:
        """As a worker does it, which collects no garbage meanwhile."""
        again(Compiled(build(), SIMULATED_STATE, calls, Observation, anything, full=STEPS))
        return distinct

    yield "oracle_steps_memoised_per_s", _best(lambda: again(oracle))
    yield "oracle_steps_cold_per_s", _best(cold)


def _pairs(oracle: Compiled, walk: list[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """What the steps of a walk are told apart by: the belief, the call and the answer."""
    belief = oracle.start
    for n, (k, answer) in enumerate(walk, 1):
        yield id(belief), k, answer
        step = oracle.step(belief, k, answer)
        belief = oracle.start if step.over or n % TURN == 0 else step.after


def tour_calls() -> Figures:
    """Calls of the transition tour of sessions and logins beside the fewest that any suite needs."""
    scope = SCOPES["logins"]
    tour = transition_tour(machine(explore(scope.of(build()), scope.initial)))
    yield "tour_calls_vs_lower_bound", tour.length / tour.bound


def graph_edges() -> Figures:
    """Edges of all pinned scopes a second."""
    scopes = [(scope.of(build()), scope.initial) for scope in SCOPES.values()]
    yield "graph_edges_per_s", _best(lambda: sum(len(explore(*scope).edges) for scope in scopes))


def deaths() -> Figures:
    """What it costs that a module dies on every second call: a scripted one, whose load takes no time."""
    model, calls = build(), numbered_calls(build(), SIMULATED_STATE)
    initialize = calls.index(Call("C_Initialize"))
    # A death by a NULL pointer would end the visit.
    deadly = (
        k for k, x in enumerate(calls) if k != initialize and not null_arguments(x, model.functions[x.function].uses)
    )
    goals = tuple((k, ()) for k in islice(deadly, DEATHS))

    def scripted(briefing: bytes, **_: Any) -> Isolated:
        return Isolated(Kind.RAW, "scripted", Binding(slots=(0,)), program=MORTAL, briefing=briefing)

    with Crew(Task(model, SIMULATED_STATE, Rights(Level.OURS)), [scripted]) as crew:
        start = time.perf_counter()
        (done,) = crew.do([Visit((initialize,), goals)], lambda: 600.0)
        seconds = time.perf_counter() - start
    assert len(done.failures) == len(goals), "it died on every second call"
    yield "death_cost_ms", 1000 * seconds / len(goals)


def _check(*arguments: str, **environment: str) -> tuple[dict[str, Any], float]:
    """The report of a check, and the memory that it and its worker took at most, in MB."""
    with TemporaryDirectory() as directory:
        file = Path(directory) / "report.json"
        command = (sys.executable, "-m", "p11conform", "check", *arguments, "--json", str(file))
        peak, given = 0.0, {**os.environ, **environment}
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=given) as run:
            while run.poll() is None:
                peak = max(peak, _held(run.pid))
                time.sleep(LOOK)
        if not file.exists():
            raise ModuleUnusable(f"{arguments[0]}: the check wrote no report; run p11conform check {arguments[0]}")
        report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return report, peak


def restoring() -> Figures:
    """The share of a destructive check that goes into putting the token back, where the token is a stranger's."""
    module = softhsm2.provision()
    try:
        pins = {name: module.binding.pins[pin.name].decode() for name, pin in ((PIN, Pin.USER), (SO_PIN, Pin.SO))}
        label = ("--token-label", module.binding.labels[0])
        report, _ = _check(module.library, *label, "--allow-destructive", **module.environment, **pins)
    finally:
        module.discard()
    yield "restore_share", report["run"]["restores"]["share"]


def default_run() -> Figures:
    """When a default check of SoftHSM2 finds what it finds, and the memory that it and its worker take at most."""
    report, peak = _check("softhsm2")
    findings = report["findings"]
    yield "findings", len(findings)
    yield "median_calls_to_find", median(f["first_seen_at_call"] for f in findings)
    yield "slowest_find_s", max(f["first_seen_at_second"] for f in findings)
    yield "peak_memory_mb", peak


def _held(pid: int) -> float:
    """The memory that a process and all that came of it hold together, in MB; what they share counts once."""
    total = 0
    with suppress(psutil.Error):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                try:
                    total += process.memory_full_info().pss
                except psutil.AccessDenied:  # a process that leaves no core file is nobody's to look into
                    total += process.memory_info().rss
    return total / 2**20


MEASURES = {
    "checked calls beside bare ones": calls_checked,
    "the oracle": oracle_steps,
    "a transition tour": tour_calls,
    "the graphs of the pinned scopes": graph_edges,
    "deaths": deaths,
    "putting a token back, which takes a minute": restoring,
    "a default check of SoftHSM2, which takes a minute": default_run,
}
"""What is measured, by what it is called while it is."""


@click.command()
def command() -> None:
    """Measure how fast p11conform is on this machine: a line `name: value` for each figure.

    SoftHSM2 is needed. Rates are the best of several runs; ratios compare what ran in turn.
    """
    try:
        for what, measure in MEASURES.items():
            with waiting(f"measuring {what}"):
                figures = list(measure())
            for name, value in figures:
                click.echo(f"{name}: {value:.3f}" if value < 100 else f"{name}: {value:.0f}")
    except ModuleUnusable as error:
        fail(str(error))
