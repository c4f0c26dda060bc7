"""The adapter that calls a module's function list itself: NULL pointers, forged handles, short buffers and all.

It runs in the process of its caller. A module that crashes or hangs takes that process along; one that is left with
mutex callbacks may call them while the process ends, so a process that gave some had better end by `os._exit`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Final, Self, TypeAlias

from ..model.call import Args, Blob, Buffer, Call, Ending, InitArgs, Mechanism, Observation, StateKey, code_text
from ..model.state import Pin
from ..model.vocabulary import CKF, CKR
from .base import Binding, ModuleUnusable
from .callbacks import MUTEXES, notify
from .cryptoki import CData, c_string, count, ffi, initialize_args, load, new, padded, unpadded
from .handles import NEW_LABEL, Handles, Slots

NULL: Final = ffi.NULL
NO_SUCH_MECHANISM: Final = 0x7FFF_FFF0
NO_SUCH_KEY: Final = {StateKey.NONE: 0, StateKey.SAME: 0x7F00_0001, StateKey.DIFFERENT: 0x7F00_0002}
GARBAGE: Final = b"\xa5" * 24
"""An operation state that no token ever saved."""
NEVER_SAVED: Final = b"\x5a" * 24
"""Stands for the last saved operation state where none was saved."""

_JUNK = b"\xa5" * 256
_CAPACITY = 1024
_BLOB_CAPACITY = 65536

Arguments: TypeAlias = tuple[CData, ...]
Outputs: TypeAlias = tuple[tuple[str, int], ...]

_ALL = ("CreateMutex", "DestroyMutex", "LockMutex", "UnlockMutex")
_INIT_ARGS: Mapping[InitArgs, tuple[tuple[str, ...], int]] = {
    InitArgs.PLAIN: ((), 0),
    InitArgs.OS_LOCKING: ((), CKF.OS_LOCKING_OK),
    InitArgs.CALLBACKS: (_ALL, 0),
    InitArgs.CALLBACKS_OR_OS: (_ALL, CKF.OS_LOCKING_OK),
    InitArgs.NO_THREADS: ((), CKF.LIBRARY_CANT_CREATE_OS_THREADS | CKF.OS_LOCKING_OK),
    InitArgs.PARTIAL: (_ALL[:2], 0),
    InitArgs.RESERVED: ((), 0),
}


class Raw:
    """A module called through its function list (implements `Adapter`).

    Args:
        library: the shared library, as dlopen takes it.
        binding: what the names of a call stand for.
        restore: puts the token's contents back; called while the library is finalised.

    Raises:
        ModuleUnusable: if the library does not load or has no function list.
    """

    def __init__(self, library: str, binding: Binding, restore: Callable[[], None] = lambda: None) -> None:
        self.binding = binding
        self.slots = Slots(binding)
        self.handles = Handles(binding.sessions)
        self.initialized = False
        self.saved = NEVER_SAVED
        self._library = library
        self._restore = restore
        self._functions = load(library)

        self.anything = c_string(NEW_LABEL)
        reserved = c_string(binding.init_reserved) if binding.init_reserved is not None else NULL
        self.init_args = self._all_init_args(reserved)
        self.pins = {Pin[name]: (new("CK_UTF8CHAR[]", pin), len(pin)) for name, pin in binding.pins.items()}
        self.pins[Pin.NULL] = (NULL, 0)
        self.mechanisms = {
            which: new("CK_MECHANISM *", (number, NULL, 0))
            for which, number in ((Mechanism.LISTED, binding.mechanism), (Mechanism.UNKNOWN, NO_SUCH_MECHANISM))
        }
        # Every buffer is larger than any capacity that is claimed for it, so a module that overruns a short one
        # damages nothing.
        self.length = new("CK_ULONG *")
        self.numbers = new("CK_ULONG[]", _CAPACITY)
        self.blob = new("CK_BYTE[]", _BLOB_CAPACITY)
        self.handle = new("CK_SESSION_HANDLE *")
        self.list_out = new("CK_FUNCTION_LIST_PTR_PTR")
        self.info = new("CK_INFO *")
        self.slot_info = new("CK_SLOT_INFO *")
        self.token_info = new("CK_TOKEN_INFO *")
        self.session_info = new("CK_SESSION_INFO *")
        self.mechanism_info = new("CK_MECHANISM_INFO *")

    def call(self, call: Call) -> Observation:
        """Make one call."""
        function = self._functions[call.function]
        if function is None:
            return Observation(ending=Ending.ABSENT)
        concrete, args = _CONCRETE[call.function], call.args
        code = function(*concrete.build(self, args))
        outputs: Outputs = ()
        if code == CKR.OK:
            outputs = concrete.done(self, args)
        elif code == CKR.CRYPTOKI_ALREADY_INITIALIZED:  # perhaps by a C_Initialize that failed half-way
            self.initialized = True
        misuse = MUTEXES.take_misuse()
        return Observation(code, outputs, misuse=misuse) if outputs or misuse else _returned(code)

    def reset(self, restore_token: bool) -> None:
        """Finalise the library and forget all handles; with `restore_token`, put the token's contents back too.

        Raises:
            ModuleUnusable: if C_Finalize fails twice.
        """
        self._finalize()
        MUTEXES.take_misuse()
        self.handles.forget()
        self.saved = NEVER_SAVED
        if restore_token:
            self._restore()
            self.slots.restored()

    def supports(self, call: Call) -> bool:
        """Whether this adapter can make the call: no keyed operation states, no PIN that the binding lacks."""
        concrete, args = _CONCRETE.get(call.function), call.args
        return (
            concrete is not None
            and args.slot <= len(self.binding.slots)
            and args.session <= self.binding.sessions
            and args.blob != Blob.KEYED
            and all(getattr(args, name) in self.pins for name in concrete.pins)
        )

    def close(self) -> None:
        """Finalise the library; it stays loaded.

        Raises:
            ModuleUnusable: if C_Finalize fails twice.
        """
        self._finalize()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask_length(self, name: str, *arguments: CData) -> int:
        """What a length query answers, 0 where it fails. The query is the adapter's own."""
        function = self._functions[name]
        self.length[0] = 0
        if function is None or function(*arguments, NULL, self.length) != CKR.OK:
            return 0
        return int(self.length[0])

    def find_slots(self) -> None:
        """Find the tokens again, by label, after a C_InitToken: a module may make its slot IDs from serial numbers."""
        get_list, get_info = self._functions["C_GetSlotList"], self._functions["C_GetTokenInfo"]
        self.length[0] = _CAPACITY
        if not get_list or not get_info or get_list(0, self.numbers, self.length) != CKR.OK:
            return
        listed = self.numbers[0 : min(self.length[0], _CAPACITY)]
        token = self.token_info
        self.slots.find((unpadded(token.label), n) for n in listed if get_info(n, token) == CKR.OK)

    def _finalize(self) -> None:
        finalize = self._functions["C_Finalize"]
        if not self.initialized or finalize is None:
            return
        done = (CKR.OK, CKR.CRYPTOKI_NOT_INITIALIZED)
        code = finalize(NULL)
        if code not in done and (code := finalize(NULL)) not in done:
            raise ModuleUnusable(f"{self._library}: C_Finalize gives {code_text(code)}; restart the tester")
        self.initialized = False

    def _all_init_args(self, reserved: CData) -> dict[InitArgs, CData]:
        made: dict[InitArgs, CData] = {}
        for variant, (members, flags) in _INIT_ARGS.items():
            made[variant] = initialize_args(self.anything if variant is InitArgs.RESERVED else reserved, flags)
            for member in members:
                setattr(made[variant][0], member, MUTEXES.callbacks[member])
        return {InitArgs.NULL: made[InitArgs.PLAIN] if reserved else NULL, **made}


