"""The sequence to a code that a person would write: as few calls as can be, firmly told, with nothing odd about it.

It is found where the search for goals and its places lead, and made plainer on the model: calls that are not needed
are left out, arguments become the harmless ones, and of the ways to make the last call the plainest is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, islice
from math import inf

from ...model.call import Call, Data, Flaw, altered
from ...model.decide import forbids_ok
from ...model.oracle import Model, applicable, in_scope, may_succeed, permitted, ruling, successors
from ...model.rule import Function, Rule, Strength
from ...model.state import Pin, State
from ...model.vocabulary import CKR, CKU
from .goals import Calls, Goal, Part, Search
from .setups import follow, places

DEPTH = 3
"""Calls to the states in which is looked; places that are further away have ways of their own.

In the farthest only functions are looked at that lead on from the start.
"""

ODD_LEAD = 3
"""How odd a call that leads on may be."""

CANDIDATES = 12
"""Sequences that are made as plain as can be, the shortest first."""

ALIKE = 20
"""Ways to make a last call among which the plainest is taken; they come with the fewest deviations first."""

DEVIATIONS = (1, 2)
"""Arguments of a call that are not the harmless ones, at most; more are looked at where fewer show nothing."""

MANY = 600
"""Calls of a function that are too many to be looked at in every state."""

FEW = 20
"""Functions of which odder calls are looked at as soon as plain ones show nothing at a place."""

_LOOSE = (Strength.SHOULD, Strength.MAY, Strength.UNSAID)

LEFT_OUT = 3
"""Calls that are left out of a sequence at once, at most."""

_ODD = {"slot": 3, "null": 2, "reserved": 2, "session": 2}
"""How odd an argument is that is not the harmless one; all others count one."""


_NULLS = (Flaw.NULL, Data.NULL)
"""Values that are odder than others: NULL pointers."""


@dataclass(frozen=True, slots=True)
class Way:
    """A sequence whose last call returns a code by a row, None for success."""

    calls: tuple[Call, ...]
    code: CKR
    rule: Rule | None


def natural(model: Model, initial: State, code: CKR, function: str | None = None) -> Way | None:
    """The plainest sequence to a code, by a function if one is named; None where none was found.

    The row that gives the code is as firm as any that does, and no other condition there forbids success.
    """
    names = [name for name in model.functions if function in (None, name)]
    if code is CKR.OK:
        goals = {0: [Goal(name, None) for name in names]}
    else:
        goals = {}
        for name in names:
            for k, r in enumerate(model.functions[name].rules):
                if r.code is code:
                    goals.setdefault(firmness(r), []).extend(_goals(name, k, r))
    near = _Near(model, initial)
    for firm in sorted(goals):
        found = _natural(model, initial, code, goals[firm], near)
        if found is not None:
            return found
    return None


def _goals(name: str, k: int, rule: Rule) -> Iterator[Goal]:
    """What shows a row: that it alone gives its code, or where it is what the text recommends, that it does so too."""
    yield Goal(name, k, Part.ALONE)
    if rule.strength is Strength.SHOULD:
        yield Goal(name, k, Part.APPLIES)


def _few(f: Function, initial: State, deviations: int) -> Function:
    """A function of which so many deviations are made, or one where that would be too many calls."""
    fewer = replace(f, deviations=min(f.deviations, deviations))
    return fewer if len(tuple(islice(fewer.calls(initial), MANY))) < MANY else replace(f, deviations=1)


def _natural(model: Model, initial: State, code: CKR, goals: Sequence[Goal], near: _Near) -> Way | None:
    """The plainest sequence to any of these goals."""
    shortest = sorted(_ways(model, initial, code, goals, near), key=lambda way: len(way.calls))
    plain = (_plainer(model, initial, way) for way in shortest[:CANDIDATES])
    order = list(model.functions)

    def rank(way: Way) -> tuple[int, int, int]:
        odd = sum(_oddness(model, initial, call) for call in way.calls)
        return len(way.calls), odd, order.index(way.calls[-1].function)

    return min(plain, key=rank, default=None)


def _ways(model: Model, initial: State, code: CKR, goals: Sequence[Goal], near: _Near) -> Iterator[Way]:
    """Ways to goals, less what they do not need; none is sought further away than the nearest that was found.

    First near the start, then at the places that the search knows, plain calls before odder ones.
    """
    search = Search(model, initial, lambda _s, _c: True, goals)
    wanted = sorted({g.function for g in goals})
    taken, least = 0, inf

    @cache
    def calls(odd: int) -> Calls:
        return {name: tuple(_few(model.functions[name], initial, odd).calls(initial)) for name in wanted}

    def look(s: State, way: tuple[Call, ...], names: Iterable[str], oddness: Iterable[int]) -> Iterator[Way]:
        nonlocal taken, least
        for odd in oddness:
            search.look(s, way, {name: calls(odd)[name] for name in names})
            for found in search.found[taken:]:
                shorter = _shorter(model, initial, Way(found.calls, code, found.rule))
                if shows(model, initial, shorter):
                    least = min(least, len(shorter.calls))
                    yield shorter
                else:
                    search.want(found.goal)
            taken = len(search.found)
            if least < inf:
                return

    def look_near(odd: int) -> Iterator[Way]:
        for depth, level in enumerate(near.levels()):
            names = wanted if depth < DEPTH else [name for name in wanted if name in near.leading]
            for s, way in level.items():
                yield from look(s, way, names, (odd,))
            if least < inf:
                return

    def look_further(oddness: Sequence[int]) -> Iterator[Way]:
        for place in sorted(places(initial), key=lambda place: len(place.way)):
            names = [name for name in wanted if name in place.functions]
            end = follow(model, initial, place.way) if names and len(place.way) <= least else None
            if end is not None:
                yield from look(end, place.way, names, oddness)

    plain, odd = DEVIATIONS
    few = DEVIATIONS if len(wanted) <= FEW else (plain,)
    for ways in (look_near(plain), look_further(few), look_near(odd), look_further((odd,))):
        yield from ways
        if least < inf:
            return


class _Near:
    """The states near the start, level by level, each with a way to it; what was found once is kept."""

    def __init__(self, model: Model, initial: State) -> None:
        self._model = model
        functions = {name: replace(f, deviations=2) for name, f in model.functions.items() if _leads(model, name)}
        self.leading = functions.keys()
        self._leads = [
            c for f in functions.values() for c in f.calls(initial) if _oddness(model, initial, c) <= ODD_LEAD
        ]
        self._levels: list[dict[State, tuple[Call, ...]]] = [{initial: ()}]

    def levels(self) -> Iterator[Mapping[State, tuple[Call, ...]]]:
        """The states by the number of calls to them."""
        for depth in range(DEPTH + 1):
            if depth == len(self._levels):
                self._levels.append(self._further())
            yield self._levels[depth]

    def _further(self) -> dict[State, tuple[Call, ...]]:
        seen = {s for level in self._levels for s in level}
        further: dict[State, tuple[Call, ...]] = {}
        for s, way in self._levels[-1].items():
            for call in self._leads:
                after = _after(self._model, s, call)
                if after is not None and after not in seen:
                    further.setdefault(after, (*way, call))
        return further


def _leads(model: Model, name: str) -> bool:
    """Whether a function leads on from the start: to the library, to sessions, to a login, to what wants no key."""
    f = model.functions[name]
    begins = "mechanism" in f.uses and "key" not in f.uses and any(id.endswith("-begun") for id in f.happens)
    return begins or not f.happens.isdisjoint({"library-initialized", "session-opened", "logged-in"})


def answer(model: Model, s: State, call: Call) -> CKR | None:
    """What a call returns on the way: success where it may, else the one code that must be; None for neither."""
    if may_succeed(model, s, call):
        return CKR.OK
    firm = {r.code for r in ruling(model, s, call).firm}
    return next(iter(firm)) if len(firm) == 1 else None


def _after(model: Model, s: State, call: Call) -> State | None:
    """The state after a call on the way; None where it cannot be followed, or the text leaves several."""
    code = answer(model, s, call) if in_scope(model, s, call) else None
    after = () if code is None else tuple(successors(model, s, call, code))
    return after[0] if len(after) == 1 else None


def states(model: Model, initial: State, calls: Sequence[Call]) -> Iterator[State | None]:
    """The states along a way, from the first on; None from where it cannot be followed."""
    s: State | None = initial
    yield s
    for call in calls:
        s = None if s is None else _after(model, s, call)
        yield s


def firmness(rule: Rule | None) -> int:
    """How firmly a row speaks, from 0 on; what forbids success is firm, by the text's own words or not."""
    return 0 if rule is None or forbids_ok(rule) else 1 + _LOOSE.index(rule.strength)


