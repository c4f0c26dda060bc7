"""Verdicts on scripted answers: every kind of failure, what is inconclusive, and what is believed afterwards."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
from conftest import INIT, LOGIN, LOGOUT, OBJECTS, ONE_SLOT, OPEN, OPEN_RO, after

from p11conform.adapters.ready import Plain
from p11conform.model.call import Args, Call, Data, Ending, InitArgs, Misuse, Observation
from p11conform.model.oracle import Model, build
from p11conform.model.state import Login, Mech, Pin, Slot, State, Trait
from p11conform.model.vocabulary import CKR, CKS, CKU, ENVIRONMENT
from p11conform.properties.engine.verdict import (
    ENDS_OTHERS,
    LAPSE,
    Cause,
    Kind,
    Lapse,
    Outcome,
    Severity,
    Verdict,
    judge,
)
from p11conform.properties.reports.findings import explain
from p11conform.properties.reports.results import notes_json
from p11conform.properties.run.campaign import Results
from p11conform.properties.run.driver import Driver
from p11conform.properties.run.tally import Tally

READY = (INIT, OPEN)
USER_IN = (*READY, LOGIN)
DIGEST, SAVE, INFO = Call("C_DigestInit"), Call("C_GetOperationState"), Call("C_GetSessionInfo")
NULL_INFO = Call("C_GetSessionInfo", Args(session=3, null=True))
NO_USE = Call("C_GenerateKey", Args(mechanism=Mech.AES_KEY_GEN, trait=Trait.NO_USAGE))
WRONG_TYPE = Call("C_DecryptInit", Args(mechanism=Mech.RSA_PKCS))
WRONG_PIN = Call("C_Login", Args(pin=Pin.WRONG))
BAD_USER = Call("C_Login", Args(user=CKU.INVALID))


def saw(code: int = CKR.OK, **outputs: int) -> Observation:
    return Observation(code, tuple(outputs.items()))


OK = saw()
ONE_KEY = State(objects=OBJECTS)


class Script:
    """A module that reads its answers from a list, and CKR_OK thereafter."""

    def __init__(self, *answers: Observation) -> None:
        self._answers = answers
        self._left = list(answers)

    def call(self, call: Call) -> Observation:  # noqa: ARG002
        return self._left.pop(0) if self._left else OK

    def ready(self, calls: Sequence[Call]) -> Plain:
        return Plain(self, calls)

    def reset(self, restore_token: bool) -> None:  # noqa: ARG002
        self._left = list(self._answers)

    def supports(self, call: Call) -> bool:  # noqa: ARG002
        return True

    def tries_left(self, user: CKU) -> bool:  # noqa: ARG002
        return False


def last(model: Model, setup: tuple[Call, ...], call: Call, seen: Observation) -> tuple[Verdict, Driver]:
    driver = Driver(model, ONE_KEY, Script(*[OK] * len(setup), seen))
    replay = driver.replay((*setup, call))
    assert len(replay.verdicts) == len(setup) + 1
    assert all(v.outcome is Outcome.PASS for v in replay.verdicts[:-1])
    return replay.verdicts[-1], driver


FAILURES = [
    (Kind.MISSING_ERROR, Severity.MEDIUM, (INIT,), INIT, OK),
    (Kind.MISSING_ERROR, Severity.HIGH, READY, WRONG_PIN, OK),
    (Kind.WRONG_CODE, Severity.MEDIUM, READY, BAD_USER, saw(CKR.PIN_INCORRECT)),
    (Kind.WRONG_CODE, Severity.MEDIUM, READY, LOGIN, saw(CKR.PIN_INCORRECT)),
    (Kind.WRONG_CODE, Severity.MEDIUM, USER_IN, LOGIN, saw(CKR.USER_ANOTHER_ALREADY_LOGGED_IN)),
    (Kind.OFF_LIST, Severity.LOW, READY, WRONG_PIN, saw(CKR.PIN_LEN_RANGE)),
    (Kind.OFF_LIST, Severity.MEDIUM, READY, WRONG_PIN, saw(CKR.DATA_LEN_RANGE)),
    (Kind.OFF_LIST, Severity.MEDIUM, (), INIT, saw(CKR.USER_PIN_NOT_INITIALIZED)),
    (Kind.OFF_LIST, Severity.MEDIUM, READY, WRONG_PIN, saw(0x8000_0001)),
    (Kind.OFF_LIST, Severity.MEDIUM, READY, WRONG_PIN, saw(0x0000_0999)),
    (Kind.PRECEDENCE, Severity.LOW, (*READY, NO_USE), WRONG_TYPE, saw(CKR.KEY_FUNCTION_NOT_PERMITTED)),
    (Kind.OPERATION_STATE, Severity.MEDIUM, (*READY, DIGEST), SAVE, saw(CKR.OPERATION_NOT_INITIALIZED)),
    (Kind.SESSION_STATE, Severity.HIGH, READY, LOGIN, saw(CKR.USER_ALREADY_LOGGED_IN)),
    (Kind.WRONG_CODE, Severity.MEDIUM, READY, LOGIN, saw(CKR.USER_TYPE_INVALID)),
    (Kind.SESSION_STATE, Severity.HIGH, USER_IN, INFO, saw(state=CKS.RW_PUBLIC_SESSION)),
    (Kind.SESSION_STATE, Severity.HIGH, USER_IN, LOGOUT, saw(CKR.USER_NOT_LOGGED_IN)),
    (Kind.DATA_EFFECT, Severity.HIGH, READY, OPEN, saw(handle=2)),
    (Kind.DATA_EFFECT, Severity.HIGH, READY, Call("C_GetTokenInfo"), saw(sessions=2)),
    (Kind.CALLBACK_ONLY, Severity.MEDIUM, READY, LOGIN, saw(CKR.MUTEX_BAD)),
    (Kind.CALLBACK_ONLY, Severity.MEDIUM, READY, WRONG_PIN, saw(CKR.CANCEL)),
    (Kind.CALLBACK_MISUSE, Severity.HIGH, (), INIT, Observation(misuse=("unlocked twice",))),
    (Kind.BUFFER_MISUSE, Severity.HIGH, (), INIT, Observation(misuse=(Misuse.OVERRUN,))),
    (Kind.ABSENT, Severity.MEDIUM, (INIT,), OPEN, Observation(ending=Ending.ABSENT)),
    (Kind.DIED, Severity.HIGH, (INIT,), OPEN, Observation(ending=Ending.DIED, detail="signal SIGSEGV")),
    (Kind.HUNG, Severity.HIGH, (INIT,), OPEN, Observation(ending=Ending.HUNG)),
    (Kind.ROBUSTNESS, Severity.LOW, (INIT,), NULL_INFO, Observation(ending=Ending.DIED, detail="signal SIGSEGV")),
]


@pytest.mark.parametrize(("kind", "severity", "setup", "call", "seen"), FAILURES)
def test_failure(
    kind: Kind, severity: Severity, setup: tuple[Call, ...], call: Call, seen: Observation, model: Model
) -> None:
    verdict, driver = last(model, setup, call, seen)
    assert (verdict.outcome, verdict.kind, verdict.severity) == (Outcome.FAIL, kind, severity)
    assert driver.beliefs == frozenset()
    assert not driver.can(INIT), "nothing is known after a failure"


def test_every_kind_is_reached() -> None:
    of_several = {Kind.ALWAYS}
    assert {row[0] for row in FAILURES} == set(Kind) - of_several


def test_a_new_handle_that_is_0_is_a_failure_and_the_sequence_goes_on(model: Model) -> None:
    verdict, driver = last(model, (INIT,), OPEN, saw(handle=0))
    assert (verdict.outcome, verdict.kind, verdict.severity) == (Outcome.FAIL, Kind.DATA_EFFECT, Severity.HIGH)
    assert [s.sessions[0].open for s in driver.beliefs] == [True]
    assert not driver.failed
    assert driver.can(LOGIN)
    ((calls, noted),) = driver.noted
    assert (calls, noted) == ((INIT, OPEN), verdict)
    assert "Its new handle is 0, which no handle may be" in explain(model, verdict, ())


@pytest.mark.parametrize(
    ("call", "seen", "at_fault"),
    [
        (WRONG_PIN, OK, {"login pin wrong"}),
        (Call("C_Login", Args(user=CKU.SO, pin=Pin.WRONG)), OK, {"login pin wrong"}),
        (Call("C_Login", Args(user=CKU.INVALID, pin=Pin.WRONG)), OK, {"user type invalid"}),
        (Call("C_Login", Args(session=3, pin=Pin.WRONG)), OK, {"session invalid"}),
        (LOGIN, saw(CKR.PIN_INCORRECT), set()),
    ],
)
def test_rows_at_fault(call: Call, seen: Observation, at_fault: set[str], model: Model) -> None:
    verdict, _ = last(model, READY, call, seen)
    assert {r.condition for r in verdict.rules} == at_fault


INCONCLUSIVE = [
    *((WRONG_PIN, code, code in (CKR.GENERAL_ERROR, CKR.DEVICE_REMOVED)) for code in sorted(ENVIRONMENT)),
    (LOGIN, CKR.GENERAL_ERROR, True),
    (LOGIN, CKR.FUNCTION_NOT_SUPPORTED, False),
    (WRONG_PIN, CKR.FUNCTION_NOT_SUPPORTED, False),
    (Call("C_GetTokenInfo"), CKR.TOKEN_NOT_PRESENT, False),
    (LOGIN, 0x8000_0001, False),
    (LOGIN, 0x0000_0999, False),
]


@pytest.mark.parametrize(("call", "code", "lost"), INCONCLUSIVE)
def test_inconclusive(call: Call, code: int, lost: bool, model: Model) -> None:
    verdict, driver = last(model, READY, call, saw(code))
    assert (verdict.outcome, verdict.kind) == (Outcome.INCONCLUSIVE, None)
    assert verdict.why
    assert (driver.beliefs == frozenset()) is lost
    if not lost:
        assert driver.beliefs == after(model, ONE_KEY, READY), "a failed call changes nothing"


def test_token_not_present_is_no_answer_to_a_session(model: Model) -> None:
    verdict, _ = last(model, READY, LOGIN, saw(CKR.TOKEN_NOT_PRESENT))
    assert verdict.outcome is Outcome.FAIL


GO_ON = Call("C_DigestUpdate")


def test_beliefs_hold_what_the_text_leaves_open_until_it_shows(model: Model) -> None:
    both = after(model, ONE_SLOT, (*USER_IN, DIGEST, LOGOUT))
    assert len(both) == 2
    _, ended = judge(model, both, GO_ON, saw(CKR.OPERATION_NOT_INITIALIZED))
    _, kept = judge(model, both, GO_ON, saw(CKR.OK))
    assert (len(ended), len(kept)) == (1, 1)
    verdict, _ = judge(model, ended, GO_ON, saw(CKR.OK))
    assert verdict.outcome is Outcome.FAIL


def test_beliefs_narrow_by_outputs(model: Model) -> None:
    rw, ro = after(model, ONE_SLOT, (INIT, OPEN)), after(model, ONE_SLOT, (INIT, OPEN_RO))
    verdict, left = judge(model, rw | ro, INFO, saw(state=CKS.RO_PUBLIC_SESSION))
    assert (verdict.outcome, left) == (Outcome.PASS, ro)
    assert judge(model, rw | ro, INFO, OK)[1] == rw | ro, "an adapter may see no outputs"
    verdict, left = judge(model, rw | ro, INFO, saw(state=CKS.RW_SO_FUNCTIONS))
    assert (verdict.outcome, verdict.kind, left) == (Outcome.FAIL, Kind.SESSION_STATE, rw | ro), "nothing happened"
    assert verdict.mismatch is not None
    assert (verdict.mismatch.output, verdict.mismatch.seen) == ("state", CKS.RW_SO_FUNCTIONS)


@pytest.mark.parametrize(
    ("before", "call", "seen", "logins"),
    [
        (READY, LOGIN, saw(CKR.GENERAL_ERROR), {Login.NOBODY, Login.USER}),
        (READY, LOGIN, saw(CKR.DEVICE_REMOVED), {Login.NOBODY, Login.USER}),
        (READY, LOGIN, saw(CKR.PIN_INCORRECT), {Login.NOBODY, Login.USER}),
        (READY, WRONG_PIN, OK, {Login.NOBODY, Login.USER}),
        (USER_IN, LOGOUT, saw(CKR.USER_NOT_LOGGED_IN), {Login.NOBODY, Login.USER}),
        (READY, LOGOUT, OK, {Login.NOBODY}),
        (USER_IN, Call("C_Logout", Args(session=3)), OK, {Login.USER}),
    ],
)
def test_o8_after_trouble_or_a_failure_nothing_happened_or_it_did(
    model: Model, before: tuple[Call, ...], call: Call, seen: Observation, logins: set[Login]
) -> None:
    verdict, beliefs = judge(model, after(model, ONE_KEY, before), call, seen)
    assert verdict.outcome is not Outcome.PASS
    assert {s.slots[0].login for s in beliefs} == logins
    codes = {CKR.OK if s.slots[0].login == Login.NOBODY else CKR.USER_ALREADY_LOGGED_IN for s in beliefs}
    for code in codes:
        verdict, left = judge(model, beliefs, LOGIN, saw(code))
        assert verdict.outcome is Outcome.PASS
        assert {s.slots[0].login for s in left} == {Login.USER}


def test_o8_whatever_is_answered_leaves_something_to_go_on_with(model: Model) -> None:
    (s,) = after(model, ONE_KEY, USER_IN)
    for function in model.functions.values():
        for call in islice(function.calls(s), 300):
            for code in (CKR.OK, CKR.GENERAL_ERROR, CKR.PIN_INCORRECT, 0x8000_0001):
                verdict, beliefs = judge(model, frozenset({s}), call, saw(code))
                assert beliefs
                assert s in beliefs or verdict.outcome is Outcome.PASS


def test_o8_of_a_module_that_is_gone_nothing_is_believed(model: Model) -> None:
    gone = Observation(ending=Ending.DIED)
    _, beliefs = judge(model, after(model, ONE_KEY, READY), LOGIN, gone)
    assert beliefs == frozenset()
    with pytest.raises(ValueError, match="nothing is believed of the module; begin again"):
        judge(model, beliefs, LOGIN, OK)


def test_permitted_is_the_union_over_beliefs(model: Model) -> None:
    both = after(model, ONE_SLOT, (INIT, OPEN)) | after(model, ONE_SLOT, USER_IN)
    assert all(judge(model, both, LOGIN, saw(c))[0].outcome is Outcome.PASS for c in (0, CKR.USER_ALREADY_LOGGED_IN))
    verdict, _ = judge(model, both, LOGIN, saw(CKR.SESSION_HANDLE_INVALID))
    assert verdict.permitted == {CKR.OK, CKR.USER_ALREADY_LOGGED_IN}


SHOULD_ROWS = [
    ((INIT,), Call("C_Finalize", Args(reserved=True)), CKR.ARGUMENTS_BAD),
    ((), Call("C_Initialize", Args(init=InitArgs.PARTIAL)), CKR.ARGUMENTS_BAD),
    ((INIT,), Call("C_OpenSession", Args(serial=False)), CKR.SESSION_PARALLEL_NOT_SUPPORTED),
    (READY, SAVE, CKR.OPERATION_NOT_INITIALIZED),
]


@pytest.mark.parametrize(("setup", "call", "code"), SHOULD_ROWS)
def test_should_is_advice_unless_required(setup: tuple[Call, ...], call: Call, code: CKR, model: Model) -> None:
    verdict, driver = last(model, setup, call, OK)
    assert (verdict.outcome, [x.rule.code for x in verdict.advice]) == (Outcome.PASS, [code])
    assert [x.count for x in driver.tally.advice.values()] == [1]
    followed, driver = last(model, setup, call, saw(code))
    assert (followed.outcome, followed.advice) == (Outcome.PASS, ())
    assert not driver.tally.advice
    strict, _ = last(build(readings={"A-00": "required"}), setup, call, OK)
    assert (strict.outcome, strict.kind) == (Outcome.FAIL, Kind.MISSING_ERROR)


def test_a_recommended_order_that_is_not_followed_is_advice(model: Model) -> None:
    """The order of the classes (5.1.7) is recommended, so the lower code passes, and the report says so."""
    verdict, _ = last(model, (INIT,), NULL_INFO, saw(CKR.ARGUMENTS_BAD))
    assert verdict.outcome is Outcome.PASS
    assert [x.rule.code for x in verdict.advice] == [CKR.SESSION_HANDLE_INVALID]
    assert [x.relation.section for x in verdict.advice if x.relation] == ["5.1.7"]
    strict, _ = last(build(readings={"A-02": "class order"}), (INIT,), NULL_INFO, saw(CKR.ARGUMENTS_BAD))
    assert strict.kind is Kind.PRECEDENCE


def test_cause_is_the_rows_not_the_arguments(model: Model) -> None:
    one, _ = last(model, READY, WRONG_PIN, OK)
    other, _ = last(model, READY, Call("C_Login", Args(pin=Pin.LONG)), OK)
    third, _ = last(model, READY, Call("C_Login", Args(session=3)), OK)
    assert one.cause == other.cause != third.cause
    assert third.cause == last(model, READY, Call("C_Logout", Args(session=3)), OK)[0].cause, (
        "one check, many functions"
    )


def test_a_pass_tells_the_rows_that_gave_the_code(model: Model) -> None:
    verdict, driver = last(model, READY, WRONG_PIN, saw(CKR.PIN_INCORRECT))
    assert (verdict.outcome, [r.condition for r in verdict.rules]) == (Outcome.PASS, ["login pin wrong"])
    assert ("C_Login", CKR.PIN_INCORRECT, "login pin wrong") in driver.tally.fired


@pytest.mark.parametrize(
    ("facts", "call", "code", "restored"),
    [
        ({}, Call("C_GetInfo"), CKR.OK, False),
        ({}, WRONG_PIN, CKR.PIN_INCORRECT, True),
        ({}, Call("C_SetPIN"), CKR.OK, True),
        ({}, WRONG_PIN, CKR.OK, True),
        ({"user_failed": True}, LOGIN, CKR.OK, True),
    ],
)
def test_token_is_restored_after_what_may_have_changed_it(
    facts: dict[str, Any], call: Call, code: CKR, restored: bool, model: Model
) -> None:
    asked: list[bool] = []

    class Watched(Script):
        def reset(self, restore_token: bool) -> None:
            asked.append(restore_token)
            super().reset(restore_token)

    initial = State(slots=(replace(Slot(), **facts),))
    driver = Driver(model, initial, Watched(OK, OK, saw(code)))
    driver.replay((*READY, call))
    driver.begin()
    assert asked == [True, False, restored]


NO_DATA = Call("C_Digest", Args(data=Data.NULL))
FIND = Call("C_FindObjectsInit")


@pytest.mark.parametrize("again", [DIGEST, FIND], ids=lambda call: call.function)
def test_e7_what_an_earlier_call_left_out_is_the_cause_of_a_later_failure(model: Model, again: Call) -> None:
    """E7: the error ended the operation, whatever it was (A-15); where it came of a NULL pointer little comes of it."""
    bad, active = saw(CKR.ARGUMENTS_BAD), saw(CKR.OPERATION_ACTIVE)
    replay = Driver(model, ONE_SLOT, Script(OK, OK, OK, bad, active)).replay((*READY, DIGEST, NO_DATA, again))
    failure = replay.failure
    assert failure is not None
    assert failure.lapse is not None
    assert (failure.lapse.function, failure.lapse.code) == ("C_Digest", CKR.ARGUMENTS_BAD)
    assert failure.cause == Cause(LAPSE, ("operation-ended-by-error",), "CKR_ARGUMENTS_BAD")
    assert failure.severity is Severity.LOW, "the error came of a NULL pointer"
    assert replace(failure, lapse=replace(failure.lapse, null=False)).severity is Severity.MEDIUM
    text = explain(model, failure, ())
    assert "if nothing had changed when C_Digest returned CKR_ARGUMENTS_BAD" in text
    assert "Depends on A-15" in text


@pytest.mark.parametrize("code", [CKR.OK, CKR.OPERATION_NOT_INITIALIZED])
def test_what_ends_operations_that_are_not_its_own_is_the_cause_of_a_later_failure(model: Model, code: CKR) -> None:
    """An error about an operation that there is none of leaves the others alone (5)."""
    bad, gone = saw(CKR.ARGUMENTS_BAD), saw(CKR.OPERATION_NOT_INITIALIZED)
    final, update = Call("C_DecryptFinal", Args(null=True)), Call("C_DigestUpdate")
    answers = (OK, OK, OK, bad, gone) if code == CKR.OPERATION_NOT_INITIALIZED else (OK, OK, OK, bad, OK)
    failure = Driver(model, ONE_SLOT, Script(*answers)).replay((*READY, DIGEST, final, update)).failure
    if code == CKR.OK:
        assert failure is None
        return
    assert failure is not None
    assert failure.lapse == Lapse("C_DecryptFinal", CKR.ARGUMENTS_BAD, None, null=True)
    assert failure.cause == Cause(LAPSE, (ENDS_OTHERS,), "CKR_ARGUMENTS_BAD")
    assert "if all operations had ended when C_DecryptFinal returned CKR_ARGUMENTS_BAD" in explain(model, failure, ())


def test_a_failure_that_no_lapse_explains_has_none(model: Model) -> None:
    replay = Driver(model, ONE_SLOT, Script(OK, OK, saw(CKR.OPERATION_ACTIVE))).replay((*READY, DIGEST))
    assert replay.failure is not None
    assert replay.failure.lapse is None


def test_stubs_dead_mechanisms_and_double_answers_are_noted(model: Model) -> None:
    unsupported, trouble, active = saw(CKR.FUNCTION_NOT_SUPPORTED), saw(CKR.GENERAL_ERROR), saw(CKR.OPERATION_ACTIVE)
    sha_1 = Call("C_DigestInit", Args(mechanism=Mech.SHA_1))
    tally = Tally()
    for answers, calls in (
        ((OK, OK, unsupported, trouble), (*READY, SAVE, sha_1)),
        ((OK, OK, OK, active), (*READY, DIGEST, DIGEST)),
        ((OK, OK, OK, OK), (*READY, DIGEST, DIGEST)),
    ):
        driver = Driver(model, ONE_KEY, Script(*answers))
        assert driver.replay(calls).failure is None
        tally.add(driver.tally)
    assert notes_json(Results(model, (), tally, 0, 0.0)) == [
        {"kind": "stub", "about": "CKR_FUNCTION_NOT_SUPPORTED", "functions": ["C_GetOperationState"]},
        {"kind": "dead mechanism", "about": "SHA_1", "functions": ["C_DigestInit"]},
        {"kind": "inconsistent", "about": "A-16", "functions": ["C_DigestInit"]},
    ]


def test_a_lapse_that_the_model_cannot_follow_explains_nothing(model: Model) -> None:
    first = Call("C_CloseSession")
    # Had the session not been closed, there would be no room for the last one.
    full = (INIT, OPEN, OPEN, OPEN, first, OPEN)
    verdict, _ = last(model, full, DIGEST, saw(CKR.OPERATION_ACTIVE))
    assert (verdict.kind, verdict.lapse) == (Kind.OPERATION_STATE, None)
