"""The command line: exit codes, one line for whatever is wrong, and PINs that never show."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import _cffi_backend
import pytest
from click import Context
from click.testing import CliRunner, Result
from conftest import restricted

from p11conform import checking, cli, options
from p11conform.adapters.modules import softhsm2
from p11conform.adapters.modules.module import initialize_tokens
from p11conform.cli import TRACEBACK
from p11conform.commands import replay
from p11conform.exits import Exit
from p11conform.model.oracle import build
from p11conform.opened import opened
from p11conform.properties.policy import Level, Rights
from p11conform.properties.reports.results import SCHEMA

ROOT = Path(__file__).parents[1]
FEW = ("--calls", "400", "--length", "8", "--seconds", "120")
SHARED_OBJECT = _cffi_backend.__file__
"""A library that is certainly there, and is no PKCS#11 module."""

STEP = {"function": "C_Logout", "arguments": {"session": 0}, "observed": "CKR_OK"}
FINDING = {
    "id": "F-00000001",
    "kind": "missing error",
    "severity": "medium",
    "function": "C_Logout",
    "functions": ["C_Logout"],
    "observed": "CKR_OK",
    "permitted": [],
    "trace": [STEP],
}
REPORT = {
    "schema": SCHEMA,
    "spec": "2.40",
    "readings": {},
    "module": {"name": "simulated"},
    "seed": 0,
    "coverage": {"pairs": [["C_Logout", "CKR_OK"]]},
    "findings": [FINDING],
}
"""As much of a report as replay and diff read."""


