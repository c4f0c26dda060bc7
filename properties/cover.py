"""Sequences derived from the model: for every row, a shortest way to where it decides."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from ..model.call import Args, Call, calls
from ..model.oracle import Model, applicable, forbids_ok, in_scope, permitted, prevailing, successors
from ..model.rule import Rule
from ..model.state import State
from ..model.vocabulary import CKR
from .policy import Policy, anything

DEPTH = 3
"""Calls to the state in which a row is looked for; no row of the table needs more."""


@dataclass(frozen=True, slots=True)
class Witness:
    """A sequence whose last call shows a row at work. `alone`: no other row forbids that call to succeed."""

    function: str
    rule: Rule
    calls: tuple[Call, ...]
    alone: bool


def all_calls(model: Model, initial: State, policy: Policy = anything) -> tuple[Call, ...]:
    """Every call of the model in a scope that the policy allows, function by function."""
    return tuple(c for f in model.functions.values() for c in calls(f.name, f.uses, initial) if policy(c))


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


def witnesses(model: Model, initial: State, policy: Policy = anything, depth: int = DEPTH) -> tuple[Witness, ...]:
    """For every row that the scope reaches: a shortest sequence where it decides, and one where it stands alone."""
    every = all_calls(model, initial, policy)
    by_function: dict[str, list[Call]] = {}
    for call in every:
        by_function.setdefault(call.function, []).append(call)
    wanted = {
        (f.name, k, alone)
        for f in model.functions.values()
        for k, r in enumerate(f.rules)
        for alone in ((False, True) if forbids_ok(r) else (False,))
    }
    found: list[Witness] = []
    for s, way in explore(model, initial, every, depth):
        for name in {name for name, _, _ in wanted}:
            rows = model.functions[name].rules
            mine = {(k, alone) for n, k, alone in wanted if n == name}
            for call in by_function.get(name, ()):
                for k in sorted({k for k, _ in mine}):
                    if not rows[k].when(s, call.args) or not in_scope(model, s, call):
                        continue
                    for alone in sorted(alone for j, alone in mine if j == k):
                        if _decides(model, s, call, rows[k], alone):
                            mine.remove((k, alone))
                            wanted.remove((name, k, alone))
                            found.append(Witness(name, rows[k], (*way, call), alone))
        if not wanted:
            break
    return tuple(found)


def _decides(model: Model, s: State, call: Call, rule: Rule, alone: bool) -> bool:
    rules = applicable(model, s, call)
    if alone:
        return not any(forbids_ok(r) for r in rules if r is not rule)
    rest = tuple(r for r in rules if r is not rule)
    codes = {r.code for r in prevailing(model, call.function, rules)}
    return codes != {r.code for r in prevailing(model, call.function, rest)} and rule.code in codes


def probes(initial: State, functions: frozenset[str]) -> tuple[Call, ...]:
    """Calls that change nothing and show what the module holds, to end a sequence with."""
    ask = (
        *(Call("C_GetSessionInfo", Args(session=k)) for k in range(len(initial.sessions))),
        *(Call("C_GetTokenInfo", Args(slot=k)) for k in range(len(initial.slots))),
    )
    return tuple(c for c in ask if c.function in functions)
