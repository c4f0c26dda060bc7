"""The table in v2.01, v2.20 and v2.40: what changed between them, and nothing else."""

from typing import Any

import pytest
from conftest import INIT, LOGIN, LOGIN_SO, ONE_SLOT, OPEN, Step, after, codes

from p11conform.model.call import Args, Call
from p11conform.model.decide import forbids_ok
from p11conform.model.oracle import Model, build, permitted
from p11conform.model.state import Pin, Slot, State
from p11conform.model.vocabulary import CKR, CKU, Version

VERSIONS = (Version.V2_01, Version.V2_20, Version.V2_40)
MODELS = {v: build(v, {"A-63": "valid"}) for v in VERSIONS}
TO_BE_CHANGED = State(slots=(Slot(user_pin_to_be_changed=True),))
NO_USER_PIN = State(slots=(Slot(user_pin=Pin.NULL),))

USER_IN, SO_IN = (INIT, OPEN, LOGIN), (INIT, OPEN, LOGIN_SO)


def of(function: str, **given: Any) -> Call:
    return Call(function, Args(**given))


CHANGES = [
    # The PIN that expired kept its user out in v2.01; since then it only wants to be changed.
    ((INIT, OPEN), LOGIN, "OK PIN_EXPIRED", "OK", "OK"),
    (USER_IN, of("C_DigestInit"), "OK", "OK PIN_EXPIRED", "OK PIN_EXPIRED"),
    # The context-specific user came with v2.20.
    (
        USER_IN,
        of("C_Login", user=CKU.CONTEXT_SPECIFIC),
        "USER_TYPE_INVALID ARGUMENTS_BAD",
        "OPERATION_NOT_INITIALIZED",
        "OPERATION_NOT_INITIALIZED",
    ),
    # v2.40 has codes for what keeps a library from starting, and for a PIN too weak.
    ((), INIT, "OK", "OK", "OK FIPS_SELF_TEST_FAILED LIBRARY_LOAD_FAILED"),
    (SO_IN, of("C_InitPIN"), "OK PIN_INVALID", "OK PIN_INVALID", "OK PIN_INVALID PIN_TOO_WEAK"),
    (USER_IN, of("C_SetPIN"), "OK PIN_INVALID", "OK PIN_INVALID", "OK PIN_INVALID PIN_TOO_WEAK"),
    # v2.01 has a code for unsuitable arguments, and lists it nearly nowhere.
    ((INIT,), of("C_GetInfo", null=True), "OK ARGUMENTS_BAD", "ARGUMENTS_BAD", "ARGUMENTS_BAD"),
    ((INIT,), of("C_GetSlotInfo", null=True), "OK ARGUMENTS_BAD", "ARGUMENTS_BAD", "ARGUMENTS_BAD"),
    ((INIT, OPEN), of("C_GetSessionInfo", null=True), "OK ARGUMENTS_BAD", "ARGUMENTS_BAD", "ARGUMENTS_BAD"),
    # And these never changed.
    ((INIT,), INIT, *["CRYPTOKI_ALREADY_INITIALIZED"] * 3),
    ((INIT,), of("C_Finalize", reserved=True), *["OK ARGUMENTS_BAD"] * 3),
    ((INIT,), of("C_InitToken", pin=Pin.SO), *["OK"] * 3),
    (USER_IN, of("C_OpenSession", rw=False), *["OK"] * 3),
    ((INIT, OPEN), of("C_Logout"), *["USER_NOT_LOGGED_IN"] * 3),
]


@pytest.mark.parametrize(("setup", "call", "in_2_01", "in_2_20", "in_2_40"), CHANGES)
def test_change(setup: tuple[Step, ...], call: Call, in_2_01: str, in_2_20: str, in_2_40: str) -> None:
    for model, expected in zip(MODELS.values(), (in_2_01, in_2_20, in_2_40), strict=True):
        (s,) = after(model, TO_BE_CHANGED, setup)
        assert permitted(model, s, call) == codes(expected), str(model.version)


@pytest.mark.parametrize(
    ("initial", "setup", "call", "free_in_2_01"),
    [
        (ONE_SLOT, (INIT,), of("C_InitToken", pin=Pin.WRONG), True),
        (ONE_SLOT, (INIT, OPEN), of("C_SetPIN"), False),
        (NO_USER_PIN, (INIT, OPEN), of("C_SetPIN"), False),
    ],
)
def test_pins_of_tokens(initial: State, setup: tuple[Step, ...], call: Call, free_in_2_01: bool) -> None:
    """v2.01 compares no SO PIN in C_InitToken, and bars C_SetPIN from the R/W public session; v2.20 does neither."""
    for model in MODELS.values():
        (s,) = after(model, initial, setup)
        free = CKR.OK in permitted(model, s, call)
        if initial is ONE_SLOT:
            assert free is (free_in_2_01 is (model.version is Version.V2_01))
        else:
            assert not free


