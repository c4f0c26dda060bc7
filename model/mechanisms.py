"""Mechanisms, one record each: what a mechanism is for, which keys it takes, and which lengths (mechanisms v2.40).

Those that came with v3.0 or v3.2 have a block of their own at the end; to older versions they are unknown.

All tables that conditions ask of mechanisms are made of the records, so that a mechanism is added by a line of `Mech`.
Conditions ask them with `one_of` or `in`, so that they lift: a mechanism in a rule may be a symbol.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from .kinds import Kind
from .vocabulary import CKF, Version

RSA_BYTES = 256
"""The length of a modulus: RSA keys here have 2048 bits. EC keys lie on P-256."""

PLAIN_BYTES = 32
"""The length of the usual data."""

OTHER_NUMBER = 0x7FFF_FFF1
"""What stands for the number of `Mech.OTHER`, which a call gives."""

UNKNOWN_NUMBER = 0x7FFF_FFF0
"""A mechanism number that no token has, for `Mech.UNKNOWN`."""


class Role(IntEnum):
    """What a mechanism can be for, named as the flag of CK_MECHANISM_INFO that says so.

    Authenticated wrapping has functions of its own, and goes by the flags of wrapping.
    """

    ENCRYPT = 0
    DECRYPT = 1
    DIGEST = 2
    SIGN = 3
    SIGN_RECOVER = 4
    VERIFY = 5
    VERIFY_RECOVER = 6
    WRAP = 7
    UNWRAP = 8
    DERIVE = 9
    GENERATE = 10
    GENERATE_KEY_PAIR = 11
    MESSAGE_ENCRYPT = 12
    MESSAGE_DECRYPT = 13
    MESSAGE_SIGN = 14
    MESSAGE_VERIFY = 15
    WRAP_AUTHENTICATED = 16
    UNWRAP_AUTHENTICATED = 17
    ENCAPSULATE = 18
    DECAPSULATE = 19


PUBLIC_ROLES = (
    Role.ENCRYPT,
    Role.VERIFY,
    Role.VERIFY_RECOVER,
    Role.WRAP,
    Role.MESSAGE_ENCRYPT,
    Role.MESSAGE_VERIFY,
    Role.WRAP_AUTHENTICATED,
    Role.ENCAPSULATE,
)
"""Roles that take the public half of a pair."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """All that the model knows of a mechanism; lengths are in bytes.

    `number` is its CK_MECHANISM_TYPE. `roles` are those in which the model follows it; `also` those in which the text,
    or a later version of it, lets it serve and the model does not follow it. `public` and `private` are the kinds of
    key that it takes in `PUBLIC_ROLES` and in the others.

    `makes` are the kinds of key that it generates, the public half of a pair first.

    `parameter` says that it wants one, `free` that any bytes are one; `varied` that the parameter chooses a hash, a
    length or the like, of which a token need not know every one. `parts` says that its input may come in parts.

    What it encrypts to is a multiple of `block`, and so must its input be unless it is `padded`. `longest` is the
    length that its input must not exceed, 0 where there is none. `number_input` says that its input is a number, as
    long as the modulus and below it. `authenticates` says that it notices a ciphertext that was tampered with.

    `since` is the version that brought it.

    `digest` is the length of a digest. `ciphertext` is the length of what the usual 32 bytes, or a number, encrypt to.
    `signature` is the length of a signature or a MAC, where it is the same for all data. Each is 0 where it makes none.
    """

    number: int
    roles: tuple[Role, ...] = ()
    public: tuple[Kind, ...] = ()
    private: tuple[Kind, ...] = ()
    also: tuple[Role, ...] = ()
    makes: tuple[Kind, ...] = ()
    parameter: bool = False
    free: bool = False
    varied: bool = False
    parts: bool = True
    block: int = 1
    padded: bool = False
    longest: int = 0
    number_input: bool = False
    authenticates: bool = False
    digest: int = 0
    ciphertext: int = 0
    signature: int = 0
    since: Version = Version.V2_01

    @property
    def mech(self) -> "Mech":
        """The mechanism in a state."""
        return _BY_NUMBER[self.number]

    @property
    def symmetric(self) -> bool:
        """Whether one key serves both sides, as for a block cipher or a MAC."""
        return bool(self.public) and self.public == self.private


_CIPHER = (Role.ENCRYPT, Role.DECRYPT)
_WRAP = (Role.WRAP, Role.UNWRAP)
_SIGN = (Role.SIGN, Role.VERIFY)
_RECOVER = (*_SIGN, Role.SIGN_RECOVER, Role.VERIFY_RECOVER)
_SEALED = (Role.MESSAGE_ENCRYPT, Role.MESSAGE_DECRYPT)
_SIGNED = (Role.MESSAGE_SIGN, Role.MESSAGE_VERIFY)
_WRAP_AUTHENTICATED = (Role.WRAP_AUTHENTICATED, Role.UNWRAP_AUTHENTICATED)
_ENCAPSULATE = (Role.ENCAPSULATE, Role.DECAPSULATE)
_BOTH = (Role.GENERATE_KEY_PAIR,)
MESSAGE_ROLES = (*_SEALED, *_SIGNED)
"""Roles in message-based processes, which have functions of their own."""

_AES = ((Kind.AES,), (Kind.AES,))
_SECRET = ((Kind.GENERIC_SECRET,), (Kind.GENERIC_SECRET,))
_RSA = ((Kind.RSA_PUBLIC,), (Kind.RSA_PRIVATE,))
_EC = ((Kind.EC_PUBLIC,), (Kind.EC_PRIVATE,))
_EDWARDS = ((Kind.EDWARDS_PUBLIC,), (Kind.EDWARDS_PRIVATE,))
_ML_KEM = ((Kind.ML_KEM_PUBLIC,), (Kind.ML_KEM_PRIVATE,))
_ML_DSA = ((Kind.ML_DSA_PUBLIC,), (Kind.ML_DSA_PRIVATE,))
_SLH_DSA = ((Kind.SLH_DSA_PUBLIC,), (Kind.SLH_DSA_PRIVATE,))
"""Keys here are Ed25519, ML-KEM-768, ML-DSA-65 and SLH-DSA-SHA2-128s."""

_V3_0, _V3_2 = Version.V3_0, Version.V3_2
_DSA = ((Kind.DSA_PUBLIC,), (Kind.DSA_PRIVATE,))
_DES = ((Kind.DES,), (Kind.DES,))
# What DES3 does it does with a key of two parts, too, where a token has such keys.
_DES3 = ((Kind.DES3, Kind.DES2), (Kind.DES3, Kind.DES2))

_Halves = tuple[tuple[Kind, ...], tuple[Kind, ...]]

EC_BYTES, DSA_BYTES = 64, 64
"""The lengths of signatures: the order of P-256 has 256 bits, and so has the subprime of DSA keys here."""


# Families: what their members share is told once.


def _digest(number: int, length: int) -> Mechanism:
    return Mechanism(number, (Role.DIGEST,), digest=length)


def _mac(number: int, keys: _Halves, length: int) -> Mechanism:
    return Mechanism(number, _SIGN, *keys, also=_SIGNED, signature=length)


def _mac_of_length(number: int, keys: _Halves, length: int) -> Mechanism:
    """A MAC cut to a length that its parameter gives: here `length`."""
    return Mechanism(number, _SIGN, *keys, also=_SIGNED, parameter=True, varied=True, signature=length)


def _hashed(number: int, keys: _Halves, length: int) -> Mechanism:
    """A signature of a hash that the mechanism makes itself."""
    return Mechanism(number, _SIGN, *keys, also=_SIGNED, signature=length)


def _hashed_pss(number: int) -> Mechanism:
    return Mechanism(number, _SIGN, *_RSA, also=_SIGNED, parameter=True, varied=True, signature=RSA_BYTES)


def _blocks(number: int, keys: _Halves, block: int, *, iv: bool) -> Mechanism:
    """A block cipher, on its own or chained from an initialisation vector."""
    return Mechanism(number, _CIPHER, *keys, also=(*_WRAP, *_SEALED), parameter=iv, block=block, ciphertext=PLAIN_BYTES)


def _padded(number: int, keys: _Halves, block: int) -> Mechanism:
    length = PLAIN_BYTES + block
    roles = (*_CIPHER, *_WRAP)
    return Mechanism(number, roles, *keys, also=_SEALED, parameter=True, block=block, padded=True, ciphertext=length)


def _derivation(number: int, *keys: Kind, parameter: bool = True) -> Mechanism:
    return Mechanism(number, (Role.DERIVE,), private=keys, parameter=parameter, varied=parameter)


def _agreement(number: int, public: Kind, private: Kind) -> Mechanism:
    return replace(_derivation(number, private), public=(public,), also=_ENCAPSULATE)


def _generation(number: int, kind: Kind) -> Mechanism:
    return Mechanism(number, (Role.GENERATE,), makes=(kind,))


def _pairs(number: int, public: Kind, private: Kind) -> Mechanism:
    return Mechanism(number, (Role.GENERATE_KEY_PAIR,), makes=(public, private))


class Mech(IntEnum):
    """Mechanisms that calls name, each with its record.

    UNKNOWN is a number that no token knows. OTHER is any that a token lists and nobody has a record for: which one, a
    call says by `number`.
    """

    facts: Mechanism

    def __new__(cls, value: int, facts: Mechanism) -> "Mech":
        """A member with its number in states and its record."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.facts = facts
        return member

    UNKNOWN = 0, Mechanism(UNKNOWN_NUMBER)
    OTHER = 119, Mechanism(OTHER_NUMBER)
    SHA_1 = 1, Mechanism(0x220, (Role.DIGEST,), digest=20)
    SHA256 = 2, Mechanism(0x250, (Role.DIGEST,), digest=32)
    SHA256_HMAC = 3, Mechanism(0x251, (*_SIGN, *_SIGNED), *_SECRET, signature=32)
    AES_ECB = 4, Mechanism(0x1081, _CIPHER, *_AES, (*_WRAP, *_SEALED), block=16, ciphertext=32)
    AES_CBC = 5, Mechanism(0x1082, _CIPHER, *_AES, (*_WRAP, *_SEALED), parameter=True, block=16, ciphertext=32)
    AES_CBC_PAD = (
        6,
        Mechanism(0x1085, (*_CIPHER, *_WRAP), *_AES, _SEALED, parameter=True, block=16, padded=True, ciphertext=48),
    )
    AES_CTR = 7, Mechanism(0x1086, _CIPHER, *_AES, (*_WRAP, *_SEALED), parameter=True, varied=True, ciphertext=32)
    AES_GCM = (
        8,
        Mechanism(
            0x1087,
            (*_CIPHER, *_SEALED, *_WRAP_AUTHENTICATED),
            *_AES,
            _WRAP,
            parameter=True,
            varied=True,
            authenticates=True,
            ciphertext=48,
        ),
    )
    AES_KEY_WRAP = 9, Mechanism(0x2109, _WRAP, *_AES, _CIPHER, block=8, authenticates=True)
    RSA_PKCS = (
        10,
        Mechanism(
            0x1,
            (*_CIPHER, *_RECOVER, *_WRAP),
            *_RSA,
            (*_SEALED, *_SIGNED, *_ENCAPSULATE),
            parts=False,
            padded=True,
            longest=RSA_BYTES - 11,
            ciphertext=RSA_BYTES,
            signature=RSA_BYTES,
        ),
    )
    RSA_X_509 = (
        11,
        Mechanism(
            0x3,
            (*_CIPHER, *_RECOVER),
            *_RSA,
            (*_WRAP, *_SEALED, *_SIGNED, *_ENCAPSULATE),
            parts=False,
            longest=RSA_BYTES,
            number_input=True,
            ciphertext=RSA_BYTES,
            signature=RSA_BYTES,
        ),
    )
    RSA_PKCS_OAEP = (
        12,
        Mechanism(
            0x9,
            (*_CIPHER, *_WRAP),
            *_RSA,
            (*_SEALED, *_ENCAPSULATE),
            parameter=True,
            varied=True,
            parts=False,
            padded=True,
            longest=RSA_BYTES - 42,
            ciphertext=RSA_BYTES,
        ),
    )
    RSA_PKCS_PSS = (
        13,
        Mechanism(0xD, _SIGN, *_RSA, _SIGNED, parameter=True, varied=True, parts=False, signature=RSA_BYTES),
    )
    SHA256_RSA_PKCS = 14, Mechanism(0x40, (*_SIGN, *_SIGNED), *_RSA, signature=RSA_BYTES)
    ECDSA = 15, Mechanism(0x1041, _SIGN, *_EC, _SIGNED, parts=False, signature=64)
    ECDH1_DERIVE = 16, _agreement(0x1050, Kind.EC_PUBLIC, Kind.EC_PRIVATE)
    GENERIC_SECRET_KEY_GEN = 17, Mechanism(0x350, (Role.GENERATE,), makes=(Kind.GENERIC_SECRET,))
    AES_KEY_GEN = 18, Mechanism(0x1080, (Role.GENERATE,), makes=(Kind.AES,))
    RSA_PKCS_KEY_PAIR_GEN = 19, Mechanism(0x0, (Role.GENERATE_KEY_PAIR,), makes=(Kind.RSA_PUBLIC, Kind.RSA_PRIVATE))
    EC_KEY_PAIR_GEN = 20, Mechanism(0x1040, (Role.GENERATE_KEY_PAIR,), makes=(Kind.EC_PUBLIC, Kind.EC_PRIVATE))
    # More of the same families.
    MD2 = 21, _digest(0x200, 16)
    MD5 = 22, _digest(0x210, 16)
    SHA224 = 23, _digest(0x255, 28)
    SHA384 = 24, _digest(0x260, 48)
    SHA512 = 25, _digest(0x270, 64)
    MD2_HMAC = 26, _mac(0x201, _SECRET, 16)
    MD5_HMAC = 27, _mac(0x211, _SECRET, 16)
    SHA_1_HMAC = 28, _mac(0x221, _SECRET, 20)
    SHA224_HMAC = 29, _mac(0x256, _SECRET, 28)
    SHA384_HMAC = 30, _mac(0x261, _SECRET, 48)
    SHA512_HMAC = 31, _mac(0x271, _SECRET, 64)
    MD2_HMAC_GENERAL = 32, _mac_of_length(0x202, _SECRET, 8)
    MD5_HMAC_GENERAL = 33, _mac_of_length(0x212, _SECRET, 8)
    SHA_1_HMAC_GENERAL = 34, _mac_of_length(0x222, _SECRET, 10)
    SHA224_HMAC_GENERAL = 35, _mac_of_length(0x257, _SECRET, 14)
    SHA256_HMAC_GENERAL = 36, _mac_of_length(0x252, _SECRET, 16)
    SHA384_HMAC_GENERAL = 37, _mac_of_length(0x262, _SECRET, 24)
    SHA512_HMAC_GENERAL = 38, _mac_of_length(0x272, _SECRET, 32)
    MD2_RSA_PKCS = 39, _hashed(0x4, _RSA, RSA_BYTES)
    MD5_RSA_PKCS = 40, _hashed(0x5, _RSA, RSA_BYTES)
    SHA1_RSA_PKCS = 41, _hashed(0x6, _RSA, RSA_BYTES)
    SHA224_RSA_PKCS = 42, _hashed(0x46, _RSA, RSA_BYTES)
    SHA384_RSA_PKCS = 43, _hashed(0x41, _RSA, RSA_BYTES)
    SHA512_RSA_PKCS = 44, _hashed(0x42, _RSA, RSA_BYTES)
    SHA1_RSA_PKCS_PSS = 45, _hashed_pss(0xE)
    SHA224_RSA_PKCS_PSS = 46, _hashed_pss(0x47)
    SHA256_RSA_PKCS_PSS = 47, _hashed_pss(0x43)
    SHA384_RSA_PKCS_PSS = 48, _hashed_pss(0x44)
    SHA512_RSA_PKCS_PSS = 49, _hashed_pss(0x45)
    DSA = 50, Mechanism(0x11, _SIGN, *_DSA, _SIGNED, parts=False, signature=DSA_BYTES)
    DSA_SHA1 = 51, _hashed(0x12, _DSA, DSA_BYTES)
    DSA_SHA224 = 52, _hashed(0x13, _DSA, DSA_BYTES)
    DSA_SHA256 = 53, _hashed(0x14, _DSA, DSA_BYTES)
    DSA_SHA384 = 54, _hashed(0x15, _DSA, DSA_BYTES)
    DSA_SHA512 = 55, _hashed(0x16, _DSA, DSA_BYTES)
    DSA_KEY_PAIR_GEN = 56, _pairs(0x10, Kind.DSA_PUBLIC, Kind.DSA_PRIVATE)
    DSA_PARAMETER_GEN = 57, _generation(0x2000, Kind.DSA_PARAMETERS)
    DH_PKCS_KEY_PAIR_GEN = 58, _pairs(0x20, Kind.DH_PUBLIC, Kind.DH_PRIVATE)
    DH_PKCS_PARAMETER_GEN = 59, _generation(0x2001, Kind.DH_PARAMETERS)
    DH_PKCS_DERIVE = 60, replace(_agreement(0x21, Kind.DH_PUBLIC, Kind.DH_PRIVATE), free=True)
    ECDSA_SHA1 = 61, _hashed(0x1042, _EC, EC_BYTES)
    ECDSA_SHA224 = 62, _hashed(0x1043, _EC, EC_BYTES)
    ECDSA_SHA256 = 63, _hashed(0x1044, _EC, EC_BYTES)
    ECDSA_SHA384 = 64, _hashed(0x1045, _EC, EC_BYTES)
    ECDSA_SHA512 = 65, _hashed(0x1046, _EC, EC_BYTES)
    ECDH1_COFACTOR_DERIVE = 66, _agreement(0x1051, Kind.EC_PUBLIC, Kind.EC_PRIVATE)
    DES_KEY_GEN = 67, _generation(0x120, Kind.DES)
    DES2_KEY_GEN = 68, _generation(0x130, Kind.DES2)
    DES3_KEY_GEN = 69, _generation(0x131, Kind.DES3)
    DES_ECB = 70, _blocks(0x121, _DES, 8, iv=False)
    DES_CBC = 71, _blocks(0x122, _DES, 8, iv=True)
    DES_MAC = 72, _mac(0x123, _DES, 4)
    DES_MAC_GENERAL = 73, _mac_of_length(0x124, _DES, 8)
    DES_CBC_PAD = 74, _padded(0x125, _DES, 8)
    DES3_ECB = 75, _blocks(0x132, _DES3, 8, iv=False)
    DES3_CBC = 76, _blocks(0x133, _DES3, 8, iv=True)
    DES3_MAC = 77, _mac(0x134, _DES3, 4)
    DES3_MAC_GENERAL = 78, _mac_of_length(0x135, _DES3, 8)
    DES3_CBC_PAD = 79, _padded(0x136, _DES3, 8)
    DES3_CMAC = 80, _mac(0x138, _DES3, 8)
    DES3_CMAC_GENERAL = 81, _mac_of_length(0x137, _DES3, 8)
    AES_MAC = 82, _mac(0x1083, _AES, 8)
    AES_MAC_GENERAL = 83, _mac_of_length(0x1084, _AES, 16)
    AES_CCM = (
        84,
        Mechanism(
            0x1088,
            _CIPHER,
            *_AES,
            (*_WRAP, *_SEALED),
            parameter=True,
            varied=True,
            authenticates=True,
            ciphertext=48,
        ),
    )
    AES_CTS = (
        85,
        Mechanism(0x1089, _CIPHER, *_AES, (*_WRAP, *_SEALED), parameter=True, varied=True, ciphertext=PLAIN_BYTES),
    )
    AES_CMAC = 86, _mac(0x108A, _AES, 16)
    AES_CMAC_GENERAL = 87, _mac_of_length(0x108B, _AES, 8)
    AES_XCBC_MAC = 88, _mac(0x108C, _AES, 16)
    AES_XCBC_MAC_96 = 89, _mac(0x108D, _AES, 12)
    AES_KEY_WRAP_PAD = 90, Mechanism(0x210A, _WRAP, *_AES, _CIPHER, authenticates=True)
    DES_ECB_ENCRYPT_DATA = 91, _derivation(0x1100, Kind.DES)
    DES_CBC_ENCRYPT_DATA = 92, _derivation(0x1101, Kind.DES)
    DES3_ECB_ENCRYPT_DATA = 93, _derivation(0x1102, Kind.DES3, Kind.DES2)
    DES3_CBC_ENCRYPT_DATA = 94, _derivation(0x1103, Kind.DES3, Kind.DES2)
    AES_ECB_ENCRYPT_DATA = 95, _derivation(0x1104, Kind.AES)
    AES_CBC_ENCRYPT_DATA = 96, _derivation(0x1105, Kind.AES)
    CONCATENATE_BASE_AND_DATA = 97, _derivation(0x362, Kind.GENERIC_SECRET)
    CONCATENATE_DATA_AND_BASE = 98, _derivation(0x363, Kind.GENERIC_SECRET)
    XOR_BASE_AND_DATA = 99, _derivation(0x364, Kind.GENERIC_SECRET)
    MD2_KEY_DERIVATION = 100, _derivation(0x391, Kind.GENERIC_SECRET, parameter=False)
    MD5_KEY_DERIVATION = 121, _derivation(0x390, Kind.GENERIC_SECRET, parameter=False)
    SHA1_KEY_DERIVATION = 122, _derivation(0x392, Kind.GENERIC_SECRET, parameter=False)
    SHA224_KEY_DERIVATION = 123, _derivation(0x396, Kind.GENERIC_SECRET, parameter=False)
    SHA256_KEY_DERIVATION = 124, _derivation(0x393, Kind.GENERIC_SECRET, parameter=False)
    SHA384_KEY_DERIVATION = 125, _derivation(0x394, Kind.GENERIC_SECRET, parameter=False)
    SHA512_KEY_DERIVATION = 126, _derivation(0x395, Kind.GENERIC_SECRET, parameter=False)
    PKCS5_PBKD2 = 127, Mechanism(0x3B0, (Role.GENERATE,), makes=(Kind.GENERIC_SECRET,), parameter=True, varied=True)

    # Of v3.0 and v3.2. Numbers up to 100 are for those of v2.40.
    SHA3_256 = 101, Mechanism(0x2B0, (Role.DIGEST,), digest=32, since=_V3_0)
    SHA3_256_HMAC = 102, Mechanism(0x2B1, _SIGN, *_SECRET, also=_SIGNED, signature=32, since=_V3_0)
    SHA3_256_RSA_PKCS = 103, Mechanism(0x60, _SIGN, *_RSA, also=_SIGNED, signature=RSA_BYTES, since=_V3_0)
    EDDSA = 104, Mechanism(0x1057, _SIGN, *_EDWARDS, also=_SIGNED, signature=64, since=_V3_0)
    HKDF_DERIVE = (
        105,
        Mechanism(0x402A, (Role.DERIVE,), private=(Kind.GENERIC_SECRET,), parameter=True, varied=True, since=_V3_0),
    )
    CHACHA20_POLY1305 = (
        106,
        Mechanism(
            0x4021,
            _CIPHER,
            (Kind.CHACHA20,),
            (Kind.CHACHA20,),
            also=_SEALED,
            parameter=True,
            varied=True,
            authenticates=True,
            ciphertext=48,
            since=_V3_0,
        ),
    )
    CHACHA20_KEY_GEN = 107, Mechanism(0x1225, (Role.GENERATE,), makes=(Kind.CHACHA20,), since=_V3_0)
    EC_EDWARDS_KEY_PAIR_GEN = 108, Mechanism(0x1055, _BOTH, makes=(*_EDWARDS[0], *_EDWARDS[1]), since=_V3_0)
    ML_KEM = 109, Mechanism(0x17, _ENCAPSULATE, *_ML_KEM, ciphertext=1088, since=_V3_2)
    ML_KEM_KEY_PAIR_GEN = 110, Mechanism(0xF, _BOTH, makes=(*_ML_KEM[0], *_ML_KEM[1]), since=_V3_2)
    ML_DSA = 111, Mechanism(0x1D, _SIGN, *_ML_DSA, also=_SIGNED, signature=3309, since=_V3_2)
    ML_DSA_KEY_PAIR_GEN = 112, Mechanism(0x1C, _BOTH, makes=(*_ML_DSA[0], *_ML_DSA[1]), since=_V3_2)
    SLH_DSA = 113, Mechanism(0x2E, _SIGN, *_SLH_DSA, also=_SIGNED, signature=7856, since=_V3_2)
    SLH_DSA_KEY_PAIR_GEN = 114, Mechanism(0x2D, _BOTH, makes=(*_SLH_DSA[0], *_SLH_DSA[1]), since=_V3_2)


