"""General, slot and token, and session functions (5.4 to 5.6)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ...model.call import Args, Blob, Buffer, StateKey
from ...model.mechanisms import Role
from ...model.vocabulary import CKF
from ..callbacks import cancel, notify
from ..cryptoki import count, new, padded
from ..parameters import number
from .concrete import (
    NULL,
    Arguments,
    Concrete,
    Outputs,
    Room,
    bit,
    blank,
    of_session,
    pointer,
)

if TYPE_CHECKING:
    from ..raw import Raw

GARBAGE: Final = b"\xa5" * 24
"""An operation state that no token ever saved."""

NO_SUCH_KEY: Final = 0x7F20_0001
"""A handle of no object."""


def _sessions_ended(raw: "Raw") -> Outputs:
    raw.objects.sessions_closed(raw.handles.open)
    raw.kept.sessions_closed(raw.handles.open)
    return ()


def _c_initialize(raw: "Raw", a: Args) -> Arguments:
    return (raw.init_args[a.init],)


def _initialized(raw: "Raw", _a: Args) -> Outputs:
    raw.initialized = True
    if raw.slots.moved:
        raw.find_slots()
    return ()


def _c_finalize(raw: "Raw", a: Args) -> Arguments:
    return (raw.anything if a.reserved else NULL,)


def _finalized(raw: "Raw", _a: Args) -> Outputs:
    raw.initialized = False
    raw.handles.closed_all()
    raw.objects.finalized()
    return _sessions_ended(raw)


def _c_get_info(raw: "Raw", a: Args) -> Arguments:
    return (pointer(a, raw.info),)


def _c_get_function_list(raw: "Raw", a: Args) -> Arguments:
    return (pointer(a, raw.list_out),)


def _c_get_slot_list(_raw: "Raw", a: Args) -> Arguments:
    return (a.token_present,)


def _slot_list(raw: "Raw", a: Args) -> Outputs:
    if a.null or a.buffer == Buffer.NULL:
        return ()
    return (("slots", raw.slots.mask(frozenset(raw.numbers_given()))),)


def _c_get_slot_info(raw: "Raw", a: Args) -> Arguments:
    return raw.slots.id(a.slot), blank(a, raw.slot_info)


def _slot_info(raw: "Raw", a: Args) -> Outputs:
    return () if a.null else (("token_present", bit(raw.slot_info.flags, CKF.TOKEN_PRESENT)),)


def _c_get_token_info(raw: "Raw", a: Args) -> Arguments:
    return raw.slots.id(a.slot), blank(a, raw.token_info)


def _token_info(raw: "Raw", a: Args) -> Outputs:
    if a.null:
        return ()
    info = raw.token_info
    return (
        ("initialized", bit(info.flags, CKF.TOKEN_INITIALIZED)),
        ("user_pin_initialized", bit(info.flags, CKF.USER_PIN_INITIALIZED)),
        ("sessions", count(info.ulSessionCount)),
        ("rw_sessions", count(info.ulRwSessionCount)),
    )


def _c_wait_for_slot_event(raw: "Raw", a: Args) -> Arguments:
    return CKF.DONT_BLOCK, pointer(a, raw.slot_of_event), raw.anything if a.reserved else NULL


def _of_slot(raw: "Raw", a: Args) -> Arguments:
    return (raw.slots.id(a.slot),)


def _c_get_mechanism_info(raw: "Raw", a: Args) -> Arguments:
    return raw.slots.id(a.slot), number(a.mechanism), pointer(a, raw.mechanism_info)


def _c_init_token(raw: "Raw", a: Args) -> Arguments:
    return raw.slots.id(a.slot), *raw.pins[a.pin], pointer(a, new("CK_UTF8CHAR[]", padded(raw.slots.label(a.slot))))


def _token_initialized(raw: "Raw", a: Args) -> Outputs:
    raw.slots.initialized(a.slot)
    raw.handles.closed_all(a.slot)
    raw.objects.token_initialized(a.slot)
    return ()


def _c_init_pin(raw: "Raw", a: Args) -> Arguments:
    return raw.handles.session(a.session), *raw.pins[a.new_pin]


def _c_set_pin(raw: "Raw", a: Args) -> Arguments:
    return raw.handles.session(a.session), *raw.pins[a.pin], *raw.pins[a.new_pin]


def _c_open_session(raw: "Raw", a: Args) -> Arguments:
    flags = (CKF.RW_SESSION if a.rw else 0) | (CKF.SERIAL_SESSION if a.serial else 0)
    raw.handle[0] = 0
    return raw.slots.id(a.slot), flags, NULL, cancel if a.notify else notify, pointer(a, raw.handle)


def _session_opened(raw: "Raw", a: Args) -> Outputs:
    if a.null:
        return ()
    return (("handle", int(raw.handles.opened(raw.handle[0], a.slot))),)


def _session_closed(raw: "Raw", a: Args) -> Outputs:
    raw.handles.closed(a.session)
    return _sessions_ended(raw)


def _all_sessions_closed(raw: "Raw", a: Args) -> Outputs:
    raw.handles.closed_all(a.slot)
    return _sessions_ended(raw)


def _c_get_session_info(raw: "Raw", a: Args) -> Arguments:
    return raw.handles.session(a.session), blank(a, raw.session_info)


def _session_info(raw: "Raw", a: Args) -> Outputs:
    if a.null:
        return ()
    info = raw.session_info
    return ("slot", raw.slots.index(info.slotID)), ("state", info.state), ("flags", info.flags)


def _operation_state(raw: "Raw", a: Args) -> Outputs:
    if not a.null and a.buffer != Buffer.NULL:
        raw.kept.save(a.session, raw.bytes_given())
    return ()


_SAVED_UNDER = {"encryption_key": (Role.ENCRYPT, Role.DECRYPT), "authentication_key": (Role.SIGN, Role.VERIFY)}
"""Which operations take the keys of C_SetOperationState."""


def _state_key(raw: "Raw", which: StateKey, roles: tuple[Role, ...]) -> int:
    if which == StateKey.DIFFERENT:
        return NO_SUCH_KEY
    key = raw.kept.saved_key(*roles)
    return 0 if which == StateKey.NONE or key is None else raw.objects.handle(key)


def _c_set_operation_state(raw: "Raw", a: Args) -> Arguments:
    blob = raw.kept.saved if a.blob == Blob.SAVED else GARBAGE
    keys = (_state_key(raw, getattr(a, name), roles) for name, roles in _SAVED_UNDER.items())
    return raw.handles.session(a.session), pointer(a, new("CK_BYTE[]", blob)), len(blob), *keys


def _state_restored(raw: "Raw", a: Args) -> Outputs:
    raw.kept.restore(a.session)
    return ()


def _c_login(raw: "Raw", a: Args) -> Arguments:
    return raw.handles.session(a.session), a.user, *raw.pins[a.pin]


def _logged_out(raw: "Raw", a: Args) -> Outputs:
    raw.objects.logged_out(raw.handles.open.get(a.session))
    return ()


CALLS: Final[Mapping[str, Concrete]] = {
    "C_Initialize": Concrete(_c_initialize, _initialized),
    "C_Finalize": Concrete(_c_finalize, _finalized),
    "C_GetInfo": Concrete(_c_get_info),
    "C_GetFunctionList": Concrete(_c_get_function_list),
    "C_GetSlotList": Concrete(_c_get_slot_list, _slot_list, room=Room.NUMBERS),
    "C_GetSlotInfo": Concrete(_c_get_slot_info, _slot_info),
    "C_GetTokenInfo": Concrete(_c_get_token_info, _token_info),
    "C_WaitForSlotEvent": Concrete(_c_wait_for_slot_event),
    "C_GetMechanismList": Concrete(_of_slot, room=Room.NUMBERS),
    "C_GetMechanismInfo": Concrete(_c_get_mechanism_info),
    "C_InitToken": Concrete(_c_init_token, _token_initialized, pins=("pin",)),
    "C_InitPIN": Concrete(_c_init_pin, pins=("new_pin",)),
    "C_SetPIN": Concrete(_c_set_pin, pins=("pin", "new_pin")),
    "C_OpenSession": Concrete(_c_open_session, _session_opened),
    "C_CloseSession": Concrete(of_session, _session_closed),
    "C_CloseAllSessions": Concrete(_of_slot, _all_sessions_closed),
    "C_GetSessionInfo": Concrete(_c_get_session_info, _session_info),
    "C_GetOperationState": Concrete(of_session, _operation_state, room=Room.BYTES),
    "C_SetOperationState": Concrete(_c_set_operation_state, _state_restored),
    "C_Login": Concrete(_c_login, pins=("pin",)),
    "C_Logout": Concrete(of_session, _logged_out),
}
