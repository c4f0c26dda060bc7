"""The notebooks run, and what is stored in them is what comes out."""

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

import p11conform
from p11conform.adapters.modules import softhsm2

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 300_000
"""Bytes of a notebook: what a reader loads and git keeps."""

RUN_AGAIN = "where the difference is right, python notebooks/run.py stores it"

PICTURE = "image/png"
COMPARED = ("text/markdown", "text/plain")
ABSOLUTE = re.compile(r"(?<![\w.…])/\w[\w.-]*/\w")

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    return notebook


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def said(cell: NotebookNode) -> Iterator[str]:
    """What a cell says: all that it prints, then each text that it displays; a picture only as such."""
    streams = [output for output in cell.outputs if output.output_type == "stream"]
    assert {output.name for output in streams} <= {"stdout"}
    yield "".join(output.text for output in streams)
    for output in cell.outputs:
        if output in streams:
            continue
        if PICTURE in output.data:
            yield PICTURE
        else:
            yield from (output.data[kind] for kind in COMPARED if kind in output.data)


def shown(notebook: NotebookNode) -> dict[str, str]:
    """What each cell says, by the id of the cell."""
    return {cell.id: "\n".join(said(cell)) for cell in code_cells(notebook)}


def private(source: str) -> list[str]:
    """The names with a leading underscore that a cell takes from elsewhere."""
    nodes = list(ast.walk(ast.parse(source)))
    imported = [alias.name for n in nodes if isinstance(n, ast.Import | ast.ImportFrom) for alias in n.names]
    imported += [n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module]
    reached = [n.attr for n in nodes if isinstance(n, ast.Attribute)]
    parts = [part for name in (*imported, *reached) for part in name.split(".")]
    return [x for x in parts if x.startswith("_") and not x.endswith("__")]


def outside(source: str) -> list[str]:
    """What a cell imports that is not the public interface."""
    nodes = list(ast.walk(ast.parse(source)))
    found = [alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names if alias.name != "p11conform"]
    found += [n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)]
    public = dir(p11conform)
    return found + [
        n.attr
        for n in nodes
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "p11conform"
        if n.attr not in public
    ]


def test_there_are_five() -> None:
    assert [path.stem[0] for path in NOTEBOOKS] == list("12345")


@every_notebook
def test_it_runs_and_shows_what_is_stored(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "softhsm2" in path.read_text("utf-8") and softhsm2.find() is None:
        pytest.skip("SoftHSM is not installed")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    executed = runpy.run_path(str(FOLDER / "run.py"))["executed"]
    assert shown(executed(path)) == shown(read(path)), RUN_AGAIN


@every_notebook
def test_it_is_stored_as_it_ran(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1)), RUN_AGAIN
    assert path.stat().st_size <= LARGEST


@every_notebook
def test_its_cells_have_names(path: Path) -> None:
    ids = [cell.id for cell in read(path).cells]
    assert len(set(ids)) == len(ids)
    assert [x for x in ids if re.fullmatch(r"[0-9a-f-]{8,}", x)] == []


@every_notebook
def test_it_shows_no_path_of_a_machine(path: Path) -> None:
    assert [text for text in shown(read(path)).values() if ABSOLUTE.search(text)] == []


@every_notebook
def test_it_uses_the_public_interface_alone(path: Path) -> None:
    sources = [cell.source for cell in code_cells(read(path))]
    assert [name for source in sources for name in (*private(source), *outside(source))] == []


@every_notebook
def test_its_links_lead_somewhere(path: Path) -> None:
    text = "".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)#]+)", text)
    assert links
    assert [x for x in links if not (FOLDER / x).is_file()] == []


@pytest.mark.parametrize("text", ["/opt/x", "in /var/lib/y", '"/etc/z"', "(/srv/a.py)"])
def test_a_path_is_seen(text: str) -> None:
    assert ABSOLUTE.search(text)


@pytest.mark.parametrize("text", ["from m import _a", "import m._a", "from m._a import b", "m._a()"])
def test_a_private_name_is_no_part_of_the_interface(text: str) -> None:
    assert private(text) == ["_a"]


@pytest.mark.parametrize(
    "text", ["import matplotlib", "from p11conform import model", "import p11conform.model", "p11conform.engine()"]
)
def test_what_is_no_part_of_the_interface_is_seen(text: str) -> None:
    assert outside(text)
