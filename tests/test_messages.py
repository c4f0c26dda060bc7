"""v3.0: what turned round since v2.40, in both versions; messages, cancelling, users by name and interfaces."""

from typing import Any

import pytest
from conftest import INIT, LOGIN, ONE_SLOT, OPEN, Step, after, codes

from p11conform.model.call import Args, Attribute, Buffer, Call, Cancel, Data, Flaw, Interface, Parameter
from p11conform.model.chapters.messages import MESSAGINGS, Messaging
from p11conform.model.decide import forbids_ok
from p11conform.model.oracle import Model, applicable, build, in_scope, outputs, permitted, successors
from p11conform.model.state import Mech, Messages, Object, Phase, Search, State
from p11conform.model.vocabulary import CKR, CKU, Version

V2_40, V3_0 = Version.V2_40, Version.V3_0
OLD, NEW = build(V2_40), build(V3_0)
START = State(objects=(Object(),) * 3)


def c(function: str, **given: Any) -> Call:
    return Call(function, Args(**given))


AES, SECRET = c("C_GenerateKey", mechanism=Mech.AES_KEY_GEN), c("C_GenerateKey", mechanism=Mech.GENERIC_SECRET_KEY_GEN)
USER = (INIT, OPEN, LOGIN)
ENCRYPT = c("C_EncryptInit", mechanism=Mech.AES_CBC)
DIGEST, NO_MECHANISM = c("C_DigestInit"), c("C_EncryptInit", null=True)


def allowed(model: Model, steps: tuple[Step, ...], call: Call, initial: State = START) -> frozenset[CKR]:
    """All that is permitted of a call after a sequence, in whatever state that may have led to."""
    return frozenset(code for s in after(model, initial, steps) for code in permitted(model, s, call))


def must_fail(model: Model, steps: tuple[Step, ...], call: Call) -> bool:
    return CKR.OK not in allowed(model, steps, call)


# What turned round.


@pytest.mark.parametrize("kind", ["Encrypt", "Decrypt", "Digest", "Sign", "SignRecover", "Verify", "VerifyRecover"])
def test_no_mechanism_ends_what_is_active_since_v3_0(kind: str) -> None:
    call = c(f"C_{kind}Init", null=True)
    assert must_fail(OLD, USER, call)
    assert CKR.OK in allowed(NEW, USER, call)
    assert CKR.OPERATION_CANCEL_FAILED not in allowed(NEW, USER, call), "nothing is there that cannot be cancelled"


def test_what_no_mechanism_ends_is_gone() -> None:
    active = (*USER, AES, ENCRYPT)
    assert allowed(NEW, active, NO_MECHANISM) >= codes("OK OPERATION_CANCEL_FAILED")
    assert codes("ARGUMENTS_BAD MECHANISM_INVALID").isdisjoint(allowed(NEW, active, NO_MECHANISM))
    assert must_fail(NEW, (*active, NO_MECHANISM), c("C_Encrypt"))
    going_on = allowed(NEW, (*active, (NO_MECHANISM, CKR.OPERATION_CANCEL_FAILED)), c("C_Encrypt"))
    assert CKR.OK in going_on


def test_the_key_counts_for_nothing_where_there_is_no_mechanism() -> None:
    assert CKR.OK in allowed(NEW, (*USER, AES, ENCRYPT), c("C_EncryptInit", key=3, null=True))


@pytest.mark.parametrize(
    "call",
    [
        c("C_CreateObject", flaw=Flaw.UNIQUE_ID),
        c("C_GenerateKey", mechanism=Mech.AES_KEY_GEN, flaw=Flaw.UNIQUE_ID),
        c("C_CopyObject", attribute=Attribute.UNIQUE_ID),
        c("C_SetAttributeValue", attribute=Attribute.UNIQUE_ID),
    ],
)
def test_only_the_token_sets_a_unique_id(call: Call) -> None:
    steps = (*USER, c("C_CreateObject"))
    assert CKR.ATTRIBUTE_READ_ONLY in allowed(NEW, steps, call)
    assert must_fail(NEW, steps, call)
    unknown = Call(call.function, OLD.functions[call.function].known(call.args))
    assert unknown != call
    assert not must_fail(OLD, steps, unknown), "to v2.40 it is an unknown type, which should be refused"
    assert CKR.ATTRIBUTE_TYPE_INVALID in allowed(OLD, steps, unknown)


