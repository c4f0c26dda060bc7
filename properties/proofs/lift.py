"""Ordinary Python functions run on z3 terms.

A symbol stands where the model expects a bool or a small int. When a function asks for its truth, the engine answers
once with True and once with False, and so walks every path; the results become one if-then-else over what was asked.
Numbers have finite domains, and a run remembers what its answers left of each, so that it never asks what it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import z3

WIDTH = 7
"""Bits of a number's term: domains lie within 0 … 2**WIDTH - 1."""


class Unliftable(TypeError):
    """A function used a symbol in a way that a proof cannot follow."""


@dataclass(slots=True)
class _Run:
    """One execution: the answers to give first, then True; what was asked; and what follows from the answers."""

    replay: tuple[bool, ...]
    asked: list[z3.BoolRef] = field(default_factory=list)
    known: dict[int, bool] = field(default_factory=dict)
    live: dict[int, frozenset[int]] = field(default_factory=dict)

    def ask(self, term: z3.BoolRef) -> bool:
        n = len(self.asked)
        self.asked.append(term)
        return self.replay[n] if n < len(self.replay) else True


_RUN: ContextVar[_Run] = ContextVar("run")


def _run() -> _Run:
    try:
        return _RUN.get()
    except LookupError:
        raise Unliftable("a symbol has no value by itself: run the function through explore()") from None


