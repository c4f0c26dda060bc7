"""Attribute templates of the objects that calls make, and the attributes that calls name (chapter 4)."""

import sys
from collections.abc import Callable, Mapping
from enum import Enum, IntEnum
from functools import cache
from typing import TypeAlias

from ..model.attributes import ATTRIBUTES, GUARDED_KEYS, KEYS, KINDS, PRIVATE_KEYS, PUBLIC_KEYS, SECRET_KEYS
from ..model.call import Attribute, Flaw, Setting
from ..model.state import Kind, Trait
from . import material
from .cryptoki import ffi
from .objects import CHANGED

Template: TypeAlias = tuple[tuple[int, bytes], ...]
"""Attributes in the order that the module sees them: type and value."""


class CKA(IntEnum):
    """Attribute types that templates name (chapter 4; numbers from the published headers)."""

    CLASS = 0x000
    TOKEN = 0x001
    PRIVATE = 0x002
    LABEL = 0x003
    APPLICATION = 0x010
    VALUE = 0x011
    CERTIFICATE_TYPE = 0x080
    ISSUER = 0x081
    SERIAL_NUMBER = 0x082
    KEY_TYPE = 0x100
    SUBJECT = 0x101
    SENSITIVE = 0x103
    ENCRYPT = 0x104
    DECRYPT = 0x105
    WRAP = 0x106
    UNWRAP = 0x107
    SIGN = 0x108
    SIGN_RECOVER = 0x109
    VERIFY = 0x10A
    VERIFY_RECOVER = 0x10B
    DERIVE = 0x10C
    MODULUS = 0x120
    PRIME = 0x130
    SUBPRIME = 0x131
    BASE = 0x132
    PRIME_BITS = 0x133
    SUBPRIME_BITS = 0x134
    MODULUS_BITS = 0x121
    PUBLIC_EXPONENT = 0x122
    PRIVATE_EXPONENT = 0x123
    PRIME_1 = 0x124
    PRIME_2 = 0x125
    EXPONENT_1 = 0x126
    EXPONENT_2 = 0x127
    COEFFICIENT = 0x128
    VALUE_LEN = 0x161
    EXTRACTABLE = 0x162
    LOCAL = 0x163
    MODIFIABLE = 0x170
    COPYABLE = 0x171
    DESTROYABLE = 0x172
    EC_PARAMS = 0x180
    EC_POINT = 0x181
    PARAMETER_SET = 0x61D
    ENCAPSULATE = 0x633
    DECAPSULATE = 0x634
    ALLOWED_MECHANISMS = 0x4000_0600


def _number(attribute: Attribute) -> int:
    """The type that stands in the attribute's record.

    Raises:
        ValueError: for what is no single attribute.
    """
    number = ATTRIBUTES[attribute].number
    if number is None:
        raise ValueError(f"{attribute.name} is no single attribute, so that it has no number")
    return number


UNKNOWN_TYPE = _number(Attribute.UNKNOWN)
"""An attribute type that no one defines."""

UNIQUE_ID = b"p11conform"
"""The unique ID that no object is given."""

TRUE, FALSE = b"\1", b"\0"
KEY_BYTES = 32
"""Length of the secret keys that are generated."""
SECRET_BYTES = 64
"""Length of generic ones: no shorter than any hash, as tokens may want it for a MAC."""
DERIVED_BYTES = 16
"""Length of those that are derived: no longer than what any mechanism makes."""
ONLY_MECHANISM = 0x111
"""CKM_RC4: the one that keys which are limited to one mechanism may be used with, and no call uses."""
DSA_BITS, DH_BITS = 1024, 512
"""Lengths of the primes that are looked for, which takes the longer the longer they are."""


def number(value: int) -> bytes:
    """A CK_ULONG as the value of an attribute."""
    return value.to_bytes(ffi.sizeof("CK_ULONG"), sys.byteorder)


