"""The raw adapter, against scripted functions in place of a module, and against SoftHSM."""

import gc
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import _cffi_backend
import pytest

from p11conform.adapters import raw as raw_module
from p11conform.adapters.application import PROVEN, Application
from p11conform.adapters.base import Binding, ModuleUnusable, StillInitialized, run
from p11conform.adapters.calls.sessions import GARBAGE
from p11conform.adapters.cryptoki import ffi, padded
from p11conform.adapters.lane import Lane
from p11conform.adapters.library import listed, load
from p11conform.adapters.measure import Measured, login_works, measure
from p11conform.adapters.modules import module, softhsm2
from p11conform.adapters.raw import Raw
from p11conform.adapters.wire import decode, encode
from p11conform.model.call import Args, Blob, Buffer, Call, Ending, InitArgs, Observation
from p11conform.model.interface import SIGNATURES
from p11conform.model.mechanisms import MECHANISMS
from p11conform.model.state import Mech, Pin
from p11conform.model.vocabulary import CKF, CKR, CKS, CKU, Version

PINS = {"SO": b"12345678", "USER": b"1234", "OTHER": b"567890", "WRONG": b"99999999"}
BINDING = Binding((5, 9), pins=PINS)
Scripted = Callable[..., Raw]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """An adapter whose module is the functions given; the others return CKR_OK and do nothing."""

    def make(binding: Binding = BINDING, **functions: Callable[..., int] | None) -> Raw:
        listed = {name: functions.get(name, lambda *_: CKR.OK) for name in SIGNATURES}
        monkeypatch.setattr(raw_module, "load", lambda *_: listed)
        return Raw("scripted", binding)

    return make


def test_a_null_pointer_in_the_list_is_absent(scripted: Scripted) -> None:
    assert scripted(C_GetInfo=None).call(Call("C_GetInfo")) == Observation(ending=Ending.ABSENT)


INIT_ARGS = {
    InitArgs.NULL: (0, CKF.OS_LOCKING_OK, False),
    InitArgs.PLAIN: (0, 0, False),
    InitArgs.OS_LOCKING: (0, CKF.OS_LOCKING_OK, False),
    InitArgs.CALLBACKS: (4, 0, False),
    InitArgs.CALLBACKS_OR_OS: (4, CKF.OS_LOCKING_OK, False),
    InitArgs.NO_THREADS: (0, CKF.LIBRARY_CANT_CREATE_OS_THREADS | CKF.OS_LOCKING_OK, False),
    InitArgs.PARTIAL: (2, 0, False),
    InitArgs.RESERVED: (0, 0, True),
    InitArgs.FAILING: (4, 0, False),
}


@pytest.mark.parametrize("variant", InitArgs)
@pytest.mark.parametrize("wanted", [None, "configdir='x'"])
def test_c_initialize_is_given_what_the_variant_says(scripted: Scripted, variant: InitArgs, wanted: str | None) -> None:
    seen = []

    def initialize(args: Any) -> int:
        if args:
            members = [args[0].CreateMutex, args[0].DestroyMutex, args[0].LockMutex, args[0].UnlockMutex]
            text = ffi.string(ffi.cast("char *", args[0].pReserved)) if args[0].pReserved else None
            seen.append((sum(map(bool, members)), args[0].flags, text))
        return CKR.OK

    raw = scripted(Binding((5,), init_reserved=wanted), C_Initialize=initialize)
    call = Call("C_Initialize", Args(init=variant))
    needs_another = wanted is not None and variant is InitArgs.RESERVED
    assert raw.supports(call) is not needs_another
    if needs_another:
        return
    raw.call(call)
    if variant is InitArgs.NULL and wanted is None:
        assert seen == []
    else:
        callbacks, flags, reserved = INIT_ARGS[variant]
        assert seen == [(callbacks, flags, wanted.encode() if wanted else b"p11conform" if reserved else None)]


