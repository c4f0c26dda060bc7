"""The processes that modules run in are forked, from one that has everything loaded but a module.

The tester starts this program once. It forks a supervisor for each module, which prepares what the module's processes
have in common, and forks those, one at a time. None of the three has a second thread, so that a fork is safe, and only
the last of them loads vendor code. Who loses the line to the tester ends, and takes along what came of it.
"""

import ctypes
import gc
import os
import resource
import signal
import socket
import time
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Final

import psutil

from .child import NO_PROGRAM, Program, Task, run
from .journal import Journal
from .raw import warm
from .wire import Begin, Ended, Order, Place, Ready, Spawn, Spawned, decode, receive, send

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36

ENDING: Final = 2.0
"""Seconds in which what came of a module's process is ended; a module may fork faster than anyone kills."""

NOBODY: Final = 0
"""The number of no process."""


def main(descriptor: int) -> None:
    """Fork a supervisor whenever the tester asks for one, until it hangs up."""
    line = socket.socket(fileno=descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that what it forks leaves no zombies
    warm()
    while (got := receive(line, Begin)) is not None:
        order, descriptors = got
        with suppress(Exception):  # the supervisor tells
            _program(order.program)
        gc.freeze()
        if os.fork() == NOBODY:
            line.close()
            try:
                _supervise(order.program, *descriptors)
            finally:
                os._exit(0)
        for given in descriptors:
            os.close(given)


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process (prctl(2))."""
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _program(name: str | None) -> Program:
    if name is None:
        return NO_PROGRAM
    program: Program = import_module(name).PROGRAM
    return program


def _supervise(name: str | None, descriptor: int, journal: int, briefing: int) -> None:
    """Prepare the program, then fork a process for the module whenever there is to be one."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    line = socket.socket(fileno=descriptor)
    try:
        program, noting = _program(name), Journal(journal)
        noting.adopt()
        with open(briefing, "rb") as file:
            task = program.prepare(file.read(), noting)
    except Exception as error:
        send(line, Ready(f"{type(error).__name__}: {error}"))
        return
    # What is there now stays to the end, and need not be looked over for garbage again and again.
    gc.collect()
    gc.freeze()
    child = NOBODY
    try:
        send(line, Ready())
        while (got := receive(line, Order)) is not None:
            order, descriptors = got
            if isinstance(order, Spawn):
                child = _spawn(program, task, line, *descriptors, core=order.core)
            else:
                status, child = _end(child, kill=order.kill), NOBODY
                send(line, Ended(status))
    finally:
        _end(child, kill=True)


def _spawn(program: Program, task: Task, line: socket.socket, theirs: int, errors: int, *, core: bool) -> int:
    parent = os.getpid()
    child = os.fork()
    if child == NOBODY:
        try:
            line.close()
            connection = Connection(theirs)
            _settle(parent, decode(Place, connection.recv_bytes()), errors, core=core)
            run(connection, program, task)
            os._exit(0)  # without the module's exit handlers
        finally:
            os._exit(70)
    os.close(theirs)
    os.close(errors)
    exit = os.pidfd_open(child)
    send(line, Spawned(), exit)
    os.close(exit)
    return child


def _settle(parent: int, place: Place, errors: int, *, core: bool) -> None:
    """Make this the process of a module: in a session of its own, heard by nobody, and without a core file."""
    os.setsid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if not core:
        # It would hold the PINs. Some systems pipe core files of any size, so the limit alone does not do.
        prctl(PR_SET_DUMPABLE, 0)
    most = resource.getrlimit(resource.RLIMIT_CORE)[1] if core else 0
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard, given in enumerate((nothing, nothing, errors)):
        os.dup2(given, standard)
    os.close(nothing)
    os.close(errors)
    for name in os.environb.keys() - place.environment.keys():
        del os.environb[name]
    os.environb.update(place.environment)
    for namespace in place.namespaces:
        _join(namespace)
    with suppress(OSError):
        os.chdir(place.directory)


def _join(namespace: str) -> None:
    """Join a namespace by its file (setns(2)); where that cannot be, it is said, and this process ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        descriptor = os.open(namespace, os.O_RDONLY)
        if libc.setns(descriptor, 0) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    except OSError as error:
        os.write(2, f"{namespace}: cannot be joined: {error.strerror}\n".encode())
        os._exit(70)
    os.close(descriptor)


def _end(child: int, *, kill: bool) -> int:
    """Wait for the end of a process, and end all that came of it; how it ended itself, as `os.waitpid` has it."""
    status = 0
    if child != NOBODY:
        if kill:
            os.kill(child, signal.SIGKILL)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    until = time.monotonic() + ENDING
    with suppress(ChildProcessError, psutil.Error, OSError):
        # What loses its parent becomes ours, so that in the end there is none.
        while time.monotonic() < until:
            if os.waitpid(-1, os.WNOHANG) != (0, 0):
                continue
            for left in psutil.Process().children():
                left.kill()
            time.sleep(0.001)
    return status
