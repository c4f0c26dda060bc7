"""General, slot and token, and session functions (5.4 to 5.6)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ...model.call import Args, Blob, Buffer, StateKey
from ...model.mechanisms import Role
from ...model.vocabulary import CKF, CKR
from ..callbacks import cancel, notify
from ..cryptoki import count, ffi, new, padded
from ..handles import Place
from ..parameters import number
from ..templates import number as ulong
from .concrete import (
    CAPACITY,
    NULL,
    Arguments,
    Blank,
    Concrete,
    Outputs,
    Room,
    always,
    bit,
    block,
    junk,
    object_at,
    of_session,
    pointer,
    record,
    session,
    slot,
    word,
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


def _seen_initialized(raw: "Raw", _a: Args, code: int) -> Outputs:
    if code == CKR.CRYPTOKI_ALREADY_INITIALIZED:  # perhaps by a call that failed half-way
        raw.initialized = True
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


_LISTED: Final = 16
"""How many slots a list names at most, for its answer to be known again by its content."""


def _no_slots(raw: "Raw", _a: Args) -> Blank:
    """The length word and the first slots of a list, which come right behind it."""
    return block(raw.length, ulong(CAPACITY[Room.NUMBERS]) + junk(_LISTED * ffi.sizeof("CK_ULONG")))


def _few_slots(raw: "Raw") -> bool:
    return bool(raw.length[0] <= _LISTED)


def _slot_list(raw: "Raw", a: Args) -> Outputs:
    if a.null or a.buffer == Buffer.NULL:
        return ()
    return (("slots", raw.slots.mask(frozenset(raw.numbers_given()))),)


def _c_get_slot_info(raw: "Raw", a: Args) -> Arguments:
    return slot(raw, a), pointer(a, raw.slot_info)


def _slot_info(raw: "Raw", a: Args) -> Outputs:
    return () if a.null else (("token_present", bit(raw.slot_info.flags, CKF.TOKEN_PRESENT)),)


def _c_get_token_info(raw: "Raw", a: Args) -> Arguments:
    return slot(raw, a), pointer(a, raw.token_info)


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
    return (slot(raw, a),)


def _c_get_mechanism_info(raw: "Raw", a: Args) -> Arguments:
    return slot(raw, a), number(a.mechanism), pointer(a, raw.mechanism_info)


def _c_init_token(raw: "Raw", a: Args) -> Arguments:
    return slot(raw, a), *raw.pins[a.pin], pointer(a, new("CK_UTF8CHAR[]", padded(raw.slots.label(a.slot))))


def _token_initialized(raw: "Raw", a: Args) -> Outputs:
    raw.slots.initialized(a.slot)
    raw.handles.closed_all(a.slot)
    raw.objects.token_initialized(a.slot)
    return ()


def _c_init_pin(raw: "Raw", a: Args) -> Arguments:
    return session(raw, a), *raw.pins[a.new_pin]


def _c_set_pin(raw: "Raw", a: Args) -> Arguments:
    return session(raw, a), *raw.pins[a.pin], *raw.pins[a.new_pin]


def _c_open_session(raw: "Raw", a: Args) -> Arguments:
    flags = (CKF.RW_SESSION if a.rw else 0) | (CKF.SERIAL_SESSION if a.serial else 0)
    return slot(raw, a), flags, NULL, cancel if a.notify else notify, pointer(a, raw.handle)


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
    return session(raw, a), pointer(a, raw.session_info)


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


def _state_key(raw: "Raw", which: StateKey, roles: tuple[Role, ...]) -> int | Place:
    if which == StateKey.DIFFERENT:
        return NO_SUCH_KEY
    key = raw.kept.saved_key(*roles)
    return 0 if which == StateKey.NONE or key is None else object_at(raw, key)


def _c_set_operation_state(raw: "Raw", a: Args) -> Arguments:
    blob = raw.kept.saved if a.blob == Blob.SAVED else GARBAGE
    keys = (_state_key(raw, getattr(a, name), roles) for name, roles in _SAVED_UNDER.items())
    return session(raw, a), pointer(a, new("CK_BYTE[]", blob)), len(blob), *keys


def _state_restored(raw: "Raw", a: Args) -> Outputs:
    raw.kept.restore(a.session)
    return ()


def _c_login(raw: "Raw", a: Args) -> Arguments:
    return session(raw, a), a.user, *raw.pins[a.pin]


def _logged_out(raw: "Raw", a: Args) -> Outputs:
    raw.objects.logged_out(raw.handles.open.get(a.session))
    return ()


CALLS: Final[Mapping[str, Concrete]] = {
    "C_Initialize": Concrete(_c_initialize, _initialized, _seen_initialized, heeded={CKR.CRYPTOKI_ALREADY_INITIALIZED}),
    "C_Finalize": Concrete(_c_finalize, _finalized),
    "C_GetInfo": Concrete(_c_get_info),
    "C_GetFunctionList": Concrete(_c_get_function_list),
    "C_GetSlotList": Concrete(_c_get_slot_list, _slot_list, room=Room.NUMBERS, blank=_no_slots, holds=_few_slots),
    "C_GetSlotInfo": Concrete(_c_get_slot_info, _slot_info, blank=lambda raw, _: record(raw.slot_info), holds=always),
    "C_GetTokenInfo": Concrete(
        _c_get_token_info, _token_info, blank=lambda raw, _: record(raw.token_info), holds=always
    ),
    "C_WaitForSlotEvent": Concrete(_c_wait_for_slot_event),
    "C_GetMechanismList": Concrete(_of_slot, room=Room.NUMBERS),
    "C_GetMechanismInfo": Concrete(_c_get_mechanism_info),
    "C_InitToken": Concrete(_c_init_token, _token_initialized, pins=("pin",)),
    "C_InitPIN": Concrete(_c_init_pin, pins=("new_pin",)),
    "C_SetPIN": Concrete(_c_set_pin, pins=("pin", "new_pin")),
    "C_OpenSession": Concrete(_c_open_session, _session_opened, blank=lambda raw, _: word(raw.handle)),
    "C_CloseSession": Concrete(of_session, _session_closed),
    "C_CloseAllSessions": Concrete(_of_slot, _all_sessions_closed),
    "C_GetSessionInfo": Concrete(
        _c_get_session_info, _session_info, blank=lambda raw, _: record(raw.session_info), holds=always
    ),
    "C_GetOperationState": Concrete(of_session, _operation_state, room=Room.BYTES),
    "C_SetOperationState": Concrete(_c_set_operation_state, _state_restored, remembers=True),
    "C_Login": Concrete(_c_login, pins=("pin",)),
    "C_Logout": Concrete(of_session, _logged_out),
}
