"""Pictures of a quotient of the reachable graph: its nodes and arrows with their texts, to be drawn by whoever can."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import networkx as nx

WIDTH = 26
"""Letters in a line of an arrow's text."""

ALWAYS = 3
"""Arrows with one text into one node that are said once, in the node, where the text leads nowhere else."""


class Node(NamedTuple):
    """A box of a picture, with its text, and how many calls lead there at least."""

    name: str
    text: str
    distance: int


class Arrow(NamedTuple):
    """An arrow of a picture, with its text."""

    source: str
    target: str
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A quotient to draw: nodes, nearest first, and arrows."""

    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]


def _wrapped(*lines: str) -> str:
    return "\n".join(part for line in lines for part in textwrap.wrap(line, WIDTH))


def _phrases(words: Sequence[str]) -> str:
    """The text of an arrow: what succeeds, then what fails."""
    failed = [w.removesuffix(" fails") for w in words if w.endswith(" fails")]
    succeeding = [w for w in words if not w.endswith(" fails")]
    return _wrapped(", ".join(succeeding), f"failed: {', '.join(failed)}" if failed else "")


def picture(g: "nx.DiGraph[str]") -> Picture:
    """The picture of a quotient.

    A call that leads from many nodes to one and never elsewhere is written into that node, and its arrows are left out.
    """
    steps: dict[tuple[str, str], tuple[str, ...]] = {arrow: g.edges[arrow]["words"] for arrow in g.edges}
    leads: dict[str, list[str]] = {}
    for (_, target), words in steps.items():
        for word in words:
            leads.setdefault(word, []).append(target)
    said = {w: targets[0] for w, targets in leads.items() if len(targets) > ALWAYS and len(set(targets)) == 1}
    nodes = []
    for name in sorted(g, key=lambda name: g.nodes[name]["distance"]):
        always = [w for w, target in said.items() if target == name]
        note = f"(always after {' or '.join(always)})" if always else ""
        text = _wrapped(name, f"{g.nodes[name]['states']:,} states", note)
        nodes.append(Node(name, text, g.nodes[name]["distance"]))
    left = {arrow: [w for w in words if w not in said] for arrow, words in steps.items()}
    return Picture(tuple(nodes), tuple(Arrow(*arrow, _phrases(words)) for arrow, words in left.items() if words))


def dot(p: Picture) -> str:
    """A picture as text in the language of Graphviz."""
    ids = {node.name: f"n{k}" for k, node in enumerate(p.nodes)}
    lines = ["digraph quotient {", "  rankdir=LR;", "  node [shape=box, style=rounded];"]
    lines += [f"  {ids[node.name]} [label={_quoted(node.text)}];" for node in p.nodes]
    lines += [f"  {ids[x.source]} -> {ids[x.target]} [label={_quoted(x.text)}];" for x in p.arrows]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
