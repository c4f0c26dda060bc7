"""Advice is told apart by its cause, shown by a trace, and makes a check fail only where that is asked for."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import ONE_SLOT, Steady, restricted

from p11conform.cli import main
from p11conform.model.call import Call, Observation
from p11conform.model.chapters.conditions import session_invalid
from p11conform.model.oracle import Model, build
from p11conform.model.rule import Condition, Rule
from p11conform.model.state import State
from p11conform.model.table import TABLE
from p11conform.model.vocabulary import CKR
from p11conform.properties.engine.verdict import judge
from p11conform.properties.reports.findings import Finding, recommendations
from p11conform.properties.reports.render.text import lines
from p11conform.properties.reports.results import report_json
from p11conform.properties.run.campaign import Budget, Results, check

BUDGET = Budget(sequences=0, seconds=600)
SOME = frozenset({"C_Initialize", "C_Finalize", "C_OpenSession", "C_GetSessionInfo", "C_Logout"})


class ArgumentsFirst(Steady):
    """A module that looks at pointers before it looks at handles, as the text lets it."""

    def call(self, call: Call) -> Observation:
        seen = super().call(call)
        return Observation(CKR.ARGUMENTS_BAD) if call.args.null and seen.code == CKR.SESSION_HANDLE_INVALID else seen


class HandlesFirst(Steady):
    """A module that looks at handles before it looks at pointers, as the text recommends."""

    def call(self, call: Call) -> Observation:
        invalid = session_invalid(self._state, call.args) and call.function == "C_GetSessionInfo"
        seen = super().call(call)
        return Observation(CKR.SESSION_HANDLE_INVALID) if invalid and seen.code == CKR.ARGUMENTS_BAD else seen


def found(model: Model, module: type[Steady] = ArgumentsFirst) -> Results:
    return check(model, ONE_SLOT, module(model, ONE_SLOT), budget=BUDGET)


@pytest.fixture(scope="module")
def some() -> Model:
    return restricted(build(), SOME)


@pytest.fixture(scope="module")
def results(some: Model) -> Results:
    return found(some)


def test_advice_is_one_entry_a_cause_with_a_trace_that_shows_it(some: Model, results: Results) -> None:
    assert results.findings == ()
    (order,) = (x for x in recommendations(some, results.tally) if x.order is not None)
    assert (order.rule.id, order.rule.code, order.order) == ("session-invalid", CKR.SESSION_HANDLE_INVALID, "5.1.7")
    assert order.functions == ("C_GetSessionInfo",)
    assert {seen for _, seen in order.seen} == {"CKR_ARGUMENTS_BAD"}
    beliefs = frozenset({ONE_SLOT})
    for call, seen in order.steps:
        verdict, beliefs = judge(some, beliefs, call, seen)
    assert order.cause in [x.cause for x in verdict.advice]
    assert [call.function for call, _ in order.steps] == ["C_GetSessionInfo"], "no handle is valid at first"


def test_a_module_that_follows_the_order_is_not_advised_to(some: Model) -> None:
    assert not [x for x in recommendations(some, found(some, HandlesFirst).tally) if x.order is not None]


def test_advice_has_a_section_of_its_own(results: Results) -> None:
    report = report_json(results, {"name": "simulated", "adapter": "simulated"})
    assert {x["id"][:2] for x in report["advice"]} == {"R-"}
    text = list(lines(report))
    (start,) = (n for n, line in enumerate(text) if line.startswith("[bold]Advice"))
    assert any("CKR_ARGUMENTS_BAD came where the text recommends another answer" in line for line in text[start:])
    assert any("A-02, read as 'advice'" in line for line in text[start:])


@pytest.mark.parametrize(("words", "code"), [((), 0), (("--fail-on", "findings"), 0), (("--fail-on", "advice"), 1)])
def test_advice_fails_a_check_where_that_is_asked_for(words: tuple[str, ...], code: int, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    ran = CliRunner().invoke(main, ["check", "simulated", "--calls", "1500", "--json", str(file), *words])
    report = json.loads(file.read_text("utf-8"))
    assert report["advice"]
    assert not report["findings"]
    assert ran.exit_code == code


# Ids.


def renamed(condition: Condition) -> Condition:
    """The same condition as a function of another name."""

    def zzz(s: State, a: Any) -> bool:
        return condition(s, a)

    return zzz


def with_other_names(model: Model) -> Model:
    """A model whose rows and effects are those of another one, all their functions called otherwise."""

    def other(r: Rule) -> Rule:
        return replace(r, when=renamed(r.when))

    return replace(
        model,
        functions={
            name: replace(f, rules=tuple(map(other, f.rules)), effects=tuple(f.effects))
            for name, f in model.functions.items()
        },
    )


class Careless(Steady):
    """A module that takes any session for a good one, and looks at pointers first."""

    def call(self, call: Call) -> Observation:
        seen = super().call(call)
        if seen.code == CKR.SESSION_HANDLE_INVALID:
            return Observation(CKR.ARGUMENTS_BAD if call.args.null else CKR.OK)
        return seen


def ids(results: Results, model: Model) -> set[str]:
    causes: list[Finding | Any] = [*results.findings, *recommendations(model, results.tally)]
    return {x.id for x in causes}


def test_another_name_of_a_function_changes_no_id(some: Model) -> None:
    other = with_other_names(some)
    plain = ids(found(some, Careless), some)
    assert len([x for x in plain if x.startswith("F-")]) > 0
    assert ids(check(other, ONE_SLOT, Careless(some, ONE_SLOT), budget=BUDGET), other) == plain


def test_another_id_of_a_row_is_another_finding(some: Model) -> None:
    def other(r: Rule) -> Rule:
        return replace(r, id="x-" + r.id)

    functions = {name: replace(f, rules=tuple(map(other, f.rules))) for name, f in some.functions.items()}
    model = replace(some, functions=functions)
    changed = ids(check(model, ONE_SLOT, Careless(some, ONE_SLOT), budget=BUDGET), model)
    assert not changed & ids(found(some, Careless), some)


@pytest.mark.parametrize("name", TABLE)
def test_every_row_and_effect_names_itself(name: str) -> None:
    """An id, the place where a reader lays the finger, and a sentence on what stands there."""
    for r in TABLE[name].rules:
        assert r.id.replace("-", "").isalnum()
        assert r.id == r.id.lower()
        assert r.place[0].isdigit()
        assert r.says.endswith(".")
        assert len(r.says.split()) > 2
    for e in TABLE[name].effects:
        assert e.id.replace("-", "").isalnum()
        assert e.place[0].isdigit()
