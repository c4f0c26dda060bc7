"""Section 5.5: slot and token management."""

from collections.abc import Sequence
from dataclasses import replace

from ..call import Args, Buffer
from ..rule import Effect, Function, Output, Rule, Strength, at_least
from ..state import Login, Mech, Object, Pin, State, Trait, map_objects, put_slot
from ..vocabulary import CKR, CKS, Version
from .common import (
    LIBRARY,
    NULL_POINTER,
    PIN_TO_BE_CHANGED,
    SESSION,
    SLOT,
    TOKEN,
    TOKEN_NOT_INITIALIZED,
    arguments_bad,
    or_arguments_bad,
    pin_perhaps_null,
)
from .conditions import (
    illegal_length,
    large_enough,
    new_pin_null,
    pin_null,
    pins_for_another_token,
    pointer_null,
    reserved_given,
    session_invalid,
    session_state,
    session_valid,
    slot_known,
    slot_of,
    token_asks_for_pin,
    token_there,
)
from .operations import TELLS_LENGTH, forget_outputs

V2_01, V2_20, V2_40 = Version.V2_01, Version.V2_20, Version.V2_40

_CODES_OF_NULL_PINS = (CKR.ARGUMENTS_BAD, CKR.PIN_INCORRECT, CKR.PIN_LEN_RANGE, CKR.PIN_INVALID)
"""By which a function that sets a PIN may refuse NULL for it."""


# C_GetSlotList.


def slots_do_not_fit(s: State, a: Args) -> bool:
    some = any(x.present or not a.token_present for x in s.slots)
    return some and a.buffer == Buffer.SHORT and not a.null


def slots_told(s: State, a: Args) -> Sequence[int]:
    """A library may have slots beside those that are followed."""
    return at_least(sum(x.present or not a.token_present for x in s.slots)) if not large_enough(a) else ()


def slot_list(s: State, a: Args) -> tuple[int, ...]:
    if not large_enough(a):
        return ()
    return (sum(1 << k for k, x in enumerate(s.slots) if x.present or not a.token_present),)


C_GET_SLOT_LIST = Function(
    "C_GetSlotList",
    ("token_present", "buffer", "null"),
    (
        *LIBRARY,
        *NULL_POINTER,
        Rule(
            "list-does-not-fit",
            CKR.BUFFER_TOO_SMALL,
            slots_do_not_fit,
            "5.5 C_GetSlotList, way 2",
            "A buffer with less room than there are slots to list gets this code, and the number of slots.",
        ),
    ),
    outputs=(
        Output("slots", slot_list, "5.5 C_GetSlotList, first paragraph"),
        Output("length", slots_told, "5.5 C_GetSlotList, ways 1 and 2", TELLS_LENGTH),
    ),
)


# C_GetSlotInfo.


def token_present(s: State, a: Args) -> tuple[int, ...]:
    return (int(s.slots[a.slot].present),)


C_GET_SLOT_INFO = Function(
    "C_GetSlotInfo",
    ("slot", "null"),
    (*SLOT, *NULL_POINTER),
    outputs=(Output("token_present", token_present, "3.2 table 5 CKF_TOKEN_PRESENT"),),
)


# C_GetTokenInfo.


UNAVAILABLE = -1
"""CK_UNAVAILABLE_INFORMATION, which a token may put in the place of a count."""


def token_initialized(s: State, a: Args) -> tuple[int, ...]:
    return (int(s.slots[a.slot].initialized),)


def user_pin_initialized(s: State, a: Args) -> tuple[int, ...]:
    slot = s.slots[a.slot]
    return (int(slot.user_pin != Pin.NULL),) if slot.initialized else (0, 1)


def sessions_open(s: State, a: Args) -> tuple[int, ...]:
    return (sum(1 for x in s.sessions if x.open and x.slot == a.slot), UNAVAILABLE)


def rw_sessions_open(s: State, a: Args) -> tuple[int, ...]:
    return (sum(1 for x in s.sessions if x.open and x.rw and x.slot == a.slot), UNAVAILABLE)


C_GET_TOKEN_INFO = Function(
    "C_GetTokenInfo",
    ("slot", "null"),
    (*TOKEN, TOKEN_NOT_INITIALIZED, *NULL_POINTER),
    outputs=(
        Output("initialized", token_initialized, "3.2 table 6 CKF_TOKEN_INITIALIZED"),
        Output("user_pin_initialized", user_pin_initialized, "3.2 table 6 CKF_USER_PIN_INITIALIZED"),
        Output("sessions", sessions_open, "3.2 CK_TOKEN_INFO, ulSessionCount"),
        Output("rw_sessions", rw_sessions_open, "3.2 CK_TOKEN_INFO, ulRwSessionCount"),
    ),
)


