"""Sequences that are the same for every module and every run, and what a module answers in them, to be compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ...model.call import Call, Ending, Observation
from ...model.oracle import Model
from ...model.state import State
from ..policy import Policy
from ..search.goals import Search, closing, goals
from .driver import Replay


@dataclass(frozen=True, slots=True)
class Probe:
    """A sequence that shows what a call does: the way to it, the call with the number `at`, and a look afterwards."""

    calls: tuple[Call, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Case:
    """A sequence, and what came of its calls, in words; fewer answers than calls where it could not go on.

    `fails` says that the last answer is against the text.
    """

    calls: tuple[Call, ...]
    at: int
    answers: tuple[str, ...]
    fails: bool = False


class Replays(Protocol):
    """Those who run a sequence from a fresh start; see `campaign.Crew`."""

    def replay(self, calls: Sequence[Call], *, fresh: bool = False) -> Replay:
        """Run it."""


def probes(model: Model, initial: State, policy: Policy) -> Iterator[Probe]:
    """For each row, and each change that a success makes, a shortest way there, in an order that is always the same.

    The ways are those of the model alone, whatever the module refuses.
    """
    search = Search(model, initial, policy)
    search.drop(goal for goal in goals(model, initial) if goal.given is not None)
    for view in search.views():
        search.look(*view)
    found: dict[tuple[Call, ...], Probe] = {}
    for w in search.found:
        look = closing(w, model, initial)
        known = found.get(w.calls)
        if known is None or len(known.calls) < len(w.calls) + len(look):
            found[w.calls] = Probe((*w.calls, *look), len(w.calls) - 1)
    yield from found.values()


def word(seen: Observation) -> str:
    """What a call did, in a word: of one that did not return how it ended, without what differs from time to time."""
    return seen.text if seen.ending is Ending.RETURNED else seen.ending.value


def tried(crew: Replays, calls: tuple[Call, ...], at: int) -> tuple[Case, Replay]:
    """What a module answers in a sequence."""
    replay = crew.replay(calls)
    answers: list[str] = []
    for planned, (call, seen) in zip(calls, replay.steps, strict=False):
        if planned != call:
            # It cannot be made here, and what came after it is another sequence.
            return Case(calls, at, tuple(answers)), replay
        answers.append(word(seen))
    return Case(calls, at, tuple(answers), replay.failure is not None), replay
