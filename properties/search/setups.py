"""Places worth looking around from: short ways to states in which objects and operations can be tested.

The search of `cover` finds its own way through sessions and logins; objects and operations need longer ways than it
can walk, so the ways to them are given, and each is followed on the model before it is used.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from ...model.attributes import CREATED, KINDS, PLAIN_KINDS, one_of_each_class
from ...model.call import Args, Attribute, Buffer, Call, Data, InitArgs, Many, Want, altered
from ...model.chapters import digests, dual, general, randomness, searches, sessions, slots
from ...model.chapters.messages import MESSAGINGS, Messaging
from ...model.chapters.operations import VERIFYING_SIGNATURE
from ...model.environment import EVENTS
from ...model.mechanisms import MECHANISMS, PUBLIC_ROLES, Mechanism, with_role
from ...model.oracle import Model, following, in_scope, may_succeed
from ...model.state import Exposed, Kind, Mech, Messages, Pin, Role, State, Trait
from ...model.table import TABLE, functions_where
from ...model.vocabulary import CKR, CKU
from ..engine.verdict import one_of

Way = tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A state worth looking around from: a way to it, and the functions worth trying there."""

    way: Way
    functions: frozenset[str]


def plain(function: str, **given: Any) -> Call:
    """A call with the harmless arguments, but for those that are given."""
    return Call(function, replace(Args(), **given))


BEGIN: Way = (plain("C_Initialize", init=InitArgs.NULL), plain("C_OpenSession"))
USER: Way = (*BEGIN, plain("C_Login"))
READ_ONLY_BESIDE = plain("C_OpenSession", rw=False)
AES: Way = (plain("C_GenerateKey", mechanism=Mech.AES_KEY_GEN),)
SECRET: Way = (plain("C_GenerateKey", mechanism=Mech.GENERIC_SECRET_KEY_GEN),)
RSA: Way = (plain("C_CreateObject", kind=Kind.RSA_PUBLIC), plain("C_CreateObject", kind=Kind.RSA_PRIVATE))
"""An imported pair: making one takes a token a tenth of a second and more."""

IMPORTED_SECRET: Way = (plain("C_CreateObject", kind=Kind.GENERIC_SECRET),)
"""Of a length that mechanisms may refuse."""

EC: Way = (plain("C_GenerateKeyPair", mechanism=Mech.EC_KEY_PAIR_GEN),)

_GENERATED = {kind for call in (*AES, *SECRET, *EC) for kind in call.args.mechanism.facts.makes}
_CREATED = tuple(kind for kind in PLAIN_KINDS if kind in CREATED and kind not in _GENERATED)
"""Kinds of which an object is not generated at once, so that one is created."""

GENERATORS: Mapping[Role, str] = {Role.GENERATE: "C_GenerateKey", Role.GENERATE_KEY_PAIR: "C_GenerateKeyPair"}
"""The functions that make keys or domain parameters of nothing."""

_MAKERS = {
    Kind.AES: AES,
    Kind.GENERIC_SECRET: SECRET,
    Kind.RSA_PUBLIC: RSA,
    Kind.EC_PUBLIC: EC,
    **{
        m.makes[0]: (plain(GENERATORS[m.roles[0]], mechanism=m.mech),)
        for m in MECHANISMS.values()
        if m.makes and m.makes[0] not in CREATED
    },
}


def _verb(role: Role) -> str:
    """What names of functions call a role."""
    return "".join(word.capitalize() for word in role.name.split("_"))


_ENDINGS = ("Init", "", "Update", "Final")
"""How the names of an operation's functions end, in the order of their calls: to begin, at once, a part, the rest."""

_ROLES: Mapping[Role, tuple[str, ...]] = {
    role: tuple(name for ending in _ENDINGS if (name := f"C_{_verb(role)}{ending}") in TABLE)
    for role in Role
    if role not in (Role.DIGEST, *(m.role for m in MESSAGINGS)) and f"C_{_verb(role)}Init" in TABLE
}
"""The functions of each operation with a key."""

