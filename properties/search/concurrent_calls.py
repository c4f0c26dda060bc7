"""What two threads are made to call at a time: each in a session of its own, where something was begun before."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Final

from ...model.call import Call, InitArgs, altered
from ...model.interface import SIGNATURES
from ...model.oracle import Model, in_scope
from ...model.state import State
from ...model.table import functions_where
from ..engine.beside import Pair, defined
from ..engine.verdict import null_arguments
from ..policy import Policy
from .setups import BEGIN, USER, Way, plain, situations

FEW: Final = 4
"""Calls of a function that are tried, the plainest first; of one with a PIN the plainest, with the right one."""

LONGEST: Final = 5
"""Calls of a way to where two calls are made at a time, beside the session of the second thread."""

_SETS_PINS: Final = functions_where(lambda f: "new_pin" in f.uses or "init" in f.uses or "reserved" in f.uses)
"""Functions that the threads leave alone: PINs are tried one at a time, and the library begins and ends for both."""


_SHARED: Final = functions_where(
    lambda f: (
        f.name == "C_GetSessionInfo"
        or not f.happens.isdisjoint({"logged-in", "logged-out", "session-opened", "session-closed"})
    )
)
"""Functions that change what the threads share, and the one that tells of it."""


@dataclass(frozen=True, slots=True)
class ConcurrentCalls:
    """Calls up to where the second thread begins, and the two that are made at a time then."""

    way: Way
    calls: Pair


def locking(way: Way, init: InitArgs) -> Way:
    """A way that begins with what an application with threads tells the library (5.4 C_Initialize)."""
    return tuple(plain("C_Initialize", init=init) if call.function == "C_Initialize" else call for call in way)


def concurrent_calls(
    model: Model, initial: State, policy: Policy, init: InitArgs, random: Random
) -> Iterator[ConcurrentCalls]:
    """Such calls without an end, each time at the next of the places where the model has something under way."""
    second = plain("C_OpenSession")
    found = []
    for s, place in situations(model, initial):
        opens = sum(call.function == second.function for call in place.way)
        if place.way[: len(BEGIN)] != BEGIN or opens > 1 or len(place.way) > LONGEST:
            continue
        own = [*_calls(model, s, sorted(place.functions), policy)]
        if own:
            found.append(((*locking(place.way, init), second), own, [*_calls(model, s, sorted(_SHARED), policy)]))
    everywhere = [call for way, own, _ in found if len(way) <= len(USER) + 1 for call in own]
    while found:
        random.shuffle(found)
        for way, own, shared in found:
            one, other = random.choice(own), _in_second(random.choice(random.choice((own, shared, everywhere))))
            if defined((one, other)):
                yield ConcurrentCalls(way, (one, other))


def _calls(model: Model, s: State, names: Sequence[str], policy: Policy) -> Iterator[Call]:
    """The plainest calls of functions that work on the first session and slot, without NULL pointers."""
    for name in names:
        f = model.functions.get(name)
        if f is None or name in _SETS_PINS or not f.returns_ok:
            continue
        possible = (
            call
            for call in f.calls(s)
            if not null_arguments(call, f.uses)
            and call.args.session == call.args.slot == 0
            and not call.args.token
            and in_scope(model, s, call)
            and policy(s, call)
        )
        yield from islice(possible, 1 if "pin" in f.uses else FEW)


def _in_second(call: Call) -> Call:
    if not SIGNATURES[call.function].takes_session:
        return call
    return altered(call, session=1)
