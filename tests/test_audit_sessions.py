"""Situations of chapters 5.4 to 5.6, 5.14 and 5.15 in which the table once accused modules that read it otherwise."""

from dataclasses import replace
from typing import Any

import pytest
from conftest import FINALIZE, INIT, LOGIN, LOGIN_SO, LOGOUT, OPEN, OPEN_RO, Step, after

from p11conform.model.call import Args, Blob, Buffer, Call, InitArgs, Observation
from p11conform.model.oracle import build, in_scope, outputs, permitted, successors
from p11conform.model.state import Kind, Mech, Object, Pin, Session, Slot, State, Trait
from p11conform.model.vocabulary import CKF, CKR, CKU, Version
from p11conform.properties.engine.verdict import Outcome, judge


def of(function: str, **given: Any) -> Call:
    return Call(f"C_{function}", Args(**given))


def one(**facts: Any) -> State:
    return State(slots=(Slot(**facts),))


def holding(**facts: Any) -> State:
    """A token with an object on it, of which the application has no handle yet."""
    return State(objects=(Object(True, False, Kind.DATA, token=True, **facts), Object()))


MODEL, IN_2_20 = build(), build(Version.V2_20)
ONE, NO_LOGIN, EMPTY_PIN = one(), one(login_required=False, user_pin=Pin.NULL), one(empty_pin_legal=True)
FRESH = one(initialized=False, so_pin=Pin.NULL, user_pin=Pin.NULL)
ABSENT = one(present=False)
SECRET = State(objects=(Object(),) * 2)
READY, USER_IN, SO_IN = (INIT, OPEN), (INIT, OPEN, LOGIN), (INIT, OPEN, LOGIN_SO)
DIGEST, SAVE, RESTORE = of("DigestInit"), of("GetOperationState"), of("SetOperationState")
SIGNING = (
    *(*USER_IN, of("GenerateKey", mechanism=Mech.GENERIC_SECRET_KEY_GEN)),
    of("SignInit", mechanism=Mech.SHA256_HMAC),
)
CONTEXT = of("Login", user=CKU.CONTEXT_SPECIFIC)
SEARCHING = (*READY, of("FindObjectsInit"))

