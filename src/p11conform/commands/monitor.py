"""The command `monitor`: recorded calls judged as they are read, each violation told when it comes."""

from pathlib import Path

import click

from ..console import out
from ..files import try_place
from ..judging import Judge, Judged
from ..options import model_of
from ..properties.engine.partial import Partial
from ..recorded import violation_lines
from .judge import finish, judged, opened_log, options


@click.command()
@options
@click.option("--follow", is_flag=True, help="Wait for more at the end of the log, until it is interrupted.")
def command(
    log: Path,
    spec: str,
    readings: tuple[str, ...],
    json_file: Path | None,
    shared: bool,
    callers: bool,
    follow: bool,
) -> None:
    """Judge the calls of LOG as `judge` does, and tell of each violation as soon as it is read.

    With --follow a log that is still written is watched. Exit codes are those of `judge`.
    """
    try_place("--json", json_file)
    model = model_of(spec, readings)
    opened = opened_log(log, follow=follow)

    def show(found: Judged) -> None:
        for line in violation_lines(found, model):
            out.print(line, markup=False)

    judgement = judged(opened, Judge(Partial(model), shared=shared), log, show)
    finish(judgement, model, log, opened, json_file, callers=callers, shown=True)
