"""The oracle for those who know little: rows and effects of the model, run on sets of values.

A log tells some of what a state holds and some of what a call was given. Each part of a state, a leaf, has a set of
values here, of which one is so. A condition that looks at a leaf is followed into each case that it tells apart, and
no further. Of a leaf that is `UNTOLD` nothing is worth telling apart: a condition that looks at it may hold or not,
and so it is with one that is `FOREIGN`, for which the model has no word. So the codes found are at least those that
the text permits, and what is told to be wrong is wrong whatever the log left out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from operator import attrgetter
from typing import Any, Final, TypeVar

from ...model.call import Args
from ...model.decide import Plan, decide, step
from ...model.oracle import Model, plan_of
from ...model.rule import Change, Effect, Function, Output, Rule
from ...model.state import LIMIT_UNKNOWN, Kind, Object, Operations, Pin, Saved, Session, Slot, State
from .verdict import HARMLESS, Mismatch

Values = int
"""A set of values: bit `v` is there if the value may be `v`."""

UNTOLD: Final = 1 << 254
"""Some value of the model's, of which nothing is known."""

FOREIGN: Final = 1 << 255
"""A value that the model has no word for."""

OTHER: Final = 240
"""A value that is none of those that an enumeration names, where rules ask only whether it is one of them."""

NOWHERE: Final = 230
"""An index of nothing."""

_SPECIAL: Final = UNTOLD | FOREIGN
_LARGEST: Final = 250
TRUE, FALSE, EITHER = 2, 1, 3
"""Sets of truth values."""


def one(*values: int) -> Values:
    """The set of some values."""
    found = 0
    for v in values:
        found |= 1 << v
    return found


def told(truth: bool | None) -> Values:
    """What is known of a fact: that it is so, that it is not, or nothing."""
    return EITHER if truth is None else TRUE if truth else FALSE


class Untold(Exception):
    """A condition looked at what nobody knows."""


class TooMany(Exception):
    """There are more cases than are worth following."""


MOST_CASES: Final = 1_200
"""Ways that are followed, at most, before a call is given up."""


class _Walk:
    """Where a run stands: the values that each leaf still may have, and which way was taken at each fork."""

    def __init__(self) -> None:
        self.masks: list[Values] = []
        self.lenient = self.foreign = False
        self.looked: set[int] = set()
        self._path: list[int] = []
        self._forks: list[int] = []
        self._at = 0

    def choose(self, ways: int) -> int:
        """The way to take at a fork."""
        at = self._at
        self._at += 1
        if at == len(self._path):
            self._path.append(0)
            self._forks.append(ways)
        return self._path[at]

    def runs(self, masks: Sequence[Values], lenient: bool) -> Iterator[None]:
        """Once for each way that there is, each time with the values anew."""
        self.lenient = lenient
        self._path, self._forks = [], []
        for _ in range(MOST_CASES):
            self.masks, self._at, self.foreign = list(masks), 0, False
            yield
            while self._path and self._path[-1] + 1 == self._forks[-1]:
                self._path.pop()
                self._forks.pop()
            if not self._path:
                return
            self._path[-1] += 1
        raise TooMany

    def among(self, index: int, wanted: Values) -> bool:
        """Whether a leaf's value is among some; where it may be or not, both are followed."""
        here = self.masks[index]
        self.looked.add(index)
        special = here & _SPECIAL
        if special:
            known = here ^ special
            if known and self.choose(2) == 0:
                here = self.masks[index] = known
            else:
                self.masks[index] = special
                return self._untold(special)
        yes = here & wanted
        if yes == here or not yes:
            return bool(yes)
        if self.choose(2) == 0:
            self.masks[index] = yes
            return True
        self.masks[index] = here ^ yes
        return False

    def _untold(self, special: Values) -> bool:
        self.foreign |= bool(special & FOREIGN)
        if not self.lenient:
            raise Untold
        return self.choose(2) == 0

    def settle(self, index: int) -> int:
        """A leaf's value; each of those that it may have is followed."""
        here = self.masks[index]
        self.looked.add(index)
        special = here & _SPECIAL
        values = members(here ^ special)
        if special and (not values or self.choose(2)):
            self.masks[index] = special
            self._untold(special)
            return OTHER
        value = values[self.choose(len(values))] if len(values) > 1 else values[0]
        self.masks[index] = 1 << value
        return value


