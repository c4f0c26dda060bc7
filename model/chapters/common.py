"""Rows that several chapters share."""

from dataclasses import replace

from ..mechanisms import Role
from ..rule import Condition, Rule, Strength
from ..vocabulary import CKR, Version
from .conditions import (
    mechanism_foreign,
    mechanism_invalid,
    mechanism_unlisted,
    mechanism_unoffered,
    not_initialized,
    pin_to_be_changed,
    pointer_null,
    session_invalid,
    slot_id_invalid,
    slot_perhaps_unlisted,
    token_absent,
    token_absent_before_initialize,
    token_of_session_uninitialized,
    token_of_slot_uninitialized,
    token_unrecognized,
    user_required_but_absent,
)


def arguments_bad(
    id: str,
    when: Condition,
    place: str,
    says: str,
    reading: str = "A-50",
    *,
    until: Version = Version.V3_2,
    unguarded: bool = False,
) -> tuple[Rule, Rule]:
    """Rows for an unsuitable argument. v2.01 defines the code but leaves it out of nearly all lists."""
    code, v2_20, v2_01 = CKR.ARGUMENTS_BAD, Version.V2_20, Version.V2_01
    return (
        Rule(id, code, when, place, says, Strength.INFERRED, reading, since=v2_20, until=until, unguarded=unguarded),
        Rule(id, code, when, place, says, Strength.UNSAID, "A-50", until=v2_01, unguarded=unguarded),
    )


def or_arguments_bad(*rows: Rule) -> tuple[Rule, ...]:
    """Rows for a bad argument that has a code of its own, and CKR_ARGUMENTS_BAD beside it in each situation (A-60)."""
    generic = {
        (r.when, r.since, r.until): replace(
            r,
            code=CKR.ARGUMENTS_BAD,
            place="5.1.6 CKR_ARGUMENTS_BAD",
            says="The generic code says that an argument is not fit; where several codes apply, any may be returned.",
            strength=Strength.UNSAID,
            reading="A-60",
        )
        for r in rows
    }
    return (*rows, *generic.values())


def mechanism_rows(role: Role) -> tuple[Rule, ...]:
    """Rows of a function that takes a mechanism for a role.

    The text calls the code an appropriate one, and so does not require it: the call cannot succeed, that is all.
    """
    code, place = CKR.MECHANISM_INVALID, "5.1.6 CKR_MECHANISM_INVALID"
    unlisted, unoffered = mechanism_unlisted, mechanism_unoffered(role)
    return (
        *or_arguments_bad(
            Rule(
                "mechanism-unknown",
                code,
                mechanism_invalid,
                place,
                "The code is for a mechanism that does not exist.",
                Strength.INFERRED,
                unguarded=True,
            ),
            Rule(
                "mechanism-foreign",
                code,
                mechanism_foreign(role),
                place,
                "The code is for a mechanism that cannot be used for what the function does.",
                Strength.INFERRED,
                unguarded=True,
            ),
            Rule(
                "mechanism-unlisted",
                code,
                unlisted,
                place,
                "The token's list does not hold the mechanism, so the token cannot carry it out.",
                Strength.INFERRED,
                unguarded=True,
            ),
        ),
        Rule(
            "mechanism-unoffered",
            code,
            unoffered,
            place,
            "The token has the mechanism, but no flag of it says that it serves this use.",
            Strength.MAY,
            unguarded=True,
        ),
        *(
            Rule(
                id,
                CKR.MECHANISM_PARAM_INVALID,
                when,
                "5.1.6 CKR_MECHANISM_PARAM_INVALID",
                "A parameter cannot be judged against a mechanism that the token does not offer here.",
                Strength.MAY,
                unguarded=True,
            )
            for id, when in (("mechanism-unlisted", unlisted), ("mechanism-unoffered", unoffered))
        ),
    )


LIBRARY = (
    Rule(
        "not-initialized",
        CKR.CRYPTOKI_NOT_INITIALIZED,
        not_initialized,
        "5.1.6 CKR_CRYPTOKI_NOT_INITIALIZED",
        "Before C_Initialize, and after C_Finalize, the function cannot be executed.",
        unguarded=True,
    ),
)
"""Every function but C_Initialize and C_GetFunctionList needs an initialised library."""

_LIBRARY_AND_HANDLE = tuple(replace(r, reading="A-01") for r in LIBRARY)
"""The same where a code of a higher class holds too, as nothing that the call names is there."""

TOKEN_NOT_INITIALIZED = Rule(
    "token-uninitialized",
    CKR.TOKEN_NOT_INITIALIZED,
    token_of_slot_uninitialized,
    "5.1.3 of v3.2 CKR_TOKEN_NOT_INITIALIZED",
    "A token in its factory state has a code of its own since v3.2; what it can do all the same is not said.",
    Strength.MAY,
    "A-06",
    since=Version.V3_2,
    unguarded=True,
)
"""For functions with a slot ID that use the token in the slot, but for the one that initialises it."""

