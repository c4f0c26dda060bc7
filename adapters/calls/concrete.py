"""The shape of a concrete call, and the pieces that calls of all chapters are made of."""

from collections.abc import Callable, Set, Sized
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from ...model.call import Args, Buffer
from ...model.vocabulary import CKF, CKR
from ..cryptoki import CData, ffi
from ..handles import Place

if TYPE_CHECKING:
    from ..raw import Raw

NULL: Final = ffi.NULL

Arguments: TypeAlias = tuple[CData | Place, ...]
"""What a function is given; a handle or a slot ID is named by its place, and looked up when the call is made."""

Outputs: TypeAlias = tuple[tuple[str, int], ...]


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


class Room(Enum):
    """What a call has room for in its output buffer: numbers, or bytes."""

    NUMBERS = "CK_ULONG[]"
    BYTES = "CK_BYTE[]"


CAPACITY: Final = {Room.NUMBERS: 1024, Room.BYTES: 65536}
"""How many units a buffer holds that is large enough for anything."""

_LENGTH_TOLD: Final = frozenset({CKR.OK, CKR.BUFFER_TOO_SMALL})


def nothing(_raw: "Raw", _a: Args) -> Outputs:
    """No change and no output."""
    return ()


def nothing_seen(_raw: "Raw", _a: Args, _code: int) -> Outputs:
    """No output, whatever the code."""
    return ()


def never(_raw: "Raw", _a: Args) -> Sized:
    """No time when every code matters."""
    return ()


def anything(_a: Args) -> bool:
    """Every call can be made."""
    return True


@dataclass(frozen=True, slots=True)
class Concrete:
    """How a function is called for real.

    `build` makes its C arguments, less the output buffer and its length where it has `room` for output (5.2). They
    serve for any number of calls, and where they are made of what the adapter `remembers` of objects and of outputs,
    until it says that this changed (`Raw.watchers`); so does the `blank` that it fills. `pins` names the arguments that
    need a PIN of the binding. `possible` says whether the arguments can be made concrete at all. `too_short` makes of
    the function one that is called with a buffer that is too short.

    `seen` runs after every code: it notes what changed and reads the outputs. `done` does so after CKR_OK, and after
    `seen`. Where the `blank` `holds` the answer after CKR_OK, what they read is there and nowhere else, and they note
    nothing. After another code that is not in `heeded`, `seen` changes nothing while `busy` gives nothing, which stays
    the same container, and what it reads is a matter of the code alone.
    """

    build: "Callable[[Raw, Args], Arguments]"
    done: "Callable[[Raw, Args], Outputs]" = nothing
    seen: "Callable[[Raw, Args, int], Outputs]" = nothing_seen
    room: Room | None = None
    blank: "Callable[[Raw, Args], Blank | None] | None" = None
    holds: "Callable[[Raw], bool] | None" = None
    heeded: Set[int] = frozenset()
    busy: "Callable[[Raw, Args], Sized]" = never
    too_short: "Callable[[Raw, Args, Callable[..., int]], Callable[..., int]] | None" = None
    remembers: bool = False
    pins: tuple[str, ...] = ()
    possible: Callable[[Args], bool] = anything


def bit(flags: int, flag: CKF) -> int:
    """Whether a flag is set, as an output."""
    return int(flags & flag != 0)


def pointer(a: Args, target: CData) -> CData:
    """A pointer that the call may want to be NULL."""
    return NULL if a.null else target


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


def always(_raw: "Raw") -> bool:
    """The answer is in the blank, whatever it is."""
    return True


def session(raw: "Raw", a: Args) -> Place:
    """The session of a call."""
    return Place(raw.handles.numbers, a.session)


def slot(raw: "Raw", a: Args) -> Place:
    """The slot of a call."""
    return Place(raw.slots.numbers, a.slot)


def object_at(raw: "Raw", index: int) -> Place:
    """An object of a call."""
    return Place(raw.objects.numbers, index)


def of_session(raw: "Raw", a: Args) -> Arguments:
    """The arguments of a function that takes a session and nothing else."""
    return (session(raw, a),)


def arguments(raw: "Raw", concrete: Concrete, a: Args) -> Arguments:
    """All that a call is given; its output buffer is a whole one here, which it has to be for `called` too."""
    given = concrete.build(raw, a)
    if concrete.room is None:
        return given
    buffer = raw.numbers if concrete.room is Room.NUMBERS else raw.bytes
    return *given, NULL if a.buffer == Buffer.NULL else buffer, pointer(a, raw.length)


def blank(raw: "Raw", concrete: Concrete, a: Args) -> Blank | None:
    """What a call fills: its own blank, or the length word of its output buffer, which says what that has room for."""
    if concrete.blank is not None:
        return concrete.blank(raw, a)
    return None if concrete.room is None else word(raw.length, CAPACITY[concrete.room])


def called(raw: "Raw", concrete: Concrete, a: Args, function: Callable[..., int]) -> Callable[..., int]:
    """What to call with the arguments: the function, or one that gives it a buffer that is too short."""
    if a.buffer != Buffer.SHORT or a.null:
        return function
    if concrete.too_short is not None:
        return concrete.too_short(raw, a, function)
    return function if concrete.room is None else _length_asked(function)


def _length_asked(function: Callable[..., int]) -> Callable[..., int]:
    """A function that ends in an output buffer and its length word, called with a buffer that is too short (5.2).

    A short buffer is one unit shorter than what a length query says. A query that fails may have ended an operation, so
    that its code is the answer: the call itself would only see what the query left.
    """

    def ask_and_call(*words: CData) -> int:
        *given, buffer, length = words
        length[0] = 0
        code = function(*given, NULL, length)
        if code in _LENGTH_TOLD:
            length[0] = max(0, min(length[0], len(buffer)) - 1)
            code = function(*words)
        return code

    return ask_and_call


def length(raw: "Raw", a: Args, code: int) -> Outputs:
    """The length that a call with an output buffer tells, of what it gave or would give (5.2)."""
    return (("length", raw.length[0]),) if code in _LENGTH_TOLD and not a.null else ()


def output(raw: "Raw", a: Args) -> bytes | None:
    """What a successful call put into its buffer, None where it had none."""
    return raw.bytes_given() if a.buffer != Buffer.NULL and not a.null else None
