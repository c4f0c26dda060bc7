"""Section 5.5: slot and token management."""

from dataclasses import replace

from ..call import Args, Buffer
from ..rule import Effect, Function, Output, Rule, Strength
from ..state import Login, Mech, Object, Pin, State, map_objects, put_slot
from ..vocabulary import CKR, CKS, Version
from .common import LIBRARY, NULL_POINTER, RESERVED, SESSION, SLOT, TOKEN, arguments_bad
from .conditions import (
    illegal_length,
    new_pin_null,
    pin_null,
    pin_null_in_session,
    pointer_null,
    session_state,
    session_valid,
    slot_of,
    token_asks_for_pin,
    token_there,
)
from .operations import forget_outputs

V2_01, V2_20, V2_40 = Version.V2_01, Version.V2_20, Version.V2_40


def slots_do_not_fit(s: State, a: Args) -> bool:
    some = any(x.present or not a.token_present for x in s.slots)
    return some and a.buffer == Buffer.SHORT and not a.null


def mechanisms_do_not_fit(s: State, a: Args) -> bool:
    return token_there(s, a) and s.slots[a.slot].has_mechanisms and a.buffer == Buffer.SHORT and not a.null


def no_event_pending(s: State, a: Args) -> bool:
    return s.initialized


def mechanism_not_listed(s: State, a: Args) -> bool:
    return token_there(s, a) and a.mechanism not in s.slots[a.slot].mechanisms


# C_InitToken.


def session_exists(s: State, a: Args) -> bool:
    return any(x.open and x.slot == a.slot for x in s.sessions)


def token_write_protected(s: State, a: Args) -> bool:
    return token_there(s, a) and s.slots[a.slot].write_protected


def so_pin_differs(s: State, a: Args) -> bool:
    return token_there(s, a) and s.slots[a.slot].initialized and a.pin != Pin.NULL and a.pin != s.slots[a.slot].so_pin


def so_pin_may_be_locked(s: State, a: Args) -> bool:
    return token_there(s, a) and (s.slots[a.slot].so_failed or so_pin_differs(s, a))


def so_pin_null(s: State, a: Args) -> bool:
    return token_there(s, a) and a.pin == Pin.NULL


def sessions_of_others(s: State, a: Args) -> bool:
    return token_there(s, a) and s.slots[a.slot].shared


def so_pin_unacceptable(s: State, a: Args) -> bool:
    return so_pin_chosen(s, a) and illegal_length(a.pin)


def so_pin_chosen(s: State, a: Args) -> bool:
    return token_there(s, a) and not s.slots[a.slot].initialized


def init_token(s: State, a: Args) -> State:
    """Objects that can be destroyed are gone (5.5); what the standard lets a token keep, none of ours is."""
    slot = s.slots[a.slot]
    s = map_objects(forget_outputs(s), lambda x: Object() if x.exists and x.slot == a.slot else x)
    return put_slot(
        s, a.slot, replace(slot, initialized=True, so_pin=a.pin, user_pin=Pin.NULL, so_failed=False, user_failed=False)
    )


def count_so_failure_by_slot(s: State, a: Args) -> State:
    return put_slot(s, a.slot, replace(s.slots[a.slot], so_failed=True))


# C_InitPIN.


def not_so_session(s: State, a: Args) -> bool:
    return session_valid(s, a) and session_state(s, s.sessions[a.session]) != CKS.RW_SO_FUNCTIONS


def session_read_only(s: State, a: Args) -> bool:
    return session_valid(s, a) and not s.sessions[a.session].rw


def token_of_session_write_protected(s: State, a: Args) -> bool:
    return session_valid(s, a) and slot_of(s, a).write_protected


def new_pin_length_illegal(s: State, a: Args) -> bool:
    return session_valid(s, a) and illegal_length(a.new_pin)


def new_pin_given(s: State, a: Args) -> bool:
    return session_valid(s, a) and a.new_pin != Pin.NULL


