"""What the tester may do to a token that it did not make."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from ..model.call import Args, Call
from ..model.chapters.conditions import session_valid, slot_of
from ..model.state import Login, Pin, State
from ..model.vocabulary import CKU

Policy = Callable[[State, Call], bool]
"""Whether a call may be made in a state."""

WRITES_TOKEN = frozenset({"C_InitToken", "C_InitPIN", "C_SetPIN"})
"""Functions that change what a token keeps of itself."""

MAKES_OBJECTS = frozenset(
    {"C_CreateObject", "C_CopyObject", "C_GenerateKey", "C_GenerateKeyPair", "C_UnwrapKey", "C_DeriveKey"}
)
CHANGES_OBJECTS = frozenset({"C_DestroyObject", "C_SetAttributeValue"})


def anything(s: State, call: Call) -> bool:  # noqa: ARG001
    """Every call: for a token of our own."""
    return True


def expendable(s: State, call: Call) -> bool:
    """Every call but those that could lose the SO PIN: a token whose owner gave it up must come back afterwards.

    The SO PIN is never guessed at, so that it cannot lock, and never changed.
    """
    a = call.args
    match call.function:
        case "C_Login":
            return a.pin == Pin.SO if a.user == CKU.SO else a.user != CKU.INVALID
        case "C_InitToken":
            return a.pin == Pin.SO
        case "C_SetPIN":
            return session_valid(s, a) and slot_of(s, a).login != Login.SO
        case _:
            return True


def _right_pin(args: Args, users: frozenset[CKU]) -> bool:
    own = {CKU.SO: Pin.SO, CKU.USER: Pin.USER}
    return args.user in users and args.pin == own[CKU(args.user)]


def _own_session_object(s: State, k: int) -> bool:
    """Whether handle `k` is surely of a session object that we made: a dead handle may name somebody's object anew."""
    return k < len(s.objects) and s.objects[k].known and not s.objects[k].token


def harmless(users: frozenset[CKU]) -> Policy:
    """No call that writes to the token, and no login but with the right PIN of a user whose PIN we were given.

    Objects are made in the session only, and only those are changed or destroyed.
    """

    def allows(s: State, call: Call) -> bool:
        name, a = call.function, call.args
        if name in WRITES_TOKEN or (name in MAKES_OBJECTS and a.token):
            return False
        if name in CHANGES_OBJECTS:
            return _own_session_object(s, a.object)
        return name != "C_Login" or _right_pin(a, users & {CKU.SO, CKU.USER})

    return allows


class Right(Enum):
    """How far a token was given over to the tester."""

    ANYTHING = "anything"
    EXPENDABLE = "expendable"
    HARMLESS = "harmless"


@dataclass(frozen=True, slots=True)
class Rights:
    """What the tester may do, as data; `users` are those whose PIN was given, where nothing may be written."""

    right: Right
    users: frozenset[CKU] = frozenset()

    @property
    def policy(self) -> Policy:
        """The same as a policy."""
        match self.right:
            case Right.ANYTHING:
                return anything
            case Right.EXPENDABLE:
                return expendable
            case Right.HARMLESS:
                return harmless(self.users)
