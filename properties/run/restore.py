"""Putting back what the tokens keep, by calls that are planned on the model: the cheapest way, and first to be tried.

A plan begins with the library finalised. It is looked for on states in which objects are told apart only by what
matters for their end, so that few plans have to be made. Where an answer is not the one that was planned, the next plan
goes on from there; the dearest initialises the token anew.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ...model.call import Args, Call, Ending, InitArgs, Observation
from ...model.chapters import searches
from ...model.oracle import Model, following, in_scope, may_succeed
from ...model.state import Login, Object, Pin, Search, Slot, State, Trait
from ...model.vocabulary import CKR, CKU
from ..engine.verdict import Outcome, Verdict, follow
from ..policy import Policy, keeps_token

DEPTH: Final = 6
"""Calls that a plan makes at most between two states of which the second lacks less."""

LONGEST: Final = 40
"""Calls of a plan, at most."""

Make = Callable[[Call], Observation]
"""Makes a call."""

Finalise = Callable[[Sequence[Call]], object]
"""Finalises the library, after these calls to put back."""

Contents = tuple[object, ...]


def token_contents(s: State) -> Contents:
    """What the tokens keep once the library is finalised."""
    objects = (replace(x, known=False, owner=0) for x in s.objects if x.exists and x.token)
    return (*map(_kept, s.slots), *objects)


def _kept(x: Slot) -> Contents:
    """Whether a PIN may be flagged as to be changed is left out: no plan takes that back (see `as_at`)."""
    befallen = (x.present, x.recognized, x.write_protected, x.trouble)
    return (x.initialized, x.so_pin, x.user_pin, x.so_failed, x.user_failed, *befallen)


def as_at(start: State, s: State) -> bool:
    """Whether the tokens keep what they kept at the start, and no PIN may be flagged as to be changed that was not."""
    raised = (
        (x.so_pin_to_be_changed and not first.so_pin_to_be_changed)
        or (x.user_pin_to_be_changed and not first.user_pin_to_be_changed)
        for x, first in zip(s.slots, start.slots, strict=True)
    )
    return token_contents(s) == token_contents(start) and not any(raised)


def contents_known(believed: Sequence[State], before: Sequence[State], last: Verdict | None) -> Sequence[State]:
    """States that tell what the tokens keep, none if nothing does.

    After a failure nothing is `believed`. Where the failed call can have changed nothing that a token keeps, what was
    believed `before` it still tells.
    """
    if believed or last is None or last.mismatch is not None or last.observation.ending is not Ending.RETURNED:
        return believed
    failed = last.observation.code != CKR.OK
    return before if keeps_token(last.call.function, failed=failed) else believed


@dataclass(frozen=True, slots=True)
class Way:
    """How putting back went: whether it is done, and where a call of it failed, the calls up to that one and why."""

    done: bool
    calls: tuple[Call, ...] = ()
    failure: Verdict | None = None


class _Judged:
    """Judges the calls that put back, from what was believed before; after a failure nothing is known any more."""

    def __init__(self, model: Model, believed: Sequence[State]) -> None:
        self._model, self._beliefs = model, frozenset(believed)
        self.calls: list[Call] = []
        self.failing: tuple[Call, ...] = ()
        self.failure: Verdict | None = None

    def finalised(self) -> None:
        """Note that the library is finalised."""
        begun = [s for s in self._beliefs if s.initialized]
        if begun or self.calls:
            self.calls.append(_FINALIZE)
        ended = (following(self._model, s, _FINALIZE, CKR.OK)[0] for s in begun)
        self._beliefs = frozenset((*(s for s in self._beliefs if not s.initialized), *ended))

    def sees(self, call: Call, seen: Observation) -> bool:
        """Judge an answer; whether it is CKR_OK."""
        self.calls.append(call)
        if self._beliefs:
            verdict, after = follow(self._model, tuple(self._beliefs), call, seen)
            self._beliefs = frozenset(after)
            if verdict.outcome is Outcome.FAIL:
                self.failing, self.failure, self._beliefs = tuple(self.calls), verdict, frozenset()
        return seen.code == CKR.OK


_FINALIZE: Final = Call("C_Finalize")


class Restoring:
    """The way back to a start.

    `policy` says which calls may be made for it, `can` which the module takes, `start` what the tokens are to hold.
    """

    def __init__(
        self, model: Model, start: State, policy: Policy, can: Callable[[Call], bool] = lambda _: True
    ) -> None:
        self._model, self._start, self._policy, self._can = model, start, policy, can
        self._plans: dict[tuple[Contents, bool], tuple[Call, ...] | None] = {}
        self._login_first = False

    def restore(self, believed: Sequence[State], make: Make, finalise: Finalise, *, sound: bool = True) -> Way:
        """Put back what the tokens keep, of which these states tell, and follow the calls that do if that is `sound`.

        `finalise` ends what the library does. It is not finalised afterwards.
        """
        judged = _Judged(self._model, believed if sound else ())

        def again() -> None:
            judged.finalised()
            finalise(judged.calls)

        def made(call: Call) -> bool:
            return judged.sees(call, make(call))

        ends = {token_contents(s): self._finalised(s) for s in believed}
        # Where several are believed, what is not there cannot be destroyed, and shows itself by that.
        s = max(ends.values(), key=self._lacking, default=None)
        done = False
        if s is not None:
            for login_first in dict.fromkeys((self._login_first, True)):
                again()
                s, done = self._follow(s, self._plan(s, login_first), made)
                if done:
                    self._login_first = login_first
                    break
        anew = None if done else self._anew()
        if anew is not None:
            again()
            _, done = self._follow(self._unknown(), anew, made)
        return Way(done, judged.failing, judged.failure)

    def _follow(self, s: State, plan: Sequence[Call] | None, made: Callable[[Call], bool]) -> tuple[State, bool]:
        """Make the calls of a plan until one does not succeed; the state then, with the library finalised."""
        if plan is None:
            return s, False
        for call in plan:
            if not made(call):
                return self._finalised(s), False
            s = following(self._model, s, call, CKR.OK)[0]
        return s, True

    def _finalised(self, s: State) -> State:
        """What is left of a state once the library is finalised, of objects only what matters for their end."""
        kept = [_plain(x) for x in s.objects if x.exists and x.token]
        objects = (*kept, *self._start.objects[len(kept) :])
        slots = tuple(replace(x, login=Login.NOBODY) for x in s.slots)
        return replace(self._start, slots=slots, objects=objects)

    def _lacking(self, s: State) -> int:
        """In how many things the tokens differ from the start."""
        slots = zip(map(_kept, s.slots), map(_kept, self._start.slots), strict=True)
        differing = sum(a != b for x, y in slots for a, b in zip(x, y, strict=True))
        return differing + sum(x.exists and x.token for x in s.objects)

    def _unknown(self) -> State:
        """A token of which nothing is known but the SO PIN; that its user PIN is WRONG stands for that."""
        slots = self._start.slots
        lost = replace(slots[0], user_pin=Pin.WRONG, user_failed=True) if slots[0].initialized else slots[0]
        return replace(self._start, slots=(lost, *slots[1:]))

    def _anew(self) -> tuple[Call, ...] | None:
        key = ("anew",), True
        if key not in self._plans:
            self._plans[key] = self._search(self._unknown(), _anew_calls)
        return self._plans[key]

    def _plan(self, s: State, login_first: bool) -> tuple[Call, ...] | None:
        key = token_contents(s), login_first
        if key not in self._plans:
            self._plans[key] = self._search(s, _login_first if login_first else _calls)
        return self._plans[key]

    def _search(self, s: State, calls: "Calls") -> tuple[Call, ...] | None:
        """Calls after which nothing is lacking, None if none are found."""
        plan: tuple[Call, ...] = ()
        while self._lacking(s) and len(plan) < LONGEST:
            found = self._nearer(s, calls)
            if found is None:
                return None
            way, s = found
            plan += way
        return plan

    def _nearer(self, start: State, calls: "Calls") -> tuple[tuple[Call, ...], State] | None:
        """A shortest way to a state that lacks less."""
        lacking, seen = self._lacking(start), {start}
        queue: deque[tuple[State, tuple[Call, ...]]] = deque([(start, ())])
        while queue:
            s, way = queue.popleft()
            if len(way) == DEPTH:
                continue
            for call in calls(s, self._start):
                if not (self._may(s, call) and may_succeed(self._model, s, call)):
                    continue
                t = following(self._model, s, call, CKR.OK)[0]
                if self._lacking(t) < lacking:
                    return (*way, call), t
                if t not in seen:
                    seen.add(t)
                    queue.append((t, (*way, call)))
        return None

    def _may(self, s: State, call: Call) -> bool:
        return in_scope(self._model, s, call) and self._policy(s, call) and self._can(call)


Calls = Callable[[State, State], Iterator[Call]]
"""The calls worth making in a state, to come nearer to another."""


def _plain(x: Object) -> Object:
    trait = Trait.UNDESTROYABLE if x.trait == Trait.UNDESTROYABLE else Trait.PLAIN
    return Object(exists=True, slot=x.slot, token=True, private=x.private, trait=trait)


def _sessions(s: State) -> Iterator[tuple[int, int]]:
    """A session with each slot that has one, beside the slot."""
    first = {x.slot: k for k, x in reversed([*enumerate(s.sessions)]) if x.open}
    return ((session, slot) for slot, session in first.items())


_INITIALIZE: Final = tuple(Call("C_Initialize", Args(init=init)) for init in (InitArgs.NULL, InitArgs.OS_LOCKING))
"""A module that needs a pReserved takes the second only."""


def _begin(s: State) -> Iterator[Call]:
    if not s.initialized:
        yield from _INITIALIZE
        return
    in_use = {slot for _, slot in _sessions(s)}
    yield from (Call("C_OpenSession", Args(slot=k)) for k, x in enumerate(s.slots) if k not in in_use and x.initialized)


def _calls(s: State, start: State) -> Iterator[Call]:
    yield from _begin(s)
    for session, k in _sessions(s):
        slot = s.slots[k]
        yield from (
            Call("C_DestroyObject", Args(session=session, object=n))
            for n, x in enumerate(s.objects)
            if x.exists and x.known and x.token and x.slot == k
        )
        if slot.user_pin != start.slots[k].user_pin:
            yield Call("C_SetPIN", Args(session=session, pin=slot.user_pin, new_pin=start.slots[k].user_pin))
            yield Call("C_InitPIN", Args(session=session, new_pin=start.slots[k].user_pin))
        if any(x.exists and x.token and x.slot == k for x in s.objects):
            searching = s.sessions[session].operations.search != Search.NONE
            first, *others = (f.name for f in searches.FUNCTIONS)
            yield from (Call(name, Args(session=session)) for name in (others if searching else [first]))
        yield Call("C_Login", Args(session=session, pin=slot.user_pin))
        yield Call("C_Login", Args(session=session, user=CKU.SO, pin=slot.so_pin))
        yield Call("C_Logout", Args(session=session))


def _login_first(s: State, start: State) -> Iterator[Call]:
    """As `_calls`, with no search and no PIN changed before the user is logged in: some tokens want that."""
    for call in _calls(s, start):
        wants = "Object" in call.function or call.function == "C_SetPIN"
        if not wants or s.slots[s.sessions[call.args.session].slot].login == Login.USER:
            yield call


def _anew_calls(s: State, start: State) -> Iterator[Call]:
    """The token initialised anew, and the user PIN set; nothing that rests on what it held."""
    if s.slots[0].user_pin != Pin.WRONG:
        yield from _calls(s, start)
    elif s.initialized:
        yield Call("C_InitToken", Args(pin=start.slots[0].so_pin))
    else:
        yield from _INITIALIZE
