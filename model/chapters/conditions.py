"""The facts that rules speak of, each written once.

A condition says what is so (`session_invalid`), never what is done about it. Those of this file serve several
chapters; what only one chapter needs stands there.
"""

from functools import cache, reduce
from operator import or_

from ..attributes import NOT_KEYS, PAIRS
from ..call import Args, Buffer
from ..mechanisms import MECHANISMS, NOT_FOLLOWED, NOUNS, Role, with_role
from ..rule import Condition, named
from ..state import Kind, Login, Mech, Object, Origin, Pin, Session, Slot, State, Trait
from ..vocabulary import CKS


def one_of(value: int, values: tuple[int, ...]) -> bool:
    """Whether a value is among some: `in` for a tuple that has a name, in a form that lifts."""
    if isinstance(value, int):
        return value in values
    # What stands for a value knows at once whether it is among many, where comparing them would ask for each.
    among: bool = value.among(values)
    return among


# Sessions and tokens.


def slot_of(s: State, a: Args) -> Slot:
    """The slot whose token the call's session is with; the session is open."""
    return s.slots[s.sessions[a.session].slot]


def session_state(s: State, session: Session) -> CKS:
    """The state of an open session: what it may do follows from its kind and the login of its token (5.6).

    A read-only session beside a logged-in SO, which only the usage guide knows, is public (A-05).
    """
    login = s.slots[session.slot].login
    if session.rw:
        if login == Login.SO:
            return CKS.RW_SO_FUNCTIONS
        return CKS.RW_USER_FUNCTIONS if login == Login.USER else CKS.RW_PUBLIC_SESSION
    return CKS.RO_USER_FUNCTIONS if login == Login.USER else CKS.RO_PUBLIC_SESSION


# Output buffers.


def large_enough(a: Args) -> bool:
    """The buffer is as large as a query says, or larger: 5.2 promises that so much is enough."""
    return a.buffer == Buffer.ENOUGH or a.buffer == Buffer.EXACT


def length_asked_first(a: Args) -> bool:
    """The call asks for the length of its output itself, before it gives a buffer of that length or one unit less."""
    return a.buffer == Buffer.SHORT or a.buffer == Buffer.EXACT


# Keys that only some mechanisms may use.


def mechanism_not_allowed(s: State, a: Args) -> bool:
    """The key's list of the mechanisms that may be used with it leaves this one out, as it does every one of `Mech`."""
    return key_valid(s, a) and s.objects[a.key].trait == Trait.LIMITED and a.mechanism != Mech.OTHER


# The library.


def not_initialized(s: State, a: Args) -> bool:
    return not s.initialized


def pointer_null(s: State, a: Args) -> bool:
    return a.null


def reserved_given(s: State, a: Args) -> bool:
    return a.reserved


# Session handles.


def session_invalid(s: State, a: Args) -> bool:
    return a.session >= len(s.sessions) or not s.sessions[a.session].open


def session_valid(s: State, a: Args) -> bool:
    return a.session < len(s.sessions) and s.sessions[a.session].open


# Slots and the tokens in them.


def slot_known(s: State, a: Args) -> bool:
    return a.slot < len(s.slots)


def slot_id_invalid(s: State, a: Args) -> bool:
    return a.slot >= len(s.slots)


def token_absent(s: State, a: Args) -> bool:
    return s.initialized and slot_known(s, a) and not s.slots[a.slot].present


def token_absent_before_initialize(s: State, a: Args) -> bool:
    return not s.initialized and slot_known(s, a) and not s.slots[a.slot].present


def token_there(s: State, a: Args) -> bool:
    return slot_known(s, a) and s.slots[a.slot].present and s.slots[a.slot].recognized


def token_of_session_uninitialized(s: State, a: Args) -> bool:
    return session_valid(s, a) and not slot_of(s, a).initialized


def token_of_slot_uninitialized(s: State, a: Args) -> bool:
    return token_there(s, a) and not s.slots[a.slot].initialized


def slot_perhaps_unlisted(s: State, a: Args) -> bool:
    """No session shows that C_GetSlotList was asked for the slots, and the ID known, since C_Initialize."""
    return slot_known(s, a) and not any(x.open for x in s.sessions)


def token_unrecognized(s: State, a: Args) -> bool:
    return slot_known(s, a) and s.slots[a.slot].present and not s.slots[a.slot].recognized


# Who is there.


def user_required_but_absent(s: State, a: Args) -> bool:
    return session_valid(s, a) and slot_of(s, a).login_required and slot_of(s, a).login != Login.USER


def pin_to_be_changed(s: State, a: Args) -> bool:
    """Whoever is logged in has a PIN that may be flagged so."""
    if not session_valid(s, a):
        return False
    slot = slot_of(s, a)
    if slot.login == Login.SO:
        return slot.so_pin_to_be_changed
    return slot.login == Login.USER and slot.user_pin_to_be_changed


def callback_may_cancel(s: State, a: Args) -> bool:
    return session_valid(s, a) and s.sessions[a.session].notify


# Mechanisms.


def mechanism_invalid(s: State, a: Args) -> bool:
    return a.mechanism == Mech.UNKNOWN