@lru_cache(1024)
def _returned(code: int) -> Observation:
    return Observation(code)


def _nothing(_raw: Raw, _a: Args) -> Outputs:
    return ()


def _bit(flags: int, flag: CKF) -> int:
    return int(flags & flag != 0)


def _pointer(a: Args, target: CData) -> CData:
    return NULL if a.null else target


def _blank(a: Args, record: CData) -> CData:
    """A record to be filled, with junk in it, so that a module that leaves it alone is found out."""
    if a.null:
        return NULL
    content = ffi.buffer(record)
    content[:] = _JUNK[: len(content)]
    return record


def _given(a: Args, buffer: CData) -> CData:
    return NULL if a.buffer == Buffer.NULL else buffer


def _offer(raw: Raw, a: Args, capacity: int, name: str, *arguments: CData) -> CData:
    """The length word of an output buffer, set to what the caller claims to have room for."""
    if a.null:
        return NULL
    raw.length[0] = max(0, raw.ask_length(name, *arguments) - 1) if a.buffer == Buffer.SHORT else capacity
    return raw.length


def _c_initialize(raw: Raw, a: Args) -> Arguments:
    return (raw.init_args[a.init],)


def _initialized(raw: Raw, _a: Args) -> Outputs:
    raw.initialized = True
    if raw.slots.moved:
        raw.find_slots()
    return ()