_LIMITED = (
    *("EncryptInit", "DecryptInit", "SignInit", "SignRecoverInit", "VerifyInit", "VerifyRecoverInit", "DeriveKey"),
)
"""What is done with a key of which CKA_ALLOWED_MECHANISMS has a say, beside wrapping."""

DIFFERING = {
    ("C_Initialize", CKR.FIPS_SELF_TEST_FAILED, "not initialized"),
    ("C_Initialize", CKR.LIBRARY_LOAD_FAILED, "not initialized"),
    ("C_Login", CKR.PIN_EXPIRED, "login attempted"),
    ("C_Login", CKR.USER_TYPE_INVALID, "context specific"),
    ("C_Login", CKR.OPERATION_NOT_INITIALIZED, "context specific out of context"),
    ("C_Login", CKR.OPERATION_NOT_INITIALIZED, "context specific beside private operation"),
    ("C_Login", CKR.SESSION_READ_ONLY_EXISTS, "read only session exists"),
    ("C_OpenSession", CKR.SESSION_READ_WRITE_SO_EXISTS, "read only beside so"),
    ("C_Login", CKR.USER_NOT_LOGGED_IN, "context specific and nobody"),
    ("C_InitToken", CKR.PIN_INCORRECT, "so pin differs"),
    ("C_InitToken", CKR.PIN_TOO_WEAK, "so pin chosen"),
    ("C_InitPIN", CKR.PIN_TOO_WEAK, "new pin given"),
    ("C_SetPIN", CKR.PIN_TOO_WEAK, "new pin given"),
    ("C_SetPIN", CKR.USER_NOT_LOGGED_IN, "nobody logged in"),
    ("C_SetPIN", CKR.SESSION_READ_ONLY, "nobody logged in"),
    *(
        ("C_SetPIN", code, condition)
        for condition in ("user pin unset", "user pin not wanted")
        for code in (CKR.USER_PIN_NOT_INITIALIZED, CKR.USER_NOT_LOGGED_IN, CKR.PIN_LOCKED)
    ),
    *((name, CKR.FIPS_SELF_TEST_FAILED, "session valid") for name in ("C_SeedRandom", "C_GenerateRandom")),
    ("C_CopyObject", CKR.ACTION_PROHIBITED, "copy prohibited"),
    ("C_DestroyObject", CKR.ACTION_PROHIBITED, "destroying prohibited"),
    ("C_SetAttributeValue", CKR.ACTION_PROHIBITED, "changing prohibited"),
    *((f"C_{x}", CKR.ACTION_PROHIBITED, "object valid") for x in ("CopyObject", "DestroyObject", "SetAttributeValue")),
    ("C_CreateObject", CKR.PUBLIC_KEY_INVALID, "public key given"),
    *((f"C_{x}", CKR.EXCEEDED_MAX_ITERATIONS, "session valid") for x in ("GenerateKey", "GenerateKeyPair")),
    ("C_GenerateKeyPair", CKR.FIPS_SELF_TEST_FAILED, "session valid"),
    *(
        (f"C_{x}", CKR.PIN_EXPIRED, "private object while pin to be changed")
        for x in ("GetObjectSize", "GetAttributeValue")
    ),
    ("C_Sign", CKR.FUNCTION_REJECTED, "signing active"),
    ("C_SignFinal", CKR.FUNCTION_REJECTED, "signing active"),
    ("C_DeriveKey", CKR.PUBLIC_KEY_INVALID, "point invalid"),
    *(
        (name, code, condition)
        for name, condition in (
            ("C_CreateObject", "curve given"),
            ("C_GenerateKeyPair", "curve chosen"),
            ("C_DeriveKey", "curve chosen"),
        )
        for code in (CKR.DOMAIN_PARAMS_INVALID, CKR.CURVE_NOT_SUPPORTED)
    ),
    *(
        (name, code, condition)
        for name, condition in (
            ("C_Encrypt", "encryption at once after parts"),
            ("C_Decrypt", "decryption at once after parts"),
            ("C_Digest", "digesting at once after parts"),
            ("C_Sign", "signing at once after parts"),
            ("C_Verify", "verification at once after parts"),
        )
        for code in (CKR.OPERATION_ACTIVE, CKR.OPERATION_NOT_INITIALIZED)
    ),
    *(
        (f"C_{name}", CKR.PIN_EXPIRED, "pin to be changed")
        for name in (
            *("InitPIN", "GetOperationState", "SetOperationState", "SeedRandom", "GenerateRandom"),
            *("DigestInit", "EncryptInit", "DecryptInit", "SignInit", "VerifyInit", "SignRecoverInit"),
            *("VerifyRecoverInit", "FindObjectsInit", "CreateObject", "CopyObject", "DestroyObject"),
            *("SetAttributeValue", "GenerateKey", "GenerateKeyPair", "WrapKey", "UnwrapKey", "DeriveKey"),
            *("Encrypt", "EncryptUpdate", "EncryptFinal", "Decrypt", "DecryptUpdate", "DecryptFinal"),
            *("Digest", "DigestUpdate", "DigestKey", "DigestFinal", "Sign", "SignUpdate", "SignFinal", "SignRecover"),
            *("Verify", "VerifyUpdate", "VerifyFinal", "VerifyRecover", "DigestEncryptUpdate"),
            *("DecryptDigestUpdate", "SignEncryptUpdate", "DecryptVerifyUpdate"),
        )
    ),
    ("C_Login", CKR.USER_TYPE_INVALID, "context specific without users"),
    *(
        (f"C_{name}", code, "mechanism not allowed")
        for names, codes in (
            (("WrapKey",), (CKR.WRAPPING_KEY_TYPE_INCONSISTENT,)),
            (("UnwrapKey",), (CKR.UNWRAPPING_KEY_TYPE_INCONSISTENT,)),
            (_LIMITED, (CKR.KEY_TYPE_INCONSISTENT,)),
            ((*_LIMITED, "WrapKey", "UnwrapKey"), (CKR.MECHANISM_INVALID, CKR.KEY_FUNCTION_NOT_PERMITTED)),
        )
        for name in names
        for code in codes
    ),
    ("C_Sign", CKR.EXCEEDED_MAX_ITERATIONS, "signing by a public-key mechanism"),
    ("C_SignFinal", CKR.EXCEEDED_MAX_ITERATIONS, "signing by a public-key mechanism"),
    ("C_SignRecover", CKR.EXCEEDED_MAX_ITERATIONS, "signing with recovery by a public-key mechanism"),
    ("C_VerifyInit", CKR.PUBLIC_KEY_INVALID, "public key given for verification"),
    ("C_VerifyRecoverInit", CKR.PUBLIC_KEY_INVALID, "public key given for verification with recovery"),
}
"""Every row that some version lacks, or has with another strength, ARGUMENTS_BAD apart."""


