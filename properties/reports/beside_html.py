"""The page of modules as HTML that needs nothing else: a heat map of modules and functions, and the tables."""

from collections.abc import Sequence
from pathlib import Path

from .beside import CHAPTER_OF, NAMES, OK, Report, cells, faults, title, unreached, ways
from .template import page


def render(reports: Sequence[Report], machine: str) -> str:
    """The whole page; whatever comes from a report is escaped."""
    seen = [{(function, code) for function, code in r["coverage"]["pairs"]} for r in reports]
    functions = [
        (
            name,
            [(sum(f == name for f, _ in pairs), (name, OK) in pairs) for pairs in seen],
        )
        for name in CHAPTER_OF
    ]
    return page(
        Path(__file__).with_name("beside.jinja"),
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
