"""Facts about attributes and templates, as data (4.1 to 4.10).

Conditions ask these tuples with `in`, so that they lift.
"""

from .call import Attribute
from .state import Kind

SECRET_KEYS = (Kind.GENERIC_SECRET, Kind.AES)
PRIVATE_KEYS = (Kind.RSA_PRIVATE, Kind.EC_PRIVATE)
PUBLIC_KEYS = (Kind.RSA_PUBLIC, Kind.EC_PUBLIC)
PAIRS = ((Kind.RSA_PUBLIC, Kind.RSA_PRIVATE), (Kind.EC_PUBLIC, Kind.EC_PRIVATE))
GUARDED_KEYS = (*SECRET_KEYS, *PRIVATE_KEYS)
"""Kinds whose value CKA_SENSITIVE and CKA_EXTRACTABLE guard (note 7 of the attribute tables)."""

KEYS = (*GUARDED_KEYS, *PUBLIC_KEYS)

EVERYWHERE = (
    Attribute.LABEL,
    Attribute.CLASS,
    Attribute.TOKEN,
    Attribute.PRIVATE,
    Attribute.MODIFIABLE,
    Attribute.VALUE,
)
"""Attributes that every kind has; VALUE stands for the one that holds what the kind is."""

OF_KEYS = (Attribute.LOCAL,)
OF_GUARDED_KEYS = (Attribute.SENSITIVE, Attribute.EXTRACTABLE)

READ_ONLY = (Attribute.CLASS, Attribute.LOCAL)
"""Attributes that no application may change on any object (4.1.2, 4.4)."""

ONE_WAY = (Attribute.SENSITIVE, Attribute.EXTRACTABLE)
"""Attributes that change in one direction only (notes 11 and 12)."""

CLASS_NUMBERS = (
    (Kind.DATA, 0),
    (Kind.CERTIFICATE, 1),
    (Kind.RSA_PUBLIC, 2),
    (Kind.EC_PUBLIC, 2),
    (Kind.RSA_PRIVATE, 3),
    (Kind.EC_PRIVATE, 3),
    (Kind.GENERIC_SECRET, 4),
    (Kind.AES, 4),
)
"""CKA_CLASS of each kind: CKO_DATA, CKO_CERTIFICATE, CKO_PUBLIC_KEY, CKO_PRIVATE_KEY, CKO_SECRET_KEY."""
