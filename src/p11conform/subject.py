"""What is tested: a module by name or by path, made ready, with the model's view of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from .adapters.base import Adapter
from .adapters.census import Census, census_isolated
from .adapters.isolated import Isolated, Kind, measure_isolated
from .adapters.measure import Measured, MeasuredSlot
from .adapters.modules import library, softhsm2
from .adapters.modules.module import Module
from .adapters.simulated import Varied
from .crew import Open
from .model.call import Args, Call, Ending, Observation
from .model.mechanisms import FLAGS, MECHANISMS
from .model.oracle import Model
from .model.state import LIMIT_UNKNOWN, Mech, Object, Pin, Slot, State
from .model.state import Kind as Kinds
from .model.vocabulary import CKF, CKR, CKU
from .properties.engine.verdict import Outcome, Steps, judge
from .properties.policy import Level, Rights
from .properties.reports.findings import Finding

SIMULATED = "simulated"
SOFTHSM2 = "softhsm2"
KNOWN = (SIMULATED, SOFTHSM2)


@dataclass(frozen=True, slots=True)
class Subject:
    """A module that is ready to be tested.

    `about` describes it for the report. `open` gives a fresh adapter, `isolated` one in a process that runs a program
    of the caller's; None where there is nothing to isolate. `discard` removes what was provisioned. `census` tells what
    a stranger's token holds; `outlived` is a sequence that shows a session object that outlives its process, if any.
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
    census: Callable[..., Census] | None = None
    outlived: Steps = ()


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
        Slot(pin_to_be_changed=True, dual=True, mechanisms=(), abilities=()),
        Slot(write_protected=True, has_mechanisms=False, mechanisms=(), abilities=(), rng=False, shared=True),
    ),
)
"""The slots of the embedded module: one of every sort that a rule of the table tells apart."""


def simulated(model: Model, seed: int, initial: State = SIMULATED_STATE) -> Subject:
    """The embedded module, made of the model itself."""
    return Subject(
        SIMULATED,
        {"name": SIMULATED, "adapter": "simulated"},
        initial,
        Rights(Level.OURS),
        lambda: Varied(model, initial, seed),
        None,
        lambda: None,
    )


def softhsm2_module(kind: Kind, timeout: float) -> Subject:
    """SoftHSM2 with tokens of our own in a private directory.

    Raises:
        ModuleUnusable: if it is not installed or cannot be provisioned.
    """
    module = softhsm2.provision()
    try:
        measured = measure_isolated(module.library, module.environment, timeout=timeout)
    except BaseException:
        module.discard()
        raise
    return _subject(module, measured, Rights(Level.OURS), kind, timeout)


def user_module(request: library.Request, kind: Kind, level: Level = Level.SESSION_OBJECTS) -> Subject:
    """A module of the user's, whose token was given over up to a level; what it does not allow lowers the level.

    Raises:
        ModuleUnusable: if the library, the token or a PIN cannot be used.
    """
    given = ((CKU.USER, request.user_pin), (CKU.SO, request.so_pin))
    rights = Rights(level, frozenset(user for user, pin in given if pin is not None))
    if level >= Level.EVERYTHING and CKU.SO not in rights.users:
        rights = rights.below(
            Level.PINS, "the token is not initialised anew: that needs the SO PIN, which was not given"
        )
    if level >= Level.PINS and CKU.USER not in rights.users:
        rights = rights.below(Level.TOKEN_OBJECTS, "no PIN is changed: that needs the user PIN, which was not given")
    request = replace(
        request,
        makes_objects=rights.level >= Level.TOKEN_OBJECTS,
        changes_pins=rights.level >= Level.PINS,
        expendable=rights.level >= Level.EVERYTHING,
    )
    module, measured = library.provision(request)
    if rights.level >= Level.EVERYTHING and (trouble := library.trouble_with_new_token(request, module.binding)):
        why = f"the token is not initialised anew: tried once, it cannot be ({trouble})"
        request = replace(request, expendable=False)
        rights = rights.below(Level.PINS, why)
        module, measured = library.provision(request)
    taken = partial(
        census_isolated,
        request.library,
        module.binding.slots[0],
        request.user_pin,
        request.init_reserved,
        timeout=request.timeout,
    )
    outlived: Steps = ()
    if rights.level < Level.TOKEN_OBJECTS:
        outlived = _outlived(module, rights, taken, kind, request.timeout)
    if outlived:
        rights = replace(rights, objects=False, reduced=(*rights.reduced, _OUTLIVED))
    tested = _subject(module, measured, rights, kind, request.timeout)
    return replace(tested, census=taken, outlived=outlived)


