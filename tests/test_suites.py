"""Each suite covers what it says when it is replayed on the simulated module, and is no shorter than can be."""

from collections.abc import Callable
from functools import cache

import pytest
from conftest import Steady

from p11conform.model.call import Call
from p11conform.model.oracle import build, in_scope
from p11conform.model.state import State
from p11conform.properties.graph import SCOPES, explore
from p11conform.properties.suites import (
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
    """One whose state is told."""

    def state(self) -> State:
        return self._state


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
    assert suite.bound == m.pairs <= suite.length


def test_a_tour_that_needs_no_rest_is_closed_and_balanced() -> None:
    m = made("logins")
    (tour,) = transition_tour(m).sequences
    at = 0
    for k in tour:
        at = m.moves[at][k]
    assert at == 0
    assert len(tour) < transition_cover(m).length


def test_a_tour_repeats_no_more_than_it_must() -> None:
    """Where a part of three states has one edge more into a state than out of it, that one way is walked twice."""
    m = made("logins")
    moves = {0: {0: 1, 1: 1}, 1: {0: 2, 1: 1}, 2: {0: 0, 1: 0}}
    small = Machine(m.graph, moves, {0: (), 1: (0,), 2: (0, 0)}, 6)
    (tour,) = transition_tour(small).sequences
    assert len(tour) == 7


@pytest.mark.parametrize("name", NAMES)
def test_what_is_sure_has_one_edge(name: str) -> None:
    m = made(name)
    edges: dict[tuple[int, int], int] = {}
    for e in m.graph.edges:
        if e.source in m.moves:
            edges[e.source, e.call] = edges.get((e.source, e.call), 0) + 1
    assert m.sure == sum(n == 1 for n in edges.values())
    assert 0 < m.sure < m.pairs == len(edges)
