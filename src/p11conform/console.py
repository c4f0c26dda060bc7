"""What the command line shows: progress while a check runs, and results for people to read."""

import json
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from .model.oracle import Model
from .model.table import TABLE
from .properties.reports.findings import show_call
from .properties.reports.results import Difference, Note, read_trace
from .properties.run.campaign import Progress

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

PLAIN_EVERY = 5.0
"""Seconds between two progress lines where no terminal can rewrite one."""

_COLOURS = {"high": "red", "medium": "yellow", "low": "cyan"}


class Display:
    """One line of progress: rewritten on a terminal, now and then a new one elsewhere."""

    def __init__(self) -> None:
        self._live = Live(console=err, transient=True, refresh_per_second=8) if err.is_terminal else None
        self._last = time.monotonic()

    def context(self) -> AbstractContextManager[object]:
        """Keeps the line on the screen while the check runs."""
        return self._live if self._live is not None else nullcontext()

    def __call__(self, progress: Progress) -> None:
        """Show how far the check is."""
        self.say(
            f"{progress.phase}: {progress.calls} calls, {progress.states} states, "
            f"{progress.fired} rules fired, {progress.findings} findings"
        )

    def say(self, line: str) -> None:
        """Show a line of progress."""
        if self._live is not None:
            self._live.update(Text(line))
        elif time.monotonic() - self._last > PLAIN_EVERY:
            self._last = time.monotonic()
            print(line, file=sys.stderr, flush=True)


def waiting(text: str) -> AbstractContextManager[object]:
    """Says what takes long while it does."""
    if err.is_terminal:
        return err.status(text)
    print(text, file=sys.stderr, flush=True)
    return nullcontext()


def fail(text: str) -> NoReturn:
    """End with a line that says what is wrong with the command, and with the exit code for that."""
    err.print(f"p11conform: {text}", markup=False)
    raise SystemExit(2)


def check_json_file(path: Path | None) -> None:
    """End the command before its work where a file for results has no directory."""
    if path is not None and not path.parent.is_dir():
        fail(f"--json {path}: there is no directory {path.parent}")


def write_json(path: Path | None, data: Any) -> None:
    """Write results where a file for them is given."""
    if path is not None:
        try:
            path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            fail(f"--json {path}: {error.strerror}")


def times(count: int) -> str:
    """How often, in words."""
    return "once" if count == 1 else f"{count} times"


def finding_line(finding: Mapping[str, Any]) -> str:
    """A finding in a line, with markup."""
    colour = _COLOURS.get(finding["severity"], "white")
    where = ", ".join(finding["functions"] or [finding["function"]])
    return (
        f"[{colour}]{finding['severity']}[/] [bold]{finding['id']}[/] "
        f"{escape(finding['kind'])}: {escape(where)} → {escape(finding['observed'])}"
    )


def show_trace(finding: Mapping[str, Any]) -> None:
    """The calls of a finding, numbered, each with what was observed."""
    for n, (call, seen) in enumerate(read_trace(finding), 1):
        out.print(f"    {n}. {escape(show_call(call, TABLE[call.function].uses))} → {escape(seen)}")


def show_report(report: Mapping[str, Any]) -> None:
    """A whole report as text."""
    module, coverage = report["module"], report["coverage"]
    version = f" {module['library_version']}" if "library_version" in module else ""
    out.print(
        f"[bold]{escape(str(module['name']))}[/]{escape(version)} against PKCS#11 {report['spec']}: "
        f"{report['calls']} calls in {report['sequences']} sequences, {report['seconds']:.1f} s, seed {report['seed']}"
    )
    rules = coverage["rules"]
    out.print(
        f"covered: {len(coverage['functions'])} functions, {len(coverage['codes'])} codes, "
        f"{len(coverage['pairs'])} (function, code) pairs, {report['states']} states, "
        f"{rules['fired']} of {rules['total']} rules fired"
    )
    classes = coverage["classes"]
    out.print(
        f"told apart: {classes['seen']} classes of function, answer and state; the last new one came at call "
        f"{classes['last_new_at_call']} ({classes['last_new_at_second']:.1f} s)"
    )
    for name in ("rights", "token"):
        for line in module.get(name, ()):
            out.print(f"{name}: {escape(line)}")
    for finding in report["findings"]:
        out.print()
        out.print(finding_line(finding))
        for line in finding["text"].splitlines():
            out.print(f"    {escape(line)}")
        out.print(f"    permitted: {escape(', '.join(finding['permitted']) or 'nothing')}")
        show_trace(finding)
    stubs = {name for note in report["notes"] if note["kind"] == Note.STUB.value for name in note["functions"]}
    inconclusive = [row for row in report["inconclusive"] if row["function"] not in stubs]
    if inconclusive:
        out.print()
        out.print("[bold]Inconclusive[/] (legal, and proves nothing):")
        for row in inconclusive:
            out.print(f"    {row['function']} → {row['observed']}, {times(row['count'])}: {escape(row['why'])}")
    if report["advice"]:
        out.print()
        out.print("[bold]Advice[/] (the text says 'should'):")
        for row in report["advice"]:
            out.print(
                f"    {row['function']}: {row['code']} when {row['condition']} (section {row['section']}) "
                f"was not given, {times(row['count'])}"
            )
    if report["interpretations"]:
        out.print()
        out.print("[bold]Open questions of the text[/], and what the module does:")
        for row in report["interpretations"]:
            codes = ", ".join(f"{code} {times(n)}" for code, n in row["followed"].items())
            out.print(f"    {row['id']} {escape(row['question'])} {escape(codes)}")
    if report["notes"]:
        out.print()
        out.print("[bold]Notes[/] (no findings):")
        for note in report["notes"]:
            out.print(f"    {note['kind']}: {escape(note['about'])} in {', '.join(note['functions'])}")
    out.print()
    n = len(report["findings"])
    out.print("no findings: conforms, as far as this check went" if n == 0 else f"{n} finding{'s' if n > 1 else ''}")


def show_difference(d: Difference) -> None:
    """What changed between two reports."""
    for title, findings in (("new", d.new), ("gone", d.gone)):
        for finding in findings:
            out.print(f"{title}: {finding_line(finding)}")
    for before, after in d.changed:
        out.print(f"changed: {finding_line(before)}")
        out.print(f"      now {finding_line(after)}")
    for title, pairs in (("gained", d.gained), ("lost", d.lost)):
        for function, code in pairs:
            out.print(f"{title}: {function} → {code}")
    if not (d.new or d.gone or d.changed or d.gained or d.lost):
        out.print("no difference")


def rule_table(model: Model, function: str, code: str | None) -> Table:
    """The rows of a function, one code's or all."""
    table = Table(title=f"{function}, PKCS#11 {model.version}", title_justify="left")
    table.add_column("code", no_wrap=True)
    for heading in ("when", "strength", "section", "reading"):
        table.add_column(heading)
    for r in model.functions[function].rules:
        if code is None or str(r.code) == code:
            reading = f"{r.reading}: {model.readings[r.reading]}" if r.reading else ""
            table.add_row(str(r.code), r.condition, r.strength.value, r.place, reading)
    return table
