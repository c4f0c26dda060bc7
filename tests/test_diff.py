"""Two versions of a module compared: baselines, modules tried, changes classed, and what is no difference."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import INIT, LOGIN, LOGOUT, ONE_SLOT, OPEN, Steady
from hypothesis import given, settings
from hypothesis import strategies as st

from p11conform import cli
from p11conform.comparing import Comparison, compare
from p11conform.model.call import Args, Call, Observation
from p11conform.model.oracle import Model
from p11conform.model.state import Pin, State
from p11conform.model.vocabulary import CKR
from p11conform.properties.policy import Level, Rights
from p11conform.properties.reports.baseline import TITLE, Baseline, read_baseline, written
from p11conform.properties.reports.changes import Change, What, compared, grouped, unlike
from p11conform.properties.reports.results import Unreadable, difference
from p11conform.properties.run.campaign import Alone
from p11conform.properties.run.driver import Driver
from p11conform.properties.run.probe import Case
from p11conform.sides import Live, of_baseline, told
from p11conform.subject import Subject

OK = "CKR_OK"
WAY = (INIT, OPEN, LOGIN)
LOOK = Call("C_GetSessionInfo")


def case(*answers: str, fails: bool = False, calls: tuple[Call, ...] = (*WAY, LOGOUT)) -> Case:
    return Case(calls, len(calls) - 1, answers, fails)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (case(OK, OK, OK, OK), case(OK, OK, OK, OK), None),
        (case(OK, OK, OK, OK, fails=True), case(OK, OK, OK, OK, fails=True), None),
        (case(OK, OK, OK, OK), case(OK, OK, OK, "CKR_PIN_EXPIRED"), What.PERMITTED),
        (case(OK, OK, OK, OK), case(OK, OK, OK, "CKR_PIN_EXPIRED", fails=True), What.NEW),
        (case(OK, OK, OK, OK, fails=True), case(OK, OK, OK, "CKR_PIN_EXPIRED"), What.FIXED),
        (case(OK, OK, OK, OK, fails=True), case(OK, OK, OK, "CKR_PIN_EXPIRED", fails=True), What.OTHER),
        (case(OK, OK, OK, OK), case(OK, OK, OK, OK, fails=True), What.NEW),
        (case(OK, OK, OK, OK), case(OK, OK, "died", fails=True), What.DIES),
        (case(OK, OK, "hung", fails=True), case(OK, OK, OK, OK), What.LIVES),
        (case(OK, OK, OK, OK), case(OK, OK, OK, "CKR_FUNCTION_NOT_SUPPORTED"), What.LOST),
        (case(OK, OK, OK, "CKR_FUNCTION_NOT_SUPPORTED"), case(OK, OK, OK, OK), What.GAINED),
        (case(OK, OK, OK, OK), case(OK, OK), What.UNREACHED),
        (case(OK, OK), case(OK, OK, OK, OK), None),
        (case(), case(OK, OK, OK, OK), None),
    ],
)
def test_changes_are_classed(old: Case, new: Case, what: What | None) -> None:
    found = compared(old, new)
    assert (found and found.what) == what


def test_a_mechanism_that_came_is_a_capability() -> None:
    begin = (*WAY, Call("C_DigestInit"))
    name = begin[-1].args.mechanism.name
    old, new = case(OK, OK, OK, "CKR_MECHANISM_INVALID", calls=begin), case(OK, OK, OK, OK, calls=begin)
    sorts = [found.what for x in ((), (name,)) if (found := compared(old, new, x)) is not None]
    assert sorts == [What.PERMITTED, What.GAINED]


def test_what_differs_on_the_way_is_told_once() -> None:
    ways = [case(OK, OK, OK, OK, calls=(*WAY, x)) for x in (LOGOUT, LOOK)]
    now = [case(OK, "CKR_SESSION_COUNT", calls=x.calls) for x in ways]
    (only,) = grouped(x for a, b in zip(ways, now, strict=True) if (x := compared(a, b)) is not None)
    assert (only.what, only.calls, only.count) == (What.PERMITTED, (INIT, OPEN), 1)


def test_one_answer_to_everything_is_one_change() -> None:
    some = [
        Change(What.NEW, (INIT, LOGOUT), "CKR_A", "CKR_X, against the text"),
        Change(What.NEW, (LOGOUT,), "CKR_B", "CKR_X, against the text"),
        Change(What.PERMITTED, (INIT, OPEN, LOGOUT), "CKR_C", "CKR_X"),
        Change(What.NEW, (LOGIN,), "CKR_A", "CKR_X, against the text"),
        Change(What.NEW, (LOOK,), "CKR_A", "CKR_X", "because of the login", "12345678"),
        Change(What.NEW, (INIT, LOOK), "CKR_A", "CKR_Z", "because of the login, too", "12345678"),
    ]
    assert [(x.function, x.count) for x in grouped(some)] == [
        ("C_GetSessionInfo", 2),
        ("C_Login", 1),
        ("C_Logout", 3),
    ]


@pytest.mark.parametrize(("causes", "told"), [(3, 3), (4, 1)])
def test_what_many_earlier_calls_could_be_blamed_for_is_one_change(causes: int, told: int) -> None:
    calls = [(INIT, *(OPEN,) * n, LOOK) for n in range(causes)]
    some = [Change(What.FIXED, x, OK, OK, "because of one call", f"{n:08}") for n, x in enumerate(calls)]
    found = grouped(some)
    assert (len(found), sum(x.count for x in found)) == (told, causes)


def test_another_module_is_told_first() -> None:
    old = {"module": "a", "manufacturer": "One", "library_version": "1.0", "spec": "2.40"}
    lines = list(unlike(old, old | {"manufacturer": "Two", "library_version": "2.0"}))
    assert lines == ["another module: One, then Two", "library_version: 1.0, then 2.0"]


# Baselines.


CASES = (
    case(OK, OK, OK, OK),
    case(OK, OK, OK, "CKR_USER_NOT_LOGGED_IN", fails=True),
    case(OK, "CKR_SESSION_COUNT", calls=(*WAY, LOOK)),
    Case((INIT, OPEN, LOGIN, LOOK, LOGOUT), 2, (OK, OK, "CKR_PIN_INCORRECT", OK, "CKR_USER_NOT_LOGGED_IN")),
    Case((INIT, OPEN_RO := Call("C_OpenSession", Args(rw=False)), LOOK, LOGOUT), 1, (OK, OK, OK, OK)),
    Case((INIT, OPEN_RO, LOOK, LOGOUT, LOOK), 1, (OK, OK, OK, OK), fails=True),
    Case((INIT, OPEN, Call("C_Login", Args(pin=Pin.WRONG)), LOOK), 2, (OK, OK, "died"), fails=True),
    Case((INIT,), 0, ("CKR_CANT_LOCK",)),
    Case((LOGOUT, INIT), 1, ("CKR_OK",), fails=True),
)
BASELINE = Baseline(
    {"module": "simulated", "library_version": "1.2", "spec": "2.40", "p11conform": "0.1.0"},
    {"A-05": "usage guide"},
    ("random numbers", "AES_CBC: ENCRYPT"),
    CASES,
    ("S-01234567",),
)


def test_a_baseline_is_read_as_it_was_written(model: Model, tmp_path: Path) -> None:
    file, text = tmp_path / "baseline.txt", written(BASELINE, model, ONE_SLOT)
    file.write_text(text)
    again = read_baseline(file)
    assert set(again.cases) == set(CASES)
    assert replace(again, cases=()) == replace(BASELINE, cases=())
    shuffled = replace(BASELINE, cases=CASES[::-1])
    assert written(shuffled, model, ONE_SLOT) == text, "the order does not depend on that of the run"
    assert "# in: R/W session with slot 0; USER logged in to slot 0" in text


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 900), put=st.text(max_size=6), cut=st.integers(0, 20))
def test_a_damaged_baseline_is_told_in_a_line_or_read(
    model: Model, tmp_path_factory: pytest.TempPathFactory, at: int, put: str, cut: int
) -> None:
    text = written(BASELINE, model, ONE_SLOT)
    file = tmp_path_factory.mktemp("damaged") / "baseline.txt"
    file.write_text(text[:at] + put + text[at + cut :], encoding="utf-8", errors="surrogatepass")
    with suppress(Unreadable):
        read_baseline(file)


@pytest.mark.parametrize(
    "text", [TITLE, f"{TITLE}\nway\n  C_Odd() → CKR_OK", f"{TITLE}9", f"{TITLE}\n  C_Login() → CKR_OK", "#" * 9_000_000]
)
def test_what_is_no_baseline_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "odd.txt"
    file.write_text(f"# p11conform baseline{text.removeprefix('# p11conform baseline')}")
    result = CliRunner().invoke(cli.main, ["diff", str(file), str(file)])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


# Modules.


class Changed(Steady):
    """Answers some calls otherwise, where nothing came before but what makes a session."""

    answers: Mapping[tuple[str, CKR], CKR] = {}

    def call(self, call: Call) -> Observation:
        seen = super().call(call)
        other = self.answers.get((call.function, CKR(seen.code)))
        return seen if other is None else Observation(other)


def side(model: Model, answers: Mapping[tuple[str, CKR], CKR]) -> Live:
    module = Changed(model, ONE_SLOT)
    module.answers = answers
    about = {"name": "changed", "manufacturer": "p11conform"}
    tested = Subject("changed", about, ONE_SLOT, Rights(Level.OURS), lambda: module, None, lambda: None)
    return Live(model, tested, Alone(Driver(model, ONE_SLOT, module)), 0)


def differences(model: Model, old: Mapping[tuple[str, CKR], CKR], new: Mapping[tuple[str, CKR], CKR]) -> Comparison:
    return compare(side(model, old), side(model, new), {}, {})


def sorts(found: Comparison) -> list[tuple[What, str]]:
    return sorted(((x.what, x.function) for x in found.changes), key=str)


FIXES = {("C_Logout", CKR.USER_NOT_LOGGED_IN): CKR.PIN_EXPIRED, ("C_GetInfo", CKR.ARGUMENTS_BAD): CKR.OK}
REGRESSIONS = {
    ("C_GetSlotInfo", CKR.SLOT_ID_INVALID): CKR.OK,
    ("C_CloseSession", CKR.SESSION_HANDLE_INVALID): CKR.PIN_EXPIRED,
    ("C_GetMechanismInfo", CKR.SLOT_ID_INVALID): CKR.OK,
    ("C_GetTokenInfo", CKR.SLOT_ID_INVALID): CKR.PIN_EXPIRED,
    ("C_Finalize", CKR.CRYPTOKI_NOT_INITIALIZED): CKR.OK,
    ("C_GetSessionInfo", CKR.SESSION_HANDLE_INVALID): CKR.OK,
}
PERMITTED = {
    ("C_GetSlotList", CKR.ARGUMENTS_BAD): CKR.GENERAL_ERROR,
    ("C_WaitForSlotEvent", CKR.ARGUMENTS_BAD): CKR.GENERAL_ERROR,
}


def test_exactly_what_was_changed_is_found(core: Model) -> None:
    found = differences(core, FIXES, {**REGRESSIONS, **PERMITTED})
    assert sorts(found) == sorted(
        (
            *((What.FIXED, name) for name, _ in FIXES),
            *((What.NEW, name) for name, _ in REGRESSIONS),
            *((What.PERMITTED, name) for name, _ in PERMITTED),
        ),
        key=str,
    )
    assert found.has([What.NEW])
    assert not found.has([What.DIES, What.LOST])


def test_a_module_and_its_baseline_do_not_differ(core: Model, tmp_path: Path) -> None:
    own = side(core, FIXES)
    file = tmp_path / "baseline.txt"
    file.write_text(written(own.baseline(0.0), core, ONE_SLOT))
    kept = told(file)
    assert kept is not None
    same = compare(kept, side(core, FIXES), kept.symptoms, {})
    assert next(iter(same.lines())) == "no difference"
    assert same.compared == len(own.cases) > 50
    other = compare(kept, side(core, {}), kept.symptoms, {})
    assert sorts(other) == sorted(((What.FIXED, name) for name, _ in FIXES), key=str)


def test_only_what_does_not_fail_on_the_old_module_is_new(core: Model) -> None:
    """What a check met on one side is tried on the other."""
    wrong = {("C_Logout", CKR.USER_NOT_LOGGED_IN): CKR.PIN_EXPIRED}
    met = {"S-1": case(OK, OK, "CKR_PIN_EXPIRED", fails=True, calls=(INIT, OPEN, LOGOUT))}
    both = compare(side(core, wrong), side(core, wrong), {}, met)
    assert sorts(both) == [(What.FIRST_MET, "C_Logout")]
    assert sorts(compare(side(core, wrong), side(core, wrong), met, met)) == []
    assert (What.NEW, "C_Logout") in sorts(compare(side(core, {}), side(core, wrong), {}, met))
    assert (What.FIXED, "C_Logout") in sorts(compare(side(core, wrong), side(core, {}), met, {}))
    unknown = of_baseline(replace(BASELINE, cases=()))
    alone = compare(unknown, side(core, wrong), {}, met)
    assert sorts(alone) == [(What.UNTRIED, "C_Logout")]
    assert sorts(compare(side(core, wrong), unknown, met, {})) == [(What.UNMET, "C_Logout")]


def test_what_varies_is_no_change(core: Model) -> None:
    class Varying(Changed):
        turn = 0

        def call(self, call: Call) -> Observation:
            seen = super().call(call)
            if call.function != "C_Logout" or seen.code != CKR.OK:
                return seen
            Varying.turn += 1
            return seen if Varying.turn % 3 else Observation(CKR.DEVICE_ERROR)

    old, new = side(core, {}), side(core, {})
    module = Varying(core, ONE_SLOT)
    new.crew = Alone(Driver(core, ONE_SLOT, module))
    found = compare(old, new, {}, {})
    assert found.changes == ()
    assert found.varying > 0


def test_reports_are_compared_by_symptoms() -> None:
    """A regression does not hide inside a finding that both have."""

    def report(*ids: str) -> dict[str, object]:
        shown: Sequence[Mapping[str, object]] = [
            {"id": x, "function": "C_Logout", "observed": OK, "permitted": [], "trace": [], "rows": [], "situation": []}
            for x in ids
        ]
        finding = {"id": "F-1", "severity": "low", "kind": "", "functions": ["C_Logout"], "symptoms": shown}
        pairs = [["C_Logout", OK]]
        return {"schema": "p11conform.report/2", "findings": [{**shown[0], **finding}], "coverage": {"pairs": pairs}}

    d = difference(report("S-1"), report("S-1", "S-2"))
    assert [f["symptoms"][0]["id"] for f in d.new] == ["S-2"]
    assert (d.gone, d.changed) == ((), ())
    assert [f["symptoms"][0]["id"] for f in difference(report("S-1", "S-2"), report("S-1")).gone] == ["S-2"]


def test_a_state_is_told_in_words(model: Model) -> None:
    text = written(replace(BASELINE, cases=CASES[7:8]), model, State())
    assert "# in: library not initialised" in text