def _c_finalize(raw: Raw, a: Args) -> Arguments:
    return (raw.anything if a.reserved else NULL,)


def _finalized(raw: Raw, _a: Args) -> Outputs:
    raw.initialized = False
    raw.handles.closed_all()
    return ()


def _c_get_info(raw: Raw, a: Args) -> Arguments:
    return (_pointer(a, raw.info),)


def _c_get_function_list(raw: Raw, a: Args) -> Arguments:
    return (_pointer(a, raw.list_out),)


def _c_get_slot_list(raw: Raw, a: Args) -> Arguments:
    length = _offer(raw, a, _CAPACITY, "C_GetSlotList", a.token_present)
    return a.token_present, _given(a, raw.numbers), length


def _slot_list(raw: Raw, a: Args) -> Outputs:
    if a.null or a.buffer == Buffer.NULL:
        return ()
    listed = frozenset(raw.numbers[0 : min(raw.length[0], _CAPACITY)])
    return (("slots", raw.slots.mask(listed)),)


def _c_get_slot_info(raw: Raw, a: Args) -> Arguments:
    return raw.slots.id(a.slot), _blank(a, raw.slot_info)


def _slot_info(raw: Raw, a: Args) -> Outputs:
    return () if a.null else (("token_present", _bit(raw.slot_info.flags, CKF.TOKEN_PRESENT)),)


def _c_get_token_info(raw: Raw, a: Args) -> Arguments:
    return raw.slots.id(a.slot), _blank(a, raw.token_info)


def _token_info(raw: Raw, a: Args) -> Outputs:
    if a.null:
        return ()
    info = raw.token_info
    return (
        ("initialized", _bit(info.flags, CKF.TOKEN_INITIALIZED)),
        ("user_pin_initialized", _bit(info.flags, CKF.USER_PIN_INITIALIZED)),
        ("sessions", count(info.ulSessionCount)),
        ("rw_sessions", count(info.ulRwSessionCount)),
    )


def _c_wait_for_slot_event(raw: Raw, a: Args) -> Arguments:
    return CKF.DONT_BLOCK, _pointer(a, raw.numbers), raw.anything if a.reserved else NULL


def _c_get_mechanism_list(raw: Raw, a: Args) -> Arguments:
    slot = raw.slots.id(a.slot)
    length = _offer(raw, a, _CAPACITY, "C_GetMechanismList", slot)
    return slot, _given(a, raw.numbers), length


def _c_get_mechanism_info(raw: Raw, a: Args) -> Arguments:
    return raw.slots.id(a.slot), raw.mechanisms[a.mechanism].mechanism, _pointer(a, raw.mechanism_info)


def _c_init_token(raw: Raw, a: Args) -> Arguments:
    return raw.slots.id(a.slot), *raw.pins[a.pin], _pointer(a, new("CK_UTF8CHAR[]", padded(raw.slots.label(a.slot))))


def _token_initialized(raw: Raw, a: Args) -> Outputs:
    raw.slots.initialized(a.slot)
    raw.handles.closed_all(a.slot)
    return ()


def _c_init_pin(raw: Raw, a: Args) -> Arguments:
    return raw.handles.session(a.session), *raw.pins[a.new_pin]


def _c_set_pin(raw: Raw, a: Args) -> Arguments:
    return raw.handles.session(a.session), *raw.pins[a.pin], *raw.pins[a.new_pin]


def _c_open_session(raw: Raw, a: Args) -> Arguments:
    flags = (CKF.RW_SESSION if a.rw else 0) | (CKF.SERIAL_SESSION if a.serial else 0)
    raw.handle[0] = 0
    return raw.slots.id(a.slot), flags, NULL, notify, _pointer(a, raw.handle)


def _session_opened(raw: Raw, a: Args) -> Outputs:
    return () if a.null else (("handle", int(raw.handles.opened(raw.handle[0], a.slot))),)


