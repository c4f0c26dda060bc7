"""Hypothesis: strategies for calls, mostly meaningful and some hostile, and the state machine that replays them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol
from unittest import SkipTest

from hypothesis import seed as fixed_seed
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from ..model.call import Call, Observation
from ..model.oracle import Model, in_scope, permitted
from ..model.state import State
from ..model.vocabulary import CKR
from .cover import all_calls
from .policy import Policy
from .verdict import Outcome, Verdict, one_of

HOSTILE_IN_TEN = 3
"""How many calls in ten are made without asking whether they may succeed."""

CACHED_STATES = 4096

ByFunction = Mapping[str, tuple[Call, ...]]


class Drives(Protocol):
    """What the state machine asks of the driver of a module."""

    model: Model
    initial: State
    beliefs: frozenset[State]

    def begin(self) -> None:
        """Start a sequence."""

    def can(self, call: Call) -> bool:
        """Whether the call may be made now."""

    def step(self, call: Call) -> Verdict:
        """Make a call and judge it."""


def by_function(calls: tuple[Call, ...]) -> ByFunction:
    """Calls sorted into their functions."""
    found: dict[str, list[Call]] = {}
    for call in calls:
        found.setdefault(call.function, []).append(call)
    return {name: tuple(members) for name, members in found.items()}


@dataclass(frozen=True, slots=True)
class Choice:
    """What Hypothesis draws for a call: numbers that pick from whatever there is to pick from.

    The numbers have the same ranges in every state. A module may answer differently the next time, and Hypothesis
    rightly refuses data whose shape depends on something it does not hold.
    """

    hostile: bool
    function: int
    arguments: int

    def of(self, calls: ByFunction) -> Call:
        """The call picked, every function as likely as the next however many calls it has."""
        names = sorted(calls)
        members = calls[names[self.function % len(names)]]
        return members[self.arguments % len(members)]


_NUMBER = st.integers(0, 2**20)

choices = st.builds(Choice, st.integers(0, 9).map(lambda n: n >= 10 - HOSTILE_IN_TEN), _NUMBER, _NUMBER)
"""Strategy for choices; the simplest is meaningful."""


def chooser(model: Model, initial: State, policy: Policy) -> Callable[[State, Choice], Call]:
    """What a choice means in a state: a call that may succeed there, or, where it is hostile, any at all."""
    every = all_calls(model, initial)
    hostile = by_function(every)

    @lru_cache(CACHED_STATES)
    def meaningful(s: State) -> ByFunction:
        sound = tuple(c for c in every if in_scope(model, s, c) and policy(s, c) and CKR.OK in permitted(model, s, c))
        return by_function(sound) or hostile

    return lambda s, choice: choice.of(hostile if choice.hostile else meaningful(s))


def conformance_machine(
    driver: Drives,
    policy: Policy,
    *,
    seed: int,
    ended: Callable[[tuple[tuple[Call, Observation], ...], tuple[Verdict, ...]], None],
    enough: Callable[[], bool],
) -> type[RuleBasedStateMachine]:
    """A state machine that drives a module and checks each answer.

    A sequence ends at its first failure; `ended` is then told its steps and verdicts, and may raise an
    AssertionError to have Hypothesis shrink it. Once `enough` says so the run ends with `unittest.SkipTest`.
    """
    choose = chooser(driver.model, driver.initial, policy)

    class Conformance(RuleBasedStateMachine):
        """One sequence of calls."""

        def __init__(self) -> None:
            super().__init__()
            self.steps: list[tuple[Call, Observation]] = []
            self.verdicts: list[Verdict] = []
            if enough():
                # The one exception that Hypothesis lets out at once: after any other it would try again.
                raise SkipTest("the time is up")
            self.over = False
            driver.begin()

        @rule(choice=choices)
        def call(self, choice: Choice) -> None:
            """Make one call, unless the sequence has ended."""
            if self.over:
                return
            chosen = choose(one_of(driver.beliefs), choice)
            if not driver.can(chosen):
                return
            verdict = driver.step(chosen)
            self.steps.append((chosen, verdict.observation))
            self.verdicts.append(verdict)
            self.over = verdict.outcome is Outcome.FAIL or not driver.beliefs

        def teardown(self) -> None:
            """Hand the sequence over."""
            if self.steps:
                ended(tuple(self.steps), tuple(self.verdicts))

    fixed_seed(seed)(Conformance)
    return Conformance
