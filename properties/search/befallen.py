"""What is called right after something happened beside the calls, and how it came to that: told without a search."""

from collections.abc import Iterator
from itertools import zip_longest

from ...model.call import Call
from ...model.oracle import Model, in_scope, may_succeed
from ...model.state import State
from ..engine.packed import uncollected
from ..policy import Policy
from .setups import Way, befallen, follow


@uncollected()
def after_events(model: Model, initial: State, policy: Policy) -> Iterator[tuple[Way, Call]]:
    """Ways that end with an event, each with a call to see what is left of it, the events taking turns."""
    found: list[list[tuple[Way, Call]]] = []
    for place in befallen(initial):
        s = follow(model, initial, place.way)
        if s is not None:
            calls = (_call(model, s, name, policy) for name in sorted(place.functions & model.functions.keys()))
            found.append([(place.way, call) for call in calls if call is not None])
    for turn in zip_longest(*found):
        yield from filter(None, turn)


def _call(model: Model, s: State, name: str, policy: Policy) -> Call | None:
    """A call of a function that the text lets succeed, else any that can be made; None if there is none."""
    possible = [c for c in model.functions[name].calls(s) if in_scope(model, s, c) and policy(s, c)]
    return next((c for c in possible if may_succeed(model, s, c)), possible[0] if possible else None)
