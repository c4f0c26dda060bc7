"""The way back to what a token held, planned on the model and followed on a module."""

from dataclasses import replace

import pytest
from conftest import FINALIZE, INIT, LOGIN, OBJECTS, OPEN, Steady, after

from p11conform.model.call import Args, Call, Observation
from p11conform.model.oracle import Model, following
from p11conform.model.state import Pin, State, Trait
from p11conform.model.vocabulary import CKR, CKU
from p11conform.properties.engine.verdict import Kind
from p11conform.properties.policy import Level, Rights, on_token
from p11conform.properties.run.driver import Driver
from p11conform.properties.run.restore import Restoring, token_contents

START = State(objects=OBJECTS)
EVERYBODY = frozenset({CKU.SO, CKU.USER})
MADE = Call("C_CreateObject", Args(token=True))
PRIVATE = Call("C_CreateObject", Args(token=True, private=True))
LASTING = Call("C_CreateObject", Args(token=True, trait=Trait.UNDESTROYABLE))
WRONG = (Call("C_Login", Args(pin=Pin.WRONG)), CKR.PIN_INCORRECT)
CHANGED = Call("C_SetPIN", Args(pin=Pin.USER, new_pin=Pin.OTHER))
ANEW = Call("C_InitToken", Args(pin=Pin.SO))

CASES = {
    "object": ((INIT, OPEN, MADE), ["C_FindObjectsInit", "C_FindObjects", "C_DestroyObject"]),
    "private object": (
        (INIT, OPEN, LOGIN, PRIVATE),
        ["C_Login", "C_FindObjectsInit", "C_FindObjects", "C_DestroyObject"],
    ),
    "wrong PIN": ((INIT, OPEN, WRONG), ["C_Login"]),
    "changed PIN": ((INIT, OPEN, CHANGED), ["C_SetPIN"]),
    "no user PIN": ((INIT, ANEW), ["C_Login", "C_InitPIN"]),
    "what lasts": ((INIT, OPEN, LASTING), ["C_InitToken", "C_OpenSession", "C_Login", "C_InitPIN"]),
}


class Recorded(Steady):
    """A module that keeps a list of its calls, and has a way of its own back."""

    def _settle(self, call: Call, code: CKR) -> State:
        """Where the text leaves that open, nothing is left on the token."""
        return min(following(self._model, self._state, call, code), key=lambda s: len(token_contents(s)))

    def __init__(self, model: Model, initial: State) -> None:
        super().__init__(model, initial)
        self.made: list[str] = []
        self.own_ways: list[bool] = []
        self.fails: str | None = None
        self.answers: dict[str, Observation] = {}
        self.left = True

    def tries_left(self, user: CKU) -> bool:  # noqa: ARG002
        return self.left

    def call(self, call: Call) -> Observation:
        self.made.append(call.function)
        if call.function in self.answers:
            return self.answers[call.function]
        return Observation(CKR.FUNCTION_FAILED) if call.function == self.fails else super().call(call)

    def reset(self, restore_token: bool) -> bool:  # type: ignore[override]
        self.own_ways.append(restore_token)
        super().reset(restore_token)
        return True


@pytest.mark.parametrize("case", CASES)
def test_the_token_is_put_back_by_few_calls_and_not_by_the_module_s_provider(model: Model, case: str) -> None:
    steps, wanted = CASES[case]
    calls = [step[0] if isinstance(step, tuple) else step for step in steps]
    module = Recorded(model, START)
    driver = Driver(model, START, module, on_token(Level.EVERYTHING, EVERYBODY))
    driver.replay(calls)
    assert {token_contents(s) for s in driver.beliefs} != {token_contents(START)}
    module.own_ways.clear()
    module.made.clear()
    driver.begin()
    assert [name for name in module.made if name not in ("C_Initialize", "C_OpenSession")] == [
        name for name in wanted if name != "C_OpenSession"
    ]
    assert True not in module.own_ways
    assert token_contents(module._state) == token_contents(START)
    assert driver.tally.restores == 2, "at first, and now"


def test_where_a_plan_fails_the_next_one_goes_on(model: Model) -> None:
    module = Recorded(model, START)
    driver = Driver(model, START, module, on_token(Level.EVERYTHING, EVERYBODY))
    driver.replay((INIT, OPEN, MADE))
    module.own_ways.clear()
    module.fails = "C_DestroyObject"
    driver.begin()
    assert "C_InitToken" in module.made
    assert True not in module.own_ways
    driver.replay((INIT, OPEN, MADE))
    module.fails = "C_Initialize"
    driver.begin()
    assert module.own_ways[-1], "the provider's way is the last"


