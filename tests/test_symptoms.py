"""Symptoms, the findings that share them, and the earlier call that explains a failure, whatever it is about."""

from typing import Any

import pytest
from conftest import INIT, LOGIN, LOGOUT, OPEN

from p11conform.model.call import Args, Call, Flaw, Observation
from p11conform.model.oracle import Model
from p11conform.model.state import Mech, Object, Pin, State
from p11conform.model.vocabulary import CKR
from p11conform.properties.engine.verdict import (
    ENDS_OTHERS,
    Kind,
    Lapse,
    Outcome,
    Part,
    Severity,
    Steps,
    Symptom,
    Verdict,
    follow,
    symptom,
)
from p11conform.properties.reports.findings import Finding, explain, shown
from p11conform.properties.reports.render import named
from p11conform.properties.reports.results import seen, symptoms
from p11conform.properties.run.blame import ENDING, blame_any

ROOM = State(objects=(Object(),) * 3)
OK = Observation()
CLOSE = Call("C_CloseSession")
INFO = Call("C_GetSessionInfo")
FIND, FOUND = Call("C_FindObjectsInit"), Call("C_FindObjects")
STRANGER = Observation(outputs=(("found", 0), ("strangers", 1)))
CREATE, DESTROY = Call("C_CreateObject"), Call("C_DestroyObject")
UNKNOWN_TYPE = Call("C_CreateObject", Args(flaw=Flaw.UNKNOWN_TYPE))
OTHER_PIN, WRONG_PIN = Call("C_SetPIN", Args(new_pin=Pin.OTHER)), Call("C_Login", Args(pin=Pin.WRONG))
OPENED = ((INIT, OK), (OPEN, OK))
LOGGED_IN = (*OPENED, (LOGIN, OK))


def state(number: int) -> Observation:
    return Observation(outputs=(("state", number),))


def failure(model: Model, steps: Steps) -> Verdict:
    """The failure of the last step, with what explains it."""
    beliefs: Any = (ROOM,)
    for call, answer in steps[:-1]:
        verdict, beliefs = follow(model, beliefs, call, answer)
        assert verdict.outcome is not Outcome.FAIL
    verdict, _ = follow(model, beliefs, *steps[-1])
    assert verdict.outcome is Outcome.FAIL
    return blame_any(model, ROOM, steps, verdict)


