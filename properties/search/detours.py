"""Ways planned anew: round calls that may not be made, to a state that is as good for what the way is wanted for."""

from collections.abc import Iterator, Mapping
from functools import cache, partial, reduce
from itertools import accumulate
from typing import Any, Final

from ...model.call import Args, Call, Flaw
from ...model.oracle import Model, in_scope, may_succeed
from ...model.state import Operations, State
from ...model.table import functions_where
from ..policy import Policy, makes_objects
from .setups import Place, Way, known, likeliest, places

ODD: Final = 3
"""Arguments of a call on a detour that may differ from the harmless ones."""

TRIED: Final = 400
"""Calls that are planned for one way before it counts as closed."""

_PREPARING: Final = functions_where(lambda f: not f.happens.isdisjoint(("logged-in", "logged-out")))
"""Functions whose calls may be put before one that may not be made as it is, or be left out."""

_PLAIN: Final = Args()


def outline(s: State) -> tuple[Any, ...]:
    """What of a state a way to it is wanted for: two that agree in it are as good as each other.

    What may differ is who is logged in, whether a session may write, whether an object is private or of the token, and
    where it came from.
    """
    return (
        s.initialized,
        tuple((x.open, x.slot, x.operations if x.open else Operations()) for x in s.sessions),
        tuple((x.exists, x.known, x.kind, x.trait, x.labelled) for x in s.objects),
        (s.saved.valid, s.ciphertext, s.signature, s.wrapped),
    )


class Detours:
    """Plans ways on a model round the calls that `may` does not let a way lead through; what it lets be may change.

    Args:
        calls: all that a detour may be made of, by function.
        may: whether a way may lead through a call in a state.
    """

    def __init__(self, model: Model, calls: Mapping[str, tuple[Call, ...]], may: Policy) -> None:
        self.may = may
        self._model = model
        self._calls = {name: tuple(c for c in own if _plain(model, c)) for name, own in calls.items()}
        self._leading: dict[tuple[State, Call], bool] = {}
        self._others: dict[tuple[State, Call], tuple[Way, ...]] = {}
        self._after = cache(partial(likeliest, model))
        self._kept: dict[tuple[State, Way], tuple[tuple[State, Call], ...]] = {}
        """What was planned for ways, each call with the state that it is made in."""

    def places(self, initial: State) -> Iterator[tuple[Place, Way | None]]:
        """All places worth looking around from, each with a way that may be gone to it, None where there is none."""
        for place in places(initial):
            yield place, self.way(initial, place.way)

    def end(self, s: State, way: Way) -> State:
        """Where a way leads to."""
        return reduce(self._after, way, s)

    def way(self, s: State, way: Way) -> Way | None:
        """A way that may be gone to what another one is wanted for: itself if it may, None if there is none."""
        kept = self._kept.get((s, way))
        if kept is not None and all(self.may(there, call) for there, call in kept):
            return tuple(call for _, call in kept)
        planned = self._planned(s, way, set(), iter(range(TRIED)))
        if planned is not None:
            self._kept[s, way] = tuple(zip(accumulate(planned, self._after, initial=s), planned, strict=False))
        return planned

    def _planned(self, s: State, way: Way, closed: set[tuple[State, int]], tries: Iterator[int]) -> Way | None:
        """A way for another, round what is `closed`: states from which so many last calls of it lead nowhere."""
        if not way:
            return ()
        if (s, len(way)) in closed:
            return None
        call, *rest = way
        # A try is spent only on what there is to try: `zip` takes from its first first.
        for instead, _ in zip(self._instead(s, call), tries, strict=False):
            onward = self._planned(self.end(s, instead), tuple(rest), closed, tries)
            if onward is not None:
                return (*instead, *onward)
        closed.add((s, len(way)))
        return None

    def _instead(self, s: State, call: Call) -> Iterator[Way]:
        """What may be done for a call in a state: the call if that may be made, else what comes to the same."""
        if self._leads(s, call):
            yield (call,)
            return
        key = s, call
        if key not in self._others:
            self._others[key] = tuple(self._equal(s, call))
        for others in self._others[key]:
            there = s
            for other in others:
                if not self.may(there, other):
                    break
                there = self._after(there, other)
            else:
                yield others

    def _leads(self, s: State, call: Call) -> bool:
        return self._open(s, call) and self.may(s, call)

    def _open(self, s: State, call: Call) -> bool:
        """Whether the text lets a call succeed in a state."""
        leading = self._leading.get((s, call))
        if leading is None:
            leading = self._leading[s, call] = (
                known(self._model, call) and may_succeed(self._model, s, call) and in_scope(self._model, s, call)
            )
        return leading

    def _equal(self, s: State, call: Call) -> Iterator[Way]:
        """Calls that come to the same as one, in outline: others of its function, or others that make such objects,

        the one after a login or a logout, and none where it only logs in or out.
        """
        if call.function not in self._model.functions:
            return
        wanted = outline(self._wished(s, call))
        pool = sorted(filter(makes_objects, self._calls)) if makes_objects(call.function) else [call.function]
        several = [c for name in pool for c in self._calls.get(name, ()) if c != call and self._open(s, c)]
        several.sort(key=lambda c: (c.function != call.function, _differing(c, call)))
        yield from ((c,) for c in several if outline(self._after(s, c)) == wanted)
        if call.function in _PREPARING:
            yield ()
            return
        for name in sorted(_PREPARING):
            for first in self._calls.get(name, ()):
                if self._open(s, first) and self._open(self._after(s, first), call):
                    yield first, call

    def _wished(self, s: State, call: Call) -> State:
        """The state after a call's success, whether or not the text lets it succeed."""
        try:
            return self._after(s, call)
        except (LookupError, StopIteration):
            return s


def _plain(model: Model, call: Call) -> bool:
    """Whether a call is such that it leads on: hardly odd, and nothing wrong with it."""
    uses = model.functions[call.function].uses
    odd = sum(getattr(call.args, name) != getattr(_PLAIN, name) for name in uses)
    return odd <= ODD and not call.args.null and not call.args.reserved and call.args.flaw == Flaw.NONE


def _differing(one: Call, other: Call) -> int:
    return sum(getattr(one.args, name) != getattr(other.args, name) for name in Args.__dataclass_fields__)
