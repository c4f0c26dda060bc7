"""Delta debugging of call sequences: the fewest and plainest calls that still show the same failure.

A sequence is replayed on a module that may be slow, so this is about few replays, and short ones.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, takewhile
from math import isqrt
from typing import TypeVar

from ...model.call import Args, Call

T = TypeVar("T")

Fails = Callable[[Sequence[Call]], bool]

SHORT = 32
"""Up to so many calls, trying each of them takes no more replays than a search for those that matter."""

LONG = 1000
"""Beyond so many calls, stretches of them are searched first: a few more replays, but half as many calls."""

FEW = 12
"""A search stops at so many: where more matter, trying each takes fewer replays."""

_PLAIN = Args()


def shrink(
    calls: Sequence[Call], uses: Mapping[str, tuple[str, ...]], fails: Fails, guesses: Iterable[Sequence[Call]] = ()
) -> tuple[Call, ...]:
    """A sequence that fails like `calls`, from which no single call and no single argument can be taken away.

    `fails` replays a sequence and says whether it shows the failure. It is asked once about each, and never about
    `calls`, which must fail, or about no calls at all. `uses` names the arguments of each function. The first of the
    `guesses` that fails is shrunk in place of `calls`; where none does, what `calls` begin and end with as the first of
    them does is taken to matter until the rest is small. The result depends on the arguments only.
    """
    known: dict[tuple[Call, ...], bool] = {(): False, tuple(calls): True}

    def shows(trial: tuple[Call, ...]) -> bool:
        if trial not in known:
            known[trial] = fails(trial)
        return known[trial]

    guessed = [tuple(guess) for guess in guesses]
    few: tuple[Call, ...] = next((guess for guess in guessed if shows(guess)), tuple(calls))
    if len(few) > LONG:
        size = isqrt(len(few))
        stretches = tuple(few[i : i + size] for i in range(0, len(few), size))
        few = _joined(_needed(stretches, lambda trial: shows(_joined(trial)), (), stretches[-1:]))
    if len(few) > SHORT:
        few = _needed(few, shows, *_alike(few, next(iter(guessed), ())))

    def with_only(features: Iterable[tuple[int, str]]) -> tuple[Call, ...]:
        """The few calls with only these features: a call's own has no name, those of its arguments have theirs."""
        kept = set(features)
        return tuple(
            Call(c.function, replace(c.args, **{x: getattr(_PLAIN, x) for x in uses[c.function] if (i, x) not in kept}))
            for i, c in enumerate(few)
            if (i, "") in kept
        )

    features = tuple(
        (i, name)
        for i, c in enumerate(few)
        for name in ("", *(x for x in uses[c.function] if getattr(c.args, x) != getattr(_PLAIN, x)))
    )
    return with_only(_pruned(features, lambda trial: shows(with_only(trial))))


def _joined(stretches: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(chain.from_iterable(stretches))


def _alike(items: tuple[T, ...], others: tuple[T, ...]) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """What the items begin and end with as others do; the last one counts as the end in any case."""
    first = _agreeing(items[:-1], others)
    last = _agreeing(items[first:][::-1], others[first:][::-1])
    return items[:first], items[-max(last, 1) :]


def _agreeing(items: tuple[T, ...], others: tuple[T, ...]) -> int:
    """How many items, from the first on, are those of others."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(items, others, strict=False)))


def _needed(
    items: tuple[T, ...], fails: Callable[[tuple[T, ...]], bool], head: tuple[T, ...], tail: tuple[T, ...]
) -> tuple[T, ...]:
    """Some of the items that fail like all, the first and last of which matter; fewer never fail more.

    By turns the first and the last of the rest that matters is searched, from the far end on: what matters tends to
    stand together, and then what is replayed is short.
    """
    rest = items[len(head) : len(items) - len(tail)]
    found = 0

    def last_are_enough(many: int) -> bool:
        return fails(head + rest[len(rest) - many :] + tail)

    def first_are_enough(many: int) -> bool:
        return fails(head + rest[:many] + tail)

    while rest and found < FEW:
        if fails(head + tail):
            return head + tail
        found += 1
        if found % 2:
            at = len(rest) - _least(len(rest), last_are_enough)
            head, rest = head + rest[at : at + 1], rest[at + 1 :]
        else:
            at = _least(len(rest), first_are_enough) - 1
            rest, tail = rest[:at], rest[at : at + 1] + tail
    return head + rest + tail


def _least(most: int, enough: Callable[[int], bool]) -> int:
    """The least number that is enough, where 0 is not and `most` is: halving, but in ratios, so that small is quick."""
    least = 0
    while most - least > 1:
        middle = max(least + 1, isqrt(max(least, 1) * most))
        if enough(middle):
            most = middle
        else:
            least = middle
    return most


def _pruned(items: tuple[T, ...], fails: Callable[[tuple[T, ...]], bool]) -> tuple[T, ...]:
    """Some of the items that fail like all, none of which can be left out; after each success twice as many go."""
    before: tuple[T, ...] = ()
    while items != before:
        before = items
        at, many = 0, 1
        while at < len(items):
            trial = items[:at] + items[at + many :]
            if fails(trial):
                items, many = trial, 2 * many
            elif many > 1:
                many = 1
            else:
                at += 1
    return items
