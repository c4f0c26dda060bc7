"""The command `lint`: what is wrong with the standard itself, as far as the model can tell."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from ..console import Display, out
from ..files import try_place, write_json
from ..model.interface import COVERED
from ..model.oracle import Model, permitted
from ..model.state import State
from ..options import model_of, readings_option
from ..properties.reports.findings import show_call
from ..properties.text.lint import OF_LISTS, Entry, Kind, Lint, lint
from ..properties.text.overlaps import Meeting
from ..subject import SIMULATED_STATE

NAMED = 4
"""Functions that are named; of more only the number is shown. --json has them all."""


@click.command()
@click.option("--spec", type=click.Choice([str(v) for v in COVERED]), default="2.40", show_default=True)
@readings_option
@click.option("--kind", "kinds", multiple=True, type=click.Choice([k.value for k in Kind]), help="Only these entries.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the entries there.")
def command(spec: str, readings: tuple[str, ...], kinds: tuple[str, ...], json_file: Path | None) -> None:
    """Show where the standard is against itself, and what its lists and rules leave without use.

    What never happens is proved by z3 in a small scope, which takes about a minute. What
    the lists alone tell is there at once: "listed, no row", "row, not listed" and "listed, not to be returned".
    """
    try_place("--json", json_file)
    model = model_of(spec, readings)
    display = Display()
    with display.context():
        wanted = frozenset(map(Kind, kinds)) or frozenset(Kind)
        found = lint(model, SIMULATED_STATE, display.say, wanted)
    _show(model, found.entries)
    proved = "" if wanted <= OF_LISTS else f"; what never happens was proved for {_size(found.scope)}"
    out.print(f"{len(found.entries)} entries{proved}")
    write_json("--json", json_file, lint_json(model, found))


def _size(scope: State) -> str:
    return f"{len(scope.slots)} slots, {len(scope.sessions)} sessions and {len(scope.objects)} objects"


def _functions(entry: Entry) -> str:
    names = entry.functions
    return ", ".join(names) if len(names) <= NAMED else f"{len(names)} functions"


def _calls(model: Model, meeting: Meeting) -> tuple[str, ...]:
    return tuple(show_call(c, model.functions[c.function].uses) for c in (*(meeting.way or ()), meeting.call))


def _witness(model: Model, meeting: Meeting | None) -> Iterator[str]:
    """The calls of a witness, numbered, and what the text permits of the last."""
    if meeting is not None:
        codes = ", ".join(map(str, sorted(permitted(model, meeting.state, meeting.call))))
        *way, last = _calls(model, meeting)
        yield from (f"{n}. {text}" for n, text in enumerate(way, 1))
        yield f"{len(way) + 1}. {last} → {codes}"


def _show(model: Model, entries: tuple[Entry, ...]) -> None:
    """A table on a terminal; elsewhere lines that do not depend on its width."""
    if not out.is_terminal:
        for e in entries:
            codes, sections = ", ".join(map(str, e.codes)), ", ".join(e.sections)
            out.print(f"{e.kind.value}: {codes} (section {sections}; {_functions(e)}): {e.sentence}", markup=False)
            for line in _witness(model, e.witness):
                out.print(f"    {line}", markup=False)
        return
    table = Table(title=f"PKCS#11 {model.version}", title_justify="left", show_lines=True)
    for heading in ("kind", "codes", "sections", "functions", "what"):
        table.add_column(heading)
    for e in entries:
        what = "\n".join((e.sentence, *_witness(model, e.witness)))
        row = (e.kind.value, "\n".join(map(str, e.codes)), "\n".join(e.sections), _functions(e), what)
        table.add_row(*map(escape, row))
    out.print(table)


def lint_json(model: Model, found: Lint) -> dict[str, Any]:
    """The entries as data: what the table shows, with every function named."""
    return {
        "spec": str(model.version),
        "readings": dict(model.readings),
        "scope": _size(found.scope),
        "entries": [
            {
                "kind": e.kind.value,
                "functions": list(e.functions),
                "codes": list(map(str, e.codes)),
                "sections": list(e.sections),
                "sentence": e.sentence,
                "witness": None if e.witness is None else _witness_json(model, e.witness),
            }
            for e in found.entries
        ],
    }


def _witness_json(model: Model, meeting: Meeting) -> dict[str, Any]:
    return {
        "calls": list(_calls(model, meeting)),
        "from": "the start" if meeting.way is not None else repr(meeting.state),
        "permitted": list(map(str, sorted(permitted(model, meeting.state, meeting.call)))),
    }
