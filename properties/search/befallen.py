"""What is called right after something happened beside the calls, and how it came to that: told without a search."""

from collections.abc import Iterator
from itertools import zip_longest

from ...model.call import Call
from ...model.oracle import Model, in_scope, may_succeed
from ...model.state import State
from ..engine.packed import uncollected
from ..policy import Policy
from .setups import LOGGING_IN, Way, befallen, follow


@uncollected()
def after_events(model: Model, initial: State, policy: Policy) -> Iterator[tuple[Way, Call]]:
    """Ways that end with an event, each with a call to see what is left of it, the events taking turns."""
    found: list[list[tuple[Way, Call]]] = []
    for place in befallen(initial):
        s = follow(model, initial, place.way)
        if s is not None:
            # Of all that uses a token a login tells most of it.
            names = sorted(place.functions & model.functions.keys(), key=lambda name: (name not in LOGGING_IN, name))
            found.append([(place.way, call) for name in names for call in _calls(model, s, name, policy)])
    for turn in zip_longest(*found):
        yield from filter(None, turn)


def _calls(model: Model, s: State, name: str, policy: Policy) -> Iterator[Call]:
    """The plainest call of a function that can be made, and where that must fail the plainest that might succeed."""
    possible = [c for c in model.functions[name].calls(s) if in_scope(model, s, c) and policy(s, c)]
    best = next((c for c in possible if may_succeed(model, s, c)), None)
    yield from dict.fromkeys((*possible[:1], *([] if best is None else [best])))
