"""The order of codes (5.1): every stated relation, every consequence of the classes, and no more."""

from collections.abc import Mapping
from itertools import product

import pytest
from conftest import codes, some_calls, states
from hypothesis import given, settings
from hypothesis import strategies as st

from p11conform.model.decide import forbids_ok
from p11conform.model.interface import SIGNATURES
from p11conform.model.interpretations import resolve
from p11conform.model.oracle import applicable, build, permitted
from p11conform.model.precedence import CONTRADICTIONS, RELATIONS, Scope, order
from p11conform.model.state import State
from p11conform.model.vocabulary import CKR, Version

Pair = tuple[CKR, CKR]

V2_01, V2_40, V3_2 = Version.V2_01, Version.V2_40, Version.V3_2

STATED = """
2.01 all GENERAL_ERROR HOST_MEMORY
2.01 all GENERAL_ERROR FUNCTION_FAILED
2.01 all GENERAL_ERROR OK
2.01 all HOST_MEMORY FUNCTION_FAILED
2.01 all HOST_MEMORY OK
2.01 all FUNCTION_FAILED OK
3.2 all GENERAL_ERROR OPERATION_NOT_VALIDATED
3.2 all HOST_MEMORY OPERATION_NOT_VALIDATED
3.2 all FUNCTION_FAILED OPERATION_NOT_VALIDATED
3.2 all OPERATION_NOT_VALIDATED OK
2.01 session SESSION_HANDLE_INVALID DEVICE_REMOVED
2.01 session SESSION_HANDLE_INVALID SESSION_CLOSED
2.01 session DEVICE_REMOVED SESSION_CLOSED
2.01 token DEVICE_MEMORY DEVICE_ERROR
2.01 token DEVICE_MEMORY TOKEN_NOT_PRESENT
2.01 token DEVICE_MEMORY DEVICE_REMOVED
2.01 token DEVICE_ERROR TOKEN_NOT_PRESENT
2.01 token DEVICE_ERROR DEVICE_REMOVED
2.01 token TOKEN_NOT_PRESENT DEVICE_REMOVED
3.2 token DEVICE_MEMORY TOKEN_NOT_INITIALIZED
3.2 token DEVICE_ERROR TOKEN_NOT_INITIALIZED
3.2 token TOKEN_NOT_PRESENT TOKEN_NOT_INITIALIZED
3.2 token DEVICE_REMOVED TOKEN_NOT_INITIALIZED
2.01 session SESSION_HANDLE_INVALID TOKEN_NOT_PRESENT
2.01 all DATA_LEN_RANGE DATA_INVALID
2.01 all ENCRYPTED_DATA_LEN_RANGE ENCRYPTED_DATA_INVALID
2.01 all KEY_TYPE_INCONSISTENT KEY_FUNCTION_NOT_PERMITTED
2.01 C_SeedRandom RANDOM_NO_RNG RANDOM_SEED_NOT_SUPPORTED
2.01 all TOKEN_WRITE_PROTECTED SESSION_READ_ONLY
2.01 all SIGNATURE_LEN_RANGE SIGNATURE_INVALID
2.01 C_GetOperationState OPERATION_NOT_INITIALIZED STATE_UNSAVEABLE
2.01 C_UnwrapKey WRAPPED_KEY_LEN_RANGE WRAPPED_KEY_INVALID
2.40 all EXCEEDED_MAX_ITERATIONS FUNCTION_FAILED
2.40 C_Initialize,C_GenerateRandom,C_SeedRandom,C_GenerateKeyPair FIPS_SELF_TEST_FAILED GENERAL_ERROR
2.40 C_InitPIN,C_SetPIN,C_InitToken PIN_LEN_RANGE PIN_TOO_WEAK
2.40 C_DeriveKey PUBLIC_KEY_INVALID MECHANISM_PARAM_INVALID
2.01 C_VerifyRecover SIGNATURE_INVALID BUFFER_TOO_SMALL
2.01 C_VerifyRecover SIGNATURE_LEN_RANGE BUFFER_TOO_SMALL
""".strip().splitlines()
"""The relations that sentences and ordered lists of the text state: since, where, the higher code, the lower one."""

