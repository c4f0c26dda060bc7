"""The command `replay`: traces of a report, once more."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import click

from ..adapters.private import sweep
from ..console import out
from ..exits import Exit, fail
from ..model.call import Call
from ..model.oracle import Model, build, suffering
from ..model.vocabulary import Version
from ..opened import opened
from ..options import Opening, module_options, one_token, see_that_one_thread_shows
from ..properties.reports.findings import show_step
from ..properties.reports.results import read_report, read_trace
from ..properties.run.driver import Driver


class _Came(Enum):
    """What came of a trace."""

    AGAIN = "fails again"
    NOT = "does not fail"
    NEVER = "cannot be run here"


@dataclass(frozen=True, slots=True)
class _Trace:
    """A finding's id, and the calls that showed it."""

    id: str
    calls: tuple[Call, ...]


@click.command()
@click.argument("report", type=click.Path(path_type=Path))
@click.argument("finding", required=False)
@click.option("--module", help="Replay on this module instead of the one that the report names.")
@module_options
def command(report: Path, finding: str | None, module: str | None, **options: Any) -> None:
    """Run the trace of a FINDING in a REPORT again (all of them if none is named).

    Exits with 1 if a failure shows again, else with 2 if a trace could not be run, with 0 if all ran and none failed.
    """
    data = read_report(report)
    chosen = [f for f in data["findings"] if finding in (None, f["id"])]
    if not chosen:
        named = f"finding {finding}" if finding else "findings"
        fail(f"{report}: holds no {named}; its ids: {', '.join(f['id'] for f in data['findings']) or 'none'}")
    see_that_one_thread_shows(chosen, data)
    try:
        events = data["coverage"].get("events", ())
        model = suffering(build(Version(data["spec"]), data["readings"], events=bool(events)), events)
        traces = [_Trace(f["id"], tuple(call for call, _ in read_trace(f))) for f in chosen]
    except ValueError as error:
        fail(f"{report}: damaged: {error}; write it again with p11conform check --json")
    opening = one_token(Opening.of(module or data["module"]["name"], options))
    sweep()
    tested = opened(opening, model, data["seed"])
    try:
        with tested.open() as adapter:
            driver = Driver(
                model,
                tested.initial,
                adapter,
                tested.rights.policy,
                rights=tested.rights,
            )
            came = [_replay(driver, model, trace) for trace in traces]
            adapter.reset(True)
    finally:
        tested.discard()
    if _Came.AGAIN in came:
        raise SystemExit(Exit.FINDINGS)
    raise SystemExit(Exit.USAGE if _Came.NEVER in came else Exit.CONFORMS)


def _replay(driver: Driver, model: Model, trace: _Trace) -> _Came:
    """Run a trace, and show what came of it."""
    outcome = driver.replay(trace.calls)
    made = [call for call, _ in outcome.steps]
    left = next((c for c in trace.calls if c not in made), None)
    came, why = _Came.NOT, ""
    if outcome.failure is not None:
        came = _Came.AGAIN
    elif left is not None:
        came, why = _Came.NEVER, f": {left.function} cannot be called so; see --allow-destructive"
    out.print(f"{trace.id}: {came.value}{why}", markup=False)
    for call, seen in outcome.steps:
        out.print(f"    {show_step(call, model.functions[call.function].uses, seen.text)}", markup=False)
    return came
