"""Findings: failures told apart by their cause, each with a short trace and a text that explains itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...model.call import Buffer, Call, arguments, code_text
from ...model.environment import EVENTS
from ...model.interpretations import INTERPRETATIONS, SHOULD
from ...model.oracle import Model
from ...model.precedence import ORDERS, between
from ...model.rule import Rule, Strength
from ...model.table import functions_where
from ...model.vocabulary import CKR
from ..engine.verdict import Cause, Kind, Lapse, Part, Steps, Symptom, Verdict, null_arguments, symptom
from ..run.tally import Tally, Unheeded

ANSWERS = 4
"""Answers in the stead of a recommended one that are named."""

_PREPARES = {"library-initialized", "session-opened", "token-initialized"}
SETUP = functions_where(lambda f: not f.happens.isdisjoint(_PREPARES))
"""Functions whose successful calls at the start of a trace only lead up to what it shows."""


@dataclass(frozen=True, slots=True)
class Threads:
    """That two steps of a trace, by their numbers from 1 on, were made at a time, by two threads of the application.

    It is by chance what they meet: `again` says how often the trace failed alike of at most so many `tries`.
    """

    steps: tuple[int, int]
    again: int
    tries: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A symptom with what shows it: the verdict on the last step of a shrunk trace, which is the failure.

    `first_call` and `first_seconds` tell when in the run it was first seen, and `confirmed` how often of three tries
    the trace failed alike by itself.
    """

    symptom: Symptom
    verdict: Verdict
    steps: Steps
    first_call: int
    first_seconds: float = field(default=0.0, compare=False)
    confirmed: int = 0
    threads: Threads | None = None


def shown(
    model: Model, verdict: Verdict, steps: Steps, first_call: int, first_seconds: float = 0.0, confirmed: int = 0
) -> Shown:
    """The symptom that a trace shows."""
    uses = model.functions[verdict.call.function].uses
    return Shown(symptom(verdict, uses), verdict, steps, first_call, first_seconds, confirmed)


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause of failures, for people: all that it was seen to bring about, what explains it best first.

    Where NULL pointers kill, `nulls` are the arguments that do so, by function.
    """

    symptoms: tuple[Shown, ...]
    nulls: tuple[tuple[str, str], ...] = ()

    def with_symptom(self, another: Shown) -> "Finding":
        """The finding with one more symptom."""
        return replace(self, symptoms=(*self.symptoms, another))

    def with_nulls(self, function: str, arguments: Iterable[str]) -> "Finding":
        """The finding with more such arguments."""
        more = {(function, name) for name in arguments}
        return replace(self, nulls=tuple(sorted({*self.nulls, *more})))

    @property
    def first(self) -> Shown:
        """The symptom that explains it."""
        return self.symptoms[0]

    @property
    def verdict(self) -> Verdict:
        """The verdict that explains it."""
        return self.first.verdict

    @property
    def steps(self) -> Steps:
        """The trace that shows it."""
        return self.first.steps

    @property
    def functions(self) -> tuple[str, ...]:
        """All functions in which the cause was seen, each with a trace among the symptoms."""
        return tuple(sorted({x.symptom.function for x in self.symptoms}))

    @property
    def first_call(self) -> int:
        """After how many calls it was first seen."""
        return min(x.first_call for x in self.symptoms)

    @property
    def first_seconds(self) -> float:
        """After how many seconds it was first seen."""
        return min(x.first_seconds for x in self.symptoms)

    @property
    def confirmed(self) -> int:
        """How often of three tries its trace failed alike by itself."""
        return self.first.confirmed

    @property
    def id(self) -> str:
        """A short name that stays the same from run to run, and whatever the functions of the model are called."""
        told = self.verdict.told
        return f"F-{told.id if self.first.threads is None else replace(told, named=(*told.named, _THREADS)).id}"


_THREADS = "two threads"
"""In a cause and in a symptom: it takes two threads to show it."""


def of_threads(found: Shown, threads: Threads) -> Shown:
    """A symptom that shows only while two threads call at a time."""
    named = (*found.symptom.named, _THREADS)
    return replace(found, symptom=replace(found.symptom, named=named), threads=threads)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What the text recommends and a module does not follow, which is no failure: advice, told apart by its cause.

    `rule` is the row whose code is recommended, `function` one in which it was not given. `order` is the section that
    puts the code before the one returned, none where the row itself is a 'should'. `seen` counts what functions
    returned in its stead, and `steps` is a short trace that ends so, none where no short one came along.
    """

    cause: Cause
    function: str
    rule: Rule
    order: str | None
    seen: Mapping[tuple[str, str], int]
    steps: Steps

    @property
    def id(self) -> str:
        """A short name that stays the same from run to run, as that of a finding does."""
        return f"R-{self.cause.id}"

    @property
    def functions(self) -> tuple[str, ...]:
        """Where it was not followed."""
        return tuple(sorted({function for function, _ in self.seen}))


def recommendations(model: Model, tally: Tally) -> tuple[Recommendation, ...]:
    """All advice of a run, by its ids."""
    found = (_recommendation(model, unheeded) for unheeded in tally.advice.values())
    return tuple(sorted(found, key=lambda x: x.id))


