"""The documents say what is so.

README's console blocks are run, and what they print is compared with what it shows; the rule table is written anew.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from p11conform.adapters.modules import softhsm2
from p11conform.adapters.modules.module import initialize_tokens
from p11conform.commands import codes, tables

ROOT = Path(__file__).parents[1]
LIBRARY = softhsm2.LIBRARIES[0]
"""Where README's module is: on Debian."""

INSTEAD = {
    "./run test": "./run test --version",
    "./run check": "./run check --calls 20000 --seconds 600",
    f"p11conform check {LIBRARY} --token-label mine --pin-file pin.txt": (
        f"p11conform check {LIBRARY} --token-label mine --pin-file pin.txt --calls 5000 --seconds 600"
    ),
}
"""Commands that are run otherwise: this test is part of ./run test, and a check goes on as long as it is let."""


@dataclass(frozen=True)
class Shown:
    """A command that README shows, and its output; none where it shows none."""

    command: str
    output: tuple[str, ...]


def blocks() -> Iterator[tuple[Shown, ...]]:
    """The console blocks of README."""
    for block in re.findall(r"^```console\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.M | re.S):
        parts = re.split(r"^\$ ", block, flags=re.M)[1:]
        lines = (part.splitlines() for part in parts)
        yield tuple(Shown(command, tuple(output)) for command, *output in lines)


BLOCKS = tuple(blocks())

COUNTS = re.compile(
    r"\b\d+(\.\d+)?(?= (calls|sequences|s|functions|codes|states|classes|of \d+ rules|rules|times)\b| \(function| \()"
)
"""Numbers that depend on the clock, and on which sequences the installed Hypothesis draws; findings do not."""


def settled(line: str) -> str:
    return COUNTS.sub("N", line).rstrip()


def matches(seen: list[str], shown: tuple[str, ...]) -> bool:
    """Whether lines are those shown, where a line of three dots stands for any others.

    At the end of a line, after a space, they stand for its rest.
    """
    pattern = "\n".join(
        r"(?:.*\n)*.*" if line == "..." else re.escape(settled(line)).replace(re.escape(" ..."), r"\b.*")
        for line in shown
    )
    return re.fullmatch(pattern, "\n".join(map(settled, seen))) is not None


def test_readme_begins_with_the_two_commands() -> None:
    commands = [shown.command for block in BLOCKS for shown in block]
    assert commands[:2] == ["./run check", "./run test"]
    assert BLOCKS[0][0].output


def test_lines_are_compared_in_full_but_for_what_varies() -> None:
    assert matches(["a: 12 calls in 3 sequences, 0.25 s"], ("a: 7 calls in 8 sequences, 9.0 s",))
    assert matches(["a", "b", "c"], ("a", "...", "c"))
    assert matches(["a b  c"], ("a b ...",))
    assert not matches(["a x  c"], ("a b ...",))
    assert not matches(["a", "2 findings"], ("a", "3 findings"))
    assert not matches(["a", "b"], ("a",))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What README takes for granted: a token 'mine' in SoftHSM, its PIN in a file, and p11conform installed."""
    library = softhsm2.find()
    if library is not None:
        tokens, conf = tmp_path / "tokens", tmp_path / "softhsm2.conf"
        tokens.mkdir()
        conf.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        initialize_tokens(library, {"SOFTHSM2_CONF": str(conf)}, ("mine",), b"so pin of mine", b"pin of mine")
        (tmp_path / "pin.txt").write_text("pin of mine\n")
    return os.environ | {
        "SOFTHSM2_CONF": str(tmp_path / "softhsm2.conf"),
        "PYTHONPATH": str(ROOT / "src"),
        "COLUMNS": "80",
    }


def prepared(command: str) -> list[str]:
    """A command of README as it can be run here, from any directory."""
    program, *arguments = shlex.split(INSTEAD.get(command, command).replace(LIBRARY, softhsm2.find() or LIBRARY))
    match program:
        case "./run":
            if Path(sys.prefix) != ROOT / ".venv":
                pytest.skip("the tests were not started by ./run, which would set up .venv")
            return [str(ROOT / "run"), *arguments]
        case "p11conform":
            return [sys.executable, "-m", "p11conform", *arguments]
        case _:
            pytest.fail(f"README shows a command that is not ours: {command}")


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block[0].command.replace("/", "."))
def test_readme_shows_what_happens(block: tuple[Shown, ...], environment: dict[str, str], tmp_path: Path) -> None:
    if softhsm2.find() is None and any("softhsm" in s.command or s.command == "./run check" for s in block):
        pytest.skip("SoftHSM is not installed")
    for shown in block:
        ran = subprocess.run(prepared(shown.command), cwd=tmp_path, env=environment, capture_output=True, text=True)
        seen = ran.stdout.replace(softhsm2.find() or LIBRARY, LIBRARY).splitlines()
        assert ran.returncode in (0, 1), ran.stderr
        assert "Traceback" not in ran.stderr
        assert not shown.output or matches(seen, shown.output), ran.stdout


PAGES = {"rules.md": tables.command, "codes.md": codes.command}


@pytest.mark.parametrize("name", PAGES)
def test_written_pages_are_up_to_date(name: str) -> None:
    result = CliRunner().invoke(PAGES[name], [str(ROOT / "docs" / name), "--check"])
    assert result.exit_code == 0, result.output


def test_a_page_that_is_out_of_date_is_told_and_written_again(tmp_path: Path) -> None:
    page = tmp_path / "rules.md"
    page.write_text(tables.page().replace("must", "may", 1), "utf-8")
    told = CliRunner().invoke(tables.command, [str(page), "--check"])
    assert told.exit_code == 1
    assert f"{page}: out of date" in told.output
    assert CliRunner().invoke(tables.command, [str(page)]).exit_code == 0
    assert page.read_text("utf-8") == tables.page()
