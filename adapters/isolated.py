"""An adapter in a child process, under a watchdog: a module that crashes, exits or hangs costs one observation.

The child sends one answer a call, so the number of answers names the call that it died in.
"""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..model.call import Call, Ending, Observation
from ..model.vocabulary import CKU
from .base import Binding, ModuleUnusable
from .codec import Command, Kind, Outcome, from_binding, from_call, pack, to_observation, unpack

if TYPE_CHECKING:
    from .measure import Measured

__all__ = ["Isolated", "Kind", "login_isolated", "measure_isolated"]

TIMEOUT = 10.0
"""Seconds that a module has for one call."""

START = 60.0
"""Seconds that Python has to start in the child, before the module is touched."""

LEAVE = 2.0
"""Seconds that the child has to finalise the module and go."""

NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})


class _Lost(Exception):
    """The child is gone without an answer, by death or by the watchdog."""

    def __init__(self, ending: Ending, detail: str = "") -> None:
        self.observation = Observation(ending=ending, detail=detail)


class _Child:
    """A child process and the line to it. Create it in a thread that outlives it: the kernel ties it to that thread."""

    def __init__(self, environment: Mapping[str, str], timeout: float) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"{__package__}.child", str(theirs.fileno())],
                env={**os.environ, **environment, "PYTHONPATH": _python_path()},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._connection = Connection(ours.detach())
        self._exit = os.pidfd_open(self._process.pid)
        self._poll = select.poll()
        self._poll.register(self._connection, select.POLLIN)
        self._poll.register(self._exit, select.POLLIN)
        self._timeout = START
        try:
            next(self._answers(1))
        except _Lost as lost:
            raise RuntimeError(
                f"the child process does not start: {lost.observation.text}; check the installation"
            ) from None
        self._timeout = timeout

    def ask(self, command: Command, *rest: Any) -> Any:
        """The one answer to a command.

        Raises:
            ModuleUnusable: as the child said.
            _Lost: if the child died or had to be killed.
        """
        return next(self.stream(1, command, *rest))

    def stream(self, count: int, command: Command, *rest: Any) -> Iterator[Any]:
        """The answers to a command that has `count` of them, each within the timeout. Raises as `ask` does."""
        try:
            self._connection.send_bytes(pack([command, *rest]))
        except OSError:
            raise self._lost() from None
        return self._answers(count)

    def _answers(self, count: int) -> Iterator[Any]:
        for _ in range(count):
            ready = self._poll.poll(self._timeout * 1000)
            if not ready:
                raise self._lost()
            try:
                # Not only the end of file tells of a death: a process that the module forked may hold the socket.
                if all(descriptor == self._exit for descriptor, _ in ready):
                    raise EOFError
                outcome, value = unpack(self._connection.recv_bytes())
            except (EOFError, OSError):
                raise self._lost(LEAVE) from None
            if outcome == Outcome.UNUSABLE:
                raise ModuleUnusable(value)
            if outcome == Outcome.FAULT:
                raise RuntimeError(value)
            yield value

    def _lost(self, patience: float = 0.0) -> _Lost:
        """End a child that owes an answer, and say how it ended: hung if it does not exit within `patience` seconds."""
        try:
            code = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return _Lost(Ending.HUNG)
        finally:
            self.kill()
        return _Lost(Ending.DIED, f"signal {_signal_name(-code)}" if code < 0 else f"exit {code}")

    def close(self) -> None:
        """Hang up, and give the child time to finalise the module."""
        self._connection.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(LEAVE)
        self.kill()

    def kill(self) -> None:
        """End the child now."""
        self._connection.close()
        self._process.kill()
        self._process.wait()
        if self._exit >= 0:
            os.close(self._exit)
            self._exit = -1


def _python_path() -> str:
    """A PYTHONPATH with which the child finds this package, wherever it was imported from."""
    return os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))


def _signal_name(number: int) -> str:
    return {s.value: s.name for s in signal.Signals}.get(number, str(number))


def _ask(child: _Child, library: str, command: Command, *rest: Any) -> Any:
    """The answer to a command that observes no call: here a death makes the module unusable."""
    try:
        return child.ask(command, *rest)
    except _Lost as lost:
        doing = f"in {command.name.lower()}, outside any call under test"
        raise ModuleUnusable(f"{library}: {lost.observation.text}, {doing}; try it with another application") from None


