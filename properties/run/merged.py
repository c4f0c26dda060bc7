"""Findings that are one after all: what was met apart is told together, with every symptom as it was."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ...model.oracle import Model
from ...model.vocabulary import REFUSE_OBJECTS
from ..engine.verdict import Cause, Kind, Verdict, explains, of_any_call
from ..reports.findings import Finding, Shown, shown
from .tally import Tally


def one_for_each_cause(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, those that are told by one cause taken together: what was met first comes first.

    So are those with further situations beside that of another one, and its answer.
    """
    kept: dict[Cause, Finding] = {}
    for f in findings:
        cause = f.verdict.told
        kept[cause] = _joined(kept[cause], f) if cause in kept else f
    for cause, f in list(kept.items()):
        whole = next((x for x, other in kept.items() if explains(x, cause) and _alike(f, other)), None)
        if whole is not None:
            kept[whole] = _joined(kept[whole], kept.pop(cause))
    return list(kept.values())


def _alike(f: Finding, other: Finding) -> bool:
    return f.verdict.observation.text == other.verdict.observation.text


def one_for_each_answer(findings: Sequence[Finding]) -> list[Finding]:
    """The findings; where a function gives a code for no reason, all that it gives it for instead of another is that.

    A failure that an earlier call explains has its reason there; where that is that an object is not there after all,
    the function cannot tell of anything else either.
    """
    kept = list(findings)
    for f in [x for x in findings if _for_no_reason(x.verdict)]:
        pairs = {(x.symptom.function, x.symptom.seen) for x in f.symptoms}
        for other in [x for x in kept if x is not f and not _for_no_reason(x.verdict)]:
            own = tuple(x for x in other.symptoms if _is_of(x, pairs))
            rest = tuple(x for x in other.symptoms if x not in own)
            if own:
                at = kept.index(other)
                kept[at : at + 1] = [replace(other, symptoms=rest)] if rest else []
                k = kept.index(f)
                kept[k] = f = replace(f, symptoms=(*f.symptoms, *own))
    return kept


def _for_no_reason(v: Verdict) -> bool:
    return of_any_call(v.cause) or (v.lapse is not None and not v.rules and v.observation.code in REFUSE_OBJECTS)


def _is_of(x: Shown, pairs: set[tuple[str, str]]) -> bool:
    v = x.verdict
    of_codes = v.lapse is None and v.mismatch is None and v.kind not in _OTHERWISE
    return of_codes and (x.symptom.function, x.symptom.seen) in pairs


_OTHERWISE = frozenset(
    {Kind.DIED, Kind.HUNG, Kind.ROBUSTNESS, Kind.ABSENT, Kind.CALLBACK_MISUSE, Kind.BUFFER_MISUSE, Kind.MISSING_ERROR}
)
"""Kinds of failure that are not that another code was due."""


def _joined(f: Finding, other: Finding) -> Finding:
    return replace(f, symptoms=(*f.symptoms, *other.symptoms), nulls=tuple(sorted({*f.nulls, *other.nulls})))


def one_for_each_constant(model: Model, findings: Sequence[Finding], tally: Tally) -> list[Finding]:
    """The findings, those of a function that always gives the same answer taken together as one."""
    kept = list(findings)
    for name, _ in tally.constants():
        own = [f for f in kept if f.functions == (name,)]
        if sum(len(f.symptoms) for f in own) < 2:
            continue
        every = sorted((x for f in own for x in f.symptoms), key=lambda x: len(x.steps))
        least = every[0]
        verdict = replace(least.verdict, kind=Kind.ALWAYS, mismatch=None, lapse=None)
        first = min(every, key=lambda x: x.first_call)
        one = shown(model, verdict, least.steps, first.first_call, first.first_seconds, min(x.confirmed for x in every))
        kept = [f for f in kept if f not in own] + [Finding((one, *every))]
    return kept


def joined(told: Iterable[Finding], findings: Sequence[Finding]) -> Iterator[tuple[Finding, Finding]]:
    """Findings told on the way that are no findings of their own in the end, each with the one that it is a part of."""
    own = {f.id for f in findings}
    for finding in told:
        if finding.id not in own:
            yield finding, next(f for f in findings if finding.first in f.symptoms)
