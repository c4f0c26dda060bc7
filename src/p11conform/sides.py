"""The sides of a comparison: a report, a baseline, or a module that can be tried."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from . import subject
from .interrupts import ASKED
from .model.call import Call
from .model.oracle import Model
from .opened import opened, workers
from .options import Opening
from .properties.engine.verdict import Verdict
from .properties.reports.baseline import Baseline, abilities, is_baseline, read_baseline
from .properties.reports.results import read_report, read_trace, symptoms
from .properties.run.blame import blame_any
from .properties.run.campaign import Budget, Campaign, Crew
from .properties.run.driver import Replay
from .properties.run.probe import Case, probes, tried, word

SAID: Final = ("manufacturer", "description", "library_version", "cryptoki_version", "adapter")
"""What a report tells of a module by which a side is told."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was said of a module: cases, by their calls, and the ids of symptoms that a check of it met."""

    about: Mapping[str, str]
    abilities: tuple[str, ...]
    cases: Mapping[tuple[Call, ...], Case]
    symptoms: Mapping[str, Case]
    whole: bool
    """Whether the cases are those of a baseline, which hold what is right, too."""
    asked: tuple[str, tuple[str, ...]] | None = None
    """The version of the standard, and readings as an option has them."""


@dataclass
class Live:
    """A module that can be tried."""

    model: Model
    tested: subject.Subject
    crew: Crew
    seed: int
    _failed: dict[tuple[Call, ...], Replay] = field(default_factory=dict)

    @property
    def about(self) -> Mapping[str, str]:
        """What is known of it."""
        return about(self.model, {"module": self.tested.about})

    @property
    def abilities(self) -> tuple[str, ...]:
        """What it can do."""
        return abilities(self.tested.initial)

    @cached_property
    def cases(self) -> Mapping[tuple[Call, ...], Case]:
        """All sequences that are the same for every run, tried."""
        found = probes(self.model, self.tested.initial, self.tested.rights.policy)
        return {x.calls: self.tried(x.calls, x.at) for x in found}

    def tried(self, calls: tuple[Call, ...], at: int) -> Case:
        """A sequence, tried; without an answer where it names what is not there."""
        ASKED.look()
        slots = len(self.tested.initial.slots)
        if any(call.args.slot > slots for call in calls):
            return Case(calls, at, ())
        case, replay = tried(self.crew, calls, at)
        if case.fails:
            self._failed[case.calls[: len(case.answers)]] = replay
        return case

    def failure(self, calls: tuple[Call, ...]) -> Verdict | None:
        """The failure that a sequence that was tried ends in, with what explains it; None where it ends in none."""
        replay = self._failed.get(calls)
        if replay is None or replay.failure is None:
            return None
        return blame_any(self.model, self.tested.initial, replay.steps, replay.failure)

    def baseline(self, seconds: float) -> Baseline:
        """What it answers, written down, with the ids of what a check of so many seconds finds wrong."""
        facts = {**self.about, "p11conform": version("p11conform")}
        met = self.explored(seconds)
        return Baseline(facts, self.model.readings, self.abilities, tuple(self.cases.values()), tuple(met))

    def explored(self, seconds: float, calls: int | None = None) -> Mapping[str, Case]:
        """What a check of so many seconds finds wrong."""
        if seconds <= 0:
            return {}
        campaign = Campaign(
            self.model,
            self.tested.initial,
            self.crew,
            policy=self.tested.rights.policy,
            seed=self.seed,
            budget=Budget(seconds=seconds, calls=calls),
            asked=lambda: ASKED.name,
        )
        found = campaign.run().findings
        return {
            x.symptom.id: Case(calls, len(calls) - 1, tuple(word(o) for _, o in x.steps), fails=True)
            for finding in found
            for x in finding.symptoms
            for calls in [tuple(call for call, _ in x.steps)]
        }


def about(model: Model | None, report: Mapping[str, Any]) -> dict[str, str]:
    """What tells a side: the module by what it says of itself, and what it was held to."""
    module = report["module"]
    told = {name: str(module[name]) for name in SAID if name in module}
    if model is not None:
        told["spec"] = str(model.version)
    return {"module": str(module["name"]), **told}


def told(path: Path) -> Told | None:
    """What a file tells: a report or a baseline; None for what is neither by how it begins, as a library.

    Raises:
        Unreadable: for a report or a baseline that is damaged.
    """
    if is_baseline(_head(path)):
        return of_baseline(read_baseline(path))
    return of_report(read_report(path)) if is_report(path) else None


def is_report(path: Path) -> bool:
    """Whether a file is to be read as a report: by its name, or as it begins as one."""
    return path.suffix == ".json" or _head(path).lstrip()[:1] == b"{"


def _head(path: Path) -> bytes:
    """What a file begins with; nothing where it cannot be read, or is none."""
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError:
        return b""


def of_baseline(baseline: Baseline) -> Told:
    """What a baseline tells."""
    cases = {case.calls: case for case in baseline.cases}
    own = {id: Case((), 0, ()) for id in baseline.symptoms}
    return Told(
        baseline.about,
        baseline.abilities,
        cases,
        own,
        whole=True,
        asked=(baseline.about["spec"], _readings(baseline.readings)),
    )


def of_report(report: Mapping[str, Any]) -> Told:
    """What a report tells.

    Raises:
        Unreadable: if a trace names what the model does not have.
    """
    own: dict[str, Case] = {}
    for finding in report["findings"]:
        for x in symptoms(finding):
            if "threads" in x:
                continue  # calls one after the other do not show it
            steps = read_trace(x)
            calls = tuple(call for call, _ in steps)
            answers = tuple(seen.partition(":")[0] for _, seen in steps)
            own[x["id"]] = Case(calls, len(calls) - 1, answers, fails=True)
    facts = about(None, report) | {"spec": str(report["spec"])}
    asked = (str(report["spec"]), _readings(report["readings"]))
    return Told(facts, (), {}, own, whole=False, asked=asked)


def _readings(readings: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{id}={reading}" for id, reading in readings.items())


@contextmanager
def live(opening: Opening, model: Model, seed: int) -> Iterator[Live]:
    """A module, opened.

    Raises:
        ModuleUnusable: if it cannot be used.
    """
    tested = opened(opening, model, seed)
    try:
        with workers(model, (tested,)) as crew:
            yield Live(model, tested, crew, seed)
    finally:
        tested.discard()