def test_every_object_has_a_unique_id() -> None:
    steps, read = (*USER, c("C_CreateObject")), c("C_GetAttributeValue", attribute=Attribute.UNIQUE_ID)
    assert CKR.ATTRIBUTE_TYPE_INVALID not in allowed(NEW, steps, read)
    old = Call(read.function, OLD.functions[read.function].known(read.args))
    assert must_fail(OLD, steps, old)
    assert read in NEW.functions[read.function].calls(START)
    assert read not in OLD.functions[read.function].calls(START)


def test_want_of_resources_has_a_code_where_v3_0_lists_it() -> None:
    listing = {n for n, f in NEW.functions.items() if CKR.TOKEN_RESOURCE_EXCEEDED in f.signature.listed[V3_0]}
    giving = {n for n, f in NEW.functions.items() if any(r.code is CKR.TOKEN_RESOURCE_EXCEEDED for r in f.rules)}
    assert giving == listing
    assert not any(r.code is CKR.TOKEN_RESOURCE_EXCEEDED for f in OLD.functions.values() for r in f.rules)


# Messages.


def of(kind: Messages) -> Messaging:
    return next(m for m in MESSAGINGS if m.kind is kind)


SEALING, OPENING, SIGNING, VERIFYING = map(of, (Messages.ENCRYPT, Messages.DECRYPT, Messages.SIGN, Messages.VERIFY))


def begun(m: Messaging) -> tuple[Call, ...]:
    """A process of a kind, once something of its sort was encrypted or signed where that is to be undone or judged."""
    key = SECRET if m in (SIGNING, VERIFYING) else AES
    mech = Mech.SHA256_HMAC if m in (SIGNING, VERIFYING) else Mech.AES_GCM
    first = {OPENING: SEALING, VERIFYING: SIGNING}.get(m)
    made = () if first is None else (c(first.init, mechanism=mech), c(first.whole), c(first.final))
    return (*USER, key, *made, c(m.init, mechanism=mech))


@pytest.mark.parametrize("m", MESSAGINGS, ids=lambda m: m.verb)
def test_a_message_needs_a_process_and_a_part_a_message(m: Messaging) -> None:
    for name in (m.whole, m.begin, m.final, m.next):
        assert allowed(NEW, USER, c(name)) - codes("ARGUMENTS_BAD") == codes("OPERATION_NOT_INITIALIZED")
    process, message = begun(m), (*begun(m), c(m.begin))
    assert must_fail(NEW, process, c(m.next))
    for name in (m.whole, m.begin, m.final):
        assert CKR.OK in allowed(NEW, process, c(name))
    assert CKR.OK in allowed(NEW, message, c(m.next, last=False))


@pytest.mark.parametrize("m", MESSAGINGS, ids=lambda m: m.verb)
def test_a_process_goes_on_from_message_to_message_until_it_is_ended(m: Messaging) -> None:
    many = (*begun(m), c(m.whole), c(m.whole), c(m.begin), c(m.next, last=False), c(m.next), c(m.whole))
    assert CKR.OK in allowed(NEW, many, c(m.final))
    assert must_fail(NEW, (*many, c(m.final)), c(m.whole))


