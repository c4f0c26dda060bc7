"""The program in the process of a worker: module, oracle and journal are in one place, so that no call crosses a pipe.

The oracle and the calls are made before the process is forked, so that a new one after a death has them at once.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from .adapters.base import Adapter, ModuleUnusable
from .adapters.census import clear
from .adapters.child import Line, Program
from .adapters.journal import Journal, note
from .adapters.wire import Raw, decode
from .messages import Believed, Briefing, Do, Measure, Numbered, Order, Part, Rerun, Step, Tell, Undoing, item_of
from .model.call import Call, Observation
from .model.vocabulary import CKU
from .pace import pace
from .properties.policy import KNOWN, Level
from .properties.run.driver import Driver
from .properties.run.work import Generated, Walk, Worker

TOLD: Final = 0.02
"""Seconds between two parts of what came of a piece of work, at least."""


class _Ready:
    """Calls that can be made by their number, once there is an adapter that makes them (implements `driver.Ready`)."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._calls = calls
        self.made: dict[int, Callable[[], int]] = {}
        self.make: Callable[[int], Callable[[], int]] = _missing
        self._observation: Callable[[int], Observation]

    def attach(self, adapter: Adapter) -> None:
        """Make the calls by this adapter from now on."""
        ready = adapter.ready(self._calls)
        self.made, self.make, self._observation = ready.made, ready.make, ready.observation

    def observation(self, answer: int) -> Observation:
        """What the number that a call answers with stands for."""
        return self._observation(answer)


def _missing(_number: int) -> Callable[[], int]:
    raise RuntimeError("no module is loaded yet")


class _Target:
    """The module of this process, once it is loaded (implements `driver.Target`).

    Its token is put back by the parent, where the driver cannot do it by calls, and where `level` does not let it be
    cleared here.
    """

    def __init__(self, journal: Journal, level: Level) -> None:
        self._journal, self._level = journal, level
        self._ready: _Ready
        self._adapter: Adapter | None = None
        self._line: Line

    def attach(self, adapter: Adapter, line: Line) -> None:
        """Make calls by this adapter from now on."""
        if self._adapter is None:
            self._adapter = adapter
            self._ready.attach(adapter)
        self._line = line

    def ready(self, calls: Sequence[Call]) -> _Ready:
        """Calls that can be made by their number."""
        self._ready = _Ready(calls)
        return self._ready

    def reset(self, restore_token: bool) -> bool:
        """Start a new sequence; False if the token could not be put back. What happens before it is not numbered."""
        if self._adapter is None:
            return True
        note("C_Finalize")
        self._adapter.reset(restore_token)
        self._journal.begin()
        note("")
        return not restore_token or self._clear() or self._line.restore()

    def _clear(self) -> bool:
        """Whether it was put back here: what is ours destroyed, and the user PIN changed back."""
        if self._level not in (Level.TOKEN_OBJECTS, Level.PINS):
            return False
        try:
            loaded = self._line.loaded
            return clear(loaded.library, loaded.binding, changed_pin=self._level is Level.PINS)
        except ModuleUnusable:
            return False
        finally:
            note("")

    def supports(self, call: Call) -> bool:
        """Whether the call can be made."""
        return self._adapter is not None and self._adapter.supports(call)

    def tries_left(self, user: CKU) -> bool:
        """Whether the token says that the PIN of a user may be tried."""
        if self._adapter is None:
            return False
        note("C_GetTokenInfo")
        try:
            return self._adapter.tries_left(user)
        finally:
            note("")


class _Program:
    """Does what the parent orders."""

    def __init__(self, briefing: Briefing, journal: Journal) -> None:
        task, self._journal = briefing.task, journal
        KNOWN.find()
        self._line: Line | None = None
        self._ended = 0
        self._telling: Line | None = None
        self._told = 0.0
        self._target = _Target(journal, task.rights.level)
        self._driver = Driver(
            task.model,
            task.initial,
            self._target,
            task.rights.policy,
            calls=briefing.calls,
            journal=journal.entries,
            begin=self._begin,
            undoing=self._undoing,
            rights=task.rights,
        )
        self._worker = Worker(self._driver)

    def __call__(self, adapter: Adapter, given: Raw, line: Line) -> Any:
        """Do as ordered."""
        self._target.attach(adapter, line)
        self._line = line
        driver, order = self._driver, decode(Order, given)
        driver.numbered = lambda call: line.tell(Numbered(call))
        match order:
            case Tell():
                driver.tell(order.classes, order.costs)
                if order.spare is not None:
                    driver.spare = frozenset(order.spare)
                    driver.spare_with = {k: frozenset(mechs) for k, mechs in order.spare_with.items()}
                if order.lowered:
                    driver.lower()
                driver.numbered = lambda _: None  # the parent knows
                for call in order.calls:
                    driver.number(call)
            case Do():
                return self._do(order, line)
            case Rerun():
                return self._rerun(order.calls, line)
            case Measure():
                return pace(adapter, driver)

    def _do(self, order: Do, line: Line) -> Any:
        item, until = item_of(order), time.monotonic() + order.seconds
        # What was seen in an earlier part is not known any more, which matters where calls are chosen by it.
        if not isinstance(item, Walk | Generated):
            self._telling, self._told = line, time.monotonic()
        try:
            return self._worker.do(item, lambda: time.monotonic() > until)
        finally:
            self._telling = None

    def _begin(self) -> None:
        """Between two sequences: tell what came of those before, so that a death does not lose it."""
        self._journal.end()
        self._ended = self._journal.begun
        if self._telling is not None and time.monotonic() - self._told > TOLD:
            self._telling.tell(Part(self._worker.part()))
            self._told = time.monotonic()

    def _undoing(self, sequence: Sequence[Call], since: Sequence[Call]) -> None:
        """Tell what comes before the calls that are to put the token back, so that a death in one has its sequence."""
        if self._line is not None:
            self._line.tell(Undoing(self._journal.begun, self._ended, tuple(sequence), tuple(since)))

    def _rerun(self, calls: Sequence[Call], line: Line) -> Believed:
        """Run a sequence call by call, and tell of each, so that a death leaves all that came before it."""
        driver = self._driver
        driver.begin()
        driver.count_sequence()
        for call in calls:
            made = len(driver.trail)
            driver.run((driver.number(call),))
            if len(driver.trail) > made:
                line.tell(Step(call, driver.trail[-1].verdict.observation))
        before = driver.oracle.believed(driver.trail[-1].before) if driver.trail else ()
        return Believed(frozenset(before), driver.beliefs)


PROGRAM: Final = Program(lambda given, journal: _Program(decode(Briefing, given), journal))
"""What `Supervisor` runs for a check."""
