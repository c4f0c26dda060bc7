"""What the process of a module does: it loads the module, and does as it is told through its line to the tester.

A program may have work of its own for the module (see `Program`).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from ..model.call import Call, Observation
from . import wire
from .base import Adapter, Binding, ModuleUnusable
from .befallen import Applied, Befallen
from .census import census, clear, destroy
from .journal import Journal, note
from .measure import login_works, measure
from .modules.module import initialize_here
from .raw import Raw
from .threads import Threaded
from .wire import (
    Both,
    Calls,
    Clear,
    Destroy,
    Kind,
    Load,
    LogIn,
    Measure,
    News,
    Provision,
    Reset,
    Restore,
    Supports,
    TakeCensus,
    TriesLeft,
    Work,
    decode,
    encode,
)


class Line:
    """The line to the tester, for work that needs something of it or has something to tell."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.loaded: Load
        """What was loaded here, once something is."""

    def restore(self) -> bool:
        """Have the token's contents put back; whether that could be done."""
        self._connection.send_bytes(encode(Restore()))
        done: bool = decode(bool, self._connection.recv_bytes())
        return done

    def befall(self, event: str, label: bytes) -> bool:
        """Have an event happen beside the calls; whether it did."""
        self._connection.send_bytes(encode(wire.Befall(event, label)))
        done: bool = decode(bool, self._connection.recv_bytes())
        return done

    def tell(self, news: Any) -> None:
        """Tell something that is to be known even if this process dies next."""
        self._connection.send_bytes(encode(News(wire.Raw(encode(news)))))


Task: TypeAlias = Callable[[Adapter, wire.Raw, Line], Any]
"""Does an order on the module that is loaded, and returns the answer to it.

A ModuleUnusable that it raises is told as such, and every other exception as a fault, by its type and its text.
"""


def _no_work(_adapter: Adapter, _order: wire.Raw, _line: Line) -> None:
    raise NotImplementedError("this program has no work; name one that has")


def _raw(library: str, binding: Binding) -> Adapter:
    return Raw(library, binding)


def _pykcs11(library: str, binding: Binding) -> Adapter:
    from .pykcs11 import LowLevel  # here, so that its C++ code is in no other process with a module

    return LowLevel(library, binding)


Factory: TypeAlias = Callable[[str, Binding], Adapter]
"""Makes an adapter for a library."""

_ADAPTERS: Final[Mapping[Kind, Factory]] = MappingProxyType({Kind.RAW: _raw, Kind.PYKCS11: _pykcs11})


@dataclass(frozen=True, slots=True)
class Program:
    """Work for modules.

    `prepare` is given a briefing and the journal, before the first process of a module is forked and no matter how
    many are: what it makes they all have. `adapters` are those that there are.
    """

    prepare: Callable[[bytes, Journal], Task]
    adapters: Mapping[Kind, Factory] = field(default_factory=lambda: _ADAPTERS)


NO_PROGRAM: Final = Program(lambda _briefing, _journal: _no_work)
"""Has none: the commands are all that there is."""


class _Child:
    """The adapter that the tester asked for, and the commands on it; a command yields its answers."""

    def __init__(self, at_leave: ExitStack, program: Program, task: Task, line: Line) -> None:
        self._at_leave, self._program, self._task, self._line = at_leave, program, task, line
        self._adapter: Adapter

    def answers(self, data: bytes) -> Iterator[wire.Answer]:
        """Do as one message says. No exception leaves, for a dead child means a dead module to the tester."""
        note("")
        try:
            for value in self._values(decode(wire.Command, data)):
                yield wire.Done(wire.Raw(encode(value)))
                note("")
        except ModuleUnusable as error:
            yield wire.Unusable(str(error))
        except Exception as error:
            yield wire.Fault(f"{type(error).__name__}: {error}")

    def _both(self, calls: tuple[Call, Call]) -> tuple[Observation, Observation]:
        if not isinstance(self._adapter, Threaded):
            raise ModuleUnusable("this adapter calls with one thread; leave out --adapter")
        return self._adapter.call_both(calls)

    def _values(self, command: wire.Command) -> Iterator[Any]:
        match command:
            case Load():
                note("C_GetFunctionList")
                loaded = self._program.adapters[command.kind](command.library, command.binding)
                made = loaded
                if command.events and isinstance(loaded, Applied):
                    made = Befallen(loaded, command.events, self._line.befall)
                self._line.loaded = command
                self._adapter = self._at_leave.enter_context(made)
                yield None
            case Supports():
                yield self._adapter.supports(command.call)
            case TriesLeft():
                note("C_GetTokenInfo")
                yield self._adapter.tries_left(command.user)
            case Calls():
                yield from map(self._adapter.call, command.calls)
            case Both():
                yield self._both(command.calls)
            case Reset():
                note("C_Finalize")
                self._adapter.reset(command.restore_token)
                yield None
            case Measure():
                yield measure(command.library, command.init_reserved)
            case LogIn():
                yield login_works(command.library, command.slot_id, command.user, command.pin, command.init_reserved)
            case Provision():
                yield initialize_here(command.library, command.labels, command.pins, command.init_reserved)
            case TakeCensus():
                yield census(command)
            case Clear():
                yield clear(command.library, command.binding, changed_pin=command.changed_pin)
            case Destroy():
                yield destroy(command.library, command.binding, command.label)
            case Work():
                yield self._task(self._adapter, command.order, self._line)


def run(connection: Connection, program: Program, task: Task) -> None:
    """Answer messages until the tester hangs up, then give the module up."""
    with ExitStack() as at_leave:
        child = _Child(at_leave, program, task, Line(connection))
        while True:
            try:
                data = connection.recv_bytes()
            except EOFError:
                return
            for answer in child.answers(data):
                connection.send_bytes(encode(answer))
