"""A module made of the oracle: it follows the text, and picks among what the text permits by a seed.

With a model from which a row was dropped it is a mutant, whose divergence the tester must find.
"""

import random
from dataclasses import replace
from types import TracebackType
from typing import Self

from ..model.call import Call, Observation
from ..model.oracle import Model, outputs, permitted, successors
from ..model.state import State
from ..model.vocabulary import CKR


class Simulated:
    """An embedded module (see `Adapter`): no library, no process, no secrets."""

    def __init__(self, model: Model, initial: State, seed: int = 0) -> None:
        self._model = model
        self._initial = initial
        self._state = initial
        self._random = random.Random(seed)

    def call(self, call: Call) -> Observation:
        """Answer as the text permits."""
        codes = permitted(self._model, self._state, call)
        # Sorted, since a set's order is not the seed's doing. A row that may apply is no reason to fail every other
        # time: a module that mostly works reaches more states.
        choices = sorted(codes)
        ok = CKR.OK in codes and self._random.random() < 0.75
        code = CKR.OK if ok or not choices else self._random.choice(choices)
        try:
            states = sorted(successors(self._model, self._state, call, code), key=repr)
            given = outputs(self._model, states[0], call, code)
        except IndexError:
            # A mutant let pass what names nothing: it claims success and changes nothing.
            return Observation(code)
        self._state = self._random.choice(states)
        return Observation(code, tuple((name, values[0]) for name, values in given if values))

    def reset(self, restore_token: bool) -> None:
        """Start afresh; the token keeps what it holds unless told otherwise."""
        if restore_token:
            self._state = self._initial
        else:
            (ended,) = successors(self._model, self._state, Call("C_Finalize"), CKR.OK)
            self._state = replace(self._initial, slots=ended.slots)

    def supports(self, call: Call) -> bool:
        """Whatever the table holds."""
        return call.function in self._model.functions

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
