"""Section 5.6: session management."""

from dataclasses import replace

from ..call import Args, Blob, Buffer, StateKey
from ..rule import Effect, Function, Output, Rule, Strength
from ..state import (
    LIMIT_UNKNOWN,
    NO_LIMIT,
    Login,
    Object,
    Operation,
    Operations,
    Phase,
    Pin,
    Saved,
    Search,
    Session,
    State,
    carry_saved,
    map_objects,
    map_sessions,
    put_session,
    put_slot,
)
from ..vocabulary import CKF, CKR, CKU, Version
from .common import NULL_POINTER, SESSION, SLOT, TOKEN
from .conditions import (
    object_reachable,
    pin_null,
    pin_null_in_session,
    session_state,
    session_valid,
    slot_of,
    token_absent,
    token_asks_for_pin,
    token_there,
)
from .operations import end_all_operations, forget_outputs, unsettle_searches

V2_01, V2_20 = Version.V2_01, Version.V2_20


# C_OpenSession.


def parallel_session(s: State, a: Args) -> bool:
    return not a.serial


def session_limit_reached(s: State, a: Args) -> bool:
    if not token_there(s, a):
        return False
    slot = s.slots[a.slot]
    mine = [x for x in s.sessions if x.open and x.slot == a.slot]
    if slot.session_limit > NO_LIMIT and len(mine) >= slot.session_limit:
        return True
    return slot.rw_session_limit > NO_LIMIT and a.rw and len([x for x in mine if x.rw]) >= slot.rw_session_limit


def session_limit_untold(s: State, a: Args) -> bool:
    if not token_there(s, a):
        return False
    slot = s.slots[a.slot]
    return slot.shared or slot.session_limit == LIMIT_UNKNOWN or slot.rw_session_limit == LIMIT_UNKNOWN


def writing_to_protected_token(s: State, a: Args) -> bool:
    return a.rw and token_there(s, a) and s.slots[a.slot].write_protected


def read_only_beside_so(s: State, a: Args) -> bool:
    return not a.rw and token_there(s, a) and s.slots[a.slot].login == Login.SO


def token_uninitialized(s: State, a: Args) -> bool:
    return token_there(s, a) and not s.slots[a.slot].initialized


def no_handle_left_to_track(s: State, a: Args) -> bool:
    return all(x.open for x in s.sessions)


def open_session(s: State, a: Args) -> State:
    free = next(k for k, x in enumerate(s.sessions) if not x.open)
    return put_session(s, free, Session(open=True, slot=a.slot, rw=a.rw, notify=a.notify))


# C_CloseSession, C_CloseAllSessions.


def close_session(s: State, a: Args) -> State:
    """A session takes its objects with it; the last one with a token takes the login, as C_Logout does."""
    slot = s.sessions[a.session].slot
    s = forget_outputs(unsettle_searches(put_session(s, a.session, Session())))
    s = map_objects(s, lambda x: Object() if x.exists and not x.token and x.owner == a.session else x)
    if any(x.open and x.slot == slot for x in s.sessions):
        return s
    return logged_out(s, slot)


def close_all_sessions(s: State, a: Args) -> State:
    s = map_sessions(s, lambda x: Session() if x.open and x.slot == a.slot else x)
    s = map_objects(s, lambda x: Object() if x.exists and not x.token and x.slot == a.slot else x)
    return logged_out(s, a.slot)


def forget_handles(s: State, a: Args) -> State:
    """Whether handles on token objects outlive the last session with the token is unsaid."""
    return map_objects(s, lambda x: x if _has_session(s, x.slot) else replace(x, known=False))


def _has_session(s: State, slot: int) -> bool:
    return any(x.open and x.slot == slot for x in s.sessions)


def logged_out(s: State, slot: int) -> State:
    """Nobody is logged in to a token any more: handles on private objects die, private session objects too (5.6)."""

    def after(x: Object) -> Object:
        if not (x.exists and x.private and x.slot == slot):
            return x
        return replace(x, known=False) if x.token else Object()

    return put_slot(
        map_objects(carry_saved(forget_outputs(s)), after), slot, replace(s.slots[slot], login=Login.NOBODY)
    )


# C_GetOperationState, C_SetOperationState.


def _savable(o: Operations) -> bool:
    return any(x.phase != Phase.NONE for x in (o.encrypt, o.decrypt, o.digest, o.sign, o.verify))