# C_WaitForSlotEvent.


def no_event_pending(s: State, a: Args) -> bool:
    return s.initialized


C_WAIT_FOR_SLOT_EVENT = Function(
    "C_WaitForSlotEvent",
    ("null", "reserved"),
    (
        *LIBRARY,
        *NULL_POINTER,
        Rule(
            "reserved-given",
            CKR.ARGUMENTS_BAD,
            reserved_given,
            "5.5 C_WaitForSlotEvent, first paragraph",
            "The reserved pointer is better NULL; what becomes of a call where it is not is unsaid.",
            Strength.UNSAID,
            "A-50",
        ),
        Rule(
            "no-event",
            CKR.NO_EVENT,
            no_event_pending,
            "5.5 C_WaitForSlotEvent, paragraph on no flag set",
            "A call that does not block finds no event since the last one that was told.",
            Strength.MAY,
            "A-22",
        ),
    ),
)


# C_GetMechanismList.


def mechanisms_do_not_fit(s: State, a: Args) -> bool:
    return s.slots[a.slot].has_mechanisms and a.buffer == Buffer.SHORT and not a.null


def mechanisms_told(s: State, a: Args) -> Sequence[int]:
    """A token may have mechanisms beside those that are followed; one that only stands for others is none."""
    slot = s.slots[a.slot]
    named = sum(m != Mech.OTHER for m in slot.mechanisms)
    return at_least(named + len(slot.others)) if slot.has_mechanisms else ()


C_GET_MECHANISM_LIST = Function(
    "C_GetMechanismList",
    ("slot", "buffer", "null"),
    (
        *TOKEN,
        TOKEN_NOT_INITIALIZED,
        *NULL_POINTER,
        Rule(
            "list-does-not-fit",
            CKR.BUFFER_TOO_SMALL,
            mechanisms_do_not_fit,
            "5.5 C_GetMechanismList, way 2",
            "A buffer with less room than there are mechanisms to list gets this code, and their number.",
        ),
    ),
    outputs=(Output("length", mechanisms_told, "5.5 C_GetMechanismList, ways 1 and 2", TELLS_LENGTH),),
    given=token_there,
)


# C_GetMechanismInfo.


def mechanism_not_listed(s: State, a: Args) -> bool:
    return a.mechanism not in s.slots[a.slot].mechanisms


C_GET_MECHANISM_INFO = Function(
    "C_GetMechanismInfo",
    ("slot", "mechanism", "null"),
    (
        *TOKEN,
        TOKEN_NOT_INITIALIZED,
        *NULL_POINTER,
        *or_arguments_bad(
            Rule(
                "mechanism-unlisted",
                CKR.MECHANISM_INVALID,
                mechanism_not_listed,
                "5.1.6 CKR_MECHANISM_INVALID",
                "The code is an appropriate one for a mechanism that does not exist, or that this token does not have.",
                Strength.INFERRED,
            )
        ),
    ),
    given=token_there,
    domains={"mechanism": (Mech.SHA256, Mech.AES_CBC, Mech.RSA_PKCS, Mech.UNKNOWN)},
)


# C_InitToken.


def session_exists(s: State, a: Args) -> bool:
    return any(x.open and x.slot == a.slot for x in s.sessions)


def sessions_of_others(s: State, a: Args) -> bool:
    return s.slots[a.slot].shared


def token_write_protected(s: State, a: Args) -> bool:
    return s.slots[a.slot].write_protected


_INIT_TOKEN_REFUSED = (
    Rule(
        "session-exists",
        CKR.SESSION_EXISTS,
        session_exists,
        "5.5 C_InitToken, paragraph on open sessions",
        "A token with which a session is open cannot be initialised, and this code says so.",
    ),
    Rule(
        "sessions-of-others",
        CKR.SESSION_EXISTS,
        sessions_of_others,
        "5.5 C_InitToken, paragraph on open sessions",
        "The sessions of other applications count too, as far as the library knows of them.",
        Strength.MAY,
    ),
    Rule(
        "token-write-protected",
        CKR.TOKEN_WRITE_PROTECTED,
        token_write_protected,
        "3.2 below table 6, CKF_WRITE_PROTECTED",
        "What a write-protected token refuses is its own choice.",
        Strength.MAY,
        "A-30",
    ),
)


