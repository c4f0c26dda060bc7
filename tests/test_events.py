"""What happens beside calls: events in the model, in the tester, and in what is told of them."""

from collections.abc import Mapping
from functools import cache

import pytest
from click.testing import CliRunner
from conftest import CORE, Steady, codes, restricted

from p11conform.adapters.simulated import Varied
from p11conform.commands import reach
from p11conform.model.call import Args, Call, Observation
from p11conform.model.environment import EVENTS, expose
from p11conform.model.oracle import Model, applicable, build, in_scope, permitted, successors
from p11conform.model.state import Object, Pin, Slot, State
from p11conform.model.vocabulary import CKR, Version
from p11conform.properties.engine.packed import leaves
from p11conform.properties.engine.verdict import Kind, Outcome, judge
from p11conform.properties.reports.findings import Finding
from p11conform.properties.reports.render.text import trace_lines
from p11conform.properties.reports.results import read_trace, report_json, trace_json
from p11conform.properties.run import campaign
from p11conform.properties.run.campaign import Budget, Results
from p11conform.properties.run.driver import Driver
from p11conform.properties.run.shrink import shrink
from p11conform.properties.search.orders import Pair, orders
from p11conform.subject import SIMULATED_STATE

START = expose(SIMULATED_STATE)
SMALL = expose(State())
"""One slot, so that a whole check takes little time."""

OF_THE_SEEDS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "session": (("SESSION_HANDLE_INVALID", "DEVICE_REMOVED"), ("DEVICE_REMOVED", "SESSION_CLOSED")),
    "token": (
        ("DEVICE_MEMORY", "DEVICE_ERROR"),
        ("DEVICE_ERROR", "TOKEN_NOT_PRESENT"),
        ("TOKEN_NOT_PRESENT", "DEVICE_REMOVED"),
    ),
    "data": (("DATA_LEN_RANGE", "DATA_INVALID"),),
    "ciphertext": (("ENCRYPTED_DATA_LEN_RANGE", "ENCRYPTED_DATA_INVALID"),),
    "key": (("KEY_TYPE_INCONSISTENT", "KEY_FUNCTION_NOT_PERMITTED"),),
    "generator": (("RANDOM_NO_RNG", "RANDOM_SEED_NOT_SUPPORTED"),),
    "protection": (("TOKEN_WRITE_PROTECTED", "SESSION_READ_ONLY"),),
    "signature": (("SIGNATURE_LEN_RANGE", "SIGNATURE_INVALID"),),
    "saving": (("OPERATION_NOT_INITIALIZED", "STATE_UNSAVEABLE"),),
    "wrapped": (("WRAPPED_KEY_LEN_RANGE", "WRAPPED_KEY_INVALID"),),
}
"""The ten relations: two chains, link by link, and eight pairs."""

PAIRS: tuple[Pair, ...] = tuple((CKR[high], CKR[low]) for links in OF_THE_SEEDS.values() for high, low in links)


@cache
def with_events(*readings: tuple[str, str]) -> Model:
    return build(readings=dict(readings), events=True)


def end(model: Model, *names: str | Call) -> State:
    """Where events, and calls that succeed, lead to from the start; of several states the one that keeps handles."""
    s = START
    for name in names:
        call = Call(name) if isinstance(name, str) else name
        assert in_scope(model, s, call), call
        assert CKR.OK in permitted(model, s, call), call
        s = max(successors(model, s, call, CKR.OK), key=lambda x: sum(o.known for o in x.objects))
    return s


BEGUN = ("C_Initialize", "C_OpenSession")
INFO, TOKEN_INFO = Call("C_GetSessionInfo"), Call("C_GetTokenInfo")