@pytest.mark.parametrize("m", MESSAGINGS, ids=lambda m: m.verb)
def test_a_part_ends_a_message_if_it_is_the_last_or_fails(m: Messaging) -> None:
    message = (*begun(m), c(m.begin))
    more = c(m.next, last=False)
    assert CKR.OK in allowed(NEW, (*message, more), more)
    assert must_fail(NEW, (*message, c(m.next)), more), "the last part"
    failed = (c(m.next, last=False, data=Data.ODD), CKR.DATA_LEN_RANGE)
    if m is OPENING:
        failed = (c(m.next, last=False, data=Data.EMPTY), CKR.ENCRYPTED_DATA_INVALID)
    if m is not VERIFYING:
        assert not must_fail(NEW, (*message, c(m.next, buffer=Buffer.NULL)), c(m.next)), "a length was asked for"
        assert not must_fail(NEW, (*message, (c(m.next, buffer=Buffer.SHORT), CKR.BUFFER_TOO_SMALL)), c(m.next))
    assert must_fail(NEW, (*message, failed), more)
    assert CKR.OK in allowed(NEW, (*message, failed), c(m.whole)), "the process goes on"


def test_a_message_at_once_is_not_for_the_middle_of_another() -> None:
    inside = (*begun(SEALING), c(SEALING.begin))
    assert allowed(NEW, inside, c(SEALING.whole)) >= codes("OPERATION_ACTIVE OPERATION_NOT_INITIALIZED")
    assert must_fail(NEW, inside, c(SEALING.whole))
    assert not must_fail(NEW, inside, c(SEALING.whole, buffer=Buffer.NULL))


@pytest.mark.parametrize(
    ("data", "parameter", "expected"),
    [
        (Data.KEPT, Parameter.RIGHT, "OK"),
        (Data.TAMPERED, Parameter.RIGHT, "AEAD_DECRYPT_FAILED"),
        (Data.CUT, Parameter.RIGHT, "AEAD_DECRYPT_FAILED ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE"),
    ],
)
def test_what_was_tampered_with_is_not_opened(data: Data, parameter: Parameter, expected: str) -> None:
    call = c(OPENING.whole, data=data, parameter=parameter)
    (s,) = after(NEW, START, begun(OPENING))
    must = {r.code for r in applicable(NEW, s, call) if forbids_ok(r)}
    assert must == codes(expected) - codes("OK")
    assert must_fail(NEW, begun(OPENING), call) is (expected != "OK")


@pytest.mark.parametrize(
    ("signature", "code"), [(Data.TAMPERED, CKR.SIGNATURE_INVALID), (Data.CUT, CKR.SIGNATURE_LEN_RANGE)]
)
def test_a_signature_that_was_tampered_with_is_found_out(signature: Data, code: CKR) -> None:
    call = c(VERIFYING.whole, signature=signature)
    assert must_fail(NEW, begun(VERIFYING), call)
    assert code in allowed(NEW, begun(VERIFYING), call)
    assert CKR.OK in allowed(NEW, begun(VERIFYING), c(VERIFYING.whole))


def test_the_length_of_a_signature_is_known() -> None:
    (s,) = after(NEW, START, begun(SIGNING))
    (t,) = successors(NEW, s, c(SIGNING.whole), CKR.OK)
    assert dict(outputs(NEW, t, c(SIGNING.whole), CKR.OK))["length"] == (32,)
    assert 31 not in dict(outputs(NEW, s, c(SIGNING.whole, buffer=Buffer.NULL), CKR.OK))["length"]


def test_a_wrong_parameter_is_refused() -> None:
    call = c(SEALING.whole, parameter=Parameter.WRONG)
    assert must_fail(NEW, begun(SEALING), call)
    assert allowed(NEW, begun(SEALING), call) >= codes("ARGUMENTS_BAD MECHANISM_PARAM_INVALID")


