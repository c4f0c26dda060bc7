"""Failures that were met apart, and are one fault: told as one finding, with every symptom as it was."""

from p11conform.model.call import Args, Buffer, Call, Data, Ending, Observation
from p11conform.model.oracle import build
from p11conform.model.rule import Rule
from p11conform.model.vocabulary import CKR
from p11conform.properties.engine.verdict import Kind, Lapse, Outcome, Verdict
from p11conform.properties.reports.findings import Finding, shown
from p11conform.properties.run.merged import one_for_each_answer, one_for_each_cause

MODEL = build()
DIED, HUNG = Observation(ending=Ending.DIED, detail="signal SIGSEGV"), Observation(ending=Ending.HUNG)
HUGE = Args(data=Data.HUGE)


def finding(kind: Kind, call: Call, seen: Observation | CKR, *rows: Rule) -> Finding:
    seen = seen if isinstance(seen, Observation) else Observation(seen)
    return Finding((shown(MODEL, Verdict(Outcome.FAIL, call, seen, kind, rules=rows), ((call, seen),), 0),))


def row(function: str, id: str) -> Rule:
    return next(r for r in MODEL.functions[function].rules if r.id == id)


def functions(found: list[Finding]) -> list[tuple[str, ...]]:
    return [f.functions for f in found]


def test_a_death_by_one_pattern_of_arguments_is_one_finding_whatever_the_function() -> None:
    every = [finding(Kind.DIED, Call(f"C_{name}", HUGE), DIED) for name in ("Encrypt", "Sign", "Verify")]
    found = one_for_each_cause(every)
    assert functions(found) == [("C_Encrypt", "C_Sign", "C_Verify")]
    assert [x.symptom for x in found[0].symptoms] == [f.first.symptom for f in every]
    assert {f.id for f in every} == {found[0].id}, "its id does not hang on which of them was met"


def test_deaths_by_other_arguments_or_none_that_matter_stay_apart() -> None:
    every = [
        finding(Kind.DIED, Call("C_Encrypt", HUGE), DIED),
        finding(Kind.HUNG, Call("C_Sign", HUGE), HUNG),
        finding(Kind.DIED, Call("C_Sign", Args(buffer=Buffer.SHORT)), DIED),
        finding(Kind.DIED, Call("C_SignInit", Args(key=1)), DIED),
        finding(Kind.DIED, Call("C_VerifyInit", Args(key=1)), DIED),
    ]
    assert functions(one_for_each_cause(every)) == [f.functions for f in every]


def test_the_handle_of_an_object_that_is_there_is_refused_for_one_cause() -> None:
    code = CKR.OBJECT_HANDLE_INVALID
    every = [finding(Kind.WRONG_CODE, Call(f"C_{name}"), code) for name in ("GetObjectSize", "CopyObject")]
    other = finding(Kind.WRONG_CODE, Call("C_CopyObject"), CKR.ARGUMENTS_BAD)
    assert functions(one_for_each_cause([*every, other])) == [("C_CopyObject", "C_GetObjectSize"), ("C_CopyObject",)]


def test_a_cause_is_one_whether_another_situation_stands_beside_it_or_not() -> None:
    out, nobody = (row("C_Login", id) for id in ("context-specific-out-of-context", "context-specific-and-nobody"))
    less, more = (
        finding(Kind.OPERATION_STATE, Call("C_Login"), CKR.USER_TYPE_INVALID, *rows) for rows in ((out,), (out, nobody))
    )
    for every in ([more, less], [less, more]):
        (one,) = one_for_each_cause(every)
        assert (one.id, len(one.symptoms)) == (less.id, 2)
    elsewhere = finding(Kind.OPERATION_STATE, Call("C_Login"), CKR.DATA_INVALID, out, nobody)
    assert len(one_for_each_cause([less, elsewhere])) == 2


NOT_LOGGED_IN = CKR.USER_NOT_LOGGED_IN


def test_what_a_function_says_for_no_reason_it_says_for_that_where_something_else_is_due() -> None:
    plain = finding(Kind.OFF_LIST, Call("C_SetPIN"), NOT_LOGGED_IN)
    due = finding(Kind.OFF_LIST, Call("C_SetPIN"), NOT_LOGGED_IN, row("C_SetPIN", "pin-wrong"))
    elsewhere = finding(Kind.OFF_LIST, Call("C_GetInfo"), NOT_LOGGED_IN, row("C_GetInfo", "pointer-null"))
    otherwise = finding(Kind.WRONG_CODE, Call("C_SetPIN"), CKR.DATA_INVALID, row("C_SetPIN", "pin-wrong"))
    success = finding(Kind.MISSING_ERROR, Call("C_SetPIN"), CKR.OK, row("C_SetPIN", "pin-wrong"))
    for every in ([plain, due, elsewhere, otherwise, success], [due, elsewhere, otherwise, success, plain]):
        found = one_for_each_answer(every)
        assert sorted(functions(found)) == [("C_GetInfo",), *[("C_SetPIN",)] * 3]
        (one,) = [f for f in found if len(f.symptoms) > 1]
        assert (one.id, [x.verdict for x in one.symptoms]) == (plain.id, [plain.verdict, due.verdict])


def test_a_function_to_which_an_object_is_not_there_cannot_tell_what_else_is_wrong() -> None:
    effect = next(e for e in MODEL.functions["C_CreateObject"].effects if e.id == "object-created")
    call, seen = Call("C_CopyObject"), Observation(CKR.OBJECT_HANDLE_INVALID)
    lapse = Lapse("C_CreateObject", CKR.OK, effect)
    verdict = Verdict(Outcome.FAIL, call, seen, Kind.WRONG_CODE, lapse=lapse)
    gone = Finding((shown(MODEL, verdict, ((call, seen),), 0),))
    due = finding(Kind.WRONG_CODE, call, seen, row("C_CopyObject", "copy-prohibited"))
    (one,) = one_for_each_answer([due, gone])
    assert (one.id, len(one.symptoms)) == (gone.id, 2)


def test_what_other_functions_say_for_a_reason_stays_with_that() -> None:
    plain = finding(Kind.OFF_LIST, Call("C_SetPIN"), NOT_LOGGED_IN)
    due, beside = (
        finding(Kind.OFF_LIST, Call(name), NOT_LOGGED_IN, row(name, "session-invalid"))
        for name in ("C_SetPIN", "C_InitPIN")
    )
    found = one_for_each_answer([due.with_symptom(beside.first), plain])
    assert functions(found) == [("C_InitPIN",), ("C_SetPIN",)]
    assert [f.id for f in found] == [beside.id, plain.id]


def test_where_it_is_never_said_for_no_reason_each_situation_has_its_own_finding() -> None:
    rows = (row("C_SetPIN", id) for id in ("pin-wrong", "session-invalid"))
    every = [finding(Kind.OFF_LIST, Call("C_SetPIN"), NOT_LOGGED_IN, r) for r in rows]
    assert one_for_each_answer(every) == every