def _recommendation(model: Model, unheeded: Unheeded) -> Recommendation:
    cause, seen = unheeded.cause, unheeded.seen
    function = unheeded.steps[-1][0].function if unheeded.steps else min(function for function, _ in seen)
    row = next(r for r in model.functions[function].rules if (r.id, str(r.code)) == (cause.rows[0], cause.answer))
    return Recommendation(cause, function, row, next(iter(cause.named), None), seen, unheeded.steps)


def beside_setup(steps: Steps) -> int:
    """How many calls a trace has beside its set-up: the leading successful calls of `SETUP`."""
    lead = 0
    for call, seen in steps[:-1]:
        if call.function not in SETUP or seen.code != CKR.OK:
            break
        lead += 1
    return len(steps) - lead


def cited(model: Model, verdict: Verdict) -> Mapping[str, str]:
    """The interpretations that a verdict depends on, with the readings in force."""
    ids = {r.reading for r in verdict.rules if r.reading}
    if verdict.lapse and verdict.lapse.effect and verdict.lapse.effect.reading:
        ids.add(verdict.lapse.effect.reading)
    if verdict.kind is Kind.PRECEDENCE:
        pairs = model.orders[verdict.call.function].decide
        relations = [between(pairs, r, CKR(verdict.observation.code)) for r in verdict.rules]
        ids |= {x.only_under[0] for x in relations if x is not None and x.only_under}
    return {id: model.readings[id] for id in sorted(ids) if id in model.readings}


_BASIS = {
    Strength.MUST: "the text requires it",
    Strength.INFERRED: "inferred: the text leaves nothing else",
    Strength.SHOULD: "the text says 'should'",
    Strength.MAY: "the text permits it",
    Strength.UNSAID: "the text does not say",
}


def explain_rule(rule: Rule) -> str:
    """A row in a line: code, condition, place, how firmly the text says it, and what stands there."""
    says = f": {rule.says}" if rule.says else ""
    return f"{rule.code} when {rule.condition} (section {rule.place}; {_BASIS[rule.strength]}){says}"


def explain_recommendation(model: Model, advice: Recommendation) -> str:
    """What is recommended and by what, in sentences that someone with the standard open can check."""
    returned = sorted({seen for _, seen in advice.seen})
    more = f" and {len(returned) - ANSWERS} more" if len(returned) > ANSWERS else ""
    lines = [
        f"{', '.join(returned[:ANSWERS])}{more} came where the text recommends another answer:",
        f"- {explain_rule(advice.rule)}",
    ]
    if advice.order is None:
        ids = {SHOULD, advice.rule.reading} - {None}
    else:
        ids = {ORDERS[0]}
        lines.append(f"Section {advice.order} puts that code first, as a rule that 'should' be followed.")
    lines += [
        f"{id}, read as '{model.readings[id]}': {INTERPRETATIONS[id].question}" for id in sorted(filter(None, ids))
    ]
    return "\n".join(lines)


def show_call(call: Call, uses: tuple[str, ...]) -> str:
    """A call as a person writes it: the function and the arguments that it uses."""
    given = ", ".join(f"{k}={_plain(v)}" for k, v in arguments(call, uses).items())
    return f"{call.function}({given})"


def show_step(call: Call, uses: tuple[str, ...], seen: str) -> str:
    """A step of a trace: a call and its answer, or an event, which has none."""
    shown = show_call(call, uses)
    return f"{shown} (an event)" if call.function in EVENTS else f"{shown} → {seen}"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_HANDLES = {0: "0, which no handle may be", 2: "that of something else that is still there"}
"""What is wrong with a new handle, by the value of the output; numbers of ours are no numbers of the module."""

_OUTPUTS = {"strangers": "'strangers' (objects found that a call made which failed, or that should be gone)"}
"""Outputs whose names do not say what they are."""

_POINTERS = {
    "null": "a pointer that is needed",
    "data": "the data",
    "signature": "the signature",
    "flaw": "the template",
    "want": "the template of the search",
}
"""Arguments that are a NULL pointer, in words."""


