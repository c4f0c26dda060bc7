"""Where two versions permit different codes: each difference is one on the oracle, and none is left out."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import CORE, restricted

from p11conform.commands import versions as command
from p11conform.model.call import Call, Flaw
from p11conform.model.interface import COVERED
from p11conform.model.oracle import Model, applicable, build, in_scope, may_succeed, permitted
from p11conform.model.state import Mech, Object, Pin, Slot, State
from p11conform.model.vocabulary import CKR, Version
from p11conform.options import SPECS
from p11conform.properties.search.goals import all_calls, explore
from p11conform.properties.search.setups import likeliest
from p11conform.properties.text.versions import Comparison, compare

V2_01, V2_20, V2_40, V3_0 = COVERED[:4]
OBJECTS = frozenset({"C_GenerateKey", "C_CopyObject", "C_DestroyObject", "C_SetAttributeValue"})
BLANK = Slot(initialized=False, so_pin=Pin.NULL, user_pin=Pin.NULL)
INITIAL = State(slots=(Slot(), Slot(user_pin_to_be_changed=True), BLANK), objects=(Object(),) * 2)


def some(version: Version) -> Model:
    return restricted(build(version), CORE | OBJECTS)


@pytest.fixture(scope="module", params=[(V2_01, V2_20), (V2_20, V2_40)], ids=str)
def compared(request: pytest.FixtureRequest) -> tuple[Model, Model, Comparison]:
    old, new = (some(v) for v in request.param)
    return old, new, compare(old, new, INITIAL)


def end(model: Model, calls: tuple[Call, ...]) -> tuple[State, Call]:
    s = INITIAL
    for call in calls[:-1]:
        assert may_succeed(model, s, call)
        s = likeliest(model, s, call)
    assert in_scope(model, s, calls[-1])
    return s, calls[-1]


def test_every_version_that_can_be_checked_can_be_compared() -> None:
    assert [str(v) for v in COVERED] == SPECS


def test_each_difference_is_one_on_the_oracle(compared: tuple[Model, Model, Comparison]) -> None:
    old, new, found = compared
    assert found.differences
    for d in found.differences:
        s, call = end(old, d.calls)
        assert (s, call) == end(new, d.calls)
        assert d.function == call.function
        assert (d.old, d.new) == (permitted(old, s, call), permitted(new, s, call))
        assert d.old != d.new
        assert set(d.old_rows) <= set(applicable(old, s, call)) - set(new.functions[call.function].rules)
        assert set(d.new_rows) <= set(applicable(new, s, call)) - set(old.functions[call.function].rules)
        assert d.old_rows or d.new_rows or d.relations
        for model, rows, allowed in ((old, d.old_rows, d.old), (new, d.new_rows, d.new)):
            needed = [r for r in rows if permitted(model.without(d.function, r), s, call) != allowed]
            assert needed in ([], list(rows)), "each row decides, or none does alone"


def test_no_function_that_differs_is_left_out_nor_shown_by_a_detour(compared: tuple[Model, Model, Comparison]) -> None:
    old, new, found = compared
    calls = all_calls(old, INITIAL)
    shortest: dict[str, int] = {}
    for s, way in explore(old, INITIAL, tuple(c for c in calls if c.function in CORE), 1):
        for call in calls:
            if in_scope(old, s, call) and permitted(old, s, call) != permitted(new, s, call):
                shortest.setdefault(call.function, len(way) + 1)
    told = {
        d.function: min(len(x.calls) for x in found.differences if x.function == d.function) for d in found.differences
    }
    assert shortest
    assert shortest.items() <= told.items()


def test_what_v2_40_added_is_found() -> None:
    found = compare(some(V2_20), some(V2_40), INITIAL)
    told = {(d.function, r.code, r.condition) for d in found.differences for r in d.new_rows}
    assert {d.function for d in found.differences if d.old_rows} == {"C_Login"}, "A-05"
    assert {(name, code) for name, code, _ in told} == {
        ("C_Initialize", CKR.FIPS_SELF_TEST_FAILED),
        ("C_Initialize", CKR.LIBRARY_LOAD_FAILED),
        ("C_Login", CKR.SESSION_READ_ONLY_EXISTS),
        *((name, CKR.PIN_TOO_WEAK) for name in ("C_InitToken", "C_InitPIN", "C_SetPIN")),
        *((name, CKR.ACTION_PROHIBITED) for name in ("C_CopyObject", "C_DestroyObject", "C_SetAttributeValue")),
        ("C_GenerateKey", CKR.EXCEEDED_MAX_ITERATIONS),
    }
    destroying = [(d.new - d.old, CKR.OK in d.new) for d in found.differences if d.function == "C_DestroyObject"]
    assert (frozenset({CKR.ACTION_PROHIBITED}), True) in destroying, "what a policy bars"
    assert (frozenset({CKR.ACTION_PROHIBITED}), False) in destroying, "what the object's own attribute bars"
    assert {name for name, _, _ in found.idle} == {"C_OpenSession"}, "the search does not log the SO in"


def test_the_other_way_round_the_same_differs(compared: tuple[Model, Model, Comparison]) -> None:
    old, new, found = compared
    mirrored = compare(new, old, INITIAL)
    assert {(d.function, d.new_rows, d.old_rows, d.new, d.old) for d in mirrored.differences} == {
        (d.function, d.old_rows, d.new_rows, d.old, d.new) for d in found.differences
    }
    assert [(x.function, x.new, x.old) for x in mirrored.lists] == [(x.function, x.old, x.new) for x in found.lists]


def test_lists_are_compared(compared: tuple[Model, Model, Comparison]) -> None:
    old, new, found = compared
    told = {x.function: x for x in found.lists}
    for name, f in old.functions.items():
        before, after = f.signature.listed[old.version], f.signature.listed[new.version]
        assert (before == after) is (name not in told)
        assert name not in told or (told[name].old, told[name].new) == (before - after, after - before)


def test_a_relation_of_one_version_alone_is_a_difference() -> None:
    new = restricted(build(readings={"A-02": "class order"}), CORE)
    pair = (CKR.SESSION_HANDLE_INVALID, CKR.ARGUMENTS_BAD)
    stated = new.orders["C_GetSessionInfo"]
    order = replace(stated, decide={k: r for k, r in stated.decide.items() if k != pair})
    old = replace(new, orders={**new.orders, "C_GetSessionInfo": order})
    (d,) = compare(old, new, INITIAL).differences
    assert (d.function, d.old_rows, d.new_rows) == ("C_GetSessionInfo", (), ())
    assert [(r.higher, r.lower) for r in d.relations] == [pair]
    assert d.old - d.new == {CKR.ARGUMENTS_BAD}


NEW_IN_3 = frozenset({"C_DigestInit", "C_EncryptInit", "C_SetAttributeValue", "C_GetAttributeValue", "C_Sign"})


def test_what_v3_0_turned_round_is_found() -> None:
    old, new = (restricted(build(v), CORE | OBJECTS | NEW_IN_3 | {"C_SessionCancel"}) for v in (V2_40, V3_0))
    found = compare(old, new, INITIAL)
    assert found.come == ("C_SessionCancel",)
    assert found.gone == ()
    told = {(d.function, r.id): d for d in found.differences for r in (*d.old_rows, *d.new_rows)}
    for name in ("C_DigestInit", "C_EncryptInit"):
        assert CKR.OK in told[name, "nothing-to-cancel"].new - told[name, "mechanism-null"].old
        assert CKR.OPERATION_CANCEL_FAILED in told[name, "cancel-may-fail"].new
    set_it = told["C_SetAttributeValue", "unique-id-set"]
    assert CKR.OK in set_it.old - set_it.new
    read = [(CKR.OK in d.old, CKR.OK in d.new) for d in found.differences if d.function == "C_GetAttributeValue"]
    assert (False, True) in read
    assert told["C_GenerateKey", "unique-id-set"].calls[-1].args.flaw is Flaw.UNIQUE_ID


def test_what_came_leads_to_what_differs() -> None:
    """A process of messages, which v2.40 has none of, and a digest that it does not know."""
    names = {"C_Initialize", "C_OpenSession", "C_Login", "C_GenerateKey", "C_GenerateRandom", "C_DigestInit"}
    old, new = (restricted(build(v), names | {"C_MessageSignInit"}) for v in (V2_40, V3_0))
    found = compare(old, new, INITIAL)
    (busy,) = (d for d in found.differences if d.function == "C_GenerateRandom")
    assert busy.new - busy.old == {CKR.OPERATION_ACTIVE}
    assert busy.calls[-2].function == "C_MessageSignInit"
    assert "C_GenerateRandom" not in {name for name, _, _ in found.idle}
    assert {m.facts.since for m in found.mechanisms} == {V3_0}
    assert Mech.SHA3_256 in found.mechanisms
    (digest,) = (d for d in found.differences if d.function == "C_DigestInit" and d.came)
    assert (CKR.OK in digest.old, CKR.OK in digest.new) == (False, True)
    assert digest.calls[-1].args.mechanism in found.mechanisms
    assert not digest.calls[-1].args.null, "a mechanism that counts"


def test_a_row_that_no_call_shows_is_named() -> None:
    old = restricted(build(V2_20), {"C_InitToken"})
    new = restricted(build(V2_40), {"C_InitToken"})
    found = compare(old, new, replace(INITIAL, slots=(Slot(present=False),)))
    assert found.differences == ()
    assert [(name, r.code, version) for name, r, version in found.idle] == [("C_InitToken", CKR.PIN_TOO_WEAK, V2_40)]


def test_nothing_differs_from_itself() -> None:
    result = CliRunner().invoke(command.command, ["2.40", "2.40"])
    assert (result.exit_code, result.output) == (0, "2.40 and 2.40: nothing differs\n")


@pytest.mark.parametrize("given", [["2.40", "9.9"], ["3.3", "2.40"], ["", "2.40"]])
def test_an_unknown_version_is_refused_in_a_line(given: list[str]) -> None:
    result = CliRunner().invoke(command.command, given)
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert "it has 2.01, 2.20, 2.40" in result.output


def test_the_command_prints_what_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "model_of", lambda spec, _: some(Version(spec)))
    monkeypatch.setattr(command, "SIMULATED_STATE", INITIAL)
    file = tmp_path / "versions.json"
    result = CliRunner().invoke(command.command, ["2.20", "2.40", "--json", str(file)])
    assert result.exit_code == 0
    data = json.loads(file.read_text())
    assert {d["function"] for d in data["differences"]} > {"C_SetPIN", "C_DestroyObject"}
    lines = result.output.splitlines()
    for d in data["differences"]:
        assert d["function"] in lines
        assert all(any(line.endswith(call) for line in lines) for call in d["calls"])
        assert f"    2.40: {', '.join(d['new'])}" in lines
    assert lines[-1].startswith(f"{len(data['differences'])} differences")
