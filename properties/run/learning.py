"""What a run learns of a module while it goes: which arguments kill it, so that only calls with those are spared."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ...model.call import Args, Call
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


@dataclass(slots=True)
class Deaths:
    """What is known of the calls that kill a module: by function the patterns of arguments, and how often each did.

    A pattern that has a NULL pointer in it is that pointer alone. It is spared at its first death, and NULL pointers of
    its kind are put off from then on, whatever the function.
    """

    uses: Mapping[str, tuple[str, ...]]
    patterns: dict[str, Counter[frozenset[Feature]]] = field(default_factory=dict)
    killers: set[Call] = field(default_factory=set)
    _given: dict[Call, frozenset[Feature]] = field(default_factory=dict)

    def learn(self, call: Call, shrunk: Call | None) -> None:
        """Learn from a call that killed; `shrunk` is the plainest one that does so too, where that was searched."""
        self.killers.add(call)
        own = self.patterns.setdefault(call.function, Counter())
        given = self._features(call)
        null = given & NULLS
        same = shrunk is not None and shrunk.function == call.function
        if null and not (same and shrunk is not None and not self._features(shrunk) & NULLS):
            own[null] += 1
            return
        if same and shrunk is not None:
            own.setdefault(self._features(shrunk), 0)
        for pattern in [p for p in own if p <= given] or [given]:
            own[pattern] += 1

    def spares(self, call: Call, worked: bool) -> bool:
        """Whether a call is better left out; `worked` tells whether its function ever returned CKR_OK.

        A function that kills with plain arguments is spared as a whole only where it never did anything else: else
        the situation matters, and only the very calls that killed are left out.
        """
        if call in self.killers:
            return True
        given = self._features(call)
        null = given & NULLS
        return any(
            pattern <= given and (bool(pattern & null) or (count >= DEADLY and (bool(pattern) or not worked)))
            for pattern, count in self.patterns.get(call.function, {}).items()
        )

    def _features(self, call: Call) -> frozenset[Feature]:
        found = self._given.get(call)
        if found is None:
            found = self._given[call] = features(call, self.uses[call.function])
        return found

    @property
    def nulls(self) -> frozenset[Feature]:
        """Kinds of NULL pointer that killed."""
        return frozenset(x for own in self.patterns.values() for p in own for x in p & NULLS)

    def puts_off(self, call: Call) -> bool:
        """Whether a call has a NULL pointer of a kind that killed, if not in its function."""
        return bool(self._features(call) & self.nulls)
