"""Files that are no reports, baselines, waivers, profiles or traces: one line says so, and the exit code is 2."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from conftest import INIT, LOGOUT, ONE_SLOT, OPEN
from hypothesis import given, settings
from hypothesis import strategies as st

from p11conform.adapters.logs import trace
from p11conform.cli import main
from p11conform.exits import Exit
from p11conform.model.call import Observation
from p11conform.model.oracle import build
from p11conform.profile import profile_json, read_profile
from p11conform.properties.engine.verdict import believed_after, judge
from p11conform.properties.reports import baseline, waivers
from p11conform.properties.reports.findings import Finding, shown
from p11conform.properties.reports.results import Unreadable, report_json
from p11conform.properties.run.campaign import Results
from p11conform.properties.run.probe import Case
from p11conform.properties.run.reach import Reach
from p11conform.properties.run.tally import Tally
from p11conform.subject import SIMULATED_STATE

MODEL: Final = build()
STEPS: Final = tuple((call, Observation()) for call in (INIT, OPEN, LOGOUT))


def _report() -> dict[str, Any]:
    """A report with one finding."""
    verdict, _ = judge(MODEL, believed_after(MODEL, ONE_SLOT, STEPS[:-1]), *STEPS[-1])
    finding = Finding((shown(MODEL, verdict, STEPS, 3, 0.1, 3),))
    results = Results(MODEL, (finding,), Tally(), 0, 1.0, reach=Reach((), (), (), (), ()))
    made = report_json(results, {"name": "simulated", "adapter": "simulated"})
    rules = made["coverage"]["rules"]
    rules["unfired"] = rules["unfired"][:2]
    return made


REPORT: Final = _report()
FINDING: Final[str] = REPORT["findings"][0]["id"]
CALLS: Final = tuple(call for call, _ in STEPS)
BASELINE: Final = baseline.Baseline(
    {"module": "x", "spec": "2.40", "p11conform": "0.1.0"}, {}, (), (Case(CALLS, 2, ("CKR_OK",) * 3, True),)
)
FILE: Final = "FILE"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: one that is right, what names its version there, and the commands that read it."""

    good: bytes
    version: bytes
    commands: tuple[tuple[str, ...], ...]


KINDS: Final[Mapping[str, Kind]] = {
    "report": Kind(
        json.dumps(REPORT).encode(),
        b"p11conform.report/2",
        (
            ("show", FILE),
            *(("show", FILE, "--as", format) for format in ("html", "junit", "sarif", "markdown")),
            ("reproduce", FILE, FINDING),
            ("replay", FILE),
            ("waivers", FILE),
            ("page", FILE),
            ("diff", FILE, FILE),
        ),
    ),
    "baseline": Kind(
        baseline.written(BASELINE, MODEL, ONE_SLOT).encode(), baseline.TITLE.encode(), (("diff", FILE, FILE),)
    ),
    "waivers": Kind(
        waivers.written(REPORT, "known", date(2030, 1, 1)).encode(),
        b"[[waiver]]",
        (("check", "/nonexistent/module.so", "--waivers", FILE),),
    ),
    "profile": Kind(
        json.dumps(profile_json(SIMULATED_STATE.slots)).encode(),
        b"p11conform.profile/1",
        (("check", "simulated", "--profile", FILE),),
    ),
    "trace": Kind(
        b'{"schema": "p11conform.trace/1"}\n{"function": "C_Finalize", "returned": 400}\n',
        b"p11conform.trace/1",
        (("judge", FILE),),
    ),
}

HUNDRED_MB: Final = 100_000_000


