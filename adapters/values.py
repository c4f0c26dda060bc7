"""Input data of cryptographic calls, as C takes it."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from ..model.call import Data
from ..model.state import Mech
from .cryptoki import CData, ffi, octets
from .material import MODULUS_BYTES

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

_COUNTED: Final = bytes(range(256)) * 32
"""What made-up ciphertexts and signatures begin."""

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
