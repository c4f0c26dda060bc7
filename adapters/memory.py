"""Memory that calls fill, and what stands in it before."""

from enum import Enum
from typing import Final, NamedTuple

from .cryptoki import CData, ffi


class Room(Enum):
    """What a call has room for in its output buffer: numbers, bytes, or interfaces."""

    NUMBERS = "CK_ULONG[]"
    BYTES = "CK_BYTE[]"
    INTERFACES = "CK_INTERFACE[]"


CAPACITY: Final = {Room.NUMBERS: 1024, Room.BYTES: 65536, Room.INTERFACES: 64}
"""How many units a buffer holds that is large enough for anything."""


class Blank(NamedTuple):
    """Memory that a call may fill, and what stands in a place of it before each call.

    All of it is bytes in a buffer. A single CK_ULONG is a number in a view, which is put there at half the cost.
    """

    memory: CData
    place: int | slice
    untouched: int | bytes

    def put(self) -> None:
        """Have it as it shall be before a call."""
        self.memory[self.place] = self.untouched


def junk(size: int) -> bytes:
    """What is in memory before a call fills it, so that a module that leaves it alone is found out."""
    return b"\xa5" * size


def word(target: CData, value: int = 0) -> Blank:
    """A CK_ULONG that a call fills, with its value before."""
    return Blank(memoryview(ffi.buffer(target, ffi.sizeof("CK_ULONG"))).cast("B").cast("L"), 0, value)


def block(target: CData, content: bytes) -> Blank:
    """Memory that a call fills, with its content before."""
    return Blank(ffi.buffer(target, len(content)), _WHOLE, content)


_WHOLE: Final = slice(None)


def record(target: CData) -> Blank:
    """A record that has junk in it before a call fills it."""
    return block(target, junk(len(ffi.buffer(target))))
