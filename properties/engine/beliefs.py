"""The oracle with a memory: what a module may be in, and what an answer makes of it, by number.

Calls, states and sets of believed states are numbered as they are met. What a call's answer means where a set is
believed is worked out once, by `verdict.follow`, and looked up from then on: a step is two lookups, whatever it means.
"""

from collections.abc import Callable, Iterator, Sequence
from operator import is_
from typing import Final

from ...model.call import Call, Observation
from ...model.oracle import Model, in_scope
from ...model.state import State
from ...model.vocabulary import CKU
from ..policy import Guesses, Policy, nobody
from .packed import States
from .verdict import Verdict, follow

FULL: Final = 25_000
"""How many steps are remembered, a kilobyte and more each, before all are forgotten and remembering begins anew."""


class Step:
    """What an answer to a call makes of what was believed: the verdict, and what is believed after it.

    An answer is a number; `also` is the step of another answer to the same call. Nothing follows a step that is
    `over`. `onward` are the steps from there that are not.
    """

    __slots__ = ("after", "also", "answer", "before", "onward", "over", "verdict")

    def __init__(self, before: "Belief", answer: int, verdict: Verdict, after: "Belief", also: "Step | None") -> None:
        self.before, self.answer, self.verdict, self.after, self.also = before, answer, verdict, after, also
        self.over = not after.states
        self.onward = after.steps


class Belief:
    """States, by number, that a module may be in. There is one such object for each set; compare with `is`.

    `steps` are those that go on from there, by call, of each the one seen first; `ends` are those that are over, or
    that are not to be gone again unseen.
    """

    __slots__ = ("ends", "refused", "states", "steps")

    def __init__(self, states: tuple[int, ...]) -> None:
        self.states = states
        self.steps: dict[int, Step] = {}
        self.ends: dict[int, Step] = {}
        self.refused: set[int] = set()
        """Calls that cannot be made here."""

    @property
    def certain(self) -> bool:
        """Whether the text leaves but one state."""
        return len(self.states) == 1


class Compiled:
    """A model over a scope, with calls by number.

    `calls` are the calls; more may be appended. `observation` gives what an answer's number stands for. When more than
    `full` steps are remembered all are forgotten; whoever still needs them is told by `forgetting` before.
    """

    def __init__(
        self,
        model: Model,
        initial: State,
        calls: Sequence[Call],
        observation: Callable[[int], Observation],
        policy: Policy,
        full: int = FULL,
        guesses: Guesses = nobody,
    ) -> None:
        self.model, self.initial, self.calls = model, initial, calls
        self._guesses = guesses
        self.forgetting: Callable[[], None] = lambda: None
        self._observation, self._policy, self._full = observation, policy, full
        self._forget()

    def _forget(self) -> None:
        self.states = States(self.initial)
        self._beliefs: dict[tuple[int, ...], Belief] = {}
        self._steps = 0
        self.start = self.believing([self.initial])

    def believing(self, states: Sequence[State]) -> Belief:
        """The belief in these states."""
        return self._believing(map(self.states.number, states))

    def _believing(self, numbers: Iterator[int]) -> Belief:
        # In an order that does not come of what was met first, so that all workers take the same one for the first.
        key = tuple(sorted({*numbers}, key=self.states.flats.__getitem__))
        belief = self._beliefs.get(key)
        if belief is None:
            belief = self._beliefs[key] = Belief(key)
        return belief

    def believed(self, belief: Belief) -> tuple[State, ...]:
        """The states that a belief is in."""
        return tuple(map(self.states.__getitem__, belief.states))

    def may(self, belief: Belief, call: int) -> bool:
        """Whether a call may be made: it is within what the model follows, and the policy lets it be."""
        if call in belief.refused:
            return False
        made = self.calls[call]
        allowed = bool(belief.states) and all(
            in_scope(self.model, s, made) and self._policy(s, made) for s in self.believed(belief)
        )
        if not allowed:
            belief.refused.add(call)
        return allowed

    def guessed(self, belief: Belief, call: int) -> frozenset[CKU]:
        """Whose PIN a call may give wrongly where a belief is held."""
        if self._guesses is nobody:
            return frozenset()
        return frozenset().union(*(self._guesses(s, self.calls[call]) for s in self.believed(belief)))

    def step(self, belief: Belief, call: int, answer: int) -> Step:
        """What an answer to a call means where a belief is held.

        A full memory is emptied before: of all beliefs from before none may then be used but those of the step.
        """
        for known in (belief.steps, belief.ends):
            step = known.get(call)
            while step is not None:
                if step.answer == answer:
                    return step
                step = step.also
        before = self.believed(belief)
        verdict, after = follow(self.model, before, self.calls[call], self._observation(answer))
        # Most calls change nothing, and then the states are the very same ones.
        same = len(after) == len(before) and all(map(is_, after, before))
        if self._steps >= self._full:
            self.forgetting()
            self._forget()
            belief = self.believing(before)
        self._steps += 1
        new = Step(belief, answer, verdict, belief if same else self.believing(after), None)
        # Where a PIN may be wrong nobody is to go on without a look at the token.
        known = belief.ends if new.over or self.guessed(belief, call) else belief.steps
        first = known.setdefault(call, new)
        if first is not new:
            new.also, first.also = first.also, new
        return new
