"""The program of a worker on a scripted module that dies on every second call, to measure what a death costs."""

import os
import signal
from collections.abc import Sequence
from typing import Final

from .adapters.base import Binding, Closing, Ready
from .adapters.child import Program
from .adapters.ready import Plain
from .adapters.wire import Kind
from .model.call import Call, Observation
from .model.vocabulary import CKU
from .worker import PROGRAM as CHECK


class Mortal(Closing):
    """Answers CKR_OK, and crashes on every second call (implements `Adapter`)."""

    def __init__(self) -> None:
        self._called = False

    def call(self, call: Call) -> Observation:  # noqa: ARG002
        """Make a call."""
        if self._called:
            os.kill(os.getpid(), signal.SIGSEGV)
        self._called = True
        return Observation()

    def reset(self, restore_token: bool) -> None:
        """Begin anew, as far as that goes."""

    def ready(self, calls: Sequence[Call]) -> Ready:
        """The calls of a list."""
        return Plain(self, calls)

    def supports(self, call: Call) -> bool:  # noqa: ARG002
        """Whether it can make a call: any."""
        return True

    def tries_left(self, user: CKU) -> bool:  # noqa: ARG002
        """Whether a PIN may be tried: any."""
        return True

    def close(self) -> None:
        """There is nothing to give up."""


def _mortal(_library: str, _binding: Binding) -> Mortal:
    return Mortal()


PROGRAM: Final = Program(CHECK.prepare, {Kind.RAW: _mortal})
"""What `Supervisor` runs to measure deaths."""
