"""Sequences that show the order of two codes: in the last call both apply, and one is to be returned rather (5.1)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ...model.call import Call
from ...model.oracle import Model, build
from ...model.precedence import EXPLICIT
from ...model.state import State
from ...model.vocabulary import CKR
from ..engine.packed import uncollected
from ..policy import Policy, anything
from .detours import Detours
from .goals import DEPTH_OF_COMBINATIONS, Goal, Search, Witness, goals

Pair = tuple[CKR, CKR]
"""A code, and one that it outranks."""

STATED: tuple[Pair, ...] = tuple(dict.fromkeys((r.higher, r.lower) for r in EXPLICIT if r.lower is not CKR.OK))
"""What sentences and ordered lists of the text state of two codes that are errors."""


@uncollected()
def orders(
    model: Model,
    initial: State,
    wanted: Iterable[Pair] = STATED,
    policy: Policy = anything,
    detours: Detours | None = None,
) -> Mapping[Pair, Witness]:
    """For each pair a short sequence whose last call must not succeed, by the first code, and where the second applies.

    Pairs that no such sequence was found for are left out: the conditions never meet, or no row gives one of the codes.
    """
    pairs = frozenset(wanted)
    pair_of = {g: pair for g in goals(model, initial) if g.under is not None and (pair := _pair(model, g)) in pairs}
    goals_of: dict[Pair, list[Goal]] = {}
    for goal, pair in pair_of.items():
        goals_of.setdefault(pair, []).append(goal)
    search = Search(model, initial, policy, pair_of, detours)
    found: dict[Pair, Witness] = {}
    for view in search.views(DEPTH_OF_COMBINATIONS):
        before = len(search.found)
        search.look(*view)
        for witness in search.found[before:]:
            pair = pair_of[witness.goal]
            if found.setdefault(pair, witness) is witness:
                search.drop(goals_of[pair])
        if search.over:
            break
    return found


def _pair(model: Model, goal: Goal) -> Pair:
    assert goal.row is not None
    assert goal.under is not None
    rules = model.functions[goal.function].rules
    return rules[goal.row].code, rules[goal.under].code


BINDING: tuple[Mapping[str, str], ...] = ({}, {"A-00": "required", "A-90": "ordered"}, {"A-30": "all writing"})
"""Readings under which the rows of one relation or another require their code, the default ones first."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A pair with a sequence that shows it, in a model with events under these readings."""

    pair: Pair
    readings: Mapping[str, str]
    calls: tuple[Call, ...]


def shown(initial: State, wanted: Iterable[Pair] = STATED) -> Iterator[Shown]:
    """Each of the pairs that a sequence shows, under the first readings that let one do so."""
    left = tuple(wanted)
    for readings in BINDING:
        found = orders(build(readings=readings, events=True), initial, left)
        yield from (Shown(pair, readings, found[pair].calls) for pair in left if pair in found)
        left = tuple(pair for pair in left if pair not in found)
