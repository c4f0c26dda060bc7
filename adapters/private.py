"""Private directories that do not outlive their process: what a killed one left is removed by the next."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from secrets import token_hex
from shutil import rmtree
from tempfile import gettempdir
from typing import Final

PREFIX: Final = "p11conform-"
_OWNER: Final = "owner"
"""File that names the process a directory belongs to: its number and when it began."""


def private_directory(name: str, at_end: ExitStack) -> Path:
    """A new directory that nobody else may read, `name` being part of its own; it goes with the stack.

    Raises:
        OSError: if there is no place for one.
    """
    home = Path(gettempdir()) / f"{PREFIX}{name}-{token_hex(8)}"
    # Before it is made, so that an interruption at any time leaves nothing.
    at_end.callback(rmtree, home, ignore_errors=True)
    home.mkdir(mode=0o700)
    (home / _OWNER).write_text(_process(os.getpid()), encoding="ascii")
    return home


def sweep() -> tuple[Path, ...]:
    """Remove the private directories of processes of ours that are gone; which they were."""
    swept = tuple(_dead())
    for home in swept:
        rmtree(home, ignore_errors=True)
    return swept


def _dead() -> Iterator[Path]:
    for home in Path(gettempdir()).glob(f"{PREFIX}*"):
        try:
            if home.is_symlink() or home.lstat().st_uid != os.geteuid():
                continue
            owner = (home / _OWNER).read_text(encoding="ascii")
            number = int(owner.partition(" ")[0])
        except (OSError, ValueError):
            continue  # not one of ours, or not yet
        if _process(number) != owner:
            yield home


def _process(number: int) -> str:
    """A process, told apart from others that had the number before; "" if there is none now."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
        return f"{number} {stat.rpartition(')')[2].split()[19]}"
    except FileNotFoundError:
        return "" if Path("/proc/self").exists() else _without_proc(number)
    except (OSError, IndexError):
        return _without_proc(number)


def _without_proc(number: int) -> str:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    return f"{number} -"
