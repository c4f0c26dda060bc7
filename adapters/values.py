"""Input data of cryptographic calls, and the outputs that an application keeps for later ones."""

from collections.abc import Callable, Container, Mapping, Set
from dataclasses import dataclass
from typing import Final, TypeAlias

from ..model.call import Data
from ..model.mechanisms import Role
from ..model.state import Mech, ObjectIndex, SessionIndex
from .cryptoki import CData, ffi, octets
from .material import MODULUS_BYTES

NEVER_SAVED: Final = b"\x5a" * 24
"""Stands for the last saved operation state where none was saved."""

NULL_LENGTH: Final = 8
"""The length that a NULL pointer is given with."""

PART: Final = bytes(range(32))
BELOW_MODULUS: Final = bytes(range(256))[:MODULUS_BYTES]
"""As long as the modulus of every RSA key here, and a smaller number."""

ABOVE_MODULUS: Final = b"\xff" * MODULUS_BYTES
ODD: Final = PART[:5]
HUGE: Final = bytes(300)
MADE_UP_BLOB: Final = bytes(range(40))
"""As long as AES key wrap makes of a key of 32 bytes."""

_COUNTED: Final = bytes(range(256)) * 2
"""What made-up ciphertexts and signatures begin."""

CIPHERTEXT, SIGNATURE, WRAPPED = "ciphertext", "signature", "wrapped key"
"""The outputs that an application keeps."""

Bytes: TypeAlias = tuple[CData, int]
"""A pointer and a length, as calls take them."""


def plain(mech: Mech) -> bytes:
    """Data of a length that a mechanism takes, to be encrypted, digested or signed."""
    return BELOW_MODULUS if mech.facts.number_input else PART


def sealed(mech: Mech) -> bytes:
    """Made-up ciphertext of a length that a mechanism takes."""
    return PART if mech.facts.symmetric else _COUNTED[: mech.facts.ciphertext or len(PART)]


def signature(mech: Mech) -> bytes:
    """A made-up signature or MAC of the length that a mechanism makes."""
    return _COUNTED[: mech.facts.signature or len(PART)]


def given(data: Data, fitting: bytes, kept: bytes = b"") -> Bytes:
    """Input data as a call takes it, with what fits here and the output that was kept for this use, if any was."""
    if data is Data.NULL:
        return ffi.NULL, NULL_LENGTH
    last = kept or fitting
    content = {
        **_FIXED,
        Data.FITTING: fitting,
        Data.KEPT: last,
        Data.TAMPERED: last[:-1] + bytes((last[-1] ^ 1,)),
        Data.CUT: last[:-1],
    }[data]
    return octets(content), len(content)


_FIXED: Mapping[Data, bytes] = {Data.ODD: ODD, Data.HUGE: HUGE, Data.ABOVE: ABOVE_MODULUS, Data.EMPTY: b""}


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
        self.output = dict.fromkeys((CIPHERTEXT, SIGNATURE, WRAPPED), b"")
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
