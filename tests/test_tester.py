"""Whole checks: repeatable, and not upset by modules that die, hang or answer differently every time."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest
from conftest import INIT, LOGIN, ONE_SLOT, OPEN, Steady

from p11conform.adapters.base import Binding
from p11conform.adapters.isolated import Isolated
from p11conform.adapters.isolated import Kind as Way
from p11conform.adapters.simulated import Simulated
from p11conform.model.call import Args, Call, Ending, Observation
from p11conform.model.oracle import Model
from p11conform.model.state import Pin
from p11conform.model.vocabulary import CKR, CKU
from p11conform.properties.engine.verdict import Kind
from p11conform.properties.policy import Level, anything, on_token
from p11conform.properties.run import campaign
from p11conform.properties.run.campaign import Budget, Progress, Results, Source
from p11conform.properties.run.driver import Driver
from p11conform.properties.search.goals import Search, all_calls, explore, goals, witnesses

SHORT_RUN = Budget(sequences=30, length=15, seconds=600)


@pytest.fixture(scope="session")
def model(core: Model) -> Model:
    """The functions of the library, its tokens and sessions: what is tested here is the tester, not the table."""
    return core


def check(model: Model, module: Simulated | Isolated, seed: int = 5, budget: Budget = SHORT_RUN) -> Results:
    return campaign.check(model, ONE_SLOT, module, seed=seed, budget=budget)


class Faulty(Steady):
    """Three faults: initialises twice, lets wrong PINs in, and shows all sessions as read-only."""

    def call(self, call: Call) -> Observation:
        seen = super().call(call)
        if call.function == "C_Initialize" and seen.code == CKR.CRYPTOKI_ALREADY_INITIALIZED:
            return Observation()
        if call.function == "C_Login" and seen.code in (CKR.PIN_INCORRECT, CKR.PIN_LOCKED):
            return Observation()
        if call.function == "C_GetSessionInfo" and seen.code == CKR.OK:
            return replace(seen, outputs=tuple((k, 0 if k == "state" else v) for k, v in seen.outputs))
        return seen


def test_same_seed_same_results(model: Model) -> None:
    first, second = (check(model, Faulty(model, ONE_SLOT)) for _ in range(2))
    assert len(first.findings) >= 3
    assert [f.id for f in first.findings] == [f.id for f in second.findings]
    assert first.findings == second.findings, "traces, counts and order"
    assert first.tally == second.tally


def test_other_seed_other_sequences_same_findings(model: Model) -> None:
    first, second = (check(model, Faulty(model, ONE_SLOT), seed) for seed in (1, 2))
    assert first.tally.pairs != second.tally.pairs
    assert {f.id for f in first.findings} >= {f.id for f in second.findings if f.verdict.kind is Kind.MISSING_ERROR}


def test_traces_run_again_to_the_same_failure(model: Model) -> None:
    module = Faulty(model, ONE_SLOT)
    for finding in check(model, module).findings:
        replay = Driver(model, ONE_SLOT, module).replay([call for call, _ in finding.steps])
        assert replay.failure is not None
        assert replay.failure.cause == finding.verdict.cause
        assert replay.steps == finding.steps


class Ends(Steady):
    """Dies or hangs in one function, and works again after a reset."""

    ending = Ending.DIED

    def call(self, call: Call) -> Observation:
        if call.function == "C_GetTokenInfo":
            return Observation(ending=self.ending, detail="signal SIGSEGV" if self.ending is Ending.DIED else "")
        return super().call(call)


@pytest.mark.parametrize(("ending", "kind"), [(Ending.DIED, Kind.DIED), (Ending.HUNG, Kind.HUNG)])
def test_death_is_one_finding_and_the_run_goes_on(ending: Ending, kind: Kind, model: Model) -> None:
    module = Ends(model, ONE_SLOT)
    module.ending = ending
    results = check(model, module)
    (found,) = results.findings
    assert (found.verdict.kind, [call.function for call, _ in found.steps]) == (kind, ["C_GetTokenInfo"])
    whole = check(model, Simulated(model, ONE_SLOT))
    assert {f for f, _ in results.tally.pairs} == {f for f, _ in whole.tally.pairs}
    assert results.tally.sequences > 30


@pytest.mark.parametrize(
    ("what", "kind", "detail"),
    [("crash", Kind.DIED, "signal SIGSEGV"), ("exit", Kind.DIED, "exit 3"), ("hang", Kind.HUNG, "")],
)
def test_real_death_is_one_finding(faulty_library: str, what: str, kind: Kind, detail: str, model: Model) -> None:
    mine = ("C_Initialize", "C_Finalize", "C_GetInfo", "C_GetSlotInfo")
    small = replace(model, functions={name: model.functions[name] for name in mine})
    fault = {"FAULT_IN": "C_GetSlotInfo", "FAULT": what}
    with Isolated(Way.RAW, faulty_library, Binding(slots=(0,)), fault, timeout=2.0) as module:
        results = check(small, module, budget=Budget(sequences=2, length=4, seconds=600))
    ended = [f for f in results.findings if f.verdict.kind in (Kind.DIED, Kind.HUNG)]
    assert [(f.verdict.kind, f.verdict.observation.detail) for f in ended] == [(kind, detail)]
    assert [call.function for call, _ in ended[0].steps] == ["C_GetSlotInfo"]
    assert {f.verdict.call.function for f in results.findings} >= {"C_Initialize", "C_GetInfo", "C_GetSlotInfo"}


class Flaky(Steady):
    """Takes a wrong answer once in its life, at the first login."""

    logins: Iterator[int] = count()

    def call(self, call: Call) -> Observation:
        seen = super().call(call)
        if call == LOGIN and seen.code == CKR.OK and next(self.logins) == 0:
            return Observation(CKR.PIN_INVALID)
        return seen


def test_flaky_answer_is_no_finding_but_a_line(model: Model) -> None:
    module = Flaky(model, ONE_SLOT)
    module.logins = count()
    results = check(model, module)
    assert results.findings == ()
    lines = [line for line in results.tally.inconclusive if line[:2] == ("C_Login", "CKR_PIN_INVALID")]
    assert [(why, results.tally.inconclusive[f, seen, why]) for f, seen, why in lines] == [
        ("seen once, and not again on replay", 1)
    ]


def test_one_check_missing_everywhere_is_one_finding(model: Model) -> None:
    class Unlocked(Steady):
        """Looks no session handle up."""

        def call(self, call: Call) -> Observation:
            seen = super().call(call)
            wrong = seen.code == CKR.SESSION_HANDLE_INVALID and self._state.initialized
            return Observation() if wrong else seen

    (found,) = check(model, Unlocked(model, ONE_SLOT)).findings
    assert found.verdict.kind is Kind.MISSING_ERROR
    assert {"C_GetSessionInfo", "C_Logout", "C_Login", "C_CloseSession"} <= set(found.functions)


def test_findings_come_worst_first(model: Model) -> None:
    severities = [f.verdict.severity.value for f in check(model, Faulty(model, ONE_SLOT)).findings]
    assert severities == sorted(severities, key=lambda s: s != "high")
    assert "high" in severities


def test_policy_holds_in_the_whole_check(model: Model) -> None:
    class Watched(Simulated):
        made: frozenset[Call] = frozenset()

        def call(self, call: Call) -> Observation:
            self.made |= {call}
            return super().call(call)

    module, policy = Watched(model, ONE_SLOT), on_token(Level.SESSION_OBJECTS, frozenset())
    campaign.check(model, ONE_SLOT, module, policy=policy, budget=SHORT_RUN)
    assert module.made
    assert all(policy(ONE_SLOT, call) for call in module.made)


def test_progress_is_told(model: Model) -> None:
    told: list[Progress] = []
    campaign.check(model, ONE_SLOT, Simulated(model, ONE_SLOT), budget=SHORT_RUN, watch=told.append)
    nothing_died = {Source.NULLS}
    assert {p.phase for p in told} == {source.value for source in set(Source) - nothing_died}
    assert [p.calls for p in told] == sorted(p.calls for p in told)


def test_nothing_is_called_once_time_is_up(model: Model) -> None:
    told: list[Progress] = []
    budget = Budget(sequences=5, length=5, seconds=0.0)
    campaign.check(model, ONE_SLOT, Simulated(model, ONE_SLOT), budget=budget, watch=told.append)
    assert told == []


# Derived sequences.


def test_every_witness_meets_its_goal(model: Model) -> None:
    found = witnesses(model, ONE_SLOT)
    assert len({w.goal for w in found}) == len(found)
    assert {w.goal for w in found if w.goal.change is None} <= set(goals(model, ONE_SLOT))
    for w in found[::3]:
        driver = Driver(model, ONE_SLOT, Steady(model, ONE_SLOT))
        assert driver.replay(w.calls[:-1]).failure is None
        call, function = w.calls[-1], model.functions[w.calls[-1].function]
        search = Search(model, ONE_SLOT, anything, None if w.goal.change else [w.goal])
        for s in driver.beliefs:
            search.look(s, w.calls[:-1], {call.function: (call,)})
        assert w in search.found if w.goal.change else search.found == [w]
        assert w.rule is (None if w.goal.row is None else function.rules[w.goal.row])


def test_every_function_succeeds_in_a_derived_sequence(model: Model) -> None:
    results = check(model, Steady(model, ONE_SLOT), budget=Budget(sequences=0, seconds=600))
    assert {f for f, seen in results.tally.pairs if seen == "CKR_OK"} == set(model.functions)


def test_states_come_nearest_first(model: Model) -> None:
    reached = list(explore(model, ONE_SLOT, all_calls(model, ONE_SLOT), 2))
    assert [len(way) for _, way in reached] == sorted(len(way) for _, way in reached)
    assert (INIT, OPEN) in [way for _, way in reached]
    assert len({s for s, _ in reached}) == len(reached)


def test_shrunk_trace_is_short_and_plain(model: Model) -> None:
    found = {f.verdict.call.function: f for f in check(model, Faulty(model, ONE_SLOT)).findings}
    *setup, login = [call for call, _ in found["C_Login"].steps]
    assert setup == [INIT, OPEN]
    assert replace(login.args, user=CKU.USER, pin=Pin.USER) == Args()
    assert [call for call, _ in found["C_Initialize"].steps] == [INIT, INIT]
