"""The reachable graph, for people: figures of the scopes, test suites from them, and pictures.

`python -m p11conform.commands.graph --pin docs/scopes.json` writes the pinned figures again.
"""

import json
from collections.abc import Callable
from pathlib import Path

import click
from rich.table import Table

from ..console import out
from ..display import Plot
from ..display import drawn as drawn_by_matplotlib
from ..exits import Exit, fail
from ..files import try_place, write_json
from ..model.oracle import Model, build
from ..names import SCOPE
from ..options import model_of, readings_option, spec_option
from ..properties.search.graph import QUOTIENTS, SCOPES, Graph, Scope, explore, figures, quotient
from ..properties.search.pictures import Picture, dot, picture
from ..properties.search.suites import SUITES, machine


def _explored(scope: Scope, model: Model | None = None) -> Graph:
    return explore(scope.of(model or build()), scope.initial)


def pinned() -> str:
    """The figures of all scopes, as they stand in docs/scopes.json."""
    return json.dumps({name: figures(_explored(scope)) for name, scope in SCOPES.items()}, indent=1) + "\n"


def _pin(path: Path, check: bool) -> None:
    _directory("--pin", path)
    text = pinned()
    if check:
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            fail(f"{path}: out of date; run python -m p11conform.commands.graph --pin {path}", Exit.FINDINGS)
    else:
        _write("--pin", path, lambda: path.write_text(text, encoding="utf-8"))


def _directory(option: str, path: Path) -> None:
    if not path.parent.is_dir():
        fail(f"{option} {path}: there is no directory {path.parent}")


def _write(option: str, path: Path, write: Callable[[], object]) -> None:
    try:
        write()
    except OSError as error:
        fail(f"{option} {path}: {error.strerror}")


def _list(model: Model) -> None:
    table = Table()
    table.add_column("scope", no_wrap=True)
    for heading in ("states", "edges", "depth", "codes"):
        table.add_column(heading, justify="right")
    table.add_column("what it is")
    for name, scope in SCOPES.items():
        f = figures(_explored(scope, model))
        counts = (f["states"], f["edges"], f["depth"], len(f["codes"]))
        table.add_row(name, *(f"{n:,}" for n in counts), scope.sentence)
    out.print(table)


def _show(scope: Scope, graph: Graph) -> None:
    f = figures(graph)
    out.print(f"{scope.name}: {scope.sentence}", markup=False)
    out.print(f"{f['states']:,} states, {f['edges']:,} edges by {f['calls']:,} calls; depth {f['depth']}")
    m = machine(graph)
    out.print(
        f"{m.pairs:,} pairs of a state and a call; in {m.sure:,} of them the text leaves the module no choice, "
        f"and {len(m.moves):,} states are reached where it succeeds wherever it may"
    )
    suites = Table()
    suites.add_column("suite", no_wrap=True)
    for heading in ("sequences", "calls", "lower bound"):
        suites.add_column(heading, justify="right")
    for make in SUITES:
        suite = make(m)
        suites.add_row(suite.name, *(f"{n:,}" for n in (len(suite.sequences), suite.length, suite.bound)))
    out.print(suites)
    out.print("calls to each code, at least:")
    by_length: dict[int, list[str]] = {}
    for code, n in f["codes"].items():
        by_length.setdefault(n, []).append(code)
    for n, codes in sorted(by_length.items()):
        out.print(f"    {n}: {', '.join(codes)}")


def _drawn(p: Picture, title: str) -> Plot:
    try:
        return drawn_by_matplotlib(p, title)
    except ImportError as error:
        fail(f"--png: {error}")


@click.command()
@click.argument("scope", required=False, type=SCOPE)
@spec_option
@readings_option
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures of SCOPE there.")
@click.option("--of", "aspect", metavar="NAME", help=f"Draw this aspect of the states: {', '.join(QUOTIENTS)}.")
@click.option("--dot", "dot_file", type=click.Path(path_type=Path), help="Write the picture there, for Graphviz.")
@click.option("--png", "png_file", type=click.Path(path_type=Path), help="Draw the picture there; wants matplotlib.")
@click.option("--pin", type=click.Path(path_type=Path), help="Write the figures of all scopes there, and end.")
@click.option("--check", is_flag=True, help="With --pin: write nothing; fail if the file is out of date.")
def command(
    scope: str | None,
    spec: str,
    readings: tuple[str, ...],
    json_file: Path | None,
    aspect: str | None,
    dot_file: Path | None,
    png_file: Path | None,
    pin: Path | None,
    check: bool,
) -> None:
    """List the scopes, or explore SCOPE wholly: its states and steps, and sequences that cover them."""
    if check and pin is None:
        fail("--check wants a file to check; name it by --pin")
    if pin is not None:
        _pin(pin, check)
        return
    model = model_of(spec, readings)
    try_place("--json", json_file)
    if scope is None:
        if aspect or dot_file or png_file or json_file:
            fail(f"name a scope to draw: {', '.join(SCOPES)}")
        _list(model)
        return
    if scope not in SCOPES:
        fail(f"no scope is called {scope!r}; there are {', '.join(SCOPES)}")
    chosen = SCOPES[scope]
    if (aspect or chosen.shown) not in QUOTIENTS:
        fail(f"--of {aspect}: no aspect is called so; there are {', '.join(QUOTIENTS)}")
    files = (("--dot", dot_file), ("--png", png_file))
    for option, path in files:
        if path is not None:
            _directory(option, path)
    explored = _explored(chosen, model)
    _show(chosen, explored)
    write_json("--json", json_file, {"scope": scope, "spec": spec, **figures(explored)})
    seen = QUOTIENTS[aspect or chosen.shown]
    drawn = picture(quotient(explored, seen.label))
    if dot_file is not None:
        _write("--dot", dot_file, lambda: dot_file.write_text(dot(drawn), encoding="utf-8"))
    if png_file is not None:
        plot = _drawn(drawn, f"{scope}: {seen.sentence}")
        _write("--png", png_file, lambda: plot.save(png_file))


if __name__ == "__main__":
    command()
