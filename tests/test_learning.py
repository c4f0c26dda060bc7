"""What is learnt of calls that kill: which are spared, and what becomes one finding."""

from collections.abc import Sequence
from dataclasses import replace

from conftest import ONE_SLOT, Steady

from p11conform.model.call import Args, Call, Data, Ending, Observation
from p11conform.model.chapters.conditions import session_valid
from p11conform.model.oracle import Model
from p11conform.model.state import Mech, State
from p11conform.model.vocabulary import CKR
from p11conform.properties.engine.verdict import Kind, Severity, judge, null_arguments
from p11conform.properties.policy import Level, on_token
from p11conform.properties.reports.findings import explain
from p11conform.properties.reports.render.text import render
from p11conform.properties.reports.results import report_json
from p11conform.properties.run.campaign import LAST, Budget, check
from p11conform.properties.run.learning import DEADLY, Deaths, mechanism_before


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


def test_null_pointers_of_a_kind_that_killed_are_put_off_everywhere(model: Model) -> None:
    learnt = deaths(model, [Call("C_Digest", Args(data=Data.NULL))])
    other = Call("C_Decrypt", Args(data=Data.NULL))
    assert learnt.puts_off(other)
    assert not learnt.spares(other, worked=True)
    assert not learnt.puts_off(Call("C_Decrypt"))
    assert not learnt.puts_off(Call("C_GetInfo", Args(null=True))), "another kind of pointer"


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


def test_what_kills_in_an_operation_is_spared_with_its_mechanism_until_it_kills_with_another(model: Model) -> None:
    learnt = Deaths({name: f.uses for name, f in model.functions.items()})
    huge = Call("C_Encrypt", Args(data=Data.HUGE))
    raw, padded, block = Mech.RSA_X_509, Mech.RSA_PKCS, Mech.AES_CBC
    learnt.learn(huge, huge, raw)
    assert learnt.spares(huge, worked=True, mechanism=raw)
    assert not learnt.spares(huge, worked=True)
    assert not learnt.spares(huge, worked=True, mechanism=padded)
    for session in range(1, DEADLY):
        learnt.learn(Call("C_Encrypt", Args(data=Data.HUGE, session=session)), huge, raw)
    assert learnt.spares(Call("C_Encrypt", Args(data=Data.HUGE, session=DEADLY)), worked=True, mechanism=raw)
    assert not learnt.spares(huge, worked=True, mechanism=block)
    learnt.learn(huge, huge, padded)
    assert learnt.spares(huge, worked=True)
    assert learnt.spares(huge, worked=True, mechanism=block)
    assert not learnt.spares(Call("C_Encrypt"), worked=True, mechanism=raw)


def test_the_mechanism_of_an_operation_is_that_of_its_session() -> None:
    begun = (
        Call("C_EncryptInit", Args(mechanism=Mech.AES_CBC)),
        Call("C_EncryptInit", Args(mechanism=Mech.RSA_PKCS, session=1)),
        Call("C_SignInit", Args(mechanism=Mech.SHA256_HMAC)),
    )
    assert mechanism_before((*begun, Call("C_EncryptFinal"))) is Mech.AES_CBC
    assert mechanism_before((*begun, Call("C_Encrypt", Args(session=1)))) is Mech.RSA_PKCS
    assert mechanism_before((*begun, Call("C_Encrypt", Args(session=2)))) is None
    assert mechanism_before((*begun, Call("C_GetInfo"))) is None


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
    assert len(found.functions) > FEW
    assert {function for function, _ in found.nulls} == set(found.functions)
    text = explain(core, found.verdict, (), found.nulls)
    assert "- C_GetInfo: NULL for a pointer that is needed" in text


FEW = 3


class Noting(Fragile):
    """Notes which calls it is given."""

    def __init__(self, model: Model, initial: State) -> None:
        super().__init__(model, initial)
        self.made: list[Call] = []

    def call(self, call: Call) -> Observation:
        self.made.append(call)
        return super().call(call)


def test_null_pointers_come_last_and_each_kills_but_a_few_times(core: Model) -> None:
    module = Noting(core, ONE_SLOT)
    calls = 6000
    results = check(core, ONE_SLOT, module, budget=Budget(calls=calls, seconds=600))
    deadly = [
        (n, call) for n, call in enumerate(module.made) if null_arguments(call, core.functions[call.function].uses)
    ]
    (found,) = results.findings
    looked_into = 12
    assert len({call.function for n, call in deadly if n >= calls * (1 - LAST)}) > FEW
    assert len(deadly) <= looked_into + 2 * len(found.functions), "met, and seen again by itself"