_USAGE: Mapping[Kind, tuple[CKA, ...]] = {
    **dict.fromkeys(PUBLIC_KEYS, (CKA.ENCRYPT, CKA.VERIFY, CKA.VERIFY_RECOVER, CKA.WRAP, CKA.DERIVE)),
    **dict.fromkeys(PRIVATE_KEYS, (CKA.DECRYPT, CKA.SIGN, CKA.SIGN_RECOVER, CKA.UNWRAP, CKA.DERIVE)),
    **dict.fromkeys(SECRET_KEYS, (CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.VERIFY, CKA.WRAP, CKA.UNWRAP, CKA.DERIVE)),
    # Of what came with v3.0 and v3.2 keys do one thing only, and are not asked for more.
    Kind.CHACHA20: (CKA.ENCRYPT, CKA.DECRYPT),
    **dict.fromkeys((Kind.EDWARDS_PUBLIC, Kind.ML_DSA_PUBLIC, Kind.SLH_DSA_PUBLIC), (CKA.VERIFY,)),
    **dict.fromkeys((Kind.EDWARDS_PRIVATE, Kind.ML_DSA_PRIVATE, Kind.SLH_DSA_PRIVATE), (CKA.SIGN,)),
    Kind.ML_KEM_PUBLIC: (CKA.ENCAPSULATE,),
    Kind.ML_KEM_PRIVATE: (CKA.DECAPSULATE,),
}
_RSA = material.RSA
_SECRET_VALUE = int.from_bytes(material.PRIVATE_VALUE)


def _group(group: material.Group) -> Template:
    """Domain parameters, as keys and parameter objects have them."""
    subprime = ((CKA.SUBPRIME, group.subprime),) if group.subprime else ()
    return ((CKA.PRIME, group.prime), *subprime, (CKA.BASE, group.base))


_DSA, _DH = _group(material.DSA), _group(material.DH)
_CONTENT: Mapping[Kind, Template] = {
    Kind.DATA: ((CKA.APPLICATION, b"p11conform"), (CKA.VALUE, b"some data")),
    Kind.CERTIFICATE: (
        (CKA.CERTIFICATE_TYPE, number(0)),
        (CKA.SUBJECT, material.NAME),
        (CKA.ISSUER, material.NAME),
        (CKA.SERIAL_NUMBER, material.SERIAL_NUMBER),
        (CKA.VALUE, material.CERTIFICATE),
    ),
    **dict.fromkeys(SECRET_KEYS, ((CKA.VALUE, material.SECRET),)),
    Kind.AES: ((CKA.VALUE, material.AES),),
    Kind.DES: ((CKA.VALUE, material.DES),),
    Kind.DES2: ((CKA.VALUE, material.DES2),),
    Kind.DES3: ((CKA.VALUE, material.DES3),),
    Kind.DSA_PUBLIC: (*_DSA, (CKA.VALUE, material.DSA.public(_SECRET_VALUE))),
    Kind.DSA_PRIVATE: (*_DSA, (CKA.VALUE, material.PRIVATE_VALUE)),
    Kind.DSA_PARAMETERS: _DSA,
    Kind.DH_PUBLIC: (*_DH, (CKA.VALUE, material.DH.public(_SECRET_VALUE))),
    Kind.DH_PRIVATE: (*_DH, (CKA.VALUE, material.PRIVATE_VALUE)),
    Kind.DH_PARAMETERS: _DH,
    Kind.RSA_PUBLIC: ((CKA.MODULUS, _RSA.modulus), (CKA.PUBLIC_EXPONENT, _RSA.public_exponent)),
    Kind.RSA_PRIVATE: (
        (CKA.MODULUS, _RSA.modulus),
        (CKA.PUBLIC_EXPONENT, _RSA.public_exponent),
        (CKA.PRIVATE_EXPONENT, _RSA.private_exponent),
        (CKA.PRIME_1, _RSA.prime_1),
        (CKA.PRIME_2, _RSA.prime_2),
        (CKA.EXPONENT_1, _RSA.exponent_1),
        (CKA.EXPONENT_2, _RSA.exponent_2),
        (CKA.COEFFICIENT, _RSA.coefficient),
    ),
    Kind.EC_PUBLIC: ((CKA.EC_PARAMS, material.P256), (CKA.EC_POINT, material.EC_POINT)),
    Kind.EC_PRIVATE: ((CKA.EC_PARAMS, material.P256), (CKA.VALUE, material.EC_SCALAR)),
}
"""What C_CreateObject gives an object of each kind beside the attributes of its class."""

