"""Any module given by its path, with a token that somebody else made.

Nothing is written to the token unless its owner gave it up; then it is initialised anew to put it back, which needs
the SO PIN and loses what it held.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ...model.state import Pin
from ...model.vocabulary import CKR, CKU
from ..base import Binding, ModuleUnusable
from ..isolated import NO_ENVIRONMENT, Isolated, Kind, login_isolated, measure_isolated
from ..measure import Measured, MeasuredSlot
from .module import NEW_TOKEN, Module


@dataclass(frozen=True, slots=True)
class Request:
    """What the user said of a module: the path, which token, and the PINs that may be used."""

    library: str
    slot: int | None = None
    label: str | None = None
    user_pin: bytes | None = None
    so_pin: bytes | None = None
    init_reserved: str | None = None
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
        ModuleUnusable: if the library cannot be used, no token fits, or a PIN is refused.
    """
    measured = measure_isolated(request.library, NO_ENVIRONMENT, request.init_reserved, request.timeout)
    slot = choose(measured, request)
    for user, pin in ((CKU.USER, request.user_pin), (CKU.SO, request.so_pin)):
        if pin is not None:
            _try_pin(request, slot, user, pin)
    if request.expendable and (request.so_pin is None or request.user_pin is None):
        raise ModuleUnusable(
            f"{request.library}: --allow-destructive needs both PINs, to put the token back; give them"
        )
    empty = next((s for s in measured.slots if not s.token_present and s.id != slot.id), None)
    known = {Pin.USER: request.user_pin, Pin.SO: request.so_pin}
    if request.expendable:
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
        restore=_reinitialize(request, binding) if request.expendable else _leave_alone,
        discard=_leave_alone,
    )
    return module, measured


def _try_pin(request: Request, slot: MeasuredSlot, user: CKU, pin: bytes) -> None:
    code = login_isolated(request.library, slot.id, user, pin, NO_ENVIRONMENT, request.init_reserved, request.timeout)
    if code != CKR.OK:
        who = "SO" if user is CKU.SO else "user"
        name = str(CKR(code)) if code in {int(c) for c in CKR} else f"0x{code:08X}"
        raise ModuleUnusable(f"{request.library}: the {who} PIN is refused ({name}); check it before you try again")


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


def _reinitialize(request: Request, binding: Binding) -> Callable[[], None]:
    """Put a token back that its owner gave up: initialised anew, with the PINs that it had."""

    def restore() -> None:
        with Isolated(Kind.RAW, request.library, binding, timeout=request.timeout) as module:
            for call in (binding.initialize, *NEW_TOKEN):
                seen = module.call(call)
                if seen.text != str(CKR.OK):
                    raise ModuleUnusable(
                        f"{request.library}: the token could not be put back: {call.function} gives {seen.text}; "
                        "initialise it by hand"
                    )

    return restore


def _leave_alone() -> None:
    """A token of somebody else's is as it was, since nothing was written to it."""
