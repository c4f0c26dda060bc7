"""A child process that a module runs in: the line to it, a watchdog, and how it came to its end."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import repeat
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from ..model.call import Ending, Observation
from .base import ModuleUnusable
from .codec import Command, Outcome, pack, unpack

START: Final = 60.0
"""Seconds that Python has to start in the child, before the module is touched."""

LEAVE: Final = 2.0
"""Seconds that the child has to finalise the module and go."""

THINKING: Final = 5.0
"""Seconds that a child at work has at least, as it does other things, too, than call the module."""

LOOKS: Final = 8
"""How many times within the timeout of an answer the watchdog looks for a sign of progress."""


class Lost(Exception):
    """The child is gone without an answer, by death or by the watchdog; `observation` says how."""

    def __init__(self, ending: Ending, detail: str = "") -> None:
        self.observation = Observation(ending=ending, detail=detail)


def unchanged() -> None:
    """The sign of a child that gives none."""


def _no_reply(question: Any) -> Any:
    raise RuntimeError(f"the child asks {question!r}, which nobody expected")


class Process:
    """A child process and the line to it. Create it in a thread that outlives it: the kernel ties it to that thread.

    Args:
        program: the Python module that runs in it, which serves (see `child.run`) on the descriptor that is its first
            argument.
        environment: is added to ours.
        timeout: seconds that the child has for an answer, or where there is a sign of progress, for any change of it:
            an answer may take long as long as it comes nearer.
        descriptors: those that the child inherits beside; their numbers are its further arguments.
        progress: the sign, a value that changes as the child goes on.

    Raises:
        RuntimeError: if the program does not start.
    """

    def __init__(
        self,
        program: str,
        environment: Mapping[str, str],
        timeout: float,
        descriptors: Sequence[int] = (),
        progress: Callable[[], Any] = unchanged,
    ) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            given = (theirs.fileno(), *descriptors)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", program, *map(str, given)],
                env={**os.environ, **environment, "PYTHONPATH": python_path()},
                pass_fds=given,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Ctrl-C is for the tester alone: a module that it ended would be blamed for that.
                process_group=0,
            )
        self._connection = Connection(ours.detach())
        self._exit = os.pidfd_open(self._process.pid)
        self._poll = select.poll()
        self._poll.register(self._connection, select.POLLIN)
        self._poll.register(self._exit, select.POLLIN)
        self._timeout = self._patience = START
        self._progress = progress
        try:
            next(self._answers(1, _no_reply))
        except Lost as lost:
            raise RuntimeError(
                f"the child process does not start: {lost.observation.text}; check the installation"
            ) from None
        self._timeout = self._patience = timeout

    def ask(self, command: Command, *rest: Any, reply: Callable[[Any], Any] = _no_reply) -> Any:
        """The one answer to a command; `reply` is for what the child asks meanwhile.

        Raises:
            ModuleUnusable: as the child said.
            Lost: if the child died or had to be killed.
        """
        return next(self.stream(1, command, *rest, reply=reply))

    def stream(
        self, count: int | None, command: Command, *rest: Any, reply: Callable[[Any], Any] = _no_reply
    ) -> Iterator[Any]:
        """The answers to a command that has `count` of them, each within the timeout. Raises as `ask` does.

        With None the answers themselves say which is the last, after which the caller asks for no other.
        """
        self._patience = max(self._timeout, THINKING) if command is Command.WORK else self._timeout
        self._send([command, *rest])
        return self._answers(count, reply)

    def _answers(self, count: int | None, reply: Callable[[Any], Any]) -> Iterator[Any]:
        for _ in repeat(None) if count is None else repeat(None, count):
            outcome, value = self._receive()
            while outcome == Outcome.ASKS:
                try:
                    self._send(reply(value))
                except BaseException:
                    self.kill()  # it waits for a word that never comes
                    raise
                outcome, value = self._receive()
            if outcome == Outcome.UNUSABLE:
                raise ModuleUnusable(value)
            if outcome == Outcome.FAULT:
                raise RuntimeError(value)
            yield value

    def _send(self, message: Any) -> None:
        try:
            self._connection.send_bytes(pack(message))
        except OSError:
            raise self._lost() from None

    def _receive(self) -> Any:
        ready = self._wait()
        if not ready:
            raise self._lost()
        try:
            # Not only the end of file tells of a death: a process that the module forked may hold the socket.
            if all(descriptor == self._exit for descriptor, _ in ready):
                raise EOFError
            return unpack(self._connection.recv_bytes())
        except (EOFError, OSError):
            raise self._lost(LEAVE) from None

    def _wait(self) -> list[tuple[int, int]]:
        """Which descriptors tell something; none of them when the time is over."""
        sign, since = self._progress(), time.monotonic()
        while (left := since + self._patience - time.monotonic()) > 0:
            ready = self._poll.poll(min(left, self._patience / LOOKS) * 1000)
            if ready:
                return ready
            if sign != (sign := self._progress()):
                since = time.monotonic()
        return []

    def _lost(self, patience: float = 0.0) -> Lost:
        """End a child that owes an answer, and say how it ended: hung if it does not exit within `patience` seconds."""
        try:
            code = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            return Lost(Ending.HUNG)
        finally:
            self.kill()
        return Lost(Ending.DIED, f"signal {_signal_name(-code)}" if code < 0 else f"exit {code}")

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


def python_path() -> str:
    """A PYTHONPATH with which the child finds this package, wherever it was imported from."""
    return os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))


def _signal_name(number: int) -> str:
    return {s.value: s.name for s in signal.Signals}.get(number, str(number))
