"""How results look in a notebook: tables, and plots that are drawn where matplotlib is installed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import import_module
from io import BytesIO
from math import cos, log, pi, sin
from pathlib import Path
from typing import Any, Final

from .properties.search.pictures import Picture

LONGEST: Final = 2000
"""Letters of a repr, at most."""

SHOWN: Final = 20
"""Rows of a table that its repr shows."""

Row = tuple[str, ...]


def short(text: str) -> str:
    """A text that is no longer than a repr may be."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


@dataclass(frozen=True, slots=True, repr=False)
class Table(Sequence[Row]):
    """Rows of text under headings; a notebook shows them as a table."""

    headings: Row
    rows: tuple[Row, ...]
    about: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, n: Any) -> Any:
        return self.rows[n]

    def column(self, heading: str) -> tuple[str, ...]:
        """All that stands under a heading.

        Raises:
            ValueError: if there is no such heading.
        """
        return tuple(row[self.headings.index(heading)] for row in self.rows)

    def to_json(self) -> list[dict[str, str]]:
        """The rows by their headings."""
        return [dict(zip(self.headings, row, strict=True)) for row in self.rows]

    def to_html(self) -> str:
        """The table as HTML."""
        caption = f"<caption>{escape(self.about)}</caption>" if self.about else ""
        return f"<table>{caption}{_cells('th', [self.headings])}{_cells('td', self.rows)}</table>"

    def _repr_html_(self) -> str:
        return self.to_html()

    def __repr__(self) -> str:
        lines = [" | ".join(row) for row in (self.headings, *self.rows[:SHOWN])]
        more = [f"… and {len(self) - SHOWN} more"] if len(self) > SHOWN else []
        return short("\n".join((*lines, *more)))


def _cells(tag: str, rows: Iterable[Row]) -> str:
    style = ' style="text-align:left"'
    return "".join(f"<tr>{''.join(f'<{tag}{style}>{escape(x)}</{tag}>' for x in row)}</tr>" for row in rows)


class Plot:
    """A figure; a notebook shows it, `save` writes it."""

    def __init__(self, title: str, width: float, height: float) -> None:
        try:
            figure, agg = (import_module(f"matplotlib.{part}") for part in ("figure", "backends.backend_agg"))
        except ImportError:
            raise ImportError("plots want matplotlib; install it with pip install matplotlib") from None
        self.title = title
        self.figure = figure.Figure(figsize=(width, height), dpi=90, layout="constrained")
        agg.FigureCanvasAgg(self.figure)

    def axes(self) -> Any:
        """A plain pair of axes with the title."""
        axes = self.figure.add_subplot()
        axes.set_title(self.title)
        axes.spines[["top", "right"]].set_visible(False)
        return axes

    def save(self, path: Path) -> None:
        """Write the figure, in the format that the name ends with."""
        self.figure.savefig(path)

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.figure.savefig(buffer, format="png", metadata={"Software": None})
        return buffer.getvalue()

    def __repr__(self) -> str:
        return f"Plot({short(self.title)!r})"


_BLUE: Final = "#2e86c1"
_SHADES: Final = ("#1b4f72", "#5499c7", "#f5b041", "#a9cce3", "#d5d8dc")


def bars(values: Mapping[str, float], label: str, title: str) -> Plot:
    """A horizontal bar for each name, the longest at the bottom."""
    plot = Plot(title, 8, 1.2 + 0.24 * len(values))
    axes = plot.axes()
    order = sorted(values, key=lambda name: (values[name], name))
    drawn = axes.barh([name.removeprefix("CKR_") for name in order], [values[name] for name in order], color=_BLUE)
    axes.bar_label(drawn, padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=8, length=0)
    axes.set(xlabel=label)
    return plot


def stacked(parts: Mapping[str, Mapping[str, int]], label: str, title: str) -> Plot:
    """Bars made of parts: by the name of the part, how much of it each bar has."""
    names = sorted({x for part in parts.values() for x in part}, key=lambda x: [int(n) for n in x.split(".")])
    plot = Plot(title, 8, 1.4 + 0.26 * len(names))
    axes, left = plot.axes(), dict.fromkeys(names, 0)
    for (name, part), colour in zip(parts.items(), _SHADES, strict=True):
        widths = [part.get(x, 0) for x in names]
        axes.barh(names, widths, left=[left[x] for x in names], color=colour, label=name)
        left = {x: left[x] + w for x, w in zip(names, widths, strict=True)}
    axes.invert_yaxis()
    axes.set(xlabel=label)
    axes.legend(frameon=False)
    return plot


def heat(counts: Mapping[tuple[str, str], int], marked: Iterable[tuple[str, str]], title: str) -> Plot:
    """Functions against codes, the darker the more often; marked fields have a red edge."""
    functions, codes = sorted({f for f, _ in counts}), sorted({c for _, c in counts})
    plot = Plot(title, 2.5 + 0.22 * len(codes), 2.2 + 0.2 * len(functions))
    axes, patches = plot.axes(), import_module("matplotlib.patches")
    most = log(max(counts.values(), default=1) + 1)
    for (f, code), n in counts.items():
        edge = "#c0392b" if (f, code) in set(marked) else "white"
        place = (codes.index(code), functions.index(f))
        alpha = 0.25 + 0.75 * log(n + 1) / most
        axes.add_patch(patches.Rectangle(place, 1, 1, fc=_BLUE, ec="none", alpha=alpha))
        axes.add_patch(patches.Rectangle(place, 1, 1, fill=False, ec=edge, lw=1.5))
    axes.set(xlim=(0, len(codes)), ylim=(len(functions), 0))
    axes.set_xticks([x + 0.5 for x in range(len(codes))], [c.removeprefix("CKR_") for c in codes], rotation=90)
    axes.set_yticks([y + 0.5 for y in range(len(functions))], functions)
    axes.tick_params(length=0, labelsize=7)
    return plot


def curve(points: Sequence[Sequence[float]], title: str) -> Plot:
    """Classes over calls."""
    plot = Plot(title, 8, 3)
    axes = plot.axes()
    axes.plot([0, *(p[0] for p in points)], [0, *(p[2] for p in points)], color=_BLUE)
    axes.set(xlabel="calls", ylabel="classes")
    axes.set_ylim(bottom=0)
    return plot


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


def drawn(p: Picture, title: str) -> Plot:
    """A picture of a graph, with a text at each arrow."""
    size = 4 + len(p.nodes)
    plot = Plot(title, 1.25 * size, 0.75 * size)
    figure, canvas, patches = plot.figure, plot.figure.canvas, import_module("matplotlib.patches")
    figure.set_layout_engine("none")
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
    return plot