def wrong(kind: Kind) -> Iterator[tuple[str, bytes, int]]:
    """What is wrong with a file, how it begins, and its size where it is larger than that."""
    yield "empty", b"", 0
    yield "not text", b"\xff\xfe\x00" * 100, 0
    yield "markup", b"<html><script>[/]\x1b[31m</html>", 0
    yield "deep", b"[" * 100_000, 0
    yield "deep objects", b'{"schema": ' * 100_000, 0
    yield "cut short", kind.good[: len(kind.good) // 2 + 1], 0
    yield "another version", kind.good.replace(kind.version, kind.version[:-1] + b"9", 1), 0
    yield "100 MB of nothing", b"", HUNDRED_MB
    yield "100 MB behind a good one", kind.good, HUNDRED_MB


WRONG: Final = [(name, *what) for name, kind in KINDS.items() for what in wrong(kind)]


NO_WAIVERS: Final = {("waivers", "empty"), ("waivers", "cut short")}


def run(command: tuple[str, ...], file: Path) -> Result:
    return CliRunner().invoke(main, [str(file) if word == FILE else word for word in command])


def assert_told(result: Result, *codes: int) -> None:
    """It ended as it may, and what it said of the file is one line."""
    assert isinstance(result.exception, SystemExit | None), result.exc_info
    assert result.exit_code in codes, result.output
    if result.exit_code == Exit.USAGE:
        (line,) = result.stderr.splitlines()
        assert line.startswith("p11conform: ")
        assert len(line) < 600
        assert "\x1b" not in line


@pytest.mark.parametrize(("kind", "what", "begins", "size"), WRONG, ids=[f"{x[0]}, {x[1]}" for x in WRONG])
def test_a_file_that_is_none_is_told_in_a_line(kind: str, what: str, begins: bytes, size: int, tmp_path: Path) -> None:
    # The name has no suffix that tells what it should be.
    file = tmp_path / ("it.json" if kind == "report" else "it")
    file.write_bytes(begins if kind != "baseline" or what == "another version" else baseline.TITLE.encode() + begins)
    if size:
        with file.open("r+b") as sparse:
            sparse.truncate(size)
    for command in KINDS[kind].commands:
        result = run(command, file)
        assert result.stdout == ""
        # Nothing waives nothing.
        assert_told(result, Exit.UNUSABLE if (kind, what) in NO_WAIVERS else Exit.USAGE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["/dev/zero", "/nonexistent/file", "/proc/self"])
def test_what_is_no_file_is_told_in_a_line(kind: str, place: str) -> None:
    for command in KINDS[kind].commands:
        result = CliRunner().invoke(main, [place if word == FILE else word for word in command])
        assert_told(result, Exit.USAGE, Exit.UNUSABLE)


ODD: Final[st.SearchStrategy[object]] = st.sampled_from(
    [
        None,
        -1,
        2**70,
        1e400,
        "",
        "[/]",
        "\x1b[2J",
        "</script><b>",
        "\ud800",
        "CKR_ODD",
        "x" * 100_000,
        [],
        {},
        [[[[]]]],
        {"a": {"b": []}},
    ]
)


GONE: Final = "gone"
"""Stands for nothing at all."""


def deep(depth: int) -> object:
    """A list in a list, and so on."""
    made: object = []
    for _ in range(depth):
        made = [made]
    return made


def places(data: object) -> Iterator[tuple[Any, Any]]:
    """Where something stands in a report: in which object or list, and under which name or number."""
    named = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in [*named]:
        yield data, key
        yield from places(value)


REPORT_COMMANDS: Final = [x for x in KINDS["report"].commands if x[0] != "replay"]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    at=st.floats(0, 1, exclude_max=True),
    odd=st.one_of(st.just(GONE), ODD, st.builds(deep, st.sampled_from([50, 400, 900]))),
    command=st.sampled_from(REPORT_COMMANDS),
)
def test_a_report_with_something_odd_in_it_is_taken_or_refused_in_a_line(
    tmp_path_factory: pytest.TempPathFactory, at: float, odd: object, command: tuple[str, ...]
) -> None:
    report = json.loads(json.dumps(REPORT))
    every = list(places(report))
    where, key = every[int(at * len(every))]
    if odd is GONE:
        del where[key]
    else:
        where[key] = odd
    file = tmp_path_factory.mktemp("odd") / "it.json"
    file.write_text(json.dumps(report))
    assert_told(run(command, file), Exit.CONFORMS, Exit.FINDINGS, Exit.USAGE)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(["baseline", "waivers", "profile", "trace"]),
    at=st.floats(0, 1),
    put=st.binary(max_size=8),
    cut=st.integers(0, 30),
)
def test_a_damaged_file_is_read_or_refused_in_a_line(
    tmp_path_factory: pytest.TempPathFactory, kind: str, at: float, put: bytes, cut: int
) -> None:
    good = KINDS[kind].good
    place = int(at * len(good))
    file = tmp_path_factory.mktemp("damaged") / "it"
    file.write_bytes(good[:place] + put + good[place + cut :])
    if kind == "trace":
        assert_told(run(("judge", FILE), file), Exit.CONFORMS, Exit.FINDINGS, Exit.USAGE)
        return
    with suppress(Unreadable):
        READ[kind](file)


READ: Final = {"baseline": baseline.read_baseline, "waivers": waivers.read_waivers, "profile": read_profile}


def test_the_good_ones_are_good(tmp_path: Path) -> None:
    for name, kind in KINDS.items():
        (tmp_path / name).write_bytes(kind.good)
    for name, read in READ.items():
        assert read(tmp_path / name)
    assert trace.recognises(KINDS["trace"].good.decode())
    (tmp_path / "it.json").write_bytes(KINDS["report"].good)
    for command in KINDS["report"].commands[:6]:
        assert run(command, tmp_path / "it.json").exit_code == 0
