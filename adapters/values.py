"""Input data of cryptographic calls, and the outputs that an application keeps for later ones."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from ..model.call import Data
from ..model.mechanisms import MECHANISMS, Role
from ..model.state import Kind, Mech, ObjectIndex, SessionIndex
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

ECDSA_SIGNATURE: Final = bytes(range(64))

Bytes: TypeAlias = tuple[CData, int]
"""A pointer and a length, as calls take them."""


def plain(mech: Mech) -> bytes:
    """Data of a length that a mechanism takes, to be encrypted, digested or signed."""
    return BELOW_MODULUS if mech == Mech.RSA_X_509 else PART


def sealed(mech: Mech) -> bytes:
    """Made-up ciphertext of a length that a mechanism takes."""
    return BELOW_MODULUS if _of_rsa(mech) else PART


def signature(mech: Mech) -> bytes:
    """A made-up signature or MAC of the length that a mechanism makes."""
    return ECDSA_SIGNATURE if mech == Mech.ECDSA else sealed(mech)


def _of_rsa(mech: Mech) -> bool:
    return mech in MECHANISMS and Kind.RSA_PRIVATE in MECHANISMS[mech].private


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
    """The last operation of one kind in a session: what it was begun with, and whether it is still active."""

    mechanism: Mech = Mech.UNKNOWN
    key: ObjectIndex | None = None
    active: bool = True


class Kept:
    """What an application remembers of the calls it made.

    The last `saved` operation state, `ciphertext`, `signature` and `wrapped` key that it was given; empty where there
    was none. What the operations of each session were begun with: the mechanism says which input fits, and stays known
    when the operation has ended.
    """

    def __init__(self) -> None:
        self.saved = NEVER_SAVED
        self.ciphertext = self.signature = self.wrapped = b""
        self._parts: dict[SessionIndex, bytes] = {}
        self._begun: dict[SessionIndex, dict[Role, Begun]] = {}
        self._saved: dict[Role, Begun] = {}

    def sessions_closed(self, still_open: Container[SessionIndex]) -> None:
        """Note the end of sessions: they have no operations."""
        self._begun = {session: begun for session, begun in self._begun.items() if session in still_open}

    def begin(self, session: SessionIndex, role: Role, mechanism: Mech, key: ObjectIndex | None) -> None:
        """Note an operation that begins."""
        self._begun.setdefault(session, {})[role] = Begun(mechanism, key)
        if role is Role.ENCRYPT:
            self._parts[session] = b""

    def end(self, session: SessionIndex, role: Role) -> None:
        """Note the end of an operation."""
        if role in (begun := self._begun.get(session, {})):
            begun[role] = replace(begun[role], active=False)

    def mechanism(self, session: SessionIndex, role: Role) -> Mech:
        """The mechanism of the last operation of a kind, UNKNOWN where there was none."""
        return self._begun.get(session, {}).get(role, Begun()).mechanism

    def add_part(self, session: SessionIndex, part: bytes) -> bytes:
        """Add to the ciphertext that comes in parts, and return what it is so far."""
        self._parts[session] = self._parts.get(session, b"") + part
        return self._parts[session]

    def save(self, session: SessionIndex, state: bytes) -> None:
        """Keep an operation state, with what the operations in it were begun with."""
        self.saved = state
        self._saved = {role: begun for role, begun in self._begun.get(session, {}).items() if begun.active}

    def restore(self, session: SessionIndex) -> None:
        """Note that a session has the operations of the saved state."""
        self._begun[session] = dict(self._saved)

    def saved_key(self, *roles: Role) -> ObjectIndex | None:
        """The key of the saved operation of one of these kinds."""
        return next((self._saved[role].key for role in roles if role in self._saved), None)
