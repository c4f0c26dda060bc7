"""What v3.2 brought: signatures given first, authenticated wrapping, encapsulation, calls that are pending, codes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from conftest import ONE_SLOT

from p11conform.adapters.application import Application
from p11conform.adapters.base import Binding
from p11conform.adapters.calls.concrete import Concrete, arguments, blank, noted
from p11conform.adapters.calls.table import CALLS
from p11conform.adapters.cryptoki import ffi
from p11conform.adapters.kept import CAPSULE, SIGNATURE
from p11conform.adapters.lane import Lane
from p11conform.model.call import Args, Awaited, Buffer, Call, Data, Flaw, Parameter, Validation
from p11conform.model.oracle import Model, applicable, build, following, legal_anyway, outputs, permitted
from p11conform.model.rule import Strength
from p11conform.model.state import Kind, Mech, Object, Pin, Slot, State, Trait
from p11conform.model.vocabulary import CKR, Version
from p11conform.properties.search.setups import likeliest

OLD, NEW = build(Version.V3_0), build(Version.V3_2)
START = State(slots=(Slot(),), sessions=ONE_SLOT.sessions, objects=(Object(),) * 4)


def c(function: str, **given: Any) -> Call:
    return Call(function, Args(**given))


INIT, OPEN, LOGIN = c("C_Initialize"), c("C_OpenSession"), c("C_Login")
USER = (INIT, OPEN, LOGIN)
AES, SECRET = (c("C_GenerateKey", mechanism=m) for m in (Mech.AES_KEY_GEN, Mech.GENERIC_SECRET_KEY_GEN))
PAIR = c("C_GenerateKeyPair", mechanism=Mech.ML_KEM_KEY_PAIR_GEN)
SIGNED = (*USER, SECRET, c("C_SignInit", mechanism=Mech.SHA256_HMAC, key=0), c("C_Sign"))
SEAL = c("C_WrapKeyAuthenticated", mechanism=Mech.AES_GCM, key=0, other_key=1)
SEALED = (*USER, AES, AES, SEAL)
GIVE = c("C_EncapsulateKey", mechanism=Mech.ML_KEM, key=0)


def begin(**given: Any) -> Call:
    return c("C_VerifySignatureInit", **{"mechanism": Mech.SHA256_HMAC, "key": 0, **given})


def unseal(**given: Any) -> Call:
    return c("C_UnwrapKeyAuthenticated", **{"mechanism": Mech.AES_GCM, "key": 0, "data": Data.KEPT, **given})


def take(**given: Any) -> Call:
    return c("C_DecapsulateKey", **{"mechanism": Mech.ML_KEM, "key": 1, "data": Data.KEPT, **given})


def after(model: Model, steps: Sequence[Call], start: State = START) -> State:
    """A state that calls lead to, each of which succeeds."""
    s = start
    for call in steps:
        assert CKR.OK in permitted(model, s, call), call
        s = likeliest(model, s, call)
    return s


def allowed(steps: Sequence[Call], call: Call, model: Model = NEW, start: State = START) -> frozenset[CKR]:
    return permitted(model, after(model, steps, start), call)


def firm(steps: Sequence[Call], call: Call) -> set[str]:
    """The codes that a call may fail with where it must fail; none where it may succeed."""
    s = after(NEW, steps)
    if CKR.OK in permitted(NEW, s, call):
        return set()
    strong = (Strength.MUST, Strength.INFERRED)
    return {r.code.name for r in applicable(NEW, s, call) if r.strength in strong}


def test_a_version_more_has_its_functions() -> None:
    come = NEW.functions.keys() - OLD.functions.keys()
    assert len(come) == 12
    assert build(Version.V3_1).functions.keys() == OLD.functions.keys()


# Signatures that are given first.


@pytest.mark.parametrize(
    ("signature", "codes"),
    [
        (Data.KEPT, set()),
        (Data.TAMPERED, {"SIGNATURE_INVALID"}),
        (Data.CUT, {"SIGNATURE_INVALID"}),
        (Data.EMPTY, set()),
    ],
)
def test_the_signature_that_was_given_is_judged(signature: Data, codes: set[str]) -> None:
    begun = (*SIGNED, begin(signature=signature))
    assert firm(begun, c("C_VerifySignature")) == codes
    may_be_invalid = CKR.SIGNATURE_INVALID in allowed(begun, c("C_VerifySignature"))
    assert may_be_invalid is (signature is not Data.KEPT)
    assert CKR.SIGNATURE_INVALID in allowed(begun, c("C_VerifySignature", data=Data.ODD))


def test_it_is_judged_by_what_was_kept_then() -> None:
    """Another signature made meanwhile does not change what was given."""
    again = (c("C_SignInit", mechanism=Mech.SHA256_HMAC, key=0), c("C_Sign", data=Data.ODD))
    assert firm((*SIGNED, begin(signature=Data.TAMPERED), *again), c("C_VerifySignature")) == {"SIGNATURE_INVALID"}


def test_a_verification_ends_whatever_it_says() -> None:
    begun = (*SIGNED, begin())
    assert firm((*begun, c("C_VerifySignature")), c("C_VerifySignature")) == {"OPERATION_NOT_INITIALIZED"}
    assert firm((*begun, c("C_VerifySignatureFinal")), c("C_VerifySignatureFinal")) == {"OPERATION_NOT_INITIALIZED"}
    s = after(NEW, (*SIGNED, begin(signature=Data.TAMPERED)))
    ended = following(NEW, s, c("C_VerifySignature"), CKR.SIGNATURE_INVALID)
    assert {x.sessions[0].operations for x in ended} == {after(NEW, SIGNED).sessions[0].operations}
    parts = (*begun, c("C_VerifySignatureUpdate"))
    assert "OPERATION_ACTIVE" in firm(parts, c("C_VerifySignature"))
    assert CKR.OK in allowed(parts, c("C_VerifySignatureFinal"))


def test_no_mechanism_ends_it_without_a_signature() -> None:
    cancel = begin(null=True, signature=Data.NULL)
    assert allowed((*SIGNED, begin()), cancel) >= {CKR.OK, CKR.OPERATION_CANCEL_FAILED}
    assert firm((*SIGNED, begin(), cancel), c("C_VerifySignature")) == {"OPERATION_NOT_INITIALIZED"}
    assert firm(SIGNED, begin(signature=Data.NULL)) == {"ARGUMENTS_BAD"}


# Authenticated wrapping.


@pytest.mark.parametrize("data", [Data.TAMPERED, Data.CUT])
def test_a_changed_blob_is_not_authentic(data: Data) -> None:
    assert firm(SEALED, unseal(data=data)) == {"WRAPPED_KEY_INVALID", "AEAD_DECRYPT_FAILED"}


def test_a_sealed_key_comes_out_again() -> None:
    assert CKR.AEAD_DECRYPT_FAILED not in allowed(SEALED, unseal())
    assert after(NEW, (*SEALED, unseal())).objects[2].kind is Kind.AES
    assert CKR.WRAPPED_KEY_INVALID in allowed((*USER, AES), unseal())
    assert "WRAPPING_KEY_HANDLE_INVALID" in firm((*USER, AES, AES), c(SEAL.function, mechanism=Mech.AES_GCM, key=4))
    unextractable = c("C_GenerateKey", mechanism=Mech.AES_KEY_GEN, trait=Trait.UNEXTRACTABLE)
    assert "KEY_UNEXTRACTABLE" in firm((*USER, AES, unextractable), SEAL)
    assert "MECHANISM_PARAM_INVALID" in firm(
        (*USER, AES, AES), c(SEAL.function, mechanism=Mech.AES_GCM, parameter=Parameter.WRONG, key=0, other_key=1)
    )


# Encapsulation.


def test_both_halves_come_to_a_key() -> None:
    s = after(NEW, (*USER, PAIR, GIVE))
    assert (s.objects[2].kind, s.capsule.valid) == (Kind.AES, True)
    told = dict(outputs(NEW, s, GIVE, CKR.OK))
    assert told["length"][0] == Mech.ML_KEM.facts.ciphertext
    assert CKR.WRAPPED_KEY_INVALID not in permitted(NEW, s, take())
    assert firm((*USER, PAIR, GIVE), take(data=Data.CUT)) == {"WRAPPED_KEY_INVALID", "WRAPPED_KEY_LEN_RANGE"}
    assert CKR.OK in allowed((*USER, PAIR, GIVE), take(data=Data.TAMPERED)), "another key comes out"


def test_without_a_place_nothing_is_made() -> None:
    ask = c("C_EncapsulateKey", mechanism=Mech.ML_KEM, key=0, buffer=Buffer.NULL)
    assert allowed((*USER, PAIR), ask) >= {CKR.OK, CKR.ARGUMENTS_BAD, CKR.BUFFER_TOO_SMALL}
    assert not after(NEW, (*USER, PAIR, ask)).objects[2].exists


def test_the_attribute_has_to_let_the_key_serve() -> None:
    denied = c("C_GenerateKeyPair", mechanism=Mech.ML_KEM_KEY_PAIR_GEN, trait=Trait.NO_USAGE)
    assert "KEY_FUNCTION_NOT_PERMITTED" in firm((*USER, denied), GIVE)
    assert "KEY_FUNCTION_NOT_PERMITTED" in firm((*USER, denied), take())
    assert "UNWRAPPING_KEY_TYPE_INCONSISTENT" in firm((*USER, PAIR), take(key=0))
    assert CKR.KEY_TYPE_INCONSISTENT in allowed((*USER, PAIR), take(key=0))


def test_parameter_sets_need_not_be_known() -> None:
    assert CKR.PARAMETER_SET_NOT_SUPPORTED in allowed(USER, PAIR)
    assert CKR.PARAMETER_SET_NOT_SUPPORTED in allowed((*USER, PAIR), GIVE)
    assert CKR.PARAMETER_SET_NOT_SUPPORTED not in allowed(USER, c("C_GenerateKeyPair", mechanism=Mech.EC_KEY_PAIR_GEN))


def test_a_length_that_conflicts_has_its_code_since_v3_2() -> None:
    wrapped = (*USER, AES, AES, c("C_WrapKey", mechanism=Mech.AES_KEY_WRAP, key=0, other_key=1))
    call = c("C_UnwrapKey", mechanism=Mech.AES_KEY_WRAP, key=0, data=Data.KEPT, flaw=Flaw.VALUE_LEN)
    assert firm(wrapped, call) == {"WRAPPED_KEY_LEN_RANGE"}
    f = OLD.functions["C_UnwrapKey"]
    assert Flaw.VALUE_LEN not in f.domain("flaw", START)
    before = Call(call.function, f.known(call.args))
    assert CKR.WRAPPED_KEY_LEN_RANGE not in allowed(wrapped, before, OLD)
    assert CKR.TEMPLATE_INCONSISTENT in allowed(wrapped, before, OLD), "no length was to be there"


# Calls that are not pending, and flags of validation.


def test_nothing_is_pending() -> None:
    ready = (INIT, OPEN)
    assert "SAVED_STATE_INVALID" in firm(ready, c("C_AsyncJoin"))
    assert CKR.PENDING not in allowed(ready, c("C_AsyncComplete"))
    assert CKR.OPERATION_NOT_INITIALIZED in allowed(ready, c("C_AsyncGetID"))
    assert firm(ready, c("C_AsyncGetID", null=True)) == {"ARGUMENTS_BAD"}
    assert CKR.FUNCTION_NOT_SUPPORTED in allowed(ready, c("C_AsyncComplete", awaited=Awaited.UNKNOWN))
    assert firm((INIT,), c("C_AsyncComplete")) == {"SESSION_HANDLE_INVALID"}


def test_flags_of_validation_are_told() -> None:
    assert allowed((INIT, OPEN), c("C_GetSessionValidationFlags")) == {CKR.OK}
    unknown = c("C_GetSessionValidationFlags", validation=Validation.UNKNOWN)
    assert CKR.ARGUMENTS_BAD in allowed((INIT, OPEN), unknown)


# Rows that turned round.

FACTORY = State(slots=(Slot(initialized=False, so_pin=Pin.NULL, user_pin=Pin.NULL),), sessions=START.sessions)


@pytest.mark.parametrize(
    ("steps", "call", "start", "code"),
    [
        ((INIT,), c("C_OpenSession"), FACTORY, CKR.TOKEN_NOT_INITIALIZED),
        ((INIT,), c("C_GetTokenInfo"), FACTORY, CKR.TOKEN_NOT_INITIALIZED),
        ((INIT, OPEN), c("C_GenerateRandom"), START, CKR.SEED_RANDOM_REQUIRED),
        ((INIT, OPEN), c("C_CancelFunction"), START, CKR.OK),
    ],
)
def test_codes_that_came(steps: tuple[Call, ...], call: Call, start: State, code: CKR) -> None:
    assert code in allowed(steps, call, NEW, start)
    assert code not in allowed(steps, call, OLD, start)


def test_a_policy_of_validation_may_bar_anything_and_proves_nothing() -> None:
    code = CKR.OPERATION_NOT_VALIDATED
    assert "policy" in legal_anyway(NEW, "C_GenerateKeyPair", code, succeeds=True)
    assert legal_anyway(OLD, "C_GenerateKeyPair", code, succeeds=True) == ""
    assert legal_anyway(NEW, "C_GetInfo", code, succeeds=True) == "", "no token has a part in that"


def test_the_token_is_still_initialised_without_that_code() -> None:
    assert CKR.TOKEN_NOT_INITIALIZED not in allowed((INIT,), c("C_InitToken"), NEW, FACTORY)


# Mechanisms.


@pytest.mark.parametrize(
    ("mech", "since"),
    [(Mech.SHA3_256, Version.V3_0), (Mech.SHA256, Version.V2_01)],
)
def test_a_mechanism_is_unknown_before_it_came(mech: Mech, since: Version) -> None:
    call = c("C_DigestInit", mechanism=mech)
    for version in Version:
        f = build(version).functions["C_DigestInit"]
        assert (mech in f.domain("mechanism", START)) is (since <= version)
        assert (f.known(call.args).mechanism is Mech.UNKNOWN) is (not since <= version)


RSA, EC = (c("C_GenerateKeyPair", mechanism=m) for m in (Mech.RSA_PKCS_KEY_PAIR_GEN, Mech.EC_KEY_PAIR_GEN))
CHACHA20 = c("C_GenerateKey", mechanism=Mech.CHACHA20_KEY_GEN)


@pytest.mark.parametrize(
    ("made", "call"),
    [
        (CHACHA20, c("C_MessageEncryptInit", mechanism=Mech.CHACHA20_POLY1305)),
        (RSA, c("C_MessageDecryptInit", mechanism=Mech.RSA_PKCS_OAEP, key=1)),
        (EC, c("C_MessageSignInit", mechanism=Mech.ECDSA, key=1)),
        (AES, c("C_MessageVerifyInit", mechanism=Mech.AES_MAC)),
        (RSA, c("C_EncapsulateKey", mechanism=Mech.RSA_X_509)),
        (EC, c("C_EncapsulateKey", mechanism=Mech.ECDH1_COFACTOR_DERIVE)),
        (EC, c("C_DecapsulateKey", mechanism=Mech.ECDH1_DERIVE, key=1)),
    ],
)
def test_keys_serve_mechanisms_that_are_not_followed(made: Call, call: Call) -> None:
    """The tables of mechanisms tick more uses than the model follows; no key is barred from those."""
    assert CKR.OK in allowed((*USER, made), call)


def test_a_key_that_nothing_uses_so_is_barred() -> None:
    assert "KEY_FUNCTION_NOT_PERMITTED" in firm((*USER, SECRET), c("C_MessageEncryptInit", mechanism=Mech.AES_CTR))


@pytest.mark.parametrize(
    ("version", "pair", "sign"),
    [
        (Version.V3_0, Mech.EC_EDWARDS_KEY_PAIR_GEN, Mech.EDDSA),
        (Version.V3_2, Mech.ML_DSA_KEY_PAIR_GEN, Mech.ML_DSA),
        (Version.V3_2, Mech.SLH_DSA_KEY_PAIR_GEN, Mech.SLH_DSA),
    ],
)
def test_signatures_of_new_mechanisms_are_judged(version: Version, pair: Mech, sign: Mech) -> None:
    model = build(version)
    steps = (
        *USER,
        c("C_GenerateKeyPair", mechanism=pair),
        c("C_SignInit", mechanism=sign, key=1),
        c("C_Sign"),
        c("C_VerifyInit", mechanism=sign, key=0),
    )
    s = after(model, steps)
    assert CKR.OK in permitted(model, s, c("C_Verify"))
    assert CKR.OK not in permitted(model, s, c("C_Verify", signature=Data.TAMPERED))
    wrong = permitted(model, after(model, (*USER, AES)), c("C_SignInit", mechanism=sign, key=0))
    assert CKR.OK not in wrong
    assert CKR.KEY_TYPE_INCONSISTENT in wrong


# How the functions are called for real, by an application that plays the module itself.


def words_of(app: Application, lane: Lane, concrete: Concrete, args: Args) -> tuple[Any, ...]:
    return arguments(app, lane, concrete, args)


def lane_of() -> tuple[Application, Lane]:
    app = Application(Binding((1,), objects=4))
    app.handles.opened(7, 0)
    return app, Lane(app, {})


def test_what_encapsulation_gives_is_kept_for_decapsulation() -> None:
    app, lane = lane_of()
    concrete = CALLS["C_EncapsulateKey"]
    call = GIVE.args
    words = words_of(app, lane, concrete, call)
    place = blank(app, lane, concrete, call)
    assert place is not None
    place.put()
    assert words[-2][0] == len(lane.bytes), "the room for the ciphertext is told"
    lane.bytes[0:3], words[-2][0], words[-1][0] = b"\1\2\3", 3, 99
    told = dict(noted(app, lane, concrete, call, CKR.OK))
    assert (told["length"], app.kept.output[CAPSULE]) == (3, b"\1\2\3")
    made = app.objects.known()[0]
    assert (app.objects.numbers[0], made.kind) == (99, Kind.AES)
    words = words_of(app, lane, CALLS["C_DecapsulateKey"], take().args)
    assert bytes(ffi.buffer(words[-3], words[-2])) == b"\1\2\3"


def test_a_query_of_a_capsule_makes_nothing() -> None:
    app, lane = lane_of()
    concrete, call = CALLS["C_EncapsulateKey"], replace(GIVE.args, buffer=Buffer.NULL)
    words = words_of(app, lane, concrete, call)
    assert words[-3] == ffi.NULL
    lane.capsule[0] = 1088
    assert dict(noted(app, lane, concrete, call, CKR.OK)) == {"length": 1088}
    assert app.objects.known() == {}


def test_a_sealed_key_is_unsealed_with_its_own_tag() -> None:
    app, lane = lane_of()
    concrete = CALLS["C_WrapKeyAuthenticated"]
    words_of(app, lane, concrete, SEAL.args)
    lane.seal[0:4], lane.bytes[0:2], lane.length[0] = b"tag!", b"\5\6", 2
    noted(app, lane, concrete, SEAL.args, CKR.OK)
    lane.seal[0:4] = b"else"
    words = words_of(app, lane, CALLS["C_UnwrapKeyAuthenticated"], unseal().args)
    assert bytes(ffi.buffer(words[3], words[4])) == b"\5\6"
    parameter: Any = ffi.cast("CK_GCM_MESSAGE_PARAMS *", words[1].pParameter)
    assert bytes(ffi.buffer(parameter.pTag, 4)) == b"tag!"


def test_a_signature_is_given_to_the_init() -> None:
    app, lane = lane_of()
    app.kept.keep(SIGNATURE, b"signed")
    words = words_of(app, lane, CALLS["C_VerifySignatureInit"], begin(signature=Data.CUT).args)
    assert bytes(ffi.buffer(words[-2], words[-1])) == b"signe"
