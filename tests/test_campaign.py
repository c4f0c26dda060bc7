"""Campaigns: what a crew is given to do, and what is made of what comes back."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import CORE, INIT, LOGIN, LOGOUT, ONE_SLOT, OPEN, Steady, restricted

from p11conform.adapters.simulated import Simulated
from p11conform.model.call import Args, Call, Ending, Observation
from p11conform.model.chapters.conditions import session_invalid
from p11conform.model.oracle import Model, build
from p11conform.model.state import Mech, Object, Pin, State
from p11conform.model.vocabulary import CKR
from p11conform.properties.engine.aspects import aspect
from p11conform.properties.engine.verdict import Kind
from p11conform.properties.policy import anything
from p11conform.properties.reports.findings import Finding, beside_setup
from p11conform.properties.run.campaign import Alone, Budget, Campaign, check, numbered_calls
from p11conform.properties.run.driver import Driver, Replay
from p11conform.properties.run.merged import joined
from p11conform.properties.run.work import Class, Done, Generated, Item, Sweep, Tour, Visit, Walk, Worker
from p11conform.properties.search.goals import Search, all_calls, goals
from p11conform.properties.search.graph import SCOPES
from p11conform.properties.search.tours import tours

INFO, BAD_INFO = Call("C_GetSessionInfo"), Call("C_GetSessionInfo", Args(session=2))
WRONG = Call("C_Login", Args(pin=Pin.WRONG))
SHORT = Budget(sequences=40, length=15, seconds=600)


class Counting(Steady):
    """Counts what it is asked to do."""

    def __init__(self, model: Model, initial: State) -> None:
        super().__init__(model, initial)
        self.made: list[Call] = []
        self.resets = 0

    def call(self, call: Call) -> Observation:
        self.made.append(call)
        return super().call(call)

    def reset(self, restore_token: bool) -> None:
        self.resets += 1
        super().reset(restore_token)


def worker(model: Model, module: Simulated) -> tuple[Worker, Callable[..., tuple[int, ...]]]:
    driver = Driver(model, ONE_SLOT, module, calls=all_calls(model, ONE_SLOT))
    return Worker(driver), lambda *calls: tuple(map(driver.number, calls))


SAME = """
import hashlib
from conftest import CORE, OBJECTS, restricted
from p11conform.adapters.simulated import Varied
from p11conform.model.oracle import build
from p11conform.model.state import Slot, State
from p11conform.properties.run.campaign import Budget, check

made = hashlib.sha256()

class Noting(Varied):
    def call(self, call):
        made.update(repr(call).encode())
        return super().call(call)

