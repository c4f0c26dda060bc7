import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from a_program import Errand
from conftest import OBJECTS

from p11conform.adapters.base import Binding, ModuleUnusable, run
from p11conform.adapters.isolated import NO_ENVIRONMENT, Isolated, Kind, login_isolated, measure_isolated
from p11conform.adapters.modules import softhsm2
from p11conform.adapters.modules.module import Module
from p11conform.adapters.output import SHOWN, Output, one_line
from p11conform.adapters.process import LEAVE, Lost, Process, Supervisor
from p11conform.adapters.wire import Load, Malformed, Raw, Supports, Work, decode, encode
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


# A program with work of its own.

DONE = tuple[bool | None, tuple[Observation, ...]]


@pytest.fixture
def worker(faulty_library: str) -> Iterator[tuple[Process, Supervisor]]:
    supervisor = Supervisor("a_program")
    process = supervisor.spawn(fault("C_GetSlotInfo", "crash"), IMPATIENT)
    process.ask(None, Load(Kind.RAW, faulty_library, BINDING))
    yield process, supervisor
    process.close()
    supervisor.close()


def order(*calls: Call, **more: Any) -> Work:
    return Work(Raw(encode(Errand(calls, **more))))


def test_a_program_works_on_the_module_that_is_loaded(worker: tuple[Process, Supervisor]) -> None:
    process, _ = worker
    _, seen = process.ask(DONE, order(INITIALIZE, TOKEN_INFO))
    assert [x.text for x in seen] == ["CKR_OK", "CKR_FUNCTION_NOT_SUPPORTED"]
    with pytest.raises(ModuleUnusable, match=r"^no token$"):
        process.ask(DONE, order(unusable="no token"))
    with pytest.raises(RuntimeError, match=r"^ValueError: out of order$"):
        process.ask(DONE, order(fault="out of order"))
    with pytest.raises(Lost) as lost:
        process.ask(DONE, order(SLOT_INFO))
    assert lost.value.observation == Observation(ending=Ending.DIED, detail="signal SIGSEGV")


def test_a_program_asks_and_tells(worker: tuple[Process, Supervisor]) -> None:
    process, _ = worker
    heard: list[str] = []

    def told(news: Raw) -> None:
        heard.append(decode(str, news))

    for answer in (True, False):
        assert process.ask(DONE, order(restore=True, news="so"), partial(bool, answer), told) == (answer, ())
    with pytest.raises(Lost):
        process.ask(DONE, order(SLOT_INFO, news="its last"), told=told)
    assert heard == ["so", "so", "its last"]


def test_a_process_whose_question_is_not_answered_is_ended(worker: tuple[Process, Supervisor]) -> None:
    process, _ = worker
    with pytest.raises(ModuleUnusable, match="not now"):
        process.ask(DONE, order(restore=True), refuse)
    with pytest.raises(Lost):
        process.ask(DONE, order(restore=True), lambda: True)


def refuse() -> bool:
    raise ModuleUnusable("not now")


def test_an_answer_of_another_kind_costs_the_process(worker: tuple[Process, Supervisor]) -> None:
    process, _ = worker
    with pytest.raises(Lost):
        process.ask(int, order(INITIALIZE))


def test_a_program_that_does_not_start_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"the briefing is broken; check the installation$"):
        Supervisor("a_program", b"broken")
    with pytest.raises(RuntimeError, match="no_such_program"):
        Supervisor("no_such_program")


def test_an_isolated_module_works_until_it_dies(faulty_library: str) -> None:
    restored: list[None] = []
    with Isolated(
        Kind.RAW,
        faulty_library,
        BINDING,
        fault("C_GetSlotInfo", "crash"),
        lambda: restored.append(None),
        program="a_program",
    ) as module:
        first = module.process
        _, (seen,) = module.work(DONE, Errand((INITIALIZE,)), print)
        assert seen.code == CKR.OK
        assert module.work(DONE, Errand(restore=True), print) == (True, ())
        assert len(restored) == 1
        with pytest.raises(Lost):
            module.work(DONE, Errand((SLOT_INFO,), (0,)), print)
        assert module.journal.calls() == (0,)
        with pytest.raises(RuntimeError, match="reset"):
            module.work(DONE, Errand(), print)
        module.reset(restore_token=False)
        assert len(restored) == 2
        assert module.process not in (None, first)
        _, (seen,) = module.work(DONE, Errand((INITIALIZE,)), print)
        assert seen.code == CKR.OK


