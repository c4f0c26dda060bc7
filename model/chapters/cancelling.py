"""Section 5.6 of v3.0: C_SessionCancel, which ends operations of every kind."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any, Final

from ..call import Args, Cancel
from ..rule import Effect, Function, Rule, Strength, only_where
from ..state import Judged, Messages, Operation, Phase, Process, Search, State, put_session
from ..vocabulary import CKR
from .common import SESSION
from .conditions import session_invalid, session_valid
from .operations import ACTIVITIES, Activity

_ACTIVITIES: Final[tuple[tuple[Cancel, Activity], ...]] = tuple((Cancel[k.role.name], k) for k in ACTIVITIES)
"""Kinds of operation, each with its flag, which since v3.2 two may share."""

_PROCESSES: Final[Mapping[Cancel, Messages]] = {
    Cancel[f"MESSAGE_{kind.name}"]: kind for kind in Messages if kind is not Messages.NONE
}


def _given(a: Args, flag: Cancel) -> bool:
    return a.cancel == flag or a.cancel == Cancel.EVERYTHING


def _active(s: State, a: Args, flag: Cancel) -> bool:
    """Whether the session has what a flag stands for."""
    o = s.sessions[a.session].operations
    if flag == Cancel.FIND_OBJECTS:
        return o.search != Search.NONE
    kinds = [k for own, k in _ACTIVITIES if own == flag]
    if kinds:
        return any(getattr(o, k.field).phase != Phase.NONE for k in kinds)
    return o.process.kind == _PROCESSES[flag]


_FLAGS = (*dict.fromkeys(flag for flag, _ in _ACTIVITIES), Cancel.FIND_OBJECTS, *_PROCESSES)


def something_to_cancel(s: State, a: Args) -> bool:
    return any(_given(a, flag) and _active(s, a, flag) for flag in _FLAGS)


def flag_unknown(s: State, a: Args) -> bool:
    return a.cancel == Cancel.UNKNOWN


def session_invalid_for_flags(s: State, a: Args) -> bool:
    return session_invalid(s, a) and a.cancel != Cancel.NOTHING


def session_invalid_for_nothing(s: State, a: Args) -> bool:
    return session_invalid(s, a) and a.cancel == Cancel.NOTHING


_HANDLE = next(r for r in SESSION if r.code is CKR.SESSION_HANDLE_INVALID)
_SESSION = (
    *(r for r in SESSION if r is not _HANDLE),
    replace(_HANDLE, when=session_invalid_for_flags),
    replace(
        _HANDLE,
        when=session_invalid_for_nothing,
        place="5.6 of v3.0 C_SessionCancel, on no flags",
        says="Without flags nothing is to be done, and success is promised, whatever the handle is.",
        strength=Strength.MAY,
    ),
)


def several_to_cancel(s: State, a: Args) -> bool:
    """Where not all of several operations could be cancelled, nobody is told which were."""
    if a.cancel != Cancel.EVERYTHING or not session_valid(s, a):
        return False
    return any(_active(s, a, one) and _active(s, a, other) for one, other in combinations(_FLAGS, 2))


def cancel(s: State, a: Args) -> State:
    session = s.sessions[a.session]
    o = session.operations
    left: dict[str, Any] = {k.field: Operation() for flag, k in _ACTIVITIES if _given(a, flag)}
    if _given(a, Cancel.VERIFY):
        left["judged"] = Judged.DOUBTFUL
    if _given(a, Cancel.FIND_OBJECTS):
        left["search"] = Search.NONE
    if any(_given(a, flag) and o.process.kind == kind for flag, kind in _PROCESSES.items()):
        left["process"] = Process()
    return put_session(s, a.session, replace(session, operations=replace(o, **left)))


def cancel_other_half(s: State, a: Args) -> State:
    """Of two operations that dual functions work on, the one that no flag was given for."""
    session = s.sessions[a.session]
    for flag, k in _ACTIVITIES:
        if k.partners and a.cancel == flag and _active(s, a, flag):
            left: dict[str, Any] = {field: Operation() for field in k.partners}
            return put_session(s, a.session, replace(session, operations=replace(session.operations, **left)))
    return s


_PLACE = "5.6 of v3.0 C_SessionCancel"

C_SESSION_CANCEL = Function(
    "C_SessionCancel",
    ("session", "cancel"),
    (
        *_SESSION,
        Rule(
            "cancel-may-fail",
            CKR.OPERATION_CANCEL_FAILED,
            something_to_cancel,
            f"{_PLACE}, on what cannot be cancelled",
            "A token may be unable to cancel what is active, and has to say so with this code.",
            Strength.MAY,
        ),
        *(
            Rule(
                "flag-unknown",
                code,
                flag_unknown,
                f"{_PLACE}, on the flags",
                "The flags are those of a mechanism's information; nothing is said of others.",
                Strength.UNSAID,
                "A-88",
            )
            for code in (CKR.ARGUMENTS_BAD, CKR.OPERATION_CANCEL_FAILED)
        ),
    ),
    effects=(
        Effect(
            "other-half-cancelled",
            only_where(session_valid, cancel_other_half),
            f"{_PLACE}, on dual functions",
            certain=False,
            reading="A-89",
        ),
        Effect("operations-cancelled", only_where(session_valid, cancel), f"{_PLACE}, first paragraph"),
    ),
    out_of_scope=several_to_cancel,
    given=session_valid,
)

FUNCTIONS = (C_SESSION_CANCEL,)