def operation_not_initialized(s: State, a: Args) -> bool:
    return session_valid(s, a) and not _savable(s.sessions[a.session].operations)


def operation_active(s: State, a: Args) -> bool:
    return session_valid(s, a) and _savable(s.sessions[a.session].operations)


def state_does_not_fit(s: State, a: Args) -> bool:
    return operation_active(s, a) and a.buffer == Buffer.SHORT and not a.null


def save_state(s: State, a: Args) -> State:
    """A search and the operations with recovery are not in it."""
    if a.buffer != Buffer.ENOUGH:
        return s
    session = s.sessions[a.session]
    left_out = {"sign_recover": Operation(), "verify_recover": Operation(), "search": Search.NONE}
    operations = replace(session.operations, **left_out)  # type: ignore[arg-type]
    return replace(s, saved=Saved(True, session.slot, session.rw, s.slots[session.slot].login, operations))


def saved_elsewhere(s: State, a: Args) -> bool:
    session, saved = s.sessions[a.session], s.saved
    return not (saved.slot == session.slot and saved.rw == session.rw and saved.login == s.slots[session.slot].login)


def not_a_state_of_this_session(s: State, a: Args) -> bool:
    return session_valid(s, a) and (a.blob == Blob.GARBAGE or not s.saved.valid or saved_elsewhere(s, a))


def state_carried_over(s: State, a: Args) -> bool:
    return session_valid(s, a) and s.saved.carried


def restorable(s: State, a: Args) -> bool:
    return session_valid(s, a) and a.blob == Blob.SAVED and s.saved.valid and not saved_elsewhere(s, a)


def _enciphers(o: Operations) -> bool:
    return o.encrypt.phase != Phase.NONE or o.decrypt.phase != Phase.NONE


def _authenticates(o: Operations) -> bool:
    return o.sign.phase != Phase.NONE or o.verify.phase != Phase.NONE


def _takes(o: Operations, a: Args) -> tuple[tuple[bool, StateKey], tuple[bool, StateKey]]:
    return ((_enciphers(o), a.encryption_key), (_authenticates(o), a.authentication_key))


def key_may_be_needed(s: State, a: Args) -> bool:
    """A token may keep the key in the saved state, and then needs none (5.6)."""
    return restorable(s, a) and any(used and key == StateKey.NONE for used, key in _takes(s.saved.operations, a))


def key_perhaps_changed(s: State, a: Args) -> bool:
    """Only a key that the token can tell from the one used is refused."""
    return restorable(s, a) and any(used and key == StateKey.DIFFERENT for used, key in _takes(s.saved.operations, a))


def key_not_needed(s: State, a: Args) -> bool:
    return restorable(s, a) and any(not used and key != StateKey.NONE for used, key in _takes(s.saved.operations, a))


def key_may_not_be_needed(s: State, a: Args) -> bool:
    return restorable(s, a) and any(used and key != StateKey.NONE for used, key in _takes(s.saved.operations, a))


def key_handle_made_up(s: State, a: Args) -> bool:
    return session_valid(s, a) and (
        a.encryption_key == StateKey.DIFFERENT or a.authentication_key == StateKey.DIFFERENT
    )


def saved_key_lost(s: State, a: Args) -> bool:
    """A key of the saved operations is gone, or its handle is: the state holds it, or cannot be restored."""
    o = s.saved.operations
    keyed = (o.encrypt, o.decrypt, o.sign, o.verify)
    lost = (x.phase != Phase.NONE and not object_reachable(s, a.session, x.key) for x in keyed)
    return restorable(s, a) and any(lost)


def restore_state(s: State, a: Args) -> State:
    return put_session(s, a.session, replace(s.sessions[a.session], operations=s.saved.operations))


# C_Login, C_Logout.


def user_type_invalid(s: State, a: Args) -> bool:
    return a.user == CKU.INVALID


def so_login_through_read_only_session(s: State, a: Args) -> bool:
    return session_valid(s, a) and a.user == CKU.SO and not s.sessions[a.session].rw


def context_specific(s: State, a: Args) -> bool:
    return a.user == CKU.CONTEXT_SPECIFIC


def context_specific_unasked(s: State, a: Args) -> bool:
    return session_valid(s, a) and a.user == CKU.CONTEXT_SPECIFIC


