"""An adapter to which things happen beside its calls: an event of the model is made to happen when it is its turn."""

from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol, runtime_checkable

from ..model.call import Call, Observation
from ..model.environment import EVENTS
from ..model.vocabulary import CKR
from .application import Application
from .base import Adapter, Closing, Ready, StillInitialized
from .forked import FORKS, go_on_in_a_child
from .ready import Plain

INSERTED: Final = frozenset(name for name in EVENTS if name.endswith("inserted"))
"""Events after which a library that was not asked meanwhile need not know that the token was away."""

_ASK: Final = Call("C_GetSlotInfo")
"""What lets a library know whether there is a token."""

_OF_OBJECTS: Final = frozenset(name for name, event in EVENTS.items() if "object" in event.uses)


@runtime_checkable
class Applied(Adapter, Protocol):
    """An adapter that tells what its application knows."""

    application: Application


class Befallen(Closing):
    """An adapter whose calls may be events, too (implements `Adapter`).

    Args:
        inner: makes the calls.
        events: the names of the events that can be made to happen.
        befall: makes one happen, to the object with a label where it is about one; whether it could.
    """

    def __init__(self, inner: Applied, events: Collection[str], befall: Callable[[str, bytes], bool]) -> None:
        self._inner, self._events, self._befall = inner, frozenset(events), befall
        self.close, self.tries_left = inner.close, inner.tries_left
        self._in_child = False

    def call(self, call: Call) -> Observation:
        """Make a call, or an event happen; of one that could not be, nothing is known."""
        if call.function not in self._events:
            return self._inner.call(call)
        if call.function == FORKS:
            self._in_child = True
            go_on_in_a_child()
            self._inner.application.ended()
            return Observation(CKR.OK)
        if call.function in INSERTED:
            self._inner.call(_ASK)
        done = self._befall(call.function, self._label(call))
        return Observation(CKR.OK if done else CKR.GENERAL_ERROR)

    def reset(self, restore_token: bool) -> bool | None:
        """Begin anew; not in the child of a fork, behind which its parents would wait, more and more of them.

        Raises:
            StillInitialized: in such a child.
        """
        if self._in_child:
            raise StillInitialized("this process is the child of a fork; it needs a new one")
        return self._inner.reset(restore_token)

    def _label(self, call: Call) -> bytes:
        """The label that the object of an event has on its token, empty where there is none."""
        entry = self._inner.application.objects.entry(call.args.object) if call.function in _OF_OBJECTS else None
        return entry.labels[entry.changed] if entry else b""

    def ready(self, calls: Sequence[Call]) -> Ready:
        """Calls that can be made by their number."""
        return _Ready(self._inner.ready(calls), Plain(self, calls), calls, self._events)

    def supports(self, call: Call) -> bool:
        """Whether the call can be made: an event that there is, to an object only where its label tells it."""
        if call.function not in EVENTS:
            return self._inner.supports(call)
        return call.function in self._events


class _Ready:
    """Calls that are ready, and events (implements `Ready`), whose answers are codes and nothing else."""

    def __init__(self, calls: Ready, events: Plain, listed: Sequence[Call], names: Collection[str]) -> None:
        self.made, self._make, self.observation = calls.made, calls.make, calls.observation
        self._events, self._listed, self._names = events, listed, names

    def make(self, number: int) -> Callable[[], int]:
        """Make a call ready, or an event, which is never among those made: it is not there to be quick."""
        if self._listed[number].function in self._names:
            return self._events.make(number)
        return self._make(number)