@cache
def members(values: Values) -> tuple[int, ...]:
    """The values of a set, in order."""
    return tuple(v for v in range(_LARGEST) if values >> v & 1)


_WALK = _Walk()


class _Leaf:
    """A part of a state or an argument of a call; whatever compares it follows each case."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def __eq__(self, other: object) -> bool:
        value = _WALK.settle(other.index) if isinstance(other, _Leaf) else other
        fits = isinstance(value, int) and 0 <= value < _LARGEST
        return _WALK.among(self.index, 1 << value if fits else 0)  # type: ignore[operator]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def among(self, values: Iterable[int]) -> bool:
        """Whether it is one of some values, as one case."""
        return _WALK.among(self.index, one(*values))

    def _where(self, holds: Callable[[int], bool]) -> bool:
        return _WALK.among(self.index, one(*filter(holds, members(_WALK.masks[self.index] & ~_SPECIAL))))

    def __lt__(self, other: int) -> bool:
        return self._where(lambda v: v < other)

    def __le__(self, other: int) -> bool:
        return self._where(lambda v: v <= other)

    def __gt__(self, other: int) -> bool:
        return self._where(lambda v: v > other)

    def __ge__(self, other: int) -> bool:
        return self._where(lambda v: v >= other)

    def __bool__(self) -> bool:
        return self._where(bool)

    def __and__(self, other: int) -> int:
        return _WALK.settle(self.index) & int(other)

    def __or__(self, other: int) -> int:
        return _WALK.settle(self.index) | int(other)

    __rand__, __ror__ = __and__, __or__

    def __index__(self) -> int:
        return _WALK.settle(self.index)

    def __hash__(self) -> int:
        return hash(_WALK.settle(self.index))


class Untellable(tuple[Any, ...]):
    """A list of which nothing is known."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        if not _WALK.lenient:
            raise Untold
        return iter(())

    def __contains__(self, x: object) -> bool:
        return any(True for _ in self)


UNTELLABLE: Final = Untellable()


# Records as rows of such sets.


ACTIVE_KEY: Final = 2
"""The index of the object that stands for the key of whatever operation, if that is there; new objects get 0 and 1."""


class Part:
    """A record of a state, or the arguments of a call, as a row of sets; there is one such object for each row."""

    __slots__ = ("masks",)

    def __init__(self, masks: tuple[Values, ...]) -> None:
        self.masks = masks


_PARTS: dict[tuple[Values, ...], Part] = {}


def part(masks: tuple[Values, ...]) -> Part:
    """The row of these sets."""
    found = _PARTS.get(masks)
    if found is None:
        found = _PARTS[masks] = Part(masks)
    return found


_Record = TypeVar("_Record")
_LISTS: Final = frozenset({"mechanisms", "abilities", "others"})
_LIMITS: Final = frozenset({"session_limit", "rw_session_limit"})
_UNLIKE: Final = _LISTS | _LIMITS


def _map(record: Any, change: Callable[[Any], Any]) -> Any:
    """A record with each of its leaves changed, in the order of the fields."""
    if not is_dataclass(record):
        return change(record)
    changed = {f.name: _map(getattr(record, f.name), change) for f in fields(record) if f.name not in _UNLIKE}
    return replace(record, **changed)  # type: ignore[type-var]


@cache
def paths(record: Any) -> tuple[str, ...]:
    """Where each leaf of a sort of record stands, in order, as `operations.sign.phase`."""
    found: list[str] = []

    def visit(x: Any, path: str) -> None:
        if is_dataclass(x):
            for f in fields(x):
                if f.name not in _UNLIKE:
                    visit(getattr(x, f.name), f"{path}.{f.name}" if path else f.name)
        else:
            found.append(path)

    visit(record(), "")
    return tuple(found)


def masks_of(record: object) -> tuple[Values, ...]:
    """A record of which all is known, as a row of sets."""
    return tuple(_flat(record))


