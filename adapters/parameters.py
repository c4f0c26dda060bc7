"""The CK_MECHANISM of each mechanism, with the parameter that it wants or a wrong one (mechanisms v2.40)."""

from collections.abc import Callable, Mapping
from typing import Final

from ..model.call import Parameter
from ..model.mechanisms import UNKNOWN_NUMBER
from ..model.state import Mech
from . import material
from .cryptoki import CData, ffi, new, octets

IV_BYTES, BLOCK_BYTES, TAG_BITS = 12, 16, 128
MGF1_SHA1, MGF1_SHA256 = 1, 2
DATA_SPECIFIED = 1
KDF_NULL = 1
HKDF_SALT_NULL = 1

CKG_NO_GENERATE = 0

_KEPT: list[CData] = []
"""What records point to: cffi frees what nobody holds, and a module may look at it whenever it likes."""


def kept_records() -> Mapping[int, CData]:
    """What records point to, by its address."""
    return {int(ffi.cast("uintptr_t", kept)): kept for kept in _KEPT}


def _bytes(content: bytes) -> CData:
    _KEPT.append(octets(content))
    return _KEPT[-1]


JUNK: Final = _bytes(b"\xa5\xa5\xa5")
"""A parameter of a length that no mechanism takes."""


def _record(kind: str, *members: object) -> CData:
    _KEPT.append(new(f"{kind} *", members))
    return _KEPT[-1]


def _ecdh(point: bytes) -> CData:
    return _record("CK_ECDH1_DERIVE_PARAMS", KDF_NULL, 0, ffi.NULL, len(point), _bytes(point))


def _block() -> CData:
    return _bytes(bytes(range(BLOCK_BYTES)))


_RIGHT: Mapping[Mech, Callable[[], CData]] = {
    Mech.AES_CBC: _block,
    Mech.AES_CBC_PAD: _block,
    Mech.AES_CTR: lambda: _record("CK_AES_CTR_PARAMS", 8 * BLOCK_BYTES, bytes(range(BLOCK_BYTES))),
    Mech.AES_GCM: lambda: _record(
        "CK_GCM_PARAMS", _bytes(bytes(range(IV_BYTES))), IV_BYTES, 8 * IV_BYTES, ffi.NULL, 0, TAG_BITS
    ),
    Mech.RSA_PKCS_OAEP: lambda: _record(
        "CK_RSA_PKCS_OAEP_PARAMS", number(Mech.SHA_1), MGF1_SHA1, DATA_SPECIFIED, ffi.NULL, 0
    ),
    Mech.RSA_PKCS_PSS: lambda: _record(
        "CK_RSA_PKCS_PSS_PARAMS", number(Mech.SHA256), MGF1_SHA256, Mech.SHA256.facts.digest
    ),
    Mech.ECDH1_DERIVE: lambda: _ecdh(material.PEER_POINT),
    Mech.HKDF_DERIVE: lambda: _record(
        "CK_HKDF_PARAMS", 1, 1, number(Mech.SHA256), HKDF_SALT_NULL, ffi.NULL, 0, 0, _bytes(b"p11conform"), 10
    ),
    Mech.CHACHA20_POLY1305: lambda: _record(
        "CK_SALSA20_CHACHA20_POLY1305_PARAMS", _bytes(bytes(range(IV_BYTES))), IV_BYTES, ffi.NULL, 0
    ),
}
_IMPOSSIBLE: Mapping[Mech, Callable[[], CData]] = {
    Mech.RSA_PKCS_OAEP: lambda: _record(
        "CK_RSA_PKCS_OAEP_PARAMS", UNKNOWN_NUMBER, MGF1_SHA1, DATA_SPECIFIED, ffi.NULL, 0
    ),
    Mech.ECDH1_DERIVE: lambda: _ecdh(material.OFF_CURVE),
}


def number(mech: Mech) -> int:
    """The CK_MECHANISM_TYPE of a mechanism."""
    return mech.facts.number


def _mechanism(mech: Mech, parameter: Parameter) -> CData:
    if parameter == Parameter.IMPOSSIBLE and mech in _IMPOSSIBLE:
        content = _IMPOSSIBLE[mech]()
    elif parameter != Parameter.RIGHT:
        content = JUNK
    elif mech in _RIGHT:
        content = _RIGHT[mech]()
    else:
        return _record("CK_MECHANISM", number(mech), ffi.NULL, 0)
    return _record("CK_MECHANISM", number(mech), content, len(ffi.buffer(content)))


MECHANISM: Final[Mapping[tuple[Mech, Parameter], CData]] = {
    (mech, parameter): _mechanism(mech, parameter) for mech in Mech for parameter in Parameter
}
"""A CK_MECHANISM for each mechanism and parameter; a wrong one is three bytes of junk."""

MESSAGE_MECHANISM: Final[Mapping[Mech, CData]] = {
    mech: _record("CK_MECHANISM", number(mech), ffi.NULL, 0) for mech in Mech
}
"""A CK_MECHANISM for each mechanism of messages: the parameter is given with each message."""

_IV = _bytes(bytes(range(IV_BYTES)))


def message_parameter(tag: CData) -> CData:
    """The parameter of a message for authenticated encryption, with the place of the tag that it is verified by."""
    return _record("CK_GCM_MESSAGE_PARAMS", _IV, IV_BYTES, 0, CKG_NO_GENERATE, tag, TAG_BITS)


def authenticated(mech: Mech, parameter: Parameter, tag: CData) -> CData:
    """A CK_MECHANISM for authenticated wrapping, whose parameter is that of a message, with the place of the tag."""
    if mech != Mech.AES_GCM or parameter != Parameter.RIGHT:
        return MECHANISM[mech, parameter]
    right = message_parameter(tag)
    return _record("CK_MECHANISM", number(mech), right, len(ffi.buffer(right)))
