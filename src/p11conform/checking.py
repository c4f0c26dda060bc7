"""A check of a module, from its opening to its closing: however it ends, there are results."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from . import subject
from .adapters.base import Adapter, ModuleUnusable
from .adapters.census import Census
from .console import Display
from .exits import Exit, Failure
from .interrupts import ASKED, Interrupted
from .model.oracle import Model, build, suffering
from .model.vocabulary import Version
from .opened import opened, others, workers
from .options import Opening
from .properties.reports.findings import Finding
from .properties.reports.results import Run
from .properties.run.campaign import Budget, Campaign, Crew, Ended, How, Results
from .properties.run.concurrency import ConcurrentCheck, ConcurrentTarget
from .properties.run.merged import joined
from .properties.run.tally import Tally

C = TypeVar("C", Campaign, ConcurrentCheck)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a check; `error` is told after the report is written."""

    results: Results
    code: Exit = Exit.CONFORMS
    error: Exception | None = None


@dataclass(slots=True)
class Check:
    """A check, from the opening of the module to its closing; `tested` is given where it is open already.

    It is done by so many `jobs`, by one where none are told; on a `cluster`, by all of its workers.
    """

    model: Model
    opening: Opening
    seed: int
    budget: Budget
    jobs: int | None = None
    cluster: str | None = None
    threads: int = 1
    display: Display = field(default_factory=Display)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    tested: subject.Subject | None = None
    campaign: Campaign | ConcurrentCheck | None = None
    shown: tuple[Finding, ...] = ()
    census: tuple[str, ...] = ()

    @property
    def about(self) -> dict[str, Any]:
        """What was tested, as far as it is known."""
        kind = subject.SIMULATED if self.opening.module == subject.SIMULATED else self.opening.kind.name.lower()
        about = {"name": self.opening.module, "adapter": kind} | dict(self.tested.about if self.tested else {})
        faults = list(map(str, self.opening.faults))
        return about | {"faults": faults} if faults else about

    def described(self, results: Results) -> Run:
        """How it was run."""
        rights = self.tested.rights if self.tested else None
        if rights and results.tally.lowered:
            rights = replace(rights, reduced=(*rights.reduced, subject.NOT_PUT_BACK))
        return Run(
            date=self.began.strftime("%Y-%m-%dT%H:%M:%SZ"),
            budget=self.budget,
            jobs=self.jobs or 1,
            rights=rights,
            token=self.tested.token if self.tested else {},
            census=self.census,
            profile=str(self.opening.profile) if self.opening.profile else None,
        )

    def run(self) -> Outcome:
        """Do it, and say how it ended.

        Raises:
            Failure, ModuleUnusable, Unreadable: if it could not begin.
        """
        try:
            results = self._run()
        except Interrupted as error:
            return Outcome(self._so_far(Ended(How.INTERRUPTED, str(error))), error.exit)
        except ModuleUnusable as error:
            if self.campaign is None:
                raise
            return Outcome(self._so_far(Ended(How.GONE, str(error))), Exit.UNUSABLE, error)
        except Failure:
            raise
        except Exception as error:
            if self.campaign is None:
                raise
            return Outcome(self._so_far(Ended(How.FAULT, f"{type(error).__name__}: {error}")), Exit.FAULT, error)
        if results.ended.how is How.INTERRUPTED and ASKED.received is not None:
            return Outcome(results, Exit(128 + ASKED.received))
        return Outcome(results)

    def _run(self) -> Results:
        ASKED.look()
        with self._subjects() as subjects:
            tested = self.tested = subjects[0]
            self.jobs = len(subjects)
            self.shown = subject.shown_findings(self.model, tested)
            for finding in self.shown:
                self.display.found(finding)
            if self.threads > 1:
                with self._censused(subjects), self.display.context(), tested.open() as target:
                    return self._concurrent(tested, target)
            with self._censused(subjects), self.display.context(), workers(self.model, subjects) as crew:
                return self._worked(tested, crew)

    @contextmanager
    def _subjects(self) -> Iterator[Sequence[subject.Subject]]:
        """What is tested, once for each worker, here or on a cluster."""
        if self.cluster is not None:
            from .cluster import reached  # here, as dask is an extra

            with reached(self.cluster, self.opening, self.model, self.jobs) as found:
                yield found
            return
        first = self.tested or opened(self.opening, self.model, self.seed)
        self._hold_to(first.version)
        with _discarding(first), others(self.opening, self.model, first, self.jobs or 1) as more:
            yield (first, *more)

    def _hold_to(self, version: Version | None) -> None:
        """Hold the module to the version that it is of, where nobody chose one."""
        if self.opening.automatic and version is not None and version is not self.model.version:
            events = self.model.events
            self.model = suffering(build(version, self.model.readings, events=bool(events)), events)

    def _made(self, sort: Callable[..., C], tested: subject.Subject, target: Crew | ConcurrentTarget) -> C:
        """A campaign of a sort on what is tested, by those who make the calls."""
        return sort(
            self.model,
            tested.initial,
            target,
            policy=tested.rights.policy,
            seed=self.seed,
            budget=self.budget,
            watch=self.display,
            found=self.display.found,
            asked=lambda: ASKED.name,
        )

    def _worked(self, tested: subject.Subject, crew: Crew) -> Results:
        # What is there now stays to the end, and need not be looked over for garbage again and again.
        gc.freeze()
        self.campaign = campaign = self._made(Campaign, tested, crew)
        for finding in self.shown:
            for x in finding.symptoms:
                campaign.tally.saw(x.steps)
        ASKED.look()
        try:
            return self._whole(self.campaign.run())
        finally:
            gc.unfreeze()

    def _concurrent(self, tested: subject.Subject, target: Adapter) -> Results:
        """What two threads are answered."""
        if not isinstance(target, ConcurrentTarget):
            raise ModuleUnusable("only the adapter `raw` calls with two threads; leave out --adapter")
        self.campaign = self._made(ConcurrentCheck, tested, target)
        ASKED.look()
        return self._whole(self.campaign.run())

    def _whole(self, results: Results) -> Results:
        """The results with what was found before the campaign; what was told and is part of another finding is told."""
        for finding, whole in joined(self.campaign.findings if self.campaign else (), results.findings):
            self.display.joined(finding, whole)
        return replace(results, findings=(*self.shown, *results.findings))

    @contextmanager
    def _censused(self, subjects: Sequence[subject.Subject]) -> Iterator[None]:
        """See what each token holds before and after, however it ends; what is left of ours is destroyed."""
        told = [(x.token["label"], _counted(x.census)) for x in subjects if x.census is not None]
        try:
            yield
        finally:
            self.census = tuple(
                f"{label}: {line}" if len(told) > 1 else line for label, lines in told for line in lines()
            )

    def _so_far(self, ended: Ended) -> Results:
        if self.campaign is not None:
            return self._whole(self.campaign.results(ended))
        return Results(self.model, (), Tally(), self.seed, 0.0, (), ended)


def _counted(census: Callable[..., Census]) -> Callable[[], Sequence[str]]:
    """See what a token holds, and give what tells in the end what has changed of that."""
    try:
        before = census()
    except ModuleUnusable as error:
        unseen = f"what the token holds could not be seen: {error}"
        return lambda: [unseen]

    def told() -> Sequence[str]:
        try:
            after = census()
            if any(x.ours for x in before.missing(after)):
                after = census(remove=True)
            return subject.token_lines(before, after)
        except ModuleUnusable as error:
            return [f"what the token holds now could not be seen: {error}"]

    return told


@contextmanager
def _discarding(tested: subject.Subject) -> Iterator[None]:
    try:
        yield
    finally:
        tested.discard()
