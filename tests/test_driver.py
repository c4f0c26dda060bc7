"""The driver: what it calls, what it notes beforehand, and what it counts."""

from collections.abc import Callable

import pytest
from conftest import INIT, LOGIN, LOGIN_SO, LOGOUT, ONE_SLOT, OPEN, Steady

from p11conform.adapters.simulated import Simulated
from p11conform.model.call import Args, Call, Ending, Observation
from p11conform.model.oracle import Model
from p11conform.model.state import Login, Mech, Pin
from p11conform.model.vocabulary import CKR
from p11conform.properties.engine.beliefs import FULL
from p11conform.properties.policy import Level, on_token
from p11conform.properties.run.driver import LONGEST, Driver
from p11conform.properties.search.goals import all_calls

INFO, BAD_INFO = Call("C_GetSessionInfo"), Call("C_GetSessionInfo", Args(session=2))
USER_IN = (INIT, OPEN, LOGIN)


class Lenient(Steady):
    """Lets anybody log out."""

    def call(self, call: Call) -> Observation:
        seen = super().call(call)
        return Observation() if call.function == "C_Logout" and self._state.initialized else seen


class Watched(Steady):
    """Tells what its journal held when a call came."""

    journal: Callable[[], list[int]]
    seen: list[list[int]]

    def call(self, call: Call) -> Observation:
        self.seen.append(self.journal())
        return super().call(call)


def test_a_call_is_noted_before_it_is_made(core: Model) -> None:
    module, journal = Watched(core, ONE_SLOT), [0] * LONGEST
    module.seen, module.journal = [], lambda: [n - 1 for n in journal if n]
    begun: list[int] = []

    def begin() -> None:
        begun.append(len(module.seen))
        journal[:] = [0] * LONGEST

    calls = all_calls(core, ONE_SLOT)
    driver = Driver(core, ONE_SLOT, module, calls=calls, journal=journal, begin=begin)
    numbers = [driver.number(call) for call in (INIT, OPEN, INFO, INFO)]
    driver.replay([calls[k] for k in numbers])
    driver.replay([calls[k] for k in numbers[:2]])
    assert module.seen == [numbers[: n + 1] for n in (0, 1, 2, 3, 0, 1)]
    assert begun == [0, 0, 4]


def test_calls_are_numbered_as_they_come_along(core: Model) -> None:
    driver = Driver(core, ONE_SLOT, Steady(core, ONE_SLOT), calls=(INIT, OPEN))
    assert [driver.number(call) for call in (OPEN, INFO, INIT, INFO)] == [1, 2, 0, 2]
    assert driver.replay((INIT, OPEN, BAD_INFO)).steps[-1][1].code == CKR.SESSION_HANDLE_INVALID


@pytest.mark.parametrize("full", [FULL, 3])
def test_counts_are_the_same_whatever_is_forgotten(core: Model, full: int) -> None:
    sequences = [(*USER_IN, INFO, LOGOUT, *[BAD_INFO] * 5, INFO), (INIT, OPEN, INFO)] * 3
    driver = Driver(core, ONE_SLOT, Steady(core, ONE_SLOT), full=full)
    for calls in sequences:
        assert driver.replay(calls).failure is None
    tally = driver.tally
    assert (tally.calls, tally.sequences) == (sum(map(len, sequences)), len(sequences))
    assert tally.pairs["C_GetSessionInfo", "CKR_SESSION_HANDLE_INVALID"] == 15
    assert tally.pairs["C_GetSessionInfo", "CKR_OK"] == 9
    assert ("C_GetSessionInfo", CKR.SESSION_HANDLE_INVALID, "session invalid") in tally.fired
    assert len(tally.states) == 4


def test_what_is_seen_first_is_news_once(core: Model) -> None:
    driver = Driver(core, ONE_SLOT, Steady(core, ONE_SLOT))
    driver.replay((INIT, OPEN, INFO, INFO))
    _, news = driver.take()
    assert [(x.function, x.seen, x.calls) for x in news] == [
        ("C_Initialize", "CKR_OK", 1),
        ("C_OpenSession", "CKR_OK", 2),
        ("C_GetSessionInfo", "CKR_OK", 3),
    ]
    driver.tell([(x.function, x.seen, x.aspect) for x in news], {})
    driver.replay((INIT, OPEN, INFO, BAD_INFO))
    _, news = driver.take()
    assert [(x.function, x.seen, x.calls) for x in news] == [("C_GetSessionInfo", "CKR_SESSION_HANDLE_INVALID", 8)]


