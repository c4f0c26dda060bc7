"""Attributes and kinds of object, each told once: a record an attribute, a record a kind (4.1 to 4.10).

What conditions ask is derived from the records, as tuples, so that it lifts. An attribute or a kind is added by its
record, and its member of `Attribute` or `Kind`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache

from .call import Attribute
from .mechanisms import MESSAGE_ROLES, Mech, Role, told_apart_by
from .state import Kind, Slot
from .vocabulary import Version


class Class(Enum):
    """Classes of object, by the number of their CKO_ constant."""

    DATA = 0
    CERTIFICATE = 1
    PUBLIC_KEY = 2
    PRIVATE_KEY = 3
    SECRET_KEY = 4
    DOMAIN_PARAMETERS = 6


@dataclass(frozen=True, slots=True)
class KindFacts:
    """A kind of object: its class, and the CKK_ number of a key.

    CKA_SENSITIVE and CKA_EXTRACTABLE guard the value of one that is `guarded` (note 7 of 4.2). `half_of` is the kind
    of the other half, for the public half of a pair. `like` is the kind that stands for it where sequences are looked
    for: rows say the same of both, but for the mechanisms that take them. `since` is the version that brought it; what
    came after v2.40 is generated, and never created, as there is no material of it here. `sized` says that a parameter
    set says how large it is, of which a token need not know every one.
    """

    kind: Kind
    cls: Class
    place: str
    key_type: int | None = None
    guarded: bool = False
    half_of: Kind | None = None
    since: Version = Version.V2_01
    sized: bool = False
    like: Kind | None = None


_V3_0, _V3_2 = Version.V3_0, Version.V3_2

KINDS: Mapping[Kind, KindFacts] = {
    k.kind: k
    for k in (
        KindFacts(Kind.DATA, Class.DATA, "4.5"),
        KindFacts(Kind.CERTIFICATE, Class.CERTIFICATE, "4.6"),
        KindFacts(Kind.GENERIC_SECRET, Class.SECRET_KEY, "4.10", 0x10, guarded=True),
        KindFacts(Kind.AES, Class.SECRET_KEY, "4.10", 0x1F, guarded=True),
        KindFacts(Kind.RSA_PUBLIC, Class.PUBLIC_KEY, "4.8", 0x00, half_of=Kind.RSA_PRIVATE),
        KindFacts(Kind.RSA_PRIVATE, Class.PRIVATE_KEY, "4.9", 0x00, guarded=True),
        KindFacts(Kind.EC_PUBLIC, Class.PUBLIC_KEY, "4.8", 0x03, half_of=Kind.EC_PRIVATE),
        KindFacts(Kind.EC_PRIVATE, Class.PRIVATE_KEY, "4.9", 0x03, guarded=True),
        KindFacts(
            Kind.EDWARDS_PUBLIC, Class.PUBLIC_KEY, "2.3 of v3.0", 0x40, half_of=Kind.EDWARDS_PRIVATE, since=_V3_0
        ),
        KindFacts(Kind.EDWARDS_PRIVATE, Class.PRIVATE_KEY, "2.3 of v3.0", 0x40, guarded=True, since=_V3_0),
        KindFacts(Kind.CHACHA20, Class.SECRET_KEY, "2.53 of v3.0", 0x33, guarded=True, since=_V3_0),
        KindFacts(
            Kind.ML_KEM_PUBLIC,
            Class.PUBLIC_KEY,
            "6.68 of v3.2",
            0x49,
            half_of=Kind.ML_KEM_PRIVATE,
            since=_V3_2,
            sized=True,
        ),
        KindFacts(Kind.ML_KEM_PRIVATE, Class.PRIVATE_KEY, "6.68 of v3.2", 0x49, guarded=True, since=_V3_2, sized=True),
        KindFacts(
            Kind.ML_DSA_PUBLIC,
            Class.PUBLIC_KEY,
            "6.67 of v3.2",
            0x4A,
            half_of=Kind.ML_DSA_PRIVATE,
            since=_V3_2,
            sized=True,
        ),
        KindFacts(Kind.ML_DSA_PRIVATE, Class.PRIVATE_KEY, "6.67 of v3.2", 0x4A, guarded=True, since=_V3_2, sized=True),
        KindFacts(
            Kind.SLH_DSA_PUBLIC,
            Class.PUBLIC_KEY,
            "6.69 of v3.2",
            0x4B,
            half_of=Kind.SLH_DSA_PRIVATE,
            since=_V3_2,
            sized=True,
        ),
        KindFacts(Kind.SLH_DSA_PRIVATE, Class.PRIVATE_KEY, "6.69 of v3.2", 0x4B, guarded=True, since=_V3_2, sized=True),
        *(
            KindFacts(kind, Class.SECRET_KEY, "4.10", key_type, guarded=True, like=Kind.AES)
            for kind, key_type in ((Kind.DES, 0x13), (Kind.DES2, 0x14), (Kind.DES3, 0x15))
        ),
        *(
            facts
            for public, private, key_type in (
                (Kind.DSA_PUBLIC, Kind.DSA_PRIVATE, 0x01),
                (Kind.DH_PUBLIC, Kind.DH_PRIVATE, 0x02),
            )
            for facts in (
                KindFacts(public, Class.PUBLIC_KEY, "4.8", key_type, half_of=private, like=Kind.EC_PUBLIC),
                KindFacts(private, Class.PRIVATE_KEY, "4.9", key_type, guarded=True, like=Kind.EC_PRIVATE),
            )
        ),
        KindFacts(Kind.DSA_PARAMETERS, Class.DOMAIN_PARAMETERS, "4.11", 0x01, like=Kind.DATA),
        KindFacts(Kind.DH_PARAMETERS, Class.DOMAIN_PARAMETERS, "4.11", 0x02, like=Kind.DATA),
    )
}


def _of(*classes: Class) -> tuple[Kind, ...]:
    return tuple(k.kind for k in KINDS.values() if k.cls in classes)


SECRET_KEYS = _of(Class.SECRET_KEY)
PRIVATE_KEYS = _of(Class.PRIVATE_KEY)
PUBLIC_KEYS = _of(Class.PUBLIC_KEY)
CREATED = tuple(k.kind for k in KINDS.values() if k.since <= Version.V2_40)
"""Kinds that C_CreateObject is asked for."""
SIZED = tuple(k.kind for k in KINDS.values() if k.sized)
"""Kinds of key that a parameter set describes."""
KEYS = _of(Class.SECRET_KEY, Class.PUBLIC_KEY, Class.PRIVATE_KEY)
NOT_KEYS = tuple(kind for kind in KINDS if kind not in KEYS)
PLAIN_KINDS = tuple(k.kind for k in KINDS.values() if k.like is None)
"""Kinds for which sequences are looked for."""
_CURVED = frozenset({Kind.EC_PUBLIC, Kind.EC_PRIVATE, Kind.EDWARDS_PUBLIC, Kind.EDWARDS_PRIVATE})
CURVED = tuple(k.kind for k in KINDS.values() if not _CURVED.isdisjoint({k.kind, k.like}))
"""Kinds of key that lie in a group, which domain parameters choose."""
GUARDED_KEYS = tuple(k.kind for k in KINDS.values() if k.guarded)
"""Kinds whose value CKA_SENSITIVE and CKA_EXTRACTABLE guard (note 7 of 4.2)."""
PAIRS = tuple((k.kind, k.half_of) for k in KINDS.values() if k.half_of is not None)
"""The halves of pairs, the public one first."""
CLASS_NUMBERS = tuple((k.kind, k.cls.value) for k in KINDS.values())
"""CKA_CLASS of each kind."""


@dataclass(frozen=True, slots=True)
class AttributeFacts:
    """An attribute: its CKA_ number, the kinds that have it, and what may be done with it.

    `number` is None for what is no single attribute. No application may change one that is `read_only` on any object
    (4.1.2, 4.4); one that is `one_way` changes in one direction only (notes 11 and 12 of 4.2). `guarded` says that
    note 7 hides it. `boolean` says that its value is a CK_BBOOL.
    """

    attribute: Attribute
    number: int | None
    kinds: tuple[Kind, ...]
    place: str
    read_only: bool = False
    one_way: bool = False
    guarded: bool = False
    boolean: bool = False


_EVERYWHERE = tuple(KINDS)
ATTRIBUTES: Mapping[Attribute, AttributeFacts] = {
    x.attribute: x
    for x in (
        AttributeFacts(Attribute.LABEL, 0x003, _EVERYWHERE, "4.4 CKA_LABEL"),
        AttributeFacts(Attribute.CLASS, 0x000, _EVERYWHERE, "4.2 CKA_CLASS", read_only=True),
        AttributeFacts(Attribute.TOKEN, 0x001, _EVERYWHERE, "4.4 CKA_TOKEN", boolean=True),
        AttributeFacts(Attribute.PRIVATE, 0x002, _EVERYWHERE, "4.4 CKA_PRIVATE", boolean=True),
        # CKA_VALUE, or for some kinds another attribute that holds what they are: see `Attribute`.
        AttributeFacts(Attribute.VALUE, 0x011, _EVERYWHERE, "4.2 note 7", guarded=True),
        AttributeFacts(Attribute.SENSITIVE, 0x103, GUARDED_KEYS, "4.9, 4.10 CKA_SENSITIVE", one_way=True, boolean=True),
        AttributeFacts(
            Attribute.EXTRACTABLE, 0x162, GUARDED_KEYS, "4.9, 4.10 CKA_EXTRACTABLE", one_way=True, boolean=True
        ),
        AttributeFacts(Attribute.MODIFIABLE, 0x170, _EVERYWHERE, "4.4 CKA_MODIFIABLE", boolean=True),
        AttributeFacts(Attribute.LOCAL, 0x163, KEYS, "4.7 CKA_LOCAL", read_only=True, boolean=True),
        AttributeFacts(Attribute.UNIQUE_ID, 0x004, _EVERYWHERE, "4.4 of v3.0 CKA_UNIQUE_ID"),
        AttributeFacts(Attribute.FOREIGN, None, (), "4.1.1 rule 5"),
        AttributeFacts(Attribute.UNKNOWN, 0x7FFF_FFF0, (), "4.1.1 rule 1"),
        AttributeFacts(Attribute.SEVERAL, None, (), "5.7 C_GetAttributeValue"),
    )
}


def possesses(kind: Kind, attribute: Attribute) -> bool:
    """Whether objects of a kind have an attribute (4.4 to 4.9); in a form that lifts."""
    return any(attribute == x.attribute and any(kind == k for k in x.kinds) for x in ATTRIBUTES.values() if x.kinds)


def is_read_only(attribute: Attribute) -> bool:
    """Whether no application may change the attribute on any object (4.1.2, 4.4)."""
    return any(attribute == x.attribute for x in ATTRIBUTES.values() if x.read_only)


def is_one_way(attribute: Attribute) -> bool:
    """Whether the attribute changes in one direction only (notes 11 and 12 of 4.2)."""
    return any(attribute == x.attribute for x in ATTRIBUTES.values() if x.one_way)


def is_guarded(attribute: Attribute) -> bool:
    """Whether note 7 of 4.2 hides the attribute of an object that is sensitive or unextractable."""
    return any(attribute == x.attribute for x in ATTRIBUTES.values() if x.guarded)


def stands_for(kind: Kind) -> Kind:
    """The kind that a search looks at in place of this one."""
    return KINDS[kind].like or kind


@cache
def _offered(mechanisms: tuple[Mech, ...], abilities: tuple[tuple[Mech, Role], ...]) -> Mapping[Mech, frozenset[Role]]:
    """For each mechanism of a token the roles that it is offered for, message-based ones left out."""
    roles: dict[Mech, set[Role]] = {mech: set() for mech in mechanisms}
    for mech, role in abilities:
        if mech in roles and role not in MESSAGE_ROLES:
            roles[mech].add(role)
    return {mech: frozenset(found) for mech, found in roles.items()}


def class_of(mech: Mech, slots: Iterable[Slot]) -> tuple[object, ...]:
    """What tells a mechanism from others in rows and on the tokens of some slots."""
    offered = tuple(_offered(slot.mechanisms, slot.abilities).get(mech) for slot in slots)
    return (told_apart_by(mech, stands_for), offered)


def one_of_each_class(mechanisms: Iterable[Mech], slots: Sequence[Slot]) -> Iterable[Mech]:
    """A mechanism of each class that some are of: the first whose keys are of plain kinds, if any are."""
    chosen: dict[tuple[object, ...], Mech] = {}
    for mech in mechanisms:
        known = chosen.setdefault(class_of(mech, slots), mech)
        if _of_plain_kinds(mech) and not _of_plain_kinds(known):
            chosen[class_of(mech, slots)] = mech
    return chosen.values()


def _of_plain_kinds(mech: Mech) -> bool:
    facts = mech.facts
    return {*facts.makes, *facts.public, *facts.private} <= {*PLAIN_KINDS}
