"""A report as text for a terminal: lines in the markup of rich, which a terminal shows in colours.

What a reader must not miss comes first, the findings in full next, and a table of them last. Long lists are cut; the
JSON has them whole.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from rich.markup import escape

from ....model.environment import STEPS
from ...run.campaign import CONFIRMATIONS, How
from ...run.tally import LOGIN, OBJECT, OPERATION, SESSION
from ..findings import show_step
from ..results import Note, read_trace

MANY: Final = 8
"""Lines of a list that are shown."""

NAMED: Final = 4
"""Functions of a finding that are named in a line."""

_COLOURS: Final = {"high": "red", "medium": "yellow", "low": "cyan"}
_ENDS: Final = {
    How.FINISHED.value: "the check ran to its end",
    How.SPENT.value: "the check ended as its budget was spent",
    How.INTERRUPTED.value: "NOT FINISHED: the check was interrupted",
    How.GONE.value: "NOT FINISHED: the module cannot be used any more",
    How.FAULT.value: "NOT FINISHED: a fault of p11conform",
}


def render(report: Mapping[str, Any]) -> str:
    """The whole report."""
    return "\n".join(lines(report)) + "\n"


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The whole report, in lines."""
    yield from _head(report)
    yield from _reach(report["reach"])
    for finding in report["findings"]:
        yield from ("", *_finding(finding))
    yield from _advice(report["advice"])
    yield from _lists(report)
    yield from ("", *_closing(report))


def times(count: int) -> str:
    """How often, in words."""
    return "once" if count == 1 else f"{count} times"


def finding_line(finding: Mapping[str, Any]) -> str:
    """A finding in a line."""
    functions = finding["functions"] or [finding["function"]]
    return (
        f"[{_COLOURS.get(finding['severity'], 'white')}]{escape(finding['severity'])}[/] "
        f"[bold]{escape(finding['id'])}[/] "
        f"{escape(finding['kind'])}: {escape(_few(functions))} → {escape(finding['observed'])}"
    )


def trace_lines(finding: Mapping[str, Any]) -> Iterator[str]:
    """The calls of a finding, numbered, each with what was observed."""
    for n, (call, seen) in enumerate(read_trace(finding), 1):
        yield f"    {n}. {escape(show_step(call, STEPS[call.function].uses, seen))}"


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _ended(report: Mapping[str, Any]) -> str:
    ended = report["run"]["ended"]
    why = f": {ended['why']}" if ended["why"] else ""
    return f"{_ENDS[ended['how']]}{why}"


def _cut_short(report: Mapping[str, Any]) -> bool:
    return report["run"]["ended"]["how"] not in (How.FINISHED.value, How.SPENT.value)


def _head(report: Mapping[str, Any]) -> Iterator[str]:
    module, coverage, run = report["module"], report["coverage"], report["run"]
    version = f" {module['library_version']}" if "library_version" in module else ""
    yield (
        f"[bold]{escape(str(module['name']))}[/]{escape(version)} against PKCS#11 {report['spec']}: "
        f"{report['calls']} calls in {report['sequences']} sequences, {report['seconds']:.1f} s, seed {report['seed']}"
    )
    if _cut_short(report):
        yield f"[bold red]{escape(_ended(report))}[/]"
    bounds = {name: run["budget"][name] for name in ("seconds", "calls", "sequences")}
    budget = ", ".join(f"{value:g} {name}" for name, value in bounds.items() if value is not None)
    token = ", ".join(f"{name} {value!r}" for name, value in run["token"].items() if value and name != "census")
    profile = f", profile {run['profile']}" if run["profile"] else ""
    yield escape(f"p11conform {run['p11conform']}, {run['date']}; at most {budget}; jobs: {run['jobs']}")
    yield escape(f"token: {token or 'none'}{profile}")
    yield from (escape(f"rights: {line}") for line in run["rights"]["lines"])
    yield from (escape(f"census: {line}") for line in run["token"]["census"])
    if run["restores"]["times"]:
        share = f"{run['restores']['share']:.0%} of the time"
        yield escape(f"the token was put back {times(run['restores']['times'])}, in {share}")
    rules = coverage["rules"]
    yield (
        f"covered: {len(coverage['functions'])} functions, {len(coverage['codes'])} codes, "
        f"{len(coverage['pairs'])} (function, code) pairs, {coverage['states']} states, "
        f"{rules['fired']} of {rules['total']} rules fired"
    )
    classes = coverage["classes"]
    yield (
        f"told apart: {classes['seen']} classes of function, answer and state; the last new one came at call "
        f"{classes['last_new_at_call']} ({classes['last_new_at_second']:.1f} s)"
    )
    undone = [phase for phase in run["phases"] if not phase["finished"]]
    if undone:
        yield f"not all of: {escape('; '.join(map(_phase, undone)))}"


