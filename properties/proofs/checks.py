"""Two questions to a transition system.

Can this happen? Bounded model checking finds a shortest trace. Does this always hold? k-induction proves it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import z3

from ...model.call import Args, Call
from ...model.decide import forbids_ok
from ...model.rule import Condition, Rule
from ...model.state import State
from ...model.vocabulary import CKR
from .symbolic import System, solver

Trace = tuple[tuple[Call, CKR], ...]
"""Calls with the codes they return, from some state on."""

Property = Callable[[State], bool]
Event = Callable[[State, Args, str, CKR], bool]
"""A fact about a step: the state before it, the arguments, the function, and the code returned."""


class Outcome(Enum):
    """What came of an attempt to prove an invariant. UNKNOWN: neither proved nor violated within the bound."""

    PROVED = "proved"
    VIOLATED = "violated"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Proof:
    """The outcome, and what stands against the invariant.

    `trace` leads from `start` to a state in which the invariant fails. VIOLATED: `start` is the initial state.
    UNKNOWN: `start` is a state, reachable or not, from which the invariant held until the last step.
    """

    outcome: Outcome
    start: State | None = None
    trace: Trace = ()


def reach(system: System, goal: Property, bound: int) -> Trace | None:
    """A shortest trace from the initial state to one that meets the goal, or None within `bound` calls."""
    return _search(system, system.holds(goal), range(bound + 1))


def reach_event(system: System, event: Event, bound: int) -> Trace | None:
    """A shortest trace whose last step is the event, or None within `bound` calls."""
    return _search(system, system.happens(event), range(1, bound + 1))


def _every(_: Rule) -> bool:
    return True


def reach_code(
    system: System, code: CKR, bound: int, function: str | None = None, wanted: Callable[[Rule], bool] = _every
) -> Trace | None:
    """A shortest trace whose last call returns a code by a row with which no other condition forbids success.

    So the code is there for its own reason, not for want of an order among several. CKR_OK is reached by success. Of
    the rows only those count that are `wanted`.
    """
    names = [name for name in system.names if function in (None, name)]
    ways = [z3.And(system.function == system.names.index(name), _alone(system, name, code, wanted)) for name in names]
    return _search(system, z3.And(system.legal, system.code == int(code), z3.Or(ways)), range(1, bound + 1))


def _alone(system: System, name: str, code: CKR, wanted: Callable[[Rule], bool]) -> z3.BoolRef:
    if code is CKR.OK:
        return z3.BoolVal(CKR.OK in system.transition(name).permitted)
    rules = system.model.functions[name].rules
    terms = list(zip(rules, system.transition(name).applies, strict=True))
    firm = [(r, term) for r, term in terms if forbids_ok(r)]
    return z3.Or(
        [
            z3.And(term, *(z3.Not(other) for f, other in firm if f.when != r.when))
            for r, term in terms
            if r.code is code and wanted(r)
        ]
    )


def prove(system: System, invariant: Property, k: int = 1, given: Sequence[Property] = (), bound: int = 8) -> Proof:
    """Whether a property holds in every reachable state, by induction over `k` steps without a repeated state.

    `given` names properties proved before. Where the induction fails, a violation is sought within `bound` calls.
    """
    holds, lemmas = system.holds(invariant), z3.And([system.holds(lemma) for lemma in given])
    gap = _counterexample_to_induction(system, holds, lemmas, k)
    trace = _search(system, z3.Not(holds), range(k if gap is None else max(k, bound + 1)))
    if trace is not None:
        return Proof(Outcome.VIOLATED, system.initial, trace)
    return Proof(Outcome.PROVED) if gap is None else gap


def difference(system: System, function: str, one: Condition, other: Condition) -> tuple[State, Call] | None:
    """A state and a call of a function for which one of two conditions holds and the other not; None if they agree."""

    def differ(s: State, a: Args) -> bool:
        return one(s, a) != other(s, a)

    return system.meeting(system.space(), function, [differ])


def unanswered(system: System) -> Mapping[str, tuple[State, Call]]:
    """By function, a state and a call in scope for which no return value is permitted; empty if there are none."""
    space, found = system.space(), {}
    for name in system.names:
        space.push()
        space.add(z3.Not(z3.Or(list(system.transition(name).permitted.values()))))
        where = system.meeting(space, name, [])
        space.pop()
        if where is not None:
            found[name] = where
    return found


def prove_together(system: System, invariants: Mapping[str, Property], bound: int = 4) -> Mapping[str, Proof]:
    """Whether each of several properties, by name, holds in every reachable state.

    They are proved at once, by one induction in which all may be assumed; those that fail are left out, and sought
    violated within `bound` calls, and the rest is tried again without them.
    """
    terms = {name: system.holds(predicate) for name, predicate in invariants.items()}
    found = {
        name: Proof(Outcome.VIOLATED, system.initial)
        for name, predicate in invariants.items()
        if not predicate(system.initial)
    }
    s = solver()
    s.add(system.at(system.state_domain, 0), system.relation(0))
    while left := [name for name in terms if name not in found]:
        s.push()
        s.add([system.at(terms[name], 0) for name in left])
        gaps = {name: gap for name in left if (gap := _gap(system, s, terms[name])) is not None}
        s.pop()
        if not gaps:
            found |= dict.fromkeys(left, Proof(Outcome.PROVED))
        for name, gap in gaps.items():
            trace = _search(system, z3.Not(terms[name]), range(bound + 1))
            found[name] = gap if trace is None else Proof(Outcome.VIOLATED, system.initial, trace)
    return {name: found[name] for name in invariants}


def _gap(system: System, s: z3.Solver, holds: z3.BoolRef) -> Proof | None:
    """A step after which a property fails, from a state of those that a solver is at."""
    s.push()
    s.add(z3.Not(system.at(holds, 1)))
    model = s.model() if s.check() == z3.sat else None
    s.pop()
    if model is None:
        return None
    return Proof(Outcome.UNKNOWN, system.read_state(model, 0), _trace(system, model, 1))


def _search(system: System, target: z3.BoolRef, lengths: range) -> Trace | None:
    """A trace of the first length, of those that rise by one step at a time, at whose end the target is met."""
    s = solver()
    s.add(system.start())
    for i, length in enumerate(lengths):
        s.push()
        s.add(system.at(target, i))
        if s.check() == z3.sat:
            return _trace(system, s.model(), length)
        s.pop()
        s.add(system.relation(i))
    return None


def _counterexample_to_induction(system: System, holds: z3.BoolRef, lemmas: z3.BoolRef, k: int) -> Proof | None:
    s = solver()
    s.add(system.at(system.state_domain, 0), system.at(lemmas, k), z3.Not(system.at(holds, k)))
    for i in range(k):
        s.add(system.at(z3.And(holds, lemmas), i), system.relation(i))
        s.add([z3.Or([system.at(v, i) != system.at(v, j) for v in system.current]) for j in range(i)])
    if s.check() == z3.unsat:
        return None
    model = s.model()
    return Proof(Outcome.UNKNOWN, system.read_state(model, 0), _trace(system, model, k))


def _trace(system: System, model: z3.ModelRef, length: int) -> Trace:
    return tuple(system.read_step(model, i) for i in range(length))
