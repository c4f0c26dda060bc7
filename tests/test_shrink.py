"""Shrinking: what comes out is minimal, always the same, and shows the same fault; few sequences are tested for it."""

from collections.abc import Sequence
from random import Random

import pytest
from conftest import FINALIZE, INIT, LOGIN, LOGIN_SO, LOGOUT, ONE_SLOT, OPEN, OPEN_RO, Steady, every_call
from hypothesis import given, settings
from hypothesis import strategies as st

from p11conform.model.call import Args, Call, Observation
from p11conform.model.oracle import Model, build
from p11conform.model.state import Pin
from p11conform.model.table import TABLE
from p11conform.model.vocabulary import CKR, CKU
from p11conform.properties.run.driver import Driver, same_fault
from p11conform.properties.run.shrink import Fails, shrink

USES = {f.name: f.uses for f in TABLE.values()}
CALLS = every_call(build(), ONE_SLOT)
ONE_WAY, OTHER_WAY = (INIT, OPEN, LOGIN), (INIT, OPEN_RO, LOGOUT)
SEQUENCES = st.lists(st.sampled_from(CALLS), min_size=1, max_size=25)


def contains(wanted: Sequence[Call]) -> Fails:
    """Fails where the wanted calls come in this order, whatever stands between them."""

    def fails(calls: Sequence[Call]) -> bool:
        left = iter(calls)
        return all(any(call == w for call in left) for w in wanted)

    return fails


def weaker(calls: tuple[Call, ...]) -> list[tuple[Call, ...]]:
    """Every sequence with one call less, or with one argument plainer."""
    less = [calls[:i] + calls[i + 1 :] for i in range(len(calls))]
    plain = Args()
    plainer = [
        (*calls[:i], Call(c.function, Args(**{**values(c), name: getattr(plain, name)})), *calls[i + 1 :])
        for i, c in enumerate(calls)
        for name in USES[c.function]
        if getattr(c.args, name) != getattr(plain, name)
    ]
    return [x for x in less if x] + plainer


def values(call: Call) -> dict[str, object]:
    return {name: getattr(call.args, name) for name in Args.__slots__}


@settings(max_examples=60, deadline=None)
@given(calls=SEQUENCES, data=st.data())
def test_nothing_more_can_be_taken_away(calls: list[Call], data: st.DataObject) -> None:
    places = sorted(data.draw(st.sets(st.integers(0, len(calls) - 1), min_size=1, max_size=4)))
    wanted = [calls[k] for k in places]
    fails = contains(wanted)
    assert shrink(calls, USES, fails) == tuple(wanted)


@settings(max_examples=60, deadline=None)
@given(calls=SEQUENCES, salt=st.integers(0, 5))
def test_result_is_one_minimal_and_repeatable(calls: list[Call], salt: int) -> None:
    """Also where failing is not monotone, as with a module it need not be."""

    def fails(trial: Sequence[Call]) -> bool:
        functions = [c.function for c in trial]
        return any(c.args != Args() for c in trial) and (len(set(functions)) + salt) % 3 != len(trial) % 2

    if not fails(calls):
        return
    small = shrink(calls, USES, fails)
    assert fails(small)
    assert not any(fails(x) for x in weaker(small))
    assert shrink(calls, USES, fails) == small


class Asked:
    """What fails, with the sequences that were asked about."""

    def __init__(self, fails: Fails) -> None:
        self.fails = fails
        self.asked: list[tuple[Call, ...]] = []

    def __call__(self, calls: Sequence[Call]) -> bool:
        self.asked.append(tuple(calls))
        return self.fails(calls)


def shrunk(length: int, matter: int, seed: int) -> list[tuple[Call, ...]]:
    """What is tested to shrink a sequence of which so many calls matter.

    The last always does, as in a sequence that was cut where it failed.
    """
    random = Random(seed)
    calls = random.choices(CALLS, k=length)
    places = [*sorted(random.sample(range(length - 1), matter - 1)), length - 1]
    wanted = [calls[k] for k in places]
    fails = Asked(contains(wanted))
    assert shrink(calls, USES, fails) == tuple(wanted)
    return fails.asked


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("length", "matter", "at_most"),
    [(10, 3, 32), (32, 2, 34), (100, 4, 50), (1000, 4, 65), (5000, 5, 110), (100, 100, 500)],
)
def test_few_sequences_are_tested(length: int, matter: int, at_most: int, seed: int) -> None:
    assert len(shrunk(length, matter, seed)) <= at_most


