"""The graph of each scope is complete, its figures are pinned, and its shortest ways are those that z3 finds."""

import json
import sys
from dataclasses import replace
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from shutil import which

import networkx as nx
import pytest

from p11conform.model.call import Args
from p11conform.model.oracle import build, in_scope, permitted, successors
from p11conform.model.state import Login, Object, Phase, State
from p11conform.model.vocabulary import CKR
from p11conform.properties.proofs.checks import Event, Property, reach_event
from p11conform.properties.proofs.invariants import Invariant, invariants
from p11conform.properties.proofs.symbolic import System
from p11conform.properties.search import graph as graphs
from p11conform.properties.search.graph import QUOTIENTS, SCOPES, Graph, explore, lengths, network, quotient, shortest
from p11conform.properties.search.pictures import dot, picture

PINNED = Path(__file__).parents[1] / "docs" / "scopes.json"
SMALL = ("logins", "operation")


@cache
def explored(name: str) -> Graph:
    scope = SCOPES[name]
    return explore(scope.of(build()), scope.initial)


@cache
def system(name: str) -> System:
    """The scope for z3, which wants an object for keys to be numbers of; no function of these scopes makes it exist."""
    scope = SCOPES[name]
    return System(scope.of(build()), replace(scope.initial, objects=(Object(),)))


def returned(wanted: CKR) -> Event:
    return lambda _s, _a, _function, code: code == wanted


@pytest.mark.parametrize("name", SCOPES)
def test_the_figures_are_those_pinned(name: str) -> None:
    assert graphs.figures(explored(name)) == json.loads(PINNED.read_text("utf-8"))[name]


def test_every_scope_is_pinned_and_no_other() -> None:
    assert list(json.loads(PINNED.read_text("utf-8"))) == list(SCOPES)


@pytest.mark.parametrize("name", SMALL)
def test_edges_are_all_that_the_oracle_permits(name: str) -> None:
    g = explored(name)
    found: dict[tuple[int, int], set[tuple[CKR, State]]] = {}
    for e in g.edges:
        found.setdefault((e.source, e.call), set()).add((e.code, g.states[e.target]))
    assert sum(map(len, found.values())) == len(g.edges)
    assert len(set(g.states)) == len(g.states)
    for n in range(0, len(g.states), 7):
        s = g.states[n]
        for k, call in enumerate(g.calls):
            codes = permitted(g.model, s, call) if in_scope(g.model, s, call) else ()
            assert found.get((n, k), set()) == {(c, t) for c in codes for t in successors(g.model, s, call, c)}


@pytest.mark.parametrize("name", SMALL)
def test_distances_are_those_of_networkx(name: str) -> None:
    g = explored(name)
    view = network(g)
    assert view.number_of_edges() == len(g.edges)
    distance = nx.single_source_shortest_path_length(nx.DiGraph(view), 0)
    assert [distance[n] for n in range(len(g.states))] == list(g.distance)
    assert g.depth == max(distance.values())
    assert all(view.nodes[n]["state"] == s for n, s in enumerate(g.states))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        *(("logins", code) for code in ("CANT_LOCK", "PIN_INCORRECT", "SESSION_READ_WRITE_SO_EXISTS")),
        *(("logins", code) for code in ("SESSION_READ_ONLY_EXISTS", "USER_ANOTHER_ALREADY_LOGGED_IN")),
        *(("operation", code) for code in ("MECHANISM_INVALID", "STATE_UNSAVEABLE", "BUFFER_TOO_SMALL")),
        *(("operation", code) for code in ("SAVED_STATE_INVALID", "KEY_NOT_NEEDED", "OPERATION_ACTIVE")),
    ],
)
def test_a_code_is_as_near_as_z3_says(name: str, code: str) -> None:
    g, wanted = explored(name), returned(CKR[code])
    mine, found = graphs.shortest_event(g, wanted), reach_event(system(name), wanted, 6)
    assert mine is not None
    assert found is not None
    assert len(mine) == len(found) == lengths(g)[CKR[code]]
    assert mine[-1][1] == CKR[code]


@pytest.mark.parametrize("name", SMALL)
def test_codes_that_the_graph_does_not_hold_z3_does_not_reach(name: str) -> None:
    g = explored(name)
    absent = {r.code for f in g.model.functions.values() for r in f.rules} - lengths(g).keys()
    assert absent

    def strange(_s: State, _a: Args, _function: str, code: CKR) -> bool:
        return code in absent

    assert graphs.shortest_event(g, strange) is None
    assert reach_event(system(name), strange, 4) is None


