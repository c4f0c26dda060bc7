"""The command `check`: a module against the model. However it ends, once it has begun there is a report."""

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final

import click

from .. import subject
from ..adapters.base import ModuleUnusable
from ..adapters.modules import registry
from ..adapters.private import sweep
from ..console import Display, err, give_up, out
from ..exits import Exit, Failure, fail
from ..files import STDOUT
from ..interrupts import ASKED, Interrupted
from ..model.oracle import Model
from ..opened import opened, workers
from ..options import DEFAULT_SEED, Opening, check_jobs, model_of, module_options, readings_option, spec_option
from ..properties.policy import Level
from ..properties.reports.findings import Finding
from ..properties.reports.render import text as as_text
from ..properties.reports.results import Run, report_json
from ..properties.run.campaign import Budget, Campaign, Ended, How, Results
from ..properties.run.tally import Tally
from ..targets import Target, of_each, report_option, targets, try_places, write_all


class _FailOn(Enum):
    """What of a report makes the check fail."""

    FINDINGS = "findings"
    ADVICE = "advice"


_SECTIONS: Mapping[_FailOn, tuple[str, ...]] = {
    _FailOn.FINDINGS: ("findings",),
    _FailOn.ADVICE: ("findings", "advice"),
}


@click.command()
@click.argument("module")
@spec_option
@readings_option
@click.option("--seed", type=int, default=DEFAULT_SEED, show_default=True, help="Decides every random choice.")
@click.option("--sequences", type=click.IntRange(min=0), help="At most so many beside those derived from the model.")
@click.option("--length", type=click.IntRange(min=1), default=25, show_default=True, help="Calls of Hypothesis' own.")
@click.option("--seconds", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Begin no more after.")
@click.option("--calls", type=click.IntRange(min=1), help="Begin no more after so many calls.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Workers, each with a token.")
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
    "--events",
    is_flag=True,
    help=f"Let things happen beside the calls, tokens come and go, devices fail; only {subject.SIMULATED} can so far.",
)
@module_options
def command(
    module: str,
    spec: str,
    readings: tuple[str, ...],
    seed: int,
    sequences: int | None,
    length: int,
    seconds: float,
    calls: int | None,
    jobs: int,
    json_file: Path | None,
    reports: tuple[str, ...],
    fail_on: str,
    events: bool,
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
    openings = [Opening.of(name, options) for name in (_all_here() if module == ALL else (module,))]
    if events and module != subject.SIMULATED:
        fail(f"--events: nothing can be made to happen to {module}; only {subject.SIMULATED} can suffer it")
    model = model_of(spec, readings, events=events)
    for opening in openings:
        check_jobs(jobs, opening.module)
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
    budget, code = Budget(sequences, length, seconds, calls), Exit.CONFORMS
    for opening, place in zip(openings, places, strict=True):
        try:
            came = _checked(_Check(model, opening, seed, budget, jobs), place, _FailOn(fail_on))
        except (Failure, ModuleUnusable) as error:
            if module != ALL:
                raise
            came = Exit(error.exit_code) if isinstance(error, Failure) else Exit.UNUSABLE
            err.print(f"p11conform: {error}", markup=False)
        code = max(code, came)
        if ASKED.received is not None:
            break
    raise SystemExit(code)


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


def _checked(check: "_Check", places: Sequence[Target], fail_on: _FailOn) -> Exit:
    """Run a check and deliver its report; how it ended."""
    outcome = check.run()
    if outcome.code is Exit.CONFORMS and outcome.results.tally.calls == 0:
        fail(f"--seconds {check.budget.seconds:g}: no call was made in that time; give more")
    report = report_json(outcome.results, check.about, check.described(outcome.results))
    _deliver(report, places)
    if outcome.error is not None:
        raise outcome.error
    told = any(report[section] for section in _SECTIONS[fail_on])
    return Exit.FINDINGS if outcome.code is Exit.CONFORMS and told else outcome.code


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of a check; `error` is told after the report is written."""

    results: Results
    code: Exit = Exit.CONFORMS
    error: Exception | None = None


@dataclass(slots=True)
class _Check:
    """A check, from the opening of the module to its closing."""

    model: Model
    opening: Opening
    seed: int
    budget: Budget
    jobs: int
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    tested: subject.Subject | None = None
    campaign: Campaign | None = None
    shown: tuple[Finding, ...] = ()
    census: tuple[str, ...] = ()

    @property
    def about(self) -> dict[str, Any]:
        """What was tested, as far as it is known."""
        kind = subject.SIMULATED if self.opening.module == subject.SIMULATED else self.opening.kind.name.lower()
        return {"name": self.opening.module, "adapter": kind} | dict(self.tested.about if self.tested else {})

    def described(self, results: Results) -> Run:
        """How it was run."""
        rights = self.tested.rights if self.tested else None
        if rights and results.tally.lowered:
            rights = replace(rights, reduced=(*rights.reduced, subject.NOT_PUT_BACK))
        return Run(
            date=self.began.strftime("%Y-%m-%dT%H:%M:%SZ"),
            budget=self.budget,
            jobs=self.jobs,
            rights=rights,
            token=self.tested.token if self.tested else {},
            census=self.census,
            profile=str(self.opening.profile) if self.opening.profile else None,
        )

    def run(self) -> _Outcome:
        """Do it, and say how it ended.

        Raises:
            Failure, ModuleUnusable, Unreadable: if it could not begin.
        """
        try:
            results = self._run()
        except Interrupted as error:
            return _Outcome(self._so_far(Ended(How.INTERRUPTED, str(error))), error.exit)
        except ModuleUnusable as error:
            if self.campaign is None:
                raise
            return _Outcome(self._so_far(Ended(How.GONE, str(error))), Exit.UNUSABLE, error)
        except Failure:
            raise
        except Exception as error:
            if self.campaign is None:
                raise
            return _Outcome(self._so_far(Ended(How.FAULT, f"{type(error).__name__}: {error}")), Exit.FAULT, error)
        if results.ended.how is How.INTERRUPTED and ASKED.received is not None:
            return _Outcome(results, Exit(128 + ASKED.received))
        return _Outcome(results)

    def _run(self) -> Results:
        ASKED.look()
        self.tested = opened(self.opening, self.model, self.seed)
        tested, display = self.tested, Display()
        self.shown = subject.shown_findings(self.model, tested)
        for finding in self.shown:
            display.found(finding)
        with (
            _discarding(tested),
            self._censused(tested),
            display.context(),
            workers(self.model, tested, self.jobs, self.opening) as crew,
        ):
            # What is there now stays to the end, and need not be looked over for garbage again and again.
            gc.freeze()
            self.campaign = Campaign(
                self.model,
                tested.initial,
                crew,
                policy=tested.rights.policy,
                seed=self.seed,
                budget=self.budget,
                watch=display,
                found=display.found,
                asked=lambda: ASKED.name,
            )
            ASKED.look()
            try:
                return self._whole(self.campaign.run())
            finally:
                gc.unfreeze()

    def _whole(self, results: Results) -> Results:
        """The results with what was found before the campaign."""
        return replace(results, findings=(*self.shown, *results.findings))

    @contextmanager
    def _censused(self, tested: subject.Subject) -> Iterator[None]:
        """See what the token holds before and after, however it ends; what is left of ours is destroyed."""
        if tested.census is None:
            yield
            return
        try:
            before = tested.census()
        except ModuleUnusable as error:
            self.census = (f"what the token holds could not be seen: {error}",)
            yield
            return
        try:
            yield
        finally:
            try:
                after = tested.census()
                if any(x.ours for x in before.missing(after)):
                    after = tested.census(remove=True)
                self.census = tuple(subject.token_lines(before, after))
            except ModuleUnusable as error:
                self.census = (f"what the token holds now could not be seen: {error}",)

    def _so_far(self, ended: Ended) -> Results:
        if self.campaign is not None:
            return self._whole(self.campaign.results(ended))
        return Results(self.model, (), Tally(), self.seed, 0.0, (), ended)


@contextmanager
def _discarding(tested: subject.Subject) -> Iterator[None]:
    try:
        yield
    finally:
        tested.discard()


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
