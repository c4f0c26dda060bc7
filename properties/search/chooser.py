"""Hypothesis: strategies for calls, mostly meaningful and some hostile, and the state machine that replays them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from hypothesis import seed as fixed_seed
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from ...model.call import Call
from ...model.oracle import Model, in_scope, may_succeed
from ...model.state import State
from ...model.table import functions_where
from ..engine.verdict import Verdict, one_of
from ..policy import Policy
from .goals import all_calls, by_function

HOSTILE_IN_TEN = 3
"""How many calls in ten are made without asking whether they may succeed."""

TRIES = 12
"""Calls of a function that are looked at for one that may succeed, before the next function is."""

STRIDE = 7919
"""A prime, so that stepping through a list by it meets every member."""


class Drives(Protocol):
    """What the state machine asks of the driver of a module."""

    @property
    def beliefs(self) -> frozenset[State]:
        """The states that the module may be in."""

    def begin(self) -> None:
        """Start a sequence."""

    def can(self, call: Call) -> bool:
        """Whether the call may be made now."""

    def step(self, call: Call) -> Verdict:
        """Make a call and judge it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What Hypothesis draws for a call: numbers that pick from whatever there is to pick from.

    The numbers have the same ranges in every state. A module may answer differently the next time, and Hypothesis
    rightly refuses data whose shape depends on something it does not hold.
    """

    hostile: bool
    function: int
    arguments: int
    target: int


_NUMBER = st.integers(0, 2**20)

choices = st.builds(Choice, st.integers(0, 9).map(lambda n: n >= 10 - HOSTILE_IN_TEN), _NUMBER, _NUMBER, _NUMBER)
"""Strategy for choices; the simplest is meaningful."""


_UNDOING = {
    "library-finalized",
    "sessions-closed",
    "session-closed",
    "token-initialized",
    "logged-out",
    "object-destroyed",
}
ENDING = functions_where(lambda f: not f.happens.isdisjoint(_UNDOING))
"""Functions whose success undoes what a sequence has built up."""

OTHERS_PER_ENDING = 5


Chooser = Callable[[State, Choice], Call]


def chooser(model: Model, initial: State, policy: Policy) -> Chooser:
    """What a choice means in a state: a call that may succeed there, or, where it is hostile, any at all.

    Every function is as likely as the next, however many calls it has, but for those that end things.
    """
    calls = by_function(all_calls(model, initial))
    names = [name for name in sorted(calls) for _ in range(1 if name in ENDING else OTHERS_PER_ENDING)]

    def at(function: int, number: int) -> Call:
        members = calls[names[function % len(names)]]
        return members[number % len(members)]

    def choose(s: State, choice: Choice) -> Call:
        first = at(choice.function, choice.arguments)
        if choice.hostile:
            return first
        for n in range(len(names)):
            for step in range(TRIES):
                call = aimed(
                    model, s, at(choice.function + n * STRIDE, choice.arguments + step * STRIDE), choice.target + step
                )
                if may_succeed(model, s, call) and in_scope(model, s, call) and policy(s, call):
                    return call
        return first

    return choose


def aimed(model: Model, s: State, call: Call, number: int) -> Call:
    """The call with its handles turned to sessions that are open and objects that are known, where there are any."""
    uses = model.functions[call.function].uses
    sessions = [k for k, x in enumerate(s.sessions) if x.open]
    objects = [k for k, x in enumerate(s.objects) if x.known]
    turned: dict[str, Any] = {}
    if sessions and "session" in uses:
        turned["session"] = sessions[number % len(sessions)]
    if objects:
        turned |= {name: objects[number // n % len(objects)] for name, n in _OBJECTS.items() if name in uses}
    return Call(call.function, replace(call.args, **turned)) if turned else call


_OBJECTS = {"object": 1, "key": 1, "other_key": 7}
"""Arguments that are objects, with what their choices are divided by, so that two of a call differ."""


def conformance_machine(
    driver: Drives, choose: Chooser, *, seed: int, ended: Callable[[], None], enough: Callable[[], bool]
) -> type[RuleBasedStateMachine]:
    """A state machine that drives a module by calls that are chosen so, and checks each answer.

    A sequence ends at its first failure; `ended` is then called, and may raise an AssertionError to have Hypothesis
    shrink it. Once there is `enough` no more calls are made.
    """

    class Conformance(RuleBasedStateMachine):
        """One sequence of calls."""

        def __init__(self) -> None:
            super().__init__()
            # Hypothesis takes a machine that ends its run for flaky; one that has no more to do it does not mind.
            self.over = enough()
            self.called = False
            if not self.over:
                driver.begin()

        @rule(choice=choices)
        def call(self, choice: Choice) -> None:
            """Make one call, unless the sequence has ended."""
            if self.over:
                return
            chosen = choose(one_of(driver.beliefs), choice)
            if not driver.can(chosen):
                return
            driver.step(chosen)
            self.called = True
            self.over = not driver.beliefs

        def teardown(self) -> None:
            """Hand the sequence over."""
            if self.called:
                ended()

    fixed_seed(seed)(Conformance)
    return Conformance