def test_what_c_initialize_is_given_outlives_the_adapter(scripted: Scripted) -> None:
    """A module may look at it as long as it is loaded."""
    seen = []

    def initialize(args: Any) -> int:
        seen.append(tuple(int(ffi.cast("uintptr_t", word)) for word in (args, args[0].pReserved)))
        return CKR.OK

    wanted = "configdir='a directory'"
    raw = scripted(Binding((5,), init_reserved=wanted), C_Initialize=initialize)
    raw.call(Call("C_Initialize", Args(init=InitArgs.OS_LOCKING)))
    del raw
    gc.collect()
    in_their_place = [ffi.new(f"char[{len(wanted) + 1}]", b"x" * len(wanted)) for _ in range(1000)]
    in_their_place += [ffi.new("CK_C_INITIALIZE_ARGS[2]") for _ in range(1000)]
    ((args, text),) = seen
    assert ffi.string(ffi.cast("char *", text)) == wanted.encode()
    given: Any = ffi.cast("CK_C_INITIALIZE_ARGS *", args)
    assert given.flags == CKF.OS_LOCKING_OK


@pytest.mark.parametrize("wanted", [None, "configdir='x'"])
def test_the_c_initialize_of_a_binding_is_supported(scripted: Scripted, wanted: str | None) -> None:
    binding = Binding((5,), init_reserved=wanted)
    assert scripted(binding).supports(binding.initialize)


C, D, L, U = "CreateMutex", "DestroyMutex", "LockMutex", "UnlockMutex"
MUTEX_HISTORIES = [
    ((C, L, U, L, U, D), CKR.OK, ()),
    ((C, U), CKR.MUTEX_NOT_LOCKED, ("a mutex was unlocked that its thread had not locked",)),
    ((C, L, L), CKR.GENERAL_ERROR, ("a mutex was locked twice by the same thread",)),
    ((C, D, L), CKR.MUTEX_BAD, ("a mutex was locked that had been destroyed",)),
    ((C, D, D), CKR.MUTEX_BAD, ("a mutex was destroyed that had been destroyed",)),
    ((U,), CKR.MUTEX_BAD, ("a mutex was unlocked that never existed",)),
]


def test_mutexes_that_fail_say_so_and_blame_nobody(scripted: Scripted) -> None:
    codes: list[int] = []

    def initialize(args: Any) -> int:
        mutex = ffi.new("CK_VOID_PTR *")
        codes.extend(getattr(args[0], member)(mutex if member == C else mutex[0]) for member in (C, L, U, D))
        return CKR.OK

    assert scripted(C_Initialize=initialize).call(Call("C_Initialize", Args(init=InitArgs.FAILING))).misuse == ()
    assert codes == [CKR.OK, CKR.MUTEX_BAD, CKR.MUTEX_NOT_LOCKED, CKR.OK]


@pytest.mark.parametrize(("history", "last", "misuse"), MUTEX_HISTORIES)
def test_misuse_of_mutexes_is_seen_in_the_call_that_it_happens_in(
    scripted: Scripted, history: tuple[str, ...], last: CKR, misuse: tuple[str, ...]
) -> None:
    codes: list[int] = []

    def initialize(args: Any) -> int:
        mutex = ffi.new("CK_VOID_PTR *")
        for member in history:
            codes.append(getattr(args[0], member)(mutex if member == C else mutex[0]))
        return CKR.OK

    raw = scripted(C_Initialize=initialize)
    assert raw.call(Call("C_Initialize", Args(init=InitArgs.CALLBACKS))).misuse == misuse
    assert codes == [CKR.OK] * (len(history) - 1) + [last]
    assert raw.call(Call("C_GetInfo")).misuse == ()


