"""The command `waivers`: a file that lets the findings of a report pass, to be gone over by hand."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from ..exits import fail
from ..files import STDOUT, try_place, write_text
from ..properties.reports.results import load
from ..properties.reports.waivers import written

DAYS: Final = 90
"""How long a waiver holds that says nothing else."""


@click.command()
@click.argument("report", type=click.Path(path_type=Path))
@click.option("--reason", default="not looked into yet", show_default=True, help="Why they are let pass.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help=f"The last day.  [default: {DAYS} days from today]")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=STDOUT, help="Write it there.")
def command(report: Path, reason: str, until: datetime | None, output: Path) -> None:
    """Write waivers for all findings of a REPORT; `check --waivers` lets them pass until their day."""
    if not reason.strip():
        fail("--reason: it is empty; say in a few words why the findings are let pass")
    try_place("--output", output)
    last = date.today() + timedelta(DAYS) if until is None else until.date()
    write_text("--output", output, written(load(report), reason, last))
