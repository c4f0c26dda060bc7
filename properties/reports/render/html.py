"""A report as one HTML page that needs nothing else: no script, no network, light and dark, narrow and wide.

The page is laid out by html.jinja beside this file; here is what it shows, worked out: the heat map, the curve, the
state graph. Everything of the report is escaped there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import hypot, log
from pathlib import Path
from statistics import mean
from typing import Any, Final, NamedTuple

from ....model.oracle import build
from ....model.table import TABLE
from ....model.vocabulary import CKR, Version
from ...search.graph import QUOTIENTS, SCOPES, explore, quotient
from ...search.pictures import Node, Picture, picture
from .. import phrases
from ..results import Unreadable, seen
from ..template import page

SUFFIX: Final = ".html"

SCOPE: Final = SCOPES["logins"]
"""The part of the model whose states the page draws: what every application passes through."""


def render(report: Mapping[str, Any]) -> str:
    """The whole page.

    Raises:
        Unreadable: if the report is of readings that the model does not have.
    """
    return page(
        Path(__file__).with_name("html.jinja"),
        {"named": _named, "steps": _steps, "told": _told},
        report=report,
        phrases=phrases,
        findings=phrases.by_severity(report),
        severities={s: sum(f["severity"] == s for f in report["findings"]) for s in phrases.SEVERITIES},
        heat=_heat(report),
        curve=_curve(report),
        states=_states(report),
    )


# Texts.


class _Part(NamedTuple):
    """A part of a text; `code` where it is a name of the standard."""

    text: str
    code: bool


_NAMES: Final = re.compile(r"(\b(?:C|CK|CKA|CKF|CKM|CKO|CKR|CKU)_\w+\b)")


def _named(text: str) -> Sequence[_Part]:
    """A text in parts, the names of the standard apart."""
    return [_Part(part, n % 2 == 1) for n, part in enumerate(_NAMES.split(text)) if part]


class _Step(NamedTuple):
    """A call of a trace, as the page shows it."""

    function: str
    arguments: str
    observed: str
    fine: bool


def _steps(finding: Mapping[str, Any]) -> Iterator[_Step]:
    for call, answer in phrases.steps(finding):
        function, _, arguments = call.partition("(")
        yield _Step(function, arguments.removesuffix(")"), answer, answer == str(CKR.OK))


class _Line(NamedTuple):
    """A line of an explanation; `item` where it is one of a list."""

    parts: Sequence[_Part]
    item: bool


def _told(text: str) -> Iterator[_Line]:
    for line in text.splitlines():
        item = line.startswith("- ")
        yield _Line(_named(line.removeprefix("- ")), item)


# The heat map.


class _Cell(NamedTuple):
    """What a function was seen to do; `heat` from 0 to 100, by the logarithm of how often."""

    title: str
    heat: int
    finding: str


class _Row(NamedTuple):
    """A function with its cells, one a code; None where that was never seen."""

    function: str
    section: str
    cells: Sequence[_Cell | None]


class _Heat(NamedTuple):
    codes: Sequence[str]
    rows: Sequence[_Row]


def _heat(report: Mapping[str, Any]) -> _Heat:
    coverage = report["coverage"]
    counts = {(f, code): n for (f, code), n in zip(coverage["pairs"], coverage["times"], strict=False)}
    against = {pair: f["id"] for f in report["findings"] for pair in seen(f)}
    codes = sorted(coverage["codes"], key=lambda code: (code != str(CKR.OK), code))
    most = max(counts.values(), default=1)
    order = list(TABLE)
    names = sorted(coverage["functions"], key=lambda name: (order.index(name) if name in TABLE else len(order), name))

    def cell(name: str, code: str) -> _Cell | None:
        count = counts.get((name, code))
        if count is None:
            return None
        heat = 15 + 85 * log(max(count, 1)) / log(most) if most > 1 else 100.0
        finding = against.get((name, code), "")
        told = f"; {finding}" if finding else ""
        return _Cell(f"{name} → {code}, {phrases.times(count)}{told}", round(heat), finding)

    def section(name: str) -> str:
        return TABLE[name].signature.section if name in TABLE else ""

    return _Heat(codes, [_Row(name, section(name), [cell(name, code) for code in codes]) for name in names])


# The curve.


class _Tick(NamedTuple):
    """A mark of an axis: where it is, and what is written there."""

    at: float
    text: str


class _Mark(NamedTuple):
    """A finding on the curve, where it was first seen."""

    x: float
    y: float
    id: str
    severity: str
    title: str


@dataclass(frozen=True, slots=True)
class _Curve:
    """The curve of classes over calls, in the units of a picture `width` by `height`."""

    width: int
    height: int
    points: str
    area: str
    x: Sequence[_Tick]
    y: Sequence[_Tick]
    marks: Sequence[_Mark]


LEFT, RIGHT, TOP, BOTTOM = 52, 30, 14, 34
"""Room around the curve."""


def _curve(report: Mapping[str, Any]) -> _Curve | None:
    """None where there is too little to draw."""
    curve: Sequence[tuple[int, float, int]] = report["coverage"]["classes"]["curve"]
    rows = [(0, 0), *((calls, classes) for calls, _, classes in curve)]
    last, most = max(calls for calls, _ in rows), max(classes for _, classes in rows)
    if len(rows) < 3 or not last or not most:
        return None
    last = max(last, int(report["calls"]))
    width, height = 720, 260

    def x(calls: float) -> float:
        return round(LEFT + (width - LEFT - RIGHT) * min(calls / last, 1), 1)

    def y(classes: float) -> float:
        return round(height - BOTTOM - (height - TOP - BOTTOM) * classes / most, 1)

    points = " ".join(f"{x(calls)},{y(classes)}" for calls, classes in [*rows, (last, rows[-1][1])])
    marks = [
        _Mark(x(at), y(_between(rows, at)), f["id"], f["severity"], f"{f['id']} first seen at call {at}")
        for f in report["findings"]
        if (at := min(f["first_seen_at_call"], last)) >= 0
    ]
    return _Curve(
        width,
        height,
        points,
        f"{points} {x(last)},{y(0)} {x(0)},{y(0)}",
        [_Tick(x(n), f"{n:,}") for n in _round_steps(last)],
        [_Tick(y(n), f"{n:,}") for n in _round_steps(most)],
        marks,
    )


def _between(rows: Sequence[tuple[int, int]], at: int) -> float:
    """How many classes there were at a call between two points of the curve."""
    for (a, before), (b, after) in pairwise(rows):
        if a <= at <= b:
            return before + (after - before) * (at - a) / max(b - a, 1)
    return rows[-1][1]


def _round_steps(last: int) -> Sequence[int]:
    """From 0 up to a number, about four round steps apart."""
    step = 1
    while last / step > 5:
        step *= 5 if str(step).startswith(("1", "2")) and str(step * 5).startswith("5") else 2
    return range(0, last + 1, step)


# The state graph.


class _Box(NamedTuple):
    """A state of the picture, at its middle; the lines are what is written in it, its name first."""

    x: float
    y: float
    lines: Sequence[str]


class _Bow(NamedTuple):
    """An arrow of the picture: its path, the call that leads along it, and whether the run saw that succeed."""

    path: str
    call: str
    title: str
    seen: bool


@dataclass(frozen=True, slots=True)
class _States:
    """The state graph, in the units of a picture."""

    width: float
    height: float
    boxes: Sequence[_Box]
    arrows: Sequence[_Bow]
    calls: Sequence[str]


WIDE, HIGH, APART, BELOW = 146.0, 62.0, 172.0, 132.0
"""Sizes of a box, and how far the middles of two are from each other."""

BEND: Final = 0.16
"""How far an arrow bends, as a share of its length."""


@cache
def _drawn(spec: str, readings: frozenset[tuple[str, str]]) -> Picture:
    """The part of the model that is drawn. To explore it takes a second or two."""
    try:
        model = build(Version(spec), dict(readings))
    except ValueError as error:
        raise Unreadable(f"the report is of another version of p11conform: {error}") from None
    return picture(quotient(explore(SCOPE.of(model), SCOPE.initial), QUOTIENTS[SCOPE.shown].label))


def _states(report: Mapping[str, Any]) -> _States:
    drawn = _drawn(report["spec"], frozenset(report["readings"].items()))
    succeeded = {name.removeprefix("C_") for name, seen in report["coverage"]["pairs"] if seen == str(CKR.OK)}
    places = _places(drawn)
    boxes = [_Box(*places[n.name], [n.name, *n.text.split("\n")[_lines_of_name(n) :]]) for n in drawn.nodes]
    arrows = []
    for arrow in drawn.arrows:
        call = re.split("[,\n]", arrow.text)[0]
        title = f"{arrow.source} → {arrow.target}: {' '.join(arrow.text.split())}"
        arrows.append(_Bow(_bow(places[arrow.source], places[arrow.target]), call, title, call in succeeded))
    width = max(x for x, _ in places.values()) + APART / 2
    height = max(y for _, y in places.values()) + HIGH
    return _States(width, height, boxes, arrows, sorted({arrow.call for arrow in arrows}))


def _lines_of_name(node: Node) -> int:
    """How many lines of a node's text its name takes."""
    return next(n for n, _ in enumerate(node.text.split("\n"), 1) if " ".join(node.text.split("\n")[:n]) == node.name)


