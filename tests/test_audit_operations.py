"""What an audit of the table found on operations (5.8 to 5.12), each as what may be returned, or what comes of it.

Numbers are those of the audit: W a row that forbade what the text allows, M a situation that was missing, L a label,
E an effect, O an answer of the oracle. Each case fails on the table that was audited.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from conftest import Step, codes

from p11conform.model.call import Args, Buffer, Call, Data, Observation
from p11conform.model.oracle import Model, build, outputs, permitted, successors
from p11conform.model.rule import Strength
from p11conform.model.state import Kept, Kind, Login, Mech, Object, Origin, Session, Slot, State, put_slot
from p11conform.model.vocabulary import CKR, Version
from p11conform.properties.engine.verdict import Outcome, judge
from p11conform.properties.reports.findings import explain

AES, SECRET, RSA_PUBLIC, RSA_PRIVATE, EC_PUBLIC, EC_PRIVATE, NOWHERE = range(7)
KINDS = (Kind.AES, Kind.GENERIC_SECRET, Kind.RSA_PUBLIC, Kind.RSA_PRIVATE, Kind.EC_PUBLIC, Kind.EC_PRIVATE)
USER_IN = State(
    initialized=True,
    slots=(Slot(login=Login.USER), Slot()),
    sessions=(Session(True, 0, True), Session(True, 0, True), Session()),
    objects=tuple(Object(True, True, kind, origin=Origin.GENERATED) for kind in KINDS),
)
NOBODY_IN = put_slot(USER_IN, 0, Slot())
FREE = put_slot(USER_IN, 0, Slot(login_required=False))
EXPIRED = put_slot(USER_IN, 0, Slot(login=Login.USER, user_pin_to_be_changed=True))
DUAL = put_slot(USER_IN, 0, Slot(login=Login.USER, dual=True))
DEFAULT = build()


def do(function: str, **args: Any) -> Call:
    return Call(function, Args(**{"key": AES, "mechanism": Mech.AES_ECB} | args))


def follow(model: Model, start: State, steps: Iterable[Step]) -> frozenset[State]:
    """The states that a module may be in after calls that returned OK, or the code beside them."""
    beliefs = frozenset({start})
    for step in steps:
        call, code = step if isinstance(step, tuple) else (step, CKR.OK)
        beliefs = frozenset(
            t for s in beliefs if code in permitted(model, s, call) for t in successors(model, s, call, code)
        )
        assert beliefs, f"{call.function} cannot return {code}"
    return beliefs


@dataclass(frozen=True)
class Case:
    """After some calls the last one may return all of `may`, and none of `never`."""

    item: str
    start: State
    steps: tuple[Step, ...]
    last: Call
    may: str = ""
    never: str = ""
    model: Model = DEFAULT


ENCRYPT_INIT, DECRYPT_INIT = do("C_EncryptInit"), do("C_DecryptInit")
DIGEST_INIT = do("C_DigestInit", mechanism=Mech.SHA256)
SIGN_INIT = do("C_SignInit", mechanism=Mech.SHA256_HMAC, key=SECRET)
VERIFY_INIT = replace(SIGN_INIT, function="C_VerifyInit")
ECDSA_SIGN = do("C_SignInit", mechanism=Mech.ECDSA, key=EC_PRIVATE)
RECOVER_SIGN = do("C_SignRecoverInit", mechanism=Mech.RSA_PKCS, key=RSA_PRIVATE)
VERIFY_ECDSA = do("C_VerifyInit", mechanism=Mech.ECDSA, key=EC_PUBLIC)
RECOVER_INIT = do("C_VerifyRecoverInit", mechanism=Mech.RSA_PKCS, key=RSA_PUBLIC)
TAMPERED = do("C_Verify", signature=Data.TAMPERED)
SIGNED = (SIGN_INIT, do("C_Sign"))
NO_MECHANISM = do("C_EncryptInit", null=True)

WORKING = tuple(
    do(f"C_{name}")
    for names in (
        "Encrypt EncryptUpdate EncryptFinal",
        "Decrypt DecryptUpdate DecryptFinal",
        "Digest DigestUpdate DigestKey DigestFinal",
        "Sign SignUpdate SignFinal SignRecover",
        "Verify VerifyUpdate VerifyFinal VerifyRecover",
        "DigestEncryptUpdate DecryptDigestUpdate SignEncryptUpdate DecryptVerifyUpdate",
    )
    for name in names.split()
)
"""Every function that works on an operation."""

LENIENT, EXACT = build(readings={"A-15": "lenient"}), build(readings={"A-39": "known lengths exact"})
CANCELS = build(readings={"A-27": "cancels"})

CASES = (
    *(
        Case("W4", USER_IN, (start,), do(end, buffer=Buffer.SHORT), may="OK BUFFER_TOO_SMALL")
        for start, end in (
            (DIGEST_INIT, "C_Digest"),
            (DIGEST_INIT, "C_DigestFinal"),
            (SIGN_INIT, "C_Sign"),
            (SIGN_INIT, "C_SignFinal"),
            (RECOVER_SIGN, "C_SignRecover"),
        )
    ),
    *(Case("M1", NOBODY_IN, (), call, may="OPERATION_NOT_INITIALIZED USER_NOT_LOGGED_IN") for call in WORKING),
    Case("M1", NOBODY_IN, (ENCRYPT_INIT,), do("C_Encrypt"), may="OK USER_NOT_LOGGED_IN"),
    Case("M1", NOBODY_IN, (DIGEST_INIT,), do("C_DigestKey"), may="OK USER_NOT_LOGGED_IN"),
    *(Case("M7", EXPIRED, (), call, may="OPERATION_NOT_INITIALIZED PIN_EXPIRED") for call in WORKING),
    *(
        Case("M8", USER_IN, (start,), do(end), may="OK EXCEEDED_MAX_ITERATIONS")
        for start, end in (
            (ECDSA_SIGN, "C_Sign"),
            (do("C_SignInit", mechanism=Mech.SHA256_RSA_PKCS, key=RSA_PRIVATE), "C_SignFinal"),
            (RECOVER_SIGN, "C_SignRecover"),
        )
    ),
    *(Case("M9", USER_IN, (), call, may="OK PUBLIC_KEY_INVALID") for call in (VERIFY_ECDSA, RECOVER_INIT)),
    *(
        Case("M12", USER_IN, (), replace(call, args=replace(call.args, key=NOWHERE)), may="OBJECT_HANDLE_INVALID")
        for call in (ENCRYPT_INIT, DECRYPT_INIT, SIGN_INIT, VERIFY_INIT, RECOVER_SIGN, RECOVER_INIT)
    ),
    Case("M12", USER_IN, (DIGEST_INIT,), do("C_DigestKey", key=NOWHERE), may="OBJECT_HANDLE_INVALID"),
    *(
        Case("M14", USER_IN, (start, step), do(whole), may="OK OPERATION_ACTIVE OPERATION_NOT_INITIALIZED")
        for start, part, whole in (
            (ENCRYPT_INIT, do("C_EncryptUpdate", buffer=Buffer.NULL), "C_Encrypt"),
            (ENCRYPT_INIT, do("C_EncryptUpdate", buffer=Buffer.SHORT), "C_Encrypt"),
            (DECRYPT_INIT, do("C_DecryptUpdate", buffer=Buffer.NULL), "C_Decrypt"),
        )
        for step in ((part, CKR.BUFFER_TOO_SMALL) if part.args.buffer == Buffer.SHORT else part,)
    ),
    Case("M6", USER_IN, (), do("C_EncryptInit", mechanism=Mech.UNKNOWN), may="ARGUMENTS_BAD MECHANISM_INVALID"),
    Case("M6", USER_IN, (), do("C_EncryptInit", mechanism=Mech.SHA256), may="ARGUMENTS_BAD MECHANISM_INVALID"),
    Case("M6", USER_IN, (), do("C_EncryptInit", key=NOWHERE), may="ARGUMENTS_BAD KEY_HANDLE_INVALID"),
    Case("M6", USER_IN, (), do("C_EncryptInit", key=SECRET), may="ARGUMENTS_BAD KEY_TYPE_INCONSISTENT"),
    *(
        Case("O1", USER_IN, (start,), last, may="OK", never="OPERATION_ACTIVE")
        for start, last in (
            (DIGEST_INIT, do("C_DigestUpdate")),
            (DIGEST_INIT, do("C_DigestKey")),
            (ENCRYPT_INIT, do("C_EncryptUpdate")),
            (DECRYPT_INIT, do("C_DecryptUpdate")),
            (SIGN_INIT, do("C_SignUpdate")),
            (VERIFY_INIT, do("C_VerifyUpdate")),
        )
    ),
    Case("O1", DUAL, (DIGEST_INIT, ENCRYPT_INIT), do("C_DigestEncryptUpdate"), may="OK", never="OPERATION_ACTIVE"),
    *(
        Case("O1", USER_IN, (start, query), part, may="OK OPERATION_ACTIVE")
        for start, query, part in (
            (ENCRYPT_INIT, do("C_Encrypt", buffer=Buffer.NULL), do("C_EncryptUpdate")),
            (DIGEST_INIT, (do("C_Digest", buffer=Buffer.SHORT), CKR.BUFFER_TOO_SMALL), do("C_DigestUpdate")),
        )
    ),
    Case("O1", USER_IN, (ENCRYPT_INIT, do("C_Encrypt", buffer=Buffer.NULL)), do("C_Encrypt"), may="OK"),
    Case(
        "O2",
        USER_IN,
        (*SIGNED, VERIFY_INIT, (TAMPERED, CKR.SIGNATURE_INVALID)),
        do("C_Verify"),
        may="OPERATION_NOT_INITIALIZED",
        never="OK",
        model=LENIENT,
    ),
    Case("O3", USER_IN, (), NO_MECHANISM, may="ARGUMENTS_BAD MECHANISM_INVALID MECHANISM_PARAM_INVALID"),
    Case(
        "O3",
        USER_IN,
        (),
        do("C_EncryptInit", mechanism=Mech.SHA256, null=True),
        may="ARGUMENTS_BAD",
        never="KEY_TYPE_INCONSISTENT",
    ),
    *(
        Case("O4", USER_IN, (start,), last, may="BUFFER_TOO_SMALL", never="OK", model=EXACT)
        for start, last in (
            *(
                (do("C_EncryptInit", mechanism=mech), do("C_Encrypt", buffer=Buffer.SHORT))
                for mech in (Mech.AES_ECB, Mech.AES_CBC, Mech.AES_CTR)
            ),
            (ECDSA_SIGN, do("C_Sign", buffer=Buffer.SHORT)),
        )
    ),
    Case("O7", USER_IN, (ENCRYPT_INIT,), NO_MECHANISM, may="OK", model=CANCELS),
    Case("O7", USER_IN, (ENCRYPT_INIT,), do("C_EncryptInit", key=NOWHERE, null=True), may="OK", model=CANCELS),
    Case("O7", USER_IN, (ENCRYPT_INIT, NO_MECHANISM), do("C_Encrypt"), may="OPERATION_NOT_INITIALIZED", model=CANCELS),
    Case("O7", USER_IN, (ENCRYPT_INIT,), NO_MECHANISM, may="OK OPERATION_CANCEL_FAILED", model=build(Version.V3_0)),
)


@pytest.mark.parametrize("case", CASES, ids=lambda x: f"{x.item}-{x.last.function}-{'-'.join(x.may.split())}")
def test_items(case: Case) -> None:
    beliefs = follow(case.model, case.start, case.steps)
    found = {code for s in beliefs for code in permitted(case.model, s, case.last)}
    assert codes(case.may) <= found
    assert not codes(case.never) & found


def test_m1_a_token_without_login_asks_for_nobody() -> None:
    """The same calls where CKF_LOGIN_REQUIRED is clear, so that M1 is not too lenient."""
    without_private = [x for x in WORKING if x.function not in ("C_Decrypt", "C_Sign")]
    assert all(CKR.USER_NOT_LOGGED_IN not in permitted(DEFAULT, FREE, call) for call in without_private)


def test_m1_a_refusal_before_the_operation_may_leave_it_alone() -> None:
    """Who asks for the user first, or for a PIN to be changed, need not have looked at the operation (A-71)."""
    for start, code in ((NOBODY_IN, CKR.USER_NOT_LOGGED_IN), (EXPIRED, CKR.PIN_EXPIRED)):
        after = follow(DEFAULT, start, (ENCRYPT_INIT, (do("C_Encrypt"), code)))
        assert {s.sessions[0].operations.encrypt.phase > 0 for s in after} == {True, False}


def test_e7_and_a_15_an_error_in_the_arguments_ends_an_operation() -> None:
    """Nothing that 5.8 says makes an exception of it; the lenient reading is for it alone."""
    for call in (do("C_Encrypt", null=True), do("C_Encrypt", data=Data.NULL), do("C_EncryptUpdate", null=True)):
        steps = (ENCRYPT_INIT, (call, CKR.ARGUMENTS_BAD))
        assert {s.sessions[0].operations.encrypt.phase for s in follow(DEFAULT, USER_IN, steps)} == {0}
        assert len(follow(LENIENT, USER_IN, steps)) == 2
    odd = (ENCRYPT_INIT, (do("C_Encrypt", data=Data.ODD), CKR.DATA_LEN_RANGE))
    assert {s.sessions[0].operations.encrypt.phase for s in follow(LENIENT, USER_IN, odd)} == {0}


def test_w4_a_short_buffer_that_was_enough_has_all_the_effects_of_one_that_is() -> None:
    short = do("C_Encrypt", buffer=Buffer.SHORT)
    (s,) = follow(DEFAULT, USER_IN, (ENCRYPT_INIT, short))
    assert s.ciphertext == Kept(True, Mech.AES_ECB, AES)
    assert dict(outputs(DEFAULT, s, short, CKR.OK)) == {"length": (32,)}
    (s,) = follow(DEFAULT, USER_IN, (SIGN_INIT, do("C_Sign", buffer=Buffer.SHORT)))
    assert s.signature == Kept(True, Mech.SHA256_HMAC, SECRET)
    assert s.sessions == USER_IN.sessions


def wrap(**args: Any) -> Call:
    return do("C_WrapKey", **{"mechanism": Mech.RSA_PKCS, "key": RSA_PUBLIC, "other_key": AES} | args)


PADDED = do("C_EncryptInit", mechanism=Mech.AES_CBC_PAD)


@pytest.mark.parametrize(
    ("steps", "last", "need"),
    [
        ((DIGEST_INIT,), do("C_Digest"), 32),
        ((DIGEST_INIT,), do("C_DigestFinal"), 32),
        ((do("C_DigestInit", mechanism=Mech.SHA_1),), do("C_Digest"), 20),
        ((SIGN_INIT,), do("C_Sign", data=Data.EMPTY), 32),
        ((SIGN_INIT, do("C_SignUpdate")), do("C_SignFinal"), 32),
        ((RECOVER_SIGN,), do("C_SignRecover"), 256),
        ((ECDSA_SIGN,), do("C_Sign"), 64),
        ((PADDED,), do("C_Encrypt"), 48),
        ((), do("C_GetSlotList"), 2),
        ((), do("C_GetMechanismList"), len(Slot().mechanisms)),
        ((), wrap(), 256),
    ],
)
def test_o10_the_length_told_is_not_below_the_need(steps: tuple[Step, ...], last: Call, need: int) -> None:
    """5.2 lets it exceed the need, so that a larger one is right."""
    beliefs = follow(DEFAULT, USER_IN, steps)
    for buffer, code in ((Buffer.NULL, CKR.OK), (Buffer.SHORT, CKR.BUFFER_TOO_SMALL)):
        call = replace(last, args=replace(last.args, buffer=buffer))
        for told, outcome in ((need - 1, Outcome.FAIL), (0, Outcome.FAIL), (need, Outcome.PASS), (999, Outcome.PASS)):
            verdict, _ = judge(DEFAULT, beliefs, call, Observation(code, (("length", told),)))
            assert verdict.outcome is outcome, (buffer, told)
            if outcome is Outcome.FAIL:
                assert f"leaves only {need} or more" in explain(DEFAULT, verdict, ())


@pytest.mark.parametrize(
    ("steps", "last"),
    [
        ((PADDED,), do("C_Encrypt", data=Data.EMPTY)),
        ((PADDED, do("C_EncryptUpdate")), do("C_EncryptFinal")),
        ((DECRYPT_INIT,), do("C_Decrypt")),
        ((DIGEST_INIT,), do("C_GetOperationState")),
        ((), wrap(mechanism=Mech.AES_KEY_WRAP, key=AES, other_key=SECRET)),
    ],
)
def test_o10_what_an_unknown_need_is_told_to_be_is_not_judged(steps: tuple[Step, ...], last: Call) -> None:
    query = replace(last, args=replace(last.args, buffer=Buffer.NULL))
    beliefs = follow(DEFAULT, USER_IN, steps)
    assert judge(DEFAULT, beliefs, query, Observation(CKR.OK, (("length", 0),)))[0].outcome is Outcome.PASS


def test_o7_a_null_mechanism_ends_what_is_active_and_begins_nothing() -> None:
    (s,) = follow(CANCELS, DUAL, (DIGEST_INIT, replace(DIGEST_INIT, args=replace(DIGEST_INIT.args, null=True))))
    assert s == DUAL
    assert CKR.OK not in permitted(DEFAULT, USER_IN, NO_MECHANISM)


def rows(function: str, code: CKR) -> dict[str, tuple[Strength, str]]:
    return {r.id: (r.strength, r.place) for r in DEFAULT.functions[function].rules if r.code == code}


INITS = ("C_EncryptInit", "C_DecryptInit", "C_SignInit", "C_SignRecoverInit", "C_VerifyInit", "C_VerifyRecoverInit")


@pytest.mark.parametrize("function", [*INITS, "C_DigestKey"])
def test_l1_a_bad_key_handle_is_where_its_code_is_defined(function: str) -> None:
    assert rows(function, CKR.KEY_HANDLE_INVALID)["key-invalid"] == (Strength.MUST, "5.1.6 CKR_KEY_HANDLE_INVALID")


@pytest.mark.parametrize(
    "function", [*INITS, "C_DigestInit", "C_WrapKey", "C_UnwrapKey", "C_DeriveKey", "C_GenerateKey"]
)
def test_l2_the_code_of_a_bad_mechanism_is_called_appropriate_and_so_inferred(function: str) -> None:
    found = rows(function, CKR.MECHANISM_INVALID)
    assert {found[id][0] for id in ("mechanism-unknown", "mechanism-foreign")} == {Strength.INFERRED}


@pytest.mark.parametrize("function", ["C_Sign", "C_SignRecover", "C_Encrypt"])
def test_l2_only_encryption_says_what_becomes_of_data_of_a_bad_length(function: str) -> None:
    strength, _ = rows(function, CKR.DATA_LEN_RANGE)["data-length-unfit"]
    assert strength is (Strength.MUST if function == "C_Encrypt" else Strength.INFERRED)


@pytest.mark.parametrize("function", ["C_Verify", "C_VerifyRecover"])
def test_l3_the_code_of_a_signature_of_a_wrong_length_is_inferred(function: str) -> None:
    assert rows(function, CKR.SIGNATURE_LEN_RANGE)["signature-cut"][0] is Strength.INFERRED


def test_m16_a_hidden_key_is_a_matter_of_the_user_on_every_token() -> None:
    hidden = replace(FREE, objects=(Object(True, False, Kind.AES, private=True), *FREE.objects[1:]))
    assert {CKR.USER_NOT_LOGGED_IN, CKR.KEY_HANDLE_INVALID} <= permitted(DEFAULT, hidden, ENCRYPT_INIT)


def test_every_row_says_where_it_stands_and_what_stands_there() -> None:
    mine = [f for f in DEFAULT.functions.values() if f.signature.section in ("5.8", "5.9", "5.10", "5.11", "5.12")]
    assert len(mine) == 29
    assert [(f.name, r.id) for f in mine for r in f.rules if not (r.id and r.says and " " in r.place)] == []
    assert [(f.name, e.name) for f in mine for e in f.effects if " " not in e.place] == []
