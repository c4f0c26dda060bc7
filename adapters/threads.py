"""Two calls at a time, by two threads of the application, each with a lane of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Barrier, Thread
from typing import Any, Final, Protocol, runtime_checkable

from ..model.call import Call, Ending, Observation
from .application import Application
from .calls.concrete import arguments, blank, called, noted
from .calls.table import CALLS
from .handles import current
from .lane import Lane
from .misuse import take


@runtime_checkable
class Threaded(Protocol):
    """An adapter that can call with two threads."""

    def call_both(self, calls: tuple[Call, Call]) -> tuple[Observation, Observation]:
        """Make two calls at a time, each in a thread of its own."""


ABSENT: Final = Observation(ending=Ending.ABSENT)


@dataclass(slots=True)
class _Part:
    """What one thread does: its call, all that it is given, and what the function returned."""

    call: Call
    lane: Lane
    function: Callable[..., int]
    words: Sequence[Any]
    code: int = 0

    def run(self, begin: Barrier, ended: "list[_Part]") -> None:
        """Call as soon as the other thread does, and nothing else: what the call changed is noted afterwards."""
        begin.wait()
        self.code = self.function(*self.words)
        ended.append(self)


def call_both(app: Application, lanes: Sequence[Lane], calls: tuple[Call, Call]) -> tuple[Observation, Observation]:
    """Make two calls at a time; handles that both give are numbered in the order in which the calls returned."""
    parts = [_part(app, lane, call) for lane, call in zip(lanes, calls, strict=True)]
    ready, ended = [part for part in parts if part is not None], list[_Part]()
    begin = Barrier(len(ready) or 1)
    threads = [Thread(target=part.run, args=(begin, ended)) for part in ready]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = {id(part): _noted(app, part) for part in ended}
    one, other = (ABSENT if part is None else seen[id(part)] for part in parts)
    return one, other


def _part(app: Application, lane: Lane, call: Call) -> _Part | None:
    function, concrete, args = lane.function(call.function), CALLS[call.function], call.args
    if function is None:
        return None
    words = [*current(arguments(app, lane, concrete, args))]
    if filled := blank(app, lane, concrete, args):
        filled.put()
    return _Part(call, lane, called(app, lane, concrete, args, function), words)


def _noted(app: Application, part: _Part) -> Observation:
    outputs = noted(app, part.lane, CALLS[part.call.function], part.call.args, part.code)
    return Observation(part.code, outputs, misuse=take())
