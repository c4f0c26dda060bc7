"""The commands `prove` and `reach`, and the questions behind them."""

from dataclasses import replace
from functools import cache

import pytest
from click.testing import CliRunner
from conftest import restricted

from p11conform.cli import main
from p11conform.model.call import Call
from p11conform.model.decide import forbids_ok
from p11conform.model.oracle import Model, applicable, build, in_scope, permitted, prevailing, successors
from p11conform.model.state import Object, Session, Slot, State
from p11conform.model.vocabulary import CKR
from p11conform.properties.proofs.checks import Outcome, difference, prove_together, reach_code, unanswered
from p11conform.properties.proofs.invariants import invariants, so_pin_is_set
from p11conform.properties.proofs.symbolic import System
from p11conform.properties.search.goals import Part, Witness, witnesses
from p11conform.subject import SIMULATED_STATE

SCOPE = State(slots=(Slot(),), sessions=(Session(),) * 2, objects=(Object(),))


@cache
def system() -> System:
    return System(restricted(build()), SCOPE)


def says(*words: str) -> tuple[int, str]:
    ran = CliRunner().invoke(main, words)
    assert "Traceback" not in ran.output
    return ran.exit_code, ran.output


def test_the_catalogue_is_proved_of_the_whole_interface() -> None:
    code, text = says("prove")
    assert code == 0
    count = len(invariants(build()))
    assert f"{count} of {count} proved, PKCS#11 2.40, all 68 functions" in text
    assert "every call has a permitted answer in every state" in text
    assert count >= 31


def test_joint_proofs_tell_what_fails_from_what_holds() -> None:
    def user_pin_stays(s: State) -> bool:
        return s.slots[0].user_pin == SCOPE.slots[0].user_pin

    def never_initialised(s: State) -> bool:
        return not s.initialized

    def initialised_at_once(s: State) -> bool:
        return s.initialized

    found = prove_together(
        system(), {f.__name__: f for f in (so_pin_is_set, user_pin_stays, never_initialised, initialised_at_once)}
    )
    assert {name: p.outcome for name, p in found.items()} == {
        "so_pin_is_set": Outcome.PROVED,
        "user_pin_stays": Outcome.VIOLATED,
        "never_initialised": Outcome.VIOLATED,
        "initialised_at_once": Outcome.VIOLATED,
    }
    assert [len(found[name].trace) for name in ("user_pin_stays", "never_initialised", "initialised_at_once")] == [
        2,
        1,
        0,
    ]


def test_a_call_without_an_answer_is_told() -> None:
    assert not unanswered(system())
    model = restricted(build(), {"C_GetFunctionStatus"})
    assert not unanswered(System(model, SCOPE))
    (f,) = model.functions.values()
    mute = replace(model, functions={f.name: replace(f, rules=f.rules[:1])})
    ((name, (state, call)),) = unanswered(System(mute, SCOPE)).items()
    assert (name, permitted(mute, state, call)) == ("C_GetFunctionStatus", frozenset())


def test_conditions_are_compared() -> None:
    f = system().model.functions["C_Login"]
    wrong = next(r.when for r in f.rules if r.code is CKR.PIN_INCORRECT)
    assert difference(system(), "C_Login", wrong, lambda s, a: bool(wrong(s, a))) is None
    other = next(r.when for r in f.rules if r.code is CKR.USER_ALREADY_LOGGED_IN)
    found = difference(system(), "C_Login", wrong, other)
    assert found is not None
    state, call = found
    assert wrong(state, call.args) != other(state, call.args)


def alone(model: Model, states: frozenset[State], call: Call, code: CKR) -> bool:
    """Whether in some state a row gives a code while no other condition forbids success."""
    rows = [applicable(model, s, call) for s in states if in_scope(model, s, call)]
    return any(all(f.when == r.when for f in rules if forbids_ok(f)) for rules in rows for r in rules if r.code is code)


@pytest.mark.parametrize(
    ("code", "length"), [(CKR.PIN_LOCKED, 3), (CKR.SESSION_READ_ONLY_EXISTS, 3), (CKR.OPERATION_ACTIVE, 4)]
)
def test_reach_finds_codes_for_their_own_reason(code: CKR, length: int) -> None:
    trace = reach_code(system(), code, 6)
    assert trace is not None
    assert len(trace) == length
    states = frozenset({SCOPE})
    for call, seen in trace[:-1]:
        states = frozenset(
            t
            for s in states
            if seen in permitted(system().model, s, call)
            for t in successors(system().model, s, call, seen)
        )
    assert trace[-1][1] is code
    assert alone(system().model, states, trace[-1][0], code)
    assert reach_code(system(), code, length - 1) is None


def test_reach_says_what_the_text_requires_of_each_step() -> None:
    code, text = says("reach", "CKR_USER_ALREADY_LOGGED_IN")
    assert code == 0
    assert "CKR_USER_ALREADY_LOGGED_IN in 4 calls" in text
    assert "4. C_Login(session=" in text
    assert "when same user logged in (section 5.1.6 CKR_USER_ALREADY_LOGGED_IN; the text requires it)" in text


@pytest.mark.parametrize(
    ("words", "exit_code", "line"),
    [
        (("reach", "CKR_FOO"), 2, "CKR_FOO is no return value"),
        (("reach", "CKR_OK", "--function", "C_Foo"), 2, "no function is called 'C_Foo'"),
        (("reach", "CKR_MUTEX_BAD"), 1, "no row of any function gives it"),
        (("reach", "CKR_PIN_LOCKED", "--function", "C_GetInfo"), 1, "no row of C_GetInfo gives it"),
    ],
)
def test_what_cannot_be_reached_is_told_in_a_line(words: tuple[str, ...], exit_code: int, line: str) -> None:
    code, text = says(*words)
    assert (code, line in text, text.count("\n")) == (exit_code, True, 1)


# A goal for every row: that it can give its code.


def met(model: Model, w: Witness) -> bool:
    """Whether at the end of a way a row of the wanted name gives its code."""
    assert w.rule is not None
    states = frozenset({SIMULATED_STATE})
    for call in w.calls[:-1]:
        states = frozenset(t for s in states for t in successors(model, s, call, CKR.OK))
    last = w.calls[-1]
    rows = [prevailing(model, last.function, applicable(model, s, last)) for s in states if in_scope(model, s, last)]
    return any((r.code, r.condition) == (w.rule.code, w.rule.condition) for found in rows for r in found)


def test_every_row_has_a_goal_that_fails_without_it() -> None:
    model = build()
    ways = [w for w in witnesses(model, SIMULATED_STATE) if w.goal.part is Part.APPLIES]
    reached = {(w.goal.function, w.goal.row) for w in ways}
    assert reached == {(f.name, k) for f in model.functions.values() for k in range(len(f.rules))}
    for w in ways:
        assert w.rule is not None
        assert met(model, w), f"{w.goal.function}: {w.rule.code!s} when {w.rule.condition} is not met"
        assert not met(model.without(w.goal.function, w.rule), w)
