"""Recorded calls, judged one after the other: was the answer right, and was the call?

Each process of a log has a state of its own, of which as much is believed as the log shows. A log may begin in the
middle, and leave out what it likes: what is not known makes a verdict weaker, never harsher. After an answer that the
text rules out both is believed, that the call did what it is for and that it did nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final

from .abstraction import (
    CKA_CLASS,
    CKA_TOKEN,
    VALUES_OF,
    Given,
    Shape,
    Thing,
    arguments,
    entries,
    flag_in,
    handle_index,
    integer,
    mechanism_of,
    new_handles,
    shape,
    traits,
    traits_for_reading,
)
from .adapters.logs.registry import open_log
from .adapters.logs.step import Entry, Step
from .adapters.logs.trace import step_of
from .model.call import code_text, effective
from .model.chapters.operations import ACTIVITIES
from .model.decide import forbids_ok
from .model.interface import SIGNATURES
from .model.mechanisms import FLAGS, MECHANISMS
from .model.oracle import Model, build, legal_anyway
from .model.rule import Rule, Strength
from .model.state import Object, Session, Slot
from .model.vocabulary import CALLBACK_ONLY, CALLERS_FAULT, CKF, CKR, LEAVES_ANYTHING
from .properties.engine.partial import (
    ANY_OBJECT,
    ANY_SESSION,
    ANY_SLOT,
    CLOSED,
    EITHER,
    FALSE,
    FOREIGN,
    GONE,
    NOWHERE,
    TRUE,
    UNTELLABLE,
    UNTOLD,
    After,
    Part,
    Partial,
    Ruled,
    Scene,
    Values,
    index_of,
    join,
    one,
    part,
    rows_of,
    told,
    with_values,
)


class Answer(Enum):
    """What the text says of an answer.

    REQUIRED: nothing else was permitted, trouble of the environment apart. UNKNOWN: the model has no word for something
    that decides, or the log does not tell.
    """

    REQUIRED = "required"
    PERMITTED = "permitted"
    NOT_PERMITTED = "not permitted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule of the interface that the caller broke; `doing` says what was under way, where that is the fault."""

    rule: Rule
    doing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the text says of a call and its answer.

    `rules` are rows: for an answer that is not permitted those that it goes against, else those that may have given it.
    `permitted` are the codes that the text permits, by name. `why` says more. `faults` are the caller's.
    """

    answer: Answer
    permitted: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    why: str = ""
    faults: tuple[Fault, ...] = ()

    @property
    def readings(self) -> tuple[str, ...]:
        """The interpretations that it depends on, by number."""
        return tuple(sorted({r.reading for r in self.rules if r.reading}))


NOTHING_SAID: Final = Opinion(Answer.UNKNOWN, why="the model has no such function")
_UNRETURNED: Final = Opinion(Answer.UNKNOWN, why="the log does not tell what it returned")
_MIXED: Final = Opinion(
    Answer.UNKNOWN, why="the log mixes calls of several processes, or to several modules, and does not tell them apart"
)
_ENDS: Final = "library-finalized"
_CONCURRENT: Final = "another call was under way meanwhile, and which came first is not known"


@dataclass(frozen=True, slots=True)
class Judged:
    """A step of a log, by its number from 1 on, with what is to be said of it."""

    number: int
    step: Step
    opinion: Opinion


@dataclass(slots=True)
class Judgement:
    """What is to be said of a log: how many answers of each sort, and the steps where something was wrong."""

    counts: dict[Answer, int] = field(default_factory=lambda: dict.fromkeys(Answer, 0))
    violations: list[Judged] = field(default_factory=list)
    faults: list[Judged] = field(default_factory=list)
    processes: int = 0

    @property
    def steps(self) -> int:
        """How many calls there were."""
        return sum(self.counts.values())

    def add(self, judged: Judged) -> None:
        """Take a step in."""
        self.counts[judged.opinion.answer] += 1
        if judged.opinion.answer is Answer.NOT_PERMITTED:
            self.violations.append(judged)
        if judged.opinion.faults:
            self.faults.append(judged)


def judge(
    trace: str | Path | Iterable[Step | Mapping[str, Any]], model: Model | None = None, *, shared: bool = False
) -> Judgement:
    """Judge recorded calls: a log by its path, or steps, or lines of p11conform.trace/1 as dictionaries.

    They are taken in the order in which they returned. `model` is PKCS#11 2.40 under the default readings where none
    is given. `shared` says that processes that the log does not tell of may use the tokens too.

    Raises:
        BadLog: if there is nothing that can be read.
    """
    partial = _plain() if model is None else Partial(model)
    judgement, judges = Judgement(), Judge(partial, shared=shared)
    for judged in judges.all(_steps(trace)):
        judgement.add(judged)
    judgement.processes = judges.processes
    return judgement


@cache
def _plain() -> Partial:
    """The model as it is read where nobody says otherwise; what was worked out is kept from log to log."""
    return Partial(build())


def _steps(trace: str | Path | Iterable[Step | Mapping[str, Any]]) -> Iterator[Step]:
    if isinstance(trace, str | Path):
        yield from open_log(Path(trace)).steps
        return
    for n, item in enumerate(trace, 1):
        yield item if isinstance(item, Step) else step_of(item, n)


# What is believed of a process.


class _Slot:
    """A slot of a process. `elsewhere` says that its number is not known: it is the one of some session."""

    __slots__ = ("abilities", "elsewhere", "index", "listed", "part")

    def __init__(self, start: Part, *, elsewhere: bool = False) -> None:
        self.part = start
        self.elsewhere = elsewhere
        self.index: Values = one(0, NOWHERE)
        self.listed: tuple[Any, ...] = UNTELLABLE
        self.abilities: dict[int, int] = {}


class _Session:
    """A session of a process, with the keys of nothing but its search: the template is what it looks for."""

    __slots__ = ("part", "slot", "wanted")

    def __init__(self, start: Part, slot: _Slot) -> None:
        self.part, self.slot = start, slot
        self.wanted: Sequence[Any] = ()


class _Process:
    """What is believed of a process: `begun` says that the log has it from C_Initialize on."""

    def __init__(self) -> None:
        self.initialized: Values = EITHER
        self.begun = False
        self.mixed = 0
        """How often the library was initialised, where it seems to be more than once at a time."""
        self.slots: dict[int, _Slot] = {}
        self.sessions: dict[int, _Session] = {}
        self.objects: dict[tuple[int, int], Thing] = {}
        """By the identity of their slot, and their handle."""

    def every_slot(self) -> Iterator[_Slot]:
        """The slots that are known by their numbers, and those that are not."""
        yield from self.slots.values()
        yield from (x.slot for x in self.sessions.values() if x.slot.elsewhere)

    def slot(self, id: int, start: Part) -> _Slot:
        """The slot of a number."""
        found = self.slots.get(id)
        if found is None:
            # Nobody is logged in before the first session.
            found = self.slots[id] = _Slot(with_values(start, Slot, login=_NOBODY) if self.begun else start)
        return found


_SHARED_SLOT: Final = with_values(ANY_SLOT, Slot, shared=TRUE)
_ALONE_SLOT: Final = with_values(ANY_SLOT, Slot, shared=FALSE)
_OPEN: Final = index_of(Session, "open")
_RW: Final = index_of(Session, "rw")
_SLOT: Final = index_of(Session, "slot")
_LOGIN: Final = index_of(Slot, "login")
_SEARCH: Final = index_of(Session, "operations.search")
_KEYS: Final = tuple(index_of(Session, f"operations.{k.field}.key") for k in ACTIVITIES if k.keyed)
_EXISTS, _KNOWN = index_of(Object, "exists"), index_of(Object, "known")
_OK: Final = int(CKR.OK)
_MOST: Final = 4_000
"""Sessions or objects of a process that are followed; of the rest nothing is known."""

_MOST_OPINIONS: Final = 200_000
"""Opinions that are remembered, before all are forgotten and remembering begins anew."""

_SECOND: Final = "A-16"
"""What rows about a second Init depend on: it is a fault of the caller, whatever comes of it."""


class Judge:
    """Judges steps, one after the other."""

    def __init__(self, partial: Partial, *, shared: bool = False) -> None:
        model = partial.model
        self._model, self._partial, self.shared = model, partial, shared
        self._processes: dict[int, _Process] = {}
        self.processes = 0
        """How many processes there were."""
        self._active: set[int] = set()
        self._together = False
        """Whether several processes are at work at a time."""
        self._looking: set[str] = set()
        """Functions that look at other sessions."""
        self._opinions: dict[tuple[Any, ...], Opinion] = {}
        self._listed = frozenset(code for f in SIGNATURES.values() for code in f.listed.get(model.version, ()))
        self._given = frozenset(r.code for f in model.functions.values() for r in f.rules)

    def all(self, trace: Iterable[Step]) -> Iterator[Judged]:
        """Each step of a log, judged."""
        for number, step in enumerate(trace, 1):
            yield Judged(number, step, self.judge(step))

    def judge(self, step: Step) -> Opinion:
        """What is to be said of a step; it is believed from then on."""
        process = self._process(step)
        if process.mixed:
            return self._pass_by(process, step)
        if step.function not in self._model.functions:
            self._follow_unknown(process, step)
            return NOTHING_SAID
        if self._together or self.shared:
            self._weaken(process)
        call = _Call(self, process, step)
        opinion = call.judge()
        if call.untold:
            self.weaken_all(process)
        if process.initialized == FALSE:
            self._active.discard(step.process)
            self._together = len(self._active) > 1
        elif step.process not in self._active:
            self._active.add(step.process)
            self._together = len(self._active) > 1
        return opinion

    def _process(self, step: Step) -> _Process:
        """The process of a step."""
        found = self._processes.get(step.process)
        if found is None:
            found = self._processes[step.process] = _Process()
            self.processes += 1
        if step.process == 0 and found.initialized == TRUE and step.returned == _OK and self._begins(step):
            # Not that it should not have, but that the log does not tell one process, or one module, from another.
            found.mixed = 1  # and this one, which is counted as it is passed by
        return found

    def _begins(self, step: Step) -> bool:
        found = self._model.functions.get(step.function)
        return found is not None and "init" in found.uses

    def _pass_by(self, process: _Process, step: Step) -> Opinion:
        """A step of several processes or modules at a time that the log does not tell apart."""
        if step.returned == _OK:
            process.mixed += self._begins(step)
            found = self._model.functions.get(step.function)
            process.mixed -= found is not None and _ENDS in found.happens
        if not process.mixed:
            self._processes[step.process] = _Process()
        return _MIXED

    def weaken_all(self, process: _Process) -> None:
        """A call was made of which the log does not tell on what."""
        for session in process.sessions.values():
            session.part = _maybe_closed(session.part)
        for slot in process.every_slot():
            slot.part = _slot_lost(slot.part)
        for thing in process.objects.values():
            thing.forget_all()

    def _weaken(self, process: _Process) -> None:
        """Others may have done anything to what is on tokens."""
        for slot in process.slots.values():
            slot.part = _shared(slot.part)
        for thing in process.objects.values():
            if thing.flags.get(CKA_TOKEN) is not False:
                thing.forget_all()

    def _follow_unknown(self, process: _Process, step: Step) -> None:
        """A function that the model does not have may do anything to the session that it is given."""
        handle = step.arguments.get("hSession")
        if isinstance(handle, int) and handle in process.sessions:
            session = process.sessions[handle]
            session.part = _unsettled(session.part)
            session.slot.part = with_values(session.slot.part, Slot, login=ANY_SLOT.masks[_LOGIN])


def _shared(p: Part) -> Part:
    found = _SHARED.get(p)
    if found is None:
        values = dict(zip(_ON_TOKEN, (ANY_SLOT.masks[index_of(Slot, x)] for x in _ON_TOKEN), strict=True))
        found = _SHARED[p] = with_values(p, Slot, shared=TRUE, **values)
    return found


_SHARED: Final[dict[Part, Part]] = {}
_ON_TOKEN: Final = (
    "initialized",
    "so_pin",
    "user_pin",
    "so_failed",
    "user_failed",
    "so_pin_to_be_changed",
    "user_pin_to_be_changed",
)
"""What other processes may change on a token; a login is each application's own."""