BEFORE: Mapping[Role, Role] = {
    Role.DECRYPT: Role.ENCRYPT,
    Role.VERIFY: Role.SIGN,
    Role.VERIFY_RECOVER: Role.SIGN_RECOVER,
}
"""The role whose output another one takes."""

SIGNATURES_GIVEN = frozenset(name for name in TABLE if name.startswith(VERIFYING_SIGNATURE.stem))
"""Functions that verify a signature that they are given first."""

FUNCTIONS_OF: Mapping[Role, tuple[str, ...]] = {
    **_ROLES,
    Role.DIGEST: tuple(f"C_{_verb(Role.DIGEST)}{ending}" for ending in _ENDINGS),
}
"""The functions of each kind of operation, that which begins it first."""

OPERATIONS = frozenset(name for names in _ROLES.values() for name in names) | SIGNATURES_GIVEN
DIGESTS = frozenset(f.name for f in digests.FUNCTIONS)
DUAL = frozenset(f.name for f in dual.FUNCTIONS)
SEARCHES = frozenset(f.name for f in searches.FUNCTIONS)
STATES = functions_where(lambda f: any(p.name == "pOperationState" for p in f.signature.parameters))
MAKING = functions_where(lambda f: "trait" in f.uses)
KEYED = functions_where(lambda f: "key" in f.uses)
OBJECTS = SEARCHES | functions_where(lambda f: "object" in f.uses)
BEGINNING = functions_where(lambda f: any(id.endswith("-begun") for id in f.happens))
"""Functions that begin an operation."""

_GOING_ON = {name: name.removesuffix("Init") for name in BEGINNING} | {m.init: m.final for m in MESSAGINGS}
"""What does at once all that was begun, or ends it."""

LOGGING_IN = functions_where(lambda f: "user" in f.uses)
CANCELLING = functions_where(lambda f: "cancel" in f.uses)

_WRAPPING = frozenset(f"C_{_verb(role)}Key" for role in (Role.WRAP, Role.UNWRAP))
_SEALING = frozenset(f"C_{verb}KeyAuthenticated" for verb in ("Wrap", "Unwrap"))
_CAPSULES = frozenset(f"C_{_verb(role)}Key" for role in (Role.ENCAPSULATE, Role.DECAPSULATE))
_READING = functions_where(lambda f: "object" in f.uses and not f.effects)


def going_on(way: Way) -> Way:
    """A call that tells whether the operation is still there that a way begins last; none where it begins none last."""
    last = way[-1] if way else None
    if last is None or last.function not in _GOING_ON:
        return ()
    return (plain(_GOING_ON[last.function], session=last.args.session),)


_OF_SESSIONS = frozenset(f.name for chapter in (general, slots, sessions) for f in chapter.FUNCTIONS)
"""Functions that the search finds its own way to."""

_OF_MESSAGES: Mapping[Messages, frozenset[str]] = {
    m.kind: frozenset((m.init, m.whole, m.begin, m.next, m.final)) for m in MESSAGINGS
}

_ENDING = functions_where(lambda f: not {"logged-out", "session-closed", "sessions-closed"}.isdisjoint(f.happens))
"""Functions that end what others rest on."""

SMALL = {*TABLE} - _OF_SESSIONS - OPERATIONS - DIGESTS - DUAL - MAKING - KEYED - OBJECTS | _ENDING
"""Functions that are of no other family, and those that end what others rest on."""

PENDING = tuple(name for name in EVENTS if name.endswith("-in-next-call"))
"""Events that show in the next call, whichever it is."""

_AFTER: Mapping[str, str] = {
    "token-inserted": "token-removed",
    "blank-token-inserted": "token-removed",
    "unknown-token-inserted": "token-removed",
    "token-writable-again": "token-write-protected",
    "device-starts-again": "device-stops",
}
"""Events that only follow another one."""

