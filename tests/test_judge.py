"""Recorded calls, judged: stories of modules that are right, modules that are wrong, and callers that are."""

from collections.abc import Sequence
from typing import Any

import pytest

import p11conform
from p11conform.adapters.logs.step import BadLog, Entry, Step
from p11conform.judging import Answer, Judge, Judgement, Opinion
from p11conform.model.oracle import Model
from p11conform.model.vocabulary import CKR
from p11conform.properties.engine.partial import Partial

SLOT, S, RO, KEY = 7, 11, 12, 21
CKM_SHA256, CKM_AES_GMAC, CKM_AES_ECB, CKM_RSA_PKCS, VENDOR = 0x250, 0x108E, 0x1081, 0x1, 0x80000123
LOGIN_REQUIRED, TOKEN_INITIALIZED, USER_PIN = 0x4, 0x400, 0x8


def step(function: str, code: str = "OK", outputs: dict[str, Any] | None = None, **arguments: Any) -> Step:
    process, thread = arguments.pop("process", 1), arguments.pop("thread", 1)
    concurrent = arguments.pop("concurrent", False)
    returned = None if code == "?" else int(CKR[code]) if code in CKR.__members__ else int(code, 0)
    return Step(function, arguments, outputs or {}, returned, process, thread, concurrent=concurrent)


def opened(handle: int = S, flags: int = 6, **more: Any) -> Step:
    given = {"slotID": SLOT, "flags": flags, "Notify": None, "phSession": True, **more}
    return step("C_OpenSession", "OK", {"phSession": handle}, **given)


def login(code: str = "OK", handle: int = S, **more: Any) -> Step:
    return step("C_Login", code, hSession=handle, userType=1, pPin=True, **more)


def attribute(type: int, value: bool | int | None = None, length: int | None = None) -> Entry:
    return Entry(type, length=length, null=False, value=value)


INITIALIZE = step("C_Initialize", pInitArgs=None)
TOKEN = step(
    "C_GetTokenInfo",
    "OK",
    {"pInfo": {"flags": LOGIN_REQUIRED | TOKEN_INITIALIZED | USER_PIN, "ulMinPinLen": 4}},
    slotID=SLOT,
    pInfo=True,
)
BEGIN = (INITIALIZE, TOKEN, opened())
USER = (*BEGIN, login())

SECRET = [attribute(0x0, 4), attribute(0x100, 0x1F), attribute(0x1, False)]


def create(template: Sequence[Entry], code: str = "OK", handle: int = KEY, session: int = S) -> Step:
    outputs = {"phObject": handle} if code == "OK" else {}
    given = {"hSession": session, "pTemplate": list(template), "ulCount": len(template), "phObject": True}
    return step("C_CreateObject", code, outputs, **given)


def init(function: str, mechanism: int, code: str = "OK", key: int | None = KEY, session: int = S) -> Step:
    given: dict[str, Any] = {
        "hSession": session,
        "pMechanism": {"mechanism": mechanism, "parameter": None, "length": 0},
    }
    used: dict[str, Any] = {} if key is None else {"hKey": key}
    return step(function, code, **given, **used)


def digest(code: str = "OK", session: int = S) -> Step:
    return init("C_DigestInit", CKM_SHA256, code, None, session)


def read(types: Sequence[int], code: str, values: Sequence[Entry] = (), key: int = KEY) -> Step:
    template = [Entry(t, length=64, null=False) for t in types]
    outputs = {"pTemplate": list(values)} if values else {}
    return step(
        "C_GetAttributeValue", code, outputs, hSession=S, hObject=key, pTemplate=template, ulCount=len(template)
    )


@pytest.fixture(scope="module")
def partial(model: Model) -> Partial:
    return Partial(model)


def opinions(partial: Partial, steps: Sequence[Step], *, shared: bool = False) -> list[Opinion]:
    return [x.opinion for x in Judge(partial, shared=shared).all(steps)]


def last(partial: Partial, *steps: Step, shared: bool = False) -> Opinion:
    return opinions(partial, steps, shared=shared)[-1]


REQUIRED, PERMITTED, WRONG, UNKNOWN = Answer.REQUIRED, Answer.PERMITTED, Answer.NOT_PERMITTED, Answer.UNKNOWN