def _ask_once(environment: Mapping[str, str], timeout: float, command: Command, library: str, *rest: Any) -> Any:
    child = _Child(environment, timeout)
    try:
        return _ask(child, library, command, library, *rest)
    finally:
        child.close()


def measure_isolated(
    library: str,
    environment: Mapping[str, str] = NO_ENVIRONMENT,
    init_reserved: str | None = None,
    timeout: float = TIMEOUT,
) -> "Measured":
    """What a module says of itself, from a child process that has `timeout` seconds for all of it.

    Raises:
        ModuleUnusable: if the library cannot be loaded or measured, or dies or hangs.
    """
    from .measure import Measured

    return Measured.from_json(_ask_once(environment, timeout, Command.MEASURE, library, init_reserved))


def login_isolated(
    library: str,
    slot_id: int,
    user: CKU,
    pin: bytes | None,
    environment: Mapping[str, str] = NO_ENVIRONMENT,
    init_reserved: str | None = None,
    timeout: float = TIMEOUT,
) -> int:
    """The code of one C_Login with this PIN (None: the NULL pointer), from a child process.

    Raises:
        ModuleUnusable: as `measure_isolated` does, and if no session can be opened on the slot.
    """
    given = None if pin is None else pin.hex()
    return int(_ask_once(environment, timeout, Command.LOGIN, library, slot_id, user, given, init_reserved))


def _nothing() -> None:
    """What there is to restore of a token that no one looks after."""


class Isolated:
    """An adapter whose module runs in a child process.

    `timeout` is in seconds a call. `environment` is added to the child's. `restore` puts the token's contents back, in
    this process, while the library is finalised or its process gone. A module that dies or hangs ends the sequence:
    `call()` raises RuntimeError until the next `reset()`, which starts a new child and restores the token in any case.

    Raises:
        ModuleUnusable: if the library cannot be loaded, or dies or hangs while it is.
    """

    def __init__(
        self,
        kind: Kind,
        library: str,
        binding: Binding,
        environment: Mapping[str, str] = NO_ENVIRONMENT,
        restore: Callable[[], None] = _nothing,
        timeout: float = TIMEOUT,
    ) -> None:
        self._kind = kind
        self._library = library
        self._binding = binding
        self._environment = environment
        self._restore = restore
        self._timeout = timeout
        self._supported: dict[Call, bool] = {}
        self._over = False
        self._child: _Child | None = self._load()

    def call(self, call: Call) -> Observation:
        """Make one call; a death or a hang of the module is what was observed."""
        return self.call_all((call,))[0]

    def call_all(self, calls: Sequence[Call]) -> tuple[Observation, ...]:
        """Make calls in one go, up to the one that the module dies or hangs in, whose observation is the last."""
        if self._over or self._child is None:
            raise RuntimeError("the module is gone or was given up in this sequence; reset() before the next call")
        seen: list[Observation] = []
        try:
            answers = self._child.stream(len(calls), Command.CALLS, [*map(from_call, calls)])
            seen.extend(map(to_observation, answers))
        except _Lost as lost:
            self._child, self._over = None, True
            seen.append(lost.observation)
        return tuple(seen)

    def reset(self, restore_token: bool) -> None:
        """Finalise the library and forget all handles; a child that is gone, or fails to, is replaced."""
        finalised = self._finalise(restore_token)
        if restore_token or self._over or not finalised:
            self._restore()
        if not finalised:
            self._child = self._load()
        self._over = False

    def supports(self, call: Call) -> bool:
        """Whether the adapter in the child can make the call at all."""
        if call not in self._supported:
            if self._child is None:
                self._child = self._load()
            self._supported[call] = _ask(self._child, self._library, Command.SUPPORTS, from_call(call))
        return self._supported[call]

    def close(self) -> None:
        """Give the module up, and its process."""
        if self._child is not None:
            self._child.close()
        self._child, self._over = None, True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _load(self) -> _Child:
        child = _Child(self._environment, self._timeout)
        try:
            _ask(child, self._library, Command.LOAD, self._kind.value, self._library, from_binding(self._binding))
        except BaseException:
            child.kill()
            raise
        return child

    def _finalise(self, restore_token: bool) -> bool:
        """Whether the child is there and did it; else there is none any more."""
        if self._child is None:
            return False
        try:
            self._child.ask(Command.RESET, restore_token)
        except (_Lost, ModuleUnusable):
            self._child.kill()
            self._child = None
            return False
        return True
