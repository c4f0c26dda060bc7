"""Two questions to a transition system.

Can this happen? Bounded model checking finds a shortest trace. Does this always hold? k-induction proves it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import z3

from ..model.call import Args, Call
from ..model.state import State
from ..model.vocabulary import CKR
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