def _unsettled(p: Part) -> Part:
    """A session that is as it was but for what is active in it, of which nothing is known."""
    masks = list(ANY_SESSION.masks)
    masks[_OPEN], masks[_RW] = p.masks[_OPEN], p.masks[_RW]
    return CLOSED if masks[_OPEN] == FALSE else part(tuple(masks))


def _maybe_closed(p: Part) -> Part:
    masks = list(_unsettled(p).masks)
    masks[_OPEN] |= FALSE
    return part(tuple(masks))


class _Call:
    """A step under judgement: what it is about, what is believed of that, and what becomes of it."""

    def __init__(self, judge: Judge, process: _Process, step: Step) -> None:
        self._judge, self._process, self._step = judge, process, step
        self._partial, self._model = judge._partial, judge._model
        self._shape: Shape = shape(step.function)
        self._function = step.function
        self._handle: int | None = None
        self._session: _Session | None = None
        self._slot: _Slot | None = None
        self._things: list[Thing] = []
        self._find()
        self._foreign = self._shape.mechanism is not None and mechanism_of(self._given) & (FOREIGN | UNTOLD) != 0

    @property
    def untold(self) -> bool:
        """Whether the log does not tell on which session or slot it was that the call did something."""
        names = [x for x in (self._shape.session, self._shape.slot) if x is not None]
        changes = bool(self._model.functions[self._function].effects)
        return changes and any(integer(self._step.arguments.get(x)) is None for x in names)

    # What the call is about.

    def _find(self) -> None:
        names, given = self._shape, self._step.arguments
        self._given = Given(self._step, names)
        start = _SHARED_SLOT if self._judge.shared else _ALONE_SLOT
        if names.session is not None:
            self._handle = integer(given.get(names.session))
            self._session = self._find_session(start)
            if self._session is None:
                self._given.session = one(NOWHERE)
            else:
                self._slot = self._session.slot
        elif names.slot is not None:
            id = integer(given.get(names.slot))
            self._slot = _Slot(start, elsewhere=True) if id is None else self._process.slot(id, start)
            self._given.slot = self._slot.index
        self._given.handles = tuple(self._find_object(name) for name in names.handles)

    def _find_session(self, start: Part) -> _Session | None:
        process = self._process
        if self._handle is None:
            return _Session(ANY_SESSION, _Slot(start, elsewhere=True))
        found = process.sessions.get(self._handle)
        if found is None and not process.begun and self._handle != 0:
            found = process.sessions[self._handle] = _Session(ANY_SESSION, _Slot(start, elsewhere=True))
        return found

    def _find_object(self, name: str) -> Values:
        handle = integer(self._step.arguments.get(name))
        if handle == 0:
            return one(NOWHERE)
        thing = None
        if handle is not None and self._slot is not None:
            at = (id(self._slot), handle)
            thing = self._process.objects.get(at)
            if thing is None:
                thing = self._process.objects[at] = Thing()
        if thing is None:
            thing = Thing()
        self._things.append(thing)
        return handle_index(len(self._things) - 1)

    def _scene(self, reading: Entry | None = None) -> Scene:
        """What the call sees; `reading` is the one attribute of several that it is about."""
        given, uses = self._given, self._model.functions[self._function].uses
        given.reading = reading
        if reading is not None and self._things:
            given.kind = self._things[0].kind
        if "attribute" in uses and self._shape.gives and self._things:
            given.copied = self._things[0]
        objects = tuple([self._object(n, thing, reading) for n, thing in enumerate(self._things)])
        slot = self._slot
        return Scene(
            self._process.initialized,
            ANY_SLOT if slot is None else slot.part,
            CLOSED if self._session is None else self._session.part,
            self._others() if self._function in self._judge._looking else (ANY_SESSION,),
            objects,
            arguments(uses, given),
            UNTELLABLE if slot is None else slot.listed,
            UNTELLABLE if slot is None else self._abilities(slot),
        )

    def _object(self, n: int, thing: Thing, reading: Entry | None) -> Part:
        found = traits(self._function, n, thing) if reading is None else traits_for_reading(reading.type, thing)
        p = thing.part(found, self._handle)
        # Which kinds of key a use is for is known of the mechanisms that have a record only.
        return with_values(p, Object, kind=UNTOLD) if self._foreign and p is not GONE else p

    def _abilities(self, slot: _Slot) -> tuple[Any, ...]:
        """What the slot offers the mechanism of the call for, where that is known."""
        given = self._step.arguments.get(self._shape.mechanism or "")
        number = integer(given.get("mechanism")) if isinstance(given, dict) else None
        flags = None if number is None else slot.abilities.get(number)
        facts = next((m for m in MECHANISMS if m.facts.number == number), None) if flags is not None else None
        if flags is None or facts is None:
            return UNTELLABLE
        return tuple((facts, role) for role, flag in FLAGS.items() if flags & flag)

    def _others(self) -> tuple[Part, ...]:
        """The other sessions with the slot, as far as anything looks at them; alike ones once."""
        found = {
            _passer_by(x.part.masks[_OPEN], x.part.masks[_RW])
            for handle, x in self._process.sessions.items()
            if handle != self._handle and (x.slot is self._slot or self._slot is None)
        }
        if any(x.slot.elsewhere and x.slot is not self._slot for x in self._process.sessions.values()):
            found.add(_passer_by(EITHER, EITHER))
        if not self._process.begun:
            found.add(_passer_by(EITHER, EITHER))
        return tuple(sorted(found, key=lambda p: p.masks))

    # What is to be said of it.

    def judge(self) -> Opinion:
        """The opinion; what is believed changes by it."""
        if "attribute" in self._model.functions[self._function].uses and not self._shape.gives:
            readings = self._readings()
            if readings is not None:
                return self._judge_reading(readings)
        scene = self._scene()
        ruled = self._partial.rule(self._function, scene)
        code = self._step.returned
        if code is None:
            self._apply_any(scene, ruled)
            return _UNRETURNED
        after = self._partial.follow(self._function, scene, (effective(code),), self._outputs())
        if (ruled.looked or after.looked) and self._function not in self._judge._looking:
            self._judge._looking.add(self._function)
            return self.judge()
        opinion = self._opinion(scene, (ruled,), code, after)
        self._apply(scene, ruled, code, after, opinion.answer)
        return opinion

    def _readings(self) -> list[Entry] | None:
        """The attributes that are asked for, or None where it is not reading that the call does, or nothing is told."""
        if "setting" in self._model.functions[self._function].uses:
            return None
        template = self._given.template()
        return list(template) if template else None

    def _judge_reading(self, readings: list[Entry]) -> Opinion:
        """Each attribute has an answer of its own; the call succeeds if all do, else it has the code of any (5.7)."""
        code, values = self._step.returned, self._values()
        scenes = [self._scene(entry) for entry in readings]
        ruled = [self._partial.rule(self._function, scene) for scene in scenes]
        if code is None:
            return _UNRETURNED
        after = None
        for entry, scene in zip(readings, scenes, strict=True):
            outputs = (("value", values[entry.type]),) if entry.type in values and code == _OK else ()
            found = self._partial.follow(self._function, scene, (code,), outputs)
            if after is None or found.mismatch is not None:
                after = found
        assert after is not None
        opinion = self._opinion(scenes[0], ruled, code, after)
        if opinion.answer is not Answer.NOT_PERMITTED and self._things:
            self._things[0].learn(self._read())
        if code == _OK and self._things and opinion.answer is not Answer.NOT_PERMITTED:
            self._things[0].exists = self._things[0].known = TRUE
            self._settle_session(TRUE)
        return opinion

    def _values(self) -> dict[int, int]:
        """Values that were read, of the attributes whose value can be judged."""
        found: dict[int, int] = {}
        for entry in self._read():
            fits = isinstance(entry.value, bool) != (entry.type == CKA_CLASS)
            if entry.type in VALUES_OF and entry.value is not None and fits:
                found[entry.type] = int(entry.value)
        return found

    def _read(self) -> Sequence[Entry]:
        """The attributes that were read, as far as their values are told."""
        return [x for x in entries(self._step.outputs.get("pTemplate")) or () if x.value is not None]

    def _settle_session(self, open: Values) -> None:
        if self._session is not None and self._session.part.masks[_OPEN] != open:
            self._session.part = with_values(self._session.part, Session, open=open)
        if open == TRUE:
            self._process.initialized = TRUE

    def _outputs(self) -> tuple[tuple[str, int], ...]:
        """What the call gave out, by the names that the model has for it."""
        out = self._step.outputs
        if not out or self._step.returned != _OK:
            return ()
        found: list[tuple[str, int]] = []
        info = out.get("pInfo")
        if isinstance(info, dict):
            found += self._info(info)
        several = _integers(out.get("phObject"))
        if several is not None and self._given.value("ulMaxObjectCount") in (0, 1):
            found.append(("count", len(several)))
        handles = [out[name] for name in self._shape.gives if integer(out.get(name)) is not None]
        handles += [out["phSession"]] if integer(out.get("phSession")) is not None else []
        if len(handles) == 1:
            found.append(("handle", int(handles[0] != 0)))
        return tuple(found)

    def _info(self, info: dict[str, Any]) -> Iterator[tuple[str, int]]:
        flags, state = integer(info.get("flags")), integer(info.get("state"))
        if self._shape.info == "SESSION_INFO" and state is not None:
            yield "state", state
        if flags is None:
            return
        match self._shape.info:
            case "SESSION_INFO":
                yield "flags", flags & (CKF.RW_SESSION | CKF.SERIAL_SESSION)
            case "SLOT_INFO":
                yield "token_present", int(bool(flags & CKF.TOKEN_PRESENT))
            case "TOKEN_INFO":
                yield "initialized", int(bool(flags & CKF.TOKEN_INITIALIZED))
                yield "user_pin_initialized", int(bool(flags & CKF.USER_PIN_INITIALIZED))

    def _opinion(self, scene: Scene, ruled: Sequence[Ruled], code: int, after: After) -> Opinion:
        mismatch = after.mismatch
        key = (self._function, code, *ruled, mismatch, self._step.concurrent, _doing(scene.mine))
        found = self._judge._opinions.get(key)
        if found is None:
            if len(self._judge._opinions) >= _MOST_OPINIONS:
                self._judge._opinions.clear()
            found = self._judge._opinions[key] = self._form(scene, ruled, code, after)
        return found

    def _form(self, scene: Scene, ruled: Sequence[Ruled], code: int, after: After) -> Opinion:
        """What is to be said of an answer."""
        text = self._sorted_out(ruled, code, after)
        faults = () if self._step.concurrent else self._faults(scene, ruled, code)
        if self._step.concurrent and text.answer is not Answer.PERMITTED:
            return Opinion(Answer.UNKNOWN, text.permitted, why=_CONCURRENT)
        return replace(text, faults=faults)

    def _sorted_out(self, ruled: Sequence[Ruled], code: int, after: After) -> Opinion:
        everywhere = [frozenset(r.codes) for r in ruled]
        codes = frozenset().union(*everywhere)
        fine = all(_OK in x for x in everywhere)
        allowed = codes if fine else codes - {_OK}
        names = tuple(map(code_text, sorted(allowed)))
        given = tuple(dict.fromkeys(r for x in ruled for r in self._giving(x, code)))
        if any(x.outside for x in ruled):
            return Opinion(Answer.UNKNOWN, names, given, "the model cannot follow such a call")
        if code in allowed:
            if after.mismatch is not None:
                m = after.mismatch
                why = f"{m.output} is {m.seen}, where {m.section} leaves only {', '.join(map(str, m.permitted))}"
                if not after.made or after.harmless:
                    return Opinion(Answer.NOT_PERMITTED, names, why=why)
            if len(allowed) == 1 and not any(x.foreign for x in ruled):
                return Opinion(Answer.REQUIRED, names, given)
            sure = any(code in c.codes and not c.codes[code].no for x in ruled for c in x.cases)
            if sure or not any(x.foreign for x in ruled):
                return Opinion(Answer.PERMITTED, names, given)
            return Opinion(Answer.UNKNOWN, names, given, "the model has no word for something that decides")
        if code in CALLBACK_ONLY:
            return Opinion(
                Answer.NOT_PERMITTED, names, why="only a callback of the application returns it (5.1.4, 5.1.5)"
            )
        why = legal_anyway(self._model, self._function, code, fine)
        if why:
            return Opinion(Answer.PERMITTED, names, why=why)
        if code not in self._judge._listed and code not in self._judge._given:
            return Opinion(Answer.UNKNOWN, names, why=f"PKCS#11 {self._model.version} has no such code")
        unsaid = self._unsaid(ruled, code)
        if unsaid:
            return Opinion(Answer.UNKNOWN, names, why=unsaid)
        return Opinion(Answer.NOT_PERMITTED, names, self._at_fault(ruled, code))

    def _giving(self, ruled: Ruled, code: int) -> Iterator[Rule]:
        for case in ruled.cases:
            if code in case.codes:
                yield from (r for r, _ in rows_of(self._model, self._function, case) if r.code == code)

    def _unsaid(self, ruled: Sequence[Ruled], code: int) -> str:
        """Why a code that no row gives may be right: the model has no word for what it may be about."""
        f = self._model.functions[self._function]
        listed = f.signature.listed.get(self._model.version, frozenset())
        if code != _OK and code in listed and any(x.foreign for x in ruled) and all(r.code != code for r in f.rules):
            return "the model has no word for something that decides"
        if code == CKR.USER_NOT_LOGGED_IN and any(k.private and self._function.startswith(k.stem) for k in ACTIVITIES):
            return "the key may want its user for each use, of which the model does not know (4.9, A-64)"
        if code == CKR.MECHANISM_INVALID and self._things:
            return "the key may allow some mechanisms only, of which the model does not know (4.7)"
        if code == CKR.ACTION_PROHIBITED:
            return "a policy of the token may bar it, of which the model does not know"
        return ""

    def _at_fault(self, ruled: Sequence[Ruled], code: int) -> tuple[Rule, ...]:
        """The rows that an answer goes against: those that hold in every case, or else in the first."""
        wanted = [r for r in ruled if code != _OK or _OK not in r.codes]
        cases = [
            {r for r, truth in rows_of(self._model, self._function, case) if forbids_ok(r) and not truth.no}
            for x in wanted
            for case in x.cases
        ]
        if not cases:
            return ()
        # Where an error was wrong, what may hold or not has nothing to do with it.
        found = set.intersection(*cases) or (cases[0] if code == _OK else set())
        rules = self._model.functions[self._function].rules
        return tuple(r for r in rules if r in found and (code != _OK or r.code != code))

    def _faults(self, scene: Scene, ruled: Sequence[Ruled], code: int) -> tuple[Fault, ...]:
        """What the caller did wrong: rows that hold for certain, and whose code names such a fault."""
        if any(x.outside for x in ruled):
            return ()
        found: list[Fault] = []
        for x in ruled:
            cases = [c for c in x.cases if code in c.codes] or list(x.cases)
            holding = [{r for r, truth in rows_of(self._model, self._function, c) if not truth.no} for c in cases]
            certain = set.intersection(*holding) if holding else set()
            found += [Fault(r, doing) for r, doing in self._blamed(scene, certain)]
        ids: dict[str, Fault] = {}
        for fault in found:
            ids.setdefault(fault.rule.id, fault)
        return tuple(ids.values())

    def _blamed(self, scene: Scene, certain: set[Rule]) -> Iterator[tuple[Rule, tuple[str, ...]]]:
        reads = self._given.reading is not None
        for rule in self._model.functions[self._function].rules:
            if rule not in certain or rule.code not in CALLERS_FAULT:
                continue
            if rule.code == CKR.OPERATION_ACTIVE and rule.reading == _SECOND:
                yield rule, _doing(scene.mine)
            elif (forbids_ok(rule) or rule.strength is Strength.SHOULD) and not reads:
                yield rule, ()

    # What is believed afterwards.

    def _apply_any(self, scene: Scene, ruled: Ruled) -> None:
        """Nothing is known of the answer."""
        codes = tuple(sorted({_OK, *ruled.codes}))
        self._believe(scene, codes, any_case=True, unless=True)

    def _apply(self, scene: Scene, ruled: Ruled, code: int, after: After, answer: Answer) -> None:
        known = effective(code)
        if code in LEAVES_ANYTHING:
            self._forget_everything()
        elif answer is Answer.NOT_PERMITTED and not after.harmless:
            self._believe(scene, tuple({_OK, known}), any_case=True, unless=True)
        elif self._step.concurrent:
            self._believe(scene, (known,), any_case=True, unless=True)
        else:
            self._take(
                scene,
                after,
                (known,),
                any_case=False,
                unless=not after.made and not after.lost and known not in ruled.codes,
            )
        wrong = answer is Answer.NOT_PERMITTED and code == _OK and after.mismatch is None
        if after.lost or ruled.outside or wrong:
            # What was believed cannot be so where the call succeeded that should not have.
            self._lose()
        if code == _OK or answer is Answer.NOT_PERMITTED:
            self._register(after, certain=code == _OK)
        if code == _OK:
            self._learn()
        elif self._model.functions[self._function].effects:
            self._unlearn()

    def _believe(self, scene: Scene, codes: tuple[int, ...], *, any_case: bool, unless: bool) -> None:
        after = self._partial.follow(self._function, scene, codes, (), any_case=any_case)
        self._take(scene, after, codes, any_case=any_case, unless=unless)

    def _take(self, scene: Scene, after: After, codes: tuple[int, ...], *, any_case: bool, unless: bool) -> None:
        """Believe what a call left; `unless` it did nothing, which is then believed as well."""

        def new(before: Part, found: Part) -> Part:
            return join(before, found) if unless else found

        process = self._process
        if self._slot is not None:
            self._take_slot(self._slot, new(self._slot.part, after.slot))
        if self._session is not None:
            self._session.part = new(self._session.part, after.mine)
        for n, thing in enumerate(self._things):
            self._take_thing(thing, new(scene.objects[n], after.objects[n]))
        initialized = after.initialized | (process.initialized if unless else 0)
        self._spread(scene, codes, any_case=any_case, unless=unless)
        self._begin_or_end(initialized)
        if self._session is not None and self._handle is not None and self._session.part is CLOSED:
            process.sessions.pop(self._handle, None)

    def _take_slot(self, slot: _Slot, new: Part) -> None:
        if new is slot.part:
            return
        changed = new.masks[_LOGIN] != slot.part.masks[_LOGIN]
        slot.part = new
        if changed:
            self._login_changed(slot)

    def _login_changed(self, slot: _Slot) -> None:
        """Of slots whose number is not known nobody can say whether it is this one."""
        for other in self._process.every_slot():
            if other is not slot and (other.elsewhere or slot.elsewhere):
                other.part = with_values(other.part, Slot, login=ANY_SLOT.masks[_LOGIN])
        self._lose_keys(slot)

    def _lose_keys(self, slot: _Slot) -> None:
        """Of the keys of what is active nobody can say any more whether they are still there."""
        for session in self._process.sessions.values():
            if session.slot is slot or session.slot.elsewhere or slot.elsewhere:
                session.part = _keys_untold(session.part)

    def _take_thing(self, thing: Thing, p: Part) -> None:
        gone = thing.exists == TRUE and p.masks[_EXISTS] != TRUE
        thing.exists, thing.known = p.masks[_EXISTS], p.masks[_KNOWN]
        if gone and self._slot is not None:
            self._lose_keys(self._slot)

    def _spread(self, scene: Scene, codes: tuple[int, ...], *, any_case: bool, unless: bool) -> None:
        """What becomes of sessions, objects and slots that the call does not name."""
        process, partial = self._process, self._partial
        if not partial.spreads(self._function, codes):
            return
        probed = replace(scene, others=(ANY_SESSION, *scene.others), objects=(*scene.objects, ANY_OBJECT))
        probe = partial.follow(self._function, probed, codes, (), any_case=any_case)
        if probe.others and probe.others[0] is not ANY_SESSION:
            for handle, session in [*process.sessions.items()]:
                if handle == self._handle:
                    continue
                there = self._place(session.part, session.slot)
                seen = replace(scene, others=(there, *scene.others))
                left = partial.follow(self._function, seen, codes, (), any_case=any_case)
                if left.others and left.others[0] is not there:
                    new = with_values(left.others[0], Session, slot=one(0))
                    session.part = join(session.part, new) if unless or session.slot.elsewhere else new
                    if session.part is CLOSED:
                        del process.sessions[handle]
        if probe.objects and probe.objects[-1] is not ANY_OBJECT:
            self._spread_objects(scene, codes, any_case=any_case, unless=unless)
        if self._slot is None and probe.slot is not ANY_SLOT:
            for slot in process.slots.values():
                left = partial.follow(self._function, replace(scene, slot=slot.part), codes, (), any_case=any_case)
                slot.part = join(slot.part, left.slot) if unless else left.slot

    def _place(self, p: Part, slot: _Slot) -> Part:
        """A session, or an object, as one with the slot of the call, or with another."""
        if self._slot is None or slot is self._slot:
            return p
        return with_values(p, Session, slot=one(0, 1) if slot.elsewhere or self._slot.elsewhere else one(1))

    def _spread_objects(self, scene: Scene, codes: tuple[int, ...], *, any_case: bool, unless: bool) -> None:
        process, partial = self._process, self._partial
        for at, thing in [*process.objects.items()]:
            if any(thing is x for x in self._things):
                continue
            there = thing.part(ANY_OBJECT.masks[_TRAIT], self._handle)
            if self._slot is not None and at[0] != id(self._slot):
                there = with_values(there, Object, slot=one(0, 1) if self._slot.elsewhere else one(1))
            seen = replace(scene, objects=(*scene.objects, there))
            left = partial.follow(self._function, seen, codes, (), any_case=any_case)
            if left.objects and left.objects[-1] is not there:
                p = join(there, left.objects[-1]) if unless else left.objects[-1]
                self._take_thing(thing, p)
                if thing.exists == FALSE:
                    del process.objects[at]

    def _begin_or_end(self, initialized: Values) -> None:
        process = self._process
        before, process.initialized = process.initialized, initialized
        if initialized == FALSE or (before != TRUE and initialized == TRUE and self._shape == Shape()):
            # Before C_Initialize there is no session, whatever the log left out.
            self._forget_sessions()

    def _forget_sessions(self) -> None:
        process = self._process
        process.begun = True
        process.sessions.clear()
        for slot in process.slots.values():
            slot.part = with_values(slot.part, Slot, login=_NOBODY)
        process.objects = {at: x for at, x in process.objects.items() if x.flags.get(CKA_TOKEN) is not False}
        for thing in process.objects.values():
            thing.exists, thing.known = thing.exists | FALSE, EITHER

    def _lose(self) -> None:
        """Nothing is known any more of what the call is about."""
        if self._session is not None and self._session.part is not CLOSED:
            self._session.part = _unsettled(self._session.part)
        elif self._handle is not None and self._step.returned == _OK and self._ends_nothing():
            # There is a session after all.
            start = _SHARED_SLOT if self._judge.shared else _ALONE_SLOT
            self._process.sessions[self._handle] = _Session(ANY_SESSION, _Slot(start, elsewhere=True))
        if self._slot is not None:
            self._take_slot(self._slot, _slot_lost(self._slot.part))
        for thing in self._things:
            thing.forget_all()

    def _ends_nothing(self) -> bool:
        """Whether a session that the call names is still there after it."""
        return "session-closed" not in self._model.functions[self._function].happens

    def _forget_everything(self) -> None:
        """After such an error anything may be (5.1.1)."""
        self._process.initialized = EITHER
        self._judge.weaken_all(self._process)

    # Handles and facts that the call told.

    def _register(self, after: After, *, certain: bool) -> None:
        """Take down what the call made or found; where it should have, and says that it did not, perhaps."""
        process, out = self._process, self._step.outputs
        opens = "session-opened" in self._model.functions[self._function].happens
        if opens:
            handle = integer(out.get("phSession"))
            if handle is None:
                process.begun = False
            elif self._slot is not None:
                p = _opened(after.opened, self._step)
                process.sessions[handle] = _Session(p if certain else join(p, CLOSED), self._slot)
                process.begun &= not _keep_few(process.sessions)
        exists = TRUE if certain else EITHER
        if self._slot is None:
            return
        if certain and self._shape.slot is not None:
            self._slot.index = one(0)
        for n, handle in new_handles(self._step):
            self._process.objects[id(self._slot), handle] = self._made(n, exists)
        for handle in _integers(out.get("phObject")) or () if certain else ():
            self._found(handle)
        _keep_few(process.objects)

    def _made(self, n: int, exists: Values) -> Thing:
        """A new object, as its template has it."""
        thing = Thing(exists, exists)
        if self._things and "object" in self._model.functions[self._function].uses:
            source = self._things[0]
            thing.flags, thing.cls, thing.key_type = dict(source.flags), source.cls, source.key_type
            token = source.flags.get(CKA_TOKEN)
        else:
            token = False
        template = self._given.template(n)
        if template is not None:
            thing.learn(template)
            token = flag_in(template, CKA_TOKEN, token)
            if token is not None:
                thing.flags[CKA_TOKEN] = token
        else:
            thing.flags.clear()
        thing.owner = self._handle
        return thing

    def _found(self, handle: int) -> None:
        at = (id(self._slot), handle)
        thing = self._process.objects.get(at)
        if thing is None or thing.exists != TRUE:
            thing = Thing(TRUE, TRUE)
        thing.exists = thing.known = TRUE
        if self._session is not None:
            thing.learn(self._session.wanted)
        self._process.objects[at] = thing

    def _learn(self) -> None:
        """Take down what a call that succeeded tells beside handles."""
        template, slot = self._given.template(), self._slot
        uses = self._model.functions[self._function].uses
        if "want" in uses and self._session is not None:
            self._session.wanted = template or ()
        elif "setting" in uses and self._things and template is not None:
            self._things[0].learn(template)
        info = self._step.outputs.get("pInfo")
        if isinstance(info, dict):
            self._learn_info(info)
        mechanisms = _integers(self._step.outputs.get("pMechanismList"))
        if slot is not None and mechanisms is not None:
            slot.listed = tuple(m for m in MECHANISMS if m.facts.number in mechanisms)

    def _unlearn(self) -> None:
        """A call that failed may have changed what it named, for all that is known."""
        template = self._given.template()
        if "setting" in self._model.functions[self._function].uses and self._things and template is not None:
            self._things[0].forget(template)

    def _learn_info(self, info: dict[str, Any]) -> None:
        flags, slot, number = integer(info.get("flags")), self._slot, self._given.value("type")
        if slot is None:
            return
        if self._shape.info == "SESSION_INFO" and slot.elsewhere:
            self._settle_slot(integer(info.get("slotID")))
        if flags is None:
            return
        if self._shape.info == "TOKEN_INFO":
            slot.part = with_values(slot.part, Slot, **_token_facts(flags, info))
        elif self._shape.info == "SLOT_INFO" and flags & CKF.TOKEN_PRESENT and not flags & _REMOVABLE:
            slot.part = with_values(slot.part, Slot, present=TRUE)
        elif self._shape.info == "MECHANISM_INFO" and number is not None:
            slot.abilities[number] = flags

    def _settle_slot(self, id_: int | None) -> None:
        """The number of a session's slot is told."""
        assert self._session is not None
        assert self._slot is not None
        if id_ is None:
            return
        before = self._slot
        slot = self._process.slot(id_, before.part)
        slot.part = join(slot.part, before.part) if slot.part is not before.part else slot.part
        slot.index = one(0)
        self._session.slot = slot
        for at, thing in [*self._process.objects.items()]:
            if at[0] == id(before):
                del self._process.objects[at]
                self._process.objects[id(slot), at[1]] = thing


