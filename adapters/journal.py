"""Memory that a parent and its child share, in which the child names the calls it is about to make.

A child that dies or hangs tells nothing, and one that tells of every call by a message has little time to make any:
here a note costs one word of memory.
"""

import mmap
import os
from itertools import takewhile
from typing import Final

from .base import Closing

CAPACITY: Final = 2**16
"""Calls of one sequence that a journal has room for."""

_WORD: Final = 4
_HEAD: Final = 2
_LONGEST_NAME: Final = 64
_NAMED: Final = _WORD * (_HEAD + CAPACITY)
_SIZE: Final = _NAMED + _LONGEST_NAME

_OF_THIS_PROCESS: list["Journal"] = []


def note(function: str) -> None:
    """Name the function that is called next, beside the calls of sequences, where a parent wants to know; see `doing`.

    The empty name says that none is.
    """
    for journal in _OF_THIS_PROCESS:
        journal.doing = function


class Journal(Closing):
    """The calls of one sequence, by number, in the order that they are made in.

    The child begins a sequence with `begin()`, and before it makes call number k as the i-th of the sequence, it writes
    k + 1 into `entries[i]`: the place holds 0 until then. When the last of them has returned it may `end()` the
    sequence. The parent reads what is written meanwhile; an entry is written whole, but the parent may see a sequence
    half begun. What is called beside sequences has a name, not a number (see `doing`).

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
        self._words = memoryview(self._memory)[:_NAMED].cast("I")
        self.entries = self._words[_HEAD:]
        """A number of 32 bits for each call of the sequence."""

    def begin(self) -> None:
        """Begin a new sequence, none of whose calls is made."""
        used = self._used()
        self._words[0] = (self._words[0] + 1) % 2**32
        self._words[1] = 0
        self.entries[:used] = memoryview(bytes(_WORD * used)).cast("I")

    def end(self) -> None:
        """Tell that the last call of the sequence has returned."""
        self._words[1] = 1

    @property
    def ended(self) -> bool:
        """Whether the last call of the sequence is known to have returned."""
        return bool(self._words[1])

    @property
    def doing(self) -> str:
        """The function that is called beside the calls of sequences, if one is: to measure, to finalise."""
        return self._memory[_NAMED:].split(b"\0", 1)[0].decode(errors="replace")

    @doing.setter
    def doing(self, function: str) -> None:
        self._memory[_NAMED:] = function.encode()[:_LONGEST_NAME].ljust(_LONGEST_NAME, b"\0")

    @property
    def begun(self) -> int:
        """How many sequences were begun, modulo 2**32."""
        return self._words[0]

    def calls(self) -> tuple[int, ...]:
        """The numbers of the calls of the sequence so far; the last is under way or was the last to be made."""
        return tuple(entry - 1 for entry in takewhile(bool, self.entries))

    def mark(self) -> tuple[int, int]:
        """How far the child is: a value that changes with every call and every sequence."""
        return self.begun, self._used()

    def adopt(self) -> None:
        """Make it the journal of this process, for `note`."""
        _OF_THIS_PROCESS[:] = [self]

    def close(self) -> None:
        """Give up the memory and the descriptor; a child keeps its own."""
        if self.descriptor >= 0:
            self.entries.release()
            self._words.release()
            self._memory.close()
            os.close(self.descriptor)
            self.descriptor = -1

    def _used(self) -> int:
        """How many entries are written, by bisection: they are written in order."""
        low, high = 0, CAPACITY
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.entries[middle] else (low, middle)
        return low