TROUBLED = frozenset(f.name for chapter in (slots, randomness) for f in chapter.FUNCTIONS)
"""Functions by which they are looked at."""

EVERYWHERE = MAKING | KEYED | OBJECTS | DIGESTS | SMALL | BEGINNING


_OTHERS_STAND = tuple(m for m in MECHANISMS if any(KINDS[k].like for k in (*m.facts.public, *m.facts.private)))
"""Mechanisms whose keys no sequence is looked for with."""


def _maker(m: Mechanism) -> Way:
    kinds = m.public or m.private
    return next(maker for kind, maker in _MAKERS.items() if kind in kinds)


def _init(m: Mechanism, role: Role) -> Call:
    pair = m.public != m.private
    return plain(_ROLES[role][0], mechanism=m.mech, key=0 if role in PUBLIC_ROLES or not pair else 1)


def begun(m: Mechanism, role: Role) -> Way:
    """A way to where a user has begun an operation by a mechanism, with what it takes made before."""
    start = (*USER, *_maker(m))
    if role in BEFORE:
        first = BEFORE[role]
        start = (*start, _init(m, first), plain(_ROLES[first][1]))
    return (*start, _init(m, role))


def _operations(initial: State) -> Iterator[Place]:
    for m in (mech.facts for mech in one_of_each_class(MECHANISMS, initial.slots)):
        if m.mech in _OTHERS_STAND:
            continue
        for role in (r for r in m.roles if r in _ROLES):
            names = frozenset(_ROLES[role])
            _, whole, *parts = _ROLES[role]
            way = begun(m, role)
            # Each kind of operation is looked at from its first mechanism with all that might go wrong beside it.
            first_of_role = m.mech is with_role(role)[0]
            beside = OPERATIONS | DIGESTS | DUAL | STATES | SEARCHES | SMALL if first_of_role else names
            yield Place(way, beside)
            if parts:
                data = Data.KEPT if role is Role.DECRYPT else Data.FITTING
                yield Place((*way, plain(parts[0], data=data)), names)
            if role is not Role.VERIFY and role is not Role.VERIFY_RECOVER:
                yield Place((*way, plain(whole, buffer=Buffer.NULL)), names)
            if first_of_role:
                key = way[-1].args.key
                yield Place((*way, plain("C_DestroyObject", object=key)), names | DUAL)
                yield Place((*way, plain("C_Logout")), names)


def _objects() -> Iterator[Place]:
    yield Place(BEGIN, MAKING | KEYED | OBJECTS | DIGESTS | STATES | SMALL | OPERATIONS | DUAL)
    yield Place((BEGIN[0], READ_ONLY_BESIDE), MAKING)
    yield Place((BEGIN[0], READ_ONLY_BESIDE, plain("C_Login")), MAKING)
    yield Place((*BEGIN, plain("C_Login", user=CKU.SO, pin=Pin.SO)), MAKING | SMALL)
    yield Place((*BEGIN, plain("C_Login", user=CKU.SO, pin=Pin.SO), plain("C_CreateObject", kind=Kind.DATA)), OBJECTS)
    yield Place((BEGIN[0], plain("C_OpenSession", notify=True)), MAKING | SMALL)
    yield Place(USER, MAKING)
    for maker in (AES, SECRET, RSA, EC):
        yield Place((*USER, *maker), KEYED)
        yield Place((*BEGIN, *maker), KEYED | OBJECTS)
    for trait in Trait:
        made = plain("C_GenerateKey", mechanism=Mech.AES_KEY_GEN, trait=trait)
        yield Place((*USER, made), KEYED | OBJECTS)
        yield Place((*USER, made, *AES), KEYED)
        yield Place((*USER, *AES, made), KEYED)
        yield Place((*USER, plain("C_CreateObject", kind=Kind.GENERIC_SECRET, trait=trait)), KEYED | OBJECTS)
        pair = tuple(altered(call, trait=trait) for call in RSA)
        yield Place((*USER, *pair), KEYED)
        yield Place((*USER, altered(EC[0], trait=trait)), frozenset({"C_DeriveKey"}))
    for kind in _CREATED:
        yield Place((*USER, plain("C_CreateObject", kind=kind)), OBJECTS | KEYED)
    for token in (False, True):
        for private in (False, True):
            kept = (*USER, plain("C_CreateObject", kind=Kind.DATA, token=token, private=private))
            for more in (
                (),
                (READ_ONLY_BESIDE,),
                (plain("C_Logout"),),
                (plain("C_Logout"), plain("C_Login")),
                (READ_ONLY_BESIDE, plain("C_CloseSession")),
                (plain("C_Finalize"), *USER),
            ):
                yield Place((*kept, *more), OBJECTS)
    for attribute in (Attribute.LABEL, Attribute.SEVERAL, Attribute.SENSITIVE, Attribute.EXTRACTABLE):
        changed = plain("C_SetAttributeValue", attribute=attribute)
        yield Place((*USER, plain("C_CreateObject", kind=Kind.AES), changed), OBJECTS)


