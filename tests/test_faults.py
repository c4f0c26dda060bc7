"""A library in front of another one that fails to order, and the option that asks for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from p11conform.adapters import faults
from p11conform.adapters.base import Binding, ModuleUnusable
from p11conform.adapters.faults import Fault, What, read_fault
from p11conform.adapters.isolated import Isolated, Kind
from p11conform.commands import check
from p11conform.model.call import Args, Buffer, Call, Ending, Observation
from p11conform.model.vocabulary import CKR


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("C_Sign:3=CKR_DEVICE_ERROR", Fault("C_Sign", 3, What.RETURN, CKR.DEVICE_ERROR)),
        ("C_Sign:1+=DEVICE_MEMORY", Fault("C_Sign", 1, What.RETURN, CKR.DEVICE_MEMORY, onward=True)),
        ("C_Login:2=die", Fault("C_Login", 2, What.DIE)),
        ("C_GetInfo:1=hang", Fault("C_GetInfo", 1, What.HANG)),
        ("C_Sign:1=garbage-length", Fault("C_Sign", 1, What.GARBAGE_LENGTH)),
    ],
)
def test_a_fault_as_a_person_writes_it(text: str, fault: Fault) -> None:
    assert read_fault(text) == fault
    assert read_fault(str(fault)) == fault


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("C_Sign", "write it as"),
        ("C_Sing:1=die", "no function is called C_Sing"),
        ("C_Sign:0=die", "counted from 1"),
        ("C_Sign:1=explode", "explode is no return value"),
        ("C_Login:1=garbage-length", "C_Login tells no length"),
    ],
)
def test_what_is_no_fault_is_told_in_a_line(text: str, says: str) -> None:
    result = CliRunner().invoke(check.command, ["softhsm2", "--fault", text])
    assert result.exit_code == 2
    assert f"--fault {text}: " in result.output
    assert says in result.output
    assert result.output.count("\n") == 1


def test_the_simulated_module_is_no_library() -> None:
    result = CliRunner().invoke(check.command, ["simulated", "--fault", "C_Sign:1=die"])
    assert "has --events" in result.output


@pytest.mark.parametrize(
    ("script", "says"),
    [(None, "needs a C compiler as cc"), ("#!/bin/sh\necho broken >&2\nexit 1\n", "refuses (broken)")],
)
def test_without_a_compiler_a_line_says_so(
    script: str | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if script is not None:
        (tmp_path / "cc").write_text(script)
        (tmp_path / "cc").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin" if script else str(tmp_path))
    with pytest.raises(ModuleUnusable, match="C compiler") as error:
        faults.build(tmp_path)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The library that stands in front."""
    return faults.build(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def behind(front: str, faulty_library: str) -> Iterator[Any]:
    """Makes an adapter of a module of the tests, with faults."""
    opened: list[Isolated] = []

    def make(*given: str) -> Isolated:
        needs = faults.environment(faulty_library, [read_fault(x) for x in given])
        opened.append(Isolated(Kind.RAW, front, Binding(slots=(0,)), needs, timeout=1.0))
        return opened[-1]

    yield make
    for adapter in opened:
        adapter.close()


INFO = Call("C_GetInfo")


def test_without_faults_everything_is_handed_on(behind: Any, faulty_library: str) -> None:
    calls = (Call("C_Initialize"), INFO, Call("C_GetSlotList", Args(buffer=Buffer.NULL)), Call("C_Finalize"))
    with Isolated(Kind.RAW, faulty_library, Binding(slots=(0,))) as alone:
        wanted = [alone.call(x) for x in calls]
    adapter = behind()
    assert [adapter.call(x) for x in calls] == wanted
    assert all(x.ending is Ending.RETURNED for x in wanted)


def test_a_code_comes_at_the_call_that_was_said(behind: Any) -> None:
    adapter = behind("C_GetInfo:2=CKR_DEVICE_REMOVED")
    first, second, third = (adapter.call(INFO) for _ in range(3))
    assert second == Observation(CKR.DEVICE_REMOVED)
    assert first == third
    assert first.code != CKR.DEVICE_REMOVED


def test_a_code_comes_at_all_calls_from_one_on(behind: Any) -> None:
    adapter = behind("C_GetInfo:2+=CKR_DEVICE_MEMORY")
    assert [adapter.call(INFO).code == CKR.DEVICE_MEMORY for _ in range(4)] == [False, True, True, True]


@pytest.mark.parametrize(("what", "ending"), [("die", Ending.DIED), ("hang", Ending.HUNG)])
def test_a_death_and_a_hang_come_at_the_call_that_was_said(what: str, ending: Ending, behind: Any) -> None:
    adapter = behind(f"C_GetInfo:2={what}")
    assert [adapter.call(INFO).ending for _ in range(2)] == [Ending.RETURNED, ending]


@pytest.mark.module
def test_a_length_that_cannot_be_is_told_and_does_the_tester_no_harm(front: str, tmp_path: Path) -> None:
    library = Path("/usr/lib/softhsm/libsofthsm2.so")
    if not library.is_file():
        pytest.skip("needs SoftHSM2")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    given = [read_fault("C_GetSlotList:1+=garbage-length")]
    needs = {"SOFTHSM2_CONF": str(tmp_path / "conf"), **faults.environment(str(library), given)}
    with Isolated(Kind.RAW, front, Binding(slots=(0,)), needs) as adapter:
        adapter.call(Call("C_Initialize"))
        for buffer in (Buffer.ENOUGH, Buffer.SHORT):
            assert adapter.call(Call("C_GetSlotList", Args(buffer=buffer))).ending is Ending.RETURNED
        asked = adapter.call(Call("C_GetSlotList", Args(buffer=Buffer.NULL)))
        assert dict(asked.outputs)["length"] == 0x5A5A5A5A
