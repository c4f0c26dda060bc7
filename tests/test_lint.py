"""What is wrong with the standard: found where it is, shown where it can be, and seen when put there."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import CORE, every_call, restricted

from p11conform.commands import lint as command
from p11conform.model.call import Args
from p11conform.model.interface import SIGNATURES
from p11conform.model.oracle import Model, applicable, build, in_scope, may_succeed, permitted
from p11conform.model.precedence import Order, Relation
from p11conform.model.rule import Rule, never
from p11conform.model.state import State
from p11conform.model.vocabulary import CALLBACK_ONLY, CKR, ENVIRONMENT, Version
from p11conform.properties.search.goals import explore
from p11conform.properties.search.setups import likeliest
from p11conform.properties.text.lint import Entry, Kind, Lint, lint
from p11conform.subject import SIMULATED_STATE

DECRYPTION = frozenset(
    {"C_GenerateKey", "C_EncryptInit", "C_Encrypt", "C_DecryptInit", "C_Decrypt", "C_DecryptUpdate", "C_GenerateRandom"}
)
INITIAL = replace(SIMULATED_STATE, sessions=SIMULATED_STATE.sessions[:2], objects=SIMULATED_STATE.objects[:2])

KNOWN = [
    (CKR.DEVICE_REMOVED, CKR.DEVICE_MEMORY, "5.1.3 5.1.7", "C_Login"),
    (CKR.DEVICE_REMOVED, CKR.DEVICE_ERROR, "5.1.3 5.1.7", "C_Login"),
    (CKR.EXCEEDED_MAX_ITERATIONS, CKR.FUNCTION_FAILED, "5.1.6 5.1.7", "C_Initialize"),
    (CKR.FIPS_SELF_TEST_FAILED, CKR.GENERAL_ERROR, "5.1.6 5.1.7", "C_GenerateRandom"),
    (CKR.ENCRYPTED_DATA_LEN_RANGE, CKR.ENCRYPTED_DATA_INVALID, "5.1.6 5.9", "C_Decrypt"),
    (CKR.CRYPTOKI_NOT_INITIALIZED, CKR.SESSION_HANDLE_INVALID, "5.1.7", "C_Login"),
]
"""Contradictions that a reader of 5.1 finds, with the sections against each other."""

MEETING = {
    frozenset({CKR.CRYPTOKI_NOT_INITIALIZED, CKR.SESSION_HANDLE_INVALID}),
    frozenset({CKR.CRYPTOKI_NOT_INITIALIZED, CKR.TOKEN_NOT_PRESENT}),
    frozenset({CKR.ENCRYPTED_DATA_LEN_RANGE, CKR.ENCRYPTED_DATA_INVALID}),
}
"""Of these, the pairs that a module meets at once."""


@pytest.fixture(scope="module")
def some(model: Model) -> Model:
    return restricted(model, CORE | DECRYPTION)


@pytest.fixture(scope="module")
def found(some: Model) -> Lint:
    return lint(some, INITIAL)


def of(found: Lint, kind: Kind) -> list[Entry]:
    return [e for e in found.entries if e.kind is kind]


def with_row(model: Model, function: str, rule: Rule) -> Model:
    f = model.functions[function]
    return replace(model, functions={**model.functions, function: replace(f, rules=(*f.rules, rule))})


@pytest.mark.parametrize(("one", "other", "sections", "function"), KNOWN, ids=str)
def test_known_contradictions_are_found(found: Lint, one: CKR, other: CKR, sections: str, function: str) -> None:
    (entry,) = (e for e in of(found, Kind.CONTRADICTION) if set(e.codes) == {one, other})
    assert {text.partition(" ")[0] for text in entry.sections} == set(sections.split())
    assert function in entry.functions


def test_no_contradiction_is_told_of_a_function_that_it_does_not_concern(found: Lint) -> None:
    told = {frozenset(e.codes): set(e.functions) for e in of(found, Kind.CONTRADICTION)}
    assert told[frozenset({CKR.ENCRYPTED_DATA_LEN_RANGE, CKR.ENCRYPTED_DATA_INVALID})] == {"C_Decrypt"}
    assert told[frozenset({CKR.FIPS_SELF_TEST_FAILED, CKR.GENERAL_ERROR})] == {"C_Initialize", "C_GenerateRandom"}
    removed = told[frozenset({CKR.DEVICE_REMOVED, CKR.DEVICE_MEMORY})]
    assert removed == {name for name in CORE | DECRYPTION if SIGNATURES[name].takes_session}


def test_contradictions_that_meet_have_a_witness_on_the_oracle(some: Model, found: Lint) -> None:
    met = {frozenset(e.codes): e for e in of(found, Kind.CONTRADICTION) if e.witness is not None}
    assert set(met) == MEETING
    for pair, entry in met.items():
        assert entry.witness is not None
        assert entry.witness.way is not None
        s = INITIAL
        for call in entry.witness.way:
            assert may_succeed(some, s, call)
            s = likeliest(some, s, call)
        assert s == entry.witness.state
        assert pair <= {r.code for r in applicable(some, s, entry.witness.call)}
        assert pair <= permitted(some, s, entry.witness.call)


def test_cycles_of_more_than_two_codes_are_found(found: Lint) -> None:
    entries = {name: set(e.codes) for e in of(found, Kind.CYCLE) for name in e.functions}
    assert entries["C_Login"] > {CKR.DEVICE_REMOVED, CKR.DEVICE_MEMORY, CKR.DEVICE_ERROR, CKR.TOKEN_NOT_PRESENT}
    assert entries["C_GenerateRandom"] > {CKR.FIPS_SELF_TEST_FAILED, CKR.GENERAL_ERROR, CKR.HOST_MEMORY}
    assert CKR.OK not in set().union(*entries.values())


def test_a_cycle_that_no_contradiction_breaks_is_told(some: Model, found: Lint) -> None:
    assert of(found, Kind.UNBROKEN) == []
    ring = (CKR.PIN_INVALID, CKR.PIN_LOCKED, CKR.PIN_EXPIRED)
    edges = {pair: Relation(*pair, "5.1.6") for pair in zip(ring, (*ring[1:], ring[0]), strict=True)}
    broken = replace(restricted(some, {"C_Logout"}), orders={**some.orders, "C_Logout": Order(edges, {}, edges)})
    (entry,) = of(lint(broken, INITIAL), Kind.UNBROKEN)
    assert (entry.functions, set(entry.codes)) == (("C_Logout",), set(ring))


def test_codes_without_a_row_are_told_unless_a_clause_explains_them(some: Model, found: Lint) -> None:
    unused = {(name, code) for e in of(found, Kind.UNUSED) for name in e.functions for code in e.codes}
    assert {code for _, code in unused} == {CKR.FUNCTION_CANCELED, CKR.CURVE_NOT_SUPPORTED}
    assert not {code for _, code in unused} & (ENVIRONMENT | CALLBACK_ONLY)
    core = restricted(some, {"C_Logout"})
    for rule in core.functions["C_Logout"].rules:
        if rule.code is CKR.USER_NOT_LOGGED_IN:
            core = core.without("C_Logout", rule)
    told = of(lint(core, INITIAL), Kind.UNUSED)
    assert [(e.functions, e.codes, e.sections) for e in told] == [(("C_Logout",), (CKR.USER_NOT_LOGGED_IN,), ("5.6",))]


def test_rows_off_the_list_are_told(some: Model, found: Lint) -> None:
    told = {(name, e.codes[0]) for e in of(found, Kind.OFF_LIST) for name in e.functions}
    rows = {(f.name, r.code) for f in some.functions.values() for r in f.rules}
    assert told == {(name, code) for name, code in rows if code not in SIGNATURES[name].listed[some.version]}
    assert ("C_Login", CKR.SESSION_READ_ONLY) in told


def test_codes_that_a_list_may_not_have_are_told() -> None:
    """v3.2 lists codes that its own definitions keep for other functions; up to v2.40 no list does so."""

    def borrowed(version: Version) -> set[tuple[str, CKR]]:
        entries = lint(build(version), INITIAL, kinds={Kind.BORROWED}).entries
        assert {e.kind for e in entries} <= {Kind.BORROWED}
        return {(name, e.codes[0]) for e in entries for name in e.functions}

    assert borrowed(Version.V2_40) == set()
    newest = borrowed(Version.V3_2)
    assert newest >= {
        ("C_WrapKeyAuthenticated", CKR.WRAPPING_KEY_SIZE_RANGE),
        ("C_DecapsulateKey", CKR.WRAPPED_KEY_INVALID),
        ("C_AsyncJoin", CKR.SAVED_STATE_INVALID),
        ("C_EncryptInit", CKR.OPERATION_CANCEL_FAILED),
        ("C_LoginUser", CKR.USER_ALREADY_LOGGED_IN),
        ("C_AsyncGetID", CKR.TOKEN_NOT_PRESENT),
        ("C_CancelFunction", CKR.OK),
    }
    assert not {name for name, code in newest if code is CKR.OPERATION_CANCEL_FAILED} & {"C_SessionCancel"}


def test_a_row_that_nothing_meets_is_told(some: Model, found: Lint) -> None:
    assert of(found, Kind.DEAD) == []

    def finalized_with_a_session(s: State, _: Args) -> bool:
        return not s.initialized and s.sessions[0].open

    small = restricted(some, {"C_Logout"})
    for condition in (never, finalized_with_a_session):
        dead = with_row(small, "C_Logout", Rule("condition", CKR.PIN_EXPIRED, condition, "5.6", ""))
        (entry,) = (e for e in of(lint(dead, INITIAL), Kind.DEAD) if CKR.PIN_EXPIRED in e.codes)
        assert (entry.functions, entry.codes, entry.sections) == (("C_Logout",), (CKR.PIN_EXPIRED,), ("5.6",))


def test_rows_never_together_are_seen_together_nowhere(some: Model, found: Lint) -> None:
    core = restricted(some)
    seen = {
        (call.function, one.code, other.code)
        for s, _ in explore(core, INITIAL, tuple(every_call(core, INITIAL)), 2)
        for call in every_call(core, s)
        if in_scope(core, s, call)
        for rows in [applicable(core, s, call)]
        for one in rows
        for other in rows
        if one is not other
    }
    apart = {(name, high, low) for e in of(found, Kind.APART) for high, low in [e.codes] for name in e.functions}
    whole = {
        (name, high, low)
        for name, high, low in apart
        if sum(r.code in (high, low) for r in some.functions[name].rules) == 2
    }
    assert len(whole) > 50
    assert not whole & seen
    assert ("C_Logout", CKR.SESSION_HANDLE_INVALID, CKR.USER_NOT_LOGGED_IN) in whole
    assert any((high, low) in some.orders[name].stated for name, high, low in seen)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command on a part of the interface."""
    part = frozenset({"C_Initialize", "C_OpenSession", "C_Logout"})
    monkeypatch.setattr(command, "model_of", lambda spec, _: restricted(build(Version(spec)), part))
    monkeypatch.setattr(command, "SIMULATED_STATE", INITIAL)


@pytest.mark.usefixtures("quick")
def test_the_command_prints_what_it_writes(tmp_path: Path) -> None:
    file = tmp_path / "lint.json"
    result = CliRunner().invoke(command.command, ["--kind", "contradiction", "--json", str(file)])
    assert result.exit_code == 0
    entries = json.loads(file.read_text())["entries"]
    assert {e["kind"] for e in entries} == {"contradiction"}
    assert all(e["sentence"] in result.output for e in entries)
    (both,) = (e for e in entries if e["codes"] == ["CKR_SESSION_HANDLE_INVALID", "CKR_CRYPTOKI_NOT_INITIALIZED"])
    assert both["witness"]["calls"] == ["C_Logout(session=0)"]
    assert both["witness"]["permitted"] == ["CKR_SESSION_HANDLE_INVALID", "CKR_CRYPTOKI_NOT_INITIALIZED"]
    assert f"{len(entries)} entries" in result.output


@pytest.mark.usefixtures("quick")
def test_a_file_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    result = CliRunner().invoke(command.command, ["--json", str(tmp_path / "no" / "lint.json")])
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert "there is no directory" in result.output
