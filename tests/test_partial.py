"""The oracle on sets of values: where all is known it is the oracle, and to know less never permits less."""

from dataclasses import replace
from random import Random

from conftest import states
from hypothesis import given, settings
from hypothesis import strategies as st

from p11conform.model.call import Buffer, Call
from p11conform.model.oracle import build, in_scope, permitted
from p11conform.model.state import LIMIT_UNKNOWN, Session, State
from p11conform.properties.engine.partial import (
    MINE,
    NOWHERE,
    UNTOLD,
    Partial,
    Scene,
    masks_of,
    one,
    part,
)

MODEL = build()
HANDLES = {"object", "key", "other_key", "blob"}
NAMES = tuple(name for name, f in MODEL.functions.items() if HANDLES.isdisjoint(f.uses))
"""Functions that are given no handle of an object: what becomes of those is tested on recorded calls."""


def idle(s: State) -> State:
    """A state as a scene has it: one slot, limits untold, nothing saved, and no key that is numbered otherwise."""
    slot = replace(s.slots[0], session_limit=LIMIT_UNKNOWN, rw_session_limit=LIMIT_UNKNOWN)
    sessions = tuple(replace(x, slot=0) if x.open else x for x in s.sessions)
    return State(s.initialized, (slot,), sessions)


def scene(s: State, call: Call) -> Scene:
    """What a call sees of such a state."""
    uses = MODEL.functions[call.function].uses
    numbers = {"session": (MINE, NOWHERE), "slot": (0, NOWHERE)}
    index = {name: one(numbers[name][0 if getattr(call.args, name) == 0 else 1]) for name in numbers}
    args = part(tuple(index.get(name) or one(int(getattr(call.args, name))) for name in uses))
    mine, other = (part(masks_of(x)) for x in s.sessions[:2])
    slot = s.slots[0]
    return Scene(
        one(int(s.initialized)),
        part(masks_of(slot)),
        mine,
        (other,),
        (),
        args,
        slot.mechanisms,
        slot.abilities,
    )


@st.composite
def situations(draw: st.DrawFn) -> tuple[State, Call]:
    """A state, and a call that names its first session and slot, or none."""
    s = idle(draw(states()))
    name = draw(st.sampled_from(NAMES))
    calls = [c for c in MODEL.functions[name].calls(s) if c.args.session != 1 and in_scope(MODEL, s, c)]
    if name == "C_GetSlotList" and not s.slots[0].present:
        # A scene takes it that there is another slot, with a token.
        calls = [c for c in calls if not (c.args.token_present and c.args.buffer == Buffer.SHORT)]
    return s, draw(st.sampled_from(calls)) if calls else Call("C_GetInfo")


@settings(max_examples=300, deadline=None)
@given(situations())
def test_where_all_is_known_it_is_the_oracle(situation: tuple[State, Call]) -> None:
    s, call = situation
    plain = without_keys(s)
    assert Partial(MODEL).rule(call.function, scene(plain, call)).codes == permitted(MODEL, plain, call)


def without_keys(s: State) -> State:
    """Nothing active that has a key: where no object is there they are all lost, which scenes do not number alike."""
    return replace(s, sessions=tuple(replace(x, operations=Session().operations) if x.open else x for x in s.sessions))


@settings(max_examples=200, deadline=None)
@given(situations(), st.randoms(use_true_random=False))
def test_to_know_less_permits_no_less(situation: tuple[State, Call], random: Random) -> None:
    s, call = situation
    known = scene(without_keys(s), call)
    codes = Partial(MODEL).rule(call.function, known).codes
    slot = part(tuple(m if random.random() < 0.7 else UNTOLD for m in known.slot.masks))
    args = part(tuple(m if random.random() < 0.8 else m | one(0, 1) for m in known.args.masks))
    vague = replace(known, slot=slot, mine=known.mine, args=args)
    assert codes <= Partial(MODEL).rule(call.function, vague).codes
