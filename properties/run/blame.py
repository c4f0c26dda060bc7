"""What an earlier call has to do with a failure: what it should have done, or should not, that explains it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ...model.call import Args, Buffer, Call, Observation, altered
from ...model.chapters.operations import NOT_ACTIVE, all_dropped
from ...model.chapters.searches import SEARCH_NOT_ACTIVE
from ...model.oracle import Model, in_scope, permitted
from ...model.rule import Change, Effect, named
from ...model.state import Login, Object, Operations, State
from ...model.vocabulary import CKR
from ..engine.verdict import Kind, Lapse, Outcome, Part, Steps, Verdict, follow, null_arguments

_NOT_ACTIVE = frozenset({NOT_ACTIVE, SEARCH_NOT_ACTIVE.id})
"""Facts that say that there is no operation to go on with."""

ENDING: Final = frozenset(
    {
        "library-finalized",
        "session-closed",
        "sessions-closed",
        "logged-out",
        "object-destroyed",
        "pin-changed",
        "user-pin-set",
    }
)
"""Effects that make an end of something, so that what then wrongly succeeds may do so as it is still there."""

COUNTS: Final = frozenset({"found", "strangers"})
"""Outputs that tell of objects by what the application made of them itself."""

_OF_STATES: Final = (Kind.OPERATION_STATE, Kind.SESSION_STATE, Kind.DATA_EFFECT)
_OF_CODES: Final = (Kind.WRONG_CODE, Kind.OFF_LIST, Kind.PRECEDENCE)


def blame(model: Model, initial: State, steps: Steps, failure: Verdict) -> Verdict:
    """The failure of a trace's last step, with the latest lapse that explains it where it is about an operation.

    Whether one is active is for earlier calls to decide; of other failures the call itself is the first suspect.
    """
    if failure.kind is Kind.OPERATION_STATE or (failure.facts and failure.facts <= _NOT_ACTIVE):
        return _explained(model, initial, steps, failure)
    return failure


def blame_any(model: Model, initial: State, steps: Steps, failure: Verdict) -> Verdict:
    """The failure of a trace that cannot be shorter, with the latest lapse that explains it, whatever it is about.

    What is not needed for the failure is not in such a trace. Of what wrongly succeeds only an earlier call is
    suspected that should have made an end of something.
    """
    plain = blame(model, initial, steps, failure)
    if plain.lapse is not None:
        return plain
    if failure.kind in _OF_STATES or (failure.kind in _OF_CODES and not failure.rules):
        return _explained(model, initial, steps, failure)
    if failure.kind is Kind.MISSING_ERROR:
        return _explained(model, initial, steps, failure, ENDING)
    return failure


def _explained(
    model: Model, initial: State, steps: Steps, failure: Verdict, only: frozenset[str] | None = None
) -> Verdict:
    """The failure with the latest of the lapses that explain it, and of those in one call the smallest."""
    believed: list[Sequence[State]] = [(initial,)]
    made, steps = len(steps) - 1, _spelled_out(steps)
    for call, seen in steps[:-1]:
        if not _followed(model, believed[-1], call):
            return failure
        believed.append(follow(model, believed[-1], call, seen)[1])
        if not believed[-1]:
            return failure
    for n in reversed(range(len(steps) - 1)):
        call, seen = steps[n]
        for other in _lapses(model, call, seen, believed[n]):
            right = only is None or (other.lapse.effect is not None and other.lapse.effect.id in only)
            # Of a query that no one saw return, nothing else is suspected.
            right = right and (n < made or other.lapse.asked)
            if right and _allowed(model, other, believed[n], steps[n:]):
                return replace(failure, lapse=other.lapse)
    return failure


def _spelled_out(steps: Steps) -> Steps:
    """A trace whose last call asks for a length itself, if it does, as one in which a call before it does."""
    (call, seen) = steps[-1]
    if call.args.buffer not in (Buffer.SHORT, Buffer.EXACT):
        return steps
    query, whole = (altered(call, buffer=x) for x in (Buffer.NULL, Buffer.ENOUGH))
    return (*steps[:-1], (query, Observation()), (whole, seen))


@dataclass(frozen=True, slots=True)
class _Otherwise:
    """A lapse: the model in which the call is right, and what comes on top of that."""

    lapse: Lapse
    model: Model
    beside: Callable[[State], State] = lambda s: s


def _lapses(model: Model, call: Call, seen: Observation, believed: Sequence[State]) -> Iterator[_Otherwise]:
    """What may have gone wrong in a call that returned, the smallest first."""
    f = model.functions[call.function]
    null = bool(null_arguments(call, f.uses))
    for effect in f.effects:
        if effect.certain and seen.code in effect.on:
            for part in _changed_by(effect, call, believed):
                other = replace(effect, change=_less(effect, part))
                lapse = Lapse(call.function, seen.code, effect, null, part)
                yield _Otherwise(lapse, model.with_effect(call.function, effect, other))
            lax = model.with_effect(call.function, effect, replace(effect, certain=False))
            yield _Otherwise(Lapse(call.function, seen.code, effect, null), lax)
    if seen.code == CKR.OK and "buffer" in f.uses and call.args.buffer == Buffer.NULL:
        for effect in f.effects:
            if effect.certain and CKR.OK in effect.on:
                other = replace(effect, change=_whole(effect))
                lax = model.with_effect(call.function, effect, other)
                yield _Otherwise(Lapse(call.function, seen.code, effect, null, asked=True), lax)
    if seen.code != CKR.OK:
        for effect in f.effects:
            if effect.certain and CKR.OK in effect.on and seen.code not in effect.on:
                other = replace(effect, on=effect.on | {CKR(seen.code)}, change=_unseen(effect))
                lax = model.with_effect(call.function, effect, other)
                yield _Otherwise(Lapse(call.function, seen.code, effect, null), lax)
    if "session" in f.uses:
        if seen.code != CKR.OK:
            yield _Otherwise(Lapse(call.function, seen.code, None, null), model, lambda s: all_dropped(s, call.args))
        for part, end in _ENDS.items():
            yield _Otherwise(Lapse(call.function, seen.code, None, null, part), model, end)


def _changed_by(effect: Effect, call: Call, believed: Sequence[State]) -> Iterator[Part]:
    """The parts of the state that an effect changes, if there are several."""
    s = believed[0]
    after = effect.change(s, call.args)
    parts = [part for part, keep in _KEEPS.items() if keep(s, after) != after]
    if len(parts) > 1:
        yield from parts


def _less(effect: Effect, part: Part) -> Change:
    """An effect that leaves a part of the state as it was."""
    return named(effect.name, lambda s, a: _KEEPS[part](s, effect.change(s, a)))


def _whole(effect: Effect) -> Change:
    """An effect as it is where there is a buffer for the output."""
    return named(effect.name, lambda s, a: effect.change(s, replace(a, buffer=Buffer.ENOUGH)))


def _unseen(effect: Effect) -> Change:
    """An effect that the application was not told of, so that it has no handle."""

    def change(s: State, a: Args) -> State:
        try:
            after = effect.change(s, a)
        except (IndexError, StopIteration):
            return s  # there is no room for what it makes
        if any(x.open and x.slot >= len(s.slots) for x in after.sessions):
            return s  # what it names is nowhere
        objects = zip(s.objects, after.objects, strict=True)
        return replace(after, objects=tuple(replace(new, known=new.known and old.known) for old, new in objects))

    return named(effect.name, change)


def _allowed(model: Model, other: _Otherwise, believed: Sequence[State], steps: Steps) -> bool:
    """Whether a model allows all these steps if the first of them went otherwise."""
    (call, seen), *rest = steps
    verdict: Verdict | None = None
    if not _followed(other.model, believed, call):
        return False
    right = follow(model, believed, call, seen)[1]
    beliefs: Sequence[State] = [other.beside(s) for s in follow(other.model, believed, call, seen)[1]]
    left = [s for s in beliefs if _objects(s) > max(map(_objects, right), default=0)]
    # What should not be there is a stranger to the application, which the model has no word for.
    beliefs, strange = (left, True) if left else (beliefs, False)
    for call, seen in rest:
        if not beliefs or not _followed(model, beliefs, call):
            return False
        told = tuple(x for x in seen.outputs if not (strange and x[0] in COUNTS))
        verdict, beliefs = follow(model, beliefs, call, replace(seen, outputs=told))
    # What does no harm leaves states to go on with, and is a failure all the same.
    return bool(beliefs) and verdict is not None and verdict.outcome is not Outcome.FAIL


def _objects(s: State) -> int:
    return sum(x.exists for x in s.objects)


def hypotheses(
    model: Model, initial: State, steps: Steps, blamed: Verdict
) -> tuple[Sequence[State], Sequence[State]] | None:
    """What is believed before the last step of a blamed trace: as the text has it, and only after the lapse."""
    believed: list[Sequence[State]] = [(initial,)]
    for call, seen in steps[:-1]:
        believed.append(follow(model, believed[-1], call, seen)[1])
    for n in reversed(range(len(steps) - 1)):
        call, seen = steps[n]
        for other in _lapses(model, call, seen, believed[n]):
            if other.lapse == blamed.lapse and _allowed(model, other, believed[n], steps[n:]):
                beliefs: Sequence[State] = [other.beside(s) for s in follow(other.model, believed[n], call, seen)[1]]
                for call, seen in steps[n + 1 : -1]:
                    beliefs = follow(model, beliefs, call, seen)[1]
                # The lapse may be that an effect was missed, which then may have come all the same.
                return believed[-1], [s for s in beliefs if s not in believed[-1]]
    return None


def telling(model: Model, right: Sequence[State], otherwise: Sequence[State], calls: Iterable[Call]) -> Iterator[Call]:
    """The calls that may succeed if the first belief is true, and cannot if the other one is."""
    for call in calls:
        if _followed(model, (*right, *otherwise), call):
            codes, others = _permitted(model, right, call), _permitted(model, otherwise, call)
            if CKR.OK in codes and CKR.OK not in others:
                yield call


def refuted(model: Model, right: Sequence[State], otherwise: Sequence[State], call: Call, seen: Observation) -> bool:
    """Whether the answer to a call is one that the text permits under the first belief, and not under the other."""
    return seen.code in _permitted(model, right, call) - _permitted(model, otherwise, call)


def _permitted(model: Model, beliefs: Sequence[State], call: Call) -> frozenset[int]:
    return frozenset(code for s in beliefs for code in permitted(model, s, call))


def _followed(model: Model, beliefs: Sequence[State], call: Call) -> bool:
    return all(in_scope(model, s, call) for s in beliefs)


def _login_as(before: State, after: State) -> State:
    slots = zip(before.slots, after.slots, strict=True)
    return replace(after, slots=tuple(replace(new, login=old.login) for old, new in slots))


def _pins_as(before: State, after: State) -> State:
    slots = zip(before.slots, after.slots, strict=True)
    return replace(after, slots=tuple(replace(new, so_pin=o.so_pin, user_pin=o.user_pin) for o, new in slots))


def _operations_as(before: State, after: State) -> State:
    sessions = zip(before.sessions, after.sessions, strict=True)
    kept = (replace(new, operations=old.operations) if old.open and new.open else new for old, new in sessions)
    return replace(after, sessions=tuple(kept))


def _sessions_as(before: State, after: State) -> State:
    sessions = zip(before.sessions, after.sessions, strict=True)
    kept = (replace(old, operations=new.operations if new.open else old.operations) for old, new in sessions)
    return replace(after, sessions=tuple(kept))


_KEEPS: Final[Mapping[Part, Callable[[State, State], State]]] = {
    Part.LOGIN: _login_as,
    Part.OPERATIONS: _operations_as,
    Part.PINS: _pins_as,
    Part.OBJECTS: lambda before, after: replace(after, objects=before.objects),
    Part.SAVED: lambda before, after: replace(after, saved=before.saved),
    Part.SESSIONS: _sessions_as,
}
"""For each part of a state: a state after a call, with the part as it was before."""

_ENDS: Final[Mapping[Part, Callable[[State], State]]] = {
    Part.LOGIN: lambda s: replace(s, slots=tuple(replace(x, login=Login.NOBODY) for x in s.slots)),
    Part.OPERATIONS: lambda s: replace(s, sessions=tuple(replace(x, operations=Operations()) for x in s.sessions)),
    Part.OBJECTS: lambda s: replace(s, objects=tuple(x if x.token else Object() for x in s.objects)),
}
"""For each part of a state what a call may make an end of that has nothing to do with it."""
