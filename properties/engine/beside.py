"""Two calls of one application at a time, each of a thread of its own: is each answer one that some order permits?

The text wants the library safe for that (5.4 C_Initialize), and says nothing of calls being whole: each may see what
the other changes, or some of it. So an answer is wrong only if it is so before the other call and after it, and for a
reason that holds at both times.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from ...model.call import Call, Ending, Observation
from ...model.decide import forbids_ok
from ...model.interface import SIGNATURES
from ...model.oracle import Model, following, in_scope, legal_anyway, permitted, prevailing, ruling
from ...model.state import State
from ...model.table import functions_where
from ...model.vocabulary import CKR, LEAVES_ANYTHING
from .verdict import Beliefs, Outcome, Verdict, follow

Pair = tuple[Call, Call]

_OF_ALL: Final = functions_where(
    lambda f: (
        not f.happens.isdisjoint({"library-initialized", "library-finalized", "sessions-closed", "token-initialized"})
    )
)
"""Functions that are there before every session, or take all of them away."""


def defined(calls: Pair) -> bool:
    """Whether the text says what two calls do at a time: not in one session, nor beside what takes the session away.

    The first is undefined by 5.1.2 CKR_SESSION_CLOSED and 2.6.7 of the usage guide, the end of the library beside a
    call by 5.4 C_Finalize.
    """
    of_sessions = [call.args.session for call in calls if SIGNATURES[call.function].takes_session]
    return len({*of_sessions}) == len(of_sessions) and not any(call.function in _OF_ALL for call in calls)


def followed(model: Model, beliefs: Beliefs, calls: Pair) -> bool:
    """Whether the model can follow two calls in either order, should both succeed."""
    return all(
        in_scope(model, s, one) and all(in_scope(model, t, other) for t in following(model, s, one, CKR.OK))
        for s in beliefs
        for one, other in (calls, calls[::-1])
    )


def judge_beside(model: Model, beliefs: Beliefs, calls: Pair, seen: Sequence[Observation]) -> tuple[Verdict, Verdict]:
    """The verdicts on two calls that were made at a time and returned, from where these states were believed."""
    (first, second), (in_first, in_second) = calls, seen
    return (
        _verdict(model, beliefs, (first, second), in_first, in_second),
        _verdict(model, beliefs, (second, first), in_second, in_first),
    )


def after_both(model: Model, beliefs: Beliefs, calls: Pair, seen: Sequence[Observation]) -> Beliefs:
    """The states that the orders lead to that explain both answers; none where none does, so that nothing is known."""
    answers = tuple(zip(calls, seen, strict=True))
    if any(x.code in LEAVES_ANYTHING for x in seen):
        return frozenset()
    return frozenset(_after(model, beliefs, answers)) | frozenset(_after(model, beliefs, answers[::-1]))


def _after(model: Model, beliefs: Beliefs, answers: Sequence[tuple[Call, Observation]]) -> Iterator[State]:
    (call, seen), *others = answers
    for s in beliefs:
        codes = permitted(model, s, call)
        if seen.code in codes or legal_anyway(model, call.function, seen.code, CKR.OK in codes):
            reached = frozenset(following(model, s, call, seen.code))
            yield from _after(model, reached, others) if others else reached


def _verdict(model: Model, beliefs: Beliefs, calls: Pair, seen: Observation, beside: Observation) -> Verdict:
    """The verdict on the first of two calls, which saw things as they were before the other, or after it, or both."""
    call, other = calls
    after = () if beside.code in LEAVES_ANYTHING else tuple(_after(model, beliefs, ((other, beside),)))
    met = tuple(dict.fromkeys((*beliefs, *after)))
    verdict, _ = follow(model, met, call, seen)
    if verdict.outcome is not Outcome.FAIL or seen.ending is not Ending.RETURNED:
        return verdict
    if not after or (verdict.mismatch is None and seen.code in _mixed(model, met, call)):
        return replace(verdict, outcome=Outcome.INCONCLUSIVE, kind=None, why=MIXED)
    return verdict


MIXED: Final = "beside another call, of which it may have seen a part"
"""Said of an answer that no order of two calls explains, and that is not wrong for one reason at both times."""


def _mixed(model: Model, states: Sequence[State], call: Call) -> frozenset[CKR]:
    """The codes of rows that hold in some of the states, unless a row outranks them that holds in all of these."""
    rows = [ruling(model, s, call).rules for s in states]
    lasting = [r for r in rows[0] if forbids_ok(r) and all(r in others for others in rows)]
    some = dict.fromkeys(r for found in rows for r in found)
    codes = {r.code for r in some if r in prevailing(model, call.function, list(dict.fromkeys((*lasting, r))))}
    return frozenset(codes if lasting else {*codes, CKR.OK})