STORIES: tuple[tuple[tuple[str | Call, ...], Call, str], ...] = (
    ((*BEGUN, "C_Login", "application-forks", *BEGUN), Call("C_Logout"), "USER_NOT_LOGGED_IN"),
    ((*BEGUN, "application-forks", "C_Initialize"), INFO, "SESSION_HANDLE_INVALID"),
    ((*BEGUN, "application-forks", "C_Initialize"), Call("C_Initialize"), "CRYPTOKI_ALREADY_INITIALIZED"),
    ((*BEGUN, "token-removed"), INFO, "SESSION_HANDLE_INVALID DEVICE_REMOVED"),
    ((*BEGUN, "token-removed"), TOKEN_INFO, "TOKEN_NOT_PRESENT DEVICE_REMOVED SLOT_ID_INVALID"),
    ((*BEGUN, "token-removed"), Call("C_OpenSession"), "TOKEN_NOT_PRESENT DEVICE_REMOVED SLOT_ID_INVALID"),
    ((*BEGUN, "token-removed", "token-inserted"), INFO, "SESSION_HANDLE_INVALID"),
    ((*BEGUN, "token-removed", "token-inserted", "C_OpenSession"), Call("C_Login"), "OK"),
    ((*BEGUN, "token-removed", "blank-token-inserted"), TOKEN_INFO, "OK SLOT_ID_INVALID"),
    (
        ("C_Initialize", "token-removed", "unknown-token-inserted"),
        TOKEN_INFO,
        "TOKEN_NOT_RECOGNIZED SLOT_ID_INVALID",
    ),
    ((*BEGUN, "token-removed-in-next-call"), INFO, "DEVICE_REMOVED SESSION_HANDLE_INVALID"),
    ((*BEGUN, "token-removed-in-next-call"), TOKEN_INFO, "DEVICE_REMOVED TOKEN_NOT_PRESENT"),
    ((*BEGUN, "device-fails-in-next-call"), INFO, "DEVICE_ERROR"),
    ((*BEGUN, "device-out-of-memory-in-next-call"), INFO, "DEVICE_MEMORY"),
    ((*BEGUN, "device-fails-in-next-call"), Call("C_GetSlotInfo"), "OK"),
    ((*BEGUN, "device-fails-in-next-call"), Call("C_GetInfo"), "OK"),
    ((*BEGUN, "session-closed-in-next-call"), INFO, "OK SESSION_CLOSED"),
    ((*BEGUN, "device-stops"), INFO, "OK SESSION_HANDLE_INVALID DEVICE_ERROR DEVICE_MEMORY DEVICE_REMOVED"),
    ((*BEGUN, "device-stops"), TOKEN_INFO, "OK TOKEN_NOT_PRESENT DEVICE_ERROR DEVICE_MEMORY DEVICE_REMOVED"),
    ((*BEGUN, "user-pin-locked"), Call("C_Login"), "PIN_LOCKED"),
    ((*BEGUN, "user-pin-changed-by-another-application"), Call("C_Login"), "PIN_INCORRECT PIN_LOCKED"),
    ((*BEGUN, "user-pin-changed-by-another-application"), Call("C_Login", Args(pin=Pin.OTHER)), "OK"),
)
"""What is permitted once something happened beside the calls: where one slot can suffer it, and nothing else is odd."""


@pytest.mark.parametrize(("way", "call", "allowed"), STORIES)
def test_what_an_event_leaves_to_see(way: tuple[str | Call, ...], call: Call, allowed: str) -> None:
    model = with_events()
    assert permitted(model, end(model, *way), call) == codes(allowed)


def test_trouble_is_over_once_it_was_told() -> None:
    model = with_events()
    s = end(model, *BEGUN, "device-fails-in-next-call")
    (after,) = successors(model, s, INFO, CKR.DEVICE_ERROR)
    assert permitted(model, after, INFO) == {CKR.OK}


@pytest.mark.parametrize("code", [CKR.DEVICE_REMOVED, CKR.SESSION_HANDLE_INVALID])
def test_a_token_that_leaves_in_a_call_takes_its_sessions_along(code: CKR) -> None:
    model = with_events()
    s = end(model, *BEGUN, "C_Login", "token-removed-in-next-call")
    for after in successors(model, s, INFO, code):
        assert not after.slots[0].present
        assert not any(x.open for x in after.sessions)


def test_a_session_that_is_closed_meanwhile_is_closed_whatever_the_call_returns() -> None:
    model = with_events()
    s = end(model, *BEGUN, "session-closed-in-next-call")
    for code in permitted(model, s, INFO):
        assert all(not x.open for after in successors(model, s, INFO, code) for x in after.sessions)


def test_another_token_knows_nothing_of_the_objects_of_the_first() -> None:
    model = with_events()
    made = Call("C_CreateObject", Args(token=True))
    s = end(model, *BEGUN, "C_Login", made, "token-removed", "blank-token-inserted")
    assert not any(x.exists for x in s.objects)
    assert not s.slots[0].initialized


def test_an_object_that_another_application_destroyed_is_gone() -> None:
    model = with_events()
    made = Call("C_CreateObject", Args(token=True))
    s = end(model, *BEGUN, "C_Login", made, "object-destroyed-by-another-application")
    assert CKR.OBJECT_HANDLE_INVALID in permitted(model, s, Call("C_DestroyObject"))
    assert CKR.OK not in permitted(model, s, Call("C_DestroyObject"))


def test_every_event_changes_something() -> None:
    model = with_events()
    ready = (*BEGUN, "C_Login", Call("C_CreateObject", Args(token=True)))
    before = {
        "token-inserted": ("token-removed",),
        "blank-token-inserted": ("token-removed",),
        "unknown-token-inserted": ("token-removed",),
        "token-writable-again": ("token-write-protected",),
        "device-starts-again": ("device-stops",),
    }
    for name in EVENTS:
        s = end(model, *ready, *before.get(name, ()))
        call = Call(name)
        assert in_scope(model, s, call), name
        assert permitted(model, s, call) == {CKR.OK}
        assert {*successors(model, s, call, CKR.OK)} != {s}, name


