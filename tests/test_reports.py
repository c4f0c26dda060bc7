"""Every form of a report is what it says it is, by tools that are not ours; and a saved report is shown again."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result
from conftest import HOSTILE
from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite
from pydantic import ValidationError
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Sarif

from p11conform.cli import main
from p11conform.exits import Exit
from p11conform.model.oracle import build
from p11conform.properties.reports import render
from p11conform.properties.reports.results import SCHEMA

FORMATS = ("html", "json", "junit", "markdown", "sarif", "text")


def rendered(report: dict[str, Any], format: str) -> str:
    return render.named(format).render(report)


def p11conform(*args: object) -> Result:
    return CliRunner().invoke(main, [str(x) for x in args])


def saved(report: object, directory: Path) -> Path:
    file = directory / "saved.json"
    file.write_text(json.dumps(report))
    return file


def test_these_are_all_formats() -> None:
    assert render.names() == FORMATS


def test_one_run_makes_every_format_and_show_makes_them_again(tmp_path: Path) -> None:
    files = {name: tmp_path / f"report{render.named(name).SUFFIX}" for name in FORMATS}
    given = [part for name, file in files.items() for part in ("--report", f"{name}={file}")]
    ran = p11conform("check", "simulated", "--calls", 300, "--length", 8, *given)
    assert ran.exit_code == Exit.CONFORMS, ran.output
    assert files["text"].read_text() == ran.stdout
    for name, file in files.items():
        assert p11conform("show", files["json"], "--as", name).stdout == file.read_text(), name
    assert p11conform("show", files["json"]).stdout == ran.stdout


def test_a_report_on_standard_output_is_alone_there() -> None:
    ran = p11conform("check", "simulated", "--calls", 1, "--report", "junit=-")
    assert JUnitXml.fromstring(ran.stdout).tests > 1000
    assert "no findings" in ran.stderr


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("--report", "junit"), "write it as junit=FILE"),
        (("--report", "junit="), "write it as junit=FILE"),
        (("--report", "pdf=x"), "no format is called 'pdf'"),
        (("--report", "html=none/x.html"), "there is no directory none"),
        (("--report", "html=."), "it is a directory"),
        (("--report", "html=-", "--json", "-"), "only one report"),
    ],
)
def test_a_place_that_cannot_be_is_told_before_the_run(given: tuple[str, ...], says: str) -> None:
    ran = p11conform("check", "simulated", *given)
    assert (ran.exit_code, ran.stdout) == (Exit.USAGE, "")
    (line,) = ran.stderr.splitlines()
    assert says in line


def test_reports_of_all_modules_go_to_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p11conform.commands.check._all_here", lambda: ("simulated",))
    ran = p11conform("check", "all", "--calls", 1, "--report", f"junit={tmp_path}")
    assert ran.exit_code == Exit.CONFORMS, ran.output
    assert [x.name for x in tmp_path.iterdir()] == ["simulated.xml"]


def test_a_format_is_added_by_its_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: dict[str, Any]
) -> None:
    (tmp_path / "count.py").write_text('SUFFIX = ".n"\n\n\ndef render(report):\n    return str(report["calls"])\n')
    monkeypatch.setattr(render, "__path__", [*render.__path__, str(tmp_path)])
    assert "count" in render.names()
    target = tmp_path / "written"
    assert p11conform("show", saved(report, tmp_path), "--report", f"count={target}").exit_code == 0
    assert target.read_text() == str(report["calls"])


# JUnit.


def cases(text: str) -> Iterator[tuple[str, TestCase]]:
    parsed = JUnitXml.fromstring(text.encode())
    for suite in parsed:
        assert isinstance(suite, TestSuite)
        counts = (suite.tests, suite.failures, suite.skipped)
        suite.update_statistics()  # type: ignore[no-untyped-call]
        assert counts == (suite.tests, suite.failures, suite.skipped)
        yield from ((suite.name, case) for case in suite)


def test_junit_has_a_case_a_row(report: dict[str, Any]) -> None:
    found = list(cases(rendered(report, "junit")))
    names = [(suite, case.name) for suite, case in found]
    rows = [(f.name, f"{r.code} when {r.condition} ({r.id})") for f in build().functions.values() for r in f.rules]
    assert [x for x in names if x in set(rows)] == rows
    assert report["coverage"]["rules"]["total"] == len(rows)
    skipped = sum(any(isinstance(x, Skipped) for x in case.result) for _, case in found)
    failed = [case for _, case in found if any(isinstance(x, Failure) for x in case.result)]
    assert all(x.message for _, case in found for x in case.result)
    assert {x.message.split()[0] for case in failed for x in case.result} == {f["id"] for f in report["findings"]}
    assert ("C_Logout", "CKR_USER_NOT_LOGGED_IN when nobody to log out (nobody-to-log-out)") in {
        (case.classname, case.name) for case in failed
    }
    unheard = [case for _, case in found if any("advice R-" in (x.message or "") for x in case.result)]
    assert len(unheard) <= skipped
    # A row that was not followed counts neither as one that was seen to hold nor as a failure.
    assert len(found) - skipped - len(failed) <= report["coverage"]["rules"]["fired"]


def test_what_goes_against_no_row_is_a_case_of_its_own(report: dict[str, Any]) -> None:
    (finding, *_) = report["findings"]
    died = finding | {"kind": "died", "rules": [], "observed": "died: SIGSEGV"}
    found = list(cases(rendered(report | {"findings": [died]}, "junit")))
    (case,) = (case for _, case in found if any(isinstance(x, Failure) for x in case.result))
    assert case.name == f"died ({finding['id']})"


def test_a_report_of_another_table_is_not_taken_for_one_of_ours(report: dict[str, Any], tmp_path: Path) -> None:
    coverage = report["coverage"]
    other = report | {"coverage": coverage | {"rules": coverage["rules"] | {"total": 7}}}
    shown = p11conform("show", saved(other, tmp_path), "--as", "junit")
    assert shown.exit_code == Exit.USAGE
    assert "another table of rules" in shown.stderr


# SARIF.


def test_sarif_is_what_the_standard_has(report: dict[str, Any]) -> None:
    text = rendered(report, "sarif")
    (run,) = Sarif.model_validate_json(text).runs
    rules = run.tool.driver.rules
    assert run.results is not None
    assert rules is not None
    assert {x.partialFingerprints["cause/v1"] for x in run.results if x.partialFingerprints} == {
        f["id"] for f in (*report["findings"], *report["advice"])
    }
    assert [rules[x.ruleIndex].id for x in run.results if x.ruleIndex is not None] == [x.ruleId for x in run.results]
    with pytest.raises(ValidationError):
        Sarif.model_validate_json(text.replace('"runs"', '"run"'))


# HTML.


@dataclass(frozen=True, slots=True)
class Seen:
    """What a browser made of a page: what it said on the console, what the page asked for, and the page as it stood."""

    console: list[str]
    asked: list[str]
    page: str


@pytest.fixture
def browse(tmp_path: Path) -> Callable[[str], Seen]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs Chromium; apt-get install chromium")
    net = tmp_path / "net.json"

    def visit(page: str) -> Seen:
        (tmp_path / "page.html").write_text(page)
        handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
        with HTTPServer(("127.0.0.1", 0), handler) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_port}/page.html"
            quiet = ("--no-first-run", "--disable-background-networking", "--disable-sync", "--no-sandbox")
            log = ("--enable-logging=stderr", f"--log-net-log={net}", f"--user-data-dir={tmp_path / 'profile'}")
            command = (chromium, "--headless=new", "--disable-gpu", *quiet, *log, "--dump-dom", address)
            ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
            server.shutdown()
        events = json.loads(net.read_text())["events"]
        asked = [x["params"] for x in events if isinstance(x.get("params"), dict) and "initiator" in x["params"]]
        # The browser asks for things of its own accord; those have no origin.
        ours = {x["url"] for x in asked if x["initiator"] != "not an origin" or "127.0.0.1" in x["url"]} - {address}
        return Seen([x for x in ran.stderr.splitlines() if "CONSOLE" in x], sorted(ours), ran.stdout)

    return visit


def test_a_browser_shows_the_page_without_a_word_or_a_request(
    report: dict[str, Any], browse: Callable[[str], Seen]
) -> None:
    seen = browse(rendered(report, "html"))
    assert (seen.console, seen.asked) == ([], [])
    assert all(f'id="{f["id"]}"' in seen.page for f in report["findings"])
    assert seen.page.count("<svg") == 2
    assert seen.page.count('class="on') == len(report["coverage"]["pairs"])


def test_words_and_requests_of_a_page_are_seen(browse: Callable[[str], Seen]) -> None:
    seen = browse("<script>console.error('x')</script><img src='/other.png'>")
    assert any("x" in line for line in seen.console)
    assert any("other.png" in url for url in seen.asked)


# Whatever a module says.


@pytest.mark.parametrize("format", ["html", "junit", "markdown", "sarif", "text"])
def test_what_a_module_says_is_no_markup(report: dict[str, Any], format: str) -> None:
    named = json.loads(json.dumps(report))
    named["module"]["name"] = HOSTILE
    named["findings"][0]["text"] = HOSTILE
    text = rendered(named, format)
    assert "7006652" not in text or "{{1234*5678}}" in text
    match format:
        case "html":
            assert "<script>" not in text
        case "junit":
            assert [case for _, case in cases(text)]
        case "markdown":
            assert "\n# x" not in text
            assert "<script>" not in text
        case "sarif":
            Sarif.model_validate_json(text)


# Files that are no reports.


def places(node: object, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place of a JSON value."""
    yield at
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        yield from places(value, (*at, key))