@pytest.mark.parametrize(
    ("buffer", "claimed", "code"),
    [(Buffer.ENOUGH, 1024, CKR.OK), (Buffer.SHORT, 2, CKR.BUFFER_TOO_SMALL), (Buffer.NULL, None, CKR.OK)],
)
def test_a_list_buffer_is_as_long_as_the_call_says(
    scripted: Scripted, buffer: Buffer, claimed: int | None, code: CKR
) -> None:
    listed = (9, 77, 78)
    claims = []

    def slot_list(_present: int, out: Any, length: Any) -> int:
        room = length[0] if out else None
        claims.append(room)
        length[0] = len(listed)
        if room is None:
            return CKR.OK
        if room < len(listed):
            return CKR.BUFFER_TOO_SMALL
        out[0 : len(listed)] = listed
        return CKR.OK

    seen = scripted(C_GetSlotList=slot_list).call(Call("C_GetSlotList", Args(buffer=buffer)))
    assert claims[-1] == claimed
    listing = (("slots", 0b10),) if buffer is Buffer.ENOUGH else ()
    assert seen == Observation(code, (("length", len(listed)), *listing))


def test_a_saved_operation_state_is_given_back(scripted: Scripted) -> None:
    given = []

    def get(_session: int, out: Any, length: Any) -> int:
        length[0] = 5
        if out:
            out[0:5] = b"state"
        return CKR.OK

    def put(_session: int, blob: Any, length: int, *keys: int) -> int:
        given.append((bytes(ffi.buffer(blob, length)) if blob else None, length, keys))
        return CKR.OK

    raw = scripted(C_GetOperationState=get, C_SetOperationState=put)
    back = Call("C_SetOperationState")
    raw.call(back)
    raw.call(Call("C_GetOperationState", Args(buffer=Buffer.NULL)))
    raw.call(back)
    raw.call(Call("C_GetOperationState"))
    for args in (Args(), Args(null=True), Args(blob=Blob.GARBAGE)):
        raw.call(Call("C_SetOperationState", args))
    assert given[0] == given[1]
    assert given[0][0] not in (b"state", GARBAGE)
    assert given[2:] == [(b"state", 5, (0, 0)), (None, 5, (0, 0)), (GARBAGE, 24, (0, 0))]


def test_handles_are_forged_live_then_stale(scripted: Scripted) -> None:
    issued, used = iter((41, 42, 41, 0)), []

    def open_session(*args: Any) -> int:
        args[-1][0] = next(issued)
        return CKR.OK

    def use(session: int) -> int:
        used.append(session)
        return CKR.OK

    raw = scripted(C_OpenSession=open_session, C_Logout=use)
    calls = ("C_Logout", "C_OpenSession", "C_Logout", "C_CloseSession", "C_Logout", "C_Finalize", "C_Logout")
    seen = [raw.call(Call(name)) for name in calls]
    raw.call(Call("C_Logout", Args(session=3)))
    assert seen[1].outputs == (("handle", 1),)
    assert used[0] not in (0, 41)
    assert used[1:] == [41, 41, 41, 0]
    kinds = [raw.call(Call("C_OpenSession")).outputs for _ in range(3)]
    assert kinds == [(("handle", 1),), (("handle", 1),), (("handle", 0),)]


def test_a_record_left_alone_is_not_taken_for_an_answer(scripted: Scripted) -> None:
    issued = iter((41,))

    def open_session(*args: Any) -> int:
        args[-1][0] = next(issued, args[-1][0])
        return CKR.OK

    raw = scripted(C_OpenSession=open_session)
    kinds = [raw.call(Call("C_OpenSession")).outputs for _ in range(2)]
    assert kinds == [(("handle", 1),), (("handle", 0),)]
    assert dict(raw.call(Call("C_GetSessionInfo")).outputs)["state"] not in list(CKS)
    assert raw.call(Call("C_GetSessionInfo", Args(null=True))).outputs == ()


