"""What the tester may do to a token that it did not make: derived from what the model says that each call changes.

A function that the model does not have, or an effect of it that cannot be run, may do anything: on a stranger's token
such a call is not made.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import partial, reduce
from operator import or_
from typing import Any, Final

from ..model.call import Args, Call, Flaw
from ..model.chapters.conditions import session_valid, slot_of
from ..model.rule import Effect, Function
from ..model.state import Login, Object, Pin, Saved, Session, Slot, State, Trait
from ..model.table import TABLE
from ..model.vocabulary import CKU

Policy = Callable[[State, Call], bool]
"""Whether a call may be made in a state."""

Guesses = Callable[[State, Call], frozenset[CKU]]
"""Whose PIN a call may give wrongly in a state."""

# What a call may do to a token.

_NAMES_OBJECT: Final = {"object": 0, "key": 1, "other_key": 2}
"""Arguments that name objects, and the object that each names where it is seen what a function does."""

_HANDLES: Final[Mapping[str, tuple[int, ...]]] = {"session": (0,), "slot": (0,)} | {
    name: (k,) for name, k in _NAMES_OBJECT.items()
}
_COUNTERS: Final = {"so_failed": CKU.SO, "user_failed": CKU.USER}
_KEPT: Final = ("initialized", "so_pin", "user_pin")
"""What a token keeps of itself, less the counts of wrong PINs."""

_THEIRS: Final = Object(exists=True, known=True, token=True)


@dataclass(frozen=True, slots=True)
class Touch:
    """What a call may do to a token, whatever code it returns.

    `writes` names the fields of `Slot` that it may write, `counts` those against whose PIN it may count. `makes` says
    that it may make an object, `makes_kept` one that the token keeps. `changes` names the arguments whose objects it
    may change or destroy.
    """

    writes: frozenset[str] = frozenset()
    counts: frozenset[CKU] = frozenset()
    makes: bool = False
    makes_kept: bool = False
    changes: frozenset[str] = frozenset()

    def __or__(self, other: "Touch") -> "Touch":
        return Touch(
            self.writes | other.writes,
            self.counts | other.counts,
            self.makes or other.makes,
            self.makes_kept or other.makes_kept,
            self.changes | other.changes,
        )


NOTHING: Final = Touch()

_Said = tuple[bool, CKU]
"""The arguments that say where a new object goes and whose PIN is given. All others count as if at their worst."""

_Touches = Mapping[tuple[_Said, Login], Touch | None]
"""By what a call says, and by who is logged in. None: an effect cannot be run."""


class Touches:
    """What the calls of each function may do to a token, found once by running its effects."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self.functions = functions
        self._found: dict[str, _Touches] = {}
        self._whatever: dict[str, Touch | None] = {}

    def of(self, s: State, call: Call) -> Sequence[Touch] | None:
        """What a call may do in a state, one for each who may be logged in; None where that is not known.

        A session that is not open may be one after all, to a module that errs, and then anybody may be logged in.
        """
        a = call.args
        found = self._touches(call.function)
        if not found:
            return found if found is None else ()
        logins = (slot_of(s, a).login,) if session_valid(s, a) else Login
        touches = [found.get(((a.token, a.user), login)) for login in logins]
        known = [x for x in touches if x is not None]
        return known if len(known) == len(touches) else None

    def whatever(self, name: str) -> Touch | None:
        """What any call of a function may do; None where that is not known."""
        if name not in self._whatever:
            found = self._touches(name)
            touches = [*found.values()] if found is not None else [None]
            known = [x for x in touches if x is not None]
            self._whatever[name] = reduce(or_, known, NOTHING) if len(known) == len(touches) else None
        return self._whatever[name]

    def find(self) -> None:
        """Find it for all functions now, so that processes that are forked later need not, each by itself."""
        for name in self.functions:
            self.whatever(name)

    def _touches(self, name: str) -> _Touches | None:
        found = self._found.get(name)
        if found is None and name in self.functions:
            found = self._found[name] = _touches(self.functions[name])
        return found

    def uses(self, call: Call) -> tuple[str, ...]:
        """The arguments that the function of a call has."""
        return self.functions[call.function].uses


