"""The oracle with a memory is the oracle: the same verdicts and beliefs, step by step, whatever it has forgotten."""

from collections.abc import Iterator
from random import Random

import pytest
from conftest import ONE_SLOT

from p11conform.model.call import Call, Observation
from p11conform.model.oracle import Model, in_scope, may_succeed, outputs, permitted, successors
from p11conform.model.state import Object, Saved, Slot, State
from p11conform.model.vocabulary import CKR
from p11conform.properties.engine.beliefs import Compiled
from p11conform.properties.engine.verdict import Beliefs, Outcome, Verdict, follow, one_of
from p11conform.properties.policy import anything
from p11conform.properties.search.goals import all_calls, by_function

WIDE = State(slots=(Slot(), Slot(dual=True)), objects=(Object(),) * 3)
TRIES = 12
"""Calls of which the first that may succeed is made."""

TURN = 200
"""Steps after which a walk begins anew."""


class Answers:
    """Observations by number, as adapters number them."""

    def __init__(self) -> None:
        self._seen: dict[Observation, int] = {}
        self._all: list[Observation] = []

    def number(self, seen: Observation) -> int:
        if seen == Observation(seen.code):
            return seen.code
        number = self._seen.setdefault(seen, ~len(self._all))
        if ~number == len(self._all):
            self._all.append(seen)
        return number

    def __call__(self, answer: int) -> Observation:
        return Observation(answer) if answer >= 0 else self._all[~answer]


def answers(model: Model, random: Random, s: State, call: Call) -> Observation:
    """An answer that is mostly right, and sometimes trouble or nonsense."""
    kind = random.random()
    codes = sorted(permitted(model, s, call))
    if kind < 0.03:
        return Observation(random.choice(list(CKR)))
    if kind < 0.06 or not codes:
        return Observation(random.choice((CKR.HOST_MEMORY, CKR.FUNCTION_NOT_SUPPORTED, CKR.DEVICE_ERROR)))
    code = CKR.OK if CKR.OK in codes and kind < 0.7 else random.choice(codes)
    t = next(iter(successors(model, s, call, code)))
    given = tuple((name, values[0]) for name, values in outputs(model, t, call, code) if values)
    if given and kind > 0.98:
        given = ((given[0][0], given[0][1] + 1), *given[1:])
    return Observation(code, given)


def same(first: Verdict, other: Verdict) -> bool:
    """Rows may stand in another order where several states are believed."""
    plain = (first.outcome, first.call, first.observation, first.kind, first.permitted, first.why, first.mismatch)
    others = (other.outcome, other.call, other.observation, other.kind, other.permitted, other.why, other.mismatch)
    return plain == others and set(first.rules) == set(other.rules) and set(first.advice) == set(other.advice)


def walk(model: Model, initial: State, steps: int, full: int, seed: int) -> Iterator[tuple[int, Compiled]]:
    """Walk on both oracles, and compare."""
    random, answer = Random(seed), Answers()
    calls = all_calls(model, initial)
    members = [[k for k, call in enumerate(calls) if call.function == name] for name in by_function(calls)]
    oracle = Compiled(model, initial, calls, answer, anything, full)
    believed: Beliefs = frozenset({initial})
    belief, made = oracle.start, 0
    while made < steps:
        s = one_of(believed)
        tried = [random.choice(random.choice(members)) for _ in range(TRIES)]
        # Mostly what may succeed, else the walk stays where it is.
        likely = (k for k in tried if random.random() < 0.9 and may_succeed(model, s, calls[k]))
        k = next(likely, tried[0])
        allowed = all(in_scope(model, s, calls[k]) for s in believed)
        assert oracle.may(belief, k) is allowed
        if not allowed:
            continue
        made += 1
        seen = answers(model, random, s, calls[k])
        verdict, after = follow(model, tuple(believed), calls[k], seen)
        believed = frozenset(after)
        step = oracle.step(belief, k, answer.number(seen))
        assert same(step.verdict, verdict), (verdict, step.verdict)
        assert frozenset(oracle.believed(step.after)) == believed
        assert step.over is (verdict.outcome is Outcome.FAIL or not believed)
        assert oracle.step(step.before, k, answer.number(seen)) is step
        belief = step.after
        if step.over or made % TURN == 0:
            belief, believed = oracle.start, frozenset({initial})
        yield made, oracle


def test_a_hundred_thousand_steps_are_those_of_the_plain_oracle(model: Model) -> None:
    for made, oracle in walk(model, WIDE, 100_000, 200_000, 1):
        last, kept = made, oracle
    assert last == 100_000
    assert len(kept.states) > 1_000, "the walk is no walk if it stays where it is"


@pytest.mark.parametrize("full", [1, 7, 500])
def test_forgetting_changes_nothing(full: int, core: Model) -> None:
    told: list[int] = []
    for made, oracle in walk(core, ONE_SLOT, 3_000, full, 2):
        if made == 1:
            oracle.forgetting = lambda: told.append(1)
        assert len(oracle.states) <= 2 * full + 2, "what is forgotten is not kept"
    assert len(told) >= 3_000 // (40 * full)


def test_there_is_one_belief_for_each_set_of_states(core: Model) -> None:
    oracle = Compiled(core, ONE_SLOT, all_calls(core, ONE_SLOT), Observation, anything)
    other = State(initialized=True)
    assert oracle.believing([ONE_SLOT]) is oracle.start
    assert oracle.believing([other, ONE_SLOT]) is oracle.believing([ONE_SLOT, other, other])
    assert oracle.start.certain
    assert not oracle.believing([other, ONE_SLOT]).certain


def test_states_of_a_belief_stand_in_one_order_whatever_was_met_first(core: Model) -> None:
    several = [State(initialized=True), State(saved=Saved(True)), State(initialized=True, saved=Saved(True))]
    calls = all_calls(core, ONE_SLOT)
    orders = []
    for met in (several, several[::-1]):
        oracle = Compiled(core, ONE_SLOT, calls, Observation, anything)
        for s in met:
            oracle.believing([s])
        orders.append(oracle.believed(oracle.believing(several)))
    assert orders[0] == orders[1]
