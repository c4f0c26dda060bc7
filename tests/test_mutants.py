"""Mutants: with any one row of the table dropped, and with wrong answers seen in the field, the tester finds it.

And the converse: with nothing dropped, it finds nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import pytest
from conftest import CORE, ONE_SLOT, Steady, codes, restricted
from dropped import Fate, dropped, ways_to
from dropped import rows as rows_of

from p11conform.adapters.simulated import Simulated, Varied
from p11conform.model.call import Call, Observation
from p11conform.model.chapters.conditions import session_valid
from p11conform.model.decide import forbids_ok
from p11conform.model.oracle import Model, build, legal_anyway, permitted
from p11conform.model.rule import Rule
from p11conform.model.state import Login, Mech, Object, Phase, Pin, Slot, State
from p11conform.model.vocabulary import CKR, CKS, CKU, Version
from p11conform.properties.engine.verdict import Kind, Severity
from p11conform.properties.reports.findings import beside_setup
from p11conform.properties.reports.results import rules_json
from p11conform.properties.run import campaign
from p11conform.properties.run.campaign import Budget
from p11conform.properties.run.driver import Driver, Replay
from p11conform.properties.search.goals import Part, Witness, closing, witnesses
from p11conform.properties.search.setups import DUAL, likeliest
from p11conform.subject import SIMULATED_STATE

V2_01, V2_40, V3_2 = Version.V2_01, Version.V2_40, Version.V3_2

SHORT_RUN = Budget(sequences=60, length=20, seconds=600)
DERIVED = Budget(sequences=0, seconds=600)

SEEDS = 60
"""Modules tried before a mutant counts as survived: one that may answer two ways must get round to the other."""

LONGEST = 6
"""Calls of a finding's trace beside its set-up."""

UNSHRUNK = 8
"""The same of a derived sequence that nobody made shorter, with the look at its end."""


SCOPES = {V2_40: SIMULATED_STATE, V2_01: ONE_SLOT, V3_2: SIMULATED_STATE}
"""Where each version's mutants live; the rows that only v2.01 has need no more."""


@pytest.fixture(scope="session")
def model(core: Model) -> Model:
    """The functions of the library, its tokens and sessions; the whole interface has tests of its own below."""
    return core


def brought() -> Iterator[tuple[str, int, Rule]]:
    """A row of v3.0 to v3.2 for each situation and code that they brought: kinds of messages share one description.

    The newest version has them all, so that the search is made in it alone.
    """
    told = {(r.id, r.code) for f in build(V2_40).functions.values() for r in f.rules}
    for name, f in build(V3_2).functions.items():
        for k, r in enumerate(f.rules):
            if (r.id, r.code) not in told or ((r.id, r.code) in SHARED_IDS and name == SHARED_IDS[r.id, r.code]):
                told.add((r.id, r.code))
                yield name, k, r


SHARED_IDS = {
    ("nothing-to-cancel", CKR.OPERATION_NOT_INITIALIZED): "C_DigestInit",
    ("operation-not-active", CKR.OPERATION_NOT_INITIALIZED): "C_EncryptMessage",
    ("signature-tampered-with", CKR.SIGNATURE_INVALID): "C_VerifyMessage",
    ("signature-cut", CKR.SIGNATURE_LEN_RANGE): "C_VerifyMessage",
}
"""Situations of v2.40 that have a row in functions of later versions too, of which one is tried."""


@lru_cache
def derived(version: Version) -> tuple[Model, tuple[Witness, ...]]:
    model = restricted(build(version))
    return model, witnesses(model, SCOPES[version])


def caught(oracle: Model, module: Model, ways: list[Witness], seeds: int) -> Replay | None:
    """The first failure of the derived sequences, each with a look at the state after it."""
    scope = SCOPES[oracle.version]
    for seed in range(seeds):
        driver = Driver(oracle, scope, Simulated(module, scope, seed))
        for way in ways:
            replay = driver.replay((*way.calls, *closing(way, oracle, scope)))
            if replay.failure is not None:
                return replay
    return None


