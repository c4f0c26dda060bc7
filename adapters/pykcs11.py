"""The adapter on PyKCS11's low level, the binding that Python applications use: what they can reach of a module.

PyKCS11 initialises the module as it loads it, passes neither pInitArgs nor Notify nor pReserved, asks for the length
of a list before the list, and has no C_GetFunctionList nor operation states. A function that is NULL in the module's
list is a death here. It runs in the process of its caller.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from PyKCS11 import LowLevel as Swig

from ..model.call import Args, Buffer, Call, InitArgs, Observation, code_text
from ..model.state import Mech, Pin
from ..model.vocabulary import CKF, CKR, CKU
from .application import Application
from .base import Binding, Closing, ModuleUnusable, Ready, risk
from .cryptoki import count, padded
from .parameters import number
from .ready import Plain

Outputs: TypeAlias = tuple[tuple[str, int], ...]

_LOAD_ERRORS = {
    -1: "cannot be loaded; give the path of a PKCS#11 module",
    -4: "has no C_GetFunctionList; give the path of a PKCS#11 module",
}


class LowLevel(Closing):
    """A module called through PyKCS11 (implements `Adapter`).

    Args:
        library: the shared library, as dlopen takes it.
        binding: what the names of a call stand for.
        restore: puts the token's contents back; called while the library is finalised.

    Raises:
        ModuleUnusable: if the library does not load, has no function list, or does not initialise without arguments.
    """

    def __init__(self, library: str, binding: Binding, restore: Callable[[], None] = lambda: None) -> None:
        self.module = Swig.CPKCS11Lib()
        self.application = Application(binding)
        self._library = library
        self._restore = restore
        self.pins = {Pin[name]: Swig.ckbytelist(pin) for name, pin in binding.pins.items()}
        self.pins[Pin.NULL] = Swig.ckbytelist()
        self.mechanisms = {mech: Swig.CK_MECHANISM() for mech in Mech}
        for mech, record in self.mechanisms.items():
            record.mechanism = number(mech)
        self.numbers = Swig.ckulonglist()
        self.handle = Swig.CK_SESSION_HANDLE()
        self.info = Swig.CK_INFO()
        self.slot_info = Swig.CK_SLOT_INFO()
        self.token_info = Swig.CK_TOKEN_INFO()
        self.session_info = Swig.CK_SESSION_INFO()
        self.mechanism_info = Swig.CK_MECHANISM_INFO()
        code = self.module.Load(library)
        if code != CKR.OK:
            told = f"gives {code_text(code)} as it is loaded; PyKCS11 needs a module that initialises without arguments"
            raise ModuleUnusable(f"{library}: {_LOAD_ERRORS.get(code, told)}")
        self.application.initialization.initialize_returned(code)
        self._finalize()

    def call(self, call: Call) -> Observation:
        """Make one call."""
        reached, args = _REACHED[call.function], call.args
        code = reached.make(self, args)
        return Observation(code, reached.done(self, args) if code == CKR.OK else ())

    def ready(self, calls: Sequence[Call]) -> Ready:
        """The calls of a list; none of them is any quicker for it."""
        return Plain(self, calls)

    def reset(self, restore_token: bool) -> None:
        """Finalise the library and forget all handles; with `restore_token`, put the token's contents back too.

        Raises:
            StillInitialized: if the library may still be initialised.
        """
        self._finalize()
        self.application.forget()
        if restore_token:
            self._restore()
            self.application.restored()

    def supports(self, call: Call) -> bool:
        """Whether PyKCS11 can make the call as it is, and the binding has its PINs."""
        reached, args = _REACHED.get(call.function), call.args
        return (
            reached is not None
            and self.application.knows(args, reached.pins)
            and all(getattr(args, name) == value for name, value in reached.always.items())
        )

    def tries_left(self, user: CKU) -> bool:
        """Whether the first slot's token has none of the flags `RISKS` of a user; False where it does not tell."""
        code = self.module.C_GetTokenInfo(self.application.slots.id(0), self.token_info)
        return code == CKR.OK and risk(int(self.token_info.flags), user) is None

    def close(self) -> None:
        """Finalise the library.

        Raises:
            StillInitialized: if the library may still be initialised.
        """
        self._finalize()

    def session(self, index: int) -> Any:
        """The concrete handle of a session, in PyKCS11's own type."""
        self.handle.assign(self.application.handles.session(index))
        return self.handle

    def find_slots(self) -> None:
        """Look for tokens that were initialised anew, with calls of the adapter's own."""
        if self.module.C_GetSlotList(False, self.numbers) == CKR.OK:
            self.application.slots.find(
                (self.token_info.GetLabel().rstrip(" \0"), slot_id)
                for slot_id in [*self.numbers]
                if self.module.C_GetTokenInfo(slot_id, self.token_info) == CKR.OK
            )

    def _finalize(self) -> None:
        self.application.initialization.end(self._library, self.module.C_Finalize)


