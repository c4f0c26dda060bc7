"""A process that a module runs in, as the tester sees it: the line to it, a watchdog, and how it came to its end.

It is forked by a supervisor of its own (see `forkserver`), which is warm, so that a new one takes milliseconds.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import repeat
from multiprocessing.connection import Connection
from pathlib import Path
from struct import pack
from threading import Lock
from typing import Any, Final

import msgspec

from ..model.call import Ending, Observation
from .base import ModuleUnusable
from .journal import Journal
from .output import Output, one_line
from .wire import (
    Answer,
    Befall,
    Begin,
    Command,
    Done,
    End,
    Ended,
    Fault,
    Malformed,
    News,
    Place,
    Raw,
    Ready,
    Report,
    Restore,
    Spawn,
    Spawned,
    Unusable,
    Work,
    decode,
    encode,
    receive,
    send,
)

START: Final = 60.0
"""Seconds that Python has to start, and a program to prepare, before any module is touched."""

LEAVE: Final = 2.0
"""Seconds that a process has to finalise the module and go."""

THINKING: Final = 5.0
"""Seconds that a process at work has at least, as it does other things, too, than call the module."""

LOOKS: Final = 8
"""How many times within the timeout of an answer the watchdog looks for a sign of progress."""

SECRET: Final = "P11CONFORM_"
"""Begins the names of variables that hold PINs for the tester, and that no module is given."""


class Lost(Exception):
    """The process is gone without an answer, by death or by the watchdog; `observation` says how.

    `doing` is the function that it was in, where that is no call of a sequence. `core` says that it left a core file.
    """

    def __init__(self, observation: Observation, doing: str = "", *, core: bool = False) -> None:
        self.observation, self.doing, self.core = observation, doing, core

    @property
    def text(self) -> str:
        """How and in which function, and what was printed last, in one line."""
        where = f" in {self.doing}" if self.doing else ""
        printed = f" (it printed last: {self.observation.printed})" if self.observation.printed else ""
        return f"{self.observation.text}{where}{printed}"


class _Server:
    """The process that forks supervisors: one for all, started when it is first wanted, and again if it was killed.

    Nothing is imported there from the current directory, or from where the environment points: it looks where this
    process looks, the standard library first.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._line: socket.socket | None = None
        self._owner = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._output = Output()

    def begin(self, program: str | None, descriptors: Sequence[int]) -> None:
        """Have a supervisor forked that is given these descriptors."""
        with self._lock:
            if self._line is None or self._owner != os.getpid():
                self._line = self._started()
            try:
                send(self._line, Begin(program), *descriptors)
            except OSError:
                self._line.close()
                self._line = self._started()
                send(self._line, Begin(program), *descriptors)

    @property
    def trouble(self) -> str:
        """What it printed last, in a line."""
        return one_line(self._output.last().strip().rpartition(b"\n")[2]) or "it is gone"

    def _started(self) -> socket.socket:
        if self._process is not None:
            self._process.poll()  # so that one that is gone leaves no zombie
        package, here = __package__.partition(".")[0], Path(os.fsdecode(_directory()))
        root = Path(sys.modules[package].__path__[0]).parent
        others = (Path(path).absolute() for path in sys.path if path)
        installed = Path(msgspec.__file__).parents[1]
        paths = dict.fromkeys((root, *(path for path in others if path != here or path == installed)))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            program = f"import sys; sys.path += sys.argv[2:]; from {__package__}.forkserver import main; "
            bytecode = ("-B",) if sys.dont_write_bytecode else ()
            self._process = subprocess.Popen(
                (
                    *(sys.executable, "-I", "-S", *bytecode, "-c", f"{program}main(int(sys.argv[1]))"),
                    *(str(theirs.fileno()), *map(str, paths)),
                ),
                env={name: value for name, value in os.environ.items() if not name.startswith(SECRET)},
                cwd="/",
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # for a Ctrl-C is for the tester alone
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._output.descriptor,
            )
        self._owner = os.getpid()
        return ours


_SERVER: Final = _Server()