PERMITTED: list[tuple[str, State, tuple[Step, ...], Call, str]] = [
    ("W2", ONE, (*READY, DIGEST, SAVE, LOGIN), RESTORE, "OK SAVED_STATE_INVALID"),
    ("W2", ONE, READY, of("SetOperationState", blob=Blob.GARBAGE), "OK SAVED_STATE_INVALID ARGUMENTS_BAD"),
    ("W3", ONE, (*READY, DIGEST), of("GetOperationState", buffer=Buffer.SHORT), "OK BUFFER_TOO_SMALL"),
    ("W6", ONE, (INIT,), of("WaitForSlotEvent", reserved=True), "OK ARGUMENTS_BAD"),
    ("W7", EMPTY_PIN, SO_IN, of("InitPIN", new_pin=Pin.NULL), "OK PIN_LEN_RANGE ARGUMENTS_BAD"),
    ("W7", EMPTY_PIN, USER_IN, of("SetPIN", new_pin=Pin.NULL), "OK"),
    ("W7", NO_LOGIN, READY, of("Login", pin=Pin.NULL), "OK PIN_INCORRECT"),
    ("W8", ONE, SO_IN, OPEN_RO, "OK SESSION_READ_WRITE_SO_EXISTS"),
    ("W8", ONE, (INIT, OPEN, OPEN_RO), LOGIN_SO, "OK SESSION_READ_ONLY_EXISTS"),
    ("M6", ONE, (INIT,), of("GetSlotInfo", slot=1), "SLOT_ID_INVALID ARGUMENTS_BAD"),
    ("M6", ONE, READY, of("Login", user=CKU.INVALID), "USER_TYPE_INVALID ARGUMENTS_BAD"),
    ("M6", ONE, SO_IN, of("InitPIN", new_pin=Pin.SHORT), "PIN_LEN_RANGE ARGUMENTS_BAD"),
    ("M6", ONE, (INIT,), of("GetMechanismInfo", mechanism=Mech.UNKNOWN), "MECHANISM_INVALID ARGUMENTS_BAD"),
    ("M7", one(so_pin_to_be_changed=True), SO_IN, of("InitPIN"), "OK PIN_EXPIRED"),
    *(
        ("M7", one(user_pin_to_be_changed=True), USER_IN, of(name), "OK PIN_EXPIRED")
        for name in ("GenerateRandom", "SeedRandom", "GetOperationState")
    ),
    *(("M8", ONE, USER_IN, of(name), "OK FIPS_SELF_TEST_FAILED") for name in ("GenerateRandom", "SeedRandom")),
    ("M13", ONE, SEARCHING, SAVE, "OK OPERATION_NOT_INITIALIZED STATE_UNSAVEABLE"),
    ("M15", ONE, (INIT,), of("InitToken", pin=Pin.SHORT), "PIN_INCORRECT PIN_LEN_RANGE ARGUMENTS_BAD"),
    *(
        ("M17", FRESH, READY, call, "TOKEN_NOT_RECOGNIZED USER_PIN_NOT_INITIALIZED")
        for call in (of("GetSessionInfo"), of("SetPIN"), of("GenerateRandom"), DIGEST)
    ),
    ("M18", NO_LOGIN, READY, LOGIN, "OK USER_TYPE_INVALID USER_PIN_NOT_INITIALIZED"),
    ("E5", FRESH, (INIT, of("InitToken", pin=Pin.SO), OPEN, LOGIN_SO), of("InitPIN"), "OK PIN_EXPIRED"),
    ("E5", ONE, (*SO_IN, of("InitPIN", new_pin=Pin.USER), LOGOUT, LOGIN), of("GenerateRandom"), "OK PIN_EXPIRED"),
    ("E9", one(user_failed=True), (*SO_IN, of("InitPIN"), LOGOUT), of("Login", pin=Pin.OTHER), "OK PIN_LOCKED"),
    ("A-36", ONE, (), of("Initialize", init=InitArgs.PARTIAL), "OK ARGUMENTS_BAD CANT_LOCK"),
    ("O5", ONE, (INIT,), of("GetSlotInfo"), "OK SLOT_ID_INVALID"),
    ("O5 before C_Initialize", ONE, (), of("OpenSession"), "CRYPTOKI_NOT_INITIALIZED SLOT_ID_INVALID"),
    ("old PIN NULL", ONE, READY, of("SetPIN", pin=Pin.NULL), "PIN_INCORRECT PIN_LEN_RANGE PIN_INVALID ARGUMENTS_BAD"),
    ("A-94", SECRET, (INIT, OPEN_RO), of("CreateObject"), "OK SESSION_READ_ONLY"),
    ("O6", SECRET, SIGNING, CONTEXT, "OK OPERATION_NOT_INITIALIZED"),
    ("absent before C_Initialize", ABSENT, (), of("GetTokenInfo", null=True), "CRYPTOKI_NOT_INITIALIZED ARGUMENTS_BAD"),
    ("empty state", ONE, (*READY, SAVE), RESTORE, "OK SAVED_STATE_INVALID ARGUMENTS_BAD"),
    (
        "NULL in no session",
        ONE,
        (INIT,),
        of("SetPIN", pin=Pin.NULL),
        "SESSION_HANDLE_INVALID PIN_INVALID ARGUMENTS_BAD",
    ),
    ("the SO's PIN is empty", EMPTY_PIN, (INIT,), of("InitToken", pin=Pin.NULL), "OK PIN_INCORRECT ARGUMENTS_BAD"),
    ("the SO's PIN is empty", EMPTY_PIN, READY, of("Login", user=CKU.SO, pin=Pin.NULL), "OK PIN_INCORRECT"),
    ("the SO's PIN is empty", EMPTY_PIN, SO_IN, of("SetPIN", pin=Pin.NULL), "OK PIN_INCORRECT"),
]

