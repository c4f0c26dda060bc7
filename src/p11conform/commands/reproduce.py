"""The command `reproduce`: a finding of a report as a program that wants nothing of ours."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path

import click

from ..adapters.calls.table import CALLS
from ..adapters.script import Step, steps
from ..adapters.script_c import Told, c_program
from ..adapters.script_python import python_program
from ..exits import fail
from ..files import STDOUT, try_place, write_text
from ..options import see_that_one_thread_shows
from ..properties.reports.phrases import module_name
from ..properties.reports.results import load, read_trace


class _Language(Enum):
    """What a program is written in."""

    C = "c"
    PYTHON = "python"


_WRITES: Mapping[_Language, Callable[[Sequence[Step], Told], str]] = {
    _Language.C: c_program,
    _Language.PYTHON: python_program,
}


@click.command()
@click.argument("report", type=click.Path(path_type=Path))
@click.argument("finding")
@click.option("--as", "language", type=click.Choice([x.value for x in _Language]), default="c", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=STDOUT, help="Write it there.")
def command(report: Path, finding: str, language: str, output: Path) -> None:
    """Write the FINDING of a REPORT as a program that shows it on a module that it is given.

    The program holds no PIN: it reads P11CONFORM_PIN and P11CONFORM_SO_PIN. It exits with 1 where the divergence shows,
    0 where it does not, and 2 where it could not be run.
    """
    try_place("--output", output)
    data = load(report)
    chosen = next((f for f in data["findings"] if f["id"] == finding), None)
    if chosen is None:
        known = ", ".join(f["id"] for f in data["findings"]) or "none"
        fail(f"{report}: holds no finding {finding}; its ids: {known}")
    see_that_one_thread_shows([chosen], data)
    trace = read_trace(chosen)
    beside = next((call.function for call, _ in trace if call.function not in CALLS), None)
    if beside is not None:
        fail(f"{report}: in {finding} {beside} happens, which no program can make happen; see the command replay")
    text = (line for line in chosen["text"].splitlines() if line.strip())
    about = f"{finding}, {chosen['kind']}: {module_name(data)} against PKCS#11 {data['spec']}"
    told = Told((" ".join(about.split()), *(" ".join(line.split()) for line in text)), tuple(chosen["permitted"]))
    write_text("--output", output, _WRITES[_Language(language)](steps(trace), told))
