"""The command `show`: a report that a check wrote, once more, in any format."""

from pathlib import Path

import click

from ..console import out
from ..files import STDOUT, write_text
from ..properties.reports import render
from ..properties.reports.render import text as as_text
from ..properties.reports.results import load
from ..targets import report_option, targets, try_places, write_all


@click.command()
@click.argument("report", type=click.Path(path_type=Path))
@click.option("--as", "format", type=click.Choice(render.names()), help="Print it in this format.  [default: text]")
@report_option
def command(report: Path, format: str | None, reports: tuple[str, ...]) -> None:
    """Print a REPORT that `check --json` wrote, or write it to files in other formats."""
    places = targets(reports)
    try_places(places)
    data = load(report)
    failed = write_all(data, places)
    if failed is not None:
        raise failed
    if format is not None:
        write_text("--as", STDOUT, render.named(format).render(data))
    elif not places:
        out.print("\n".join(as_text.lines(data)))
