"""Findings that are one after all: what was met apart is told together, with every symptom as it was."""

from collections.abc import Sequence
from dataclasses import replace

from ...model.oracle import Model
from ..engine.verdict import Cause, Kind, of_any_call
from ..reports.findings import Finding, shown
from .tally import Tally


def one_for_each_cause(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, those that are told by one cause taken together: what was met first comes first."""
    kept: dict[Cause, Finding] = {}
    for f in findings:
        cause = f.verdict.told
        kept[cause] = _joined(kept[cause], f) if cause in kept else f
    return list(kept.values())


def one_for_each_answer(findings: Sequence[Finding]) -> list[Finding]:
    """The findings; where a function gives a code for no reason, all that it gives it for instead of another is that.

    A failure that an earlier call explains has its reason there.
    """
    kept = list(findings)
    for f in findings:
        if f not in kept or not of_any_call(f.verdict.cause):
            continue
        pairs = {(x.symptom.function, x.symptom.seen) for x in f.symptoms}
        own = [other for other in kept if other is not f and _is_of(other, pairs)]
        kept = [x for x in kept if x not in own]
        for other in own:
            kept[kept.index(f)] = f = _joined(f, other)
    return kept


def _is_of(f: Finding, pairs: set[tuple[str, str]]) -> bool:
    of_codes = f.verdict.lapse is None and f.verdict.mismatch is None and f.verdict.kind not in _OTHERWISE
    return of_codes and all((x.symptom.function, x.symptom.seen) in pairs for x in f.symptoms)


_OTHERWISE = frozenset({Kind.DIED, Kind.HUNG, Kind.ROBUSTNESS, Kind.ABSENT, Kind.CALLBACK_MISUSE, Kind.MISSING_ERROR})
"""Kinds of failure that are not that another code was due."""


def _joined(f: Finding, other: Finding) -> Finding:
    return replace(f, symptoms=(*f.symptoms, *other.symptoms), nulls=tuple(sorted({*f.nulls, *other.nulls})))


def one_for_each_constant(model: Model, findings: Sequence[Finding], tally: Tally) -> list[Finding]:
    """The findings, those of a function that always gives the same answer taken together as one."""
    kept = list(findings)
    for name, _ in tally.constants():
        own = [f for f in kept if f.functions == (name,)]
        if len(own) < 2:
            continue
        every = sorted((x for f in own for x in f.symptoms), key=lambda x: len(x.steps))
        least = every[0]
        verdict = replace(least.verdict, kind=Kind.ALWAYS, mismatch=None, lapse=None)
        first = min(every, key=lambda x: x.first_call)
        one = shown(model, verdict, least.steps, first.first_call, first.first_seconds, min(x.confirmed for x in every))
        kept = [f for f in kept if f not in own] + [Finding((one, *every))]
    return kept
