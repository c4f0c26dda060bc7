"""Profiles: written, read back, edited, and refused with a line where they are wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from p11conform.cli import main
from p11conform.model.state import NO_LIMIT, Mech, Role
from p11conform.profile import profile_json, read_profile
from p11conform.properties.reports.results import Unreadable
from p11conform.subject import SIMULATED_STATE

SLOTS = SIMULATED_STATE.slots


def edited(tmp_path: Path, **changes: Any) -> Path:
    data = profile_json(SLOTS)
    data["slots"][0] |= changes
    file = tmp_path / "profile.json"
    file.write_text(json.dumps(data))
    return file


def test_a_profile_reads_back_the_same(tmp_path: Path) -> None:
    assert read_profile(edited(tmp_path)) == SLOTS


def test_an_edited_profile_is_what_it_says(tmp_path: Path) -> None:
    first, *rest = read_profile(
        edited(
            tmp_path,
            rng=False,
            session_limit="none",
            rw_session_limit=3,
            user_pin="NULL",
            mechanisms={"AES_CBC": ["WRAP"]},
        )
    )
    assert (first.rng, first.session_limit, first.rw_session_limit, first.user_pin.name) == (False, NO_LIMIT, 3, "NULL")
    assert (first.mechanisms, first.abilities) == ((Mech.AES_CBC,), ((Mech.AES_CBC, Role.WRAP),))
    assert tuple(rest) == SLOTS[1:]


@pytest.mark.parametrize(
    "changes",
    [
        {"rng": 1},
        {"rng": "yes"},
        {"session_limit": -5},
        {"session_limit": True},
        {"session_limit": "many"},
        {"user_pin": "1234"},
        {"login": []},
        {"surprise": 1},
        {"mechanisms": ["AES_CBC"]},
        {"mechanisms": {"AES_XYZ": []}},
        {"mechanisms": {"AES_CBC": ["FLY"]}},
        {"mechanisms": {"AES_CBC": "WRAP"}},
    ],
    ids=str,
)
def test_anything_else_is_refused_in_a_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    file = edited(tmp_path, **changes)
    with pytest.raises(Unreadable) as caught:
        read_profile(file)
    assert str(caught.value).startswith(f"{file}: slot 0: ")
    ran = CliRunner().invoke(main, ["check", "simulated", "--profile", str(file)])
    assert (ran.exit_code, ran.output.count("\n") > 0, "Traceback" in ran.output) == (2, True, False)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "p11conform.profile/1"}', '{"schema": "x", "slots": []}'])
def test_what_is_no_profile_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "profile.json"
    file.write_text(text)
    with pytest.raises(Unreadable):
        read_profile(file)


def test_the_command_writes_what_check_reads(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    assert CliRunner().invoke(main, ["profile", "simulated", "--output", str(file)]).exit_code == 0
    assert read_profile(file) == SLOTS
    shown = CliRunner().invoke(main, ["profile", "simulated"])
    assert json.loads(shown.output) == json.loads(file.read_text())
    nowhere = CliRunner().invoke(main, ["profile", "simulated", "--output", str(tmp_path / "none" / "x.json")])
    assert nowhere.exit_code == 2
