"""Judging one observation: pass, fail or inconclusive (ISO 9646), and what the module may hold afterwards."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from itertools import chain
from typing import Final

from ...model.call import (
    Args,
    Call,
    Data,
    Ending,
    Flaw,
    Misuse,
    Observation,
    Want,
    altered,
    arguments,
    code_text,
    effective,
)
from ...model.chapters.operations import ACTIVITIES
from ...model.decide import forbids_ok
from ...model.oracle import Model, Ruling, advised, following, in_scope, legal_anyway, outputs, permitted, ruling
from ...model.precedence import Relation
from ...model.rule import Effect, Rule
from ...model.state import Mech, Messages, Phase, Search, State
from ...model.vocabulary import CALLBACK_ONLY, CKR, GUARDS, LEAVES_ANYTHING, REFUSE_OBJECTS
from .packed import leaves

Beliefs = frozenset[State]
"""The states that a module may be in, after all that was seen of it."""


Steps = tuple[tuple[Call, Observation], ...]
"""A trace: calls, and what came back."""


def one_of(beliefs: Collection[State]) -> State:
    """The believed state in which most of what was built up is left; nearly always there is but one state.

    What else there is in them tells equals apart.
    """
    if len(beliefs) == 1:
        return next(iter(beliefs))
    most = max(map(built_up, beliefs))
    return max((s for s in beliefs if built_up(s) == most), key=lambda s: tuple(leaves(s)))


def built_up(s: State) -> int:
    """How much there is of objects with a handle and of operations."""
    active = (getattr(x.operations, k.field).phase != Phase.NONE for x in s.sessions for k in ACTIVITIES)
    searching = (x.operations.search != Search.NONE for x in s.sessions)
    processing = (x.operations.process.kind != Messages.NONE for x in s.sessions)
    return sum(map(bool, chain((x.known for x in s.objects), active, searching, processing)))


class Outcome(Enum):
    """PASS: the text permits it. INCONCLUSIVE: legal, and proves nothing. FAIL: the text rules it out."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Severity(Enum):
    """How much a failure matters to those who use the module."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Kind(Enum):
    """What sort of failure it is. ALWAYS: several failures of a function that gives one answer whatever the call is."""

    MISSING_ERROR = "missing error"
    WRONG_CODE = "wrong code"
    OFF_LIST = "off-list code"
    PRECEDENCE = "precedence"
    OPERATION_STATE = "operation state"
    SESSION_STATE = "session state"
    DATA_EFFECT = "data effect"
    CALLBACK_ONLY = "callback-only code"
    CALLBACK_MISUSE = "callback misuse"
    BUFFER_MISUSE = "buffer misuse"
    ABSENT = "absent function"
    DIED = "died"
    HUNG = "hung"
    ROBUSTNESS = "robustness"
    ALWAYS = "always answers"


_SEVERITY = {
    Kind.MISSING_ERROR: Severity.MEDIUM,
    Kind.WRONG_CODE: Severity.MEDIUM,
    Kind.OFF_LIST: Severity.MEDIUM,
    Kind.PRECEDENCE: Severity.LOW,
    Kind.OPERATION_STATE: Severity.MEDIUM,
    Kind.SESSION_STATE: Severity.HIGH,
    Kind.DATA_EFFECT: Severity.HIGH,
    Kind.CALLBACK_ONLY: Severity.MEDIUM,
    Kind.CALLBACK_MISUSE: Severity.HIGH,
    Kind.BUFFER_MISUSE: Severity.HIGH,
    Kind.ABSENT: Severity.MEDIUM,
    Kind.DIED: Severity.HIGH,
    Kind.HUNG: Severity.HIGH,
    Kind.ROBUSTNESS: Severity.LOW,
    Kind.ALWAYS: Severity.MEDIUM,
}

_ENDINGS = {Ending.DIED: Kind.DIED, Ending.HUNG: Kind.HUNG, Ending.ABSENT: Kind.ABSENT}

_BUFFERS = frozenset(map(str, Misuse))
"""What a module does wrong with output buffers."""

HARMLESS = frozenset({("handle", 0)})
"""Outputs that are wrong, and do no harm to what follows: a new handle that is 0 names what was made all the same."""

NULLS = frozenset(
    {("null", True), ("data", Data.NULL), ("signature", Data.NULL), ("flaw", Flaw.NULL), ("want", Want.NULL)}
)
"""Arguments, by name and value, that are a NULL pointer where the function needs one that is not."""


def null_arguments(call: Call, uses: Collection[str]) -> tuple[str, ...]:
    """The names of the arguments of a call that are such a NULL pointer."""
    return tuple(sorted(name for name, value in NULLS if name in uses and getattr(call.args, name) == value))


def without_nulls(call: Call, uses: Collection[str]) -> Call:
    """The call with what it should be in the place of such NULL pointers."""
    plain = {name: getattr(_PLAIN, name) for name in null_arguments(call, uses)}
    return altered(call, **plain) if plain else call


_PLAIN = Args()

_FAMILIES = {
    Kind.OPERATION_STATE: ("OPERATION",),
    Kind.SESSION_STATE: ("SESSION", "USER"),
}


_OF_ARGUMENTS = frozenset({CKR.USER_TYPE_INVALID})
"""Codes of those families that say something of an argument, and nothing of what the module believes."""


@dataclass(frozen=True, slots=True, order=True)
class Cause:
    """What two failures share when they are one fault: the kind, and what is misjudged, by ids of the table.

    `kind` is empty for a fault by whatever wrong code. `rows` are ids of rows, or the one of what a lapse left out.
    `answer` is what was seen, `function` where, and `named` an output or what the callbacks met, each where the fault
    is told by it.
    """

    kind: str
    rows: tuple[str, ...] = ()
    answer: str = ""
    function: str = ""
    named: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """A short name that stays the same from run to run: the cause, hashed."""
        return _hashed(self.kind, " ".join(self.rows), self.answer, self.function, " ".join(self.named))


@cache
def _hashed(*words: str) -> str:
    return hashlib.sha256("|".join(words).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True, order=True)
class Symptom:
    """What was seen to be wrong in one function: what baselines and gates compare, where people read of causes.

    `rows` are the ids of the rows that were misjudged, which name the situation. Where there are none, `named` holds
    what tells it: an output, what callbacks met, the lapse, or arguments of the call that matter.
    """

    function: str
    seen: str
    rows: tuple[str, ...] = ()
    named: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """A short name that stays the same from run to run."""
        return f"S-{_hashed(self.function, self.seen, ' '.join(self.rows), ' '.join(self.named))}"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """An output that none of the believed states explains."""

    output: str
    seen: int
    permitted: Sequence[int]
    section: str


LAPSE: Final = "lapse"
"""The kind, in a cause, of a failure that an earlier call explains."""

ENDS_OTHERS: Final = "ends-what-is-not-its-own"
"""In a cause: a call ended operations that it had nothing to do with."""


class Part(Enum):
    """A part of what a module remembers, in words: what a call left as it was, or changed, and should not have."""

    LOGIN = "who is logged in"
    OPERATIONS = "the operations that are active"
    OBJECTS = "the objects that there are"
    SESSIONS = "the sessions that are open"
    PINS = "the PINs"
    SAVED = "the saved state"


@dataclass(frozen=True, slots=True)
class Lapse:
    """An earlier call of which the module made something else: had the text wanted that, there would be no failure.

    It left out a certain `effect`, or of that one `part` only; it had the effect although its `code` is none that has
    it; or where there is no effect it made an end of a `part` that was not its own, of operations where none is named.
    `null` says that the call was given a NULL pointer; `asked` that it had its effect although it asked for the length
    of its output only.
    """

    function: str
    code: int
    effect: Effect | None
    null: bool = False
    part: Part | None = None
    asked: bool = False

    @property
    def row(self) -> str:
        """What went wrong, one id for all functions."""
        if self.effect is None:
            return ENDS_OTHERS if self.part is None else f"{ENDS_OTHERS}-{self.part.name.lower()}"
        if self.asked:
            return f"{self.effect.id}-by-a-query"
        if self.despite:
            return f"{self.effect.id}-in-spite-of-the-error"
        return self.effect.id if self.part is None else f"{self.effect.id}-but-{self.part.name.lower()}"

    @property
    def despite(self) -> bool:
        """Whether the call failed, and did all the same what it is for."""
        return self.effect is not None and self.code not in self.effect.on

    @property
    def cause(self) -> Cause:
        """What it shares with other lapses of the same fault.

        Errors are handled alike in many functions; a success that does not do what it should is its function's own.
        """
        own = self.function if self.code == CKR.OK or self.despite else ""
        return Cause(LAPSE, (self.row,), code_text(self.code), own)


ADVICE: Final = "advice"
"""The kind of what is no failure."""


@dataclass(frozen=True, slots=True)
class Advice:
    """A recommendation of the text that a module did not follow, which is no failure.

    `rule` is the row whose code was recommended: by the row itself (a 'should'), or by a `relation` that puts its code
    before the one returned.
    """

    rule: Rule
    relation: Relation | None = None

    @property
    def cause(self) -> Cause:
        """What is recommended, whatever the function, and whatever was done in its stead."""
        place = () if self.relation is None else (self.relation.section,)
        return Cause(ADVICE, (self.rule.id,), str(self.rule.code), named=place)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the text says of one observation.

    `permitted` holds the codes that the text permits, and `rules` the rows that prevail: for a failure those at
    fault, for a pass those that may have given it. `advice` holds what the text only recommends, and was not followed.
    `why` is a line on an inconclusive verdict; `lapse` explains a failure that nothing in its call explains. `ruling`
    is what follows for a pass from the rows that apply, where they are the same in all that was believed.
    """

    outcome: Outcome
    call: Call
    observation: Observation
    kind: Kind | None = None
    permitted: frozenset[CKR] = frozenset()
    rules: tuple[Rule, ...] = ()
    mismatch: Mismatch | None = None
    advice: tuple[Advice, ...] = ()
    why: str = ""
    lapse: Lapse | None = None
    ruling: Ruling | None = field(default=None, repr=False, compare=False)

    @property
    def severity(self) -> Severity:
        """The severity of a failure: its kind's, but high where what is guarded lies open.

        It is low where little comes of it.

        So it is of a code off the list in the right family, and of an operation that goes on after an error about a
        NULL pointer: any error ends it (A-15), but this one an application brings about by mistake only.
        """
        effect = self.lapse.effect if self.lapse is not None and self.lapse.null else None
        if effect is not None and effect.reading == "A-15":
            return Severity.LOW
        if self.kind is Kind.OFF_LIST and _family(self.observation.code) in {_family(r.code) for r in self.rules}:
            return Severity.LOW
        lets_in = self.kind is Kind.MISSING_ERROR and self.call.function != "C_Logout"
        if lets_in and any(r.code in GUARDS for r in self.rules):
            return Severity.HIGH
        return _SEVERITY[self.kind] if self.kind else Severity.LOW

    @property
    def facts(self) -> frozenset[str]:
        """The situations that the rows at fault speak of, by id."""
        return frozenset(r.id for r in self.rules)

    @property
    def cause(self) -> Cause:
        """What two failures share when they are one fault, whatever the function.

        A module that answers one situation by this wrong code here and by that one there has one fault.
        """
        kind = self.kind.value if self.kind else ""
        rows = tuple(sorted(self.facts))
        if self.lapse is not None:
            return self.lapse.cause
        match self.kind:
            case Kind.ROBUSTNESS:
                return Cause(kind)
            case Kind.ALWAYS:
                return Cause(kind, answer=self.observation.text, function=self.call.function)
            case Kind.DIED | Kind.HUNG | Kind.ABSENT:
                return Cause(kind, function=self.call.function)
            case Kind.CALLBACK_MISUSE | Kind.BUFFER_MISUSE:
                return Cause(kind, named=self.observation.misuse)
            case Kind.MISSING_ERROR:
                return Cause(kind, rows)
            case _ if self.mismatch is not None:
                return Cause(kind, function=self.call.function, named=(self.mismatch.output,))
            case Kind.PRECEDENCE:
                return Cause(kind, rows, self.observation.text)
            case _ if rows:
                return Cause("", rows)
        return Cause(kind, answer=self.observation.text, function=self.call.function)

    @property
    def told(self) -> Cause:
        """The cause by which a finding is told, of a failure whose trace is as short as it can be.

        What is not plain in the last call matters then: where the module dies of such arguments, it is one fault in
        whatever function. So it is where the handle of an object that is there is refused.
        """
        peculiar = tuple(f"{name}={getattr(self.call.args, name).name}" for name in _GIVEN if self._gives(name))
        if self.kind in (Kind.DIED, Kind.HUNG) and peculiar:
            return Cause(self.cause.kind, named=peculiar)
        if unexplained(self.cause) and self.observation.code in REFUSE_OBJECTS:
            return Cause(_HANDLE, answer=self.observation.text)
        return self.cause

    def _gives(self, name: str) -> bool:
        return bool(getattr(self.call.args, name) != getattr(_PLAIN, name))


