"""Modules of v3.2: right with a practice, found out with the breach beside it.

They are asked what its functions say, from the places where those have something to work on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import pytest
from pieces import Composed, Stage, named

from p11conform.adapters.honest import PRACTICES_SINCE_V3_0, Accustomed, Behaviour, Practice
from p11conform.adapters.simulated import Simulated
from p11conform.model.call import Args, Call, Observation
from p11conform.model.oracle import build
from p11conform.model.state import Mech, Object, Pin, Slot, State
from p11conform.model.vocabulary import Version
from p11conform.properties.run.driver import Driver
from p11conform.properties.search.setups import going_on, situations

INITIALIZED = (Call("C_Initialize"),)

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