def test_after_a_wrong_error_one_can_go_on_after_a_wrong_success_not(core: Model) -> None:
    class Wrong(Lenient):
        def call(self, call: Call) -> Observation:
            seen = super().call(call)
            return Observation(CKR.PIN_INVALID) if call == BAD_INFO else seen

    driver = Driver(core, ONE_SLOT, Wrong(core, ONE_SLOT))
    driver.replay((INIT, OPEN, BAD_INFO))
    place = driver.trail[-1].before
    assert driver.failed
    assert driver.resume()
    assert (driver.belief, driver.over, len(driver.trail)) == (place, False, 2)
    driver.run((driver.number(LOGOUT),))
    assert driver.failed
    assert not driver.resume()
    assert driver.over
    assert driver.tally.calls == 4, "the failure that was passed over counts"


@pytest.mark.parametrize("full", [1, 2, 3, 5])
def test_one_can_go_on_after_a_wrong_error_whatever_was_forgotten(core: Model, full: int) -> None:
    class Wrong(Steady):
        def call(self, call: Call) -> Observation:
            seen = super().call(call)
            return Observation(CKR.PIN_INVALID) if call == BAD_INFO else seen

    driver = Driver(core, ONE_SLOT, Wrong(core, ONE_SLOT), full=full)
    driver.replay(USER_IN)
    for call in (BAD_INFO, INFO, BAD_INFO, BAD_INFO, INFO, LOGOUT):
        driver.run((driver.number(call),))
        if driver.failed:
            assert driver.resume()
    (s,) = driver.beliefs
    assert (s.sessions[0].open, s.slots[0].login) == (True, Login.NOBODY)
    assert driver.tally.calls == 9


def test_a_call_that_is_spared_or_that_the_policy_forbids_is_left_out(core: Model) -> None:
    driver = Driver(core, ONE_SLOT, Steady(core, ONE_SLOT), on_token(Level.SESSION_OBJECTS, frozenset()))
    driver.spare = frozenset({driver.number(INFO)})
    replay = driver.replay((INIT, OPEN, INFO, LOGIN, Call("C_SetPIN", Args(new_pin=Pin.OTHER)), BAD_INFO))
    assert [call for call, _ in replay.steps] == [INIT, OPEN, BAD_INFO]


def test_a_call_that_is_spared_in_an_operation_is_made_in_others(model: Model) -> None:
    driver = Driver(model, ONE_SLOT, Steady(model, ONE_SLOT))
    digest = Call("C_Digest")
    driver.spare_with = {driver.number(digest): frozenset({Mech.SHA_1})}
    for mech, made in ((Mech.SHA_1, False), (Mech.SHA256, True)):
        begin = Call("C_DigestInit", Args(mechanism=mech))
        replay = driver.replay((INIT, OPEN, begin, digest))
        assert (replay.steps[-1][0] == digest) is made


def test_nothing_is_called_after_the_end_of_a_sequence(core: Model) -> None:
    class Dying(Steady):
        def call(self, call: Call) -> Observation:
            return Observation(ending=Ending.DIED) if call == INFO else super().call(call)

    driver = Driver(core, ONE_SLOT, Dying(core, ONE_SLOT))
    assert len(driver.replay((INIT, OPEN, INFO, INFO, OPEN)).steps) == 3
    driver.run((driver.number(INIT),))
    assert len(driver.trail) == 3


def test_a_sequence_is_cut_where_the_journal_ends(core: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p11conform.properties.run.driver.LONGEST", 7)
    driver = Driver(core, ONE_SLOT, Simulated(core, ONE_SLOT), journal=[0] * 7)
    driver.replay((INIT, *[Call("C_GetInfo")] * 20))
    assert len(driver.trail) <= 7


def test_a_pin_that_may_be_flagged_anew_is_put_back(core: Model) -> None:
    """The SO may set the PIN that the user had, and yet it may count as one to be changed from then on."""
    restored: list[bool] = []

    class Noting(Steady):
        def reset(self, restore_token: bool) -> None:
            restored.append(restore_token)
            super().reset(restore_token)

    driver = Driver(core, ONE_SLOT, Noting(core, ONE_SLOT))
    same_pin = Call("C_InitPIN", Args(new_pin=Pin.USER))
    for calls in (USER_IN, (INIT, OPEN, LOGIN_SO, same_pin), USER_IN):
        assert driver.replay(calls).failure is None
    assert restored[-2:] == [False, True]