def _touches(f: Function) -> _Touches:
    """What the calls of a function may do; empty where none of them touches a token."""
    found: dict[tuple[_Said, Login], Touch | None] = {}
    if not f.effects:
        return found
    # One argument besides the handles is enough to show what the worst value of it does.
    narrowed = replace(f, domains={**f.domains, **_HANDLES}, deviations=1)
    for login in Login:
        s = _stranger(login)
        for call in narrowed.calls(s):
            key = (call.args.token, call.args.user), login
            before = found.get(key, NOTHING)
            now = _touched(f, s, call.args)
            found[key] = None if before is None or now is None else before | now
    return {} if all(x == NOTHING for x in found.values()) else found


def _stranger(login: Login) -> State:
    """A token of somebody's, with objects of theirs for all that a call can name, and room for two more.

    What the token keeps is marked, so that it shows when it is written, whatever the value.
    """
    marks: Any = {name: _Mark() for name in (*_KEPT, *_COUNTERS)}
    session = Session(open=True, rw=True)
    return State(
        initialized=True,
        slots=(replace(Slot(login=login), **marks),),
        sessions=(session, session, Session()),
        objects=(*(_THEIRS for _ in _NAMES_OBJECT), Object(), Object()),
        saved=Saved(valid=True, rw=True, login=login),
    )


class _Mark:
    """A value that no call gives."""


def _touched(f: Function, s: State, a: Args) -> Touch | None:
    """What the effects of a function do to a token, those of every code together; None if one cannot be run."""
    try:
        states = _after(f.effects, s, a)
    except Exception:
        return None
    whole = NOTHING
    for t in states[1:]:
        if t.slots is not s.slots or t.objects is not s.objects:
            whole |= _difference(f.uses, s, t)
    return whole


def _after(effects: Sequence[Effect], s: State, a: Args) -> list[State]:
    """A state, and what any of the effects make of it, each alone or after others."""
    states = [s]
    for effect in effects:
        for x in tuple(states):
            t = effect.change(x, a)
            if t is not x and t not in states:
                states.append(t)
    return states


def _difference(uses: Sequence[str], s: State, t: State) -> Touch:
    old, new = s.slots[0], t.slots[0]
    changed = {k for k, x in enumerate(s.objects) if x.exists and replace(t.objects[k], known=True) != x}
    made = [x for x, y in zip(t.objects, s.objects, strict=True) if x.exists and not y.exists]
    named = {name for name, k in _NAMES_OBJECT.items() if name in uses and k in changed}
    writes = {name for name in _KEPT if getattr(new, name) is not getattr(old, name)}
    if changed - {_NAMES_OBJECT[name] for name in named}:
        writes.add("objects")
    return Touch(
        frozenset(writes),
        frozenset(user for name, user in _COUNTERS.items() if getattr(new, name) is True),
        bool(made),
        any(x.token for x in made),
        frozenset(named),
    )


KNOWN: Final = Touches(TABLE)
"""What the calls of the whole table may do."""


def makes_objects(name: str) -> bool:
    """Whether a function makes objects."""
    touch = KNOWN.whatever(name)
    return touch is None or touch.makes


def keeps_token(name: str, *, failed: bool) -> bool:
    """Whether a call left what a token keeps alone: one of a function that never touches it, or one that `failed` and

    counts no wrong PIN.
    """
    touch = KNOWN.whatever(name)
    return touch is not None and (touch == NOTHING or (failed and not touch.counts))


# Levels.


class Level(IntEnum):
    """How far a token was given over to the tester. Each level includes those before it."""

    SESSION_OBJECTS = 0
    TOKEN_OBJECTS = 1
    PINS = 2
    EVERYTHING = 3
    OURS = 4

    @property
    def words(self) -> str:
        """Its name, in words."""
        return self.name.lower().replace("_", " ")

    @property
    def sentence(self) -> str:
        """What it allows, for the report."""
        return _SENTENCES[self]