ODD: tuple[object, ...] = (None, -1, 10**40, 1.5, "", HOSTILE, "\ud800", "CKR_OK", [], {}, [[]], {"a": [1]}, True)


def mutated(report: dict[str, Any], random: Random) -> object:
    """A report with something else in one of its places."""
    copy = json.loads(json.dumps(report))
    way = random.choice([x for x in places(copy) if len(x) < 9])
    if not way:
        return random.choice(ODD)
    *path, last = way
    node = copy
    for step in path:
        node = node[step]
    if isinstance(node, dict) and random.random() < 0.3:
        del node[last]
    else:
        node[last] = random.choice(ODD)
    return copy


def answered(*args: object) -> None:
    """A command shows what it is asked for, or says in a line why not."""
    ran = p11conform(*args)
    assert ran.exit_code in (Exit.CONFORMS, Exit.USAGE), ran.output
    if ran.exit_code == Exit.USAGE:
        assert ran.stdout == ""
        assert len(ran.stderr.splitlines()) == 1
        assert len(ran.stderr) < 600


def small(report: dict[str, Any]) -> dict[str, Any]:
    """The report, of which most is left out that is there a hundred times."""
    coverage = report["coverage"]
    rules = coverage["rules"] | {"unfired": coverage["rules"]["unfired"][:2]}
    fewer = coverage | {"rules": rules, "pairs": coverage["pairs"][:5], "times": coverage["times"][:5]}
    return report | {"coverage": fewer, "readings": {}, "interpretations": report["interpretations"][:2]}