_PARAMETER_SET = {Kind.ML_KEM_PUBLIC: 2, Kind.ML_DSA_PUBLIC: 2, Kind.SLH_DSA_PUBLIC: 1}
"""ML-KEM-768, ML-DSA-65 and SLH-DSA-SHA2-128s, by their numbers in the published headers."""

_OF_PAIR: Mapping[Kind, Template] = {
    Kind.RSA_PUBLIC: (
        (CKA.MODULUS_BITS, number(8 * material.MODULUS_BYTES)),
        (CKA.PUBLIC_EXPONENT, _RSA.public_exponent),
    ),
    Kind.EC_PUBLIC: ((CKA.EC_PARAMS, material.P256),),
    Kind.EDWARDS_PUBLIC: ((CKA.EC_PARAMS, material.ED25519),),
    **{kind: ((CKA.PARAMETER_SET, number(x)),) for kind, x in _PARAMETER_SET.items()},
    Kind.DSA_PUBLIC: _DSA,
    Kind.DH_PUBLIC: _DH,
}

_GENERATED: Mapping[Kind, Template] = {
    Kind.GENERIC_SECRET: ((CKA.VALUE_LEN, number(SECRET_BYTES)),),
    **dict.fromkeys((Kind.DES, Kind.DES2, Kind.DES3), ()),
    Kind.DSA_PARAMETERS: ((CKA.PRIME_BITS, number(DSA_BITS)),),
    Kind.DH_PARAMETERS: ((CKA.PRIME_BITS, number(DH_BITS)),),
}
"""What C_GenerateKey gives, where that is not the usual length."""


class Way(Enum):
    """The ways for an object to come about."""

    CREATE = "C_CreateObject"
    GENERATE = "C_GenerateKey"
    PAIR = "C_GenerateKeyPair"
    UNWRAP = "C_UnwrapKey"
    DERIVE = "C_DeriveKey"
    ENCAPSULATE = "C_EncapsulateKey"
    DECAPSULATE = "C_DecapsulateKey"


_REQUIRED: Mapping[Way, frozenset[int]] = {
    Way.CREATE: frozenset({CKA.CLASS}),
    Way.GENERATE: frozenset({CKA.VALUE_LEN}),
    Way.PAIR: frozenset({CKA.MODULUS_BITS, CKA.EC_PARAMS, CKA.PARAMETER_SET}),
    Way.UNWRAP: frozenset({CKA.KEY_TYPE}),
    Way.DERIVE: frozenset({CKA.KEY_TYPE}),
    Way.ENCAPSULATE: frozenset({CKA.KEY_TYPE}),
    Way.DECAPSULATE: frozenset({CKA.KEY_TYPE}),
}
"""What `Flaw.MISSING` leaves out. Of a pair it is in the public template: the private one needs nothing."""


def _content(way: Way, kind: Kind) -> Template:
    if way is Way.CREATE:
        return _CONTENT[kind]
    if way is Way.PAIR:
        return _OF_PAIR.get(kind, ())
    # The length of a key that is unwrapped comes with it: note 6 of 4.10 bars it from the template. So does that of a
    # secret that is encapsulated.
    if way in (Way.UNWRAP, Way.ENCAPSULATE, Way.DECAPSULATE):
        return ()
    if way is Way.DERIVE:
        return ((CKA.VALUE_LEN, number(DERIVED_BYTES)),)
    return _GENERATED.get(kind, ((CKA.VALUE_LEN, number(KEY_BYTES)),))


