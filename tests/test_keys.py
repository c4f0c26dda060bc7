"""Objects and keys as the model follows them: pairs, numbers of lost keys, templates that say nothing, and causes."""

from dataclasses import replace

import pytest

from p11conform.model.call import Args, Call, Data, Flaw, Observation, Parameter
from p11conform.model.chapters.conditions import halves
from p11conform.model.chapters.operations import ENCRYPTION, SIGNING, not_active_row
from p11conform.model.oracle import build, in_scope, permitted, successors
from p11conform.model.state import (
    Kept,
    Kind,
    Login,
    Mech,
    Object,
    Operation,
    Operations,
    Phase,
    Session,
    Slot,
    State,
    Trait,
    put_object,
)
from p11conform.model.vocabulary import CKR
from p11conform.properties.engine.verdict import Outcome, judge

MODEL = build()
USER_IN = State(
    initialized=True,
    slots=(Slot(login=Login.USER),),
    sessions=(Session(True, 0, True), Session(True, 0, True), Session()),
    objects=(Object(True, True, Kind.AES), *(Object(),) * 4),
)
SIGNING_NOW = Operations(sign=Operation(Phase.READY, Mech.SHA256_HMAC, 1))
GENERATE = Call("C_GenerateKey", Args(mechanism=Mech.AES_KEY_GEN))


def after(s: State, *calls: Call) -> State:
    for call in calls:
        (s,) = successors(MODEL, s, call, CKR.OK)
    return s


def pair(kind: Mech = Mech.RSA_PKCS_KEY_PAIR_GEN) -> Call:
    return Call("C_GenerateKeyPair", Args(mechanism=kind))


def imported(kind: Kind) -> Call:
    return Call("C_CreateObject", Args(kind=kind))


PAIRS = [
    ((pair(),), 1, 2, True),
    ((pair(),), 2, 1, False),
    ((imported(Kind.RSA_PRIVATE), imported(Kind.RSA_PUBLIC)), 2, 1, True),
    ((imported(Kind.RSA_PUBLIC), imported(Kind.RSA_PRIVATE)), 2, 1, False),
    ((imported(Kind.RSA_PUBLIC), imported(Kind.EC_PRIVATE)), 1, 2, False),
    ((pair(), imported(Kind.RSA_PRIVATE)), 1, 3, False),
    ((pair(), pair()), 3, 4, True),
    ((pair(), pair()), 1, 4, False),
    ((pair(), pair(), Call("C_DestroyObject", Args(object=2)), Call("C_CopyObject", Args(object=4))), 1, 2, False),
    ((pair(), Call("C_CopyObject", Args(object=2))), 1, 3, False),
    ((imported(Kind.RSA_PRIVATE), imported(Kind.RSA_PUBLIC), Call("C_CopyObject", Args(object=1))), 2, 3, True),
]


@pytest.mark.parametrize(("calls", "public", "private", "match"), PAIRS)
def test_halves_match_by_where_they_came_from(calls: tuple[Call, ...], public: int, private: int, match: bool) -> None:
    assert halves(after(USER_IN, *calls), public, private) is match


def test_a_lost_key_keeps_its_number_while_something_goes_by_it() -> None:
    busy = replace(USER_IN, sessions=(Session(True, 0, True, SIGNING_NOW), *USER_IN.sessions[1:]))
    saved = replace(USER_IN, saved=replace(USER_IN.saved, valid=True, operations=SIGNING_NOW))
    assert in_scope(MODEL, USER_IN, GENERATE)
    assert not in_scope(MODEL, busy, GENERATE)
    assert not in_scope(MODEL, saved, GENERATE)
    elsewhere = put_object(busy, 1, Object(True, True, Kind.GENERIC_SECRET))
    assert in_scope(MODEL, elsewhere, GENERATE)
    assert not in_scope(MODEL, put_object(USER_IN, 2, Object(True, True)), pair()), "halves are neighbours"


ENDINGS = [
    Call("C_DestroyObject"),
    Call("C_CloseSession"),
    Call("C_CloseAllSessions"),
    Call("C_Logout"),
    Call("C_Finalize"),
]


@pytest.mark.parametrize("call", ENDINGS, ids=lambda c: c.function)
def test_outputs_are_forgotten_where_objects_go(call: Call) -> None:
    kept = Kept(True, Mech.AES_ECB, 0)
    s = replace(USER_IN, ciphertext=kept, signature=kept, wrapped=kept)
    assert all((t.ciphertext, t.signature, t.wrapped) == (Kept(),) * 3 for t in successors(MODEL, s, call, CKR.OK))


TEMPLATES = [
    (Call("C_CreateObject", Args(flaw=Flaw.EMPTY)), True),
    (Call("C_CreateObject", Args(flaw=Flaw.EMPTY, token=True)), False),
    (Call("C_CreateObject", Args(flaw=Flaw.NULL, private=True)), False),
    (Call("C_CreateObject", Args(flaw=Flaw.NULL, trait=Trait.SENSITIVE)), False),
    (Call("C_CreateObject", Args(flaw=Flaw.TWICE, token=True)), True),
    (Call("C_CopyObject", Args(flaw=Flaw.EMPTY)), True),
    (Call("C_CopyObject", Args(flaw=Flaw.EMPTY, private=True)), False),
]