def test_a_module_goes_on_in_a_new_process(faulty_library: str) -> None:
    restored: list[None] = []
    with Isolated(Kind.RAW, faulty_library, BINDING, restore=lambda: restored.append(None)) as module:
        first = module.process
        module.renew()
        assert (module.process is first, len(restored)) == (False, 1)
        assert module.call(INITIALIZE).code == CKR.OK


def test_a_child_that_goes_on_has_all_the_time_it_needs(
    worker: tuple[Process, Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p11conform.adapters.process.THINKING", 0.0)
    process, supervisor = worker
    steps = 6
    seconds = (IMPATIENT / 4,) * steps
    assert sum(seconds) > 1.25 * IMPATIENT
    assert process.ask(DONE, order(INFO, seconds=seconds))[1][0].code == CKR.OK
    assert supervisor.journal.calls() == tuple(range(steps))


def test_a_child_at_work_has_time_to_think(worker: tuple[Process, Supervisor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p11conform.adapters.process.THINKING", 4 * IMPATIENT)
    process, _ = worker
    assert process.ask(DONE, order(INFO, seconds=(1.5 * IMPATIENT,)))[1][0].code == CKR.OK


def test_a_child_that_stops_in_a_call_hangs(
    worker: tuple[Process, Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p11conform.adapters.process.THINKING", 0.0)
    process, supervisor = worker
    start = time.monotonic()
    with pytest.raises(Lost) as lost:
        process.ask(DONE, order(seconds=(0, 0, 100)))
    assert IMPATIENT < time.monotonic() - start < 2 * IMPATIENT
    assert lost.value.observation == Observation(ending=Ending.HUNG)
    assert supervisor.journal.calls() == (0, 1, 2)


def test_a_child_without_work_says_so(faulty_library: str) -> None:
    supervisor = Supervisor()
    process = supervisor.spawn({}, IMPATIENT)
    process.ask(None, Load(Kind.RAW, faulty_library, BINDING))
    with pytest.raises(RuntimeError, match="no work"):
        process.ask(None, order())
    assert process.ask(bool, Supports(INITIALIZE)) is True
    process.close()
    supervisor.close()


# What the module leaves behind.


def test_chatter_and_pins_stay_inside(faulty_library: str, capfd: pytest.CaptureFixture[str]) -> None:
    with Isolated(Kind.RAW, faulty_library, BINDING) as module:
        module.call_all((INITIALIZE, INFO))
        for process in descendants(os.getpid()):
            for where in ("cmdline", "environ"):
                with suppress(PermissionError):
                    assert b"secret" not in Path(f"/proc/{process}/{where}").read_bytes()
    assert capfd.readouterr() == ("", "")


def children(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            if int(fields["PPid"]) == parent and not fields["State"].startswith("Z"):
                found.append(int(status.parent.name))
    return found


def test_a_pin_in_our_environment_is_in_no_other(faulty_library: str, tmp_path: Path) -> None:
    program = """
import sys
from p11conform.adapters.isolated import NO_ENVIRONMENT, Isolated, Kind
from p11conform.adapters.base import Binding
with Isolated(Kind.RAW, sys.argv[1], Binding(slots=(0,)), {"ANOTHER": "given"}) as module:
    print("ready", flush=True)
    sys.stdin.readline()
"""
    with started(program, faulty_library, environment={"P11CONFORM_PIN": "secret pin"}, cwd=tmp_path) as parent:
        assert parent.stdin is not None
        for process in descendants(parent.pid):
            for where in ("cmdline", "environ"):
                with suppress(PermissionError):
                    assert b"secret" not in Path(f"/proc/{process}/{where}").read_bytes()
        parent.stdin.close()


@contextmanager
def started(
    program: str,
    *arguments: str,
    environment: Mapping[str, str] = NO_ENVIRONMENT,
    cwd: Path | None = None,
    before: Callable[[], None] | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """A tester of its own that has said that it is ready."""
    path = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(
        [sys.executable, "-P", "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=cwd,
        preexec_fn=before,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        yield parent


def descendants(parent: int) -> list[int]:
    found = children(parent)
    return found + [further for child in found for further in descendants(child)]


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
    Supervisor().close()  # from here on the process that forks is there
    assert eventually(lambda: len(descendants(os.getpid())) == 1)
    for what in ("none", "crash", "hang"):
        module = Isolated(Kind.RAW, faulty_library, BINDING, fault("C_GetSlotInfo", what), timeout=IMPATIENT)
        module.call_all((INITIALIZE, SLOT_INFO))
        module.close()
        module.close()
    assert eventually(lambda: len(descendants(os.getpid())) == 1)


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
    program = """
import sys
from p11conform.adapters.base import Binding
from p11conform.adapters.isolated import NO_ENVIRONMENT, Isolated, Kind
from p11conform.model.call import Call
module = Isolated(Kind.RAW, sys.argv[1], Binding(slots=(0,)), {"FAULT_IN": "C_GetSlotInfo", "FAULT": "hang"})
print("ready", flush=True)
module.call_all((Call("C_Initialize"), Call("C_GetSlotInfo")))
"""
    with started(program, faulty_library) as parent:
        found = descendants(parent.pid)
        assert len(found) == 3, "one that forks, a supervisor, and the process of the module"
        time.sleep(0.2)
        assert not any(map(gone, found))
        parent.send_signal(signal.SIGKILL)
    assert eventually(lambda: all(map(gone, found)))


def test_nothing_is_imported_from_the_current_directory(faulty_library: str, tmp_path: Path) -> None:
    for name in ("json", "tokenize", "cffi", "msgspec", "psutil", "hypothesis"):
        (tmp_path / f"{name}.py").write_text(f"open('{name} was run', 'w')\nraise SystemExit('from here')\n")
    program = """
import sys
from p11conform.adapters.isolated import measure_isolated
from p11conform.adapters.base import ModuleUnusable
from p11conform.adapters.modules.module import initialize_tokens
sys.path.insert(0, "")
for ask in (measure_isolated, lambda library: initialize_tokens(library, {}, ["a"], b"1234", b"1234")):
    try:
        ask(sys.argv[1])
    except ModuleUnusable as error:
        assert "C_GetInfo" in str(error), error
print("ready", flush=True)
"""
    environment = {"FAULT_IN": "C_GetInfo", "FAULT": "crash"}
    with started(program, faulty_library, environment=environment, cwd=tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".py"] == []


def test_a_library_is_found_from_the_current_directory(
    faulty_library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Supervisor().close()  # so that the process that forks is somewhere else
    (tmp_path / "near.so").symlink_to(faulty_library)
    monkeypatch.chdir(tmp_path)
    with Isolated(Kind.RAW, "./near.so", BINDING) as module:
        assert module.call(INITIALIZE).code == CKR.OK


# What a death tells.


@pytest.mark.parametrize("function", ["C_GetFunctionList", "C_Initialize", "C_GetInfo", "C_Finalize"])
def test_a_death_outside_of_calls_names_the_function(faulty_library: str, function: str) -> None:
    with pytest.raises(ModuleUnusable, match=f"died: signal SIGSEGV in {function} ") as raised:
        measure_isolated(faulty_library, {"FAULT_IN": function, "FAULT": "crash", "WORKS": "1"})
    assert "\n" not in str(raised.value)


def test_what_was_printed_last_is_told(faulty_library: str) -> None:
    environment = {**fault("C_GetSlotInfo", "crash"), "SAYS": "bad \x1b[31mhandle\nof secret pin"}
    with Isolated(Kind.RAW, faulty_library, BINDING, environment) as module:
        *_, died = module.call_all((INITIALIZE, SLOT_INFO))
    assert died.printed.endswith(r"bad \x1b[31mhandle\nof [PIN]")
    assert died == Observation(ending=Ending.DIED, detail="signal SIGSEGV"), "it makes no other failure"
    with pytest.raises(ModuleUnusable, match=r"\(it printed last: .*of \[PIN\]\)"):
        login_isolated(faulty_library, 0, CKU.USER, b"secret pin", environment)


def test_the_last_of_much_is_kept() -> None:
    with closing(Output()) as output:
        for n in range(40_000):
            os.write(output.descriptor, f"line {n}\n".encode())
            if n % 1000 == 999:
                output.trim()
                shown = one_line(output.last())
                assert len(shown) <= SHOWN + 1
                assert shown.endswith(f"line {n}")
                assert os.fstat(output.descriptor).st_size < 300_000


# Nothing stays.


@pytest.mark.parametrize("what", ["fork", "daemon"])
def test_what_a_module_forks_is_ended_with_it(faulty_library: str, what: str, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with Isolated(
        Kind.RAW, faulty_library, BINDING, {**fault("C_GetSlotInfo", what), "FAULT_FILE": str(note)}
    ) as module:
        *_, seen = module.call_all((INITIALIZE, SLOT_INFO))
        forked = int(note.read_text())
        assert (seen.ending is Ending.DIED) == gone(forked), "what lives on does so only with the module"
        module.close()
    assert eventually(lambda: gone(forked), 1.0)


@pytest.mark.parametrize("core", [False, True])
def test_a_core_file_is_left_only_where_it_is_wanted(faulty_library: str, core: bool, tmp_path: Path) -> None:
    program = """
import sys
from p11conform.adapters.base import Binding
from p11conform.adapters.isolated import NO_ENVIRONMENT, Isolated, Kind
from p11conform.adapters.process import Lost
from p11conform.adapters.wire import Calls
from p11conform.model.call import Call, Observation
binding = Binding(slots=(0,), pins={"USER": b"secret pin"})
environment = {"FAULT_IN": "C_GetSlotInfo", "FAULT": "crash"}
with Isolated(Kind.RAW, sys.argv[1], binding, environment, core=sys.argv[2] == "True") as module:
    calls = Calls((Call("C_Initialize"), Call("C_GetSlotInfo")))
    try:
        list(module.process.stream(2, Observation, calls))
    except Lost as lost:
        print("ready", flush=True)
        print(lost.core, flush=True)
"""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[0], unlimited[1]))
    except ValueError:
        pytest.skip("core files are forbidden here: ulimit -Hc")
    with started(
        program,
        faulty_library,
        str(core),
        cwd=tmp_path,
        before=lambda: resource.setrlimit(resource.RLIMIT_CORE, unlimited),
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == f"{core}\n".encode()


def test_messages_keep_everything() -> None:
    scope = State(objects=OBJECTS)
    given = [args for name in ARGUMENT_NAMES for args in combine({name: domain(name, scope)}, 1)]
    assert {name: {getattr(args, name) for args in given} for name in ARGUMENT_NAMES} == {
        name: set(domain(name, scope)) for name in ARGUMENT_NAMES
    }
    calls = tuple(Call("C_Any", args) for args in given)
    assert decode(tuple[Call, ...], encode(calls)) == calls
    seen = Observation(0x80000001, (("state", 3), ("flags", 6)), Ending.DIED, "exit 3", ("unlocked twice",), "x")
    again = decode(Observation, encode(seen))
    assert (again, again.printed) == (seen, "x")
    binding = Binding((1, 2), ("a", "é"), {"USER": b"\x00\xff"}, "x", 4, 7)
    assert decode(Binding, encode(binding)) == binding


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (int, encode("1")),
        (Observation, encode({"code": True})),
        (tuple[Call, ...], encode([{"function": "C_Any", "args": {"init": 99}}])),
        (int, encode(1) + b"\x00"),
        (str, b"\xa2\xff\xff"),
        (int, b""),
    ],
)
def test_what_is_not_of_its_type_is_refused(kind: Any, data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(kind, data)


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
