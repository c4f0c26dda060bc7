"""What a module does otherwise than another, or than before: each change classed, those of one cause together."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from ...model.call import Call
from ...model.environment import STEPS
from ...model.vocabulary import CKR
from ..run.probe import Case
from .baseline import call_text


class What(Enum):
    """What sort of change it is.

    FIRST_MET: against the text, on the old module too, where it was not met before. UNTRIED: met now, and the old
    module is not here to try it on. UNMET: the same of what was met before. UNREACHED: it could not go on so far.
    """

    NEW = "newly divergent"
    DIES = "dies"
    OTHER = "another divergence"
    LOST = "capability gone"
    GAINED = "capability come"
    PERMITTED = "changed between permitted codes"
    FIXED = "fixed"
    LIVES = "dies no longer"
    FIRST_MET = "first met now"
    UNREACHED = "not reached"
    UNTRIED = "new, or first met now"
    UNMET = "not met again"


@dataclass(frozen=True, slots=True)
class Change:
    """Sequences that end otherwise now, for one reason as far as that is known: the first of them stands for all.

    `why` explains the failure that it begins or ends with, empty where nothing does, and `cause` is the id of what an
    earlier call did wrong, where one is to blame. `count` says how many sequences there are.
    """

    what: What
    calls: tuple[Call, ...]
    before: str
    after: str
    why: str = ""
    cause: str = ""
    count: int = 1

    @property
    def function(self) -> str:
        """The function that answers otherwise."""
        return self.calls[-1].function

    def lines(self) -> Iterator[str]:
        """The change for people: what it is, and a sequence that shows it."""
        more = f", and in {self.count - 1} more sequences" if self.count > 1 else ""
        yield f"{self.what.value}: {self.function} → {self.before}, now {self.after}{more}"
        yield from (f"    {line}" for line in self.why.splitlines())
        yield f"    {', '.join(map(call_text, self.calls))}"


BLAMED: Final = 3
"""Causes that one answer of one function may have in earlier calls, at most."""

AGAINST: Final = ", against the text"
_FATAL: Final = ("died", "hung")
_OK: Final = str(CKR.OK)
_STUB: Final = str(CKR.FUNCTION_NOT_SUPPORTED)
_NO_MECHANISM: Final = str(CKR.MECHANISM_INVALID)


def compared(old: Case, new: Case, mechanisms: Iterable[str] = ()) -> Change | None:
    """What the new one of two cases of one sequence does otherwise, None where it does the same.

    `mechanisms` are those that one of the sides offers and the other does not.
    """
    at = next((n for n, (a, b) in enumerate(zip(old.answers, new.answers, strict=False)) if a != b), None)
    if at is None:
        at = min(len(old.answers), len(new.answers)) - 1
        if at < 0 or (len(old.answers) == len(new.answers) and old.fails == new.fails):
            return None
        ends = [case.fails and len(case.answers) == at + 1 for case in (old, new)]
        if ends[0] == ends[1]:
            # Both went the same way, but one could not go on, for a reason that is not against the text.
            shorter = new if len(new.answers) < len(old.answers) else old
            return None if shorter is old else Change(What.UNREACHED, old.calls[: at + 2], old.answers[at + 1], "-")
    fails = [case.fails and len(case.answers) == at + 1 for case in (old, new)]
    before, after = (case.answers[at] for case in (old, new))
    call = old.calls[at]
    what = _what(call, (before, after), (fails[0], fails[1]), frozenset(mechanisms))
    told = [f"{answer}{AGAINST if bad else ''}" for answer, bad in zip((before, after), fails, strict=True)]
    return Change(what, old.calls[: at + 1], told[0], told[1])


def _what(call: Call, answers: tuple[str, str], fails: tuple[bool, bool], mechanisms: frozenset[str]) -> What:
    before, after = answers
    fatal = [answer in _FATAL for answer in answers]
    if fatal[0] != fatal[1]:
        return What.LIVES if fatal[0] else What.DIES
    if (before == _STUB) != (after == _STUB):
        return What.GAINED if before == _STUB else What.LOST
    if "mechanism" in STEPS[call.function].uses and call.args.mechanism.name in mechanisms and _NO_MECHANISM in answers:
        return What.GAINED if before == _NO_MECHANISM else What.LOST
    if fails[0] and fails[1]:
        return What.OTHER
    if fails[0] or fails[1]:
        return What.FIXED if fails[0] else What.NEW
    return What.PERMITTED


def grouped(changes: Iterable[Change]) -> tuple[Change, ...]:
    """The changes, the gravest first; those of one cause together."""
    found: dict[tuple[object, ...], list[Change]] = {}
    seen: set[tuple[What, tuple[Call, ...]]] = set()
    for x in changes:
        if (x.what, x.calls) not in seen:
            seen.add((x.what, x.calls))
            found.setdefault(_cause(x), []).append(x)
    blamed_for = Counter(_answer(some[0]) for key, some in found.items() if key != _answer(some[0]))
    for key, some in [*found.items()]:
        # What many earlier calls could be blamed for is the function's own.
        own = _answer(some[0])
        if key != own and blamed_for[own] > BLAMED:
            found.setdefault(own, []).extend(found.pop(key))
    for key, some in [*found.items()]:
        # What gives one answer to all is one change, be it right or wrong; so is what succeeds where it must not, and
        # where an earlier call could be blamed for that, too.
        own = (What.NEW, some[0].function, some[0].after.removesuffix(AGAINST))
        blamed = key[0] is What.NEW and bool(some[0].cause) and own[2] == _OK
        if own != key and own in found and (key[0] is What.PERMITTED or blamed):
            found[own] += found.pop(key)
    grave = tuple(What)
    return tuple(sorted(map(_one, found.values()), key=lambda x: (grave.index(x.what), x.function, x.before, x.after)))


def _cause(x: Change) -> tuple[object, ...]:
    """What changes have alike that are taken together: what an earlier call did, or one answer of one function."""
    return (x.what, x.cause) if x.cause else _answer(x)


def _answer(x: Change) -> tuple[object, ...]:
    """What sort of change it is, in which function, and the answer that was or is against the text."""
    return x.what, x.function, (x.before if x.what is What.FIXED else x.after).removesuffix(AGAINST)


def _one(some: Sequence[Change]) -> Change:
    """Changes as one, which is shown by the shortest sequence of those that are of its sort."""
    first = some[0].what
    least = min((x for x in some if x.what is first), key=lambda x: (len(x.calls), tuple(map(call_text, x.calls))))
    return replace(least, count=len(some))


def unlike(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    """Wherein two runs differ, of what both of them tell."""
    if MODULE in old and MODULE in new and old[MODULE] != new[MODULE]:
        yield f"another module: {old[MODULE]}, then {new[MODULE]}"
    yield from (
        f"{name}: {old[name]}, then {new[name]}"
        for name in old
        if name != MODULE and name in new and old[name] != new[name]
    )


MODULE: Final = "manufacturer"
"""By what it is told whether two libraries are the same module: the path may be another one."""


def came_and_went(old: Sequence[str], new: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a module can do that it could not, and the reverse."""
    return tuple(x for x in new if x not in old), tuple(x for x in old if x not in new)


def mechanisms(lines: Iterable[str]) -> frozenset[str]:
    """The mechanisms that lines on what a module can do begin with."""
    return frozenset(line.partition(":")[0] for line in lines)