_TRAITS: Mapping[Trait, Callable[[Kind], dict[int, bytes]]] = {
    Trait.PLAIN: lambda _: {},
    Trait.NO_USAGE: lambda kind: dict.fromkeys(_USAGE[kind], FALSE),
    Trait.SENSITIVE: lambda _: {CKA.SENSITIVE: TRUE},
    Trait.UNEXTRACTABLE: lambda _: {CKA.EXTRACTABLE: FALSE},
    Trait.UNMODIFIABLE: lambda _: {CKA.MODIFIABLE: FALSE},
    Trait.UNCOPYABLE: lambda _: {CKA.COPYABLE: FALSE},
    Trait.UNDESTROYABLE: lambda _: {CKA.DESTROYABLE: FALSE},
    Trait.LIMITED: lambda _: {CKA.ALLOWED_MECHANISMS: number(ONLY_MECHANISM)},
}


def can_have(kind: Kind, trait: Trait) -> bool:
    """Whether objects of a kind have the attribute that the trait is about."""
    if trait in (Trait.SENSITIVE, Trait.UNEXTRACTABLE):
        return kind in GUARDED_KEYS
    return trait not in (Trait.NO_USAGE, Trait.LIMITED) or kind in KEYS


def template(way: Way, kind: Kind, label: bytes, *, token: bool, private: bool, trait: Trait) -> Template:
    """The template of a new object, without a flaw; a trait that its kind cannot have changes nothing.

    CKA_MODIFIABLE, CKA_COPYABLE and CKA_DESTROYABLE are TRUE by default, and only named where they are not: modules of
    older versions do not know them all.
    """
    plain: dict[int, bytes] = {CKA.CLASS: number(KINDS[kind].cls.value)}
    if (key_type := KINDS[kind].key_type) is not None:
        plain[CKA.KEY_TYPE] = number(key_type)
        plain |= dict.fromkeys(_USAGE.get(kind, ()), TRUE)
    if kind in GUARDED_KEYS:
        plain |= {CKA.SENSITIVE: FALSE, CKA.EXTRACTABLE: TRUE}
    special = _TRAITS[trait](kind) if can_have(kind, trait) else {}
    return tuple({**plain, **_place(label, token, private), **dict(_content(way, kind)), **special}.items())


def copy_template(
    attribute: Attribute, setting: Setting, kind: Kind, label: bytes, *, token: bool, private: bool
) -> Template:
    """The template of a copy of an object of a kind: where it goes, its label, and one attribute more."""
    place, more = _place(label, token, private), dict(settings(attribute, setting, kind, label))
    # A legal CKA_TOKEN or CKA_PRIVATE is there already; an illegal one takes its place.
    both = {**more, **place} if setting is Setting.LEGAL else {**place, **more}
    return tuple({**both, CKA.LABEL: label}.items())


def _place(label: bytes, token: bool, private: bool) -> dict[int, bytes]:
    return {CKA.TOKEN: TRUE if token else FALSE, CKA.PRIVATE: TRUE if private else FALSE, CKA.LABEL: label}


def without_required(given: Template, way: Way) -> Template:
    """A template less what must be in it."""
    return tuple((name, value) for name, value in given if name not in _REQUIRED[way])


def flawed(given: Template, flaw: Flaw, kind: Kind) -> Template:
    """A template with its flaw, but for MISSING (see `without_required`) and NULL, which is for the call to make."""
    attributes = dict(given)
    if flaw is Flaw.EMPTY:
        return ()
    if flaw in _INSTEAD:
        return tuple({**attributes, **_INSTEAD[flaw](kind)}.items())
    if flaw in _AGAIN:
        return (*given, (CKA.LABEL, _AGAIN[flaw](attributes[CKA.LABEL])))
    return given


def _inconsistent(kind: Kind) -> dict[int, bytes]:
    """A key type that fits neither the class nor the mechanism."""
    return {CKA.KEY_TYPE: number(KINDS[Kind.RSA_PUBLIC if kind in SECRET_KEYS else Kind.AES].key_type or 0)}


def _foreign(kind: Kind) -> CKA:
    return CKA.CERTIFICATE_TYPE if kind in (Kind.RSA_PUBLIC, Kind.RSA_PRIVATE) else CKA.MODULUS