def test_when_all_ways_fail_the_run_goes_on_with_what_needs_no_token(model: Model) -> None:
    class Lost(Recorded):
        def reset(self, restore_token: bool) -> bool:  # type: ignore[override]
            super().reset(restore_token=False)
            return not (restore_token and self.fails)

    module = Lost(model, START)
    driver = Driver(model, START, module, on_token(Level.EVERYTHING, EVERYBODY))
    driver.replay((INIT, OPEN, MADE))
    module.fails = "C_Initialize"
    driver.begin()
    module.fails = None
    assert driver.tally.lowered
    driver.run(map(driver.number, (INIT, OPEN)))
    assert not driver.can(LOGIN)
    assert not driver.can(MADE)
    assert driver.can(Call("C_CreateObject"))


def test_a_failure_that_touched_no_token_leaves_it_clean(model: Model) -> None:
    module = Recorded(model, START)
    driver = Driver(model, START, module, on_token(Level.EVERYTHING, EVERYBODY))
    module.fails = "C_GetSessionInfo"
    module.own_ways.clear()
    driver.replay((INIT, OPEN, Call("C_GetSessionInfo")))
    driver.begin()
    assert True not in module.own_ways


def test_plans_obey_the_level(model: Model) -> None:
    s, *_ = after(model, START, (INIT, OPEN, LASTING, FINALIZE))
    made: list[Call] = []

    def make(call: Call) -> Observation:
        made.append(call)
        return Observation(CKR.OK)

    way = Restoring(model, START, on_token(Level.PINS, EVERYBODY))
    assert not way.restore([s], make, lambda _: None).done
    assert made == []
    changed = replace(START, slots=(replace(START.slots[0], user_pin=Pin.OTHER),))
    assert way.restore([changed], make, lambda _: None).done
    assert [c.function for c in made] == ["C_Initialize", "C_OpenSession", "C_SetPIN"]


def test_a_way_of_putting_back_that_fails_is_judged_and_the_next_is_taken(model: Model) -> None:
    module = Recorded(model, START)
    driver = Driver(model, START, module, on_token(Level.EVERYTHING, EVERYBODY))
    driver.replay((INIT, OPEN, MADE))
    module.answers["C_DestroyObject"] = Observation(CKR.SESSION_HANDLE_INVALID)
    driver.begin()
    (broken,) = driver.broken
    assert broken.calls[:4] == (INIT, OPEN, MADE, FINALIZE)
    assert broken.calls[-1].function == broken.verdict.call.function == "C_DestroyObject"
    assert broken.verdict.kind is Kind.SESSION_STATE
    assert not driver.lowered, "the token was initialised anew"
    assert token_contents(module._state) == token_contents(START)


def test_what_the_text_lets_fail_is_no_failure_of_putting_back(model: Model) -> None:
    module = Recorded(model, START)
    driver = Driver(model, START, module, on_token(Level.EVERYTHING, EVERYBODY))
    driver.replay((INIT, OPEN, MADE))
    module.fails = "C_DestroyObject"
    driver.begin()
    assert driver.broken == []


def test_after_a_failure_it_is_not_judged_what_puts_back(model: Model) -> None:
    module = Recorded(model, START)
    driver = Driver(model, START, module, on_token(Level.EVERYTHING, EVERYBODY))
    module.answers["C_GetSessionInfo"] = Observation(CKR.PIN_EXPIRED)
    driver.replay((INIT, OPEN, MADE, Call("C_GetSessionInfo")))
    assert driver.failed
    module.answers["C_DestroyObject"] = Observation(CKR.SESSION_HANDLE_INVALID)
    driver.begin()
    assert "C_DestroyObject" in module.made
    assert driver.broken == []


def test_no_wrong_pin_is_given_while_the_token_says_that_few_tries_are_left(model: Model) -> None:
    module = Recorded(model, START)
    rights = Rights(Level.PINS, EVERYBODY)
    driver = Driver(model, START, module, rights.policy, rights=rights)
    right, wrong = Call("C_Login"), WRONG[0]
    for left in (True, False, True):
        module.left = left
        made = [call for call, _ in driver.replay((INIT, OPEN, wrong, right)).steps]
        assert (wrong in made, right in made) == (left, True)
