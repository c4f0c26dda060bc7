"""A token of somebody else's: PINs that may be tried, how far it was given over, and that it is as it was."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from p11conform import subject
from p11conform.adapters.base import ModuleUnusable
from p11conform.adapters.isolated import Kind
from p11conform.adapters.modules import library, softhsm2
from p11conform.adapters.modules.library import Request
from p11conform.adapters.modules.module import initialize_tokens
from p11conform.model.vocabulary import CKF, CKU
from p11conform.properties.policy import Level

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


@pytest.mark.parametrize("missing", [{"user_pin": b""}, {"so_pin": b""}])
def test_an_empty_pin_is_none(stranger: Request, tries: Callable[[], int], missing: dict[str, bytes]) -> None:
    with pytest.raises(ModuleUnusable, match="PIN is empty"):
        library.provision(replace(stranger, **missing))
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
    assert tested.about["rights"] == [*tested.rights.lines]
    assert tested.rights.users == {CKU.USER, CKU.SO} - {CKU.USER if n == "user_pin" else CKU.SO for n in missing}