def test_tokens_are_found_again_by_label(scripted: Scripted) -> None:
    """After C_InitToken and a new C_Initialize the module's slot IDs are others; a restored token has the old one."""
    tokens = {105: "first", 9: "p11conform", 7: "second"}

    def slot_list(_present: int, out: Any, length: Any) -> int:
        out[0 : len(tokens)] = list(tokens)
        length[0] = len(tokens)
        return CKR.OK

    def token_info(slot: int, info: Any) -> int:
        info.label = padded(tokens[slot])
        return CKR.OK

    binding = Binding((5, 7, 2, 9), ("first", "second"), PINS)

    def ids() -> list[int]:
        return [raw.application.slots.id(i) for i in range(4)]

    raw = scripted(binding, C_GetSlotList=slot_list, C_GetTokenInfo=token_info)
    raw.call(Call("C_Initialize"))
    assert ids() == [5, 7, 2, 9]
    run(raw, (Call("C_InitToken"), Call("C_InitToken", Args(slot=2)), Call("C_Finalize"), Call("C_Initialize")))
    assert ids() == [105, 7, 9, 9]
    raw.reset(restore_token=False)
    assert ids()[0] == 105
    raw.call(Call("C_InitToken"))
    raw.reset(restore_token=True)
    raw.call(Call("C_Initialize"))
    assert ids() == [5, 7, 2, 9]


def test_a_session_with_handle_0_goes_on_being_usable(scripted: Scripted) -> None:
    """And the argument that stands for handle 0 names no session then."""
    issued, used = iter((0, 7)), []

    def open_session(*args: Any) -> int:
        args[-1][0] = next(issued)
        return CKR.OK

    def use(session: int) -> int:
        used.append(session)
        return CKR.OK

    raw = scripted(C_OpenSession=open_session, C_Logout=use)
    zero, past = Call("C_Logout"), Call("C_Logout", Args(session=3))
    seen = [raw.call(call) for call in (past, Call("C_OpenSession"), Call("C_OpenSession"), zero, past)]
    seen += [raw.call(call) for call in (Call("C_CloseSession"), zero, past)]
    assert [o.outputs for o in seen[1:3]] == [(("handle", 0),), (("handle", 1),)]
    assert (used[:2], used[3:]) == ([0, 0], [0, 0])
    assert used[2] not in (0, 7)


NOT = CKR.CRYPTOKI_NOT_INITIALIZED
ERROR = CKR.GENERAL_ERROR
ENDS = [
    ((), (), ()),
    ((CKR.OK,), (), (CKR.OK, NOT)),
    ((CKR.OK,), (CKR.OK,), (NOT,)),
    ((CKR.OK,), (CKR.OK, NOT), ()),
    ((CKR.OK, CKR.OK), (CKR.OK,), (CKR.OK, NOT)),
    ((CKR.HOST_MEMORY,), (), (NOT,)),
    ((CKR.CRYPTOKI_ALREADY_INITIALIZED,), (), (CKR.OK, NOT)),
    ((CKR.OK,), (ERROR,), (ERROR, CKR.OK, NOT)),
    ((CKR.OK,), (), (CKR.OK,) * 8),
    ((CKR.OK,), (), (ERROR,) * 7 + (CKR.OK,)),
    ((CKR.HOST_MEMORY,) * 9, (), (CKR.OK,) * 8 + (StillInitialized,)),
    ((CKR.OK,), (), (ERROR,) * 8 + (StillInitialized,)),
]


