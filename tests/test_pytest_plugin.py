"""The plugin for pytest: cases by chapter and row, waivers, markers, and workers that share one check."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from p11conform.model.chapters import sessions
from p11conform.model.oracle import build

ROOT = Path(__file__).parents[1]

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, report: Mapping[str, Any]) -> Run:
    """Runs pytest with the plugin in a directory of its own, where a program that only hands a report out checks."""
    (tmp_path / "report.json").write_text(json.dumps(report))
    (tmp_path / "conftest.py").write_text(STAND_IN.format(report=str(tmp_path / "report.json")))

    def go(*options: str) -> str:
        command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options)
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(tmp_path)}
        environment.pop("PYTEST_XDIST_TESTRUNUID", None)
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    return go


STAND_IN = """
import pathlib, shutil
from p11conform import pytest_plugin
from p11conform.model.chapters import sessions
from p11conform.model.oracle import build

def check(self, place):
    with open(pathlib.Path({report!r}).with_name("checks"), "a") as file:
        file.write("x")
    shutil.copy({report!r}, place)

pytest_plugin._Checked._check = check
"""


def counts(output: str) -> dict[str, int]:
    """How many cases passed, failed and so on, by the last line."""
    last = next(line for line in reversed(output.splitlines()) if re.search(r" in [0-9.]+s", line))
    return {word: int(number) for number, word in re.findall(r"([0-9]+) (\w+)", last)}


def test_cases_are_rows_that_pass_fail_or_are_skipped(run: Run, report: Mapping[str, Any]) -> None:
    output = run("--p11conform-module", "simulated", "-q", "-n", "0", "-k", "sessions")
    model = build()
    own = [f for f in sessions.FUNCTIONS if f.name in model.functions]
    found = counts(output)
    assert found.pop("deselected") > 1000
    # A row elsewhere may speak of sessions, too.
    rows = sum(len(model.functions[f.name].rules) + 1 for f in own)
    assert rows <= sum(found.values()) <= rows + 10
    assert found.keys() == {"passed", "failed", "skipped"}
    finding = report["findings"][0]
    assert f"{finding['severity']} {finding['id']} {finding['kind']}" in output
    assert "1. C_Initialize(" in output


def test_workers_share_one_check_and_words_choose(run: Run, tmp_path: Path) -> None:
    output = run("--p11conform-module", "simulated", "-v", "-n", "2", "-k", "C_Logout and CKR_USER_NOT_LOGGED_IN")
    assert counts(output)["failed"] == 1
    assert "p11conform::sessions::C_Logout::CKR_USER_NOT_LOGGED_IN when nobody to log out" in output
    assert "::C_Initialize::" not in output
    assert (tmp_path / "checks").read_text() == "x"


def test_what_is_waived_is_an_expected_failure(run: Run, report: Mapping[str, Any], tmp_path: Path) -> None:
    rows = [f'[[waiver]]\nid = "{f["id"]}"\nreason = "known"\nuntil = 2999-01-01\n' for f in report["findings"]]
    (tmp_path / "waivers.toml").write_text("\n".join(rows))
    found = counts(
        run(
            "--p11conform-module",
            "simulated",
            "-q",
            "-n",
            "0",
            "-k",
            "sessions",
            "--p11conform-waivers",
            "waivers.toml",
        )
    )
    assert "failed" not in found
    assert found["xfailed"] > 0
    (tmp_path / "waivers.toml").write_text("[[odd]]")
    output = run("--p11conform-module", "simulated", "-q", "--p11conform-waivers", "waivers.toml")
    assert "ERROR: --p11conform-waivers: waivers.toml: holds something else" in output


def test_a_module_that_cannot_be_used_ends_the_run_with_a_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").unlink()
    output = run("--p11conform-module", "./nosuch.so", "-q", "-n", "0", "-k", "C_GetInfo")
    assert "p11conform: " in output
    assert "nosuch.so" in output
    assert "Traceback" not in output
