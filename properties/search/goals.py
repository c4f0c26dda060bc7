"""Sequences derived from the model: for every row, a shortest way to where it decides."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from typing import Any

from ...model.call import Args, Call
from ...model.chapters import searches
from ...model.decide import forbids_ok
from ...model.environment import EVENTS
from ...model.interface import SIGNATURES
from ...model.oracle import Model, in_scope, may_succeed, permitted, prevailing, ruling_where, successors
from ...model.precedence import between
from ...model.rule import Function, Rule
from ...model.state import Pin, State
from ...model.vocabulary import CKR, CKU
from ..engine.columns import Changes, Columns, members
from ..engine.packed import Flat, States, map_leaves, uncollected
from ..engine.reads import Leaves
from ..policy import Policy, anything, makes_objects
from .detours import Detours
from .setups import BEGINNING, Place, along, situations

DEPTH = 3
"""Calls to the state in which a row is looked for; no row of the table needs more."""

NEAR = frozenset(
    {name for name, x in SIGNATURES.items() if x.section.partition(" ")[0] in ("5.4", "5.5", "5.6")}
    | {"C_DigestInit"}
    | EVENTS.keys()
)
"""Functions through which the search walks and at which it looks: those of the library, of tokens and of sessions,

one that begins an operation without a key, and events.
"""

DEPTH_OF_COMBINATIONS = 2
"""The same for precedences and arguments, of which many are never met, so that the search for them must end."""


class Part(IntEnum):
    """What a row does in a call: its code is permitted, is so only by the row, and nothing else forbids success."""

    APPLIES = 0
    DECIDES = 1
    ALONE = 2


@dataclass(frozen=True, slots=True)
class Goal:
    """What a sequence shows in its last call: the part that a row plays, or that it outranks another.

    Rows are numbered as in the function; None stands for success. `under` is the row outranked; `given` is an
    argument, by name and value, that the call has while the row decides. `change` is a part of the state, by its path
    without numbers, that becomes another when the call succeeds.
    """

    function: str
    row: int | None
    part: Part = Part.DECIDES
    under: int | None = None
    given: tuple[str, Any] | None = None
    change: str | None = None


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
            code = _way_on(model, s, call)
            if code is None or not (in_scope(model, s, call) and policy(s, call)):
                continue
            for t in successors(model, s, call, code):
                if t not in seen:
                    seen.add(t)
                    queue.append((t, (*way, call)))


def worth_trying(f: Function, name: str, s: State) -> tuple[Any, ...]:
    """The values of an argument that deserve a sequence of their own: of handles on objects only the last, handle 0."""
    values = f.domain(name, s)[1:]
    return values[-1:] if name in ("object", "key", "other_key") else values


def _way_on(model: Model, s: State, call: Call) -> CKR | None:
    """The code with which a call leads on: success, or the one error that changes something; None where it may not."""
    if may_succeed(model, s, call):
        return CKR.OK
    if all(effect.on == {CKR.OK} for effect in model.functions[call.function].effects):
        return None
    codes = permitted(model, s, call)
    return next(iter(codes)) if len(codes) == 1 else None


def goals(model: Model, initial: State) -> Iterator[Goal]:
    """What is worth a sequence: success, each row in each part, each precedence, each argument beside each row."""
    for f in model.functions.values():
        pairs = model.orders[f.name].stated
        values = [(name, value) for name in f.uses for value in worth_trying(f, name, initial)]
        for k in (None, *range(len(f.rules))):
            yield Goal(f.name, k)
            yield from (Goal(f.name, k, given=given) for given in values)
        for k, r in enumerate(f.rules):
            yield Goal(f.name, k, Part.APPLIES)
            yield Goal(f.name, k, Part.ALONE)
            if forbids_ok(r):
                yield from (Goal(f.name, k, under=j) for j, low in enumerate(f.rules) if between(pairs, r, low.code))


@dataclass(frozen=True, slots=True)
class Showing:
    """What rows that apply together show of themselves, whatever the call: goals, and rows that decide cleanly.

    A row that outranks another, or that decides beside an argument, must do so while no other firm row prevails:
    else a module could pass by the other one's code. None among the clean rows stands for success.
    """

    goals: frozenset[Goal]
    clean: tuple[int | None, ...]


def showing(model: Model, function: str, rows: tuple[int, ...]) -> Showing:
    """What these rows of a function show when they apply together."""
    f = model.functions[function]
    order = model.orders[function]
    rules = {k: f.rules[k] for k in rows}
    given = ruling_where(model, function, rows)
    codes = {r.code for r in given.prevailing}
    firm_codes = {r.code for r in given.firm}
    leading = {code for code in firm_codes if not any((high, code) in order.advise for high in firm_codes)}
    firm = {k for k, r in rules.items() if forbids_ok(r)}
    decided = {r.when for k, r in rules.items() if k in firm}
    alike: dict[CKR, list[int]] = {}
    for k, r in rules.items():
        alike.setdefault(r.code, []).append(k)
    found: set[Goal] = set()
    clean: list[int | None] = []
    if not firm and f.returns_ok:
        found.add(Goal(function, None))
        clean.append(None)
    for code in codes:
        for k in alike[code]:
            found.add(Goal(function, k, Part.APPLIES))
            matters = _matters(model, function, k, alike[code], rules, firm, codes)
            if matters:
                found.add(Goal(function, k))
                if firm_codes <= {code}:
                    clean.append(k)
            if (matters or k in firm) and decided <= {rules[k].when}:
                found.add(Goal(function, k, Part.ALONE))
            if k in firm and leading == {code}:
                r = rules[k]
                found |= {Goal(function, k, under=j) for j, low in rules.items() if between(order.stated, r, low.code)}
    return Showing(frozenset(found), tuple(clean))


def _matters(
    model: Model,
    function: str,
    k: int,
    alike: Sequence[int],
    rules: Mapping[int, Rule],
    firm: Set[int],
    codes: Set[CKR],
) -> bool:
    """Whether other codes would be permitted without a row, of those that apply together; `alike` give its code."""
    if len(alike) == 1:
        return True
    if k not in firm or any(j in firm for j in alike if j != k):
        return False
    r = rules[k]
    others = {j: x for j, x in rules.items() if j != k}
    if any(x.when == r.when for x in others.values()):
        return codes != {x.code for x in prevailing(model, function, tuple(others.values()))}
    return codes != {x.code for x in ruling_where(model, function, others).prevailing}


def _far(way: tuple[Call, ...]) -> bool:
    """Whether a way is longer than the search for combinations goes."""
    return len(way) > DEPTH_OF_COMBINATIONS


Calls = Mapping[str, tuple[Call, ...]]
"""Calls, function by function."""


def _paths(initial: State) -> list[str]:
    """Where each leaf of a state stands in it."""
    paths: list[str] = []
    map_leaves(initial, lambda _leaf, _type, path: paths.append(path))
    return paths


def views(
    model: Model,
    initial: State,
    policy: Policy = anything,
    depth: int = DEPTH,
    enough: Callable[[tuple[Call, ...]], bool] = _far,
    detours: Detours | None = None,
) -> Iterator[tuple[State, tuple[Call, ...], Calls]]:
    """Where to look from: states with a way to each and the calls worth trying there.

    First those of the search, nearest first, until a way is `enough`; then the places of `situations`. With `detours`
    ways lead round what they do not let be; a place to which there is no such way comes last, by its own.
    """
    every = by_function(all_calls(model, initial))
    near = {name: calls for name, calls in every.items() if name in NEAR}
    walked = tuple(chain.from_iterable(near.values()))
    for s, way in explore(model, initial, walked, depth, policy if detours is None else detours.may):
        if enough(way):
            break
        yield s, way, near if way else every

    def closed() -> Iterator[tuple[State, Place]]:
        return (x for x in situations(model, initial) if all(map(policy, along(model, initial, x[1].way), x[1].way)))

    found = closed() if detours is None else _open(detours, initial, closed)
    for s, place in found:
        yield s, place.way, {name: every[name] for name in sorted(place.functions & every.keys())}


def _open(
    detours: Detours, initial: State, closed: Callable[[], Iterator[tuple[State, Place]]]
) -> Iterator[tuple[State, Place]]:
    """Places by the ways that detours let be, each once; then those that are `closed`, by their own."""
    seen: set[tuple[State, frozenset[str]]] = set()
    shut: set[tuple[Call, ...]] = set()
    for place, way in detours.places(initial):
        if way is None:
            shut.add(place.way)
            continue
        s = detours.end(initial, way)
        if way == place.way or (s, place.functions) not in seen:
            seen.add((s, place.functions))
            yield s, Place(way, place.functions)
    if shut:
        yield from (x for x in closed() if x[1].way in shut)


@uncollected()
def witnesses(
    model: Model,
    initial: State,
    policy: Policy = anything,
    depth: int = DEPTH,
    wanted: Iterable[Goal] | None = None,
) -> tuple[Witness, ...]:
    """A shortest sequence for every goal and every change that the scope reaches, or for the goals that are wanted."""
    search = Search(model, initial, policy, wanted)
    for view in search.views(depth):
        search.look(*view)
    return tuple(search.found)


class Search:
    """Goals that are wanted, and the witnesses found for others; a goal is asked about only while it is wanted.

    Where none are named, all are, and with them every change that a function makes.
    """

    def __init__(
        self,
        model: Model,
        initial: State,
        policy: Policy,
        wanted: Iterable[Goal] | None = None,
        detours: Detours | None = None,
    ) -> None:
        self.found: list[Witness] = []
        self._detours = detours
        self._model, self._initial, self._policy = model, initial, policy
        self._for_changes = wanted is None
        self._order = {g: n for n, g in enumerate(goals(model, initial) if wanted is None else wanted)}
        self._wanted = {*self._order}
        self._left = Counter(g.function for g in self._wanted)
        self._beside: dict[tuple[str, int | None], set[Goal]] = {}
        for g in self._wanted:
            if g.given is not None:
                self._beside.setdefault((g.function, g.row), set()).add(g)
        self._shown: dict[tuple[str, tuple[int, ...]], Showing] = {}
        self._states, self._leaves = States(initial), Leaves(initial)
        # By address, as hashing thousands of calls takes longer than to look at them; a sheet keeps its calls alive.
        self._sheets: dict[int, _Sheet] = {}
        self._parts = [re.sub(r"\[\d+\]", "", path).lstrip(".") for path in _paths(initial)]
        self._alike = {part: sum(0xFF << 8 * i for i, x in enumerate(self._parts) if x == part) for part in self._parts}
        self._changed: dict[str, int] = dict.fromkeys(model.functions, 0)
        """For each function the leaves that it was seen to change, and those of the same part, as bytes of a number."""

    def drop(self, found: Iterable[Goal]) -> None:
        """Look for these goals no more."""
        for goal in self._wanted.intersection(found):
            self._wanted.discard(goal)
            self._left[goal.function] -= 1

    def want(self, goal: Goal) -> None:
        """Look for a goal again, as what was found will not do."""
        if goal not in self._wanted:
            self._wanted.add(goal)
            self._left[goal.function] += 1

    @property
    def over(self) -> bool:
        """Whether nothing is looked for any more."""
        return not self._wanted

    @property
    def rows_left(self) -> bool:
        """Whether a row is wanted for itself, not for what it outranks or decides beside."""
        return any(g.under is None and g.given is None for g in self._wanted)

    def views(self, depth: int = DEPTH) -> Iterator[tuple[State, tuple[Call, ...], Calls]]:
        """Where to look from, for as long as there is anything to look for so far away."""

        def enough(way: tuple[Call, ...]) -> bool:
            return _far(way) and not self.rows_left

        return views(self._model, self._initial, self._policy, depth, enough, self._detours)

    def look(self, s: State, way: tuple[Call, ...], calls: Calls) -> None:
        """Take the goals that these calls meet in a state."""
        flat = self._states.flats[self._states.number(s)]
        last = len(self._order)
        for name, own in calls.items():
            sheet = self._sheet(name, own)
            met = [*self._changing(s, flat, name, sheet)] if self._for_changes else []
            if self._left[name]:
                met += self._met(s, flat, name, sheet)
            # In an order that is not that of a set, which differs from process to process.
            for goal, j in sorted(met, key=lambda x: (x[1], self._order.get(x[0], last))):
                self._take(goal, (*way, own[j]))

    def idle(self, s: State, _way: tuple[Call, ...], calls: Calls) -> Iterator[tuple[tuple[int, ...], Call]]:
        """Those of the calls that must fail in a state, and by whatever code leave it as it is, with their rows."""
        flat = self._states.flats[self._states.number(s)]
        for name, own in calls.items():
            sheet = self._sheet(name, own)
            holding = sheet.holding(flat)
            which = sheet.columns.in_scope(holding)
            for code, returning in sheet.columns.permitted(holding):
                if code == CKR.OK:
                    which &= ~returning
                    continue
                for those, after in sheet.changes.after(flat, code, returning & which):
                    if after != (flat,):
                        which &= ~those
            for rows, alike in sheet.alike(flat):
                yield from ((rows, own[j]) for j in self._allowed(s, sheet, alike & which))

    def _sheet(self, name: str, own: tuple[Call, ...]) -> _Sheet:
        sheet = self._sheets.get(id(own))
        if sheet is None:
            scope = (self._model, name, own, self._leaves)
            sheet = self._sheets[id(own)] = _Sheet(own, Columns(*scope), Changes(*scope))
        return sheet

    def _met(self, s: State, flat: Flat, name: str, sheet: _Sheet) -> Iterator[tuple[Goal, int]]:
        """Goals that are met, each with the first call that may be made and meets it."""
        clean: dict[int | None, int] = {}
        for rows, which in sheet.alike(flat):
            show = self._shown.get((name, rows))
            if show is None:
                show = self._shown[name, rows] = showing(self._model, name, rows)
            wanted = show.goals & self._wanted
            if wanted and (first := next(self._allowed(s, sheet, which), None)) is not None:
                yield from ((goal, first) for goal in wanted)
            for k in show.clean:
                clean[k] = clean.get(k, 0) | which
        for k, which in clean.items():
            for goal in self._beside.get((name, k), ()):
                assert goal.given is not None
                fitting = which & sheet.having(goal.given)
                if fitting and (first := next(self._allowed(s, sheet, fitting), None)) is not None:
                    yield goal, first

    def _changing(self, s: State, flat: Flat, name: str, sheet: _Sheet) -> Iterator[tuple[Goal, int]]:
        """Changes that the function was not seen to make, each with the first call that may be made and makes it."""
        before = int.from_bytes(flat, "little")
        for those, states in sheet.changes.after(flat, CKR.OK, sheet.columns.succeeding(flat)):
            for after in states:
                new = (before ^ int.from_bytes(after, "little")) & ~self._changed[name]
                if new and (first := next(self._allowed(s, sheet, those), None)) is not None:
                    for i, byte in enumerate(new.to_bytes(len(flat), "little")):
                        if byte and not self._changed[name] >> 8 * i & 0xFF:
                            self._changed[name] |= self._alike[self._parts[i]]
                            yield Goal(name, None, change=self._parts[i]), first

    def _allowed(self, s: State, sheet: _Sheet, which: int) -> Iterator[int]:
        """Those of some calls that may be made, in order."""
        return (j for j in members(which) if self._policy(s, sheet.calls[j]))

    def _take(self, goal: Goal, calls: tuple[Call, ...]) -> None:
        if goal.change is None:
            if goal not in self._wanted:
                return
            self._wanted.remove(goal)
            self._left[goal.function] -= 1
            if goal.given is not None:
                self._beside[goal.function, goal.row].remove(goal)
        rules = self._model.functions[goal.function].rules
        self.found.append(Witness(goal, None if goal.row is None else rules[goal.row], calls))


class _Sheet:
    """The calls of a function that are looked at together."""

    def __init__(self, calls: tuple[Call, ...], columns: Columns, changes: Changes) -> None:
        self.calls, self.columns, self.changes = calls, columns, changes
        self._having: dict[tuple[str, Any], int] = {}
        self._flat: Flat = b""
        self._holding: list[int] = []
        self._alike: tuple[tuple[tuple[int, ...], int], ...] | None = None

    def holding(self, flat: Flat) -> list[int]:
        """What the columns say of a state, which is looked at for several things in a row."""
        if self._flat != flat:
            self._flat, self._holding, self._alike = flat, self.columns.holding(flat), None
        return self._holding

    def alike(self, flat: Flat) -> tuple[tuple[tuple[int, ...], int], ...]:
        """The calls to which the same rows apply in a state, likewise."""
        holding = self.holding(flat)
        if self._alike is None:
            self._alike = tuple(self.columns.alike(holding))
        return self._alike

    def having(self, given: tuple[str, Any]) -> int:
        """The calls that have this value of an argument, as bits."""
        if given not in self._having:
            name, value = given
            self._having[given] = sum(1 << j for j, c in enumerate(self.calls) if getattr(c.args, name) == value)
        return self._having[given]


def by_function(calls: tuple[Call, ...]) -> Calls:
    """Calls sorted into their functions."""
    found: dict[str, list[Call]] = {}
    for call in calls:
        found.setdefault(call.function, []).append(call)
    return {name: tuple(members) for name, members in found.items()}


SEARCH = tuple(Call(f.name) for f in searches.FUNCTIONS)
"""Calls that tell which objects there are."""

_USE = tuple(map(Call, ("C_OpenSession", "C_Login", "C_FindObjectsInit", "C_Logout", "C_CloseSession", "C_Finalize")))


def _look(sessions: Iterable[int], slots: Iterable[int]) -> tuple[Call, ...]:
    """Calls that show in which state sessions and tokens are."""
    return (
        *(Call("C_GetSessionInfo", Args(session=k)) for k in sessions),
        *(Call("C_GetTokenInfo", Args(slot=k)) for k in slots),
    )


def closing(witness: Witness, model: Model, initial: State) -> tuple[Call, ...]:
    """Calls to end a sequence with, that show what the module holds; after a change, also whether it happened.

    After C_Initialize, whose arguments have a say in every call that follows, the library is used a little. What the
    sequence began last is begun again: that tells whether its last call ended the operation. After what makes objects
    they are searched for: that tells whether there is one that should not be there. Only a change is looked for in
    sessions and slots, too, that the sequence does not speak of.
    """
    opened = sum(call.function == "C_OpenSession" for call in witness.calls)
    sessions = range(len(initial.sessions))
    look = _look(sessions, range(len(initial.slots)))
    if witness.goal.change is None:
        spoken_of = {c.args.slot for c in witness.calls if "slot" in model.functions[c.function].uses}
        last = witness.calls[-1].args.session
        look = _look([k for k in sessions if k < opened or k == last], sorted(spoken_of or {0}))
        used = _USE if witness.goal.function == "C_Initialize" else ()
        used += SEARCH if makes_objects(witness.goal.function) else ()
        begun = [c for c in witness.calls[:-1] if c.function in BEGINNING]
        return tuple(c for c in (*begun[-1:], *look, *used) if c.function in model.functions)
    users = ((CKU.USER, Pin.USER), (CKU.USER, Pin.OTHER), (CKU.SO, Pin.SO), (CKU.SO, Pin.OTHER))
    deep = (
        *look,
        *(Call("C_GetOperationState", Args(session=k)) for k in sessions),
        # A session opened anew tells whether the users and objects are gone that should be, and there that should stay.
        Call("C_OpenSession"),
        *look[: len(sessions)],
        *SEARCH,
        Call("C_Finalize"),
        Call("C_Initialize"),
        Call("C_OpenSession"),
        *(call for user, pin in users for call in (Call("C_Login", Args(user=user, pin=pin)), Call("C_Logout"))),
    )
    return tuple(c for c in deep if c.function in model.functions)