def context_specific_and_nobody(s: State, a: Args) -> bool:
    return context_specific_unasked(s, a) and slot_of(s, a).login == Login.NOBODY


def login_names_user(a: Args) -> bool:
    return a.user == CKU.SO or a.user == CKU.USER


def read_only_session_exists(s: State, a: Args) -> bool:
    if not (session_valid(s, a) and a.user == CKU.SO):
        return False
    slot = s.sessions[a.session].slot
    return any(x.open and x.slot == slot and not x.rw for x in s.sessions)


def same_user_logged_in(s: State, a: Args) -> bool:
    if not session_valid(s, a):
        return False
    login = slot_of(s, a).login
    return (a.user == CKU.SO and login == Login.SO) or (a.user == CKU.USER and login == Login.USER)


def other_user_logged_in(s: State, a: Args) -> bool:
    if not session_valid(s, a):
        return False
    login = slot_of(s, a).login
    return (a.user == CKU.SO and login == Login.USER) or (a.user == CKU.USER and login == Login.SO)


def user_pin_not_initialized(s: State, a: Args) -> bool:
    return session_valid(s, a) and a.user == CKU.USER and slot_of(s, a).user_pin == Pin.NULL


def pin_of_user(s: State, a: Args) -> Pin:
    return slot_of(s, a).so_pin if a.user == CKU.SO else slot_of(s, a).user_pin


def login_pin_wrong(s: State, a: Args) -> bool:
    if not session_valid(s, a) or a.user == CKU.INVALID or a.pin == Pin.NULL:
        return False
    return a.pin != pin_of_user(s, a) and pin_of_user(s, a) != Pin.NULL


def login_pin_may_be_locked(s: State, a: Args) -> bool:
    if not session_valid(s, a) or a.user == CKU.INVALID:
        return False
    failed = slot_of(s, a).so_failed if a.user == CKU.SO else slot_of(s, a).user_failed
    return failed or login_pin_wrong(s, a)


def login_to_uninitialized_token(s: State, a: Args) -> bool:
    return session_valid(s, a) and login_names_user(a) and not slot_of(s, a).initialized


def login_attempted(s: State, a: Args) -> bool:
    return session_valid(s, a) and login_names_user(a)


def others_may_be_logged_in(s: State, a: Args) -> bool:
    return login_attempted(s, a) and slot_of(s, a).shared


def login(s: State, a: Args) -> State:
    k = s.sessions[a.session].slot
    slot = s.slots[k]
    s = carry_saved(unsettle_searches(s))
    if a.user == CKU.SO:
        return put_slot(s, k, replace(slot, login=Login.SO, so_failed=False))
    return put_slot(s, k, replace(slot, login=Login.USER, user_failed=False))


def count_login_failure(s: State, a: Args) -> State:
    k = s.sessions[a.session].slot
    if a.user == CKU.SO:
        return put_slot(s, k, replace(s.slots[k], so_failed=True))
    return put_slot(s, k, replace(s.slots[k], user_failed=True))


def nobody_to_log_out(s: State, a: Args) -> bool:
    return session_valid(s, a) and slot_of(s, a).login == Login.NOBODY


def logout(s: State, a: Args) -> State:
    return unsettle_searches(logged_out(s, s.sessions[a.session].slot))


def end_own_operations(s: State, a: Args) -> State:
    return put_session(s, a.session, replace(s.sessions[a.session], operations=Operations()))


def end_operations_elsewhere(s: State, a: Args) -> State:
    """Those of the other sessions with the token."""
    own = s.sessions[a.session]
    return put_session(end_all_operations(s, own.slot), a.session, own)


# What calls give out.


FRESH_HANDLE = 1


def fresh_handle(s: State, a: Args) -> tuple[int, ...]:
    return (FRESH_HANDLE,)


def slot_of_session(s: State, a: Args) -> tuple[int, ...]:
    return (s.sessions[a.session].slot,)


def state_of_session(s: State, a: Args) -> tuple[int, ...]:
    return (session_state(s, s.sessions[a.session]),)


def flags_of_session(s: State, a: Args) -> tuple[int, ...]:
    return (CKF.SERIAL_SESSION | (CKF.RW_SESSION if s.sessions[a.session].rw else 0),)