def rows(version: Version, function: str) -> Iterator[tuple[int, Rule]]:
    """The rows of a function; of v2.01 only those that later versions lack."""
    model = build(version)
    later = {(r.code, r.when, r.strength) for r in build(V2_40).functions[function].rules}
    for k, r in enumerate(model.functions[function].rules):
        if version is V2_40 or (r.code, r.when, r.strength) not in later:
            yield k, r


NEEDS_OTHERS = {
    ("C_SetOperationState", CKR.KEY_NEEDED): "a keyed operation",
    ("C_SetOperationState", CKR.KEY_CHANGED): "a keyed operation",
    ("C_SetOperationState", CKR.KEY_NOT_NEEDED): "a keyed operation",
    ("C_SetOperationState", CKR.KEY_HANDLE_INVALID): "the same",
    ("C_SetOperationState", CKR.SAVED_STATE_INVALID): "the same",
    ("C_DigestInit", CKR.OPERATION_ACTIVE): "an operation of another kind",
    ("C_Login", CKR.OPERATION_NOT_INITIALIZED): "an operation that may want the user",
    ("C_DigestInit", CKR.PIN_EXPIRED): "a token whose PIN is to be changed, which the embedded module has none of",
}
"""Rows, some of which only the functions of other chapters lead to."""


def single(model: Model, function: str, rule: Rule) -> bool:
    """Whether no other row of a function has the same condition, so that without it nothing is left of the rule."""
    return [r.when for r in model.functions[function].rules].count(rule.when) <= 1


def permitted_at_the_end(oracle: Model, version: Version, w: Witness) -> frozenset[CKR]:
    """What is permitted of the last call of a sequence."""
    s = SCOPES[version]
    for call in w.calls[:-1]:
        s = likeliest(oracle, s, call)
    return permitted(oracle, s, w.calls[-1])


def said_twice(model: Model, mutant: Model, version: Version, ways: list[Witness]) -> bool:
    """Whether, wherever a row applies, others give its code, and others forbid success, so that it only says why."""
    return all(permitted_at_the_end(model, version, w) == permitted_at_the_end(mutant, version, w) for w in ways)


SAMPLED = 40
"""Of the rows of the newest version every so-manieth is tried here; `./run long rows` tries them all."""


def test_every_row_of_the_newest_version_is_missed() -> None:
    """Those that came after v2.40, and of all a sample that is always the same."""
    model = build(V3_2)
    came = [(name, k) for name, k, _ in brought()]
    assert len(came) > 40
    some = [*dict.fromkeys((*came, *rows_of(model)[::SAMPLED]))]
    ways = ways_to(model, SIMULATED_STATE, some)
    fates = {row: dropped(model, SIMULATED_STATE, row, ways[row]) for row in some}
    assert {x.fate for x in fates.values()} <= {*Fate} - {Fate.UNREACHED, Fate.MISSED}
    twice = {fates[row].rule.id for row in came if fates[row].fate is Fate.SAID_BY_OTHERS}
    assert twice == SAID_BY_OTHERS
    for x in fates.values():
        if x.verdict is not None and forbids_ok(x.rule) and x.verdict.observation.code == CKR.OK:
            assert x.rule in x.verdict.rules, "the row that is missed is blamed"


SAID_BY_OTHERS = {
    "message-cut",
    "whole-in-parts",
    "sealed-broken",
    "sealed-perhaps-wrong",
    "capsule-of-impossible-length",
    "capsule-does-not-fit",
}
"""Situations of which some rows stand beside others with their code, and only say why it is permitted."""