def _searches() -> Iterator[Place]:
    made = (*USER, plain("C_CreateObject", kind=Kind.DATA))
    for want in (Want.ALL, Want.NOTHING, Want.UNKNOWN_TYPE):
        yield Place((*made, plain("C_FindObjectsInit", want=want)), SEARCHES)
    search = (*made, plain("C_FindObjectsInit"))
    yield Place(search, SEARCHES | KEYED | DIGESTS)
    for more in (
        (plain("C_FindObjects", many=Many.ONE),),
        (plain("C_FindObjects"),),
        (plain("C_FindObjects"), plain("C_FindObjectsFinal")),
        (plain("C_DestroyObject"),),
        (plain("C_CreateObject", kind=Kind.DATA),),
    ):
        yield Place((*search, *more), SEARCHES)


def _wrapping() -> Iterator[Place]:
    for mech, maker in (
        (Mech.AES_KEY_WRAP, AES),
        (Mech.AES_CBC_PAD, AES),
        (Mech.RSA_PKCS, RSA),
        (Mech.RSA_PKCS_OAEP, RSA),
    ):
        other = 2 if maker is RSA else 1
        wrap = plain("C_WrapKey", mechanism=mech, key=0, other_key=other)
        for target in (SECRET, AES, IMPORTED_SECRET, RSA):
            yield Place((*USER, *maker, *target), _WRAPPING)
            yield Place((*USER, *maker, *target, wrap), _WRAPPING)


def _sealing() -> Iterator[Place]:
    """Keys that are wrapped and encapsulated by what came with v3.2."""
    seal = plain("C_WrapKeyAuthenticated", mechanism=Mech.AES_GCM, key=0, other_key=1)
    for target in (AES, SECRET):
        yield Place((*USER, *AES, *target), _SEALING)
        yield Place((*USER, *AES, *target, seal), _SEALING)
    pair = _MAKERS[Kind.ML_KEM_PUBLIC]
    give = plain("C_EncapsulateKey", mechanism=Mech.ML_KEM, key=0)
    yield Place((*BEGIN, *pair), KEYED)
    yield Place((*USER, *pair), KEYED)
    yield Place((*USER, *pair, give), _CAPSULES | OBJECTS)
    yield Place((*USER, *pair, *AES), _CAPSULES)
    denied = tuple(altered(call, trait=Trait.NO_USAGE) for call in pair)
    yield Place((*USER, *denied), _CAPSULES)
    noticed = (BEGIN[0], plain("C_OpenSession", notify=True), plain("C_Login"))
    yield Place((*noticed, *pair), _CAPSULES)


