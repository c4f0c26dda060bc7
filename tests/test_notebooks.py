"""The notebooks run, and what is stored in them is what comes out."""

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

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


def test_there_are_five() -> None:
    assert [path.stem[0] for path in NOTEBOOKS] == list("12345")


@every_notebook
def test_it_runs_and_shows_what_is_stored(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_it_uses_public_names(path: Path) -> None:
    assert [name for cell in code_cells(read(path)) for name in private(cell.source)] == []


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
def test_a_private_name_is_seen(text: str) -> None:
    assert private(text) == ["_a"]
