"""What all forms of a report say in the same words: what was tested and how, how it ended, and the calls of a trace."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ...model.environment import EVENTS, STEPS
from ..run.campaign import How
from .findings import show_call
from .results import read_trace, seen

NAMED: Final = 4
"""Functions of a finding that are named in a line."""

ANSWERS: Final = 2
"""Answers of a finding that are named in a line."""

SEVERITIES: Final = ("high", "medium", "low")
"""As people read them: what matters most first."""

_ENDS: Final = {
    How.FINISHED.value: "the check ran to its end",
    How.SPENT.value: "the check ended as its budget was spent",
    How.INTERRUPTED.value: "NOT FINISHED: the check was interrupted",
    How.GONE.value: "NOT FINISHED: the module cannot be used any more",
    How.FAULT.value: "NOT FINISHED: a fault of p11conform",
}


def times(count: int) -> str:
    """How often, in words."""
    return "once" if count == 1 else f"{count} times"


def at_a_time(threads: Mapping[str, Any]) -> str:
    """Which steps were made at a time, and how often the failure came back of so many tries."""
    one, other = threads["steps"]
    back = f"tried by itself it came back {times(threads['again'])}, of {threads['tries']} tries at most"
    return f"steps {one} and {other} were made at a time, by two threads; {back}"


def few(names: Sequence[str]) -> str:
    """Names in a line, the first of them where there are many."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def seen_in(finding: Mapping[str, Any]) -> str:
    """The functions of a finding with what they did, in a line: those that did the same together."""
    by_answer: dict[str, list[str]] = {}
    for function, answer in seen(finding):
        by_answer.setdefault(answer, []).append(function)
    shown = [f"{few(functions)} → {answer}" for answer, functions in by_answer.items()]
    more = f" and {len(shown) - ANSWERS} more" if len(shown) > ANSWERS else ""
    return "; ".join(shown[:ANSWERS]) + more


def ended(report: Mapping[str, Any]) -> str:
    """How the check came to its end."""
    end = report["run"]["ended"]
    why = f": {end['why']}" if end["why"] else ""
    return f"{_ENDS[end['how']]}{why}"


def cut_short(report: Mapping[str, Any]) -> bool:
    """Whether something other than its budget ended the check."""
    return report["run"]["ended"]["how"] not in (How.FINISHED.value, How.SPENT.value)


def module_name(report: Mapping[str, Any]) -> str:
    """The module with the version that it says it has."""
    module = report["module"]
    return " ".join(str(module[key]) for key in ("name", "library_version") if key in module)


def made(report: Mapping[str, Any]) -> str:
    """How much was done."""
    return (
        f"{report['calls']} calls in {report['sequences']} sequences, {report['seconds']:.1f} s, seed {report['seed']}"
    )


def ran(report: Mapping[str, Any]) -> Iterator[str]:
    """How the check was run, in lines."""
    run = report["run"]
    bounds = {name: run["budget"][name] for name in ("seconds", "calls", "sequences")}
    budget = ", ".join(f"{value:g} {name}" for name, value in bounds.items() if value is not None)
    token = ", ".join(f"{name} {value!r}" for name, value in run["token"].items() if value and name != "census")
    profile = f", profile {run['profile']}" if run["profile"] else ""
    yield f"p11conform {run['p11conform']}, {run['date']}; at most {budget}; jobs: {run['jobs']}"
    yield f"token: {token or 'none'}{profile}"
    yield from (f"rights: {line}" for line in run["rights"]["lines"])
    yield from (f"census: {line}" for line in run["token"].get("census", ()))
    if run["restores"]["times"]:
        share = f"{run['restores']['share']:.0%} of the time"
        yield f"the token was put back {times(run['restores']['times'])}, in {share}"


def covered(report: Mapping[str, Any]) -> Iterator[str]:
    """What the check came to see, in lines."""
    coverage = report["coverage"]
    rules, classes = coverage["rules"], coverage["classes"]
    yield (
        f"covered: {len(coverage['functions'])} functions, {len(coverage['codes'])} codes, "
        f"{len(coverage['pairs'])} (function, code) pairs, {coverage['states']} states, "
        f"{rules['fired']} of {rules['total']} rules fired"
    )
    yield (
        f"told apart: {classes['seen']} classes of function, answer and state; the last new one came at call "
        f"{classes['last_new_at_call']} ({classes['last_new_at_second']:.1f} s)"
    )
    undone = [phase for phase in report["run"]["phases"] if not phase["finished"]]
    if undone:
        yield f"not all of: {'; '.join(map(_phase, undone))}"


def _phase(phase: Mapping[str, Any]) -> str:
    whole = f" of {phase['total']}" if phase["total"] is not None else ""
    return f"{phase['name']} ({phase['done']}{whole} pieces done)"


def steps(finding: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The steps of a finding as a person writes them, each with what was observed; an event has no answer.

    Raises:
        Unreadable: as `read_trace` does.
    """
    for call, answer in read_trace(finding):
        yield show_call(call, STEPS[call.function].uses), "an event" if call.function in EVENTS else answer


def by_severity(report: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The findings, what matters most first."""
    return sorted(report["findings"], key=lambda f: (SEVERITIES.index(f["severity"]), f["id"]))


def closing(report: Mapping[str, Any]) -> str:
    """How many findings there are, and how it all ended."""
    count = len(report["findings"])
    if count:
        return f"{count} finding{'s' if count > 1 else ''}; {ended(report)}"
    none = "no findings" if cut_short(report) else "no findings: conforms, as far as this check went"
    return f"{none}; {ended(report)}"


def reached_share(matrix: Mapping[str, Any]) -> str:
    """How much of the matrix of operations was reached, of what the mechanisms that work have in it."""
    cells, reached = matrix["cells"], matrix["reached"]
    return f"{reached} of {cells} cells reached ({100 * reached / max(cells, 1):.1f} %)"