def _signatures_given() -> Iterator[Place]:
    """Verifications that are begun with their signature (v3.2)."""
    sign = (plain("C_SignInit", mechanism=Mech.SHA256_HMAC, key=0), plain("C_Sign"))
    made = (*USER, *SECRET, *sign)
    begin = plain(VERIFYING_SIGNATURE.init, mechanism=Mech.SHA256_HMAC, key=0)
    yield Place(made, SIGNATURES_GIVEN)
    for signature in (Data.KEPT, Data.TAMPERED, Data.CUT, Data.EMPTY):
        begun = (*made, altered(begin, signature=signature))
        yield Place(begun, SIGNATURES_GIVEN)
    begun = (*made, begin)
    yield Place(begun, EVERYWHERE | OPERATIONS | STATES)
    yield Place((*begun, plain("C_VerifySignatureUpdate")), SIGNATURES_GIVEN)
    yield Place((*begun, plain("C_DestroyObject", object=0)), SIGNATURES_GIVEN)
    yield Place((*begun, plain("C_Logout")), SIGNATURES_GIVEN)
    noticed = (BEGIN[0], plain("C_OpenSession", notify=True), *begun[2:])
    yield Place(noticed, SIGNATURES_GIVEN)
    recovering = plain(VERIFYING_SIGNATURE.init, mechanism=Mech.RSA_PKCS, key=0)
    yield Place((*USER, *RSA), SIGNATURES_GIVEN)
    yield Place((*USER, *RSA, recovering), SIGNATURES_GIVEN)


def _several() -> Iterator[Place]:
    digest = plain("C_DigestInit", mechanism=Mech.SHA256)
    saved = (*BEGIN, digest, plain("C_GetOperationState"))
    yield Place((*BEGIN, digest), DIGESTS | STATES | DUAL | MAKING)
    yield Place((*BEGIN, plain("C_DigestInit", mechanism=Mech.SHA_1)), DIGESTS)
    yield Place((*BEGIN, digest, plain("C_DigestUpdate")), DIGESTS | STATES)
    yield Place((*BEGIN, digest, plain("C_Digest", buffer=Buffer.NULL)), DIGESTS)
    yield Place(saved, STATES)
    yield Place((*saved, READ_ONLY_BESIDE), STATES)
    yield Place((*saved, BEGIN[1]), STATES)
    yield Place((*saved, plain("C_Login"), plain("C_Logout")), STATES)
    yield Place((*USER, *SECRET, digest), DIGESTS)
    yield Place((*USER, *SECRET, digest, plain("C_DigestKey", key=0)), DIGESTS)
    yield Place((*USER, *RSA, digest), DIGESTS)
    encrypt, decrypt = (plain(f"C_{name}Init", mechanism=Mech.AES_CBC, key=0) for name in ("Encrypt", "Decrypt"))
    sign, verify = (plain(f"C_{name}Init", mechanism=Mech.SHA256_HMAC, key=1) for name in ("Sign", "Verify"))
    keys = (*USER, *AES, *SECRET)
    for pair in ((digest, encrypt), (decrypt, digest), (sign, encrypt), (decrypt, verify)):
        yield Place((*keys, *pair), DUAL | KEYED)
        yield Place((*keys, *pair, plain("C_Logout")), DUAL)
        yield Place((*keys, *pair), CANCELLING)
        asked = tuple(plain(_GOING_ON[x.function], buffer=Buffer.NULL) for x in pair if x is not verify)
        yield Place((*keys, *pair, *asked), DUAL)
    yield Place((*keys, sign), LOGGING_IN)
    for operation in (encrypt, sign):
        keyed = (*keys, operation, plain("C_GetOperationState"))
        yield Place(keyed, STATES)
        yield Place((*keyed, plain("C_DestroyObject", object=operation.args.key)), STATES)
        yield Place((*keys, operation, plain("C_GetOperationState"), plain("C_CloseSession"), *BEGIN[1:]), STATES)
    noticed = (BEGIN[0], plain("C_OpenSession", notify=True), plain("C_Login"))
    yield Place((*noticed, *AES, encrypt), frozenset(_ROLES[Role.ENCRYPT]))
    yield Place((*noticed, *AES, decrypt), frozenset(_ROLES[Role.DECRYPT]))
    yield Place((*noticed, *SECRET, altered(sign, key=0)), frozenset(_ROLES[Role.SIGN]))
    yield Place((*noticed, digest), DIGESTS)
    verified = (altered(call, key=0) for call in (sign, plain("C_Sign"), verify))
    yield Place((*noticed, *SECRET, *verified), frozenset(_ROLES[Role.VERIFY]))
    recovered = (
        plain(f"C_{name}RecoverInit", mechanism=Mech.RSA_PKCS, key=key) for name, key in (("Sign", 1), ("Verify", 0))
    )
    for operation in recovered:
        yield Place((*noticed, *RSA, operation), frozenset(_ROLES[Role.SIGN_RECOVER]) | {"C_VerifyRecover"})
    yield Place((*noticed, *AES, *SECRET), KEYED)
    yield Place((*noticed, *RSA), KEYED)
    for pair in ((digest, encrypt), (decrypt, digest), (sign, encrypt), (decrypt, verify)):
        yield Place((*noticed, *AES, *SECRET, *pair), DUAL)
    # Mechanisms that take no parts, in functions that work on parts of two operations.
    encrypt, decrypt, sign, verify = (
        plain(f"C_{name}Init", mechanism=Mech.RSA_PKCS, key=key)
        for name, key in (("Encrypt", 0), ("Decrypt", 1), ("Sign", 1), ("Verify", 0))
    )
    for pair in ((digest, encrypt), (decrypt, digest), (sign, encrypt), (decrypt, verify)):
        yield Place((*USER, *RSA, *pair), DUAL)
    hidden = (plain("C_GenerateKey", mechanism=Mech.AES_KEY_GEN, token=True, private=True), plain("C_Logout"))
    yield Place((*USER, *hidden), KEYED)
    yield Place((*USER, *hidden, digest), DIGESTS)


