"""Places worth looking around from: short ways to states in which objects and operations can be tested.

The search of `cover` finds its own way through sessions and logins; objects and operations need longer ways than it
can walk, so the ways to them are given, and each is followed on the model before it is used.
"""

from collections.abc import Iterator
from dataclasses import replace

from ..model.call import Args, Attribute, Buffer, Call, Data, InitArgs, Many, Want
from ..model.mechanisms import MECHANISMS, PUBLIC_ROLES, Mechanism, Role
from ..model.oracle import Model, in_scope, may_succeed, successors
from ..model.state import Kind, Mech, State, Trait
from ..model.vocabulary import CKR, CKU

Way = tuple[Call, ...]


def _c(function: str, **given: object) -> Call:
    return Call(function, replace(Args(), **given))  # type: ignore[arg-type]


BEGIN = (_c("C_Initialize", init=InitArgs.NULL), _c("C_OpenSession"))
USER = (*BEGIN, _c("C_Login"))
READ_ONLY_BESIDE = _c("C_OpenSession", rw=False)
AES = _c("C_GenerateKey", mechanism=Mech.AES_KEY_GEN)
SECRET = _c("C_GenerateKey", mechanism=Mech.GENERIC_SECRET_KEY_GEN)
RSA = _c("C_GenerateKeyPair", mechanism=Mech.RSA_PKCS_KEY_PAIR_GEN)
EC = _c("C_GenerateKeyPair", mechanism=Mech.EC_KEY_PAIR_GEN)

_MAKERS = {Kind.AES: AES, Kind.GENERIC_SECRET: SECRET, Kind.RSA_PUBLIC: RSA, Kind.EC_PUBLIC: EC}

_ROLES = {
    Role.ENCRYPT: ("C_EncryptInit", "C_Encrypt", "C_EncryptUpdate"),
    Role.DECRYPT: ("C_DecryptInit", "C_Decrypt", "C_DecryptUpdate"),
    Role.SIGN: ("C_SignInit", "C_Sign", "C_SignUpdate"),
    Role.VERIFY: ("C_VerifyInit", "C_Verify", "C_VerifyUpdate"),
    Role.SIGN_RECOVER: ("C_SignRecoverInit", "C_SignRecover", None),
    Role.VERIFY_RECOVER: ("C_VerifyRecoverInit", "C_VerifyRecover", None),
}
_BEFORE = {Role.DECRYPT: Role.ENCRYPT, Role.VERIFY: Role.SIGN, Role.VERIFY_RECOVER: Role.SIGN_RECOVER}
"""The role whose output another one takes."""


def _maker(m: Mechanism) -> Call:
    kinds = m.public or m.private
    return next(maker for kind, maker in _MAKERS.items() if kind in kinds)


def _init(m: Mechanism, role: Role) -> Call:
    pair = m.public != m.private
    key = 0 if role in PUBLIC_ROLES or not pair else 1
    return _c(_ROLES[role][0], mechanism=m.mech, key=key)


def _operations() -> Iterator[Way]:
    for m in MECHANISMS.values():
        for role in m.roles:
            if role not in _ROLES:
                continue
            _, whole, part = _ROLES[role]
            start = (*USER, _maker(m))
            if role in _BEFORE:
                first = _BEFORE[role]
                start = (*start, _init(m, first), _c(_ROLES[first][1]))
            yield (*start, _init(m, role))
            if part is not None:
                data = Data.KEPT if role is Role.DECRYPT else Data.FITTING
                yield (*start, _init(m, role), _c(part, data=data))
            if role in _BEFORE.values():
                yield (*start, _init(m, role), _c(whole, buffer=Buffer.NULL))