@pytest.mark.parametrize(("started", "finalized", "ends"), ENDS)
@pytest.mark.parametrize("ready", [False, True])
def test_reset_finalises_until_the_library_is_not_initialised(
    scripted: Scripted, started: tuple[int, ...], finalized: tuple[int, ...], ends: tuple[Any, ...], ready: bool
) -> None:
    fails = StillInitialized in ends
    starts, answers = iter(started), iter((*finalized, *ends[: len(ends) - fails]))
    raw = scripted(C_Initialize=lambda _: next(starts), C_Finalize=lambda _: next(answers))
    calls = [Call("C_Initialize")] * len(started) + [Call("C_Finalize")] * len(finalized)
    numbered = raw.ready([Call("C_Initialize"), Call("C_Finalize")])
    for call in calls:
        number = int(call.function == "C_Finalize")
        (numbered.made.get(number) or numbered.make(number))() if ready else raw.call(call)
    if fails:
        with pytest.raises(StillInitialized, match=r"C_Finalize gives CKR_(OK|GENERAL_ERROR), .* new process"):
            raw.reset(restore_token=True)
    else:
        raw.reset(restore_token=True)
        raw.reset(restore_token=True)
    assert list(answers) == []


def test_a_library_that_stays_initialised_whatever_it_says_needs_a_new_process(scripted: Scripted) -> None:
    answers = iter((CKR.OK, CKR.CRYPTOKI_ALREADY_INITIALIZED))
    raw = scripted(C_Initialize=lambda _: next(answers), C_Finalize=lambda _: CKR.OK)
    raw.call(Call("C_Initialize"))
    raw.reset(restore_token=False)
    raw.call(Call("C_Initialize"))
    with pytest.raises(StillInitialized):
        raw.reset(restore_token=False)


@pytest.mark.parametrize("stays", [False, True])
def test_a_library_that_was_often_finalised_at_once_is_believed_until_it_is_found_initialised(
    scripted: Scripted, stays: bool
) -> None:
    ended: list[int] = []
    up = False

    def initialize(_: Any) -> int:
        nonlocal up
        before, up = up, True
        return CKR.CRYPTOKI_ALREADY_INITIALIZED if before else CKR.OK

    def finalize(_: Any) -> int:
        nonlocal up
        before, up = up, up and stays and len(ended) == 2 * PROVEN
        ended.append(CKR.OK if before else NOT)
        return ended[-1]

    raw = scripted(C_Initialize=initialize, C_Finalize=finalize)
    for _ in range(PROVEN + 3):
        raw.call(Call("C_Initialize"))
        raw.reset(restore_token=False)
    sure, trusting = [CKR.OK, NOT], [CKR.OK]
    later = [*trusting, *sure, *sure] if stays else [*trusting, *trusting, *trusting]
    assert ended == [*sure * PROVEN, *later]
    raw.call(Call("C_Initialize"))
    raw.call(Call("C_Initialize"))
    raw.reset(restore_token=False)
    assert ended[-2:] == sure, "after two calls of C_Initialize nothing is believed"


def test_lanes_of_an_application_share_no_memory() -> None:
    application = Application(BINDING)
    lanes = [vars(Lane(application, {})) for _ in range(2)]
    memory = [{int(ffi.cast("uintptr_t", x)) for x in lane.values() if isinstance(x, ffi.CData)} for lane in lanes]
    assert len(memory[0]) > 10
    assert not memory[0] & memory[1]


@pytest.mark.parametrize(
    ("call", "supported"),
    [
        (Call("C_GetInfo"), True),
        (Call("C_Login", Args(session=3)), True),
        (Call("C_Login", Args(session=4)), False),
        (Call("C_Login", Args(pin=Pin.NULL)), True),
        (Call("C_Login", Args(pin=Pin.LONG)), False),
        (Call("C_Logout", Args(pin=Pin.LONG)), True),
        (Call("C_GetTokenInfo", Args(slot=2)), True),
        (Call("C_GetTokenInfo", Args(slot=3)), False),
        (Call("C_DestroyObject", Args(object=5)), True),
        (Call("C_DestroyObject", Args(object=6)), False),
        (Call("C_WrapKey", Args(other_key=6)), False),
    ],
)
def test_supports_what_the_binding_can_make(scripted: Scripted, call: Call, supported: bool) -> None:
    assert scripted().supports(call) is supported


