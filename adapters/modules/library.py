"""Any module given by its path, with a token that somebody else made.

Nothing is written to the token unless its owner gave it up; then it is initialised anew to put it back, which needs
the SO PIN and loses what it held. A PIN is tried once, and not at all where the token says that it may be the last try.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from ...model.call import Call, Observation
from ...model.state import Pin
from ...model.vocabulary import CKR, CKU, Version
from ..base import Binding, ModuleUnusable, risk
from ..isolated import NO_ENVIRONMENT, Isolated, Kind, ask_once, login_isolated, measure_isolated
from ..library import interface_of
from ..measure import Measured, MeasuredSlot
from ..wire import Clear
from .module import NEW_TOKEN, Module


@dataclass(frozen=True, slots=True)
class Request:
    """What the user said of a module: the path, which token, and the PINs that may be used.

    `makes_objects` says that objects are made on the token, and destroyed again; `changes_pins` that the user PIN may
    be changed and given wrongly, so that others than the given ones are needed; `expendable` that the token may be
    initialised anew, for which both PINs are needed. The SO PIN may be empty: there are tokens that begin with none.
    `interface` is the version of the interface that is wanted (v3.0), None for the list that every module has; one that
    is `newest` is called through the newest that there is.
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
    interface: Version | None = None
    newest: bool = False

    @property
    def given(self) -> tuple[tuple[CKU, bytes], ...]:
        """The PINs, and whose they are."""
        pins = ((CKU.USER, self.user_pin), (CKU.SO, self.so_pin))
        return tuple((user, pin) for user, pin in pins if pin is not None)

    def without(self, user: CKU) -> "Request":
        """The same without the PIN of a user."""
        return replace(self, user_pin=None) if user is CKU.USER else replace(self, so_pin=None)


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


def see_that_offered(module: str, measured: Measured, interface: Version | None) -> None:
    """See that a module offers an interface of a version, where one is wanted.

    Raises:
        ModuleUnusable: if it does not.
    """
    if interface is not None and interface not in measured.interfaces:
        offered = " or ".join(map(str, (Version.V2_40, *measured.interfaces)))
        raise ModuleUnusable(f"{module}: offers no interface of version {interface}; choose --spec {offered}")


def provision(request: Request) -> tuple[Module, Measured]:
    """A module of the user's, measured in a child process, with the PINs tried once.

    The user PIN of a token that its SO can initialise anew is not tried, as it is in force after that: so what a check
    that was killed has left is no hindrance there.

    Raises:
        ModuleUnusable: if the library cannot be used, no token fits, or a PIN is missing, empty, was given wrongly of
            late, or is refused. Nothing is tried before all that is known.
    """
    if request.user_pin == b"":
        raise ModuleUnusable(f"{request.library}: the user PIN is empty; give it, or leave it out")
    if request.expendable and None in (request.so_pin, request.user_pin):
        raise ModuleUnusable(f"{request.library}: to initialise the token again both PINs are needed; give them")
    measured = measure_isolated(request.library, NO_ENVIRONMENT, request.init_reserved, request.timeout)
    if request.newest:
        request = replace(request, interface=interface_of(measured.version))
    see_that_offered(request.library, measured, request.interface)
    slot = choose(measured, request)
    empty = next((s for s in measured.slots if not s.token_present and s.id != slot.id), None)
    known = {Pin.USER: request.user_pin, Pin.SO: request.so_pin}
    if request.changes_pins or request.expendable:
        known |= _made_up(slot, known)
    binding = Binding(
        slots=(slot.id, *([empty.id] if empty else [])),
        labels=(slot.label,),
        pins={pin.name: value for pin, value in known.items() if value is not None},
        init_reserved=request.init_reserved,
        interface=request.interface,
    )
    _try_pins(request, slot)
    module = Module(
        name=request.library,
        library=request.library,
        environment=NO_ENVIRONMENT,
        binding=binding,
        owned=False,
        restore=_way_back(request, binding),
        discard=_leave_alone,
    )
    return module, measured


WHO: Final = {CKU.SO: "SO", CKU.USER: "user"}
"""Whose PIN it is, in words."""