@cache
def _getter(record: Any) -> Callable[[Any], tuple[Any, ...]]:
    return attrgetter(*paths(record))


def _flat(record: Any) -> list[Values]:
    """The leaves of a record, as sets."""
    return [_values(x) for x in _getter(record.__class__)(record)]


def _values(x: Any) -> Values:
    return _WALK.masks[x.index] if isinstance(x, _Leaf) else 1 << int(x) if 0 <= int(x) < _LARGEST else UNTOLD


@cache
def index_of(record: Any, path: str) -> int:
    """The place of a leaf in the row of its record."""
    return paths(record).index(path)


def with_values(p: Part, record: Any, **values: Values) -> Part:
    """A row with some leaves otherwise; dots of a path are written as two underscores."""
    masks = list(p.masks)
    for name, value in values.items():
        masks[index_of(record, name.replace("__", "."))] = value
    return part(tuple(masks))


CLOSED: Final = part(masks_of(Session()))
"""A session that is not open."""

GONE: Final = part(masks_of(Object()))
"""No object."""


def _anything(path: str) -> Values:
    """All that a leaf of a session may be."""
    name = path.rpartition(".")[2]
    match name:
        case "phase":
            return one(0, 1, 2, 3)
        case "search":
            return one(0, 1, 2, 3, 4)
        case "mechanism":
            return UNTOLD
        case "key":
            return one(ACTIVE_KEY, NOWHERE)
        case "login":
            return one(0, 1, 3)
        case "slot":
            return one(0)
    return EITHER


ANY_SESSION: Final = part(tuple(map(_anything, paths(Session))))
"""A session of which nothing is known, open or not."""

_ANY_SAVED: Final = tuple(map(_anything, paths(Saved)))

_OBJECT_ANYTHING: Final = {"kind": UNTOLD, "trait": UNTOLD, "origin": UNTOLD, "slot": one(0), "owner": one(0, 1)}

ANY_OBJECT: Final = part(tuple(_OBJECT_ANYTHING.get(path, EITHER) for path in paths(Object)))
"""An object of which nothing is known, not even whether it is there."""

_SLOT_ANYTHING: Final = {
    "so_pin": one(Pin.SO, Pin.NULL),
    "user_pin": one(Pin.USER, Pin.NULL),
    "login": one(0, 1, 3),
    **dict.fromkeys(
        (
            "recognized",
            "write_protected",
            "protected_path",
            "login_required",
            "empty_pin_legal",
            "rng",
            "dual",
            "has_mechanisms",
            "shared",
        ),
        UNTOLD,
    ),
    "pins_fit": TRUE,
}

ANY_SLOT: Final = part(tuple(_SLOT_ANYTHING.get(path, EITHER) for path in paths(Slot)))
"""A slot of which nothing is known."""


# The scene of a call: what it can see of the state.

MINE: Final = 1
"""The index of the call's session; that of a session that it opens is 0."""

FIRST_OBJECT: Final = 3
"""The index of the first object that the call names."""

_STRANGER: Final = 1
"""The slot of a session, or an object, that has nothing to do with the call's slot."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a call sees: the slot in question, its session, other sessions, objects, and its arguments.

    The last of `others` and of `objects` may be there only to see what becomes of such. `mechanisms` and `abilities`
    are those of the slot, where they are known.
    """

    initialized: Values
    slot: Part
    mine: Part
    others: tuple[Part, ...]
    objects: tuple[Part, ...]
    args: Part
    mechanisms: tuple[Any, ...] = UNTELLABLE
    abilities: tuple[Any, ...] = UNTELLABLE

    @property
    def masks(self) -> tuple[Values, ...]:
        """All the sets, in the order of the leaves."""
        found = [self.initialized, *self.slot.masks, *self.mine.masks]
        for p in (*self.others, *self.objects):
            found += p.masks
        return (*found, *_ANY_SAVED, *self.args.masks)


@dataclass(frozen=True, slots=True)
class _Stage:
    """A state and arguments made of leaves, for scenes of a shape.

    `others` are the leaves of the other sessions. `starts` has the number of the first leaf of each of `_records`, -1
    for one that is made of none.
    """

    state: State
    args: Args
    others: range
    starts: tuple[int, ...]