def without_reading(model: Model) -> Model:
    """A model whose text says of NULL in C_GetInfo, without an open question, what it does."""
    f = model.functions["C_GetInfo"]
    rows = tuple(replace(r, reading=None) if r.id == "pointer-null" else r for r in f.rules)
    return replace(model, functions={**model.functions, f.name: replace(f, rules=rows)})


def test_a_death_by_null_is_a_crash_where_the_text_speaks_of_it(core: Model) -> None:
    call, died = Call("C_GetInfo", Args(null=True)), Observation(ending=Ending.DIED)
    for model, kind in ((core, Kind.ROBUSTNESS), (without_reading(core), Kind.DIED)):
        verdict, _ = judge(model, frozenset({ONE_SLOT}), call, died)
        assert verdict.kind is kind
    plain, _ = judge(core, frozenset({ONE_SLOT}), Call("C_GetInfo"), died)
    assert plain.kind is Kind.DIED


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
    assert dict(poor.never)["C_Login"] == "refused by CKR_GENERAL_ERROR where the text lets it succeed"


def test_a_run_without_a_pin_says_so(core: Model) -> None:
    results = check(
        core,
        ONE_SLOT,
        Steady(core, ONE_SLOT),
        policy=on_token(Level.SESSION_OBJECTS, frozenset()),
        budget=Budget(sequences=0, seconds=600),
    )
    assert results.reach is not None
    (line,) = results.reach.poor
    assert line.startswith("no PIN was given")


def test_the_report_begins_with_what_was_reached_and_is_loud_where_that_is_little(core: Model) -> None:
    results = check(core, ONE_SLOT, Locked(core, ONE_SLOT), budget=Budget(sequences=0, seconds=600))
    shown = render(report_json(results, {"name": "simulated", "adapter": "simulated"}))
    assert "THIS RUN PROVES LITTLE: nobody ever logged in" in shown
    assert "C_Login: refused by CKR_GENERAL_ERROR where the text lets it succeed" in shown
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


class Constant(Steady):
    """Gives the same answer to every call of a function."""

    def call(self, call: Call) -> Observation:
        return Observation(CKR.MECHANISM_INVALID) if call.function == "C_GetMechanismInfo" else super().call(call)


def test_a_function_that_always_gives_the_same_answer_is_one_finding_and_a_note(core: Model) -> None:
    results = check(core, ONE_SLOT, Constant(core, ONE_SLOT), budget=Budget(sequences=0, seconds=600))
    (found,) = results.findings
    assert (found.verdict.kind, found.functions) == (Kind.ALWAYS, ("C_GetMechanismInfo",))
    assert "returned CKR_MECHANISM_INVALID whatever the call" in explain(core, found.verdict)
    report = report_json(results, {"name": "simulated", "adapter": "simulated"})
    note = {"kind": "always answers", "about": "CKR_MECHANISM_INVALID", "functions": ["C_GetMechanismInfo"]}
    assert note in report["notes"]


class Zero(Steady):
    """Gives every session handle 0."""

    def call(self, call: Call) -> Observation:
        seen = super().call(call)
        outputs = tuple((name, 0 if name == "handle" else value) for name, value in seen.outputs)
        return replace(seen, outputs=outputs)


def test_a_handle_that_is_0_is_one_finding_and_hides_nothing(core: Model) -> None:
    budget = Budget(sequences=0, seconds=600)
    whole = check(core, ONE_SLOT, Steady(core, ONE_SLOT), budget=budget).tally.pairs
    results = check(core, ONE_SLOT, Zero(core, ONE_SLOT), budget=budget)
    (found,) = results.findings
    assert (found.verdict.kind, found.functions) == (Kind.DATA_EFFECT, ("C_OpenSession",))
    assert results.tally.pairs.keys() == whole.keys()


class Forgetful(Zero):
    """And takes no handle 0 for one of a session."""

    def call(self, call: Call) -> Observation:
        if "session" in self._model.functions[call.function].uses and session_valid(self._state, call.args):
            return Observation(CKR.SESSION_HANDLE_INVALID)
        return super().call(call)


def test_what_comes_of_a_handle_that_is_0_is_of_that_finding(core: Model) -> None:
    results = check(core, ONE_SLOT, Forgetful(core, ONE_SLOT), budget=Budget(sequences=0, seconds=600))
    (found,) = results.findings
    assert (found.verdict.call.function, found.verdict.kind) == ("C_OpenSession", Kind.DATA_EFFECT)
    assert {x.symptom.seen for x in found.symptoms} == {"CKR_OK", "CKR_SESSION_HANDLE_INVALID"}