def so_pin_differs(s: State, a: Args) -> bool:
    return s.slots[a.slot].initialized and a.pin != Pin.NULL and a.pin != s.slots[a.slot].so_pin


def so_pin_may_be_locked(s: State, a: Args) -> bool:
    return s.slots[a.slot].so_failed or so_pin_differs(s, a)


def so_pin_chosen(s: State, a: Args) -> bool:
    return not s.slots[a.slot].initialized


def so_pin_unacceptable(s: State, a: Args) -> bool:
    return so_pin_chosen(s, a) and illegal_length(a.pin)


def so_pin_length_illegal(s: State, a: Args) -> bool:
    return illegal_length(a.pin)


_SO_PIN = (
    Rule(
        "so-pin-wrong",
        CKR.PIN_INCORRECT,
        so_pin_differs,
        "5.5 C_InitToken, paragraph on reinitialising",
        "The PIN is compared with the SO's, so that only the SO initialises a token again.",
        since=V2_20,
    ),
    Rule(
        "so-pin-wrong",
        CKR.PIN_INCORRECT,
        so_pin_differs,
        "5.1.6 CKR_PIN_INCORRECT",
        "v2.01 lists the code for the function, and does not say that the PIN is compared.",
        Strength.MAY,
        until=V2_01,
    ),
    Rule(
        "pin-locked",
        CKR.PIN_LOCKED,
        so_pin_may_be_locked,
        "5.1.6 CKR_PIN_LOCKED",
        "After some number of wrong PINs, which is the token's choice, it takes none.",
        Strength.MAY,
        "A-43",
    ),
    *(
        Rule(
            "so-pin-unacceptable",
            code,
            when,
            f"5.1.6 {code!s}",
            "The function sets a PIN, be it the one that was, and lists no code for one that the token cannot take.",
            Strength.UNSAID,
            "A-08",
        )
        for code, when in (
            (CKR.PIN_INCORRECT, so_pin_unacceptable),
            (CKR.PIN_LEN_RANGE, so_pin_length_illegal),
            (CKR.ARGUMENTS_BAD, so_pin_length_illegal),
        )
    ),
    Rule(
        "so-pin-chosen",
        CKR.PIN_INVALID,
        so_pin_chosen,
        "5.1.6 CKR_PIN_INVALID",
        "The code is for functions that set a PIN, and which characters a PIN may have is the token's choice.",
        Strength.MAY,
        "A-08",
    ),
    Rule(
        "so-pin-chosen",
        CKR.PIN_TOO_WEAK,
        so_pin_chosen,
        "5.1.6 CKR_PIN_TOO_WEAK",
        "The code is for functions that set a PIN, and how strong a PIN must be is the token's choice.",
        Strength.MAY,
        "A-08",
        since=V2_40,
    ),
)


def so_pin_missing(s: State, a: Args) -> bool:
    return a.pin == Pin.NULL and not s.slots[a.slot].empty_pin_legal


def empty_so_pin_perhaps_set(s: State, a: Args) -> bool:
    """What a token holds after it took NULL for its PIN is not followed: an empty PIN, or none."""
    if token_asks_for_pin(s, a) or (slot_known(s, a) and not s.slots[a.slot].pins_fit):
        return True
    return a.pin == Pin.NULL and slot_known(s, a) and s.slots[a.slot].empty_pin_legal


_SO_PIN_NULL = (
    *(
        Rule(
            "pin-missing",
            code,
            so_pin_missing,
            "5.5 C_InitToken, paragraphs on reinitialising and on the protected path",
            "NULL is for tokens with a protected path; elsewhere it is no PIN, or an empty one, which is not the SO's.",
            Strength.INFERRED,
            "A-31",
        )
        for code in (CKR.ARGUMENTS_BAD, CKR.PIN_INCORRECT)
    ),
    *pin_perhaps_null("pin-null", pin_null, *_CODES_OF_NULL_PINS),
)


