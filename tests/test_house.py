"""The rules of the house that no linter knows: which room may see which, and what no file may hold."""

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from math import inf
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FRONT = "front door"
MAY_SEE = {
    "model": {"model"},
    "properties": {"properties", "model"},
    "adapters": {"adapters", "model"},
    FRONT: {FRONT, "model", "properties", "adapters"},
}
"""The arrows: properties → model ← adapters, and only the front door sees all three."""

STANDARD_ONLY = "model"
"""The room that runs on the standard library alone."""


def sources() -> Iterator[tuple[str, Path]]:
    """Every file of the package with its room."""
    package = ROOT / "src" / "p11conform"
    front = [*package.glob("*.py"), *(package / "commands").glob("*.py")]
    for room in MAY_SEE:
        here = front if room == FRONT else (ROOT / room).rglob("*.py")
        yield from ((room, path) for path in sorted(here))


SOURCES = tuple(sources())


def package(room: str, path: Path) -> tuple[str, ...]:
    """The package that a file's relative imports start from."""
    inside = path.parent.relative_to(ROOT / "src" / "p11conform" if room == FRONT else ROOT).parts
    return ("p11conform", *inside)


def imports(text: str, inside: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The full names of everything that a source imports, in whatever function it does so."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = inside[: len(inside) - node.level + 1] if node.level else ()
            name = (*above, *(node.module.split(".") if node.module else ()))
            yield from ((*name, alias.name) for alias in node.names)


def trespasses(room: str, text: str, inside: tuple[str, ...]) -> Iterator[str]:
    """What a source imports that its room may not see."""
    for name in imports(text, inside):
        if name[0] == "p11conform":
            seen = name[1] if len(name) > 1 and name[1] in MAY_SEE else FRONT
            allowed = seen in MAY_SEE[room]
        else:
            allowed = room != STANDARD_ONLY or name[0] in sys.stdlib_module_names
        if not allowed:
            yield ".".join(name)


@pytest.mark.parametrize(("room", "path"), SOURCES, ids=lambda x: x.stem if isinstance(x, Path) else x)
def test_a_room_sees_only_what_it_may(room: str, path: Path) -> None:
    assert list(trespasses(room, path.read_text(encoding="utf-8"), package(room, path))) == []


@pytest.mark.parametrize(
    ("room", "inside", "text"),
    [
        ("model", ("p11conform", "model"), "import z3"),
        ("model", ("p11conform", "model"), "from ..properties import lift"),
        ("properties", ("p11conform", "properties"), "def f():\n    from ..adapters.raw import Raw"),
        ("properties", ("p11conform", "properties"), "from .. import adapters"),
        ("adapters", ("p11conform", "adapters", "modules"), "from ...properties.verdict import judge"),
        ("adapters", ("p11conform", "adapters"), "import p11conform.properties.engine.verdict"),
        ("adapters", ("p11conform", "adapters"), "from ..cli import main"),
    ],
)
def test_a_trespass_is_seen(room: str, inside: tuple[str, ...], text: str) -> None:
    assert list(trespasses(room, text, inside))


def test_no_import_of_the_adapters_leads_back_to_where_it_began() -> None:
    """Nor one that is for the type checker alone."""
    files = {(*package("adapters", path), path.stem): path for room, path in SOURCES if room == "adapters"}
    graph = {
        name: {
            part
            for imported in imports(path.read_text(encoding="utf-8"), name[:-1])
            for part in (imported, imported[:-1])
            if part in files
        }
        for name, path in files.items()
    }
    assert len(graph) > 20
    assert len(tuple(TopologicalSorter(graph).static_order())) == len(graph)


def test_every_room_has_files() -> None:
    assert {room for room, _ in SOURCES} == set(MAY_SEE)


def test_no_file_is_a_bag() -> None:
    bags = {"utils", "util", "helpers", "misc"}
    assert [str(path) for _, path in SOURCES if path.stem in bags] == []


CHAPTERS = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "model" / "chapters").glob("*.py"))}
NEAR = 40
"""Lines that a row is away from its condition, in the median: they are on the screen together."""


def made_by(node: ast.FunctionDef) -> str:
    return ast.unparse(node.returns) if node.returns else ""


def is_condition(node: ast.FunctionDef) -> bool:
    """Whether a function is a condition of a row, or makes one."""
    of_a_call = [a.arg for a in node.args.args] == ["s", "a"] and made_by(node) == "bool"
    return of_a_call or made_by(node) == "Condition"


def functions(text: str) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))


