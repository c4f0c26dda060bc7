"""However a check ends there is a report, the exit code says how it ended, and nothing is left behind."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from p11conform.adapters import private
from p11conform.adapters.base import ModuleUnusable
from p11conform.adapters.modules import softhsm2
from p11conform.adapters.simulated import Simulated
from p11conform.cli import main
from p11conform.exits import Exit
from p11conform.files import write_whole
from p11conform.interrupts import Interrupted, Interrupts
from p11conform.model.oracle import build
from p11conform.model.state import State
from p11conform.model.vocabulary import CKR
from p11conform.properties.reports.results import SHAPE
from p11conform.properties.run.campaign import Budget, How, check
from p11conform.properties.run.driver import Driver

ROOT = Path(__file__).parents[1]
VALIDATOR = Draft202012Validator(json.loads(SHAPE.read_text()))
PATIENCE = 60
"""Seconds after which a check that should have ended counts as hanging."""

BEGUN = "derived"
"""Stands in the first line of progress; the module is under test by then."""


def started(directory: Path, *args: str, env: Mapping[str, str] | None = None, **how: Any) -> subprocess.Popen[str]:
    """A check in a process of its own, its temporary files in a directory that the test looks into afterwards."""
    (directory / "tmp").mkdir(exist_ok=True)
    given = {"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(directory / "tmp")} | dict(env or {})
    command = (sys.executable, "-m", "p11conform", "check", *args)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
    return subprocess.Popen(command, env=os.environ | given, cwd=directory, text=True, **streams)


def report_of(file: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(file.read_text())
    assert [error.message for error in VALIDATOR.iter_errors(report)] == []
    return report


def assert_nothing_left(directory: Path, *expected: str) -> None:
    assert list((directory / "tmp").iterdir()) == []
    assert {path.name for path in directory.iterdir()} == {"tmp", *expected}


def wait_for(running: subprocess.Popen[str], text: str) -> str:
    """What the check printed to standard error until it printed a text."""
    assert running.stderr is not None
    seen = ""
    for line in running.stderr:
        seen += line
        if text in line:
            return seen
    pytest.fail(f"{text!r} was not printed, but {seen!r}")


SIGNALS = {"INT": Exit.INTERRUPT, "TERM": Exit.TERMINATED, "HUP": Exit.HANGUP}


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_in_the_midst_of_the_work_leaves_a_report(tmp_path: Path, name: str) -> None:
    running = started(tmp_path, "simulated", "--json", "report.json")
    wait_for(running, BEGUN)
    running.send_signal(getattr(signal, f"SIG{name}"))
    out, _ = running.communicate(timeout=PATIENCE)
    assert running.returncode == SIGNALS[name]
    report = report_of(tmp_path / "report.json")
    assert report["run"]["ended"] == {"how": How.INTERRUPTED.value, "why": f"SIG{name}"}
    assert report["calls"] > 0
    assert f"NOT FINISHED: the check was interrupted: SIG{name}" in out.splitlines()[1]
    assert "conforms" not in out
    assert_nothing_left(tmp_path, "report.json")


@pytest.mark.module
@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("begun", [False, True], ids=["while the module is made ready", "while it is checked"])
def test_a_signal_while_a_real_module_is_checked_leaves_a_report(tmp_path: Path, name: str, begun: bool) -> None:
    if softhsm2.find() is None:
        pytest.skip("SoftHSM is not installed")
    running = started(tmp_path, "softhsm2", "--json", "report.json")
    if begun:
        wait_for(running, "found:")
    else:
        while not any((tmp_path / "tmp").iterdir()):
            time.sleep(0.001)
    running.send_signal(getattr(signal, f"SIG{name}"))
    _, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == SIGNALS[name], err
    report = report_of(tmp_path / "report.json")
    assert report["run"]["ended"]["how"] == How.INTERRUPTED.value
    assert bool(report["findings"]) is begun
    assert_nothing_left(tmp_path, "report.json")


@pytest.mark.module
def test_a_signal_in_the_midst_of_making_ready_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes between the making of a directory and the moment somebody knows of it."""
    if softhsm2.find() is None:
        pytest.skip("SoftHSM is not installed")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    made = Path.mkdir

    def interrupted(home: Path, mode: int = 0o777, **how: Any) -> None:
        made(home, mode, **how)
        if home.parent == tmp_path / "tmp":
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Path, "mkdir", interrupted)
    result = CliRunner().invoke(main, ["check", "softhsm2", "--json", str(tmp_path / "report.json")])
    assert result.exit_code == Exit.TERMINATED
    assert report_of(tmp_path / "report.json")["run"]["ended"]["why"] == "SIGTERM"
    assert_nothing_left(tmp_path, "report.json")


@pytest.mark.module
def test_what_a_killed_check_left_is_swept_by_the_next(tmp_path: Path) -> None:
    if softhsm2.find() is None:
        pytest.skip("SoftHSM is not installed")
    running = started(tmp_path, "softhsm2")
    wait_for(running, "found:")
    running.kill()
    running.communicate(timeout=PATIENCE)
    assert any((tmp_path / "tmp").iterdir())
    started(tmp_path, "simulated", "--calls", "50").communicate(timeout=PATIENCE)
    assert_nothing_left(tmp_path)


