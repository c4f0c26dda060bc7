"""Facts about mechanisms, as data: what each is for, which keys it takes, and which lengths (PKCS#11 mechanisms v2.40).

Conditions ask the tuples of this file with `in`, so that they lift: a mechanism in a rule may be a symbol.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .state import ROLES, Kind, Mech
from .state import Role as Role
from .vocabulary import CKF

PUBLIC_ROLES = (Role.ENCRYPT, Role.VERIFY, Role.VERIFY_RECOVER, Role.WRAP)
"""Roles that take the public half of a pair."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One mechanism: its number, the kinds of key that it takes in its roles, and its shape.

    `public` and `private` are the kinds of key that it takes in `PUBLIC_ROLES` and in the others. `block` is the
    length in bytes of which its input must be a multiple, 1 for any. `output` is the length of a digest or a MAC, 0
    where it depends on the key. `parts` says that its input may come in parts. `parameter` says that it wants one.
    """

    mech: Mech
    number: int
    public: tuple[Kind, ...] = ()
    private: tuple[Kind, ...] = ()
    block: int = 1
    output: int = 0
    parts: bool = True
    parameter: bool = False

    @property
    def roles(self) -> tuple[Role, ...]:
        """What it is for, as far as the model follows it."""
        return dict(ROLES)[self.mech]


_AES = ((Kind.AES,), (Kind.AES,))
_MAC = ((Kind.GENERIC_SECRET,), (Kind.GENERIC_SECRET,))
_RSA = ((Kind.RSA_PUBLIC,), (Kind.RSA_PRIVATE,))
_EC = ((Kind.EC_PUBLIC,), (Kind.EC_PRIVATE,))

MECHANISMS: Mapping[Mech, Mechanism] = {
    m.mech: m
    for m in (
        Mechanism(Mech.SHA_1, 0x220, output=20),
        Mechanism(Mech.SHA256, 0x250, output=32),
        Mechanism(Mech.SHA256_HMAC, 0x251, *_MAC, output=32),
        Mechanism(Mech.AES_ECB, 0x1081, *_AES, block=16),
        Mechanism(Mech.AES_CBC, 0x1082, *_AES, block=16, parameter=True),
        Mechanism(Mech.AES_CBC_PAD, 0x1085, *_AES, parameter=True),
        Mechanism(Mech.AES_CTR, 0x1086, *_AES, parameter=True),
        Mechanism(Mech.AES_GCM, 0x1087, *_AES, parameter=True),
        Mechanism(Mech.AES_KEY_WRAP, 0x2109, *_AES, block=8),
        Mechanism(Mech.RSA_PKCS, 0x1, *_RSA, parts=False),
        Mechanism(Mech.RSA_X_509, 0x3, *_RSA, parts=False),
        Mechanism(Mech.RSA_PKCS_OAEP, 0x9, *_RSA, parts=False, parameter=True),
        Mechanism(Mech.RSA_PKCS_PSS, 0xD, *_RSA, parts=False, parameter=True),
        Mechanism(Mech.SHA256_RSA_PKCS, 0x40, *_RSA),
        Mechanism(Mech.ECDSA, 0x1041, *_EC, parts=False),
        Mechanism(Mech.ECDH1_DERIVE, 0x1050, private=(Kind.EC_PRIVATE,), parameter=True),
        Mechanism(Mech.GENERIC_SECRET_KEY_GEN, 0x350),
        Mechanism(Mech.AES_KEY_GEN, 0x1080),
        Mechanism(Mech.RSA_PKCS_KEY_PAIR_GEN, 0x0),
        Mechanism(Mech.EC_KEY_PAIR_GEN, 0x1040),
    )
}

_OTHERS_THAT_WRAP = (Mech.AES_ECB, Mech.AES_CBC, Mech.AES_CTR, Mech.AES_GCM, Mech.RSA_X_509)

NOT_FOLLOWED: Mapping[Role, tuple[Mech, ...]] = {
    Role.ENCRYPT: (Mech.AES_KEY_WRAP,),
    Role.DECRYPT: (Mech.AES_KEY_WRAP,),
    Role.WRAP: _OTHERS_THAT_WRAP,
    Role.UNWRAP: _OTHERS_THAT_WRAP,
}
"""Mechanisms that the text, or a later version of it, lets serve a role in which the model does not follow them."""

FLAGS: Mapping[Role, CKF] = {role: CKF[role.name] for role in Role}
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
}
"""Names of the roles in conditions."""

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