FORBIDDEN: list[tuple[str, State, tuple[Step, ...], Call, str]] = [
    ("W7", ONE, SO_IN, of("InitPIN", new_pin=Pin.NULL), "OK"),
    ("W7", EMPTY_PIN, READY, of("Login", pin=Pin.NULL), "OK"),
    ("W7", ONE, (INIT,), of("InitToken", pin=Pin.NULL), "OK"),
    ("W7", ONE, READY, of("Login", user=CKU.SO, pin=Pin.NULL), "OK"),
    ("W7", EMPTY_PIN, USER_IN, of("SetPIN", pin=Pin.NULL), "OK"),
    ("M18", one(user_pin=Pin.NULL), READY, LOGIN, "OK USER_TYPE_INVALID"),
    ("E5", one(user_pin_to_be_changed=True), (*USER_IN, of("SetPIN")), of("GenerateRandom"), "PIN_EXPIRED"),
    ("O5", ONE, READY, of("GetSlotInfo"), "SLOT_ID_INVALID"),
    ("O6", ONE, USER_IN, CONTEXT, "OK"),
    ("no users", ONE, READY, CONTEXT, "USER_TYPE_INVALID"),
    ("O5 before C_Initialize", ONE, (), of("OpenSession"), "OK"),
    ("old PIN NULL", ONE, READY, of("SetPIN", pin=Pin.NULL), "OK"),
    ("A-94", SECRET, READY, of("CreateObject"), "SESSION_READ_ONLY"),
    ("A-94", SECRET, (INIT, OPEN_RO), of("CreateObject", token=True), "OK"),
]


def allowed(initial: State, setup: tuple[Step, ...], call: Call) -> set[CKR]:
    return {code for s in after(MODEL, initial, setup) for code in permitted(MODEL, s, call)}


def named(names: str) -> set[CKR]:
    return {CKR[name] for name in names.split()}


@pytest.mark.parametrize(("item", "initial", "setup", "call", "names"), PERMITTED)
def test_permitted(item: str, initial: State, setup: tuple[Step, ...], call: Call, names: str) -> None:
    assert named(names) <= allowed(initial, setup, call), item


@pytest.mark.parametrize(("item", "initial", "setup", "call", "names"), FORBIDDEN)
def test_forbidden(item: str, initial: State, setup: tuple[Step, ...], call: Call, names: str) -> None:
    """What is lenient above is so there only."""
    assert not named(names) & allowed(initial, setup, call), item


@pytest.mark.parametrize(("length", "told"), [(Pin.SHORT, True), (Pin.LONG, False)])
def test_a_weak_pin_is_told_apart_from_a_short_one_only(length: Pin, told: bool) -> None:
    """L4: 5.1.6 prefers CKR_PIN_LEN_RANGE for a PIN too short, by a 'should'; of a long one it says nothing."""
    in_order = build(readings={"A-02": "class order"})
    weak = Observation(CKR.PIN_TOO_WEAK)
    for setup, call in ((SO_IN, of("InitPIN", new_pin=length)), (USER_IN, of("SetPIN", new_pin=length))):
        (s,) = after(MODEL, ONE, setup)
        verdict, _ = judge(MODEL, frozenset({s}), call, weak)
        assert verdict.outcome is Outcome.PASS
        assert [x.rule.id for x in verdict.advice] == ["new-pin-too-short"] * told
        assert (CKR.PIN_TOO_WEAK in permitted(in_order, s, call)) is not told
        assert {CKR.PIN_LEN_RANGE, CKR.ARGUMENTS_BAD} <= permitted(in_order, s, call)


def test_read_only_sessions_beside_the_so_are_ruled_out_up_to_2_20() -> None:
    """W8: 2.20 has the rule in its own text."""
    (s,) = after(IN_2_20, ONE, SO_IN)
    assert CKR.OK not in permitted(IN_2_20, s, OPEN_RO)


def test_a_short_buffer_that_was_large_enough_holds_the_state() -> None:
    """W3: what C_GetOperationState gave counts, whatever the length query said."""
    (s,) = after(MODEL, ONE, (*READY, DIGEST, of("GetOperationState", buffer=Buffer.SHORT)))
    assert s.saved.valid


READ = of("GetAttributeValue")