ANSWERS = {
    "a session that is open can be closed": ((*BEGIN, step("C_CloseSession", hSession=S)), REQUIRED),
    "a session of a log from the start was opened there": ((*BEGIN, digest(session=99)), WRONG),
    "a session of a log from the middle may be open": ((digest(session=99),), PERMITTED),
    "or not": ((digest("SESSION_HANDLE_INVALID", session=99),), PERMITTED),
    "handle 0 is that of no session": ((digest(session=0),), WRONG),
    "a closed session is not open": ((*BEGIN, step("C_CloseSession", hSession=S), digest()), WRONG),
    "a hidden PIN may be wrong": ((*BEGIN, login("PIN_INCORRECT")), PERMITTED),
    "or right": ((*BEGIN, login()), PERMITTED),
    "whoever is logged in cannot log in": ((*USER, login()), WRONG),
    "and is told so": ((*USER, login("USER_ALREADY_LOGGED_IN")), PERMITTED),
    "nobody can log out": ((*BEGIN, step("C_Logout", hSession=S)), WRONG),
    "somebody in a log from the middle may": ((step("C_Logout", hSession=S),), PERMITTED),
    "trouble is legal at any time": ((*BEGIN, digest("HOST_MEMORY")), PERMITTED),
    "only callbacks return some codes": ((*BEGIN, digest("CANCEL")), WRONG),
    "a code that came later is not judged": ((*BEGIN, digest("TOKEN_RESOURCE_EXCEEDED")), UNKNOWN),
    "a mechanism without a record is not judged": ((*USER, create(SECRET), init("C_SignInit", CKM_AES_GMAC)), UNKNOWN),
    "nor one of a vendor's": ((*USER, create(SECRET), init("C_SignInit", VENDOR)), UNKNOWN),
    "but what it has nothing to do with is": (
        (*USER, create(SECRET), init("C_SignInit", VENDOR, "SESSION_HANDLE_INVALID")),
        WRONG,
    ),
    "the type of a key is known by its template": ((*USER, create(SECRET), init("C_SignInit", CKM_RSA_PKCS)), WRONG),
    "and is not where none was seen": ((*USER, init("C_SignInit", CKM_RSA_PKCS)), PERMITTED),
    "a usage attribute is known by its template": (
        (*USER, create([*SECRET, attribute(0x104, False)]), init("C_EncryptInit", CKM_AES_ECB)),
        WRONG,
    ),
    "or by a look at it": (
        (*USER, create(SECRET), read([0x104], "OK", [attribute(0x104, False)]), init("C_EncryptInit", CKM_AES_ECB)),
        WRONG,
    ),
    "a sensitive value is not read": ((*USER, create([*SECRET, attribute(0x103, True)]), read([0x11], "OK")), WRONG),
    "not among nine attributes either": (
        (*USER, create([*SECRET, attribute(0x103, True)]), read([3, 0, 1, 2, 0x102, 0x170, 0x100, 0x161, 0x11], "OK")),
        WRONG,
    ),
    "nine attributes that may be read": (
        (*USER, create([*SECRET, attribute(0x103, False), attribute(0x162, True)]), read([3, 0, 1, 2, 0x11], "OK")),
        PERMITTED,
    ),
    "an attribute that was set is read as it was set": (
        (*USER, create(SECRET), read([0x1], "OK", [attribute(0x1, True)])),
        WRONG,
    ),
    "a digest that was not begun is not fed": (
        (*BEGIN, step("C_DigestUpdate", hSession=S, pPart=True, ulPartLen=3)),
        WRONG,
    ),
    "one that was begun in the part that is missing may be": (
        (step("C_DigestUpdate", hSession=S, pPart=True, ulPartLen=3),),
        PERMITTED,
    ),
    "a query leaves an operation active": (
        (
            *BEGIN,
            digest(),
            step("C_Digest", hSession=S, pData=True, ulDataLen=3, pDigest=None, pulDigestLen=0),
            step("C_Digest", "OPERATION_NOT_INITIALIZED", hSession=S, pData=True, ulDataLen=3, pDigest=True),
        ),
        WRONG,
    ),
    "an always-authenticated key wants its user": (
        (
            *USER,
            create(SECRET),
            init("C_DecryptInit", CKM_AES_ECB),
            step("C_Decrypt", "USER_NOT_LOGGED_IN", hSession=S, pEncryptedData=True, ulEncryptedDataLen=16),
        ),
        UNKNOWN,
    ),
    "what was destroyed is gone": (
        (*USER, create(SECRET), step("C_DestroyObject", hSession=S, hObject=KEY), init("C_EncryptInit", CKM_AES_ECB)),
        WRONG,
    ),
    "a call that is not told in full is not held against anybody": ((*BEGIN, step("C_Sign")), UNKNOWN),
    "nor is one whose answer is not told": ((*BEGIN, step("C_Sign", "?", hSession=S)), UNKNOWN),
    "nor a function that the model does not have": ((*BEGIN, step("C_Vendor", hSession=S)), UNKNOWN),
    "after the end there is nothing": ((*BEGIN, step("C_Finalize", pReserved=None), digest()), WRONG),
    "a second start is refused": ((*BEGIN, INITIALIZE), WRONG),
    "where calls overlap nobody knows which came first": (
        (*USER, step("C_Logout", "USER_NOT_LOGGED_IN", hSession=S, concurrent=True)),
        UNKNOWN,
    ),
    "nor what is so afterwards": (
        (*USER, step("C_Logout", hSession=S, concurrent=True), login("USER_ALREADY_LOGGED_IN")),
        PERMITTED,
    ),
}


