"""Two threads of one application: what is right in some order is right, what no order explains is found."""

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner
from conftest import INIT, LOGIN, LOGOUT, OPEN, after

from p11conform.adapters.isolated import Isolated, Kind
from p11conform.adapters.modules import registry
from p11conform.adapters.simulated import Simulated
from p11conform.cli import main
from p11conform.model.call import Args, Call, Ending, InitArgs, Observation
from p11conform.model.oracle import build
from p11conform.model.state import Mech, Object, Slot, State
from p11conform.model.vocabulary import CKR, CKS
from p11conform.properties.engine.beside import Pair, after_both, defined, judge_beside
from p11conform.properties.engine.verdict import Outcome
from p11conform.properties.policy import anything
from p11conform.properties.reports.render import html, markdown, text
from p11conform.properties.reports.results import read_report, report_json
from p11conform.properties.run.campaign import Budget, Results
from p11conform.properties.run.concurrency import AGAIN, ConcurrentCheck
from p11conform.properties.search.concurrent_calls import concurrent_calls

MODEL = build()
SCOPE = State(slots=(Slot(),), objects=(Object(),) * 4)
READY = (INIT, OPEN, OPEN)


def second(function: str, **given: object) -> Call:
    return Call(function, Args(session=1, **given))  # type: ignore[arg-type]


def outcomes(way: Sequence[Call], calls: Pair, one: Observation | CKR, other: Observation | CKR) -> list[Outcome]:
    seen = [x if isinstance(x, Observation) else Observation(x) for x in (one, other)]
    return [v.outcome for v in judge_beside(MODEL, after(MODEL, SCOPE, way), calls, seen)]


PASS, FAIL, UNCLEAR = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE
INFO, MAKE = second("C_GetSessionInfo"), Call("C_GenerateKey", Args(mechanism=Mech.AES_KEY_GEN, private=True))


def told(state: CKS) -> Observation:
    return Observation(CKR.OK, (("state", state),))


JUDGED: list[tuple[Sequence[Call], Pair, Observation | CKR, Observation | CKR, list[Outcome]]] = [
    (READY, (LOGIN, INFO), CKR.OK, told(CKS.RW_PUBLIC_SESSION), [PASS, PASS]),
    (READY, (LOGIN, INFO), CKR.OK, told(CKS.RW_USER_FUNCTIONS), [PASS, PASS]),
    (READY, (LOGIN, INFO), CKR.OK, told(CKS.RW_SO_FUNCTIONS), [PASS, FAIL]),
    (READY, (LOGIN, INFO), CKR.PIN_INCORRECT, told(CKS.RW_USER_FUNCTIONS), [FAIL, UNCLEAR]),
    (READY, (LOGIN, second("C_Login")), CKR.OK, CKR.USER_ALREADY_LOGGED_IN, [PASS, PASS]),
    (READY, (LOGIN, second("C_Login")), CKR.OK, CKR.USER_ANOTHER_ALREADY_LOGGED_IN, [PASS, FAIL]),
    ((*READY, LOGIN), (LOGOUT, second("C_Logout")), CKR.OK, CKR.USER_NOT_LOGGED_IN, [PASS, PASS]),
    ((*READY, LOGIN), (MAKE, second("C_Logout")), CKR.OK, CKR.OK, [PASS, PASS]),
    ((*READY, LOGIN), (MAKE, second("C_Logout")), CKR.USER_NOT_LOGGED_IN, CKR.OK, [PASS, PASS]),
    (READY, (MAKE, INFO), CKR.OK, told(CKS.RW_PUBLIC_SESSION), [FAIL, PASS]),
    # Nothing is known of what an unrecoverable error of the other call has left.
    (READY, (LOGIN, INFO), CKR.GENERAL_ERROR, told(CKS.RW_SO_FUNCTIONS), [UNCLEAR, UNCLEAR]),
]


@pytest.mark.parametrize(("way", "calls", "one", "other", "wanted"), JUDGED)
def test_an_answer_is_right_if_it_is_before_the_other_call_or_after_it(
    way: Sequence[Call], calls: Pair, one: Observation | CKR, other: Observation | CKR, wanted: list[Outcome]
) -> None:
    assert outcomes(way, calls, one, other) == wanted
    assert outcomes(way, calls[::-1], other, one) == wanted[::-1]


def test_what_is_believed_afterwards_is_what_explains_both_answers() -> None:
    both = (LOGIN, second("C_Logout"))
    s = after(MODEL, SCOPE, READY)

    def logins(one: CKR, other: CKR) -> set[str]:
        return {t.slots[0].login.name for t in after_both(MODEL, s, both, [Observation(one), Observation(other)])}

    assert logins(CKR.OK, CKR.OK) == {"NOBODY"}
    assert logins(CKR.OK, CKR.USER_NOT_LOGGED_IN) == {"USER"}
    assert logins(CKR.USER_NOT_LOGGED_IN, CKR.OK) == set(), "no order explains it, and nothing is believed"
    assert logins(CKR.OK, CKR.GENERAL_ERROR) == set()


