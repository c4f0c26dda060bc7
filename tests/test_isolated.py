import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import OBJECTS

from p11conform.adapters.base import Binding, ModuleUnusable, run
from p11conform.adapters.codec import (
    Command,
    from_binding,
    from_call,
    from_observation,
    to_binding,
    to_call,
    to_observation,
)
from p11conform.adapters.isolated import Isolated, Kind, login_isolated, measure_isolated
from p11conform.adapters.journal import Journal
from p11conform.adapters.modules import softhsm2
from p11conform.adapters.modules.module import Module
from p11conform.adapters.process import LEAVE, Lost, Process
from p11conform.model.call import ARGUMENT_NAMES, Args, Call, Ending, InitArgs, Observation, combine, domain
from p11conform.model.state import Pin, State
from p11conform.model.vocabulary import CKR, CKU

BINDING = Binding(slots=(0,), pins={"USER": b"secret pin"})
INITIALIZE, INFO, SLOT_INFO, TOKEN_INFO = (
    Call(name) for name in ("C_Initialize", "C_GetInfo", "C_GetSlotInfo", "C_GetTokenInfo")
)
IMPATIENT = 2.0


@pytest.fixture(scope="session")
def softhsm() -> Iterator[Module]:
    if softhsm2.find() is None:
        pytest.skip("SoftHSM is not installed")
    module = softhsm2.provision()
    yield module
    module.discard()


def fault(function: str, what: str) -> Mapping[str, str]:
    return {"FAULT_IN": function, "FAULT": what}


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(
    ("what", "ending", "detail"),
    [
        ("crash", Ending.DIED, "signal SIGSEGV"),
        ("exit", Ending.DIED, "exit 3"),
        ("leave", Ending.DIED, "exit 0"),
        ("fork", Ending.DIED, "signal SIGSEGV"),
        ("hang", Ending.HUNG, ""),
    ],
)
def test_death_or_hang_is_one_observation_and_the_run_goes_on(
    faulty_library: str, kind: Kind, what: str, ending: Ending, detail: str
) -> None:
    restored: list[None] = []
    with Isolated(
        kind,
        faulty_library,
        BINDING,
        fault("C_GetSlotInfo", what),
        restore=lambda: restored.append(None),
        timeout=IMPATIENT,
    ) as module:
        module.reset(restore_token=False)
        assert restored == []
        assert module.call(INITIALIZE).code == CKR.OK
        start = time.monotonic()
        assert module.call(SLOT_INFO) == Observation(ending=ending, detail=detail)
        assert time.monotonic() - start < 4, "the time that a grandchild keeps the line open"
        with pytest.raises(RuntimeError, match="reset"):
            module.call(INFO)
        module.reset(restore_token=False)
        assert restored == [None], "a dead module may have left anything"
        assert module.call(INITIALIZE).code == CKR.OK
        assert module.call(INFO).code == CKR.OK


def test_death_in_a_batch_names_its_call(faulty_library: str) -> None:
    with Isolated(Kind.RAW, faulty_library, BINDING, fault("C_GetSlotInfo", "crash")) as module:
        seen = module.call_all((INITIALIZE, INFO, INFO, SLOT_INFO, INFO))
    assert [o.text for o in seen] == ["CKR_OK"] * 3 + ["died: signal SIGSEGV"]


def test_hang_in_a_batch_has_the_time_of_one_call(faulty_library: str) -> None:
    with Isolated(Kind.RAW, faulty_library, BINDING, fault("C_GetSlotInfo", "hang"), timeout=IMPATIENT) as module:
        start = time.monotonic()
        seen = module.call_all((INITIALIZE, SLOT_INFO, *[INFO] * 100))
        assert time.monotonic() - start < 50 * IMPATIENT, "the time of a hundred calls was not waited for"
    assert [o.ending for o in seen] == [Ending.RETURNED, Ending.HUNG]


def test_trouble_in_reset_costs_the_child_only(faulty_library: str) -> None:
    restored: list[None] = []
    with Isolated(
        Kind.RAW, faulty_library, BINDING, fault("C_Finalize", "crash"), restore=lambda: restored.append(None)
    ) as module:
        for times in (1, 2):
            assert module.call(INITIALIZE).code == CKR.OK
            module.reset(restore_token=False)
            assert len(restored) == times
            assert module.call(INFO).code == CKR.OK


