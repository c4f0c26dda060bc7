"""Sequences derived from the model: for every row, a shortest way to where it decides."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..model.call import Args, Call
from ..model.interface import SIGNATURES
from ..model.oracle import Model, forbids_ok, in_scope, permitted, prevailing, successors
from ..model.rule import Rule
from ..model.state import Pin, State
from ..model.vocabulary import CKR, CKU
from .policy import Policy, anything
from .situations import situations

DEPTH = 3
"""Calls to the state in which a row is looked for; no row of the table needs more."""

NEAR = frozenset(name for name, signature in SIGNATURES.items() if signature.section in ("5.4", "5.5", "5.6"))
"""Functions through which the search walks and at which it looks: those of the library, tokens and sessions."""

DEPTH_OF_COMBINATIONS = 2
"""The same for precedences and arguments, of which many are never met, so that the search for them must end."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a sequence shows in its last call: that a row decides, that it decides alone, or that it outranks another.

    Rows are numbered as in the function; None stands for success. `under` is the row outranked; `given` is an
    argument, by name and value, that the call has while the row decides. `effect` is an effect, numbered as in the
    function, that changes the state when the call succeeds.
    """

    function: str
    row: int | None
    alone: bool = False
    under: int | None = None
    given: tuple[str, Any] | None = None
    effect: int | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """A sequence whose last call meets a goal."""

    goal: Goal
    rule: Rule | None
    calls: tuple[Call, ...]


def all_calls(model: Model, initial: State) -> tuple[Call, ...]:
    """Every call of the model in a scope that is worth making, function by function."""
    return tuple(c for f in model.functions.values() for c in f.calls(initial))


def explore(
    model: Model, initial: State, every: tuple[Call, ...], depth: int, policy: Policy = anything
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
            if not (in_scope(model, s, call) and policy(s, call)):
                continue
            codes = permitted(model, s, call)
            code = CKR.OK if CKR.OK in codes else min(codes, default=CKR.OK)
            if code != CKR.OK and len(codes) > 1:
                continue
            for t in successors(model, s, call, code):
                if t not in seen:
                    seen.add(t)
                    queue.append((t, (*way, call)))


def goals(model: Model, initial: State) -> Iterator[Goal]:
    """Everything worth a sequence: success, each row, firm rows alone, each precedence, each argument beside each."""
    for f in model.functions.values():
        pairs = model.orders[f.name]
        values = [(name, value) for name in f.uses for value in f.domain(name, initial)[1:]]
        yield from (Goal(f.name, None, effect=n) for n in range(len(f.effects)))
        for k in (None, *range(len(f.rules))):
            yield Goal(f.name, k)
            yield from (Goal(f.name, k, given=given) for given in values)
        for k, r in enumerate(f.rules):
            if forbids_ok(r):
                yield Goal(f.name, k, alone=True)
                yield from (Goal(f.name, k, under=j) for j, low in enumerate(f.rules) if (r.code, low.code) in pairs)


def met(model: Model, s: State, call: Call, rows: tuple[int, ...]) -> Iterator[Goal]:
    """The goals that a call meets to which these rows of its function apply.

    A row that outranks another, or that decides beside an argument, must do so while no other firm row prevails:
    else a module could pass by the other one's code.
    """
    f = model.functions[call.function]
    pairs = model.orders[f.name]
    rules = {k: f.rules[k] for k in rows}
    every = tuple(rules.values())
    prevail = prevailing(model, f.name, every)
    codes = {r.code for r in prevail}
    firm_codes = {r.code for r in prevail if forbids_ok(r)}
    firm = [k for k, r in rules.items() if forbids_ok(r)]
    given = [(name, getattr(call.args, name)) for name in f.uses]
    if not firm and f.returns_ok:
        yield Goal(f.name, None)
        yield from (Goal(f.name, None, given=x) for x in given)
        for n, effect in enumerate(f.effects):
            if CKR.OK in effect.on and effect.change(s, call.args) != s:
                yield Goal(f.name, None, effect=n)
    for k, r in rules.items():
        rest = tuple(x for x in every if x is not r)
        if r.code in codes and codes != {x.code for x in prevailing(model, f.name, rest)}:
            yield Goal(f.name, k)
            if firm_codes <= {r.code}:
                yield from (Goal(f.name, k, given=x) for x in given)
        if firm == [k]:
            yield Goal(f.name, k, alone=True)
        if k in firm and firm_codes == {r.code}:
            yield from (Goal(f.name, k, under=j) for j, low in rules.items() if (r.code, low.code) in pairs)


def witnesses(
    model: Model,
    initial: State,
    policy: Policy = anything,
    depth: int = DEPTH,
    wanted: Iterable[Goal] | None = None,
) -> tuple[Witness, ...]:
    """A shortest sequence for every goal that the scope reaches, or for those that are wanted."""
    every = all_calls(model, initial)
    near = tuple(c for c in every if c.function in NEAR)
    wanted = set(goals(model, initial) if wanted is None else wanted)
    found: list[Witness] = []

    def look(s: State, way: tuple[Call, ...], calls: tuple[Call, ...]) -> None:
        functions = {g.function for g in wanted}
        for call in calls:
            if call.function not in functions or not (in_scope(model, s, call) and policy(s, call)):
                continue
            rules = model.functions[call.function].rules
            rows = tuple(k for k, r in enumerate(rules) if r.when(s, call.args))
            for goal in met(model, s, call, rows):
                if goal in wanted:
                    wanted.remove(goal)
                    found.append(Witness(goal, None if goal.row is None else rules[goal.row], (*way, call)))

    for s, way in explore(model, initial, near, depth, policy):
        if len(way) > DEPTH_OF_COMBINATIONS and not any(g.under is None and g.given is None for g in wanted):
            break
        look(s, way, near if way else every)
    for s, way in situations(model, initial):
        if all(map(policy, _along(model, initial, way), way)):
            look(s, way, every)
    return tuple(found)


def _along(model: Model, s: State, way: tuple[Call, ...]) -> Iterator[State]:
    """The states that a way passes through, the last one left out."""
    for call in way:
        yield s
        s = min(successors(model, s, call, CKR.OK), key=repr)


def closing(witness: Witness, model: Model, initial: State) -> tuple[Call, ...]:
    """Calls to end a sequence with, that show what the module holds; after an effect, also whether it happened."""
    sessions, slots = range(len(initial.sessions)), range(len(initial.slots))
    look = (
        *(Call("C_GetSessionInfo", Args(session=k)) for k in sessions),
        *(Call("C_GetTokenInfo", Args(slot=k)) for k in slots),
    )
    if witness.goal.effect is None:
        return tuple(c for c in look if c.function in model.functions)
    users = ((CKU.USER, Pin.USER), (CKU.USER, Pin.OTHER), (CKU.SO, Pin.SO), (CKU.SO, Pin.OTHER))
    deep = (
        *look,
        *(Call("C_GetOperationState", Args(session=k)) for k in sessions),
        Call("C_Finalize"),
        Call("C_Initialize"),
        Call("C_OpenSession"),
        *(call for user, pin in users for call in (Call("C_Login", Args(user=user, pin=pin)), Call("C_Logout"))),
    )
    return tuple(c for c in deep if c.function in model.functions)
