"""Files that are written whole or not at all, and whose place is tried before the work that fills them."""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

from .exits import fail

STDOUT: Final = Path("-")
"""Stands for standard output where a file is wanted."""


def try_place(option: str, path: Path | None) -> None:
    """See that a file can be written, and leave what is there.

    Raises:
        Failure: if it cannot; `option` is what named it.
    """
    if path is None or path == STDOUT:
        return
    if path.is_dir():
        fail(f"{option} {path}: it is a directory; name a file")
    if not path.parent.is_dir():
        fail(f"{option} {path}: there is no directory {path.parent}; make it, or name another")
    try:
        if path.exists() and not path.is_file():
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        else:
            with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:50]}."):
                pass
    except OSError as error:
        fail(f"{option} {path}: {error.strerror}; name another")


def write_whole(path: Path, text: str) -> None:
    """Write a file beside its place, then move it there; a device or a pipe is written to as it is.

    Raises:
        OSError: if it cannot be written; what was there is still there.
    """
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    place = path.resolve()
    with NamedTemporaryFile(
        "w", encoding="utf-8", dir=place.parent, prefix=f".{place.name[:50]}.", delete=False
    ) as new:
        try:
            os.fchmod(new.fileno(), place.stat().st_mode if place.exists() else 0o666 & ~_mask())
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
            os.replace(new.name, place)
        except BaseException:
            with suppress(OSError):
                os.unlink(new.name)
            raise


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(option: str, path: Path | None, text: str) -> None:
    """Write a text where a file for it is given.

    Raises:
        Failure: if it cannot be written.
    """
    if path is None:
        return
    try:
        if path == STDOUT:
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            write_whole(path, text)
    except BrokenPipeError:
        raise
    except OSError as error:
        fail(f"{option} {path}: {error.strerror}; name another place")


def write_json(option: str, path: Path | None, data: Any) -> None:
    """Write results as JSON where a file for them is given. Raises as `write_text` does."""
    write_text(option, path, json.dumps(data, indent=1) + "\n")
