"""Rows that several chapters share."""

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


def arguments_bad(when: Condition, section: str, reading: str = "A-50") -> tuple[Rule, Rule]:
    """Rows for an unsuitable argument. v2.01 defines the code but leaves it out of nearly all lists."""
    return (
        Rule("when", CKR.ARGUMENTS_BAD, when, section, "", Strength.INFERRED, reading, since=Version.V2_20),
        Rule("when", CKR.ARGUMENTS_BAD, when, section, "", Strength.UNSAID, reading="A-50", until=Version.V2_01),
    )


def mechanism_rows(role: Role) -> tuple[Rule, ...]:
    """Rows of a function that takes a mechanism for a role."""
    return (
        *(
            Rule("when", CKR.MECHANISM_INVALID, when, "5.1.6", "", strength)
            for when, strength in (
                (mechanism_invalid, Strength.MUST),
                (mechanism_foreign(role), Strength.MUST),
                (mechanism_unlisted, Strength.INFERRED),
                (mechanism_unoffered(role), Strength.MAY),
            )
        ),
        *(
            Rule("when", CKR.MECHANISM_PARAM_INVALID, when, "5.1.6", "", Strength.MAY)
            for when in (mechanism_unlisted, mechanism_unoffered(role))
        ),
    )


LIBRARY = (Rule("not-initialized", CKR.CRYPTOKI_NOT_INITIALIZED, not_initialized, "5.1.6", "", reading="A-01"),)
"""Every function but C_Initialize and C_GetFunctionList needs an initialised library."""

SESSION = (*LIBRARY, Rule("session-invalid", CKR.SESSION_HANDLE_INVALID, session_invalid, "5.1.2", ""))
"""Functions with a session handle."""

SLOT = (*LIBRARY, Rule("slot-id-invalid", CKR.SLOT_ID_INVALID, slot_id_invalid, "5.1.6", ""))
"""Functions with a slot ID."""

TOKEN = (
    *SLOT,
    Rule("token-absent", CKR.TOKEN_NOT_PRESENT, token_absent, "5.1.3", ""),
    Rule("token-unrecognized", CKR.TOKEN_NOT_RECOGNIZED, token_unrecognized, "5.1.6", ""),
)
"""Functions with a slot ID that use the token in the slot."""


NULL_POINTER = arguments_bad(pointer_null, "5.1.6")
RESERVED = arguments_bad(reserved_given, "5.1.6")