def test_no_mechanism_ends_the_process_of_one_kind_alone() -> None:
    def cancel(m: Messaging) -> Call:
        return c(m.init, null=True)

    inside = (*begun(SEALING), c(SEALING.begin))
    assert allowed(NEW, inside, cancel(SEALING)) >= codes("OK OPERATION_CANCEL_FAILED")
    assert must_fail(NEW, (*inside, cancel(SEALING)), c(SEALING.whole))
    unsaid = allowed(NEW, begun(SIGNING), cancel(SIGNING))
    assert unsaid >= codes("OK ARGUMENTS_BAD MECHANISM_INVALID OPERATION_CANCEL_FAILED")
    assert CKR.OK in allowed(NEW, (*begun(SIGNING), cancel(SIGNING)), c(SIGNING.whole)), "it may go on"


def test_a_process_of_one_kind_is_followed_at_a_time() -> None:
    (s,) = after(NEW, START, begun(SEALING))
    assert not in_scope(NEW, s, c(OPENING.init, mechanism=Mech.AES_GCM))
    assert in_scope(NEW, s, c(SEALING.init, mechanism=Mech.AES_GCM))


@pytest.mark.parametrize("call", [DIGEST, ENCRYPT, AES, c("C_FindObjectsInit"), c("C_GenerateRandom")])
def test_a_process_may_keep_others_from_beginning_or_be_dropped(call: Call) -> None:
    assert allowed(NEW, begun(SEALING), call) >= codes("OK OPERATION_ACTIVE")
    assert CKR.OPERATION_ACTIVE not in allowed(NEW, USER, call)


@pytest.mark.parametrize("ending", [c("C_CloseSession"), c("C_CloseAllSessions"), c("C_Finalize")])
def test_a_process_ends_with_its_session(ending: Call) -> None:
    (s,) = after(NEW, START, (*begun(SEALING), ending))
    assert all(x.operations.process.kind is Messages.NONE for x in s.sessions)


def test_a_saved_state_has_no_process() -> None:
    states = after(NEW, START, (*begun(SEALING), c("C_GetOperationState")))
    assert {s.saved.operations.process.kind for s in states} == {Messages.NONE}


def test_the_number_of_a_key_in_use_is_not_given_again() -> None:
    (s,) = after(NEW, START, (*begun(SEALING), c("C_DestroyObject")))
    assert not in_scope(NEW, s, AES)


# Cancelling.


@pytest.mark.parametrize(
    ("cancel", "what"), [(Cancel.DIGEST, "digest"), (Cancel.ENCRYPT, "encrypt"), (Cancel.EVERYTHING, "digest")]
)
def test_what_is_named_is_cancelled_and_nothing_else(cancel: Cancel, what: str) -> None:
    active = (*USER, AES, ENCRYPT) if what == "encrypt" else (*USER, DIGEST)
    call = c("C_SessionCancel", cancel=cancel)
    assert allowed(NEW, active, call) == codes("OK OPERATION_CANCEL_FAILED")
    (s,) = after(NEW, START, (*active, call))
    assert getattr(s.sessions[0].operations, what).phase is Phase.NONE
    (s,) = after(NEW, START, (*active, (call, CKR.OPERATION_CANCEL_FAILED)))
    assert getattr(s.sessions[0].operations, what).phase is Phase.READY


@pytest.mark.parametrize("cancel", [Cancel.NOTHING, Cancel.SIGN, Cancel.MESSAGE_VERIFY, Cancel.FIND_OBJECTS])
def test_flags_of_what_is_not_there_change_nothing(cancel: Cancel) -> None:
    call = c("C_SessionCancel", cancel=cancel)
    assert allowed(NEW, (*USER, DIGEST), call) == codes("OK")
    (s,) = after(NEW, START, (*USER, DIGEST, call))
    assert s.sessions[0].operations.digest.phase is Phase.READY


def test_a_search_and_a_process_are_cancelled() -> None:
    (s,) = after(NEW, START, (*USER, c("C_FindObjectsInit"), c("C_SessionCancel", cancel=Cancel.FIND_OBJECTS)))
    assert s.sessions[0].operations.search is Search.NONE
    other = (*begun(SEALING), c("C_SessionCancel", cancel=Cancel.MESSAGE_SIGN))
    assert CKR.OK in allowed(NEW, other, c(SEALING.whole))
    own = (*begun(SEALING), c("C_SessionCancel", cancel=Cancel.MESSAGE_ENCRYPT))
    assert must_fail(NEW, own, c(SEALING.whole))


