"""What a run learns of a module while it goes: which arguments kill it, so that only calls with those are spared."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ...model.call import Args, Call
from ...model.chapters.operations import ACTIVITIES
from ...model.state import Mech, Operation, Phase, State
from ..engine.verdict import NULLS

DEADLY: Final = 3
"""Deaths by one pattern, not a NULL pointer, after which all calls with it are spared."""

Feature = tuple[str, Any]
"""An argument that is not plain, by name and value."""

_PLAIN: Final = Args()


def features(call: Call, uses: Sequence[str]) -> frozenset[Feature]:
    """The arguments of a call that differ from the harmless ones."""
    given = ((name, getattr(call.args, name)) for name in uses)
    return frozenset((name, value) for name, value in given if value != getattr(_PLAIN, name))


_WORKS_ON: Final = {f"{k.stem}{end}": k for k in ACTIVITIES for end in ("", "Update", "Final")}
"""The kind of operation that a function goes on with."""

_BEGUN_WITH: Final = "begun with"
"""The name, among arguments, of the mechanism of the operation that a call goes on with."""


def mechanism_before(calls: Sequence[Call]) -> Mech | None:
    """The mechanism of the operation that the last of some calls goes on with, as far as is known."""
    *before, last = calls
    kind = _WORKS_ON.get(last.function)
    begun = (x for x in reversed(before) if kind is not None and x.function == kind.init)
    return next((x.args.mechanism for x in begun if x.args.session == last.args.session), None)


def mechanism_in(s: State, call: Call) -> Mech | None:
    """The mechanism of the operation that a call goes on with, None where there is none."""
    kind = _WORKS_ON.get(call.function)
    if kind is None or call.args.session >= len(s.sessions):
        return None
    operation: Operation = getattr(s.sessions[call.args.session].operations, kind.field)
    return operation.mechanism if operation.phase != Phase.NONE else None


@dataclass(slots=True)
class Deaths:
    """What is known of the calls that kill a module: by function the patterns of arguments, and how often each did.

    A pattern that has a NULL pointer in it is that pointer alone. It is spared at its first death, and NULL pointers of
    its kind are put off from then on, whatever the function. What else kills in an operation does so with the mechanism
    of that, until it killed with another one too.
    """

    uses: Mapping[str, tuple[str, ...]]
    patterns: dict[str, Counter[frozenset[Feature]]] = field(default_factory=dict)
    killers: set[tuple[Call, Mech | None]] = field(default_factory=set)
    _given: dict[Call, frozenset[Feature]] = field(default_factory=dict)

    def learn(self, call: Call, shrunk: Call | None, mechanism: Mech | None = None) -> None:
        """Learn from a call that killed; `shrunk` is the plainest one that does so too, where that was searched.

        `mechanism` is that of the operation that the call goes on with.
        """
        self.killers.add((call, mechanism))
        own = self.patterns.setdefault(call.function, Counter())
        given = self._features(call, mechanism)
        null = given & NULLS
        same = shrunk is not None and shrunk.function == call.function
        if null and not (same and shrunk is not None and not self._features(shrunk) & NULLS):
            own[null] += 1
            return
        if same and shrunk is not None:
            own.setdefault(self._features(shrunk, mechanism), 0)
        for pattern in [p for p in own if p <= given] or [given]:
            own[pattern] += 1

    def spares(self, call: Call, worked: bool, mechanism: Mech | None = None) -> bool:
        """Whether a call is better left out, whatever operation it goes on with or in one of a mechanism.

        `worked` tells whether its function ever returned CKR_OK. One that kills with plain arguments is spared as a
        whole only where it never did anything else: else the situation matters, and only the very calls that killed are
        left out.
        """
        if (call, mechanism) in self.killers:
            return True
        given = self._features(call, mechanism)
        null = given & NULLS
        return any(
            pattern <= given and (bool(pattern & null) or (count >= DEADLY and (bool(pattern) or not worked)))
            for pattern, count in self._widened(call.function).items()
        )

    def mechanisms(self, function: str) -> frozenset[Mech]:
        """Those with which calls of a function killed in an operation."""
        return frozenset(mech for call, mech in self.killers if mech is not None and call.function == function)

    def _widened(self, function: str) -> Mapping[frozenset[Feature], int]:
        """The patterns of a function, and what those have in common that differ in the mechanism alone."""
        own = self.patterns.get(function, Counter())
        wide: dict[frozenset[Feature], list[int]] = {}
        for pattern, count in own.items():
            rest = frozenset(x for x in pattern if x[0] != _BEGUN_WITH)
            if rest != pattern:
                wide.setdefault(rest, []).append(count)
        return {**own, **{rest: own[rest] + sum(counts) for rest, counts in wide.items() if len(counts) > 1}}

    def _features(self, call: Call, mechanism: Mech | None = None) -> frozenset[Feature]:
        found = self._given.get(call)
        if found is None:
            found = self._given[call] = features(call, self.uses[call.function])
        return found if mechanism is None else found | {(_BEGUN_WITH, mechanism)}

    @property
    def nulls(self) -> frozenset[Feature]:
        """Kinds of NULL pointer that killed."""
        return frozenset(x for own in self.patterns.values() for p in own for x in p & NULLS)

    def puts_off(self, call: Call) -> bool:
        """Whether a call has a NULL pointer of a kind that killed, if not in its function."""
        return bool(self._features(call) & self.nulls)