@pytest.mark.parametrize("function", sorted(CORE))
@pytest.mark.parametrize("version", [V2_40, V2_01])
def test_every_row_is_missed(version: Version, function: str) -> None:
    model, ways = derived(version)
    for k, rule in rows(version, function):
        there = [w for w in ways if (w.goal.function, w.goal.row) == (function, k)]
        mine = [w for w in there if w.goal.part is not Part.APPLIES]
        mutant = model.without(function, model.functions[function].rules[k])
        if not mine and (
            (function, rule.code) in NEEDS_OTHERS or (there and said_twice(model, mutant, version, there))
        ):
            continue
        assert mine, f"no sequence leads to {rule.code!s} when {rule.condition}"
        alone = forbids_ok(rule) and single(model, function, rule) and any(w.goal.part is Part.ALONE for w in mine)
        by_module = caught(model, mutant, mine, SEEDS if forbids_ok(rule) else 1)
        assert by_module is not None or not alone, f"{rule.code!s} when {rule.condition}: the module got away with it"
        found = by_module or caught(mutant, model, mine, SEEDS)
        if found is None and said_twice(model, mutant, version, mine):
            continue
        if legal_anyway(model, function, rule.code, succeeds=True) and not forbids_ok(rule):
            # No answer can tell the row from its absence, but for what the run says of it.
            assert found is None
            continue
        assert found is not None, f"{rule.code!s} when {rule.condition}: nothing tells that the row is gone"
        assert beside_setup(found.steps) <= UNSHRUNK, rule.condition
        assert found.failure is not None
        if by_module is not None:
            assert rule in found.failure.rules or found.failure.mismatch is not None
        else:
            assert found.failure.observation.code == rule.code


UNSEEN = {
    "restore_state": "it shows in C_DigestUpdate and its like, which this part of the interface lacks",
    "count_so_failure_by_slot": "a wrong PIN only permits CKR_PIN_LOCKED",
    "count_failure_by_session": "the same",
    "count_login_failure": "the same",
}
"""Effects without which a module still conforms, beside those that the text leaves to it."""

EFFECTS = [(f.name, e.change.__name__) for f in restricted(build()).functions.values() for e in f.effects]


@pytest.mark.parametrize(
    ("function", "effect"),
    EFFECTS,
)
def test_every_effect_is_missed(function: str, effect: str, model: Model) -> None:
    f = model.functions[function]
    rest = tuple(e for e in f.effects if e.change.__name__ != effect)
    mutant = replace(model, functions={**model.functions, function: replace(f, effects=rest)})
    findings = campaign.check(model, ONE_SLOT, Steady(mutant, ONE_SLOT), budget=DERIVED).findings
    left_to_module = not any(e.certain for e in f.effects if e.change.__name__ == effect)
    assert (not findings) is (left_to_module or effect in UNSEEN)
    assert all(beside_setup(x.steps) <= LONGEST for x in findings)


def test_nothing_is_found_where_nothing_is_wrong(model: Model) -> None:
    module = Simulated(model, SIMULATED_STATE, seed=1)
    budget = Budget(sequences=660, seconds=600)
    results = campaign.check(model, SIMULATED_STATE, module, seed=1, budget=budget)
    assert results.tally.calls >= 20_000
    assert [f.id for f in results.findings] == []
    assert not results.tally.inconclusive, "nor does anything fail once and not again"


def test_nothing_fails_even_once_where_nothing_is_wrong(model: Model) -> None:
    results = campaign.check(model, ONE_SLOT, Simulated(model, ONE_SLOT), seed=1, budget=SHORT_RUN)
    assert [line for line in results.tally.inconclusive if "seen once" in line[2]] == []


@pytest.mark.parametrize("version", [V2_01, Version.V2_20])
def test_nothing_is_found_in_older_versions(version: Version) -> None:
    model = restricted(build(version))
    tester = campaign.check(model, ONE_SLOT, Simulated(model, ONE_SLOT, 3), seed=3, budget=SHORT_RUN)
    assert tester.findings == ()


# Wrong answers seen in the field: by row of the project's catalogue of them.

Lie = Callable[[State, Call, Observation], Observation]


@dataclass(frozen=True)
class Case:
    """A wrong answer, and the one finding that it makes."""

    row: str
    lie: Lie
    kind: Kind
    severity: Severity = Severity.MEDIUM
    readings: tuple[tuple[str, str], ...] = ()
    user_pin: Pin = Pin.USER


