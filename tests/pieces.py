"""The pieces of work of a check, and modules of all habits that are made to do them."""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import inf

from conftest import Whimless

from p11conform.adapters.base import Ready
from p11conform.adapters.honest import Accustomed, Behaviour, Practice, tokens_of
from p11conform.adapters.ready import Plain
from p11conform.adapters.simulated import Simulated, Varied
from p11conform.model.call import Call, Observation
from p11conform.model.oracle import Model, build
from p11conform.model.state import Object, Slot, State
from p11conform.model.vocabulary import CKU
from p11conform.properties.run.campaign import Alone, Budget, Campaign, numbered_calls
from p11conform.properties.run.driver import Driver
from p11conform.properties.run.work import Done, Failed, Item, Worker

MODEL = build()
SCOPE = State(slots=(Slot(), Slot(initialized=False)), objects=(Object(),) * 4)
CALLS = 50_000
"""Calls that each module is to answer."""


@dataclass
class Stage:
    """Where one module after the other appears, so that what was worked out about the model serves all."""

    module: Simulated

    def call(self, call: Call) -> Observation:
        return self.module.call(call)

    def ready(self, calls: Sequence[Call]) -> Ready:
        return Plain(self, calls)

    def reset(self, restore_token: bool) -> None:
        self.module.reset(restore_token)

    def supports(self, call: Call) -> bool:
        return self.module.supports(call)

    def tries_left(self, user: CKU) -> bool:
        return self.module.tries_left(user)


class Recorded(Alone):
    """A crew that keeps what it was given to do."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver)
        self.items: list[Item] = []

    def do(self, items: Iterable[Item], left: Callable[[], float]) -> Iterator[Done]:
        def kept() -> Iterator[Item]:
            for item in items:
                self.items.append(item)
                yield item

        return super().do(kept(), left)


@cache
def pieces() -> tuple[Item, ...]:
    """The pieces of work of a check."""
    driver = Driver(MODEL, SCOPE, Varied(MODEL, SCOPE, 3), calls=numbered_calls(MODEL, SCOPE))
    crew = Recorded(driver)
    Campaign(MODEL, SCOPE, crew, seed=7, budget=Budget(sequences=None, seconds=600, calls=CALLS + 30_000)).run()
    # What there is by now stays, and need not be looked over for garbage again and again.
    gc.freeze()
    return tuple(crew.items)


@cache
def worker(scope: State) -> tuple[Stage, Worker]:
    """One for all modules of a scope."""
    stage = Stage(Simulated(MODEL, scope))
    return stage, Worker(Driver(MODEL, scope, stage, calls=numbered_calls(MODEL, SCOPE)))


def failures(
    behaviour: Behaviour, enough: float = inf, sort: type[Accustomed] = Accustomed
) -> Iterator[tuple[int, Failed | None]]:
    """The failures of a module, each with how many calls were made by then; at the end how many were made in all.

    When so many calls are `enough` it ends. There are more pieces than an honest module needs for that, as some refuse
    early what others let go on.
    """
    scope = tokens_of(SCOPE, behaviour)
    stage, work = worker(scope)
    stage.module = sort(MODEL, SCOPE, behaviour, 7)
    made = 0
    for item in pieces():
        done = work.do(item)
        made += done.tally.calls
        yield from ((made, failed) for failed in done.failures)
        if made >= enough:
            break
    yield made, None


class Composed(Accustomed):
    """One without whims: it succeeds wherever it may, but for its breach, so that each way is gone to its end."""

    def __init__(self, model: Model, initial: State, behaviour: Behaviour, seed: int) -> None:
        super().__init__(model, initial, behaviour, seed)
        self._random = Whimless()


def named(practice: Practice) -> str:
    """What a test of a practice is called by."""
    return practice.name
