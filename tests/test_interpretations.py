"""What each reading of an open question switches, seen in what is permitted."""

import pytest
from conftest import INIT, LOGIN_SO, ONE_SLOT, OPEN, OPEN_RO, Step, after, codes
from test_messages import READINGS as OF_MESSAGES

from p11conform.model.call import Args, Buffer, Call, Data
from p11conform.model.interpretations import INTERPRETATIONS, resolve
from p11conform.model.oracle import build, permitted
from p11conform.model.state import Kind, Mech, Object, Operation, Operations, Phase, Session, Slot, State
from p11conform.model.vocabulary import CKR

READY = (INIT, OPEN)
BAD_HANDLE = Args(session=3, null=True)
HOLDING = State(objects=(Object(),) * 2)
PROTECTED = State(slots=(Slot(write_protected=True),))
DIGEST, PART, WHOLE, LAST = (Call(f"C_Digest{name}") for name in ("Init", "Update", "", "Final"))
UNLISTED = "SLOT_ID_INVALID"
"""What a slot ID may get before the slots were asked for (A-63)."""
NO_TOKEN = State(slots=(Slot(present=False),))
TOKEN_INFO = Call("C_GetTokenInfo")
RESTORE = Call("C_SetOperationState")
SAVED_ELSEWHERE = (*READY, Call("C_DigestInit"), Call("C_GetOperationState"), LOGIN_SO)
NO_SUCH_SLOT = Call("C_GetSlotInfo", Args(slot=1))
BAD_PART = Call("C_DigestUpdate", Args(data=Data.NULL))
TOO_SHORT = Call("C_Digest", Args(buffer=Buffer.SHORT))
NO_KEY, NOT_A_KEY = Call("C_DigestKey"), "OBJECT_HANDLE_INVALID ARGUMENTS_BAD"
NO_MECHANISM = Call("C_DigestInit", Args(null=True))
NO_MECHANISM_CODES = "ARGUMENTS_BAD MECHANISM_INVALID MECHANISM_PARAM_INVALID"
FOUND = (
    *(*READY, Call("C_Login"), *(Call("C_CreateObject", Args(token=True)),) * 2, Call("C_Finalize")),
    *(*READY, Call("C_Login"), Call("C_FindObjectsInit"), Call("C_FindObjects")),
)
"""Objects on the token whose handles are lost, and a search for them."""
READ = Call("C_GetAttributeValue")
NO_OPERATION = "OPERATION_NOT_INITIALIZED"
NOBODY = "USER_NOT_LOGGED_IN"
"""What a token may say that does nothing for a session without the user."""

READING_ECB = Operations(decrypt=Operation(Phase.READY, Mech.AES_ECB, 0))
DECRYPTING = State(True, (Slot(),), (Session(True, 0, True, READING_ECB),), (Object(True, True, Kind.AES),))
ODD = Call("C_Decrypt", Args(data=Data.ODD))
FAILING = (*READY, Call("device-fails-in-next-call"))
GENERATE = Call("C_GenerateKey", Args(mechanism=Mech.AES_KEY_GEN))
MAKING = (
    "ARGUMENTS_BAD ATTRIBUTE_READ_ONLY ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID EXCEEDED_MAX_ITERATIONS "
    f"TEMPLATE_INCOMPLETE TEMPLATE_INCONSISTENT TOKEN_WRITE_PROTECTED {NOBODY}"
)
"""What a token may say to any template, for reasons of its own (4.1.1)."""

AT_ONCE = f"OPERATION_ACTIVE {NO_OPERATION} ARGUMENTS_BAD"
"""What stands for a whole digest after a part."""

