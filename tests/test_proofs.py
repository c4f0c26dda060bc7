"""Proofs on the lifted model: invariants, violations that replay on the oracle, and searches."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
from conftest import CORE, restricted

from p11conform.model.call import Args
from p11conform.model.chapters.conditions import session_valid
from p11conform.model.oracle import Model, build, in_scope, permitted, successors
from p11conform.model.rule import only_where
from p11conform.model.state import (
    Login,
    Mech,
    Messages,
    Object,
    Operations,
    Phase,
    Pin,
    Process,
    Session,
    Slot,
    State,
    put_session,
)
from p11conform.model.table import TABLE
from p11conform.model.vocabulary import CKR, Version
from p11conform.properties.proofs.checks import Outcome, Trace, prove, prove_together, reach, reach_event
from p11conform.properties.proofs.invariants import (
    CATALOGUE,
    closed_sessions_hold_nothing,
    handles_name_objects,
    invariants,
    login_needs_a_session,
    messages_in_parts_are_of_a_process,
    no_read_only_session_beside_so,
    sessions_of_a_token_agree,
    signatures_are_given_first,
    there_are_messages,
    user_logs_in_with_a_pin,
)
from p11conform.properties.proofs.symbolic import System

INITIAL = State(slots=(Slot(), Slot()), sessions=(Session(),) * 2, objects=(Object(),))


SO_ALONE = {"A-05": "base text"}
"""The reading under which no read-only session stands beside the SO; up to v2.20 there is no other."""


@cache
def system(version: Version = Version.V2_40) -> System:
    return System(restricted(build(version, SO_ALONE)), INITIAL)


def replay(model: Model, start: State, trace: Trace) -> set[State]:
    """The states that a trace may end in, each step of it being one that the oracle permits."""
    states = {start}
    for call, code in trace:
        states = {
            after
            for s in states
            if in_scope(model, s, call) and code in permitted(model, s, call)
            for after in successors(model, s, call, code)
        }
    return states


def without(function: str, code: CKR) -> Model:
    model = restricted(build(readings=SO_ALONE))
    for rule in model.functions[function].rules:
        if rule.code == code:
            model = model.without(function, rule)
    return model


def test_invariants_of_messages_hold() -> None:
    """Those that came with v3.0, and those about operations, with the functions that begin and end such things."""
    names = CORE | {name for name, f in TABLE.items() if not f.signature.since <= Version.V2_40} - {"C_LoginUser"}
    model = restricted(build(Version.V3_0, SO_ALONE), names)
    claimed = [i for i in invariants(model) if i.claimed is there_are_messages or "operation" in i.sentence]
    assert len(claimed) >= 6
    lemmas = [i for i in CATALOGUE if i.predicate in (closed_sessions_hold_nothing, handles_name_objects)]
    proofs = prove_together(System(model, ONE), {i.name: i.predicate for i in (*claimed, *lemmas)})
    assert {name for name, proof in proofs.items() if proof.outcome is not Outcome.PROVED} == set()


def test_a_message_that_outlives_its_process_is_found() -> None:
    def forgetful(s: State, a: Args) -> State:
        session = s.sessions[a.session]
        return put_session(s, a.session, replace(session, operations=replace(session.operations, process=LEFT)))

    model = build(Version.V3_0)
    ending = next(e for e in model.functions["C_MessageSignFinal"].effects if e.id == "process-ended")
    broken = restricted(
        model.with_effect("C_MessageSignFinal", ending, replace(ending, change=only_where(session_valid, forgetful))),
        {"C_Initialize", "C_OpenSession", "C_MessageSignFinal"},
    )
    start = replace(ONE, initialized=True, sessions=(BEGUN,))
    proof = prove(System(broken, start), messages_in_parts_are_of_a_process)
    assert proof.outcome is Outcome.VIOLATED
    assert [call.function for call, _ in proof.trace] == ["C_MessageSignFinal"]


ONE = State(slots=(Slot(),), sessions=(Session(),), objects=(Object(),))
LEFT = Process(parted=True)
BEGUN = Session(True, 0, True, Operations(process=Process(Messages.SIGN, False, Mech.SHA256_HMAC, 0)))


LATER = (there_are_messages, signatures_are_given_first)
"""What is claimed of versions after v2.40 only."""


def test_invariants_of_given_signatures_hold() -> None:
    """Those that came with v3.2, with the functions that begin and end such a verification, or make such a thing."""
    names = CORE | {name for name, f in TABLE.items() if f.signature.since == Version.V3_2}
    model = restricted(build(Version.V3_2, SO_ALONE), names | {"C_SessionCancel"})
    claimed = [i for i in invariants(model) if i.claimed is signatures_are_given_first]
    assert len(claimed) == 5
    lemmas = [i for i in CATALOGUE if i.predicate in (closed_sessions_hold_nothing, handles_name_objects)]
    proofs = prove_together(System(model, ONE), {i.name: i.predicate for i in (*claimed, *lemmas)})
    assert {name for name, proof in proofs.items() if proof.outcome is not Outcome.PROVED} == set()


@pytest.mark.parametrize("version", [Version.V2_01, Version.V2_20, Version.V2_40], ids=str)
def test_invariants_hold(version: Version) -> None:
    claimed = invariants(system(version).model)
    assert len(claimed) >= len(CATALOGUE) - sum(i.claimed in LATER for i in CATALOGUE) - (version is Version.V2_01)
    proofs = prove_together(system(version), {i.name: i.predicate for i in claimed})
    assert {name for name, proof in proofs.items() if proof.outcome is not Outcome.PROVED} == set()


def test_what_a_reading_gives_up_is_not_claimed_and_does_not_hold() -> None:
    model = build()
    left = {x.predicate for x in CATALOGUE if x.claimed not in LATER}
    left -= {x.predicate for x in invariants(model)}
    assert left == {no_read_only_session_beside_so, sessions_of_a_token_agree}
    assert all(prove(System(restricted(model), INITIAL), x).outcome is Outcome.VIOLATED for x in left)


def test_invariants_are_sentences() -> None:
    assert all(i.sentence.endswith(".") for i in CATALOGUE)
    assert len({i.name for i in CATALOGUE}) == len(CATALOGUE)


def test_one_proof_may_rest_on_another() -> None:
    lemma = prove(system(), user_logs_in_with_a_pin, given=(login_needs_a_session,))
    assert lemma.outcome is Outcome.PROVED


@pytest.mark.parametrize(
    ("function", "code", "violated", "length"),
    [
        ("C_OpenSession", CKR.SESSION_READ_WRITE_SO_EXISTS, no_read_only_session_beside_so, 4),
        ("C_OpenSession", CKR.SESSION_READ_WRITE_SO_EXISTS, sessions_of_a_token_agree, 4),
        ("C_Login", CKR.SESSION_READ_ONLY_EXISTS, no_read_only_session_beside_so, 3),
        ("C_Login", CKR.SESSION_READ_ONLY_EXISTS, sessions_of_a_token_agree, 4),
    ],
)
def test_each_of_two_codes_keeps_read_only_sessions_from_the_so(
    function: str, code: CKR, violated: Callable[[State], bool], length: int
) -> None:
    model = without(function, code)
    proof = prove(System(model, INITIAL), violated)
    assert proof.outcome is Outcome.VIOLATED
    assert len(proof.trace) == length
    assert not all(map(violated, replay(model, INITIAL, proof.trace)))
    assert not replay(build(readings=SO_ALONE), INITIAL, proof.trace)


def test_a_counterexample_to_induction_is_a_step_of_the_oracle() -> None:
    proof = prove(system(), user_logs_in_with_a_pin)
    assert proof.outcome is Outcome.UNKNOWN
    assert proof.start is not None
    assert user_logs_in_with_a_pin(proof.start)
    assert not login_needs_a_session(proof.start)
    assert not all(map(user_logs_in_with_a_pin, replay(system().model, proof.start, proof.trace)))


def test_induction_over_more_steps_proves_more() -> None:
    model = build()
    small = replace(model, functions={name: model.functions[name] for name in ("C_Initialize", "C_Finalize")})

    def nothing_is_saved(s: State) -> bool:
        return not (s.initialized and s.saved.valid)

    outcomes = [prove(System(small, INITIAL), nothing_is_saved, k).outcome for k in (1, 2)]
    assert outcomes == [Outcome.UNKNOWN, Outcome.PROVED]


@pytest.mark.parametrize(
    ("goal", "length"),
    [
        (lambda s: not s.initialized, 0),
        (lambda s: all(x.open and x.slot == k for k, x in enumerate(s.sessions)), 3),
        (lambda s: s.slots[1].user_pin == Pin.NULL and s.initialized, 2),
        (lambda s: s.sessions[1].operations.digest.phase == Phase.READY and s.slots[0].login == Login.SO, 5),
    ],
)
def test_reach_finds_a_shortest_trace(goal: Callable[[State], bool], length: int) -> None:
    trace = reach(system(), goal, 6)
    assert trace is not None
    assert len(trace) == length
    assert any(map(goal, replay(system().model, INITIAL, trace)))
    assert length == 0 or reach(system(), goal, length - 1) is None


@pytest.mark.parametrize("function", sorted(CORE))
def test_every_function_can_succeed(function: str) -> None:
    def succeeds(_s: State, _a: Args, name: str, code: CKR) -> bool:
        return name == function and code == CKR.OK

    trace = reach_event(system(), succeeds, 6)
    if not system().model.functions[function].returns_ok:
        assert trace is None
        return
    assert trace is not None
    assert (trace[-1][0].function, trace[-1][1]) == (function, CKR.OK)
    assert replay(system().model, INITIAL, trace)


def test_an_event_sees_the_state_and_the_arguments() -> None:
    def wrong_pin_of_the_so(s: State, a: Args, function: str, code: CKR) -> bool:
        return function == "C_Login" and code == CKR.PIN_INCORRECT and s.slots[1].login == Login.USER and a.user == 0

    trace = reach_event(system(), wrong_pin_of_the_so, 6)
    assert trace is not None
    assert len(trace) == 4
    assert trace[-1][0].args.user == 0
    assert replay(system().model, INITIAL, trace)
