"""What an application, its sessions and the tokens remember between calls.

Records are frozen. A field made with `fixed` never changes during a run: it is a fact about the module or the token
that a profile supplies, and a proof treats it as a constant of the scope.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import partial
from operator import index
from typing import Annotated, Any, Final, TypeVar

from .kinds import Kind as Kind
from .mechanisms import MECHANISMS
from .mechanisms import Mech as Mech
from .mechanisms import Role as Role

SLOT: Final = "slot"
SESSION: Final = "session"
OBJECT: Final = "object"
"""Kinds of index: what an `int` field annotated with one of these counts through."""

SlotIndex = Annotated[int, SLOT]
SessionIndex = Annotated[int, SESSION]
ObjectIndex = Annotated[int, OBJECT]

NO_LIMIT = 0
LIMIT_UNKNOWN = -1


def fixed(default: Any) -> Any:
    """A dataclass field that no call changes. It tells no state of a run from another, so it need not be hashed."""
    return field(default=default, hash=False, metadata={"fixed": True})


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


class Trait(IntEnum):
    """The one attribute in which an object differs from the plainest of its kind.

    PLAIN: every usage attribute of the kind is TRUE, CKA_SENSITIVE FALSE, CKA_EXTRACTABLE, CKA_MODIFIABLE,
    CKA_COPYABLE and CKA_DESTROYABLE TRUE. NO_USAGE has every usage attribute FALSE. LIMITED is a key whose
    CKA_ALLOWED_MECHANISMS lists one mechanism, which is none of `Mech`.
    """

    PLAIN = 0
    NO_USAGE = 1
    SENSITIVE = 2
    UNEXTRACTABLE = 3
    UNMODIFIABLE = 4
    UNCOPYABLE = 5
    UNDESTROYABLE = 6
    LIMITED = 7


class Origin(IntEnum):
    """Where a key came from, so that one half of a pair can be told from another.

    IMPORTED: from C_CreateObject, which gives all keys of a kind the same value, generic secrets one of 20 bytes.
    GENERATED: from C_GenerateKeyPair, whose halves take neighbouring numbers, the public one first, or from
    C_GenerateKey. OTHER: all else.
    """

    OTHER = 0
    IMPORTED = 1
    GENERATED = 2


class Phase(IntEnum):
    """How far an operation is (5.8 to 5.11): not active; begun by an Init; fed by an Update at least once.

    ASKED: begun, and a call for the whole at once asked for the length of its output, or had too small a buffer.
    """

    NONE = 0
    READY = 1
    UPDATED = 2
    ASKED = 3


class Search(IntEnum):
    """How far a search is (5.7). FRESH: begun, and no object was made, destroyed, shown or hidden since.

    UNSURE: objects changed meanwhile, or some handles were fetched. DRAINED: all were fetched. BATCH: some were by a
    call that had room for all.
    """

    NONE = 0
    FRESH = 1
    UNSURE = 2
    DRAINED = 3
    BATCH = 4


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of one kind in a session: how far it is, and the mechanism and the key it was begun with."""

    phase: Phase = Phase.NONE
    mechanism: Mech = Mech.UNKNOWN
    key: ObjectIndex = 0


class Judged(IntEnum):
    """What is known of the signature that a verification was begun with (v3.2: 5.15), of the usual data.

    RIGHT: the key's other half made it. TAMPERED and CUT: such a one was changed. DOUBTFUL: anything else.
    """

    DOUBTFUL = 0
    RIGHT = 1
    TAMPERED = 2
    CUT = 3


class Messages(IntEnum):
    """What a message-based process does to each of its messages (v3.0: 5.9, 5.11, 5.14, 5.16); NONE: there is none."""

    NONE = 0
    ENCRYPT = 1
    DECRYPT = 2
    SIGN = 3
    VERIFY = 4


