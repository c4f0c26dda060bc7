"""The shape of a concrete call, and the pieces that calls of all chapters are made of."""

from collections.abc import Callable, Set, Sized
from dataclasses import dataclass
from typing import Final, TypeAlias

from ...model.call import Args, Buffer
from ...model.chapters.operations import TELLS_LENGTH
from ...model.vocabulary import CKF, CKR
from ..application import Application
from ..base import Binding
from ..buffers import into
from ..cryptoki import CData, c_string
from ..handles import Place
from ..lane import NULL, Lane
from ..memory import CAPACITY, Blank, Room, word

SOMETHING: Final = c_string("p11conform")
"""What a reserved pointer points to that is not NULL."""

Arguments: TypeAlias = tuple[CData | Place, ...]
"""What a function is given; a handle or a slot ID is named by its place, and looked up when the call is made."""

Outputs: TypeAlias = tuple[tuple[str, int], ...]

_Function: TypeAlias = Callable[..., int]


def nothing(_app: Application, _lane: Lane, _a: Args) -> Outputs:
    """No change and no output."""
    return ()


def nothing_seen(_app: Application, _lane: Lane, _a: Args, _code: int) -> Outputs:
    """No output, whatever the code."""
    return ()


def never(_app: Application, _a: Args) -> Sized:
    """No time when every code matters."""
    return ()


def anything(_binding: Binding, _a: Args) -> bool:
    """Every call can be made."""
    return True


@dataclass(frozen=True, slots=True)
class Concrete:
    """How a function is called for real, for an application, with the memory of a lane.

    `build` makes its C arguments, less the output buffer and its length where it has `room` for output (5.2). They
    serve for any number of calls, and where they are made of what the application `remembers` of objects and of
    outputs, until it says that this changed (`Application.watchers`); so does the `blank` that it fills. `pins` names
    the arguments that need a PIN of the binding. `possible` says whether the arguments can be made concrete at all.
    `around` makes of the function one that gives the output buffer as the call wants it, and looks behind it.

    `seen` runs after every code: it notes what changed and reads the outputs. `done` does so after CKR_OK, and after
    `seen`. Where the `blank` `holds` the answer after CKR_OK, what they read is there and nowhere else, and they note
    nothing. After another code that is not in `heeded`, `seen` changes nothing while `busy` gives nothing, which stays
    the same container, and what it reads is a matter of the code alone.
    """

    build: Callable[[Application, Lane, Args], Arguments]
    done: Callable[[Application, Lane, Args], Outputs] = nothing
    seen: Callable[[Application, Lane, Args, int], Outputs] = nothing_seen
    room: Room | None = None
    blank: Callable[[Application, Lane, Args], Blank | None] | None = None
    holds: Callable[[Lane], bool] | None = None
    heeded: Set[int] = frozenset()
    busy: Callable[[Application, Args], Sized] = never
    around: Callable[[Application, Lane, Args, _Function], _Function] | None = None
    remembers: bool = False
    pins: tuple[str, ...] = ()
    possible: Callable[[Binding, Args], bool] = anything


def bit(flags: int, flag: CKF) -> int:
    """Whether a flag is set, as an output."""
    return int(flags & flag != 0)


def pointer(a: Args, target: CData) -> CData:
    """A pointer that the call may want to be NULL."""
    return NULL if a.null else target


def always(_lane: Lane) -> bool:
    """The answer is in the blank, whatever it is."""
    return True


def session(app: Application, a: Args) -> Place:
    """The session of a call."""
    return Place(app.handles.numbers, a.session)


def slot(app: Application, a: Args) -> Place:
    """The slot of a call."""
    return Place(app.slots.numbers, a.slot)


def object_at(app: Application, index: int) -> Place:
    """An object of a call."""
    return Place(app.objects.numbers, index)


def of_session(app: Application, _lane: Lane, a: Args) -> Arguments:
    """The arguments of a function that takes a session and nothing else."""
    return (session(app, a),)


def arguments(app: Application, lane: Lane, concrete: Concrete, a: Args) -> Arguments:
    """All that a call is given; its output buffer is a whole one here, which it has to be for `called` too."""
    given = concrete.build(app, lane, a)
    if concrete.room is None:
        return given
    return *given, NULL if a.buffer == Buffer.NULL else lane.rooms[concrete.room].units, pointer(a, lane.length)


def blank(app: Application, lane: Lane, concrete: Concrete, a: Args) -> Blank | None:
    """What a call fills: its own blank, or the length word of its output buffer, which says what that has room for."""
    if concrete.blank is not None:
        return concrete.blank(app, lane, a)
    return None if concrete.room is None else word(lane.length, CAPACITY[concrete.room])


def called(app: Application, lane: Lane, concrete: Concrete, a: Args, function: _Function) -> _Function:
    """What to call with the arguments: the function, or one that sees to its output buffer."""
    if concrete.around is not None:
        return concrete.around(app, lane, a, function)
    return function if concrete.room is None else into(function, lane.rooms[concrete.room], a)


def length(_app: Application, lane: Lane, a: Args, code: int) -> Outputs:
    """The length that a call with an output buffer tells, of what it gave or would give (5.2)."""
    return (("length", lane.length[0]),) if code in TELLS_LENGTH and not a.null else ()


def output(lane: Lane, a: Args) -> bytes | None:
    """What a successful call put into its buffer, None where it had none.

    A buffer one below the length that was told may be large enough: that length may overstate (5.2).
    """
    return lane.bytes_given() if a.buffer != Buffer.NULL and not a.null else None


def noted(app: Application, lane: Lane, concrete: Concrete, a: Args, code: int) -> Outputs:
    """The outputs of a call that returned; notes what it changed."""
    outputs = concrete.seen(app, lane, a, code)
    return outputs + concrete.done(app, lane, a) if code == CKR.OK else outputs
