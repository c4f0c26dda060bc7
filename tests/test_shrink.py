"""Shrinking: what comes out is minimal, always the same, and shows the same fault."""

from collections.abc import Sequence

from conftest import INIT, LOGIN, LOGIN_SO, LOGOUT, ONE_SLOT, OPEN, OPEN_RO, Steady, every_call
from hypothesis import given, settings
from hypothesis import strategies as st

from p11conform.model.call import Args, Call, Observation
from p11conform.model.oracle import Model, build
from p11conform.model.state import Pin
from p11conform.model.table import TABLE
from p11conform.model.vocabulary import CKR, CKU
from p11conform.properties.conformance import Driver, same_fault
from p11conform.properties.shrink import Fails, shrink

USES = {f.name: f.uses for f in TABLE.values()}
CALLS = every_call(build(), ONE_SLOT)
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
