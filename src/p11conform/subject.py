"""What is tested: a module by name or by path, made ready, with the model's view of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .adapters.base import Adapter
from .adapters.isolated import Isolated, Kind, measure_isolated
from .adapters.measure import Measured, MeasuredSlot
from .adapters.modules import library, registry
from .adapters.modules.module import Module
from .adapters.simulated import Varied
from .crew import Open
from .model.mechanisms import FLAGS, MECHANISMS
from .model.oracle import Model
from .model.state import LIMIT_UNKNOWN, Object, Pin, Slot, State
from .model.vocabulary import CKF, CKU
from .properties.policy import Right, Rights

SIMULATED = "simulated"


def known() -> tuple[str, ...]:
    """The names of all that p11conform makes ready by itself."""
    return (SIMULATED, *registry.names())


@dataclass(frozen=True, slots=True)
class Subject:
    """A module that is ready to be tested.

    `about` describes it for the report. `open` gives a fresh adapter, `isolated` one in a process that runs a program
    of the caller's; None where there is nothing to isolate. `discard` removes what was provisioned.
    """

    name: str
    about: Mapping[str, Any]
    initial: State
    rights: Rights
    open: Callable[[], Adapter]
    isolated: Open | None
    discard: Callable[[], None]
    token: Mapping[str, str] = field(default_factory=dict)
    """Label and serial number of the token that sessions are opened on."""


OBJECTS = 5
"""Objects that the model follows at a time."""

SIMULATED_STATE = State(
    objects=(Object(),) * OBJECTS,
    slots=(
        Slot(),
        Slot(session_limit=2, rw_session_limit=1, abilities=()),
        Slot(initialized=False, so_pin=Pin.NULL, user_pin=Pin.NULL, session_limit=LIMIT_UNKNOWN),
        Slot(present=False),
        Slot(recognized=False),
        Slot(so_pin_to_be_changed=True, user_pin_to_be_changed=True, dual=True, mechanisms=(), abilities=()),
        Slot(
            write_protected=True,
            has_mechanisms=False,
            mechanisms=(),
            abilities=(),
            rng=False,
            shared=True,
            login_required=False,
            user_pin=Pin.NULL,
        ),
    ),
)
"""The slots of the embedded module: one of every sort that a rule of the table tells apart."""


def simulated(model: Model, seed: int, initial: State = SIMULATED_STATE) -> Subject:
    """The embedded module, made of the model itself."""
    return Subject(
        SIMULATED,
        {"name": SIMULATED, "adapter": "simulated"},
        initial,
        Rights(Right.ANYTHING),
        lambda: Varied(model, initial, seed),
        None,
        lambda: None,
    )


def own_module(name: str, kind: Kind, timeout: float) -> Subject:
    """A module of the registry, with tokens of our own in a private directory.

    Raises:
        ModuleUnusable: if it is not installed or cannot be provisioned.
    """
    module = registry.provider(name).provision()
    try:
        measured = measure_isolated(
            module.library,
            module.environment,
            module.binding.init_reserved,
            timeout,
            namespaces=module.namespaces,
        )
    except BaseException:
        module.discard()
        raise
    return _subject(module, measured, Rights(Right.ANYTHING), kind, timeout)


def user_module(request: library.Request, kind: Kind) -> Subject:
    """A module of the user's, whose token is written to only if the request says that it is expendable.

    Raises:
        ModuleUnusable: if the library, the token or a PIN cannot be used.
    """
    module, measured = library.provision(request)
    given = ((CKU.USER, request.user_pin), (CKU.SO, request.so_pin))
    users = frozenset(user for user, pin in given if pin is not None)
    rights = Rights(Right.EXPENDABLE) if request.expendable else Rights(Right.HARMLESS, users)
    return _subject(module, measured, rights, kind, request.timeout)


def _subject(module: Module, measured: Measured, rights: Rights, kind: Kind, timeout: float) -> Subject:
    by_id = {s.id: s for s in measured.slots}
    slots = tuple(slot_facts(by_id[id], module.owned) for id in module.binding.slots)
    about = {
        "name": module.name,
        "library": module.library,
        "adapter": kind.name.lower(),
        "manufacturer": measured.manufacturer,
        "description": measured.library_description,
        "library_version": measured.library_version,
        "cryptoki_version": measured.cryptoki_version,
    }

    open_module = partial(
        Isolated,
        kind,
        module.library,
        module.binding,
        module.environment,
        module.restore,
        timeout,
        namespaces=module.namespaces,
    )
    initial = State(slots=slots, objects=(Object(),) * OBJECTS)
    first = by_id[module.binding.slots[0]]
    token = {"label": first.label, "serial": first.serial}
    return Subject(module.name, about, initial, rights, open_module, open_module, module.discard, token)


_SO_TRIED = CKF.SO_PIN_COUNT_LOW | CKF.SO_PIN_FINAL_TRY | CKF.SO_PIN_LOCKED
_USER_TRIED = CKF.USER_PIN_COUNT_LOW | CKF.USER_PIN_FINAL_TRY | CKF.USER_PIN_LOCKED


def slot_facts(slot: MeasuredSlot, owned: bool) -> Slot:
    """A measured slot as the model sees it."""
    flags = slot.flags
    offered = dict(zip(slot.mechanisms, slot.mechanism_flags, strict=True))
    listed = tuple(m for m in MECHANISMS.values() if m.number in offered)
    return Slot(
        present=slot.token_present,
        recognized=slot.recognized,
        write_protected=bool(flags & CKF.WRITE_PROTECTED),
        session_limit=slot.session_limit,
        rw_session_limit=slot.rw_session_limit,
        shared=not owned,
        protected_path=bool(flags & CKF.PROTECTED_AUTHENTICATION_PATH),
        has_mechanisms=bool(slot.mechanisms),
        mechanisms=tuple(m.mech for m in listed),
        abilities=tuple((m.mech, role) for m in listed for role, flag in FLAGS.items() if offered[m.number] & flag),
        login_required=bool(flags & CKF.LOGIN_REQUIRED),
        rng=bool(flags & CKF.RNG),
        dual=bool(flags & CKF.DUAL_CRYPTO_OPERATIONS),
        empty_pin_legal=slot.min_pin == 0,
        initialized=slot.initialized,
        so_pin=Pin.SO if slot.initialized else Pin.NULL,
        user_pin=Pin.USER if flags & CKF.USER_PIN_INITIALIZED else Pin.NULL,
        so_failed=bool(flags & _SO_TRIED),
        user_failed=bool(flags & _USER_TRIED),
        so_pin_to_be_changed=bool(flags & CKF.SO_PIN_TO_BE_CHANGED),
        user_pin_to_be_changed=bool(flags & CKF.USER_PIN_TO_BE_CHANGED),
    )