UNIVERSAL = codes("GENERAL_ERROR HOST_MEMORY FUNCTION_FAILED")
SESSION = codes("SESSION_HANDLE_INVALID DEVICE_REMOVED SESSION_CLOSED")
TOKEN = codes("DEVICE_MEMORY DEVICE_ERROR TOKEN_NOT_PRESENT DEVICE_REMOVED")
ADDED_IN_3_2 = codes("OPERATION_NOT_VALIDATED TOKEN_NOT_INITIALIZED")
OTHERS = frozenset(CKR) - UNIVERSAL - SESSION - TOKEN - ADDED_IN_3_2 - {CKR.OK}

NAMED_SCOPES = {"all": Scope.ALL, "session": Scope.SESSION, "token": Scope.TOKEN}


@pytest.mark.parametrize("line", STATED)
def test_stated_relation(line: str) -> None:
    since, where, high, low = line.split()
    found = [r for r in RELATIONS if (r.higher, r.lower) == (CKR[high], CKR[low])]
    assert [(r.since.value, r.scope) for r in found] == [
        (since, NAMED_SCOPES.get(where) or frozenset(where.split(",")))
    ]


def class_pairs() -> set[Pair]:
    """What 5.1.7 says of the classes of v2.x: universal over session over token over all others.

    One code is of two classes; below the higher of them it is not.
    """
    ranks = (UNIVERSAL, SESSION, TOKEN, OTHERS)
    below = ((upper, lower - upper) for i, upper in enumerate(ranks) for lower in ranks[i + 1 :])
    return {pair for upper, lower in below for pair in product(upper, lower)}


def of_3_2(pair: Pair) -> bool:
    return bool(ADDED_IN_3_2 & set(pair))


STATED_PAIRS = {(CKR[high], CKR[low]) for high, low in (line.split()[2:] for line in STATED)}
NOT_INITIALIZED_FIRST = {
    (CKR.CRYPTOKI_NOT_INITIALIZED, low) for low in SESSION | TOKEN | OTHERS if low is not CKR.CRYPTOKI_NOT_INITIALIZED
}
"""Reading 'first' of A-01."""


def test_relations_are_the_stated_ones_and_the_classes() -> None:
    """So that nothing is inferred through a third code."""
    pairs = {(r.higher, r.lower) for r in RELATIONS}
    expected = STATED_PAIRS | class_pairs() | NOT_INITIALIZED_FIRST
    expected = {(high, low) for high, low in expected if high is not low}
    assert {p for p in pairs if not of_3_2(p)} == {p for p in expected if not of_3_2(p)}


def test_class_order_of_what_3_2_added() -> None:
    pairs = {(r.higher, r.lower) for r in RELATIONS if r.since is V3_2}
    assert all(of_3_2(pair) for pair in pairs)
    assert {(high, CKR.TOKEN_NOT_INITIALIZED) for high in UNIVERSAL | SESSION | TOKEN} <= pairs
    assert {(CKR.OPERATION_NOT_VALIDATED, low) for low in SESSION | TOKEN} <= pairs
    assert {(CKR.TOKEN_NOT_INITIALIZED, low) for low in OTHERS} <= pairs


# What is left for one function.


CLASS_ORDER = {"A-02": "class order"}
"""The reading under which the recommended orders decide, too."""


def decided(function: str, version: Version = V2_40, readings: Mapping[str, str] = CLASS_ORDER) -> set[Pair]:
    return set(order(function, version, resolve(readings)).decide)


RECOMMENDED = [
    ("C_GetTokenInfo", "TOKEN_NOT_PRESENT", "DEVICE_REMOVED"),
    ("C_GetTokenInfo", "TOKEN_NOT_PRESENT", "SLOT_ID_INVALID"),
    ("C_Login", "SESSION_HANDLE_INVALID", "TOKEN_NOT_PRESENT"),
    ("C_Login", "SESSION_HANDLE_INVALID", "PIN_INCORRECT"),
    ("C_Login", "SESSION_HANDLE_INVALID", "ARGUMENTS_BAD"),
    ("C_SetPIN", "PIN_LEN_RANGE", "PIN_TOO_WEAK"),
]
DECLARED = [
    ("C_SetPIN", "TOKEN_WRITE_PROTECTED", "SESSION_READ_ONLY"),
    ("C_VerifyRecover", "SIGNATURE_INVALID", "BUFFER_TOO_SMALL"),
]


