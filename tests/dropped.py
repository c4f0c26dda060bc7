"""Rows of the table dropped, one at a time: what tells that one is gone, where a sequence of calls leads to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from conftest import Steady

from p11conform.model.call import Call
from p11conform.model.oracle import Model, legal_anyway, may_succeed, permitted, successors
from p11conform.model.rule import Rule
from p11conform.model.state import State
from p11conform.model.vocabulary import CKR
from p11conform.properties.engine.verdict import Verdict
from p11conform.properties.run.driver import Driver
from p11conform.properties.search.goals import Goal, Part, Witness, witnesses
from p11conform.properties.search.setups import likeliest


class Fate(Enum):
    """What comes of a row: what tells that it is gone, or why nothing does."""

    FOUND = "a module without it, or one that has it where the oracle lacks it, is found out"
    SAID_BY_OTHERS = "wherever it applies, others give its code, and others forbid success"
    LEGAL_ANYWAY = "its code is legal without it, and proves nothing"
    LEFT_OPEN = "its code is permitted in another state that the text lets the module be in"
    UNREACHED = "no sequence leads to it"
    MISSED = "nothing tells that it is gone"


@dataclass(frozen=True)
class Dropped:
    """A row of a function that was dropped, and what came of it: the failure that told, where one did."""

    function: str
    rule: Rule
    fate: Fate
    verdict: Verdict | None = None


Row = tuple[str, int]
"""A row: its function, and its number there."""


class _Answering(Steady):
    """A module that gives one code to the last of some calls, where its model permits that.

    What the text leaves open it settles as the search for ways does.
    """

    def __init__(self, model: Model, initial: State, last: int, code: CKR) -> None:
        super().__init__(model, initial)
        self._left, self._code = last, code

    def _choose(self, call: Call) -> CKR:
        self._left -= 1
        if self._left == 0 and self._code in permitted(self._model, self._state, call):
            return self._code
        return super()._choose(call)

    def _settle(self, call: Call, code: CKR) -> State:
        return likeliest(self._model, self._state, call) if code is CKR.OK else super()._settle(call, code)


def rows(model: Model) -> list[Row]:
    """Every row of a model."""
    return [(name, k) for name, f in model.functions.items() for k in range(len(f.rules))]


def ways_to(model: Model, initial: State, some: Sequence[Row]) -> dict[Row, list[Witness]]:
    """Sequences that lead to rows, those that show most of a row first."""
    wanted = [Goal(name, k, part) for name, k in some for part in Part]
    found: dict[Row, list[Witness]] = {row: [] for row in some}
    for w in witnesses(model, initial, wanted=wanted):
        assert w.goal.row is not None
        found[w.goal.function, w.goal.row].append(w)
    return {row: sorted(ways, key=lambda w: -w.goal.part) for row, ways in found.items()}


def dropped(model: Model, initial: State, row: Row, ways: Sequence[Witness]) -> Dropped:
    """What comes of dropping a row to which these sequences lead."""
    name, k = row
    rule = model.functions[name].rules[k]
    mutant = model.without(name, rule)
    fate = Fate.SAID_BY_OTHERS if ways else Fate.UNREACHED
    for way in ways:
        for oracle, module in ((model, mutant), (mutant, model)):
            allowed = _at_the_end(oracle, initial, way)
            for code in sorted(_at_the_end(module, initial, way) - allowed):
                answering = _Answering(module, initial, len(way.calls), code)
                failure = Driver(oracle, initial, answering).replay(way.calls).failure
                if failure is not None:
                    return Dropped(name, rule, Fate.FOUND, failure)
                if legal_anyway(oracle, name, code, CKR.OK in allowed):
                    fate = Fate.LEGAL_ANYWAY
                elif code in _in_any_state(oracle, initial, way):
                    fate = Fate.LEFT_OPEN
                else:
                    return Dropped(name, rule, Fate.MISSED)
    return Dropped(name, rule, fate)


def _at_the_end(model: Model, initial: State, way: Witness) -> frozenset[CKR]:
    """What is permitted of the last call of a sequence."""
    s = initial
    for call in way.calls[:-1]:
        s = likeliest(model, s, call)
    return permitted(model, s, way.calls[-1])


def _in_any_state(model: Model, initial: State, way: Witness) -> frozenset[CKR]:
    """What is permitted of the last call of a sequence in any of the states that the text lets the others lead to."""
    *before, last = way.calls
    states = {initial}
    for call in before:
        states = {t for s in states if may_succeed(model, s, call) for t in successors(model, s, call, CKR.OK)}
    return frozenset(code for s in states for code in permitted(model, s, last))