def _stage(function: Function, others: int, objects: int) -> _Stage:
    count = 0
    starts: list[int] = []

    def leaf(_: Any = None) -> _Leaf:
        nonlocal count
        count += 1
        return _Leaf(count - 1)

    def record(like: Any) -> Any:
        starts.append(count)
        return _map(like, leaf)

    def fixed(*records: Any) -> tuple[Any, ...]:
        starts.extend(-1 for _ in records)
        return records

    initialized: Any = leaf()
    slot = replace(
        record(Slot()),
        session_limit=LIMIT_UNKNOWN,
        rw_session_limit=LIMIT_UNKNOWN,
        mechanisms=UNTELLABLE,
        abilities=UNTELLABLE,
    )
    sessions = (*fixed(Session()), record(Session()))
    first = count
    sessions = (*sessions, *(record(Session()) for _ in range(others)))
    strangers = range(first, count)
    things = (*fixed(Object(), Object(), Object(True, True, Kind.AES)), *(record(Object()) for _ in range(objects)))
    saved = _map(Saved(), leaf)
    named_args: dict[str, Any] = {name: leaf() for name in function.uses}
    state = State(initialized, (slot, Slot()), sessions, things, saved)
    return _Stage(state, Args(**named_args), strangers, tuple(starts))


# Verdicts.


class Truth:
    """What is known of a truth: `yes`, it may be so; `no`, it may not. Knows `&`, `|` and `~`, as `decide` wants."""

    __slots__ = ("no", "yes")

    def __init__(self, yes: bool, no: bool) -> None:
        self.yes, self.no = yes, no

    def __and__(self, other: "Truth") -> "Truth":
        return _truth(self.yes and other.yes, self.no or other.no)

    def __or__(self, other: "Truth") -> "Truth":
        return _truth(self.yes or other.yes, self.no and other.no)

    def __invert__(self) -> "Truth":
        return _truth(self.no, self.yes)


_TRUTHS: Final = {(yes, no): Truth(yes, no) for yes in (False, True) for no in (False, True)}
YES, NO, PERHAPS = _TRUTHS[True, False], _TRUTHS[False, True], _TRUTHS[True, True]


def _truth(yes: bool, no: bool) -> Truth:
    return _TRUTHS[yes, no]


@dataclass(frozen=True, slots=True)
class Case:
    """A case that the rows tell apart: what is so in it, which rows hold, and what the text permits there.

    `codes` holds the codes that are permitted there, as far as is known; `outside` whether the model can follow the
    call; `foreign` that it has no word for something that a row looks at.
    """

    masks: tuple[Values, ...]
    holding: tuple[Truth, ...]
    codes: Mapping[int, Truth]
    outside: Truth
    foreign: bool

    def permits(self, code: int) -> bool:
        """Whether the text may permit a code there."""
        return self.outside.yes or code in self.codes


@dataclass(frozen=True, slots=True, eq=False)
class Ruled:
    """What the rows say of a call: the cases that there are; none where they are too many to follow.

    There is one such object for each scene that was looked at; compare with `is`.
    """

    cases: tuple[Case, ...]
    looked: bool
    """Whether a row looked at other sessions."""

    @property
    def codes(self) -> frozenset[int]:
        """The codes that the text may permit."""
        return frozenset(code for case in self.cases for code in case.codes)

    @property
    def outside(self) -> bool:
        """Whether the model may be unable to follow the call."""
        return not self.cases or any(case.outside.yes for case in self.cases)

    @property
    def foreign(self) -> bool:
        """Whether a row looks at something that the model has no word for."""
        return any(case.foreign for case in self.cases)


@dataclass(frozen=True, slots=True)
class After:
    """What a call left: the parts of the scene, joined over all cases. `lost` says that it cannot be followed.

    `opened` is the session that it opened. `mismatch` is an output that no case explains.
    """

    slot: Part
    mine: Part
    opened: Part
    others: tuple[Part, ...]
    objects: tuple[Part, ...]
    initialized: Values
    made: bool
    lost: bool = False
    mismatch: Mismatch | None = None
    harmless: bool = False
    looked: bool = False
    """Whether an effect looked at other sessions."""


