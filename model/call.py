"""Abstract calls and what was observed of them, with their text form for traces.

A call names model objects, never numbers of a real module: session 2, the wrong PIN, a buffer one byte short. An
adapter makes it concrete and abstracts the result.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum, IntEnum, StrEnum
from itertools import combinations, product
from typing import Any, get_type_hints

from .state import (
    OBJECT,
    SESSION,
    SLOT,
    Kind,
    Mech,
    ObjectIndex,
    Pin,
    SessionIndex,
    SlotIndex,
    State,
    Trait,
)
from .vocabulary import CKR, CKU


class InitArgs(IntEnum):
    """The pInitArgs of C_Initialize (5.4): which callbacks and flags of CK_C_INITIALIZE_ARGS are given.

    CALLBACKS gives all four mutex callbacks, FAILING four of which none locks, PARTIAL only two; RESERVED has a
    non-NULL pReserved that the module did not ask for; NO_THREADS sets CKF_LIBRARY_CANT_CREATE_OS_THREADS and
    CKF_OS_LOCKING_OK.
    """

    NULL = 0
    PLAIN = 1
    OS_LOCKING = 2
    CALLBACKS = 3
    CALLBACKS_OR_OS = 4
    NO_THREADS = 5
    PARTIAL = 6
    RESERVED = 7
    FAILING = 8


class Buffer(IntEnum):
    """An output buffer with its length word (5.2): NULL asks for the length, SHORT is one unit too small.

    EXACT is as long as a query for the length says, which is made just before; SHORT is one unit less than that.
    """

    ENOUGH = 0
    NULL = 1
    SHORT = 2
    EXACT = 3


class Blob(IntEnum):
    """An alleged operation state: the last one saved, or bytes that never were one."""

    SAVED = 0
    GARBAGE = 1


class StateKey(IntEnum):
    """A key given to C_SetOperationState: none, the one the operation was saved with, or a handle of no object."""

    NONE = 0
    SAME = 1
    DIFFERENT = 2


class Parameter(IntEnum):
    """The parameter of a mechanism: what it wants, one of a wrong length, or one of the right length without sense.

    IMPOSSIBLE names a hash or a point that does not exist; for mechanisms that want no such thing it is WRONG again.
    """

    RIGHT = 0
    WRONG = 1
    IMPOSSIBLE = 2


class Data(IntEnum):
    """Input of a cryptographic call.

    FITTING has a length that the mechanism takes (for AES 32 bytes, for RSA and ECDSA 32; for RSA_X_509 as long as
    the modulus and below it). KEPT is the output kept from an earlier call, TAMPERED the same with a bit flipped,
    CUT the same less its last byte; where none is kept they are made up. ODD has a length that no block mode takes
    (5 bytes), HUGE one that no RSA mechanism takes (longer than the modulus). ABOVE is as long as the modulus and
    above it. EMPTY has length 0. NULL is the NULL pointer with length 8.
    """

    FITTING = 0
    KEPT = 1
    TAMPERED = 2
    CUT = 3
    ODD = 4
    HUGE = 5
    ABOVE = 6
    EMPTY = 7
    NULL = 8


class Flaw(IntEnum):
    """The one thing wrong with a template (4.1.1).

    UNKNOWN_TYPE: an attribute type that no one defines. BAD_VALUE: a value illegal for its attribute (a CK_BBOOL of
    two bytes). READ_ONLY: an attribute that the application may not set (CKA_LOCAL). MISSING: without an attribute
    that must be there (CKA_CLASS). INCONSISTENT: values that cannot hold together (key type against mechanism or
    class). FOREIGN: an attribute of another class (CKA_MODULUS on a secret key). TWICE: an attribute twice with one
    value. TWO_VALUES: an attribute twice with two values. NULL: the NULL pointer with a count of 1. EMPTY: count 0.
    UNIQUE_ID: CKA_UNIQUE_ID, which only the token sets (v3.0). VALUE_LEN: CKA_VALUE_LEN beside a key that comes with
    another length.
    """

    NONE = 0
    UNKNOWN_TYPE = 1
    BAD_VALUE = 2
    READ_ONLY = 3
    MISSING = 4
    INCONSISTENT = 5
    FOREIGN = 6
    TWICE = 7
    TWO_VALUES = 8
    NULL = 9
    EMPTY = 10
    UNIQUE_ID = 11
    VALUE_LEN = 12


class Attribute(IntEnum):
    """Attributes that C_GetAttributeValue and C_SetAttributeValue name. Facts about them: model/attributes.py.

    VALUE stands for what a kind keeps secret or shows: CKA_VALUE, for an RSA private key CKA_PRIVATE_EXPONENT.
    UNKNOWN is a type that no one defines; FOREIGN is one of another class. SEVERAL asks for CLASS, UNKNOWN and LABEL
    in one template, and sets LABEL and UNKNOWN by one.
    """

    LABEL = 0
    CLASS = 1
    TOKEN = 2
    PRIVATE = 3
    VALUE = 4
    SENSITIVE = 5
    EXTRACTABLE = 6
    MODIFIABLE = 7
    LOCAL = 8
    FOREIGN = 9
    UNKNOWN = 10
    SEVERAL = 11
    UNIQUE_ID = 12


class Setting(IntEnum):
    """The value that C_SetAttributeValue or a copy gives an attribute: a legal one, or one of a wrong length.

    BACK is the value from which an attribute changes that changes in one direction only.
    """

    LEGAL = 0
    ILLEGAL = 1
    BACK = 2


class Want(IntEnum):
    """What a search asks for: all objects, those with a label that none has, an unknown type, or a NULL template."""

    ALL = 0
    NOTHING = 1
    UNKNOWN_TYPE = 2
    NULL = 3


class Many(IntEnum):
    """ulMaxObjectCount of C_FindObjects."""

    PLENTY = 0
    ONE = 1
    ZERO = 2


class Cancel(IntEnum):
    """The flags of C_SessionCancel: none, one for each kind of operation, all of them, or one that no one defines."""

    NOTHING = 0
    ENCRYPT = 1
    DECRYPT = 2
    DIGEST = 3
    SIGN = 4
    SIGN_RECOVER = 5
    VERIFY = 6
    VERIFY_RECOVER = 7
    FIND_OBJECTS = 8
    MESSAGE_ENCRYPT = 9
    MESSAGE_DECRYPT = 10
    MESSAGE_SIGN = 11
    MESSAGE_VERIFY = 12
    EVERYTHING = 13
    UNKNOWN = 14


class Interface(IntEnum):
    """What C_GetInterface asks for: the interface in use, by name and version, or another way.

    ANY has no name and no version, STANDARD the name alone. The others have one thing that no interface has: a name, a
    version, or a flag.
    """

    OWN = 0
    ANY = 1
    STANDARD = 2
    UNKNOWN_NAME = 3
    UNKNOWN_VERSION = 4
    UNKNOWN_FLAG = 5


class Awaited(IntEnum):
    """The function whose asynchronous call is asked about, by its name: C_Sign, or one that no version has."""

    SIGN = 0
    UNKNOWN = 1


class Validation(IntEnum):
    """The type of flags that C_GetSessionValidationFlags is asked for: the one that there is, or another."""

    LAST = 0
    UNKNOWN = 1


@dataclass(frozen=True, slots=True)
class Args:
    """The arguments of a call. A function uses the fields that its `uses` names; defaults are the harmless values.

    `session` counts through the state's sessions, one past the last is handle 0; `slot` counts through the slots, one
    past the last is an ID that no slot has. `object`, `key` and `other_key` count through the objects, one
    past the last is handle 0; an index of no object, or of one that is gone, is a handle that is not valid. `null`
    puts NULL where the function needs a pointer that is not a PIN, not the buffer of a list or an output, not a
    template and not input data. `reserved` gives a pointer where NULL is demanded. `named` gives C_LoginUser the name
    of a user that no token has. `last` says that a part of a message is its last (`CKF_END_OF_MESSAGE`, or a pointer
    for the signature or to it). No asynchronous call is ever made, so that `awaited` names one that is not pending.
    `number` is the CK_MECHANISM_TYPE of a mechanism without a record (`Mech.OTHER`).
    """

    session: SessionIndex = 0
    slot: SlotIndex = 0
    init: InitArgs = InitArgs.NULL
    user: CKU = CKU.USER
    pin: Pin = Pin.USER
    new_pin: Pin = Pin.OTHER
    rw: bool = True
    serial: bool = True
    notify: bool = False
    token_present: bool = False
    mechanism: Mech = Mech.SHA256
    parameter: Parameter = Parameter.RIGHT
    buffer: Buffer = Buffer.ENOUGH
    blob: Blob = Blob.SAVED
    object: ObjectIndex = 0
    key: ObjectIndex = 0
    other_key: ObjectIndex = 0
    encryption_key: StateKey = StateKey.NONE
    authentication_key: StateKey = StateKey.NONE
    kind: Kind = Kind.AES
    token: bool = False
    private: bool = False
    trait: Trait = Trait.PLAIN
    flaw: Flaw = Flaw.NONE
    attribute: Attribute = Attribute.LABEL
    setting: Setting = Setting.LEGAL
    want: Want = Want.ALL
    many: Many = Many.PLENTY
    data: Data = Data.FITTING
    signature: Data = Data.KEPT
    null: bool = False
    reserved: bool = False
    cancel: Cancel = Cancel.NOTHING
    interface: Interface = Interface.OWN
    named: bool = False
    last: bool = True
    awaited: Awaited = Awaited.SIGN
    validation: Validation = Validation.LAST
    number: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the function's name and its arguments."""

    function: str
    args: Args = Args()


