"""The command `diff`: two versions of a module compared, each a report, a baseline, or the module itself."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import click
from rich.markup import escape

from ..adapters.private import sweep
from ..comparing import Side, compare
from ..console import out, waiting
from ..exits import Exit
from ..interrupts import ASKED
from ..names import MODULE
from ..options import (
    DEFAULT_SEED,
    PIN,
    SO_PIN,
    Opening,
    model_of,
    module_options,
    one_token,
    readings_option,
    spec_option,
)
from ..properties.reports.changes import What
from ..properties.reports.render.text import finding_line
from ..properties.reports.results import Difference, difference, read_report
from ..properties.run.probe import Case
from ..sides import Live, Told, is_report, live, told

_SORTS: Final = {sort.name.lower().replace("_", "-"): sort for sort in What}

FAILING: Final = (What.NEW, What.DIES, What.OTHER, What.UNTRIED)
"""What makes `diff` exit with 1 where nothing else is said."""


@click.command()
@click.argument("old", type=MODULE)
@click.argument("new", type=MODULE)
@spec_option
@readings_option
@click.option("--seed", type=int, default=DEFAULT_SEED, show_default=True, help="Decides the random choices.")
@click.option(
    "--seconds", type=click.FloatRange(min=0), default=20.0, show_default=True, help="Check each module so long beside."
)
@click.option(
    "--fail-on",
    "sorts",
    type=click.Choice([*_SORTS]),
    multiple=True,
    help="What makes it exit with 1; repeatable.  [default: new, dies, other, untried]",
)
@module_options
def command(
    old: str,
    new: str,
    spec: str,
    readings: tuple[str, ...],
    seed: int,
    seconds: float,
    sorts: tuple[str, ...],
    **options: Any,
) -> None:
    """Compare two versions of a module: OLD and NEW are reports, baselines, or modules by name or path.

    With modules, what one side does is tried on the other, so that only what NEW does otherwise counts as new; a
    --fault is NEW's. Options about tokens are for both. Exits with 1 if there are changes of the sorts --fail-on.
    """
    # Raised in the midst of a call to a module, an interruption would leave an answer behind that nobody expects.
    ASKED.defer()
    if is_report(Path(old)) and is_report(Path(new)):
        _reports(difference(read_report(Path(old)), read_report(Path(new))))
    known = [told(Path(name)) for name in (old, new)]
    asked = next((x.asked for x in known if x is not None), None)
    model = model_of(*(asked or (spec, readings)))
    begun = _beginning((old, new), known, ({**options, "faults": ()}, options))
    sweep()
    with ExitStack() as stack:
        before, after = (x if isinstance(x, Told) else stack.enter_context(live(x, model, seed)) for x in begun)
        with waiting("trying the sequences that the model gives"):
            found = compare(before, after, _met(before, seconds), _met(after, seconds))
    for line in found.lines():
        out.print(line, markup=False)
    raise SystemExit(Exit.FINDINGS if found.has([_SORTS[x] for x in sorts] or FAILING) else Exit.CONFORMS)


def _met(side: Side, seconds: float) -> Mapping[str, Case]:
    """What was met on a side that is against the text."""
    return side.explored(seconds) if isinstance(side, Live) else side.symptoms


def _beginning(
    names: tuple[str, str], known: Sequence[Told | None], given: tuple[dict[str, Any], dict[str, Any]]
) -> Iterator[Told | Opening]:
    """Each side as it is told, or how it is to be opened; PINs in the environment are for both, and taken out of it."""
    pins = {name: os.environ.pop(name) for name in (PIN, SO_PIN) if name in os.environ}
    found: list[Told | Opening] = []
    for name, side, options in zip(names, known, given, strict=True):
        if side is None:
            os.environ.update(pins)
        found.append(one_token(Opening.of(name, options)) if side is None else side)
    return iter(found)


def _reports(d: Difference) -> None:
    """Show what differs between two reports, which can only be looked at."""
    for line in _lines(d):
        out.print(line)
    raise SystemExit(Exit.FINDINGS if d.new else Exit.CONFORMS)


def _lines(d: Difference) -> Iterator[str]:
    if d.unlike:
        yield f"the runs are not alike, which may be why findings differ: {escape('; '.join(d.unlike))}"
    for title, findings in (("new", d.new), ("gone", d.gone), ("not reached", d.unreached)):
        yield from (f"{title}: {finding_line(finding)}" for finding in findings)
    for before, after in d.changed:
        yield f"changed: {finding_line(before)}"
        yield f"      now {finding_line(after)}"
    for title, pairs in (("gained", d.gained), ("lost", d.lost)):
        yield from (f"{title}: {escape(function)} → {escape(code)}" for function, code in pairs)
    if not (d.new or d.gone or d.unreached or d.changed or d.gained or d.lost):
        yield "no difference"
