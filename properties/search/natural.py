"""The sequence to a code that a person would write: as few calls as can be, firmly told, with nothing odd about it.

It is found where the search for goals and its places lead, and made plainer on the model: calls that are not needed
are left out, arguments become the harmless ones, and of the ways to make the last call the plainest is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice

from ...model.call import Call
from ...model.decide import forbids_ok
from ...model.oracle import Model, applicable, in_scope, may_succeed, permitted, ruling, successors
from ...model.rule import Function, Rule, Strength
from ...model.state import Pin, State
from ...model.vocabulary import CKR
from .goals import Goal, Part, Search
from .setups import situations

DEPTH = 3
"""Calls to the states in which is looked; places that are further away have ways of their own.

In the farthest only functions are looked at that lead on from the start.
"""

ODD_LEAD = 3
"""How odd a call that leads on may be."""

CANDIDATES = 12
"""Sequences that are made as plain as can be, the shortest of the firmest rows first."""

ALIKE = 20
"""Ways to make a last call among which the plainest is taken; they come with the fewest deviations first."""

DEVIATIONS = (1, 2)
"""Arguments of a call that are not the harmless ones, at most; more are looked at where fewer show nothing firm."""

MANY = 600
"""Calls of a function that are too many to be looked at in every state."""

_LOOSE = (Strength.SHOULD, Strength.MAY, Strength.UNSAID)

LEFT_OUT = 3
"""Calls that are left out of a sequence at once, at most."""

_ODD = {"slot": 3, "null": 2, "reserved": 2, "session": 2}
"""How odd an argument is that is not the harmless one; all others count one."""


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
    best: Way | None = None
    for deviations in DEVIATIONS:
        fewer = {n: _few(f, initial, deviations) for n, f in model.functions.items()}
        found = _natural(replace(model, functions=fewer), initial, code, function, near=best is None)
        if found is not None and (best is None or firmness(found.rule) < firmness(best.rule)):
            best = found
        if best is not None and firmness(best.rule) <= _firmest(model, code, function):
            break
    return best


def _few(f: Function, initial: State, deviations: int) -> Function:
    """A function of which so many deviations are made, or one where that would be too many calls."""
    fewer = replace(f, deviations=min(f.deviations, deviations))
    return fewer if len(tuple(islice(fewer.calls(initial), MANY))) < MANY else replace(f, deviations=1)


def _firmest(model: Model, code: CKR, function: str | None) -> int:
    """How firm a row for a code can be at best."""
    rows = (r for name, f in model.functions.items() if function in (None, name) for r in f.rules if r.code is code)
    return min(map(firmness, rows), default=0)


def _natural(model: Model, initial: State, code: CKR, function: str | None, near: bool) -> Way | None:
    """The plainest sequence, not sought near the start where it was already."""
    names = [name for name in model.functions if function in (None, name)]
    if code is CKR.OK:
        goals = [Goal(name, None) for name in names]
    else:
        rows = ((name, k, r) for name in names for k, r in enumerate(model.functions[name].rules))
        goals = [Goal(name, k, Part.ALONE) for name, k, r in rows if r.code is code]
    ways = _ways(model, initial, code, goals, _firmest(model, code, function), near)
    firmest = sorted(ways, key=lambda way: (firmness(way.rule), len(way.calls)))
    plain = (_plainer(model, initial, way) for way in firmest[:CANDIDATES])
    order = list(model.functions)

    def rank(way: Way) -> tuple[int, int, int, int]:
        odd = sum(_oddness(model, initial, call) for call in way.calls)
        return firmness(way.rule), len(way.calls), odd, order.index(way.calls[-1].function)

    return min(plain, key=rank, default=None)


def _ways(model: Model, initial: State, code: CKR, goals: Sequence[Goal], firmest: int, near: bool) -> Iterator[Way]:
    """A way to each goal, less what it does not need; none is sought further away than the nearest of the firmest."""
    search = Search(model, initial, lambda _s, _c: True, goals)
    wanted = {name: tuple(model.functions[name].calls(initial)) for name in sorted({g.function for g in goals})}
    if goals and not (near and _near(model, initial, search, wanted, firmest)):
        for s, place in situations(model, initial):
            search.look(s, place.way, {name: wanted[name] for name in sorted(place.functions & wanted.keys())})
    for found in search.found:
        yield _shorter(model, initial, Way(found.calls, code, found.rule))


def _near(model: Model, initial: State, search: Search, wanted: Mapping[str, tuple[Call, ...]], firmest: int) -> bool:
    """Look from the states near the start, level by level; whether that showed what is as firm as can be."""
    leading = {name: replace(f, deviations=2) for name, f in model.functions.items() if _leads(model, name)}
    leads = [c for f in leading.values() for c in f.calls(initial) if _oddness(model, initial, c) <= ODD_LEAD]
    level: dict[State, tuple[Call, ...]] = {initial: ()}
    seen = {initial}
    for depth in range(DEPTH + 1):
        here = wanted if depth < DEPTH else {name: calls for name, calls in wanted.items() if name in leading}
        for s, way in level.items():
            search.look(s, way, here)
        if any(firmness(found.rule) <= firmest for found in search.found):
            return True
        further: dict[State, tuple[Call, ...]] = {}
        for s, way in level.items():
            for call in leads:
                after = _after(model, s, call)
                if after is not None and after not in seen:
                    further.setdefault(after, (*way, call))
        seen |= further.keys()
        level = further
    return False


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
    odd = (name for name in f.uses if getattr(call.args, name) != f.domain(name, initial)[0])
    return sum(_ODD.get(name, 1) + (call.args.pin not in (Pin.WRONG, Pin.SO)) * (name == "pin") for name in odd)


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
            args = replace(way.calls[n].args, **{name: f.domain(name, initial)[0]})
            plain = replace(way, calls=(*way.calls[:n], replace(call, args=args), *way.calls[n + 1 :]))
            if plain != way and shows(model, initial, plain):
                way = plain
    *before, last = way.calls
    ways = (replace(way, calls=(*before, other)) for other in model.functions[last.function].calls(initial))
    alike = islice((w for w in ways if shows(model, initial, w)), ALIKE)
    return min(alike, key=lambda w: _oddness(model, initial, w.calls[-1]), default=way)
