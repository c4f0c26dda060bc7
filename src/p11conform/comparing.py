"""Two sides compared: what one answers is tried on the other, where that is a module, and each change is classed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from .model.call import Call
from .properties.reports.changes import Change, What, came_and_went, compared, grouped, mechanisms, unlike
from .properties.reports.findings import explain
from .properties.run.probe import Case
from .sides import Live, Told

Side = Told | Live

AGAIN: Final = 2
"""How often a sequence that differs is tried again, before that counts."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two sides: how they were asked, what they can do, what they answer.

    `compared` counts sequences with both answers, `varying` those of them that one module answers now so, now so,
    `alone` those that only one side has an answer to.
    """

    unlike: tuple[str, ...]
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    changes: tuple[Change, ...]
    compared: int
    varying: int
    alone: int

    def has(self, sorts: Sequence[What]) -> bool:
        """Whether there is a change of one of these sorts."""
        can = {*([What.GAINED] if self.gained else []), *([What.LOST] if self.lost else [])}
        return any(x in sorts for x in (*can, *(change.what for change in self.changes)))

    def lines(self) -> Iterator[str]:
        """All of it for people: first wherein the sides differ, the gravest change next, how much was compared last."""
        yield from (f"not alike: {line}" for line in self.unlike)
        yield from (f"can now: {line}" for line in self.gained)
        yield from (f"can no longer: {line}" for line in self.lost)
        for change in self.changes:
            yield from change.lines()
        if not (self.changes or self.gained or self.lost):
            yield "no difference"
        varying = f"; {self.varying} are answered now so, now so" if self.varying else ""
        alone = f"; {self.alone} could be tried on one side only" if self.alone else ""
        yield f"{self.compared} sequences compared{varying}{alone}"


def compare(old: Side, new: Side, met_old: Mapping[str, Case], met_new: Mapping[str, Case]) -> Comparison:
    """What the new side does otherwise; beside the sequences that are always the same, what checks met is tried."""
    work = _Work(old, new)
    every = [*work.cases(), *work.met(met_old, met_new)]
    changes = [x for x in every if not work.wavers(x)]
    gained, lost = came_and_went(old.abilities, new.abilities) if old.abilities and new.abilities else ((), ())
    return Comparison(
        tuple(unlike(old.about, new.about)), gained, lost, grouped(changes), work.compared, work.varying, work.alone
    )


class _Work:
    """Tries sequences on both sides, and counts."""

    def __init__(self, old: Side, new: Side) -> None:
        self._old, self._new = old, new
        self.compared = self.varying = self.alone = 0
        self._wavers: set[tuple[str, frozenset[str]]] = set()
        both = (mechanisms(old.abilities), mechanisms(new.abilities))
        self._mechanisms = both[0] ^ both[1] if all(both) else frozenset[str]()

    def cases(self) -> Iterator[Change]:
        """Changes in the sequences that are the same for every run."""
        if not all(isinstance(side, Live) or side.whole for side in (self._old, self._new)):
            return
        for calls, case in {**self._new.cases, **self._old.cases}.items():
            yield from self._changed(self._on(self._old, calls, case.at), self._on(self._new, calls, case.at))

    def wavers(self, change: Change) -> bool:
        """Whether one module was seen to give now the one, now the other of the answers that a change is about."""
        return _answers(change) in self._wavers

    def _on(self, side: Side, calls: tuple[Call, ...], at: int) -> Case | None:
        known = side.cases.get(calls)
        return known if known is not None or isinstance(side, Told) else side.tried(calls, at)

    def met(self, old: Mapping[str, Case], new: Mapping[str, Case]) -> Iterator[Change]:
        """Changes in what checks met that is against the text."""
        yield from self._met_now(old, new)
        for id, case in old.items():
            if isinstance(self._new, Live) and case.calls:
                yield from self._changed(case, self._new.tried(case.calls, case.at))
            elif id not in new and case.calls:
                self.alone += 1
                yield Change(What.UNMET, case.calls, case.answers[-1], "-")

    def _met_now(self, old: Mapping[str, Case], new: Mapping[str, Case]) -> Iterator[Change]:
        for id, case in new.items():
            if isinstance(self._old, Live) and case.calls:
                before = self._old.tried(case.calls, case.at)
                yield from self._changed(before, case)
                if id not in old and compared(before, case) is None:
                    yield self._explained(Change(What.FIRST_MET, case.calls, case.answers[-1], case.answers[-1]))
            elif id not in old and case.calls:
                self.alone += 1
                yield self._explained(Change(What.UNTRIED, case.calls, "-", case.answers[-1]))

    def _changed(self, old: Case | None, new: Case | None) -> Iterator[Change]:
        if old is None or new is None:
            self.alone += 1
            return
        self.compared += 1
        found = compared(old, new, self._mechanisms)
        if found is None:
            return
        for side, other, same in ((self._old, new, _swapped), (self._new, old, _straight)):
            for _ in range(AGAIN if isinstance(side, Live) else 0):
                assert isinstance(side, Live)
                if compared(*same(side.tried(other.calls, other.at), other)) is None:
                    self._wavers.add(_answers(found))
                    self.varying += 1
                    return
        yield self._explained(found)

    def _explained(self, change: Change) -> Change:
        sides = (self._old,) if change.what in (What.FIXED, What.LIVES) else (self._new, self._old)
        for side in sides:
            failure = side.failure(change.calls) if isinstance(side, Live) else None
            if failure is not None and isinstance(side, Live):
                cause = failure.cause.id if failure.lapse is not None else ""
                return replace(change, why=explain(side.model, failure), cause=cause)
        return change


def _answers(x: Change) -> tuple[str, frozenset[str]]:
    return x.function, frozenset({x.before, x.after})


def _straight(tried: Case, other: Case) -> tuple[Case, Case]:
    return other, tried


def _swapped(tried: Case, other: Case) -> tuple[Case, Case]:
    return tried, other