READINGS = [
    ("A-00", "advice", ONE_SLOT, (INIT,), Call("C_Finalize", Args(reserved=True)), "OK ARGUMENTS_BAD"),
    ("A-00", "required", ONE_SLOT, (INIT,), Call("C_Finalize", Args(reserved=True)), "ARGUMENTS_BAD"),
    ("A-00", "required", ONE_SLOT, READY, Call("C_GetOperationState"), "OPERATION_NOT_INITIALIZED"),
    ("A-01", "either", ONE_SLOT, (), Call("C_Logout"), "CRYPTOKI_NOT_INITIALIZED SESSION_HANDLE_INVALID"),
    ("A-01", "first", ONE_SLOT, (), Call("C_Logout"), "CRYPTOKI_NOT_INITIALIZED"),
    ("A-01", "literal", ONE_SLOT, (), Call("C_Logout"), "SESSION_HANDLE_INVALID"),
    ("A-01", "first", ONE_SLOT, (), Call("C_GetInfo", Args(null=True)), "CRYPTOKI_NOT_INITIALIZED"),
    ("A-02", "class order", ONE_SLOT, (INIT,), Call("C_GetSessionInfo", BAD_HANDLE), "SESSION_HANDLE_INVALID"),
    ("A-02", "advice", ONE_SLOT, (INIT,), Call("C_GetSessionInfo", BAD_HANDLE), "SESSION_HANDLE_INVALID ARGUMENTS_BAD"),
    ("A-05", "base text", ONE_SLOT, (*READY, LOGIN_SO), OPEN_RO, "SESSION_READ_WRITE_SO_EXISTS"),
    ("A-05", "base text", ONE_SLOT, (*READY, OPEN_RO), LOGIN_SO, "SESSION_READ_ONLY_EXISTS"),
    ("A-05", "usage guide", ONE_SLOT, (*READY, LOGIN_SO), OPEN_RO, "OK SESSION_READ_WRITE_SO_EXISTS"),
    ("A-05", "usage guide", ONE_SLOT, (*READY, OPEN_RO), LOGIN_SO, "OK SESSION_READ_ONLY_EXISTS"),
    ("A-11", "an error", ONE_SLOT, (*READY, DIGEST, PART), WHOLE, f"{AT_ONCE} {NOBODY}"),
    ("A-11", "any", ONE_SLOT, (*READY, DIGEST, PART), WHOLE, f"OK {AT_ONCE} {NOBODY}"),
    ("A-15", "ends", ONE_SLOT, (*READY, DIGEST, (BAD_PART, CKR.ARGUMENTS_BAD)), LAST, f"{NO_OPERATION} {NOBODY}"),
    (
        "A-15",
        "lenient",
        ONE_SLOT,
        (*READY, DIGEST, PART, (BAD_PART, CKR.ARGUMENTS_BAD)),
        LAST,
        f"OK {NO_OPERATION} {NOBODY}",
    ),
    ("A-39", "known lengths exact", ONE_SLOT, (*READY, DIGEST), TOO_SHORT, f"BUFFER_TOO_SMALL {NOBODY}"),
    ("A-39", "any", ONE_SLOT, (*READY, DIGEST), TOO_SHORT, f"OK BUFFER_TOO_SMALL {NOBODY}"),
    ("A-16", "refuse or replace", ONE_SLOT, (*READY, DIGEST), DIGEST, "OK OPERATION_ACTIVE USER_NOT_LOGGED_IN"),
    ("A-16", "refuse", ONE_SLOT, (*READY, DIGEST), DIGEST, "OPERATION_ACTIVE USER_NOT_LOGGED_IN"),
    ("A-60", "permitted", ONE_SLOT, (INIT,), NO_SUCH_SLOT, f"{UNLISTED} ARGUMENTS_BAD"),
    ("A-60", "specific code only", ONE_SLOT, (INIT,), NO_SUCH_SLOT, UNLISTED),
    ("A-30", "all writing", PROTECTED, (INIT,), OPEN, f"TOKEN_WRITE_PROTECTED {UNLISTED}"),
    ("A-30", "all writing", PROTECTED, (INIT,), OPEN_RO, f"OK {UNLISTED}"),
    ("A-01", "literal", NO_TOKEN, (), TOKEN_INFO, f"TOKEN_NOT_PRESENT {UNLISTED}"),
    ("A-61", "where it can tell", ONE_SLOT, SAVED_ELSEWHERE, RESTORE, "OK SAVED_STATE_INVALID"),
    ("A-61", "always", ONE_SLOT, SAVED_ELSEWHERE, RESTORE, "SAVED_STATE_INVALID"),
    ("A-63", "not necessarily", ONE_SLOT, (INIT,), OPEN, f"OK {UNLISTED}"),
    ("A-63", "valid", ONE_SLOT, (INIT,), OPEN, "OK"),
    ("A-23", "either", ONE_SLOT, (*READY, DIGEST), NO_KEY, f"KEY_HANDLE_INVALID {NOT_A_KEY} {NOBODY}"),
    ("A-23", "key handle", ONE_SLOT, (*READY, DIGEST), NO_KEY, f"KEY_HANDLE_INVALID ARGUMENTS_BAD {NOBODY}"),
    ("A-27", "an error", ONE_SLOT, READY, NO_MECHANISM, f"{NO_MECHANISM_CODES} {NOBODY}"),
    ("A-27", "cancels", ONE_SLOT, READY, NO_MECHANISM, f"OK {NO_MECHANISM_CODES} {NOBODY}"),
    ("A-81", "batches", HOLDING, FOUND, READ, "OK OBJECT_HANDLE_INVALID ARGUMENTS_BAD"),
    ("A-81", "all at once", HOLDING, FOUND, READ, "OK"),
    ("A-90", "either", DECRYPTING, (), ODD, f"ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE {NOBODY}"),
    ("A-90", "ordered", DECRYPTING, (), ODD, f"ENCRYPTED_DATA_LEN_RANGE {NOBODY}"),
    ("A-91", "it fails", ONE_SLOT, FAILING, TOKEN_INFO, "DEVICE_ERROR"),
    ("A-91", "if it asks the token", ONE_SLOT, FAILING, TOKEN_INFO, "DEVICE_ERROR OK"),
    ("A-94", "it may", HOLDING, (INIT, OPEN_RO), GENERATE, f"OK SESSION_READ_ONLY {MAKING}"),
    ("A-94", "it may not", HOLDING, (INIT, OPEN_RO), GENERATE, f"OK {MAKING}"),
]


