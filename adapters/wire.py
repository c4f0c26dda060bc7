"""The messages between a tester and the processes that its modules run in, as msgpack: one codec for all of them.

Vendor code runs in those processes and is not trusted: what comes from there is decoded strictly, by its type.
"""

import os
import socket
from collections import Counter
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, Final, get_args, get_origin

import msgspec
from msgspec import Raw as Raw
from msgspec import Struct

from ..model.call import Call
from ..model.vocabulary import CKU
from .base import Binding

LONGEST: Final = 2**12
"""Bytes of a message to or from a supervisor, at most."""

MOST_DESCRIPTORS: Final = 4

NOTHING: Final = Raw(b"\xc0")
"""The value of an answer that has none."""


class Malformed(ValueError):
    """What came through a pipe is not what should have come; the text says what is wrong with it."""


def encode(message: Any) -> bytes:
    """A message as it goes through a pipe: a record, a structure, or a collection of such."""
    return _ENCODER.encode(message)


def decode(kind: Any, data: bytes | Raw) -> Any:
    """A message of a type, or one of a union of types, as it came through a pipe.

    Raises:
        Malformed: if it is none.
    """
    try:
        return _decoder(kind).decode(data)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise Malformed(str(error)) from None


_ENCODER: Final = msgspec.msgpack.Encoder()


@cache
def _decoder(kind: Any) -> Any:
    return msgspec.msgpack.Decoder(kind, dec_hook=_unusual)


def _unusual(kind: Any, value: Any) -> Any:
    """A value of a type that the library does not know."""
    if get_origin(kind) is Counter:
        return Counter(msgspec.convert(value, dict[get_args(kind)[0], int]))  # type: ignore[misc]
    raise NotImplementedError(f"no message holds a {kind}")


class Kind(Enum):
    """The adapter that a module is called through."""

    RAW = "raw"
    PYKCS11 = "pykcs11"


# Commands to the process of a module. Each is answered once, but for Calls and Work.


class Load(Struct, frozen=True, tag=True):
    """Load the library, to which these events can happen; answered by None."""

    kind: Kind
    library: str
    binding: Binding
    events: tuple[str, ...] = ()


class Supports(Struct, frozen=True, tag=True):
    """Whether the adapter can make a call; answered by a bool."""

    call: Call


class TriesLeft(Struct, frozen=True, tag=True):
    """Whether the token says that the PIN of a user may be tried; answered by a bool."""

    user: CKU


class Calls(Struct, frozen=True, tag=True):
    """Make calls; each is answered by an Observation, as soon as it has returned."""

    calls: tuple[Call, ...]


class Both(Struct, frozen=True, tag=True):
    """Make two calls at a time, each in a thread of its own; answered by their Observations, in this order."""

    calls: tuple[Call, Call]


class Reset(Struct, frozen=True, tag=True):
    """Finalise the library; answered by None."""

    restore_token: bool


class Measure(Struct, frozen=True, tag=True):
    """Ask a library about itself; answered by a Measured."""

    library: str
    init_reserved: str | None


class LogIn(Struct, frozen=True, tag=True):
    """Log in once; answered by the code."""

    library: str
    slot_id: int
    user: CKU
    pin: bytes | None
    init_reserved: str | None


class Provision(Struct, frozen=True, tag=True):
    """Initialise a token for each label in free slots; answered by a Measured."""

    library: str
    labels: tuple[str, ...]
    pins: Mapping[str, bytes]
    init_reserved: str | None


class TakeCensus(Struct, frozen=True, tag=True):
    """See what a token holds, with `remove` after what is ours was destroyed; answered by a Census.

    It is in the slot, or where another is there, in the one with its label.
    """

    library: str
    slot_id: int
    label: str
    user_pin: bytes | None
    init_reserved: str | None
    remove: bool


class Clear(Struct, frozen=True, tag=True):
    """Put back what a token keeps, without initialising it; answered by a bool, whether that is done."""

    library: str
    binding: Binding
    changed_pin: bool


class Destroy(Struct, frozen=True, tag=True):
    """Destroy the object with a label on the first slot's token, as the user; answered by a bool: it is gone."""

    library: str
    binding: Binding
    label: bytes


class Work(Struct, frozen=True, tag=True):
    """For the program to understand; answered by a value of its own."""

    order: Raw


Command = (
    Load
    | Supports
    | TriesLeft
    | Calls
    | Both
    | Reset
    | Measure
    | LogIn
    | Provision
    | TakeCensus
    | Clear
    | Destroy
    | Work
)


# Answers from there.


class Done(Struct, frozen=True, tag=True):
    """The command, or one of its calls, is done."""

    value: Raw = NOTHING


class Unusable(Struct, frozen=True, tag=True):
    """The module cannot be tested, and why."""

    text: str


class Fault(Struct, frozen=True, tag=True):
    """The tester itself is at fault, and how."""

    text: str


class Restore(Struct, frozen=True, tag=True):
    """In the midst of a command: put the token's contents back. Waits for a bool, whether that was done."""


class Befall(Struct, frozen=True, tag=True):
    """In the midst of a command: make an event happen, to the object with a label where it is about one.

    Waits for a bool, whether it did.
    """

    event: str
    label: bytes = b""


class News(Struct, frozen=True, tag=True):
    """In the midst of a command: something that the parent is to know even if the process dies next."""

    value: Raw


Answer = Done | Unusable | Fault | Restore | Befall | News


# Between the tester, the process that forks, and the supervisor of a module's process.


class Begin(Struct, frozen=True, tag=True):
    """Fork a supervisor. Its descriptors come along: its line, that of the journal, and a file that holds a briefing.

    `program` names the Python module with the program (see `child.Program`); None for one that has no work.
    """

    program: str | None


class Ready(Struct, frozen=True, tag=True):
    """The supervisor is ready; with a text, it is not, and why."""

    trouble: str = ""


class Spawn(Struct, frozen=True, tag=True):
    """Fork a process for the module. Its line and the file for its standard error come along.

    The first message on its line is a `Place`. With `core` it may leave a core file.
    """

    core: bool


class Place(Struct, frozen=True):
    """Where a process is to be: its current directory, all of its environment, and the namespaces that it joins."""

    directory: bytes
    environment: dict[bytes, bytes]
    namespaces: tuple[str, ...] = ()


class Spawned(Struct, frozen=True, tag=True):
    """The process is there; a descriptor that tells of its end comes along."""


class End(Struct, frozen=True, tag=True):
    """Wait for the end of the process, killed where `kill` says so, and end all that came of it."""

    kill: bool


class Ended(Struct, frozen=True, tag=True):
    """The process is gone, and all that came of it; `status` is as `os.waitpid` has it."""

    status: int


Order = Spawn | End
"""To a supervisor."""

Report = Ready | Spawned | Ended
"""From a supervisor."""


def send(line: socket.socket, message: Any, *descriptors: int) -> None:
    """Send a message with descriptors on a line that keeps messages apart. Raises OSError if nobody is there."""
    socket.send_fds(line, [encode(message)], descriptors)


def receive(line: socket.socket, kind: Any) -> tuple[Any, list[int]] | None:
    """The next message on such a line, with the descriptors that came along; None at its end."""
    try:
        data, descriptors, _, _ = socket.recv_fds(line, LONGEST, MOST_DESCRIPTORS)
    except ConnectionResetError:
        return None
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return (decode(kind, data), descriptors) if data else None