_GIVEN: Final = ("blob", "buffer", "data", "flaw", "init", "many", "parameter", "setting", "signature", "want")
"""Arguments that say what a call is given, whatever the function: all but names and handles."""

_HANDLE: Final = "handle refused"
"""The kind, in a cause, of a failure to know an object by its handle."""


def symptom(verdict: Verdict, uses: tuple[str, ...]) -> Symptom:
    """The symptom that a failure is, seen in a shrunk trace: what is not plain in its last call matters then."""
    call, lapse, kind = verdict.call, verdict.lapse, verdict.kind
    named: tuple[str, ...] = ()
    if lapse is not None:
        named = (lapse.row, lapse.function, code_text(lapse.code))
    elif verdict.mismatch is not None:
        named = (verdict.mismatch.output,)
    elif verdict.observation.misuse:
        named = verdict.observation.misuse
    elif not verdict.rules and kind is not Kind.ALWAYS:
        given, plain = (arguments(x, uses) for x in (call, Call(call.function)))
        named = tuple(f"{name}={given[name]}" for name in sorted(given) if given[name] != plain.get(name))
    return Symptom(call.function, verdict.observation.text, tuple(sorted(verdict.facts)), named)


def explains(known: Cause, cause: Cause) -> bool:
    """Whether a cause is no more than another one with further situations beside it."""
    return known.rows != () and set(known.rows) < set(cause.rows) and replace(known, rows=cause.rows) == cause


