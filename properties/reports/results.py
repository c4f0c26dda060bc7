"""What a check found as a report, reading a report back, and what two reports differ in.

The shape is `p11conform.report/2`; report.schema.json, beside this file, describes it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from ...model.call import Call, arguments, read_call
from ...model.environment import EVENTS, STEPS
from ...model.interpretations import INTERPRETATIONS
from ...model.oracle import Model
from ...model.rule import Rule
from ...model.vocabulary import CKR, Version
from ..engine.verdict import Steps, Verdict
from ..policy import Level, Rights
from ..run.campaign import Budget, Results
from ..run.tally import REACHED, UNTRIED, Tally
from .findings import (
    Finding,
    Recommendation,
    Shown,
    cited,
    explain,
    explain_recommendation,
    explain_rule,
    permitted_text,
    recommendations,
)

SCHEMA = "p11conform.report/2"
OLDER = ("p11conform.report/1",)
"""Shapes that are still read: they hold all that replay and diff need, but do not say how the check was run."""


SHAPE: Final = Path(__file__).with_name("report.schema.json")
"""The shape, as a JSON schema."""

LARGEST: Final = 64_000_000
"""Bytes of a report that are read: what a check writes has less than a million."""


class Unreadable(Exception):
    """A file is not what it should be; the text is one line that says why."""


def content(path: Path, most: int, what: str) -> bytes:
    """All of a file, which is read no further than to see that it is larger than anything of ours.

    Raises:
        Unreadable: if it cannot be read, or has more than so many bytes; `what` is what it should be.
    """
    try:
        with path.open("rb") as file:
            found = file.read(most + 1)
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from None
    if len(found) > most:
        raise Unreadable(f"{path}: more than {most // 1_000_000} MB, which no {what} has")
    return found


def trace_json(steps: Steps) -> list[dict[str, Any]]:
    """A trace: each call with its arguments and what was observed."""
    return [
        {"function": c.function, "arguments": arguments(c, STEPS[c.function].uses), "observed": o.text}
        for c, o in steps
    ]


def finding_json(model: Model, finding: Finding) -> dict[str, Any]:
    """One finding, explained."""
    v = finding.verdict
    return {
        "id": finding.id,
        "verdict": v.outcome.value,
        "kind": v.kind.value if v.kind else "",
        "severity": v.severity.value,
        "function": v.call.function,
        "functions": list(finding.functions),
        "observed": v.observation.text,
        "permitted": list(permitted_text(v)),
        "rules": [rule_json(r) for r in v.rules],
        "interpretations": [f"{id}: {reading}" for id, reading in cited(model, v).items()],
        "trace": trace_json(finding.steps),
        "text": explain(model, v, [x.symptom for x in finding.symptoms], finding.nulls),
        "first_seen_at_call": finding.first_call,
        "first_seen_at_second": round(finding.first_seconds, 3),
        "confirmed": finding.confirmed,
        "nulls": [{"function": function, "argument": argument} for function, argument in finding.nulls],
        "symptoms": [symptom_json(x) for x in finding.symptoms],
        **output_json(v),
        **threads_json(finding.first),
    }


def threads_json(shown: Shown) -> dict[str, Any]:
    """Which steps of a trace were made at a time, where two were."""
    return {} if shown.threads is None else {"threads": asdict(shown.threads)}


def symptom_json(shown: Shown) -> dict[str, Any]:
    """A symptom, with the trace that shows it."""
    x = shown.symptom
    return {
        "id": x.id,
        "function": x.function,
        "observed": x.seen,
        "rows": list(x.rows),
        "situation": list(x.named),
        "permitted": list(permitted_text(shown.verdict)),
        "trace": trace_json(shown.steps),
        "first_seen_at_call": shown.first_call,
        "confirmed": shown.confirmed,
        **output_json(shown.verdict),
        **threads_json(shown),
    }


def output_json(v: Verdict) -> dict[str, Any]:
    """The output that fails, what it was and what it may be; nothing where the answer alone fails."""
    m = v.mismatch
    if m is None:
        return {}
    may_be = {"at_least": m.permitted.start} if isinstance(m.permitted, range) else {"permitted": list(m.permitted)}
    return {"output": {"name": m.output, "seen": m.seen, **may_be}}


def rule_json(rule: Rule) -> dict[str, str]:
    """A row that prevails: its id, its code, where the text says so and what it says."""
    return {
        "id": rule.id,
        "code": str(rule.code),
        "section": rule.place,
        "says": rule.says,
        "why": explain_rule(rule),
    }


def advice_json(model: Model, advice: Recommendation) -> dict[str, Any]:
    """What the text recommends, and the module does not do."""
    seen: Counter[str] = Counter()
    for (_, answer), count in advice.seen.items():
        seen[answer] += count
    return {
        "id": advice.id,
        "function": advice.function,
        "functions": list(advice.functions),
        "observed": dict(sorted(seen.items())),
        "rule": rule_json(advice.rule),
        "order": advice.order,
        "count": sum(seen.values()),
        "trace": trace_json(advice.steps),
        "text": explain_recommendation(model, advice),
    }


def readings_json(results: Results) -> list[dict[str, Any]]:
    """Which way the module went at each open question that it met; `inconsistent` names functions that went both."""
    tally = results.tally
    found: list[dict[str, Any]] = []
    for id in sorted({id for id, _ in tally.followed}):
        codes = {code: n for (i, code), n in sorted(tally.followed.items()) if i == id}
        both = sorted({f for (i, f, _), seen in tally.choices.items() if i == id and len(seen) > 1})
        question = INTERPRETATIONS[id].question
        found.append({"id": id, "question": question, "followed": codes, "inconsistent": both})
    return found


class Note(Enum):
    """What a run noticed of a module that is no finding.

    STUB: functions that are not supported (5.1.6). DEAD: a mechanism that the token offers for a use, and that there
    only ever met trouble of the environment, or was no mechanism after all. INCONSISTENT: an open question of the text
    that one function answers in two ways.
    CONSTANT: functions that always gave the same answer, and it is no success. VERSION: the version that C_GetInfo
    announces, where it is not the one that the module was held to (5.4 C_GetInfo).
    """

    STUB = "stub"
    DEAD = "dead mechanism"
    INCONSISTENT = "inconsistent"
    CONSTANT = "always answers"
    VERSION = "announces version"


def notes_json(results: Results) -> list[dict[str, Any]]:
    """One note for all stubs, for each dead mechanism and for each question answered in two ways."""
    tally, unsupported, ok = results.tally, str(CKR.FUNCTION_NOT_SUPPORTED), str(CKR.OK)
    stubs = sorted({f for f, seen in tally.pairs if seen == unsupported and (f, ok) not in tally.pairs})
    dead: dict[str, set[str]] = {}
    for (function, mechanism), seen in tally.mechanisms.items():
        if ok not in seen and function not in stubs:
            dead.setdefault(mechanism, set()).add(function)
    both = {row["id"]: row["inconsistent"] for row in readings_json(results) if row["inconsistent"]}
    constant: dict[str, list[str]] = {}
    for function, answer in tally.constants():
        if answer not in (ok, unsupported):
            constant.setdefault(answer, []).append(function)
    found = [
        *((Note.STUB, unsupported, stubs) for _ in stubs[:1]),
        *((Note.DEAD, mechanism, sorted(functions)) for mechanism, functions in sorted(dead.items())),
        *((Note.INCONSISTENT, id, functions) for id, functions in both.items()),
        *((Note.CONSTANT, answer, functions) for answer, functions in sorted(constant.items())),
    ]
    return [{"kind": kind.value, "about": about, "functions": functions} for kind, about, functions in found]


def _version_note(module: Mapping[str, Any], held_to: Version) -> list[dict[str, Any]]:
    said = module.get("cryptoki_version", str(held_to))
    if said == str(held_to):
        return []
    return [{"kind": Note.VERSION.value, "about": f"{said}, not {held_to}", "functions": ["C_GetInfo"]}]


def rules_json(results: Results) -> dict[str, Any]:
    """How much of the table gave a code that was seen, and the rows that did not."""
    rows = [(f.name, r.code, r.condition) for f in results.model.functions.values() for r in f.rules]
    unfired = [row for row in rows if row not in results.tally.fired]
    return {
        "fired": len(rows) - len(unfired),
        "total": len(rows),
        "unfired": [{"function": name, "code": str(code), "condition": words} for name, code, words in unfired],
    }


POINTS = 100
"""Points of the curve that a report keeps."""


def classes_json(results: Results) -> dict[str, Any]:
    """How many classes of function, answer and state were seen, when the last new one was, and how they came."""
    curve = results.curve
    step = len(curve) // POINTS + 1
    return {
        "seen": len(curve),
        "last_new_at_call": curve[-1].calls if curve else 0,
        "last_new_at_second": round(curve[-1].seconds, 3) if curve else 0.0,
        "curve": [[p.calls, round(p.seconds, 3), p.classes] for p in (*curve[step - 1 : -1 : step], *curve[-1:])],
    }


@dataclass(frozen=True, slots=True)
class Run:
    """How a check was run: what its results depend on beside the module, the version of the standard and the seed.

    `program` is the version of p11conform, `date` when it began, in UTC. `rights` says what might be done to the token,
    None where that is not known; `token` which one it was, `census` in lines what changed on it, `profile` the file
    that gave the facts about its slots.
    """

    budget: Budget = field(default_factory=Budget)
    jobs: int = 1
    rights: Rights | None = field(default_factory=lambda: Rights(Level.OURS))
    token: Mapping[str, str] = field(default_factory=dict)
    census: tuple[str, ...] = ()
    profile: str | None = None
    program: str = field(default_factory=lambda: version("p11conform"))
    date: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def rights_json(rights: Rights | None) -> dict[str, Any]:
    """What might be done to the token: the level, and a line for each thing that it allows, or that lowered it."""
    return {"level": "none" if rights is None else rights.level.words, "lines": list(rights.lines if rights else ())}


def restores_json(results: Results) -> dict[str, Any]:
    """How often the token was put back, how long that took, and what share that is of the check."""
    tally, seconds = results.tally, results.seconds
    share = tally.restoring / seconds if seconds else 0.0
    return {"times": tally.restores, "seconds": round(tally.restoring, 3), "share": round(share, 3)}


def run_json(run: Run, results: Results) -> dict[str, Any]:
    """How a check was run, how it ended, what was finished and what was left out."""
    return {
        "p11conform": run.program,
        "date": run.date,
        "budget": asdict(run.budget),
        "jobs": run.jobs,
        "rights": rights_json(run.rights),
        "token": {**run.token, "census": list(run.census)},
        "restores": restores_json(results),
        "profile": run.profile,
        "ended": {"how": results.ended.how.value, "why": results.ended.why},
        "phases": [asdict(phase) for phase in results.phases],
        "lost_to_deaths": round(results.lost, 3),
    }


def report_json(results: Results, module: Mapping[str, Any], run: Run | None = None) -> dict[str, Any]:
    """The whole report; `module` says what was tested."""
    tally, model = results.tally, results.model
    pairs = sorted(pair for pair in tally.pairs if pair[0] not in EVENTS)
    events = {name: times for (name, _), times in sorted(tally.pairs.items()) if name in EVENTS}
    return {
        "schema": SCHEMA,
        "run": run_json(run or Run(), results),
        "spec": str(model.version),
        "readings": dict(model.readings),
        "module": dict(module),
        "seed": results.seed,
        "calls": tally.calls,
        "sequences": tally.sequences,
        "seconds": round(results.seconds, 3),
        "reach": results.reach.to_json() if results.reach is not None else None,
        "coverage": {
            "functions": sorted({f for f, _ in pairs}),
            "codes": sorted({code for _, code in pairs}),
            "pairs": [list(pair) for pair in pairs],
            "times": [tally.pairs[pair] for pair in pairs],
            "states": len(tally.states),
            **({"events": events} if events else {}),
            "rules": rules_json(results),
            "classes": classes_json(results),
        },
        "findings": [finding_json(model, f) for f in results.findings],
        "unconfirmed": [
            {"function": x.function, "observed": x.seen, "times": len(x.at_calls), "after_calls": list(x.at_calls)}
            for x in results.unconfirmed
        ],
        "inconclusive": [
            {"function": f, "observed": seen, "why": why, "count": n}
            for (f, seen, why), n in sorted(tally.inconclusive.items())
        ],
        "advice": [advice_json(model, x) for x in recommendations(model, tally)],
        "interpretations": readings_json(results),
        "notes": [*notes_json(results), *_version_note(module, model.version)],
        **({"matrix": matrix_json(tally)} if tally.cells else {}),
    }


def matrix_json(tally: Tally) -> dict[str, Any]:
    """How much of the matrix of operations was reached, and of each row what was not, and why.

    Rows of which nothing was reached, as the mechanism begins nothing there, are told apart and do not count; what the
    budget did not suffice for does.
    """
    missed: dict[str, Counter[str]] = {}
    begun: Counter[str] = Counter()
    for (row, _), how in tally.cells.items():
        if REACHED in how:
            begun[row] += 1
        else:
            missed.setdefault(row, Counter()).update(sorted(how)[:1])
    lacking: list[dict[str, Any]] = [
        {"row": row, "cells": cells, "why": why, "begun": row in begun or why == UNTRIED}
        for row, reasons in missed.items()
        for why, cells in sorted(reasons.items())
    ]
    reached = begun.total()
    cells = reached + sum(row["cells"] for row in lacking if row["begun"])
    return {"cells": cells, "reached": reached, "lacking": lacking}


def read_report(path: Path) -> dict[str, Any]:
    """A report from a file.

    Raises:
        Unreadable: if the file is missing, is not JSON, or is not a report.
    """
    try:
        data: Any = msgspec.json.decode(content(path, LARGEST, "report"))
    except (ValueError, RecursionError):
        raise Unreadable(f"{path}: not JSON; give a report that p11conform check --json wrote") from None
    if not isinstance(data, dict) or data.get("schema") not in (SCHEMA, *OLDER):
        raise Unreadable(f"{path}: not a {SCHEMA}; give a report that p11conform check --json wrote")
    try:
        _check(data)
    except ValueError as error:
        raise Unreadable(f"{path}: damaged: {error}; write it again with p11conform check --json") from None
    return data


def load(path: Path) -> dict[str, Any]:
    """A report from a file that has all that a check writes today, and so can be shown again.

    Raises:
        Unreadable: if the file is missing, is not JSON, or does not have the shape of `SHAPE`.
    """
    data = read_report(path)
    fault = wrong(data)
    if fault is not None:
        raise Unreadable(f"{path}: damaged, or written by another version: {fault}")
    return data


def wrong(data: object) -> str | None:
    """Where something is not a report of today's shape, in a few words; None where it is one."""
    # Imported where it is wanted: a check, which writes reports, does not load it.
    import jsonschema

    validator = jsonschema.Draft202012Validator(msgspec.json.decode(SHAPE.read_bytes()))
    fault = next(validator.iter_errors(data), None)
    return None if fault is None else f"{fault.json_path}: {fault.message[:FEW_LETTERS]}"


