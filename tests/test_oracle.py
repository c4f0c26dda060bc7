"""What the oracle permits: small stories, and what holds of every state and call."""

from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import pytest
from conftest import (
    CORE,
    FINALIZE,
    INIT,
    LOGIN,
    LOGIN_SO,
    LOGOUT,
    OBJECTS,
    ONE_SLOT,
    OPEN,
    OPEN_RO,
    Step,
    after,
    codes,
    every_call,
    some_calls,
    states,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from p11conform.model.call import Args, Blob, Buffer, Call, InitArgs, StateKey
from p11conform.model.decide import forbids_ok
from p11conform.model.oracle import Model, applicable, build, outputs, permitted, prevailing, successors
from p11conform.model.state import LIMIT_UNKNOWN, Login, Mech, Operation, Operations, Phase, Pin, Slot, State
from p11conform.model.vocabulary import CKR, CKS, CKU


def of(function: str, **given: Any) -> Call:
    return Call(function, Args(**given))


def one(**facts: Any) -> State:
    """One slot that differs from a plain one as told."""
    return State(slots=(Slot(**facts),))


EMPTY, UNKNOWN_TOKEN = one(present=False), one(recognized=False)
FRESH = one(initialized=False, so_pin=Pin.NULL, user_pin=Pin.NULL)
NO_USER_PIN, PROTECTED, SHARED = one(user_pin=Pin.NULL), one(write_protected=True), one(shared=True)
HOLDING = State(objects=OBJECTS)
TWO = State(slots=(Slot(), Slot()))

INFO = partial(of, "C_GetSessionInfo")
TOKEN_INFO = partial(of, "C_GetTokenInfo")
SLOT_LIST = partial(of, "C_GetSlotList")
INIT_TOKEN = partial(of, "C_InitToken", pin=Pin.SO)
INIT_PIN = partial(of, "C_InitPIN")
SET_PIN = partial(of, "C_SetPIN")
LOG_IN = partial(of, "C_Login")
DIGEST = partial(of, "C_DigestInit")
SAVE = partial(of, "C_GetOperationState")
RESTORE = partial(of, "C_SetOperationState")
CLOSE = partial(of, "C_CloseSession")
CLOSE_ALL = partial(of, "C_CloseAllSessions")
EVENT = partial(of, "C_WaitForSlotEvent")

NO_SUCH_SLOT = {"slot": 1}
NO_SUCH_SESSION = {"session": 3}
READY = (INIT, OPEN)
READ_ONLY = (INIT, OPEN_RO)
USER_IN = (*READY, LOGIN)
SO_IN = (*READY, LOGIN_SO)
SECRET = of("C_GenerateKey", mechanism=Mech.GENERIC_SECRET_KEY_GEN)
SIGNED_FOR = (*USER_IN, SECRET, of("C_SignInit", mechanism=Mech.SHA256_HMAC), SAVE())
ENCIPHERED_FOR = (
    *(*USER_IN, of("C_GenerateKey", mechanism=Mech.AES_KEY_GEN)),
    *(of("C_EncryptInit", mechanism=Mech.AES_ECB), SAVE()),
)
NO_MECHANISM = "MECHANISM_INVALID MECHANISM_PARAM_INVALID ARGUMENTS_BAD"
"""What stands for a mechanism that is not there, in the list of the token or in the call."""

DIGESTING = (*READY, DIGEST())
UNWELL = "FIPS_SELF_TEST_FAILED LIBRARY_LOAD_FAILED"
"""What keeps a library from starting (A-55)."""
BAD = "ARGUMENTS_BAD"
ILL_SIZED = "PIN_LEN_RANGE PIN_INVALID PIN_TOO_WEAK"
ANY_NEW_PIN = "PIN_INVALID PIN_TOO_WEAK"
"""What a token may hold against any new PIN: its characters are the token's choice, and so is its strength."""


@dataclass(frozen=True)
class Story:
    """What the text permits of the last call, trouble of the environment apart."""

    section: str
    initial: State
    setup: tuple[Step, ...]
    call: Call
    permitted: str

    def __str__(self) -> str:
        args = {k: v for k in Args.__slots__ if (v := getattr(self.call.args, k)) != getattr(Args(), k)}
        given = ",".join(f"{k}={getattr(v, 'name', v)}" for k, v in args.items())
        return f"{self.call.function}({given})-{self.section}-{len(self.setup)}"


STORIES = [
    # 5.4: the library.
    Story("5.4", ONE_SLOT, (), INIT, f"OK {UNWELL}"),
    Story("5.4", ONE_SLOT, (INIT,), INIT, "CRYPTOKI_ALREADY_INITIALIZED"),
    Story("5.4", ONE_SLOT, (), of("C_Initialize", init=InitArgs.PLAIN), f"OK {UNWELL}"),
    Story("5.4", ONE_SLOT, (), of("C_Initialize", init=InitArgs.RESERVED), f"OK ARGUMENTS_BAD {UNWELL}"),
    Story("5.4", ONE_SLOT, (), of("C_Initialize", init=InitArgs.PARTIAL), f"OK ARGUMENTS_BAD CANT_LOCK {UNWELL}"),
    Story("5.4", ONE_SLOT, (), of("C_Initialize", init=InitArgs.OS_LOCKING), f"OK CANT_LOCK {UNWELL}"),
    Story("5.4", ONE_SLOT, (), of("C_Initialize", init=InitArgs.CALLBACKS), f"OK CANT_LOCK {UNWELL}"),
    Story(
        "5.4",
        ONE_SLOT,
        (),
        of("C_Initialize", init=InitArgs.NO_THREADS),
        f"OK CANT_LOCK NEED_TO_CREATE_THREADS {UNWELL}",
    ),
    Story(
        "A-36",
        ONE_SLOT,
        (INIT,),
        of("C_Initialize", init=InitArgs.RESERVED),
        "CRYPTOKI_ALREADY_INITIALIZED ARGUMENTS_BAD",
    ),
    Story("5.4", ONE_SLOT, (), FINALIZE, "CRYPTOKI_NOT_INITIALIZED"),
    Story("5.4", ONE_SLOT, (INIT,), FINALIZE, "OK"),
    Story("5.4", ONE_SLOT, (INIT,), of("C_Finalize", reserved=True), "OK ARGUMENTS_BAD"),
    Story("5.4", ONE_SLOT, (INIT, FINALIZE), FINALIZE, "CRYPTOKI_NOT_INITIALIZED"),
    Story("5.4", ONE_SLOT, (INIT, FINALIZE), INIT, f"OK {UNWELL}"),
    Story("5.4", ONE_SLOT, (INIT, (of("C_Finalize", reserved=True), CKR.ARGUMENTS_BAD)), of("C_GetInfo"), "OK"),
    Story("A-57", ONE_SLOT, (*READY, FINALIZE, INIT), INFO(), "SESSION_HANDLE_INVALID"),
    Story("A-57", ONE_SLOT, (*USER_IN, FINALIZE, *READY), LOGOUT, "USER_NOT_LOGGED_IN"),
    Story("5.4", ONE_SLOT, (), of("C_GetInfo"), "CRYPTOKI_NOT_INITIALIZED"),
    Story("5.4", ONE_SLOT, (INIT,), of("C_GetInfo"), "OK"),
    Story("A-50", ONE_SLOT, (INIT,), of("C_GetInfo", null=True), "ARGUMENTS_BAD"),
    Story("5.4", ONE_SLOT, (), of("C_GetFunctionList"), "OK"),
    Story("A-50", ONE_SLOT, (), of("C_GetFunctionList", null=True), "ARGUMENTS_BAD"),
    # 5.5: slots.
    Story("5.5", ONE_SLOT, (), SLOT_LIST(), "CRYPTOKI_NOT_INITIALIZED"),
    Story("5.5", ONE_SLOT, (INIT,), SLOT_LIST(buffer=Buffer.NULL), "OK"),
    Story("5.5", ONE_SLOT, (INIT,), SLOT_LIST(buffer=Buffer.SHORT), "BUFFER_TOO_SMALL"),
    Story("5.5", ONE_SLOT, (INIT,), SLOT_LIST(null=True), "ARGUMENTS_BAD"),
    Story("5.5", EMPTY, (INIT,), SLOT_LIST(buffer=Buffer.SHORT), "BUFFER_TOO_SMALL"),
    Story("5.5", EMPTY, (INIT,), SLOT_LIST(buffer=Buffer.SHORT, token_present=True), "OK"),
    Story("5.5", EMPTY, (INIT,), of("C_GetSlotInfo"), "OK"),
    Story("5.5", ONE_SLOT, (INIT,), of("C_GetSlotInfo", **NO_SUCH_SLOT), "SLOT_ID_INVALID ARGUMENTS_BAD"),
    Story("5.5", ONE_SLOT, (INIT,), TOKEN_INFO(), "OK"),
    Story("5.1.3", EMPTY, (INIT,), TOKEN_INFO(), "TOKEN_NOT_PRESENT"),
    Story("5.1.7", EMPTY, (INIT,), TOKEN_INFO(null=True), "TOKEN_NOT_PRESENT ARGUMENTS_BAD"),
    Story("5.5", UNKNOWN_TOKEN, (INIT,), TOKEN_INFO(), "TOKEN_NOT_RECOGNIZED"),
    Story("5.1.7", ONE_SLOT, (INIT,), TOKEN_INFO(null=True, **NO_SUCH_SLOT), "SLOT_ID_INVALID ARGUMENTS_BAD"),
    Story("A-22", ONE_SLOT, (INIT,), EVENT(), "OK NO_EVENT"),
    Story("A-22", ONE_SLOT, (INIT,), EVENT(reserved=True), "OK ARGUMENTS_BAD NO_EVENT"),
    Story("5.5", ONE_SLOT, (), EVENT(), "CRYPTOKI_NOT_INITIALIZED"),
    Story("5.5", ONE_SLOT, (INIT,), of("C_GetMechanismList", buffer=Buffer.NULL), "OK"),
    Story("5.5", ONE_SLOT, (INIT,), of("C_GetMechanismList", buffer=Buffer.SHORT), "BUFFER_TOO_SMALL"),
    Story("5.5", one(has_mechanisms=False), (INIT,), of("C_GetMechanismList", buffer=Buffer.SHORT), "OK"),
    Story("5.5", ONE_SLOT, (INIT,), of("C_GetMechanismInfo"), "OK"),
    Story(
        "5.5", ONE_SLOT, (INIT,), of("C_GetMechanismInfo", mechanism=Mech.UNKNOWN), "MECHANISM_INVALID ARGUMENTS_BAD"
    ),
    Story("5.1.7", EMPTY, (INIT,), of("C_GetMechanismInfo", mechanism=Mech.UNKNOWN), "TOKEN_NOT_PRESENT"),
    # 5.5: tokens and PINs.
    Story("5.5", ONE_SLOT, (INIT,), INIT_TOKEN(), "OK"),
    Story("5.5", ONE_SLOT, READY, INIT_TOKEN(), "SESSION_EXISTS"),
    Story("5.5", ONE_SLOT, (*READY, CLOSE()), INIT_TOKEN(), "OK"),
    Story("5.5", TWO, READY, INIT_TOKEN(slot=1), "OK"),
    Story("A-43", ONE_SLOT, (INIT,), INIT_TOKEN(pin=Pin.WRONG), "PIN_INCORRECT PIN_LOCKED"),
    Story("5.5", ONE_SLOT, READY, INIT_TOKEN(pin=Pin.WRONG), "SESSION_EXISTS PIN_INCORRECT PIN_LOCKED"),
    Story("A-43", ONE_SLOT, (INIT, (INIT_TOKEN(pin=Pin.WRONG), CKR.PIN_INCORRECT)), INIT_TOKEN(), "OK PIN_LOCKED"),
    Story("A-31", ONE_SLOT, (INIT,), INIT_TOKEN(pin=Pin.NULL), "ARGUMENTS_BAD PIN_INCORRECT PIN_INVALID PIN_LEN_RANGE"),
    Story("A-08", ONE_SLOT, (INIT,), INIT_TOKEN(null=True), "ARGUMENTS_BAD"),
    Story("A-30", PROTECTED, (INIT,), INIT_TOKEN(), "OK TOKEN_WRITE_PROTECTED"),
    Story("A-42", SHARED, (INIT,), INIT_TOKEN(), "OK SESSION_EXISTS"),
    Story("5.1.3", EMPTY, (INIT,), INIT_TOKEN(), "TOKEN_NOT_PRESENT"),
    Story("A-08", FRESH, (INIT,), INIT_TOKEN(), "OK PIN_INVALID PIN_TOO_WEAK"),
    Story("5.5", FRESH, (INIT, INIT_TOKEN(pin=Pin.OTHER), OPEN), LOG_IN(user=CKU.SO, pin=Pin.OTHER), "OK"),
    Story("5.5", FRESH, (INIT, INIT_TOKEN(pin=Pin.OTHER), OPEN), LOGIN_SO, "PIN_INCORRECT PIN_LOCKED"),
    Story("5.5", ONE_SLOT, (INIT, INIT_TOKEN(), OPEN), LOGIN, "USER_PIN_NOT_INITIALIZED"),
    Story("5.5", ONE_SLOT, READY, INIT_PIN(), f"USER_NOT_LOGGED_IN {ANY_NEW_PIN}"),
    Story("5.5", ONE_SLOT, USER_IN, INIT_PIN(), f"USER_NOT_LOGGED_IN {ANY_NEW_PIN}"),
    Story("A-09", ONE_SLOT, READ_ONLY, INIT_PIN(), f"USER_NOT_LOGGED_IN SESSION_READ_ONLY {ANY_NEW_PIN}"),
    Story("5.5", ONE_SLOT, SO_IN, INIT_PIN(), f"OK {ANY_NEW_PIN}"),
    Story("5.1.6", ONE_SLOT, SO_IN, INIT_PIN(new_pin=Pin.SHORT), f"{ILL_SIZED} ARGUMENTS_BAD"),
    Story("5.5", ONE_SLOT, (*SO_IN, INIT_PIN(), LOGOUT), LOG_IN(pin=Pin.OTHER), "OK"),
    Story("5.5", NO_USER_PIN, (*SO_IN, INIT_PIN(new_pin=Pin.USER), LOGOUT), LOGIN, "OK"),
    Story("5.5", ONE_SLOT, (*SO_IN, INIT_PIN()), LOGOUT, "OK"),
    Story("5.5", ONE_SLOT, READ_ONLY, SET_PIN(), f"SESSION_READ_ONLY {ANY_NEW_PIN}"),
    Story("5.5", ONE_SLOT, (*READ_ONLY, LOGIN), SET_PIN(), f"SESSION_READ_ONLY {ANY_NEW_PIN}"),
    Story("5.5", ONE_SLOT, READY, SET_PIN(), f"OK {ANY_NEW_PIN}"),
    Story("5.5", ONE_SLOT, USER_IN, SET_PIN(pin=Pin.WRONG), f"PIN_INCORRECT PIN_LOCKED {ANY_NEW_PIN}"),
    Story("5.1.6", ONE_SLOT, USER_IN, SET_PIN(new_pin=Pin.LONG), f"{ILL_SIZED} ARGUMENTS_BAD"),
    Story("5.5", ONE_SLOT, SO_IN, SET_PIN(pin=Pin.USER), f"PIN_INCORRECT PIN_LOCKED {ANY_NEW_PIN}"),
    Story("5.5", ONE_SLOT, (*READY, SET_PIN()), LOGIN, "PIN_INCORRECT PIN_LOCKED"),
    Story("5.5", ONE_SLOT, (*READY, SET_PIN()), LOG_IN(pin=Pin.OTHER), "OK"),
    Story("5.5", ONE_SLOT, (*SO_IN, SET_PIN(pin=Pin.SO), LOGOUT), LOG_IN(user=CKU.SO, pin=Pin.OTHER), "OK"),
    Story(
        "A-10",
        NO_USER_PIN,
        READY,
        SET_PIN(),
        f"PIN_INCORRECT USER_PIN_NOT_INITIALIZED USER_NOT_LOGGED_IN PIN_LOCKED {ANY_NEW_PIN}",
    ),
    # 5.6: sessions.
    Story("5.6", ONE_SLOT, (), OPEN, "CRYPTOKI_NOT_INITIALIZED"),
    Story("5.6", ONE_SLOT, (INIT,), OPEN, "OK"),
    Story("5.6", ONE_SLOT, (INIT,), of("C_OpenSession", serial=False), "OK SESSION_PARALLEL_NOT_SUPPORTED"),
    Story("5.6", ONE_SLOT, (INIT,), of("C_OpenSession", null=True), "ARGUMENTS_BAD"),
    Story(
        "A-45",
        ONE_SLOT,
        (INIT,),
        of("C_OpenSession", serial=False, **NO_SUCH_SLOT),
        "SLOT_ID_INVALID ARGUMENTS_BAD SESSION_PARALLEL_NOT_SUPPORTED",
    ),
    Story(
        "A-45", EMPTY, (INIT,), of("C_OpenSession", serial=False), "TOKEN_NOT_PRESENT SESSION_PARALLEL_NOT_SUPPORTED"
    ),
    Story("5.6", UNKNOWN_TOKEN, (INIT,), OPEN, "TOKEN_NOT_RECOGNIZED"),
    Story("5.6", one(session_limit=1), READY, OPEN_RO, "OK SESSION_COUNT"),
    Story("5.6", one(session_limit=1), (*READY, CLOSE()), OPEN, "OK"),
    Story("5.6", one(rw_session_limit=1), READY, OPEN_RO, "OK"),
    Story("5.6", one(rw_session_limit=1), READY, OPEN, "OK SESSION_COUNT"),
    Story("5.6", one(session_limit=LIMIT_UNKNOWN), (INIT,), OPEN, "OK SESSION_COUNT"),
    Story("5.6", PROTECTED, (INIT,), OPEN_RO, "OK"),
    Story("A-05", ONE_SLOT, SO_IN, OPEN_RO, "OK SESSION_READ_WRITE_SO_EXISTS"),
    Story("5.6", ONE_SLOT, SO_IN, OPEN, "OK"),
    Story("5.6", TWO, SO_IN, of("C_OpenSession", rw=False, slot=1), "OK"),
    Story("A-06", FRESH, (INIT,), OPEN, "OK TOKEN_NOT_RECOGNIZED"),
    Story("5.6", ONE_SLOT, READY, CLOSE(), "OK"),
    Story("5.1.2", ONE_SLOT, (*READY, CLOSE()), CLOSE(), "SESSION_HANDLE_INVALID"),
    Story("5.1.2", ONE_SLOT, (INIT,), CLOSE(**NO_SUCH_SESSION), "SESSION_HANDLE_INVALID"),
    Story("5.6", ONE_SLOT, (*USER_IN, CLOSE(), OPEN), LOGOUT, "USER_NOT_LOGGED_IN"),
    Story("5.6", ONE_SLOT, (*USER_IN, OPEN, CLOSE()), of("C_Logout", session=1), "OK"),
    Story("5.6", ONE_SLOT, (INIT,), CLOSE_ALL(), "OK"),
    Story("A-49", EMPTY, (INIT,), CLOSE_ALL(), "OK TOKEN_NOT_PRESENT"),
    Story("5.6", ONE_SLOT, (INIT,), CLOSE_ALL(**NO_SUCH_SLOT), "SLOT_ID_INVALID ARGUMENTS_BAD"),
    Story("5.6", ONE_SLOT, (*USER_IN, OPEN, CLOSE_ALL()), INFO(session=1), "SESSION_HANDLE_INVALID"),
    Story("5.6", ONE_SLOT, (*USER_IN, CLOSE_ALL(), OPEN), LOGIN, "OK"),
    Story("5.6", TWO, (*USER_IN, CLOSE_ALL(slot=1)), LOGOUT, "OK"),
    Story("5.6", ONE_SLOT, READY, INFO(), "OK"),
    Story("5.6", ONE_SLOT, READY, INFO(null=True), "ARGUMENTS_BAD"),
    Story("A-02", ONE_SLOT, (INIT,), INFO(null=True, **NO_SUCH_SESSION), "SESSION_HANDLE_INVALID ARGUMENTS_BAD"),
    Story("A-01", ONE_SLOT, (), INFO(), "CRYPTOKI_NOT_INITIALIZED SESSION_HANDLE_INVALID"),
    # 5.6: the state of operations.
    Story("5.6", ONE_SLOT, READY, SAVE(), "OK OPERATION_NOT_INITIALIZED STATE_UNSAVEABLE"),
    Story("5.6", ONE_SLOT, DIGESTING, SAVE(), "OK STATE_UNSAVEABLE"),
    Story("5.2", ONE_SLOT, DIGESTING, SAVE(buffer=Buffer.NULL), "OK STATE_UNSAVEABLE"),
    Story("5.2", ONE_SLOT, DIGESTING, SAVE(buffer=Buffer.SHORT), "OK BUFFER_TOO_SMALL STATE_UNSAVEABLE"),
    Story("5.6", ONE_SLOT, READY, RESTORE(blob=Blob.GARBAGE), "OK SAVED_STATE_INVALID ARGUMENTS_BAD"),
    Story("5.6", ONE_SLOT, (*DIGESTING, SAVE(), LOGIN), RESTORE(), "OK SAVED_STATE_INVALID"),
    Story("5.6", ONE_SLOT, (*DIGESTING, SAVE(), OPEN_RO), RESTORE(session=1), "OK SAVED_STATE_INVALID"),
    Story("5.6", TWO, (*DIGESTING, SAVE(), of("C_OpenSession", slot=1)), RESTORE(session=1), "OK SAVED_STATE_INVALID"),
    Story("5.6", ONE_SLOT, (*DIGESTING, SAVE()), RESTORE(), "OK"),
    Story("5.6", ONE_SLOT, (*DIGESTING, SAVE(), LOGIN, LOGOUT), RESTORE(), "OK SAVED_STATE_INVALID"),
    Story("5.6", ONE_SLOT, (*READY, SAVE(), RESTORE()), SAVE(), "OK OPERATION_NOT_INITIALIZED STATE_UNSAVEABLE"),
    Story("5.6", ONE_SLOT, (*DIGESTING, SAVE(), RESTORE()), SAVE(), "OK STATE_UNSAVEABLE"),
    Story("5.6", HOLDING, SIGNED_FOR, RESTORE(), "OK KEY_NEEDED"),
    Story("5.6", HOLDING, SIGNED_FOR, RESTORE(authentication_key=StateKey.SAME), "OK KEY_NOT_NEEDED"),
    Story(
        "5.6",
        HOLDING,
        SIGNED_FOR,
        RESTORE(authentication_key=StateKey.DIFFERENT),
        "OK KEY_CHANGED KEY_NOT_NEEDED KEY_HANDLE_INVALID ARGUMENTS_BAD",
    ),
    Story("5.6", HOLDING, SIGNED_FOR, RESTORE(encryption_key=StateKey.SAME), "KEY_NOT_NEEDED KEY_NEEDED"),
    Story(
        "5.6",
        HOLDING,
        SIGNED_FOR,
        RESTORE(encryption_key=StateKey.SAME, authentication_key=StateKey.SAME),
        "KEY_NOT_NEEDED",
    ),
    Story("5.6", HOLDING, ENCIPHERED_FOR, RESTORE(encryption_key=StateKey.SAME), "OK KEY_NOT_NEEDED"),
    Story("5.6", HOLDING, ENCIPHERED_FOR, RESTORE(authentication_key=StateKey.SAME), "KEY_NOT_NEEDED KEY_NEEDED"),
    Story("5.6", HOLDING, (*ENCIPHERED_FOR, RESTORE()), SAVE(), "OK STATE_UNSAVEABLE"),
    Story("5.6", ONE_SLOT, (*DIGESTING, SAVE()), RESTORE(encryption_key=StateKey.SAME), "KEY_NOT_NEEDED"),
    # 5.6: logins.
    Story("5.6", ONE_SLOT, READY, LOGIN, "OK"),
    Story("A-01", ONE_SLOT, (), LOGIN, "CRYPTOKI_NOT_INITIALIZED SESSION_HANDLE_INVALID"),
    Story(
        "5.1.7",
        ONE_SLOT,
        (INIT,),
        LOG_IN(user=CKU.INVALID, pin=Pin.NULL),
        "SESSION_HANDLE_INVALID USER_TYPE_INVALID ARGUMENTS_BAD",
    ),
    Story("5.6", ONE_SLOT, READY, LOG_IN(pin=Pin.WRONG), "PIN_INCORRECT PIN_LOCKED"),
    Story("5.1.6", ONE_SLOT, READY, LOG_IN(pin=Pin.LONG), "PIN_INCORRECT PIN_LOCKED"),
    Story("5.1.6", ONE_SLOT, READY, LOG_IN(pin=Pin.SHORT), "PIN_INCORRECT PIN_LOCKED"),
    Story("A-31", ONE_SLOT, READY, LOG_IN(pin=Pin.NULL), "ARGUMENTS_BAD PIN_INCORRECT"),
    Story("A-43", ONE_SLOT, (*READY, (LOG_IN(pin=Pin.WRONG), CKR.PIN_INCORRECT)), LOGIN, "OK PIN_LOCKED"),
    Story("A-43", ONE_SLOT, (*READY, (LOG_IN(pin=Pin.WRONG), CKR.PIN_INCORRECT), LOGIN, LOGOUT), LOGIN, "OK"),
    Story("A-58", ONE_SLOT, READ_ONLY, LOGIN_SO, "OK SESSION_READ_ONLY_EXISTS SESSION_READ_ONLY"),
    Story("5.6", ONE_SLOT, USER_IN, LOGIN, "USER_ALREADY_LOGGED_IN"),
    Story("A-04", ONE_SLOT, USER_IN, LOG_IN(pin=Pin.WRONG), "USER_ALREADY_LOGGED_IN PIN_INCORRECT PIN_LOCKED"),
    Story("5.6", ONE_SLOT, (*USER_IN, OPEN), LOG_IN(session=1), "USER_ALREADY_LOGGED_IN"),
    Story("5.6", ONE_SLOT, USER_IN, LOGIN_SO, "USER_ANOTHER_ALREADY_LOGGED_IN"),
    Story("5.6", ONE_SLOT, SO_IN, LOGIN, "USER_ANOTHER_ALREADY_LOGGED_IN"),
    Story("5.6", TWO, (*SO_IN, of("C_OpenSession", slot=1)), LOG_IN(session=1), "OK"),
    Story("A-05", ONE_SLOT, (*READY, OPEN_RO), LOGIN_SO, "OK SESSION_READ_ONLY_EXISTS"),
    Story(
        "A-04",
        ONE_SLOT,
        (*READY, OPEN_RO, LOGIN),
        LOGIN_SO,
        "SESSION_READ_ONLY_EXISTS USER_ANOTHER_ALREADY_LOGGED_IN",
    ),
    Story("5.6", TWO, (*READY, of("C_OpenSession", slot=1, rw=False)), LOGIN_SO, "OK"),
    Story("5.6", ONE_SLOT, READ_ONLY, LOGIN, "OK"),
    Story("5.6", NO_USER_PIN, READY, LOGIN, "USER_PIN_NOT_INITIALIZED"),
    Story("A-04", NO_USER_PIN, READY, LOG_IN(pin=Pin.NULL), "USER_PIN_NOT_INITIALIZED ARGUMENTS_BAD PIN_INCORRECT"),
    Story("5.1.6", ONE_SLOT, READY, LOG_IN(user=CKU.INVALID), "USER_TYPE_INVALID ARGUMENTS_BAD"),
    Story("A-32", ONE_SLOT, READY, LOG_IN(user=CKU.CONTEXT_SPECIFIC), "OPERATION_NOT_INITIALIZED USER_NOT_LOGGED_IN"),
    Story("5.6", ONE_SLOT, USER_IN, LOG_IN(user=CKU.CONTEXT_SPECIFIC), "OPERATION_NOT_INITIALIZED"),
    Story("5.6", SHARED, (INIT, OPEN), LOGIN, "OK USER_TOO_MANY_TYPES"),
    Story("A-21", ONE_SLOT, READY, LOGOUT, "USER_NOT_LOGGED_IN"),
    Story("5.6", ONE_SLOT, USER_IN, LOGOUT, "OK"),
    Story("5.6", ONE_SLOT, (*USER_IN, LOGOUT), LOGOUT, "USER_NOT_LOGGED_IN"),
    Story("A-33", ONE_SLOT, (*DIGESTING, LOGIN), SAVE(), "OK STATE_UNSAVEABLE OPERATION_NOT_INITIALIZED"),
    # 5.10, 5.1.6: the operation to save.
    Story("5.1.6", ONE_SLOT, READY, DIGEST(), "OK USER_NOT_LOGGED_IN"),
    Story("5.1.6", one(login_required=False), READY, DIGEST(), "OK"),
    Story("5.1.6", ONE_SLOT, USER_IN, DIGEST(), "OK"),
    Story("5.1.6", one(user_pin_to_be_changed=True), USER_IN, DIGEST(), "OK PIN_EXPIRED"),
    Story("5.1.6", one(user_pin_to_be_changed=True), READY, DIGEST(), "OK USER_NOT_LOGGED_IN"),
    Story("5.1.6", ONE_SLOT, USER_IN, DIGEST(mechanism=Mech.UNKNOWN), "MECHANISM_INVALID ARGUMENTS_BAD"),
    Story("5.1.6", ONE_SLOT, USER_IN, DIGEST(mechanism=Mech.AES_ECB), "MECHANISM_INVALID ARGUMENTS_BAD"),
    Story("5.1.6", one(mechanisms=(), abilities=()), USER_IN, DIGEST(), NO_MECHANISM),
    Story("5.1.6", one(abilities=()), USER_IN, DIGEST(), "OK MECHANISM_INVALID MECHANISM_PARAM_INVALID"),
    Story("A-27", ONE_SLOT, USER_IN, DIGEST(null=True), NO_MECHANISM),
    Story("A-16", ONE_SLOT, DIGESTING, DIGEST(), "OK OPERATION_ACTIVE USER_NOT_LOGGED_IN"),
    Story("A-02", ONE_SLOT, (INIT,), DIGEST(null=True), f"SESSION_HANDLE_INVALID {NO_MECHANISM}"),
]


def allowed(model: Model, story: Story) -> frozenset[CKR]:
    return frozenset(code for s in after(model, story.initial, story.setup) for code in permitted(model, s, story.call))


LISTED = build(readings={"A-63": "valid"})
"""The model of an application that asked for the slots at first, which the stories leave out."""


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_story(story: Story) -> None:
    assert allowed(LISTED, story) == codes(story.permitted)


def test_stories_tell_of_every_function() -> None:
    assert {s.call.function for s in STORIES} == CORE


RO, RW = OPEN_RO, OPEN


@pytest.mark.parametrize(
    ("setup", "shown"),
    [
        ((RO,), [CKS.RO_PUBLIC_SESSION]),
        ((RW,), [CKS.RW_PUBLIC_SESSION]),
        ((RO, RW, LOGIN), [CKS.RO_USER_FUNCTIONS, CKS.RW_USER_FUNCTIONS]),
        ((RW, LOGIN, RO), [CKS.RW_USER_FUNCTIONS, CKS.RO_USER_FUNCTIONS]),
        ((RW, LOGIN_SO, RW), [CKS.RW_SO_FUNCTIONS, CKS.RW_SO_FUNCTIONS]),
        ((RO, RW, LOGIN, LOGOUT), [CKS.RO_PUBLIC_SESSION, CKS.RW_PUBLIC_SESSION]),
        ((RW, LOGIN_SO, LOGOUT), [CKS.RW_PUBLIC_SESSION]),
        ((RW, RO, LOGIN, CLOSE()), [None, CKS.RO_USER_FUNCTIONS]),
        ((RW, LOGIN, CLOSE(), RW), [CKS.RW_PUBLIC_SESSION]),
        ((RW, LOGIN, SET_PIN()), [CKS.RW_USER_FUNCTIONS]),
        ((RW, (LOG_IN(pin=Pin.WRONG), CKR.PIN_INCORRECT)), [CKS.RW_PUBLIC_SESSION]),
    ],
)
def test_session_states(setup: tuple[Step, ...], shown: list[CKS | None], model: Model) -> None:
    for s in after(model, ONE_SLOT, (INIT, *setup)):
        for k, state in enumerate(shown):
            if state is not None:
                assert dict(outputs(model, s, INFO(session=k), CKR.OK))["state"] == (state,)
            else:
                assert not s.sessions[k].open


# What holds everywhere.


def consistent(model: Model, s: State, call: Call) -> None:
    codes = permitted(model, s, call)
    rules = applicable(model, s, call)
    assert codes, "something must be permitted"
    firm = {r.code for r in rules if forbids_ok(r)}
    assert (CKR.OK in codes) == (not firm and model.functions[call.function].returns_ok)
    assert codes - {CKR.OK} == {r.code for r in prevailing(model, call.function, rules)}
    if firm:
        assert codes & firm, "what is firm may be outranked by something firm only"
    for code in codes:
        changed = successors(model, s, call, code)
        assert changed
        relogin = (call.function, call.args.user, code) == ("C_Login", CKU.CONTEXT_SPECIFIC, CKR.PIN_LOCKED)
        if code != CKR.OK and not relogin:  # which may log the user out (4.9)
            assert all(harmed(s, t) <= {"operations"} and ended_only(s, t, code) for t in changed if t != s), code
            counts = code in (CKR.PIN_INCORRECT, CKR.PIN_LOCKED)
            assert counts or all(t.slots == s.slots for t in changed)


def harmed(s: State, t: State) -> set[str]:
    """What differs between two states, but for the one thing that 5 lets a failed call count: a wrong PIN."""

    def uncounted(x: Slot) -> Slot:
        return replace(x, so_failed=False, user_failed=False)

    same = replace(t, slots=tuple(map(uncounted, t.slots))), replace(s, slots=tuple(map(uncounted, s.slots)))
    found = {f.name for f in fields(State) if len({getattr(x, f.name) for x in same}) > 1}
    if "sessions" not in found:
        return found
    idle = [tuple(replace(x, operations=Operations()) for x in y.sessions) for y in (s, t)]
    return found - {"sessions"} | ({"operations"} if idle[0] == idle[1] else {"sessions"})


def ended_only(s: State, t: State, code: CKR) -> bool:
    """Whether operations differ in one session at most, and there only in that some have ended (5.8 to 5.11).

    With a buffer that was too small an operation goes on, and may count the call as one of its kind (A-11, A-70).
    """
    none = Operations()

    def counted(old: object, new: object) -> bool:
        if code != CKR.BUFFER_TOO_SMALL or not (isinstance(old, Operation) and isinstance(new, Operation)):
            return False
        return old.phase != Phase.NONE and replace(new, phase=old.phase) == old

    differing = [(x.operations, y.operations) for x, y in zip(s.sessions, t.sessions, strict=True) if x != y]
    return len(differing) <= 1 and all(
        getattr(new, f.name) in (getattr(old, f.name), getattr(none, f.name))
        or counted(getattr(old, f.name), getattr(new, f.name))
        for old, new in differing
        for f in fields(Operations)
    )


@settings(max_examples=80, deadline=None)
@given(s=states(), data=st.data())
def test_every_state_and_call_permits_something(s: State, data: st.DataObject) -> None:
    model = MODELS[data.draw(st.integers(0, len(MODELS) - 1))]
    for call in data.draw(some_calls(model, s)):
        consistent(model, s, call)


MODELS = [
    build(),
    build(
        readings={"A-00": "required", "A-01": "first", "A-02": "class order", "A-16": "refuse", "A-30": "all writing"}
    ),
    build(readings={"A-01": "literal", "A-05": "usage guide"}),
]

SCENES = [
    (State(slots=(Slot(), Slot(present=False), Slot(recognized=False))), ()),
    (State(slots=(Slot(), Slot(present=False))), (*DIGESTING, OPEN_RO, SAVE(), LOGIN)),
    (HOLDING, (*SIGNED_FOR, OPEN_RO)),
    (HOLDING, (*ENCIPHERED_FOR, of("C_EncryptUpdate"))),
    (PROTECTED, (*READY, (LOG_IN(pin=Pin.WRONG), CKR.PIN_LOCKED), LOGIN_SO)),
    (FRESH, READY),
    (NO_USER_PIN, (*SO_IN, OPEN)),
]


@pytest.mark.parametrize("scene", range(len(SCENES)))
def test_every_call_permits_something(scene: int) -> None:
    there = after(build(), *SCENES[scene])
    for model in MODELS:
        for s in there:
            for call in every_call(model, s):
                consistent(model, s, call)


def test_login_is_shared_by_all_sessions_with_the_token(model: Model) -> None:
    (s,) = after(model, TWO, (*USER_IN, of("C_OpenSession", slot=1)))
    assert [x.login for x in s.slots] == [Login.USER, Login.NOBODY]