def _keyed_for(m: Messaging) -> tuple[Mechanism, Way, int]:
    """A mechanism for messages of a kind, a way to its key, and the number of the key."""
    mechanism = next(x for x in MECHANISMS.values() if m.role in x.roles)
    return mechanism, _maker(mechanism), 0


def _process(m: Messaging) -> Way:
    """A message-based process is begun, once there is a key."""
    mechanism, _, key = _keyed_for(m)
    return (plain(m.init, mechanism=mechanism.mech, key=key),)


def _messages() -> Iterator[Place]:
    """Places where messages are processed (v3.0): before the first, in the middle of one, where something is lost."""
    before = {Messages.DECRYPT: Messages.ENCRYPT, Messages.VERIFY: Messages.SIGN}
    by_kind = {m.kind: m for m in MESSAGINGS}
    for m in MESSAGINGS:
        names = _OF_MESSAGES[m.kind]
        ready: Way = (*USER, *_keyed_for(m)[1])
        if m.kind in before:
            first = by_kind[before[m.kind]]
            ready = (*ready, *_process(first), plain(first.whole), plain(first.final))
        begun = (*ready, *_process(m))
        inside = (*begun, plain(m.begin))
        yield Place(begun, names | EVERYWHERE | OPERATIONS | STATES)
        yield Place(inside, names | CANCELLING)
        yield Place((*inside, plain(m.next, last=False)), names)
        yield Place((*begun, plain(m.whole), plain(m.begin)), names)
        yield Place((*begun, plain("C_DestroyObject", object=0)), names)
        yield Place((*begun, plain("C_Logout")), names)
        noticed = (BEGIN[0], plain("C_OpenSession", notify=True), *ready[2:], *_process(m))
        yield Place(noticed, names)
        yield Place((*noticed, plain(m.begin)), names)
    encrypt = (*USER, *AES, plain("C_EncryptInit", mechanism=Mech.AES_CBC, key=0))
    yield Place(encrypt, frozenset(m.init for m in MESSAGINGS))
    signed = by_kind[Messages.SIGN]
    rsa = plain(signed.init, mechanism=Mech.SHA256_RSA_PKCS, key=1)
    yield Place((*USER, *RSA, rsa), _OF_MESSAGES[Messages.SIGN])