@pytest.mark.parametrize(
    ("function", "high", "low", "declared"), [(*x, False) for x in RECOMMENDED] + [(*x, True) for x in DECLARED]
)
def test_an_order_that_should_be_followed_only_advises(function: str, high: str, low: str, declared: bool) -> None:
    """5.1.1 to 5.1.3 say 'should', 5.1.7 'in general'; the pairs of 5.1.6 and 5.11 are declared, but for one."""
    found = order(function, V2_40, resolve({}))
    pair = (CKR[high], CKR[low])
    assert (pair in found.decide, pair in found.advise) == (declared, not declared)


UNDECIDED = [
    ("C_Sign", "DEVICE_REMOVED", "DEVICE_MEMORY"),
    ("C_Sign", "DEVICE_REMOVED", "DEVICE_ERROR"),
    ("C_Sign", "DEVICE_REMOVED", "TOKEN_NOT_PRESENT"),
    ("C_GenerateKey", "EXCEEDED_MAX_ITERATIONS", "FUNCTION_FAILED"),
    ("C_Initialize", "FIPS_SELF_TEST_FAILED", "GENERAL_ERROR"),
    ("C_Decrypt", "ENCRYPTED_DATA_LEN_RANGE", "ENCRYPTED_DATA_INVALID"),
    ("C_DecryptFinal", "ENCRYPTED_DATA_LEN_RANGE", "ENCRYPTED_DATA_INVALID"),
    ("C_Login", "SESSION_HANDLE_INVALID", "CRYPTOKI_NOT_INITIALIZED"),
    # Often assumed, and nowhere said.
    ("C_OpenSession", "SLOT_ID_INVALID", "ARGUMENTS_BAD"),
    ("C_OpenSession", "SLOT_ID_INVALID", "SESSION_PARALLEL_NOT_SUPPORTED"),
    ("C_EncryptInit", "MECHANISM_INVALID", "KEY_HANDLE_INVALID"),
    ("C_EncryptInit", "OPERATION_ACTIVE", "MECHANISM_INVALID"),
    ("C_Login", "USER_ALREADY_LOGGED_IN", "PIN_INCORRECT"),
    ("C_InitToken", "SESSION_EXISTS", "PIN_INCORRECT"),
    ("C_Sign", "BUFFER_TOO_SMALL", "DATA_INVALID"),
    # Said of other functions.
    ("C_Login", "PIN_LEN_RANGE", "PIN_TOO_WEAK"),
    ("C_GetSlotInfo", "TOKEN_NOT_PRESENT", "SLOT_ID_INVALID"),
    ("C_OpenSession", "SESSION_HANDLE_INVALID", "ARGUMENTS_BAD"),
    ("C_GenerateRandom", "RANDOM_NO_RNG", "RANDOM_SEED_NOT_SUPPORTED"),
]


@pytest.mark.parametrize(("function", "one", "other"), UNDECIDED)
def test_undecided(function: str, one: str, other: str) -> None:
    assert not {(CKR[one], CKR[other]), (CKR[other], CKR[one])} & decided(function)


INFERABLE = [
    ("C_GenerateKey", "EXCEEDED_MAX_ITERATIONS", "SESSION_HANDLE_INVALID"),
    ("C_Initialize", "FIPS_SELF_TEST_FAILED", "HOST_MEMORY"),
    ("C_Sign", "DEVICE_MEMORY", "SESSION_CLOSED"),
    ("C_Sign", "TOKEN_NOT_PRESENT", "SESSION_CLOSED"),
]


@pytest.mark.parametrize(("function", "high", "low"), INFERABLE)
def test_nothing_is_inferred_through_a_third_code(function: str, high: str, low: str) -> None:
    assert (CKR[high], CKR[low]) not in decided(function)