def test_without_the_pin_of_the_so_nothing_is_given_for_it() -> None:
    """A card may have none, and let anybody in; what a login as the SO should come to is not known then."""
    without = Application(replace(BINDING, pins={k: v for k, v in PINS.items() if k != Pin.SO.name}))
    for application, known in ((Application(BINDING), True), (without, False)):
        assert application.knows(Args(user=CKU.SO), ("pin",)) is known
        assert application.knows(Args(user=CKU.USER), ("pin",))
        assert application.knows(Args(user=CKU.SO))


def _compiled(directory: Path, source: str) -> str:
    library = directory / "bad.so"
    text = f"unsigned long C_GetFunctionList(void **list) {{ {source} }}"
    try:
        subprocess.run(("cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library), input=text, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("no C compiler: install gcc")
    return str(library)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda d: str(d / "none.so"), "cannot be loaded .*No such file"),
        (lambda d: str((d / "text.so").write_text("no ELF") and d / "text.so"), "cannot be loaded"),
        (lambda _: _cffi_backend.__file__, "has no C_GetFunctionList"),
        (lambda d: _compiled(d, "return 5;"), "C_GetFunctionList gives CKR_GENERAL_ERROR"),
        (lambda d: _compiled(d, "*list = 0; return 0;"), "a NULL list"),
    ],
)
def test_what_is_no_module_is_refused_in_one_line(tmp_path: Path, make: Callable[[Path], str], reason: str) -> None:
    library = make(tmp_path)
    with pytest.raises(ModuleUnusable, match=reason) as refused:
        load(library)
    text = str(refused.value)
    assert "\n" not in text
    assert text.startswith(f"{library}: ")


