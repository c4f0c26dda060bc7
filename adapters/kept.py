"""The outputs that an application keeps for later calls, and what it began."""

from collections.abc import Callable, Container, Set
from dataclasses import dataclass
from typing import Final

from ..model.mechanisms import Role
from ..model.state import Mech, ObjectIndex, SessionIndex

NEVER_SAVED: Final = b"\x5a" * 24
"""Stands for the last saved operation state where none was saved."""

CIPHERTEXT, SIGNATURE, WRAPPED, MESSAGE = "ciphertext", "signature", "wrapped key", "message"
SEALED, CAPSULE = "sealed key", "capsule"
"""The outputs that an application keeps. A message is what became of one: a ciphertext or a signature. A sealed key

comes of authenticated wrapping, a capsule of encapsulation.
"""


@dataclass(frozen=True, slots=True)
class Begun:
    """The last operation of one kind in a session: what it was begun with."""

    mechanism: Mech = Mech.UNKNOWN
    key: ObjectIndex | None = None


class Kept:
    """What an application remembers of the calls it made.

    The last `saved` operation state, and the last `output` of each sort that it was given; empty where there was none.
    What the operations of each session were begun with: the mechanism says which input fits, and stays known when the
    operation has ended. `changed` is told when later calls may be given something else than before.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._changed = changed
        self.saved = NEVER_SAVED
        self.output = dict.fromkeys((CIPHERTEXT, SIGNATURE, WRAPPED, MESSAGE, SEALED, CAPSULE), b"")
        self._parts: dict[SessionIndex, bytes] = {}
        self._begun: dict[SessionIndex, dict[Role, Begun]] = {}
        self._active: dict[tuple[SessionIndex, Role], set[Role]] = {}
        self._saved: dict[Role, Begun] = {}

    def forget(self) -> None:
        """Start anew: nothing was begun, given or saved."""
        if self._begun or self._saved or self.saved != NEVER_SAVED or any(self.output.values()):
            self._changed()
        self.saved = NEVER_SAVED
        self.output = dict.fromkeys(self.output, b"")
        self._parts.clear()
        self._begun.clear()
        self._saved.clear()
        for active in self._active.values():
            active.clear()

    def active(self, session: SessionIndex, role: Role) -> Set[Role]:
        """A set that stays the same one, and is empty while no operation of this kind is active in the session."""
        return self._operations(session, role)

    def sessions_closed(self, still_open: Container[SessionIndex]) -> None:
        """Note the end of sessions: they have no operations."""
        closed = [session for session in self._begun if session not in still_open]
        for session in closed:
            for role in self._begun.pop(session):
                self.end(session, role)
        if closed:
            self._changed()

    def keep(self, which: str, output: bytes) -> None:
        """Keep an output in place of the last one of its sort."""
        if output != self.output[which]:
            self.output[which] = output
            self._changed()

    def begin(self, session: SessionIndex, role: Role, mechanism: Mech, key: ObjectIndex | None) -> None:
        """Note an operation that begins."""
        if mechanism != self.mechanism(session, role):
            self._changed()
        self._begin(session, role, Begun(mechanism, key))
        if role is Role.ENCRYPT:
            self._parts[session] = b""

    def end(self, session: SessionIndex, role: Role) -> None:
        """Note the end of an operation."""
        self._operations(session, role).clear()

    def mechanism(self, session: SessionIndex, role: Role) -> Mech:
        """The mechanism of the last operation of a kind, UNKNOWN where there was none."""
        return self._begun.get(session, {}).get(role, Begun()).mechanism

    def add_part(self, session: SessionIndex, part: bytes) -> bytes:
        """Add to the ciphertext that comes in parts, and return what it is so far."""
        self._parts[session] = self._parts.get(session, b"") + part
        return self._parts[session]

    def save(self, session: SessionIndex, state: bytes) -> None:
        """Keep an operation state, with what the operations in it were begun with."""
        self._changed()
        self.saved = state
        self._saved = {
            role: begun for role, begun in self._begun.get(session, {}).items() if self.active(session, role)
        }

    def restore(self, session: SessionIndex) -> None:
        """Note that a session has the operations of the saved state."""
        self._changed()
        for role in self._begun.pop(session, {}):
            self.end(session, role)
        for role, begun in self._saved.items():
            self._begin(session, role, begun)

    def _begin(self, session: SessionIndex, role: Role, begun: Begun) -> None:
        self._begun.setdefault(session, {})[role] = begun
        self._operations(session, role).add(role)

    def _operations(self, session: SessionIndex, role: Role) -> set[Role]:
        return self._active.setdefault((session, role), set())

    def saved_key(self, *roles: Role) -> ObjectIndex | None:
        """The key of the saved operation of one of these kinds."""
        return next((self._saved[role].key for role in roles if role in self._saved), None)
