"""The command `diff`: two reports compared."""

from collections.abc import Iterator
from pathlib import Path

import click
from rich.markup import escape

from ..console import out
from ..exits import Exit
from ..properties.reports.render.text import finding_line
from ..properties.reports.results import Difference, difference, read_report


@click.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
def command(old: Path, new: Path) -> None:
    """Compare the reports of two versions of a module. Exits with 1 if NEW holds findings that OLD did not."""
    d = difference(read_report(old), read_report(new))
    for line in _lines(d):
        out.print(line)
    raise SystemExit(Exit.FINDINGS if d.new else Exit.CONFORMS)


def _lines(d: Difference) -> Iterator[str]:
    if d.unlike:
        yield f"the runs are not alike, which may be why findings differ: {escape('; '.join(d.unlike))}"
    for title, findings in (("new", d.new), ("gone", d.gone), ("not reached", d.unreached)):
        yield from (f"{title}: {finding_line(finding)}" for finding in findings)
    for before, after in d.changed:
        yield f"changed: {finding_line(before)}"
        yield f"      now {finding_line(after)}"
    for title, pairs in (("gained", d.gained), ("lost", d.lost)):
        yield from (f"{title}: {escape(function)} → {escape(code)}" for function, code in pairs)
    if not (d.new or d.gone or d.unreached or d.changed or d.gained or d.lost):
        yield "no difference"
