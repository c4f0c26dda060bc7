"""Daemons that a module needs, and namespaces for those whose paths are compiled in; none outlives the tester."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final

from ..base import ModuleUnusable
from ..output import one_line
from .provider import PATH, Site

READY: Final = 10.0
"""Seconds that a daemon has to be ready."""

LEAVE: Final = 1.0
"""Seconds that a daemon has to go when it is asked to."""

_LOOK: Final = 0.005

_WATCHED: Final = 'exec 3<&0 </dev/null; ((read -r _ <&3; kill -KILL 0) &); exec 3<&- "$@"'
"""Becomes the command, in a process group that ends with the tester: what watches holds the other end of a pipe that
only the tester has, which breaks however the tester ends. PR_SET_PDEATHSIG is no way: it goes by the thread that
started the daemon, and is forgotten by what the daemon forks."""


class Daemon:
    """A process that runs until it is stopped, or its tester is gone.

    Args:
        site: where it is; what it prints goes to a file there, and it is stopped when the site is taken down.
        command: the program, as it is found on the path, and its arguments.
        environment: all of its own beside the path, and a home at the site.
        inside: the namespaces that it runs in, if it is to run in others than ours.
        makes: the files, sockets for the most part, that are there as soon as it is ready.
        ready: what holds besides when it is ready.
        free: what holds before it may start again: that the last one is known to be gone.

    Raises:
        ModuleUnusable: if it is not ready in time, or ends before.
        OSError: if it cannot be started.
    """

    def __init__(
        self,
        site: Site,
        command: Sequence[str],
        environment: Mapping[str, str] = MappingProxyType({}),
        *,
        inside: "Namespace | None" = None,
        makes: Sequence[Path] = (),
        ready: Callable[[], bool] = lambda: True,
        free: Callable[[], bool] = lambda: True,
    ) -> None:
        self._name = Path(command[0]).name
        self._log = site.home / f"{self._name}.log"
        self._command = ("/bin/sh", "-c", _WATCHED, "watched", *(inside.entry if inside else ()), *command)
        self._environment = {"PATH": PATH, "HOME": str(site.home), "LC_ALL": "C.UTF-8", **environment}
        self._makes, self._ready, self._free = makes, ready, free
        self._process: subprocess.Popen[bytes] | None = None
        site.at_end.callback(self.stop)
        self.start()

    @property
    def pid(self) -> int:
        """The number of its process."""
        assert self._process is not None, "it was started"
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether it is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        for file in self._makes:
            file.unlink(missing_ok=True)
        until = time.monotonic() + READY
        while not self._free() and time.monotonic() < until:
            time.sleep(_LOOK)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._log.parent,
                start_new_session=True,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + READY
        while not (all(file.exists() for file in self._makes) and self._ready()):
            if not self.runs or time.monotonic() > until:
                how = "is not ready" if self.runs else "has ended"
                printed = one_line(b" ".join(self._log.read_bytes().split()))
                said = f" (it printed last: {printed})" if printed else ""
                raise ModuleUnusable(f"{self._name} {how}{said}; see that it runs on this machine")
            time.sleep(_LOOK)

    def kill_children(self) -> None:
        """End what it forked, but not it."""
        for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii").split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    def kill(self) -> None:
        """End it at once, with all that it forked."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        """Ask it to go, and end it with all that it forked."""
        if self._process is None:
            return
        if self.runs:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(LEAVE)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process = None


def revive(daemons: Sequence[Daemon]) -> None:
    """See that daemons run, of which each needs those before it: where one does not come back, all are started anew.

    Raises:
        ModuleUnusable: if one that ended does not start again.
    """
    ended = next((k for k, daemon in enumerate(daemons) if not daemon.runs), None)
    if ended is None:
        return
    try:
        _start_again(daemons[ended:])
    except ModuleUnusable:
        _start_again(daemons)


def _start_again(daemons: Sequence[Daemon]) -> None:
    for daemon in reversed(daemons):
        daemon.stop()
    for daemon in daemons:
        daemon.start()


class Namespace(Daemon):
    """A process in namespaces of its own, for mounts, System V IPC and perhaps the network.

    They go with the last process in them. `binds` are directories of the site by those that they are to cover in there.
    With `network` there is no network but one of this machine with itself. Only root can do this.

    Raises:
        ModuleUnusable: if the system does not allow it.
    """

    def __init__(self, site: Site, binds: Mapping[str, Path], *, network: bool = False) -> None:
        self._kinds = {"mount": "mnt", "ipc": "ipc"} | ({"net": "net"} if network else {})
        ready = site.home / "namespace"
        commands = (
            *(("mount", "--bind", str(here), there) for there, here in binds.items()),
            *([("ip", "link", "set", "dev", "lo", "up")] if network else []),
            ("touch", str(ready)),
            ("exec", "sleep", "infinity"),
        )
        script = " && ".join(map(shlex.join, commands))
        command = ("unshare", *(f"--{kind}" for kind in self._kinds), "--", "/bin/sh", "-c", script)
        super().__init__(site, command, makes=(ready,))

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the namespaces, for those who join them."""
        return tuple(f"/proc/{self.pid}/ns/{file}" for file in self._kinds.values())

    @property
    def entry(self) -> tuple[str, ...]:
        """What stands before a command that is to run in there."""
        joined = (f"--{kind}={file}" for kind, file in zip(self._kinds, self.files, strict=True))
        return ("nsenter", *joined, "--")
