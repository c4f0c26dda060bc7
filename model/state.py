"""What an application, its sessions and the tokens remember between calls.

Records are frozen. A field made with `fixed` never changes during a run: it is a fact about the module or the token
that a profile supplies, and a proof treats it as a constant of the scope.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from operator import index
from typing import Annotated, Any, Final

SLOT: Final = "slot"
SESSION: Final = "session"
"""Kinds of index: what an `int` field annotated with one of these counts through."""

SlotIndex = Annotated[int, SLOT]
SessionIndex = Annotated[int, SESSION]

NO_LIMIT = 0
LIMIT_UNKNOWN = -1


def fixed(default: Any) -> Any:
    """A dataclass field that no call changes."""
    return field(default=default, metadata={"fixed": True})


class Login(IntEnum):
    """Who is logged in to a token (5.6): one value for all sessions of the application; numbers as in CKU."""

    SO = 0
    USER = 1
    NOBODY = 3


class Pin(IntEnum):
    """PIN values, named by the part they play. NULL is the NULL pointer, and in a token a PIN that is not set."""

    SO = 0
    USER = 1
    OTHER = 2
    WRONG = 3
    SHORT = 4
    LONG = 5
    NULL = 6


class Operation(IntEnum):
    """The operation active in a session."""

    NONE = 0
    DIGEST = 1
    SIGN = 2


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot and the token in it.

    `user_pin` is `Pin.NULL` while the normal user's PIN is not set. `so_failed` and `user_failed` say that a wrong
    PIN was given since the last right one, so that the token may count, and may have locked the PIN.
    Limits count sessions: NO_LIMIT for none, LIMIT_UNKNOWN where the token does not tell. `shared` says that other
    applications may use the token meanwhile; `protected_path` that a NULL PIN makes the token ask for one itself.
    `has_mechanisms` says that its list of mechanisms is not empty, `digests` that it holds the one that calls name.
    """

    present: bool = fixed(True)
    recognized: bool = fixed(True)
    write_protected: bool = fixed(False)
    shared: bool = fixed(False)
    protected_path: bool = fixed(False)
    has_mechanisms: bool = fixed(True)
    digests: bool = fixed(True)
    session_limit: int = fixed(NO_LIMIT)
    rw_session_limit: int = fixed(NO_LIMIT)
    initialized: bool = True
    so_pin: Pin = Pin.SO
    user_pin: Pin = Pin.USER
    so_failed: bool = False
    user_failed: bool = False
    login: Login = Login.NOBODY


@dataclass(frozen=True, slots=True)
class Session:
    """A session handle that the application has had, or may yet have; `open` while it is valid."""

    open: bool = False
    slot: SlotIndex = 0
    rw: bool = False
    operation: Operation = Operation.NONE


@dataclass(frozen=True, slots=True)
class Saved:
    """What the last C_GetOperationState gave: the operation, the token, and the session state it was taken in.

    `carried` says that somebody logged in or out since, or that the library was finalised.
    """

    valid: bool = False
    operation: Operation = Operation.NONE
    slot: SlotIndex = 0
    rw: bool = False
    login: Login = Login.NOBODY
    carried: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """Everything the model knows. `keyed_blob` says that the application holds the saved state of a keyed operation."""

    keyed_blob: bool = fixed(False)
    initialized: bool = False
    slots: tuple[Slot, ...] = (Slot(),)
    sessions: tuple[Session, ...] = (Session(),) * 3
    saved: Saved = Saved()


def carry_saved(s: State) -> State:
    """`s` with the saved operation state carried across a login, a logout or the end of the library."""
    return replace(s, saved=replace(s.saved, carried=s.saved.valid))


def put_session(s: State, i: int, new: Session) -> State:
    """`s` with session `i` replaced."""
    k = index(i)
    return replace(s, sessions=(*s.sessions[:k], new, *s.sessions[k + 1 :]))


def put_slot(s: State, i: int, new: Slot) -> State:
    """`s` with slot `i` replaced."""
    k = index(i)
    return replace(s, slots=(*s.slots[:k], new, *s.slots[k + 1 :]))


def map_sessions(s: State, change: Callable[[Session], Session]) -> State:
    """`s` with every session changed alike."""
    return replace(s, sessions=tuple(map(change, s.sessions)))