def unexplained(cause: Cause) -> bool:
    """Whether a cause says no more than that a code was wrong, or that an operation was there or was not."""
    return cause.kind in _OF_CODES and not cause.rows and not cause.named


_OF_CODES: Final = frozenset(kind.value for kind in (Kind.OPERATION_STATE, Kind.WRONG_CODE, Kind.OFF_LIST))


def of_any_call(cause: Cause) -> bool:
    """Whether a cause is that a function gives a code for no reason, so that it may do so with a reason for another."""
    return unexplained(cause) or (cause.kind == Kind.SESSION_STATE.value and not cause.rows and not cause.named)


def _family(code: int) -> str:
    return code_text(code).removeprefix("CKR_").partition("_")[0]


def judge(model: Model, beliefs: Beliefs, call: Call, seen: Observation) -> tuple[Verdict, Beliefs]:
    """The verdict on an observation, and the beliefs after it, with which one can go on.

    After a failure, or an error that may have left anything, they are that nothing happened and that it did: what fails
    from then on may fail because of that. Of a module that did not return nothing is known, and nothing is believed.

    Raises:
        ValueError: if nothing is believed and the module returned.
    """
    if not beliefs and seen.ending is Ending.RETURNED:
        raise ValueError("nothing is believed of the module; begin again with the states that it may be in")
    verdict, after = follow(model, tuple(beliefs), call, seen)
    return verdict, frozenset(after or _either(model, beliefs, call, seen))


