"""Section 5.6: session management."""

from dataclasses import replace
from functools import reduce
from operator import or_

from ..call import Args, Blob, Buffer, StateKey, Validation
from ..rule import Effect, Function, Output, Rule, Strength
from ..state import (
    LIMIT_UNKNOWN,
    NO_LIMIT,
    Judged,
    Login,
    Object,
    Operation,
    Operations,
    Phase,
    Pin,
    Process,
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
from .common import (
    NULL_POINTER,
    PIN_TO_BE_CHANGED,
    SESSION,
    SLOT,
    TOKEN,
    TOKEN_NOT_INITIALIZED,
    or_arguments_bad,
    pin_perhaps_null,
)
from .conditions import (
    one_of,
    pin_null,
    pins_for_another_token,
    pointer_null,
    session_state,
    session_valid,
    slot_of,
    token_absent,
    token_asks_for_pin,
    token_there,
)
from .operations import end_all_operations, forget_outputs, process_dropped, unsettle_searches

V2_01, V2_20, V2_40, V3_0 = Version.V2_01, Version.V2_20, Version.V2_40, Version.V3_0


# C_OpenSession.


def parallel_session(s: State, a: Args) -> bool:
    return not a.serial


def session_limit_reached(s: State, a: Args) -> bool:
    slot = s.slots[a.slot]
    mine = [x for x in s.sessions if x.open and x.slot == a.slot]
    if slot.session_limit > NO_LIMIT and len(mine) >= slot.session_limit:
        return True
    return slot.rw_session_limit > NO_LIMIT and a.rw and len([x for x in mine if x.rw]) >= slot.rw_session_limit


def session_limit_untold(s: State, a: Args) -> bool:
    slot = s.slots[a.slot]
    return slot.shared or slot.session_limit == LIMIT_UNKNOWN or slot.rw_session_limit == LIMIT_UNKNOWN


_SESSION_KIND = (
    Rule(
        "parallel-session",
        CKR.SESSION_PARALLEL_NOT_SUPPORTED,
        parallel_session,
        "5.6 C_OpenSession, paragraph on flags",
        "CKF_SERIAL_SESSION belongs into the flags, and the code is recommended where it is missing.",
        Strength.SHOULD,
        "A-45",
        unguarded=True,
    ),
    Rule(
        "session-limit-reached",
        CKR.SESSION_COUNT,
        session_limit_reached,
        "5.6 C_OpenSession, paragraph on limits",
        "The code is recommended where the token has as many sessions as it can have.",
        Strength.SHOULD,
        "A-45",
    ),
    Rule(
        "session-limit-untold",
        CKR.SESSION_COUNT,
        session_limit_untold,
        "5.6 C_OpenSession, paragraph on limits",
        "A limit may be reached that the token does not tell, or by sessions of other applications.",
        Strength.MAY,
        "A-45",
    ),
)


def writing_to_protected_token(s: State, a: Args) -> bool:
    return a.rw and s.slots[a.slot].write_protected


def read_only_beside_so(s: State, a: Args) -> bool:
    return not a.rw and s.slots[a.slot].login == Login.SO


def token_uninitialized(s: State, a: Args) -> bool:
    return not s.slots[a.slot].initialized


def no_handle_left_to_track(s: State, a: Args) -> bool:
    return all(x.open for x in s.sessions)


def open_session(s: State, a: Args) -> State:
    free = next(k for k, x in enumerate(s.sessions) if not x.open)
    return put_session(s, free, Session(open=True, slot=a.slot, rw=a.rw, notify=a.notify))


FRESH_HANDLE = 1


def fresh_handle(s: State, a: Args) -> tuple[int, ...]:
    return (FRESH_HANDLE,)


C_OPEN_SESSION = Function(
    "C_OpenSession",
    ("slot", "rw", "serial", "notify", "null"),
    (
        *TOKEN,
        *_SESSION_KIND,
        Rule(
            "token-write-protected",
            CKR.TOKEN_WRITE_PROTECTED,
            writing_to_protected_token,
            "5.6 C_OpenSession, paragraph on write protection",
            "A write-protected token is for read-only sessions.",
            Strength.MAY,
            "A-30",
        ),
        Rule(
            "read-only-beside-so",
            CKR.SESSION_READ_WRITE_SO_EXISTS,
            read_only_beside_so,
            "5.6 C_OpenSession, paragraph on R/W SO sessions",
            "No read-only session is opened beside the SO's, and this code says so.",
            until=V2_20,
        ),
        Rule(
            "read-only-beside-so",
            CKR.SESSION_READ_WRITE_SO_EXISTS,
            read_only_beside_so,
            "5.6 C_OpenSession, paragraph on R/W SO sessions",
            "No read-only session is opened beside the SO's, it says, and sends its reader to a guide that has them.",
            Strength.MAY,
            "A-05",
            since=V2_40,
        ),
        Rule(
            "token-uninitialized",
            CKR.TOKEN_NOT_RECOGNIZED,
            token_uninitialized,
            "5.1.6 CKR_TOKEN_NOT_RECOGNIZED",
            "Nothing says whether a token that was never initialised can have sessions.",
            Strength.UNSAID,
            "A-06",
        ),
        TOKEN_NOT_INITIALIZED,
        *NULL_POINTER,
    ),
    effects=(Effect("session-opened", open_session, "5.6 C_OpenSession, first paragraph"),),
    outputs=(Output("handle", fresh_handle, "3.3 CK_SESSION_HANDLE"),),
    out_of_scope=no_handle_left_to_track,
    given=token_there,
)


# C_CloseSession.


def public_again(s: State, slot: int) -> State:
    """Nobody is logged in to a token any more."""
    return put_slot(carry_saved(forget_outputs(s)), slot, replace(s.slots[slot], login=Login.NOBODY))


def close_session(s: State, a: Args) -> State:
    """A session takes its objects with it; the last one with a token takes the login."""
    slot = s.sessions[a.session].slot
    s = forget_outputs(unsettle_searches(put_session(s, a.session, Session())))
    s = map_objects(s, lambda x: Object() if x.exists and not x.token and x.owner == a.session else x)
    return s if _has_session(s, slot) else public_again(s, slot)


def _has_session(s: State, slot: int) -> bool:
    return any(x.open and x.slot == slot for x in s.sessions)


def forget_handles(s: State, a: Args) -> State:
    """Whether handles on token objects outlive the last session with the token is unsaid."""
    return map_objects(s, lambda x: x if _has_session(s, x.slot) else replace(x, known=False))


_HANDLES_FORGOTTEN = Effect("handles-forgotten", forget_handles, "3.4 CK_OBJECT_HANDLE", certain=False, reading="A-59")

C_CLOSE_SESSION = Function(
    "C_CloseSession",
    ("session",),
    SESSION,
    effects=(
        Effect(
            "session-closed", close_session, "5.6 C_CloseSession, paragraphs on session objects and on the last session"
        ),
        _HANDLES_FORGOTTEN,
    ),
    given=session_valid,
)


# C_CloseAllSessions.


def close_all_sessions(s: State, a: Args) -> State:
    s = map_sessions(s, lambda x: Session() if x.open and x.slot == a.slot else x)
    s = map_objects(s, lambda x: Object() if x.exists and not x.token and x.slot == a.slot else x)
    return public_again(s, a.slot)


C_CLOSE_ALL_SESSIONS = Function(
    "C_CloseAllSessions",
    ("slot",),
    (
        *SLOT,
        Rule(
            "token-absent",
            CKR.TOKEN_NOT_PRESENT,
            token_absent,
            "5.1.3 CKR_TOKEN_NOT_PRESENT",
            "There was no token in the slot, so there are no sessions to close either.",
            Strength.MAY,
            "A-49",
        ),
    ),
    effects=(
        Effect(
            "sessions-closed",
            close_all_sessions,
            "5.6 C_CloseAllSessions, paragraphs on session objects and on the login state",
        ),
        _HANDLES_FORGOTTEN,
    ),
)


# C_GetSessionInfo.


def slot_of_session(s: State, a: Args) -> tuple[int, ...]:
    return (s.sessions[a.session].slot,)


def state_of_session(s: State, a: Args) -> tuple[int, ...]:
    return (session_state(s, s.sessions[a.session]),)


def flags_of_session(s: State, a: Args) -> tuple[int, ...]:
    """That CKF_SERIAL_SESSION is set is advice only."""
    rw = CKF.RW_SESSION if s.sessions[a.session].rw else 0
    return (CKF.SERIAL_SESSION | rw, rw)


C_GET_SESSION_INFO = Function(
    "C_GetSessionInfo",
    ("session", "null"),
    (*SESSION, *NULL_POINTER),
    outputs=(
        Output("slot", slot_of_session, "3.3 CK_SESSION_INFO, slotID"),
        Output("state", state_of_session, "3.3 CK_SESSION_INFO, state"),
        Output("flags", flags_of_session, "3.3 table 7"),
    ),
    given=session_valid,
)


# C_GetOperationState.


def _savable(o: Operations) -> bool:
    return any(x.phase != Phase.NONE for x in (o.encrypt, o.decrypt, o.digest, o.sign, o.verify))


def operation_not_initialized(s: State, a: Args) -> bool:
    return not _savable(s.sessions[a.session].operations)


def operation_active(s: State, a: Args) -> bool:
    return _savable(s.sessions[a.session].operations)


def state_does_not_fit(s: State, a: Args) -> bool:
    return operation_active(s, a) and a.buffer == Buffer.SHORT and not a.null


def save_state(s: State, a: Args) -> State:
    """A search, a message-based process and the operations with recovery or a given signature are not in it."""
    if a.buffer == Buffer.NULL:
        return s
    session = s.sessions[a.session]
    left_out = {
        "verify_signature": Operation(),
        "judged": Judged.DOUBTFUL,
        "sign_recover": Operation(),
        "verify_recover": Operation(),
        "search": Search.NONE,
        "process": Process(),
    }
    operations = replace(session.operations, **left_out)  # type: ignore[arg-type]
    return replace(s, saved=Saved(True, session.slot, session.rw, s.slots[session.slot].login, operations))


C_GET_OPERATION_STATE = Function(
    "C_GetOperationState",
    ("session", "buffer", "null"),
    (
        *SESSION,
        *NULL_POINTER,
        Rule(
            "nothing-to-save",
            CKR.OPERATION_NOT_INITIALIZED,
            operation_not_initialized,
            "5.6 C_GetOperationState, paragraph on no active operation",
            "The code is recommended where no operation is active that can be saved.",
            Strength.SHOULD,
        ),
        Rule(
            "nothing-to-save",
            CKR.STATE_UNSAVEABLE,
            operation_not_initialized,
            "5.1.6 CKR_STATE_UNSAVEABLE",
            "The code has lower priority than the one for no operation, so both are thought to fit.",
            Strength.UNSAID,
        ),
        Rule(
            "something-to-save",
            CKR.STATE_UNSAVEABLE,
            operation_active,
            "5.6 C_GetOperationState, paragraph on what cannot be saved",
            "A token that cannot let the state of its operations out says so with this code.",
            Strength.MAY,
        ),
        Rule(
            "state-does-not-fit",
            CKR.BUFFER_TOO_SMALL,
            state_does_not_fit,
            "5.2 ways 1 and 2",
            "A buffer with less room than the output needs gets this code; what a length query tells may be too much.",
            Strength.MAY,
        ),
        PIN_TO_BE_CHANGED,
    ),
    effects=(Effect("state-saved", save_state, "5.6 C_GetOperationState, first paragraph"),),
    given=session_valid,
)


# C_SetOperationState: is it a state of this session?


def restorable(s: State, a: Args) -> bool:
    return a.blob == Blob.SAVED and s.saved.valid


def saved_elsewhere(s: State, a: Args) -> bool:
    session, saved = s.sessions[a.session], s.saved
    return not (saved.slot == session.slot and saved.rw == session.rw and saved.login == s.slots[session.slot].login)


def not_a_saved_state(s: State, a: Args) -> bool:
    return a.blob == Blob.GARBAGE or not s.saved.valid


def state_from_elsewhere(s: State, a: Args) -> bool:
    return restorable(s, a) and saved_elsewhere(s, a)


def state_of_nothing(s: State, a: Args) -> bool:
    """No operation was active when it was saved; it may be empty."""
    return restorable(s, a) and not _savable(s.saved.operations)


def state_carried_over(s: State, a: Args) -> bool:
    return s.saved.carried


_STATE = (
    *or_arguments_bad(
        Rule(
            "state-invalid",
            CKR.SAVED_STATE_INVALID,
            not_a_saved_state,
            "5.6 C_SetOperationState, paragraph on invalid state",
            "What the library can tell to be no saved state is refused with this code.",
            Strength.SHOULD,
        )
    ),
    Rule(
        "state-from-elsewhere",
        CKR.SAVED_STATE_INVALID,
        state_from_elsewhere,
        "5.6 C_SetOperationState, paragraphs on source and destination and on invalid state",
        "A state of another token or session state is refused with this code where the library can tell.",
        Strength.MAY,
        "A-61",
    ),
    *or_arguments_bad(
        Rule(
            "state-of-nothing",
            CKR.SAVED_STATE_INVALID,
            state_of_nothing,
            "5.6 C_GetOperationState, paragraph on no active operation",
            "Nothing should have been saved, and what was may be no state to restore.",
            Strength.UNSAID,
        )
    ),
    Rule(
        "state-carried-over",
        CKR.SAVED_STATE_INVALID,
        state_carried_over,
        "5.6 C_SetOperationState, paragraph on source and destination",
        "A state need not survive that somebody logs in or out, nor another start of the library.",
        Strength.MAY,
    ),
)


# C_SetOperationState: the keys of what was saved.


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


_STATE_KEYS = (
    Rule(
        "state-key-missing",
        CKR.KEY_NEEDED,
        key_may_be_needed,
        "5.6 C_SetOperationState, paragraphs on keys that are not in the state",
        "Where the state holds no key, the call has to bring it.",
        Strength.MAY,
    ),
    Rule(
        "state-key-changed",
        CKR.KEY_CHANGED,
        key_perhaps_changed,
        "5.6 C_SetOperationState, paragraph on keys that were not used",
        "Where the token can tell that the key is not the one of the saved operation, it refuses it.",
        Strength.MAY,
    ),
    Rule(
        "state-key-irrelevant",
        CKR.KEY_NOT_NEEDED,
        key_not_needed,
        "5.6 C_SetOperationState, paragraph on irrelevant keys",
        "A key for which the saved state has no operation is refused with this code.",
    ),
    Rule(
        "state-key-superfluous",
        CKR.KEY_NOT_NEEDED,
        key_may_not_be_needed,
        "5.1.6 CKR_KEY_NOT_NEEDED",
        "Where the state holds the key, another one given is more than is needed.",
        Strength.MAY,
    ),
)


# C_SetOperationState: handles of keys.


def key_handle_made_up(s: State, a: Args) -> bool:
    return a.encryption_key == StateKey.DIFFERENT or a.authentication_key == StateKey.DIFFERENT


def saved_key_lost(s: State, a: Args) -> bool:
    """A key of the saved operations is gone, or its handle is: the state holds it, or cannot be restored.

    Joined without asking for each part, so that a proof has a few questions of it and no tree of them.
    """
    if not restorable(s, a):
        return False
    slot = s.sessions[a.session].slot
    user = reduce(or_, ((slot == n) & (x.login == Login.USER) for n, x in enumerate(s.slots)))
    there = (x.exists & x.known & (x.slot == slot) for x in s.objects)
    lost = tuple(
        k for k, (x, here) in enumerate(zip(s.objects, there, strict=True)) if not here or (x.private and not user)
    )
    o, count = s.saved.operations, len(s.objects)
    keyed = (o.encrypt, o.decrypt, o.sign, o.verify)
    return reduce(or_, ((x.phase != Phase.NONE) & (one_of(x.key, lost) | (x.key >= count)) for x in keyed))


def restore_state(s: State, a: Args) -> State:
    if not restorable(s, a):
        return s
    session = s.sessions[a.session]
    operations = replace(s.saved.operations, process=session.operations.process)
    return put_session(s, a.session, replace(session, operations=operations))


def restore_nothing(s: State, a: Args) -> State:
    """What was no state may have ended what was active."""
    return s if restorable(s, a) else end_own_operations(s, a)


def end_own_operations(s: State, a: Args) -> State:
    return put_session(s, a.session, replace(s.sessions[a.session], operations=Operations()))


C_SET_OPERATION_STATE = Function(
    "C_SetOperationState",
    ("session", "blob", "encryption_key", "authentication_key", "null"),
    (
        *SESSION,
        *NULL_POINTER,
        *_STATE,
        *_STATE_KEYS,
        *or_arguments_bad(
            Rule(
                "state-key-made-up",
                CKR.KEY_HANDLE_INVALID,
                key_handle_made_up,
                "5.1.6 CKR_KEY_HANDLE_INVALID",
                "The function does not list the code, which says that a handle of a key is not valid.",
                Strength.UNSAID,
            )
        ),
        PIN_TO_BE_CHANGED,
        *(
            Rule(
                "state-key-lost",
                code,
                saved_key_lost,
                f"5.1.6 {code!s}",
                "What becomes of an operation whose key is gone is not said.",
                Strength.UNSAID,
                "A-20",
            )
            for code in (CKR.KEY_HANDLE_INVALID, CKR.KEY_NEEDED, CKR.KEY_CHANGED, CKR.SAVED_STATE_INVALID)
        ),
    ),
    effects=(
        Effect("state-restored", restore_state, "5.6 C_SetOperationState, first and last paragraphs"),
        Effect("nothing-restored", restore_nothing, "5.6 C_SetOperationState, last paragraph", certain=False),
        Effect(
            "process-displaced",
            process_dropped,
            "5.6 C_SetOperationState, first and last paragraphs",
            certain=False,
            reading="A-72",
            since=V3_0,
        ),
    ),
    given=session_valid,
)


# C_Login: who wants in?


def user_type_invalid(s: State, a: Args) -> bool:
    return a.user == CKU.INVALID


def context_specific(s: State, a: Args) -> bool:
    return a.user == CKU.CONTEXT_SPECIFIC


def context_specific_beside_private_operation(s: State, a: Args) -> bool:
    """What is active may be of a key that wants its user for each use; the model does not know of such keys."""
    o = s.sessions[a.session].operations
    return context_specific(s, a) and any(x.phase != Phase.NONE for x in (o.decrypt, o.sign, o.sign_recover))


def context_specific_out_of_context(s: State, a: Args) -> bool:
    return context_specific(s, a) and not context_specific_beside_private_operation(s, a)


def context_specific_and_nobody(s: State, a: Args) -> bool:
    return context_specific(s, a) and slot_of(s, a).login == Login.NOBODY


_USER_TYPE = (
    *or_arguments_bad(
        Rule(
            "user-type-invalid",
            CKR.USER_TYPE_INVALID,
            user_type_invalid,
            "5.1.6 CKR_USER_TYPE_INVALID",
            "The valid types of user are those that the section names.",
            reading="A-04",
            unguarded=True,
        )
    ),
    *or_arguments_bad(
        Rule(
            "context-specific",
            CKR.USER_TYPE_INVALID,
            context_specific,
            "5.1.6 CKR_USER_TYPE_INVALID",
            "v2.01 knows the SO and the normal user only.",
            until=V2_01,
            unguarded=True,
        )
    ),
    Rule(
        "context-specific-out-of-context",
        CKR.OPERATION_NOT_INITIALIZED,
        context_specific_out_of_context,
        "5.6 C_Login, paragraph on user types",
        "The context-specific type out of its context gets this code.",
        since=V2_20,
    ),
    Rule(
        "context-specific-in-context",
        CKR.OPERATION_NOT_INITIALIZED,
        context_specific_beside_private_operation,
        "4.9 CKA_ALWAYS_AUTHENTICATE, paragraph on re-authentication",
        "A user is authenticated for one use of the active key, if the key asks for it; else this code is returned.",
        Strength.MAY,
        "A-64",
        since=V2_20,
    ),
    Rule(
        "context-specific-and-nobody",
        CKR.USER_NOT_LOGGED_IN,
        context_specific_and_nobody,
        "5.1.6 CKR_USER_NOT_LOGGED_IN",
        "The user who is to be authenticated again is not logged in.",
        Strength.INFERRED,
        "A-32",
        since=V2_20,
    ),
)


# C_Login: who is there already?


def so_login_through_read_only_session(s: State, a: Args) -> bool:
    return a.user == CKU.SO and not s.sessions[a.session].rw


def read_only_session_exists(s: State, a: Args) -> bool:
    slot = s.sessions[a.session].slot
    return a.user == CKU.SO and any(x.open and x.slot == slot and not x.rw for x in s.sessions)


def same_user_logged_in(s: State, a: Args) -> bool:
    login = slot_of(s, a).login
    return (a.user == CKU.SO and login == Login.SO) or (a.user == CKU.USER and login == Login.USER)


def other_user_logged_in(s: State, a: Args) -> bool:
    login = slot_of(s, a).login
    return (a.user == CKU.SO and login == Login.USER) or (a.user == CKU.USER and login == Login.SO)


def login_attempted(s: State, a: Args) -> bool:
    return a.user == CKU.SO or a.user == CKU.USER


def others_may_be_logged_in(s: State, a: Args) -> bool:
    return login_attempted(s, a) and slot_of(s, a).shared


_LOGINS = (
    Rule(
        "read-only-session-exists",
        CKR.SESSION_READ_ONLY_EXISTS,
        read_only_session_exists,
        "5.6 C_Login, paragraph on the SO",
        "While the application has a read-only session with the token the SO cannot log in, and this code says so.",
        until=V2_20,
    ),
    Rule(
        "read-only-session-exists",
        CKR.SESSION_READ_ONLY_EXISTS,
        read_only_session_exists,
        "5.6 C_Login, paragraph on the SO",
        "Beside a read-only session the SO cannot log in, it says, and sends its reader to a guide where both are.",
        Strength.MAY,
        "A-05",
        since=V2_40,
    ),
    Rule(
        "so-through-read-only-session",
        CKR.SESSION_READ_ONLY,
        so_login_through_read_only_session,
        "5.1.6 CKR_SESSION_READ_ONLY",
        "The session is read-only, and the SO works in R/W sessions.",
        Strength.UNSAID,
        "A-58",
    ),
    Rule(
        "same-user-logged-in",
        CKR.USER_ALREADY_LOGGED_IN,
        same_user_logged_in,
        "5.1.6 CKR_USER_ALREADY_LOGGED_IN",
        "Whoever is logged in cannot log in again.",
        reading="A-04",
    ),
    Rule(
        "other-user-logged-in",
        CKR.USER_ANOTHER_ALREADY_LOGGED_IN,
        other_user_logged_in,
        "5.1.6 CKR_USER_ANOTHER_ALREADY_LOGGED_IN",
        "The SO and the normal user are never logged in at a time.",
        reading="A-04",
    ),
    Rule(
        "others-may-be-logged-in",
        CKR.USER_TOO_MANY_TYPES,
        others_may_be_logged_in,
        "5.1.6 CKR_USER_TOO_MANY_TYPES",
        "A user whom another application logged in may keep the other sort of user out.",
        Strength.MAY,
    ),
)


# C_Login: the PIN.


def login_not_needed(s: State, a: Args) -> bool:
    """No login is required, and no PIN is given, or none is there that one could be compared with."""
    slot = slot_of(s, a)
    return a.user == CKU.USER and not slot.login_required and (a.pin == Pin.NULL or slot.user_pin == Pin.NULL)


def context_specific_without_users(s: State, a: Args) -> bool:
    """The token has no user whom one could authenticate again."""
    slot = slot_of(s, a)
    return context_specific(s, a) and not slot.login_required and slot.user_pin == Pin.NULL


def user_pin_not_initialized(s: State, a: Args) -> bool:
    return a.user == CKU.USER and slot_of(s, a).user_pin == Pin.NULL and not login_not_needed(s, a)


def pin_of_user(s: State, a: Args) -> Pin:
    return slot_of(s, a).so_pin if a.user == CKU.SO else slot_of(s, a).user_pin


def login_pin_wrong(s: State, a: Args) -> bool:
    if a.user == CKU.INVALID or a.pin == Pin.NULL:
        return False
    return a.pin != pin_of_user(s, a) and pin_of_user(s, a) != Pin.NULL


def login_pin_missing(s: State, a: Args) -> bool:
    return a.pin == Pin.NULL and not login_not_needed(s, a) and not empty_so_pin_perhaps_given(s, a)


def empty_so_pin_perhaps_given(s: State, a: Args) -> bool:
    """The shortest PIN is empty, and so the SO's may be, as it was set before the application came."""
    return a.user == CKU.SO and a.pin == Pin.NULL and slot_of(s, a).empty_pin_legal


def login_pin_may_be_locked(s: State, a: Args) -> bool:
    if a.user == CKU.INVALID:
        return False
    failed = slot_of(s, a).so_failed if a.user == CKU.SO else slot_of(s, a).user_failed
    return failed or login_pin_wrong(s, a)


def login_to_uninitialized_token(s: State, a: Args) -> bool:
    return login_attempted(s, a) and not slot_of(s, a).initialized


_LOGIN_PIN = (
    Rule(
        "user-pin-unset",
        CKR.USER_PIN_NOT_INITIALIZED,
        user_pin_not_initialized,
        "5.1.6 CKR_USER_PIN_NOT_INITIALIZED",
        "The normal user has no PIN yet.",
        reading="A-04",
    ),
    Rule(
        "pin-wrong",
        CKR.PIN_INCORRECT,
        login_pin_wrong,
        "5.1.6 CKR_PIN_INCORRECT",
        "The PIN given is not the one that the token holds.",
        reading="A-04",
    ),
    Rule(
        "pin-locked",
        CKR.PIN_LOCKED,
        login_pin_may_be_locked,
        "5.1.6 CKR_PIN_LOCKED",
        "After some number of wrong PINs, which is the token's choice, it takes none.",
        Strength.MAY,
        "A-43",
    ),
    Rule(
        "pin-expired",
        CKR.PIN_EXPIRED,
        login_attempted,
        "5.1.6 CKR_PIN_EXPIRED",
        "A PIN may be too old to log in with, in v2.01.",
        Strength.MAY,
        until=V2_01,
    ),
    Rule(
        "token-uninitialized",
        CKR.PIN_INCORRECT,
        login_to_uninitialized_token,
        "5.1.6 CKR_PIN_INCORRECT",
        "Nothing says whether a token that was never initialised can have users.",
        Strength.UNSAID,
        "A-06",
    ),
    *(
        Rule(
            "login-not-needed",
            code,
            login_not_needed,
            "3.2 table 6 CKF_LOGIN_REQUIRED",
            "Where the flag is clear nobody has to log in, and what a login without a PIN does is unsaid.",
            Strength.UNSAID,
            "A-62",
        )
        for code in (CKR.USER_PIN_NOT_INITIALIZED, CKR.USER_TYPE_INVALID, CKR.PIN_INCORRECT, CKR.ARGUMENTS_BAD)
    ),
    Rule(
        "context-specific-without-users",
        CKR.USER_TYPE_INVALID,
        context_specific_without_users,
        "5.1.6 CKR_USER_TYPE_INVALID",
        "The type is among the valid ones, but a token to which nobody logs in may know none of them.",
        Strength.UNSAID,
        "A-62",
        since=V2_20,
    ),
    *(
        Rule(
            "pin-missing",
            code,
            login_pin_missing,
            "5.6 C_Login, paragraph on the protected path",
            "NULL is for tokens with a protected path; elsewhere it is no PIN, or an empty one, and not the user's.",
            Strength.INFERRED,
            "A-31",
        )
        for code in (CKR.ARGUMENTS_BAD, CKR.PIN_INCORRECT)
    ),
    *pin_perhaps_null("pin-null", pin_null, CKR.ARGUMENTS_BAD),
    *pin_perhaps_null("so-pin-perhaps-empty", empty_so_pin_perhaps_given, CKR.PIN_INCORRECT, unguarded=False),
)


def login(s: State, a: Args) -> State:
    """A context-specific login leaves the session state as it is (4.9), and so does one that is not needed."""
    if a.user == CKU.CONTEXT_SPECIFIC or login_not_needed(s, a):
        return s
    k = s.sessions[a.session].slot
    slot = s.slots[k]
    s = carry_saved(unsettle_searches(s))
    if a.user == CKU.SO:
        return put_slot(s, k, replace(slot, login=Login.SO, so_failed=False))
    return put_slot(s, k, replace(slot, login=Login.USER, user_failed=False))


def login_without_need(s: State, a: Args) -> State:
    if not login_not_needed(s, a):
        return s
    k = s.sessions[a.session].slot
    return put_slot(carry_saved(unsettle_searches(s)), k, replace(s.slots[k], login=Login.USER))


def count_login_failure(s: State, a: Args) -> State:
    k = s.sessions[a.session].slot
    if a.user == CKU.SO:
        return put_slot(s, k, replace(s.slots[k], so_failed=True))
    return put_slot(s, k, replace(s.slots[k], user_failed=True))


def logged_out(s: State, slot: int) -> State:
    """Nobody is logged in to a token any more: handles on private objects die, private session objects too (5.6)."""

    def after(x: Object) -> Object:
        if not (x.exists and x.private and x.slot == slot):
            return x
        return replace(x, known=False) if x.token else Object()

    return map_objects(public_again(s, slot), after)


def log_out_when_locked(s: State, a: Args) -> State:
    if not context_specific(s, a):
        return s
    return unsettle_searches(logged_out(s, s.sessions[a.session].slot))


def end_operations_elsewhere(s: State, a: Args) -> State:
    """Those of the other sessions with the token."""
    own = s.sessions[a.session]
    return put_session(end_all_operations(s, own.slot), a.session, own)


def end_own_operations_at_login(s: State, a: Args) -> State:
    return end_own_operations(s, a) if login_attempted(s, a) else s


def end_operations_elsewhere_at_login(s: State, a: Args) -> State:
    return end_operations_elsewhere(s, a) if login_attempted(s, a) else s


def login_not_followed(s: State, a: Args) -> bool:
    """A PIN that somebody types in, or one of which it is not known whether its length is legal here."""
    return token_asks_for_pin(s, a) or pins_for_another_token(s, a)


C_LOGIN = Function(
    "C_Login",
    ("session", "user", "pin"),
    (*SESSION, *_USER_TYPE, *_LOGINS, *_LOGIN_PIN),
    out_of_scope=login_not_followed,
    effects=(
        Effect("logged-in", login, "5.6 C_Login, paragraph on user types"),
        Effect(
            "logged-in-without-need",
            login_without_need,
            "3.2 table 6 CKF_LOGIN_REQUIRED",
            certain=False,
            reading="A-62",
        ),
        *(
            Effect(
                "operations-ended-by-login",
                change,
                "5.6 C_Login, paragraph on active operations",
                certain=False,
                reading="A-33",
            )
            for change in (end_own_operations_at_login, end_operations_elsewhere_at_login)
        ),
        Effect(
            "logged-out-when-locked",
            log_out_when_locked,
            "4.9 CKA_ALWAYS_AUTHENTICATE, paragraph on re-authentication",
            frozenset({CKR.PIN_LOCKED}),
            certain=False,
        ),
        Effect(
            "pin-failure-counted",
            count_login_failure,
            "3.2 table 6 CKF_USER_PIN_COUNT_LOW",
            frozenset({CKR.PIN_INCORRECT, CKR.PIN_LOCKED}),
            reading="A-43",
        ),
    ),
    given=session_valid,
)


# C_LoginUser.


def user_named(s: State, a: Args) -> bool:
    return a.named and login_attempted(s, a)


def no_user_named(s: State, a: Args) -> bool:
    return not a.named and login_attempted(s, a)


_USER_NAME = tuple(
    Rule(id, code, when, "5.6 of v3.0 C_LoginUser, on pUsername", says, Strength.UNSAID, "A-79")
    for id, when, says in (
        (
            "user-named",
            user_named,
            "Nothing is said of a token that has no user of the name, or whose users have no names.",
        ),
        ("no-user-named", no_user_named, "Nothing is said of there being no name, where users may have some."),
    )
    for code in (CKR.PIN_INCORRECT, CKR.USER_TYPE_INVALID, CKR.ARGUMENTS_BAD)
)

C_LOGIN_USER = replace(
    C_LOGIN,
    name="C_LoginUser",
    uses=(*C_LOGIN.uses, "named"),
    rules=(*C_LOGIN.rules, *_USER_NAME),
)
"""C_Login with the name of a user beside the type, of which everything holds that holds of C_Login."""


# C_Logout.


def nobody_to_log_out(s: State, a: Args) -> bool:
    return slot_of(s, a).login == Login.NOBODY


def logout(s: State, a: Args) -> State:
    return unsettle_searches(logged_out(s, s.sessions[a.session].slot))


C_LOGOUT = Function(
    "C_Logout",
    ("session",),
    (
        *SESSION,
        Rule(
            "nobody-to-log-out",
            CKR.USER_NOT_LOGGED_IN,
            nobody_to_log_out,
            "5.1.6 CKR_USER_NOT_LOGGED_IN",
            "That a session nobody is logged in to cannot be logged out is the first example of the code.",
        ),
    ),
    effects=(
        Effect("logged-out", logout, "5.6 C_Logout, paragraph on private objects"),
        *(
            Effect(
                "operations-ended-by-logout",
                change,
                "5.6 C_Logout, paragraph on active operations",
                certain=False,
                reading="A-33",
            )
            for change in (end_own_operations, end_operations_elsewhere)
        ),
    ),
    given=session_valid,
)

# C_GetSessionValidationFlags.


def validation_type_unknown(s: State, a: Args) -> bool:
    return a.validation == Validation.UNKNOWN


C_GET_SESSION_VALIDATION_FLAGS = Function(
    "C_GetSessionValidationFlags",
    ("session", "validation", "null"),
    (
        *SESSION,
        *(
            Rule(
                id,
                CKR.ARGUMENTS_BAD,
                when,
                "5.6 of v3.2 C_GetSessionValidationFlags, list of return values",
                "The function lists no code for an argument that is not fit, for which this is the generic one.",
                Strength.UNSAID,
                "A-118",
                unguarded=True,
            )
            for id, when in (("pointer-null", pointer_null), ("type-unknown", validation_type_unknown))
        ),
    ),
    given=session_valid,
)


FUNCTIONS = (
    C_OPEN_SESSION,
    C_CLOSE_SESSION,
    C_CLOSE_ALL_SESSIONS,
    C_GET_SESSION_INFO,
    C_GET_OPERATION_STATE,
    C_SET_OPERATION_STATE,
    C_LOGIN,
    C_LOGIN_USER,
    C_LOGOUT,
    C_GET_SESSION_VALIDATION_FLAGS,
)