FEW_LETTERS: Final = 100
"""What is shown of a fault's own text, which may hold the whole of what is wrong."""


_REPORT = {"spec": str, "readings": dict, "module": dict, "seed": int, "coverage": dict, "findings": list}
_FINDING = {
    "id": str,
    "kind": str,
    "severity": str,
    "function": str,
    "functions": list,
    "observed": str,
    "permitted": list,
    "trace": list,
    "symptoms": list,
}
_SYMPTOM = {"id": str, "function": str, "observed": str, "rows": list, "situation": list, "trace": list}
_STEP = {"function": str, "arguments": dict, "observed": str}
"""The fields that reading a report relies on."""


def _check(data: Any) -> None:
    _has("report", data, _REPORT)
    _has("module", data["module"], {"name": str})
    _has("coverage", data["coverage"], {"pairs": list})
    for pair in data["coverage"]["pairs"]:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, str) for x in pair)):
            raise ValueError(f"coverage: {pair!r} is no pair of a function and a code")
    for finding in data["findings"]:
        _has("finding", {"symptoms": [], **finding} if isinstance(finding, dict) else finding, _FINDING)
        if not all(isinstance(x, str) for x in finding["functions"]):
            raise ValueError("finding: functions holds what is no name")
        for shown in symptoms(finding):
            _has("symptom", shown, _SYMPTOM)
            for step in shown["trace"]:
                _has("step of a trace", step, _STEP)