_SENTENCES: Final[Mapping[Level, str]] = {
    Level.SESSION_OBJECTS: "session objects are made, changed and destroyed; users log in with the right PIN only",
    Level.TOKEN_OBJECTS: "token objects of p11conform's own label are made, changed, and destroyed again",
    Level.PINS: "the user PIN is changed by C_SetPIN with the right old one and put back; at most one wrong user PIN "
    "is given before the right one is again, and none where the token says that few tries are left",
    Level.EVERYTHING: "the token is initialised anew again and again, everything on it is lost, and the user PIN "
    "is changed and guessed at; the SO PIN is not",
    Level.OURS: "the token was made by p11conform for this run",
}

RIGHT_PIN: Final = {CKU.SO: Pin.SO, CKU.USER: Pin.USER}
_PUT_BACK: Final = (Pin.USER, Pin.OTHER)
"""User PINs that are set where the PIN must be put back: legal ones, which any module takes again."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What the tester may do, as data; `users` are those whose PIN was given.

    Session objects of the module may be `lasting`: they outlive their session and its process. Where they may not stay
    none are made then, nor where that could not be seen: `objects` says so.
    `reduced` says, for the report, why the level is lower than what was asked for.
    """

    level: Level
    users: frozenset[CKU] = frozenset()
    objects: bool = True
    lasting: bool = False
    reduced: tuple[str, ...] = field(default=())

    @property
    def policy(self) -> Policy:
        """The same as a policy."""
        return anything if self.level is Level.OURS else on_token(self.level, self.users, objects=self.objects)

    @property
    def lines(self) -> tuple[str, ...]:
        """What is allowed, a line for each level, and a line for whatever reduced it."""
        levels = (self.level,) if self.level is Level.OURS else tuple(x for x in Level if x <= self.level)
        return (*(f"{x.words}: {x.sentence}" for x in levels), *self.reduced)

    @property
    def least(self) -> Policy:
        """What may still be done to a token of which nothing is known: no PINs, and no object that may stay."""
        return on_token(Level.SESSION_OBJECTS, frozenset(), objects=self.objects and not self.lasting)

    @property
    def guesses(self) -> Guesses:
        """Whose PIN a call may give wrongly, where each try is to be weighed."""
        return partial(_guessed, self) if self.level is Level.PINS else nobody

    def possible(self) -> "Rights":
        """The same, lowered to what the given PINs are enough for."""
        rights = self
        if rights.level is Level.EVERYTHING and CKU.SO not in self.users:
            why = "the token is not initialised anew: that needs the SO PIN"
            rights = rights.below(Level.PINS, why)
        if Level.PINS <= rights.level <= Level.EVERYTHING and CKU.USER not in self.users:
            why = "no PIN is changed: that needs the user PIN"
            rights = rights.below(Level.TOKEN_OBJECTS, why)
        return rights

    def below(self, level: Level, why: str) -> "Rights":
        """The same at a lower level, with the reason."""
        return replace(self, level=min(self.level, level), reduced=(*self.reduced, why))


def _guessed(rights: Rights, s: State, call: Call) -> frozenset[CKU]:
    cases = [_Case(s, call, x, KNOWN, rights.level, rights.users, rights.objects) for x in KNOWN.of(s, call) or ()]
    return frozenset(user for case in cases for user in case.touch.counts if not case.gives_right_pin(user))


def nobody(s: State, call: Call) -> frozenset[CKU]:  # noqa: ARG001
    """Nobody's PIN: for a token whose tries need not be weighed."""
    return frozenset()


def anything(s: State, call: Call) -> bool:  # noqa: ARG001
    """Every call: for a token of our own."""
    return True


def on_token(level: Level, users: frozenset[CKU], *, objects: bool = True, touches: Touches = KNOWN) -> Policy:
    """The calls that may be made on a token of somebody else's, given over up to a level."""
    allowed = _expendable if level >= Level.EVERYTHING else _careful

    def allows(s: State, call: Call) -> bool:
        found = touches.of(s, call)
        if found is None:
            return False
        for touch in found:
            if touch != NOTHING and not allowed(_Case(s, call, touch, touches, level, users, objects)):
                return False
        return True

    return allows


