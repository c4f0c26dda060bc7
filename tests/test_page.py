"""The page of modules: made from saved reports, module by chapter, and what comes from a report is escaped."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from p11conform.commands import page
from p11conform.model.oracle import build
from p11conform.properties.reports import beside
from p11conform.properties.reports.beside_html import render
from p11conform.properties.reports.results import report_json
from p11conform.properties.run.campaign import Results
from p11conform.properties.run.reach import Reach
from p11conform.properties.run.tally import Tally


def finding(id: str, function: str, severity: str = "medium") -> dict[str, Any]:
    return {
        "id": id,
        "kind": "missing error",
        "severity": severity,
        "function": function,
        "functions": [function],
        "observed": "CKR_OK",
        "permitted": [],
        "trace": [{"function": function, "arguments": {}, "observed": "CKR_OK"}],
        "text": "It must <not> succeed.",
        "verdict": "fail",
        "rules": [],
        "interpretations": [],
        "first_seen_at_call": 1,
        "first_seen_at_second": 0.1,
        "confirmed": 3,
        "nulls": [],
    }


NOTHING = report_json(Results(build(), (), Tally(), 1, 2.0, reach=Reach((), (), (), (), ())), {})
"""A report of a check that called nothing."""


def report(
    name: str,
    pairs: list[list[str]],
    *findings: dict[str, Any],
    followed: dict[str, int] | None = None,
    unfired: list[tuple[str, str, str]] = [],  # noqa: B006
) -> dict[str, Any]:
    rows = [dict(zip(("function", "code", "condition"), row, strict=True)) for row in unfired]
    coverage = NOTHING["coverage"]
    return NOTHING | {
        "run": NOTHING["run"] | {"date": "2026-11-28T10:00:00Z"},
        "readings": {},
        "module": {"name": name, "library_version": "1.0", "adapter": "raw"},
        "calls": 10,
        "coverage": coverage
        | {
            "pairs": pairs,
            "codes": sorted({code for _, code in pairs}),
            "times": [3 for _ in pairs],
            "rules": coverage["rules"] | {"unfired": rows},
        },
        "findings": list(findings),
        "notes": [{"kind": "stub", "about": "CKR_FUNCTION_NOT_SUPPORTED", "functions": ["C_Digest"]}],
        "interpretations": [{"id": "A-15", "question": "?", "followed": followed, "inconsistent": []}] * bool(followed),
    }


LOGIN_ROW = ("C_Login", "CKR_PIN_EXPIRED", "pin expired")
ONE = report(
    "one",
    [["C_Login", "CKR_OK"], ["C_Login", "CKR_PIN_INCORRECT"], ["C_Sign", "CKR_OK"]],
    finding("F-00000001", "C_Login"),
    finding("F-00000002", "C_Sign", "low"),
    followed={"CKR_OK": 3},
    unfired=[LOGIN_ROW, ("C_Sign", "CKR_DATA_INVALID", "data bad")],
)
OTHER = report(
    "other <b>",
    [["C_Login", "CKR_FUNCTION_NOT_SUPPORTED"]],
    finding("F-00000001", "C_Login"),
    followed={"CKR_ARGUMENTS_BAD": 1},
    unfired=[LOGIN_ROW],
)


def test_a_module_chapter_by_chapter() -> None:
    chapters = beside.cells(ONE)
    sessions = chapters["sessions"]
    assert (sessions.called, sessions.succeeded, sessions.codes, sessions.pairs, sessions.findings) == (1, 1, 2, 2, 1)
    assert sessions.calls == 6
    assert (chapters["general"].called, chapters["general"].share) == (0, 0.0)
    assert sum(c.functions for c in chapters.values()) == 68


def test_findings_of_one_cause_are_one_row() -> None:
    first, second = beside.faults([ONE, OTHER])
    assert (first.id, first.modules) == ("F-00000001", ("one 1.0", "other <b> 1.0"))
    assert (second.id, second.severity, second.modules) == ("F-00000002", "low", ("one 1.0",))


def test_where_modules_go_different_ways() -> None:
    (way,) = beside.ways([ONE, OTHER])
    assert way.id == "A-15"
    assert way.followed == {"one 1.0": ("CKR_OK",), "other <b> 1.0": ("CKR_ARGUMENTS_BAD",)}
    assert beside.ways([ONE, ONE]) == ()


def test_what_none_reaches() -> None:
    left = beside.unreached([ONE, OTHER])
    assert left.rows == {"C_Login": ("CKR_PIN_EXPIRED",)}
    assert left.codes == ("CKR_PIN_EXPIRED",)
    assert "C_Login" not in left.functions
    assert "C_Digest" in left.functions


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(page.command, list(map(str, args)))


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Path]:
    """Two reports in files."""
    files = tmp_path / "one.json", tmp_path / "other.json"
    for file, data in zip(files, (ONE, OTHER), strict=True):
        file.write_text(json.dumps(data))
    return files


def test_the_command_writes_both_pages(saved: tuple[Path, Path], tmp_path: Path) -> None:
    markdown, html = tmp_path / "modules.md", tmp_path / "modules.html"
    result = run(*saved, "--out", markdown, "--html", html)
    assert result.exit_code == 0, result.output
    text = markdown.read_text()
    assert "| sessions | 1 of 8 (1) | 0 of 8 (1) |" in text
    assert "| medium: missing error | 1 | 1 |" in text
    assert "| F-00000002 | low | missing error | C_Sign | CKR_OK | one 1.0 |" in text
    assert "### A-15" in text
    assert "1 rows decided on none" in text
    assert 'title="6 calls, 2 codes, 2 pairs, 1 findings">1 of 8</td>' in html.read_text()


def test_nothing_of_a_report_gets_into_the_page_unescaped() -> None:
    shown = render([ONE, OTHER], "a machine")
    assert "<b>" not in shown
    assert "other &lt;b&gt; 1.0" in shown
    assert "It must &lt;not&gt; succeed." in shown


def test_what_is_no_report_is_told_in_a_line(tmp_path: Path) -> None:
    file = tmp_path / "no.json"
    file.write_text("{}")
    result = run(file)
    assert "not a p11conform.report/2" in str(result.exception)
