"""What a module refuses although the text lets it succeed: it is learnt, and ways lead round it."""

from collections.abc import Callable
from itertools import islice

import pytest
from conftest import OBJECTS, Steady

from p11conform.model.call import Args, Call, InitArgs, Observation
from p11conform.model.oracle import Model
from p11conform.model.state import Login, State
from p11conform.model.vocabulary import CKR
from p11conform.properties.policy import Policy, anything
from p11conform.properties.run.campaign import Budget, Results, check
from p11conform.properties.run.driver import Driver
from p11conform.properties.run.habits import NOT_MADE, Habits
from p11conform.properties.search.detours import Detours
from p11conform.properties.search.goals import all_calls, by_function
from p11conform.properties.search.setups import AES, BEGIN, RSA, USER, Way
from p11conform.properties.search.tours import tours

ONE_SLOT = State(objects=OBJECTS)
LONG = Budget(sequences=0, seconds=600)


class Refusing(Steady):
    """Refuses some calls, by the code of an environment in trouble, and cannot make others."""

    def __init__(self, model: Model, initial: State, refuses: Callable[[State, Call], bool], *, made: bool = True):
        super().__init__(model, initial)
        self._refuses, self._are_made = refuses, made

    def call(self, call: Call) -> Observation:
        if self._are_made and self._refuses(self._state, call):
            return Observation(CKR.DEVICE_ERROR)
        return super().call(call)

    def supports(self, call: Call) -> bool:
        return self._are_made or not self._refuses(self._state, call)


def detours(model: Model, may: Policy, initial: State = ONE_SLOT) -> Detours:
    return Detours(model, by_function(all_calls(model, initial)), may)


def read_only(_s: State, call: Call) -> bool:
    return call.function == "C_OpenSession" and call.args.rw


def generating(_s: State, call: Call) -> bool:
    return call.function in ("C_GenerateKey", "C_GenerateKeyPair")


def nobody(_s: State, call: Call) -> bool:
    return call.function == "C_Login"


def plain_start(_s: State, call: Call) -> bool:
    return call.function == "C_Initialize" and call.args.init is InitArgs.NULL


def without_login(s: State, call: Call) -> bool:
    return call.function in ("C_GenerateKey", "C_CreateObject") and s.slots[0].login == Login.NOBODY


@pytest.mark.parametrize(
    ("way", "refuses"),
    [
        pytest.param((*BEGIN, *AES), read_only, id="R/W sessions"),
        pytest.param((*USER, *AES), generating, id="key generation"),
        pytest.param((*USER, *RSA), nobody, id="logins"),
        pytest.param(BEGIN, plain_start, id="C_Initialize without arguments"),
        pytest.param((*BEGIN, *AES), without_login, id="objects without a login"),
    ],
)
def test_a_way_is_planned_round_what_is_refused_and_leads_to_as_much(way: Way, refuses: Policy, model: Model) -> None:
    planner = detours(model, lambda s, call: not refuses(s, call))
    found = planner.way(ONE_SLOT, way)
    assert found is not None
    assert found != way
    assert detours(model, anything).way(ONE_SLOT, way) == way
    s = ONE_SLOT
    for call in found:
        assert not refuses(s, call)
        s = planner.end(s, (call,))
    there = detours(model, anything).end(ONE_SLOT, way)
    assert [x.open for x in s.sessions] == [x.open for x in there.sessions]
    assert [(x.known, x.kind) for x in s.objects] == [(x.known, x.kind) for x in there.objects]


def test_there_is_no_way_where_nothing_comes_to_the_same(model: Model) -> None:
    planner = detours(model, lambda _, call: call.function != "C_OpenSession")
    assert planner.way(ONE_SLOT, BEGIN) is None
    assert planner.way(ONE_SLOT, BEGIN[:1]) == BEGIN[:1]


