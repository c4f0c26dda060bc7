"""A module made of the oracle: it follows the text, and picks among what the text permits by a seed.

With a model from which a row was dropped it is a mutant, whose divergence the tester must find.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from ..model.call import Call, Observation
from ..model.oracle import Model, applicable, following, outputs, permitted, prevailing
from ..model.rule import Rule
from ..model.state import State
from ..model.vocabulary import CKR, CKU, ENVIRONMENT
from .base import Closing, Ready
from .ready import Plain


class Simulated(Closing):
    """An embedded module (see `Adapter`): no library, no process, no secrets."""

    def __init__(self, model: Model, initial: State, seed: int = 0) -> None:
        self._model = model
        self._initial = initial
        self._state = initial
        self._random = random.Random(seed)

    def call(self, call: Call) -> Observation:
        """Answer as the text permits."""
        code = self._choose(call)
        try:
            state = self._settle(call, code)
            given = outputs(self._model, state, call, code)
        except IndexError:
            # A mutant let pass what names nothing: it claims success and changes nothing.
            return Observation(code)
        self._state = state
        return Observation(code, tuple((name, self._give(name, values)) for name, values in given if values))

    def _settle(self, call: Call, code: CKR) -> State:
        """One of the states that the text permits after a call returned a code.

        Raises:
            IndexError: if there is none, as the call names nothing.
        """
        return self._random.choice(following(self._model, self._state, call, code))

    def _give(self, _name: str, values: Sequence[int]) -> int:
        """One of the permitted values of an output, of which there is one at least."""
        return values[0]

    def _choose(self, call: Call) -> CKR:
        """One of the permitted codes, mostly success: a module that mostly works reaches more states."""
        codes = permitted(self._model, self._state, call)
        ok = CKR.OK in codes and self._random.random() < 0.75
        # Sorted, since a set's order is not the seed's doing.
        return CKR.OK if ok or not codes else self._random.choice(sorted(codes))

    def call_all(self, calls: Sequence[Call]) -> tuple[Observation, ...]:
        """Make calls one after the other."""
        return tuple(map(self.call, calls))

    def call_both(self, calls: tuple[Call, Call]) -> tuple[Observation, Observation]:
        """Make two calls at a time: whole, in the one order or the other."""
        one, other = calls
        if self._random.random() < 1 / 2:
            return self.call(one), self.call(other)
        last, first = self.call(other), self.call(one)
        return first, last

    def reset(self, restore_token: bool) -> None:
        """Start afresh; the token keeps what it holds unless told otherwise."""
        if restore_token:
            self._state = self._initial
        else:
            ended, *_ = following(self._model, self._state, Call("C_Finalize"), CKR.OK)
            self._state = replace(self._initial, slots=ended.slots, objects=ended.objects)

    def ready(self, calls: Sequence[Call]) -> Ready:
        """Calls that can be made by their number."""
        return Plain(self, calls)

    def supports(self, call: Call) -> bool:
        """Whatever the table holds."""
        return call.function in self._model.functions

    def tries_left(self, user: CKU) -> bool:
        """Whether no PIN of a user was given wrongly since the last right one."""
        slot = self._state.slots[0]
        return not (slot.so_failed if user is CKU.SO else slot.user_failed)

    def renew(self) -> None:
        """Start afresh, with the token as it was at first."""
        self.reset(True)

    def close(self) -> None:
        """Nothing is held."""


class Varied(Simulated):
    """One that gives the code of every row once, where it may, before it settles down: it shows all of the table.

    It has every trouble of its environment once, too.
    """

    def __init__(self, model: Model, initial: State, seed: int = 0) -> None:
        super().__init__(model, initial, seed)
        self._troubles = sorted(ENVIRONMENT)
        self._given: set[tuple[str, Rule]] = set()

    def _choose(self, call: Call) -> CKR:
        rules = applicable(self._model, self._state, call)
        for rule in prevailing(self._model, call.function, rules):
            if (call.function, rule) not in self._given:
                self._given.add((call.function, rule))
                return rule.code
        listed = self._model.functions[call.function].signature.listed[self._model.version]
        if self._troubles and self._troubles[-1] in listed:
            return self._troubles.pop()
        codes = permitted(self._model, self._state, call)
        return CKR.OK if CKR.OK in codes else super()._choose(call)
