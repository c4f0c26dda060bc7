"""The child process of a check: the module, the oracle and the journal in one place, so that no call crosses a pipe.

It is started with the descriptors of its line to the parent and of the journal.
"""

import gc
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .adapters.base import Adapter, Ready
from .adapters.child import Line, run
from .adapters.codec import to_call
from .adapters.journal import Journal
from .messages import Task, done_json, to_class, to_item
from .model.call import Call
from .pace import pace
from .properties.run.driver import Driver
from .properties.run.work import Worker

RESTORE = "restore"
"""Tells the parent to put the token's contents back, and to say when it is done."""


class _Restoring:
    """The adapter of this process, whose token the parent puts back."""

    def __init__(self, adapter: Adapter, line: Line) -> None:
        self._adapter, self._line = adapter, line
        self.supports = adapter.supports

    def ready(self, calls: Sequence[Call]) -> Ready:
        """Calls that can be made by their number."""
        return self._adapter.ready(calls)

    def reset(self, restore_token: bool) -> bool:
        """Start a new sequence; False if the token could not be put back."""
        self._adapter.reset(restore_token)
        return not restore_token or self._line.ask(RESTORE) is not False


class _Desk:
    """Does what the parent orders; an order is a dictionary, whose one answer is the last."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._worker: Worker

    def obey(self, adapter: Adapter, order: Any, line: Line) -> Iterator[Any]:
        """Obey an order."""
        if "task" in order:
            calls = map(to_call, order["calls"])
            self._worker = self._prepared(Task.from_json(order["task"]), calls, _Restoring(adapter, line))
        driver = self._worker.driver
        driver.tell(map(to_class, order.get("tell", ())), order.get("costs", {}))
        if "spare" in order:
            driver.spare = frozenset(order["spare"])
        done = None
        if "item" in order:
            until = time.monotonic() + order["seconds"]
            done = done_json(self._worker.do(to_item(order["item"]), lambda: time.monotonic() > until))
            driver.leave()  # so that the driver of replays, in the parent, finds the token as it was
        yield {"done": done, "pace": pace(adapter, driver) if "pace" in order else None}

    def _prepared(self, task: Task, calls: Iterable[Call], target: _Restoring) -> Worker:
        driver = Driver(
            task.model,
            task.initial,
            target,
            task.rights.policy,
            calls=calls,
            journal=self._journal.entries,
            begin=self._journal.begin,
        )
        # What is there now stays to the end, and need not be looked over for garbage again and again.
        gc.freeze()
        return Worker(driver)


if __name__ == "__main__":
    run(_Desk(Journal(int(sys.argv[2]))).obey)
