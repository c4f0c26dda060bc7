"""Output buffers with a canary behind each, by which it shows that a module wrote past the room it was given.

What is in a buffer beforehand is known, so that it shows too how much of it was written.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from ..model.call import Args, Buffer, Misuse
from ..model.chapters.operations import TELLS_LENGTH
from ..model.vocabulary import CKR
from .cryptoki import CData, ffi, new
from .memory import CAPACITY, Room, junk
from .misuse import SEEN

GUARD: Final = 8
"""Bytes of a canary. By chance an output ends in as many bytes of junk once in 2**64 times."""

_Function: TypeAlias = Callable[..., int]

CANARY: Final = junk(GUARD)
"""It looks like any memory that a call has not filled yet."""


class Area(NamedTuple):
    """An output buffer: its units as a module is given them, its bytes with the canary behind, and a unit's size."""

    units: CData
    memory: memoryview
    unit: int


def area(room: Room, head: int = 0) -> Area:
    """A new buffer that is large enough for anything, with so many bytes before it in the same memory."""
    unit = ffi.sizeof(ffi.typeof(room.value).item)
    size = CAPACITY[room] * unit
    memory = memoryview(ffi.buffer(new("CK_BYTE[]", head + size + GUARD))).cast("B")[head:]
    memory[size:] = CANARY
    return Area(ffi.from_buffer(room.value, memory[:size]), memory, unit)


def watched(function: _Function, given: Area) -> _Function:
    """The function, called with the whole of a buffer, after which the canary is looked at."""
    canary = given.memory[-GUARD:].cast("Q")
    whole = canary[0]

    def call(*words: CData) -> int:
        code = function(*words)
        if canary[0] != whole:
            canary[0] = whole
            SEEN.append(Misuse.OVERRUN)
        return code

    return call


def limited(function: _Function, given: Area, units: int, *, filled: bool = False) -> _Function:
    """The function, called with a buffer of which so many units are its own; `filled` says that CKR_OK fills them."""
    size = units * given.unit
    room, untouched = given.memory[: size + GUARD], junk(size + GUARD)
    behind, last = room[size:], room[size - GUARD : size] if filled and size >= GUARD else b""

    def call(*words: CData) -> int:
        room[:] = untouched
        code = function(*words)
        if behind != CANARY:
            SEEN.append(Misuse.OVERRUN)
        elif code == CKR.OK and last == CANARY:
            SEEN.append(Misuse.UNWRITTEN)
        return code

    return call


def into(function: _Function, given: Area, a: Args, after: int = 0) -> _Function:
    """A function that ends in an output buffer and its length word, as a call has it called (5.2).

    So many words may come `after` the two.
    """
    if a.null or a.buffer == Buffer.NULL:
        return function
    if a.buffer == Buffer.ENOUGH:
        return watched(function, given)
    return length_asked(function, given, int(a.buffer == Buffer.SHORT), after)


def length_asked(function: _Function, given: Area, less: int, after: int = 0) -> _Function:
    """The function, called with a buffer of the length that a query says, or of so many units `less`.

    A query that fails may have ended an operation, so that its code is the answer: the call itself would only see what
    the query left.
    """
    most, memory, unit = len(given.units), given.memory, given.unit

    def ask_and_call(*words: CData) -> int:
        at = len(words) - after - 2
        length = words[at + 1]
        length[0] = 0
        code = function(*words[:at], ffi.NULL, *words[at + 1 :])
        if code in TELLS_LENGTH:
            units = length[0] = max(0, min(length[0], most) - less)
            size = units * unit
            memory[: size + GUARD] = junk(size + GUARD)
            code = function(*words)
            told = length[0] * unit if code == CKR.OK else 0
            if memory[size : size + GUARD] != CANARY:
                SEEN.append(Misuse.OVERRUN)
            elif told > size:
                SEEN.append(Misuse.MORE_THAN_ROOM)
            elif told >= GUARD and memory[told - GUARD : told] == CANARY:
                SEEN.append(Misuse.UNWRITTEN)
        return code

    return ask_and_call