def _bit(flags: int, flag: CKF) -> int:
    return int(flags & flag != 0)


def _or_null(a: Args, target: Any) -> Any:
    return None if a.null else target


def _nothing(_p: LowLevel, _a: Args) -> Outputs:
    return ()


def _initialize(p: LowLevel, _a: Args) -> int:
    code = int(p.module.C_Initialize())
    p.application.initialization.initialize_returned(code)
    return code


def _initialized(p: LowLevel, _a: Args) -> Outputs:
    if p.application.slots.moved:
        p.find_slots()
    return ()


def _finalize(p: LowLevel, _a: Args) -> int:
    code = int(p.module.C_Finalize())
    p.application.initialization.finalize_returned(code)
    return code


def _finalized(p: LowLevel, _a: Args) -> Outputs:
    p.application.handles.closed_all()
    return ()


def _listed(p: LowLevel, _a: Args) -> Outputs:
    return (("length", len(p.numbers)),)


def _slot_list(p: LowLevel, a: Args) -> Outputs:
    return *_listed(p, a), ("slots", p.application.slots.mask(frozenset(p.numbers)))


def _slot_info(p: LowLevel, a: Args) -> Outputs:
    return () if a.null else (("token_present", _bit(p.slot_info.flags, CKF.TOKEN_PRESENT)),)


def _token_info(p: LowLevel, a: Args) -> Outputs:
    if a.null:
        return ()
    info = p.token_info
    return (
        ("initialized", _bit(info.flags, CKF.TOKEN_INITIALIZED)),
        ("user_pin_initialized", _bit(info.flags, CKF.USER_PIN_INITIALIZED)),
        ("sessions", count(info.ulSessionCount)),
        ("rw_sessions", count(info.ulRwSessionCount)),
    )


def _init_token(p: LowLevel, a: Args) -> int:
    label = _or_null(a, padded(p.application.slots.label(a.slot)).decode())
    return int(p.module.C_InitToken(p.application.slots.id(a.slot), p.pins[a.pin], label))


def _token_initialized(p: LowLevel, a: Args) -> Outputs:
    p.application.slots.initialized(a.slot)
    p.application.handles.closed_all(a.slot)
    return ()


def _open_session(p: LowLevel, a: Args) -> int:
    p.handle.assign(0)
    flags = (CKF.RW_SESSION if a.rw else 0) | (CKF.SERIAL_SESSION if a.serial else 0)
    return int(p.module.C_OpenSession(p.application.slots.id(a.slot), flags, p.handle))


def _session_opened(p: LowLevel, a: Args) -> Outputs:
    return (("handle", int(p.application.handles.opened(p.handle.value(), a.slot))),)


def _session_closed(p: LowLevel, a: Args) -> Outputs:
    p.application.handles.closed(a.session)
    return ()


def _all_sessions_closed(p: LowLevel, a: Args) -> Outputs:
    p.application.handles.closed_all(a.slot)
    return ()