@pytest.mark.parametrize("seed", range(2))
def test_tests_of_a_very_long_sequence_soon_become_short(seed: int) -> None:
    assert sum(map(len, shrunk(5000, 5, seed))) <= 18 * 5000


@pytest.mark.parametrize(("before", "after", "at_most"), [(0, 900, 12_000), (900, 0, 100)])
def test_tests_are_short_where_what_matters_stands_together(before: int, after: int, at_most: int) -> None:
    """Counts calls, not sequences. At the back no search is long, at the front only the first is."""
    wanted = (*ONE_WAY, LOGOUT)
    fails = Asked(contains(wanted))
    assert shrink((*[FINALIZE] * before, *ONE_WAY, *[FINALIZE] * after, LOGOUT), USES, fails) == wanted
    assert sum(map(len, fails.asked)) <= at_most


@settings(max_examples=60, deadline=None)
@given(calls=SEQUENCES, guesses=st.lists(SEQUENCES, max_size=3), repeats=st.integers(1, 60), salt=st.integers(0, 5))
def test_no_sequence_is_tested_twice(calls: list[Call], guesses: list[list[Call]], repeats: int, salt: int) -> None:
    """Nor what is known: that the calls fail, and that none at all do not."""
    calls *= repeats
    fails = Asked(lambda trial: trial == tuple(calls) or (len(set(trial)) + salt) % 3 != len(trial) % 2)
    shrink(calls, USES, fails, [[], *guesses, *guesses])
    assert len(fails.asked) == len(set(fails.asked))
    assert not {(), tuple(calls)} & set(fails.asked)


@pytest.mark.parametrize(
    ("guesses", "small"),
    [
        ([], ONE_WAY),
        ([(INIT, OPEN)], ONE_WAY),
        ([(INIT, FINALIZE, OPEN_RO, LOGOUT)], OTHER_WAY),
        ([(INIT, OPEN), (INIT, FINALIZE, OPEN_RO, LOGOUT), ONE_WAY], OTHER_WAY),
        ([ONE_WAY, OTHER_WAY], ONE_WAY),
    ],
)
def test_first_guess_that_fails_is_shrunk(guesses: list[tuple[Call, ...]], small: tuple[Call, ...]) -> None:
    one, other = contains(ONE_WAY), contains(OTHER_WAY)
    long_way = (INIT, FINALIZE, INIT, OPEN, FINALIZE, LOGIN)
    assert shrink(long_way, USES, lambda calls: one(calls) or other(calls), guesses) == small


def test_guess_saves_tests() -> None:
    calls = (*[FINALIZE, LOGOUT] * 500, *ONE_WAY)
    without, guessed = Asked(contains(ONE_WAY)), Asked(contains(ONE_WAY))
    assert shrink(calls, USES, without) == shrink(calls, USES, guessed, [ONE_WAY]) == ONE_WAY
    assert len(guessed.asked) <= 1 + len(ONE_WAY) < len(without.asked)


class Accepting(Steady):
    """Lets anybody in whose PIN is wrong, unless it is too short."""

    def call(self, call: Call) -> Observation:
        seen = super().call(call)
        wrong = seen.code == CKR.PIN_INCORRECT and call.function == "C_Login" and call.args.pin is not Pin.SHORT
        return Observation() if wrong else seen


def test_fault_of_a_module_is_kept(model: Model) -> None:
    driver = Driver(model, ONE_SLOT, Accepting(model, ONE_SLOT))
    long_way = (
        *(INIT, Call("C_GetInfo"), OPEN, OPEN_RO, LOGIN, LOGOUT, Call("C_CloseSession", Args(session=1)), LOGIN_SO),
        *(LOGOUT, Call("C_GetSlotList"), Call("C_Login", Args(user=CKU.SO, pin=Pin.OTHER))),
    )
    original = driver.replay(long_way).failure
    assert original is not None

    small = shrink(long_way, USES, lambda calls: same_fault(original, driver.replay(calls).failure))
    assert small == (INIT, OPEN, Call("C_Login", Args(pin=Pin.OTHER)))
    found = driver.replay(small).failure
    assert found is not None
    assert found.cause == original.cause
