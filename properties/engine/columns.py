"""One function's rows over all its calls at once: which calls a row applies to in a state, as a set of bits.

A condition looks at a few arguments only, so calls that agree in those share one answer. Which arguments it looks at
is found by watching it: what it reads beyond what is known of it splits the calls anew, so that an answer is never
shared by calls that it could tell apart.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache, partial
from typing import Any, Generic, TypeVar, cast

from ...model.call import Args, Call
from ...model.decide import Guards, changed, decide
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

    def where(self: "_Split[bool | None]", flat: Flat, among: Calls) -> Calls:
        """Those among some calls for which the function is true in a state."""
        while True:
            found, failed = 0, False
            for holds, those in self.parts:
                if those & among:
                    truth = holds(flat)
                    failed |= truth is None
                    if truth:
                        found |= those
            if not self.read:
                assert not failed, "a condition fails where all that it takes for granted holds"
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
        split: Callable[[Condition], _Split[bool | None]] = cache(lambda when: _Split(_truth(when), calls, leaves))
        firm, guards = self._plan.firm, self._plan.guards
        self._level = _level_of(guards, frozenset(range(len(self._plan.conditions))), split)
        self._firm = None if firm is None else _level_of(guards, frozenset(firm), split)
        self._out_of_scope = split(f.out_of_scope)

    def holding(self, flat: Flat) -> list[Calls]:
        """For each distinct condition the calls for which it holds in a state; last, those that are out of scope."""
        found = [0] * (len(self._plan.conditions) + 1)
        self._level.hold(flat, self.every, found)
        found[-1] = self._out_of_scope.where(flat, self.every)
        return found

    def succeeding(self, flat: Flat) -> Calls:
        """The calls in scope that the text lets succeed in a state; no condition is looked at that cannot matter."""
        if self._firm is None:
            return 0
        left = self._firm.fail(flat, self.every)
        return left and left & ~self._out_of_scope.where(flat, left)

    def alike(self, holding: Sequence[Calls]) -> Iterator[tuple[tuple[int, ...], Calls]]:
        """The calls in scope, those together to which the same rows apply: the rows' numbers in the function."""
        return ((self.rows(holding, group), group) for group in parted(self.in_scope(holding), holding))

    def rows(self, holding: Sequence[Calls], group: Calls) -> tuple[int, ...]:
        """The numbers of the rows that apply to calls to which the same ones do."""
        lowest = group & -group
        return tuple([k for k, n in enumerate(self._plan.rows) if holding[n] & lowest])

    def in_scope(self, holding: Sequence[Calls]) -> Calls:
        """The calls that the model can follow."""
        return self.every & ~holding[-1]

    def permitted(self, holding: Sequence[Calls]) -> Iterator[tuple[CKR, Calls]]:
        """The codes that the text permits, each with the calls in scope that may return it; none for no call."""
        return ((code, calls) for code, calls in decide(self._plan, holding, self.in_scope(holding)) if calls)


def parted(calls: Calls, by: Iterable[Calls]) -> list[Calls]:
    """Some calls, those together that are in the same of several sets."""
    groups = [calls] if calls else []
    for those in dict.fromkeys(by):
        groups = [part for group in groups for part in (group & those, group & ~those) if part]
    return groups


class _Level:
    """Conditions by number, looked at only for calls for which all above them holds; `under` are further levels."""

    def __init__(
        self, own: tuple[tuple[int, _Split[bool | None]], ...], under: "tuple[tuple[_Split[bool | None], _Level], ...]"
    ) -> None:
        self.own, self.under = own, under

    def hold(self, flat: Flat, among: Calls, found: list[Calls]) -> None:
        """Find for each condition those among some calls for which it holds in a state."""
        for n, split in self.own:
            found[n] = split.where(flat, among)
        for given, below in self.under:
            if some := given.where(flat, among):
                below.hold(flat, some, found)

    def fail(self, flat: Flat, among: Calls) -> Calls:
        """Those among some calls for which none of the conditions holds in a state."""
        for _, split in self.own:
            if not among:
                return 0
            among &= ~split.where(flat, among)
        for given, below in self.under:
            if some := given.where(flat, among):
                among &= ~some | below.fail(flat, some)
        return among


def _level_of(guards: Guards, wanted: frozenset[int], split: Callable[[Condition], _Split[bool | None]]) -> _Level:
    """The splits of these conditions, below those of what they take for granted."""
    own = tuple((n, split(when)) for n, when in guards.own if n in wanted)
    under = ((split(given), _level_of(below, wanted, split)) for given, below in guards.under)
    return _Level(own, tuple((given, level) for given, level in under if level.own or level.under))


def _truth(when: Condition) -> Callable[[State, Args], bool | None]:
    """A condition whose answer is a bool, not a leaf of the state that happens to be true.

    None where it fails, as it may where the arguments that stand for others do not fit.
    """

    def truth(s: State, args: Args) -> bool | None:
        try:
            return bool(when(s, args))
        except (LookupError, StopIteration):
            return None

    return truth


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