DECIDED = [
    ("C_Sign", "DEVICE_REMOVED", "SESSION_CLOSED"),
    ("C_GetTokenInfo", "TOKEN_NOT_PRESENT", "DEVICE_REMOVED"),
    ("C_GetTokenInfo", "TOKEN_NOT_PRESENT", "SLOT_ID_INVALID"),
    ("C_GetTokenInfo", "GENERAL_ERROR", "HOST_MEMORY"),
    ("C_Login", "SESSION_HANDLE_INVALID", "TOKEN_NOT_PRESENT"),
    ("C_Login", "SESSION_HANDLE_INVALID", "PIN_INCORRECT"),
    ("C_Login", "SESSION_HANDLE_INVALID", "ARGUMENTS_BAD"),
    ("C_SetPIN", "PIN_LEN_RANGE", "PIN_TOO_WEAK"),
    ("C_SetPIN", "TOKEN_WRITE_PROTECTED", "SESSION_READ_ONLY"),
    ("C_Encrypt", "ENCRYPTED_DATA_LEN_RANGE", "ENCRYPTED_DATA_INVALID"),
    ("C_SeedRandom", "RANDOM_NO_RNG", "RANDOM_SEED_NOT_SUPPORTED"),
    ("C_Login", "FUNCTION_FAILED", "EXCEEDED_MAX_ITERATIONS"),
]


@pytest.mark.parametrize(("function", "high", "low"), DECIDED)
def test_decided(function: str, high: str, low: str) -> None:
    version = V2_01 if high == "FUNCTION_FAILED" else V2_40
    assert (CKR[high], CKR[low]) in decided(function, version)


@pytest.mark.parametrize("version", [V2_01, V2_40, V3_2])
def test_neither_outranks_the_other_where_the_text_says_both(version: Version) -> None:
    for name, signature in SIGNATURES.items():
        said = {(r.higher, r.lower) for r in RELATIONS if r.applies(signature, version, resolve({}))}
        clash = {(a, b) for a, b in said if (b, a) in said}
        assert not clash & decided(name, version)
        assert [p for p in clash if not any({*p} <= {*c.codes} for c in CONTRADICTIONS)] == []
        assert not {(b, a) for a, b in decided(name, version)} & decided(name, version)


NOT_INITIALIZED, INVALID, BAD, ABSENT = (
    CKR.CRYPTOKI_NOT_INITIALIZED,
    CKR.SESSION_HANDLE_INVALID,
    CKR.ARGUMENTS_BAD,
    CKR.TOKEN_NOT_PRESENT,
)


@pytest.mark.parametrize(
    ("reading", "yes", "no"),
    [
        ("either", [], [(NOT_INITIALIZED, INVALID), (INVALID, NOT_INITIALIZED), (NOT_INITIALIZED, BAD)]),
        ("first", [(NOT_INITIALIZED, INVALID), (NOT_INITIALIZED, BAD)], [(INVALID, NOT_INITIALIZED)]),
        ("literal", [(INVALID, NOT_INITIALIZED)], [(NOT_INITIALIZED, INVALID), (NOT_INITIALIZED, BAD)]),
    ],
)
def test_a_01(reading: str, yes: list[Pair], no: list[Pair]) -> None:
    found = decided("C_Login", readings={**CLASS_ORDER, "A-01": reading})
    assert set(yes) <= found
    assert not set(no) & found
    assert ((ABSENT, NOT_INITIALIZED) in decided("C_GetTokenInfo", readings={"A-01": reading})) is (
        reading == "literal"
    )


@pytest.mark.parametrize(("reading", "binds"), [("class order", True), ("advice", False)])
def test_a_02(reading: str, binds: bool) -> None:
    found = order("C_GetSessionInfo", V2_40, resolve({"A-02": reading}))
    assert ((INVALID, BAD) in found.decide) is binds
    assert (INVALID, BAD) in found.stated


@settings(max_examples=80, deadline=None)
@given(s=states(), data=st.data())
def test_nothing_outranked_is_permitted(s: State, data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(MODELS))
    for call in data.draw(some_calls(model, s)):
        firm = {r.code for r in applicable(model, s, call) if forbids_ok(r)}
        pairs = decided(call.function, readings=model.readings)
        outranked = {low for high, low in pairs if high in firm}
        assert not outranked & permitted(model, s, call)


MODELS = [build(), build(readings={"A-01": "first", "A-30": "all writing"}), build(readings={"A-01": "literal"})]