def _see_that_tries_are_left(request: Request, slot: MeasuredSlot, user: CKU) -> None:
    """See that the token does not say that a PIN was given wrongly of late.

    Raises:
        ModuleUnusable: if it does: a try might be the last one.
    """
    flag = risk(slot.flags, user)
    if flag is not None:
        raise ModuleUnusable(
            f"{request.library}: the {WHO[user]} PIN is not tried, as the token has CKF_{flag.name} set; log in with "
            "another application, which clears it unless the PIN is locked, or leave the PIN out"
        )


_PIN_IS_WRONG: Final = (CKR.PIN_INCORRECT, CKR.PIN_INVALID, CKR.PIN_LEN_RANGE, CKR.PIN_LOCKED, CKR.PIN_EXPIRED)


def _try_pins(request: Request, slot: MeasuredSlot) -> None:
    """Try the PINs that the token is to be used with.

    Raises:
        ModuleUnusable: if one is refused, or may not be tried.
    """
    given = dict(request.given)
    if request.expendable:
        _see_that_tries_are_left(request, slot, CKU.SO)
        if _try_pin(request, slot, CKU.SO, given.pop(CKU.SO)):
            return
    for user in given:
        _see_that_tries_are_left(request, slot, user)
    for user, pin in given.items():
        _try_pin(request, slot, user, pin)


def _try_pin(request: Request, slot: MeasuredSlot, user: CKU, pin: bytes) -> bool:
    """Whether a user can log in; False only for an SO of whom C_InitToken alone can tell."""
    code = login_isolated(request.library, slot.id, user, pin, NO_ENVIRONMENT, request.init_reserved, request.timeout)
    # Where the SO cannot log in whatever the PIN, only C_InitToken can tell whether it is right.
    if code != CKR.OK and not (user is CKU.SO and request.expendable and code not in _PIN_IS_WRONG):
        name = str(CKR(code)) if code in {int(c) for c in CKR} else f"0x{code:08X}"
        raise ModuleUnusable(
            f"{request.library}: the {WHO[user]} PIN is refused ({name}); check it before you try again"
        )
    return code == CKR.OK


def _way_back(request: Request, binding: Binding) -> Callable[[], bool | None]:
    if request.expendable:
        return _reinitialize(request, binding)
    return _clear(request, binding) if request.makes_objects else _leave_alone


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
        try:
            return all(seen.code == CKR.OK for _, seen in new_token(request, binding))
        except ModuleUnusable:
            return False

    return restore


def new_token(request: Request, binding: Binding) -> Iterator[tuple[Call, Observation]]:
    """Initialise a token anew, with the PINs that it had: the calls and their answers, up to one that is not CKR_OK.

    Raises:
        ModuleUnusable: if the library cannot be loaded.
    """
    with Isolated(Kind.RAW, request.library, binding, timeout=request.timeout) as module:
        for call in (binding.initialize, *NEW_TOKEN):
            seen = module.call(call)
            yield call, seen
            if seen.code != CKR.OK:
                return


def refused(request: Request) -> Iterator[tuple[CKU, str]]:
    """Whose PINs the token refuses now, and how, each tried once at most.

    Raises:
        ModuleUnusable: if the library or the token cannot be used at all.
    """
    slot = choose(measure_isolated(request.library, NO_ENVIRONMENT, request.init_reserved, request.timeout), request)
    for user, pin in request.given:
        try:
            _see_that_tries_are_left(request, slot, user)
            _try_pin(request, slot, user, pin)
        except ModuleUnusable as error:
            yield user, str(error)


def _clear(request: Request, binding: Binding) -> Callable[[], bool]:
    """Put the user PIN back, and destroy what p11conform left on a token. False if either cannot be done."""
    order = Clear(request.library, binding, request.changes_pins)

    def restore() -> bool:
        try:
            done: bool = ask_once(bool, order, timeout=request.timeout, secrets=tuple(binding.pins.values()))
        except ModuleUnusable:
            return False
        return done

    return restore


def _leave_alone() -> None:
    """A token of somebody else's is as it was, since nothing was written to it."""
