"""Sequences that cover a graph: all its states, or all that can be called in them.

A tester chooses calls, not codes. So what is covered are pairs of a state and a call, along the states in which a
module comes to be that succeeds wherever it may. Where the text leaves a module no choice, to cover a pair is to
cover its one edge.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import networkx as nx

from ..model.call import Call
from ..model.vocabulary import CKR
from .graph import Edge, Graph

Numbers = tuple[int, ...]
"""A sequence of calls, by their numbers in the graph."""


@dataclass(frozen=True)
class Machine:
    """What a module does that succeeds wherever it may: from each state, by each call, one edge.

    Among several codes other than CKR_OK it gives the lowest, among several states the first in text form. `moves`
    says where each call leads from each state that the module reaches; `ways` how it gets to that state soonest.
    `sure` counts the pairs of a state and a call on which the text leaves a module no choice.
    """

    graph: Graph
    moves: Mapping[int, Mapping[int, int]]
    ways: Mapping[int, Numbers]
    sure: int

    @cached_property
    def pairs(self) -> int:
        """How many pairs of a state and a call there are to cover."""
        return sum(map(len, self.moves.values()))


@dataclass(frozen=True, slots=True)
class Suite:
    """Sequences from the start that cover something; no suite that does can have fewer calls than `bound`."""

    name: str
    sequences: tuple[Numbers, ...]
    bound: int

    @property
    def length(self) -> int:
        """The calls of all sequences together."""
        return sum(map(len, self.sequences))


def sequences(suite: Suite, graph: Graph) -> Iterator[tuple[Call, ...]]:
    """The sequences of a suite as calls."""
    return (tuple(graph.calls[k] for k in numbers) for numbers in suite.sequences)


def machine(graph: Graph) -> Machine:
    """The module that succeeds wherever it may, on a graph."""
    outcomes: list[dict[int, list[Edge]]] = [{} for _ in graph.states]
    for e in graph.edges:
        outcomes[e.source].setdefault(e.call, []).append(e)

    def taken(edges: list[Edge]) -> int:
        code = CKR.OK if any(e.code == CKR.OK for e in edges) else min(e.code for e in edges)
        targets = [e.target for e in edges if e.code == code]
        return targets[0] if len(targets) == 1 else min(targets, key=lambda n: repr(graph.states[n]))

    moves: dict[int, Mapping[int, int]] = {}
    ways: dict[int, Numbers] = {0: ()}
    queue = deque([0])
    while queue:
        n = queue.popleft()
        moves[n] = {k: taken(edges) for k, edges in outcomes[n].items()}
        for k, target in moves[n].items():
            if target not in ways:
                ways[target] = (*ways[n], k)
                queue.append(target)
    sure = sum(len(edges) == 1 for n in moves for edges in outcomes[n].values())
    return Machine(graph, moves, ways, sure)


def state_cover(m: Machine) -> Suite:
    """Shortest ways to all states, those left out that others begin with. A call enters one new state at best."""
    begun = {w[:-1] for w in m.ways.values()}
    return Suite("state cover", tuple(w for w in m.ways.values() if w not in begun), len(m.moves) - 1)


def transition_cover(m: Machine) -> Suite:
    """Every call in every state, by walks that go on while there is something new. A call covers one pair at best."""
    return Suite("transition cover", tuple(_walks(m, ())), m.pairs)


def transition_tour(m: Machine) -> Suite:
    """Every call in every state; those within the largest strongly connected part in one closed walk.

    That walk is a shortest one (the Chinese postman's); walks from the start cover what is outside of the part.
    """
    tour = _postman(m)
    return Suite("transition tour", (tour, *_walks(m, tour)), m.pairs)


SUITES: tuple[Callable[[Machine], Suite], ...] = (state_cover, transition_cover, transition_tour)
"""What makes each suite."""


def _walks(m: Machine, done: Numbers) -> Iterator[Numbers]:
    """Walks that cover the pairs which one walk has left, nearest states first."""
    left = {n: _loops_first(n, moves) for n, moves in m.moves.items()}
    _follow(m, left, done)
    for n, way in m.ways.items():
        while left[n]:
            _follow(m, left, way)
            walk, at = list(way), n
            while left[at]:
                k = next(iter(left[at]))
                del left[at][k]
                walk.append(k)
                at = m.moves[at][k]
            yield tuple(walk)


def _loops_first(n: int, moves: Mapping[int, int]) -> dict[int, None]:
    return dict.fromkeys(sorted(moves, key=lambda k: moves[k] != n))


def _follow(m: Machine, left: Mapping[int, dict[int, None]], walk: Iterable[int]) -> None:
    """Take the pairs along a walk from the start out of those that are left."""
    at = 0
    for k in walk:
        left[at].pop(k, None)
        at = m.moves[at][k]


def _postman(m: Machine) -> Numbers:
    """A walk from the start into the largest strongly connected part, and through every pair within it."""
    whole: nx.DiGraph[int] = nx.DiGraph((n, t) for n, moves in m.moves.items() for t in moves.values())
    part = max(nx.strongly_connected_components(whole), key=len)
    entry = next(n for n in m.ways if n in part)
    loops = {n: [k for k, t in m.moves[n].items() if t == n] for n in part}
    euler: nx.MultiDiGraph[int] = nx.MultiDiGraph()
    euler.add_nodes_from(part)
    for n in part:
        euler.add_edges_from((n, t, {"call": k}) for k, t in m.moves[n].items() if t != n and t in part)
    euler.add_edges_from(_repeats(m, euler))
    walk = [*m.ways[entry], *loops.pop(entry)]
    if euler.number_of_edges():
        for source, target, key in nx.eulerian_circuit(euler, entry, keys=True):
            walk += (euler[source][target][key]["call"], *loops.pop(target, ()))
    return tuple(walk)


def _repeats(m: Machine, g: "nx.MultiDiGraph[int]") -> list[tuple[int, int, dict[str, int]]]:
    """The fewest edges to repeat so that as many lead into each state as out of it: a flow of least cost."""
    flows: nx.DiGraph[int] = nx.DiGraph()
    flows.add_nodes_from((n, {"demand": g.out_degree(n) - g.in_degree(n)}) for n in g)
    flows.add_edges_from((source, target, {"weight": 1}) for source, target in g.edges())
    _, flow = nx.network_simplex(flows)
    first = {(n, t): k for n in g for k, t in sorted(m.moves[n].items(), reverse=True)}
    return [
        (source, target, {"call": first[source, target]})
        for source, onward in flow.items()
        for target, times in onward.items()
        for _ in range(times)
    ]