_BY_NUMBER: Mapping[int, Mech] = {m.facts.number: m for m in Mech}

MECHANISMS: Mapping[Mech, Mechanism] = {m: m.facts for m in Mech if m not in (Mech.UNKNOWN, Mech.OTHER)}
"""The mechanisms that there are, with their records."""


def with_role(role: Role) -> tuple[Mech, ...]:
    """The mechanisms for one use."""
    return tuple(m for m, facts in MECHANISMS.items() if role in facts.roles)


def taking(role: Role, kind: Kind) -> tuple[Mech, ...]:
    """The mechanisms that take a kind of key for one use."""
    return tuple(m for m in with_role(role) if kind in _keys(m, role))


def _keys(mech: Mech, role: Role) -> tuple[Kind, ...]:
    return mech.facts.public if role in PUBLIC_ROLES else mech.facts.private


NOT_FOLLOWED: Mapping[Role, tuple[Mech, ...]] = {
    role: tuple(m for m, facts in MECHANISMS.items() if role in facts.also) for role in Role
}
"""Mechanisms that the text, or a later version of it, lets serve a role in which the model does not follow them."""


def usable(role: Role) -> tuple[Kind, ...]:
    """The kinds of key that some mechanism takes for one use, whether the model follows it there or not."""
    mechs = (*with_role(role), *NOT_FOLLOWED[role])
    return tuple(kind for kind in Kind if any(kind in _keys(m, role) for m in mechs))


