"""General, slot and token, and session functions (5.4 to 5.6)."""

from collections.abc import Mapping, Sized
from functools import cache, reduce
from operator import or_
from typing import Final

from ...model.call import Args, Awaited, Blob, Buffer, Cancel, Interface, StateKey, Validation
from ...model.mechanisms import Role
from ...model.vocabulary import CKF, CKR, Version
from ..application import Application
from ..base import Binding
from ..callbacks import cancel, init_args, notify
from ..cryptoki import CData, c_string, count, ffi, new, padded, unpadded
from ..handles import Place
from ..lane import NULL, Lane
from ..library import NAME, is_standard, said
from ..memory import CAPACITY, Blank, Room, block, junk, record, word
from ..parameters import number
from ..templates import number as ulong
from .concrete import (
    SOMETHING,
    Arguments,
    Concrete,
    Outputs,
    always,
    bit,
    length,
    object_at,
    of_session,
    pointer,
    session,
    slot,
)

GARBAGE: Final = b"\xa5" * 24
"""An operation state that no token ever saved."""

NO_SUCH_KEY: Final = 0x7F20_0001
"""A handle of no object."""


def _sessions_ended(app: Application) -> Outputs:
    app.objects.sessions_closed(app.handles.open)
    app.kept.sessions_closed(app.handles.open)
    return ()


def _c_initialize(app: Application, _lane: Lane, a: Args) -> Arguments:
    return (init_args(app.binding.init_reserved)[a.init],)


def _can_be_initialized(binding: Binding, a: Args) -> bool:
    """A module that needs a text in pReserved is never given another, nor none."""
    return a.init in init_args(binding.init_reserved)


def _initialize_returned(app: Application, _lane: Lane, _a: Args, code: int) -> Outputs:
    app.initialization.initialize_returned(code)
    return ()


def _initialized(app: Application, lane: Lane, _a: Args) -> Outputs:
    if app.slots.moved:
        _find_slots(app, lane)
    return ()


def _find_slots(app: Application, lane: Lane) -> None:
    """Find the tokens again, by label, after a C_InitToken: a module may make its slot IDs from serial numbers."""
    lane.length[0] = CAPACITY[Room.NUMBERS]
    if lane.own_call("C_GetSlotList", 0, lane.numbers, lane.length) == CKR.OK:
        app.slots.find(
            (unpadded(lane.token_info.label), slot_id)
            for slot_id in lane.numbers_given()
            if lane.own_call("C_GetTokenInfo", slot_id, lane.token_info) == CKR.OK
        )
        app.changed(slots=True)


def _c_finalize(_app: Application, _lane: Lane, a: Args) -> Arguments:
    return (SOMETHING if a.reserved else NULL,)


def _finalize_returned(app: Application, _lane: Lane, _a: Args, code: int) -> Outputs:
    app.initialization.finalize_returned(code)
    return ()


def _finalized(app: Application, _lane: Lane, _a: Args) -> Outputs:
    app.ended()
    return _sessions_ended(app)


def _each_counts(_app: Application, _a: Args) -> Sized:
    return (True,)


def _c_get_info(_app: Application, lane: Lane, a: Args) -> Arguments:
    return (pointer(a, lane.info),)


def _c_get_function_list(_app: Application, lane: Lane, a: Args) -> Arguments:
    return (pointer(a, lane.list_out),)


def _c_get_slot_list(_app: Application, _lane: Lane, a: Args) -> Arguments:
    return (a.token_present,)


def _no_words(_app: Application, _lane: Lane, _a: Args) -> Arguments:
    return ()


_NO_SUCH_NAME: Final = c_string("p11conform knows no such interface")
_NO_SUCH_VERSION: Final = new("CK_VERSION *", (99, 99))
_NO_SUCH_FLAG: Final = 1 << 30
_STANDARD: Final = c_string(NAME)


def _c_get_interface(app: Application, lane: Lane, a: Args) -> Arguments:
    name = {Interface.ANY: NULL, Interface.UNKNOWN_NAME: _NO_SUCH_NAME}.get(a.interface, _STANDARD)
    version = {Interface.OWN: _version(own_version(app.binding)), Interface.UNKNOWN_VERSION: _NO_SUCH_VERSION}
    flags = _NO_SUCH_FLAG if a.interface == Interface.UNKNOWN_FLAG else 0
    return name, version.get(a.interface, NULL), pointer(a, lane.interface_out), flags


