"""What a run counts and covers, step by step or a whole run's at once."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from ...model.call import Call
from ...model.oracle import Model
from ...model.rule import Function
from ...model.state import Mech
from ...model.vocabulary import CKR
from ..engine.verdict import Cause, Outcome, Steps, Verdict


@dataclass(slots=True)
class Unheeded:
    """A recommendation that was not followed: how often, by which function with which answer, and a sequence.

    `steps` are the fewest that ended so, none where all were too long to be kept.
    """

    cause: Cause
    count: int = 0
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    steps: Steps = ()

    def add(self, other: "Unheeded") -> None:
        """Count all that another one has."""
        self.count += other.count
        self.seen.update(other.seen)
        if other.steps and (not self.steps or len(other.steps) < len(self.steps)):
            self.steps = other.steps


OFTEN: Final = 20
"""Calls of a function after which it counts as constant, if it gave but one answer."""

SESSION: Final = "session"
LOGIN: Final = "login"
OBJECT: Final = "object"
OPERATION: Final = "operation"
"""Sorts of what a run makes of a module; see `Tally.reached`."""

REACHED: Final = "reached"
"""Said of a cell of the matrix of operations that was reached; of others it is told what was in the way."""

UNTRIED: Final = "the budget was spent"
"""Said of a cell for which nothing was left."""


@dataclass(slots=True)
class Tally:
    """What a run has counted and covered so far.

    `states` are the believed states, as numbers that are the same in every process. `followed` counts, for each open
    question of the text that a call met, what the module did: the interpretation and the code. `choices` holds the
    same by function and by the rows that applied. `mechanisms` holds how each function did with each mechanism where
    the text let it succeed: CKR_OK, trouble of the environment, and that the mechanism is invalid. `reached` counts
    what calls that returned CKR_OK made: sessions, logins, objects and operations, each by sort and what it is. `cells`
    says of each cell of the matrix of operations, by row and cell, that it was reached, or what was in the way.
    `advice` is told by the id of its cause. `restores` counts how often the token was put back, `restoring` the seconds
    that it took; `lowered` says that it could not be in the end, so that less was tried.
    """

    calls: int = 0
    sequences: int = 0
    restores: int = 0
    restoring: float = field(default=0.0, compare=False)
    lowered: bool = False
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    fired: set[tuple[str, int, str]] = field(default_factory=set)
    states: set[int] = field(default_factory=set)
    inconclusive: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    followed: Counter[tuple[str, str]] = field(default_factory=Counter)
    choices: dict[tuple[str, str, tuple[str, ...]], set[str]] = field(default_factory=dict)
    mechanisms: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    cells: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    advice: dict[str, Unheeded] = field(default_factory=dict)
    reached: Counter[tuple[str, str]] = field(default_factory=Counter)

    def operational(self, function: str, mechanism: str) -> bool | None:
        """Whether a mechanism that the token offers for a use was ever more than invalid there; None if never tried."""
        seen = self.mechanisms.get((function, mechanism))
        return None if seen is None else seen != {str(CKR.MECHANISM_INVALID)}

    def constants(self) -> Iterator[tuple[str, str]]:
        """Functions that always gave the same answer, often enough to tell, each with it."""
        answers: dict[str, list[tuple[str, int]]] = {}
        for (function, seen), times in sorted(self.pairs.items()):
            answers.setdefault(function, []).append((seen, times))
        for function, given in answers.items():
            ((seen, times), *others) = given
            if not others and times >= OFTEN:
                yield function, seen

    def count(self, model: Model, marks: Iterable[int], call: Call, verdict: Verdict, times: int) -> None:
        """Count a step that was seen so often where the states with these marks were believed."""
        seen = verdict.observation.text
        self.calls += times
        self.pairs[call.function, seen] += times
        self.states.update(marks)
        passed = verdict.outcome is Outcome.PASS
        if passed:
            self.fired |= {(call.function, r.code, r.condition) for r in verdict.rules}
            self._follow(verdict, times)
        elif verdict.outcome is Outcome.INCONCLUSIVE:
            self.inconclusive[call.function, seen, verdict.why] += times
        worked = passed and verdict.observation.code == CKR.OK
        function = model.functions[call.function]
        if worked and (made := _made(call, function)) is not None:
            self.reached[made] += times
        self.tried(verdict, function.uses)
        for x in verdict.advice:
            unheeded = self._unheeded(x.cause)
            unheeded.count += times
            unheeded.seen[call.function, seen] += times

    def tried(self, verdict: Verdict, uses: tuple[str, ...]) -> None:
        """Note how a function did with a mechanism, where the text let it succeed."""
        call, seen = verdict.call, verdict.observation
        if not {"mechanism", "session"} <= {*uses} or call.args.mechanism == Mech.OTHER:
            return
        match verdict.outcome:
            case Outcome.PASS:
                tells = seen.code == CKR.OK
            case Outcome.INCONCLUSIVE:
                # With data, trouble may be what the module makes of the data.
                tells = CKR.OK in verdict.permitted and "data" not in uses
            case Outcome.FAIL:
                tells = CKR.OK in verdict.permitted and seen.code == CKR.MECHANISM_INVALID
        if tells:
            self.mechanisms.setdefault((call.function, call.args.mechanism.name), set()).add(seen.text)

    def _unheeded(self, cause: Cause) -> Unheeded:
        return self.advice.setdefault(cause.id, Unheeded(cause))

    def saw(self, steps: Steps) -> None:
        """Have all that a trace shows among what was seen, be it that it was made beside the work."""
        for call, seen in steps:
            self.pairs[call.function, seen.text] += (call.function, seen.text) not in self.pairs

    def show(self, cause: Cause, steps: Steps) -> None:
        """Keep a sequence that ends where a recommendation was not followed, if it is the shortest yet."""
        unheeded = self._unheeded(cause)
        if not unheeded.steps or len(steps) < len(unheeded.steps):
            unheeded.steps = steps

    def _follow(self, verdict: Verdict, times: int) -> None:
        """Count which way the module goes where the text leaves it open, and it is clear where that is."""
        if verdict.ruling is None:
            return
        seen, rows = verdict.observation, verdict.ruling.rules
        ids = {r.reading for r in rows if r.reading and seen.code in (r.code, CKR.OK)}
        if ids:
            words = tuple(sorted(f"{r.code} {r.condition}" for r in rows))
            for id in ids:
                self.followed[id, seen.text] += times
                self.choices.setdefault((id, verdict.call.function, words), set()).add(seen.text)

    def add(self, other: "Tally") -> None:
        """Count all that another one has."""
        self.calls += other.calls
        self.sequences += other.sequences
        self.restores += other.restores
        self.restoring += other.restoring
        self.lowered |= other.lowered
        for name in _COUNTED:
            getattr(self, name).update(getattr(other, name))
        self.fired |= other.fired
        self.states |= other.states
        for unheeded in other.advice.values():
            self._unheeded(unheeded.cause).add(unheeded)
        for name in _GATHERED:
            mine = getattr(self, name)
            for key, seen in getattr(other, name).items():
                mine.setdefault(key, set()).update(seen)


_COUNTED = ("pairs", "inconclusive", "followed", "reached")
_GATHERED = ("choices", "mechanisms", "cells")


def _made(call: Call, f: Function) -> tuple[str, str] | None:
    """What a call that succeeds makes or begins, by sort and name; None for all others."""
    args, name, happens = call.args, call.function, f.happens
    if "session-opened" in happens:
        return SESSION, "R/W" if args.rw else "R/O"
    if "logged-in" in happens:
        return LOGIN, args.user.name
    if "token" in f.uses:
        what = args.kind.name if "kind" in f.uses else args.mechanism.name if "mechanism" in f.uses else "a copy"
        return OBJECT, f"{what}, {'token' if args.token else 'session'}, by {name}"
    if any(id.endswith("-begun") for id in happens):
        return OPERATION, f"{name} {args.mechanism.name}" if "mechanism" in f.uses else name
    return None