def test_what_the_text_leaves_undefined_is_not_tried() -> None:
    assert not defined((INFO, second("C_CloseSession"))), "one session"
    assert not defined((Call("C_Finalize"), INFO))
    assert not defined((Call("C_CloseAllSessions"), INFO)), "it takes the session of the other away"
    assert defined((Call("C_CloseSession"), INFO))
    assert defined((Call("C_GetInfo"), INFO))


def test_each_thread_has_a_session_of_its_own_and_the_library_knows_of_them() -> None:
    made = concurrent_calls(MODEL, SCOPE, anything, InitArgs.OS_LOCKING, Random(1))
    few = [next(made) for _ in range(300)]
    assert all(defined(x.calls) for x in few)
    assert {x.way[0].args.init for x in few} == {InitArgs.OS_LOCKING}
    assert len({call.function for x in few for call in x.calls}) > 20
    assert {"C_Login", "C_Logout", "C_CloseSession"} <= {call.function for x in few for call in x.calls}


def checked(stand: Simulated, calls: int, seed: int = 5) -> Results:
    return ConcurrentCheck(MODEL, SCOPE, stand, seed=seed, budget=Budget(seconds=600, calls=calls)).run()


def test_two_threads_find_nothing_in_a_module_that_does_one_call_after_the_other() -> None:
    results = checked(Simulated(MODEL, SCOPE, 2), 1_500)
    assert results.findings == ()
    assert results.tally.calls >= 1_500
    assert len(results.tally.pairs) > 40


class Torn(Simulated):
    """Forgets what two calls changed where one of them logs in or out."""

    def call_both(self, calls: Pair) -> tuple[Observation, Observation]:
        before = self._state
        seen = super().call_both(calls)
        if {"C_Login", "C_Logout"} & {call.function for call in calls}:
            self._state = before
        return seen


class Crossed(Simulated):
    """Answers one call by the code of the other."""

    def call_both(self, calls: Pair) -> tuple[Observation, Observation]:
        one, other = super().call_both(calls)
        return other, one


class Dying(Simulated):
    """Dies where two threads digest."""

    def call_both(self, calls: Pair) -> tuple[Observation, ...]:  # type: ignore[override]
        if all(call.function.startswith("C_Digest") for call in calls):
            return (Observation(ending=Ending.DIED, detail="signal SIGSEGV"),)
        return super().call_both(calls)


@pytest.mark.parametrize("sort", [Torn, Crossed, Dying])
def test_what_only_two_threads_show_is_found_and_says_how_often_it_came_back(
    sort: type[Simulated], tmp_path: Path
) -> None:
    results = checked(sort(MODEL, SCOPE, 3), 2_500)
    assert results.findings
    for finding in results.findings:
        threads = finding.first.threads
        assert threads is not None
        assert 1 <= threads.again <= threads.tries == AGAIN
        assert finding.symptoms[0].symptom.named[-1] == "two threads"
    report = report_json(results, {"name": "simulated", "adapter": "simulated"})
    for form in (text, markdown, html):
        assert f"of {AGAIN} tries at most" in form.render(report)
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report))
    assert read_report(file)["findings"][0]["threads"]["tries"] == AGAIN
    for command in ("replay", "reproduce"):
        result = CliRunner().invoke(main, [command, str(file), report["findings"][0]["id"]])
        assert (result.exit_code, "--threads 2" in " ".join(result.output.split())) == (2, True), result.output


class Wrong(Simulated):
    """Errs whatever the threads do."""

    def call(self, call: Call) -> Observation:
        seen = super().call(call)
        return Observation(CKR.DATA_INVALID) if call.function == "C_SeedRandom" else seen


def test_what_fails_one_after_the_other_too_is_no_matter_of_threads() -> None:
    assert checked(Wrong(MODEL, SCOPE, 3), 1_500).findings == ()


def test_threads_go_with_nothing_that_happens_beside() -> None:
    result = CliRunner().invoke(main, ["check", "simulated", "--threads", "2", "--events"])
    assert result.exit_code == 2
    assert "--threads 2" in result.output


# Real modules.


@pytest.mark.module
def test_two_threads_call_a_real_module_at_a_time() -> None:
    provider = registry.provider("softhsm2")
    if (obstacle := provider.obstacle()) is not None:
        pytest.skip(obstacle)
    module = provider.provision()
    try:
        with Isolated(Kind.RAW, module.library, module.binding, module.environment, module.restore) as adapter:
            adapter.reset(True)
            init = Call("C_Initialize", Args(init=InitArgs.OS_LOCKING))
            assert [x.code for x in adapter.call_all((init, OPEN))] == [CKR.OK] * 2
            opened, made = adapter.call_both((OPEN, Call("C_GenerateRandom")))
            assert (opened.code, made.code) == (CKR.OK, CKR.OK)
            login, info = adapter.call_both((LOGIN, INFO))
            assert (login.code, info.code) == (CKR.OK, CKR.OK)
            assert dict(info.outputs)["state"] in (CKS.RW_PUBLIC_SESSION, CKS.RW_USER_FUNCTIONS)
            assert adapter.call(INFO).outputs == (("slot", 0), ("state", CKS.RW_USER_FUNCTIONS), ("flags", 6))
    finally:
        module.discard()