def altered(call: Call, **arguments: Any) -> Call:
    """The call with other values of some arguments."""
    return replace(call, args=replace(call.args, **arguments))


class Ending(Enum):
    """How a call ended. ABSENT: the function list holds no such function."""

    RETURNED = "returned"
    DIED = "died"
    HUNG = "hung"
    ABSENT = "absent"


class Misuse(StrEnum):
    """What a module did wrong with an output buffer (5.2)."""

    OVERRUN = "it wrote past the end of the buffer that it was given"
    MORE_THAN_ROOM = "it tells of more output than there was room for"
    UNWRITTEN = "it tells of more output than it wrote"


@dataclass(frozen=True, slots=True)
class Observation:
    """What a module did with a call.

    `code` is the value returned, meaningless unless `ending` is RETURNED. `outputs` holds what the call gave out, by
    the names of the function's outputs. `detail` says how a call died. `misuse` lists what was seen to go wrong
    with the application's mutex callbacks, and with its output buffers (`Misuse`). `printed` is what a module that is
    gone printed last on its standard error, in a line.
    """

    code: int = CKR.OK
    outputs: tuple[tuple[str, int], ...] = ()
    ending: Ending = Ending.RETURNED
    detail: str = ""
    misuse: tuple[str, ...] = ()
    printed: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        """A CKR name, a hexadecimal number for an unknown value, `died: …`, `hung` or `absent`."""
        if self.ending is Ending.RETURNED:
            return code_text(self.code)
        return f"{self.ending.value}: {self.detail}" if self.detail else self.ending.value