class Supervisor:
    """The process that forks those of one module, one at a time; `journal` is what they note their calls in.

    Args:
        program: the Python module whose `PROGRAM` they run (see `child.Program`), None for one without work.
        briefing: what is given to the program to prepare itself.

    Raises:
        RuntimeError: if the program does not start.
    """

    def __init__(self, program: str | None = None, briefing: bytes = b"") -> None:
        with ExitStack() as stack:
            self.journal = Journal()
            stack.callback(self.journal.close)
            self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stack.callback(self._line.close)
            with theirs, open(os.memfd_create("briefing"), "wb+") as file:
                file.write(briefing)
                file.seek(0)
                _SERVER.begin(program, (theirs.fileno(), self.journal.descriptor, file.fileno()))
            self._line.settimeout(START)
            report, _ = self._report()
            if not isinstance(report, Ready) or report.trouble:
                told = report.trouble if isinstance(report, Ready) else _SERVER.trouble
                raise RuntimeError(f"the process for the module does not start: {told}; check the installation")
            self._line.settimeout(None)
            stack.pop_all()

    def spawn(
        self,
        environment: Mapping[str, str],
        timeout: float,
        *,
        secrets: Sequence[bytes] = (),
        core: bool = False,
        namespaces: Sequence[str] = (),
    ) -> "Process":
        """A new process for the module, the last one being gone; see `Process`.

        It joins `namespaces`, which are paths of files as they are under /proc/PID/ns.
        """
        ours, theirs = socket.socketpair()
        output = Output()
        with theirs, suppress(OSError):
            send(self._line, Spawn(core), theirs.fileno(), output.descriptor)
        given = {os.fsencode(name): os.fsencode(value) for name, value in environment.items()}
        kept = {name: value for name, value in os.environb.items() if not name.startswith(SECRET.encode())}
        connection = Connection(ours.detach())
        # A message that is cut short is no reason to wait for ever.
        seconds = pack("ll", int(START), 0)
        with socket.socket(fileno=os.dup(connection.fileno())) as options:
            options.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)
        with suppress(OSError):
            connection.send_bytes(encode(Place(_directory(), kept | given, tuple(namespaces))))
        report, descriptors = self._report()
        if not isinstance(report, Spawned):
            raise RuntimeError("the process that forks those of the module is gone; start again")
        return Process(self, connection, descriptors[0], output, timeout, secrets)

    def end(self, *, kill: bool) -> int:
        """How the process ended, as `os.waitpid` has it; waits for it, killed where it should be."""
        with suppress(OSError):
            send(self._line, End(kill))
            report, _ = self._report()
            if isinstance(report, Ended):
                return report.status
        return signal.SIGKILL  # as the supervisor is gone, and takes its process along

    def close(self) -> None:
        """End it, and whatever process of the module is left."""
        self._line.close()
        self.journal.close()

    def _report(self) -> tuple[Report | None, list[int]]:
        try:
            got = receive(self._line, Report)
        except TimeoutError:
            got = None
        return got or (None, [])


def _no_restore() -> bool:
    raise RuntimeError("the process asks to restore a token, which nobody expected")


def _no_event(event: str, _label: bytes) -> bool:
    raise RuntimeError(f"the process wants {event} to happen, which nobody expected")


def _no_news(_news: Raw) -> None:
    raise RuntimeError("the process has news, which nobody expected")


