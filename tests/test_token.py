"""A token of somebody else's: PINs that may be tried, how far it was given over, and that it is as it was."""

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import FINALIZE, INIT, LOGIN, OPEN

from p11conform import cli, subject
from p11conform.adapters.base import ModuleUnusable
from p11conform.adapters.census import Census, census_isolated
from p11conform.adapters.isolated import Isolated, Kind, login_isolated, measure_isolated
from p11conform.adapters.modules import library, softhsm2
from p11conform.adapters.modules.library import Request
from p11conform.adapters.modules.module import initialize_tokens
from p11conform.adapters.wire import TakeCensus
from p11conform.crew import RemoteWorker
from p11conform.exits import Exit
from p11conform.messages import Task
from p11conform.model.call import Args, Call
from p11conform.model.oracle import Model
from p11conform.model.state import Object, Pin, Session, State
from p11conform.model.table import TABLE
from p11conform.model.vocabulary import CKF, CKR, CKU
from p11conform.properties.engine.verdict import Severity
from p11conform.properties.policy import Level, makes_objects
from p11conform.properties.run.tally import Tally
from p11conform.properties.run.work import Failed, Tour
from p11conform.properties.search.goals import SEARCH

pytestmark = pytest.mark.module

PIN, SO_PIN = b"Sesame-4711", b"Sesame-0815"