def mechanism_unlisted(s: State, a: Args) -> bool:
    """The mechanism is known, and not of this token."""
    if not session_valid(s, a) or a.mechanism == Mech.UNKNOWN:
        return False
    return not one_of(a.mechanism, slot_of(s, a).mechanisms)


def _offered(s: State, a: Args, role: Role) -> bool:
    """Whether the token flags the mechanism for the role."""
    return one_of(a.mechanism, tuple(mech for mech, r in slot_of(s, a).abilities if r == role))


@cache
def mechanism_foreign(role: Role) -> Condition:
    """The mechanism is for other roles only."""
    own = {*with_role(role), *NOT_FOLLOWED.get(role, ())}
    foreign = tuple(mech for mech in MECHANISMS if mech not in own)
    return named(
        f"mechanism not for {NOUNS[role]}",
        lambda s, a: session_valid(s, a) and one_of(a.mechanism, foreign) and not _offered(s, a, role),
    )


@cache
def mechanism_unoffered(role: Role) -> Condition:
    """The mechanism is for the role, and of this token, which does not flag it for the role."""
    own = (*with_role(role), *NOT_FOLLOWED.get(role, ()))

    def holds(s: State, a: Args) -> bool:
        if not session_valid(s, a) or not one_of(a.mechanism, own):
            return False
        return one_of(a.mechanism, slot_of(s, a).mechanisms) and not _offered(s, a, role)

    return named(f"mechanism not offered for {NOUNS[role]}", holds)


# Objects and keys.


def object_reachable(s: State, session: int, k: int) -> bool:
    """Whether handle `k` is valid in an open session: the object is there, its handle is known, its token the same.

    A handle on a private object may outlive the user's sessions, and is not valid until the user is back (A-59).
    """
    if k >= len(s.objects):
        return False
    x, slot = s.objects[k], s.sessions[session].slot
    return x.exists and x.known and x.slot == slot and (not x.private or s.slots[slot].login == Login.USER)


def key_valid(s: State, a: Args) -> bool:
    if not (session_valid(s, a) and object_reachable(s, a.session, a.key)):
        return False
    return not one_of(s.objects[a.key].kind, NOT_KEYS)


def short_secret(x: Object) -> bool:
    """An imported generic secret: it has 20 bytes, fewer than a hash that it may serve, and no multiple of a block."""
    return x.kind == Kind.GENERIC_SECRET and x.origin == Origin.IMPORTED


def key_short(s: State, a: Args) -> bool:
    return key_valid(s, a) and short_secret(s.objects[a.key])


def key_not_short(s: State, a: Args) -> bool:
    return key_valid(s, a) and not short_secret(s.objects[a.key])


def key_invalid(s: State, a: Args) -> bool:
    return session_valid(s, a) and not key_valid(s, a)


def key_hidden(s: State, a: Args) -> bool:
    """The handle was of a private key, and the user is not logged in."""
    if not session_valid(s, a) or a.key >= len(s.objects):
        return False
    return s.objects[a.key].private and slot_of(s, a).login != Login.USER


def key_of_another_token(s: State, a: Args) -> bool:
    """Tokens number their objects each for itself (3.4), so the handle may be valid here, and name anything."""
    if not session_valid(s, a) or a.key >= len(s.objects):
        return False
    return s.objects[a.key].exists and s.objects[a.key].slot != s.sessions[a.session].slot


def halves(s: State, public: int, private: int) -> bool:
    """Whether two numbers are those of the halves of one key pair.

    Joined without asking for each part, so that a proof has one question of it and no tree of them.
    """
    return reduce(
        or_,
        (
            (public == j) & (private == k) & _paired(x, y, k - j)
            for j, x in enumerate(s.objects)
            for k, y in enumerate(s.objects)
            if j != k
        ),
        False,
    )


def _paired(x: Object, y: Object, apart: int) -> bool:
    kinds = reduce(or_, ((x.kind == public) & (y.kind == private) for public, private in PAIRS))
    imported = (x.origin == Origin.IMPORTED) & (y.origin == Origin.IMPORTED)
    generated = (x.origin == Origin.GENERATED) & (y.origin == Origin.GENERATED)
    return kinds & (imported | generated) if apart == 1 else kinds & imported


# PINs.


def illegal_length(pin: Pin) -> bool:
    """Whether a PIN is outside the lengths that the token's information gives."""
    return pin == Pin.SHORT or pin == Pin.LONG


def pin_null(s: State, a: Args) -> bool:
    return a.pin == Pin.NULL


def new_pin_null(s: State, a: Args) -> bool:
    return a.new_pin == Pin.NULL


def pins_for_another_token(s: State, a: Args) -> bool:
    """The token of the call's session has other limits of length than the one that the PINs were made for."""
    return session_valid(s, a) and not slot_of(s, a).pins_fit


def token_asks_for_pin(s: State, a: Args) -> bool:
    """A NULL PIN makes a token with a protected authentication path wait for somebody at its keys."""
    null = a.pin == Pin.NULL or a.new_pin == Pin.NULL
    return null and any(x.protected_path for x in s.slots)