PARAMETRIC = tuple(m for m, facts in MECHANISMS.items() if facts.parameter and not facts.free)
"""Mechanisms that want a parameter, of a form that not all bytes have."""

VARIED = tuple(m for m, facts in MECHANISMS.items() if facts.varied)
"""Mechanisms whose parameter chooses something of which a token need not know every one."""

WHOLE_ONLY = tuple(m for m, facts in MECHANISMS.items() if not facts.parts)
"""Mechanisms that take their input at once only."""

SYMMETRIC = tuple(m for m, facts in MECHANISMS.items() if facts.symmetric)
"""Mechanisms for which one key serves both sides; for the others halves of a pair do."""

CHECKING = tuple(m for m in with_role(Role.WRAP) if m.facts.authenticates)
"""Mechanisms that notice a wrapped key that was tampered with."""

AUTHENTICATING = tuple(m for m, facts in MECHANISMS.items() if facts.authenticates)
"""Mechanisms that notice a ciphertext that was tampered with."""

STREAMED = tuple(
    m for m in with_role(Role.DECRYPT) if m.facts.symmetric and not (m.facts.padded or m.facts.authenticates)
)
"""Mechanisms that decrypt anything of a fitting length."""

BLOCKS = tuple(m for m in with_role(Role.DECRYPT) if m.facts.block > 1)
"""Mechanisms whose ciphertext is made of blocks."""