@pytest.mark.parametrize("format", FORMATS)
def test_a_damaged_report_is_shown_or_refused_in_a_line(format: str, report: dict[str, Any], tmp_path: Path) -> None:
    random = Random(format)
    for _ in range(60):
        answered("show", saved(mutated(small(report), random), tmp_path), "--as", format)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe",
        b'{"schema": "p11conform.report/9"}',
        json.dumps({"schema": SCHEMA}).encode(),
        b"<html>" * 1000,
        b"[/red]",
    ],
    ids=["empty", "truncated", "deep", "deep objects", "no text", "another version", "bare", "markup", "rich"],
)
def test_what_is_no_report_is_refused_in_a_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "odd.json"
    file.write_bytes(content)
    for command in ("show", "replay"):
        ran = p11conform(command, file)
        assert (ran.exit_code, ran.stdout, len(ran.stderr.splitlines())) == (Exit.USAGE, "", 1)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "large.json"
    with file.open("wb") as large:
        large.truncate(100_000_000)
    ran = p11conform("show", file)
    assert (ran.exit_code, "more than 64 MB" in ran.stderr) == (Exit.USAGE, True)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_report_is_refused(share: float, report: dict[str, Any], tmp_path: Path) -> None:
    text = json.dumps(report)
    file = tmp_path / "cut.json"
    file.write_text(text[: int(len(text) * share)])
    ran = p11conform("show", file)
    assert (ran.exit_code, len(ran.stderr.splitlines())) == (Exit.USAGE, 1)
