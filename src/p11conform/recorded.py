"""What is said of recorded calls: as text for a terminal, and as JSON."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .judging import Answer, Fault, Judged, Judgement
from .model.call import code_text
from .model.interpretations import INTERPRETATIONS
from .model.oracle import Model
from .model.rule import Rule

SCHEMA: Final = "p11conform.judgement/1"

MANY: Final = 8
"""Places of what was seen again and again that are named in text; the JSON has all."""


@dataclass(slots=True)
class _Alike:
    """Steps of which the same is to be said."""

    first: Judged
    steps: list[Judged] = field(default_factory=list)


def times(count: int, what: str) -> str:
    """So many of something."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _place(judged: Judged) -> str:
    thread = f", process {judged.step.process}" if judged.step.process > 1 else ""
    return f"call {judged.number} (line {judged.step.line}{thread})"


def _answer(judged: Judged) -> str:
    returned = judged.step.returned
    return f"{judged.step.function} → {'nothing told' if returned is None else code_text(returned)}"


def violation_lines(judged: Judged, model: Model) -> Iterator[str]:
    """An answer that the text rules out: where it stands, and what it goes against."""
    opinion = judged.opinion
    yield f"violation at {_place(judged)}: {_answer(judged)}"
    if opinion.why:
        yield f"    {opinion.why}"
    yield from (f"    {line}" for line in _rule_lines(opinion.rules))
    yield f"    permitted: {', '.join(opinion.permitted) or 'nothing'}"
    yield from (f"    {line}" for line in _reading_lines(opinion.readings, model))


def fault_lines(judged: Judged, fault: Fault) -> Iterator[str]:
    """A rule that the caller broke."""
    doing = f", while there was {' and '.join(fault.doing)}" if fault.doing else ""
    yield f"caller at {_place(judged)}: {_answer(judged)}{doing}"
    yield f"    {_rule_line(fault.rule)}"


def _rule_line(rule: Rule) -> str:
    return f"- {rule.code} when {rule.condition} ({rule.place}; {rule.strength.value}): {rule.says}"


def _rule_lines(rules: Iterable[Rule]) -> Iterator[str]:
    return (_rule_line(r) for r in dict.fromkeys(rules))


def _reading_lines(readings: Iterable[str], model: Model) -> Iterator[str]:
    for id in readings:
        i = INTERPRETATIONS[id]
        yield f"Depends on {id} (section {i.section}), read as '{model.readings[id]}': {i.question}"


def _gathered(found: Iterable[Judged], key: Any) -> list[_Alike]:
    """What is alike, together, in the order in which it was seen first."""
    alike: dict[Any, _Alike] = {}
    for judged in found:
        alike.setdefault(key(judged), _Alike(judged)).steps.append(judged)
    return list(alike.values())


def _same(judged: Judged) -> tuple[Any, ...]:
    opinion = judged.opinion
    return (judged.step.function, judged.step.returned, opinion.rules, opinion.why)


def _again(alike: _Alike) -> Iterator[str]:
    others = alike.steps[1:]
    if others:
        places = ", ".join(f"{x.number} (line {x.step.line})" for x in others[:MANY])
        more = f" and {len(others) - MANY} more, which --json has" if len(others) > MANY else ""
        yield f"    likewise at {times(len(others), 'other call')}: {places}{more}"


def lines(judgement: Judgement, model: Model, *, shown: bool = False) -> Iterator[str]:
    """All that is to be said; what was `shown` already is left out."""
    if not shown:
        for alike in _gathered(judgement.violations, _same):
            yield from violation_lines(alike.first, model)
            yield from _again(alike)
    faults = ((judged, fault) for judged in judgement.faults for fault in judged.opinion.faults)
    by_rule: dict[Any, list[tuple[Judged, Fault]]] = {}
    for judged, fault in faults:
        by_rule.setdefault((judged.step.function, fault.rule.id, fault.doing), []).append((judged, fault))
    for same in by_rule.values():
        yield from fault_lines(*same[0])
        yield from _again(_Alike(same[0][0], [judged for judged, _ in same]))
    yield ", ".join(f"{answer.value} {judgement.counts[answer]:,}" for answer in Answer)
    yield _closing(judgement)


def _closing(judgement: Judgement) -> str:
    wrong, faults = judgement.counts[Answer.NOT_PERMITTED], len(judgement.faults)
    callers = f"the caller broke rules in {times(faults, 'call')}" if faults else "no rule was broken by the caller"
    return (
        f"{times(judgement.steps, 'call')} judged: {times(wrong, 'violation') if wrong else 'no violation'}; {callers}"
    )


def report(judgement: Judgement, model: Model, name: str, form: str) -> dict[str, Any]:
    """The same as JSON."""
    return {
        "schema": SCHEMA,
        "file": name,
        "form": form,
        "spec": str(model.version),
        "readings": dict(model.readings),
        "calls": judgement.steps,
        "processes": judgement.processes,
        "counts": {answer.value: count for answer, count in judgement.counts.items()},
        "violations": [
            {
                **_step(judged),
                "why": judged.opinion.why,
                "permitted": list(judged.opinion.permitted),
                "rules": list(map(_rule, judged.opinion.rules)),
                "readings": list(judged.opinion.readings),
            }
            for judged in judgement.violations
        ],
        "callers": [
            {**_step(judged), "faults": [{**_rule(x.rule), "during": list(x.doing)} for x in judged.opinion.faults]}
            for judged in judgement.faults
        ],
    }


def _step(judged: Judged) -> Mapping[str, Any]:
    step = judged.step
    returned = None if step.returned is None else code_text(step.returned)
    return {
        "call": judged.number,
        "line": step.line,
        "process": step.process,
        "thread": step.thread,
        "function": step.function,
        "returned": returned,
    }


def _rule(rule: Rule) -> Mapping[str, Any]:
    return {
        "id": rule.id,
        "code": str(rule.code),
        "condition": rule.condition,
        "place": rule.place,
        "says": rule.says,
        "strength": rule.strength.value,
        "reading": rule.reading,
    }