NUMERIC = tuple(m for m, facts in MECHANISMS.items() if facts.number_input)
"""Mechanisms that take a number below the modulus."""

_ODD_LENGTHS = (5, 300, RSA_BYTES)
"""The lengths of data that not every mechanism takes; see `Data`."""


def takes(facts: Mechanism, size: int) -> bool:
    """Whether data of a length can be encrypted or signed by a mechanism."""
    return (facts.padded or size % facts.block == 0) and (not facts.longest or size <= facts.longest)


def told_apart_by(mech: Mech, stands_for: Callable[[Kind], Kind]) -> tuple[object, ...]:
    """What rows see of a mechanism: those that agree in it are one class for a search.

    Its number, the lengths of what it makes and its roles in message-based processes are not told, and a kind of key is
    the one that stands for it where sequences are looked for.
    """
    m = mech.facts
    return (
        mech in (Mech.UNKNOWN, Mech.OTHER) and mech,
        *(frozenset({*roles} - {*MESSAGE_ROLES}) for roles in (m.roles, m.also)),
        *(frozenset(map(stands_for, kinds)) for kinds in (m.public, m.private, m.makes)),
        m.since,
        (m.parameter, m.free, m.varied, m.parts, m.block > 1, m.padded, m.number_input, m.authenticates),
        tuple(takes(m, size) for size in _ODD_LENGTHS),
        tuple(map(bool, (m.digest, m.ciphertext, m.signature))),
    )