class Process:
    """A process that a module runs in, and the line to it.

    `timeout` is in seconds: so long may an answer take, or where calls are noted in the journal, a call, however many
    an answer takes. The `secrets` are not shown where the module prints them.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        connection: Connection,
        exit: int,
        output: Output,
        timeout: float,
        secrets: Sequence[bytes],
    ) -> None:
        self._supervisor, self._connection, self._exit, self._output = supervisor, connection, exit, output
        self._timeout = self._patience = timeout
        self._secrets = secrets
        self.befall: Callable[[str, bytes], bool] = _no_event
        """Makes an event happen beside the calls, when the process wants it; whether it did."""
        self._poll = select.poll()
        self._poll.register(self._connection, select.POLLIN)
        self._poll.register(self._exit, select.POLLIN)

    def ask(
        self,
        kind: Any,
        command: Command,
        restore: Callable[[], bool] = _no_restore,
        told: Callable[[Raw], None] = _no_news,
    ) -> Any:
        """The one answer to a command, of the kind that it has.

        Args:
            restore: puts the token's contents back when the process wants it.
            told: is given the news that come meanwhile.

        Raises:
            ModuleUnusable: as the process said.
            Lost: if the process died or had to be killed.
            RuntimeError: if the tester is at fault there.
        """
        return next(self.stream(1, kind, command, restore, told))

    def stream(
        self,
        count: int,
        kind: Any,
        command: Command,
        restore: Callable[[], bool] = _no_restore,
        told: Callable[[Raw], None] = _no_news,
    ) -> Iterator[Any]:
        """The answers to a command that has `count` of them, each within the timeout. Raises as `ask` does."""
        self._patience = max(self._timeout, THINKING) if isinstance(command, Work) else self._timeout
        self._send(command)
        return self._answers(count, kind, restore, told)

    @property
    def printed(self) -> str:
        """What the module printed last, in a line."""
        return one_line(self._output.last(), self._secrets)

    def _answers(
        self, count: int, kind: Any, restore: Callable[[], bool], told: Callable[[Raw], None]
    ) -> Iterator[Any]:
        for _ in repeat(None, count):
            yield self._answer(kind, restore, told)

    def _answer(self, kind: Any, restore: Callable[[], bool], told: Callable[[Raw], None]) -> Any:
        while True:
            answer = self._receive()
            try:
                match answer:
                    case Done():
                        return None if kind is None else decode(kind, answer.value)
                    case Unusable():
                        raise ModuleUnusable(answer.text)
                    case Fault():
                        raise RuntimeError(answer.text)
                    case Restore():
                        self._send_reply(restore)
                    case Befall():
                        self._send_reply(partial(self.befall, answer.event, answer.label))
                    case News():
                        told(answer.value)
            except Malformed:
                raise self._lost() from None

    def _send_reply(self, restore: Callable[[], bool]) -> None:
        try:
            reply = restore()
        except BaseException:
            self.kill()  # it waits for a word that never comes
            raise
        self._send(reply)

    def _send(self, message: Any) -> None:
        if self._exit < 0:
            raise self._lost()
        self._output.trim()
        try:
            self._connection.send_bytes(encode(message))
        except OSError:
            raise self._lost(LEAVE) from None

    def _receive(self) -> Answer:
        ready = self._wait()
        if not ready:
            raise self._lost()
        try:
            # Not only the end of file tells of a death: a process that the module forked may hold the socket.
            if all(descriptor == self._exit for descriptor, _ in ready):
                raise EOFError
            answer: Answer = decode(Answer, self._connection.recv_bytes())
            return answer
        except (EOFError, OSError):
            raise self._lost(LEAVE) from None
        except Malformed:
            raise self._lost() from None

    def _wait(self) -> list[tuple[int, int]]:
        """Which descriptors tell something; none of them when the time is over."""
        mark = self._supervisor.journal.mark
        sign, since = mark(), time.monotonic()
        while (left := since + self._patience - time.monotonic()) > 0:
            ready = self._poll.poll(min(left, self._patience / LOOKS) * 1000)
            if ready:
                return ready
            self._output.trim()
            if sign != (sign := mark()):
                since = time.monotonic()
        return []

    def _lost(self, patience: float = 0.0) -> Lost:
        """End a process that owes an answer, and say how it ended: hung if it does not exit in so many seconds."""
        if self._exit < 0:
            return Lost(Observation(ending=Ending.DIED, detail="signal SIGKILL"))
        status = self._ended(patience)
        if status is None:
            ending, detail = Ending.HUNG, ""
        else:
            code = os.waitstatus_to_exitcode(status)
            ending, detail = Ending.DIED, f"signal {_signal_name(-code)}" if code < 0 else f"exit {code}"
        lost = Lost(
            Observation(ending=ending, detail=detail, printed=self.printed),
            self._supervisor.journal.doing,
            core=status is not None and os.WCOREDUMP(status),
        )
        self._forget()
        return lost

    def _ended(self, patience: float) -> int | None:
        """How the process ended by itself within so many seconds, None if it had to be killed."""
        exit = select.poll()
        exit.register(self._exit, select.POLLIN)
        ended = bool(exit.poll(patience * 1000))
        status = self._supervisor.end(kill=not ended)
        return status if ended else None

    def close(self) -> None:
        """Hang up, and give the process time to finalise the module."""
        self._connection.close()
        if self._exit >= 0:
            self._ended(LEAVE)
            self._forget()

    def kill(self) -> None:
        """End the process now."""
        self._connection.close()
        if self._exit >= 0:
            self._supervisor.end(kill=True)
            self._forget()

    def _forget(self) -> None:
        self._connection.close()
        self._output.close()
        os.close(self._exit)
        self._exit = -1


def _directory() -> bytes:
    try:
        return os.getcwdb()
    except OSError:
        return b"/"


def _signal_name(number: int) -> str:
    return {s.value: s.name for s in signal.Signals}.get(number, str(number))
