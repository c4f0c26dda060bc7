"""Findings that are let pass: a file with reasons and days, written by one command and read by another."""

import json
from contextlib import suppress
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner, Result

from p11conform.cli import main
from p11conform.exits import Exit
from p11conform.properties.reports.results import Unreadable
from p11conform.properties.reports.waivers import Waiver, read_waivers, weigh, written

DAY = date(2027, 1, 31)
REASON = 'we know; "SoftHSM" does so too\\'


def p11conform(*args: object) -> Result:
    return CliRunner().invoke(main, [str(x) for x in args])


def test_what_is_written_is_read(report: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "waivers.toml"
    file.write_text(written(report, REASON, DAY))
    assert read_waivers(file) == tuple(Waiver(f["id"], REASON, DAY) for f in report["findings"])
    assert "missing error: C_Logout → CKR_OK" in file.read_text()


def test_waivers_hold_until_their_day_and_are_told(report: dict[str, Any]) -> None:
    (finding, *_) = report["findings"]
    known, other = Waiver(finding["id"], "known", DAY), Waiver("F-00000000", "gone", DAY)
    weighed = weigh((known, other), report, DAY)
    assert (weighed.holding, weighed.expired, weighed.unused) == ((known,), (), (other,))
    assert weighed.ids == {finding["id"]}
    later = weigh((known,), report, DAY.replace(month=2, day=1))
    assert (later.holding, later.expired, later.ids) == ((), (known,), frozenset())
    assert [line.split(":")[0] for x in (weighed, later) for line in x.lines()] == [
        "waived until 2027-01-31",
        "waiver unused, as nothing like it was found",
        "waiver expired on 2027-01-31, and counts no more",
    ]


def test_the_command_writes_them(report: dict[str, Any], tmp_path: Path) -> None:
    saved, file = tmp_path / "report.json", tmp_path / "waivers.toml"
    saved.write_text(json.dumps(report))
    assert p11conform("waivers", saved, "--until", "2030-05-01", "-o", file).exit_code == 0
    assert {x.until for x in read_waivers(file)} == {date(2030, 5, 1)}
    assert p11conform("waivers", saved, "--reason", " ").exit_code == Exit.USAGE


def test_a_check_with_waivers_tells_of_them(tmp_path: Path) -> None:
    file = tmp_path / "waivers.toml"
    file.write_text('[[waiver]]\nid = "R-00000000"\nreason = "x"\nuntil = 2099-01-01\n')
    ran = p11conform("check", "simulated", "--calls", 1, "--waivers", file)
    assert ran.exit_code == Exit.CONFORMS, ran.output
    assert "waiver unused, as nothing like it was found: R-00000000: x" in ran.stderr


GOOD = '[[waiver]]\nid = "F-00000001"\nreason = "known"\nuntil = 2027-01-31\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[waiver", "not TOML"),
        ("[" * 5000, "not TOML"),
        ("x = " + "[" * 5000, "not TOML"),
        ("\x00", "not TOML"),
        ("waiver = 1", "something else than [[waiver]]"),
        ("waiver = [1]", "waiver 1: it has id, reason, until"),
        (GOOD + "[other]\n", "something else than [[waiver]]"),
        (GOOD.replace("F-00000001", "F-1"), "id is that of a finding"),
        (GOOD.replace('"F-00000001"', "7"), "id is that of a finding"),
        (GOOD.replace("known", " "), "reason says"),
        (GOOD.replace("2027-01-31", '"soon"'), "until is a date"),
        (GOOD.replace("2027-01-31", "2027-01-31T10:00:00"), "until is a date"),
        (GOOD.replace("2027-01-31", "2027-02-31"), "not TOML"),
        (GOOD + "severity = 1\n", "and nothing else"),
        (GOOD + GOOD, "is waived twice"),
    ],
)
def test_what_is_no_file_of_waivers_is_told_in_a_line_before_the_run(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "waivers.toml"
    file.write_text(text)
    ran = p11conform("check", "simulated", "--waivers", file)
    assert (ran.exit_code, ran.stdout) == (Exit.USAGE, "")
    (line,) = ran.stderr.splitlines()
    assert says in line


def test_a_damaged_file_is_read_or_refused(tmp_path: Path) -> None:
    random, file = Random(5), tmp_path / "waivers.toml"
    for _ in range(300):
        letters = list(GOOD * 2)
        for _ in range(random.randrange(1, 4)):
            letters[random.randrange(len(letters))] = random.choice('\x00"[]=\n\\é7#.')
        file.write_text("".join(letters))
        with suppress(Unreadable):
            read_waivers(file)


def test_other_files_are_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.toml"
    with large.open("wb") as file:
        file.truncate(100_000_000)
    for path in (tmp_path / "none.toml", tmp_path, large):
        with pytest.raises(Unreadable, match=r"No such file|Is a directory|more than 1 MB"):
            read_waivers(path)
    odd = tmp_path / "odd.toml"
    odd.write_bytes(b"\xff\xfe")
    with pytest.raises(Unreadable, match="not TOML"):
        read_waivers(odd)