def own_version(binding: Binding) -> Version:
    """The version of the interface that the module is called through."""
    return binding.interface or Version.V2_40


@cache
def _version(version: Version) -> CData:
    return new("CK_VERSION *", version.number)


def _no_interface(_app: Application, lane: Lane, _a: Args) -> Blank:
    return block(lane.interface_out, bytes(ffi.sizeof("void *")))


def _interface_given(app: Application, lane: Lane, a: Args) -> Outputs:
    """Whether an interface was given, and is what was asked for."""
    if a.null:
        return ()
    given = lane.interface_out[0]
    fits = given and is_standard(given)
    if fits and a.interface == Interface.OWN:
        fits = said(given) == own_version(app.binding).number
    return (("matches", int(bool(fits))),)


_LISTED: Final = 16
"""How many slots a list names at most, for its answer to be known again by its content."""


def _no_slots(_app: Application, lane: Lane, _a: Args) -> Blank:
    """The length word and the first slots of a list, which come right behind it."""
    return block(lane.length, ulong(CAPACITY[Room.NUMBERS]) + junk(_LISTED * ffi.sizeof("CK_ULONG")))


def _few_slots(lane: Lane) -> bool:
    return bool(lane.length[0] <= _LISTED)


def _slot_list(app: Application, lane: Lane, a: Args) -> Outputs:
    if a.null or a.buffer == Buffer.NULL:
        return ()
    return (("slots", app.slots.mask(frozenset(lane.numbers_given()))),)


def _slot_info_blank(_app: Application, lane: Lane, _a: Args) -> Blank:
    return record(lane.slot_info)


def _c_get_slot_info(app: Application, lane: Lane, a: Args) -> Arguments:
    return slot(app, a), pointer(a, lane.slot_info)


def _slot_info(_app: Application, lane: Lane, a: Args) -> Outputs:
    return () if a.null else (("token_present", bit(lane.slot_info.flags, CKF.TOKEN_PRESENT)),)


def _token_info_blank(_app: Application, lane: Lane, _a: Args) -> Blank:
    return record(lane.token_info)


def _c_get_token_info(app: Application, lane: Lane, a: Args) -> Arguments:
    return slot(app, a), pointer(a, lane.token_info)


def _token_info(_app: Application, lane: Lane, a: Args) -> Outputs:
    if a.null:
        return ()
    info = lane.token_info
    return (
        ("initialized", bit(info.flags, CKF.TOKEN_INITIALIZED)),
        ("user_pin_initialized", bit(info.flags, CKF.USER_PIN_INITIALIZED)),
        ("sessions", count(info.ulSessionCount)),
        ("rw_sessions", count(info.ulRwSessionCount)),
    )


def _c_wait_for_slot_event(_app: Application, lane: Lane, a: Args) -> Arguments:
    return CKF.DONT_BLOCK, pointer(a, lane.slot_of_event), SOMETHING if a.reserved else NULL


def _of_slot(app: Application, _lane: Lane, a: Args) -> Arguments:
    return (slot(app, a),)


def _c_get_mechanism_info(app: Application, lane: Lane, a: Args) -> Arguments:
    return slot(app, a), number(a.mechanism), pointer(a, lane.mechanism_info)


def _c_init_token(app: Application, lane: Lane, a: Args) -> Arguments:
    return slot(app, a), *lane.pins[a.pin], pointer(a, new("CK_UTF8CHAR[]", padded(app.slots.label(a.slot))))


def _token_initialized(app: Application, _lane: Lane, a: Args) -> Outputs:
    app.slots.initialized(a.slot)
    app.handles.closed_all(a.slot)
    app.objects.token_initialized(a.slot)
    return ()


def _c_init_pin(app: Application, lane: Lane, a: Args) -> Arguments:
    return session(app, a), *lane.pins[a.new_pin]


def _c_set_pin(app: Application, lane: Lane, a: Args) -> Arguments:
    return session(app, a), *lane.pins[a.pin], *lane.pins[a.new_pin]


