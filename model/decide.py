"""What is permitted, given which conditions hold: decided once, for whatever truth is made of.

The truth of a condition may be a bit (0 or 1), a set of calls (a bit for each), or a z3 term: all know `&`,
`|` and `~`. What effects make of a state is said here once, too, for states and for symbols.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Protocol, Self, TypeVar

from .call import Args
from .precedence import Relation, between
from .rule import Condition, Effect, Function, Guarded, Rule, Strength
from .state import State
from .vocabulary import CKR

_FORBIDDING = frozenset({Strength.MUST, Strength.INFERRED})


def forbids_ok(rule: Rule) -> bool:
    """Whether a call to which the row applies must not succeed."""
    return rule.strength in _FORBIDDING


class Truth(Protocol):
    """What truth may be made of."""

    def __and__(self, other: Self, /) -> Self: ...

    def __or__(self, other: Self, /) -> Self: ...

    def __invert__(self) -> Self: ...


_Truth = TypeVar("_Truth", bound=Truth)


@dataclass(frozen=True, slots=True)
class Code:
    """A return value in a plan: the conditions of its own rows, and those of the rows that outrank it (5.1)."""

    code: CKR
    own: tuple[int, ...]
    above: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Guards:
    """Conditions by number, each as what is left of it where all guards above it hold; `under` are further guards."""

    own: tuple[tuple[int, Condition], ...]
    under: tuple[tuple[Condition, "Guards"], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a function's return value is decided; conditions go by their number in `conditions`.

    `guards` has them by what they take for granted, so that it need be looked at once. `rows` has the condition of each
    row of the function. `firm` are those of rows that forbid success; None where the function never succeeds.
    """

    conditions: tuple[Condition, ...]
    guards: Guards
    rows: tuple[int, ...]
    firm: tuple[int, ...] | None
    codes: tuple[Code, ...]


def plan(function: Function, above: Mapping[tuple[CKR, CKR], Relation]) -> Plan:
    """The plan of a function; `above` are the relations that decide there."""
    conditions = tuple(dict.fromkeys(r.when for r in function.rules))
    numbers = {when: n for n, when in enumerate(conditions)}
    rows = tuple(numbers[r.when] for r in function.rules)
    firm = [(n, r) for n, r in zip(rows, function.rules, strict=True) if forbids_ok(r)]
    codes = tuple(
        Code(
            code,
            tuple(dict.fromkeys(n for n, r in zip(rows, function.rules, strict=True) if r.code == code)),
            tuple(dict.fromkeys(n for n, high in firm if between(above, high, code))),
        )
        for code in sorted({r.code for r in function.rules})
    )
    guards = _guards([*enumerate(conditions)])
    forbidding = tuple(dict.fromkeys(n for n, _ in firm)) if function.returns_ok else None
    return Plan(conditions, guards, rows, forbidding, codes)


def _guards(conditions: Sequence[tuple[int, Condition]]) -> Guards:
    own = tuple((n, when) for n, when in conditions if not isinstance(when, Guarded))
    under: dict[Condition, list[tuple[int, Condition]]] = {}
    for n, when in conditions:
        if isinstance(when, Guarded):
            under.setdefault(when.given, []).append((n, when.when))
    return Guards(own, tuple((given, _guards(those)) for given, those in under.items()))


def truths(p: Plan, s: State, args: Args) -> tuple[bool, ...]:
    """The truth of each condition of a plan for a call in a state."""
    truth = [False] * len(p.conditions)
    looked_at = [p.guards]
    for guards in looked_at:
        for n, when in guards.own:
            truth[n] = bool(when(s, args))
        looked_at += [below for given, below in guards.under if given(s, args)]
    return tuple(truth)


def decide(p: Plan, holding: Sequence[_Truth], scope: _Truth) -> Iterator[tuple[CKR, _Truth]]:
    """The codes that the text permits, each with the part of the scope in which it does.

    A code is permitted where the condition of one of its rows holds and none of a row that outranks it; CKR_OK where
    no row that forbids success applies. `holding` has the truth of each condition of the plan.
    """
    if p.firm is not None:
        yield CKR.OK, scope & ~reduce(or_, [holding[n] for n in p.firm], scope & ~scope)
    for code in p.codes:
        own = reduce(or_, [holding[n] for n in code.own])
        yield code.code, scope & own & ~reduce(or_, [holding[n] for n in code.above], scope & ~scope)


def step(effect: Effect, s: State, args: Args) -> tuple[State, ...]:
    """What an effect makes of a state; before that the state as it is, where the effect is not certain.

    What changes nothing is no choice, so that ways do not multiply.
    """
    after = effect.change(s, args)
    return (after,) if effect.certain or after is s else (s, after)


def in_turn(effects: Sequence[Effect], s: State, args: Args, happens: Iterable[object]) -> State:
    """What effects make of a state, one after the other; one that is not certain is there if it `happens`."""
    for effect, chosen in zip(effects, happens, strict=False):
        first, *other = step(effect, s, args)
        s = other[0] if other and chosen else first
    return s


def changed(effects: Sequence[Effect], s: State, args: Args) -> list[State]:
    """What effects make of a state, one after the other; where one is not certain, with it and without."""
    states = [s]
    for effect in effects:
        found = [after for x in states for after in step(effect, x, args)]
        states = found if len(found) == len(states) else _once(found)
    return states


def _once(states: Iterable[State]) -> list[State]:
    """Compared, not hashed: whoever watches what is read of a state sees little of one and all of the other."""
    kept: list[State] = []
    for s in states:
        if s not in kept:
            kept.append(s)
    return kept
