"""What is answered for many calls and states at once is what the oracle says of each."""

from collections.abc import Sequence
from typing import Any

import pytest
from conftest import ONE_SLOT, every_call, restricted, states
from hypothesis import given, settings
from hypothesis import strategies as st

from p11conform.model.call import Args, Call
from p11conform.model.oracle import Model, build, in_scope, permitted, ruling, successors
from p11conform.model.state import Login, Object, Session, Slot, State, put_session, put_slot
from p11conform.model.vocabulary import CKR
from p11conform.properties.engine.columns import Changes, Columns, members
from p11conform.properties.engine.packed import States, leaves
from p11conform.properties.engine.reads import Change, Leaves, Remembered

MODEL = build()
SCOPE = State(slots=(Slot(), Slot()), sessions=(Session(),) * 2, objects=(Object(),) * 3)


class Scope:
    """The columns and changes of each function in the scope of a state, whose fixed facts are its own."""

    def __init__(self, s: State) -> None:
        self.states, self.leaves = States(s), Leaves(s)
        self.calls = {name: tuple(f.calls(s)) for name, f in MODEL.functions.items()}


def flat(scope: Scope, s: State) -> bytes:
    return scope.states.flats[scope.states.number(s)]


@settings(max_examples=15, deadline=None)
@given(s=states(), names=st.sets(st.sampled_from(sorted(MODEL.functions)), min_size=5, max_size=5))
def test_columns_say_of_each_call_what_the_oracle_says(s: State, names: set[str]) -> None:
    scope = Scope(s)
    for name in names:
        calls = scope.calls[name]
        columns = Columns(MODEL, name, calls, scope.leaves)
        holding = columns.holding(flat(scope, s))
        assert Columns(MODEL, name, calls, scope.leaves).succeeding(flat(scope, s)) == dict(
            columns.permitted(holding)
        ).get(CKR.OK, 0)
        codes: list[set[CKR]] = [set() for _ in calls]
        for code, which in columns.permitted(holding):
            for j in members(which):
                codes[j].add(code)
        for call, found in zip(calls, codes, strict=True):
            assert found == (permitted(MODEL, s, call) if in_scope(MODEL, s, call) else set()), call


@settings(max_examples=15, deadline=None)
@given(s=states(), names=st.sets(st.sampled_from(sorted(MODEL.functions)), min_size=5, max_size=5))
def test_rows_that_apply_alike_are_those_that_apply_to_each(s: State, names: set[str]) -> None:
    scope = Scope(s)
    for name in names:
        calls, rules = scope.calls[name], MODEL.functions[name].rules
        columns = Columns(MODEL, name, calls, scope.leaves)
        seen: list[int] = []
        for rows, which in columns.alike(columns.holding(flat(scope, s))):
            for j in members(which):
                seen.append(j)
                assert tuple(rules[k] for k in rows) == ruling(MODEL, s, calls[j]).rules
        assert sorted(seen) == [j for j, call in enumerate(calls) if in_scope(MODEL, s, call)]


@settings(max_examples=15, deadline=None)
@given(s=states(), names=st.sets(st.sampled_from(sorted(MODEL.functions)), min_size=5, max_size=5))
def test_changes_lead_where_the_oracle_says(s: State, names: set[str]) -> None:
    scope = Scope(s)
    for name in names:
        calls = scope.calls[name]
        columns, changes = Columns(MODEL, name, calls, scope.leaves), Changes(MODEL, name, calls, scope.leaves)
        for code, which in columns.permitted(columns.holding(flat(scope, s))):
            covered = 0
            for those, after in changes.after(flat(scope, s), code, which):
                assert covered & those == 0
                covered |= those
                for j in members(those)[::7]:
                    expected = {flat(scope, t) for t in successors(MODEL, s, calls[j], code)}
                    assert set(after) == expected, (calls[j], code)
            assert covered == which


def test_one_instance_answers_for_many_states_in_turn(core: Model) -> None:
    """What was found in one state splits the calls, and holds for the next."""
    scope, name = Scope(ONE_SLOT), "C_Login"
    calls = tuple(core.functions[name].calls(ONE_SLOT))
    columns = Columns(core, name, calls, scope.leaves)
    opened = put_session(State(initialized=True), 0, Session(True, rw=True))
    user_in = put_slot(opened, 0, Slot(login=Login.USER))
    for s in (ONE_SLOT, opened, user_in, opened, ONE_SLOT):
        found = dict(columns.permitted(columns.holding(flat(scope, s))))
        for j, call in enumerate(calls):
            if in_scope(core, s, call):
                assert {code for code, which in found.items() if which >> j & 1} == permitted(core, s, call)


# States in a flat form.


@settings(max_examples=50, deadline=None)
@given(several=st.lists(states(), min_size=2, max_size=4))
def test_a_number_stands_for_one_state(several: list[State]) -> None:
    first = several[0]
    alike = [s for s in several if [x.mechanisms for x in s.slots] == [x.mechanisms for x in first.slots]]
    kept = States(first)
    for s in alike:
        n = kept.number(s)
        assert list(leaves(kept[n])) == list(leaves(s))
        assert kept.number(s) == n
    assert kept[0] == first
    assert len(kept) == len({tuple(leaves(s)) for s in alike})


# Functions remembered by what they read.


def run(function: Any, initial: State, several: Sequence[State]) -> list[Any]:
    kept, remembered = States(initial), Remembered(function, Leaves(initial))
    return [remembered(kept.flats[kept.number(s)]) for s in several]


def test_a_function_is_run_once_for_states_that_agree_in_what_it_reads() -> None:
    asked: list[bool] = []

    def open_first(s: State) -> bool:
        asked.append(True)
        return bool(s.sessions[0].open)

    closed, opened = ONE_SLOT, put_session(ONE_SLOT, 0, Session(True))
    elsewhere = put_session(opened, 1, Session(True, rw=True))
    assert run(open_first, ONE_SLOT, (closed, opened, elsewhere, closed, opened)) == [False, True, True, False, True]
    assert len(asked) == 2


def test_what_is_carried_is_not_read() -> None:
    """A session that takes the place of another is copied, whatever it holds."""
    every = Leaves(ONE_SLOT)
    changes: list[Change] = []

    def carry(s: State) -> Change:
        changes.append(every.change(put_session(s, 0, s.sessions[1])))
        return changes[-1]

    kept, remembered = States(ONE_SLOT), Remembered(carry, every)
    for second in (Session(), Session(True), Session(True, rw=True)):
        s = put_session(ONE_SLOT, 1, second)
        flat_state = kept.flats[kept.number(s)]
        assert kept[kept.number_flat(remembered(flat_state).of(flat_state))] == put_session(s, 0, second)
    assert len(changes) == 1


@pytest.mark.parametrize("read", [lambda s: s.initialized & True, lambda s: 3 if s.initialized else 4])
def test_reading_in_any_way_counts(read: Any) -> None:
    assert run(read, ONE_SLOT, (ONE_SLOT, State(initialized=True))) == [read(ONE_SLOT), read(State(initialized=True))]


def test_every_call_of_a_small_scope_has_a_number_of_its_own() -> None:
    small = restricted(MODEL)
    assert len(set(every_call(small, SCOPE))) == len(every_call(small, SCOPE))
    assert Call("C_Finalize", Args()) in every_call(small, State(initialized=True))
