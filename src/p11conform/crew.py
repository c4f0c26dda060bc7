"""Workers in processes of their own, each with a module and a token of its own."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from threading import Lock
from types import TracebackType
from typing import Any, Final, Protocol, Self

from .adapters.base import ModuleUnusable
from .adapters.isolated import Isolated
from .adapters.process import Lost
from .adapters.wire import Raw, decode
from .messages import (
    Believed,
    Measure,
    News,
    Numbered,
    Order,
    Part,
    Ran,
    Rerun,
    Step,
    Task,
    Tell,
    Undoing,
    briefing,
    order_of,
)
from .model.call import Call, Observation
from .model.state import Mech
from .pace import Pace
from .properties.engine.verdict import Outcome, believed_after, judge, null_arguments
from .properties.run.blame import blame
from .properties.run.campaign import numbered_calls
from .properties.run.driver import BLAMED, Replay
from .properties.run.work import Class, Done, Failed, Item, Sweep, Visit

AHEAD: Final = 3
"""Pieces of work that are given out before the first of them is done, for each worker."""

PATIENCE: Final = 5
"""Times in a row that a module may die outside of any call before it is given up."""

PROGRAM: Final = f"{__package__}.worker"

FINALIZE: Final = Call("C_Finalize")
"""What ends each sequence, and is made without a number."""

Open = Callable[..., Isolated]
"""Opens a module in a process: given `program`, what is to run there, and the `briefing` for it."""


class Hand(Protocol):
    """A worker on a module and a token of its own, wherever that is."""

    def do(self, item: Item, seconds: float) -> Done:
        """Do a piece of work within some seconds."""

    def rerun(self, calls: Sequence[Call], *, fresh: bool) -> Ran:
        """Run a sequence from a fresh start; if it is to be `fresh` in a new process, by itself."""

    def tell(self, news: Tell) -> None:
        """Tell it something before its next piece of work."""

    def close(self) -> None:
        """Put the token back, and give the module up."""


Begin = Callable[[Task, tuple[Call, ...]], Hand]
"""Begins a worker on a task; the calls are those that have a number from the start."""


class RemoteWorker:
    """A worker in a process of its own, and in another one after each death: it has the only driver of the module.

    Its calls have the numbers of the campaign; those that it numbers itself it tells, so that any can be named here.
    """

    def __init__(self, task: Task, calls: tuple[Call, ...], open_module: Open) -> None:
        self._lock = Lock()
        self._task = task
        self._calls, self._known = list(calls), len(calls)
        self._module = open_module(program=PROGRAM, briefing=briefing(task, calls))
        self._told, self._untold = Tell(), Tell()
        self._process: object = None
        self._undoing = Undoing(-1, -1, (), ())
        try:
            self._restore()
        except BaseException:
            self._module.close()
            raise

    def close(self) -> None:
        """Put the token back, and give the module up."""
        with ExitStack() as stack:
            stack.callback(self._module.close)
            self._module.reset(True)

    def tell(self, news: Tell) -> None:
        """Tell it something before its next piece of work."""
        self._told, self._untold = (joined(told, news) for told in (self._told, self._untold))

    def do(self, item: Item, seconds: float) -> Done:
        """Do a piece of work, and go on with it where the module ended it by a death."""
        with self._lock:
            whole, outside, until = Done(), 0, time.monotonic() + seconds
            journal, left = self._module.journal, item

            def told(news: News) -> None:
                if isinstance(news, Part):
                    self._add(whole, news.done)

            while True:
                begun = journal.begun
                try:
                    self._add(whole, self._ask(Done, order_of(left, until - time.monotonic()), told))
                    return whole
                except Lost as lost:
                    since, fatal = time.monotonic(), self._fatal(lost)
                    if fatal:
                        self._note_death(whole, fatal, lost.observation)
                    outside = 0 if fatal else outside + 1
                    self._restore()
                    whole.lost += time.monotonic() - since
                except ModuleUnusable:
                    if journal.doing != FINALIZE.function:
                        raise
                    # What it kept of this sequence must not come into the next one.
                    outside += 1
                    self._renew()
                self._see_that_it_lives(outside)
                made = self._made_since(begun)
                rest = self._rest(left, made) if made else left
                if rest is None or time.monotonic() > until:
                    return whole
                left = rest

    def _rest(self, item: Item, made: tuple[int, ...]) -> Item | None:
        """What is left of a piece of work whose calls led to a death: of a visit the calls that come later there.

        Where it was a NULL pointer that killed, other calls with one are left out: their turn comes last.
        """
        if isinstance(item, Sweep):
            later = item.calls[item.calls.index(made[-1]) + 1 :] if made[-1] in item.calls else ()
            later = tuple(k for k in later if not (self._null(made[-1]) and self._null(k)))
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
        goals = [(k, look) for k, look in goals if not (self._null(made[-1]) and self._null(k))]
        return Visit(item.way, tuple(goals)) if goals and len(made) >= len(item.way) else None

    def _null(self, number: int) -> bool:
        call = self._calls[number]
        return bool(null_arguments(call, self._task.model.functions[call.function].uses))

    def rerun(self, calls: Sequence[Call], *, fresh: bool) -> Ran:
        """Run a sequence from a fresh start; if it is to be `fresh` in a new process, by itself."""
        with self._lock:
            if fresh:
                self._renew()
            for outside in range(PATIENCE + 1):
                self._see_that_it_lives(outside)
                steps: list[tuple[Call, Observation]] = []

                def told(news: News, steps: list[tuple[Call, Observation]] = steps) -> None:
                    if isinstance(news, Step):
                        steps.append((news.call, news.seen))

                try:
                    believed = self._ask(Believed, Rerun(tuple(calls)), told)
                    return Ran(tuple(steps), believed)
                except Lost as lost:
                    fatal = self._fatal(lost) if self._undone() is None else ()
                    self._restore()
                    if fatal and lost.doing != FINALIZE.function:
                        believed_before = believed_after(self._task.model, self._task.initial, tuple(steps))
                        return Ran((*steps, (fatal[-1], lost.observation)), Believed(believed_before))
                except ModuleUnusable:
                    if self._module.journal.doing != FINALIZE.function:
                        raise
                    self._renew()
            raise self._given_up()

    def pace(self) -> Pace:
        """Have it measure how fast it is."""
        measured: Pace = self._ask(Pace, Measure(), lambda _: None)
        return measured

    def _ask(self, kind: Any, order: Order, told: Callable[[News], None]) -> Any:
        """The answer to an order, told all that it has to know before."""

        def heard(news: Raw) -> None:
            message = decode(News, news)
            if isinstance(message, Numbered):
                self._calls.append(message.call)
            elif isinstance(message, Undoing):
                self._undoing = message
            else:
                told(message)

        if self._process is not self._module.process:
            self._untold = joined(self._told, Tell(calls=tuple(self._calls[self._known :])))
        if self._untold != Tell():
            self._module.work(None, self._untold, heard)
        self._process, self._untold = self._module.process, Tell()
        return self._module.work(kind, order, heard)

    def _fatal(self, lost: Lost) -> tuple[Call, ...]:
        """The calls of the sequence that the module died in, up to the one that it did not come back from.

        None if it was no such call. C_Finalize at the end of a sequence is one.
        """
        journal, undoing = self._module.journal, self._undone()
        made = tuple(self._calls[k] for k in journal.calls())
        if undoing is not None:
            return (*undoing.sequence, *undoing.since, *made) if made else ()
        if lost.doing == FINALIZE.function:
            return (*made, FINALIZE)
        return () if journal.ended else made

    def _undone(self) -> Undoing | None:
        """What the token was being put back after, if it was."""
        return self._undoing if self._undoing.begun == self._module.journal.begun else None

    def _made_since(self, begun: int) -> tuple[int, ...]:
        """The numbers of the calls of the sequence so far, none where it had `begun` already."""
        journal, undoing = self._module.journal, self._undone()
        if undoing is not None:
            return tuple(map(self._calls.index, undoing.sequence)) if undoing.of != begun else ()
        return journal.calls() if journal.begun != begun else ()

    def _restore(self) -> None:
        """Finalise the library and put the token back."""
        self._see_that_it_is_back(self._module.reset(True))

    def _renew(self) -> None:
        """Go on in a new process, with the token put back."""
        self._see_that_it_is_back(self._module.renew())

    def _see_that_it_is_back(self, done: bool) -> None:
        if not done:
            self.tell(Tell(lowered=True))

    def _add(self, whole: Done, done: Done) -> None:
        """Add what came of a part of a piece of work; that the token could not be put back holds for what follows."""
        _add(whole, done)
        if done.tally.lowered:
            self._told = joined(self._told, Tell(lowered=True))

    def _note_death(self, whole: Done, calls: tuple[Call, ...], seen: Observation) -> None:
        """Note the call that the module did not come back from."""
        model, call = self._task.model, calls[-1]
        verdict, _ = judge(model, frozenset(), call, seen)
        whole.tally.calls += len(calls) - 1
        whole.tally.sequences += 1
        whole.tally.count(model, (), call, verdict, 1)
        whole.failures.append(Failed(calls, (), verdict.cause, call.function, seen.text, whole.tally.calls))

    def _see_that_it_lives(self, outside: int) -> None:
        if outside > PATIENCE:
            raise self._given_up()

    @staticmethod
    def _given_up() -> ModuleUnusable:
        return ModuleUnusable("the module dies between calls, again and again; see that it ends")


def _judged(task: Task, ran: Ran) -> Replay:
    """A sequence with the verdict on its last step."""
    trace, model = ran.steps, task.model
    before, after = (frozenset(map(task.read, states)) for states in (ran.believed.before, ran.believed.after))
    if not trace:
        return Replay((), (), after)
    verdict, _ = judge(model, before, *trace[-1])
    if verdict.outcome is Outcome.FAIL and len(trace) <= BLAMED:
        verdict = blame(model, task.initial, trace, verdict)
    return Replay(trace, (verdict,), after)


def joined(told: Tell, news: Tell) -> Tell:
    """What was told, and what is told after it."""
    return Tell(
        (*told.classes, *news.classes),
        {**told.costs, **news.costs},
        told.spare if news.spare is None else news.spare,
        told.spare_with if news.spare is None else news.spare_with,
        (*told.calls, *news.calls),
        told.lowered or news.lowered,
    )


def _add(whole: Done, done: Done) -> None:
    """Add what came of a part of a piece of work."""
    before = whole.tally.calls
    whole.failures += [replace(failed, at=before + failed.at) for failed in done.failures]
    whole.news += [replace(new, calls=before + new.calls) for new in done.news]
    whole.tally.add(done.tally)
    for function, (count, seconds) in done.costs.items():
        n, total = whole.costs.get(function, (0, 0.0))
        whole.costs[function] = n + count, total + seconds


def measure_pace(task: Task, open_module: Open) -> Pace:
    """How fast a worker is; see `pace`."""
    with ExitStack() as stack:
        worker = RemoteWorker(task, numbered_calls(task.model, task.initial), open_module)
        stack.callback(worker.close)
        return worker.pace()


class Hands:
    """Workers that share a check (implements `campaign.Crew`).

    Args:
        task: what the check is about.
        workers: begin a worker each.
    """

    def __init__(self, task: Task, workers: Sequence[Begin]) -> None:
        self._task = task
        calls = numbered_calls(task.model, task.initial)
        self._at_leave = ExitStack()
        self._workers: list[Hand] = []
        with self._at_leave:
            for begin in workers:
                worker = begin(task, calls)
                self._at_leave.callback(worker.close)
                self._workers.append(worker)
            self._threads = self._at_leave.enter_context(ThreadPoolExecutor(len(workers)))
            self._at_leave = self._at_leave.pop_all()
        self._free: SimpleQueue[Hand] = SimpleQueue()
        for worker in self._workers:
            self._free.put(worker)

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
                while len(under_way) < AHEAD * len(self._workers) and left() > 0:
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
        worker = self._free.get()
        try:
            return worker.do(item, max(left(), 0.0))
        finally:
            self._free.put(worker)

    def replay(self, calls: Sequence[Call], *, fresh: bool = False) -> Replay:
        """Run a sequence from a fresh start; if it is to be `fresh` in a new process, by itself."""
        return _judged(self._task, self._workers[0].rerun(calls, fresh=fresh))

    def tell(self, classes: Sequence[Class], costs: Mapping[str, float]) -> None:
        """Tell all of classes that were seen, and of what functions cost."""
        for worker in self._workers:
            worker.tell(Tell(classes=tuple(classes), costs=dict(costs)))

    def spare(self, numbers: frozenset[int], begun_with: Mapping[int, frozenset[Mech]]) -> None:
        """Tell all of calls that are not to be made any more, or not in an operation of some mechanisms."""
        told = {k: tuple(sorted(mechanisms)) for k, mechanisms in begun_with.items()}
        for worker in self._workers:
            worker.tell(Tell(spare=tuple(sorted(numbers)), spare_with=told))


class Crew(Hands):
    """Workers in processes of their own on this machine.

    Args:
        task: what the check is about.
        modules: open a module each; as many as there are to be workers.
    """

    def __init__(self, task: Task, modules: Sequence[Open]) -> None:
        super().__init__(task, [partial(RemoteWorker, open_module=module) for module in modules])
