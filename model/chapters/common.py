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
    pointer_null,
    reserved_given,
    session_invalid,
    slot_id_invalid,
    token_absent,
    token_unrecognized,
)


def arguments_bad(
    id: str, when: Condition, place: str, says: str, reading: str = "A-50", *, unguarded: bool = False
) -> tuple[Rule, Rule]:
    """Rows for an unsuitable argument. v2.01 defines the code but leaves it out of nearly all lists."""
    code, v2_20, v2_01 = CKR.ARGUMENTS_BAD, Version.V2_20, Version.V2_01
    return (
        Rule(id, code, when, place, says, Strength.INFERRED, reading, since=v2_20, unguarded=unguarded),
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
    """Rows of a function that takes a mechanism for a role."""
    code, place = CKR.MECHANISM_INVALID, "5.1.6 CKR_MECHANISM_INVALID"
    unlisted, unoffered = mechanism_unlisted, mechanism_unoffered(role)
    return (
        Rule(
            "mechanism-unknown",
            code,
            mechanism_invalid,
            place,
            "The code is for a mechanism that does not exist.",
            unguarded=True,
        ),
        Rule(
            "mechanism-foreign",
            code,
            mechanism_foreign(role),
            place,
            "The code is for a mechanism that cannot be used for what the function does.",
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
        reading="A-01",
        unguarded=True,
    ),
)
"""Every function but C_Initialize and C_GetFunctionList needs an initialised library."""

SESSION = (
    *LIBRARY,
    Rule(
        "session-invalid",
        CKR.SESSION_HANDLE_INVALID,
        session_invalid,
        "5.1.2 CKR_SESSION_HANDLE_INVALID",
        "The handle was not valid when the function was called.",
        unguarded=True,
    ),
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
)
"""Functions with a slot ID."""

TOKEN = (
    *SLOT,
    Rule(
        "token-absent",
        CKR.TOKEN_NOT_PRESENT,
        token_absent,
        "5.1.3 CKR_TOKEN_NOT_PRESENT",
        "There was no token in the slot when the function was called.",
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
RESERVED = arguments_bad(
    "reserved-given",
    reserved_given,
    "5.1.6 CKR_ARGUMENTS_BAD",
    "An argument that is not fit for the call; a reserved pointer is to be NULL.",
    unguarded=True,
)
