"""Section 5.7: the search for objects."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations

from ..call import Args, Many, Want
from ..rule import Change, Effect, Function, Output, Rule, Strength, named
from ..state import Login, Object, Search, State, map_objects, put_object, put_session
from ..vocabulary import CKR
from .common import (
    NULL_POINTER,
    PIN_TO_BE_CHANGED,
    SESSION,
    USER_FOR_LOOKING,
    arguments_bad,
    or_arguments_bad,
)
from .conditions import session_valid, slot_of
from .operations import DISPLACING, ERRORS, PROCESS_ACTIVE, all_dropped, something_active


def _search(s: State, a: Args) -> Search:
    return s.sessions[a.session].operations.search


def _with_search(s: State, a: Args, new: Search) -> State:
    session = s.sessions[a.session]
    return put_session(s, a.session, replace(session, operations=replace(session.operations, search=new)))


def _visible(s: State, a: Args, x: Object) -> bool:
    """Token objects, and session objects of all sessions; private ones with the user (5.7 C_FindObjectsInit)."""
    there = x.exists and x.slot == s.sessions[a.session].slot
    return there and (not x.private or slot_of(s, a).login == Login.USER)


# C_FindObjectsInit.


def unknown_attribute_wanted(s: State, a: Args) -> bool:
    return a.want == Want.UNKNOWN_TYPE


def search_template_null(s: State, a: Args) -> bool:
    return a.want == Want.NULL


def begin_search(s: State, a: Args) -> State:
    return _with_search(s, a, Search.FRESH if a.want == Want.ALL else Search.UNSURE)


C_FIND_OBJECTS_INIT = Function(
    "C_FindObjectsInit",
    ("session", "want"),
    (
        *SESSION,
        *arguments_bad(
            "search-template-null",
            search_template_null,
            "5.1.6 CKR_ARGUMENTS_BAD",
            "An argument that is not fit for the call; where it announces attributes, NULL is not.",
            unguarded=True,
        ),
        *or_arguments_bad(
            *(
                Rule(
                    "unknown-attribute-wanted",
                    code,
                    unknown_attribute_wanted,
                    "5.7 C_FindObjectsInit, the last paragraph",
                    "A search for an attribute that there is not may be refused, or find nothing.",
                    Strength.MAY,
                    unguarded=True,
                )
                for code in (CKR.ATTRIBUTE_TYPE_INVALID, CKR.ATTRIBUTE_VALUE_INVALID)
            )
        ),
        Rule(
            "something-active",
            CKR.OPERATION_ACTIVE,
            something_active,
            "5.1.6 CKR_OPERATION_ACTIVE",
            "What is active in the session may keep the search from beginning; 5.7 lets there be one search at most.",
            Strength.MAY,
            "A-16",
        ),
        PROCESS_ACTIVE,
        PIN_TO_BE_CHANGED,
        USER_FOR_LOOKING,
    ),
    effects=(
        Effect(
            "operation-displaced", all_dropped, "5.1.6 CKR_OPERATION_ACTIVE", DISPLACING, certain=False, reading="A-16"
        ),
        Effect("search-begun", begin_search, "5.7 C_FindObjectsInit, the first paragraph"),
    ),
    given=session_valid,
)


# C_FindObjects.


def search_not_active(s: State, a: Args) -> bool:
    return session_valid(s, a) and _search(s, a) == Search.NONE


SEARCH_NOT_ACTIVE = Rule(
    "search-not-active",
    CKR.OPERATION_NOT_INITIALIZED,
    search_not_active,
    "5.1.6 CKR_OPERATION_NOT_INITIALIZED",
    "The session has no active search; 5.7 wants it begun with C_FindObjectsInit.",
)


def nothing_wanted(s: State, a: Args) -> bool:
    return a.many == Many.ZERO


def handles_found_untold(s: State, a: Args) -> bool:
    """Which handles become known is not to be told, where some are not, and the search may find them or not."""
    if not session_valid(s, a) or a.many != Many.PLENTY:
        return False
    if _search(s, a) != Search.UNSURE and _search(s, a) != Search.BATCH:
        return False
    return any(not x.known and _visible(s, a, x) for x in s.objects)


def go_on(s: State, a: Args) -> State:
    """What a search gives that is not fresh, or is asked for one object, is not followed."""
    if a.many == Many.ZERO or (a.many == Many.PLENTY and _search(s, a) == Search.FRESH):
        return s
    return _with_search(s, a, Search.UNSURE)


def take_all(s: State, a: Args) -> State:
    """A fresh search gives all that there is at once."""
    if a.many != Many.PLENTY or _search(s, a) != Search.FRESH:
        return s
    met = map_objects(s, lambda x: replace(x, known=True) if _visible(s, a, x) else x)
    return _with_search(met, a, Search.DRAINED)


_MOST = 8
"""Objects of a state, at most, of which a batch can be told."""


@cache
def meet(k: int) -> Change:
    """An object is in the batch that a fresh search gives."""

    def change(s: State, a: Args) -> State:
        if k >= len(s.objects) or a.many != Many.PLENTY or _search(s, a) != Search.FRESH:
            return s
        x = s.objects[k]
        return put_object(s, k, replace(x, known=True)) if not x.known and _visible(s, a, x) else s

    return named(f"object {k} found", change)


def take_some(s: State, a: Args) -> State:
    """A fresh search gives a batch; where there is but one object, or none, it gives all."""
    if a.many != Many.PLENTY or _search(s, a) != Search.FRESH:
        return s
    several = any(_visible(s, a, x) and _visible(s, a, y) for x, y in combinations(s.objects, 2))
    return _with_search(s, a, Search.BATCH) if several else take_all(s, a)


def end_search(s: State, a: Args) -> State:
    return _with_search(s, a, Search.NONE) if session_valid(s, a) else s


def objects_found(s: State, a: Args) -> Sequence[int]:
    """The objects that a fresh search for all finds, a bit each: all of them, or some in a batch."""
    if a.many != Many.PLENTY:
        return ()
    visible = [k for k, x in enumerate(s.objects) if _visible(s, a, x)]
    if _search(s, a) == Search.DRAINED:
        return (sum(1 << k for k in visible),)
    if _search(s, a) != Search.BATCH:
        return ()
    known = [k for k in visible if s.objects[k].known]
    batches = (part for size in range(1, len(known) + 1) for part in combinations(known, size))
    return tuple(sum(1 << k for k in part) for part in batches) or (-1,)


def strangers_found(s: State, a: Args) -> Sequence[int]:
    """Objects that a failed call left behind: a call does all of its work or none (5)."""
    return (0,) if a.many == Many.PLENTY else ()


def number_found(s: State, a: Args) -> Sequence[int]:
    return {Many.ZERO: (0,), Many.ONE: (0, 1)}.get(a.many, ())


_SOME = "5.7 C_FindObjects, the first and the second paragraph"
_PERHAPS_ENDED = Effect(
    "search-ended",
    end_search,
    "5.7 C_FindObjects, C_FindObjectsFinal: silent on errors",
    ERRORS,
    certain=False,
    reading="A-19",
)
C_FIND_OBJECTS = Function(
    "C_FindObjects",
    ("session", "many", "null"),
    (
        *SESSION,
        *NULL_POINTER,
        SEARCH_NOT_ACTIVE,
        USER_FOR_LOOKING,
        Rule(
            "nothing-wanted",
            CKR.ARGUMENTS_BAD,
            nothing_wanted,
            "5.7 C_FindObjects, the first paragraph",
            "ulMaxObjectCount is a maximum; whether it may be 0 is not said.",
            Strength.UNSAID,
            "A-19",
            unguarded=True,
        ),
    ),
    effects=(
        Effect("search-goes-on", go_on, _SOME),
        Effect("objects-found", take_all, _SOME, reading="A-81"),
        *(Effect("object-found", meet(k), _SOME, certain=False, reading="A-81") for k in range(_MOST)),
        Effect("batch-found", take_some, _SOME),
        _PERHAPS_ENDED,
    ),
    outputs=(
        Output("found", objects_found, "5.7 C_FindObjectsInit, the paragraph on what a session can view"),
        Output("strangers", strangers_found, "5"),
        Output("count", number_found, "5.7 C_FindObjects, the first paragraph"),
    ),
    out_of_scope=handles_found_untold,
    given=session_valid,
)

C_FIND_OBJECTS_FINAL = Function(
    "C_FindObjectsFinal",
    ("session",),
    (*SESSION, SEARCH_NOT_ACTIVE, USER_FOR_LOOKING),
    effects=(Effect("search-ended", end_search, "5.7 C_FindObjectsFinal, the first paragraph"), _PERHAPS_ENDED),
    given=session_valid,
)

FUNCTIONS = (C_FIND_OBJECTS_INIT, C_FIND_OBJECTS, C_FIND_OBJECTS_FINAL)