def says(function: str, wrong: CKR, instead_of: str, when: Callable[[State, Call], bool] | None = None) -> Lie:
    """A module that says `wrong` instead of certain codes."""
    right = codes(instead_of)

    def lie(s: State, call: Call, seen: Observation) -> Observation:
        if call.function == function and seen.code in right and (when is None or when(s, call)):
            return Observation(wrong)
        return seen

    return lie


def a_pin_given(s: State, call: Call) -> bool:  # noqa: ARG001
    return call.args.pin != Pin.NULL


def no_pin_given(s: State, call: Call) -> bool:
    return call.args.pin == Pin.NULL and session_valid(s, call.args)


def pin_of_bad_length(s: State, call: Call) -> bool:  # noqa: ARG001
    return call.args.pin in (Pin.SHORT, Pin.LONG)


def parallel(s: State, call: Call) -> bool:  # noqa: ARG001
    return not call.args.serial


def mechanism_unknown(s: State, call: Call) -> bool:
    return call.args.mechanism == Mech.UNKNOWN and not call.args.null and session_valid(s, call.args)


def operation_active(s: State, call: Call) -> bool:
    active = s.sessions[call.args.session].operations.digest.phase != Phase.NONE
    return active and call.args.mechanism in (Mech.SHA_1, Mech.SHA256) and not call.args.null


def user_is_in(s: State, call: Call) -> bool:
    return call.args.user == CKU.SO and s.slots[0].login == Login.USER


def unknown_state(s: State, call: Call, seen: Observation) -> Observation:  # noqa: ARG001
    """F18: after the user logged in, sessions still look public."""
    shown = dict(seen.outputs)
    if call.function == "C_GetSessionInfo" and shown.get("state") == CKS.RW_USER_FUNCTIONS:
        return replace(seen, outputs=tuple({**shown, "state": int(CKS.RW_PUBLIC_SESSION)}.items()))
    return seen


def no_user_pin_at_start(s: State, call: Call, seen: Observation) -> Observation:
    """F17: a token without a user PIN keeps the library from being initialised."""
    if call.function == "C_Initialize" and seen.code == CKR.OK and s.slots[0].user_pin == Pin.NULL:
        return Observation(CKR.USER_PIN_NOT_INITIALIZED)
    return seen


MEDIUM, LOW, HIGH = Severity.MEDIUM, Severity.LOW, Severity.HIGH
REFUSED = "PIN_INCORRECT PIN_LOCKED"

CASES = [
    Case("F05", says("C_Initialize", CKR.OK, "CRYPTOKI_ALREADY_INITIALIZED"), Kind.MISSING_ERROR),
    Case(
        "F07",
        says("C_Login", CKR.USER_ALREADY_LOGGED_IN, "USER_ANOTHER_ALREADY_LOGGED_IN", user_is_in),
        Kind.WRONG_CODE,
    ),
    Case("F08", says("C_Login", CKR.PIN_LEN_RANGE, REFUSED, pin_of_bad_length), Kind.OFF_LIST, LOW),
    Case("F09", says("C_Login", CKR.PIN_LEN_RANGE, REFUSED, a_pin_given), Kind.OFF_LIST, LOW),
    Case("F10", says("C_Login", CKR.ARGUMENTS_BAD, REFUSED, pin_of_bad_length), Kind.WRONG_CODE),
    Case("F10", says("C_Login", CKR.DATA_LEN_RANGE, REFUSED, pin_of_bad_length), Kind.OFF_LIST),
    Case("F11", says("C_Login", CKR.PIN_INCORRECT, "OK"), Kind.WRONG_CODE),
    Case(
        "F14",
        says("C_OpenSession", CKR.FUNCTION_NOT_PARALLEL, "OK", parallel),
        Kind.OFF_LIST,
    ),
    Case("F17", no_user_pin_at_start, Kind.OFF_LIST, user_pin=Pin.NULL),
    Case("F18", unknown_state, Kind.SESSION_STATE, HIGH),
    Case("F19", says("C_Login", CKR.PIN_INVALID, "ARGUMENTS_BAD PIN_INCORRECT", no_pin_given), Kind.OFF_LIST, LOW),
    Case(
        "F23",
        says(
            "C_DigestInit",
            CKR.KEY_FUNCTION_NOT_PERMITTED,
            "ARGUMENTS_BAD MECHANISM_INVALID USER_NOT_LOGGED_IN PIN_EXPIRED OPERATION_ACTIVE",
            mechanism_unknown,
        ),
        Kind.OFF_LIST,
    ),
    Case(
        "F04",
        says("C_DigestInit", CKR.OK, "OPERATION_ACTIVE USER_NOT_LOGGED_IN PIN_EXPIRED", operation_active),
        Kind.MISSING_ERROR,
        readings=(("A-16", "refuse"),),
    ),
]
FUNCTIONS = {
    "F05": "C_Initialize",
    "F14": "C_OpenSession",
    "F17": "C_Initialize",
    "F18": "C_GetSessionInfo",
} | dict.fromkeys(("F04", "F23"), "C_DigestInit")
"""Where the findings are, if not in C_Login."""


