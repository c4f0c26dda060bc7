"""The command `graph`: what it prints and writes, and what it says of bad input."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from p11conform.commands.graph import command as graph
from p11conform.properties.search.graph import SCOPES


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(graph, arguments)
    return result.exit_code, result.stdout, result.stderr


def test_the_command_shows_a_scope_and_writes_its_picture(tmp_path: Path) -> None:
    file = tmp_path / "x.dot"
    code, seen, _ = run("logins", "--dot", str(file), "--of", "pins")
    assert code == 0
    assert "296 states" in seen
    assert "transition tour" in seen
    assert "4: CKR_SESSION_READ_WRITE_SO_EXISTS" in seen
    assert file.read_text("utf-8").startswith("digraph")
    assert "user PIN set, user" in file.read_text("utf-8")


def test_a_png_is_drawn_or_what_is_missing_is_said(tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    code, _, error = run("logins", "--png", str(file))
    if find_spec("matplotlib") is None:
        assert code == 2
        assert error.count("\n") == 1
        assert "install matplotlib" in error
    else:
        assert code == 0
        assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "no scope is called 'nowhere'"),
        (("logins", "--of", "colours"), "--of colours: no aspect"),
        (("logins", "--dot", "missing/x.dot"), "there is no directory missing"),
        (("logins", "--png", "missing/x.png"), "there is no directory missing"),
        (("--dot", "x.dot"), "name a scope to draw"),
        (("--check",), "--pin"),
        (("--pin", "missing/x.json"), "there is no directory missing"),
    ],
)
def test_bad_input_is_one_line(arguments: tuple[str, ...], said: str) -> None:
    code, _, error = run(*arguments)
    assert code == 2
    assert error.count("\n") == 1
    assert said in error


def test_pinned_figures_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p11conform.commands.graph.SCOPES", {"logins": SCOPES["logins"]})
    file = tmp_path / "scopes.json"
    assert run("--pin", str(file)) == (0, "", "")
    assert run("--pin", str(file), "--check") == (0, "", "")
    file.write_text(file.read_text("utf-8").replace("296", "297"), "utf-8")
    code, _, error = run("--pin", str(file), "--check")
    assert code == 1
    assert "out of date" in error
    assert error.count("\n") == 1