_REMOVABLE: Final = 0x2
_NOBODY: Final = one(3)
_TRAIT: Final = index_of(Object, "trait")


def _keep_few(followed: dict[Any, Any]) -> bool:
    """Forget the oldest of what is followed, where it is too much; whether it was."""
    too_many = len(followed) > _MOST
    while len(followed) > _MOST:
        del followed[next(iter(followed))]
    return too_many


def _token_facts(flags: int, info: dict[str, Any]) -> dict[str, Values]:
    """What CK_TOKEN_INFO tells of a token (3.2)."""
    least = integer(info.get("ulMinPinLen"))
    return {
        "present": TRUE,
        "write_protected": told(bool(flags & CKF.WRITE_PROTECTED)),
        "protected_path": told(bool(flags & CKF.PROTECTED_AUTHENTICATION_PATH)),
        "login_required": told(bool(flags & CKF.LOGIN_REQUIRED)),
        "rng": told(bool(flags & CKF.RNG)),
        "dual": told(bool(flags & CKF.DUAL_CRYPTO_OPERATIONS)),
        **({} if least is None else {"empty_pin_legal": told(least == 0)}),
    }


def _slot_lost(p: Part) -> Part:
    values = {x: ANY_SLOT.masks[index_of(Slot, x)] for x in (*_ON_TOKEN, "login", "present")}
    return with_values(p, Slot, **values)


