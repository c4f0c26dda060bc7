"""The CK_MECHANISM of each mechanism, with the parameter that it wants or a wrong one (mechanisms v2.40)."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import Final

from ..model.call import Args, Parameter
from ..model.mechanisms import PLAIN_BYTES, UNKNOWN_NUMBER, Role, with_role
from ..model.state import Kind, Mech
from . import material
from .cryptoki import CData, ffi, new, octets

IV_BYTES, BLOCK_BYTES, TAG_BITS = 12, 16, 128
MGF1_SHA1, MGF1_SHA256, MGF1_SHA384, MGF1_SHA512, MGF1_SHA224 = range(1, 6)
SALT_SPECIFIED, PRF_HMAC_SHA1 = 1, 1
SALT_BYTES, ITERATIONS = 16, 1000
PEER_SECRET = 0x0F1E_2D3C_4B5A_6978_8796_A5B4_C3D2_E1F0
"""What the other side of a Diffie-Hellman agreement keeps to itself."""

_DERIVED_FROM = bytes(range(64, 96))
_PASSWORD = b"p11conform"
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


def _iv(length: int) -> CData:
    return _bytes(bytes(range(length)))


def _pss(hash: Mech, mgf: int) -> CData:
    return _record("CK_RSA_PKCS_PSS_PARAMS", number(hash), mgf, hash.facts.digest)


def _data() -> tuple[CData, int]:
    return _bytes(_DERIVED_FROM), len(_DERIVED_FROM)


def _encrypted(kind: str, block: int) -> CData:
    return _record(kind, bytes(range(block)), *_data())


def _password() -> CData:
    salt = bytes(range(SALT_BYTES))
    return _record(
        "CK_PKCS5_PBKD2_PARAMS",
        SALT_SPECIFIED,
        _bytes(salt),
        len(salt),
        ITERATIONS,
        PRF_HMAC_SHA1,
        ffi.NULL,
        0,
        _bytes(_PASSWORD),
        _number(len(_PASSWORD)),
    )


def _number(value: int) -> CData:
    _KEPT.append(new("CK_ULONG *", value))
    return _KEPT[-1]


def _members(mechs: Iterable[Mech], content: Callable[[Mech], CData]) -> Mapping[Mech, Callable[[], CData]]:
    """The same parameter, but for what it says of each, for the members of a family."""
    return {mech: partial(content, mech) for mech in mechs}


def _macs_of_length() -> Iterable[Mech]:
    return (m for m in with_role(Role.SIGN) if m.facts.parameter and m.facts.symmetric)


_RIGHT: Mapping[Mech, Callable[[], CData]] = {
    **_members(
        (
            Mech.AES_CBC,
            Mech.AES_CBC_PAD,
            Mech.AES_CTS,
            Mech.DES_CBC,
            Mech.DES_CBC_PAD,
            Mech.DES3_CBC,
            Mech.DES3_CBC_PAD,
        ),
        lambda mech: _iv(8 if {*mech.facts.private} & {Kind.DES, Kind.DES3} else BLOCK_BYTES),
    ),
    **_members(_macs_of_length(), lambda mech: _number(mech.facts.signature)),
    Mech.AES_CTR: lambda: _record("CK_AES_CTR_PARAMS", 8 * BLOCK_BYTES, bytes(range(BLOCK_BYTES))),
    Mech.AES_GCM: lambda: _record(
        "CK_GCM_PARAMS", _bytes(bytes(range(IV_BYTES))), IV_BYTES, 8 * IV_BYTES, ffi.NULL, 0, TAG_BITS
    ),
    Mech.AES_CCM: lambda: _record("CK_CCM_PARAMS", PLAIN_BYTES, _iv(IV_BYTES), IV_BYTES, ffi.NULL, 0, TAG_BITS // 8),
    Mech.RSA_PKCS_OAEP: lambda: _record(
        "CK_RSA_PKCS_OAEP_PARAMS", number(Mech.SHA_1), MGF1_SHA1, DATA_SPECIFIED, ffi.NULL, 0
    ),
    Mech.RSA_PKCS_PSS: lambda: _pss(Mech.SHA256, MGF1_SHA256),
    Mech.SHA1_RSA_PKCS_PSS: lambda: _pss(Mech.SHA_1, MGF1_SHA1),
    Mech.SHA224_RSA_PKCS_PSS: lambda: _pss(Mech.SHA224, MGF1_SHA224),
    Mech.SHA256_RSA_PKCS_PSS: lambda: _pss(Mech.SHA256, MGF1_SHA256),
    Mech.SHA384_RSA_PKCS_PSS: lambda: _pss(Mech.SHA384, MGF1_SHA384),
    Mech.SHA512_RSA_PKCS_PSS: lambda: _pss(Mech.SHA512, MGF1_SHA512),
    Mech.ECDH1_DERIVE: lambda: _ecdh(material.PEER_POINT),
    Mech.HKDF_DERIVE: lambda: _record(
        "CK_HKDF_PARAMS", 1, 1, number(Mech.SHA256), HKDF_SALT_NULL, ffi.NULL, 0, 0, _bytes(b"p11conform"), 10
    ),
    Mech.CHACHA20_POLY1305: lambda: _record(
        "CK_SALSA20_CHACHA20_POLY1305_PARAMS", _bytes(bytes(range(IV_BYTES))), IV_BYTES, ffi.NULL, 0
    ),
    Mech.ECDH1_COFACTOR_DERIVE: lambda: _ecdh(material.PEER_POINT),
    Mech.DH_PKCS_DERIVE: lambda: _bytes(material.DH.public(PEER_SECRET)),
    **_members(
        (
            Mech.DES_ECB_ENCRYPT_DATA,
            Mech.DES3_ECB_ENCRYPT_DATA,
            Mech.AES_ECB_ENCRYPT_DATA,
            Mech.CONCATENATE_BASE_AND_DATA,
            Mech.CONCATENATE_DATA_AND_BASE,
            Mech.XOR_BASE_AND_DATA,
        ),
        lambda _: _record("CK_KEY_DERIVATION_STRING_DATA", *_data()),
    ),
    **_members(
        (Mech.DES_CBC_ENCRYPT_DATA, Mech.DES3_CBC_ENCRYPT_DATA),
        lambda _: _encrypted("CK_DES_CBC_ENCRYPT_DATA_PARAMS", 8),
    ),
    Mech.AES_CBC_ENCRYPT_DATA: lambda: _encrypted("CK_AES_CBC_ENCRYPT_DATA_PARAMS", BLOCK_BYTES),
    Mech.PKCS5_PBKD2: _password,
}
_IMPOSSIBLE: Mapping[Mech, Callable[[], CData]] = {
    Mech.RSA_PKCS_OAEP: lambda: _record(
        "CK_RSA_PKCS_OAEP_PARAMS", UNKNOWN_NUMBER, MGF1_SHA1, DATA_SPECIFIED, ffi.NULL, 0
    ),
    Mech.ECDH1_DERIVE: lambda: _ecdh(material.OFF_CURVE),
    Mech.ECDH1_COFACTOR_DERIVE: lambda: _ecdh(material.OFF_CURVE),
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


@cache
def other_mechanism(number: int) -> CData:
    """The CK_MECHANISM of a mechanism without a record: what parameter it wants is not known, so that it gets none."""
    return _record("CK_MECHANISM", number, ffi.NULL, 0)


def mechanism(args: Args) -> CData:
    """The CK_MECHANISM that a call gives."""
    if args.mechanism == Mech.OTHER:
        return other_mechanism(args.number)
    return MECHANISM[args.mechanism, args.parameter]


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
