"""Compiled modules: how a function list is read, whatever it says of its version, and how one that counts is ended."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from p11conform.adapters.base import Binding, run
from p11conform.adapters.calls.concrete import Concrete, of_session
from p11conform.adapters.calls.table import CALLS
from p11conform.adapters.isolated import Isolated, Kind
from p11conform.adapters.library import APPENDED, declaration, listed
from p11conform.adapters.raw import Raw
from p11conform.model.call import Args, Call, Ending, InitArgs
from p11conform.model.interface import SIGNATURES
from p11conform.model.vocabulary import CKR, Version

Compiled = Callable[..., str]
FUNCTIONS = 68
VENDOR = 0x80000000
READ = """
import json, sys
from p11conform.model import interface
from p11conform.model.interface import Parameter, Signature
if sys.argv[2:]:
    named = interface.SIGNATURES
    fresh = Signature("C_Fresh", "5.4", (Parameter("CK_VOID_PTR", "pFresh"),), {})
    interface.SIGNATURES = {"C_Fresh": fresh, **named, "C_Fresher": fresh}
from p11conform.adapters.cryptoki import ffi
from p11conform.adapters.library import load
told = {n: f and ffi.cast("CK_RV (*)(void)", f)() for n, f in load(sys.argv[1]).items()}
json.dump(told, sys.stdout)
"""
"""Calls each function of a list; with a further argument, where the model has functions that no list has."""


def read(library: str, *fresh: str) -> dict[str, int | None]:
    """What each function of a module returns, None for a NULL pointer; by a process of its own, which may die of it."""
    package = Path(sys.modules["p11conform"].__path__[0]).parent
    command = (sys.executable, "-c", READ, library, *fresh)
    told = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(package)}
    )
    return dict(json.loads(told.stdout))


@pytest.mark.parametrize(("major", "minor"), [(2, 40), (2, 1), (0, 0), (165, 165), (3, 0)])
def test_a_list_is_read_alike_whatever_version_it_says(compiled: Compiled, major: int, minor: int) -> None:
    told = read(compiled("listed", MAJOR=major, MINOR=minor))
    assert [*told.values()] == [VENDOR + place for place in range(FUNCTIONS)]
    assert (told["C_Initialize"], told["C_Login"], told["C_WaitForSlotEvent"]) == (VENDOR, VENDOR + 18, VENDOR + 67)


def test_functions_that_a_list_does_not_have_move_nothing(compiled: Compiled) -> None:
    library = compiled("listed", MAJOR=2, MINOR=40)
    assert read(library, "fresh") == read(library)


def test_null_pointers_are_known_as_such(compiled: Compiled) -> None:
    told = read(compiled("listed", MAJOR=2, MINOR=40, EVERY=2))
    assert [*told.values()] == [None if place % 2 else VENDOR + place for place in range(FUNCTIONS)]


def test_the_list_of_v2_40_has_the_functions_of_the_model() -> None:
    assert len(listed(Version.V2_40)) == FUNCTIONS
    assert {*listed(Version.V2_40)} == {name for name, x in SIGNATURES.items() if Version.V2_40 in x.listed}
    assert listed(Version.V2_01) == listed(Version.V2_20) == listed(Version.V2_40)


def test_a_later_version_appends_its_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    before = listed(Version.V2_40)
    monkeypatch.setitem(APPENDED, Version.V3_0, ("C_Fresh",))
    assert listed(Version.V2_40) == before
    assert listed(Version.V3_1) == (*before, "C_Fresh")
    shorter, longer = declaration("L", listed(Version.V2_40)), declaration("L", listed(Version.V3_0))
    assert longer == shorter.replace(" };", " void *C_Fresh; };")


def test_a_function_that_is_in_no_list_of_the_module_is_not_supported(
    compiled: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CALLS, "C_Fresh", Concrete(of_session))
    raw, fresh = Raw(compiled("counting"), Binding((1,))), Call("C_Fresh")
    assert not raw.supports(fresh)
    assert raw.supports(Call("C_Logout"))
    assert raw.call(fresh).ending is Ending.ABSENT
    ready = raw.ready([fresh])
    assert ready.observation(ready.make(0)()).ending is Ending.ABSENT


HALF_WAY = Call("C_Initialize", Args(init=InitArgs.CALLBACKS))


@pytest.mark.parametrize(
    ("sequence", "same_process"),
    [
        ((Call("C_Initialize"),), True),
        ((Call("C_Initialize"), Call("C_Initialize"), Call("C_Finalize")), True),
        ((HALF_WAY,), True),
        ((HALF_WAY,) * 3, True),
        ((HALF_WAY,) * 9, False),
    ],
)
def test_a_module_that_counts_is_not_initialised_in_the_next_sequence(
    compiled: Compiled, sequence: tuple[Call, ...], same_process: bool
) -> None:
    with Isolated(Kind.RAW, compiled("counting"), Binding((1,))) as module:
        run(module, sequence)
        before: Any = module.process
        assert [seen.code for seen in run(module, (Call("C_GetInfo"),))] == [CKR.CRYPTOKI_NOT_INITIALIZED]
        assert (module.process is before) is same_process


def test_an_application_knows_nothing_of_c() -> None:
    package = Path(sys.modules["p11conform"].__path__[0]).parent
    text = "import sys, p11conform.adapters.application; sys.exit('_cffi_backend' in sys.modules)"
    subprocess.run((sys.executable, "-c", text), check=True, env={**os.environ, "PYTHONPATH": str(package)})