def p11conform(*args: str, env: Mapping[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli.main, args, env=env)


def test_a_check_that_called_nothing_does_not_say_that_all_is_well() -> None:
    assert_one_line(p11conform("check", "simulated", "--seconds", "0"), Exit.USAGE, "--seconds 0", "no call was made")


def test_calls_bound_a_check_whatever_the_time(tmp_path: Path) -> None:
    """A busy machine is to make them all, so an hour is what it may take, and a minute where nothing bounds it."""
    file = tmp_path / "r.json"
    assert p11conform("check", "simulated", "--calls", "30", "--json", str(file)).exit_code == 0
    assert json.loads(file.read_text())["run"]["budget"]["seconds"] == 3600
    assert "[default: 60; with" in p11conform("check", "--help").output


def assert_one_line(result: Result, code: int, *holds: str) -> None:
    """Nothing but one line that says what is wrong."""
    assert isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code == code
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("p11conform: ")
    assert all(text in line for text in holds), line


def written(directory: Path, name: str, report: object) -> str:
    file = directory / name
    file.write_text(report if isinstance(report, str) else json.dumps(report))
    return str(file)


@pytest.mark.parametrize("sequences", ["0", "3"])
def test_a_module_that_conforms_exits_with_0_and_writes_its_report(
    tmp_path: Path, sequences: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "report.json"
    monkeypatch.setattr(options, "build", lambda *choices, **more: restricted(build(*choices, **more)))
    result = p11conform("check", "simulated", "--sequences", sequences, "--json", str(file))
    assert result.exit_code == 0, result.output
    assert "no findings" in result.stdout
    report = json.loads(file.read_text())
    assert report["schema"] == SCHEMA
    assert report["findings"] == []


@pytest.mark.parametrize(
    ("args", "code", "holds"),
    [
        (("check", "nosuchmodule"), 2, ("'nosuchmodule'", "simulated", "softhsm2")),
        (("check", "./nosuch.so"), 3, ("./nosuch.so", "cannot be loaded")),
        (("check", __file__), 3, (__file__, "cannot be loaded")),
        (("check", SHARED_OBJECT), 3, (SHARED_OBJECT, "has no C_GetFunctionList")),
        (("check", SHARED_OBJECT, "--pin-file", "nosuch.txt"), 2, ("nosuch.txt",)),
        (("check", "simulated", "--reading", "A-05"), 2, ("--reading A-05",)),
        (("check", "simulated", "--reading", "A-05=whatever"), 2, ("A-05", "'whatever'", "usage guide")),
        (("check", "simulated", "--reading", "B-99=any"), 2, ("'B-99'",)),
        (("explain", "C_Sing"), 2, ("'C_Sing'", "did you mean C_Sign?")),
        (("explain", "C_Login", "CKR_ODD"), 2, ("CKR_ODD is no return value",)),
        (("replay", "nosuch.json"), 2, ("nosuch.json",)),
        (("diff", "nosuch.json", "nosuch.json"), 2, ("nosuch.json",)),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(args: tuple[str, ...], code: int, holds: tuple[str, ...]) -> None:
    assert_one_line(p11conform(*args), code, *holds)


def test_an_unknown_version_is_refused() -> None:
    result = p11conform("explain", "C_Login", "--spec", "9.99")
    assert result.exit_code == 2
    assert "9.99" in result.stderr.splitlines()[-1]
    assert "2.40" in result.stderr.splitlines()[-1]


def test_where_the_report_cannot_go_nothing_is_begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checking, "opened", lambda *_: pytest.fail("began to work"))
    file = str(tmp_path / "missing" / "report.json")
    assert_one_line(p11conform("check", "simulated", "--json", file), 2, file, "no directory")


@pytest.mark.parametrize("text", ["not JSON", "[]", "{}", '{"schema": "p11conform.report/0"}'])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    odd, good = written(tmp_path, "odd.json", text), written(tmp_path, "good.json", REPORT)
    for args in (("replay", odd), ("diff", odd, good), ("diff", good, odd)):
        assert_one_line(p11conform(*args), 2, odd)


@pytest.mark.parametrize(
    "damage",
    [
        {"spec": "9"},
        {"readings": {"A-05": "whatever"}},
        {"readings": []},
        {"module": {}},
        {"module": None},
        {"seed": None},
        {"findings": None},
        {"findings": ["odd"]},
        {"findings": []},
        {"findings": [FINDING | {"trace": 5}]},
        {"findings": [FINDING | {"trace": [{}]}]},
        {"findings": [FINDING | {"trace": [STEP | {"function": "C_Odd"}]}]},
        {"findings": [FINDING | {"trace": [STEP | {"arguments": 5}]}]},
        {"findings": [FINDING | {"trace": [STEP | {"arguments": {"odd": 5}}]}]},
        {"findings": [FINDING | {"trace": [STEP | {"arguments": {"session": "0"}}]}]},
    ],
)
def test_a_damaged_report_is_not_replayed(tmp_path: Path, damage: dict[str, Any]) -> None:
    assert_one_line(p11conform("replay", written(tmp_path, "damaged.json", REPORT | damage)), 2)


@pytest.mark.parametrize(
    "damage",
    [
        {"coverage": None},
        {"coverage": {"pairs": [1]}},
        {"coverage": {"pairs": [["C_Logout"]]}},
        {"findings": None},
        {"findings": ["odd"]},
        {"findings": [FINDING | {"id": None, "functions": 5}]},
        {"findings": [{"id": "F-00000002"}]},
    ],
)
def test_a_damaged_report_is_not_compared(tmp_path: Path, damage: dict[str, Any]) -> None:
    damaged, good = written(tmp_path, "damaged.json", REPORT | damage), written(tmp_path, "good.json", REPORT)
    assert_one_line(p11conform("diff", damaged, good), 2, damaged)
    assert_one_line(p11conform("diff", good, damaged), 2, damaged)


def test_a_trace_is_replayed_on_a_module_that_conforms(tmp_path: Path) -> None:
    result = p11conform("replay", written(tmp_path, "report.json", REPORT))
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "F-00000001: does not fail",
        "    C_Logout(session=0) → CKR_CRYPTOKI_NOT_INITIALIZED",
    ]


def test_a_difference_exits_with_1_only_for_new_findings(tmp_path: Path) -> None:
    fewer, more = written(tmp_path, "a.json", REPORT | {"findings": []}), written(tmp_path, "b.json", REPORT)
    worse, better, same = (
        p11conform("diff", fewer, more),
        p11conform("diff", more, fewer),
        p11conform("diff", more, more),
    )
    assert (worse.exit_code, better.exit_code, same.exit_code) == (1, 0, 0)
    assert worse.stdout.startswith("new: medium F-00000001")
    assert better.stdout.startswith("gone: medium F-00000001")
    assert same.stdout == "no difference\n"


@pytest.mark.parametrize("code", ["CKR_DEVICE_ERROR", "GENERAL_ERROR", "CKR_FUNCTION_NOT_SUPPORTED"])
def test_explain_tells_of_a_code_that_is_legal_at_any_time(code: str) -> None:
    """O12."""
    result = p11conform("explain", "C_SeedRandom", code)
    assert result.exit_code == 0
    assert "proves nothing" in result.output


def test_explain_gives_rules_precedence_and_a_sequence() -> None:
    result = p11conform("explain", "C_Login", "CKR_PIN_INCORRECT")
    assert result.exit_code == 0, result.output
    assert "login pin wrong" in result.stdout
    assert "CKR_SESSION_HANDLE_INVALID before CKR_PIN_INCORRECT (section 5.1.7, recommended)" in result.stdout
    assert "1. C_Initialize(" in result.stdout
    assert "3. C_Login(session=0, user=SO, pin=USER) → CKR_PIN_INCORRECT" in result.stdout


def test_the_package_runs_as_a_program() -> None:
    command = (sys.executable, "-m", "p11conform", "check", "nosuchmodule")
    ran = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.startswith("p11conform: no module is called 'nosuchmodule'")


# A token of the user's own.

PIN, SO_PIN = "Sesame-4711", "Sesame-0815"


@dataclass(frozen=True)
class Token:
    """A token that is not the tester's: SoftHSM with a directory and a configuration of its own."""

    library: str
    directory: Path
    environment: Mapping[str, str]

    def check(self, *args: str, **pins: str) -> subprocess.Popen[str]:
        """Start a check of it, with PINs given through the environment."""
        return subprocess.Popen(
            (sys.executable, "-m", "p11conform", "check", self.library, *FEW, *args),
            env=os.environ | self.environment | {"PYTHONPATH": str(ROOT / "src")} | pins,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def contents(self) -> dict[str, bytes]:
        """Every file of the token; without the number in which SoftHSM counts how often it wrote an object."""
        files = (path for path in sorted(self.directory.rglob("*")) if path.is_file())
        return {path.name: path.read_bytes()[8 * (path.suffix == ".object") :] for path in files}


@pytest.fixture
def token(tmp_path: Path) -> Token:
    library = softhsm2.find()
    if library is None:
        pytest.skip("SoftHSM is not installed")
    directory, conf = tmp_path / "tokens", tmp_path / "softhsm2.conf"
    directory.mkdir()
    conf.write_text(f"directories.tokendir = {directory}\nobjectstore.backend = file\nlog.level = ERROR\n")
    environment = {"SOFTHSM2_CONF": str(conf)}
    initialize_tokens(library, environment, ("mine",), SO_PIN.encode(), PIN.encode())
    return Token(library, directory, environment)


def descendants(pid: int) -> Iterator[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in map(int, children):
        yield child
        yield from descendants(child)


def visible(pid: int) -> bytes:
    """What anybody may read of a process's arguments, and its environment."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


@pytest.mark.module
def test_a_users_token_is_as_it_was_and_its_pins_never_show(token: Token, tmp_path: Path) -> None:
    before = token.contents()
    file = tmp_path / "report.json"
    running = token.check("--token-label", "mine", "--json", str(file), P11CONFORM_PIN=PIN, P11CONFORM_SO_PIN=SO_PIN)
    seen: dict[int, bytes] = {}
    while running.poll() is None:
        seen |= {pid: visible(pid) for pid in descendants(running.pid)}
        time.sleep(0.002)
    shown = "".join((*running.communicate(), file.read_text(), *(text.decode() for text in seen.values())))
    assert running.returncode in (0, 1), shown
    assert seen
    assert token.library in shown
    assert PIN not in shown
    assert SO_PIN not in shown
    assert token.contents() == before


@pytest.mark.module
def test_without_a_pin_not_a_byte_changes(token: Token) -> None:
    files = {path: path.read_bytes() for path in token.directory.rglob("*") if path.is_file()}
    running = token.check("--token-label", "mine")
    out, err = running.communicate()
    assert running.returncode in (0, 1), out + err
    assert {path: path.read_bytes() for path in token.directory.rglob("*") if path.is_file()} == files


@pytest.mark.module
@pytest.mark.parametrize(
    ("args", "pins", "holds"),
    [
        (("--token-label", "mine"), {"P11CONFORM_PIN": "Sesame-9999"}, "CKR_PIN_INCORRECT"),
        (("--token-label", "mine"), {"P11CONFORM_SO_PIN": "Sesame-9999"}, "CKR_PIN_INCORRECT"),
        (("--token-label", "yours"), {"P11CONFORM_PIN": PIN}, "no such token"),
        (("--slot", "123456789"), {"P11CONFORM_PIN": PIN}, "no such token"),
    ],
)
def test_a_token_that_cannot_be_used_is_said_in_a_line(
    token: Token, args: tuple[str, ...], pins: dict[str, str], holds: str
) -> None:
    running = token.check(*args, **pins)
    out, err = running.communicate()
    assert running.returncode == 3
    assert out == ""
    line = err.splitlines()[-1]
    assert line.startswith("p11conform: ")
    assert holds in line
    assert "Sesame" not in err
    assert "Traceback" not in err


@pytest.mark.module
def test_a_token_that_was_given_up_comes_back_with_its_pins(token: Token) -> None:
    both = {"P11CONFORM_PIN": PIN, "P11CONFORM_SO_PIN": SO_PIN}
    for args in (("--allow-destructive",), ()):
        running = token.check("--token-label", "mine", *args, **both)
        out, err = running.communicate()
        assert running.returncode in (0, 1), out + err


@pytest.mark.parametrize(
    ("args", "holds"),
    [
        (("--slot", "1"), "--slot is for a library by path"),
        (("--token-label", "x"), "--token-label is for a library by path"),
        (("--pin-file", "x"), "--pin-file is for a library by path"),
        (("--so-pin-file", "x"), "--so-pin-file is for a library by path"),
        (("--ask-pin",), "--ask-pin is for a library by path"),
        (("--ask-so-pin",), "--ask-so-pin is for a library by path"),
        (("--init-reserved", "x"), "--init-reserved is for a library by path"),
        (("--allow-destructive",), "--allow-destructive is for a library by path"),
    ],
)
@pytest.mark.parametrize("module", ["softhsm2", "simulated"])
def test_an_option_that_would_mean_nothing_is_refused(module: str, args: tuple[str, ...], holds: str) -> None:
    assert_one_line(p11conform("check", module, *args), 2, holds)


@pytest.mark.parametrize("variable", ["P11CONFORM_PIN", "P11CONFORM_SO_PIN"])
def test_an_empty_pin_is_refused_before_it_is_tried(
    tmp_path: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "opened", lambda *_: pytest.fail("began to work"))
    result = p11conform("check", SHARED_OBJECT, env={variable: ""})
    assert_one_line(result, 2, variable, "empty")
    for option in ("--pin-file", "--so-pin-file"):
        file = written(tmp_path, "pin.txt", "\n")
        assert_one_line(p11conform("check", SHARED_OBJECT, option, file), 2, file, "empty")


def test_absurdly_many_workers_are_refused() -> None:
    assert_one_line(p11conform("check", "softhsm2", "--jobs", "5000"), 2, "--jobs 5000", "at most 64")


@pytest.mark.parametrize(
    ("args", "holds"),
    [
        (("--jobs", "2"), "name 2 by --token-label"),
        (("--jobs", "2", "--token-label", "a"), "1 can be had"),
        (("--token-label", "a", "--token-label", "b"), "give --jobs 2"),
        (("--jobs", "2", "--slot", "1", "--slot", "1"), "named twice"),
        (("--jobs", "2", "--slot", "1", "--slot", "2", "--token-label", "a"), "all by the one or all by the other"),
    ],
)
def test_workers_want_tokens_of_their_own(args: tuple[str, ...], holds: str) -> None:
    assert_one_line(p11conform("check", SHARED_OBJECT, *args), 2, holds)


def test_a_profile_and_a_replay_are_of_one_token(tmp_path: Path) -> None:
    two = ("--token-label", "a", "--token-label", "b")
    assert_one_line(p11conform("profile", SHARED_OBJECT, *two), 2, "name one")
    report = written(tmp_path, "report.json", REPORT)
    assert_one_line(p11conform("replay", report, "--module", SHARED_OBJECT, *two), 2, "name one")


def test_replay_goes_on_after_a_trace_that_cannot_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def harmless(*given: Any) -> Any:
        return replace(opened(*given), rights=Rights(Level.SESSION_OBJECTS))

    monkeypatch.setattr(replay, "opened", harmless)
    writes = {"function": "C_InitToken", "arguments": {}, "observed": "CKR_OK"}
    cannot = FINDING | {"id": "F-00000002", "trace": [writes]}
    result = p11conform("replay", written(tmp_path, "report.json", REPORT | {"findings": [cannot, FINDING]}))
    assert result.exit_code == 2
    assert result.stdout.splitlines()[0].startswith("F-00000002: cannot be run here: C_InitToken")
    assert "F-00000001: does not fail" in result.stdout


@pytest.mark.parametrize("text", ["[" * 100_000, b"\xff\xfe{"])
def test_files_that_no_reader_likes_are_refused(tmp_path: Path, text: str | bytes) -> None:
    file = tmp_path / "odd.json"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    assert_one_line(p11conform("diff", str(file), str(file)), 2, "not JSON")
    assert_one_line(p11conform("check", "simulated", "--profile", str(file)), 2, "not JSON")


def test_markup_in_a_report_is_shown_as_it_is(tmp_path: Path) -> None:
    odd = FINDING | {"id": "[/]", "severity": "[/bold]", "observed": "[red]", "function": "[/]"}
    fewer = written(tmp_path, "a.json", REPORT | {"findings": []})
    result = p11conform("diff", fewer, written(tmp_path, "c.json", REPORT | {"findings": [odd]}))
    assert result.exit_code == 1
    assert "new: [/bold] [/] missing error: [/] → [red]" in result.stdout


def test_a_difference_says_what_it_does_not_know(tmp_path: Path) -> None:
    run = {"p11conform": "0.1", "budget": {"seconds": 60.0, "calls": None}, "token": {"label": "a"}}
    short = run | {"budget": {"seconds": 5.0, "calls": None}}
    old = written(tmp_path, "a.json", REPORT | {"run": run})
    new = written(tmp_path, "b.json", REPORT | {"run": short, "findings": [], "coverage": {"pairs": []}})
    result = p11conform("diff", old, new)
    assert result.exit_code == 0
    assert "the runs are not alike" in result.stdout
    assert "seconds: 60, then 5" in result.stdout
    assert "not reached: medium F-00000001" in result.stdout
    assert "gone" not in result.stdout


def test_other_functions_seen_with_a_finding_do_not_change_it(tmp_path: Path) -> None:
    wider = FINDING | {"functions": ["C_Logout", "C_Login"]}
    old, new = written(tmp_path, "a.json", REPORT), written(tmp_path, "b.json", REPORT | {"findings": [wider]})
    assert p11conform("diff", old, new).stdout == "no difference\n"


def test_an_older_report_is_still_compared_and_replayed(tmp_path: Path) -> None:
    old = written(tmp_path, "old.json", REPORT | {"schema": "p11conform.report/1"})
    result = p11conform("diff", old, written(tmp_path, "new.json", REPORT))
    assert result.exit_code == 0
    assert "does not say how it was run" in result.stdout
    assert p11conform("replay", old).exit_code == 0


def test_a_fault_of_ours_is_a_line_and_a_traceback_only_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: object) -> None:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(checking, "opened", faulty)
    assert_one_line(p11conform("check", "simulated"), 70, "a fault of p11conform: ZeroDivisionError: odd")
    for shown in (
        p11conform("--traceback", "check", "simulated"),
        p11conform("check", "simulated", env={TRACEBACK: "1"}),
    ):
        assert shown.exit_code == 70
        assert "Traceback" in shown.stderr


def test_the_manual_page_tells_every_command_and_is_well_formed(tmp_path: Path) -> None:
    page = tmp_path / "p11conform.1"
    assert p11conform("man", "-o", str(page)).exit_code == 0
    text = page.read_text()
    assert text.isascii()
    for name in cli.main.list_commands(Context(cli.main)):
        assert f".SH P11CONFORM {name.upper()}\n" in text
    for option in ("\\-\\-waivers", "\\-\\-fail\\-on", "\\-\\-pin\\-file"):
        assert option in text
    if (groff := shutil.which("groff")) is not None:
        told = subprocess.run([groff, "-man", "-ww", "-Tutf8", "-z", page], capture_output=True, text=True)
        assert (told.returncode, told.stderr) == (0, "")