def _c_of_session(raw: Raw, a: Args) -> Arguments:
    return (raw.handles.session(a.session),)


def _session_closed(raw: Raw, a: Args) -> Outputs:
    raw.handles.closed(a.session)
    return ()


def _c_close_all_sessions(raw: Raw, a: Args) -> Arguments:
    return (raw.slots.id(a.slot),)


def _all_sessions_closed(raw: Raw, a: Args) -> Outputs:
    raw.handles.closed_all(a.slot)
    return ()


def _c_get_session_info(raw: Raw, a: Args) -> Arguments:
    return raw.handles.session(a.session), _blank(a, raw.session_info)


def _session_info(raw: Raw, a: Args) -> Outputs:
    if a.null:
        return ()
    info = raw.session_info
    return ("slot", raw.slots.index(info.slotID)), ("state", info.state), ("flags", info.flags)


def _c_get_operation_state(raw: Raw, a: Args) -> Arguments:
    session = raw.handles.session(a.session)
    length = _offer(raw, a, _BLOB_CAPACITY, "C_GetOperationState", session)
    return session, _given(a, raw.blob), length


def _operation_state(raw: Raw, a: Args) -> Outputs:
    if not a.null and a.buffer != Buffer.NULL:
        raw.saved = bytes(ffi.buffer(raw.blob, min(raw.length[0], _BLOB_CAPACITY)))
    return ()


def _c_set_operation_state(raw: Raw, a: Args) -> Arguments:
    blob = raw.saved if a.blob == Blob.SAVED else GARBAGE
    keys = NO_SUCH_KEY[a.encryption_key], NO_SUCH_KEY[a.authentication_key]
    return raw.handles.session(a.session), _pointer(a, new("CK_BYTE[]", blob)), len(blob), *keys


def _c_login(raw: Raw, a: Args) -> Arguments:
    return raw.handles.session(a.session), a.user, *raw.pins[a.pin]


def _c_digest_init(raw: Raw, a: Args) -> Arguments:
    return raw.handles.session(a.session), _pointer(a, raw.mechanisms[a.mechanism])


@dataclass(frozen=True, slots=True)
class _Concrete:
    """How a function is called for real.

    `build` makes its C arguments. `done` runs after CKR_OK: it notes what changed and reads the outputs. `pins` names
    the arguments that need a PIN of the binding.
    """

    build: Callable[[Raw, Args], Arguments]
    done: Callable[[Raw, Args], Outputs] = _nothing
    pins: tuple[str, ...] = ()


_CONCRETE: Mapping[str, _Concrete] = {
    "C_Initialize": _Concrete(_c_initialize, _initialized),
    "C_Finalize": _Concrete(_c_finalize, _finalized),
    "C_GetInfo": _Concrete(_c_get_info),
    "C_GetFunctionList": _Concrete(_c_get_function_list),
    "C_GetSlotList": _Concrete(_c_get_slot_list, _slot_list),
    "C_GetSlotInfo": _Concrete(_c_get_slot_info, _slot_info),
    "C_GetTokenInfo": _Concrete(_c_get_token_info, _token_info),
    "C_WaitForSlotEvent": _Concrete(_c_wait_for_slot_event),
    "C_GetMechanismList": _Concrete(_c_get_mechanism_list),
    "C_GetMechanismInfo": _Concrete(_c_get_mechanism_info),
    "C_InitToken": _Concrete(_c_init_token, _token_initialized, ("pin",)),
    "C_InitPIN": _Concrete(_c_init_pin, pins=("new_pin",)),
    "C_SetPIN": _Concrete(_c_set_pin, pins=("pin", "new_pin")),
    "C_OpenSession": _Concrete(_c_open_session, _session_opened),
    "C_CloseSession": _Concrete(_c_of_session, _session_closed),
    "C_CloseAllSessions": _Concrete(_c_close_all_sessions, _all_sessions_closed),
    "C_GetSessionInfo": _Concrete(_c_get_session_info, _session_info),
    "C_GetOperationState": _Concrete(_c_get_operation_state, _operation_state),
    "C_SetOperationState": _Concrete(_c_set_operation_state),
    "C_Login": _Concrete(_c_login, pins=("pin",)),
    "C_Logout": _Concrete(_c_of_session),
    "C_DigestInit": _Concrete(_c_digest_init),
}

FUNCTIONS: Final = tuple(_CONCRETE)
"""The functions that Raw can call."""
