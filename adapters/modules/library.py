"""Any module given by its path, with a token that somebody else made.

Nothing is written to the token unless its owner gave it up; then it is initialised anew to put it back, which needs
the SO PIN and loses what it held. A PIN is tried once, and not at all where the token says that it may be the last try.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ...model.call import Args, Call
from ...model.state import Pin
from ...model.vocabulary import CKF, CKR, CKU
from ..base import Binding, ModuleUnusable
from ..census import census_isolated
from ..isolated import NO_ENVIRONMENT, Isolated, Kind, login_isolated, measure_isolated
from ..measure import Measured, MeasuredSlot
from .module import NEW_TOKEN, Module


@dataclass(frozen=True, slots=True)
class Request:
    """What the user said of a module: the path, which token, and the PINs that may be used.

    `makes_objects` says that objects are made on the token, and destroyed again; `changes_pins` that the user PIN may
    be changed and given wrongly, so that others than the given ones are needed; `expendable` that the token may be
    initialised anew, for which both PINs are needed.
    """

    library: str
    slot: int | None = None
    label: str | None = None
    user_pin: bytes | None = None
    so_pin: bytes | None = None
    init_reserved: str | None = None
    makes_objects: bool = False
    changes_pins: bool = False
    expendable: bool = False
    timeout: float = 10.0


def choose(measured: Measured, request: Request) -> MeasuredSlot:
    """The slot that the user means: by ID, by label, or the only one with an initialised token.

    Raises:
        ModuleUnusable: if there is none, or more than one.
    """
    slots = [s for s in measured.slots if s.token_present]
    if request.slot is not None:
        slots = [s for s in measured.slots if s.id == request.slot]
    elif request.label is not None:
        slots = [s for s in slots if s.label == request.label]
    else:
        slots = [s for s in slots if s.initialized] or slots
    if len(slots) == 1:
        if not slots[0].token_present:
            raise ModuleUnusable(f"{request.library}: slot {slots[0].id} holds no token; insert one or choose another")
        return slots[0]
    known = ", ".join(f"{s.id} ({s.label})" if s.label else str(s.id) for s in measured.slots) or "none"
    problem = "several tokens fit" if slots else "no such token"
    raise ModuleUnusable(f"{request.library}: {problem}; choose with --slot or --token-label from: {known}")


def provision(request: Request) -> tuple[Module, Measured]:
    """A module of the user's, measured in a child process, with the PINs tried once.

    Raises:
        ModuleUnusable: if the library cannot be used, no token fits, or a PIN is missing, empty, was given wrongly of
            late, or is refused. Nothing is tried before all that is known.
    """
    given = ((CKU.USER, request.user_pin), (CKU.SO, request.so_pin))
    for user, pin in given:
        if pin == b"":
            raise ModuleUnusable(f"{request.library}: the {WHO[user]} PIN is empty; give it, or leave it out")
    if request.expendable and not (request.so_pin and request.user_pin):
        raise ModuleUnusable(f"{request.library}: to initialise the token again both PINs are needed; give them")
    measured = measure_isolated(request.library, NO_ENVIRONMENT, request.init_reserved, request.timeout)
    slot = choose(measured, request)
    tried = [(user, pin) for user, pin in given if pin is not None]
    for user, _ in tried:
        _see_that_tries_are_left(request, slot, user)
    for user, pin in tried:
        _try_pin(request, slot, user, pin)
    empty = next((s for s in measured.slots if not s.token_present and s.id != slot.id), None)
    known = {Pin.USER: request.user_pin, Pin.SO: request.so_pin}
    if request.changes_pins or request.expendable:
        known |= _made_up(slot, known)
    binding = Binding(
        slots=(slot.id, *([empty.id] if empty else [])),
        labels=(slot.label,),
        pins={pin.name: value for pin, value in known.items() if value is not None},
        init_reserved=request.init_reserved,
    )
    module = Module(
        name=request.library,
        library=request.library,
        environment=NO_ENVIRONMENT,
        binding=binding,
        owned=False,
        restore=_way_back(request, slot, binding),
        discard=_leave_alone,
    )
    return module, measured


WHO: Final = {CKU.SO: "SO", CKU.USER: "user"}
"""Whose PIN it is, in words."""

_RISKS: Final = {
    CKU.SO: (CKF.SO_PIN_LOCKED, CKF.SO_PIN_FINAL_TRY, CKF.SO_PIN_COUNT_LOW),
    CKU.USER: (CKF.USER_PIN_LOCKED, CKF.USER_PIN_FINAL_TRY, CKF.USER_PIN_COUNT_LOW),
}
"""Token flags (3.2) with which a PIN is not tried, the gravest first."""


def _see_that_tries_are_left(request: Request, slot: MeasuredSlot, user: CKU) -> None:
    """See that the token does not say that a PIN was given wrongly of late.

    Raises:
        ModuleUnusable: if it does: a try might be the last one.
    """
    flag = next((flag for flag in _RISKS[user] if slot.flags & flag), None)
    if flag is not None:
        raise ModuleUnusable(
            f"{request.library}: the {WHO[user]} PIN is not tried, as the token has CKF_{flag.name} set; log in with "
            "another application, which clears it unless the PIN is locked, or leave the PIN out"
        )


def _try_pin(request: Request, slot: MeasuredSlot, user: CKU, pin: bytes) -> None:
    code = login_isolated(request.library, slot.id, user, pin, NO_ENVIRONMENT, request.init_reserved, request.timeout)
    if code != CKR.OK:
        name = str(CKR(code)) if code in {int(c) for c in CKR} else f"0x{code:08X}"
        raise ModuleUnusable(
            f"{request.library}: the {WHO[user]} PIN is refused ({name}); check it before you try again"
        )


def _way_back(request: Request, slot: MeasuredSlot, binding: Binding) -> Callable[[], bool | None]:
    if request.expendable:
        return _reinitialize(request, binding)
    return _clear(request, slot, binding) if request.makes_objects else _leave_alone


def _made_up(slot: MeasuredSlot, given: dict[Pin, bytes | None]) -> dict[Pin, bytes | None]:
    """PINs beside those given: two of a legal length that are neither, and the illegal lengths next to the limits."""
    length = max(slot.min_pin, min(8, slot.max_pin or 8))
    legal = (digit * length for digit in (b"3", b"5", b"7", b"9"))
    other, wrong = [pin for pin in legal if pin not in given.values()][:2]
    made: dict[Pin, bytes | None] = {Pin.OTHER: other, Pin.WRONG: wrong}
    if slot.min_pin > 1:
        made[Pin.SHORT] = b"3" * (slot.min_pin - 1)
    if 0 < slot.max_pin < 1024:
        made[Pin.LONG] = b"3" * (slot.max_pin + 1)
    return made


def _reinitialize(request: Request, binding: Binding) -> Callable[[], bool]:
    """Put a token back that its owner gave up: initialised anew, with the PINs that it had. False if it cannot be."""

    def restore() -> bool:
        return trouble_with_new_token(request, binding) is None

    return restore


def trouble_with_new_token(request: Request, binding: Binding) -> str | None:
    """Initialise a token anew, with the PINs that it had; what went wrong, None if nothing did."""
    try:
        with Isolated(Kind.RAW, request.library, binding, timeout=request.timeout) as module:
            for call in (binding.initialize, *NEW_TOKEN):
                seen = module.call(call)
                if seen.text != str(CKR.OK):
                    return f"{call.function} gives {seen.text}"
    except ModuleUnusable as error:
        return str(error)
    return None


def _clear(request: Request, slot: MeasuredSlot, binding: Binding) -> Callable[[], bool]:
    """Put the user PIN back, and destroy what p11conform left on a token. False if either cannot be done."""

    def restore() -> bool:
        try:
            if request.changes_pins and not _pin_is_back(request, binding):
                return False
            found = census_isolated(
                request.library, slot.id, request.user_pin, request.init_reserved, remove=True, timeout=request.timeout
            )
        except ModuleUnusable:
            return False
        return not any(x.ours for x in found.objects)

    return restore


def _pin_is_back(request: Request, binding: Binding) -> bool:
    """Whether the user PIN is the given one, once the only other that is ever set was changed to it, if need be."""
    with Isolated(Kind.RAW, request.library, binding, timeout=request.timeout) as module:
        for call in (binding.initialize, Call("C_OpenSession")):
            module.call(call)
        if module.call(Call("C_Login")).code == CKR.OK:
            return True
        return module.call(Call("C_SetPIN", Args(pin=Pin.OTHER, new_pin=Pin.USER))).code == CKR.OK


def _leave_alone() -> None:
    """A token of somebody else's is as it was, since nothing was written to it."""