def rows(model: Model) -> set[tuple[str, CKR, str, bool]]:
    return {(f.name, r.code, r.condition, forbids_ok(r)) for f in model.functions.values() for r in f.rules}


def test_versions_differ_in_these_rows_only() -> None:
    held = [rows(m) for m in MODELS.values()]
    changed = set[tuple[str, CKR, str, bool]]().union(*held) - set[tuple[str, CKR, str, bool]].intersection(*held)
    assert {row[:3] for row in changed if row[1] is not CKR.ARGUMENTS_BAD} == DIFFERING


POINTERS = {"null", "data", "signature", "want"}
"""Arguments that can be NULL where a pointer is needed; templates apart, for which another code stands too."""


def test_arguments_bad_became_firm_with_v2_20() -> None:
    came = "mechanism not allowed"  # with the attribute that says so
    bad = [{row for row in rows(m) if row[1] is CKR.ARGUMENTS_BAD and row[2] != came} for m in MODELS.values()]
    assert bad[1] == bad[2]
    assert {row[:3] for row in bad[0]} - {row[:3] for row in bad[1]} == {
        ("C_Login", CKR.ARGUMENTS_BAD, "context specific")  # a user type that v2.01 does not know
    }
    weakened = {row[:3] for row in bad[1] - bad[0]}
    assert weakened == {row[:3] for row in bad[0] - bad[1]} - {("C_Login", CKR.ARGUMENTS_BAD, "context specific")}
    assert {name for name, _, _ in weakened} == {
        f.name for f in MODELS[Version.V2_40].functions.values() if POINTERS & set(f.uses)
    }, "every function with a pointer that is no PIN"


@pytest.mark.parametrize(
    ("setup", "call", "expected"),
    [
        ((INIT,), of("C_InitToken", pin=Pin.WRONG), "OK PIN_INCORRECT PIN_LOCKED"),
        ((INIT, OPEN), of("C_SetPIN"), "SESSION_READ_ONLY USER_NOT_LOGGED_IN PIN_INVALID"),
    ],
)
def test_what_2_01_has_instead(setup: tuple[Step, ...], call: Call, expected: str) -> None:
    """It lists CKR_PIN_INCORRECT for C_InitToken, and one code for all states that bar C_SetPIN."""
    model = MODELS[Version.V2_01]
    (s,) = after(model, ONE_SLOT, setup)
    assert permitted(model, s, call) == codes(expected)


@pytest.mark.parametrize(
    ("lower", "upper", "ordered"),
    [("2.01", "2.20", True), ("2.40", "2.40", True), ("3.2", "2.40", False), ("2.40", "3.0", True)],
)
def test_versions_compare_by_publication(lower: str, upper: str, ordered: bool) -> None:
    assert (Version(lower) <= Version(upper)) is ordered