def init_token(s: State, a: Args) -> State:
    """Objects that can be destroyed are gone (5.5), nobody but the SO has a PIN, and that one may be flagged."""
    s = map_objects(forget_outputs(s), lambda x: Object() if x.slot == a.slot and x.trait != Trait.UNDESTROYABLE else x)
    slot = replace(s.slots[a.slot], initialized=True, so_pin=a.pin, user_pin=Pin.NULL)
    return put_slot(
        s,
        a.slot,
        replace(slot, so_failed=False, user_failed=False, so_pin_to_be_changed=True, user_pin_to_be_changed=False),
    )


def destroy_the_undestroyable(s: State, a: Args) -> State:
    return map_objects(s, lambda x: Object() if x.slot == a.slot and x.trait == Trait.UNDESTROYABLE else x)


def count_so_failure_by_slot(s: State, a: Args) -> State:
    return put_slot(s, a.slot, replace(s.slots[a.slot], so_failed=True))


PIN_REFUSED = frozenset({CKR.PIN_INCORRECT, CKR.PIN_LOCKED})

C_INIT_TOKEN = Function(
    "C_InitToken",
    ("slot", "pin", "null"),
    (
        *TOKEN,
        *_INIT_TOKEN_REFUSED,
        *_SO_PIN,
        *_SO_PIN_NULL,
        *arguments_bad(
            "label-null",
            pointer_null,
            "5.5 C_InitToken, first paragraph",
            "The label has 32 bytes, so NULL is none.",
            "A-08",
            unguarded=True,
        ),
    ),
    out_of_scope=empty_so_pin_perhaps_set,
    effects=(
        Effect("token-initialized", init_token, "5.5 C_InitToken, paragraphs on reinitialising and on objects"),
        Effect(
            "undestroyable-destroyed", destroy_the_undestroyable, "5.5 C_InitToken, paragraph on objects", certain=False
        ),
        Effect(
            "pin-failure-counted",
            count_so_failure_by_slot,
            "3.2 table 6 CKF_SO_PIN_COUNT_LOW",
            PIN_REFUSED,
            reading="A-43",
        ),
    ),
    given=token_there,
)


# What any function that sets a PIN checks of it.


def new_pin_too_short(s: State, a: Args) -> bool:
    return a.new_pin == Pin.SHORT


def new_pin_too_long(s: State, a: Args) -> bool:
    return a.new_pin == Pin.LONG


def new_pin_given(s: State, a: Args) -> bool:
    return a.new_pin != Pin.NULL


def new_pin_missing(s: State, a: Args) -> bool:
    return a.new_pin == Pin.NULL and not slot_of(s, a).empty_pin_legal


def empty_pin_perhaps_set(s: State, a: Args) -> bool:
    """What a token holds after it took NULL for a new PIN is not followed: an empty PIN, or none."""
    if token_asks_for_pin(s, a) or pins_for_another_token(s, a):
        return True
    return a.new_pin == Pin.NULL and not session_invalid(s, a) and slot_of(s, a).empty_pin_legal


_NEW_PIN_TOO_SHORT = Rule(
    "new-pin-too-short",
    CKR.PIN_LEN_RANGE,
    new_pin_too_short,
    "5.1.6 CKR_PIN_LEN_RANGE",
    "The code is for a new PIN that is longer or shorter than PINs of the token are.",
    Strength.INFERRED,
)

NEW_PIN = (
    *or_arguments_bad(_NEW_PIN_TOO_SHORT, replace(_NEW_PIN_TOO_SHORT, id="new-pin-too-long", when=new_pin_too_long)),
    Rule(
        "new-pin-chosen",
        CKR.PIN_INVALID,
        new_pin_given,
        "5.1.6 CKR_PIN_INVALID",
        "The code is for functions that set a PIN, and which characters a PIN may have is the token's choice.",
        Strength.MAY,
    ),
    Rule(
        "new-pin-chosen",
        CKR.PIN_TOO_WEAK,
        new_pin_given,
        "5.1.6 CKR_PIN_TOO_WEAK",
        "The code is for functions that set a PIN, and how strong a PIN must be is the token's choice.",
        Strength.MAY,
        since=V2_40,
    ),
    *(
        Rule(
            "new-pin-missing",
            code,
            new_pin_missing,
            "5.5 C_InitPIN and C_SetPIN, paragraphs on the protected path",
            "NULL is for tokens with a protected path; elsewhere it is no PIN, or an empty one, below ulMinPinLen.",
            Strength.INFERRED,
            "A-31",
        )
        for code in (CKR.ARGUMENTS_BAD, CKR.PIN_INCORRECT)
    ),
    *pin_perhaps_null("new-pin-null", new_pin_null, *_CODES_OF_NULL_PINS),
)