@dataclass(frozen=True, slots=True)
class _Case:
    """A call in a state, with what it may do, and what is allowed."""

    s: State
    call: Call
    touch: Touch
    touches: Touches
    level: Level
    users: frozenset[CKU]
    objects: bool

    @property
    def uses(self) -> tuple[str, ...]:
        return self.touches.uses(self.call)

    def names(self, user: CKU) -> bool:
        """Whether the call, if it says who the PIN is of, says that user."""
        return "user" not in self.uses or self.call.args.user == user

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The slots that the call may be about: where its handle is not valid, any."""
        s, a = self.s, self.call.args
        if "session" in self.uses:
            return (slot_of(s, a),) if session_valid(s, a) else s.slots
        return (s.slots[a.slot],) if a.slot < len(s.slots) else s.slots

    def gives_right_pin(self, user: CKU) -> bool:
        """Whether the PIN in the call is surely that of the user."""
        now = {slot.so_pin if user is CKU.SO else slot.user_pin for slot in self.slots} - {Pin.NULL}
        return self.names_nobody and {self.call.args.pin} == (now or {RIGHT_PIN[user]})

    @property
    def names_nobody(self) -> bool:
        """Whether the call gives no user's name: to a user of another name the right PIN may be a wrong one."""
        return not self.call.args.named


def _careful(case: _Case) -> bool:
    """Below EVERYTHING."""
    touch, level = case.touch, case.level
    if not case.objects and touch.makes:
        return False
    if touch.makes_kept and not (level >= Level.TOKEN_OBJECTS and _removable(case)):
        return False
    named = {*touch.changes}
    if touch.makes and case.call.args.flaw == Flaw.EMPTY and "object" in case.uses:
        named.add("object")  # what no template says of a copy is as in its original, the place included
    if not all(_ours(case, getattr(case.call.args, name)) for name in named):
        return False
    if touch.writes and not (level >= Level.PINS and _pin_to_be_put_back(case)):
        return False
    return all(_may_count(case, user) for user in touch.counts)


def _ours(case: _Case, k: int) -> bool:
    """Whether handle `k` is surely of an object that we made: a dead handle may name somebody's object anew."""
    objects = case.s.objects
    if k >= len(objects) or not (objects[k].exists and objects[k].known):
        return False
    return not objects[k].token or case.level >= Level.TOKEN_OBJECTS


def _removable(case: _Case) -> bool:
    """Whether every token object that the call may make can be destroyed again."""
    s, a = case.s, case.call.args
    if not session_valid(s, a):
        return False
    try:
        made = [t.objects for t in _after(case.touches.functions[case.call.function].effects, s, a)]
    except (IndexError, StopIteration):
        return False
    return all(x.trait != Trait.UNDESTROYABLE for objects in made for x in objects if x.exists and x.token)


def _pin_to_be_put_back(case: _Case) -> bool:
    """Whether nothing is written but the user PIN, by a call that wants the old one, and to one that any module takes.

    The old one may be wrong: whether it may is another question.
    """
    kept = case.touch.writes <= {"user_pin"} and case.touch.counts == {CKU.USER}
    return kept and CKU.USER in case.users and case.call.args.new_pin in _PUT_BACK


def _may_count(case: _Case, user: CKU) -> bool:
    """Whether a PIN of the user may be given: the right one, or a wrong one if none was since the last right one.

    The lowest limit that is known of any token is three tries.
    """
    if user not in case.users or not case.names(user):
        return False
    if case.level < Level.PINS:
        return case.names_nobody and case.call.args.pin == RIGHT_PIN[user]
    if case.gives_right_pin(user):
        return True
    return user is CKU.USER and not any(slot.user_failed for slot in case.slots)


def _expendable(case: _Case) -> bool:
    """All but what could lose the SO PIN, without which the token cannot be put back.

    It is never guessed at, so that it cannot lock, and never changed. A user type that is none may be taken for the SO.
    """
    a, touch = case.call.args, case.touch
    if touch.counts and "user" in case.uses and a.user == CKU.INVALID:
        return False
    if CKU.SO in touch.counts and (a.pin != Pin.SO or not case.names_nobody):
        return False
    return "so_pin" not in touch.writes or (a.pin == Pin.SO and "new_pin" not in case.uses)