def _oddness(model: Model, initial: State, call: Call) -> int:
    f = model.functions[call.function]
    odd = [name for name in f.uses if getattr(call.args, name) != f.domain(name, initial)[0]]
    given = [getattr(call.args, name) for name in odd]
    # A PIN that is wrong is plainer than somebody else's.
    others = "pin" in odd and call.args.pin is not (Pin.SO if call.args.user is CKU.SO else Pin.WRONG)
    return sum(_ODD.get(name, 1) for name in odd) + sum(any(x is null for null in _NULLS) for x in given) + others


def shows(model: Model, initial: State, way: Way) -> bool:
    """Whether a way is one: it leaves no choice of states, and its last call gives the code for its own reason."""
    *before, last = way.calls
    *_, s = states(model, initial, before)
    if s is None or not in_scope(model, s, last) or way.code not in permitted(model, s, last):
        return False
    if way.rule is None:
        return True
    rows = applicable(model, s, last)
    here = next((r for r in rows if (r.id, r.code) == (way.rule.id, way.rule.code)), None)
    return here is not None and all(r.when == here.when for r in rows if forbids_ok(r))


def _shorter(model: Model, initial: State, way: Way) -> Way:
    """The way without the calls that it does not need."""
    *before, last = way.calls
    for count in range(min(LEFT_OUT, len(before)), 0, -1):
        for kept in combinations(before, len(before) - count):
            less = replace(way, calls=(*kept, last))
            if shows(model, initial, less):
                return _shorter(model, initial, less)
    return way


def _plainer(model: Model, initial: State, way: Way) -> Way:
    """The way with harmless arguments where they do as well, and the plainest last call."""
    for n, call in enumerate(way.calls[:-1]):
        f = model.functions[call.function]
        for name in f.uses:
            for value in (f.domain(name, initial)[0], *((Pin.WRONG,) if name == "pin" else ())):
                plain = altered(way.calls[n], **{name: value})
                less = replace(way, calls=(*way.calls[:n], plain, *way.calls[n + 1 :]))
                odd = _oddness(model, initial, way.calls[n])
                if _oddness(model, initial, plain) < odd and shows(model, initial, less):
                    way = less
    way = _shorter(model, initial, way)
    *before, last = way.calls
    ways = (replace(way, calls=(*before, other)) for other in model.functions[last.function].calls(initial))
    alike = islice((w for w in ways if shows(model, initial, w)), ALIKE)
    return min(alike, key=lambda w: _oddness(model, initial, w.calls[-1]), default=way)