def _keys_untold(p: Part) -> Part:
    masks = list(p.masks)
    for n in _KEYS:
        if masks[n - 2] != one(0):
            masks[n] = ANY_SESSION.masks[n]
    return part(tuple(masks))


def _opened(p: Part, step: Step) -> Part:
    """The session that a call opened, also where it should not have."""
    if p.masks[_OPEN] == TRUE:
        return p
    flags = integer(step.arguments.get("flags"))
    rw = EITHER if flags is None else told(bool(flags & CKF.RW_SESSION))
    return with_values(CLOSED, Session, open=TRUE, rw=rw, notify=EITHER)


_PASSERS: Final[dict[tuple[Values, Values], Part]] = {}


def _passer_by(open: Values, rw: Values) -> Part:
    found = _PASSERS.get((open, rw))
    if found is None:
        found = _PASSERS[open, rw] = with_values(ANY_SESSION, Session, open=open, rw=rw)
    return found


_DOING: Final = {index_of(Session, f"operations.{k.field}.phase"): k.noun for k in ACTIVITIES}
_BEGUN: Final[dict[Part, tuple[str, ...]]] = {}


def _doing(p: Part) -> tuple[str, ...]:
    """What is under way in a session for certain."""
    found = _BEGUN.get(p)
    if found is None:
        nouns = [noun for n, noun in _DOING.items() if not p.masks[n] & one(0)]
        nouns += ["a search"] if not p.masks[_SEARCH] & one(0) else []
        found = _BEGUN[p] = tuple(nouns)
    return found


def _integers(value: Any) -> list[int] | None:
    return value if isinstance(value, list) and all(integer(x) is not None for x in value) else None
