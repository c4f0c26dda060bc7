"""The page of modules as HTML that needs nothing else: a heat map of modules and functions, and the tables."""

from collections.abc import Sequence
from pathlib import Path

import jinja2

from .beside import CHAPTER_OF, NAMES, OK, Report, cells, faults, title, unreached, ways


def render(reports: Sequence[Report], machine: str) -> str:
    """The whole page; whatever comes from a report is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    seen = [{(function, code) for function, code in r["coverage"]["pairs"]} for r in reports]
    functions = [
        (
            name,
            [(sum(f == name for f, _ in pairs), (name, OK) in pairs) for pairs in seen],
        )
        for name in CHAPTER_OF
    ]
    page = environment.get_template("beside.jinja").render(
        reports=reports,
        titles=[title(r) for r in reports],
        chapters=NAMES,
        cells=[cells(r) for r in reports],
        functions=functions,
        most=max((n for _, row in functions for n, _ in row), default=0) or 1,
        faults=faults(reports),
        ways=ways(reports),
        unreached=unreached(reports),
        machine=machine,
    )
    # A lone surrogate is no reason to have no page.
    return page.encode("utf-8", "replace").decode() + "\n"