def token_of_session_write_protected(s: State, a: Args) -> bool:
    return slot_of(s, a).write_protected


_PROTECTED = Rule(
    "token-write-protected",
    CKR.TOKEN_WRITE_PROTECTED,
    token_of_session_write_protected,
    "3.2 below table 6, CKF_WRITE_PROTECTED",
    "A write-protected token may refuse to change PINs, among other things.",
    Strength.MAY,
    "A-30",
)


# C_InitPIN.


def not_so_session(s: State, a: Args) -> bool:
    return session_state(s, s.sessions[a.session]) != CKS.RW_SO_FUNCTIONS


def session_read_only(s: State, a: Args) -> bool:
    return not s.sessions[a.session].rw


def init_pin(s: State, a: Args) -> State:
    """The user has a PIN of the SO's choice, which may be flagged; one that was locked may stay so."""
    k = s.sessions[a.session].slot
    return put_slot(s, k, replace(s.slots[k], user_pin=a.new_pin, user_pin_to_be_changed=True))


C_INIT_PIN = Function(
    "C_InitPIN",
    ("session", "new_pin"),
    (
        *SESSION,
        Rule(
            "not-so-session",
            CKR.USER_NOT_LOGGED_IN,
            not_so_session,
            "5.5 C_InitPIN, paragraph on session states",
            "The function is for R/W SO sessions, and fails with this code in all others.",
        ),
        Rule(
            "session-read-only",
            CKR.SESSION_READ_ONLY,
            session_read_only,
            "5.1.6 CKR_SESSION_READ_ONLY",
            "The function lists the code beside the one that its prose demands, and a read-only session fits it too.",
            Strength.INFERRED,
            "A-09",
        ),
        _PROTECTED,
        replace(
            PIN_TO_BE_CHANGED,
            place="3.2 CK_TOKEN_INFO, on CKF_SO_PIN_TO_BE_CHANGED",
            says="Until the SO's PIN is changed, what needs the SO gets this code.",
        ),
        *NEW_PIN,
    ),
    effects=(Effect("user-pin-set", init_pin, "5.5 C_InitPIN, first paragraph"),),
    out_of_scope=empty_pin_perhaps_set,
    given=session_valid,
)


# C_SetPIN. In a public session it changes the normal user's PIN, from v2.20 on.


def nobody_logged_in(s: State, a: Args) -> bool:
    return slot_of(s, a).login == Login.NOBODY


_SET_PIN_BARRED = (
    Rule(
        "session-read-only",
        CKR.SESSION_READ_ONLY,
        session_read_only,
        "5.5 C_SetPIN, paragraph on session states",
        "The function is for R/W sessions, and fails with this code in all others.",
    ),
    *(
        Rule(
            "nobody-logged-in",
            code,
            nobody_logged_in,
            "5.5 C_SetPIN, paragraph on session states",
            "v2.01 bars the function from public sessions, too.",
            Strength.INFERRED,
            until=V2_01,
        )
        for code in (CKR.USER_NOT_LOGGED_IN, CKR.SESSION_READ_ONLY)
    ),
)


def changes_so_pin(s: State, a: Args) -> bool:
    return slot_of(s, a).login == Login.SO


def pin_to_change(s: State, a: Args) -> Pin:
    return slot_of(s, a).so_pin if changes_so_pin(s, a) else slot_of(s, a).user_pin


def old_pin_wrong(s: State, a: Args) -> bool:
    return a.pin != Pin.NULL and a.pin != pin_to_change(s, a)


def old_pin_length_illegal(s: State, a: Args) -> bool:
    return illegal_length(a.pin)


def old_pin_may_be_locked(s: State, a: Args) -> bool:
    slot = slot_of(s, a)
    return old_pin_wrong(s, a) or (slot.so_failed if slot.login == Login.SO else slot.user_failed)


def user_pin_unset_in_public(s: State, a: Args) -> bool:
    return nobody_logged_in(s, a) and slot_of(s, a).user_pin == Pin.NULL


def user_pin_not_wanted(s: State, a: Args) -> bool:
    """There is no PIN, and none is required, so that the first one may be set in the place of an empty one."""
    return user_pin_unset_in_public(s, a) and not slot_of(s, a).login_required