def _objects() -> Iterator[Way]:
    for trait in Trait:
        made = (*USER, _c("C_GenerateKey", mechanism=Mech.AES_KEY_GEN, trait=trait))
        yield made
        yield (*made, AES)
        yield (*USER, AES, made[-1])
        yield (*USER, _c("C_GenerateKeyPair", mechanism=Mech.RSA_PKCS_KEY_PAIR_GEN, trait=trait))
        yield (*USER, _c("C_CreateObject", kind=Kind.GENERIC_SECRET, trait=trait))
    for kind in (Kind.DATA, Kind.CERTIFICATE, Kind.RSA_PUBLIC, Kind.RSA_PRIVATE):
        yield (*USER, _c("C_CreateObject", kind=kind))
    for token in (False, True):
        for private in (False, True):
            kept = (*USER, _c("C_CreateObject", kind=Kind.DATA, token=token, private=private))
            yield kept
            yield (*kept, READ_ONLY_BESIDE)
            yield (*kept, _c("C_Logout"))
            yield (*kept, _c("C_Logout"), _c("C_Login"))
            yield (*kept, _c("C_OpenSession", slot=1))
            yield (*kept, READ_ONLY_BESIDE, _c("C_CloseSession"))
            yield (*kept, _c("C_Finalize"), *USER)
    yield (*BEGIN, _c("C_Login", user=CKU.SO, pin=Args().pin.SO))
    yield (*USER, RSA)
    yield (*USER, EC)
    yield (*USER, RSA, EC)
    yield (*USER, _c("C_CreateObject", kind=Kind.AES), _c("C_SetAttributeValue", attribute=Attribute.LABEL))


def _searches() -> Iterator[Way]:
    made = (*USER, _c("C_CreateObject", kind=Kind.DATA))
    for want in (Want.ALL, Want.NOTHING, Want.UNKNOWN_TYPE):
        yield (*made, _c("C_FindObjectsInit", want=want))
    search = (*made, _c("C_FindObjectsInit"))
    yield (*search, _c("C_FindObjects", many=Many.ONE))
    yield (*search, _c("C_FindObjects"))
    yield (*search, _c("C_FindObjects"), _c("C_FindObjectsFinal"))
    yield (*search, _c("C_DestroyObject"))
    yield (*search, _c("C_CreateObject", kind=Kind.DATA))


def _wrapping() -> Iterator[Way]:
    for mech, maker in ((Mech.AES_KEY_WRAP, AES), (Mech.AES_CBC_PAD, AES), (Mech.RSA_PKCS, RSA)):
        other = 2 if maker is RSA else 1
        keys = (*USER, maker, SECRET)
        yield keys
        wrap = _c("C_WrapKey", mechanism=mech, key=0, other_key=other)
        yield (*keys, wrap)
        yield (*USER, maker, AES, wrap)


def _several() -> Iterator[Way]:
    digest = _c("C_DigestInit", mechanism=Mech.SHA256)
    yield (*BEGIN, digest)
    yield (*BEGIN, _c("C_DigestInit", mechanism=Mech.SHA_1))
    yield (*BEGIN, digest, _c("C_DigestUpdate"))
    yield (*BEGIN, digest, _c("C_GetOperationState"))
    yield (*BEGIN, digest, _c("C_GetOperationState"), READ_ONLY_BESIDE)
    yield (*USER, SECRET, digest)
    yield (*USER, SECRET, digest, _c("C_DigestKey"))
    encrypt, decrypt = (_c(f"C_{name}Init", mechanism=Mech.AES_CBC, key=0) for name in ("Encrypt", "Decrypt"))
    sign, verify = (_c(f"C_{name}Init", mechanism=Mech.SHA256_HMAC, key=1) for name in ("Sign", "Verify"))
    keys = (*USER, AES, SECRET)
    for pair in ((digest, encrypt), (decrypt, digest), (sign, encrypt), (decrypt, verify)):
        yield (*keys, *pair)
    yield (*keys, sign, _c("C_GetOperationState"))
    yield (*keys, sign, _c("C_GetOperationState"), _c("C_SetOperationState"))
    yield (*keys, encrypt, _c("C_DestroyObject", object=0))
    yield (*keys, sign, _c("C_Logout"))
    noticed = (BEGIN[0], _c("C_OpenSession", notify=True), _c("C_Login"))
    yield noticed
    yield (*noticed, AES, encrypt)
    yield (*noticed, SECRET, _c("C_SignInit", mechanism=Mech.SHA256_HMAC, key=0))


def situations(model: Model, initial: State) -> Iterator[tuple[State, Way]]:
    """Each way that the text lets succeed in this scope, with a state that it may lead to."""
    for way in (*_operations(), *_objects(), *_searches(), *_wrapping(), *_several()):
        s = initial
        for call in way:
            if call.function not in model.functions or not may_succeed(model, s, call) or not in_scope(model, s, call):
                break
            # The first of several successors is the one on which nothing uncertain happens to what was built up.
            s = max(successors(model, s, call, CKR.OK), key=_built_up)
        else:
            yield s, way


def _built_up(s: State) -> tuple[int, str]:
    return (sum(x.known for x in s.objects) + sum(repr(x.operations).count("UPDATED") for x in s.sessions), repr(s))
