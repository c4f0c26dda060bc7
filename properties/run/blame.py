"""What an earlier call has to do with a failure: the effect that, left out, explains it."""

from collections.abc import Sequence
from dataclasses import replace

from ...model.chapters.operations import NOT_ACTIVE, all_dropped
from ...model.chapters.searches import SEARCH_NOT_ACTIVE
from ...model.oracle import Model, in_scope
from ...model.state import State
from ...model.vocabulary import CKR
from ..engine.verdict import Kind, Lapse, Steps, Verdict, follow, null_arguments

_NOT_ACTIVE = frozenset({NOT_ACTIVE, SEARCH_NOT_ACTIVE.id})
"""Facts that say that there is no operation to go on with."""


def blame(model: Model, initial: State, steps: Steps, failure: Verdict) -> Verdict:
    """The failure of a trace's last step, with the latest lapse that explains it where it is about an operation.

    Whether one is active is for earlier calls to decide; of other failures the call itself is the first suspect.
    """
    if failure.kind is not Kind.OPERATION_STATE and not (failure.facts and failure.facts <= _NOT_ACTIVE):
        return failure
    for n, (call, seen) in reversed([*enumerate(steps[:-1])]):
        f = model.functions[call.function]
        null = bool(null_arguments(call, f.uses))
        for effect in f.effects:
            if effect.certain and seen.code in effect.on:
                lax = model.with_effect(call.function, effect, replace(effect, certain=False))
                if _explained(lax, initial, steps):
                    return replace(failure, lapse=Lapse(call.function, seen.code, effect, null))
        if seen.code != CKR.OK and "session" in f.uses and _explained(model, initial, steps, n):
            return replace(failure, lapse=Lapse(call.function, seen.code, None, null))
    return failure


def _explained(model: Model, initial: State, steps: Steps, ending: int | None = None) -> bool:
    """Whether a model allows all steps, if the one with the number `ending` ended every operation in its session."""
    beliefs: Sequence[State] = (initial,)
    for n, (call, seen) in enumerate(steps):
        if not all(in_scope(model, s, call) for s in beliefs):
            return False
        _, beliefs = follow(model, beliefs, call, seen)
        if n == ending:
            beliefs = [all_dropped(s, call.args) for s in beliefs]
        if not beliefs:
            return False
    return True
