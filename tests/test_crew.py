"""Workers in processes of their own: what they do does not depend on how many they are, and survives the module."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import FINALIZE, INIT, LOGIN, LOGOUT, ONE_SLOT, OPEN, Steady, restricted

from p11conform import cli, subject
from p11conform.adapters.base import Binding, ModuleUnusable
from p11conform.adapters.isolated import Isolated
from p11conform.adapters.isolated import Kind as Way
from p11conform.adapters.modules import softhsm2
from p11conform.adapters.wire import decode, encode
from p11conform.crew import Crew, Open
from p11conform.exits import Exit
from p11conform.messages import Briefing, Order, Task, briefing, item_of, order_of
from p11conform.model.call import Args, Call, Ending, Observation
from p11conform.model.oracle import Model
from p11conform.model.state import State
from p11conform.model.vocabulary import CKR, CKU
from p11conform.properties.engine.verdict import Cause, Kind
from p11conform.properties.policy import Level, Rights
from p11conform.properties.reports.results import report_json
from p11conform.properties.run.campaign import LAST, Alone, Budget, Campaign, Results, Source, numbered_calls
from p11conform.properties.run.driver import Driver, New
from p11conform.properties.run.tally import Tally
from p11conform.properties.run.work import Done, Failed, Generated, Item, Sweep, Tour, Visit, Walk
from p11conform.properties.search.graph import SCOPES

ANYTHING = Rights(Level.OURS)


def campaign(task: Task, modules: list[Open], budget: Budget, seed: int = 3) -> Results:
    with Crew(task, modules) as crew:
        return Campaign(task.model, task.initial, crew, policy=task.rights.policy, seed=seed, budget=budget).run()


# Messages.


@pytest.mark.parametrize(
    "item",
    [
        Visit((1, 2), ((3, ()), (4, (5, 6)))),
        Sweep((1,), (2, 3)),
        Tour((((), (1, 2)), ((1,), (3,)))),
        Walk("11/4", 150, True),
        Generated(7, 10, 25),
    ],
    ids=lambda item: type(item).__name__,
)
def test_an_item_goes_through_a_pipe(item: Item) -> None:
    assert item_of(decode(Order, encode(order_of(item, 1.0)))) == item


def test_what_was_done_goes_through_a_pipe() -> None:
    tally = Tally(calls=3, sequences=1, fired={("C_Login", 5, "a b")}, states={-(2**62), 7})
    tally.pairs["C_Login", "CKR_OK"] = 2
    tally.choices["A-16", "C_SignInit", ("CKR_OK x", "CKR_OK y")] = {"CKR_OK"}
    failed = Failed((INIT, LOGIN), (LOGIN,), Cause("another code", ("x",)), "C_Login", "CKR_OK", 9, alone=False)
    done = Done(tally, [New("C_Login", "CKR_OK", -5, 2)], [failed], {"C_Login": (3, 0.25)})
    again = decode(Done, encode(done))
    assert again == done
    assert again.tally.pairs["C_Logout", "CKR_OK"] == 0, "it counts on"


def test_a_task_goes_through_a_pipe(model: Model) -> None:
    task = Task(model, subject.SIMULATED_STATE, Rights(Level.SESSION_OBJECTS, frozenset({CKU.USER})))
    given = decode(Briefing, briefing(task, (INIT, LOGIN)))
    again = given.task
    assert (again.initial, again.rights, given.calls) == (task.initial, task.rights, (INIT, LOGIN))
    assert (again.model.version, dict(again.model.readings)) == (model.version, dict(model.readings))


# A module that dies.


def opening(
    library: str, fault: str, what: str, restored: Callable[[], None] = lambda: None, **environment: str
) -> Open:
    environment |= {"FAULT_IN": fault, "FAULT": what}
    return partial(Isolated, Way.RAW, library, Binding(slots=(0,)), environment, restored, 1.0)


@pytest.mark.parametrize(
    ("what", "kind", "detail"),
    [("crash", Kind.DIED, "signal SIGSEGV"), ("exit", Kind.DIED, "exit 3"), ("hang", Kind.HUNG, "")],
)
def test_a_death_in_a_worker_is_one_finding_and_the_check_goes_on(
    faulty_library: str, what: str, kind: Kind, detail: str, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p11conform.adapters.process.THINKING", 1.0)
    task = Task(model, ONE_SLOT, ANYTHING)
    results = campaign(
        task, [opening(faulty_library, "C_GetSlotInfo", what)], Budget(sequences=0, seconds=600, calls=2500)
    )
    ended = [f for f in results.findings if f.verdict.kind in (Kind.DIED, Kind.HUNG)]
    assert [(f.verdict.kind, f.verdict.observation.detail) for f in ended] == [(kind, detail)]
    assert [call.function for call, _ in ended[0].steps] == ["C_GetSlotInfo"]
    assert results.tally.calls >= 2500 * (1 - LAST), "what is kept for NULL pointers may be left over"
    assert len({function for function, _ in results.tally.pairs}) > 20, "other functions are called all the same"
    deaths = sum(n for (function, _), n in results.tally.pairs.items() if function == "C_GetSlotInfo")
    assert deaths < 10, "a function that kills is left alone in the end"


def test_deaths_by_null_pointers_are_one_finding_and_take_a_share(faulty_library: str, model: Model) -> None:
    # The tenth that is kept is more than the longest piece of work.
    task, calls = Task(model, ONE_SLOT, ANYTHING), 6000
    results = campaign(task, [opening(faulty_library, "", "null")], Budget(sequences=0, seconds=600, calls=calls))
    (found,) = [f for f in results.findings if f.verdict.kind in (Kind.ROBUSTNESS, Kind.DIED)]
    crashing = {"C_GetInfo", "C_GetSlotInfo", "C_GetTokenInfo", "C_GetSessionInfo"}
    assert found.verdict.kind is Kind.ROBUSTNESS
    assert {*found.nulls} == {(name, "null") for name in crashing}
    deaths = sum(n for (_, seen), n in results.tally.pairs.items() if seen.startswith("died"))
    assert deaths <= 2 * len(crashing), "each function dies once or twice, apart from what confirms it"
    assert 0 < results.lost < results.seconds


def test_a_visit_goes_on_behind_the_call_that_killed(faulty_library: str, model: Model) -> None:
    calls = numbered_calls(model, ONE_SLOT)
    numbers = {call: k for k, call in enumerate(calls)}
    goals = tuple((numbers[Call(name)], ()) for name in ("C_GetInfo", "C_GetSlotInfo", "C_GetTokenInfo"))
    with Crew(Task(model, ONE_SLOT, ANYTHING), [opening(faulty_library, "C_GetSlotInfo", "exit")]) as crew:
        (done,) = crew.do([Visit((numbers[INIT],), goals)], lambda: 60.0)
    assert [(f.function, f.seen) for f in done.failures] == [("C_GetSlotInfo", "died: exit 3")]
    assert done.failures[0].calls == (INIT, Call("C_GetInfo"), Call("C_GetSlotInfo"))
    assert done.tally.pairs["C_GetTokenInfo", "CKR_FUNCTION_NOT_SUPPORTED"] == 1


def test_a_death_in_c_finalize_between_sequences_is_found_and_costs_nothing_else(
    faulty_library: str, model: Model
) -> None:
    initialize = numbered_calls(model, ONE_SLOT).index(INIT)
    items = [Tour((((), (initialize,)),))] * 3
    with Crew(Task(model, ONE_SLOT, ANYTHING), [opening(faulty_library, "C_Finalize", "exit")]) as crew:
        whole = list(crew.do(items, lambda: 60.0))
    died = [[(f.function, f.seen, f.calls) for f in done.failures] for done in whole]
    assert died == [[], *[[("C_Finalize", "died: exit 3", (INIT, FINALIZE))]] * 2]
    assert [done.tally.pairs["C_Initialize", "CKR_OK"] for done in whole] == [1] * 3


INFO, SLOT_INFO = Call("C_GetInfo"), Call("C_GetSlotInfo")

UNNUMBERED = Call("C_GetSlotInfo", Args(object=1))
"""A call that no campaign makes, as its function has no such argument."""


def test_a_death_loses_nothing_that_came_before_in_a_piece_of_work(faulty_library: str, model: Model) -> None:
    numbers = {call: k for k, call in enumerate(numbered_calls(model, ONE_SLOT))}
    visit = Visit((numbers[INIT],), ((numbers[FINALIZE], ()), (numbers[SLOT_INFO], ())))
    with Crew(Task(model, ONE_SLOT, ANYTHING), [opening(faulty_library, "C_GetSlotInfo", "exit", SLOW="1")]) as crew:
        (done,) = crew.do([visit], lambda: 60.0)
    assert done.tally.pairs["C_Finalize", "CKR_OK"] == 1
    assert [(f.function, f.at) for f in done.failures] == [("C_GetSlotInfo", done.tally.calls)]


def test_a_replay_that_dies_keeps_what_came_before(faulty_library: str, model: Model) -> None:
    with Crew(Task(model, ONE_SLOT, ANYTHING), [opening(faulty_library, "C_GetSlotInfo", "crash")]) as crew:
        for fresh in (False, True, False):
            replay = crew.replay((INIT, INFO, SLOT_INFO, INFO), fresh=fresh)
            assert [(call, seen.text) for call, seen in replay.steps] == [
                (INIT, "CKR_OK"),
                (INFO, "CKR_OK"),
                (SLOT_INFO, "died: signal SIGSEGV"),
            ]
            assert replay.failure is not None
            assert replay.failure.kind is Kind.DIED
            assert "vendor chatter" in replay.steps[-1][1].printed
        assert crew.replay((INIT, INFO)).failure is None


def test_a_fresh_replay_has_a_process_of_its_own(faulty_library: str, model: Model, tmp_path: Path) -> None:
    file = tmp_path / "process"
    opened = opening(faulty_library, "C_GetInfo", "note", FAULT_FILE=str(file))
    seen = []
    with Crew(Task(model, ONE_SLOT, ANYTHING), [opened]) as crew:
        for fresh in (False, False, True, False):
            crew.replay((INIT, INFO), fresh=fresh)
            seen.append(file.read_text())
    first, second, third, fourth = seen
    assert first == second != third == fourth


def test_a_death_in_a_call_that_only_the_worker_numbered_is_named(faulty_library: str, model: Model) -> None:
    numbers = {call: k for k, call in enumerate(numbered_calls(model, ONE_SLOT))}
    assert UNNUMBERED not in numbers
    goals = tuple((numbers[call], ()) for call in (INFO, SLOT_INFO))
    with Crew(Task(model, ONE_SLOT, ANYTHING), [opening(faulty_library, "C_GetSlotInfo", "exit")]) as crew:
        for _ in range(2):
            assert crew.replay((INIT, UNNUMBERED)).steps[-1][0] == UNNUMBERED
            (done,) = crew.do([Visit((numbers[INIT],), goals)], lambda: 60.0)
            assert [f.calls for f in done.failures] == [(INIT, INFO, SLOT_INFO)]


class Odd(Steady):
    """Answers a wrong code to a call that no campaign has numbered."""

    def call(self, call: Call) -> Observation:
        return Observation(CKR.PIN_INVALID) if call == UNNUMBERED else super().call(call)


class Inventive(Alone):
    """Works on nothing but comes up with a failure of such a call."""

    def do(self, items: Iterable[Item], left: Callable[[], float]) -> Iterator[Done]:  # noqa: ARG002
        for _ in items:
            failed = Failed((INIT, UNNUMBERED), (), Cause("x"), UNNUMBERED.function, "CKR_PIN_INVALID", 2)
            yield Done(Tally(calls=2), [], [failed])


def test_a_failing_call_that_the_campaign_never_numbered_is_a_finding(model: Model) -> None:
    driver = Driver(model, ONE_SLOT, Odd(model, ONE_SLOT))
    results = Campaign(model, ONE_SLOT, Inventive(driver), budget=Budget(sequences=0, calls=10)).run()
    assert [f.steps[-1][0].function for f in results.findings] == ["C_GetSlotInfo"]
    assert results.findings[0].verdict.observation.code == CKR.PIN_INVALID


def test_a_module_that_cannot_be_finalised_goes_on_in_a_new_process(faulty_library: str, model: Model) -> None:
    initialize = numbered_calls(model, ONE_SLOT).index(INIT)
    items = [Tour((((), (initialize,)),))] * 3
    with Crew(Task(model, ONE_SLOT, ANYTHING), [opening(faulty_library, "C_Finalize", "stuck")]) as crew:
        whole = list(crew.do(items, lambda: 60.0))
        replays = [crew.replay((INIT, INFO)) for _ in range(3)]
    assert [(done.failures, done.tally.pairs["C_Initialize", "CKR_OK"]) for done in whole] == [([], 1)] * 3
    assert [len(replay.steps) for replay in replays] == [2] * 3


def test_workers_die_apart(faulty_library: str, model: Model) -> None:
    numbers = {call: k for k, call in enumerate(numbered_calls(model, ONE_SLOT))}
    items = [Visit((numbers[INIT],), ((numbers[call], ()),)) for call in (SLOT_INFO, INFO) * 6]
    modules = [opening(faulty_library, "C_GetSlotInfo", what) for what in ("exit", "crash")]
    with Crew(Task(model, ONE_SLOT, ANYTHING), modules) as crew:
        whole = list(crew.do(items, lambda: 60.0))
    assert [len(done.failures) for done in whole] == [1, 0] * 6
    assert [done.tally.pairs["C_GetInfo", "CKR_OK"] for done in whole] == [0, 1] * 6


def test_a_module_that_dies_as_it_is_loaded_is_unusable(faulty_library: str, model: Model) -> None:
    with pytest.raises(ModuleUnusable, match="exit 3"):
        Crew(Task(model, ONE_SLOT, ANYTHING), [opening(faulty_library, "C_GetFunctionList", "exit")])


def test_the_parent_restores_the_token(faulty_library: str, model: Model) -> None:
    restored: list[int] = []
    task = Task(model, ONE_SLOT, ANYTHING)
    with Crew(task, [opening(faulty_library, "nothing", "", lambda: restored.append(1))]) as crew:
        assert crew.replay((INIT, INIT)).failure is not None
        before = len(restored)
        crew.replay((INIT,), fresh=True)
        list(crew.do([Walk("1", 5, False)], lambda: 60.0))
    assert 0 < before < len(restored)


# SoftHSM2.


@pytest.fixture
def tokens() -> Iterator[Callable[[int], tuple[State, list[Open]]]]:
    """Makes SoftHSM2 with tokens of its own, several times."""
    if softhsm2.find() is None:
        pytest.skip("SoftHSM is not installed: install softhsm2")
    with ExitStack() as stack:

        def make(count: int) -> tuple[State, list[Open]]:
            made = [subject.own_module("softhsm2", Way.RAW, 10.0) for _ in range(count)]
            for one in made:
                stack.callback(one.discard)
            return made[0].initial, [one.isolated for one in made if one.isolated is not None]

        yield make


def plain(report: dict[str, Any]) -> dict[str, Any]:
    """A report without what the clock says."""
    del report["seconds"], report["run"]["date"], report["run"]["restores"], report["run"]["lost_to_deaths"]
    classes = report["coverage"]["classes"]
    del classes["last_new_at_second"]
    classes["curve"] = [[calls, seen] for calls, _, seen in classes["curve"]]
    for finding in report["findings"]:
        del finding["first_seen_at_second"]
    return report


@pytest.mark.module
def test_how_many_work_makes_no_difference(tokens: Callable[[int], tuple[State, list[Open]]], model: Model) -> None:
    """Of a part of the interface, so that what is told between rounds has its turn."""
    some = restricted(model, frozenset().union(*(scope.functions for scope in SCOPES.values())))
    reports = []
    for jobs in (1, 2):
        initial, modules = tokens(jobs)
        results = campaign(Task(some, initial, ANYTHING), modules, Budget(seconds=600, calls=18_000))
        done = {phase.name for phase in results.phases if phase.done}
        assert done >= {Source.DERIVED.value, Source.SWEEPS.value, Source.TOURS.value}
        reports.append(plain(report_json(results, {"name": "softhsm2", "adapter": "raw"})))
    assert reports[0] == reports[1]
    assert reports[0]["findings"]


@pytest.mark.module
def test_a_worker_and_a_driver_see_the_same(tokens: Callable[[int], tuple[State, list[Open]]], model: Model) -> None:
    initial, modules = tokens(1)
    wrong = Call("C_Logout", Args())
    numbers = {call: k for k, call in enumerate(numbered_calls(model, initial))}
    with Crew(Task(model, initial, ANYTHING), modules) as crew:
        sequence = (INIT, OPEN, LOGIN, LOGOUT, wrong)
        replay = crew.replay(sequence)
        (done,) = crew.do([Tour((((), tuple(numbers[c] for c in sequence)),))], lambda: 60.0)
    assert replay.failure is not None
    assert [(f.cause, f.calls) for f in done.failures] == [
        (replay.failure.cause, tuple(call for call, _ in replay.steps))
    ]
    assert done.tally.pairs == {(call.function, seen.text): 1 for call, seen in replay.steps[:3]} | {
        ("C_Logout", "CKR_OK"): 2
    }
    assert replay.steps[-1][1].ending is Ending.RETURNED


@pytest.mark.module
def test_neither_work_nor_replays_leave_the_token_changed_for_the_other(
    tokens: Callable[[int], tuple[State, list[Open]]], model: Model
) -> None:
    initial, modules = tokens(1)
    other_pin = (INIT, OPEN, LOGIN, Call("C_SetPIN"))
    numbers = {call: k for k, call in enumerate(numbered_calls(model, initial))}
    work = [Tour((((), tuple(numbers[c] for c in other_pin)),))]
    with Crew(Task(model, initial, ANYTHING), modules) as crew:
        for _ in range(2):
            (done,) = crew.do(work, lambda: 60.0)
            assert (done.failures, done.tally.pairs["C_SetPIN", "CKR_OK"]) == ([], 1)
            replay = crew.replay(other_pin)
            assert (replay.failure, [seen.text for _, seen in replay.steps]) == (None, ["CKR_OK"] * 4)
            assert crew.replay((INIT, OPEN, LOGIN)).failure is None


def test_workers_want_tokens_of_their_own(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.main, ["check", "simulated", "--jobs", "2", "--json", str(tmp_path / "r.json")])
    assert result.exit_code == Exit.USAGE
    assert result.output.count("\n") == 1