@pytest.fixture
def stranger(shim: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """A token of somebody's on SoftHSM, behind a module that can change what it does."""
    found = softhsm2.find()
    if found is None:
        pytest.skip("SoftHSM is not installed")
    directory, conf = tmp_path / "tokens", tmp_path / "softhsm2.conf"
    directory.mkdir()
    conf.write_text(f"directories.tokendir = {directory}\nobjectstore.backend = file\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(conf))
    monkeypatch.setenv("SHIM_LIBRARY", found)
    monkeypatch.setenv("SHIM_PINS", str(tmp_path / "tries"))
    initialize_tokens(found, {}, ("mine",), SO_PIN, PIN)
    return Request(shim, label="mine", user_pin=PIN, so_pin=SO_PIN)


@pytest.fixture
def tries(tmp_path: Path) -> Callable[[], int]:
    """How many PINs the module was given."""
    file = tmp_path / "tries"
    return lambda: len(file.read_text()) if file.exists() else 0


USER_FLAGS = (CKF.USER_PIN_COUNT_LOW, CKF.USER_PIN_FINAL_TRY, CKF.USER_PIN_LOCKED)
SO_FLAGS = (CKF.SO_PIN_COUNT_LOW, CKF.SO_PIN_FINAL_TRY, CKF.SO_PIN_LOCKED)


@pytest.mark.parametrize("flag", [*USER_FLAGS, *SO_FLAGS], ids=lambda flag: flag.name)
def test_a_pin_that_may_have_one_try_left_is_not_tried(
    stranger: Request, tries: Callable[[], int], flag: CKF, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIM_FLAGS", str(int(flag)))
    with pytest.raises(ModuleUnusable, match=f"CKF_{flag.name}.*leave the PIN out"):
        library.provision(stranger)
    assert tries() == 0, "the other PIN was not tried either"
    users: dict[str, Any] = {"user_pin": None} if flag in USER_FLAGS else {"so_pin": None}
    library.provision(replace(stranger, **users))
    assert tries() == 1


def test_an_empty_pin_is_none(stranger: Request, tries: Callable[[], int]) -> None:
    with pytest.raises(ModuleUnusable, match="PIN is empty"):
        library.provision(replace(stranger, user_pin=b""))
    assert tries() == 0


@pytest.mark.parametrize("missing", [{"user_pin": None}, {"so_pin": None}])
def test_all_pins_that_are_needed_are_there_before_the_first_is_tried(
    stranger: Request, tries: Callable[[], int], missing: dict[str, Any]
) -> None:
    with pytest.raises(ModuleUnusable, match="both PINs"):
        library.provision(replace(stranger, expendable=True, **missing))
    assert tries() == 0


@pytest.mark.parametrize(
    ("missing", "level", "why"),
    [
        ({}, Level.EVERYTHING, ()),
        ({"so_pin": None}, Level.PINS, ("SO PIN",)),
        ({"user_pin": None}, Level.TOKEN_OBJECTS, ("user PIN",)),
        ({"user_pin": None, "so_pin": None}, Level.TOKEN_OBJECTS, ("SO PIN", "user PIN")),
    ],
)
def test_a_missing_pin_lowers_the_level_and_is_said(
    stranger: Request, missing: dict[str, Any], level: Level, why: tuple[str, ...]
) -> None:
    tested = subject.user_module(replace(stranger, **missing), Kind.RAW, Level.EVERYTHING)
    assert tested.rights.level is level
    assert len(tested.rights.reduced) == len(why)
    assert all(word in line for word, line in zip(why, tested.rights.reduced, strict=True))
    assert tested.rights.users == {CKU.USER, CKU.SO} - {CKU.USER if n == "user_pin" else CKU.SO for n in missing}


MADE = Call("C_CreateObject", Args(token=True))
PRIVATE = Call("C_CreateObject", Args(token=True, private=True))


def slot_of(request: Request) -> int:
    """The ID of the slot that a request is about."""
    return library.choose(measure_isolated(request.library), request).id


def objects(request: Request) -> Census:
    return census_isolated(TakeCensus(request.library, slot_of(request), "mine", request.user_pin, None, remove=False))


def test_a_token_that_cannot_be_initialised_again_is_checked_at_a_lower_level(
    stranger: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIM_INIT", str(int(CKR.FUNCTION_NOT_SUPPORTED)))
    tested = subject.user_module(stranger, Kind.RAW, Level.EVERYTHING)
    assert tested.rights.level is Level.PINS
    (why,) = tested.rights.reduced
    assert "C_InitToken gives CKR_FUNCTION_NOT_SUPPORTED" in why


def test_session_objects_that_outlive_their_process_are_found_and_destroyed_and_no_more_are_made(
    stranger: Request, monkeypatch: pytest.MonkeyPatch, model: Model
) -> None:
    monkeypatch.setenv("SHIM_KEEPS", "1")
    tested = subject.user_module(stranger, Kind.RAW)
    (finding,) = subject.shown_findings(model, tested)
    assert finding.verdict.severity is Severity.HIGH
    assert [call.function for call, _ in finding.steps][-1] == "C_FindObjects"
    assert objects(stranger) == Census(objects(stranger).flags)
    s = State(initialized=True, sessions=(Session(open=True, rw=True),), objects=(Object(),))
    assert not any(tested.rights.policy(s, Call(name)) for name in TABLE if makes_objects(name))
    assert any("outlived" in line for line in tested.rights.lines)


def test_on_a_module_that_ends_session_objects_they_are_made(stranger: Request, model: Model) -> None:
    tested = subject.user_module(stranger, Kind.RAW)
    assert subject.shown_findings(model, tested) == ()
    assert tested.rights.objects


def test_a_census_sees_what_is_there_and_removes_only_what_is_ours(stranger: Request) -> None:
    module, _ = library.provision(stranger)
    before = objects(stranger)
    with Isolated(Kind.RAW, module.library, module.binding) as adapter:
        for call in (INIT, OPEN, LOGIN, MADE, PRIVATE):
            assert adapter.call(call).code == CKR.OK
    after = objects(stranger)
    new = before.missing(after)
    assert len(new) == 2
    assert all(x.ours for x in new)
    assert len(objects(replace(stranger, user_pin=None)).objects) == 1, "a private one is for the user"
    lines = subject.token_lines(before, after)
    assert lines[0] == "0 objects before, 2 after"
    assert "pkcs11-tool" in lines[1]
    elsewhere = max(s.id for s in measure_isolated(stranger.library).slots) + 1
    order = TakeCensus(stranger.library, elsewhere, "mine", PIN, None, remove=True)
    assert census_isolated(order) == before, "it is found by its label"


def test_a_census_gives_no_pin_to_a_token_with_few_tries_left_and_says_so(
    stranger: Request, tries: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = objects(stranger)
    made = tries()
    monkeypatch.setenv("SHIM_FLAGS", str(int(CKF.USER_PIN_FINAL_TRY)))
    after = objects(stranger)
    assert (before.login, after.login, tries()) == (CKR.OK, None, made)
    assert "not tried any more" in subject.token_lines(before, after)[1]


def test_a_user_pin_that_is_another_now_is_named(stranger: Request) -> None:
    before = objects(stranger)
    after = objects(replace(stranger, user_pin=b"Sesame-9999"))
    assert "CKR_PIN_INCORRECT" in subject.token_lines(before, after)[1]


@pytest.mark.parametrize("level", [Level.TOKEN_OBJECTS, Level.PINS])
def test_what_a_dead_process_left_is_put_back_by_another(stranger: Request, level: Level) -> None:
    request = replace(stranger, makes_objects=True, changes_pins=level >= Level.PINS)
    module, _ = library.provision(request)
    with Isolated(Kind.RAW, module.library, module.binding) as adapter:
        calls = [INIT, OPEN, LOGIN, MADE]
        if level >= Level.PINS:
            calls += [Call("C_SetPIN", Args(pin=Pin.USER, new_pin=Pin.OTHER))]
        for call in calls:
            assert adapter.call(call).code == CKR.OK
    assert module.restore()
    assert objects(stranger).objects == ()
    assert login_isolated(stranger.library, module.binding.slots[0], CKU.USER, PIN) == CKR.OK


def test_a_user_pin_that_a_killed_check_left_is_no_hindrance_where_the_so_sets_it_anew(
    stranger: Request, tries: Callable[[], int]
) -> None:
    request = replace(stranger, makes_objects=True, changes_pins=True, expendable=True)
    module, _ = library.provision(request)
    with Isolated(Kind.RAW, module.library, module.binding) as adapter:
        for call in (INIT, OPEN, LOGIN, Call("C_SetPIN", Args(pin=Pin.USER, new_pin=Pin.OTHER))):
            assert adapter.call(call).code == CKR.OK
    before = tries()
    again, _ = library.provision(request)
    assert tries() == before + 1, "the SO's alone"
    assert again.restore()
    assert login_isolated(stranger.library, module.binding.slots[0], CKU.USER, PIN) == CKR.OK


def test_a_mistyped_pin_costs_one_try(stranger: Request, tries: Callable[[], int]) -> None:
    before = tries()
    with pytest.raises(ModuleUnusable, match="user PIN is refused"):
        library.provision(replace(stranger, so_pin=None, changes_pins=True, user_pin=b"Sesame-9999"))
    assert tries() == before + 1


def test_putting_back_that_fails_is_said_and_raises_nothing(stranger: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    module, _ = library.provision(replace(stranger, expendable=True))
    assert module.restore()
    monkeypatch.setenv("SHIM_INIT", str(int(CKR.SESSION_EXISTS)))
    assert module.restore() is False


Check = Callable[..., dict[str, Any]]
"""Runs `p11conform check` on the stranger's token with these options, and gives the report."""


@pytest.fixture
def check(stranger: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Checks the stranger's token for a short while, with both PINs."""

    def run(*options: str, so: bool = True) -> dict[str, Any]:
        monkeypatch.setenv("P11CONFORM_PIN", PIN.decode())
        if so:
            monkeypatch.setenv("P11CONFORM_SO_PIN", SO_PIN.decode())
        report = tmp_path / "report.json"
        command = ["check", stranger.library, "--token-label", "mine", "--json", str(report), *options]
        result = CliRunner().invoke(cli.main, [*command, "--calls", "2500", "--seconds", "60"])
        assert result.exit_code in (Exit.CONFORMS, Exit.FINDINGS), result.output
        found: dict[str, Any] = json.loads(report.read_text())
        return found

    return run


def said(report: dict[str, Any]) -> str:
    return "\n".join((*report["run"]["rights"]["lines"], *report["run"]["token"]["census"]))


def answers(report: dict[str, Any], function: str) -> set[str]:
    return {code for name, code in report["coverage"]["pairs"] if name == function}


def test_a_default_check_of_a_module_that_keeps_session_objects_leaves_nothing_and_makes_no_more(
    stranger: Request, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIM_KEEPS", "1")
    report = check()
    shown = [f for f in report["findings"] if f["function"] == "C_FindObjects" and f["severity"] == "high"]
    assert [step["function"] for step in shown[0]["trace"]][-3:] == ["C_Login", "C_FindObjectsInit", "C_FindObjects"]
    assert "outlived" in said(report)
    # The one that showed it is counted with its finding.
    assert [name for name in TABLE if makes_objects(name) and answers(report, name)] == ["C_CreateObject"]
    assert objects(stranger).objects == ()
    assert report["run"]["token"]["census"] == ["0 objects before, 0 after"]


BELOW = {
    "no SO PIN": ({}, False, "pins", "needs the SO PIN"),
    "not again": ({"SHIM_INIT": str(int(CKR.FUNCTION_NOT_SUPPORTED))}, True, "pins", "CKR_FUNCTION_NOT_SUPPORTED"),
    "open sessions": (
        {"SHIM_INIT": str(int(CKR.SESSION_EXISTS))},
        True,
        "pins",
        "C_InitToken gives CKR_SESSION_EXISTS",
    ),
    "broken": ({"SHIM_BREAKS": "broken"}, True, "token objects", "CKR_FUNCTION_FAILED"),
}


@pytest.mark.parametrize("case", BELOW)
def test_a_token_that_does_not_allow_all_is_checked_as_far_as_it_goes(
    check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    shim, so, level, why = BELOW[case]
    for name, value in shim.items():
        monkeypatch.setenv(name, str(tmp_path / value) if name == "SHIM_BREAKS" else value)
    report = check("--allow-destructive", so=so)
    assert report["run"]["rights"]["level"] == level
    assert why in said(report)
    assert report["calls"] > 1000
    assert not any(line.startswith("left") for line in report["run"]["token"]["census"])


def test_that_a_token_cannot_be_initialised_again_is_judged(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIM_INIT", str(int(CKR.OPERATION_ACTIVE)))
    report = check("--allow-destructive")
    assert [f["observed"] for f in report["findings"] if f["function"] == "C_InitToken"] == ["CKR_OPERATION_ACTIVE"]


@pytest.mark.parametrize("option", ["--allow-pins", "--allow-token-objects"])
def test_no_wrong_pin_is_given_to_a_token_that_says_that_one_try_is_left(
    stranger: Request, check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setenv("SHIM_FINAL", str(tmp_path / "final"))
    report = check(option)
    tried = (tmp_path / "tries").read_text()
    assert "!" not in tried
    assert ("-" in tried) is (option == "--allow-pins"), "a wrong one is given where there is no such flag"
    assert "CKR_PIN_INCORRECT" in answers(report, "C_Login") or option != "--allow-pins"
    assert login_isolated(stranger.library, slot_of(stranger), CKU.USER, PIN) == CKR.OK


Work = tuple[Tally, list[str], list[Failed]]
"""What a worker counted, what its token had before and after, in lines, and what failed."""


def at_work(request: Request, level: Level, model: Model, *sequences: Sequence[Call]) -> Work:
    """What comes of a worker that runs these sequences at a level."""
    tested = subject.user_module(request, Kind.RAW, level)
    assert tested.isolated is not None
    assert tested.census is not None
    before = tested.census()
    calls = tuple({call for sequence in sequences for call in sequence})
    tours = [Tour((((), tuple(map(calls.index, sequence))),)) for sequence in sequences]
    tally, failed = Tally(), list[Failed]()
    worker = RemoteWorker(Task(model, tested.initial, tested.rights), calls, tested.isolated)
    with closing(worker):
        for tour in tours:
            done = worker.do(tour, 60.0)
            failed.extend(done.failures)
            tally.add(done.tally)
    return tally, subject.token_lines(before, tested.census()), failed


CHANGED = Call("C_SetPIN", Args(pin=Pin.USER, new_pin=Pin.OTHER))


def test_what_cannot_be_destroyed_is_named_with_a_way_to_remove_it(
    stranger: Request, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIM_STUCK", "1")
    sequence = (INIT, OPEN, LOGIN, MADE)
    tally, lines, failed = at_work(stranger, Level.TOKEN_OBJECTS, model, sequence, sequence)
    assert tally.lowered
    assert failed == [], "what CKR_FUNCTION_FAILED says is legal"
    assert tally.pairs["C_CreateObject", "CKR_OK"] == 1, "and no more"
    assert lines[0] == "0 objects before, 1 after"
    assert lines[1].startswith("left: p11conform-object-")
    assert "pkcs11-tool" in lines[1]


@pytest.mark.parametrize("level", [Level.TOKEN_OBJECTS, Level.PINS, Level.EVERYTHING])
def test_where_objects_may_be_made_session_objects_that_stay_are_destroyed_after_each_sequence(
    stranger: Request, model: Model, monkeypatch: pytest.MonkeyPatch, level: Level
) -> None:
    monkeypatch.setenv("SHIM_KEEPS", "1")
    made, look = (INIT, OPEN, LOGIN, Call("C_CreateObject")), (INIT, OPEN, LOGIN, *SEARCH)
    tally, lines, failed = at_work(stranger, level, model, made, look)
    assert tally.pairs["C_CreateObject", "CKR_OK"] == 1
    assert failed == [], "a search finds nothing that should not be there"
    assert not tally.lowered
    assert lines == ["0 objects before, 0 after"]


def test_a_death_in_putting_back_has_its_calls_and_the_work_goes_on(
    stranger: Request, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHIM_STUCK", "dies")
    made = (INIT, OPEN, LOGIN, MADE)
    tally, lines, (failed, *others) = at_work(stranger, Level.TOKEN_OBJECTS, model, made, (INIT, OPEN), (INIT, OPEN))
    assert others == []
    assert (failed.function, failed.seen) == ("C_DestroyObject", "died: signal SIGSEGV")
    assert failed.calls[: len(made) + 1] == (*made, FINALIZE)
    assert failed.calls[-1].function == "C_DestroyObject"
    assert tally.pairs["C_OpenSession", "CKR_OK"] == 3, "nothing was left out"
    assert tally.lowered
    assert lines[1].startswith("left: ")


@pytest.mark.parametrize("level", [Level.TOKEN_OBJECTS, Level.PINS, Level.EVERYTHING])
def test_at_the_end_all_that_is_ours_is_gone_and_the_pins_are_in_force(
    stranger: Request, model: Model, level: Level
) -> None:
    changing = (CHANGED,) if level >= Level.PINS else ()
    sequence = (INIT, OPEN, LOGIN, MADE, PRIVATE, *changing)
    tally, lines, failed = at_work(stranger, level, model, sequence, sequence)
    assert failed == []
    assert tally.pairs["C_CreateObject", "CKR_OK"] == 4
    assert (tally.restores, tally.lowered) == (1, False), "and at the end another one"
    assert lines == ["0 objects before, 0 after"]
    for user, pin in stranger.given:
        assert login_isolated(stranger.library, slot_of(stranger), user, pin) == CKR.OK


def test_an_so_pin_is_empty_only_where_that_is_said(stranger: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("P11CONFORM_SO_PIN", "")
    command = ["check", stranger.library, "--token-label", "mine", "--seconds", "1"]
    refused = CliRunner().invoke(cli.main, command)
    assert refused.exit_code == Exit.USAGE
    assert "empty" in refused.output
    tried = CliRunner().invoke(cli.main, [*command, "--empty-so-pin"])
    assert tried.exit_code == Exit.UNUSABLE
    assert "the SO PIN is refused" in tried.output
    monkeypatch.setenv("P11CONFORM_SO_PIN", SO_PIN.decode())
    assert CliRunner().invoke(cli.main, [*command, "--empty-so-pin"]).exit_code == Exit.USAGE
