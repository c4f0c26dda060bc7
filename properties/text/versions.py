"""Where two versions of the standard permit different codes: in which calls, by which rows, with a way to each."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from operator import or_

from ...model.call import Args, Call
from ...model.decide import forbids_ok
from ...model.oracle import Model, applicable, may_succeed, permitted, plan_of, prevailing, successors
from ...model.precedence import Relation
from ...model.rule import Rule
from ...model.state import Mech, State
from ...model.vocabulary import CKR, Version
from ..engine.columns import Columns, members, parted
from ..engine.packed import Flat, States
from ..engine.reads import Leaves
from ..search.goals import views
from .overlaps import SAID_EVERY, Say

DEPTH = 2
"""Calls to the states that are compared, beside the places of `situations`."""

Rules = tuple[Rule, ...]

Came = tuple[str, int | None]
"""An argument and a value that one version alone knows; of mechanisms, which are many, none is named."""

Reason = tuple[str, frozenset[Rule | Relation | Came]]
"""A function, and what one version alone has of it that makes a difference."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Calls of a function of which two versions permit different codes, all for the same reason.

    The reason: `old_rows` and `new_rows`, the rows that one version alone has; where there are none, `relations` of
    precedence that one alone has. Where the call has arguments whose values one version alone knows, `came` names
    those, and they are the reason; the rows tell what follows. `calls` is a shortest sequence to such a call, on which
    there may be functions that the later version alone has, and `old` and `new` are what the versions permit of it.
    """

    function: str
    old_rows: Rules
    new_rows: Rules
    relations: tuple[Relation, ...]
    calls: tuple[Call, ...]
    old: frozenset[CKR]
    new: frozenset[CKR]
    came: tuple[Came, ...] = ()

    @property
    def reason(self) -> Reason:
        """What one version alone has that makes the difference."""
        rows: tuple[Rule | Relation, ...] = (*self.old_rows, *self.new_rows, *self.relations)
        return self.function, frozenset(self.came or rows)

    @property
    def told(self) -> tuple[bool, int, int]:
        """How well it shows its reason, the lower the better.

        Of a value that came, best by a call that can succeed now, and has nothing else that is not as by default.
        """
        if not self.came:
            return False, 0, len(self.calls)
        args, default = self.calls[-1].args, Args()
        odd = sum(getattr(args, f.name) != getattr(default, f.name) for f in fields(Args))
        return (CKR.OK in self.old) is (CKR.OK in self.new), odd, len(self.calls)


@dataclass(frozen=True, slots=True)
class Lists:
    """Codes that the list of a function names in one version alone."""

    function: str
    old: frozenset[CKR]
    new: frozenset[CKR]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that differs, less calls whose reason is made up of the reasons of others.

    `gone` and `come` are functions that the old or the new version alone has; nothing else tells of them. `mechanisms`
    are those that the later version alone knows. `idle` holds rows of one version alone that make no difference in any
    call compared.
    """

    differences: tuple[Difference, ...]
    lists: tuple[Lists, ...]
    gone: tuple[str, ...]
    come: tuple[str, ...]
    mechanisms: tuple[Mech, ...]
    idle: tuple[tuple[str, Rule, Version], ...]


def compare(old: Model, new: Model, initial: State, say: Say = lambda _: None) -> Comparison:
    """Search two models in step: along ways that both permit, and on which both leave the same next states.

    A call that one version alone knows is compared with what it is to the other. Functions that the later version alone
    has may lead to where others differ.
    """
    later = new if old.version <= new.version else old
    gone, come = (tuple(name for name in m.functions if name not in o.functions) for m, o in ((old, new), (new, old)))
    old, new = _without(old, gone), _without(new, come)
    differing = {name for name in old.functions if _differs(old, new, name)}
    best: dict[Reason, Difference] = {}
    # What applies decides what is permitted, so each set of rows is compared once, in its shortest sequence.
    lengths: dict[tuple[str, Ways], int] = {}
    states, leaves = States(initial), Leaves(initial)
    # By address, as hashing thousands of calls takes longer than to look at them; a pair keeps its calls alive.
    pairs: dict[int, _Both] = {}

    def agree(s: State, call: Call) -> bool:
        if call.function not in old.functions:
            return may_succeed(later, s, call)
        alike = old.functions[call.function].effects == new.functions[call.function].effects
        succeeds = all(may_succeed(m, s, _known(m, call)) for m in (old, new))
        return succeeds and (alike or successors(old, s, call, CKR.OK) == successors(new, s, call, CKR.OK))

    looked = views(later, initial, agree, DEPTH) if differing else ()
    for n, (s, way, calls) in enumerate(looked):
        if n % SAID_EVERY == 0:
            say(f"comparing: {n} states, {len(best)} differences")
        flat = states.flats[states.number(s)]
        for name, own in calls.items():
            if name not in differing:
                continue
            both = pairs.get(id(own)) or pairs.setdefault(id(own), _Both(old, new, own, leaves))
            for ways, call in both.ways(flat):
                if lengths.get((name, ways), len(way) + 1) <= len(way):
                    continue
                lengths[name, ways] = len(way)
                found = _difference(old, new, s, (*way, call))
                if found is not None and (found.reason not in best or found.told < best[found.reason].told):
                    best[found.reason] = found
    names = tuple(old.functions)
    simple = (d for reason, d in best.items() if not _composed(reason, best))
    differences = tuple(sorted(simple, key=lambda d: names.index(d.function)))
    lists, idle = tuple(_lists(old, new)), tuple(_idle(old, new, differences))
    mechanisms = {m for name in names for m in _unheard(old, name) ^ _unheard(new, name)}
    return Comparison(differences, lists, gone, come, tuple(sorted(mechanisms)), idle)


