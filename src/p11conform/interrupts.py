"""Signals that ask a command to end: the first one asks, the second one ends it at once."""

import os
import signal
from types import FrameType, TracebackType
from typing import Final, Self

from .exits import Exit

ASKING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asked the command to end. Not an Exception, so that nothing on the way takes it for its own."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit = Exit(128 + number)


class Interrupts:
    """While entered, the first signal raises Interrupted, or is only remembered where work is `deferred`.

    A second one ends the process at once: its children go with it, and what it leaves is swept at the next start.
    Enter it in the main thread. A signal that was ignored before, as under nohup, stays so.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.deferred = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        self.received, self.deferred = None, False
        self._before.clear()
        for number in ASKING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]

    def _take(self, number: int, _: FrameType | None) -> None:
        if self.received is not None:
            os._exit(128 + number)
        self.received = number
        if not self.deferred:
            raise Interrupted(number)

    def defer(self) -> None:
        """From now on only remember a signal, and let those who work look for it."""
        self.deferred = True

    def look(self) -> None:
        """End the command here if a signal was remembered.

        Raises:
            Interrupted: if there was one.
        """
        if self.received is not None:
            raise Interrupted(self.received)

    @property
    def name(self) -> str | None:
        """The signal that was received, by its name; None if there was none."""
        return None if self.received is None else signal.Signals(self.received).name


ASKED: Final = Interrupts()
"""Those of this process."""
