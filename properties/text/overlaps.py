"""Which rows of a function apply together: met on the derived ways where they can be, and proved apart where not."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from ...model.call import Call
from ...model.oracle import Model
from ...model.state import Object, Slot, State
from ..engine.columns import Columns, members
from ..engine.packed import States
from ..engine.reads import Leaves
from ..proofs.invariants import invariants
from ..proofs.symbolic import System
from ..search.goals import views

Pair = tuple[str, int, int]
"""Two rows of a function, by their numbers there, the lower one first; twice the same for one row alone."""

Say = Callable[[str], None]
"""What is told how far the search is."""

DEPTH = 2
"""Calls to the states that are looked at beside the places of `situations`; what they do not show is left to z3."""

SAID_EVERY = 200
"""Views, or questions, between two words of how far it is."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """A state and a call in which rows apply at once, and a way from the start; None if z3 found the state."""

    state: State
    call: Call
    way: tuple[Call, ...] | None = None


@dataclass(frozen=True, slots=True)
class Together:
    """What meets in a scope: a meeting for each pair that has one. Of a pair in `apart`, z3 proved that it has none.

    `scope` is the state whose size and facts the proofs speak of.
    """

    scope: State
    met: Mapping[Pair, Meeting]
    apart: frozenset[Pair]


def pair(function: str, one: int, other: int) -> Pair:
    """Two rows of a function, in order."""
    return (function, min(one, other), max(one, other))


def small_scope(initial: State) -> State:
    """The scope of the proofs: the facts of every slot, and those that no slot has; two sessions, three objects."""
    more = (Slot(protected_path=True), Slot(login_required=False))
    return replace(initial, slots=(*initial.slots, *more), sessions=initial.sessions[:1] * 2, objects=(Object(),) * 3)


def together(model: Model, initial: State, wanted: Iterable[Pair], say: Say) -> Together:
    """Whether the rows of each wanted pair ever apply in one call, in a state that holds what is proved to hold always.

    Most pairs meet on the derived ways, which takes no proof.
    """
    left = set(wanted)
    met: dict[Pair, Meeting] = {}
    for found, meeting in _seen(model, initial, say):
        if found in left:
            left.remove(found)
            met[found] = meeting
    scope = small_scope(initial)
    system = System(model, scope)
    space = system.space(x.predicate for x in invariants(model))
    # Functions share their conditions, so that most pairs were asked about before.
    possible = cache(lambda conditions: system.possible(space, conditions))
    apart: set[Pair] = set()
    for n, (name, one, other) in enumerate(sorted(left)):
        if n % SAID_EVERY == 0:
            say(f"asking z3: {n} of {len(left)} pairs of rows")
        rules = model.functions[name].rules
        conditions = frozenset({rules[one].when, rules[other].when})
        solved = system.meeting(space, name, conditions) if possible(conditions) else None
        if solved is None:
            apart.add((name, one, other))
        else:
            met[name, one, other] = Meeting(*solved)
    return Together(scope, met, frozenset(apart))


def _seen(model: Model, initial: State, say: Say) -> Iterator[tuple[Pair, Meeting]]:
    """Pairs of rows that apply together on the derived ways; rows that apply alike are given once."""
    seen: set[tuple[str, tuple[int, ...]]] = set()
    states, leaves = States(initial), Leaves(initial)
    # The calls of a function are the same ones in every view.
    columns: dict[str, Columns] = {}
    for n, (s, way, calls) in enumerate(views(model, initial, depth=DEPTH)):
        if n % SAID_EVERY == 0:
            say(f"looking around: {n} states, {len(seen)} ways in which rows apply")
        flat = states.flats[states.number(s)]
        for name, own in calls.items():
            if name not in columns:
                columns[name] = Columns(model, name, own, leaves)
            for rows, which in columns[name].alike(columns[name].holding(flat)):
                if (name, rows) not in seen:
                    seen.add((name, rows))
                    meeting = Meeting(s, own[members(which)[0]], way)
                    yield from (((name, i, j), meeting) for at, i in enumerate(rows) for j in rows[at:])
