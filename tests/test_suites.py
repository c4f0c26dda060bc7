"""Each suite covers what it says when it is replayed on the simulated module, and is no shorter than can be."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from heapq import heappop, heappush
from random import Random

import pytest
from conftest import Steady

from p11conform.model.call import Call
from p11conform.model.oracle import build, following, in_scope
from p11conform.model.state import State
from p11conform.model.vocabulary import CKR
from p11conform.properties.search.graph import SCOPES, Edge, explore
from p11conform.properties.search.suites import (
    Cost,
    Machine,
    Suite,
    machine,
    sequences,
    state_cover,
    transition_cover,
    transition_tour,
)

NAMES = ("logins", "operation", "search")


@cache
def made(name: str) -> Machine:
    scope = SCOPES[name]
    return machine(explore(scope.of(build()), scope.initial))


class Watched(Steady):
    """One whose state is told; where the text leaves it several, it is in that which suites count on."""

    def state(self) -> State:
        return self._state

    def _settle(self, call: Call, code: CKR) -> State:
        return min(following(self._model, self._state, call, code), key=repr)


def replayed(m: Machine, suite: Suite) -> set[tuple[State, Call]]:
    """The pairs of a state and a call that a module comes through."""
    seen: set[tuple[State, Call]] = set()
    module = Watched(m.graph.model, m.graph.states[0])
    for calls in sequences(suite, m.graph):
        module.reset(True)
        for call in calls:
            if (module.state(), call) not in seen:
                assert in_scope(m.graph.model, module.state(), call)
                seen.add((module.state(), call))
            module.call(call)
    return seen


def wanted(m: Machine) -> set[tuple[State, Call]]:
    return {(m.graph.states[n], m.graph.calls[k]) for n, moves in m.moves.items() for k in moves}


def all_pairs(m: Machine) -> set[tuple[int, int]]:
    return {(n, k) for n, moves in m.moves.items() for k in moves}


def steps(m: Machine, suite: Suite) -> list[tuple[int, int]]:
    """All calls of a suite, each with the state that it is made in."""
    found = []
    for numbers in suite.sequences:
        at = 0
        for k in numbers:
            found.append((at, k))
            at = m.moves[at][k]
    return found


def spent(m: Machine, suite: Suite, cost: Cost, reset: int) -> int:
    """What a suite costs with the resets between its sequences."""
    return reset * max(len(suite.sequences) - 1, 0) + sum(cost(n, k) for n, k in steps(m, suite))


def least(m: Machine, cost: Cost, reset: int) -> int:
    """The least that covers all pairs, found by trying all that can be done, the cheapest first (Dijkstra's)."""
    bits = {pair: 1 << i for i, pair in enumerate(sorted(all_pairs(m)))}
    queue, seen = [(0, 0, 0)], set[tuple[int, int]]()
    while True:
        so_far, at, done = heappop(queue)
        if done == (1 << len(bits)) - 1:
            return so_far
        if (at, done) in seen:
            continue
        seen.add((at, done))
        heappush(queue, (so_far + reset, 0, done))
        for k, t in m.moves[at].items():
            heappush(queue, (so_far + cost(at, k), t, done | bits[at, k]))


def small(*moves: dict[int, int]) -> Machine:
    """A machine whose states move so."""
    graph = made("logins").graph
    edges = tuple(Edge(n, k, CKR.OK, t) for n, onward in enumerate(moves) for k, t in onward.items())
    return machine(replace(graph, states=graph.states[: len(moves)], edges=edges))


@pytest.mark.parametrize("name", NAMES)
def test_a_state_cover_comes_to_every_state(name: str) -> None:
    m = made(name)
    suite = state_cover(m)
    states = {m.graph.states[0]}
    module = Watched(m.graph.model, m.graph.states[0])
    for calls in sequences(suite, m.graph):
        module.reset(True)
        for call in calls:
            module.call(call)
            states.add(module.state())
    assert states == {m.graph.states[n] for n in m.moves}
    assert suite.bound == len(m.moves) - 1 <= suite.length


def test_ways_of_a_state_cover_are_shortest() -> None:
    m = made("logins")
    assert len(m.moves) == len(m.graph.states)
    assert [len(m.ways[n]) for n in range(len(m.graph.states))] == list(m.graph.distance)


@pytest.mark.parametrize(
    ("name", "make"),
    [("logins", transition_cover), ("logins", transition_tour), ("operation", transition_tour)],
)
def test_transitions_are_covered(name: str, make: Callable[[Machine], Suite]) -> None:
    m = made(name)
    suite = make(m)
    assert replayed(m, suite) == wanted(m)
    assert m.pairs <= suite.bound <= suite.length


@pytest.mark.parametrize("name", SCOPES)
def test_a_tour_is_hardly_longer_than_it_must_be(name: str) -> None:
    m = made(name)
    suite = transition_tour(m)
    assert set(steps(m, suite)) == all_pairs(m)
    assert suite.length <= 1.05 * suite.bound


def drawn(random: Random) -> Machine:
    states = range(random.randint(1, 4))
    return small(*({k: random.choice(states) for k in range(3) if random.random() < 0.8} for _ in states))


@pytest.mark.parametrize("seed", range(100))
def test_no_tour_is_cheaper_and_none_shorter_than_the_bound(seed: int) -> None:
    random = Random(seed)
    m = drawn(random)
    prices = {pair: random.choice((0, 1, 2, 9)) for pair in sorted(all_pairs(m))}
    reset = random.choice((0, 1, 5, 20))

    def cost(n: int, k: int) -> int:
        return prices[n, k]

    suite = transition_tour(m, cost=cost, reset=reset)
    assert set(steps(m, suite)) == all_pairs(m)
    assert spent(m, suite, cost, reset) == least(m, cost, reset)
    assert suite.bound == transition_tour(m, reset=0).length == least(m, lambda _n, _k: 1, 0)


ROUND = ({0: 1}, {0: 0, 1: 1, 2: 1})
"""Two states, and two calls that stay in the second."""

ROUNDS = ({0: 1, 1: 1, 2: 1}, {0: 2}, {0: 0})
"""Three states, and three calls from the first to the second, so that the way back is made again, or a reset."""


@pytest.mark.parametrize(("reset", "lengths"), [(0, [1, 4]), (1, [1, 4]), (3, [7]), (10, [7])])
def test_a_reset_is_made_where_it_is_cheaper_than_the_way_back(reset: int, lengths: list[int]) -> None:
    suite = transition_tour(small(*ROUNDS), reset=reset)
    assert sorted(map(len, suite.sequences)) == lengths
    assert suite.bound == 5


def test_a_tour_repeats_what_is_cheap() -> None:
    """A login that costs a thousand times another call is made less often, for more other calls or resets."""
    m = made("logins")
    plain = transition_tour(m)

    def cost(_n: int, k: int) -> int:
        return 1000 if m.graph.calls[k].function == "C_Login" else 1

    cheap = transition_tour(m, cost=cost)
    assert set(steps(m, cheap)) == all_pairs(m)
    assert spent(m, cheap, cost, 10) < 0.96 * spent(m, plain, cost, 10)
    assert cheap.bound == plain.bound


@pytest.mark.parametrize("longest", [8, 50, 1000])
@pytest.mark.parametrize("reset", [0, 10])
def test_no_sequence_of_a_tour_is_longer_than_it_may_be(longest: int, reset: int) -> None:
    m = made("logins")
    suite = transition_tour(m, reset=reset, longest=longest)
    assert set(steps(m, suite)) == all_pairs(m)
    assert max(map(len, suite.sequences)) == longest
    assert all(suite.sequences)


def test_a_tour_that_is_short_enough_stays_as_it_is() -> None:
    """Three calls lead from the third state to a dead end, which is reached twice by the long way that is cheap."""
    m = small({0: 1, 1: 2}, {0: 2}, {0: 3, 1: 3, 2: 3}, {})

    def cost(n: int, k: int) -> int:
        return 9 if (n, k) == (0, 1) else 1

    whole = transition_tour(m, cost=cost)
    assert sorted(map(len, whole.sequences)) == [2, 3, 3]
    assert transition_tour(m, cost=cost, longest=3) == whole


@pytest.mark.parametrize(
    ("moves", "longest", "cut"),
    [
        (ROUND, 4, [4]),
        (ROUND, 3, [3, 2]),
        (ROUND, 2, [2, 2, 2]),
        (ROUNDS, 7, [7]),
        (ROUNDS, 6, [4, 1]),
        (ROUNDS, 4, [4, 1]),
        (ROUNDS, 3, [3, 1, 1]),
    ],
)
def test_what_is_cut_off_goes_on_by_a_shortest_way_to_what_is_new(
    moves: tuple[dict[int, int], ...], longest: int, cut: list[int]
) -> None:
    assert list(map(len, transition_tour(small(*moves), longest=longest).sequences)) == cut


@pytest.mark.parametrize("seed", range(100))
def test_what_is_cut_ends_with_what_is_new(seed: int) -> None:
    random = Random(seed)
    m = drawn(random)
    longest = max(map(len, m.ways.values())) + random.randint(1, 3)
    suite = transition_tour(m, reset=random.choice((0, 10)), longest=longest)
    seen = set[tuple[int, int]]()
    for sequence in suite.sequences:
        *before, last = steps(m, replace(suite, sequences=(sequence,)))
        assert len(sequence) <= longest
        assert last not in seen.union(before)
        seen |= {*before, last}
    assert seen == all_pairs(m)


def test_a_tour_cannot_be_cut_so_short_that_it_comes_nowhere() -> None:
    with pytest.raises(ValueError, match="7 calls"):
        transition_tour(made("logins"), longest=7)


@pytest.mark.parametrize("reset", [0, 10])
def test_a_tour_makes_all_calls_that_stay_before_it_leaves(reset: int) -> None:
    m = made("logins")
    order = steps(m, transition_tour(m, reset=reset))
    staying = {n: {(n, k) for k, t in moves.items() if t == n} for n, moves in m.moves.items()}
    for n, loops in staying.items():
        first = next(i for i, (at, _) in enumerate(order) if at == n)
        assert set(order[first : first + len(loops)]) == loops
    assert sum(m.moves[n][k] == n for n, k in order) == sum(map(len, staying.values()))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_sure_has_one_edge(name: str) -> None:
    m = made(name)
    edges: dict[tuple[int, int], int] = {}
    for e in m.graph.edges:
        if e.source in m.moves:
            edges[e.source, e.call] = edges.get((e.source, e.call), 0) + 1
    assert m.sure == sum(n == 1 for n in edges.values())
    assert 0 < m.sure < m.pairs == len(edges)