_OURS: Final = frozenset({"buffer", "setting", "many"})
"""Arguments of functions that are out of scope only where what the tester would make of them cannot be followed."""


class Partial:
    """A model, run on scenes. What was worked out once is remembered, up to `full` scenes."""

    def __init__(self, model: Model, full: int = 200_000) -> None:
        self.model = model
        self._full = full
        self._stages: dict[tuple[str, int, int], _Stage] = {}
        self._spreading: dict[Change, bool] = {}
        self._ruled: dict[tuple[Any, ...], Ruled] = {}
        self._left: dict[tuple[Any, ...], After] = {}

    def _stage(self, function: str, scene: Scene) -> _Stage:
        shape = (function, len(scene.others), len(scene.objects))
        found = self._stages.get(shape)
        if found is None:
            found = self._stages[shape] = _stage(self.model.functions[function], *shape[1:])
        if scene.mechanisms is UNTELLABLE and scene.abilities is UNTELLABLE:
            return found
        slot = replace(found.state.slots[0], mechanisms=scene.mechanisms, abilities=scene.abilities)
        return replace(found, state=replace(found.state, slots=(slot, *found.state.slots[1:])))

    def rule(self, function: str, scene: Scene) -> Ruled:
        """What the rows say of a call in a scene."""
        key = (function, *_key(scene))
        found = self._ruled.get(key)
        if found is None:
            if len(self._ruled) >= self._full:
                self._ruled.clear()
            found = self._ruled[key] = self._rule(function, scene)
        return found

    def _rule(self, function: str, scene: Scene) -> Ruled:
        plan, f = plan_of(self.model, function), self.model.functions[function]
        stage = self._stage(function, scene)
        state, args = stage.state, stage.args
        ours = not _OURS.isdisjoint(f.uses)
        # Whether a number is free, which the tester asks of all that is active, does not matter here.
        mine = replace(state.sessions[MINE], operations=Operations())
        idle = replace(state, sessions=(state.sessions[0], mine), saved=Saved())
        cases: dict[tuple[Any, ...], Case] = {}
        _WALK.looked = set()
        try:
            for _ in _WALK.runs(scene.masks, lenient=False):
                holding = tuple([_holds(when, state, args) for when in plan.conditions])
                outside = NO if ours else _holds(f.out_of_scope, idle, args)
                masks = tuple(_WALK.masks)
                cases.setdefault((masks, holding, outside), _case(plan, masks, holding, outside, _WALK.foreign))
        except TooMany:
            cases = {}
        return Ruled(tuple(cases.values()), not _WALK.looked.isdisjoint(stage.others))

    def follow(
        self,
        function: str,
        scene: Scene,
        codes: tuple[int, ...],
        outputs: tuple[tuple[str, int], ...] = (),
        *,
        any_case: bool = False,
    ) -> After:
        """What a call left that returned one of some codes; outputs are looked at where there is but one.

        Cases that do not permit the code are left out, unless `any_case` says that it did what it is for all the same.
        """
        key = (function, codes, outputs, any_case, *_key(scene))
        found = self._left.get(key)
        if found is None:
            if len(self._left) >= self._full:
                self._left.clear()
            found = self._left[key] = self._follow(function, scene, codes, outputs, any_case)
        return found

    def _follow(
        self,
        function: str,
        scene: Scene,
        codes: tuple[int, ...],
        outputs: tuple[tuple[str, int], ...],
        any_case: bool,
    ) -> After:
        stage = self._stage(function, scene)
        f, ruled = self.model.functions[function], self.rule(function, scene)
        found = _Joined()
        _WALK.looked = set()
        try:
            for code in codes:
                for case in ruled.cases:
                    if case.outside.yes:
                        found.lost = True
                    elif any_case or code in case.codes:
                        _leave(f, stage, case.masks, code, outputs if len(codes) == 1 else (), found)
        except TooMany:
            found.lost = True
        if not ruled.cases:
            found.lost = True
        return found.after(scene, looked=not _WALK.looked.isdisjoint(stage.others))

    def spreads(self, function: str, codes: Sequence[int]) -> bool:
        """Whether a call that returns one of some codes may change sessions, objects or slots that it does not name."""
        f = self.model.functions[function]
        return any(self._reaches(f, e) for e in f.effects for code in codes if code in e.on)

    def _reaches(self, f: Function, effect: Effect) -> bool:
        found = self._spreading.get(effect.change)
        if found is None:
            found = self._spreading[effect.change] = _reaches(f, effect)
        return found