@pytest.mark.parametrize(("steps", "answer"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_judged_by_what_is_known(partial: Partial, steps: tuple[Step, ...], answer: Answer) -> None:
    assert last(partial, *steps).answer is answer


@pytest.mark.parametrize("steps", [steps for steps, _ in ANSWERS.values()], ids=ANSWERS)
def test_what_led_up_to_it_was_right(partial: Partial, steps: tuple[Step, ...]) -> None:
    assert all(x.answer is not WRONG for x in opinions(partial, steps)[:-1])


SEARCH = step("C_FindObjectsInit", hSession=S, pTemplate=[], ulCount=0)
TOKEN_OBJECT = [attribute(0x0, 0), attribute(0x1, True), attribute(0x2, False)]

FAULTS = {
    "a search not ended": (
        (*BEGIN, SEARCH, step("C_FindObjectsInit", "OPERATION_ACTIVE", hSession=S, pTemplate=[], ulCount=0)),
        ("something-active", ("a search",)),
    ),
    "a search not ended before another operation": (
        (*BEGIN, SEARCH, digest("OPERATION_ACTIVE")),
        ("conflicting-operation-active", ("a search",)),
    ),
    "a token object in a read-only session": (
        (INITIALIZE, TOKEN, opened(RO, 4), create(TOKEN_OBJECT, "SESSION_READ_ONLY", session=RO)),
        ("token-object-in-read-only-session", ()),
    ),
    "a second Init": ((*BEGIN, digest(), digest("OPERATION_ACTIVE")), ("conflicting-operation-active", ("digesting",))),
    "a second Init, which the module lets be": (
        (*BEGIN, digest(), digest()),
        ("conflicting-operation-active", ("digesting",)),
    ),
    "a session that was closed": (
        (*BEGIN, step("C_CloseSession", hSession=S), digest("SESSION_HANDLE_INVALID")),
        ("session-invalid", ()),
    ),
    "a private object before the user": (
        (*BEGIN, create([*SECRET, attribute(0x2, True)], "USER_NOT_LOGGED_IN")),
        ("private-without-user", ()),
    ),
    "a parallel session": ((INITIALIZE, opened(S, 2)), ("parallel-session", ())),
    "a call before the start": (
        (*BEGIN, step("C_Finalize", pReserved=None), step("C_GetInfo", "CRYPTOKI_NOT_INITIALIZED", pInfo=True)),
        ("not-initialized", ()),
    ),
}


@pytest.mark.parametrize(("steps", "fault"), FAULTS.values(), ids=FAULTS)
def test_what_the_caller_did_wrong_is_named(
    partial: Partial, steps: tuple[Step, ...], fault: tuple[str, tuple[str, ...]]
) -> None:
    *before, found = opinions(partial, steps)
    assert [(x.rule.id, x.doing) for x in found.faults] == [fault]
    assert not any(x.faults for x in before)
    assert found.answer is not WRONG


def test_it_goes_on_after_a_violation(partial: Partial) -> None:
    """What the call would have done is believed as well as that it did nothing."""
    steps = (
        *BEGIN,
        digest("KEY_HANDLE_INVALID"),
        step("C_DigestUpdate", hSession=S, pPart=True, ulPartLen=3),
        step("C_DigestFinal", hSession=S, pDigest=True),
        digest("PIN_INCORRECT"),
        digest(),
        step("C_CloseSession", hSession=S),
    )
    assert [x.answer is WRONG for x in opinions(partial, steps)] == [False] * 3 + [
        True,
        False,
        False,
        True,
        False,
        False,
    ]


def test_a_belief_that_was_wrong_is_given_up(partial: Partial) -> None:
    """A session that should not be is there after all: one violation, not one a call."""
    steps = (*BEGIN, digest(session=99), *(step("C_DigestUpdate", hSession=99, pPart=True, ulPartLen=3),) * 3)
    assert [x.answer is WRONG for x in opinions(partial, steps)] == [False] * 3 + [True, False, False, False]


def test_processes_have_states_of_their_own_and_share_tokens(partial: Partial) -> None:
    key = [*SECRET[:2], attribute(0x1, True), attribute(0x2, False)]
    other = [step("C_Initialize", pInitArgs=None, process=2), opened(process=2), login(process=2)]
    mine = [*USER, create(key), *other]
    destroyed = step("C_DestroyObject", hSession=S, hObject=KEY, process=2)
    gone = init("C_EncryptInit", CKM_AES_ECB, "KEY_HANDLE_INVALID")
    found = opinions(partial, [*mine, destroyed, gone])
    assert all(x.answer is not WRONG for x in found)
    alone = opinions(partial, [*USER, create(key), gone])
    assert alone[-1].answer is WRONG


def test_others_may_use_the_token_where_that_is_said(partial: Partial) -> None:
    key = [*SECRET[:2], attribute(0x1, True), attribute(0x2, False)]
    steps = (*USER, create(key), init("C_EncryptInit", CKM_AES_ECB, "KEY_HANDLE_INVALID"))
    assert last(partial, *steps).answer is WRONG
    assert last(partial, *steps, shared=True).answer is PERMITTED


def test_calls_that_nothing_tells_apart_are_not_judged(partial: Partial) -> None:
    """As p11-kit writes them of several modules: until each was finalised."""
    first = [step(x.function, "OK", dict(x.outputs), process=0, **x.arguments) for x in (INITIALIZE, opened())]
    end = step("C_Finalize", pReserved=None, process=0)
    mixed = [*first, first[0], digest(session=99), end, end]
    steps = [step(x.function, "OK", dict(x.outputs), process=0, **x.arguments) for x in mixed]
    again = step("C_DigestInit", "OK", process=0, hSession=99, pMechanism={"mechanism": CKM_SHA256})
    found = opinions(partial, [*steps, first[0], again])
    assert [x.answer for x in found[2:6]] == [UNKNOWN] * 4
    assert found[-1].answer is WRONG


def test_the_rows_of_a_violation_are_told(partial: Partial) -> None:
    opinion = last(partial, *USER, login())
    assert [r.id for r in opinion.rules] == ["same-user-logged-in"]
    assert opinion.readings == ("A-04",)
    assert "CKR_USER_ALREADY_LOGGED_IN" in opinion.permitted


def test_judge_takes_steps_and_dictionaries(model: Model) -> None:
    lines = [
        {"function": "C_Initialize", "arguments": {"pInitArgs": None}, "returned": 0},
        {"function": "C_Logout", "arguments": {"hSession": 3}, "returned": 0},
    ]
    judgement: Judgement = p11conform.judge(lines, model)
    assert [(x.number, x.step.function) for x in judgement.violations] == [(2, "C_Logout")]
    assert judgement.steps == 2
    assert p11conform.judge(list(BEGIN), model).violations == []


@pytest.mark.parametrize("line", [{}, {"function": 3}, {"function": "C_Login", "returned": "OK"}, {"function": None}])
def test_a_dictionary_that_is_no_call_is_refused(model: Model, line: dict[str, Any]) -> None:
    with pytest.raises(BadLog, match="call 1 is none of"):
        p11conform.judge([line], model)