@pytest.mark.parametrize(
    ("steps", "row", "function"),
    [
        ((*LOGGED_IN, (CLOSE, OK), (OPEN, OK), (INFO, state(3))), "session-closed-but-login", "C_CloseSession"),
        (
            (*LOGGED_IN, (CLOSE, OK), (OPEN, OK), (LOGIN, Observation(CKR.USER_ALREADY_LOGGED_IN))),
            "session-closed-but-login",
            "C_CloseSession",
        ),
        ((*LOGGED_IN, (CLOSE, OK), (OPEN, OK), (LOGOUT, OK)), "session-closed-but-login", "C_CloseSession"),
        ((*LOGGED_IN, (LOGOUT, OK), (LOGOUT, OK)), "logged-out", "C_Logout"),
        ((*OPENED, (CLOSE, OK), (INFO, OK)), "session-closed", "C_CloseSession"),
        ((*OPENED, (CREATE, OK), (DESTROY, OK), (FIND, OK), (FOUND, STRANGER)), "object-destroyed", "C_DestroyObject"),
        (
            (*OPENED, (UNKNOWN_TYPE, Observation(CKR.ATTRIBUTE_TYPE_INVALID)), (FIND, OK), (FOUND, STRANGER)),
            "object-created-in-spite-of-the-error",
            "C_CreateObject",
        ),
        (
            (*OPENED, (WRONG_PIN, Observation(CKR.PIN_INCORRECT)), (INFO, state(3))),
            "logged-in-in-spite-of-the-error",
            "C_Login",
        ),
        (
            (*OPENED, (OPEN, OK), (LOGIN, OK), (Call("C_CloseSession", Args(session=1)), OK), (INFO, state(2))),
            f"{ENDS_OTHERS}-login",
            "C_CloseSession",
        ),
        ((*LOGGED_IN, (OTHER_PIN, OK), (LOGOUT, OK), (LOGIN, OK)), "pin-changed", "C_SetPIN"),
        (
            (*OPENED, (FIND, OK), (FOUND, Observation(CKR.OPERATION_NOT_INITIALIZED))),
            "search-begun",
            "C_FindObjectsInit",
        ),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_the_earlier_call_is_named_that_explains_a_failure(model: Model, steps: Steps, row: str, function: str) -> None:
    lapse = failure(model, steps).lapse
    assert lapse is not None
    assert (lapse.row, lapse.function) == (row, function)


@pytest.mark.parametrize(
    "steps",
    [
        (*OPENED, (LOGOUT, OK)),
        (*OPENED, (Call("C_GetSessionInfo", Args(session=1)), OK)),
        (*OPENED, (INFO, Observation(CKR.PIN_EXPIRED))),
    ],
)
def test_a_call_that_is_wrong_by_itself_is_blamed_on_no_other(model: Model, steps: Steps) -> None:
    assert failure(model, steps).lapse is None


def test_the_text_says_what_should_have_happened(model: Model) -> None:
    """T3: a close that leaves the login behind."""
    text = explain(model, failure(model, (*LOGGED_IN, (CLOSE, OK), (OPEN, OK), (INFO, state(3)))))
    assert "if who is logged in had stayed as before when C_CloseSession returned CKR_OK" in text
    assert "5.6 C_CloseSession" in text


def test_effects_that_end_something_are_effects_of_the_table(model: Model) -> None:
    assert {e.id for f in model.functions.values() for e in f.effects} >= ENDING


def test_lapses_by_other_codes_are_other_causes(model: Model) -> None:
    """T1 and T2: neither hides behind an error about arguments that does the same."""
    ends = [Lapse(f, code, None) for f in ("C_EncryptInit", "C_SignInit") for code in (7, CKR.OPERATION_ACTIVE)]
    assert len({x.cause.id for x in ends}) == 2
    effect = next(e for e in model.functions["C_Verify"].effects if e.id == "operation-ended-by-error")
    lapses = [Lapse("C_Verify", code, effect) for code in (CKR.SIGNATURE_INVALID, CKR.ARGUMENTS_BAD)]
    assert len({x.cause for x in (*ends, *lapses)}) == 4
    (out,) = (e for e in model.functions["C_Logout"].effects if e.id == "logged-out")
    own = [Lapse("C_Logout", 0, out), Lapse("C_CloseSession", 0, out), Lapse("C_Logout", 0, out, part=Part.LOGIN)]
    assert len({x.cause for x in own}) == 3, "a success that does not do what it should is its function's own fault"


def test_a_symptom_without_rows_is_told_by_the_arguments_that_matter(model: Model) -> None:
    wrong = Observation(CKR.PIN_EXPIRED)
    one, other = (
        symptom(failure(model, (*OPENED, (call, wrong))), model.functions[call.function].uses)
        for call in (Call("C_GetTokenInfo"), Call("C_GetTokenInfo", Args(slot=0, null=True)))
    )
    assert one == Symptom("C_GetTokenInfo", "CKR_PIN_EXPIRED")
    assert other != one
    assert len({one.id, other.id}) == 2


def test_a_mechanism_without_a_record_is_told_by_its_number(model: Model) -> None:
    call = Call("C_DigestInit", Args(mechanism=Mech.OTHER, number=0x8000_0001))
    off_list = Verdict(Outcome.FAIL, call, Observation(CKR.PIN_EXPIRED), Kind.OFF_LIST)
    found = symptom(off_list, model.functions[call.function].uses)
    assert found.named == ("mechanism=OTHER", f"number={0x8000_0001}")


def test_what_is_seen_alike_is_named_with_what_it_did(model: Model) -> None:
    steps = [(*OPENED, (Call(name), Observation(CKR.PIN_EXPIRED))) for name in ("C_GetInfo", "C_GetTokenInfo")]
    first, second = (shown(model, failure(model, x), x, 0) for x in steps)
    finding = Finding((first, second))
    assert finding.functions == ("C_GetInfo", "C_GetTokenInfo")
    text = explain(model, finding.verdict, [x.symptom for x in finding.symptoms])
    assert text.endswith("Seen alike: C_GetTokenInfo → CKR_PIN_EXPIRED.")


def test_no_report_claims_what_was_not_seen(report: dict[str, Any]) -> None:
    pairs = {tuple(pair) for pair in report["coverage"]["pairs"]}
    ids = []
    for finding in report["findings"]:
        assert set(seen(finding)) <= pairs
        assert {function for function, _ in seen(finding)} == set(finding["functions"])
        for x in finding["symptoms"]:
            assert (x["trace"][-1]["function"], x["trace"][-1]["observed"]) == (x["function"], x["observed"])
            assert x["confirmed"] > 0
            ids.append(x["id"])
    assert len(ids) == len(set(ids)) > 0


def test_an_older_report_has_a_symptom_for_each_finding(report: dict[str, Any]) -> None:
    finding = {name: value for name, value in report["findings"][0].items() if name != "symptoms"}
    (only,) = symptoms(finding)
    assert (only["id"], only["trace"]) == (finding["id"], finding["trace"])
    older = report | {"findings": [finding]}
    assert finding["id"] in named("text").render(older)


@pytest.mark.parametrize(
    ("steps", "severity"),
    [
        ((*OPENED, (WRONG_PIN, OK)), Severity.HIGH),
        ((*OPENED, (Call("C_InitPIN"), OK)), Severity.HIGH),
        ((*OPENED, (LOGOUT, OK)), Severity.MEDIUM),
        ((*OPENED, (Call("C_GetSessionInfo", Args(session=1)), OK)), Severity.MEDIUM),
    ],
)
def test_what_lets_anybody_in_is_grave(model: Model, steps: Steps, severity: Severity) -> None:
    """T10: the harm decides, not that an error is missing."""
    assert failure(model, steps).severity is severity


def test_a_session_on_a_slot_that_there_is_not_explains_nothing(model: Model) -> None:
    elsewhere = Call("C_OpenSession", Args(slot=len(ROOM.slots)))
    steps = (
        (INIT, OK),
        (elsewhere, Observation(CKR.SLOT_ID_INVALID)),
        (INFO, Observation(CKR.SESSION_HANDLE_INVALID)),
        (Call("C_GetInfo"), Observation(CKR.OPERATION_NOT_INITIALIZED)),
    )
    assert failure(model, steps).lapse is None
