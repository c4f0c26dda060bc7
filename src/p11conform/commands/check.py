"""The command `check`: a module against the model. However it ends, once it has begun there is a report."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import click

from ..adapters.base import ModuleUnusable
from ..adapters.modules import registry
from ..adapters.private import sweep
from ..checking import Check
from ..console import err, give_up, out
from ..exits import Exit, Failure, fail
from ..files import STDOUT
from ..interrupts import ASKED
from ..model.vocabulary import Version
from ..names import MODULE
from ..options import (
    AUTO,
    DEFAULT_SEED,
    Opening,
    befalling,
    check_jobs,
    model_of,
    module_options,
    module_spec_option,
    readings_option,
)
from ..properties.policy import Level
from ..properties.reports.render import text as as_text
from ..properties.reports.results import report_json
from ..properties.reports.waivers import Waiver, read_waivers, weigh
from ..properties.run.campaign import Budget
from ..subject import SIMULATED
from ..targets import Target, of_each, report_option, targets, try_places, write_all


class _FailOn(Enum):
    """What of a report makes the check fail."""

    FINDINGS = "findings"
    ADVICE = "advice"


_SECTIONS: Mapping[_FailOn, tuple[str, ...]] = {
    _FailOn.FINDINGS: ("findings",),
    _FailOn.ADVICE: ("findings", "advice"),
}


SECONDS: Final = 60.0
"""How long a check runs if nothing else is said."""

SECONDS_FOR_CALLS: Final = 3600.0
"""The same where calls bound it: on a slow or busy machine it is to make them all."""


@click.command()
@click.argument("module", type=MODULE)
@module_spec_option
@readings_option
@click.option("--seed", type=int, default=DEFAULT_SEED, show_default=True, help="Decides every random choice.")
@click.option("--sequences", type=click.IntRange(min=0), help="At most so many beside those derived from the model.")
@click.option("--length", type=click.IntRange(min=1), default=25, show_default=True, help="Calls of Hypothesis' own.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    help=f"Begin no more after.  [default: {SECONDS:g}; with --calls {SECONDS_FOR_CALLS:g}]",
)
@click.option("--calls", type=click.IntRange(min=1), help="Begin no more after so many calls.")
@click.option("--jobs", type=click.IntRange(min=1), help="Workers, each with a token. [default: 1; of a cluster, all]")
@click.option("--cluster", metavar="ADDRESS", help="Scheduler of dask; its workers do the work, each with a token.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    help="Write the report there; - is standard output. With `all`, a directory for a report each.",
)
@report_option
@click.option(
    "--fail-on",
    type=click.Choice([x.value for x in _FailOn]),
    default=_FailOn.FINDINGS.value,
    show_default=True,
    help="What the exit code tells of: findings, or advice too.",
)
@click.option(
    "--waivers", "waivers_file", type=click.Path(path_type=Path), help="A file of findings that do not fail the check."
)
@click.option(
    "--events",
    is_flag=True,
    help="Let things happen beside the calls: tokens come and go, devices fail, others change what is there.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 2),
    default=1,
    show_default=True,
    help="With 2, two threads call at a time, each in a session of its own, and nothing else is done.",
)
@module_options
def command(
    module: str,
    spec: str,
    readings: tuple[str, ...],
    seed: int,
    sequences: int | None,
    length: int,
    seconds: float | None,
    calls: int | None,
    jobs: int | None,
    cluster: str | None,
    json_file: Path | None,
    reports: tuple[str, ...],
    fail_on: str,
    waivers_file: Path | None,
    events: bool,
    threads: int,
    **options: Any,
) -> None:
    """Check MODULE: one of the names that the command `modules` lists, or the path of a PKCS#11 library.

    `all` stands for every module of that list that is installed here, one after the other.

    A token that p11conform did not make itself is not written to, and only right PINs are used, unless the options
    --allow-… give it over, each further than the one before. Ctrl-C ends the check with a report of what was found
    until then.
    """
    # A signal is looked for between two pieces of work, and by what makes a failure shorter: raised in the midst of
    # one, it would leave a directory or a process that nobody knows of yet.
    ASKED.defer()
    if module == ALL and options["profile"] is not None:
        fail("--profile is for one module; name it")
    if threads > 1 and (events or cluster is not None or (jobs or 1) > 1):
        fail("--threads 2: two threads call one module on one token, and nothing happens beside; leave the others out")
    openings = [Opening.of(name, options) for name in (_all_here() if module == ALL else (module,))]
    # What is made ready on other machines, and what is in this process, is of one version from the start.
    automatic = spec == AUTO and cluster is None
    openings = [replace(x, automatic=automatic and x.module != SIMULATED) for x in openings]
    befalls = {x.module: befalling(x.module, needed=module != ALL) if events else frozenset[str]() for x in openings}
    begun = str(Version.V2_40) if spec == AUTO else spec
    models = {name: model_of(begun, readings, events=some) for name, some in befalls.items()}
    if cluster is not None:
        _see_that_dask_is_there(module)
    else:
        for opening in openings:
            check_jobs(jobs or 1, opening)
    waivers = () if waivers_file is None else read_waivers(waivers_file)
    named = targets(reports, json_file)
    places = of_each(named, [opening.module for opening in openings]) if module == ALL else [named]
    for place in places:
        try_places(place)
    sweep()
    if any(opening.level is Level.EVERYTHING for opening in openings):
        err.print(
            "the token will be initialised anew many times: all objects on it are lost; the user PIN is changed and "
            "guessed at, then put back",
            markup=False,
        )
    if seconds is None:
        seconds = SECONDS if calls is None else SECONDS_FOR_CALLS
    budget, code = Budget(sequences, length, seconds, calls), Exit.CONFORMS
    for opening, place in zip(openings, places, strict=True):
        try:
            came = _checked(
                Check(models[opening.module], opening, seed, budget, jobs, cluster, threads),
                place,
                _FailOn(fail_on),
                waivers,
            )
        except (Failure, ModuleUnusable) as error:
            if module != ALL:
                raise
            came = Exit(error.exit_code) if isinstance(error, Failure) else Exit.UNUSABLE
            err.print(f"p11conform: {error}", markup=False)
        code = max(code, came)
        if ASKED.received is not None:
            break
    raise SystemExit(code)


def _see_that_dask_is_there(module: str) -> None:
    if module == SIMULATED:
        fail(f"--cluster: {module} is in this process; leave the option out")
    if find_spec("distributed") is None:
        fail("--cluster: dask.distributed is missing; install it with: pip install 'p11conform[cluster]'")


ALL: Final = "all"
"""Stands for every module of the registry that can be had here."""


def _all_here() -> tuple[str, ...]:
    """The names that `all` stands for; of the others it is told why they are not among them."""
    obstacles = {name: registry.obstacle(name) for name in registry.names()}
    for name, obstacle in obstacles.items():
        if obstacle is not None:
            err.print(f"left out: {name}: {obstacle}", markup=False)
    here = tuple(name for name, obstacle in obstacles.items() if obstacle is None)
    if not here:
        fail(
            "no module is installed that is known by name; install one that the command `modules` lists", Exit.UNUSABLE
        )
    return here


def _checked(check: Check, places: Sequence[Target], fail_on: _FailOn, waivers: Sequence[Waiver]) -> Exit:
    """Run a check and deliver its report; how it ended."""
    outcome = check.run()
    if outcome.code is Exit.CONFORMS and outcome.results.tally.calls == 0:
        fail(f"--seconds {check.budget.seconds:g}: no call was made in that time; give more")
    report = report_json(outcome.results, check.about, check.described(outcome.results))
    _deliver(report, places)
    if outcome.error is not None:
        raise outcome.error
    weighed = weigh(waivers, report, datetime.now(UTC).date())
    for line in weighed.lines():
        err.print(line, markup=False)
    told = any(row["id"] not in weighed.ids for section in _SECTIONS[fail_on] for row in report[section])
    return Exit.FINDINGS if outcome.code is Exit.CONFORMS and told else outcome.code


def _deliver(report: dict[str, Any], places: Sequence[Target]) -> None:
    """Write the report where it is wanted, then show it: on standard error where one goes to standard output.

    A reader that went away wants no more. Where the text cannot be shown, that matters if the report is nowhere else.

    Raises:
        Failure: if the report is nowhere.
    """
    failed = write_all(report, places)
    try:
        (err if any(x.path == STDOUT for x in places) else out).print("\n".join(as_text.lines(report)))
        sys.stdout.flush()
    except BrokenPipeError:
        give_up(sys.stdout)
    except OSError as error:
        give_up(sys.stdout)
        if not places:
            fail(f"standard output: {error.strerror}; write the report to a file with --json")
        err.print(f"p11conform: standard output: {error.strerror}; the report is in {places[0].path}", markup=False)
    if failed is not None:
        raise failed
