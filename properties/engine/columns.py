"""One function's rows over all its calls at once: which calls a row applies to in a state, as a set of bits.

A condition looks at a few arguments only, so calls that agree in those share one answer. Which arguments it looks at
is found by watching it: what it reads beyond what is known of it splits the calls anew, so that an answer is never
shared by calls that it could tell apart.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, Generic, TypeVar, cast

from ...model.call import Args, Call
from ...model.decide import changed, decide
from ...model.oracle import Model, plan_of
from ...model.rule import Condition, Effect
from ...model.state import State
from ...model.vocabulary import CKR
from .packed import Flat
from .reads import Change, Leaves, Remembered

Result = TypeVar("Result")

Calls = int
"""A set of calls of one function: bit `j` for the one with number `j` among them."""


@lru_cache(1 << 16)
def members(calls: Calls) -> tuple[int, ...]:
    """The numbers of the calls in a set, in order."""
    found = []
    while calls:
        lowest = calls & -calls
        found.append(lowest.bit_length() - 1)
        calls ^= lowest
    return tuple(found)


class _Watched:
    """Arguments that tell when one is read that they do not hold."""

    def __init__(self, args: Args, fields: Sequence[str], told: set[str]) -> None:
        self.__dict__.update({name: getattr(args, name) for name in fields})
        self._rest, self._told = args, told

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._rest, name)
        self._told.add(name)
        return value


Part = tuple[Remembered[Result], Calls]
"""What a function of a state and a call gives, for calls that it cannot tell apart."""


class _Split(Generic[Result]):
    """A function of a state and a call's arguments, over calls that are split by the arguments it was seen to read."""

    def __init__(self, function: Callable[[State, Args], Result], calls: Sequence[Call], leaves: Leaves) -> None:
        self._function, self._calls, self._leaves = function, calls, leaves
        self._fields: tuple[str, ...] = ()
        self.read: set[str] = set()
        """What was read that the split does not know of, so that answers since may not hold for all."""
        self.parts: list[Part[Result]]
        self.refine()

    def refine(self) -> None:
        """Split the calls by what was read, too."""
        self._fields = (*self._fields, *sorted(self.read))
        self.read = set()
        found: dict[tuple[Any, ...], list[int]] = {}
        for j, call in enumerate(self._calls):
            found.setdefault(tuple(getattr(call.args, name) for name in self._fields), []).append(j)
        self.parts = [(self._remembered(self._calls[js[0]].args), sum(1 << j for j in js)) for js in found.values()]

    def where(self: "_Split[bool]", flat: Flat, among: Calls) -> Calls:
        """Those among some calls for which the function is true in a state."""
        while True:
            found = 0
            for holds, those in self.parts:
                if those & among and holds(flat):
                    found |= those
            if not self.read:
                return found & among
            self.refine()

    def _remembered(self, args: Args) -> Remembered[Result]:
        watched = cast(Args, _Watched(args, self._fields, self.read))
        return Remembered(lambda s: self._function(s, watched), self._leaves)


class Columns:
    """The rows of a function in a model, over some of its calls: a set of them has bit `j` for `calls[j]`."""

    def __init__(self, model: Model, name: str, calls: Sequence[Call], leaves: Leaves) -> None:
        f = model.functions[name]
        self.every: Calls = (1 << len(calls)) - 1
        self._plan = plan_of(model, name)
        conditions = tuple(dict.fromkeys((*self._plan.conditions, f.out_of_scope)))
        self._conditions = tuple(_Split(_truth(when), calls, leaves) for when in conditions)
        self._out_of_scope = conditions.index(f.out_of_scope)

    def holding(self, flat: Flat) -> list[Calls]:
        """For each distinct condition the calls for which it holds in a state."""
        return [split.where(flat, self.every) for split in self._conditions]

    def succeeding(self, flat: Flat) -> Calls:
        """The calls in scope that the text lets succeed in a state; no condition is looked at that cannot matter."""
        if self._plan.firm is None:
            return 0
        left = self.every
        for n in (*self._plan.firm, self._out_of_scope):
            if not left:
                break
            left &= ~self._conditions[n].where(flat, left)
        return left

    def alike(self, holding: Sequence[Calls]) -> Iterator[tuple[tuple[int, ...], Calls]]:
        """The calls in scope, those together to which the same rows apply: the rows' numbers in the function."""
        groups = [self.in_scope(holding)]
        for calls in dict.fromkeys(holding):
            groups = [part for group in groups for part in (group & calls, group & ~calls) if part]
        for group in groups:
            lowest = group & -group
            yield tuple([k for k, n in enumerate(self._plan.rows) if holding[n] & lowest]), group

    def in_scope(self, holding: Sequence[Calls]) -> Calls:
        """The calls that the model can follow."""
        return self.every & ~holding[self._out_of_scope]

    def permitted(self, holding: Sequence[Calls]) -> Iterator[tuple[CKR, Calls]]:
        """The codes that the text permits, each with the calls in scope that may return it; none for no call."""
        return ((code, calls) for code, calls in decide(self._plan, holding, self.in_scope(holding)) if calls)


def _truth(when: Condition) -> Condition:
    """A condition whose answer is a bool, not a leaf of the state that happens to be true."""
    return lambda s, a: bool(when(s, a))


class Changes:
    """What the effects of a function make of a state, one answer for all calls that they cannot tell apart."""

    def __init__(self, model: Model, name: str, calls: Sequence[Call], leaves: Leaves) -> None:
        effects = model.functions[name].effects
        codes = {code for e in effects for code in e.on}
        self._effects = {code: tuple(e for e in effects if code in e.on) for code in codes}
        self._splits = {
            chosen: _Split(partial(_changes, chosen, leaves), calls, leaves) for chosen in self._effects.values()
        }

    def after(self, flat: Flat, code: CKR, calls: Calls) -> Iterator[tuple[Calls, tuple[Flat, ...]]]:
        """The states in which such calls may leave things by a code that the text permits them; see `following`.

        Where nothing changes it is the very same one.
        """
        effects = self._effects.get(code)
        if effects is None:
            yield calls, (flat,)
            return
        split = self._splits[effects]
        while True:
            found = [(those & calls, changes(flat)) for changes, those in split.parts if those & calls]
            if not split.read:
                break
            split.refine()
        for those, made in found:
            assert made is not None, "effects fail where the text permits their code"
            yield those, tuple(dict.fromkeys([change.of(flat) for change in made]))


def _changes(effects: tuple[Effect, ...], leaves: Leaves, s: State, args: Args) -> tuple[Change, ...] | None:
    """What effects make of a state; None where the arguments that stand for others do not fit."""
    try:
        return tuple(map(leaves.change, changed(effects, s, args)))
    except (LookupError, StopIteration):
        return None
