"""Memory that a parent and its child share, in which the child names the calls it is about to make.

A child that dies or hangs tells nothing, and one that tells of every call by a message has little time to make any:
here a note costs one word of memory.
"""

import mmap
import os
from itertools import takewhile
from types import TracebackType
from typing import Final, Self

CAPACITY: Final = 2**16
"""Calls of one sequence that a journal has room for."""

_WORD: Final = 4
_SIZE: Final = _WORD * (1 + CAPACITY)


class Journal:
    """The calls of one sequence, by number, in the order that they are made in.

    The child begins a sequence with `begin()`, and before it makes call number k as the i-th of the sequence, it writes
    k + 1 into `entries[i]`: the place holds 0 until then. The parent reads what is written meanwhile; an entry is
    written whole, but the parent may see a sequence half begun.

    Args:
        descriptor: that of the journal to open, which the parent made, and which it gave the child to inherit; None to
            make a new one. It belongs to the journal from now on.

    Raises:
        OSError: if the system has no memory to give, or the descriptor is not open.
        ValueError: if what it stands for is no journal.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = os.memfd_create("journal") if descriptor is None else descriptor
        os.set_inheritable(self.descriptor, False)
        if descriptor is None:
            os.ftruncate(self.descriptor, _SIZE)
        self._memory = mmap.mmap(self.descriptor, _SIZE)
        self._words = memoryview(self._memory).cast("I")
        self.entries = self._words[1:]
        """A number of 32 bits for each call of the sequence."""

    def begin(self) -> None:
        """Begin a new sequence, none of whose calls is made."""
        used = self._used()
        self._words[0] = (self._words[0] + 1) % 2**32
        self.entries[:used] = memoryview(bytes(_WORD * used)).cast("I")

    def calls(self) -> tuple[int, ...]:
        """The numbers of the calls of the sequence so far; the last is under way or was the last to be made."""
        return tuple(entry - 1 for entry in takewhile(bool, self.entries))

    def mark(self) -> tuple[int, int]:
        """How far the child is: a value that changes with every call and every sequence."""
        return self._words[0], self._used()

    def close(self) -> None:
        """Give up the memory and the descriptor; a child keeps its own."""
        if self.descriptor >= 0:
            self.entries.release()
            self._words.release()
            self._memory.close()
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _used(self) -> int:
        """How many entries are written, by bisection: they are written in order."""
        low, high = 0, CAPACITY
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.entries[middle] else (low, middle)
        return low