def _either(model: Model, beliefs: Beliefs, call: Call, seen: Observation) -> Iterator[State]:
    """Nothing happened; what the call is for did; or what comes of such an error."""
    if seen.ending is not Ending.RETURNED:
        return
    yield from beliefs
    if seen.code != CKR.OK:
        yield from _after_error(model, tuple(beliefs), call, seen.code)
    yield from (t for s in beliefs for t in _done(model, s, call))


def _done(model: Model, s: State, call: Call) -> list[State]:
    """The states after a call that did what it is for, also where it should not have."""
    try:
        return following(model, s, call, CKR.OK) if in_scope(model, s, call) else []
    except (IndexError, StopIteration):
        # It names what is not there, or there is no room for what it makes: nothing came of it that can be followed.
        return []


def believed_after(model: Model, initial: State, steps: Steps) -> Beliefs:
    """The states that a module may be in after what was seen from its initial one."""
    beliefs: Beliefs = frozenset({initial})
    for call, seen in steps:
        _, beliefs = judge(model, beliefs, call, seen)
    return beliefs


def follow(model: Model, beliefs: Sequence[State], call: Call, seen: Observation) -> tuple[Verdict, Sequence[State]]:
    """As `judge`, as far as it is certain: of failures only those that are `HARMLESS` leave any states.

    Some may come more than once. It is for those who number states themselves, or go no further than that.
    """
    if seen.ending is not Ending.RETURNED:
        kind = _ENDINGS[seen.ending]
        if kind is Kind.DIED and (_silent(model, beliefs, call) or _lacks_parameter(model, call)):
            kind = Kind.ROBUSTNESS
        return Verdict(Outcome.FAIL, call, seen, kind, _union(model, beliefs, call)), ()
    if seen.misuse:
        kind = Kind.BUFFER_MISUSE if _BUFFERS.issuperset(seen.misuse) else Kind.CALLBACK_MISUSE
        return Verdict(Outcome.FAIL, call, seen, kind), ()
    ruled = [(s, ruling(model, s, call)) for s in beliefs]
    allowing = [(s, given) for s, given in ruled if seen.code in given.codes]
    if not allowing:
        return _unexplained(model, beliefs, call, seen)
    after, mismatch = _follow(model, [s for s, _ in allowing], call, seen)
    if not after:
        assert mismatch is not None
        kind = Kind.SESSION_STATE if call.function == "C_GetSessionInfo" else Kind.DATA_EFFECT
        verdict = Verdict(Outcome.FAIL, call, seen, kind, frozenset({CKR.OK}), mismatch=mismatch)
        if (mismatch.output, mismatch.seen) not in HARMLESS:
            return verdict, ()
        right = replace(seen, outputs=tuple(x for x in seen.outputs if x not in HARMLESS))
        return verdict, _follow(model, [s for s, _ in allowing], call, right)[0]
    rules = allowing[0][1].rules
    if len(allowing) > 1:
        rules = tuple(dict.fromkeys(r for _, given in allowing for r in given.rules))
    gave = tuple(r for r in rules if r.code == seen.code)
    advice = _advice(model, call, seen, allowing[0][1])
    if advice and len(allowing) > 1:
        advice = tuple(x for x in advice if all(x in _advice(model, call, seen, given) for _, given in allowing))
    given = ruled[0][1]
    clear = len(ruled) == 1 or all(other is given for _, other in ruled)
    return Verdict(Outcome.PASS, call, seen, rules=gave, advice=advice, ruling=given if clear else None), after


