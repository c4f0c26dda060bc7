"""The reachable graph, for people: figures of the scopes, test suites from them, and pictures.

`python -m p11conform.commands.graph --pin docs/scopes.json` writes the pinned figures again.
"""

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from math import cos, pi, sin
from pathlib import Path

import click
from rich.table import Table

from ..console import out
from ..exits import Exit, fail
from ..model.oracle import build
from ..properties.search.graph import QUOTIENTS, SCOPES, Graph, Scope, explore, figures, quotient
from ..properties.search.pictures import Picture, dot, picture
from ..properties.search.suites import SUITES, machine


def _explored(scope: Scope) -> Graph:
    return explore(scope.of(build()), scope.initial)


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


def _list() -> None:
    table = Table()
    table.add_column("scope", no_wrap=True)
    for heading in ("states", "edges", "depth", "codes"):
        table.add_column(heading, justify="right")
    table.add_column("what it is")
    for name, scope in SCOPES.items():
        f = figures(_explored(scope))
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


Point = tuple[float, float]


def _places(p: Picture) -> Mapping[str, Point]:
    """Where each node stands: around an oval, where no arrow crosses a third one, from the nearest to the farthest."""
    around = [*p.nodes[::2], *reversed(p.nodes[1::2])]
    angles = (pi - 2 * pi * k / len(around) for k in range(len(around)))
    return {node.name: (cos(angle), sin(angle)) for node, angle in zip(around, angles, strict=True)}


BEND = 0.14
"""How far an arrow bends to its left, as a share of its length, so that one each way can be told apart."""

TRIED = (0.4, 0.5, 0.32, 0.6, 0.26, 0.68, 0.2, 0.76)
"""Where along an arrow its text may stand, the best first."""


def _along(a: Point, b: Point, t: float) -> Point:
    """A point of the bent arrow from `a` to `b`: a curve with one control point."""
    (ax, ay), (bx, by) = a, b
    cx, cy = (ax + bx) / 2 - BEND * (by - ay), (ay + by) / 2 + BEND * (bx - ax)
    near, middle, far = (1 - t) ** 2, 2 * t * (1 - t), t**2
    return near * ax + middle * cx + far * bx, near * ay + middle * cy + far * by


def _draw(p: Picture, path: Path, title: str) -> None:
    try:
        parts = ("figure", "patches", "backends.backend_agg")
        figures, patches, agg = (import_module(f"matplotlib.{part}") for part in parts)
    except ImportError:
        fail("--png wants matplotlib, which is not installed; install it with pip install matplotlib")
    size = 4 + len(p.nodes)
    figure = figures.Figure(figsize=(1.25 * size, 0.75 * size), dpi=110)
    canvas = agg.FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(-1.3, 1.3), ylim=(-1.25, 1.35))
    axes.set_axis_off()
    axes.text(0, 1.25, title, ha="center", va="center", fontsize=13)
    box = {"boxstyle": "round,pad=0.5", "facecolor": "#e8f0fa", "edgecolor": "#30507a"}
    places = _places(p)
    nodes = {
        node.name: axes.text(*places[node.name], node.text, ha="center", va="center", fontsize=9, bbox=box, zorder=3)
        for node in p.nodes
    }
    # Arrows end at the edges of boxes, which have their sizes only once they are drawn.
    canvas.draw()
    boxes = {name: node.get_bbox_patch() for name, node in nodes.items()}
    taken = [patch.get_window_extent().padded(4) for patch in boxes.values()]
    bent = f"arc3,rad={-BEND}"
    for x in sorted(p.arrows, key=lambda x: -len(x.text)):
        a, b = places[x.source], places[x.target]
        arrow = patches.FancyArrowPatch(
            a,
            b,
            patchA=boxes[x.source],
            patchB=boxes[x.target],
            connectionstyle=bent,
            arrowstyle="-|>",
            mutation_scale=14,
            color="#808080",
            zorder=1,
        )
        axes.add_patch(arrow)
        paper = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.9}
        label = axes.text(*a, x.text, ha="center", va="center", fontsize=7.5, bbox=paper, zorder=2)
        ends = tuple(axes.transData.transform(a)), tuple(axes.transData.transform(b))
        tried = []
        for t in TRIED:
            label.set_position(axes.transData.inverted().transform(_along(*ends, t)))
            extent = label.get_window_extent(canvas.get_renderer()).padded(2)
            tried.append((sum(extent.overlaps(other) for other in taken), extent, label.get_position()))
        _, extent, place = min(tried, key=lambda one: one[0])
        label.set_position(place)
        taken.append(extent)
    figure.savefig(path)


@click.command()
@click.argument("scope", required=False)
@click.option("--of", "aspect", metavar="NAME", help=f"Draw this aspect of the states: {', '.join(QUOTIENTS)}.")
@click.option("--dot", "dot_file", type=click.Path(path_type=Path), help="Write the picture there, for Graphviz.")
@click.option("--png", "png_file", type=click.Path(path_type=Path), help="Draw the picture there; wants matplotlib.")
@click.option("--pin", type=click.Path(path_type=Path), help="Write the figures of all scopes there, and end.")
@click.option("--check", is_flag=True, help="With --pin: write nothing; fail if the file is out of date.")
def command(
    scope: str | None, aspect: str | None, dot_file: Path | None, png_file: Path | None, pin: Path | None, check: bool
) -> None:
    """List the scopes, or explore SCOPE wholly: its states and steps, and sequences that cover them."""
    if check and pin is None:
        fail("--check wants a file to check; name it by --pin")
    if pin is not None:
        _pin(pin, check)
        return
    if scope is None:
        if aspect or dot_file or png_file:
            fail(f"name a scope to draw: {', '.join(SCOPES)}")
        _list()
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
    explored = _explored(chosen)
    _show(chosen, explored)
    seen = QUOTIENTS[aspect or chosen.shown]
    drawn = picture(quotient(explored, seen.label))
    if dot_file is not None:
        _write("--dot", dot_file, lambda: dot_file.write_text(dot(drawn), encoding="utf-8"))
    if png_file is not None:
        _write("--png", png_file, lambda: _draw(drawn, png_file, f"{scope}: {seen.sentence}"))


if __name__ == "__main__":
    command()