SESSION = (
    *_LIBRARY_AND_HANDLE,
    Rule(
        "session-invalid",
        CKR.SESSION_HANDLE_INVALID,
        session_invalid,
        "5.1.2 CKR_SESSION_HANDLE_INVALID",
        "The handle was not valid when the function was called.",
        unguarded=True,
    ),
    *(
        Rule(
            "token-uninitialized",
            code,
            token_of_session_uninitialized,
            f"5.1.6 {code!s}",
            "Nothing says what a session can do with a token that was never initialised.",
            Strength.UNSAID,
            "A-06",
            unguarded=True,
        )
        for code in (CKR.TOKEN_NOT_RECOGNIZED, CKR.USER_PIN_NOT_INITIALIZED)
    ),
    replace(TOKEN_NOT_INITIALIZED, when=token_of_session_uninitialized),
)
"""Functions with a session handle."""

SLOT = (
    *LIBRARY,
    *or_arguments_bad(
        Rule(
            "slot-id-invalid",
            CKR.SLOT_ID_INVALID,
            slot_id_invalid,
            "5.1.6 CKR_SLOT_ID_INVALID",
            "No slot has the ID.",
            unguarded=True,
        )
    ),
    Rule(
        "slot-unlisted",
        CKR.SLOT_ID_INVALID,
        slot_perhaps_unlisted,
        "5.5 C_GetSlotList, last paragraph",
        "The set of slots is looked up when the function is asked for their number; before that an ID may be unknown.",
        Strength.UNSAID,
        "A-63",
        unguarded=True,
    ),
)
"""Functions with a slot ID."""

TOKEN = (
    *_LIBRARY_AND_HANDLE,
    *SLOT[len(LIBRARY) :],
    Rule(
        "token-absent",
        CKR.TOKEN_NOT_PRESENT,
        token_absent,
        "5.1.3 CKR_TOKEN_NOT_PRESENT",
        "There was no token in the slot when the function was called.",
        unguarded=True,
    ),
    Rule(
        "token-absent",
        CKR.TOKEN_NOT_PRESENT,
        token_absent_before_initialize,
        "5.1.7",
        "The code is of a higher class than that of a library not initialised, which can hardly look into slots.",
        Strength.MAY,
        "A-01",
        unguarded=True,
    ),
    Rule(
        "token-unrecognized",
        CKR.TOKEN_NOT_RECOGNIZED,
        token_unrecognized,
        "5.1.6 CKR_TOKEN_NOT_RECOGNIZED",
        "The library or the slot does not know the token that is there.",
        unguarded=True,
    ),
)
"""Functions with a slot ID that use the token in the slot."""

NULL_POINTER = arguments_bad(
    "pointer-null",
    pointer_null,
    "5.1.6 CKR_ARGUMENTS_BAD",
    "An argument that is not fit for the call; where the call needs a pointer, NULL is not.",
    unguarded=True,
)

USER_REQUIRED = Rule(
    "user-required-but-absent",
    CKR.USER_NOT_LOGGED_IN,
    user_required_but_absent,
    "5.1.6 CKR_USER_NOT_LOGGED_IN, last example",
    "Some tokens do no cryptography for anybody but the user, who has to be logged in.",
    Strength.MAY,
)
"""For functions that do cryptography."""

USER_FOR_LOOKING = replace(
    USER_REQUIRED,
    place="5.1.6 CKR_USER_NOT_LOGGED_IN, first sentence",
    says="Whatever a token does for its user only cannot be done without; that public objects are for all is not said.",
    strength=Strength.UNSAID,
    reading="A-80",
)
"""For functions that look at objects, or for them."""

PIN_TO_BE_CHANGED = Rule(
    "pin-to-be-changed",
    CKR.PIN_EXPIRED,
    pin_to_be_changed,
    "3.2 CK_TOKEN_INFO, on CKF_USER_PIN_TO_BE_CHANGED",
    "A PIN that is to be changed makes everything fail that needs its user, but the change itself.",
    Strength.MAY,
    since=Version.V2_20,
)
"""For functions that need whoever is logged in."""


def pin_perhaps_null(id: str, when: Condition, *codes: CKR, unguarded: bool = True) -> tuple[Rule, ...]:
    """Rows for a PIN that is NULL without a length, by whichever code (A-31); which session it is for is no matter."""
    return tuple(
        Rule(
            id,
            code,
            when,
            f"5.1.6 {code!s}",
            "NULL without a length is a bad pointer, or a PIN of no characters.",
            Strength.UNSAID,
            "A-31",
            unguarded=unguarded,
        )
        for code in codes
    )