def user_pin_unset(s: State, a: Args) -> bool:
    return user_pin_unset_in_public(s, a) and slot_of(s, a).login_required


def old_pin_missing(s: State, a: Args) -> bool:
    return a.pin == Pin.NULL and not user_pin_not_wanted(s, a) and not old_so_pin_perhaps_empty(s, a)


def old_so_pin_perhaps_empty(s: State, a: Args) -> bool:
    """The shortest PIN is empty, and so the SO's may be, as it was set before the application came."""
    slot = slot_of(s, a)
    return a.pin == Pin.NULL and slot.login == Login.SO and slot.empty_pin_legal


_OLD_PIN = (
    Rule(
        "pin-wrong",
        CKR.PIN_INCORRECT,
        old_pin_wrong,
        "5.1.6 CKR_PIN_INCORRECT",
        "The PIN given is not the one that the token holds.",
    ),
    Rule(
        "pin-length-illegal",
        CKR.PIN_LEN_RANGE,
        old_pin_length_illegal,
        "5.1.6 CKR_PIN_LEN_RANGE",
        "The code is for functions that set a PIN, and does not say that it is for the new one only.",
        Strength.UNSAID,
    ),
    Rule(
        "pin-locked",
        CKR.PIN_LOCKED,
        old_pin_may_be_locked,
        "5.1.6 CKR_PIN_LOCKED",
        "After some number of wrong PINs, which is the token's choice, it takes none.",
        Strength.MAY,
        "A-43",
    ),
    *(
        Rule(
            "user-pin-unset",
            code,
            when,
            "5.5 C_SetPIN, first paragraph",
            "With nobody logged in it is the user's PIN that changes, and there is none that the old one could match.",
            strength,
            "A-10",
            since=V2_20,
        )
        for when, strength in ((user_pin_unset, Strength.INFERRED), (user_pin_not_wanted, Strength.UNSAID))
        for code in (CKR.USER_PIN_NOT_INITIALIZED, CKR.USER_NOT_LOGGED_IN, CKR.PIN_LOCKED)
    ),
)


_OLD_PIN_NULL = (
    *(
        Rule(
            "pin-missing",
            code,
            old_pin_missing,
            "5.5 C_SetPIN, first paragraph and the one on the protected path",
            "NULL is for tokens with a protected path; elsewhere it is no PIN, or an empty one, and not the old one.",
            Strength.INFERRED,
            "A-31",
        )
        for code in (CKR.ARGUMENTS_BAD, CKR.PIN_INCORRECT)
    ),
    *pin_perhaps_null("pin-null", pin_null, *_CODES_OF_NULL_PINS),
)


def put_pin(s: State, a: Args) -> State:
    k = s.sessions[a.session].slot
    slot = s.slots[k]
    if slot.login == Login.SO:
        return put_slot(s, k, replace(slot, so_pin=a.new_pin, so_failed=False, so_pin_to_be_changed=False))
    return put_slot(s, k, replace(slot, user_pin=a.new_pin, user_failed=False, user_pin_to_be_changed=False))


def count_failure_by_session(s: State, a: Args) -> State:
    k = s.sessions[a.session].slot
    slot = s.slots[k]
    if slot.login == Login.SO:
        return put_slot(s, k, replace(slot, so_failed=True))
    return put_slot(s, k, replace(slot, user_failed=True))


C_SET_PIN = Function(
    "C_SetPIN",
    ("session", "pin", "new_pin"),
    (
        *SESSION,
        *_SET_PIN_BARRED,
        _PROTECTED,
        *_OLD_PIN,
        *NEW_PIN,
        *_OLD_PIN_NULL,
    ),
    out_of_scope=empty_pin_perhaps_set,
    effects=(
        Effect("pin-changed", put_pin, "5.5 C_SetPIN, first paragraph"),
        Effect(
            "pin-failure-counted",
            count_failure_by_session,
            "3.2 table 6 CKF_USER_PIN_COUNT_LOW",
            PIN_REFUSED,
            reading="A-43",
        ),
    ),
    given=session_valid,
)

FUNCTIONS = (
    C_GET_SLOT_LIST,
    C_GET_SLOT_INFO,
    C_GET_TOKEN_INFO,
    C_WAIT_FOR_SLOT_EVENT,
    C_GET_MECHANISM_LIST,
    C_GET_MECHANISM_INFO,
    C_INIT_TOKEN,
    C_INIT_PIN,
    C_SET_PIN,
)
