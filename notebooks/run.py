"""Runs the notebooks beside it, and stores what comes out: `python notebooks/run.py`."""

from copy import deepcopy
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parent


def executed(path: Path) -> NotebookNode:
    """A notebook with what comes out when it runs; without times and versions, which differ from run to run."""
    notebook = nbformat.read(path, as_version=4)
    about = deepcopy(notebook.metadata)
    beside = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, timeout=600, record_timing=False, coalesce_streams=True, resources=beside).execute()
    notebook.metadata = about
    return notebook


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.ipynb")):
        nbformat.write(executed(path), path)
