"""Section 5.10: message digesting; as yet C_DigestInit, which starts an operation whose state can be saved."""

from dataclasses import replace

from .call import Args
from .common import SESSION, arguments_bad
from .conditions import mechanism_invalid, pointer_null, session_valid, slot_of
from .rule import Effect, Function, Rule, Strength
from .sessions import operation_active
from .state import Login, Operation, State, put_session
from .vocabulary import CKR, Version


def digest_not_listed(s: State, a: Args) -> bool:
    return session_valid(s, a) and not slot_of(s, a).digests


def user_not_logged_in(s: State, a: Args) -> bool:
    return session_valid(s, a) and slot_of(s, a).login != Login.USER


def somebody_logged_in(s: State, a: Args) -> bool:
    return session_valid(s, a) and slot_of(s, a).login != Login.NOBODY


def start_digest(s: State, a: Args) -> State:
    return put_session(s, a.session, replace(s.sessions[a.session], operation=Operation.DIGEST))


FUNCTIONS = (
    Function(
        "C_DigestInit",
        ("session", "mechanism", "null"),
        (
            *SESSION,
            *arguments_bad(pointer_null, "5.10"),
            Rule(CKR.MECHANISM_INVALID, pointer_null, "5.10", Strength.INFERRED, "A-27"),
            Rule(CKR.MECHANISM_INVALID, mechanism_invalid, "5.1.6"),
            Rule(CKR.MECHANISM_INVALID, digest_not_listed, "5.1.6"),
            Rule(CKR.OPERATION_ACTIVE, operation_active, "5.1.6", Strength.MAY, "A-16"),
            Rule(CKR.USER_NOT_LOGGED_IN, user_not_logged_in, "5.1.6", Strength.MAY),
            Rule(CKR.PIN_EXPIRED, somebody_logged_in, "5.1.6", Strength.MAY, since=Version.V2_20),
        ),
        effects=(Effect(start_digest, "5.10"),),
    ),
)