def _leave(
    f: Function,
    stage: _Stage,
    masks: tuple[Values, ...],
    code: int,
    outputs: tuple[tuple[str, int], ...],
    found: "_Joined",
) -> None:
    """Join what a code leaves in a case."""
    effects = [e for e in f.effects if code in e.on]
    given = dict(outputs)
    told = [(o, given[o.name]) for o in f.outputs if code in o.on and o.name in given]
    for _ in _WALK.runs(masks, lenient=True):
        s = stage.state
        try:
            for effect in effects:
                ways = step(effect, s, stage.args)
                s = ways[_WALK.choose(len(ways))] if len(ways) > 1 else ways[0]
            wrong = next(filter(None, (_wrong(output, seen, s, stage.args) for output, seen in told)), None)
        except (LookupError, StopIteration):
            found.lost = True
            continue
        found.explained |= wrong is None
        if wrong is None or (wrong.output, wrong.seen) in HARMLESS:
            found.add(s, stage.state, stage.starts)
        if wrong is not None and found.mismatch is None:
            found.mismatch = wrong


def _wrong(output: Output, seen: int, s: State, args: Args) -> Mismatch | None:
    values = output.permitted(s, args)
    if not values or seen in values:
        return None
    return Mismatch(output.name, seen, tuple(sorted({int(v) for v in values[:9]})), output.place)


def _reaches(f: Function, effect: Effect) -> bool:
    """Whether an effect changes, from whatever state, what the call does not name."""
    indices = {"session": one(MINE), "slot": one(0), "object": one(FIRST_OBJECT), "key": one(FIRST_OBJECT)}
    args = part(tuple(indices.get(name, UNTOLD) for name in f.uses))
    scene = Scene(EITHER, ANY_SLOT, ANY_SESSION, (ANY_SESSION,), (ANY_OBJECT, ANY_OBJECT), args)
    stage = _stage(f, 1, 2)
    named = "slot" in f.uses or "session" in f.uses
    try:
        for _ in _WALK.runs(scene.masks, lenient=True):
            try:
                after = effect.change(stage.state, stage.args)
            except (LookupError, StopIteration):
                continue
            strangers = (after.sessions[-1], after.objects[-1], *(() if named else after.slots[:1]))
            before = (stage.state.sessions[-1], stage.state.objects[-1], *(() if named else stage.state.slots[:1]))
            if any(x is not y for x, y in zip(strangers, before, strict=True)):
                return True
    except TooMany:
        return True
    return False


def _key(scene: Scene) -> tuple[Any, ...]:
    return (
        scene.initialized,
        scene.slot,
        scene.mine,
        scene.others,
        scene.objects,
        scene.args,
        scene.mechanisms if scene.mechanisms is not UNTELLABLE else None,
        scene.abilities if scene.abilities is not UNTELLABLE else None,
    )


def _holds(when: Callable[[State, Args], bool], s: State, a: Args) -> Truth:
    try:
        return YES if when(s, a) else NO
    except Untold:
        return PERHAPS


def _case(plan: Plan, masks: tuple[Values, ...], holding: Sequence[Truth], outside: Truth, foreign: bool) -> Case:
    codes = {int(code): truth for code, truth in decide(plan, holding, YES) if truth.yes}
    return Case(masks, tuple(holding), codes, outside, foreign)


def rows_of(model: Model, function: str, case: Case) -> Iterator[tuple[Rule, Truth]]:
    """The rows of a function that may hold in a case."""
    plan = plan_of(model, function)
    for rule, n in zip(model.functions[function].rules, plan.rows, strict=True):
        if case.holding[n].yes:
            yield rule, case.holding[n]