def _reach(reach: Mapping[str, Any] | None) -> Iterator[str]:
    """What could be reached of the module, and loudly where that is little."""
    if reach is None:
        return
    for line in reach["poor"]:
        yield f"[bold red]THIS RUN PROVES LITTLE: {escape(line)}[/]"
    made: dict[str, list[str]] = {sort: [] for sort in (SESSION, LOGIN, OBJECT, OPERATION)}
    for row in reach["made"]:
        made[row["sort"]].append(row["what"])
    objects = sorted({what.partition(",")[0] for what in made[OBJECT]})
    yield (
        f"reached: sessions {', '.join(made[SESSION]) or 'none'}; logged in: {', '.join(made[LOGIN]) or 'nobody'}; "
        f"objects made: {escape(', '.join(objects) or 'none')}; operations begun: {len(made[OPERATION])} kinds"
    )
    every = len(reach["succeeded"]) + len(reach["never"])
    yield f"returned CKR_OK at least once: {len(reach['succeeded'])} of {every} functions"
    yield from _cut(
        "[bold]Never returned CKR_OK[/]:", (f"{name}: {why}" for name, why in reach["never"].items()), space=False
    )
    yield from _cut("[bold]Refused[/], and planned round:", _refusals(reach["refused"]), space=False)


def _refusals(refused: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What was refused, a line for each function and answer with one of the ways it was called."""
    alike: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in refused:
        alike.setdefault((row["function"], row["observed"]), []).append(row)
    for (function, seen), (first, *others) in alike.items():
        login = f" as {first['login']}" if first["login"] else ""
        more = f", and so in {len(others)} other ways of calling it" if others else ""
        yield f"{function}({first['arguments']}){login} → {seen}{more}"


def _phase(phase: Mapping[str, Any]) -> str:
    whole = f" of {phase['total']}" if phase["total"] is not None else ""
    return f"{phase['name']} ({phase['done']}{whole} pieces done)"


def _finding(finding: Mapping[str, Any]) -> Iterator[str]:
    yield finding_line(finding)
    yield from (f"    {escape(line)}" for line in finding["text"].splitlines())
    yield f"    permitted: {escape(', '.join(finding['permitted']) or 'nothing')}"
    if finding["confirmed"] < CONFIRMATIONS:
        yield f"    confirmed by itself in a fresh process only {times(finding['confirmed'])} of {CONFIRMATIONS}"
    yield from trace_lines(finding)


def _advice(advice: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is only recommended, most often not followed first: no failures, and not counted as such."""
    if not advice:
        return
    yield from ("", "[bold]Advice[/] (the text recommends it, which is no finding):")
    for row in sorted(advice, key=lambda row: (-row["count"], row["id"]))[:MANY]:
        yield f"[bold]{escape(row['id'])}[/] {escape(_few(row['functions']))}, {times(row['count'])}"
        yield from (f"    {escape(line)}" for line in row["text"].splitlines())
        yield from trace_lines(row)
    if len(advice) > MANY:
        yield f"… and {len(advice) - MANY} more, which --json has"


def _cut(title: str, rows: Iterable[str], *, space: bool = True) -> Iterator[str]:
    """A list under its title, after an empty line if there is to be `space`; its end left to the JSON where long."""
    all_rows = list(rows)
    if all_rows:
        yield from (*([""] if space else []), title, *(f"    {escape(row)}" for row in all_rows[:MANY]))
        if len(all_rows) > MANY:
            yield f"    … and {len(all_rows) - MANY} more, which --json has"


def _lists(report: Mapping[str, Any]) -> Iterator[str]:
    stubs = {name for note in report["notes"] if note["kind"] == Note.STUB.value for name in note["functions"]}
    inconclusive = sorted(
        (row for row in report["inconclusive"] if row["function"] not in stubs), key=lambda row: -row["count"]
    )
    yield from chain(
        _cut(
            "[bold]Seen, but not confirmed[/] (no findings; they did not come back by themselves):",
            (
                f"{r['function']} → {r['observed']}, {times(r['times'])}, first after {r['after_calls'][0]} calls"
                for r in report["unconfirmed"]
            ),
        ),
        _cut(
            "[bold]Inconclusive[/] (legal, and proves nothing):",
            (f"{r['function']} → {r['observed']}, {times(r['count'])}: {r['why']}" for r in inconclusive),
        ),
        _cut(
            "[bold]Open questions of the text[/], and what the module does:",
            (
                f"{r['id']} {r['question']} {', '.join(f'{code} {times(n)}' for code, n in r['followed'].items())}"
                for r in report["interpretations"]
            ),
        ),
        _cut(
            "[bold]Notes[/] (no findings):",
            (f"{note['kind']}: {note['about']} in {_few(note['functions'])}" for note in report["notes"]),
        ),
    )


def _closing(report: Mapping[str, Any]) -> Iterator[str]:
    """The table of findings, and in a line how it all ended."""
    findings = report["findings"]
    rows = [(f["id"], f["severity"], f["kind"], f["observed"], _few(f["functions"])) for f in findings]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        colour = _COLOURS.get(row[1], "white")
        yield f"[{colour}]{escape('  '.join(cells).rstrip())}[/]"
    if not findings:
        conforms = "no findings" if _cut_short(report) else "no findings: conforms, as far as this check went"
        yield f"{conforms}; {escape(_ended(report))}"
    else:
        yield f"{len(findings)} finding{'s' if len(findings) > 1 else ''}; {escape(_ended(report))}"
