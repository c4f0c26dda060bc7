"""A report as text for a terminal: lines in the markup of rich, which a terminal shows in colours.

What a reader must not miss comes first, the findings in full next, and a table of them last. Long lists are cut; the
JSON has them whole.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from rich.markup import escape
from rich.text import Text

from ...run.campaign import CONFIRMATIONS
from ...run.tally import LOGIN, OBJECT, OPERATION, SESSION
from ..phrases import (
    at_a_time,
    closing,
    covered,
    cut_short,
    ended,
    few,
    made,
    module_name,
    ran,
    reached_share,
    seen_in,
    steps,
    times,
)
from ..results import Note

SUFFIX: Final = ".txt"

MANY: Final = 8
"""Lines of a list that are shown."""

_COLOURS: Final = {"high": "red", "medium": "yellow", "low": "cyan"}


def render(report: Mapping[str, Any]) -> str:
    """The whole report, plain."""
    return "".join(f"{Text.from_markup(line).plain}\n" for line in lines(report))


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The whole report, in lines with markup."""
    yield from _head(report)
    yield from _reach(report["reach"])
    for finding in report["findings"]:
        yield from ("", *_finding(finding))
    yield from _advice(report["advice"])
    yield from _lists(report)
    yield from ("", *_closing(report))


def finding_line(finding: Mapping[str, Any]) -> str:
    """A finding in a line."""
    return (
        f"[{_COLOURS.get(finding['severity'], 'white')}]{escape(finding['severity'])}[/] "
        f"[bold]{escape(finding['id'])}[/] "
        f"{escape(finding['kind'])}: {escape(seen_in(finding))}"
    )


def trace_lines(finding: Mapping[str, Any]) -> Iterator[str]:
    """The calls of a finding, numbered, each with what was observed."""
    for n, (call, seen) in enumerate(steps(finding), 1):
        yield f"    {n}. {escape(call)} → {escape(seen)}"


def _head(report: Mapping[str, Any]) -> Iterator[str]:
    name, spoken = escape(str(report["module"]["name"])), escape(module_name(report))
    yield f"[bold]{name}[/]{spoken.removeprefix(name)} against PKCS#11 {report['spec']}: {made(report)}"
    if "faults" in report["module"]:
        yield f"[bold]made to fail: {escape('; '.join(report['module']['faults']))}[/]"
    if cut_short(report):
        yield f"[bold red]{escape(ended(report))}[/]"
    yield from (escape(line) for line in chain(ran(report), covered(report)))


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


def _finding(finding: Mapping[str, Any]) -> Iterator[str]:
    yield finding_line(finding)
    yield from (f"    {escape(line)}" for line in finding["text"].splitlines())
    yield f"    permitted: {escape(', '.join(finding['permitted']) or 'nothing')}"
    if "threads" in finding:
        yield f"    {at_a_time(finding['threads'])}"
    elif finding["confirmed"] < CONFIRMATIONS:
        yield f"    confirmed by itself in a fresh process only {times(finding['confirmed'])} of {CONFIRMATIONS}"
    yield from trace_lines(finding)


def _advice(advice: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is only recommended, most often not followed first: no failures, and not counted as such."""
    if not advice:
        return
    yield from ("", "[bold]Advice[/] (the text recommends it, which is no finding):")
    for row in sorted(advice, key=lambda row: (-row["count"], row["id"]))[:MANY]:
        yield f"[bold]{escape(row['id'])}[/] {escape(few(row['functions']))}, {times(row['count'])}"
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
        _matrix(report),
        _cut(
            "[bold]Notes[/] (no findings):",
            (f"{note['kind']}: {note['about']} in {few(note['functions'])}" for note in report["notes"]),
        ),
    )


def _matrix(report: Mapping[str, Any]) -> Iterator[str]:
    """How much of the matrix of operations was reached, and what was not."""
    if matrix := report.get("matrix"):
        lacking = sorted(matrix["lacking"], key=lambda x: (x["begun"], -x["cells"]))
        yield from ("", f"[bold]Matrix of operations[/]: {reached_share(matrix)}")
        rows = (
            f"{x['row']}, {'' if x['begun'] else 'all '}{x['cells']} cells not reached: {x['why']}" for x in lacking
        )
        yield from list(_cut("", rows, space=False))[1:]


def _closing(report: Mapping[str, Any]) -> Iterator[str]:
    """The table of findings, and in a line how it all ended."""
    findings = report["findings"]
    rows = [(f["id"], f["severity"], f["kind"], f["observed"], few(f["functions"])) for f in findings]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        colour = _COLOURS.get(row[1], "white")
        yield f"[{colour}]{escape('  '.join(cells).rstrip())}[/]"
    yield escape(closing(report))
