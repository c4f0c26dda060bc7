"""Where reports are written, and in which formats: said by options, tried before the run, written after it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from .exits import Failure, fail
from .files import STDOUT, try_place, write_text
from .properties.reports import render
from .properties.reports.render import json as as_json

JSON: Final = as_json.__name__.rpartition(".")[2]

Command = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Target:
    """A place for a report in a format; `option` is what named it."""

    option: str
    format: str
    path: Path

    def write(self, report: Mapping[str, Any]) -> None:
        """Write the report there, whole or not at all.

        Raises:
            Failure: if it cannot be written.
        """
        write_text(self.option, self.path, render.named(self.format).render(report))


report_option: Callable[[Command], Command] = click.option(
    "--report",
    "reports",
    multiple=True,
    metavar="FORMAT=FILE",
    help=f"Write the report there in a format: {', '.join(render.names())}; repeatable.",
)


def targets(reports: Sequence[str], json_file: Path | None = None) -> tuple[Target, ...]:
    """The places that the options name, JSON first: it is whole, whatever becomes of the others.

    Raises:
        Failure: for a format that there is not, or where two are to go to standard output.
    """
    found = [] if json_file is None else [Target("--json", JSON, json_file)]
    for given in reports:
        format, equals, path = given.partition("=")
        if not (equals and path):
            fail(f"--report {given}: write it as junit=FILE; formats are {', '.join(render.names())}")
        if format not in render.names():
            fail(f"--report {given}: no format is called {format!r}; formats are {', '.join(render.names())}")
        found.append(Target("--report", format, Path(path)))
    if sum(target.path == STDOUT for target in found) > 1:
        fail("only one report can be written to standard output; name files for the others")
    return tuple(sorted(found, key=lambda target: target.format != JSON))


def of_each(places: Sequence[Target], modules: Sequence[str]) -> list[tuple[Target, ...]]:
    """The places for the reports of several modules: what is named is a directory then.

    Raises:
        Failure: if there is no such directory.
    """
    for target in places:
        if not target.path.is_dir():
            fail(
                f"{target.option} {target.path}: there is no such directory, which `all` needs for a report each; "
                "make it"
            )
    return [
        tuple(replace(x, path=x.path / f"{module}{render.named(x.format).SUFFIX}") for x in places)
        for module in modules
    ]


def try_places(places: Sequence[Target]) -> None:
    """See that each report can be written.

    Raises:
        Failure: if one cannot.
    """
    for target in places:
        try_place(target.option, target.path)


def write_all(report: Mapping[str, Any], places: Sequence[Target]) -> Failure | None:
    """Write the report in all its places; the first failure of those that there were. A reader may have gone away."""
    failed: Failure | None = None
    for target in places:
        try:
            with suppress(BrokenPipeError):
                target.write(report)
        except Failure as error:
            failed = failed or error
    return failed
