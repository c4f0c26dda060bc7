"""How fast a worker checks a module's cheap calls, beside calls that nobody checks and a plain state machine.

It runs in the worker's process, on the module, the oracle and the journal that a check uses.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from .adapters.base import Adapter
from .adapters.raw import Raw
from .model.call import Call
from .properties.engine.verdict import Outcome, judge
from .properties.run.driver import Driver

OPENING = (Call("C_Initialize"), Call("C_OpenSession"))

CHEAP = 5e-6
"""Seconds that a cheap call takes at most."""

CALLS = 20_000
"""Calls in a measured loop."""

LOOPS = 7
"""Each loop is run so often, in turn with the other, and its best time counts."""

EXAMPLES, STEPS = 40, 50
"""Sequences of the state machine, and steps in each."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Calls a second: `bare` ones, `checked` ones, and steps of a plain `machine`; with what was called."""

    bare: float
    checked: float
    machine: float
    calls: int
    functions: tuple[str, ...]


def pace(adapter: Adapter, driver: Driver) -> Pace:
    """Measure how fast calls are made."""
    if not isinstance(adapter, Raw):
        raise TypeError("only the raw adapter is measured")
    numbers = _cheap(driver)
    bare = [adapter.bare(driver.calls[k]) for k in numbers]
    rounds = CALLS // len(numbers)
    sequence, calls = numbers * rounds, bare * rounds
    best = {"bare": float("inf"), "checked": float("inf")}
    for _ in range(LOOPS):
        _open(driver)
        best["bare"] = min(best["bare"], _timed(lambda: _make(calls)))
        best["checked"] = min(best["checked"], _timed(lambda: _check(driver, sequence)))
        assert len(driver.trail) == len(OPENING) + len(sequence), "a cheap call ended the sequence"
    functions = sorted({driver.calls[k].function for k in numbers})
    rates = {name: len(sequence) / seconds for name, seconds in best.items()}
    return Pace(rates["bare"], rates["checked"], _machine(adapter, driver, numbers), len(numbers), tuple(functions))


def _make(calls: Sequence[Callable[[], int]]) -> None:
    for call in calls:
        call()


def _check(driver: Driver, sequence: Sequence[int]) -> None:
    """Calls as a check makes them, counting included."""
    driver.run(sequence)
    driver.take()


def _timed(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _open(driver: Driver) -> None:
    driver.begin()
    driver.run(map(driver.number, OPENING))


def _cheap(driver: Driver) -> list[int]:
    """Calls that leave a session as it is and pass, one for each function and answer, if they are cheap."""
    _open(driver)
    found: dict[tuple[str, int], int] = {}
    place = driver.belief
    for k, call in enumerate(driver.calls):
        if driver.belief is not place or driver.over:
            _open(driver)
            place = driver.belief
        if not driver.may(k):
            continue
        driver.run((k,))
        step = driver.trail[-1]
        if step.after is not place or step.verdict.outcome is not Outcome.PASS:
            continue
        kind = (call.function, step.answer)
        if kind not in found and min(_timed(lambda: driver.run((k,))) for _ in range(5)) < CHEAP:  # noqa: B023
            found[kind] = k
    return list(found.values())


def _machine(adapter: Adapter, driver: Driver, numbers: Sequence[int]) -> float:
    """Steps a second of a state machine as anybody would write it: a rule that calls, and asks the oracle."""
    calls, model, made = [driver.calls[k] for k in numbers], driver.model, 0

    class Plain(RuleBasedStateMachine):
        """One sequence of cheap calls."""

        def __init__(self) -> None:
            super().__init__()
            adapter.reset(False)
            self.beliefs = frozenset({driver.initial})
            for call in OPENING:
                _, self.beliefs = judge(model, self.beliefs, call, adapter.call(call))

        @rule(call=st.sampled_from(calls))
        def call(self, call: Call) -> None:
            """Make a call and judge the answer."""
            nonlocal made
            made += 1
            verdict, self.beliefs = judge(model, self.beliefs, call, adapter.call(call))
            assert verdict.outcome is Outcome.PASS

    run = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    seconds = _timed(lambda: run_state_machine_as_test(Plain, settings=run))
    return made / seconds
