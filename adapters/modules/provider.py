"""What provides a module: which packages it needs, whether they are there, and how it is made ready from nothing."""

import os
import shlex
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ..base import ModuleUnusable
from ..forked import FORKS
from ..private import private_directory
from .module import Module

PATH: Final = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))
"""Where programs are looked for: daemons are not on everybody's path."""

_LONGEST_SOCKET: Final = 106
"""Bytes of the path of a socket: sun_path has 108, and p11-kit leaves one unused."""


def libraries(name: str) -> tuple[str, ...]:
    """Where distributions put a library, the architecture's own directory first."""
    here = (f"/usr/lib/{os.uname().machine}-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")
    return tuple(f"{directory}/{name}" for directory in here)


CHANGED: Final = frozenset({"user-pin-changed-by-another-application", "object-destroyed-by-another-application"})
LOCKED: Final = frozenset({"user-pin-locked"})
STOPPED: Final = frozenset({"device-stops", "device-starts-again"})
FORKED: Final = frozenset({FORKS})
"""Events that another application, one that guesses PINs, a device or its service, and this one can be made to do."""


@dataclass(frozen=True, slots=True)
class Need:
    """A Debian package, and the file of it that is used: a path, or a program by its name; the first that is there."""

    package: str
    places: Sequence[str]

    @property
    def path(self) -> str:
        """The path of the file.

        Raises:
            ModuleUnusable: if the package is not installed.
        """
        if (found := self.find()) is None:
            raise ModuleUnusable(f"{self.places[0]} is missing; {installs((self.package,))}")
        return found

    def find(self) -> str | None:
        """The path of the file, None where the package is not installed."""
        found = (place if Path(place).is_file() else shutil.which(place, path=PATH) for place in self.places)
        return next(filter(None, found), None)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a module is made ready: a private directory, and what is to be done in the end, the last thing first."""

    home: Path
    at_end: ExitStack

    def socket(self, name: str) -> Path:
        """The place of a socket.

        Raises:
            ModuleUnusable: if the path is longer than the system allows.
        """
        path = self.home / name
        if len(os.fsencode(path)) > _LONGEST_SOCKET:
            raise ModuleUnusable(f"{path}: too long for a socket; set TMPDIR to a shorter path")
        return path


@dataclass(frozen=True, slots=True)
class Provider:
    """A module that p11conform makes ready by itself.

    `name` is what the command line calls it, `about` says in a few words what it is. `library` and `others` are what
    has to be installed. `build` makes the module ready at a site, with whatever tokens it has; what it makes is
    taken down by the site, so that it need not clean up after itself. `root` says that only root can do it.
    `events` names what can be made to happen beside the calls (see model/environment.py), by those of the module.
    """

    name: str
    about: str
    library: Need
    build: Callable[[str, Site], Module]
    others: Sequence[Need] = ()
    root: bool = False
    events: frozenset[str] = frozenset()

    def missing(self) -> tuple[str, ...]:
        """The packages that are not installed."""
        return tuple(dict.fromkeys(n.package for n in (self.library, *self.others) if n.find() is None))

    def obstacle(self) -> str | None:
        """Why the module cannot be had here and what to do about it, in a line; None if it can be had."""
        if missing := self.missing():
            return f"not installed; {installs(missing)}"
        if self.root and not privileged():
            return "needs root for its mount namespace; run as root, in a container with CAP_SYS_ADMIN"
        return None

    def find(self) -> str | None:
        """The path of the library, None where it is not installed."""
        return self.library.find()

    def provision(self) -> Module:
        """The module with fresh tokens in a private directory. Nothing of the user's own configuration is touched.

        Raises:
            ModuleUnusable: if it cannot be had here, or refuses a step.
        """
        if (obstacle := self.obstacle()) is not None:
            raise ModuleUnusable(f"{self.name}: {obstacle}")
        with ExitStack() as stack:
            made = self.build(self.library.path, Site(private_directory(self.name, stack), stack))
            return replace(made, name=self.name, discard=stack.pop_all().close)


def privileged() -> bool:
    """Whether this process may make namespaces: root in a container often may not."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return bool(int(value, 16) >> _CAP_SYS_ADMIN & 1)
    return False


_CAP_SYS_ADMIN: Final = 21


def installs(packages: Sequence[str]) -> str:
    """The command that installs Debian packages."""
    return f"apt-get install {shlex.join(packages)}"