NOT_PUT_BACK = (
    "the token could not be put back in the midst of the check, which went on without PINs and token objects; "
    "look at it, and initialise it by hand if need be"
)
_OUTLIVED = "no more objects are made: a session object outlived its session and its process, and was destroyed"

_PROBES = (
    (Call("C_CreateObject", Args(kind=Kinds.DATA)),),
    (
        Call("C_CreateObject"),
        Call("C_GenerateKey", Args(mechanism=Mech.AES_KEY_GEN)),
        Call("C_GenerateKeyPair", Args(mechanism=Mech.EC_KEY_PAIR_GEN)),
        Call("C_GenerateKeyPair", Args(mechanism=Mech.RSA_PKCS_KEY_PAIR_GEN)),
    ),
)
"""Calls that make session objects, to see whether they end with their process: at first one alone."""


def _outlived(module: Module, rights: Rights, taken: Callable[..., Census], kind: Kind, timeout: float) -> Steps:
    """A sequence that shows that a session object outlives its process, empty if none does; it is destroyed."""
    login = (Call("C_Login"),) if CKU.USER in rights.users else ()
    before = taken()
    for probes in _PROBES:
        steps: list[tuple[Call, Observation]] = []
        with Isolated(kind, module.library, module.binding, module.environment, timeout=timeout) as adapter:
            for call in (module.binding.initialize, Call("C_OpenSession"), *login, *probes):
                seen = adapter.call(call)
                steps.append((call, seen))
                if seen.ending is not Ending.RETURNED:
                    break
        if any(x.ours for x in before.missing(taken())):
            taken(remove=True)
            made = next(x for x in steps if x[0] in probes and x[1].code == CKR.OK)
            begin = [x for x in steps if x[0] not in probes]
            again = [(call, Observation()) for call in (Call("C_Finalize"), *(x for x, _ in begin))]
            found = (Call("C_FindObjects"), Observation(outputs=(("strangers", 1),)))
            return (*begin, made, *again, (Call("C_FindObjectsInit"), Observation()), found)
    return ()


def outlived_finding(model: Model, tested: Subject) -> tuple[Finding, ...]:
    """The finding that a session object outlives its process, where one does."""
    beliefs, verdict = frozenset({tested.initial}), None
    for call, seen in tested.outlived:
        verdict, beliefs = judge(model, beliefs, call, seen)
        if not beliefs:
            break
    if verdict is None or verdict.outcome is not Outcome.FAIL:
        return ()
    return (Finding(verdict, (verdict.call.function,), tested.outlived, 0),)


def token_lines(before: Census, after: Census) -> list[str]:
    """What a check changed on the token, and how to remove what is left of ours."""
    gone, new = after.missing(before), before.missing(after)
    lines = [f"{len(before.objects)} objects before, {len(after.objects)} after"]
    lines += [f"gone: {x.label or 'an object without a label'}" for x in gone]
    lines += [
        f"left: {x.label or 'an object without a label'}; destroy it, for instance with pkcs11-tool --delete-object"
        for x in new
    ]
    if before.flags != after.flags:
        lines.append(f"token flags 0x{before.flags:x} before, 0x{after.flags:x} after")
    return lines


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

    open_module = partial(Isolated, kind, module.library, module.binding, module.environment, module.restore, timeout)
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
        pin_to_be_changed=bool(flags & (CKF.SO_PIN_TO_BE_CHANGED | CKF.USER_PIN_TO_BE_CHANGED)),
        initialized=slot.initialized,
        so_pin=Pin.SO if slot.initialized else Pin.NULL,
        user_pin=Pin.USER if flags & CKF.USER_PIN_INITIALIZED else Pin.NULL,
        so_failed=bool(flags & _SO_TRIED),
        user_failed=bool(flags & _USER_TRIED),
    )