def test_a_directory_in_use_is_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with ExitStack() as stack:
        mine, foreign = private.private_directory("x", stack), tmp_path / "p11conform-notes"
        foreign.mkdir()
        dead = private.private_directory("y", stack)
        (dead / "owner").write_text("1 0")
        assert private.sweep() == (dead,)
        assert {mine, foreign} == set(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == [foreign]


@dataclass(frozen=True)
class End:
    """A way in which what a check writes goes wrong, and what must come of it."""

    code: int
    args: tuple[str, ...] = ("--json", "report.json")
    how: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    report: bool = True
    says: str = ""


def small_files() -> None:
    """No file beyond 1 kB: what a full disk does to a report."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))


ENDS = {
    "all is well": End(0),
    "standard output closed": End(0, how={"stdout": None, "preexec_fn": lambda: os.close(1)}),
    "all streams closed": End(0, how={"preexec_fn": lambda: os.closerange(0, 3)}),
    "standard output full": End(0, how={"stdout": "/dev/full"}, says="No space left"),
    "standard output full, no file": End(2, args=(), how={"stdout": "/dev/full"}, report=False, says="No space left"),
    "ASCII only": End(0, env={"PYTHONIOENCODING": "ascii"}),
    "Latin-1 only": End(0, env={"PYTHONIOENCODING": "latin-1"}),
    "locale C": End(0, env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    "reader gone": End(0, how={"stdout": "gone"}),
    "disk full": End(2, how={"preexec_fn": small_files}, report=False, says="report.json: File too large"),
    "no such directory": End(2, args=("--json", "none/report.json"), report=False, says="there is no directory none"),
    "a device that is full": End(2, args=("--json", "/dev/full"), report=False, says="/dev/full: No space left"),
}


def stream(name: object) -> Any:
    """A standard output as a table names it."""
    if name == "gone":
        ours, theirs = os.pipe()
        os.close(ours)
        return theirs
    return os.open(name, os.O_WRONLY) if isinstance(name, str) else name


@pytest.mark.parametrize("name", ENDS)
def test_whatever_becomes_of_the_output_the_end_is_clean(tmp_path: Path, name: str) -> None:
    end = ENDS[name]
    how = {key: stream(value) if key == "stdout" else value for key, value in end.how.items()}
    running = started(tmp_path, "simulated", "--calls", "300", *end.args, env=end.env, **how)
    out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == end.code, err
    assert "Traceback" not in err
    assert end.says in err
    assert end.how or end.code or "no findings" in out
    if end.report:
        assert report_of(tmp_path / "report.json")["calls"] >= 300
    assert_nothing_left(tmp_path, *["report.json"] * end.report)


def test_the_report_on_standard_output_is_nothing_but_json(tmp_path: Path) -> None:
    running = started(tmp_path, "simulated", "--calls", "300", "--json", "-")
    out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0
    assert [error.message for error in VALIDATOR.iter_errors(json.loads(out))] == []
    assert "no findings" in err
    assert_nothing_left(tmp_path)


def test_a_file_that_cannot_be_written_whole_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "report.json"
    file.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, "new")
    assert [(path, path.read_text()) for path in tmp_path.iterdir()] == [(file, "old")]


@pytest.fixture
def sent() -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_is_raised_or_remembered(sent: Callable[[], None]) -> None:
    interrupts = Interrupts()
    with interrupts, pytest.raises(Interrupted, match="SIGTERM"):
        sent()
    with interrupts:
        interrupts.defer()
        assert interrupts.name is None
        sent()
        assert interrupts.name == "SIGTERM"


def test_a_second_signal_ends_at_once() -> None:
    program = (
        "import os, signal\nfrom p11conform.interrupts import ASKED\n"
        "with ASKED:\n ASKED.defer()\n os.kill(os.getpid(), 15)\n os.kill(os.getpid(), 2)\n print('went on')"
    )
    ran = subprocess.run(
        (sys.executable, "-c", program),
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout) == (Exit.INTERRUPT, "")


@pytest.mark.parametrize(
    ("error", "how", "code", "says"),
    [
        (ModuleUnusable("mine.so: gone for good"), How.GONE, Exit.UNUSABLE, "p11conform: mine.so: gone for good"),
        (KeyError("odd"), How.FAULT, Exit.FAULT, "p11conform: a fault of p11conform: KeyError: 'odd'"),
    ],
)
def test_what_was_found_before_the_module_went_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, how: How, code: Exit, says: str
) -> None:
    rounds, file = Driver.begin, tmp_path / "report.json"
    begun: list[int] = []

    def fails_later(self: Driver) -> None:
        begun.append(1)
        if len(begun) > 40:
            raise error
        rounds(self)

    monkeypatch.setattr(Driver, "begin", fails_later)
    result = CliRunner().invoke(main, ["check", "simulated", "--json", str(file)])
    assert result.exit_code == code
    assert says in result.stderr
    assert "Traceback" not in result.output
    report = report_of(file)
    assert report["run"]["ended"]["how"] == how.value
    assert report["calls"] > 0


def test_a_failure_that_takes_long_to_look_into_does_not_make_the_check_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every replay takes a second of a clock of ours, and the budget is six."""
    model = build()
    logout = next(r for r in model.functions["C_Logout"].rules if r.code is CKR.USER_NOT_LOGGED_IN)
    clock = [0.0]
    replay = Driver.replay

    def slow(self: Driver, calls: Any) -> Any:
        clock[0] += 1.0
        return replay(self, calls)

    monkeypatch.setattr(Driver, "replay", slow)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    target = Simulated(model.without("C_Logout", logout), State())
    results = check(model, State(), target, budget=Budget(sequences=5, length=8, seconds=6))
    assert 6 <= clock[0] <= 7
    assert results.ended.how is How.SPENT