def _has(what: str, data: Any, fields: Mapping[str, type]) -> None:
    if not isinstance(data, dict):
        raise ValueError(f"{what}: it is no object")
    for name, kind in fields.items():
        if not isinstance(data.get(name), kind):
            raise ValueError(f"{what}: {name} is missing or is no {kind.__name__}")


def symptoms(finding: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The symptoms of a finding; an older report has one for each, which has no id of its own."""
    own: Sequence[Mapping[str, Any]] | None = finding.get("symptoms")
    return own or [{"rows": [], "situation": [], **{name: finding[name] for name in _ALIKE}}]


_ALIKE = ("id", "function", "observed", "permitted", "trace")
"""What a finding has as a symptom has it."""


def seen(finding: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The functions that a finding is about, each with what it was seen to do."""
    return tuple(dict.fromkeys((x["function"], x["observed"]) for x in symptoms(finding)))


def read_trace(finding: Mapping[str, Any]) -> tuple[tuple[Call, str], ...]:
    """The calls of a finding's trace, each with what was observed.

    Raises:
        Unreadable: if a step names a function or an argument that the model does not have.
    """
    found: list[tuple[Call, str]] = []
    for step in finding["trace"]:
        name = step["function"]
        try:
            if name not in STEPS:
                raise ValueError(f"no function of the model is called {name!r}")
            foreign = set(step["arguments"]) - set(STEPS[name].uses)
            if foreign:
                raise ValueError(f"{name} has no argument {min(foreign)!r}")
            call = read_call(name, step["arguments"])
        except ValueError as error:
            raise Unreadable(f"trace of {finding['id']}: {error}") from None
        found.append((call, step["observed"]))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from one report to another: symptoms, each as a finding that has but that one, and pairs.

    `unreached` are findings of the old one whose functions the new one never called: of these it says nothing.
    `unlike` says in words wherein the runs differ, where that may be why the findings do.
    """

    gone: tuple[Mapping[str, Any], ...]
    new: tuple[Mapping[str, Any], ...]
    changed: tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...]
    gained: tuple[tuple[str, str], ...]
    lost: tuple[tuple[str, str], ...]
    unreached: tuple[Mapping[str, Any], ...] = ()
    unlike: tuple[str, ...] = ()


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Difference:
    """What the second of two reports says otherwise than the first."""
    # What one of two reports tells of findings only is compared by these.
    apart = all("symptoms" in f for report in (old, new) for f in report["findings"])
    before, after = (_rows(report, apart=apart) for report in (old, new))
    same = [(before[id], after[id]) for id in before.keys() & after.keys()]
    # The functions of a finding are those that the run happened to see it in.
    watched = ("severity", "observed", "permitted")
    called = {function for function, _ in new["coverage"]["pairs"]}
    left = _of(before, before.keys() - after.keys())
    return Difference(
        gone=tuple(f for f in left if f["function"] in called),
        new=_of(after, after.keys() - before.keys()),
        changed=tuple(
            sorted(((a, b) for a, b in same if any(a[k] != b[k] for k in watched)), key=lambda pair: str(pair[0]["id"]))
        ),
        gained=_pairs(new, old),
        lost=_pairs(old, new),
        unreached=tuple(f for f in left if f["function"] not in called),
        unlike=tuple(_unlike(old, new)),
    )


def _rows(report: Mapping[str, Any], *, apart: bool) -> dict[str, Mapping[str, Any]]:
    """What is compared of a report, by id: its symptoms, each as the finding would be that had but that one."""
    if not apart:
        return {f["id"]: f for f in report["findings"]}
    return {
        x["id"]: {
            **f,
            **{name: x[name] for name in _ALIKE if name != "id"},
            "functions": [x["function"]],
            "symptoms": [x],
        }
        for f in report["findings"]
        for x in symptoms(f)
    }


_COMPARED: Mapping[str, tuple[str, ...]] = {
    "version of p11conform": ("run", "p11conform"),
    "PKCS#11": ("spec",),
    "readings": ("readings",),
    "module": ("module", "name"),
    "adapter": ("module", "adapter"),
    "seconds": ("run", "budget", "seconds"),
    "calls at most": ("run", "budget", "calls"),
    "sequences at most": ("run", "budget", "sequences"),
    "seed": ("seed",),
    "rights": ("run", "rights", "level"),
    "token": ("run", "token", "label"),
    "profile": ("run", "profile"),
    "end": ("run", "ended", "how"),
}
"""What two runs should have alike if their findings are to be compared, and where a report has it."""


def _unlike(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Wherein two runs differ; an older report does not say of most."""
    for name, path in _COMPARED.items():
        a, b = _at(old, path), _at(new, path)
        if a is _UNSAID or b is _UNSAID:
            continue
        if a != b:
            yield name if isinstance(a, dict) or isinstance(b, dict) else f"{name}: {_said(a)}, then {_said(b)}"
    if any(report["schema"] in OLDER for report in (old, new)):
        yield f"a report older than {SCHEMA} does not say how it was run"


_UNSAID = object()


def _at(report: Any, path: Sequence[str]) -> Any:
    for name in path:
        if not isinstance(report, dict) or name not in report:
            return _UNSAID
        report = report[name]
    return report


def _said(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _of(findings: Mapping[str, Mapping[str, Any]], ids: set[str]) -> tuple[Mapping[str, Any], ...]:
    return tuple(findings[id] for id in sorted(ids))


def _pairs(of: Mapping[str, Any], beside: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    def pairs(report: Mapping[str, Any]) -> set[tuple[str, str]]:
        rows: Sequence[Sequence[str]] = report["coverage"]["pairs"]
        return {(row[0], row[1]) for row in rows}

    return tuple(sorted(pairs(of) - pairs(beside)))