model, initial = restricted(build(), CORE), State(slots=(Slot(), Slot()), objects=OBJECTS)
check(model, initial, Noting(model, initial, 5), seed=3, budget=Budget(calls=4_000, seconds=600))
print(made.hexdigest())
"""


def test_a_seed_gives_the_same_calls_in_every_process() -> None:
    def digest(hashed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hashed, "PYTHONPATH": str(Path(__file__).parent)}
        command = (sys.executable, "-c", SAME)
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout

    assert len({digest(hashed) for hashed in "123"}) == 1


# Pieces of work.


def test_a_visit_goes_its_way_once_as_long_as_nothing_changes(core: Model) -> None:
    module = Counting(core, ONE_SLOT)
    visitor, n = worker(core, module)
    module.made.clear()
    visitor.do(Visit(n(INIT, OPEN, LOGIN), tuple((k, ()) for k in n(INFO, BAD_INFO, LOGIN, LOGOUT, INFO))))
    assert module.made == [INIT, OPEN, LOGIN, INFO, BAD_INFO, LOGIN, LOGOUT, INIT, OPEN, LOGIN, INFO]


def test_a_visit_looks_after_what_changed_and_at_its_end(core: Model) -> None:
    module = Counting(core, ONE_SLOT)
    visitor, n = worker(core, module)
    module.made.clear()
    visitor.do(Visit(n(INIT, OPEN), ((n(LOGIN)[0], n(INFO)), (n(BAD_INFO)[0], n(INFO, INFO)))))
    assert module.made == [INIT, OPEN, LOGIN, INFO, INIT, OPEN, BAD_INFO, INFO, INFO]


class Confused(Counting):
    """Answers a bad session handle, and a wrong PIN, by codes of its own; the second is a success."""

    def call(self, call: Call) -> Observation:
        seen = super().call(call)
        if call == BAD_INFO:
            return Observation(CKR.PIN_INVALID)
        return Observation() if seen.code == CKR.PIN_INCORRECT else seen


def test_a_sweep_goes_on_after_wrong_errors_and_anew_after_wrong_successes(core: Model) -> None:
    module = Confused(core, ONE_SLOT)
    sweeper, n = worker(core, module)
    other = Call("C_GetSessionInfo", Args(session=1))
    module.made.clear()
    done = sweeper.do(Sweep(n(INIT, OPEN), n(BAD_INFO, other, BAD_INFO, WRONG, other)))
    assert module.made == [INIT, OPEN, BAD_INFO, other, BAD_INFO, WRONG, INIT, OPEN, other]
    assert [(f.function, f.seen, f.calls, f.alone) for f in done.failures] == [
        ("C_GetSessionInfo", "CKR_PIN_INVALID", (INIT, OPEN, BAD_INFO), False),
        ("C_Login", "CKR_OK", (INIT, OPEN, WRONG), False),
    ]
    assert done.tally.calls == len(module.made)


def test_a_function_that_wrongly_succeeds_is_left_alone_in_a_sweep(core: Model) -> None:
    sweeper, n = worker(core, Confused(core, ONE_SLOT))
    done = sweeper.do(Sweep(n(INIT, OPEN), n(WRONG) * 9))
    assert done.tally.pairs["C_Login", "CKR_OK"] == 3


def test_a_tour_is_taken_up_where_it_was_ended(core: Model) -> None:
    module = Confused(core, ONE_SLOT)
    tourist, n = worker(core, module)
    module.made.clear()
    stops = ((n(), n(INIT)), (n(INIT), n(OPEN)), (n(INIT, OPEN), n(INFO, BAD_INFO, INFO, LOGIN)), (n(), n(INFO)))
    done = tourist.do(Tour(stops))
    assert module.made == [INIT, OPEN, INFO, BAD_INFO, INIT, OPEN, INFO, LOGIN, INFO]
    assert [f.calls for f in done.failures] == [(INIT, OPEN, INFO, BAD_INFO)]


class Shut(Counting):
    """Lets nobody log in the first time."""

    def call(self, call: Call) -> Observation:
        seen = super().call(call)
        return Observation(CKR.DEVICE_ERROR) if call == LOGIN and self.made.count(LOGIN) == 1 else seen


def test_a_tour_goes_the_way_to_the_next_stop_where_it_could_not_leave_one(core: Model) -> None:
    module = Shut(core, ONE_SLOT)
    tourist, n = worker(core, module)
    module.made.clear()
    stops = ((n(), n(INIT)), (n(INIT), n(OPEN)), (n(INIT, OPEN), n(INFO, LOGIN)), (n(INIT, OPEN, LOGIN), n(INFO)))
    tourist.do(Tour(stops))
    assert module.made == [INIT, OPEN, INFO, LOGIN, INIT, OPEN, LOGIN, INFO]


@pytest.mark.parametrize("item", [Walk("5/1", 200, False), Generated(5, 6, 20)], ids=lambda item: type(item).__name__)
def test_what_a_worker_does_does_not_depend_on_what_it_did(item: Item, core: Model) -> None:
    fresh, _ = worker(core, Steady(core, ONE_SLOT))
    used, n = worker(core, Steady(core, ONE_SLOT))
    for before in (Walk("5/2", 100, False), Generated(6, 3, 10), Tour(((n(), n(INIT, OPEN, LOGIN)),))):
        used.do(before)
    first, other = fresh.do(item), used.do(item)
    assert (first.tally, first.news, first.failures) == (other.tally, other.news, other.failures)
    assert first.tally.calls > 50


def test_a_walk_goes_where_it_has_not_been(core: Model) -> None:
    walker, _ = worker(core, Steady(core, ONE_SLOT))
    done = walker.do(Walk("1", 400, False))
    assert done.tally.sequences == 1
    assert len({function for function, _ in done.tally.pairs}) > 15
    assert done.tally.pairs["C_OpenSession", "CKR_OK"] > 3


def test_a_walk_goes_on_after_a_failure_and_does_not_repeat_it(core: Model) -> None:
    walker, _ = worker(core, Confused(core, ONE_SLOT))
    done = walker.do(Walk("1", 400, False))
    assert 1 < done.tally.sequences < 40
    assert done.tally.calls > 300


# Campaigns.


class Recorded:
    """A crew that notes what it is given."""

    def __init__(self, driver: Driver) -> None:
        self.alone = Alone(driver)
        self.items: list[Item] = []
        self.told: list[int] = []
        self.spared: frozenset[int] = frozenset()

    def do(self, items: Iterable[Item], left: Callable[[], float]) -> Iterator[Done]:
        return self.alone.do(map(self._note, items), left)

    def _note(self, item: Item) -> Item:
        self.items.append(item)
        return item

    def replay(self, calls: Sequence[Call], *, fresh: bool = False) -> Replay:
        return self.alone.replay(calls, fresh=fresh)

    def tell(self, classes: Sequence[Class], costs: Mapping[str, float]) -> None:
        self.told.append(len(classes))
        self.alone.tell(classes, costs)

    def spare(self, numbers: frozenset[int], begun_with: Mapping[int, frozenset[Mech]]) -> None:
        self.spared = numbers
        self.alone.spare(numbers, begun_with)


def crew(model: Model, module: Simulated, initial: State = ONE_SLOT) -> Recorded:
    return Recorded(Driver(model, initial, module, calls=numbered_calls(model, initial)))


def test_every_source_gets_its_turn_and_those_that_show_more_get_more(core: Model) -> None:
    workers = crew(core, Steady(core, ONE_SLOT))
    results = Campaign(core, ONE_SLOT, workers, budget=Budget(sequences=200, length=15, seconds=600)).run()
    given = Counter(type(item) for item in workers.items)
    assert {Visit, Sweep, Tour, Walk, Generated} <= given.keys()
    assert len(workers.told) > 2, "what was seen is told once a round"
    assert [p.classes for p in results.curve] == list(range(1, len(results.curve) + 1))
    assert [p.calls for p in results.curve] == sorted(p.calls for p in results.curve)


def test_a_check_ends_when_nothing_new_is_to_be_had(core: Model) -> None:
    tiny = restricted(core, ("C_Initialize", "C_Finalize", "C_GetInfo"))
    results = check(tiny, ONE_SLOT, Steady(tiny, ONE_SLOT), budget=Budget(seconds=600))
    assert results.seconds < 300
    assert results.curve[-1].calls < results.tally.calls / 2


def test_calls_bound_a_check(core: Model) -> None:
    results = check(core, ONE_SLOT, Steady(core, ONE_SLOT), budget=Budget(seconds=600, calls=500))
    assert 500 <= results.tally.calls < 1000


class Deadly(Steady):
    """Dies in one function, however it is called."""

    def call(self, call: Call) -> Observation:
        return Observation(ending=Ending.DIED) if call.function == "C_GetTokenInfo" else super().call(call)


def test_what_kills_the_module_is_spared_in_the_end(core: Model) -> None:
    workers = crew(core, Deadly(core, ONE_SLOT))
    results = Campaign(core, ONE_SLOT, workers, budget=SHORT).run()
    calls = numbered_calls(core, ONE_SLOT)
    assert [f.verdict.kind for f in results.findings] == [Kind.DIED]
    assert {calls[k].function for k in workers.spared} == {"C_GetTokenInfo"}
    assert len(workers.spared) == sum(call.function == "C_GetTokenInfo" for call in calls)


BAD_KEY_OR_MECHANISM = frozenset(
    {CKR.ARGUMENTS_BAD, CKR.KEY_HANDLE_INVALID, CKR.OBJECT_HANDLE_INVALID, CKR.MECHANISM_INVALID}
)


class Muddled(Steady):
    """Answers a key of a bad size where there is no key, whatever else is wrong."""

    def call(self, call: Call) -> Observation:
        before = self._state
        seen = super().call(call)
        wrong = seen.code in BAD_KEY_OR_MECHANISM and call.function == "C_SignInit" and not call.args.null
        wrong = wrong and not session_invalid(before, call.args)
        invalid = not any(x.known for x in before.objects)
        return Observation(CKR.KEY_SIZE_RANGE) if wrong and invalid else seen


def test_of_several_facts_the_one_that_matters_is_found() -> None:
    model = restricted(build(), ("C_Initialize", "C_Finalize", "C_OpenSession", "C_SignInit", "C_Login"))
    initial = replace(ONE_SLOT, objects=(Object(),))
    results = check(model, initial, Muddled(model, initial), budget=SHORT)
    assert [f.verdict.facts for f in results.findings] == [{"key-invalid"}]
    assert beside_setup(results.findings[0].steps) == 1
    assert results.findings[0].steps[-1][0].args.mechanism not in (Mech.UNKNOWN, Mech.SHA256)


class Unsaving(Steady):
    """Never has an operation whose state could be saved, whatever is going on."""

    def call(self, call: Call) -> Observation:
        seen = super().call(call)
        saved = call.function == "C_GetOperationState" and seen.code == CKR.OK
        return Observation(CKR.OPERATION_NOT_INITIALIZED) if saved else seen


def test_no_call_is_blamed_of_which_another_one_shows_that_it_did_its_work() -> None:
    model = restricted(build(), CORE | {"C_Digest", "C_DigestUpdate", "C_DigestFinal"})
    results = check(model, ONE_SLOT, Unsaving(model, ONE_SLOT), budget=SHORT)
    assert [(f.functions, f.verdict.lapse) for f in results.findings] == [(("C_GetOperationState",), None)]


# What is toured and looked at.


def test_tours_make_the_calls_of_the_scopes_on_the_modules_own_state(model: Model) -> None:
    initial = State(objects=(Object(),) * 3)
    known = set(numbered_calls(model, initial))
    made = [call for stops in tours(model, initial, None, 60.0) for stop in stops for call in stop.calls]
    assert set(made) <= known
    assert {call.function for call in made} == {name for scope in SCOPES.values() for name in scope.functions}
    assert Call("C_GetSessionInfo", Args(session=3)) in made, "a handle of no session has the number it has there"


def test_dear_calls_are_left_out_of_tours_where_they_show_nothing(core: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p11conform.properties.search.tours.SCOPES", {"sessions": SCOPES["sessions"]})
    initial = State(objects=(Object(),))
    free, dear = (
        Counter(call.function for stops in tours(core, initial, costs, 60.0) for stop in stops for call in stop.calls)
        for costs in (None, {"C_Login": 0.05, "C_GetSessionInfo": 1e-6})
    )
    assert 0 < dear["C_Login"] < free["C_Login"] / 5
    assert dear["C_GetSessionInfo"] > free["C_GetSessionInfo"] / 2


def test_calls_that_must_fail_and_change_nothing_are_told(core: Model) -> None:
    search = Search(core, ONE_SLOT, anything, goals(core, ONE_SLOT))
    views = search.views()
    s, way, calls = next(views)
    idle = [call for _, call in search.idle(s, way, calls)]
    assert way == ()
    assert Call("C_OpenSession") in idle
    assert INIT not in idle
    assert Call("C_GetFunctionList") not in idle


def test_aspects_tell_apart_what_matters_only() -> None:
    model = build()
    driver = Driver(model, ONE_SLOT, Steady(model, ONE_SLOT))
    seen = []
    for calls in ((INIT,), (INIT, OPEN), (INIT, OPEN, OPEN), (INIT, OPEN, LOGIN), (INIT, OPEN, Call("C_DigestInit"))):
        (s,) = driver.replay(calls).beliefs
        seen.append(aspect(s))
    assert len(set(seen)) == 4
    assert seen[1] == seen[2]


class Unfit(Steady):
    """Says of a mechanism that it is invalid: always, or but where the session is, in which case it should say that."""

    always = True

    def call(self, call: Call) -> Observation:
        if call.function == "C_DigestInit" and call.args.mechanism is Mech.SHA256:
            seen = super().call(call)
            return seen if seen.code == CKR.OK and not self.always else Observation(CKR.MECHANISM_INVALID)
        return super().call(call)


class Picky(Unfit):
    always = False


@pytest.mark.parametrize(("module", "faults"), [(Unfit, 0), (Picky, 1)])
def test_what_a_mechanism_that_never_works_is_refused_with_is_no_finding(
    core: Model, module: type[Unfit], faults: int
) -> None:
    told: list[Finding] = []
    driver = Driver(core, ONE_SLOT, module(core, ONE_SLOT), calls=numbered_calls(core, ONE_SLOT))
    campaign = Campaign(core, ONE_SLOT, Alone(driver), budget=Budget(sequences=0, seconds=600), found=told.append)
    ended = campaign.run()
    parts = {f.id for f, _ in joined(told, ended.findings)}
    assert [f.id for f in told if f.id not in parts] == [f.id for f in ended.findings]
    assert {f.verdict.call.args.mechanism for f in ended.findings} == {Mech.SHA256} if faults else not ended.findings
    assert (ended.tally.operational("C_DigestInit", "SHA256"), bool(ended.findings)) == (bool(faults), bool(faults))


def test_a_finding_that_becomes_part_of_another_is_told(core: Model) -> None:
    told: list[Finding] = []
    driver = Driver(core, ONE_SLOT, Stub(core, ONE_SLOT), calls=numbered_calls(core, ONE_SLOT))
    campaign = Campaign(core, ONE_SLOT, Alone(driver), budget=Budget(sequences=0, seconds=600), found=told.append)
    ended = campaign.run()
    (whole,) = (f for f in ended.findings if f.verdict.kind is Kind.ALWAYS)
    parts = [f for f, of in joined(told, ended.findings) if of == whole]
    assert len(parts) >= 2
    assert {f.id for f in told} == {f.id for f in parts} | {f.id for f in ended.findings if f != whole}


class Stub(Steady):
    """Has one answer to C_GetSessionInfo."""

    def call(self, call: Call) -> Observation:
        return Observation(CKR.DATA_INVALID) if call.function == "C_GetSessionInfo" else super().call(call)