def _handle_blank(_app: Application, lane: Lane, _a: Args) -> Blank:
    return word(lane.handle)


def _c_open_session(app: Application, lane: Lane, a: Args) -> Arguments:
    flags = (CKF.RW_SESSION if a.rw else 0) | (CKF.SERIAL_SESSION if a.serial else 0)
    return slot(app, a), flags, NULL, cancel if a.notify else notify, pointer(a, lane.handle)


def _session_opened(app: Application, lane: Lane, a: Args) -> Outputs:
    if a.null:
        return ()
    return (("handle", int(app.handles.opened(lane.handle[0], a.slot))),)


def _session_closed(app: Application, _lane: Lane, a: Args) -> Outputs:
    app.handles.closed(a.session)
    return _sessions_ended(app)


def _all_sessions_closed(app: Application, _lane: Lane, a: Args) -> Outputs:
    app.handles.closed_all(a.slot)
    return _sessions_ended(app)


def _session_info_blank(_app: Application, lane: Lane, _a: Args) -> Blank:
    return record(lane.session_info)


def _c_get_session_info(app: Application, lane: Lane, a: Args) -> Arguments:
    return session(app, a), pointer(a, lane.session_info)


def _session_info(app: Application, lane: Lane, a: Args) -> Outputs:
    if a.null:
        return ()
    info = lane.session_info
    return ("slot", app.slots.index(info.slotID)), ("state", info.state), ("flags", info.flags)


def _operation_state(app: Application, lane: Lane, a: Args) -> Outputs:
    if not a.null and a.buffer != Buffer.NULL:
        app.kept.save(a.session, lane.bytes_given())
    return ()


_SAVED_UNDER = {"encryption_key": (Role.ENCRYPT, Role.DECRYPT), "authentication_key": (Role.SIGN, Role.VERIFY)}
"""Which operations take the keys of C_SetOperationState."""


def _state_key(app: Application, which: StateKey, roles: tuple[Role, ...]) -> int | Place:
    if which == StateKey.DIFFERENT:
        return NO_SUCH_KEY
    key = app.kept.saved_key(*roles)
    return 0 if which == StateKey.NONE or key is None else object_at(app, key)


def _c_set_operation_state(app: Application, _lane: Lane, a: Args) -> Arguments:
    blob = app.kept.saved if a.blob == Blob.SAVED else GARBAGE
    keys = (_state_key(app, getattr(a, name), roles) for name, roles in _SAVED_UNDER.items())
    return session(app, a), pointer(a, new("CK_BYTE[]", blob)), len(blob), *keys


def _state_restored(app: Application, _lane: Lane, a: Args) -> Outputs:
    app.kept.restore(a.session)
    return ()


def _c_session_cancel(app: Application, _lane: Lane, a: Args) -> Arguments:
    return session(app, a), _FLAGS[a.cancel]


_EVERY_FLAG: Final[Mapping[Cancel, int]] = {
    flag: CKF[flag.name] for flag in Cancel if flag not in (Cancel.NOTHING, Cancel.EVERYTHING, Cancel.UNKNOWN)
}
_FLAGS: Final[Mapping[Cancel, int]] = {
    **_EVERY_FLAG,
    Cancel.NOTHING: 0,
    Cancel.EVERYTHING: reduce(or_, _EVERY_FLAG.values()),
    Cancel.UNKNOWN: 1 << 30,
}
"""The flags of C_SessionCancel; an unknown one is a bit that no version has a meaning for."""

_NOBODY: Final = c_string("nobody that p11conform knows of")
"""The name of a user that no token has."""


def _c_login_user(app: Application, lane: Lane, a: Args) -> Arguments:
    name = (_NOBODY, len(_NOBODY) - 1) if a.named else (NULL, 0)
    return *_c_login(app, lane, a), *name


def _c_login(app: Application, lane: Lane, a: Args) -> Arguments:
    return session(app, a), a.user, *lane.pins[a.pin]


def _logged_out(app: Application, _lane: Lane, a: Args) -> Outputs:
    app.objects.logged_out(app.handles.open.get(a.session))
    return ()


