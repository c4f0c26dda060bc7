"""What holds in every state that a module can get into, if it returns only codes that the standard permits."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

from ..model.conditions import session_state
from ..model.state import Login, Operations, Phase, Pin, Search, State
from ..model.vocabulary import CKS

LOGIN_SHOWN = {
    CKS.RO_PUBLIC_SESSION: Login.NOBODY,
    CKS.RW_PUBLIC_SESSION: Login.NOBODY,
    CKS.RO_USER_FUNCTIONS: Login.USER,
    CKS.RW_USER_FUNCTIONS: Login.USER,
    CKS.RW_SO_FUNCTIONS: Login.SO,
}
"""Who is logged in, as the state of a session shows it (5.6)."""


@dataclass(frozen=True, slots=True)
class Invariant:
    """A property of every reachable state, and the section of v2.40 that it follows from.

    `given` names the invariants that its proof by induction rests on.
    """

    predicate: Callable[[State], bool]
    section: str
    given: tuple[Callable[[State], bool], ...] = ()

    @property
    def name(self) -> str:
        """The name of the predicate."""
        return self.predicate.__name__

    @property
    def sentence(self) -> str:
        """What the predicate says, in words: its docstring."""
        return self.predicate.__doc__ or self.name.replace("_", " ")


def no_read_only_session_beside_so(s: State) -> bool:
    """While the SO is logged in to a token, no read-only session with it is open."""
    return not any(x.open and not x.rw and s.slots[x.slot].login == Login.SO for x in s.sessions)


def login_needs_a_session(s: State) -> bool:
    """Nobody is logged in to a token with which no session is open."""
    return all(
        slot.login == Login.NOBODY or any(x.open and x.slot == k for x in s.sessions) for k, slot in enumerate(s.slots)
    )


def sessions_of_a_token_agree(s: State) -> bool:
    """The states of all open sessions with a token show the same login."""
    return all(
        LOGIN_SHOWN[session_state(s, x)] == LOGIN_SHOWN[session_state(s, y)]
        for x, y in combinations(s.sessions, 2)
        if x.open and y.open and x.slot == y.slot
    )


def _active(o: Operations) -> bool:
    kinds = (o.encrypt, o.decrypt, o.digest, o.sign, o.sign_recover, o.verify, o.verify_recover)
    return o.search != Search.NONE or any(x.phase != Phase.NONE for x in kinds)


def operations_need_a_session(s: State) -> bool:
    """An operation is active in open sessions only."""
    return all(x.open or not _active(x.operations) for x in s.sessions)


def nothing_outlives_the_library(s: State) -> bool:
    """While the library is not initialised, no session is open and nobody is logged in."""
    return s.initialized or not (any(x.open for x in s.sessions) or any(x.login != Login.NOBODY for x in s.slots))


def so_pin_is_set(s: State) -> bool:
    """A token always has an SO PIN."""
    return all(x.so_pin != Pin.NULL for x in s.slots)


def user_logs_in_with_a_pin(s: State) -> bool:
    """The normal user is not logged in to a token while the user PIN is not set."""
    return not any(x.login == Login.USER and x.user_pin == Pin.NULL for x in s.slots)


CATALOGUE = (
    Invariant(no_read_only_session_beside_so, "5.6"),
    Invariant(login_needs_a_session, "5.6"),
    Invariant(sessions_of_a_token_agree, "5.6", given=(no_read_only_session_beside_so,)),
    Invariant(operations_need_a_session, "5.6"),
    Invariant(nothing_outlives_the_library, "5.4"),
    Invariant(so_pin_is_set, "5.5"),
    Invariant(user_logs_in_with_a_pin, "5.6", given=(login_needs_a_session,)),
)
"""Every invariant, each after those that its proof rests on.

v2.01 lists no code against a NULL new PIN, so a token that takes one may end without a PIN.
"""