@pytest.mark.parametrize(("call", "followed"), TEMPLATES)
def test_a_template_that_says_nothing_is_given_with_nothing(call: Call, followed: bool) -> None:
    assert in_scope(MODEL, USER_IN, call) is followed


@pytest.mark.parametrize("name", ["C_GenerateKeyPair", "C_UnwrapKey", "C_DeriveKey"])
def test_keys_whose_defaults_are_the_tokens_business(name: str) -> None:
    assert Flaw.EMPTY not in MODEL.functions[name].domain("flaw", USER_IN)


def test_a_forbidden_use_leaves_every_code_that_fits() -> None:
    s = put_object(USER_IN, 0, Object(True, True, Kind.AES, trait=Trait.NO_USAGE))
    wrap = Call("C_WrapKey", Args(mechanism=Mech.AES_KEY_WRAP))
    fitting = {CKR.KEY_FUNCTION_NOT_PERMITTED, CKR.KEY_TYPE_INCONSISTENT, CKR.WRAPPING_KEY_TYPE_INCONSISTENT}
    codes = permitted(MODEL, s, wrap)
    assert fitting <= codes
    assert CKR.OK not in codes


def test_a_null_blob_may_be_seen_before_the_session_against_advice() -> None:
    call = Call("C_UnwrapKey", Args(session=2, mechanism=Mech.AES_KEY_WRAP, data=Data.NULL))
    verdict, _ = judge(MODEL, frozenset({USER_IN}), call, Observation(CKR.ARGUMENTS_BAD))
    assert verdict.outcome is Outcome.PASS
    assert {x.rule.id for x in verdict.advice} == {"session-invalid"}


def test_a_junk_parameter_is_an_error_only_where_one_is_wanted() -> None:
    def codes(mech: Mech) -> frozenset[CKR]:
        call = Call("C_WrapKey", replace(Args(mechanism=mech), parameter=Parameter.WRONG))
        return permitted(MODEL, USER_IN, call)

    assert CKR.OK not in codes(Mech.AES_CBC_PAD)
    assert CKR.OK in codes(Mech.AES_KEY_WRAP)


RIGHT, JUNK = Parameter.RIGHT, Parameter.WRONG


@pytest.mark.parametrize(("wrapping", "unwrapping"), [(RIGHT, RIGHT), (RIGHT, JUNK), (JUNK, RIGHT), (JUNK, JUNK)])
def test_a_parameter_that_may_count_as_an_initial_value_may_spoil_the_blob(
    wrapping: Parameter, unwrapping: Parameter
) -> None:
    args = Args(mechanism=Mech.AES_KEY_WRAP)
    s = put_object(USER_IN, 1, Object(True, True, Kind.AES))
    s = after(s, Call("C_WrapKey", replace(args, other_key=1, parameter=wrapping)))
    call = Call("C_UnwrapKey", replace(args, kind=Kind.AES, data=Data.KEPT, parameter=unwrapping))
    assert (CKR.WRAPPED_KEY_INVALID in permitted(MODEL, s, call)) is (JUNK in (wrapping, unwrapping))


@pytest.mark.parametrize("code", [CKR.FUNCTION_FAILED, CKR.DEVICE_ERROR, 0x8000_0001])
def test_trouble_may_have_ended_the_operation(code: int) -> None:
    s = replace(USER_IN, sessions=(Session(True, 0, True, Operations(encrypt=Operation(Phase.READY, Mech.AES_ECB))),))
    verdict, beliefs = judge(MODEL, frozenset({s}), Call("C_Encrypt"), Observation(code))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert {x.sessions[0].operations.encrypt.phase for x in beliefs} == {Phase.READY, Phase.NONE}


def test_an_error_in_the_arguments_ends_the_operation_unless_read_leniently() -> None:
    s = replace(USER_IN, sessions=(Session(True, 0, True, Operations(encrypt=Operation(Phase.READY, Mech.AES_ECB))),))
    for readings, phases in (({}, {Phase.NONE}), ({"A-15": "lenient"}, {Phase.NONE, Phase.READY})):
        states = successors(build(readings=readings), s, Call("C_Encrypt", Args(null=True)), CKR.ARGUMENTS_BAD)
        assert {x.sessions[0].operations.encrypt.phase for x in states} == phases


def test_one_fact_about_several_kinds_of_operation() -> None:
    rows = [not_active_row(k, k.section) for k in (ENCRYPTION, SIGNING)]
    assert rows[0].condition != rows[1].condition
    assert {r.id for r in rows} == {"operation-not-active"}
    encrypted, signed = (
        judge(MODEL, frozenset({USER_IN}), Call(name), Observation(CKR.OK))[0] for name in ("C_Encrypt", "C_Sign")
    )
    assert encrypted.cause == signed.cause
