"""The public interface: a few names, quick to import, whose results a notebook can show."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import p11conform
from p11conform.cli import main
from p11conform.model.call import Data, Flaw, Parameter
from p11conform.model.decide import forbids_ok
from p11conform.model.oracle import build
from p11conform.model.state import Pin
from p11conform.model.vocabulary import CKR
from p11conform.properties.search.natural import Way, natural, shows
from p11conform.subject import SIMULATED_STATE

ROOT = Path(__file__).parents[1]
FEW = ("C_Initialize", "C_Finalize", "C_OpenSession", "C_CloseSession", "C_Login", "C_Logout")
OPENED = ("C_Initialize", "C_OpenSession")


@pytest.fixture(scope="module")
def model() -> p11conform.Model:
    return p11conform.Model(functions=FEW)


@pytest.fixture(scope="module")
def report(model: p11conform.Model) -> p11conform.Report:
    faulty = model.without("C_Logout", "CKR_USER_NOT_LOGGED_IN")
    return p11conform.check(faulty, model, sequences=0, seconds=600)


def test_the_names_are_few_and_all_there() -> None:
    import p11conform.commands

    assert "commands" not in dir(p11conform)
    assert 8 <= len(dir(p11conform)) <= 30
    assert all(getattr(p11conform, name) is not None for name in dir(p11conform))
    with pytest.raises(AttributeError, match="no attribute 'engine'"):
        _ = p11conform.engine


@pytest.mark.parametrize("version", ["2.01", "2.40", "3.0"])
def test_a_whole_version_begins_with_every_sort_of_slot(version: str, model: p11conform.Model) -> None:
    assert p11conform.Model(version).start is SIMULATED_STATE
    assert model.start is not SIMULATED_STATE


def test_an_import_loads_nothing_else() -> None:
    code = "import sys, p11conform; print(sorted(m for m in sys.modules if m.startswith('p11conform.') or m == 'z3'))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("calls", "codes"),
    [
        (("C_Initialize",), {"CKR_OK", "CKR_FIPS_SELF_TEST_FAILED", "CKR_LIBRARY_LOAD_FAILED"}),
        ((*OPENED, "C_Login(pin=WRONG)"), {"CKR_PIN_INCORRECT", "CKR_PIN_LOCKED"}),
        ((*OPENED, "C_Login( user = SO , pin=SO )", "C_Login"), {"CKR_USER_ANOTHER_ALREADY_LOGGED_IN"}),
        ((*OPENED, "C_Login(pin=WRONG) → CKR_PIN_INCORRECT", "C_Login"), {"CKR_OK", "CKR_PIN_LOCKED"}),
        ((*OPENED, "C_Login(pin=WRONG) -> PIN_LOCKED", "C_Login"), {"CKR_OK", "CKR_PIN_LOCKED"}),
    ],
)
def test_permitted_takes_calls_as_they_are_written(calls: tuple[str, ...], codes: set[str]) -> None:
    assert set(p11conform.permitted(*calls)) == codes


@pytest.mark.parametrize(
    ("calls", "says"),
    [
        (("C_Logn",), "did you mean C_Login?"),
        (("C_Login(who=SO)",), "no argument 'who=SO'"),
        (("C_Login(pin=MINE)",), "pin is one of"),
        (("what is this",), "is no call"),
        (("C_Initialize", "C_OpenSession → CKR_PIN_LOCKED", "C_Logout"), "cannot return CKR_PIN_LOCKED here"),
        (("C_Login → CKR_ODD", "C_Logout"), "CKR_ODD is no return value"),
    ],
)
def test_what_is_no_call_is_told(calls: tuple[str, ...], says: str) -> None:
    with pytest.raises(ValueError, match=r".") as told:
        p11conform.permitted(*calls)
    assert says in str(told.value)


NATURAL = {
    CKR.USER_NOT_LOGGED_IN: ("C_Initialize", "C_OpenSession", "C_InitPIN"),
    CKR.SESSION_READ_ONLY: ("C_Initialize", "C_OpenSession", "C_SetPIN"),
    CKR.KEY_HANDLE_INVALID: ("C_Initialize", "C_OpenSession", "C_EncryptInit"),
    CKR.SIGNATURE_INVALID: (
        *("C_Initialize", "C_OpenSession", "C_GenerateKey", "C_SignInit", "C_Sign", "C_VerifyInit", "C_Verify"),
    ),
}


@pytest.mark.parametrize("code", NATURAL, ids=str)
def test_a_way_is_short_firm_and_plain(code: CKR) -> None:
    table = build()
    way = natural(table, SIMULATED_STATE, code)
    assert isinstance(way, Way)
    assert tuple(c.function for c in way.calls) == NATURAL[code]
    assert way.rule is not None
    assert forbids_ok(way.rule)
    assert shows(table, SIMULATED_STATE, way)
    for n in range(len(way.calls) - 1):
        assert not shows(table, SIMULATED_STATE, Way((*way.calls[:n], *way.calls[n + 1 :]), code, way.rule))
    for call in way.calls[:-1]:
        assert (call.args.null, call.args.flaw.name, call.args.parameter.name) == (False, "NONE", "RIGHT")


@pytest.mark.parametrize(
    ("code", "calls", "call", "argument"),
    [
        (CKR.ATTRIBUTE_VALUE_INVALID, 3, -1, ("flaw", Flaw.BAD_VALUE)),
        (CKR.TEMPLATE_INCOMPLETE, 3, -1, ("flaw", Flaw.EMPTY)),
        (CKR.PIN_LOCKED, 4, -2, ("pin", Pin.WRONG)),
        (CKR.WRAPPED_KEY_LEN_RANGE, 5, -1, ("data", Data.CUT)),
        (CKR.ENCRYPTED_DATA_LEN_RANGE, 5, -1, ("data", Data.ODD)),
        (CKR.MECHANISM_PARAM_INVALID, 4, -1, ("parameter", Parameter.WRONG)),
    ],
    ids=str,
)
def test_what_a_code_is_about_is_what_is_odd(code: CKR, calls: int, call: int, argument: tuple[str, object]) -> None:
    way = natural(build(), SIMULATED_STATE, code)
    assert way is not None
    name, value = argument
    assert (len(way.calls), getattr(way.calls[call].args, name)) == (calls, value)


def test_a_function_that_begins_without_a_key_leads_on() -> None:
    way = natural(build(readings={"A-16": "refuse"}), SIMULATED_STATE, CKR.OPERATION_ACTIVE, "C_DigestInit")
    assert way is not None
    assert [c.function for c in way.calls] == ["C_Initialize", "C_OpenSession", "C_DigestInit", "C_DigestInit"]


def test_results_say_what_they_hold(report: p11conform.Report) -> None:
    (finding,) = report.findings
    assert (finding.id, finding.functions, finding.permitted) == (
        "F-2781001a",
        ("C_Logout",),
        ("CKR_USER_NOT_LOGGED_IN",),
    )
    assert finding.trace.column("did")[-1] == "CKR_OK"
    assert report.pairs["C_Logout", "CKR_OK"] > 0


def test_a_report_is_saved_and_loaded(report: p11conform.Report, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    report.save(file)
    again = p11conform.load_report(file)
    assert again.findings[0].text == report.findings[0].text
    assert not p11conform.compare(report, again).table
    with pytest.raises(p11conform.Unreadable, match="No such file"):
        p11conform.load_report(tmp_path / "none.json")


def test_what_was_asked_wrongly_is_told(report: p11conform.Report) -> None:
    with pytest.raises(ValueError, match="no format is called 'pdf'"):
        report.to("pdf")
    with pytest.raises(ValueError, match="no module is called 'nosuch'"):
        p11conform.check("nosuch")
    with pytest.raises(ValueError, match="it is one of"):
        p11conform.check("simulated", allow="anything")
    with pytest.raises(ValueError, match="no invariant is called"):
        p11conform.prove(None, "nosuch")


def test_no_repr_is_long_and_all_are_shown(report: p11conform.Report, model: p11conform.Model) -> None:
    graph = model.explore("logins")
    name = "login_needs_a_session"
    things = (
        p11conform.Model(),
        p11conform.Model().rules(),
        p11conform.explain("C_CreateObject"),
        p11conform.permitted("C_CreateObject"),
        p11conform.modules(),
        graph,
        graph.way("CKR_PIN_LOCKED"),
        p11conform.prove(model, name),
        report,
        report.findings,
        report.findings[0],
        report.findings[0].trace,
        report.unfired,
        p11conform.compare(report, report),
    )
    for thing in things:
        assert 0 < len(repr(thing)) <= 2000
        assert "<table>" in thing._repr_html_()  # type: ignore[union-attr]


def test_plots_are_pictures(report: p11conform.Report, model: p11conform.Model) -> None:
    pytest.importorskip("matplotlib")
    for plot in (report.plot(), report.plot_curve(), model.plot(), model.explore("logins").plot()):
        assert plot._repr_png_().startswith(b"\x89PNG")
        assert len(repr(plot)) < 200


# On the command line.


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        (("reach", "CKR_USER_ALREADY_LOGGED_IN"), ("sequence", 3, "returns", "CKR_USER_ALREADY_LOGGED_IN")),
        (("explain", "C_Login", "CKR_PIN_INCORRECT"), ("rules", 0, "strength", "must")),
        (("graph", "logins", "--reading", "A-05=base text"), ("states", 232)),
    ],
)
def test_answers_are_written_as_data(words: tuple[str, ...], holds: tuple[object, ...], tmp_path: Path) -> None:
    file = tmp_path / "answer.json"
    ran = CliRunner().invoke(main, [*words, "--json", str(file)])
    assert ran.exit_code == 0, ran.output
    *path, wanted = holds
    value = json.loads(file.read_text())
    for step in path:
        value = value[step]
    assert value == wanted


@pytest.mark.parametrize(
    ("line", "offered"),
    [("explain C_Logou", "C_Logout"), ("reach CKR_PIN_LO", "CKR_PIN_LOCKED"), ("graph log", "logins")],
)
def test_a_shell_completes_names(line: str, offered: str) -> None:
    words = f"p11conform {line}"
    asked = {"_P11CONFORM_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "2"}
    code = "from p11conform.cli import main; main(prog_name='p11conform')"
    ran = subprocess.run([sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True)
    assert ran.stdout.split() == [f"plain,{offered}"]