def test_an_unknown_flag_is_ignored_or_refused() -> None:
    call = c("C_SessionCancel", cancel=Cancel.UNKNOWN)
    assert allowed(NEW, USER, call) == codes("OK ARGUMENTS_BAD OPERATION_CANCEL_FAILED")


def test_without_flags_the_handle_need_not_be_looked_at() -> None:
    assert allowed(NEW, (INIT,), c("C_SessionCancel")) == codes("OK SESSION_HANDLE_INVALID")
    assert allowed(NEW, (INIT,), c("C_SessionCancel", cancel=Cancel.SIGN)) == codes("SESSION_HANDLE_INVALID")


# Users by name.


def test_a_user_with_a_name_logs_in_as_one_without() -> None:
    for named in (False, True):
        call = c("C_LoginUser", named=named)
        assert CKR.OK in allowed(NEW, (INIT, OPEN), call)
        assert allowed(NEW, (INIT, OPEN, call), LOGIN) == codes("USER_ALREADY_LOGGED_IN")
    assert must_fail(NEW, (INIT, OPEN), c("C_LoginUser", user=CKU.INVALID))
    assert must_fail(NEW, USER, c("C_LoginUser"))


# Interfaces.


def test_interfaces_are_there_before_the_library_is() -> None:
    assert allowed(NEW, (), c("C_GetInterfaceList"), ONE_SLOT) == codes("OK")
    assert allowed(NEW, (), c("C_GetInterfaceList", buffer=Buffer.SHORT), ONE_SLOT) == codes("BUFFER_TOO_SMALL")
    assert allowed(NEW, (), c("C_GetInterfaceList", null=True), ONE_SLOT) == codes("ARGUMENTS_BAD")
    for asked in (Interface.OWN, Interface.STANDARD, Interface.ANY):
        assert allowed(NEW, (), c("C_GetInterface", interface=asked), ONE_SLOT) == codes("OK")
    for asked in (Interface.UNKNOWN_NAME, Interface.UNKNOWN_VERSION, Interface.UNKNOWN_FLAG):
        given = allowed(NEW, (), c("C_GetInterface", interface=asked), ONE_SLOT)
        assert given == codes("ARGUMENTS_BAD BUFFER_TOO_SMALL")


def test_an_interface_is_the_one_that_was_asked_for() -> None:
    told = dict(outputs(NEW, ONE_SLOT, c("C_GetInterface"), CKR.OK))
    assert told["matches"] == (1,)
    assert dict(outputs(NEW, ONE_SLOT, c("C_GetInterface", interface=Interface.ANY), CKR.OK))["matches"] == ()


# Readings.

INSIDE = (*begun(SEALING), c(SEALING.begin))
SIGNED = (*begun(SIGNING), c(SIGNING.begin), c(SIGNING.next))

READINGS: list[tuple[str, str, tuple[Call, ...], Call, bool]] = [
    ("A-73", "an error", INSIDE, c(SEALING.whole), False),
    ("A-73", "any", INSIDE, c(SEALING.whole), True),
    ("A-74", "refuse or begin anew", INSIDE, c(SEALING.begin), True),
    ("A-74", "refuse", INSIDE, c(SEALING.begin), False),
    ("A-78", "a length query", SIGNED, c(SIGNING.next), False),
    ("A-78", "literal", SIGNED, c(SIGNING.next), True),
]


@pytest.mark.parametrize(("id", "reading", "steps", "call", "succeeds"), READINGS)
def test_reading(id: str, reading: str, steps: tuple[Call, ...], call: Call, succeeds: bool) -> None:
    assert (CKR.OK in allowed(build(V3_0, {id: reading}), steps, call)) is succeeds