def init_pin(s: State, a: Args) -> State:
    k = s.sessions[a.session].slot
    return put_slot(s, k, replace(s.slots[k], user_pin=a.new_pin, user_failed=False))


# C_SetPIN. In a public session it changes the normal user's PIN, from v2.20 on.


def changes_so_pin(s: State, a: Args) -> bool:
    return slot_of(s, a).login == Login.SO


def nobody_logged_in(s: State, a: Args) -> bool:
    return session_valid(s, a) and slot_of(s, a).login == Login.NOBODY


def user_pin_unset_in_public(s: State, a: Args) -> bool:
    return nobody_logged_in(s, a) and slot_of(s, a).user_pin == Pin.NULL


def pin_to_change(s: State, a: Args) -> Pin:
    return slot_of(s, a).so_pin if changes_so_pin(s, a) else slot_of(s, a).user_pin


def old_pin_wrong(s: State, a: Args) -> bool:
    return session_valid(s, a) and a.pin != Pin.NULL and a.pin != pin_to_change(s, a)


def old_pin_length_illegal(s: State, a: Args) -> bool:
    return session_valid(s, a) and illegal_length(a.pin)


def old_pin_may_be_locked(s: State, a: Args) -> bool:
    if not session_valid(s, a):
        return False
    slot = slot_of(s, a)
    return old_pin_wrong(s, a) or (slot.so_failed if slot.login == Login.SO else slot.user_failed)


def put_pin(s: State, a: Args) -> State:
    k = s.sessions[a.session].slot
    slot = s.slots[k]
    if slot.login == Login.SO:
        return put_slot(s, k, replace(slot, so_pin=a.new_pin, so_failed=False))
    return put_slot(s, k, replace(slot, user_pin=a.new_pin, user_failed=False))


def count_failure_by_session(s: State, a: Args) -> State:
    k = s.sessions[a.session].slot
    slot = s.slots[k]
    if slot.login == Login.SO:
        return put_slot(s, k, replace(slot, so_failed=True))
    return put_slot(s, k, replace(slot, user_failed=True))


# What calls give out.


def slot_list(s: State, a: Args) -> tuple[int, ...]:
    if a.buffer != Buffer.ENOUGH:
        return ()
    return (sum(1 << k for k, x in enumerate(s.slots) if x.present or not a.token_present),)


def token_present(s: State, a: Args) -> tuple[int, ...]:
    return (int(s.slots[a.slot].present),)


def token_initialized(s: State, a: Args) -> tuple[int, ...]:
    return (int(s.slots[a.slot].initialized),)


def user_pin_initialized(s: State, a: Args) -> tuple[int, ...]:
    slot = s.slots[a.slot]
    return (int(slot.user_pin != Pin.NULL),) if slot.initialized else (0, 1)


UNAVAILABLE = -1
"""CK_UNAVAILABLE_INFORMATION, which a token may put in the place of a count."""


def sessions_open(s: State, a: Args) -> tuple[int, ...]:
    return (sum(1 for x in s.sessions if x.open and x.slot == a.slot), UNAVAILABLE)


def rw_sessions_open(s: State, a: Args) -> tuple[int, ...]:
    return (sum(1 for x in s.sessions if x.open and x.rw and x.slot == a.slot), UNAVAILABLE)


NEW_PIN = (
    Rule("new-pin-length-illegal", CKR.PIN_LEN_RANGE, new_pin_length_illegal, "5.1.6", ""),
    Rule("new-pin-given", CKR.PIN_INVALID, new_pin_given, "5.1.6", "", Strength.MAY),
    Rule("new-pin-given", CKR.PIN_TOO_WEAK, new_pin_given, "5.1.6", "", Strength.MAY, since=V2_40),
    Rule("new-pin-null", CKR.ARGUMENTS_BAD, new_pin_null, "5.5", "", Strength.INFERRED, "A-31"),
    Rule("new-pin-null", CKR.PIN_INCORRECT, new_pin_null, "5.5", "", Strength.INFERRED, "A-31"),
    Rule("new-pin-null", CKR.PIN_LEN_RANGE, new_pin_null, "5.1.6", "", Strength.UNSAID, "A-31"),
    Rule("new-pin-null", CKR.PIN_INVALID, new_pin_null, "5.1.6", "", Strength.UNSAID, "A-31"),
)
"""What any function that sets a PIN checks of it."""

