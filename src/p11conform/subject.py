"""What is tested: a module by name or by path, made ready, with the model's view of it."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import zip_longest
from typing import Any

from .adapters import faults
from .adapters.base import Adapter, ModuleUnusable
from .adapters.census import Census, census_isolated
from .adapters.faults import Fault
from .adapters.isolated import Isolated, Kind, measure_isolated
from .adapters.library import interface_of
from .adapters.measure import Measured, MeasuredSlot
from .adapters.modules import library, registry
from .adapters.modules.module import Module
from .adapters.private import private_directory
from .adapters.simulated import Varied
from .adapters.wire import TakeCensus
from .crew import Begin, Open, RemoteWorker
from .model.call import Args, Call, Ending, Observation, code_text
from .model.environment import expose
from .model.mechanisms import FLAGS, MECHANISMS
from .model.oracle import Model
from .model.state import LIMIT_UNKNOWN, Mech, Object, Pin, Slot, State
from .model.state import Kind as Kinds
from .model.vocabulary import CKF, CKR, CKU, Version
from .properties.engine.verdict import Outcome, Steps, follow
from .properties.policy import Level, Rights
from .properties.reports.findings import Finding, shown

SIMULATED = "simulated"


def known() -> tuple[str, ...]:
    """The names of all that p11conform makes ready by itself."""
    return (SIMULATED, *registry.names())


@dataclass(frozen=True, slots=True)
class Subject:
    """A module that is ready to be tested.

    `about` describes it for the report. `open` gives a fresh adapter, `isolated` one in a process that runs a program
    of the caller's; None where there is nothing to isolate. `begin` has a worker begin on it, None where it is in this
    process. `discard` removes what was provisioned. `census` tells what
    a stranger's token holds; `shown` are sequences that failed while it was made ready.
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
    shown: tuple[Steps, ...] = ()
    begin: Begin | None = None
    version: Version | None = None
    """The version that the module itself is of, as its interface or its list has it; None where it does not matter."""


OBJECTS = 5
"""Objects that the model follows at a time."""