class Truth:
    """A symbolic bool."""

    __slots__ = ("term",)

    def __init__(self, term: z3.BoolRef) -> None:
        self.term = term

    def __bool__(self) -> bool:
        run, key = _run(), self.term.get_id()
        if key not in run.known:
            run.known[key] = run.ask(self.term)
        return run.known[key]

    def __and__(self, other: object) -> Truth:
        return self._join(other, z3.And)

    def __or__(self, other: object) -> Truth:
        return self._join(other, z3.Or)

    __rand__, __ror__ = __and__, __or__

    def _join(self, other: object, join: Callable[..., z3.BoolRef]) -> Truth:
        """Both at once: unlike `and` and `or` it asks nothing, so that a chain of them makes no paths."""
        if not isinstance(other, bool | Truth):
            raise Unliftable(f"a symbolic bool is joined with {other!r}: join it with a bool")
        return Truth(join(self.term, lower(other)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, bool | Truth):
            raise Unliftable(f"a symbolic bool is compared with {other!r}: compare it with a bool")
        return bool(self) == bool(other)


class Number:
    """A symbolic int or member of an IntEnum, with the values that it may take."""

    __slots__ = ("_compared", "_having", "domain", "key", "term")

    def __init__(self, term: z3.BitVecRef, domain: Iterable[int]) -> None:
        self.term, self.domain = term, frozenset(domain)
        self.key = term.get_id()
        self._having: dict[frozenset[int], z3.BoolRef] = {}
        self._compared: dict[tuple[Callable[[int, int], bool], int], frozenset[int]] = {}
        if not self.domain <= frozenset(range(1 << WIDTH)):
            raise Unliftable(f"the domain of {term} is outside 0 … {(1 << WIDTH) - 1}: map it onto small numbers")

    def having(self, values: frozenset[int]) -> z3.BoolRef:
        """That it has one of some values of its domain, as a term."""
        term = self._having.get(values)
        if term is None:
            rest = self.domain - values
            short = z3.Not(one_of(self.term, rest)) if len(rest) < len(values) else one_of(self.term, values)
            term = self._having[values] = short
        return term

    def live(self) -> frozenset[int]:
        """The values that the answers so far leave."""
        return _run().live.get(self.key, self.domain)

    def _compare(self, other: object, holds: Callable[[int, int], bool], term: Callable[..., z3.BoolRef]) -> Truth:
        if isinstance(other, Number):
            mine, others = self.live(), other.live()
            if len(others) == 1:
                return self._compare(min(others), holds, term)
            if len(mine) == 1:
                return Within(other, frozenset(v for v in other.domain if holds(min(mine), v)))
            return Truth(term(self.term, other.term))
        if not isinstance(other, int) or isinstance(other, bool):
            raise Unliftable(f"a symbolic number is compared with {other!r}: compare it with a number")
        # A path is walked by asking all over again what was asked before it.
        values = self._compared.get((holds, other))
        if values is None:
            values = self._compared[holds, other] = frozenset(v for v in self.domain if holds(v, other))
        return Within(self, values)

    def __eq__(self, other: object) -> Truth:  # type: ignore[override]
        return self._compare(other, int.__eq__, lambda x, y: x == y)

    def __ne__(self, other: object) -> Truth:  # type: ignore[override]
        return self._compare(other, int.__ne__, lambda x, y: x != y)

    def __lt__(self, other: object) -> Truth:
        return self._compare(other, int.__lt__, z3.ULT)

    def __le__(self, other: object) -> Truth:
        return self._compare(other, int.__le__, z3.ULE)

    def __gt__(self, other: object) -> Truth:
        return self._compare(other, int.__gt__, z3.UGT)

    def __ge__(self, other: object) -> Truth:
        return self._compare(other, int.__ge__, z3.UGE)

    def among(self, values: Iterable[int]) -> Truth:
        """Whether it is one of some values, as one question."""
        return Within(self, self.domain.intersection(map(int, values)))

    def __bool__(self) -> bool:
        return bool(self != 0)

    def __index__(self) -> int:
        *others, last = sorted(self.live())
        return int(next((v for v in others if self == v), last))


class Within(Truth):
    """That a number has one of some values. Most are settled by what is known, so the term is made when asked for."""

    __slots__ = ("number", "values")

    def __init__(self, number: Number, values: frozenset[int]) -> None:
        self.number, self.values = number, values

    @property
    def term(self) -> z3.BoolRef:
        """The term of the bool."""
        return self.number.having(self.values)

    def __bool__(self) -> bool:
        live = self.number.live()
        yes, no = live & self.values, live - self.values
        if not yes or not no:
            return bool(yes)
        run = _run()
        answer = run.ask(self.term)
        run.live[self.number.key] = yes if answer else no
        return answer


Symbol = Truth | Number


def one_of(term: z3.BitVecRef, values: Iterable[int]) -> z3.BoolRef:
    """That a term has one of some values."""
    return z3.Or([term == int(v) for v in sorted(values)])


def lower(value: Any) -> z3.ExprRef:
    """The z3 term of a symbol, a bool or a small int."""
    if isinstance(value, Symbol):
        return value.term
    return _TRUTHS[value] if isinstance(value, bool) else _NUMBERS[value]


_TRUTHS = {value: z3.BoolVal(value) for value in (False, True)}
_NUMBERS = tuple(z3.BitVecVal(n, WIDTH) for n in range(1 << WIDTH))
"""The terms of values: one object each, so that what is the same is known at once."""


@dataclass(frozen=True, slots=True)
class Result:
    """What the function returned on a path."""

    value: Any


@dataclass(frozen=True, slots=True)
class Failure:
    """What it raised: the path lies outside of what the function answers for."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Branch:
    """A question, and what follows from either answer."""

    asked: z3.BoolRef
    yes: Tree
    no: Tree


Tree = Result | Failure | Branch


def explore(f: Callable[..., Any], *args: Any) -> Tree:
    """Every path of a function run on symbols. Lookups and conversions that fail end a path; they do not propagate.

    Within a run of another function only the paths are walked that the answers given there leave.

    Raises:
        TypeError: if the function hashes a symbol, computes with it, or asks for it in another unfit way.
    """

    outer = _RUN.get(None)

    def grow(answers: tuple[bool, ...]) -> Tree:
        run = _Run(answers, known=dict(outer.known), live=dict(outer.live)) if outer else _Run(answers)
        token = _RUN.set(run)
        tree: Tree
        try:
            tree = Result(f(*args))
        except (LookupError, ValueError, StopIteration) as error:
            tree = Failure(error)
        finally:
            _RUN.reset(token)
        for n in reversed(range(len(answers), len(run.asked))):
            sibling = (*answers, *(True,) * (n - len(answers)), False)
            tree = Branch(run.asked[n], tree, grow(sibling))
        return tree

    return grow(())


def merge(tree: Tree, read: Callable[[Any], Iterable[Any]]) -> tuple[z3.ExprRef, ...] | None:
    """The terms that `read` takes from the results, each merged over the paths; None if every path fails."""
    if isinstance(tree, Failure):
        return None
    if isinstance(tree, Result):
        return tuple(map(lower, read(tree.value)))
    yes, no = merge(tree.yes, read), merge(tree.no, read)
    if yes is None or no is None:
        return yes or no
    return tuple(_choose(tree.asked, x, y) for x, y in zip(yes, no, strict=True))


def results(tree: Tree) -> Iterator[Any]:
    """What the function returned, path by path."""
    if isinstance(tree, Branch):
        yield from results(tree.yes)
        yield from results(tree.no)
    elif isinstance(tree, Result):
        yield tree.value


def failing(tree: Tree) -> z3.BoolRef:
    """The condition under which the function fails."""
    if isinstance(tree, Branch):
        return _choose(tree.asked, failing(tree.yes), failing(tree.no))
    return z3.BoolVal(isinstance(tree, Failure))


def predicate(f: Callable[..., Any], *args: Any) -> z3.BoolRef:
    """A condition as a z3 term.

    Raises:
        Unliftable: if it does not give a bool, or fails on some path: a condition answers for every state.
        TypeError: as `explore`.
    """
    tree = explore(f, *args)
    merged = merge(tree, lambda value: (value,))
    if merged is None or not z3.is_false(failing(tree)) or not z3.is_bool(merged[0]):
        raise Unliftable(f"{f.__name__} does not give a bool for every state and call: let it answer for all of them")
    return z3.simplify(merged[0])


def _choose(asked: z3.BoolRef, yes: z3.ExprRef, no: z3.ExprRef) -> z3.ExprRef:
    # Most parts of a state come through as they were: the very same term, which need not be compared by z3.
    return yes if yes is no or yes.eq(no) else z3.If(asked, yes, no)