class Liar(Steady):
    """A steady module with one answer changed."""

    def __init__(self, model: Model, initial: State, lie: Lie) -> None:
        super().__init__(model, initial)
        self._lie = lie

    def call(self, call: Call) -> Observation:
        before = self._state
        return self._lie(before, call, super().call(call))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.row)
def test_wrong_answer_from_the_field_is_one_finding(case: Case) -> None:
    model = restricted(build(readings=dict(case.readings)))
    initial = State(slots=(Slot(user_pin=case.user_pin),))
    found = campaign.check(model, initial, Liar(model, initial, case.lie), seed=1, budget=SHORT_RUN).findings
    assert [(f.verdict.kind, f.verdict.severity, f.functions or (f.verdict.call.function,)) for f in found] == [
        (case.kind, case.severity, (FUNCTIONS.get(case.row, "C_Login"),))
    ]
    assert beside_setup(found[0].steps) <= LONGEST


# The whole interface.


@lru_cache
def whole() -> tuple[Model, tuple[Witness, ...]]:
    model = build()
    return model, witnesses(model, WIDE)


WIDE = State(slots=(Slot(), Slot()), objects=(Object(),) * 4)

SHARES = 4
"""The firm rows of the other chapters that stand alone somewhere are spread over so many tests."""


NEVER_OK = {name for name, f in build().functions.items() if not f.returns_ok}
"""Functions that have another code to give in the place of any."""


@pytest.mark.parametrize("share", range(SHARES))
def test_firm_rows_of_other_chapters_are_missed(share: int) -> None:
    model, found = whole()
    firm = [w for w in found if w.goal.part is Part.ALONE and w.rule is not None and forbids_ok(w.rule)]
    elsewhere = [w for w in firm if w.goal.function not in CORE | DUAL | NEVER_OK]
    alone = [w for w in elsewhere if w.rule is not None and single(model, w.goal.function, w.rule)]
    assert len(alone) > 120
    missed = []
    for w in alone[share :: SHARES * 2]:
        assert w.rule is not None
        mutant = model.without(w.goal.function, w.rule)
        replay = Driver(model, WIDE, Steady(mutant, WIDE)).replay((*w.calls, *closing(w, model, WIDE)))
        made = w.calls[-1] in [call for call, _ in replay.steps]
        if made and replay.failure is None:
            missed.append((w.goal.function, str(w.rule.code), w.rule.condition))
    assert missed == []


def test_every_row_fires_and_nothing_is_found_on_the_whole_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whims are no habits, and this module has each but once.
    monkeypatch.setattr(campaign.Campaign, "survey", lambda _: None)
    model = build()
    module = Varied(model, SIMULATED_STATE, 11)
    results = campaign.check(model, SIMULATED_STATE, module, seed=11, budget=Budget(30, 25, 600))
    assert results.tally.calls >= 50_000
    assert [f.id for f in results.findings] == []
    assert rules_json(results)["unfired"] == []