def test_null_in_the_function_list_is_absent(faulty_library: str) -> None:
    with Isolated(Kind.RAW, faulty_library, BINDING, fault("C_GetSlotInfo", "absent")) as module:
        assert [o.text for o in module.call_all((SLOT_INFO, TOKEN_INFO))] == ["absent", "CKR_FUNCTION_NOT_SUPPORTED"]


@pytest.mark.parametrize(("what", "told"), [("crash", "signal SIGSEGV"), ("exit", "exit 3"), ("hang", "hung")])
def test_death_at_load_makes_the_module_unusable(faulty_library: str, what: str, told: str) -> None:
    with pytest.raises(ModuleUnusable, match=told) as raised:
        Isolated(Kind.RAW, faulty_library, BINDING, fault("C_GetFunctionList", what), timeout=IMPATIENT)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(
    ("library", "told"), [("/no/such/module.so", "cannot be loaded"), ("libm.so.6", "has no C_GetFunctionList")]
)
def test_what_is_no_module_is_unusable(kind: Kind, library: str, told: str) -> None:
    with pytest.raises(ModuleUnusable, match=told) as raised:
        Isolated(kind, library, BINDING)
    assert "\n" not in str(raised.value)


def test_measuring_survives_the_module(faulty_library: str) -> None:
    with pytest.raises(ModuleUnusable, match="signal SIGSEGV"):
        measure_isolated(faulty_library, fault("C_GetInfo", "crash"))
    with pytest.raises(ModuleUnusable, match="hung"):
        login_isolated(faulty_library, 0, CKU.USER, b"secret pin", fault("C_Initialize", "hang"), timeout=IMPATIENT)


def test_supports_is_the_childs_and_outlives_it(faulty_library: str) -> None:
    with Isolated(Kind.PYKCS11, faulty_library, BINDING, fault("C_GetSlotInfo", "crash")) as module:
        assert module.supports(INITIALIZE)
        module.call_all((INITIALIZE, SLOT_INFO))
        assert not module.supports(Call("C_Initialize", Args(init=InitArgs.CALLBACKS)))
        with pytest.raises(RuntimeError, match="reset"):
            module.call(INFO)


def test_fault_of_the_adapter_is_not_a_death_of_the_module(faulty_library: str) -> None:
    with Isolated(Kind.RAW, faulty_library, BINDING) as module:
        with pytest.raises(RuntimeError, match="KeyError"):
            module.call(Call("C_NoSuchFunction"))
        assert module.call(INITIALIZE).code == CKR.OK


# A program of its own in the child, with a journal.

WORKER = """
import sys
import time
from p11conform.adapters import child
from p11conform.adapters.base import ModuleUnusable
from p11conform.adapters.codec import from_observation, to_call
from p11conform.adapters.journal import Journal

journal = Journal(int(sys.argv[2]))

def work(adapter, order, line):
    journal.begin()
    for i, seconds in enumerate(order["seconds"]):
        journal.entries[i] = i + 1
        time.sleep(seconds)
    if "unusable" in order:
        raise ModuleUnusable(order["unusable"])
    if "fault" in order:
        raise ValueError(order["fault"])
    if "ask" in order:
        yield line.ask(order["ask"])
    for call in order["calls"]:
        yield from_observation(adapter.call(to_call(call)))

child.run(work)
"""


