"""PINs that are given wrongly again and again: a token that locks one is seen to, and the SO brings it back."""

import pytest
from conftest import Whimless, adapter_of

from p11conform.adapters.honest import PRACTICES, Accustomed
from p11conform.adapters.modules import registry
from p11conform.adapters.simulated import Simulated
from p11conform.model.call import Args, Call
from p11conform.model.oracle import build
from p11conform.model.state import Object, Pin, Slot, State
from p11conform.model.vocabulary import CKR, CKU
from p11conform.properties.policy import Level, Policy, Rights
from p11conform.properties.run.driver import Driver
from p11conform.properties.search.guesses import guesses

MODEL, SCOPE = build(), State(slots=(Slot(),), objects=(Object(),))
(LOCKING,) = (practice.honest for practice in PRACTICES if practice.name == "a PIN locked after three")
BOTH = frozenset({CKU.USER, CKU.SO})


class Composed(Accustomed):
    """One without whims: it locks the PIN after three, and succeeds wherever it may."""

    def __init__(self) -> None:
        super().__init__(MODEL, SCOPE, LOCKING)
        self._random = Whimless()


def run(module: Simulated) -> list[list[tuple[str, CKR]]]:
    driver = Driver(MODEL, SCOPE, module)
    found = []
    for way, calls in guesses(MODEL, SCOPE, Rights(Level.OURS).policy):
        replay = driver.replay((*way, *calls))
        assert replay.failure is None
        found.append([(call.function, CKR(seen.code)) for call, seen in replay.steps])
    return found


def test_a_pin_is_given_wrongly_until_it_is_locked_and_then_set_anew() -> None:
    found = run(Composed())
    locked = [x for x in found if ("C_Login", CKR.PIN_LOCKED) in x]
    assert locked
    for steps in locked:
        first = steps.index(("C_Login", CKR.PIN_LOCKED))
        assert steps[2:first] == [("C_Login", CKR.PIN_INCORRECT)] * 3
        assert steps[-1] == ("C_Login", CKR.OK), "the SO set it anew"
    assert {"C_InitPIN", "C_InitToken"} <= {name for x in locked for name, _ in x}


def policy(level: Level) -> Policy:
    return Rights(level, BOTH).policy


def test_a_strangers_pin_is_not_given_wrongly_in_a_row() -> None:
    for level in (Level.SESSION_OBJECTS, Level.TOKEN_OBJECTS, Level.PINS):
        assert not [*guesses(MODEL, SCOPE, policy(level))], level
    assert [*guesses(MODEL, SCOPE, policy(Level.EVERYTHING))], "given over wholly it is"


@pytest.mark.module
@pytest.mark.parametrize(("name", "user"), [("opencryptoki", CKU.USER), ("opensc", CKU.USER)])
def test_a_real_module_locks_a_pin(name: str, user: CKU) -> None:
    provider = registry.provider(name)
    if (obstacle := provider.obstacle()) is not None:
        pytest.skip(obstacle)
    module = provider.provision()
    try:
        with adapter_of(module) as adapter:
            adapter.reset(True)
            wrong, right = (Call("C_Login", Args(user=user, pin=pin)) for pin in (Pin.WRONG, Pin.USER))
            seen = adapter.call_all((module.binding.initialize, Call("C_OpenSession"), *(wrong,) * 4, right))
            assert CKR.PIN_LOCKED in [x.code for x in seen]
            assert seen[-1].code == CKR.PIN_LOCKED
            assert adapter.reset(True), "the token is put back"
            again = adapter.call_all((module.binding.initialize, Call("C_OpenSession"), right))
            assert again[-1].code == CKR.OK
    finally:
        module.discard()
