"""Where two versions of the standard permit different codes: in which calls, by which rows, with a way to each."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from ...model.call import Call
from ...model.oracle import Model, applicable, in_scope, may_succeed, permitted, successors
from ...model.precedence import Relation
from ...model.rule import Rule
from ...model.state import State
from ...model.vocabulary import CKR, Version
from ..search.goals import views
from .overlaps import SAID_EVERY, Say

DEPTH = 2
"""Calls to the states that are compared, beside the places of `situations`."""

Rules = tuple[Rule, ...]

Reason = tuple[str, frozenset[Rule | Relation]]
"""A function, and what one version alone has of it that makes a difference."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Calls of a function of which two versions permit different codes, all for the same reason.

    The reason: `old_rows` and `new_rows`, the rows that one version alone has; where there are none, `relations` of
    precedence that one alone has. `calls` is a shortest sequence to such a call, and `old` and `new` are what the
    versions permit of it.
    """

    function: str
    old_rows: Rules
    new_rows: Rules
    relations: tuple[Relation, ...]
    calls: tuple[Call, ...]
    old: frozenset[CKR]
    new: frozenset[CKR]


@dataclass(frozen=True, slots=True)
class Lists:
    """Codes that the list of a function names in one version alone."""

    function: str
    old: frozenset[CKR]
    new: frozenset[CKR]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that differs, less calls whose reason is made up of the reasons of others.

    `gone` and `come` are functions that the old or the new version alone has; nothing else tells of them. `idle` holds
    rows of one version alone that make no difference in any call compared.
    """

    differences: tuple[Difference, ...]
    lists: tuple[Lists, ...]
    gone: tuple[str, ...]
    come: tuple[str, ...]
    idle: tuple[tuple[str, Rule, Version], ...]


def compare(old: Model, new: Model, initial: State, say: Say = lambda _: None) -> Comparison:
    """Search two models in step: along ways that both permit, and on which both leave the same next states.

    A call that one version alone knows is compared with what it is to the other.
    """
    gone, come = (tuple(name for name in m.functions if name not in o.functions) for m, o in ((old, new), (new, old)))
    old, new = _without(old, gone), _without(new, come)
    differing = {name for name in old.functions if _differs(old, new, name)}
    best: dict[Reason, Difference] = {}
    # What applies decides what is permitted, so each set of rows is compared once, in its shortest sequence.
    lengths: dict[tuple[str, Rules, Rules], int] = {}

    def agree(s: State, call: Call) -> bool:
        alike = old.functions[call.function].effects == new.functions[call.function].effects
        succeeds = all(may_succeed(m, s, _known(m, call)) for m in (old, new))
        return succeeds and (alike or successors(old, s, call, CKR.OK) == successors(new, s, call, CKR.OK))

    looked = views(_with_every_call(old, new), initial, agree, DEPTH) if differing else ()
    for n, (s, way, calls) in enumerate(looked):
        if n % SAID_EVERY == 0:
            say(f"comparing: {n} states, {len(best)} differences")
        for call in chain.from_iterable(calls.values()):
            if call.function not in differing or not in_scope(old, s, call):
                continue
            rows = (call.function, applicable(old, s, _known(old, call)), applicable(new, s, _known(new, call)))
            if lengths.get(rows, len(way) + 1) > len(way):
                lengths[rows] = len(way)
                found = _difference(old, new, s, (*way, call))
                if found is not None:
                    parts: frozenset[Rule | Relation] = frozenset((*found.old_rows, *found.new_rows, *found.relations))
                    key = (call.function, parts)
                    if key not in best or len(found.calls) < len(best[key].calls):
                        best[key] = found
    names = tuple(old.functions)
    simple = (d for reason, d in best.items() if not _composed(reason, best))
    differences = tuple(sorted(simple, key=lambda d: names.index(d.function)))
    lists, idle = tuple(_lists(old, new)), tuple(_idle(old, new, differences))
    return Comparison(differences, lists, gone, come, idle)


