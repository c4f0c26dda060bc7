"""Rows that turned round: each as a story, told by every version before the turn and by every one after it."""

from typing import Any

import pytest
from conftest import INIT, LOGIN, OPEN, Step, after, codes

from p11conform.model.call import Args, Attribute, Call, Data, Flaw
from p11conform.model.interface import COVERED
from p11conform.model.oracle import build, permitted
from p11conform.model.state import Kind, Mech, Object, Pin, Slot, State
from p11conform.model.vocabulary import Version

V2_20, V3_0, V3_2 = Version.V2_20, Version.V3_0, Version.V3_2
MODELS = {v: build(v) for v in COVERED if v >= V2_20}
START = State(slots=(Slot(),), objects=(Object(),) * 4)
FACTORY = State(slots=(Slot(initialized=False, so_pin=Pin.NULL, user_pin=Pin.NULL),))


def c(function: str, **given: Any) -> Call:
    return Call(function, Args(**given))


USER = (INIT, OPEN, LOGIN)
AES, SECRET = c("C_GenerateKey", mechanism=Mech.AES_KEY_GEN), c("C_GenerateKey", mechanism=Mech.GENERIC_SECRET_KEY_GEN)
PAIR = c("C_GenerateKeyPair", mechanism=Mech.RSA_PKCS_KEY_PAIR_GEN)
WRAP = c("C_WrapKey", mechanism=Mech.AES_KEY_WRAP, key=0, other_key=1)
UNWRAP = c("C_UnwrapKey", mechanism=Mech.AES_KEY_WRAP, key=0, data=Data.KEPT, flaw=Flaw.VALUE_LEN)

BEGUN = {
    "Encrypt": (AES, c("C_EncryptInit", mechanism=Mech.AES_CBC)),
    "Decrypt": (AES, c("C_DecryptInit", mechanism=Mech.AES_CBC)),
    "Digest": (c("C_DigestInit"),),
    "Sign": (SECRET, c("C_SignInit", mechanism=Mech.SHA256_HMAC)),
    "Verify": (SECRET, c("C_VerifyInit", mechanism=Mech.SHA256_HMAC)),
    "SignRecover": (PAIR, c("C_SignRecoverInit", mechanism=Mech.RSA_PKCS, key=1)),
    "VerifyRecover": (PAIR, c("C_VerifyRecoverInit", mechanism=Mech.RSA_PKCS)),
}
"""How each kind of operation is begun."""

NOTHING = ""
TURNED: list[tuple[Version, State, tuple[Step, ...], Call, str, str]] = [
    # Without a mechanism an Init fails; since v3.0 it ends what is active, if the token can.
    *(
        (
            V3_0,
            START,
            (*USER, *begun),
            c(f"C_{kind}Init", null=True),
            "MECHANISM_INVALID MECHANISM_PARAM_INVALID",
            "OK OPERATION_CANCEL_FAILED",
        )
        for kind, begun in BEGUN.items()
    ),
    # Where nothing is active, that is nothing to end; no code is given for it.
    (V3_0, START, USER, c("C_DigestInit", null=True), NOTHING, "OK OPERATION_NOT_INITIALIZED"),
    # CKA_UNIQUE_ID may be anything of a vendor's; since v3.0 every object has one, which only the token sets.
    *(
        (V3_0, START, (*USER, *made), call, "OK", NOTHING)
        for made, call in (
            ((), c("C_CreateObject", kind=Kind.DATA, flaw=Flaw.UNIQUE_ID)),
            ((AES,), c("C_CopyObject", attribute=Attribute.UNIQUE_ID)),
            ((), c("C_GenerateKey", mechanism=Mech.AES_KEY_GEN, flaw=Flaw.UNIQUE_ID)),
            ((AES,), c("C_SetAttributeValue", attribute=Attribute.UNIQUE_ID)),
        )
    ),
    (
        V3_0,
        START,
        (*USER, AES),
        c("C_GetAttributeValue", attribute=Attribute.UNIQUE_ID),
        "ATTRIBUTE_TYPE_INVALID",
        "OK",
    ),
    # A code for want of resources, which only lists speak of.
    *(
        (V3_0, START, (*USER, *BEGUN[kind]), c(f"C_{kind}{step}"), NOTHING, "TOKEN_RESOURCE_EXCEEDED")
        for kind, steps in (("Sign", ("", "Update")), ("Verify", ("", "Update")), ("SignRecover", ("",)))
        for step in steps
    ),
    # A mechanism is unknown before it comes.
    (V3_0, START, USER, c("C_DigestInit", mechanism=Mech.SHA3_256), "MECHANISM_INVALID", "OK"),
    # A token in its factory state, and one that wants a seed, have codes of their own.
    *(
        (V3_2, FACTORY, (INIT,), call, NOTHING, "TOKEN_NOT_INITIALIZED")
        for call in (OPEN, c("C_GetTokenInfo"), c("C_GetMechanismList"))
    ),
    (V3_2, FACTORY, (INIT, OPEN), LOGIN, NOTHING, "TOKEN_NOT_INITIALIZED"),
    (V3_2, START, (INIT, OPEN), c("C_GenerateRandom"), NOTHING, "SEED_RANDOM_REQUIRED"),
    # A length given for a key that has it anyway is barred; since v3.2 only one that conflicts, by a code of its own.
    (V3_2, START, (*USER, AES, AES, WRAP), UNWRAP, NOTHING, "WRAPPED_KEY_LEN_RANGE"),
    # What a token may know no parameter set of, came with the mechanisms that have them.
    (
        V3_2,
        START,
        USER,
        c("C_GenerateKeyPair", mechanism=Mech.ML_KEM_KEY_PAIR_GEN),
        "MECHANISM_INVALID",
        "OK PARAMETER_SET_NOT_SUPPORTED",
    ),
    # Functions of before v2.0 cannot succeed; since v3.2 they list CKR_OK all the same.
    *((V3_2, START, (INIT, OPEN), c(name), NOTHING, "OK") for name in ("C_GetFunctionStatus", "C_CancelFunction")),
]
"""The version that turned, what leads to the call, and the codes that are permitted only before, and only since."""


@pytest.mark.parametrize("version", MODELS, ids=str)
@pytest.mark.parametrize(("since", "start", "steps", "call", "before", "then"), TURNED)
def test_a_row_turns_round(
    version: Version, since: Version, start: State, steps: tuple[Step, ...], call: Call, before: str, then: str
) -> None:
    model = MODELS[version]
    known = Call(call.function, model.functions[call.function].known(call.args))
    allowed = {code for s in after(model, start, steps) for code in permitted(model, s, known)}
    there, gone = map(codes, (then, before) if since <= version else (before, then))
    assert there <= allowed
    assert not gone & allowed


def test_a_story_is_told_of_both_sides() -> None:
    for since, _, _, call, _, _ in TURNED:
        told = [v for v in MODELS if call.function in MODELS[v].functions]
        assert {since <= v for v in told} == {False, True}, call
