"""A token of somebody else's: PINs that may be tried, how far it was given over, and that it is as it was."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import INIT, LOGIN, OPEN

from p11conform import subject
from p11conform.adapters.base import ModuleUnusable
from p11conform.adapters.census import Census, census_isolated
from p11conform.adapters.isolated import Isolated, Kind, login_isolated, measure_isolated
from p11conform.adapters.modules import library, softhsm2
from p11conform.adapters.modules.library import Request
from p11conform.adapters.modules.module import initialize_tokens
from p11conform.model.call import Args, Call
from p11conform.model.oracle import Model
from p11conform.model.state import Object, Pin, Session, State
from p11conform.model.table import TABLE
from p11conform.model.vocabulary import CKF, CKR, CKU
from p11conform.properties.engine.verdict import Severity
from p11conform.properties.policy import Level, makes_objects

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
    users = {"user_pin": None} if flag in USER_FLAGS else {"so_pin": None}
    library.provision(replace(stranger, **users))
    assert tries() == 1


def test_an_empty_pin_is_none(stranger: Request, tries: Callable[[], int]) -> None:
    with pytest.raises(ModuleUnusable, match="PIN is empty"):
        library.provision(replace(stranger, user_pin=b""))
    assert tries() == 0


@pytest.mark.parametrize("missing", [{"user_pin": None}, {"so_pin": None}])
def test_all_pins_that_are_needed_are_there_before_the_first_is_tried(
    stranger: Request, tries: Callable[[], int], missing: dict[str, None]
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
    stranger: Request, missing: dict[str, None], level: Level, why: tuple[str, ...]
) -> None:
    tested = subject.user_module(replace(stranger, **missing), Kind.RAW, Level.EVERYTHING)
    assert tested.rights.level is level
    assert len(tested.rights.reduced) == len(why)
    assert all(word in line for word, line in zip(why, tested.rights.reduced, strict=True))
    assert tested.rights.users == {CKU.USER, CKU.SO} - {CKU.USER if n == "user_pin" else CKU.SO for n in missing}


MADE = Call("C_CreateObject", Args(token=True))
PRIVATE = Call("C_CreateObject", Args(token=True, private=True))


def objects(request: Request) -> Census:
    measured = measure_isolated(request.library)
    slot = library.choose(measured, request)
    return census_isolated(request.library, slot.id, request.user_pin)


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
    assert census_isolated(stranger.library, module.binding.slots[0], PIN, remove=True) == before


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


def test_putting_back_that_fails_is_said_and_raises_nothing(stranger: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    module, _ = library.provision(replace(stranger, expendable=True))
    assert module.restore()
    monkeypatch.setenv("SHIM_INIT", str(int(CKR.SESSION_EXISTS)))
    assert module.restore() is False
