"""The schema of reports describes what a check writes: strictly, wholly, and in words."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from p11conform import subject
from p11conform.adapters.isolated import Kind as AdapterKind
from p11conform.adapters.modules import softhsm2
from p11conform.adapters.simulated import Simulated
from p11conform.model.interpretations import INTERPRETATIONS
from p11conform.model.oracle import Model, build
from p11conform.model.state import State
from p11conform.model.vocabulary import CKR, Version
from p11conform.properties.engine.verdict import Kind, Severity
from p11conform.properties.reports.results import SCHEMA, SHAPE, Note, read_report, report_json
from p11conform.properties.run.campaign import Budget, check

PAGE: dict[str, Any] = json.loads(SHAPE.read_text())
VALIDATOR = Draft202012Validator(PAGE)


def report_of(module: Model) -> dict[str, Any]:
    results = check(build(), State(), Simulated(module, State()), budget=Budget(sequences=5, length=8, seconds=600))
    report = report_json(results, {"name": "simulated", "adapter": "simulated"})
    written: dict[str, Any] = json.loads(json.dumps(report))
    return written


@pytest.fixture(scope="module")
def faulty() -> dict[str, Any]:
    model = build()
    logout = next(r for r in model.functions["C_Logout"].rules if r.code is CKR.USER_NOT_LOGGED_IN)
    report = report_of(model.without("C_Logout", logout))
    assert report["findings"]
    assert report["advice"]
    return report


def problems(report: object) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(report)]


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(PAGE)
    assert PAGE["properties"]["schema"]["const"] == SCHEMA


def test_reports_with_and_without_findings_are_valid(faulty: dict[str, Any]) -> None:
    assert problems(report_of(build())) == []
    assert problems(faulty) == []


def test_a_written_report_reads_back_the_same(faulty: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(json.dumps(faulty))
    assert read_report(file) == faulty


def _set(report: dict[str, Any], path: str, value: object) -> None:
    *way, last = (int(p) if p.isdigit() else p for p in path.split("/"))
    at: Any = report
    for step in way:
        at = at[step]
    if value is ...:
        del at[last]
    else:
        at[last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", "p11conform.report/1"),
        ("seed", ...),
        ("surprise", 1),
        ("spec", "2.30"),
        ("calls", -1),
        ("readings/B-01", "any"),
        ("module/surprise", 1),
        ("module/name", ...),
        ("coverage/pairs/0", ["C_Login"]),
        ("coverage/pairs/0", ["C_Login", "CKR_OK", 3]),
        ("findings/0/kind", "odd"),
        ("findings/0/id", "1"),
        ("findings/0/surprise", 1),
        ("findings/0/trace", []),
        ("findings/0/trace/0/observed", "OK"),
        ("findings/0/rules/0/section", "somewhere"),
        ("advice/0/surprise", 1),
        ("advice/0/count", "many"),
    ],
)
def test_anything_else_is_refused(faulty: dict[str, Any], path: str, value: object) -> None:
    report = json.loads(json.dumps(faulty))
    _set(report, path, value)
    assert problems(report)


def test_the_enumerations_are_those_of_the_code() -> None:
    finding = PAGE["$defs"]["finding"]["properties"]
    assert finding["kind"]["enum"] == [k.value for k in Kind]
    assert PAGE["properties"]["notes"]["items"]["properties"]["kind"]["enum"] == [n.value for n in Note]
    assert finding["severity"]["enum"] == [s.value for s in Severity]
    assert PAGE["properties"]["spec"]["enum"] == [str(v) for v in Version]
    adapters = {subject.SIMULATED, *(k.name.lower() for k in AdapterKind)}
    assert set(PAGE["properties"]["module"]["properties"]["adapter"]["enum"]) == adapters
    number = Draft202012Validator(PAGE["$defs"]["interpretation"])
    assert all(map(number.is_valid, INTERPRETATIONS))


def _objects(schema: dict[str, Any], at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield at, schema
    for key, value in schema.items():
        if isinstance(value, dict):
            yield from _objects(value, f"{at}/{key}")


def test_every_field_is_described_and_every_object_is_closed() -> None:
    bare = [
        f"{at}: {name}"
        for at, schema in _objects(PAGE)
        for group in ("properties", "$defs")
        for name, field in schema.get(group, {}).items()
        if not str(field.get("description", "")).endswith(".")
    ]
    is_open = [
        at for at, schema in _objects(PAGE) if schema.get("type") == "object" and "additionalProperties" not in schema
    ]
    assert bare == []
    assert is_open == []


@pytest.mark.module
def test_what_is_said_of_a_real_module_is_valid() -> None:
    if softhsm2.find() is None:
        pytest.skip("SoftHSM is not installed")
    tested = subject.own_module("softhsm2", AdapterKind.RAW, 10.0)
    tested.discard()
    about = Draft202012Validator(PAGE["properties"]["module"] | {"$defs": PAGE["$defs"]})
    assert [e.message for e in about.iter_errors(dict(tested.about))] == []
