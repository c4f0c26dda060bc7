"""Abstract calls and what was observed of them, with their text form for traces.

A call names model objects, never numbers of a real module: session 2, the wrong PIN, a buffer one byte short. An
adapter makes it concrete and abstracts the result.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import Enum, IntEnum
from itertools import product
from typing import Any, get_type_hints

from .state import SESSION, SLOT, Pin, SessionIndex, SlotIndex, State
from .vocabulary import CKR, CKU, VENDOR_DEFINED


class InitArgs(IntEnum):
    """The pInitArgs of C_Initialize (5.4): which callbacks and flags of CK_C_INITIALIZE_ARGS are given.

    CALLBACKS gives all four mutex callbacks, PARTIAL only two of them; RESERVED has a non-NULL pReserved beside what
    the module needs; NO_THREADS sets CKF_LIBRARY_CANT_CREATE_OS_THREADS and CKF_OS_LOCKING_OK.
    """

    NULL = 0
    PLAIN = 1
    OS_LOCKING = 2
    CALLBACKS = 3
    CALLBACKS_OR_OS = 4
    NO_THREADS = 5
    PARTIAL = 6
    RESERVED = 7


class Buffer(IntEnum):
    """An output buffer with its length word (5.2): NULL asks for the length, SHORT is one unit too small."""

    ENOUGH = 0
    NULL = 1
    SHORT = 2


class Mechanism(IntEnum):
    """A mechanism: one that the token lists for the function, or a number that no token knows."""

    LISTED = 0
    UNKNOWN = 1


class Blob(IntEnum):
    """An alleged operation state: the last one saved, one of a keyed operation, or bytes that never were one."""

    SAVED = 0
    KEYED = 1
    GARBAGE = 2


class StateKey(IntEnum):
    """A key given to C_SetOperationState: none, the one the keyed state was saved with, or another one."""

    NONE = 0
    SAME = 1
    DIFFERENT = 2


@dataclass(frozen=True, slots=True)
class Args:
    """The arguments of a call. A function uses the fields that its `uses` names; defaults are the harmless values.

    `session` counts through the state's sessions, one past the last is handle 0; `slot` counts through the slots, one
    past the last is an ID that no slot has. `null` puts NULL where the function needs a pointer that is not a PIN and
    not the buffer of a list. `reserved` gives a pointer where NULL is demanded.
    """

    session: SessionIndex = 0
    slot: SlotIndex = 0
    init: InitArgs = InitArgs.NULL
    user: CKU = CKU.USER
    pin: Pin = Pin.USER
    new_pin: Pin = Pin.OTHER
    rw: bool = True
    serial: bool = True
    token_present: bool = False
    mechanism: Mechanism = Mechanism.LISTED
    buffer: Buffer = Buffer.ENOUGH
    blob: Blob = Blob.SAVED
    encryption_key: StateKey = StateKey.NONE
    authentication_key: StateKey = StateKey.NONE
    null: bool = False
    reserved: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the function's name and its arguments."""

    function: str
    args: Args = Args()


class Ending(Enum):
    """How a call ended. ABSENT: the function list holds no such function."""

    RETURNED = "returned"
    DIED = "died"
    HUNG = "hung"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Observation:
    """What a module did with a call.

    `code` is the value returned, meaningless unless `ending` is RETURNED. `outputs` holds what the call gave out, by
    the names of the function's outputs. `detail` says how a call died. `misuse` lists what the application's mutex
    callbacks saw go wrong.
    """

    code: int = CKR.OK
    outputs: tuple[tuple[str, int], ...] = ()
    ending: Ending = Ending.RETURNED
    detail: str = ""
    misuse: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """A CKR name, a hexadecimal number for an unknown value, `died: …`, `hung` or `absent`."""
        if self.ending is Ending.RETURNED:
            return code_text(self.code)
        return f"{self.ending.value}: {self.detail}" if self.detail else self.ending.value


def code_text(code: int) -> str:
    """The CKR name of a return value, or its hexadecimal number where the standard has no name for it."""
    return _NAMES.get(code) or f"0x{code:08X}"


def is_vendor_defined(code: int) -> bool:
    """Whether the value lies in the range that 5.1 leaves to vendors."""
    return code >= VENDOR_DEFINED


_NAMES = {int(code): str(code) for code in CKR}
_HINTS = get_type_hints(Args, include_extras=True)
_DEFAULTS = Args()


def domain(name: str, s: State) -> tuple[Any, ...]:
    """Every value that an argument can take in a state's scope, the default first."""
    hint = _HINTS[name]
    values: tuple[Any, ...]
    if hint is bool:
        values = (False, True)
    elif isinstance(hint, type) and issubclass(hint, IntEnum):
        values = tuple(hint)
    else:
        values = tuple(range(len({SLOT: s.slots, SESSION: s.sessions}[hint.__metadata__[0]]) + 1))
    first = getattr(_DEFAULTS, name)
    return (first, *(v for v in values if v != first))


def calls(function: str, uses: tuple[str, ...], s: State) -> Iterator[Call]:
    """Every call of a function in a state's scope."""
    for values in product(*(domain(name, s) for name in uses)):
        yield Call(function, Args(**dict(zip(uses, values, strict=True))))


def arguments(call: Call, uses: tuple[str, ...]) -> dict[str, Any]:
    """The arguments that a function uses, as JSON values: enumerations by name."""
    values = {name: getattr(call.args, name) for name in uses}
    return {name: v.name if isinstance(v, IntEnum) else v for name, v in values.items()}


def read_call(function: str, given: Mapping[str, Any]) -> Call:
    """A call from its JSON form.

    Raises:
        ValueError: for an argument that is unknown or has a value outside its type.
    """
    values: dict[str, Any] = {}
    for name, value in given.items():
        hint = _HINTS.get(name)
        if hint is None:
            raise ValueError(f"{function}: no argument is called {name!r}")
        if isinstance(hint, type) and issubclass(hint, IntEnum):
            if not isinstance(value, str) or value not in hint.__members__:
                raise ValueError(f"{function}: {name} is one of {', '.join(hint.__members__)}, not {value!r}")
            values[name] = hint[value]
        elif isinstance(value, bool) is (hint is bool) and isinstance(value, int) and value >= 0:
            values[name] = value
        else:
            raise ValueError(f"{function}: {name} cannot be {value!r}")
    return Call(function, Args(**values))


ARGUMENT_NAMES = tuple(f.name for f in fields(Args))