_AWAITED: Final = {Awaited.SIGN: c_string("C_Sign"), Awaited.UNKNOWN: c_string("C_P11conform")}
_NO_SUCH_ID: Final = 0x7F20_0001
"""The ID of no asynchronous call."""

_VALIDATION: Final = {Validation.LAST: 1, Validation.UNKNOWN: 0x7F20_0001}


def _awaited(app: Application, a: Args) -> Arguments:
    return session(app, a), _AWAITED[a.awaited]


def _c_async_complete(app: Application, lane: Lane, a: Args) -> Arguments:
    return *_awaited(app, a), pointer(a, lane.pending)


def _c_async_get_id(app: Application, lane: Lane, a: Args) -> Arguments:
    return *_awaited(app, a), pointer(a, lane.length)


def _c_async_join(app: Application, lane: Lane, a: Args) -> Arguments:
    return *_awaited(app, a), _NO_SUCH_ID, lane.bytes, CAPACITY[Room.BYTES]


def _c_get_session_validation_flags(app: Application, lane: Lane, a: Args) -> Arguments:
    return session(app, a), _VALIDATION[a.validation], pointer(a, lane.flags)


def _not_pending(_app: Application, lane: Lane, _a: Args) -> Blank:
    return block(lane.pending, bytes(ffi.sizeof("CK_ASYNC_DATA")))


CALLS: Final[Mapping[str, Concrete]] = {
    "C_Initialize": Concrete(
        _c_initialize, _initialized, _initialize_returned, busy=_each_counts, possible=_can_be_initialized
    ),
    "C_Finalize": Concrete(_c_finalize, _finalized, _finalize_returned, heeded={CKR.CRYPTOKI_NOT_INITIALIZED}),
    "C_GetInfo": Concrete(_c_get_info),
    "C_GetFunctionList": Concrete(_c_get_function_list),
    "C_GetInterfaceList": Concrete(_no_words, room=Room.INTERFACES),
    "C_GetInterface": Concrete(_c_get_interface, _interface_given, blank=_no_interface),
    "C_GetSlotList": Concrete(
        _c_get_slot_list, _slot_list, length, Room.NUMBERS, _no_slots, _few_slots, {CKR.BUFFER_TOO_SMALL}
    ),
    "C_GetSlotInfo": Concrete(_c_get_slot_info, _slot_info, blank=_slot_info_blank, holds=always),
    "C_GetTokenInfo": Concrete(_c_get_token_info, _token_info, blank=_token_info_blank, holds=always),
    "C_WaitForSlotEvent": Concrete(_c_wait_for_slot_event),
    "C_GetMechanismList": Concrete(_of_slot, seen=length, room=Room.NUMBERS, heeded={CKR.OK, CKR.BUFFER_TOO_SMALL}),
    "C_GetMechanismInfo": Concrete(_c_get_mechanism_info),
    "C_InitToken": Concrete(_c_init_token, _token_initialized, pins=("pin",)),
    "C_InitPIN": Concrete(_c_init_pin, pins=("new_pin",)),
    "C_SetPIN": Concrete(_c_set_pin, pins=("pin", "new_pin")),
    "C_OpenSession": Concrete(_c_open_session, _session_opened, blank=_handle_blank),
    "C_CloseSession": Concrete(of_session, _session_closed),
    "C_CloseAllSessions": Concrete(_of_slot, _all_sessions_closed),
    "C_GetSessionInfo": Concrete(_c_get_session_info, _session_info, blank=_session_info_blank, holds=always),
    "C_GetOperationState": Concrete(of_session, _operation_state, room=Room.BYTES),
    "C_SetOperationState": Concrete(_c_set_operation_state, _state_restored, remembers=True),
    "C_Login": Concrete(_c_login, pins=("pin",)),
    "C_LoginUser": Concrete(_c_login_user, pins=("pin",)),
    "C_SessionCancel": Concrete(_c_session_cancel),
    "C_Logout": Concrete(of_session, _logged_out),
    "C_GetSessionValidationFlags": Concrete(_c_get_session_validation_flags),
    "C_AsyncComplete": Concrete(_c_async_complete, blank=_not_pending),
    "C_AsyncGetID": Concrete(_c_async_get_id),
    "C_AsyncJoin": Concrete(_c_async_join),
}