def _advice(model: Model, call: Call, seen: Observation, given: Ruling) -> tuple[Advice, ...]:
    """What the text recommends where these rows apply, and another code was returned that it permits."""
    return tuple([Advice(*x) for x in advised(model, call.function, given, seen.code)])


def _silent(model: Model, beliefs: Sequence[State], call: Call) -> bool:
    """Whether a call has a NULL pointer of which the text does not say what it does.

    It says so where it lets the call succeed with it, and where a row is about it that no open question is behind.
    """
    plain = without_nulls(call, model.functions[call.function].uses)
    if plain == call:
        return False
    for s in beliefs:
        given = ruling(model, s, call)
        about = [r for r in given.rules if not r.when(s, plain.args)]
        if any(forbids_ok(r) and r.reading is None for r in about) or (not about and CKR.OK in given.codes):
            return False
    return True


def _union(model: Model, beliefs: Sequence[State], call: Call) -> frozenset[CKR]:
    return frozenset(code for s in beliefs for code in permitted(model, s, call))


def _follow(model: Model, states: list[State], call: Call, seen: Observation) -> tuple[list[State], Mismatch | None]:
    """The successors whose outputs are those seen, or the first output that rules the last of them out."""
    given = dict(seen.outputs)
    after: list[State] = []
    mismatch = None
    for s in states:
        for t in following(model, s, call, seen.code):
            wrong = None
            if given:
                wrong = next(
                    (
                        (name, given[name], values)
                        for name, values in outputs(model, t, call, seen.code)
                        if values and name in given and given[name] not in values
                    ),
                    None,
                )
            if wrong is None:
                after.append(t)
            elif mismatch is None:
                section = next(o.place for o in model.functions[call.function].outputs if o.name == wrong[0])
                mismatch = Mismatch(*wrong, section)
    return after, mismatch


