"""A module with a practice is found to be right; one with the breach beside it is found out.

All of them are made to do the same pieces of work: those of one check of the simulated module.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import inf

import pytest
from conftest import Whimless

from p11conform.adapters.base import Ready
from p11conform.adapters.honest import PRACTICES, PRACTICES_SINCE_V3_0, Accustomed, Behaviour, Practice, tokens_of
from p11conform.adapters.ready import Plain
from p11conform.adapters.simulated import Simulated, Varied
from p11conform.model.call import Args, Call, Observation
from p11conform.model.oracle import Model, build
from p11conform.model.state import Mech, Object, Pin, Slot, State
from p11conform.model.vocabulary import CKU, Version
from p11conform.properties.run.campaign import Alone, Budget, Campaign, numbered_calls
from p11conform.properties.run.driver import Driver
from p11conform.properties.run.work import Done, Failed, Item, Worker
from p11conform.properties.search.setups import going_on, situations

MODEL = build()
SCOPE = State(slots=(Slot(), Slot(initialized=False)), objects=(Object(),) * 4)
INITIALIZED = (Call("C_Initialize"),)
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


def failures(behaviour: Behaviour, enough: float = inf) -> Iterator[tuple[int, Failed | None]]:
    """The failures of a module, each with how many calls were made by then; at the end how many were made in all.

    When so many calls are `enough` it ends. There are more pieces than an honest module needs for that, as some refuse
    early what others let go on.
    """
    scope = tokens_of(SCOPE, behaviour)
    stage, work = worker(scope)
    stage.module = Accustomed(MODEL, SCOPE, behaviour, 7)
    made = 0
    for item in pieces():
        done = work.do(item)
        made += done.tally.calls
        yield from ((made, failed) for failed in done.failures)
        if made >= enough:
            break
    yield made, None


def named(practice: Practice) -> str:
    return practice.name


@pytest.mark.parametrize("practice", PRACTICES, ids=named)
def test_an_honest_module_is_right(practice: Practice) -> None:
    *failed, (made, _) = failures(practice.honest, CALLS)
    assert [(f.function, f.seen, f.cause) for _, f in failed if f is not None] == []
    assert made >= CALLS


@pytest.mark.parametrize("practice", PRACTICES, ids=named)
def test_a_breach_is_found(practice: Practice) -> None:
    assert any(f.function == practice.shown for _, f in failures(practice.breach) if f is not None)


def test_there_are_twenty_and_more_and_each_does_something() -> None:
    assert len({practice.name for practice in PRACTICES}) >= 20
    assert all(practice.honest != practice.breach != Behaviour() for practice in PRACTICES)


# Modules of v3.2: they are asked what its functions say, from the places where those have something to work on.

NEWEST = build(Version.V3_2)
NEW_SCOPE = State(slots=(Slot(), Slot(initialized=False, so_pin=Pin.NULL, user_pin=Pin.NULL)), objects=(Object(),) * 4)
CAME = {name for name, f in NEWEST.functions.items() if not f.signature.since <= Version.V2_40}
OTHERS = {"C_OpenSession", "C_GetTokenInfo", "C_GenerateRandom", "C_DigestInit", "C_EncryptInit", "C_GenerateKeyPair"}
"""Functions of v2.40 in which it shows what a module of v3.2 does."""


OF_TEMPLATES = ("kind", "token", "private", "trait", "flaw", "parameter")
"""Arguments that the practices are not about."""


FEW = 30
"""A place with more functions is one that everything is tried from."""


@cache
def ways() -> tuple[tuple[Call, ...], ...]:
    """Short ways to calls that differ from the plainest in one argument, and what tells whether a process is left."""
    found: dict[tuple[Call, ...], None] = {}
    begun: tuple[Call, ...] = ()
    opened = tuple((*INITIALIZED, Call("C_OpenSession", Args(slot=slot))) for slot in range(2))
    for way in ((), INITIALIZED, *opened):
        for name in sorted(CAME | OTHERS):
            found |= dict.fromkeys((*way, call) for call in calls_of(name))
    for _, place in situations(NEWEST, NEW_SCOPE):
        begun = place.way
        if any(call.function in CAME or call.args.mechanism is Mech.ML_KEM_KEY_PAIR_GEN for call in begun):
            own = place.functions & CAME if len(place.functions) < FEW else {"C_DigestInit"}
            for name in sorted(own):
                found |= dict.fromkeys((*begun, call, *going_on(begun)) for call in calls_of(name))
    return (*found,)


@cache
def calls_of(name: str) -> tuple[Call, ...]:
    f = NEWEST.functions[name]
    plain = {argument: f.domain(argument, NEW_SCOPE)[:1] for argument in OF_TEMPLATES if argument in f.uses}
    return (*replace(f, deviations=1, domains={**f.domains, **plain}).calls(NEW_SCOPE),)


@cache
def stand() -> tuple[Stage, Driver]:
    stage = Stage(Simulated(NEWEST, NEW_SCOPE))
    return stage, Driver(NEWEST, NEW_SCOPE, stage)


class Composed(Accustomed):
    """One without whims: it succeeds wherever it may, but for its breach, so that each way is gone to its end."""

    def __init__(self, model: Model, initial: State, behaviour: Behaviour, seed: int) -> None:
        super().__init__(model, initial, behaviour, seed)
        self._random = Whimless()


def shown(behaviour: Behaviour, sort: type[Accustomed]) -> Iterator[str]:
    """The functions in which a module fails."""
    stage, driver = stand()
    stage.module = sort(NEWEST, NEW_SCOPE, behaviour, 7)
    for way in ways():
        failure = driver.replay(way).failure
        if failure is not None:
            yield failure.call.function


@pytest.mark.parametrize("practice", PRACTICES_SINCE_V3_0, ids=named)
def test_an_honest_module_of_v3_2_is_right(practice: Practice) -> None:
    assert [*shown(practice.honest, Accustomed)] == []


@pytest.mark.parametrize("practice", PRACTICES_SINCE_V3_0, ids=named)
def test_a_breach_of_v3_2_is_found(practice: Practice) -> None:
    assert practice.shown in shown(practice.breach, Composed)


def test_a_practice_of_v3_2_does_something() -> None:
    plain, scope = Accustomed(NEWEST, NEW_SCOPE, Behaviour(), 7), NEW_SCOPE
    for practice in PRACTICES_SINCE_V3_0:
        own = Accustomed(NEWEST, scope, practice.honest, 7)
        assert any(answers(own, way) != answers(plain, way) for way in ways()), practice.name


def answers(module: Accustomed, way: Sequence[Call]) -> list[Observation]:
    module.reset(True)
    return [module.call(call) for call in way]