FLAGS: Mapping[Role, CKF] = {role: CKF[role.name.removesuffix("_AUTHENTICATED")] for role in Role}
"""The flag of CK_MECHANISM_INFO by which a token offers a mechanism for a role."""

NOUNS: Mapping[Role, str] = {
    Role.ENCRYPT: "encryption",
    Role.DECRYPT: "decryption",
    Role.DIGEST: "digesting",
    Role.SIGN: "signing",
    Role.SIGN_RECOVER: "signing with recovery",
    Role.VERIFY: "verification",
    Role.VERIFY_RECOVER: "verification with recovery",
    Role.WRAP: "wrapping",
    Role.UNWRAP: "unwrapping",
    Role.DERIVE: "deriving",
    Role.GENERATE: "generating a key",
    Role.GENERATE_KEY_PAIR: "generating a pair",
    Role.MESSAGE_ENCRYPT: "encrypting messages",
    Role.MESSAGE_DECRYPT: "decrypting messages",
    Role.MESSAGE_SIGN: "signing messages",
    Role.MESSAGE_VERIFY: "verifying messages",
    Role.WRAP_AUTHENTICATED: "authenticated wrapping",
    Role.UNWRAP_AUTHENTICATED: "authenticated unwrapping",
    Role.ENCAPSULATE: "encapsulation",
    Role.DECAPSULATE: "decapsulation",
}
"""Names of the roles in conditions."""