Ways = tuple[tuple[int, ...], tuple[int, ...], bool]
"""The rows of a function that apply to a call in either version, and whether it is the same call to both."""


class _Both:
    """The calls of a function, each as either version knows it."""

    def __init__(self, old: Model, new: Model, calls: tuple[Call, ...], leaves: Leaves) -> None:
        name = calls[0].function
        # A mechanism that one version alone has may be no other to the rest of the search than one that both have.
        came = (Call(name, Args(mechanism=m)) for m in sorted(_unheard(old, name) ^ _unheard(new, name)))
        self._calls = tuple(dict.fromkeys((*calls, *came)))
        known = [tuple(_known(m, call) for call in self._calls) for m in (old, new)]
        self._columns = [Columns(m, name, own, leaves) for m, own in zip((old, new), known, strict=True)]
        self._same = sum(1 << j for j, (one, other) in enumerate(zip(*known, strict=True)) if one == other)
        self._reordered = any(_alone(old, new, name))
        self._turned = [_turned(old, new, name), _turned(new, old, name)]

    def ways(self, flat: Flat) -> Iterator[tuple[Ways, Call]]:
        """How rows apply in a state to calls of which versions may permit different codes, each with its first call."""
        old, new = self._columns
        before, after = old.holding(flat), new.holding(flat)
        which = old.in_scope(before) & new.in_scope(after)
        if not self._reordered:
            turned = (holding[n] for holding, own in zip((before, after), self._turned, strict=True) for n in own)
            which &= reduce(or_, turned, ~self._same)
        for alike in parted(which, (*before, *after, self._same)):
            same = bool(alike & self._same)
            yield (old.rows(before, alike), new.rows(after, alike), same), self._calls[members(alike)[0]]


def _unheard(model: Model, name: str) -> frozenset[Mech]:
    """The mechanisms that a function may be given and that came after the version of a model."""
    f = model.functions[name]
    return f.unheard & frozenset(f.domains.get("mechanism", Mech))


def _turned(model: Model, other: Model, name: str) -> frozenset[int]:
    """The conditions, by number, of the rows that the function has in one model alone."""
    theirs = other.functions[name].rules
    rows = zip(model.functions[name].rules, plan_of(model, name).rows, strict=True)
    return frozenset(n for r, n in rows if r not in theirs)


def _without(model: Model, names: Container[str]) -> Model:
    """The model without some functions, which the other version does not have."""
    return replace(model, functions={name: f for name, f in model.functions.items() if name not in names})


def _known(model: Model, call: Call) -> Call:
    """A call as the version of a model knows it."""
    return replace(call, args=model.functions[call.function].known(call.args))


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
    return Difference(name, old_rows, new_rows, relations, calls, *allowed, _came(old, new, call))


def _came(old: Model, new: Model, call: Call) -> tuple[Came, ...]:
    """The arguments of a call that are other ones to one version than to the other."""
    one, other = (_known(m, call).args for m in (old, new))
    names = (name for name in new.functions[call.function].uses if getattr(one, name) != getattr(other, name))
    return tuple((name, None if name == "mechanism" else getattr(call.args, name)) for name in names)


def _deciding(model: Model, other: Model, s: State, call: Call) -> Rules:
    """The rows of one model alone that apply, without one of which it would permit something else.

    Where the call is another one to the other model, they are those that do not apply there.
    """
    theirs, call = _known(other, call), _known(model, call)
    elsewhere = other.functions[call.function].rules if call == theirs else applicable(other, s, theirs)
    alone = tuple(r for r in applicable(model, s, call) if r not in elsewhere)
    rows = applicable(model, s, call)
    allowed = _codes(model, call.function, rows)
    deciding = (r for r in alone if _codes(model, call.function, [x for x in rows if x is not r]) != allowed)
    return tuple(deciding) or alone


def _codes(model: Model, name: str, rows: Sequence[Rule]) -> frozenset[CKR]:
    """What is permitted where these rows of a function apply, and no others."""
    succeeds = model.functions[name].returns_ok and not any(map(forbids_ok, rows))
    return frozenset({r.code for r in prevailing(model, name, rows)} | ({CKR.OK} if succeeds else set()))


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