def test_a_snapshot_puts_a_directory_back(tmp_path: Path) -> None:
    kept, changed, lost = tmp_path / "kept", tmp_path / "a" / "changed", tmp_path / "b" / "lost"
    for path in (kept, changed, lost):
        path.parent.mkdir(exist_ok=True)
        path.write_text(path.name)
    lost.chmod(0o640)
    restore, before = module.snapshot(tmp_path), kept.stat().st_mtime_ns
    changed.write_text("otherwise")
    lost.unlink()
    lost.parent.rmdir()
    (tmp_path / "new" / "deeper").mkdir(parents=True)
    (tmp_path / "new" / "deeper" / "file").write_text("")
    restore()
    found = {str(p.relative_to(tmp_path)): p.read_text() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {"kept": "kept", "a/changed": "changed", "b/lost": "lost"}
    assert lost.stat().st_mode & 0o777 == 0o640
    assert not (tmp_path / "new").exists()
    assert kept.stat().st_mtime_ns == before


def test_provisioning_a_library_that_is_none_says_so(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.so")
    with pytest.raises(ModuleUnusable, match="cannot be loaded"):
        module.initialize_tokens(missing, {}, ["label"], b"so-secret", b"user-secret")


@pytest.fixture(scope="module")
def soft() -> Iterator[module.Module]:
    if softhsm2.find() is None:
        pytest.skip("SoftHSM is not installed: install softhsm2")
    ready = softhsm2.provision()
    yield ready
    ready.discard()
    assert not Path(ready.environment["SOFTHSM2_CONF"]).exists()


@pytest.fixture
def soft_raw(soft: module.Module, monkeypatch: pytest.MonkeyPatch) -> Iterator[Raw]:
    for name, value in soft.environment.items():
        monkeypatch.setenv(name, value)
    with Raw(soft.library, soft.binding, soft.restore) as raw:
        raw.reset(restore_token=True)
        yield raw


@pytest.mark.module
def test_softhsm_follows_a_session(soft_raw: Raw) -> None:
    wrong = Call("C_Login", Args(pin=Pin.WRONG))
    info, read_only = Call("C_GetSessionInfo"), Call("C_OpenSession", Args(rw=False, slot=1))
    calls = [Call("C_Initialize"), Call("C_OpenSession"), info, wrong, Call("C_Login"), info, read_only]
    calls += [Call("C_GetSessionInfo", Args(session=1)), Call("C_CloseSession"), info, Call("C_DigestInit")]
    rw, ro = CKF.RW_SESSION | CKF.SERIAL_SESSION, CKF.SERIAL_SESSION

    def state(slot: int, number: CKS, flags: int) -> Observation:
        return Observation(CKR.OK, (("slot", slot), ("state", number), ("flags", flags)))

    assert run(soft_raw, calls) == (
        Observation(CKR.OK),
        Observation(CKR.OK, (("handle", 1),)),
        state(0, CKS.RW_PUBLIC_SESSION, rw),
        Observation(CKR.PIN_INCORRECT),
        Observation(CKR.OK),
        state(0, CKS.RW_USER_FUNCTIONS, rw),
        Observation(CKR.OK, (("handle", 1),)),
        state(1, CKS.RO_PUBLIC_SESSION, ro),
        Observation(CKR.OK),
        Observation(CKR.SESSION_HANDLE_INVALID),
        Observation(CKR.SESSION_HANDLE_INVALID),
    )


@pytest.mark.module
def test_softhsm_tokens_come_back(soft_raw: Raw) -> None:
    look = (Call("C_Initialize"), *(Call("C_GetTokenInfo", Args(slot=i)) for i in range(3)))
    before = run(soft_raw, look)
    assert [dict(seen.outputs)["initialized"] for seen in before[1:]] == [1, 1, 0]
    new_tokens = tuple(Call("C_InitToken", Args(slot=i, pin=Pin.SO)) for i in (0, 2))
    assert {seen.code for seen in run(soft_raw, (look[0], *new_tokens))} == {CKR.OK}
    after = run(soft_raw, look, restore_token=False)
    assert [dict(seen.outputs)["initialized"] for seen in after[1:]] == [1, 1, 1]
    assert [dict(seen.outputs)["user_pin_initialized"] for seen in after[1:]] == [0, 1, 0]
    assert run(soft_raw, look) == before


@pytest.mark.module
def test_softhsm_takes_every_call_of_the_chapters(soft_raw: Raw) -> None:
    """No call of a small scope raises, whatever the library answers."""
    oddities = (Args(), Args(null=True), Args(slot=3, session=3), Args(buffer=Buffer.SHORT), Args(reserved=True))
    for start in ((), (Call("C_Initialize"), Call("C_OpenSession"))):
        for name in listed(Version.V2_40):
            for args in oddities:
                assert run(soft_raw, (*start, Call(name, args)))[-1].ending is Ending.RETURNED


@pytest.mark.module
def test_softhsm_is_measured(soft: module.Module, soft_raw: Raw) -> None:
    soft_raw.close()
    seen = measure(soft.library)
    assert decode(Measured, encode(seen)) == seen
    assert seen.cryptoki_version == "2.40"
    assert sorted(slot.label for slot in seen.slots) == ["", "p11conform-1", "p11conform-2"]
    first = next(slot for slot in seen.slots if slot.id == soft.binding.slots[0])
    assert (first.label, first.min_pin, first.max_pin, first.initialized) == ("p11conform-1", 4, 255, True)
    assert MECHANISMS[Mech.SHA256].number in first.mechanisms
    logins = [(CKU.SO, "SO"), (CKU.USER, "USER"), (CKU.USER, "WRONG")]
    codes = [login_works(soft.library, first.id, user, soft.binding.pins[pin]) for user, pin in logins]
    assert codes == [CKR.OK, CKR.OK, CKR.PIN_INCORRECT]


@pytest.mark.module
def test_pins_are_not_shown(soft: module.Module) -> None:
    shown = repr(replace(soft.binding, slots=()))
    assert [name for name, pin in soft.binding.pins.items() if pin.decode() in shown] == []
