"""Sequences that cover a graph: all its states, or all that can be called in them.

A tester chooses calls, not codes. So what is covered are pairs of a state and a call, along the states in which a
module comes to be that succeeds wherever it may. Where the text leaves a module no choice, to cover a pair is to
cover its one edge.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import networkx as nx

from ...model.call import Call
from ...model.vocabulary import CKR
from ..engine.packed import uncollected
from .graph import Edge, Graph

Numbers = tuple[int, ...]
"""A sequence of calls, by their numbers in the graph."""

Cost = Callable[[int, int], int]
"""What it costs to make a call in a state, both by their numbers: (state, call) -> a whole number, not below 0."""

RESET = 10
"""What a reset between two sequences costs, in calls.

Measured: from 6 on, each scope has a tour of the fewest sequences there can be, and its calls are at most 1.05 times
the bound. A module that is reset is finalised and initialised again at the least, and may want its token put back.
"""

OFF = -1
"""Where a module is before the first call of a sequence and after the last: a step from here is a reset."""


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


@uncollected()
def machine(graph: Graph) -> Machine:
    """The module that succeeds wherever it may, on a graph."""
    outcomes: list[dict[int, list[Edge]]] = [{} for _ in graph.states]
    for e in graph.edges:
        outcomes[e.source].setdefault(e.call, []).append(e)

    @cache
    def words(n: int) -> str:
        return repr(graph.states[n])

    def taken(edges: list[Edge]) -> int:
        code = CKR.OK if any(e.code == CKR.OK for e in edges) else min(e.code for e in edges)
        targets = [e.target for e in edges if e.code == code]
        return targets[0] if len(targets) == 1 else min(targets, key=words)

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
    return Suite("transition cover", tuple(_walks(m)), m.pairs)


def _alike(_state: int, _call: int) -> int:
    return 1


@uncollected()
def transition_tour(m: Machine, *, cost: Cost = _alike, reset: int = RESET, longest: int | None = None) -> Suite:
    """Every call in every state, at the least cost of all calls and of a reset between each two sequences.

    Where a walk first comes to a state, it makes all calls that stay there before it leaves. No sequence has more
    calls than `longest`: walks that have are cut, and after a cut the next sequence goes on by a shortest way from the
    start, which the least cost does not count. The bound is the fewest calls of a tour where resets cost nothing.
    """
    walks = _tour(m, cost, reset)
    pieces = walks if longest is None else _cut(m, walks, longest)
    # Where resets cost nothing, each pair is there once, and once more where a step must be repeated.
    again = sum("call" in said for _, _, said in _repeats(m, _alike, 0))
    return Suite("transition tour", tuple(filter(None, pieces)), m.pairs + again)


SUITES: tuple[Callable[[Machine], Suite], ...] = (state_cover, transition_cover, transition_tour)
"""What makes each suite."""


def _walks(m: Machine) -> Iterator[Numbers]:
    """Walks that cover all pairs, nearest states first."""
    left = {n: _loops_first(n, moves) for n, moves in m.moves.items()}
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


def _tour(m: Machine, cost: Cost, reset: int) -> Iterator[Numbers]:
    """The walks of a tour: one circuit through all steps of a module (the Chinese postman's), cut where it is off.

    There is such a circuit: as many steps lead into each state as out of it, each is reached from the start, and from
    the last state of a sequence a reset leads back.
    """
    loops = {n: [k for k, t in moves.items() if t == n] for n, moves in m.moves.items()}
    steps: nx.MultiDiGraph[int] = nx.MultiDiGraph([(OFF, 0)])
    for n, moves in m.moves.items():
        steps.add_edges_from((n, t, {"call": k}) for k, t in moves.items() if t != n)
    steps.add_edges_from(_repeats(m, cost, reset))
    walk: list[int] = []
    for source, target, key in nx.eulerian_circuit(steps, OFF, keys=True):
        if target == OFF:
            yield tuple(walk)
            walk.clear()
        elif source != OFF:
            walk.append(steps[source][target][key]["call"])
        walk += loops.pop(target, ())


def _repeats(m: Machine, cost: Cost, reset: int) -> Iterator[tuple[int, int, dict[str, int]]]:
    """The cheapest steps to add so that as many lead into each state as out of it: a flow of least cost.

    One reset, before the first sequence, is there from the beginning; a sequence may end in any state.
    """
    surplus = {OFF: -1, **dict.fromkeys(m.moves, 0)}
    surplus[0] += 1
    cheapest: dict[tuple[int, int], int] = {}
    for n, moves in m.moves.items():
        for k, t in moves.items():
            surplus[n] -= 1
            surplus[t] += 1
            if t != n and ((n, t) not in cheapest or cost(n, k) < cost(n, cheapest[n, t])):
                cheapest[n, t] = k
    flows: nx.DiGraph[int] = nx.DiGraph()
    flows.add_nodes_from((n, {"demand": -more}) for n, more in surplus.items())
    flows.add_edges_from((n, t, {"weight": cost(n, k)}) for (n, t), k in cheapest.items())
    flows.add_edges_from((n, OFF, {"weight": 0}) for n in m.moves)
    flows.add_edge(OFF, 0, weight=reset)
    _, flow = nx.network_simplex(flows)
    for source, onward in flow.items():
        for target, times in onward.items():
            said = {} if OFF in (source, target) else {"call": cheapest[source, target]}
            yield from ((source, target, said) for _ in range(times))


def _cut(m: Machine, walks: Iterable[Numbers], longest: int) -> Iterator[Numbers]:
    """The walks in pieces that end with a pair that is new: after a cut, a shortest way leads to the next such pair."""
    depth = max(map(len, m.ways.values()))
    if longest <= depth:
        raise ValueError(f"a sequence of {longest} calls makes none in a state that is {depth} calls away")
    left = {n: dict.fromkeys(moves) for n, moves in m.moves.items()}
    for walk in walks:
        piece: list[int] = []
        end = at = 0
        going = True
        for k in walk:
            if len(piece) == longest:
                yield tuple(piece[:end])
                piece, going = [], False
            new = k in left[at]
            if new and not going:
                piece, going = [*m.ways[at]], True
                _follow(m, left, piece)
            if going:
                piece.append(k)
            if new:
                del left[at][k]
                end = len(piece)
            at = m.moves[at][k]
        yield tuple(piece[:end])