def _elsewhere(initial: State) -> Iterator[Place]:
    """Other slots, where they have facts that the first has not."""
    for slot, facts in enumerate(initial.slots):
        if facts in initial.slots[:slot]:
            continue
        begin = (BEGIN[0], plain("C_OpenSession", slot=slot))
        user = (*begin, plain("C_Login"))
        yield Place(begin, EVERYWHERE if facts.initialized else EVERYWHERE | OPERATIONS | DUAL)
        yield Place(user, EVERYWHERE | OPERATIONS | DUAL if facts.user_pin_to_be_changed else EVERYWHERE)
        for made in (plain("C_CreateObject", kind=Kind.DATA, token=True), *AES, *SECRET):
            yield Place((*user, made), OBJECTS | KEYED)
        private = plain("C_CreateObject", kind=Kind.DATA, private=True)
        yield Place((*user, private), _READING)
        yield Place((*user, *RSA), KEYED)
        yield Place((*user, *EC), frozenset({"C_DeriveKey"}))


def _befallen_at_once(initial: State) -> Iterator[Place]:
    """Places at which two things that happen beside the calls show in the same one."""
    if not any(isinstance(x, Exposed) for x in initial.slots):
        return
    for pair in combinations(PENDING, 2):
        yield Place((*BEGIN, *map(plain, pair)), TROUBLED)
    for name in PENDING:
        yield Place((BEGIN[0], plain("token-removed"), plain(name)), TROUBLED)


def befallen(initial: State) -> Iterator[Place]:
    """Places that something just befell: the token that holds an object, and one that is at work."""
    if not any(isinstance(x, Exposed) for x in initial.slots):
        return
    kept = (*USER, plain("C_CreateObject", kind=Kind.DATA, token=True))
    begun = (*USER, plain("C_DigestInit", mechanism=Mech.SHA256))
    for way in ((plain(name),) if name not in _AFTER else (plain(_AFTER[name]), plain(name)) for name in EVENTS):
        yield Place((*BEGIN, *way), TROUBLED | LOGGING_IN)
        yield Place((*kept, *way), LOGGING_IN | OBJECTS | SEARCHES)
        yield Place((*begun, *way), TROUBLED | DIGESTS)


def places(initial: State) -> Iterator[Place]:
    """All places worth looking around from."""
    yield from _befallen_at_once(initial)
    yield from (
        *_operations(initial),
        *_objects(),
        *_searches(),
        *_wrapping(),
        *_several(),
        *_messages(),
        *_sealing(),
        *_signatures_given(),
        *_elsewhere(initial),
    )


def situations(model: Model, initial: State) -> Iterator[tuple[State, Place]]:
    """Each place whose way the text lets succeed in this scope, with a state that the way may lead to."""
    for place in places(initial):
        s = follow(model, initial, place.way)
        if s is not None:
            yield s, place


def follow(model: Model, s: State, way: Iterable[Call]) -> State | None:
    """A state that a way may lead to, None where the text does not let it succeed, or it is not for this model."""
    for call in way:
        if not known(model, call) or not may_succeed(model, s, call) or not in_scope(model, s, call):
            return None
        s = likeliest(model, s, call)
    return s


def known(model: Model, call: Call) -> bool:
    """Whether the version of a model has the function of a call, and all that it names."""
    f = model.functions.get(call.function)
    return f is not None and f.known(call.args) == call.args


def along(model: Model, s: State, way: Iterable[Call]) -> Iterator[State]:
    """The states that a way passes through where each call succeeds, the last one left out."""
    for call in way:
        yield s
        s = likeliest(model, s, call)


def likeliest(model: Model, s: State, call: Call) -> State:
    """Of the states after a call's success, the one in which most of what was built up is left."""
    return one_of(following(model, s, call, CKR.OK))
