"""A report as Markdown, as forges and chats show it: a summary, a table of findings, and each of them in full."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from ..phrases import (
    at_a_time,
    by_severity,
    closing,
    covered,
    cut_short,
    ended,
    few,
    made,
    module_name,
    ran,
    reached_share,
    steps,
    times,
)

SUFFIX: Final = ".md"

_NAMES: Final = re.compile(r"\b(?:C|CK|CKA|CKF|CKM|CKO|CKR|CKU)_\w+\b")
"""Names of the standard, which are shown as code."""

_MEANING: Final = re.compile(r"[\\`*_{}\[\]<>|~#&$!]")
"""Letters that mean something to one reader of Markdown or another."""


def render(report: Mapping[str, Any]) -> str:
    """The whole report but for what only the JSON has whole."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"# {_said(module_name(report))} against PKCS\\#11 {report['spec']}", "")
    yield from (f"**{_said(closing(report))}**", "", f"{_said(made(report))}", "")
    warnings = list(_warnings(report))
    yield from (f"> **{_said(line)}**  " for line in warnings)
    yield from ([""] if warnings else [])
    findings = by_severity(report)
    if findings:
        yield from _table(
            ("finding", "severity", "kind", "observed", "functions"),
            (
                (f"[{f['id']}](#{f['id'].lower()})", f["severity"], f["kind"], _said(f["observed"]), _said(_few(f)))
                for f in findings
            ),
        )
    yield from _list("How it was run, and what it saw", map(_said, chain(ran(report), covered(report))))
    if findings:
        yield from ("", "## Findings")
        for finding in findings:
            yield from _finding(finding)
    if report["advice"]:
        yield from ("", "## Advice", "", "The text recommends it, which is no finding.")
        for advice in report["advice"]:
            heading = f"{advice['id']}: {_few(advice)}, {times(advice['count'])}"
            yield from _told(heading, advice)
    yield from _list(
        "Seen, but not confirmed",
        (
            f"{_said(row['function'])} → {_said(row['observed'])}, {times(row['times'])}"
            for row in report["unconfirmed"]
        ),
    )
    yield from _list(
        "Open questions of the text, and what the module does",
        (
            f"{row['id']} {_said(row['question'])} {', '.join(f'`{code}` {times(n)}' for code, n in seen.items())}"
            for row in report["interpretations"]
            if (seen := row["followed"])
        ),
    )
    if matrix := report.get("matrix"):
        yield from ("", f"Matrix of operations: {reached_share(matrix)}.")
    yield from _list(
        "Notes",
        (f"{row['kind']}: {_said(row['about'])} in {_said(few(row['functions']))}" for row in report["notes"]),
    )


def _warnings(report: Mapping[str, Any]) -> Iterator[str]:
    """What a reader must not miss."""
    if cut_short(report):
        yield ended(report)
    for line in (report["reach"] or {}).get("poor", ()):
        yield f"THIS RUN PROVES LITTLE: {line}"


def _few(finding: Mapping[str, Any]) -> str:
    return few(finding["functions"])


def _finding(finding: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f'<a id="{finding["id"].lower()}"></a>')
    yield from _told(f"{finding['id']}: {finding['kind']}, {finding['severity']}", finding)
    permitted = ", ".join(f"`{code}`" for code in finding["permitted"]) or "nothing"
    back = f"Confirmed {times(finding['confirmed'])} of 3."
    yield from ("", f"Permitted: {permitted}. {at_a_time(finding['threads']) if 'threads' in finding else back}")


def _told(heading: str, finding: Mapping[str, Any]) -> Iterator[str]:
    """The text and the trace of a finding, under a heading."""
    yield from ("", f"### {_said(heading)}", "")
    for line in finding["text"].splitlines():
        item = line.strip().startswith("- ")
        yield f"- {_said(line.strip()[2:])}" if item else f"{_said(line)}  "
    trace = [f"{n}. {call} → {seen}" for n, (call, seen) in enumerate(steps(finding), 1)]
    if trace:
        fence = "`" * (3 + max((len(x) for line in trace for x in re.findall("`+", line)), default=0))
        yield from ("", f"{fence}text", *(" ".join(line.splitlines()) for line in trace), fence)


def _list(title: str, rows: Iterable[str]) -> Iterator[str]:
    """A list that is folded at first."""
    all_rows = list(rows)
    if all_rows:
        yield from ("", f"<details><summary>{title}</summary>", "", *(f"- {row}" for row in all_rows), "", "</details>")


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for cells in (headings, ["---"] * len(headings), *rows):
        yield f"| {' | '.join(cells)} |"


def _said(text: str) -> str:
    """A text in which nothing is taken for markup, and names of the standard are code."""
    flat, at, parts = " ".join(text.splitlines()), 0, list[str]()
    for name in _NAMES.finditer(flat):
        parts += [_MEANING.sub(r"\\\g<0>", flat[at : name.start()]), f"`{name.group()}`"]
        at = name.end()
    return "".join((*parts, _MEANING.sub(r"\\\g<0>", flat[at:])))