def test_a_function_that_need_not_ask_the_token_may_be_let_off() -> None:
    lenient = with_events(("A-91", "if it asks the token"))
    s = end(lenient, *BEGUN, "device-fails-in-next-call")
    assert permitted(lenient, s, INFO) == {CKR.OK, CKR.DEVICE_ERROR}


def test_what_a_child_does_without_the_library_of_its_own_is_undefined() -> None:
    """Up to v2.20 its C_Initialize has to succeed; since v3.0 an interface may say that the child goes on."""
    s = end(with_events(), *BEGUN, "application-forks")
    others = {name for name, f in with_events().functions.items() if not f.out_of_scope(s, Args())}
    assert others == {"C_Initialize", "C_GetFunctionList"}
    assert CKR.CRYPTOKI_ALREADY_INITIALIZED in permitted(with_events(), s, Call("C_Initialize"))
    strict = with_events(("A-95", "it must"))
    assert CKR.CRYPTOKI_ALREADY_INITIALIZED not in permitted(strict, s, Call("C_Initialize"))
    old, new = (build(v, events=True) for v in (Version.V2_20, Version.V3_0))
    assert CKR.CRYPTOKI_ALREADY_INITIALIZED not in permitted(old, s, Call("C_Initialize"))
    assert CKR.CRYPTOKI_ALREADY_INITIALIZED in permitted(new, s, Call("C_Initialize"))


# Where nothing can happen, nothing is there.


def test_without_events_model_and_state_are_what_they_were() -> None:
    plain = build()
    assert not plain.events
    assert not EVENTS.keys() & plain.functions.keys()
    given = {r.code for f in plain.functions.values() for r in f.rules}
    assert not given & codes("DEVICE_REMOVED DEVICE_ERROR DEVICE_MEMORY SESSION_CLOSED")
    assert len([*leaves(SIMULATED_STATE)]) < len([*leaves(START)])
    assert expose(SIMULATED_STATE).slots[1:] == SIMULATED_STATE.slots[1:]


# The order of two codes.


def binding(pair: Pair) -> tuple[tuple[str, str], ...]:
    """Readings under which a module that does not keep the order of a pair is wrong."""
    if pair[0] is CKR.TOKEN_WRITE_PROTECTED:
        return (("A-30", "all writing"),)
    return ("A-00", "required"), ("A-02", "class order"), ("A-90", "ordered")


class Disordered(Steady):
    """Keeps the order of some codes the wrong way round."""

    def __init__(self, model: Model, wrong: tuple[Pair, ...], start: State = START) -> None:
        super().__init__(model, start)
        self._wrong = wrong

    def _choose(self, call: Call) -> CKR:
        given = {r.code for r in applicable(self._model, self._state, call)}
        return next((low for high, low in self._wrong if {high, low} <= given), None) or super()._choose(call)


def told_by(finding: Finding) -> set[Pair]:
    """The orders that a finding says were not kept."""
    v = finding.verdict
    return {(r.code, CKR(v.observation.code)) for r in v.rules} if v.kind is Kind.PRECEDENCE else set()


def told(results: Results) -> set[Pair]:
    """The orders that findings say were not kept."""
    return {pair for f in results.findings for pair in told_by(f)}


@cache
def in_order() -> Mapping[Pair, tuple[Model, tuple[Call, ...]]]:
    """A sequence for each pair, with the model under the readings that bind."""
    found: dict[Pair, tuple[Model, tuple[Call, ...]]] = {}
    for readings in dict.fromkeys(map(binding, PAIRS)):
        model = with_events(*readings)
        pairs = [pair for pair in PAIRS if binding(pair) == readings]
        found |= {pair: (model, w.calls) for pair, w in orders(model, START, pairs).items()}
    return found


def ids(pair: Pair) -> str:
    return f"{pair[0].name}-{pair[1].name}"


@pytest.mark.parametrize("pair", PAIRS, ids=ids)
def test_each_relation_of_the_seeds_has_a_witness_that_finds_who_does_not_keep_it(pair: Pair) -> None:
    model, calls = in_order()[pair]
    steady = Driver(model, START, Steady(model, START)).replay(calls)
    assert [x.outcome for x in steady.verdicts] == [Outcome.PASS] * len(calls)
    both = {r.code for r in applicable(model, end(model, *calls[:-1]), calls[-1])}
    assert {*pair} <= both
    failure = Driver(model, START, Disordered(model, (pair,))).replay(calls).failure
    assert failure is not None
    assert failure.kind is Kind.PRECEDENCE
    assert failure.observation.code == pair[1]
    assert pair[0] in {r.code for r in failure.rules}