@dataclass(frozen=True, slots=True)
class Process:
    """The message-based process of a session (v3.0), with the mechanism and the key it was begun with.

    `parted` says that a message is under way in parts: its Begin was called, and its end not yet.
    """

    kind: Messages = Messages.NONE
    parted: bool = False
    mechanism: Mech = Mech.UNKNOWN
    key: ObjectIndex = 0


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations of a session, one of each kind at most, and one message-based process at most.

    `judged` tells of the signature that `verify_signature` was begun with, while that is active. The standard lets
    processes of several kinds be; no call is made that begins one beside another.
    """

    encrypt: Operation = Operation()
    decrypt: Operation = Operation()
    digest: Operation = Operation()
    sign: Operation = Operation()
    sign_recover: Operation = Operation()
    verify: Operation = Operation()
    verify_recover: Operation = Operation()
    search: Search = Search.NONE
    process: Process = Process()
    verify_signature: Operation = Operation()
    judged: Judged = Judged.DOUBTFUL


@dataclass(frozen=True, slots=True)
class Object:
    """An object that calls can name, once it `exists`.

    `known` says that the application holds a valid handle on it. A session object dies with session `owner`; of a
    token object `owner` says nothing. `labelled` says that its CKA_LABEL was changed since it was made.
    """

    exists: bool = False
    known: bool = False
    kind: Kind = Kind.DATA
    slot: SlotIndex = 0
    token: bool = False
    owner: SessionIndex = 0
    private: bool = False
    trait: Trait = Trait.PLAIN
    labelled: bool = False
    origin: Origin = Origin.OTHER


@dataclass(frozen=True, slots=True)
class Kept:
    """An output that the application kept for a later call: which mechanism and key made it, if any did.

    For a wrapped key `key` is the wrapping key, and `kind` what was wrapped.
    """

    valid: bool = False
    mechanism: Mech = Mech.UNKNOWN
    key: ObjectIndex = 0
    kind: Kind = Kind.DATA


@dataclass(frozen=True, slots=True)
class Trouble:
    """What befalls a token from outside the application, and has yet to show in a call (model/environment.py).

    `failing`, `full` and `leaving` wait for the next call that uses the token: the device fails in it, has no memory
    for it, or is removed while it runs. `closing` says that another thread closes the session of the next call while
    that runs. `gone` says that a token was removed, and none put in since; `user_locked` that the user's PIN is locked.
    `stopped` says that the device, or the service behind it, does not answer; what it comes back with nobody knows.
    `forked` says that the application is the child of a process that had initialised the library, and has yet to do so.
    """

    failing: bool = False
    full: bool = False
    leaving: bool = False
    closing: bool = False
    gone: bool = False
    user_locked: bool = False
    stopped: bool = False
    forked: bool = False


NO_TROUBLE = Trouble()


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot and the token in it.

    `user_pin` is `Pin.NULL` while the normal user's PIN is not set. `so_failed` and `user_failed` say that a wrong
    PIN was given since the last right one, so that the token may count, and may have locked the PIN.
    Limits count sessions: NO_LIMIT for none, LIMIT_UNKNOWN where the token does not tell. `shared` says that other
    applications may use the token meanwhile; `protected_path` that a NULL PIN makes the token ask for one itself.
    `has_mechanisms` says that its list of mechanisms is not empty; `mechanisms` are those of `Mech` in it, and
    `abilities` says what the token offers each of them for (CK_MECHANISM_INFO). `others` are those without a record, by
    number, with what the token offers each for.
    `login_required` is its CKF_LOGIN_REQUIRED, `rng` its CKF_RNG, `dual` its CKF_DUAL_CRYPTO_OPERATIONS;
    `empty_pin_legal` says that its ulMinPinLen is 0, `pins_fit` that by its limits the PINs of `Pin`, which are made
    for one token, are as long as their names say. `so_pin_to_be_changed` and `user_pin_to_be_changed` say that the
    PIN may be flagged so: as it was at first, and after somebody else than its user set it.
    """

    present: bool = fixed(True)
    recognized: bool = fixed(True)
    write_protected: bool = fixed(False)
    shared: bool = fixed(False)
    protected_path: bool = fixed(False)
    login_required: bool = fixed(True)
    empty_pin_legal: bool = fixed(False)
    pins_fit: bool = fixed(True)
    rng: bool = fixed(True)
    dual: bool = fixed(False)
    has_mechanisms: bool = fixed(True)
    mechanisms: tuple[Mech, ...] = fixed(tuple(MECHANISMS))
    abilities: tuple[tuple[Mech, Role], ...] = fixed(tuple((m, role) for m in MECHANISMS for role in m.facts.roles))
    others: tuple[tuple[int, tuple[Role, ...]], ...] = fixed(())
    session_limit: int = fixed(NO_LIMIT)
    rw_session_limit: int = fixed(NO_LIMIT)
    trouble: Trouble = fixed(NO_TROUBLE)  # noqa: RUF009 (a frozen record)
    initialized: bool = True
    so_pin: Pin = Pin.SO
    user_pin: Pin = Pin.USER
    so_failed: bool = False
    user_failed: bool = False
    so_pin_to_be_changed: bool = False
    user_pin_to_be_changed: bool = False
    login: Login = Login.NOBODY


