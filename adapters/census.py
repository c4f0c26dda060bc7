"""What a token holds, for those whose PIN is known: taken before and after a check, each time in a fresh process.

Values never leave this module but as hashes. A private object is seen only by the user.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ..model.state import Pin
from ..model.vocabulary import CKF, CKR, CKU
from .base import Binding, risk
from .callbacks import notify
from .cryptoki import CData, ffi, new, unpadded
from .isolated import NO_ENVIRONMENT, TIMEOUT, ask_once
from .measure import Library, initialized
from .objects import PREFIX
from .templates import CKA
from .wire import TakeCensus

READ: Final = (*(x for x in CKA if x not in (CKA.PRIVATE_EXPONENT, CKA.PRIME_1, CKA.PRIME_2)), 0x102)
"""Attribute types that are read of each object: those that templates name, and CKA_ID."""

_MOST: Final = 4096
_LONGEST: Final = 4096


@dataclass(frozen=True, slots=True)
class Found:
    """An object: its label, and a hash of what could be read of it."""

    label: str
    content: str

    @property
    def ours(self) -> bool:
        """Whether its label is one that p11conform gives."""
        return self.label.startswith(PREFIX.decode())


@dataclass(frozen=True, slots=True)
class Census:
    """The flags of a token, less those that count tries, and its objects; `login` is the code of the user's C_Login.

    It is CKR_OK where no PIN was given, and None where it was not tried, as the token says that few tries are left.
    """

    flags: int = 0
    objects: tuple[Found, ...] = ()
    login: int | None = CKR.OK

    def missing(self, other: "Census") -> tuple[Found, ...]:
        """The objects of another census that are not in this one, each as often as it is missing."""
        left = [*self.objects]
        return tuple(x for x in other.objects if not _taken(left, x))


def _taken(left: list[Found], x: Found) -> bool:
    if x in left:
        left.remove(x)
        return True
    return False


def census(order: TakeCensus) -> Census:
    """What a token holds now, in this process; with `remove`, after all objects with a label of ours were destroyed.

    Raises:
        ModuleUnusable: if the library does not load, does not initialise, or opens no session on the slot.
    """
    with initialized(order.library, order.init_reserved) as module:
        slot_id = _slot_of(module, order)
        session = _session(module, slot_id, write=order.remove)
        flags = _token_flags(module, slot_id)
        login: int | None = None if order.user_pin else CKR.OK
        if order.user_pin and risk(flags, CKU.USER) is None:
            login = _log_in(module, session, order.user_pin)
        if order.remove:
            _destroy_ours(module, session)
        objects = (_found(module, session, handle) for handle in _handles(module, session))
        return Census(flags & ~_COUNTS, tuple(sorted(objects, key=lambda x: (x.label, x.content))), login)


def clear(library: str, binding: Binding, *, changed_pin: bool) -> bool:
    """Destroy what is ours on the first slot's token, in this process; whether nothing of it is left.

    If the user PIN may have been `changed_pin`, it is put back before. A PIN is not tried if few tries are left.

    Raises:
        ModuleUnusable: as `census` does.
    """
    user, other, slot_id = binding.pins.get(Pin.USER.name), binding.pins.get(Pin.OTHER.name), binding.slots[0]
    with initialized(library, binding.init_reserved) as module:
        session = _session(module, slot_id, write=True)
        if user is not None and _log_in(module, session, user) != CKR.OK:
            last = _token_flags(module, slot_id) & (CKF.USER_PIN_FINAL_TRY | CKF.USER_PIN_LOCKED)
            if not changed_pin or other is None or last:
                return False
            # Logged in first: not every token lets the PIN be changed without.
            if _log_in(module, session, other) != CKR.OK:
                return False
            old, to = (new("CK_UTF8CHAR[]", pin) for pin in (other, user))
            if module.call("C_SetPIN", session, old, len(other), to, len(user)) != CKR.OK:
                return False
        _destroy_ours(module, session)
        return not any(_is_ours(module, session, handle) for handle in _handles(module, session))


def destroy(library: str, binding: Binding, label: bytes) -> bool:
    """Destroy the object with a label on the first slot's token, in this process, as the user; whether it is gone.

    Raises:
        ModuleUnusable: as `census` does.
    """
    with initialized(library, binding.init_reserved) as module:
        session = _session(module, binding.slots[0], write=True)
        for pin in (binding.pins.get(x.name) for x in (Pin.USER, Pin.OTHER)):
            if pin is not None and _log_in(module, session, pin) == CKR.OK:
                break
        for handle in _handles(module, session):
            if _label(module, session, handle) == label:
                module.call("C_DestroyObject", session, handle)
        return not any(_label(module, session, handle) == label for handle in _handles(module, session))


_COUNTS: Final = CKF.USER_PIN_COUNT_LOW | CKF.SO_PIN_COUNT_LOW


def _slot_of(module: Library, order: TakeCensus) -> int:
    """The slot with the token: initialised anew, it may have got another ID."""
    if _token_label(module, order.slot_id) == order.label:
        return order.slot_id
    numbers, length = new("CK_SLOT_ID[]", _MOST), new("CK_ULONG *", _MOST)
    listed = module.call("C_GetSlotList", True, numbers, length) == CKR.OK
    slots = numbers[0 : min(length[0], _MOST)] if listed else ()
    return next((int(x) for x in slots if _token_label(module, x) == order.label), order.slot_id)


def _token_label(module: Library, slot_id: int) -> str | None:
    info = new("CK_TOKEN_INFO *")
    return unpadded(info.label) if module.call("C_GetTokenInfo", slot_id, info) == CKR.OK else None


def _session(module: Library, slot_id: int, *, write: bool) -> int:
    session = new("CK_SESSION_HANDLE *")
    flags = CKF.SERIAL_SESSION | (CKF.RW_SESSION if write else 0)
    module.demand("C_OpenSession", slot_id, flags, ffi.NULL, notify, session)
    return int(session[0])


def _log_in(module: Library, session: int, pin: bytes) -> int:
    return module.call("C_Login", session, CKU.USER, new("CK_UTF8CHAR[]", pin), len(pin))


def _token_flags(module: Library, slot_id: int) -> int:
    """The flags of a token, 0 where it does not tell."""
    info = new("CK_TOKEN_INFO *")
    return int(info.flags) if module.call("C_GetTokenInfo", slot_id, info) == CKR.OK else 0


def _destroy_ours(module: Library, session: int) -> None:
    for handle in _handles(module, session):
        if _is_ours(module, session, handle):
            module.call("C_DestroyObject", session, handle)


def _is_ours(module: Library, session: int, handle: int) -> bool:
    return _label(module, session, handle).startswith(PREFIX)


def _handles(module: Library, session: int) -> Sequence[int]:
    handles, count = new("CK_OBJECT_HANDLE[]", _MOST), new("CK_ULONG *")
    found: list[int] = []
    if module.call("C_FindObjectsInit", session, ffi.NULL, 0) != CKR.OK:
        return found
    while module.call("C_FindObjects", session, handles, _MOST, count) == CKR.OK and count[0]:
        found.extend(handles[0 : min(count[0], _MOST)])
    module.call("C_FindObjectsFinal", session)
    return found


def _value(module: Library, session: int, handle: int, name: int) -> bytes | None:
    room: CData = new("CK_BYTE[]", _LONGEST)
    asked = new("CK_ATTRIBUTE[]", [(name, room, _LONGEST)])
    if module.call("C_GetAttributeValue", session, handle, asked, 1) != CKR.OK or asked[0].ulValueLen > _LONGEST:
        return None
    return bytes(ffi.buffer(room, asked[0].ulValueLen))


def _label(module: Library, session: int, handle: int) -> bytes:
    return _value(module, session, handle, CKA.LABEL) or b""


def _found(module: Library, session: int, handle: int) -> Found:
    content = sha256()
    for name in READ:
        value = _value(module, session, handle, name)
        content.update(f"{name}:{'-' if value is None else sha256(value).hexdigest()};".encode())
    return Found(_label(module, session, handle).decode(errors="replace"), content.hexdigest()[:16])


def census_isolated(
    order: TakeCensus, *, environment: Mapping[str, str] = NO_ENVIRONMENT, timeout: float = TIMEOUT
) -> Census:
    """As `census`, from a process of its own that has `timeout` seconds for all of it.

    Raises:
        ModuleUnusable: as `census` does, and if the module dies or hangs.
    """
    secrets = (order.user_pin,) if order.user_pin else ()
    taken: Census = ask_once(Census, order, environment, timeout, secrets=secrets)
    return taken