SOON = 5_000

ODD_TOKENS = {CKR.RANDOM_NO_RNG: Slot(rng=False), CKR.TOKEN_WRITE_PROTECTED: Slot(write_protected=True)}
"""The token on which two codes meet, where a plain one does not do."""


@pytest.mark.parametrize("pair", PAIRS, ids=ids)
def test_a_check_soon_finds_a_module_that_gets_one_order_wrong(pair: Pair) -> None:
    """A check of the functions on the way there, with those of the library beside what befalls it."""
    whole, calls = in_order()[pair]
    names = {"C_Finalize", *(call.function for call in calls)}
    model = restricted(whole, names | EVENTS.keys() | (CORE if EVENTS.keys() & names else set()))
    scope = expose(State(slots=(ODD_TOKENS.get(pair[0], Slot()),), objects=(Object(),) * 4))
    found: list[Finding] = []

    def shows(finding: Finding) -> None:
        if pair in told_by(finding):
            found.append(finding)

    driver = Driver(model, scope, Disordered(model, (pair,), scope), calls=campaign.numbered_calls(model, scope))
    results = campaign.Campaign(
        model,
        scope,
        campaign.Alone(driver),
        budget=Budget(calls=SOON, seconds=600),
        found=shows,
        asked=lambda: "it is found" if found else None,
    ).run()
    assert found
    assert results.tally.calls <= SOON


def test_a_check_looks_at_orders_first_and_finds_nothing_else() -> None:
    wrong = ((CKR.DEVICE_MEMORY, CKR.DEVICE_ERROR), (CKR.DEVICE_REMOVED, CKR.SESSION_CLOSED))
    model = restricted(with_events(*binding(wrong[0])), CORE | EVENTS.keys())
    module = Disordered(model, wrong, SMALL)
    results = campaign.check(model, SMALL, module, budget=Budget(calls=600, seconds=600))
    assert told(results) == {*wrong}
    assert len(results.findings) == len(wrong)


def test_where_orders_only_advise_it_is_advice() -> None:
    pair = CKR.DEVICE_MEMORY, CKR.DEVICE_ERROR
    model = with_events()
    s = end(model, *BEGUN, "device-fails-in-next-call", "device-out-of-memory-in-next-call")
    assert {*pair} <= permitted(model, s, INFO)
    verdict, _ = judge(model, frozenset({s}), INFO, Observation(CKR.DEVICE_ERROR))
    assert verdict.outcome is Outcome.PASS
    assert [x.rule.code for x in verdict.advice] == [CKR.DEVICE_MEMORY]


# In a whole check, and in what is told of it.


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    model = restricted(with_events(), CORE | EVENTS.keys())
    results = campaign.check(model, SMALL, Varied(model, SMALL, 3), budget=Budget(calls=2500, seconds=600))
    assert results.findings == ()
    assert EVENTS.keys() & {name for name, _ in results.tally.pairs}
    report = report_json(results, {"name": "simulated"})
    assert not EVENTS.keys() & {*report["coverage"]["functions"], *report["reach"]["never"]}
    assert report["coverage"]["events"]


def test_success_although_the_device_fails_is_found_and_told_with_the_event() -> None:
    model = with_events()

    class Unmoved(Steady):
        def _choose(self, call: Call) -> CKR:
            unmoved = self._state.sessions[0].open and call.function == "C_GenerateRandom"
            return CKR.OK if unmoved else super()._choose(call)

    calls = (*map(Call, (*BEGUN, "device-fails-in-next-call", "C_GenerateRandom")),)
    driver = Driver(model, START, Unmoved(model, START))
    uses = {name: f.uses for name, f in model.functions.items()}
    long = (*calls[:2], Call("C_GetInfo"), *calls[2:])
    small = shrink(long, uses, lambda c: driver.replay(c).failure is not None)
    assert small == calls
    failed = driver.replay(small)
    assert failed.failure is not None
    assert failed.failure.kind is Kind.MISSING_ERROR
    trace = {"id": "F", "trace": trace_json(failed.steps)}
    assert [call for call, _ in read_trace(trace)] == list(calls)
    assert "3. device-fails-in-next-call(slot=0) → an event" in "\n".join(trace_lines(trace))


@pytest.mark.parametrize(
    ("code", "event"),
    [("CKR_DEVICE_MEMORY", "device-out-of-memory-in-next-call"), ("CKR_DEVICE_ERROR", "device-fails-in-next-call")],
)
def test_reach_tells_the_event_that_leads_to_a_code(code: str, event: str) -> None:
    result = CliRunner().invoke(reach.command, [code, "--function", "C_GetTokenInfo"])
    assert result.exit_code == 0, result.output
    assert f"2. {event}(slot=0) (an event)" in result.output
    assert f"→ {code}" in result.output
