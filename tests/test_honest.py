"""A module with a practice is found to be right; one with the breach beside it is found out.

All of them are made to do the same pieces of work: those of one check of the simulated module.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import pytest

from p11conform.adapters.base import Ready
from p11conform.adapters.honest import PRACTICES, Accustomed, Behaviour, Practice, tokens_of
from p11conform.adapters.ready import Plain
from p11conform.adapters.simulated import Simulated, Varied
from p11conform.model.call import Call, Observation
from p11conform.model.oracle import build
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
    Campaign(MODEL, SCOPE, crew, seed=7, budget=Budget(sequences=None, seconds=600, calls=CALLS + 20_000)).run()
    # What there is by now stays, and need not be looked over for garbage again and again.
    gc.freeze()
    return tuple(crew.items)


@cache
def worker(scope: State) -> tuple[Stage, Worker]:
    """One for all modules of a scope."""
    stage = Stage(Simulated(MODEL, scope))
    return stage, Worker(Driver(MODEL, scope, stage, calls=numbered_calls(MODEL, SCOPE)))


def failures(behaviour: Behaviour) -> Iterator[tuple[int, Failed | None]]:
    """The failures of a module, each with how many calls were made by then; at the end how many were made in all.

    There are more pieces than it needs, as some modules refuse early what others let go on.
    """
    scope = tokens_of(SCOPE, behaviour)
    stage, work = worker(scope)
    stage.module = Accustomed(MODEL, SCOPE, behaviour, 7)
    made = 0
    for item in pieces():
        done = work.do(item)
        made += done.tally.calls
        yield from ((made, failed) for failed in done.failures)
        if made >= CALLS:
            break
    yield made, None


def named(practice: Practice) -> str:
    return practice.name


@pytest.mark.parametrize("practice", PRACTICES, ids=named)
def test_an_honest_module_is_right(practice: Practice) -> None:
    *failed, (made, _) = failures(practice.honest)
    assert [(f.function, f.seen, f.cause) for _, f in failed if f is not None] == []
    assert made >= CALLS


@pytest.mark.parametrize("practice", PRACTICES, ids=named)
def test_a_breach_is_found(practice: Practice) -> None:
    assert any(f.function == practice.shown for _, f in failures(practice.breach) if f is not None)


def test_there_are_twenty_and_more_and_each_does_something() -> None:
    assert len({practice.name for practice in PRACTICES}) >= 20
    assert all(practice.honest != practice.breach != Behaviour() for practice in PRACTICES)