def _without(model: Model, names: Container[str]) -> Model:
    """The model without some functions, which the other version does not have."""
    return replace(model, functions={name: f for name, f in model.functions.items() if name not in names})


def _known(model: Model, call: Call) -> Call:
    """A call as the version of a model knows it."""
    return replace(call, args=model.functions[call.function].known(call.args))


def _with_every_call(old: Model, new: Model) -> Model:
    """The old model, whose calls are those of the later version too."""
    later = new if old.version <= new.version else old
    ranges = {
        name: replace(f, domains=x.domains, later=x.later, version=x.version)
        for name, f, x in ((name, f, later.functions[name]) for name, f in old.functions.items())
    }
    return replace(old, functions=ranges)


def _composed(reason: Reason, others: Iterable[Reason]) -> bool:
    """Whether a reason is no more than others of its function together."""
    name, parts = reason
    smaller = (x for f, x in others if f == name and x < parts)
    return frozenset().union(*smaller) == parts


def _differs(old: Model, new: Model, name: str) -> bool:
    """Whether two versions have different rows of a function, relations between them, or values of arguments."""
    mine, other = old.functions[name], new.functions[name]
    rows = mine.rules != other.rules or mine.later != other.later or mine.unheard != other.unheard
    codes = {r.code for r in (*old.functions[name].rules, *new.functions[name].rules)}
    return rows or any(codes.issuperset(pair) for pair in _alone(old, new, name))


def _alone(old: Model, new: Model, name: str) -> Iterator[tuple[CKR, CKR]]:
    """The pairs of codes that one version alone puts in order."""
    yield from sorted(old.orders[name].decide.keys() ^ new.orders[name].decide.keys())


def _difference(old: Model, new: Model, s: State, calls: tuple[Call, ...]) -> Difference | None:
    """How the permitted sets of the last call differ, with the rows that make them do so."""
    call = calls[-1]
    name = call.function
    allowed = permitted(old, s, _known(old, call)), permitted(new, s, _known(new, call))
    if allowed[0] == allowed[1]:
        return None
    old_rows, new_rows = _deciding(old, new, s, call), _deciding(new, old, s, call)
    relations = () if old_rows or new_rows else _relations(old, new, s, call)
    return Difference(name, old_rows, new_rows, relations, calls, *allowed)


def _deciding(model: Model, other: Model, s: State, call: Call) -> Rules:
    """The rows of one model alone that apply, without one of which it would permit something else.

    Where the call is another one to the other model, they are those that do not apply there.
    """
    theirs, call = _known(other, call), _known(model, call)
    elsewhere = other.functions[call.function].rules if call == theirs else applicable(other, s, theirs)
    alone = tuple(r for r in applicable(model, s, call) if r not in elsewhere)
    allowed = permitted(model, s, call)
    deciding = tuple(r for r in alone if permitted(model.without(call.function, r), s, call) != allowed)
    return deciding or alone


def _relations(old: Model, new: Model, s: State, call: Call) -> tuple[Relation, ...]:
    """The relations of one model alone between codes that apply."""
    codes = {r.code for m in (old, new) for r in applicable(m, s, _known(m, call))}
    before, after = (m.orders[call.function].decide for m in (old, new))
    orders: Mapping[tuple[CKR, CKR], Relation] = {**before, **after}
    return tuple(orders[pair] for pair in _alone(old, new, call.function) if codes.issuperset(pair))


def _lists(old: Model, new: Model) -> Iterator[Lists]:
    for name, f in old.functions.items():
        before, after = f.signature.listed[old.version], f.signature.listed[new.version]
        if before != after:
            yield Lists(name, before - after, after - before)


def _idle(old: Model, new: Model, differences: tuple[Difference, ...]) -> Iterator[tuple[str, Rule, Version]]:
    shown = {(d.function, r) for d in differences for r in (*d.old_rows, *d.new_rows)}
    for model, other in ((old, new), (new, old)):
        for name, f in model.functions.items():
            for r in f.rules:
                if r not in other.functions[name].rules and (name, r) not in shown:
                    yield name, r, model.version