MAKERS = {"Rule"} | {node.name for text in CHAPTERS.values() for node in functions(text) if "Rule" in made_by(node)}
"""What makes rows: the class, and functions that return some."""


def distances(text: str, conditions: set[str]) -> Iterator[float]:
    """How many lines each row of a chapter is away from its condition; infinitely many where another file has it.

    A row that is handed its condition is not counted, but the place is where it is handed over.
    """
    here = {node.name: node.lineno for node in functions(text) if is_condition(node)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MAKERS:
            for given in (*node.args, *(word.value for word in node.keywords)):
                name = given.func if isinstance(given, ast.Call) else given
                if isinstance(name, ast.Name) and name.id in conditions | {*here}:
                    yield abs(node.lineno - here.get(name.id, inf))


def test_rows_stand_beside_their_conditions() -> None:
    """A condition that several chapters share counts as infinitely far from every row of another file."""
    conditions = {node.name for text in CHAPTERS.values() for node in functions(text) if is_condition(node)}
    found = [away for text in CHAPTERS.values() for away in distances(text, conditions)]
    assert len(found) > 200
    assert statistics.median(found) <= NEAR


def test_a_row_that_is_far_from_its_condition_is_seen() -> None:
    condition = "def gone(s: State, a: Args) -> bool:\n    return True\n"
    text = (
        condition
        + "\n" * NEAR
        + 'ROWS = (Rule("gone", CKR.OK, gone), Rule("there", CKR.OK, there), Rule("x", CKR.OK, when))'
    )
    assert list(distances(text, {"there"})) == [NEAR + 2, inf]


BY_HAND = {
    "model/precedence.py _PIN_SETTING": "which functions a relation is of is a fact of the relation",
    "model/precedence.py _SELF_TESTING": "which functions a relation is of is a fact of the relation",
    "properties/search/goals.py _USE": "a way, call after call",
    **dict.fromkeys(
        (
            f"properties/search/graph.py {name}"
            for name in ("_LIBRARY", "_OPENING", "_LOGIN", "_LOOKING", "_STATES", "SCOPES")
        ),
        "a scope is a choice of functions, and what it comes to is pinned",
    ),
    "adapters/honest.py": "a practice is one of the functions that it names",
}
"""Names of functions that stand together in the code for a reason; all else is derived from the records."""


def by_hand(text: str) -> Iterator[str]:
    """What in a source lists names of functions, by the name that is defined there.

    What holds something of our own for each function is no list but its record.
    """
    for top in ast.parse(text).body:
        lists = (
            [x.value for x in node.patterns if isinstance(x, ast.MatchValue)]
            if isinstance(node, ast.MatchOr)
            else node.elts
            for node in ast.walk(top)
            if isinstance(node, ast.Set | ast.Tuple | ast.List | ast.MatchOr)
        )
        if any(sum(_is_function(member) for member in members) > 1 for members in lists):
            yield _defined(top)


def _defined(node: ast.stmt) -> str:
    """The name that a statement defines."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return name
    return ast.unparse(node)


def _is_function(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("C_")


def test_no_names_of_functions_are_kept_by_hand() -> None:
    found = {
        name if (name := str(path.relative_to(ROOT))) in BY_HAND else f"{name} {what}"
        for _, path in SOURCES
        for what in by_hand(path.read_text(encoding="utf-8"))
    }
    assert found == {*BY_HAND}, "derive it from effects, signatures, roles or chapters"


@pytest.mark.parametrize(
    "text",
    [
        'A = frozenset({"C_Sign", "C_Verify"})',
        'A: Final = ("C_Sign", "C_Verify")',
        'def A(name):\n    return name in ("C_Sign", "C_Verify")',
        'def A(name):\n    match name:\n        case "C_Sign" | "C_Verify":\n            pass',
    ],
)
def test_names_that_are_kept_by_hand_are_seen(text: str) -> None:
    assert list(by_hand(text)) == ["A"]


PERSONAL = re.compile(r"(?<![\w./*…-])/(?:home|root|Users|work|tmp)/\w")
"""A path of one person's machine; those that a distribution or the system lays down are everybody's."""


@pytest.mark.parametrize("text", ["cd /home/me", "'/Users/me/x'", "(/root/x)"])
def test_a_personal_path_is_seen(text: str) -> None:
    assert PERSONAL.search(text)


def tracked() -> list[Path]:
    """What git holds, or would hold if all were added."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_tracked_file_names_a_path_of_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {line}"
        for path in tracked()
        if path.is_file() and path != Path(__file__)
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if PERSONAL.search(line)
    ]
    assert found == []