def _session_info(p: LowLevel, a: Args) -> Outputs:
    if a.null:
        return ()
    info = p.session_info
    return ("slot", p.application.slots.index(info.slotID)), ("state", info.state), ("flags", info.flags)


@dataclass(frozen=True, slots=True)
class _Reached:
    """How PyKCS11 reaches a function.

    `make` makes the call. `done` runs after CKR_OK: it notes what changed and reads the outputs. `always` are the
    arguments that PyKCS11 leaves no choice in, `pins` those that need a PIN of the binding.
    """

    make: Callable[[LowLevel, Args], int]
    done: Callable[[LowLevel, Args], Outputs] = _nothing
    always: Mapping[str, Any] = field(default_factory=dict)
    pins: tuple[str, ...] = ()


_A_LIST = {"buffer": Buffer.ENOUGH, "null": False}

_REACHED: Mapping[str, _Reached] = {
    "C_Initialize": _Reached(_initialize, _initialized, {"init": InitArgs.NULL}),
    "C_Finalize": _Reached(_finalize, _finalized, {"reserved": False}),
    "C_GetInfo": _Reached(lambda p, a: p.module.C_GetInfo(_or_null(a, p.info))),
    "C_GetSlotList": _Reached(lambda p, a: p.module.C_GetSlotList(a.token_present, p.numbers), _slot_list, _A_LIST),
    "C_GetSlotInfo": _Reached(
        lambda p, a: p.module.C_GetSlotInfo(p.application.slots.id(a.slot), _or_null(a, p.slot_info)), _slot_info
    ),
    "C_GetTokenInfo": _Reached(
        lambda p, a: p.module.C_GetTokenInfo(p.application.slots.id(a.slot), _or_null(a, p.token_info)), _token_info
    ),
    "C_WaitForSlotEvent": _Reached(
        lambda p, a: p.module.C_WaitForSlotEvent(CKF.DONT_BLOCK, _or_null(a, 0))[0], always={"reserved": False}
    ),
    "C_GetMechanismList": _Reached(
        lambda p, a: p.module.C_GetMechanismList(p.application.slots.id(a.slot), p.numbers), _listed, _A_LIST
    ),
    "C_GetMechanismInfo": _Reached(
        lambda p, a: p.module.C_GetMechanismInfo(
            p.application.slots.id(a.slot), number(a.mechanism), _or_null(a, p.mechanism_info)
        )
    ),
    "C_InitToken": _Reached(_init_token, _token_initialized, pins=("pin",)),
    "C_InitPIN": _Reached(lambda p, a: p.module.C_InitPIN(p.session(a.session), p.pins[a.new_pin]), pins=("new_pin",)),
    "C_SetPIN": _Reached(
        lambda p, a: p.module.C_SetPIN(p.session(a.session), p.pins[a.pin], p.pins[a.new_pin]), pins=("pin", "new_pin")
    ),
    "C_OpenSession": _Reached(_open_session, _session_opened, {"null": False, "notify": False}),
    "C_CloseSession": _Reached(lambda p, a: p.module.C_CloseSession(p.session(a.session)), _session_closed),
    "C_CloseAllSessions": _Reached(
        lambda p, a: p.module.C_CloseAllSessions(p.application.slots.id(a.slot)), _all_sessions_closed
    ),
    "C_GetSessionInfo": _Reached(
        lambda p, a: p.module.C_GetSessionInfo(p.session(a.session), _or_null(a, p.session_info)), _session_info
    ),
    "C_Login": _Reached(lambda p, a: p.module.C_Login(p.session(a.session), a.user, p.pins[a.pin]), pins=("pin",)),
    "C_Logout": _Reached(lambda p, a: p.module.C_Logout(p.session(a.session))),
    "C_DigestInit": _Reached(
        lambda p, a: p.module.C_DigestInit(p.session(a.session), _or_null(a, p.mechanisms[a.mechanism]))
    ),
}
