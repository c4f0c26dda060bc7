"""The child process of an isolated adapter: loads the module, and does as it is told through an inherited socket.

Another program may do the same and have work of its own for the module (see `run`).
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from ..model.vocabulary import CKU
from .base import Adapter, Binding, ModuleUnusable
from .census import census
from .codec import Answer, Command, Kind, Outcome, from_observation, pack, to_binding, to_call, unpack
from .measure import login_works, measure
from .raw import Raw

PR_SET_PDEATHSIG = 1


class Line:
    """The line to the parent, for work that needs something of it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ask(self, question: Any) -> Any:
        """The parent's reply to a question that came up in the midst of a command; both are JSON."""
        self._connection.send_bytes(pack(Answer(Outcome.ASKS, question)))
        return unpack(self._connection.recv_bytes())


Work: TypeAlias = Callable[[Adapter, Any, Line], Iterator[Any]]
"""What a program does with the module that is loaded: it is given the order and yields its answers, all of them JSON.

A ModuleUnusable that it raises is told as such, and every other exception as a fault, by its type and its text.
"""


def _pykcs11(library: str, binding: Binding) -> Adapter:
    from .pykcs11 import LowLevel  # here, so that its C++ code is in no other process with a module

    return LowLevel(library, binding)


_ADAPTERS: Mapping[Kind, Callable[[str, Binding], Adapter]] = {Kind.RAW: Raw, Kind.PYKCS11: _pykcs11}


class _Child:
    """The adapter that the parent asked for, and the commands on it; a command yields its answers."""

    def __init__(self, at_leave: ExitStack, work: Work, line: Line) -> None:
        self._at_leave = at_leave
        self._work, self._line = work, line
        self._adapter: Adapter
        self._commands: Mapping[Command, Callable[..., Iterator[Any]]] = {
            Command.LOAD: self._load,
            Command.SUPPORTS: self._supports,
            Command.CALLS: self._calls,
            Command.RESET: self._reset,
            Command.MEASURE: _measure,
            Command.LOGIN: _login,
            Command.WORK: self._at_work,
            Command.CENSUS: _census,
        }

    def answers(self, data: bytes) -> Iterator[Answer]:
        """Obey one message. No exception leaves, for a dead child means a dead module to the parent."""
        try:
            command, *rest = unpack(data)
            for value in self._commands[command](*rest):
                yield Answer(Outcome.DONE, value)
        except ModuleUnusable as error:
            yield Answer(Outcome.UNUSABLE, str(error))
        except Exception as error:
            yield Answer(Outcome.FAULT, f"{type(error).__name__}: {error}")

    def _load(self, kind: str, library: str, binding: Mapping[str, Any]) -> Iterator[None]:
        self._adapter = self._at_leave.enter_context(_ADAPTERS[Kind(kind)](library, to_binding(binding)))
        yield None

    def _supports(self, call: list[Any]) -> Iterator[bool]:
        yield self._adapter.supports(to_call(call))

    def _calls(self, calls: list[list[Any]]) -> Iterator[list[Any]]:
        for call in calls:
            yield from_observation(self._adapter.call(to_call(call)))

    def _reset(self, restore_token: bool) -> Iterator[None]:
        self._adapter.reset(restore_token)
        yield None

    def _at_work(self, order: Any) -> Iterator[Any]:
        yield from self._work(self._adapter, order, self._line)


def _measure(library: str, init_reserved: str | None) -> Iterator[dict[str, Any]]:
    yield measure(library, init_reserved).to_json()


def _login(library: str, slot_id: int, user: int, pin: str | None, init_reserved: str | None) -> Iterator[int]:
    yield login_works(library, slot_id, CKU(user), None if pin is None else bytes.fromhex(pin), init_reserved)


def _census(
    library: str, slot_id: int, pin: str | None, init_reserved: str | None, remove: bool
) -> Iterator[dict[str, Any]]:
    given = None if pin is None else bytes.fromhex(pin)
    yield census(library, slot_id, given, init_reserved, remove=remove).to_json()


def _no_work(_adapter: Adapter, _order: Any, _line: Line) -> Iterator[Any]:
    raise NotImplementedError("this program has no work; start one that has")


def serve(connection: Connection, work: Work = _no_work) -> None:
    """Answer messages until the parent hangs up, then give the module up."""
    with ExitStack() as at_leave:
        child = _Child(at_leave, work, Line(connection))
        connection.send_bytes(pack(Answer(Outcome.DONE)))
        while True:
            try:
                data = connection.recv_bytes()
            except EOFError:
                return
            for answer in child.answers(data):
                connection.send_bytes(pack(answer))


def run(work: Work = _no_work) -> None:
    """Serve on the descriptor that the command line names first, then leave without the module's exit handlers."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    try:
        serve(Connection(descriptor), work)
    finally:
        os._exit(0)


if __name__ == "__main__":
    run()