@dataclass(frozen=True, slots=True)
class Exposed(Slot):
    """A slot that something may befall: what is a fact of others may change here.

    Only such a slot has these parts in its state, so that nothing is larger where no event can happen.
    """

    present: bool = True
    recognized: bool = True
    write_protected: bool = False
    trouble: Trouble = NO_TROUBLE


@dataclass(frozen=True, slots=True)
class Session:
    """A session handle that the application has had, or may yet have; `open` while it is valid.

    `notify` says that it was opened with a callback that cancels what it can (CKN_SURRENDER, 5.16).
    """

    open: bool = False
    slot: SlotIndex = 0
    rw: bool = False
    operations: Operations = Operations()
    notify: bool = False


@dataclass(frozen=True, slots=True)
class Saved:
    """What the last C_GetOperationState gave: the operations, the token, and the session state it was taken in.

    `carried` says that somebody logged in or out since, or that the library was finalised.
    """

    valid: bool = False
    slot: SlotIndex = 0
    rw: bool = False
    login: Login = Login.NOBODY
    operations: Operations = Operations()
    carried: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """Everything the model knows.

    `saved`, `ciphertext`, `signature`, `wrapped`, `message`, `sealed` and `capsule` are outputs that were kept:
    `message` is what became of a message, a ciphertext or a signature, `sealed` a key in authenticated wrapping, and
    `capsule` what C_EncapsulateKey gave.
    """

    initialized: bool = False
    slots: tuple[Slot, ...] = (Slot(),)
    sessions: tuple[Session, ...] = (Session(),) * 3
    objects: tuple[Object, ...] = ()
    saved: Saved = Saved()
    ciphertext: Kept = Kept()
    signature: Kept = Kept()
    wrapped: Kept = Kept()
    message: Kept = Kept()
    sealed: Kept = Kept()
    capsule: Kept = Kept()


_Item = TypeVar("_Item")


def carry_saved(s: State) -> State:
    """`s` with the saved operation state carried across a login, a logout or the end of the library."""
    return replace(s, saved=replace(s.saved, carried=s.saved.valid))


def _put(items: tuple[_Item, ...], i: int, new: _Item) -> tuple[_Item, ...]:
    k = index(i)
    if k >= len(items):
        raise IndexError(f"there are {len(items)}, and no number {k}")
    return (*items[:k], new, *items[k + 1 :])


def put_session(s: State, i: int, new: Session) -> State:
    """`s` with session `i` replaced."""
    return replace(s, sessions=_put(s.sessions, i, new))


def put_slot(s: State, i: int, new: Slot) -> State:
    """`s` with slot `i` replaced."""
    return replace(s, slots=_put(s.slots, i, new))


EACH: ContextVar[Callable[[Callable[[Any], Any], Any], Any]] = ContextVar("EACH", default=lambda change, x: change(x))
"""How a change is made to each of several records; a proof follows it for each alone, so that ways do not multiply."""


def map_sessions(s: State, change: Callable[[Session], Session]) -> State:
    """`s` with every session changed alike."""
    return replace(s, sessions=tuple(map(partial(EACH.get(), change), s.sessions)))


def put_object(s: State, i: int, new: Object) -> State:
    """`s` with object `i` replaced."""
    return replace(s, objects=_put(s.objects, i, new))


def map_objects(s: State, change: Callable[[Object], Object]) -> State:
    """`s` with every object changed alike."""
    return replace(s, objects=tuple(map(partial(EACH.get(), change), s.objects)))
