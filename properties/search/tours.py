"""Tours for a real module: small scopes, explored wholly from where it begins, as sequences of its own calls."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ...model.call import Args, Call
from ...model.oracle import Model
from ...model.state import Object, Session, State
from ..engine.aspects import aspect
from ..policy import Policy, anything
from .graph import SCOPES, Scope, explore
from .suites import Machine, machine, transition_tour

PIECE: Final = 1000
"""Calls of a tour that are made in one go."""

SHARE: Final = 0.1
"""Of the time of a check what the calls of one tour may take by what they were seen to cost."""

MICROSECOND: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Stop:
    """A state that a tour comes to: a shortest way there from the beginning, and the calls made before it leaves."""

    way: tuple[Call, ...]
    calls: tuple[Call, ...]


def tours(
    model: Model, initial: State, costs: Mapping[str, float] | None, seconds: float, may: Policy = anything
) -> Iterator[tuple[Stop, ...]]:
    """Walks that make every call in every state of the scopes, as far as the model of the module has them.

    They lead only through calls that they `may`, beside those that change nothing.

    `costs` are the seconds of a call by function. Where they are known, functions that would take more than their
    share of so many `seconds` are called in a state only where that changes it, and else once for each aspect of it.
    """
    for scope in sorted(SCOPES.values(), key=lambda scope: len(scope.functions)):
        small = _beginning(scope, initial)
        if small is None or "C_Initialize" not in model.functions:
            continue
        m = machine(explore(scope.of(model), small))
        real = [_real(call, model.functions[call.function].uses, small, initial) for call in m.graph.calls]
        m = _open(m, real, may)
        if costs is not None:
            m = _affordable(m, costs, seconds * SHARE)
        price = {} if costs is None else {f: max(1, int(c / MICROSECOND)) for f, c in costs.items()}
        names = [call.function for call in m.graph.calls]
        suite = transition_tour(m, cost=lambda _, k: price.get(names[k], 1), longest=PIECE)  # noqa: B023
        for sequence in suite.sequences:
            yield tuple(
                Stop(tuple(real[k] for k in m.ways[n]), tuple(real[k] for k in calls))
                for n, calls in _stops(m, sequence)
            )


def tour_calls(model: Model, initial: State) -> tuple[Call, ...]:
    """The calls of all tours; a scope may give a function other values than are tried elsewhere."""
    found: dict[Call, None] = {}
    for scope in SCOPES.values():
        small = _beginning(scope, initial)
        if small is not None:
            for f in scope.of(model).functions.values():
                found.update((_real(call, f.uses, small, initial), None) for call in f.calls(small))
    return tuple(found)


def _stops(m: Machine, sequence: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """The states that a sequence comes through, each with the calls made there up to the one that leaves it."""
    at, here = 0, list[int]()
    for k in sequence:
        here.append(k)
        if m.moves[at][k] != at:
            yield at, here
            at, here = m.moves[at][k], []
    if here:
        yield at, here


def _beginning(scope: Scope, initial: State) -> State | None:
    """The first state of a scope with the facts of a module's first slot; None where the module has not so much."""
    small = scope.initial
    if len(initial.sessions) < len(small.sessions) or len(initial.objects) < len(small.objects):
        return None
    return replace(
        initial,
        slots=initial.slots[:1],
        sessions=(Session(),) * len(small.sessions),
        objects=(Object(),) * len(small.objects),
    )


_COUNTED: Final = {
    "slot": "slots",
    "session": "sessions",
    "object": "objects",
    "key": "objects",
    "other_key": "objects",
}
"""Arguments that count through a part of the state, of which one past the last stands for what is not there."""


def _real(call: Call, uses: tuple[str, ...], small: State, real: State) -> Call:
    """A call of a small scope as it is in the module's own, where what is not there has another number."""
    past: dict[str, Any] = {
        name: len(getattr(real, part))
        for name, part in _COUNTED.items()
        if name in uses and getattr(call.args, name) == len(getattr(small, part))
    }
    return Call(call.function, replace(call.args, **past)) if past else call


def _open(m: Machine, real: Sequence[Call], may: Policy) -> Machine:
    """A machine without the calls that change something and that may not be made, and with what it still reaches.

    The ways lead by calls as plain as can be, as these are refused least.
    """
    odd = [sum(getattr(call.args, name) != value for name, value in _PLAIN.items()) for call in real]
    moves: dict[int, Mapping[int, int]] = {}
    ways: dict[int, tuple[int, ...]] = {0: ()}
    queue = deque([0])
    while queue:
        n = queue.popleft()
        s = m.graph.states[n]
        moves[n] = {k: target for k, target in m.moves[n].items() if target == n or may(s, real[k])}
        for k in sorted((k for k, target in moves[n].items() if target not in ways), key=lambda k: (odd[k], k)):
            target = moves[n][k]
            if target not in ways:
                ways[target] = (*ways[n], k)
                queue.append(target)
    return replace(m, moves=moves, ways=ways)


_PLAIN: Final = {name: getattr(Args(), name) for name in Args.__dataclass_fields__}


def _affordable(m: Machine, costs: Mapping[str, float], seconds: float) -> Machine:
    """A machine without the calls that cost too much for what they show."""
    often: dict[str, int] = {}
    for moves in m.moves.values():
        for k in moves:
            name = m.graph.calls[k].function
            often[name] = often.get(name, 0) + 1
    dear = {name for name, n in often.items() if n * costs.get(name, 0.0) > seconds / len(often)}
    seen: set[tuple[str, int, int]] = set()
    kept: dict[int, dict[int, int]] = {}
    for n, moves in m.moves.items():
        where = aspect(m.graph.states[n])
        kept[n] = {}
        for k, target in moves.items():
            name = m.graph.calls[k].function
            kind = (name, where, aspect(m.graph.states[target]))
            if name not in dear or kind not in seen:
                kept[n][k] = target
                seen.add(kind)
    # The ways to the states stay, whatever they cost.
    for n, way in m.ways.items():
        at = 0
        for k in way:
            kept[at][k] = m.moves[at][k]
            at = m.moves[at][k]
        assert at == n
    return replace(m, moves=kept)
