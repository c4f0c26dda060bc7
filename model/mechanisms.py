"""Facts about mechanisms, as data: what each is for, which keys it takes, and which lengths (PKCS#11 mechanisms v2.40).

Conditions ask the tuples of this file with `in`, so that they lift: a mechanism in a rule may be a symbol.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from .state import Kind, Mech


class Role(IntEnum):
    """What a mechanism can be for: the functions whose names begin so."""

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
    GENERATE_KEY = 10
    GENERATE_KEY_PAIR = 11


PUBLIC_ROLES = (Role.ENCRYPT, Role.VERIFY, Role.VERIFY_RECOVER, Role.WRAP)
"""Roles that take the public half of a pair."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One mechanism: its number, its roles, the kinds of key that it takes there, and its shape.

    `public` and `private` are the kinds of key that it takes in `PUBLIC_ROLES` and in the others. `block` is the
    length in bytes of which its input must be a multiple, 1 for any. `output` is the length of a digest or a MAC, 0
    where it depends on the key. `parts` says that its input may come in parts. `parameter` says that it wants one.
    """

    mech: Mech
    number: int
    roles: tuple[Role, ...]
    public: tuple[Kind, ...] = ()
    private: tuple[Kind, ...] = ()
    block: int = 1
    output: int = 0
    parts: bool = True
    parameter: bool = False


_AES = ((Kind.AES,), (Kind.AES,))
_MAC = ((Kind.GENERIC_SECRET,), (Kind.GENERIC_SECRET,))
_RSA = ((Kind.RSA_PUBLIC,), (Kind.RSA_PRIVATE,))
_EC = ((Kind.EC_PUBLIC,), (Kind.EC_PRIVATE,))
_CIPHER = (Role.ENCRYPT, Role.DECRYPT)
_WRAP = (Role.WRAP, Role.UNWRAP)
_SIGN = (Role.SIGN, Role.VERIFY)
_RECOVER = (*_SIGN, Role.SIGN_RECOVER, Role.VERIFY_RECOVER)

MECHANISMS: Mapping[Mech, Mechanism] = {
    m.mech: m
    for m in (
        Mechanism(Mech.SHA_1, 0x220, (Role.DIGEST,), output=20),
        Mechanism(Mech.SHA256, 0x250, (Role.DIGEST,), output=32),
        Mechanism(Mech.SHA256_HMAC, 0x251, _SIGN, *_MAC, output=32),
        Mechanism(Mech.AES_ECB, 0x1081, _CIPHER, *_AES, block=16),
        Mechanism(Mech.AES_CBC, 0x1082, _CIPHER, *_AES, block=16, parameter=True),
        Mechanism(Mech.AES_CBC_PAD, 0x1085, (*_CIPHER, *_WRAP), *_AES, parameter=True),
        Mechanism(Mech.AES_CTR, 0x1086, _CIPHER, *_AES, parameter=True),
        Mechanism(Mech.AES_GCM, 0x1087, _CIPHER, *_AES, parameter=True),
        Mechanism(Mech.AES_KEY_WRAP, 0x2109, _WRAP, *_AES, block=8),
        Mechanism(Mech.RSA_PKCS, 0x1, (*_CIPHER, *_RECOVER, *_WRAP), *_RSA, parts=False),
        Mechanism(Mech.RSA_X_509, 0x3, (*_CIPHER, *_RECOVER), *_RSA, parts=False),
        Mechanism(Mech.RSA_PKCS_OAEP, 0x9, (*_CIPHER, *_WRAP), *_RSA, parts=False, parameter=True),
        Mechanism(Mech.RSA_PKCS_PSS, 0xD, _SIGN, *_RSA, parts=False, parameter=True),
        Mechanism(Mech.SHA256_RSA_PKCS, 0x40, _SIGN, *_RSA),
        Mechanism(Mech.ECDSA, 0x1041, _SIGN, *_EC, parts=False),
        Mechanism(Mech.ECDH1_DERIVE, 0x1050, (Role.DERIVE,), private=(Kind.EC_PRIVATE,), parameter=True),
        Mechanism(Mech.GENERIC_SECRET_KEY_GEN, 0x350, (Role.GENERATE_KEY,)),
        Mechanism(Mech.AES_KEY_GEN, 0x1080, (Role.GENERATE_KEY,)),
        Mechanism(Mech.RSA_PKCS_KEY_PAIR_GEN, 0x0, (Role.GENERATE_KEY_PAIR,)),
        Mechanism(Mech.EC_KEY_PAIR_GEN, 0x1040, (Role.GENERATE_KEY_PAIR,)),
    )
}

UNKNOWN_NUMBER = 0x7FFF_FFF0
"""A mechanism number that no token has, for `Mech.UNKNOWN`."""


def with_role(role: Role) -> tuple[Mech, ...]:
    """The mechanisms for one use."""
    return tuple(m.mech for m in MECHANISMS.values() if role in m.roles)


def taking(role: Role, kind: Kind) -> tuple[Mech, ...]:
    """The mechanisms that take a kind of key for one use."""
    return tuple(
        m.mech
        for m in MECHANISMS.values()
        if role in m.roles and kind in (m.public if role in PUBLIC_ROLES else m.private)
    )