def _places(drawn: Picture) -> Mapping[str, tuple[float, float]]:
    """Where each state stands: a row for each number of calls that lead there at least, near to what leads there."""
    rows: dict[int, list[str]] = {}
    for node in drawn.nodes:
        rows.setdefault(node.distance, []).append(node.name)
    widest = max(map(len, rows.values()))
    places: dict[str, tuple[float, float]] = {}

    def near(name: str) -> tuple[float, str]:
        before = [places[x.source][0] for x in drawn.arrows if x.target == name and x.source in places]
        return (mean(before) if before else 0.0, name)

    for n, row in enumerate(rows.values()):
        ordered = sorted(row, key=near)
        for k, name in enumerate(ordered):
            places[name] = (APART * (widest / 2 + k - (len(row) - 1) / 2), HIGH + BELOW * n)
    return places


def _bow(a: tuple[float, float], b: tuple[float, float]) -> str:
    """The path of a bent arrow between the edges of two boxes."""
    (ax, ay), (bx, by) = a, b
    cx, cy = (ax + bx) / 2 - BEND * (by - ay), (ay + by) / 2 + BEND * (bx - ax)
    (sx, sy), (ex, ey) = _edge(a, (cx, cy), 0), _edge(b, (cx, cy), 7)
    return f"M{sx:.1f},{sy:.1f}Q{cx:.1f},{cy:.1f} {ex:.1f},{ey:.1f}"


def _edge(middle: tuple[float, float], towards: tuple[float, float], gap: float) -> tuple[float, float]:
    """Where a line from the middle of a box leaves it, and so far on."""
    dx, dy = towards[0] - middle[0], towards[1] - middle[1]
    share = min(WIDE / 2 / abs(dx) if dx else 9e9, HIGH / 2 / abs(dy) if dy else 9e9)
    further = share + gap / hypot(dx, dy)
    return middle[0] + dx * further, middle[1] + dy * further