@pytest.fixture
def a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "a_worker.py").write_text(WORKER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "a_worker"


@pytest.fixture
def worker(faulty_library: str, a_worker: str) -> Iterator[tuple[Process, Journal]]:
    with Journal() as journal:
        process = Process(
            a_worker, fault("C_GetSlotInfo", "crash"), IMPATIENT, (journal.descriptor,), progress=journal.mark
        )
        process.ask(Command.LOAD, Kind.RAW.value, faulty_library, from_binding(BINDING))
        yield process, journal
        process.close()


def order(*calls: Call, seconds: Sequence[float] = (), **more: str) -> dict[str, object]:
    return {"seconds": seconds, "calls": [*map(from_call, calls)], **more}


def test_a_program_works_on_the_module_that_is_loaded(worker: tuple[Process, Journal]) -> None:
    process, _ = worker
    answers = process.stream(2, Command.WORK, order(INITIALIZE, TOKEN_INFO))
    assert [to_observation(a).text for a in answers] == ["CKR_OK", "CKR_FUNCTION_NOT_SUPPORTED"]
    endless = process.stream(None, Command.WORK, order(INFO, INFO))
    assert [to_observation(next(endless)).code for _ in range(2)] == [CKR.OK] * 2
    with pytest.raises(ModuleUnusable, match=r"^no token$"):
        process.ask(Command.WORK, order(unusable="no token"))
    with pytest.raises(RuntimeError, match=r"^ValueError: out of order$"):
        process.ask(Command.WORK, order(fault="out of order"))
    with pytest.raises(Lost) as lost:
        process.ask(Command.WORK, order(SLOT_INFO))
    assert lost.value.observation == Observation(ending=Ending.DIED, detail="signal SIGSEGV")


def test_a_program_asks_its_parent(worker: tuple[Process, Journal]) -> None:
    process, _ = worker
    assert process.ask(Command.WORK, order(ask="2"), reply=lambda question: question * 2) == "22"
    with pytest.raises(ModuleUnusable, match="not now"):
        process.ask(Command.WORK, order(ask="2"), reply=refuse)
    with pytest.raises(Lost):
        process.ask(Command.WORK, order(ask="2"))


def refuse(_question: object) -> None:
    raise ModuleUnusable("not now")


def test_an_isolated_module_works_until_it_dies(faulty_library: str, a_worker: str) -> None:
    restored: list[None] = []
    with (
        Journal() as journal,
        Isolated(
            Kind.RAW,
            faulty_library,
            BINDING,
            fault("C_GetSlotInfo", "crash"),
            lambda: restored.append(None),
            program=a_worker,
            descriptors=(journal.descriptor,),
            progress=journal.mark,
        ) as module,
    ):
        first = module.process
        assert to_observation(module.work(order(INITIALIZE))).code == CKR.OK
        assert module.work(order(ask="restore")) is None
        assert len(restored) == 1
        with pytest.raises(Lost):
            module.work(order(SLOT_INFO, seconds=[0]))
        assert journal.calls() == (0,)
        with pytest.raises(RuntimeError, match="reset"):
            module.work(order())
        module.reset(restore_token=False)
        assert len(restored) == 2
        assert module.process not in (None, first)
        assert to_observation(module.work(order(INITIALIZE))).code == CKR.OK


def test_a_child_that_goes_on_has_all_the_time_it_needs(
    worker: tuple[Process, Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p11conform.adapters.process.THINKING", 0.0)
    process, journal = worker
    steps = 6
    seconds = [IMPATIENT / 4] * steps
    assert sum(seconds) > 1.25 * IMPATIENT
    assert to_observation(process.ask(Command.WORK, order(INFO, seconds=seconds))).code == CKR.OK
    assert journal.calls() == tuple(range(steps))


def test_a_child_at_work_has_time_to_think(worker: tuple[Process, Journal], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p11conform.adapters.process.THINKING", 4 * IMPATIENT)
    process, _ = worker
    assert to_observation(process.ask(Command.WORK, order(INFO, seconds=[1.5 * IMPATIENT]))).code == CKR.OK


def test_a_child_that_stops_in_a_call_hangs(worker: tuple[Process, Journal], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p11conform.adapters.process.THINKING", 0.0)
    process, journal = worker
    start = time.monotonic()
    with pytest.raises(Lost) as lost:
        process.ask(Command.WORK, order(seconds=[0, 0, 100]))
    assert IMPATIENT < time.monotonic() - start < 2 * IMPATIENT
    assert lost.value.observation == Observation(ending=Ending.HUNG)
    assert journal.calls() == (0, 1, 2)


def test_a_child_without_work_says_so(faulty_library: str) -> None:
    process = Process("p11conform.adapters.child", {}, IMPATIENT)
    process.ask(Command.LOAD, Kind.RAW.value, faulty_library, from_binding(BINDING))
    with pytest.raises(RuntimeError, match="no work"):
        process.ask(Command.WORK, {})
    assert process.ask(Command.SUPPORTS, from_call(INITIALIZE)) is True
    process.close()


def test_chatter_and_pins_stay_inside(faulty_library: str, capfd: pytest.CaptureFixture[str]) -> None:
    with Isolated(Kind.RAW, faulty_library, BINDING) as module:
        module.call_all((INITIALIZE, INFO))
        for child in children(os.getpid()):
            for where in ("cmdline", "environ"):
                assert b"secret" not in Path(f"/proc/{child}/{where}").read_bytes()
    assert capfd.readouterr() == ("", "")


def children(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            if int(fields["PPid"]) == parent and not fields["State"].startswith("Z"):
                found.append(int(status.parent.name))
    return found


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def eventually(fact: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not (held := fact()) and time.monotonic() < end:
        time.sleep(0.02)
    return held


def test_close_leaves_no_process(faulty_library: str) -> None:
    before = set(children(os.getpid()))
    for what in ("none", "crash", "hang"):
        module = Isolated(Kind.RAW, faulty_library, BINDING, fault("C_GetSlotInfo", what), timeout=IMPATIENT)
        module.call_all((INITIALIZE, SLOT_INFO))
        module.close()
        module.close()
    assert set(children(os.getpid())) == before


@pytest.mark.parametrize("kind", Kind)
def test_close_finalises_the_module_and_is_quick(faulty_library: str, kind: Kind, tmp_path: Path) -> None:
    note = tmp_path / "finalised"
    module = Isolated(kind, faulty_library, BINDING, {**fault("C_Finalize", "note"), "FAULT_FILE": str(note)})
    module.call(INITIALIZE)
    note.unlink(missing_ok=True)
    start = time.monotonic()
    module.close()
    assert time.monotonic() - start < LEAVE
    assert note.exists()


def test_death_of_the_parent_ends_a_hung_child(faulty_library: str) -> None:
    program = textwrap.dedent("""
        import sys
        from p11conform.adapters.base import Binding
        from p11conform.adapters.isolated import Isolated, Kind
        from p11conform.model.call import Call
        module = Isolated(Kind.RAW, sys.argv[1], Binding(slots=(0,)), {"FAULT_IN": "C_GetSlotInfo", "FAULT": "hang"})
        print("ready", flush=True)
        module.call_all((Call("C_Initialize"), Call("C_GetSlotInfo")))
    """)
    path = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(
        [sys.executable, "-c", program, faulty_library], env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        (child,) = children(parent.pid)
        time.sleep(0.2)
        assert not gone(child)
        parent.send_signal(signal.SIGKILL)
    assert eventually(lambda: gone(child))


def test_messages_keep_everything() -> None:
    scope = State(objects=OBJECTS)
    given = [args for name in ARGUMENT_NAMES for args in combine({name: domain(name, scope)}, 1)]
    assert {name: {getattr(args, name) for args in given} for name in ARGUMENT_NAMES} == {
        name: set(domain(name, scope)) for name in ARGUMENT_NAMES
    }
    for args in given:
        assert to_call(from_call(Call("C_Any", args))) == Call("C_Any", args)
    seen = Observation(0x80000001, (("state", 3), ("flags", 6)), Ending.DIED, "exit 3", ("unlocked twice",))
    assert to_observation(from_observation(seen)) == seen
    binding = Binding((1, 2), ("a", "é"), {"USER": b"\x00\xff"}, "x", 4, 7)
    assert to_binding(from_binding(binding)) == binding


@pytest.mark.module
def test_restoring_happens_while_the_library_is_finalised(softhsm: Module) -> None:
    change_pin = tuple(
        Call(name, args)
        for name, args in (
            ("C_Initialize", Args()),
            ("C_OpenSession", Args()),
            ("C_Login", Args(pin=Pin.USER)),
            ("C_SetPIN", Args(pin=Pin.USER, new_pin=Pin.OTHER)),
        )
    )
    with Isolated(Kind.RAW, softhsm.library, softhsm.binding, softhsm.environment, softhsm.restore) as module:
        assert [o.text for o in run(module, change_pin)] == ["CKR_OK"] * 4
        module.reset(restore_token=False)
        assert module.call_all(change_pin)[2].code == CKR.PIN_INCORRECT
        assert [o.text for o in run(module, change_pin)] == ["CKR_OK"] * 4
        module.reset(restore_token=True)


@pytest.mark.module
def test_a_module_is_measured_and_logged_in_to_from_outside(softhsm: Module) -> None:
    measured = measure_isolated(softhsm.library, softhsm.environment)
    first = measured.slots[0]
    assert (first.initialized, first.label in softhsm.binding.labels) == (True, True)
    codes = [
        login_isolated(softhsm.library, first.id, CKU.USER, softhsm.binding.pins[pin], softhsm.environment)
        for pin in ("USER", "WRONG")
    ]
    assert codes == [CKR.OK, CKR.PIN_INCORRECT]