SIMULATED_STATE = State(
    objects=(Object(),) * OBJECTS,
    slots=(
        Slot(),
        Slot(session_limit=2, rw_session_limit=1, abilities=(), empty_pin_legal=True),
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
    """The embedded module, made of the model itself; whatever events the model has can befall it."""
    if model.events:
        initial = expose(initial)
    return Subject(
        SIMULATED,
        {"name": SIMULATED, "adapter": "simulated"},
        initial,
        Rights(Level.OURS),
        lambda: Varied(model, initial, seed),
        None,
        lambda: None,
    )


def own_module(
    name: str,
    kind: Kind,
    timeout: float,
    given: Sequence[Fault] = (),
    interface: Version | None = None,
    events: Collection[str] = (),
    *,
    newest: bool = False,
) -> Subject:
    """A module of the registry, with tokens of our own in a private directory, and the faults that it is given.

    It is called through an interface of a version, where one is named, or through the `newest` that it has. The
    `events` are those that may happen beside the calls, of those that its provider names.

    Raises:
        ModuleUnusable: if it is not installed, cannot be provisioned, or offers no such interface.
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
        interface = interface_of(measured.version) if newest else interface
        library.see_that_offered(name, measured, interface)
    except BaseException:
        module.discard()
        raise
    befalls = {event: happen for event, happen in module.events.items() if event in events}
    module = replace(module, binding=replace(module.binding, interface=interface), events=befalls)
    return _subject(_faulty(module, given), measured, Rights(Level.OURS), kind, timeout)


def _faulty(module: Module, given: Sequence[Fault]) -> Module:
    """A module behind a front that makes it fail to order, once it is measured as it is.

    Raises:
        ModuleUnusable: if the front cannot be built.
    """
    if not given:
        return module
    at_end = ExitStack()
    at_end.callback(module.discard)
    try:
        front = faults.build(private_directory("faults", at_end))
    except BaseException:
        at_end.close()
        raise
    needs = {**module.environment, **faults.environment(module.library, given)}
    return replace(module, library=front, environment=needs, discard=at_end.close)


def user_module(
    request: library.Request, kind: Kind, level: Level = Level.SESSION_OBJECTS, given: Sequence[Fault] = ()
) -> Subject:
    """A module of the user's, whose token was given over up to a level; what it does not allow lowers the level.

    Raises:
        ModuleUnusable: if the library, the token or a PIN cannot be used.
    """
    rights = Rights(level, frozenset(user for user, _ in request.given)).possible()
    request = _for(request, rights)
    module, measured = library.provision(request)
    shown: tuple[Steps, ...] = ()
    if rights.level >= Level.EVERYTHING:
        steps, trouble = _new_token(request, module)
        if trouble:
            shown += (steps,)
            why = f"the token is not initialised anew: tried once, it cannot be ({trouble})"
            rights = rights.below(Level.PINS, why)
            request, rights = _without_lost_pins(request, rights)
            module, measured = library.provision(_for(request, rights))
    taken = partial(_taken, request, module)
    rights, outlived = _probed(module, rights, taken, kind, request.timeout)
    shown += outlived
    tested = _subject(_faulty(module, given), measured, rights, kind, request.timeout)
    return replace(tested, census=taken, shown=shown)


def _taken(request: library.Request, module: Module, *, remove: bool = False) -> Census:
    """What the token holds now, as a fresh process sees it."""
    slot, label = module.binding.slots[0], module.binding.labels[0]
    order = TakeCensus(request.library, slot, label, request.user_pin, request.init_reserved, remove)
    return census_isolated(order, timeout=request.timeout)


def _for(request: library.Request, rights: Rights) -> library.Request:
    """The request as far as the rights go."""
    return replace(
        request,
        makes_objects=rights.level >= Level.TOKEN_OBJECTS,
        changes_pins=rights.level >= Level.PINS,
        expendable=rights.level >= Level.EVERYTHING,
    )


def _new_token(request: library.Request, module: Module) -> tuple[Steps, str]:
    """Initialise a token anew, to see whether that works: what was called, and what went wrong, if anything did."""
    steps: list[tuple[Call, Observation]] = []
    try:
        steps.extend(library.new_token(request, module.binding))
    except ModuleUnusable as error:
        return tuple(steps), str(error)
    call, seen = steps[-1]
    return tuple(steps), "" if seen.code == CKR.OK else f"{call.function} gives {seen.text}"


def _without_lost_pins(request: library.Request, rights: Rights) -> tuple[library.Request, Rights]:
    """The same without the PINs that do not work any more, where initialising the token went wrong half-way."""
    for user, why in library.refused(_for(request, rights)):
        request = request.without(user)
        rights = replace(rights, users=rights.users - {user}, reduced=(*rights.reduced, why))
    return request, rights.possible()


NOT_PUT_BACK = (
    "the token could not be put back in the midst of the check, which went on without PINs and token objects; "
    "look at it, and initialise it by hand if need be"
)
_OUTLIVED = "no more objects are made: a session object outlived its session and its process, and was destroyed"
_SWEPT = "session objects outlive their session and their process; they are destroyed after each sequence"
_STAYS = (
    "no more objects are made: a session object outlived its session and its process, and could not be destroyed; "
    "see below how to remove it"
)
_UNSEEN = "no objects are made: whether session objects end with their process could not be seen"

_PROBES = (
    Call("C_CreateObject", Args(kind=Kinds.DATA)),
    Call("C_CreateObject"),
    Call("C_GenerateKey", Args(mechanism=Mech.AES_KEY_GEN)),
    Call("C_GenerateKeyPair", Args(mechanism=Mech.EC_KEY_PAIR_GEN)),
    Call("C_GenerateKeyPair", Args(mechanism=Mech.RSA_PKCS_KEY_PAIR_GEN)),
)
"""Calls that make session objects, to see of each whether what it makes ends with its process."""


def _probed(
    module: Module, rights: Rights, taken: Callable[..., Census], kind: Kind, timeout: float
) -> tuple[Rights, tuple[Steps, ...]]:
    """What may still be done once it is known whether session objects end with their process, and what shows it."""
    try:
        before = taken()
        for probe in _PROBES:
            steps = _probe(module, rights, probe, kind, timeout)
            if any(x.ours for x in before.missing(taken())):
                stays = any(x.ours for x in before.missing(taken(remove=True)))
                why = _STAYS if stays else _SWEPT if rights.level >= Level.TOKEN_OBJECTS else _OUTLIVED
                rights = replace(rights, objects=why is _SWEPT, lasting=True, reduced=(*rights.reduced, why))
                return rights, (_outlived(steps),)
    except ModuleUnusable as error:
        return replace(rights, objects=False, reduced=(*rights.reduced, f"{_UNSEEN} ({error})")), ()
    return rights, ()


def _probe(module: Module, rights: Rights, probe: Call, kind: Kind, timeout: float) -> Steps:
    """Make a session object in a process of its own, which ends."""
    login = (Call("C_Login"),) if CKU.USER in rights.users else ()
    steps: list[tuple[Call, Observation]] = []
    with Isolated(kind, module.library, module.binding, module.environment, timeout=timeout) as adapter:
        for call in (module.binding.initialize, Call("C_OpenSession"), *login, probe):
            seen = adapter.call(call)
            steps.append((call, seen))
            if seen.ending is not Ending.RETURNED:
                break
    return tuple(steps)


def _outlived(steps: Steps) -> Steps:
    """The sequence that shows that a session object outlived its process: a search finds it again."""
    *begin, made = steps
    again = [(call, Observation()) for call in (Call("C_Finalize"), *(x for x, _ in begin))]
    found = (Call("C_FindObjects"), Observation(outputs=(("strangers", 1),)))
    return (*begin, made, *again, (Call("C_FindObjectsInit"), Observation()), found)


def shown_findings(model: Model, tested: Subject) -> tuple[Finding, ...]:
    """The failures that showed while the module was made ready."""
    return tuple(finding for steps in tested.shown for finding in _judged(model, tested.initial, steps))


def _judged(model: Model, initial: State, steps: Steps) -> Iterator[Finding]:
    """The failure that a sequence ends with, if it does."""
    beliefs: Sequence[State] = (initial,)
    verdict, made = None, 0
    for made, (call, seen) in enumerate(steps, 1):  # noqa: B007
        verdict, beliefs = follow(model, beliefs, call, seen)
        if not beliefs or verdict.outcome is Outcome.FAIL:
            break
    if verdict is not None and verdict.outcome is Outcome.FAIL:
        yield Finding((shown(model, verdict, steps[:made], 0),))


def token_lines(before: Census, after: Census) -> list[str]:
    """What a check changed on the token, and how to remove what is left of ours."""
    gone, new = after.missing(before), before.missing(after)
    lines = [f"{len(before.objects)} objects before, {len(after.objects)} after"]
    if after.login == before.login:
        lines += [f"gone: {x.label or 'an object without a label'}" for x in gone]
    lines += [
        f"left: {x.label or 'an object without a label'}; destroy it, for instance with pkcs11-tool --delete-object"
        for x in new
    ]
    if after.login is None and before.login is not None:
        lines.append(
            "the user PIN is not tried any more, as the token says that few tries are left; what is private "
            "cannot be seen"
        )
    elif after.login not in (before.login, CKR.OK, None):
        lines.append(
            f"the user PIN is refused now ({code_text(after.login)}); it may be one that p11conform set: have the SO "
            "set it anew, by C_InitPIN"
        )
    if before.flags != after.flags:
        lines.append(f"token flags 0x{before.flags:x} before, 0x{after.flags:x} after")
    return lines


def _subject(module: Module, measured: Measured, rights: Rights, kind: Kind, timeout: float) -> Subject:
    by_id = {s.id: s for s in measured.slots}
    slots = tuple(slot_facts(by_id[id], by_id[module.binding.slots[0]], module.owned) for id in module.binding.slots)
    about = {
        "name": module.name,
        "library": module.environment.get(faults.LIBRARY, module.library),
        "adapter": kind.name.lower(),
        "manufacturer": measured.manufacturer,
        "description": measured.library_description,
        "library_version": measured.library_version,
        "cryptoki_version": measured.announces(module.binding.interface or Version.V2_40),
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
        events=module.events,
    )
    if rights.level >= Level.PINS:
        # What sets a PIN anew may have it flagged as one to be changed, and the next sequence begins so.
        slots = tuple(replace(x, so_pin_to_be_changed=True, user_pin_to_be_changed=True) for x in slots)
    initial = State(slots=slots, objects=(Object(),) * OBJECTS)
    if module.events:
        initial = expose(initial)
    first = by_id[module.binding.slots[0]]
    token = {"label": first.label, "serial": first.serial}
    begin = partial(RemoteWorker, open_module=open_module)
    return Subject(
        module.name,
        about,
        initial,
        rights,
        open_module,
        open_module,
        module.discard,
        token,
        begin=begin,
        version=module.binding.interface or measured.version_of_list,
    )


def see_that_alike(subjects: Sequence[Subject], *, strangers: bool) -> None:
    """See that it makes no difference which of some tokens a worker has; those of `strangers` are to be several.

    Raises:
        ModuleUnusable: if it does, or if two are the same one.
    """
    first, *others = subjects
    for other in others:
        for what, differing in (
            ("the module", _differing(first.about, other.about)),
            *((f"slot {k}", _differing(asdict(x), asdict(y))) for k, (x, y) in enumerate(_slots(first, other))),
            ("what may be done", _differing(_allowed(first.rights), _allowed(other.rights))),
        ):
            if differing:
                raise ModuleUnusable(
                    f"{first.name}: the workers' tokens are not alike: {what} differs in {', '.join(differing)}; "
                    "have all the same, or give one worker"
                )
    known = [tuple(x.token.items()) for x in subjects]
    if strangers and len(set(known)) < len(known):
        raise ModuleUnusable(
            f"{first.name}: two workers have the same token, by label and serial number; give each one of its own"
        )


def _slots(first: Subject, other: Subject) -> Iterator[tuple[Slot, Slot]]:
    return zip_longest(first.initial.slots, other.initial.slots, fillvalue=Slot(present=False))


def _allowed(rights: Rights) -> dict[str, Any]:
    return {name: value for name, value in asdict(rights).items() if name != "reduced"}


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The names under which two records differ."""
    return [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]


_SO_TRIED = CKF.SO_PIN_COUNT_LOW | CKF.SO_PIN_FINAL_TRY | CKF.SO_PIN_LOCKED
_USER_TRIED = CKF.USER_PIN_COUNT_LOW | CKF.USER_PIN_FINAL_TRY | CKF.USER_PIN_LOCKED


def slot_facts(slot: MeasuredSlot, first: MeasuredSlot, owned: bool) -> Slot:
    """A measured slot as the model sees it; PINs are made for the token in the first one."""
    flags = slot.flags
    offered = dict(zip(slot.mechanisms, slot.mechanism_flags, strict=True))
    listed = tuple(m for m in MECHANISMS.values() if m.number in offered)
    known = {m.number for m in MECHANISMS.values()}
    later = [m for m in listed if not m.since <= Version.V2_40]
    others = tuple(
        (number, tuple(role for role, flag in FLAGS.items() if found & flag))
        for number, found in offered.items()
        if number not in known
    )
    return Slot(
        others=others,
        present=slot.token_present,
        recognized=slot.recognized,
        write_protected=bool(flags & CKF.WRITE_PROTECTED),
        session_limit=slot.session_limit,
        rw_session_limit=slot.rw_session_limit,
        shared=not owned,
        protected_path=bool(flags & CKF.PROTECTED_AUTHENTICATION_PATH),
        has_mechanisms=bool(slot.mechanisms),
        mechanisms=(
            *(m.mech for m in listed),
            *([Mech.OTHER] if others or later else []),
        ),
        abilities=tuple((m.mech, role) for m in listed for role, flag in FLAGS.items() if offered[m.number] & flag),
        login_required=bool(flags & CKF.LOGIN_REQUIRED),
        rng=bool(flags & CKF.RNG),
        dual=bool(flags & CKF.DUAL_CRYPTO_OPERATIONS),
        empty_pin_legal=slot.min_pin == 0,
        pins_fit=not slot.initialized or (slot.min_pin, slot.max_pin) == (first.min_pin, first.max_pin),
        initialized=slot.initialized,
        so_pin=Pin.SO if slot.initialized else Pin.NULL,
        user_pin=Pin.USER if flags & CKF.USER_PIN_INITIALIZED else Pin.NULL,
        so_failed=bool(flags & _SO_TRIED),
        user_failed=bool(flags & _USER_TRIED),
        so_pin_to_be_changed=bool(flags & CKF.SO_PIN_TO_BE_CHANGED),
        user_pin_to_be_changed=bool(flags & CKF.USER_PIN_TO_BE_CHANGED),
    )