FUNCTIONS = (
    Function(
        "C_GetSlotList",
        ("token_present", "buffer", "null"),
        (*LIBRARY, *NULL_POINTER, Rule("slots-do-not-fit", CKR.BUFFER_TOO_SMALL, slots_do_not_fit, "5.2", "")),
        outputs=(Output("slots", slot_list, "5.5"),),
    ),
    Function(
        "C_GetSlotInfo",
        ("slot", "null"),
        (*SLOT, *NULL_POINTER),
        outputs=(Output("token_present", token_present, "5.5"),),
    ),
    Function(
        "C_GetTokenInfo",
        ("slot", "null"),
        (*TOKEN, *NULL_POINTER),
        outputs=(
            Output("initialized", token_initialized, "3.2"),
            Output("user_pin_initialized", user_pin_initialized, "3.2"),
            Output("sessions", sessions_open, "3.2"),
            Output("rw_sessions", rw_sessions_open, "3.2"),
        ),
    ),
    Function(
        "C_WaitForSlotEvent",
        ("null", "reserved"),
        (
            *LIBRARY,
            *NULL_POINTER,
            *RESERVED,
            Rule("no-event-pending", CKR.NO_EVENT, no_event_pending, "5.5", "", Strength.MAY, "A-22"),
        ),
    ),
    Function(
        "C_GetMechanismList",
        ("slot", "buffer", "null"),
        (*TOKEN, *NULL_POINTER, Rule("mechanisms-do-not-fit", CKR.BUFFER_TOO_SMALL, mechanisms_do_not_fit, "5.2", "")),
    ),
    Function(
        "C_GetMechanismInfo",
        ("slot", "mechanism", "null"),
        (*TOKEN, *NULL_POINTER, Rule("mechanism-not-listed", CKR.MECHANISM_INVALID, mechanism_not_listed, "5.1.6", "")),
        domains={"mechanism": (Mech.SHA256, Mech.AES_CBC, Mech.RSA_PKCS, Mech.UNKNOWN)},
    ),
    Function(
        "C_InitToken",
        ("slot", "pin", "null"),
        (
            *TOKEN,
            Rule("session-exists", CKR.SESSION_EXISTS, session_exists, "5.5", ""),
            Rule("sessions-of-others", CKR.SESSION_EXISTS, sessions_of_others, "5.5", "", Strength.MAY),
            Rule(
                "token-write-protected",
                CKR.TOKEN_WRITE_PROTECTED,
                token_write_protected,
                "5.1.6",
                "",
                Strength.MAY,
                "A-30",
            ),
            Rule("so-pin-differs", CKR.PIN_INCORRECT, so_pin_differs, "5.5", "", since=V2_20),
            Rule("so-pin-differs", CKR.PIN_INCORRECT, so_pin_differs, "5.5", "", Strength.MAY, until=V2_01),
            Rule("so-pin-may-be-locked", CKR.PIN_LOCKED, so_pin_may_be_locked, "5.1.6", "", Strength.MAY, "A-43"),
            Rule("so-pin-unacceptable", CKR.PIN_INCORRECT, so_pin_unacceptable, "5.5", "", Strength.UNSAID, "A-08"),
            Rule("so-pin-unacceptable", CKR.PIN_LEN_RANGE, so_pin_unacceptable, "5.1.6", "", Strength.UNSAID, "A-08"),
            Rule("so-pin-unacceptable", CKR.ARGUMENTS_BAD, so_pin_unacceptable, "5.1.6", "", Strength.UNSAID, "A-08"),
            Rule("so-pin-chosen", CKR.PIN_INVALID, so_pin_chosen, "5.1.6", "", Strength.MAY, "A-08"),
            Rule("so-pin-chosen", CKR.PIN_TOO_WEAK, so_pin_chosen, "5.1.6", "", Strength.MAY, "A-08", since=V2_40),
            Rule("pin-null", CKR.ARGUMENTS_BAD, pin_null, "5.5", "", Strength.INFERRED, "A-31"),
            Rule("so-pin-null", CKR.PIN_INCORRECT, so_pin_null, "5.5", "", Strength.INFERRED, "A-31"),
            *arguments_bad("label-null", pointer_null, "5.5", "", "A-08"),
        ),
        out_of_scope=token_asks_for_pin,
        effects=(
            Effect(init_token, "5.5"),
            Effect(count_so_failure_by_slot, "3.2", frozenset({CKR.PIN_INCORRECT, CKR.PIN_LOCKED}), reading="A-43"),
        ),
    ),
    Function(
        "C_InitPIN",
        ("session", "new_pin"),
        (
            *SESSION,
            Rule("not-so-session", CKR.USER_NOT_LOGGED_IN, not_so_session, "5.5", ""),
            Rule("session-read-only", CKR.SESSION_READ_ONLY, session_read_only, "5.5", "", Strength.INFERRED, "A-09"),
            Rule(
                "token-of-session-write-protected",
                CKR.TOKEN_WRITE_PROTECTED,
                token_of_session_write_protected,
                "5.1.6",
                "",
                Strength.MAY,
                "A-30",
            ),
            *NEW_PIN,
        ),
        effects=(Effect(init_pin, "5.5"),),
        out_of_scope=token_asks_for_pin,
    ),
    Function(
        "C_SetPIN",
        ("session", "pin", "new_pin"),
        (
            *SESSION,
            Rule("session-read-only", CKR.SESSION_READ_ONLY, session_read_only, "5.5", ""),
            Rule(
                "token-of-session-write-protected",
                CKR.TOKEN_WRITE_PROTECTED,
                token_of_session_write_protected,
                "5.1.6",
                "",
                Strength.MAY,
                "A-30",
            ),
            *(
                Rule("nobody-logged-in", code, nobody_logged_in, "5.5", "", Strength.INFERRED, until=V2_01)
                for code in (CKR.USER_NOT_LOGGED_IN, CKR.SESSION_READ_ONLY)
            ),
            Rule("old-pin-wrong", CKR.PIN_INCORRECT, old_pin_wrong, "5.5", ""),
            Rule("old-pin-length-illegal", CKR.PIN_LEN_RANGE, old_pin_length_illegal, "5.1.6", "", Strength.UNSAID),
            Rule("old-pin-may-be-locked", CKR.PIN_LOCKED, old_pin_may_be_locked, "5.1.6", "", Strength.MAY, "A-43"),
            *(
                Rule(
                    "user-pin-unset-in-public",
                    code,
                    user_pin_unset_in_public,
                    "5.5",
                    "",
                    Strength.INFERRED,
                    "A-10",
                    since=V2_20,
                )
                for code in (CKR.USER_PIN_NOT_INITIALIZED, CKR.USER_NOT_LOGGED_IN, CKR.PIN_LOCKED)
            ),
            *NEW_PIN,
            Rule("pin-null", CKR.ARGUMENTS_BAD, pin_null, "5.5", "", Strength.INFERRED, "A-31"),
            Rule("pin-null-in-session", CKR.PIN_INCORRECT, pin_null_in_session, "5.5", "", Strength.INFERRED, "A-31"),
        ),
        out_of_scope=token_asks_for_pin,
        effects=(
            Effect(put_pin, "5.5"),
            Effect(count_failure_by_session, "3.2", frozenset({CKR.PIN_INCORRECT, CKR.PIN_LOCKED}), reading="A-43"),
        ),
    ),
)