def code_text(code: int) -> str:
    """The CKR name of a return value, or its hexadecimal number where the standard has no name for it."""
    return _NAMES.get(code) or f"0x{code:08X}"


def is_unnamed(code: int) -> bool:
    """Whether the standard has no name for a return value, those of CKR_VENDOR_DEFINED among them."""
    return code not in _NAMES


def effective(code: int) -> int:
    """The code whose effects a return value has: one that the standard does not name may do what any error may."""
    return int(CKR.FUNCTION_FAILED) if is_unnamed(code) else code


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
    elif hint is int:
        # The numbers of mechanisms without a record are the token's to say.
        values = (0,)
    else:
        values = tuple(range(len({SLOT: s.slots, SESSION: s.sessions, OBJECT: s.objects}[hint.__metadata__[0]]) + 1))
    first = getattr(_DEFAULTS, name)
    return (first, *(v for v in values if v != first))


def combine(domains: Mapping[str, tuple[Any, ...]], deviations: int) -> Iterator[Args]:
    """The arguments in which at most so many fields differ from the first value of their domain, plainest first."""
    plain = {name: values[0] for name, values in domains.items()}
    for size in range(min(deviations, len(domains)) + 1):
        for names in combinations(domains, size):
            for values in product(*(domains[name][1:] for name in names)):
                yield Args(**{**plain, **dict(zip(names, values, strict=True))})


def arguments(call: Call, uses: tuple[str, ...]) -> dict[str, Any]:
    """The arguments that a function uses, as JSON values: enumerations by name."""
    other = ("number",) if "mechanism" in uses and call.args.mechanism == Mech.OTHER else ()
    values = {name: getattr(call.args, name) for name in (*uses, *other)}
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
