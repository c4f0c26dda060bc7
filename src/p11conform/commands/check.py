"""The command `check`: a module against the model. However it ends, once it has begun there is a report."""

import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import click

from .. import subject
from ..adapters.base import ModuleUnusable
from ..adapters.private import sweep
from ..console import Display, err, give_up, out
from ..exits import Exit, Failure, fail
from ..files import STDOUT, try_place, write_text
from ..interrupts import ASKED, Interrupted
from ..model.oracle import Model
from ..opened import opened, workers
from ..options import DEFAULT_SEED, Opening, check_jobs, model_of, module_options, readings_option, spec_option
from ..properties.reports.render import json as as_json
from ..properties.reports.render import text as as_text
from ..properties.reports.results import Run, report_json
from ..properties.run.campaign import Budget, Campaign, Ended, How, Results
from ..properties.run.tally import Tally


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
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the report there; - is standard output."
)
@click.option(
    "--fail-on",
    type=click.Choice([x.value for x in _FailOn]),
    default=_FailOn.FINDINGS.value,
    show_default=True,
    help="What the exit code tells of: findings, or advice too.",
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
    fail_on: str,
    **options: Any,
) -> None:
    """Check MODULE: a known name (softhsm2, simulated) or the path of a PKCS#11 library.

    A token that p11conform did not make itself is not written to, and only right PINs are used, unless
    --allow-destructive gives it up. Ctrl-C ends the check with a report of what was found until then.
    """
    opening = Opening.of(module, options)
    model = model_of(spec, readings)
    check_jobs(jobs, module)
    try_place("--json", json_file)
    sweep()
    if opening.expendable:
        err.print(
            "the token will be initialised anew many times: all objects on it are lost; the user PIN is changed and "
            "guessed at, then put back",
            markup=False,
        )
    check = _Check(model, opening, seed, Budget(sequences, length, seconds, calls), jobs)
    outcome = check.run()
    if outcome.code is Exit.CONFORMS and outcome.results.tally.calls == 0:
        fail(f"--seconds {seconds:g}: no call was made in that time; give more")
    report = report_json(outcome.results, check.about, check.described())
    _deliver(report, json_file)
    if outcome.error is not None:
        raise outcome.error
    told = any(report[section] for section in _SECTIONS[_FailOn(fail_on)])
    raise SystemExit(Exit.FINDINGS if outcome.code is Exit.CONFORMS and told else outcome.code)


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

    @property
    def about(self) -> dict[str, Any]:
        """What was tested, as far as it is known."""
        kind = subject.SIMULATED if self.opening.module == subject.SIMULATED else self.opening.kind.name.lower()
        return {"name": self.opening.module, "adapter": kind} | dict(self.tested.about if self.tested else {})

    def described(self) -> Run:
        """How it was run."""
        return Run(
            date=self.began.strftime("%Y-%m-%dT%H:%M:%SZ"),
            budget=self.budget,
            jobs=self.jobs,
            rights=self.tested.rights.right.value if self.tested else "none",
            token=self.tested.token if self.tested else {},
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
        self.tested = opened(self.opening, self.model, self.seed)
        tested, display = self.tested, Display()
        with _discarding(tested), display.context(), workers(self.model, tested, self.jobs, self.opening) as crew:
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
            # From here on a signal is looked for between two pieces of work, and by what makes a failure shorter.
            ASKED.defer()
            return self.campaign.run()

    def _so_far(self, ended: Ended) -> Results:
        if self.campaign is not None:
            return self.campaign.results(ended)
        return Results(self.model, (), Tally(), self.seed, 0.0, (), ended)


@contextmanager
def _discarding(tested: subject.Subject) -> Iterator[None]:
    try:
        yield
    finally:
        tested.discard()


def _deliver(report: dict[str, Any], json_file: Path | None) -> None:
    """Write the JSON, then show the text: on standard error where the JSON has standard output.

    A reader that went away wants no more. Where the text cannot be shown, that matters if there is no JSON.

    Raises:
        Failure: if the report is nowhere.
    """
    failed: Failure | None = None
    try:
        with suppress(BrokenPipeError):
            write_text("--json", json_file, as_json.render(report))
    except Failure as error:
        failed = error
    try:
        (err if json_file == STDOUT else out).print("\n".join(as_text.lines(report)))
        sys.stdout.flush()
    except BrokenPipeError:
        give_up(sys.stdout)
    except OSError as error:
        give_up(sys.stdout)
        if json_file is None:
            fail(f"standard output: {error.strerror}; write the report to a file with --json")
        err.print(f"p11conform: standard output: {error.strerror}; the report is in {json_file}", markup=False)
    if failed is not None:
        raise failed
