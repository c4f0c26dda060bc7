"""Sequences derived from the model: for every row, a shortest way to where it decides."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from ..model.call import Args, Call
from ..model.oracle import Model, forbids_ok, in_scope, permitted, prevailing, successors
from ..model.rule import Rule
from ..model.state import State
from ..model.vocabulary import CKR
from .policy import Policy, anything

DEPTH = 3
"""Calls to the state in which a row is looked for; no row of the table needs more."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a sequence shows in its last call: that a row decides, that it decides alone, or that it outranks another.

    Rows are numbered as in the function. `under` is the row outranked.
    """

    function: str
    row: int
    alone: bool = False
    under: int | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """A sequence whose last call meets a goal."""

    goal: Goal
    rule: Rule
    calls: tuple[Call, ...]


def all_calls(model: Model, initial: State, policy: Policy = anything) -> tuple[Call, ...]:
    """Every call of the model in a scope that the policy allows, function by function."""
    return tuple(c for f in model.functions.values() for c in f.calls(initial) if policy(c))


def explore(
    model: Model, initial: State, every: tuple[Call, ...], depth: int
) -> Iterator[tuple[State, tuple[Call, ...]]]:
    """The states within `depth` calls of the start, nearest first, each with a shortest way to it.

    Only ways on which the text leaves the next state no choice are taken, so that a module that conforms is where
    the way says.
    """
    changing = tuple(c for c in every if model.functions[c.function].effects)
    seen = {initial}
    queue: deque[tuple[State, tuple[Call, ...]]] = deque([(initial, ())])
    while queue:
        s, way = queue.popleft()
        yield s, way
        if len(way) == depth:
            continue
        for call in changing:
            if not in_scope(model, s, call):
                continue
            codes = permitted(model, s, call)
            code = CKR.OK if CKR.OK in codes else min(codes, default=CKR.OK)
            if code != CKR.OK and len(codes) > 1:
                continue
            for t in successors(model, s, call, code):
                if t not in seen:
                    seen.add(t)
                    queue.append((t, (*way, call)))


def goals(model: Model) -> Iterator[Goal]:
    """Everything worth a sequence: each row, each firm row alone, and each precedence between rows of a function."""
    for f in model.functions.values():
        pairs = model.orders[f.name]
        for k, r in enumerate(f.rules):
            yield Goal(f.name, k)
            if forbids_ok(r):
                yield Goal(f.name, k, alone=True)
                yield from (Goal(f.name, k, under=j) for j, low in enumerate(f.rules) if (r.code, low.code) in pairs)


def met(model: Model, function: str, rules: tuple[Rule, ...], numbers: tuple[int, ...]) -> Iterator[Goal]:
    """The goals that a call meets to which these rows apply."""
    codes = {r.code for r in prevailing(model, function, rules)}
    firm = [k for k, r in zip(numbers, rules, strict=True) if forbids_ok(r)]
    pairs = model.orders[function]
    for k, r in zip(numbers, rules, strict=True):
        rest = tuple(x for x in rules if x is not r)
        if r.code in codes and codes != {x.code for x in prevailing(model, function, rest)}:
            yield Goal(function, k)
        if firm == [k]:
            yield Goal(function, k, alone=True)
        if k in firm:
            yield from (
                Goal(function, k, under=j) for j, low in zip(numbers, rules, strict=True) if (r.code, low.code) in pairs
            )


def witnesses(model: Model, initial: State, policy: Policy = anything, depth: int = DEPTH) -> tuple[Witness, ...]:
    """A shortest sequence for every goal that the scope reaches."""
    every = all_calls(model, initial, policy)
    wanted = set(goals(model))
    found: list[Witness] = []
    for s, way in explore(model, initial, every, depth):
        open_functions = {g.function for g in wanted}
        for call in every:
            f = model.functions[call.function]
            if f.name not in open_functions or not in_scope(model, s, call):
                continue
            numbers = tuple(k for k, r in enumerate(f.rules) if r.when(s, call.args))
            if not numbers:
                continue
            for goal in met(model, f.name, tuple(f.rules[k] for k in numbers), numbers):
                if goal in wanted:
                    wanted.remove(goal)
                    found.append(Witness(goal, f.rules[goal.row], (*way, call)))
    return tuple(found)


def probes(initial: State, functions: frozenset[str]) -> tuple[Call, ...]:
    """Calls that change nothing and show what the module holds, to end a sequence with."""
    ask = (
        *(Call("C_GetSessionInfo", Args(session=k)) for k in range(len(initial.sessions))),
        *(Call("C_GetTokenInfo", Args(slot=k)) for k in range(len(initial.slots))),
    )
    return tuple(c for c in ask if c.function in functions)
