"""What a module prints on its standard error, of which the last is kept."""

import fcntl
import os
from collections.abc import Iterable
from typing import Final

KEPT: Final = 4096
"""Bytes that are kept, at most."""

SHOWN: Final = 400
"""Characters of it that are shown, at most."""

_FULL: Final = 2**18


class Output:
    """A file without a name for a process to write to. Close it when the process is gone.

    Raises:
        OSError: if the system has no memory to give.
    """

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("stderr")
        fcntl.fcntl(self.descriptor, fcntl.F_SETFL, os.O_APPEND)
        self._before = b""

    def trim(self) -> None:
        """Keep what was written last and forget the rest, where it is much."""
        if os.fstat(self.descriptor).st_size > _FULL:
            self._before = self.last()
            os.ftruncate(self.descriptor, 0)

    def last(self) -> bytes:
        """What was written last."""
        size = os.fstat(self.descriptor).st_size
        written = os.pread(self.descriptor, KEPT, max(0, size - KEPT))
        return (self._before + written)[-KEPT:]

    def close(self) -> None:
        """Give the file up."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def one_line(written: bytes, secrets: Iterable[bytes] = ()) -> str:
    """The end of what was written as a line that is safe to show, with the secrets in it replaced."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        written = written.replace(secret, b"[PIN]")
    text = written.decode(errors="replace").strip()
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(shown) <= SHOWN else f"…{shown[-SHOWN:]}"