@pytest.mark.parametrize(
    ("name", "goal", "length"),
    [
        ("logins", lambda s: not s.initialized, 0),
        ("logins", lambda s: s.slots[0].login == Login.SO and s.sessions[1].open, 4),
        ("operation", lambda s: s.sessions[0].operations.digest.phase == Phase.UPDATED, 4),
        ("operation", lambda s: s.saved.valid and s.saved.operations.digest.phase == Phase.READY, 4),
    ],
)
def test_a_shortest_way_to_a_state_leads_there(name: str, goal: Property, length: int) -> None:
    g = explored(name)
    steps = shortest(g, goal)
    assert steps is not None
    assert len(steps) == length
    states = {g.states[0]}
    for call, code in steps:
        assert all(code in permitted(g.model, s, call) for s in states)
        states = {t for s in states for t in successors(g.model, s, call, code)}
    assert any(map(goal, states))


def test_no_way_leads_where_none_can() -> None:
    assert shortest(explored("logins"), lambda s: s.slots[0].login == Login.SO and not s.initialized) is None


def test_a_row_is_reached_by_its_own_condition() -> None:
    g = explored("logins")
    (rule,) = (r for r in g.model.functions["C_Logout"].rules if r.code == CKR.USER_NOT_LOGGED_IN)
    steps = graphs.shortest_event(g, graphs.gives("C_Logout", rule))
    assert steps is not None
    assert [call.function for call, _ in steps] == ["C_Initialize", "C_OpenSession", "C_Logout"]


@pytest.mark.parametrize("invariant", invariants(build()), ids=lambda x: x.name)
def test_what_is_proved_holds_in_every_state(invariant: Invariant) -> None:
    assert all(invariant.predicate(s) for name in SCOPES for s in explored(name).states)


def test_a_quotient_has_a_node_for_each_label_and_no_loops() -> None:
    g = quotient(explored("logins"), QUOTIENTS["sessions"].label)
    assert sum(g.nodes[node]["states"] for node in g) == len(explored("logins").states)
    assert "R/W, SO" in g
    assert "R/O and R/W, SO" in g
    assert g.edges["R/W, public", "R/W, SO"]["words"] == ("Login",)
    assert not any(a == b for a, b in g.edges)


def test_the_base_text_has_no_read_only_session_beside_the_so() -> None:
    scope = SCOPES["logins"]
    alone = explore(scope.of(build(readings={"A-05": "base text"})), scope.initial)
    assert not any("R/O" in name and "SO" in name for name in quotient(alone, QUOTIENTS["sessions"].label))


def test_the_life_of_an_operation_tells_success_from_failure() -> None:
    g = quotient(explored("operation"), QUOTIENTS["operation"].label)
    assert "DigestFinal" in g.edges["digest fed", "no operation"]["words"]
    assert "DigestUpdate fails" in g.edges["digest fed", "no operation"]["words"]
    assert "Digest" not in g.edges["digest fed", "no operation"]["words"]
    assert g.edges["digest begun", "digest fed"]["words"] == ("DigestUpdate", "SetOperationState")


def test_a_picture_says_once_what_leads_to_one_place_only() -> None:
    p = picture(quotient(explored("logins"), QUOTIENTS["sessions"].label))
    texts = {node.name: node.text for node in p.nodes}
    assert "always after Finalize" in texts["not initialised"]
    assert not any("Finalize" in x.text for x in p.arrows)
    assert any(x.text == "Login" and x.target == "R/W, SO" for x in p.arrows)
    text = dot(p)
    assert text.count("->") == len(p.arrows)
    assert text.count('[label="') == len(p.arrows) + len(p.nodes)
    assert '\\n32 states"' in text


@pytest.mark.skipif(not (which("spin") and which("cc")), reason="SPIN or a C compiler is not installed")
def test_spin_finds_as_many_states_and_steps(tmp_path: Path) -> None:
    spec = spec_from_file_location("spin_run", PINNED.parents[1] / "benchmarks" / "spin" / "run.py")
    assert spec is not None
    assert spec.loader is not None
    benchmark = module_from_spec(spec)
    sys.modules[spec.name] = benchmark
    spec.loader.exec_module(benchmark)
    (mine, _), (theirs, _) = benchmark.ours(2)(), benchmark.spins(2, tmp_path)()
    assert mine == theirs
    assert mine.states == len(explored("logins").states)
