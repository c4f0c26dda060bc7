"""The reachable states of a scope, and every step between them that the standard permits.

A scope is small on purpose: a few functions, one slot, a session or two. Within it the graph is complete, whatever a
module may choose, so that what it does not hold cannot happen there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, repeat
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import networkx as nx

from ...model.call import Call, Flaw
from ...model.chapters.operations import ACTIVITIES
from ...model.oracle import Model
from ...model.rule import Rule
from ...model.state import Kind, Login, Mech, Object, Phase, Pin, Search, Session, Slot, State, Trait
from ...model.vocabulary import CKR
from ..engine.columns import Changes, Columns, members
from ..engine.packed import Flat, States, uncollected
from ..engine.reads import Leaves

if TYPE_CHECKING:
    from ..proofs.checks import Event, Property, Trace


class Edge(NamedTuple):
    """A step: from a state by a call with a code to a state. States and calls are numbers in the graph."""

    source: int
    call: int
    code: CKR
    target: int


@dataclass(frozen=True, slots=True)
class Graph:
    """All states that a scope reaches, nearest first, and all steps between them, in the order of their sources.

    State 0 is the initial one. `distance` counts the calls of a shortest way to each state; `entered` is the edge by
    which such a way comes there, None for the initial state.
    """

    model: Model
    calls: tuple[Call, ...]
    states: tuple[State, ...]
    edges: tuple[Edge, ...]
    distance: tuple[int, ...]
    entered: tuple[Edge | None, ...]

    @property
    def depth(self) -> int:
        """The distance of the farthest state."""
        return self.distance[-1]


@uncollected()
def explore(model: Model, initial: State) -> Graph:
    """The graph of a model: every call worth making, every permitted code, every state that may follow."""
    by_name = {name: tuple(f.calls(initial)) for name, f in model.functions.items()}
    functions, first, leaves = [], 0, Leaves(initial)
    for name, own in by_name.items():
        functions.append((first, Columns(model, name, own, leaves), Changes(model, name, own, leaves)))
        first += len(own)
    states, edges = States(initial), list[Edge]()
    states.number(initial)
    distance, entered = [0], list[Edge | None]((None,))
    for n, flat in enumerate(states.flats):
        leaving: list[tuple[int, CKR, tuple[Flat, ...]]] = []
        for first, columns, changes in functions:
            for code, which in columns.permitted(columns.holding(flat)):
                for those, after in changes.after(flat, code, which):
                    calls = [first + j for j in members(those)]
                    if after[0] == flat and len(after) == 1:
                        # Most edges are made here, so in bulk.
                        edges += map(Edge._make, zip(repeat(n), calls, repeat(code), repeat(n)))
                    else:
                        leaving += [(k, code, after) for k in calls]
        leaving.sort(key=itemgetter(0, 1))
        for k, code, after in leaving:
            for m in map(states.number_flat, after):
                edge = Edge(n, k, code, m)
                edges.append(edge)
                if m == len(distance):
                    distance.append(distance[n] + 1)
                    entered.append(edge)
    every = chain.from_iterable(by_name.values())
    return Graph(model, tuple(every), tuple(states), tuple(edges), tuple(distance), tuple(entered))


def network(graph: Graph) -> nx.MultiDiGraph[int]:
    """The graph for networkx: the edges carry their `call` and `code`, the nodes their `state` and `distance`."""
    g: nx.MultiDiGraph[int] = nx.MultiDiGraph()
    for n, (state, distance) in enumerate(zip(graph.states, graph.distance, strict=True)):
        g.add_node(n, state=state, distance=distance)
    g.add_edges_from((e.source, e.target, {"call": graph.calls[e.call], "code": e.code}) for e in graph.edges)
    return g


def way(graph: Graph, n: int) -> tuple[Edge, ...]:
    """The edges of a shortest way from the initial state to state `n`."""
    steps: list[Edge] = []
    while (edge := graph.entered[n]) is not None:
        steps.append(edge)
        n = edge.source
    return tuple(reversed(steps))


def trace(graph: Graph, edges: tuple[Edge, ...]) -> Trace:
    """Edges as calls with the codes they return."""
    return tuple((graph.calls[e.call], e.code) for e in edges)


def shortest(graph: Graph, goal: Property) -> Trace | None:
    """A shortest sequence to a state that meets the goal, or None where there is none at all."""
    found = next((n for n, s in enumerate(graph.states) if goal(s)), None)
    return None if found is None else trace(graph, way(graph, found))


def shortest_event(graph: Graph, event: Event) -> Trace | None:
    """A shortest sequence whose last step is the event, or None where it cannot happen at all."""
    for e in graph.edges:
        call = graph.calls[e.call]
        if event(graph.states[e.source], call.args, call.function, e.code):
            return trace(graph, (*way(graph, e.source), e))
    return None


def gives(function: str, rule: Rule) -> Event:
    """The event that a row of a function applies and its code is returned."""
    return lambda s, a, name, code: name == function and code == rule.code and rule.when(s, a)


def lengths(graph: Graph) -> Mapping[CKR, int]:
    """The length of a shortest sequence to each code that the scope can show."""
    found: dict[CKR, int] = {}
    for e in graph.edges:
        found.setdefault(e.code, graph.distance[e.source] + 1)
    return dict(sorted(found.items(), key=lambda item: str(item[0])))


# Quotients: a graph seen through one aspect of its states.


@dataclass(frozen=True, slots=True)
class Quotient:
    """An aspect of a state, as a few words for people, and what it is an aspect of."""

    name: str
    sentence: str
    label: Callable[[State], str]


def quotient(graph: Graph, label: Callable[[State], str]) -> nx.DiGraph[str]:
    """The graph with all states of one label made one.

    A node carries how many `states` it stands for and the least `distance` of them; an edge carries the `words` that
    say which calls lead along it. Steps that change nothing of the label are left out.
    """
    labels = [label(s) for s in graph.states]
    g: nx.DiGraph[str] = nx.DiGraph()
    for name, distance in zip(labels, graph.distance, strict=True):
        if name not in g:
            g.add_node(name, states=0, distance=distance)
        g.nodes[name]["states"] += 1
    words = {(labels[e.source], labels[e.target], graph.calls[e.call].function, e.code == CKR.OK) for e in graph.edges}
    for source, target, function, succeeds in sorted(words):
        if source != target:
            word = function.removeprefix("C_") + ("" if succeeds else " fails")
            if not g.has_edge(source, target):
                g.add_edge(source, target, words=())
            g.edges[source, target]["words"] += (word,)
    return g


_LOGINS = {Login.NOBODY: "public", Login.USER: "user", Login.SO: "SO"}


def _library(s: State) -> str:
    return "" if s.initialized else "not initialised"


def _kinds_of_sessions(s: State) -> str:
    """Which kinds of session are open, and who is logged in (5.6)."""
    kinds = {("R/W" if x.rw else "R/O") for x in s.sessions if x.open}
    if not kinds:
        return _library(s) or "no session"
    return f"{' and '.join(sorted(kinds))}, {_LOGINS[s.slots[0].login]}"


_PHASES = {Phase.READY: "begun", Phase.UPDATED: "fed", Phase.ASKED: "asked"}


def _life_of_an_operation(s: State) -> str:
    """What is active in the first session, and how far it is (5.7 to 5.12)."""
    if not s.sessions[0].open:
        return _library(s) or "session closed"
    own = s.sessions[0].operations
    words = [f"search {own.search.name.lower()}"] if own.search != Search.NONE else []
    active = ((k.field, getattr(own, k.field).phase) for k in ACTIVITIES)
    words += [f"{name} {_PHASES[phase]}" for name, phase in active if phase != Phase.NONE]
    return ", ".join(words) or "no operation"


def _pins(s: State) -> str:
    """Whether the token has a user PIN, and who is logged in (5.5)."""
    token = s.slots[0]
    if not s.initialized:
        return _library(s)
    pin = "no user PIN" if token.user_pin == Pin.NULL else "user PIN set"
    return f"{pin}, {_LOGINS[token.login]}"


QUOTIENTS = {
    q.name: q
    for q in (
        Quotient("sessions", "the kinds of open sessions, and who is logged in", _kinds_of_sessions),
        Quotient("operation", "the life of an operation in the first session", _life_of_an_operation),
        Quotient("pins", "whether the token has a user PIN, and who is logged in", _pins),
    )
}
"""The quotients, by name."""


# Scopes.


@dataclass(frozen=True, slots=True)
class Scope:
    """Functions with the state they begin in, small enough to explore wholly.

    `narrowed` gives arguments of some functions fewer values, the harmless one first. `shown` names the quotient
    that shows most of it.
    """

    name: str
    sentence: str
    functions: tuple[str, ...]
    initial: State
    shown: str
    narrowed: Mapping[tuple[str, str], tuple[Any, ...]] = field(default_factory=dict)

    def of(self, model: Model) -> Model:
        """A model restricted to those functions of the scope that it has."""
        functions = {}
        for name in self.functions:
            if name not in model.functions:
                continue
            fewer = {argument: values for (of, argument), values in self.narrowed.items() if of == name}
            f = model.functions[name]
            functions[name] = replace(f, domains={**f.domains, **fewer})
        return replace(model, functions=functions)


_LIBRARY = ("C_Initialize", "C_Finalize")
_OPENING = ("C_OpenSession", "C_CloseSession", "C_CloseAllSessions")
_LOGIN = ("C_Login", "C_Logout")
_LOOKING = ("C_GetInfo", "C_GetSlotList", "C_GetSlotInfo", "C_GetTokenInfo", "C_GetSessionInfo")
_STATES = ("C_GetOperationState", "C_SetOperationState")

_ONE, _TWO = (Session(),), (Session(),) * 2
_PINS = {("C_Login", "pin"): (Pin.USER, Pin.SO, Pin.WRONG, Pin.NULL)}
"""One PIN of each sort that a login tells apart."""

SCOPES = {
    x.name: x
    for x in (
        Scope(
            "sessions",
            "library, slots and sessions (5.4 to 5.6) but for changes of PINs: one slot, two sessions",
            (*_LIBRARY, *_LOOKING, *_OPENING, *_LOGIN, *_STATES),
            State(sessions=_TWO),
            "sessions",
            {**_PINS, ("C_OpenSession", "notify"): (False,)},
        ),
        Scope(
            "logins",
            "sessions and logins: one slot, two sessions",
            (*_LIBRARY, *_OPENING, *_LOGIN),
            State(sessions=_TWO),
            "sessions",
        ),
        Scope(
            "pins",
            "a token's PINs, set and changed: one slot, one session",
            (*_LIBRARY, *_OPENING, *_LOGIN, "C_InitToken", "C_InitPIN", "C_SetPIN"),
            State(sessions=_ONE, slots=(Slot(user_pin=Pin.NULL),)),
            "pins",
            {**_PINS, ("C_OpenSession", "notify"): (False,)},
        ),
        Scope(
            "operation",
            "one digest operation, its state saved and restored: one session",
            (*_LIBRARY, *_OPENING, "C_DigestInit", "C_Digest", "C_DigestUpdate", "C_DigestFinal", *_STATES),
            State(sessions=_ONE),
            "operation",
        ),
        Scope(
            "signing",
            "one sign operation with a secret key that is made and destroyed: one session",
            (
                *_LIBRARY,
                *_OPENING,
                *_LOGIN,
                "C_GenerateKey",
                "C_DestroyObject",
                "C_SignInit",
                "C_Sign",
                "C_SignUpdate",
                "C_SignFinal",
            ),
            State(sessions=_ONE, objects=(Object(),)),
            "operation",
            {
                ("C_OpenSession", "notify"): (False,),
                **_PINS,
                ("C_GenerateKey", "mechanism"): (Mech.GENERIC_SECRET_KEY_GEN,),
                ("C_GenerateKey", "token"): (False,),
                ("C_GenerateKey", "flaw"): (Flaw.NONE, Flaw.MISSING),
                ("C_GenerateKey", "trait"): (Trait.PLAIN, Trait.NO_USAGE),
                ("C_SignInit", "mechanism"): (Mech.SHA256_HMAC, Mech.RSA_PKCS, Mech.UNKNOWN),
            },
        ),
        Scope(
            "search",
            "a search while a data object comes and goes: two sessions",
            (
                *_LIBRARY,
                *_OPENING,
                "C_CreateObject",
                "C_DestroyObject",
                "C_FindObjectsInit",
                "C_FindObjects",
                "C_FindObjectsFinal",
            ),
            State(sessions=_TWO, objects=(Object(),)),
            "operation",
            {
                ("C_OpenSession", "notify"): (False,),
                ("C_CreateObject", "kind"): (Kind.DATA,),
                ("C_CreateObject", "private"): (False,),
                ("C_CreateObject", "trait"): (Trait.PLAIN,),
            },
        ),
    )
}
"""The scopes, by name."""


def figures(graph: Graph) -> Mapping[str, Any]:
    """What a scope comes to, as JSON values: states, edges, depth, and the shortest length to every code."""
    return {
        "states": len(graph.states),
        "edges": len(graph.edges),
        "calls": len(graph.calls),
        "depth": graph.depth,
        "codes": {str(code): n for code, n in lengths(graph).items()},
    }