@pytest.mark.parametrize(
    ("item", "private", "between", "lives"),
    [
        ("E1", True, (of("CloseSession"), OPEN, LOGIN), True),
        ("E1", True, (of("CloseAllSessions"), OPEN, LOGIN), True),
        ("E1", True, (of("CloseSession"), OPEN), False),
        ("E2", True, (FINALIZE, INIT, OPEN, LOGIN), True),
        ("E2", False, (FINALIZE, INIT, OPEN), True),
        ("5.6 C_Logout", True, (LOGOUT, LOGIN), False),
    ],
)
def test_handles(item: str, private: bool, between: tuple[Step, ...], lives: bool) -> None:
    """Handles on token objects may outlive sessions and the library, and on private ones never a logout."""
    initial = holding(private=private)
    setup = (*USER_IN, of("FindObjectsInit"), of("FindObjects"), of("FindObjectsFinal"), *between)
    assert (CKR.OK in allowed(initial, setup, READ)) is lives, item
    assert CKR.OBJECT_HANDLE_INVALID in allowed(initial, setup, READ)


def test_a_failed_re_authentication_may_log_the_user_out() -> None:
    """E3."""
    wrong = replace(CONTEXT, args=replace(CONTEXT.args, pin=Pin.WRONG))
    for s in after(MODEL, SECRET, SIGNING):
        assert len({t.slots[0].login for t in successors(MODEL, s, wrong, CKR.PIN_LOCKED)}) == 2
        assert len({t.slots[0].login for t in successors(MODEL, s, CONTEXT, CKR.OK)}) == 1


def test_objects_that_cannot_be_destroyed_may_outlive_c_init_token() -> None:
    """E6."""
    for trait, kept in ((Trait.UNDESTROYABLE, {True, False}), (Trait.PLAIN, {False})):
        (s,) = after(MODEL, holding(trait=trait), (INIT,))
        seen = {t.objects[0].exists for t in successors(MODEL, s, of("InitToken", pin=Pin.SO), CKR.OK)}
        assert seen == kept


def test_the_serial_flag_of_a_session_is_advice() -> None:
    """E8."""
    (s,) = after(MODEL, ONE, (INIT, OPEN))
    flags = dict(outputs(MODEL, s, of("GetSessionInfo"), CKR.OK))["flags"]
    assert set(flags) == {CKF.RW_SESSION, CKF.RW_SESSION | CKF.SERIAL_SESSION}


def test_places_and_readings() -> None:
    """L1, L2, O9: a code that 5.1.6 alone explains is cited there, and A-01 where a handle or a slot is named."""
    rows = {(name, r.code): r for name, f in MODEL.functions.items() for r in f.rules}
    assert rows["C_Logout", CKR.USER_NOT_LOGGED_IN].place == "5.1.6 CKR_USER_NOT_LOGGED_IN"
    for code in (CKR.USER_ALREADY_LOGGED_IN, CKR.USER_ANOTHER_ALREADY_LOGGED_IN, CKR.USER_TOO_MANY_TYPES):
        assert rows["C_Login", code].place == f"5.1.6 {code!s}"
    assert rows["C_GetInfo", CKR.CRYPTOKI_NOT_INITIALIZED].reading is None
    assert rows["C_Logout", CKR.CRYPTOKI_NOT_INITIALIZED].reading == "A-01"


@pytest.mark.parametrize("function", ["C_Login", "C_InitPIN", "C_SetPIN", "C_InitToken"])
@pytest.mark.parametrize("fit", [False, True])
def test_pins_made_for_another_token_are_not_followed(function: str, fit: bool) -> None:
    """Whether their lengths are legal here is not known, so that CKR_PIN_LEN_RANGE would prove nothing."""
    s = State(initialized=True, slots=(Slot(pins_fit=fit),), sessions=(Session(open=True, rw=True), Session()))
    assert in_scope(build(), s, Call(function)) is fit


def test_what_a_token_holds_that_took_null_for_an_empty_pin_is_not_followed() -> None:
    (s,) = after(MODEL, EMPTY_PIN, (INIT,))
    assert not in_scope(MODEL, s, of("InitToken", pin=Pin.NULL))


@pytest.mark.parametrize("function", ["DigestInit", "EncryptInit", "MessageEncryptInit"])
def test_since_v3_0_no_mechanism_is_no_fit_argument_where_there_is_no_session(function: str) -> None:
    model = build(Version.V3_0)
    (s,) = after(model, SECRET, (INIT,))
    allowed_there = permitted(model, s, of(function, null=True))
    assert {CKR.ARGUMENTS_BAD, CKR.SESSION_HANDLE_INVALID} <= allowed_there
    assert CKR.OK not in allowed_there
    assert CKR.ARGUMENTS_BAD not in permitted(model, s, of(function))