_INSTEAD: Mapping[Flaw, Callable[[Kind], dict[int, bytes]]] = {
    Flaw.UNKNOWN_TYPE: lambda _: {UNKNOWN_TYPE: TRUE},
    Flaw.BAD_VALUE: lambda _: {CKA.MODIFIABLE: TRUE * 2},
    Flaw.READ_ONLY: lambda _: {CKA.LOCAL: TRUE},
    Flaw.INCONSISTENT: _inconsistent,
    Flaw.FOREIGN: lambda kind: {_foreign(kind): number(0)},
    Flaw.VALUE_LEN: lambda _: {CKA.VALUE_LEN: number(KEY_BYTES - 1)},
    Flaw.UNIQUE_ID: lambda _: {_number(Attribute.UNIQUE_ID): UNIQUE_ID},
}
_AGAIN: Mapping[Flaw, Callable[[bytes], bytes]] = {
    Flaw.TWICE: lambda label: label,
    Flaw.TWO_VALUES: lambda label: label + CHANGED,
}


@cache
def types(attribute: Attribute, kind: Kind) -> tuple[int, ...]:
    """The attribute types that a call names on an object of a kind."""
    return tuple(_type(a, kind) for a in (_SEVERAL if attribute is Attribute.SEVERAL else (attribute,)))


def _type(attribute: Attribute, kind: Kind) -> int:
    """The number in the attribute's record, but for those that stand for another attribute of each kind."""
    if attribute is Attribute.FOREIGN:
        return _foreign(kind)
    if attribute is Attribute.VALUE:
        return _VALUE.get(kind, CKA.VALUE)
    return _number(attribute)


def settings(attribute: Attribute, setting: Setting, kind: Kind, label: bytes) -> Template:
    """What C_SetAttributeValue is given for an object of a kind; an illegal value is one byte too long.

    Booleans that change one way only are set that way, or back, the label is the one given with `CHANGED`, and what
    cannot be set is set to what a plain object of the kind has.
    """
    if attribute is Attribute.SEVERAL:
        return tuple(pair for a in _SET_TOGETHER for pair in settings(a, setting, kind, label))
    (name,) = types(attribute, kind)
    if attribute is Attribute.LABEL:
        return ((name, label + CHANGED),)
    legal = _LEGAL.get(attribute, TRUE)
    if attribute is Attribute.CLASS:
        legal = number(KINDS[kind].cls.value)
    if attribute is Attribute.VALUE:
        legal = dict(_CONTENT.get(kind, ())).get(name, b"\0")
    if setting is Setting.BACK:
        return ((name, FALSE if legal == TRUE else TRUE),)
    return ((name, legal if setting is Setting.LEGAL else legal + b"\0"),)


_SEVERAL = (Attribute.CLASS, Attribute.UNKNOWN, Attribute.LABEL)
_SET_TOGETHER = (Attribute.LABEL, Attribute.UNKNOWN)
"""The one that can be set comes first: a module that goes through them in turn has it when it finds the other."""
_VALUE = {
    Kind.RSA_PRIVATE: CKA.PRIVATE_EXPONENT,
    Kind.RSA_PUBLIC: CKA.MODULUS,
    Kind.EC_PUBLIC: CKA.EC_POINT,
    **dict.fromkeys((Kind.DSA_PARAMETERS, Kind.DH_PARAMETERS), CKA.PRIME),
}
_LEGAL: Mapping[Attribute, bytes] = {
    Attribute.TOKEN: FALSE,
    Attribute.PRIVATE: FALSE,
    Attribute.EXTRACTABLE: FALSE,
    Attribute.FOREIGN: number(0),
    Attribute.UNIQUE_ID: UNIQUE_ID,
}
"""Values of attributes that a call sets, where it is not TRUE nor depends on the object."""


def read(attribute: Attribute, value: bytes, label: bytes) -> int | None:
    """An attribute's value as the output `value` has it, None where it is not for the model; -1 for nonsense.

    The label, which was `label` at first, is 0 unchanged and 1 changed.
    """
    if attribute is Attribute.LABEL:
        return {label: 0, label + CHANGED: 1}.get(value, -1)
    if attribute is Attribute.CLASS:
        return int.from_bytes(value, sys.byteorder) if len(value) == len(number(0)) else -1
    if ATTRIBUTES[attribute].boolean:
        return {FALSE: 0, TRUE: 1}.get(value, -1)
    return None