FUNCTIONS = (
    Function(
        "C_OpenSession",
        ("slot", "rw", "serial", "notify", "null"),
        (
            *TOKEN,
            Rule(
                "parallel-session",
                CKR.SESSION_PARALLEL_NOT_SUPPORTED,
                parallel_session,
                "5.6",
                "",
                Strength.SHOULD,
                "A-45",
            ),
            Rule("session-limit-reached", CKR.SESSION_COUNT, session_limit_reached, "5.6", "", Strength.SHOULD, "A-45"),
            Rule("session-limit-untold", CKR.SESSION_COUNT, session_limit_untold, "5.6", "", Strength.MAY, "A-45"),
            Rule(
                "writing-to-protected-token",
                CKR.TOKEN_WRITE_PROTECTED,
                writing_to_protected_token,
                "5.6",
                "",
                Strength.MAY,
                "A-30",
            ),
            Rule(
                "read-only-beside-so", CKR.SESSION_READ_WRITE_SO_EXISTS, read_only_beside_so, "5.6", "", reading="A-05"
            ),
            Rule(
                "token-uninitialized", CKR.TOKEN_NOT_RECOGNIZED, token_uninitialized, "5.6", "", Strength.UNSAID, "A-06"
            ),
            *NULL_POINTER,
        ),
        effects=(Effect(open_session, "5.6"),),
        outputs=(Output("handle", fresh_handle, "5.6"),),
        out_of_scope=no_handle_left_to_track,
    ),
    Function(
        "C_CloseSession",
        ("session",),
        SESSION,
        effects=(
            Effect(close_session, "5.6"),
            Effect(forget_handles, "5.6", certain=False, reading="A-59"),
        ),
    ),
    Function(
        "C_CloseAllSessions",
        ("slot",),
        (*SLOT, Rule("token-absent", CKR.TOKEN_NOT_PRESENT, token_absent, "5.6", "", Strength.MAY, "A-49")),
        effects=(
            Effect(close_all_sessions, "5.6"),
            Effect(forget_handles, "5.6", certain=False, reading="A-59"),
        ),
    ),
    Function(
        "C_GetSessionInfo",
        ("session", "null"),
        (*SESSION, *NULL_POINTER),
        outputs=(
            Output("slot", slot_of_session, "3.3"),
            Output("state", state_of_session, "5.6"),
            Output("flags", flags_of_session, "3.3"),
        ),
    ),
    Function(
        "C_GetOperationState",
        ("session", "buffer", "null"),
        (
            *SESSION,
            *NULL_POINTER,
            Rule(
                "operation-not-initialized",
                CKR.OPERATION_NOT_INITIALIZED,
                operation_not_initialized,
                "5.6",
                "",
                Strength.SHOULD,
            ),
            Rule("operation-active", CKR.STATE_UNSAVEABLE, operation_active, "5.6", "", Strength.MAY),
            Rule("state-does-not-fit", CKR.BUFFER_TOO_SMALL, state_does_not_fit, "5.2", ""),
        ),
        effects=(Effect(save_state, "5.6"),),
    ),
    Function(
        "C_SetOperationState",
        ("session", "blob", "encryption_key", "authentication_key", "null"),
        (
            *SESSION,
            *NULL_POINTER,
            Rule("not-a-state-of-this-session", CKR.SAVED_STATE_INVALID, not_a_state_of_this_session, "5.6", ""),
            Rule("state-carried-over", CKR.SAVED_STATE_INVALID, state_carried_over, "5.6", "", Strength.MAY),
            Rule("key-may-be-needed", CKR.KEY_NEEDED, key_may_be_needed, "5.6", "", Strength.MAY),
            Rule("key-perhaps-changed", CKR.KEY_CHANGED, key_perhaps_changed, "5.6", "", Strength.MAY),
            Rule("key-not-needed", CKR.KEY_NOT_NEEDED, key_not_needed, "5.6", ""),
            Rule("key-may-not-be-needed", CKR.KEY_NOT_NEEDED, key_may_not_be_needed, "5.6", "", Strength.MAY),
            Rule("key-handle-made-up", CKR.KEY_HANDLE_INVALID, key_handle_made_up, "5.1.6", "", Strength.UNSAID),
            *(
                Rule("saved-key-lost", code, saved_key_lost, "5.6", "", Strength.UNSAID, "A-20")
                for code in (CKR.KEY_HANDLE_INVALID, CKR.KEY_NEEDED, CKR.KEY_CHANGED, CKR.SAVED_STATE_INVALID)
            ),
        ),
        effects=(Effect(restore_state, "5.6"),),
    ),
    Function(
        "C_Login",
        ("session", "user", "pin"),
        (
            *SESSION,
            Rule("user-type-invalid", CKR.USER_TYPE_INVALID, user_type_invalid, "5.1.6", "", reading="A-04"),
            Rule("context-specific", CKR.USER_TYPE_INVALID, context_specific, "5.1.6", "", until=V2_01),
            Rule(
                "context-specific-unasked",
                CKR.OPERATION_NOT_INITIALIZED,
                context_specific_unasked,
                "5.6",
                "",
                since=V2_20,
            ),
            Rule(
                "context-specific-and-nobody",
                CKR.USER_NOT_LOGGED_IN,
                context_specific_and_nobody,
                "5.6",
                "",
                Strength.INFERRED,
                "A-32",
                since=V2_20,
            ),
            Rule(
                "read-only-session-exists",
                CKR.SESSION_READ_ONLY_EXISTS,
                read_only_session_exists,
                "5.6",
                "",
                reading="A-05",
            ),
            Rule(
                "so-login-through-read-only-session",
                CKR.SESSION_READ_ONLY,
                so_login_through_read_only_session,
                "5.6",
                "",
                Strength.UNSAID,
                "A-58",
            ),
            Rule("same-user-logged-in", CKR.USER_ALREADY_LOGGED_IN, same_user_logged_in, "5.6", "", reading="A-04"),
            Rule(
                "other-user-logged-in",
                CKR.USER_ANOTHER_ALREADY_LOGGED_IN,
                other_user_logged_in,
                "5.6",
                "",
                reading="A-04",
            ),
            Rule(
                "user-pin-not-initialized",
                CKR.USER_PIN_NOT_INITIALIZED,
                user_pin_not_initialized,
                "5.6",
                "",
                reading="A-04",
            ),
            Rule("login-pin-wrong", CKR.PIN_INCORRECT, login_pin_wrong, "5.6", "", reading="A-04"),
            Rule("login-pin-may-be-locked", CKR.PIN_LOCKED, login_pin_may_be_locked, "5.6", "", Strength.MAY, "A-43"),
            Rule("login-attempted", CKR.PIN_EXPIRED, login_attempted, "5.6", "", Strength.MAY, until=V2_01),
            Rule("others-may-be-logged-in", CKR.USER_TOO_MANY_TYPES, others_may_be_logged_in, "5.6", "", Strength.MAY),
            *(
                Rule(
                    "login-to-uninitialized-token",
                    code,
                    login_to_uninitialized_token,
                    "5.6",
                    "",
                    Strength.UNSAID,
                    "A-06",
                )
                for code in (CKR.PIN_INCORRECT, CKR.USER_PIN_NOT_INITIALIZED, CKR.TOKEN_NOT_RECOGNIZED)
            ),
            Rule("pin-null", CKR.ARGUMENTS_BAD, pin_null, "5.6", "", Strength.INFERRED, "A-31"),
            Rule("pin-null-in-session", CKR.PIN_INCORRECT, pin_null_in_session, "5.6", "", Strength.INFERRED, "A-31"),
        ),
        out_of_scope=token_asks_for_pin,
        effects=(
            Effect(login, "5.6"),
            Effect(end_own_operations, "5.6", certain=False, reading="A-33"),
            Effect(end_operations_elsewhere, "5.6", certain=False, reading="A-33"),
            Effect(count_login_failure, "3.2", frozenset({CKR.PIN_INCORRECT, CKR.PIN_LOCKED}), reading="A-43"),
        ),
    ),
    Function(
        "C_Logout",
        ("session",),
        (*SESSION, Rule("nobody-to-log-out", CKR.USER_NOT_LOGGED_IN, nobody_to_log_out, "5.6", "")),
        effects=(
            Effect(logout, "5.6"),
            Effect(end_own_operations, "5.6", certain=False, reading="A-33"),
            Effect(end_operations_elsewhere, "5.6", certain=False, reading="A-33"),
        ),
    ),
)
