"""What goes between a check and the processes of its workers; how it is encoded: adapters/wire.py."""

from dataclasses import dataclass, replace
from typing import Final

from msgspec import Raw, Struct

from .adapters.wire import decode, encode
from .model.call import Call, Observation
from .model.environment import expose
from .model.oracle import Model, build, suffering
from .model.state import Mech, State
from .model.vocabulary import Version
from .properties.policy import Rights
from .properties.run.work import Cells, Class, Done, Generated, Item, Sweep, Tour, Visit, Walk


@dataclass(frozen=True, slots=True)
class Task:
    """What a check is about: the model, where the module begins, and what may be done to it."""

    model: Model
    initial: State
    rights: Rights

    def read(self, s: State) -> State:
        """A state as it came through a pipe, where a slot is a slot: what may befall the first one is told apart."""
        return expose(s) if self.model.events else s


class Briefing(Struct, frozen=True):
    """A task, and the calls that have a number from the start. The model is told by version, readings and events."""

    spec: Version
    readings: dict[str, str]
    initial: State
    rights: Rights
    calls: tuple[Call, ...]
    events: tuple[str, ...] = ()

    @property
    def task(self) -> Task:
        """The task."""
        model = build(self.spec, self.readings, events=bool(self.events))
        task = Task(suffering(model, self.events), self.initial, self.rights)
        return replace(task, initial=task.read(self.initial))


def briefing(task: Task, calls: tuple[Call, ...]) -> bytes:
    """A briefing, encoded. Of the model its version and readings are told, so it must be a whole one."""
    readings = dict(task.model.readings)
    events = tuple(sorted(task.model.events))
    return encode(Briefing(task.model.version, readings, task.initial, task.rights, calls, events))


# Orders to a worker.


class Tell(Struct, frozen=True, tag=True):
    """Classes that were seen, what functions cost, calls not to be made, and calls that have the next numbers.

    With `lowered` the token could not be put back. Answered by None.
    """

    classes: tuple[Class, ...] = ()
    costs: dict[str, float] = {}
    spare: tuple[int, ...] | None = None
    spare_with: dict[int, tuple[Mech, ...]] = {}
    calls: tuple[Call, ...] = ()
    lowered: bool = False


class Do(Struct, frozen=True, tag=True):
    """Do a piece of work within some seconds; answered by what came of it after the parts that were told."""

    name: str
    item: Raw
    seconds: float


class Rerun(Struct, frozen=True, tag=True):
    """Run a sequence from a fresh start; each step is told, and the answer is what was believed at its end."""

    calls: tuple[Call, ...]


class Measure(Struct, frozen=True, tag=True):
    """Measure how fast the worker is; see pace.py."""


Order = Tell | Do | Rerun | Measure


# News of a worker.


class Numbered(Struct, frozen=True, tag=True):
    """A call that nobody numbered before has the next number."""

    call: Call


class Step(Struct, frozen=True, tag=True):
    """A step of a sequence that is run again."""

    call: Call
    seen: Observation


class Part(Struct, frozen=True, tag=True):
    """What came of a piece of work so far, since the last part."""

    done: Done


class Undoing(Struct, frozen=True, tag=True):
    """What is journaled as the sequence `begun` puts the token back after the sequence `of`, and the calls `since`."""

    begun: int
    of: int
    sequence: tuple[Call, ...]
    since: tuple[Call, ...]


News = Numbered | Step | Part | Undoing


class Believed(Struct, frozen=True):
    """The states that the module may have been in before the last call of a sequence, and after it."""

    before: frozenset[State] = frozenset()
    after: frozenset[State] = frozenset()


class Ran(Struct, frozen=True):
    """A sequence that was run again, with what the module may have been in at its end."""

    steps: tuple[tuple[Call, Observation], ...]
    believed: Believed


_ITEMS: Final[dict[str, type[Item]]] = {kind.__name__: kind for kind in (Visit, Sweep, Tour, Walk, Generated, Cells)}


def order_of(item: Item, seconds: float) -> Do:
    """The order to do a piece of work."""
    return Do(type(item).__name__, Raw(encode(item)), seconds)


def item_of(order: Do) -> Item:
    """The piece of work that an order is about."""
    item: Item = decode(_ITEMS[order.name], order.item)
    return item