def test_a_refusal_counts_where_nobody_is_logged_in_and_not_where_it_works(model: Model) -> None:
    habits = Habits(model)
    driver = Driver(model, ONE_SLOT, Refusing(model, ONE_SLOT, without_login))
    planner = detours(model, anything)
    for way in ((*BEGIN, *AES), (*USER, *AES)):
        assert habits.unknown(ONE_SLOT, way)
        while habits.learn(ONE_SLOT, way, driver.replay(way)):
            pass
        assert not habits.unknown(ONE_SLOT, way)
    public, logged_in = (planner.end(ONE_SLOT, way) for way in (BEGIN, USER))
    assert not habits.allow(public, AES[0])
    assert habits.allow(logged_in, AES[0])
    assert list(habits.refused.values()) == ["CKR_DEVICE_ERROR"]


def test_trouble_of_the_moment_is_no_habit(model: Model) -> None:
    times = iter(range(2))

    def twice(_s: State, call: Call) -> bool:
        return call.function == "C_OpenSession" and next(times, None) is not None

    habits = Habits(model)
    driver = Driver(model, ONE_SLOT, Refusing(model, ONE_SLOT, twice))
    assert [habits.learn(ONE_SLOT, BEGIN, driver.replay(BEGIN)) for _ in range(3)] == [True, True, False]
    assert habits.refused == {}


def test_a_call_that_cannot_be_made_is_planned_round_too(model: Model) -> None:
    habits = Habits(model)
    driver = Driver(model, ONE_SLOT, Refusing(model, ONE_SLOT, plain_start, made=False))
    habits.learn(ONE_SLOT, BEGIN, driver.replay(BEGIN))
    assert list(habits.refused.values()) == [NOT_MADE]
    assert not habits.allow(ONE_SLOT, BEGIN[0])
    assert habits.allow(ONE_SLOT, Call("C_Initialize", Args(init=InitArgs.OS_LOCKING)))


def test_a_call_that_works_in_one_place_and_is_refused_in_another_is_not_tried_for_ever(model: Model) -> None:
    def second_object(s: State, call: Call) -> bool:
        return call.function == "C_CreateObject" and s.objects[0].exists

    results = check(model, ONE_SLOT, Refusing(model, ONE_SLOT, second_object), budget=Budget(sequences=0, calls=20_000))
    assert ("C_CreateObject", str(CKR.DEVICE_ERROR)) in results.tally.pairs
    assert results.tally.pairs["C_Encrypt", str(CKR.OK)] > 0


def reached(results: Results) -> set[str]:
    return {function for function, seen in results.tally.pairs if seen == str(CKR.OK)}


@pytest.fixture(scope="module")
def whole(model: Model) -> set[str]:
    """The functions that succeed where nothing is refused."""
    return reached(check(model, ONE_SLOT, Steady(model, ONE_SLOT), budget=LONG))


@pytest.mark.parametrize(
    ("refuses", "made"),
    [
        pytest.param(plain_start, False, id="C_Initialize without arguments is not made"),
        pytest.param(read_only, True, id="R/W sessions"),
        pytest.param(generating, True, id="key generation"),
    ],
)
def test_a_check_reaches_about_as_much_where_something_is_refused(
    refuses: Callable[[State, Call], bool], made: bool, model: Model, whole: set[str]
) -> None:
    less = reached(check(model, ONE_SLOT, Refusing(model, ONE_SLOT, refuses, made=made), budget=LONG))
    # Pairs that C_DeriveKey takes cannot be imported.
    hopeless = {"C_GenerateKey", "C_GenerateKeyPair", "C_DeriveKey"} if refuses is generating else set()
    rest = whole - less - hopeless
    if refuses is read_only:
        # What 5.6 wants a R/W session for.
        rest -= {"C_InitPIN", "C_SetPIN"}
    assert rest == set()


def test_tours_lead_through_what_the_module_lets_be_and_by_plain_calls(model: Model) -> None:
    def may(_s: State, call: Call) -> bool:
        return not plain_start(_s, call)

    def begun_by(may: Policy) -> set[InitArgs]:
        whole = islice(tours(model, ONE_SLOT, None, 60.0, may), 5)
        ways = [stop.way for tour in whole for stop in tour]
        return {call.args.init for way in ways for call in way if call.function == "C_Initialize"}

    assert begun_by(anything) == {InitArgs.NULL}
    assert begun_by(may) == {InitArgs.PLAIN}