def _records(s: State) -> tuple[Any, ...]:
    """What a call may leave, record by record."""
    return (s.slots[0], *s.sessions, *s.objects)


class _Joined:
    """What cases left, joined: each leaf has every value that it has in any."""

    def __init__(self) -> None:
        self.masks: list[Values] = []
        self.lost = self.explained = False
        self.mismatch: Mismatch | None = None

    def add(self, s: State, before: State, starts: Sequence[int]) -> None:
        """Join a state; a record that it shares with the one before is as it is known there, from its first leaf on."""
        masks = _WALK.masks
        found = [_values(s.initialized)]
        for start, old, new in zip(starts, _records(before), _records(s), strict=True):
            if new is old and start >= 0:
                found += masks[start : start + len(paths(new.__class__))]
            else:
                found += _flat(new)
        self.join(found)

    def join(self, found: Sequence[Values]) -> None:
        """Join rows."""
        self.masks = [x | y for x, y in zip(self.masks, found, strict=True)] if self.masks else list(found)

    def after(self, scene: Scene, *, looked: bool) -> After:
        """The parts that they make; an output is wrong where nothing explains it."""
        if self.explained:
            self.mismatch = None
        if not self.masks:
            parts = (scene.slot, scene.mine, CLOSED, scene.others, scene.objects, scene.initialized)
            return After(*parts, made=False, lost=self.lost, mismatch=self.mismatch, looked=looked)
        masks = iter(self.masks)
        initialized = next(masks)
        slot = _plain_slot(_take(masks, len(ANY_SLOT.masks)))
        opened, mine, *others = (_plain_session(_take(masks, len(CLOSED.masks))) for _ in range(2 + len(scene.others)))
        objects = [_take(masks, len(GONE.masks)) for _ in range(FIRST_OBJECT + len(scene.objects))]
        made = bool(objects[0][0] & TRUE)
        named = tuple(_plain_object(x) for x in objects[FIRST_OBJECT:])
        harmless = self.mismatch is not None
        return After(
            slot, mine, opened, tuple(others), named, initialized, made, self.lost, self.mismatch, harmless, looked
        )


def _take(masks: Iterator[Values], count: int) -> tuple[Values, ...]:
    return tuple([next(masks) for _ in range(count)])


_OPEN: Final = index_of(Session, "open")
_PHASES: Final = tuple(n for n, path in enumerate(paths(Session)) if path.endswith(".phase"))
_EXISTS: Final = index_of(Object, "exists")
_SO_PIN, _USER_PIN = index_of(Slot, "so_pin"), index_of(Slot, "user_pin")
_NAMED_KEYS: Final = one(*range(FIRST_OBJECT, NOWHERE))


def _plain_session(masks: tuple[Values, ...]) -> Part:
    """A session without what nobody will look at; whatever key it was begun with is the active one."""
    if masks[_OPEN] == FALSE:
        return CLOSED
    found = list(masks)
    for n in _PHASES:
        if found[n] == one(0):
            found[n + 1], found[n + 2] = CLOSED.masks[n + 1], CLOSED.masks[n + 2]
        elif found[n + 2] & _NAMED_KEYS:
            found[n + 2] = (found[n + 2] & ~_NAMED_KEYS) | one(ACTIVE_KEY)
    return part(tuple(found))


def _plain_object(masks: tuple[Values, ...]) -> Part:
    return GONE if masks[_EXISTS] == FALSE else part(masks)


def _plain_slot(masks: tuple[Values, ...]) -> Part:
    """Whatever the PINs are now: those are right."""
    found = list(masks)
    for n, right in ((_SO_PIN, Pin.SO), (_USER_PIN, Pin.USER)):
        null = found[n] & one(Pin.NULL)
        found[n] = null | (one(right) if found[n] != null else 0)
    return part(tuple(found))


def join(first: Part, other: Part) -> Part:
    """A row whose leaves may be what they are in either."""
    if first is other:
        return first
    return part(tuple([x | y for x, y in zip(first.masks, other.masks, strict=True)]))
