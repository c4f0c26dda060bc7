"""Workers in processes of their own, each with a module and a token of its own."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import replace
from queue import SimpleQueue
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self

from .adapters.base import ModuleUnusable
from .adapters.codec import from_call
from .adapters.isolated import Isolated
from .adapters.journal import Journal
from .adapters.process import Lost
from .messages import Task, item_json, to_done
from .model.call import Call
from .properties.engine.verdict import judge
from .properties.run.campaign import numbered_calls
from .properties.run.driver import Driver, Replay
from .properties.run.work import Class, Done, Failed, Item, Sweep, Visit

AHEAD: Final = 3
"""Pieces of work that are given out before the first of them is done, for each worker."""

PATIENCE: Final = 5
"""Times in a row that a module may die outside of any call before it is given up."""

PROGRAM: Final = f"{__package__}.worker"

Open = Callable[[str, Sequence[int], Callable[[], Any]], Isolated]
"""Opens a module in a process: the program to run there, descriptors for it, and the sign that it goes on."""


class _Hand:
    """One worker: its process, and what it was told."""

    def __init__(self, task: Task, calls: tuple[Call, ...], open_module: Open) -> None:
        self._lock = Lock()
        self._task, self._calls = task, calls
        self._journal = Journal()
        self._module = open_module(PROGRAM, (self._journal.descriptor,), self._journal.mark)
        self._told: dict[str, Any] = {"tell": [], "costs": {}, "spare": []}
        self._untold: dict[str, Any] = {}
        self._process: object = None
        self._replaying = Driver(task.model, task.initial, self._module, task.rights.policy)

    def close(self) -> None:
        """Put the token back, and give the module up."""
        with ExitStack() as stack:
            stack.callback(self._journal.close)
            stack.callback(self._module.close)
            self._module.reset(True)

    def tell(self, **news: Any) -> None:
        """Tell it something with the next piece of work."""
        for name, value in news.items():
            self._told[name] = self._told[name] + value if name == "tell" else value
            self._untold[name] = self._untold.get(name, []) + value if name == "tell" else value

    def do(self, item: Item, seconds: float) -> Done:
        """Do a piece of work, and go on with it where the module ended it by a death."""
        with self._lock:
            whole, outside, until = Done(), 0, time.monotonic() + seconds
            left: Item | None = item
            while left is not None:
                try:
                    self._ask({"item": item_json(left), "seconds": until - time.monotonic()}, whole)
                    break
                except Lost as lost:
                    made = self._journal.calls()
                    outside = 0 if made else outside + 1
                    if outside > PATIENCE:
                        raise ModuleUnusable(
                            "the module dies between calls, again and again; see that it ends"
                        ) from None
                    if made:
                        self._mourn(whole, made, lost)
                        left = _rest(left, made)
                    self._module.reset(True)
                    if time.monotonic() > until:
                        left = None
            return whole

    def replay(self, calls: Sequence[Call]) -> Replay:
        """Run a sequence call by call, so that a death leaves all that came before it."""
        with self._lock:
            replay = self._replaying.replay(calls)
            self._replaying.leave()  # so that the driver in the child finds the token as it left it
            return replay

    def pace(self) -> dict[str, Any]:
        """Have it measure how fast it is."""
        answer: dict[str, Any] = self._module.work({**self._briefing(), "pace": True})["pace"]
        return answer

    def _briefing(self) -> dict[str, Any]:
        """What a process that is new has to know."""
        return {"task": self._task.to_json(), "calls": [*map(from_call, self._calls)], **self._told}

    def _ask(self, order: dict[str, Any], whole: Done) -> None:
        """Have an order obeyed, and add what came of it; a process that is new is told all."""
        order |= self._untold if self._process is self._module.process else self._briefing()
        done = to_done(self._module.work(order)["done"])
        self._process, self._untold = self._module.process, {}
        before = whole.tally.calls
        whole.failures += [replace(failed, at=before + failed.at) for failed in done.failures]
        whole.news += [replace(new, calls=before + new.calls) for new in done.news]
        whole.tally.add(done.tally)
        whole.costs = {**whole.costs, **done.costs}

    def _mourn(self, whole: Done, made: tuple[int, ...], lost: Lost) -> None:
        """Note the call that the module did not come back from."""
        call = self._calls[made[-1]]
        verdict, _ = judge(self._task.model, frozenset(), call, lost.observation)
        whole.tally.calls += len(made) - 1
        whole.tally.sequences += 1
        whole.tally.count(self._task.model, (), call, verdict, 1)
        seen = lost.observation.text
        whole.failures.append(Failed(made, (), verdict.cause, call.function, seen, whole.tally.calls))


def measure_pace(task: Task, open_module: Open) -> dict[str, Any]:
    """How fast a worker is; see `pace`."""
    with ExitStack() as stack:
        hand = _Hand(task, numbered_calls(task.model, task.initial), open_module)
        stack.callback(hand.close)
        return hand.pace()


def _rest(item: Item, made: tuple[int, ...]) -> Item | None:
    """What is left of a piece of work whose calls led to a death: of a visit the calls that come later there."""
    if isinstance(item, Sweep):
        later = item.calls[item.calls.index(made[-1]) + 1 :] if made[-1] in item.calls else ()
        return replace(item, calls=later) if later else None
    if not isinstance(item, Visit):
        return None
    here = list(made[len(item.way) :])
    goals = list(item.goals)
    while goals:
        k, look = goals.pop(0)
        if here and here[0] == k:
            here.pop(0)
            # A look may follow at once, or only where the last call changed something.
            if not here or set(here) <= set(look):
                break
    return Visit(item.way, tuple(goals)) if goals and len(made) >= len(item.way) else None


class Crew:
    """Workers in processes of their own (implements `campaign.Crew`).

    Args:
        task: what the check is about.
        modules: open a module each; as many as there are to be workers.
    """

    def __init__(self, task: Task, modules: Sequence[Open]) -> None:
        calls = numbered_calls(task.model, task.initial)
        self._at_leave = ExitStack()
        self._hands: list[_Hand] = []
        with self._at_leave:
            for open_module in modules:
                hand = _Hand(task, calls, open_module)
                self._at_leave.callback(hand.close)
                self._hands.append(hand)
            self._threads = self._at_leave.enter_context(ThreadPoolExecutor(len(modules)))
            self._at_leave = self._at_leave.pop_all()
        self._free: SimpleQueue[_Hand] = SimpleQueue()
        for hand in self._hands:
            self._free.put(hand)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._at_leave.close()

    def do(self, items: Iterable[Item], left: Callable[[], float]) -> Iterator[Done]:
        """Do pieces of work; what came of them, in their order, whoever did them.

        Items are taken a little ahead of time; none is begun once no seconds are left.
        """
        coming = iter(items)
        under_way: deque[Future[Done]] = deque()
        try:
            while True:
                while len(under_way) < AHEAD * len(self._hands) and left() > 0:
                    item = next(coming, None)
                    if item is None:
                        break
                    under_way.append(self._threads.submit(self._do, item, left))
                if not under_way:
                    return
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()
            wait(under_way)

    def _do(self, item: Item, left: Callable[[], float]) -> Done:
        hand = self._free.get()
        try:
            return hand.do(item, max(left(), 0.0))
        finally:
            self._free.put(hand)

    def replay(self, calls: Sequence[Call]) -> Replay:
        """Run a sequence from a fresh start."""
        return self._hands[0].replay(calls)

    def tell(self, classes: Sequence[Class], costs: Mapping[str, float]) -> None:
        """Tell all of classes that were seen, and of what functions cost."""
        for hand in self._hands:
            hand.tell(tell=list(classes), costs=dict(costs))

    def spare(self, numbers: frozenset[int]) -> None:
        """Tell all of calls that are not to be made any more."""
        for hand in self._hands:
            hand.tell(spare=sorted(numbers))
