"""The shape of a concrete call, and the pieces that calls of all chapters are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from ...model.call import Args, Buffer
from ...model.vocabulary import CKF, CKR
from ..cryptoki import CData, ffi

if TYPE_CHECKING:
    from ..raw import Raw

NULL: Final = ffi.NULL
_JUNK = b"\xa5" * 256

Arguments: TypeAlias = tuple[CData, ...]
Outputs: TypeAlias = tuple[tuple[str, int], ...]


class Room(Enum):
    """What a call has room for in its output buffer: numbers, or bytes."""

    NUMBERS = "CK_ULONG[]"
    BYTES = "CK_BYTE[]"


CAPACITY: Final = {Room.NUMBERS: 1024, Room.BYTES: 65536}
"""How many units a buffer holds that is large enough for anything."""


def nothing(_raw: "Raw", _a: Args) -> Outputs:
    """No change and no output."""
    return ()


def nothing_seen(_raw: "Raw", _a: Args, _code: int) -> Outputs:
    """No output, whatever the code."""
    return ()


def anything(_a: Args) -> bool:
    """Every call can be made."""
    return True


@dataclass(frozen=True, slots=True)
class Concrete:
    """How a function is called for real.

    `build` makes its C arguments, less the output buffer and its length where it has `room` for output (5.2).
    `done` runs after CKR_OK: it notes what changed and reads the outputs. `seen` does so after every code, before
    `done`. `pins` names the arguments that need a PIN of the binding. `possible` says whether the arguments can be
    made concrete at all.
    """

    build: "Callable[[Raw, Args], Arguments]"
    done: "Callable[[Raw, Args], Outputs]" = nothing
    seen: "Callable[[Raw, Args, int], Outputs]" = nothing_seen
    room: Room | None = None
    pins: tuple[str, ...] = ()
    possible: Callable[[Args], bool] = anything


def bit(flags: int, flag: CKF) -> int:
    """Whether a flag is set, as an output."""
    return int(flags & flag != 0)


def pointer(a: Args, target: CData) -> CData:
    """A pointer that the call may want to be NULL."""
    return NULL if a.null else target


def blank(a: Args, record: CData) -> CData:
    """A record to be filled, with junk in it, so that a module that leaves it alone is found out."""
    if a.null:
        return NULL
    content = ffi.buffer(record)
    content[:] = _JUNK[: len(content)]
    return record


def of_session(raw: "Raw", a: Args) -> Arguments:
    """The arguments of a function that takes a session and nothing else."""
    return (raw.handles.session(a.session),)


def length(raw: "Raw", a: Args, code: int) -> Outputs:
    """The length that a call with an output buffer tells, of what it gave or would give (5.2)."""
    return (("length", raw.length[0]),) if code in (CKR.OK, CKR.BUFFER_TOO_SMALL) and not a.null else ()


def output(raw: "Raw", a: Args) -> bytes | None:
    """What a successful call put into a buffer that was large enough, None for every other buffer."""
    return raw.bytes_given() if a.buffer == Buffer.ENOUGH and not a.null else None
