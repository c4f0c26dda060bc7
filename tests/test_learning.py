"""What is learnt of calls that kill: which are spared, and what becomes one finding."""

from collections.abc import Sequence

from conftest import ONE_SLOT, Steady

from p11conform.model.call import Args, Call, Data, Ending, Observation
from p11conform.model.oracle import Model
from p11conform.model.state import Mech
from p11conform.model.vocabulary import CKR
from p11conform.properties.engine.verdict import Kind, Severity, null_arguments
from p11conform.properties.policy import harmless
from p11conform.properties.reports.render.text import render
from p11conform.properties.reports.results import report_json
from p11conform.properties.run.campaign import Budget, check
from p11conform.properties.run.learning import DEADLY, WIDESPREAD, Deaths


def deaths(model: Model, calls: Sequence[Call]) -> Deaths:
    learnt = Deaths({name: f.uses for name, f in model.functions.items()})
    for call in calls:
        learnt.learn(call, None)
    return learnt


def test_a_null_pointer_that_kills_is_spared_at_once_and_nothing_else_of_its_function(model: Model) -> None:
    learnt = deaths(model, [Call("C_Digest", Args(data=Data.NULL))])
    assert learnt.spares(Call("C_Digest", Args(data=Data.NULL, session=1)), worked=True)
    assert not learnt.spares(Call("C_Digest", Args(session=1)), worked=False)
    assert not learnt.spares(Call("C_Encrypt", Args(data=Data.NULL)), worked=False)


def test_a_kind_of_null_pointer_that_kills_in_several_functions_is_spared_everywhere(model: Model) -> None:
    names = ("C_Digest", "C_Encrypt", "C_Sign", "C_Decrypt")
    learnt = deaths(model, [Call(name, Args(data=Data.NULL)) for name in names[:WIDESPREAD]])
    assert learnt.spares(Call(names[-1], Args(data=Data.NULL)), worked=True)
    assert not learnt.spares(Call(names[-1]), worked=False)
    assert not learnt.spares(Call("C_GetInfo", Args(null=True)), worked=False), "another kind of pointer"


def test_arguments_that_kill_are_spared_once_they_did_so_often(model: Model) -> None:
    bad = [Call("C_DigestInit", Args(mechanism=Mech.SHA_1, session=k)) for k in range(DEADLY)]
    learnt = Deaths({name: f.uses for name, f in model.functions.items()})
    plain = Call("C_DigestInit", Args(mechanism=Mech.SHA_1))
    other = Call("C_DigestInit", Args(mechanism=Mech.SHA_1, session=DEADLY))
    for call in bad[:-1]:
        learnt.learn(call, plain)
        assert learnt.spares(call, worked=True)
        assert not learnt.spares(other, worked=True)
    learnt.learn(bad[-1], plain)
    assert learnt.spares(other, worked=True)
    assert not learnt.spares(Call("C_DigestInit"), worked=True)


def test_a_function_that_worked_is_never_spared_as_a_whole(model: Model) -> None:
    calls = [Call("C_DigestFinal", Args(session=k)) for k in range(DEADLY)]
    learnt = Deaths({name: f.uses for name, f in model.functions.items()})
    for call in calls:
        learnt.learn(call, Call("C_DigestFinal"))
    other = Call("C_DigestFinal", Args(session=DEADLY))
    assert learnt.spares(other, worked=False)
    assert not learnt.spares(other, worked=True)


class Fragile(Steady):
    """Dies of NULL pointers."""

    def call(self, call: Call) -> Observation:
        if null_arguments(call, self._model.functions[call.function].uses):
            return Observation(ending=Ending.DIED)
        return super().call(call)


def test_deaths_of_null_pointers_are_one_finding_of_a_kind_of_their_own(core: Model) -> None:
    results = check(core, ONE_SLOT, Fragile(core, ONE_SLOT), budget=Budget(sequences=40, length=15, seconds=600))
    (found,) = results.findings
    assert (found.verdict.kind, found.verdict.severity) == (Kind.ROBUSTNESS, Severity.LOW)
    assert len(found.functions) > WIDESPREAD - 1


class Locked(Steady):
    """Lets nobody log in."""

    def call(self, call: Call) -> Observation:
        return Observation(CKR.GENERAL_ERROR) if call.function == "C_Login" else super().call(call)


def test_a_run_tells_what_it_reached_and_what_it_did_not(core: Model) -> None:
    budget = Budget(sequences=0, seconds=600)
    full = check(core, ONE_SLOT, Steady(core, ONE_SLOT), budget=budget).reach
    poor = check(core, ONE_SLOT, Locked(core, ONE_SLOT), budget=budget).reach
    assert full is not None
    assert poor is not None
    assert {("session", "R/W"), ("session", "R/O"), ("login", "USER")} <= {(sort, what) for sort, what, _ in full.made}
    assert (full.poor, poor.poor) == ((), ("nobody ever logged in",))
    assert "C_Login" in full.succeeded
    assert dict(poor.never)["C_Login"] == "most often CKR_GENERAL_ERROR"


def test_a_run_without_a_pin_says_so(core: Model) -> None:
    results = check(
        core, ONE_SLOT, Steady(core, ONE_SLOT), policy=harmless(frozenset()), budget=Budget(sequences=0, seconds=600)
    )
    assert results.reach is not None
    (line,) = results.reach.poor
    assert line.startswith("no PIN was given")


def test_the_report_begins_with_what_was_reached_and_is_loud_where_that_is_little(core: Model) -> None:
    results = check(core, ONE_SLOT, Locked(core, ONE_SLOT), budget=Budget(sequences=0, seconds=600))
    shown = render(report_json(results, {"name": "simulated", "adapter": "simulated"}))
    assert "THIS RUN PROVES LITTLE: nobody ever logged in" in shown
    assert "C_Login: most often CKR_GENERAL_ERROR" in shown
    assert "C_Login() as NOBODY → CKR_GENERAL_ERROR" in shown
    assert "logged in: nobody" in shown


class Passing(Steady):
    """Fails a call for a while, and never again."""

    wrong = 12

    def call(self, call: Call) -> Observation:
        if call.function == "C_GetInfo" and self.wrong:
            self.wrong -= 1
            return Observation(CKR.PIN_LOCKED)
        return super().call(call)


def test_what_does_not_come_back_is_listed_apart(core: Model) -> None:
    budget = Budget(sequences=0, seconds=600)
    module = Passing(core, ONE_SLOT)
    module.wrong = 1
    results = check(core, ONE_SLOT, module, budget=budget)
    assert results.findings == ()
    (seen,) = results.unconfirmed
    assert (seen.function, seen.seen, len(seen.at_calls)) == ("C_GetInfo", "CKR_PIN_LOCKED", 1)
    (row,) = report_json(results, {"name": "simulated", "adapter": "simulated"})["unconfirmed"]
    assert row == {"function": "C_GetInfo", "observed": "CKR_PIN_LOCKED", "times": 1, "after_calls": [*seen.at_calls]}


def test_a_finding_tells_how_often_it_came_back(core: Model) -> None:
    module = Passing(core, ONE_SLOT)
    module.wrong = 10**9
    results = check(core, ONE_SLOT, module, budget=Budget(sequences=0, seconds=600))
    assert {f.confirmed for f in results.findings} == {3}