def explain(
    model: Model, verdict: Verdict, also: Sequence[Symptom] = (), nulls: tuple[tuple[str, str], ...] = ()
) -> str:
    """Why a verdict is what it is, in sentences that someone with the standard open can check.

    `also` are symptoms of the same cause, that of the verdict itself perhaps among them.
    """
    f = verdict.call.function
    signature = model.functions[f].signature
    seen = verdict.observation.text
    lines = [f"{f} (section {signature.section}) returned {seen}."]
    match verdict.kind:
        case Kind.DIED:
            lines = [f"The module died inside {f}: {verdict.observation.detail}."]
        case Kind.ROBUSTNESS:
            own = " and ".join(_POINTERS[name] for name in null_arguments(verdict.call, model.functions[f].uses))
            lines = [f"The module died inside {f} of NULL for {own}; the text does not say what NULL does there."]
            lines += [f"- {name}: NULL for {_POINTERS[argument]}" for name, argument in nulls]
        case Kind.ALWAYS:
            lines = [f"{f} (section {signature.section}) returned {seen} whatever the call; the text wants more:"]
            lines += [f"- here {', '.join(permitted_text(verdict)) or 'nothing'} is permitted"]
        case Kind.HUNG:
            lines = [f"{f} did not return."]
        case Kind.ABSENT:
            lines = [
                f"The function list holds NULL for {f}; section 5.4 wants every function there, as a stub at least."
            ]
        case Kind.CALLBACK_MISUSE:
            misuse = "; ".join(verdict.observation.misuse)
            lines = [f"During {f} the application's mutex callbacks were misused: {misuse}."]
        case Kind.BUFFER_MISUSE:
            misuse = "; ".join(verdict.observation.misuse)
            lines.append(f"Of its output buffer (section 5.2): {misuse}.")
        case Kind.CALLBACK_ONLY:
            lines.append("Only an application's callback returns that code, no C_ function (sections 5.1.4, 5.1.5).")
        case Kind.MISSING_ERROR:
            lines.append("It must not succeed:")
            lines += [f"- {explain_rule(r)}" for r in verdict.rules]
        case Kind.PRECEDENCE:
            lines.append("That code applies, but another that applies too outranks it:")
            pairs = model.orders[f].decide
            for r in verdict.rules:
                relation = between(pairs, r, CKR(verdict.observation.code))
                if relation is not None:
                    lines.append(f"- {explain_rule(r)}")
                    lines.append(f"  Section {relation.section} puts it above {seen}.")
        case Kind.SESSION_STATE | Kind.DATA_EFFECT if verdict.mismatch is not None:
            m = verdict.mismatch
            wanted = (
                f"{m.permitted.start} or more" if isinstance(m.permitted, range) else " or ".join(map(str, m.permitted))
            )
            lines.append(
                f"Its new handle is {_HANDLES[m.seen]} (section {m.section})."
                if m.output == "handle"
                else f"Its output {_OUTPUTS.get(m.output, repr(m.output))} is {m.seen}, "
                f"where section {m.section} leaves only {wanted}."
            )
        case _ if verdict.rules:
            lines.append("What applies here is another code:")
            lines += [f"- {explain_rule(r)}" for r in verdict.rules]
            lines.append(f"Nothing in the call or the state makes {seen} apply.")
        case _:
            lines.append("Nothing in the call or the state makes that code apply, and nothing forbids success.")
            if verdict.observation.code == CKR.BUFFER_TOO_SMALL and verdict.call.args.buffer is Buffer.EXACT:
                lines.append(f"The buffer was as long as {f} said when it was asked just before (section 5.2).")
    if verdict.lapse:
        lines.append(explain_lapse(verdict.lapse))
    if verdict.kind is Kind.OFF_LIST:
        lines.append(f"The return values listed for {f} do not hold it.")
    lines += [
        f"Depends on {id}, read as '{reading}': {INTERPRETATIONS[id].question}"
        for id, reading in cited(model, verdict).items()
    ]
    others = [x for x in also if (x.function, x.seen) != (f, seen)]
    if others:
        lines.append(f"Seen alike: {', '.join(told_apart((x.function, x.seen) for x in others))}.")
    return "\n".join(lines)


def told_apart(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Functions with what they were seen to do: those that did the same together."""
    by_answer: dict[str, list[str]] = {}
    for function, seen in sorted(set(pairs)):
        by_answer.setdefault(seen, []).append(function)
    yield from (f"{', '.join(functions)} → {seen}" for seen, functions in sorted(by_answer.items()))


def explain_lapse(lapse: Lapse) -> str:
    """What would have to have happened in an earlier call for the later one to be right, and what should have."""
    effect, part, before = lapse.effect, lapse.part, f"{lapse.function} returned {code_text(lapse.code)}"
    if effect is None:
        changed = f"{_ENDED[part]} had ended" if part is not None else "all operations had ended"
        none = "none of them was its own" if part in (None, Part.OPERATIONS) else "that call should not do so"
        return f"It would be right if {changed} when {before}; but {none}."
    if lapse.despite:
        does = f"{effect.name} (section {effect.place})"
        return f"It would be right if this had happened although {before}: {does}; but a call that fails does nothing."
    if lapse.asked:
        return (
            f"It would be right if more had happened when {before} to a query for the length of its output: "
            f"{effect.name} (section {effect.place}); but a query gives no output, and ends nothing (section 5.2)."
        )
    if part is not None:
        return (
            f"It would be right if {part.value} had stayed as before when {before}; "
            f"but then {effect.name} (section {effect.place})."
        )
    return f"It would be right if nothing had changed when {before}; but then {effect.name} (section {effect.place})."


_ENDED = {Part.LOGIN: "every login", Part.OPERATIONS: "the operations of all sessions", Part.OBJECTS: "session objects"}
"""What may have come to an end that had nothing to do with a call."""


def permitted_text(verdict: Verdict) -> tuple[str, ...]:
    """The permitted codes by name, in order."""
    return tuple(code_text(c) for c in sorted(verdict.permitted))