@pytest.mark.parametrize(("id", "reading", "initial", "setup", "call", "expected"), READINGS)
def test_reading(id: str, reading: str, initial: State, setup: tuple[Step, ...], call: Call, expected: str) -> None:
    model = build(readings={id: reading}, events=True)
    seen = {code for s in after(model, initial, setup) for code in permitted(model, s, call)}
    assert seen == codes(expected)


OF_EVENTS = {("A-90", "ordered"), ("A-91", "if it asks the token"), ("A-95", "it must")}
"""Those that tests/test_events.py has, about what happens beside the calls."""


def test_every_choice_is_told_apart() -> None:
    """Each reading of each question that has several is in the list above, or is the default, tested elsewhere."""
    chosen = {(id, reading) for id, reading, *_ in (*READINGS, *OF_MESSAGES)} | OF_EVENTS
    open_questions = [i for i in INTERPRETATIONS.values() if len(i.readings) > 1]
    assert [(i.id, r) for i in open_questions for r in i.readings[1:] if (i.id, r) not in chosen] == []
    assert {id for id, _ in chosen} == {i.id for i in open_questions}


def test_defaults() -> None:
    assert resolve({}) == {id: i.readings[0] for id, i in INTERPRETATIONS.items()}
    assert resolve({"A-01": "first"})["A-01"] == "first"
    assert all(id == i.id for id, i in INTERPRETATIONS.items())
    assert all(set(i.strengths) <= set(i.readings) for i in INTERPRETATIONS.values())


def test_default_readings_that_accuse_or_do_not() -> None:
    defaults = resolve({})
    assert (defaults["A-02"], defaults["A-05"]) == ("advice", "usage guide")
    assert (defaults["A-00"], defaults["A-01"]) == ("advice", "either")
