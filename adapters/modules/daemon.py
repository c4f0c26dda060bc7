"""Daemons that a module needs, and namespaces for those whose paths are compiled in; none outlives the tester."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
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

    Raises:
        OSError: if it cannot be started.
    """

    def __init__(
        self,
        site: Site,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        inside: "Namespace | None" = None,
    ) -> None:
        self._name = Path(command[0]).name
        self._log = site.home / f"{self._name}.log"
        own = {"PATH": PATH, "HOME": str(site.home), "LC_ALL": "C.UTF-8"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ("/bin/sh", "-c", _WATCHED, "watched", *(inside.entry if inside else ()), *command),
                env=own | dict(environment or {}),
                cwd=site.home,
                start_new_session=True,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        site.at_end.callback(self.stop)

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether it is still there."""
        return self._process.poll() is None

    def await_ready(self, ready: Callable[[], bool]) -> None:
        """Wait until something holds.

        Raises:
            ModuleUnusable: if it does not come to hold in time, or the daemon ends before.
        """
        until = time.monotonic() + READY
        while not ready():
            if not self.runs or time.monotonic() > until:
                how = "is not ready" if self.runs else "has ended"
                printed = one_line(b" ".join(self._log.read_bytes().split()))
                said = f" (it printed last: {printed})" if printed else ""
                raise ModuleUnusable(f"{self._name} {how}{said}; see that it runs on this machine")
            time.sleep(_LOOK)

    def stop(self) -> None:
        """Ask it to go, and end it with all that it forked."""
        if self.runs:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(LEAVE)
        self.kill()

    def kill(self) -> None:
        """End it now, with all that it forked."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()


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
        super().__init__(site, ("unshare", *(f"--{kind}" for kind in self._kinds), "--", "/bin/sh", "-c", script))
        self.await_ready(ready.exists)

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the namespaces, for those who join them."""
        return tuple(f"/proc/{self.pid}/ns/{file}" for file in self._kinds.values())

    @property
    def entry(self) -> tuple[str, ...]:
        """What stands before a command that is to run in there."""
        joined = (f"--{kind}={file}" for kind, file in zip(self._kinds, self.files, strict=True))
        return ("nsenter", *joined, "--")