def _unexplained(
    model: Model, beliefs: Sequence[State], call: Call, seen: Observation
) -> tuple[Verdict, Sequence[State]]:
    """The verdict on a code that no believed state permits."""
    function = model.functions[call.function]
    allowed = _union(model, beliefs, call)
    if seen.code in CALLBACK_ONLY:
        return Verdict(Outcome.FAIL, call, seen, Kind.CALLBACK_ONLY, allowed), ()
    known = bool(model.events) and any(r.code == seen.code for s in beliefs for r in ruling(model, s, call).rules)
    # Trouble that the model knows of explains its code where that is in its order, and nowhere else.
    lenient = "" if known else legal_anyway(model, call.function, seen.code, CKR.OK in allowed)
    lenient = lenient or _about_unrecorded(model, call, seen)
    if lenient:
        # Trouble that may have changed anything leaves nothing to go on.
        lost = seen.code in LEAVES_ANYTHING
        verdict = Verdict(Outcome.INCONCLUSIVE, call, seen, permitted=allowed, why=lenient)
        return verdict, () if lost else (*beliefs, *_after_error(model, beliefs, call, seen.code))
    judged = ruling(model, one_of(beliefs), call)
    at_fault = judged.firm
    if seen.code == CKR.OK:
        kind = Kind.MISSING_ERROR
    elif any(r.code == seen.code for r in judged.rules):
        kind = Kind.PRECEDENCE
    elif seen.code not in function.signature.listed.get(model.version, frozenset()):
        kind = Kind.OFF_LIST
    else:
        family = _family(seen.code)
        families = {_family(r.code) for r in at_fault} | ({family} if seen.code not in _OF_ARGUMENTS else set())
        kind = next((k for k, names in _FAMILIES.items() if families & set(names)), Kind.WRONG_CODE)
        kind = kind if kind is Kind.OPERATION_STATE or not at_fault else Kind.WRONG_CODE
    return Verdict(Outcome.FAIL, call, seen, kind, allowed, at_fault), ()


UNRECORDED: Final = "a mechanism that nobody has a record for: what it wants is not known"
"""Said of an error of a call with such a mechanism."""


def _about_unrecorded(model: Model, call: Call, seen: Observation) -> str:
    """Why a listed error is no failure of a call whose mechanism has no record; nothing where it is none."""
    listed = model.functions[call.function].signature.listed.get(model.version, frozenset())
    return UNRECORDED if _lacks_parameter(model, call) and seen.code in listed and seen.code != CKR.OK else ""


def _lacks_parameter(model: Model, call: Call) -> bool:
    """Whether a call names a mechanism without a record, which is given no parameter: it may want one."""
    return "mechanism" in model.functions[call.function].uses and call.args.mechanism == Mech.OTHER


def _after_error(model: Model, beliefs: Sequence[State], call: Call, code: int) -> list[State]:
    """What an error may have done."""
    return [t for s in beliefs for t in following(model, s, call, effective(code))]
