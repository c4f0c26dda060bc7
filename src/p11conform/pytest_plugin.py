"""A plugin for pytest: the rows of the rules as test cases, by chapter and function, from one check of a module.

The check is made once, when the first case wants it, in a process of its own; workers of xdist share it. A case fails
where a finding goes against its row, passes where the module was seen to answer by it, and is skipped where the check
does not say. What a waiver lets pass is an expected failure. PINs are taken from the environment, as by `check`.
"""

import fcntl
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Final

import pytest

from .exits import Exit
from .model.oracle import build
from .model.table import CHAPTERS
from .model.vocabulary import Version
from .options import SPECS
from .properties.reports.phrases import steps
from .properties.reports.results import Unreadable, load
from .properties.reports.rows import Case, cases, model_of, row_name
from .properties.reports.waivers import read_waivers, weigh

MARK: Final = "p11conform"
"""The mark of all cases, for `-m`; chapter, function and code are words for `-k`."""

BESIDE: Final = "nothing else is wrong"
"""The name of a function's case for failures that go against no row of it."""

_CHECKED: Final = pytest.StashKey["_Checked"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, all of which begin alike."""
    group = parser.getgroup("p11conform", "PKCS#11 conformance")
    group.addoption("--p11conform-module", metavar="NAME_OR_PATH", help="Check this PKCS#11 module.")
    group.addoption("--p11conform-spec", choices=SPECS, default="2.40", help="Version to hold to. [2.40]")
    group.addoption("--p11conform-seconds", type=float, default=60.0, help="How long to check it. [60]")
    group.addoption("--p11conform-waivers", metavar="FILE", help="Findings that are expected, as for check --waivers.")
    group.addoption("--p11conform-report", metavar="FILE", help="Keep the report there, as JSON.")
    group.addoption("--p11conform-args", default="", help="More options of the command check, in one argument.")


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, and see that the waivers can be read before anything is begun."""
    config.addinivalue_line("markers", f"{MARK}: a row of the rules of PKCS#11")
    if config.getoption("--p11conform-module"):
        try:
            config.stash[_CHECKED] = _Checked(config)
        except Unreadable as error:
            raise pytest.UsageError(f"--p11conform-waivers: {error}") from None


def pytest_report_header(config: pytest.Config) -> str | None:
    """What is checked."""
    module = config.getoption("--p11conform-module")
    return f"p11conform: {module} against PKCS#11 {config.getoption('--p11conform-spec')}" if module else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the cases, before others choose among them."""
    checked = config.stash.get(_CHECKED, None)
    if checked is not None:
        items.extend(_collected(session, checked))


def _collected(session: pytest.Session, checked: "_Checked") -> Iterator[pytest.Item]:
    top = _Group.from_parent(session, name=MARK, nodeid=MARK)
    model = build(Version(checked.spec))
    for chapter in CHAPTERS:
        word = chapter.__name__.rpartition(".")[2]
        own = _Group.from_parent(top, name=word)
        for f in chapter.FUNCTIONS:
            if f.name not in model.functions:
                continue
            group = _Group.from_parent(own, name=f.name)
            for rule in model.functions[f.name].rules:
                yield _Row.of(group, row_name(rule), checked, (word, f.name, str(rule.code), rule.id))
            yield _Row.of(group, BESIDE, checked, (word, f.name))


class _Group(pytest.Collector):
    """A chapter, or a function."""

    def collect(self) -> list[pytest.Item]:
        """Nothing: the cases are made with it."""
        return []


class _Failing(Exception):
    """A case fails: the findings against it."""

    def __init__(self, findings: tuple[Mapping[str, Any], ...]) -> None:
        super().__init__(", ".join(f["id"] for f in findings))
        self.findings = findings


class _Row(pytest.Item):
    """The case of a row, or of what goes against no row of a function."""

    checked: "_Checked"
    owner: str
    """The function that it is about."""

    @classmethod
    def of(cls, parent: _Group, name: str, checked: "_Checked", words: tuple[str, ...]) -> "_Row":
        """The case of a row."""
        made: _Row = cls.from_parent(parent, name=name)
        made.checked, made.owner = checked, words[1]
        made.add_marker(MARK)
        made.extra_keyword_matches.update(words)
        return made

    def runtest(self) -> None:
        """See what the check says of it."""
        case = self.checked.case(self.owner, self.name)
        left = tuple(f for f in case.failures if f["id"] not in self.checked.waived)
        if left:
            raise _Failing(left)
        if case.failures:
            pytest.xfail("; ".join(self.checked.waived[f["id"]] for f in case.failures))
        if case.skipped:
            pytest.skip(case.skipped)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **more: Any) -> Any:
        """The findings with their traces; of anything else what pytest makes of it."""
        if not isinstance(excinfo.value, _Failing):
            return super().repr_failure(excinfo, *args, **more)
        return "\n\n".join("\n".join(_told(finding)) for finding in excinfo.value.findings)

    def reportinfo(self) -> tuple[str, None, str]:
        """Where it stands, which is no file."""
        return MARK, None, f"{self.owner}: {self.name}"


def _told(finding: Mapping[str, Any]) -> Iterator[str]:
    yield f"{finding['severity']} {finding['id']} {finding['kind']}"
    yield finding["text"]
    yield f"permitted: {', '.join(finding['permitted']) or 'nothing'}"
    yield from (f"{n}. {call} → {seen}" for n, (call, seen) in enumerate(steps(finding), 1))


class _Checked:
    """The check that all cases are about, made when it is first wanted."""

    def __init__(self, config: pytest.Config) -> None:
        option = config.getoption
        self.spec: str = option("--p11conform-spec")
        self._module: str = option("--p11conform-module")
        self._seconds: float = option("--p11conform-seconds")
        self._more = shlex.split(option("--p11conform-args"))
        self._kept = option("--p11conform-report")
        waivers = option("--p11conform-waivers")
        self._waivers = read_waivers(Path(waivers)) if waivers else ()

    @cached_property
    def report(self) -> Mapping[str, Any]:
        """The report; of workers that share it the first one makes it, and the others wait."""
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
        place = Path(self._kept) if self._kept else Path(gettempdir()) / f"p11conform-{os.getuid()}-{run}.json"
        mark = Path(gettempdir()) / f"p11conform-{os.getuid()}-{run}.lock"
        with mark.open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.seek(0)
            if not lock.read():
                self._check(place)
                lock.write("checked")
        return load(place)

    def _check(self, place: Path) -> None:
        budget = ("--seconds", str(self._seconds), "--spec", self.spec)
        command = (
            sys.executable,
            "-m",
            "p11conform",
            "check",
            self._module,
            *budget,
            "--json",
            str(place),
            *self._more,
        )
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in (Exit.CONFORMS, Exit.FINDINGS):
            pytest.exit((done.stderr.strip().splitlines() or ["p11conform: no check was made"])[-1], done.returncode)

    @cached_property
    def _cases(self) -> Mapping[str, Mapping[str, Case]]:
        model = model_of(self.report)
        return {name: {case.name: case for case in cases(model, name, self.report)} for name in model.functions}

    @cached_property
    def waived(self) -> Mapping[str, str]:
        """Findings that are let pass, each with the reason."""
        held = weigh(self._waivers, self.report, datetime.now(UTC).date()).holding
        return {waiver.id: f"waived until {waiver.until}: {waiver.reason}" for waiver in held}

    def case(self, function: str, name: str) -> Case:
        """What the check says of a row of a function, or of all that is none of its rows."""
        own = self._cases[function]
        if name != BESIDE:
            return own[name]
        rows = {row_name(rule) for rule in model_of(self.report).functions[function].rules}
        return Case(name, tuple(f for case in own.values() if case.name not in rows for f in case.failures))
