"""Section 5.13: key management."""

from dataclasses import replace

from ..attributes import GUARDED_KEYS, KEYS, SECRET_KEYS
from ..call import Args, Buffer, Data, Flaw, Parameter
from ..mechanisms import MECHANISMS, NOUNS, Role, taking, with_role
from ..rule import Condition, Effect, Function, Rule, Strength, named, one_fact
from ..state import Kept, Kind, Mech, Origin, State, Trait
from ..vocabulary import CKR, Version
from .common import NULL_POINTER, SESSION, mechanism_rows
from .conditions import (
    callback_may_cancel,
    halves,
    key_invalid,
    key_of_another_token,
    key_valid,
    mechanism_foreign,
    object_reachable,
    one_of,
    pin_to_be_changed,
    session_valid,
    short_secret,
    user_required_but_absent,
)
from .objects import (
    FRESH,
    MAKING,
    TEMPLATE_CODES,
    WITHOUT_TEMPLATE,
    attribute_missing,
    attributes_inconsistent,
    free_object,
    made,
    object_not_followed,
    unknown_curve,
)
from .operations import lost_key_in_use, something_active, unsettle_searches

V2_20, V2_40 = Version.V2_20, Version.V2_40


_PARAMETRIC = tuple(m.mech for m in MECHANISMS.values() if m.parameter)


def parameter_invalid(s: State, a: Args) -> bool:
    return a.parameter != Parameter.RIGHT and one_of(a.mechanism, _PARAMETRIC)


def curve_chosen(s: State, a: Args) -> bool:
    """Domain parameters in the template or in the base key, of which a token need not know every one."""
    return a.mechanism == Mech.EC_KEY_PAIR_GEN or a.mechanism == Mech.ECDH1_DERIVE


def point_invalid(s: State, a: Args) -> bool:
    """The other side's public key is none."""
    return a.parameter == Parameter.IMPOSSIBLE and a.mechanism == Mech.ECDH1_DERIVE


def parameter_unwanted(s: State, a: Args) -> bool:
    """A parameter for a mechanism that can do without one."""
    return a.parameter != Parameter.RIGHT and not one_of(a.mechanism, _PARAMETRIC)


def hash_or_point_perhaps_unsupported(s: State, a: Args) -> bool:
    """A parameter that chooses a hash or the form of a point, of which a token need not know every one."""
    return a.mechanism == Mech.RSA_PKCS_OAEP or a.mechanism == Mech.ECDH1_DERIVE


_WRAPS, _UNWRAPS, _DERIVES = with_role(Role.WRAP), with_role(Role.UNWRAP), with_role(Role.DERIVE)


# Keys.


def other_key_valid(s: State, a: Args) -> bool:
    if not (session_valid(s, a) and object_reachable(s, a.session, a.other_key)):
        return False
    return s.objects[a.other_key].kind in KEYS


def other_key_invalid(s: State, a: Args) -> bool:
    return session_valid(s, a) and not other_key_valid(s, a)


def key_not_followed(s: State, a: Args) -> bool:
    """A key of another token: see `key_of_another_token`."""
    if key_of_another_token(s, a):
        return True
    if not session_valid(s, a) or a.other_key >= len(s.objects):
        return False
    return s.objects[a.other_key].exists and s.objects[a.other_key].slot != s.sessions[a.session].slot


def object_or_key_not_followed(s: State, a: Args) -> bool:
    return object_not_followed(s, a) or key_of_another_token(s, a)


def key_usage_denied(s: State, a: Args) -> bool:
    return key_valid(s, a) and s.objects[a.key].trait == Trait.NO_USAGE


def _wrong_kind(s: State, a: Args, role: Role, mechanisms: tuple[Mech, ...]) -> bool:
    if not key_valid(s, a) or a.mechanism not in mechanisms:
        return False
    kind = s.objects[a.key].kind
    return not any(kind == k and a.mechanism in taking(role, k) for k in KEYS)


@one_fact
def key_given_with_foreign_mechanism(role: Role) -> Condition:
    """A key and a mechanism of another use, which may be compared first."""
    foreign = mechanism_foreign(role)
    return named(f"key and mechanism not for {NOUNS[role]}", lambda s, a: key_valid(s, a) and foreign(s, a))


def wrapping_key_of_wrong_type(s: State, a: Args) -> bool:
    return _wrong_kind(s, a, Role.WRAP, _WRAPS)


def unwrapping_key_of_wrong_type(s: State, a: Args) -> bool:
    return _wrong_kind(s, a, Role.UNWRAP, _UNWRAPS)


def base_key_of_wrong_type(s: State, a: Args) -> bool:
    return _wrong_kind(s, a, Role.DERIVE, _DERIVES)


# C_WrapKey.


def key_unextractable(s: State, a: Args) -> bool:
    return other_key_valid(s, a) and _trait(s, a) == Trait.UNEXTRACTABLE


def _trait(s: State, a: Args) -> Trait:
    return s.objects[a.other_key].trait


def secret_key_extractable(s: State, a: Args) -> bool:
    if not other_key_valid(s, a) or _trait(s, a) == Trait.UNEXTRACTABLE:
        return False
    return s.objects[a.other_key].kind in SECRET_KEYS


def wrapping_short_key(s: State, a: Args) -> bool:
    return secret_key_extractable(s, a) and short_secret(s.objects[a.other_key])


def wrapping_key_of_usual_length(s: State, a: Args) -> bool:
    if not other_key_valid(s, a) or _trait(s, a) == Trait.UNEXTRACTABLE:
        return False
    return not short_secret(s.objects[a.other_key])


def wrapping_private_key(s: State, a: Args) -> bool:
    """A private key, which few mechanisms wrap."""
    if not other_key_valid(s, a):
        return False
    kind = s.objects[a.other_key].kind
    return kind in GUARDED_KEYS and kind not in SECRET_KEYS


def wrapping_public_key(s: State, a: Args) -> bool:
    return other_key_valid(s, a) and s.objects[a.other_key].kind not in GUARDED_KEYS


def wrapped_key_does_not_fit(s: State, a: Args) -> bool:
    return secret_key_extractable(s, a) and a.buffer == Buffer.SHORT and not a.null


def keep_wrapped(s: State, a: Args) -> State:
    if a.buffer != Buffer.ENOUGH:
        return s
    return replace(s, wrapped=Kept(True, a.mechanism, a.key, s.objects[a.other_key].kind))


# C_UnwrapKey.


_SYMMETRIC = (Mech.AES_CBC_PAD, Mech.AES_KEY_WRAP)


def blob_right(s: State, a: Args) -> bool:
    """The blob is one that the matching key wrapped, with this mechanism, around a key of the kind asked for."""
    w = s.wrapped
    if not (w.valid and a.data == Data.KEPT and w.mechanism == a.mechanism and w.kind == a.kind):
        return False
    return w.key == a.key if one_of(a.mechanism, _SYMMETRIC) else halves(s, w.key, a.key)


def blob_not_known_to_be_right(s: State, a: Args) -> bool:
    return session_valid(s, a) and not blob_right(s, a)


def blob_of_impossible_length(s: State, a: Args) -> bool:
    return key_valid(s, a) and s.wrapped.valid and a.data == Data.CUT and s.wrapped.mechanism == a.mechanism


def blob_fails_integrity_check(s: State, a: Args) -> bool:
    return key_valid(s, a) and a.mechanism == Mech.AES_KEY_WRAP and (a.data == Data.TAMPERED or a.data == Data.FITTING)


def blob_null(s: State, a: Args) -> bool:
    return a.data == Data.NULL


def blob_empty(s: State, a: Args) -> bool:
    return a.data == Data.EMPTY


def unwrap_key(s: State, a: Args) -> State:
    return unsettle_searches(made(s, a, a.kind, Origin.OTHER, private=a.private))


# C_GenerateKey, C_GenerateKeyPair, C_DeriveKey.


def generate_key(s: State, a: Args) -> State:
    kind = Kind.AES if a.mechanism == Mech.AES_KEY_GEN else Kind.GENERIC_SECRET
    return unsettle_searches(made(s, a, kind, Origin.GENERATED, private=a.private))


def pair_not_followed(s: State, a: Args) -> bool:
    """As for one new object; the halves of a pair take neighbouring numbers, the public one first (see `halves`)."""
    if object_not_followed(s, a):
        return True
    second = free_object(s) + 1
    return second >= len(s.objects) or s.objects[second].exists or lost_key_in_use(s, second)


def generate_key_pair(s: State, a: Args) -> State:
    rsa = a.mechanism == Mech.RSA_PKCS_KEY_PAIR_GEN
    s = made(s, a, Kind.RSA_PUBLIC if rsa else Kind.EC_PUBLIC, Origin.GENERATED, private=False)
    s = made(s, a, Kind.RSA_PRIVATE if rsa else Kind.EC_PRIVATE, Origin.GENERATED, private=a.private)
    return unsettle_searches(s)


# Rows.


_CRYPTOGRAPHY = (
    Rule("user-required-but-absent", CKR.USER_NOT_LOGGED_IN, user_required_but_absent, "5.1.6", "", Strength.MAY),
    Rule("something-active", CKR.OPERATION_ACTIVE, something_active, "5.1.6", "", Strength.MAY, "A-48"),
    Rule("callback-may-cancel", CKR.FUNCTION_CANCELED, callback_may_cancel, "5.16", "", Strength.MAY),
)
_PARAMETER = tuple(
    Rule("when", code, when, "5.1.6", "", strength, "A-26")
    for when, strength in (
        (parameter_invalid, Strength.INFERRED),
        (parameter_unwanted, Strength.MAY),
        (hash_or_point_perhaps_unsupported, Strength.MAY),
    )
    for code in (CKR.MECHANISM_PARAM_INVALID, CKR.ARGUMENTS_BAD)
)
_GENERATING = (
    *SESSION,
    *_CRYPTOGRAPHY,
    *MAKING,
    Rule("attributes-inconsistent", CKR.TEMPLATE_INCONSISTENT, attributes_inconsistent, "5.13", ""),
    Rule("attribute-missing", CKR.TEMPLATE_INCOMPLETE, attribute_missing, "4.1.1", "", Strength.UNSAID, "A-13"),
)
_MADE_FLAWS = (
    Flaw.NONE,
    Flaw.UNKNOWN_TYPE,
    Flaw.BAD_VALUE,
    Flaw.READ_ONLY,
    Flaw.MISSING,
    Flaw.INCONSISTENT,
    Flaw.FOREIGN,
    Flaw.TWICE,
    Flaw.TWO_VALUES,
    Flaw.NULL,
)
"""Flaws of the templates of keys; without any template much about the key is for the token to choose."""


def _usage(own: CKR, handle: CKR) -> tuple[Rule, ...]:
    """A usage attribute that is FALSE for wrapping, unwrapping or deriving has no code of its own (A-07).

    CKR_KEY_TYPE_INCONSISTENT is one of those that fit, but must not outrank the others, as it does where it is due.
    """
    strengths = dict.fromkeys((CKR.KEY_FUNCTION_NOT_PERMITTED, own, handle), Strength.INFERRED)
    strengths[CKR.KEY_TYPE_INCONSISTENT] = Strength.UNSAID
    return tuple(
        Rule("key-usage-denied", code, key_usage_denied, "5.13", "", strength, "A-07")
        for code, strength in strengths.items()
    )


FUNCTIONS = (
    Function(
        "C_GenerateKey",
        ("session", "mechanism", "token", "private", "trait", "flaw", "null"),
        (*_GENERATING, *WITHOUT_TEMPLATE, *mechanism_rows(Role.GENERATE)),
        effects=(Effect(generate_key, "5.13"),),
        outputs=(FRESH,),
        out_of_scope=object_not_followed,
        domains={
            "mechanism": (Mech.AES_KEY_GEN, Mech.GENERIC_SECRET_KEY_GEN, Mech.AES_ECB, Mech.UNKNOWN),
            "flaw": (*_MADE_FLAWS, Flaw.EMPTY),
        },
        deviations=2,
    ),
    Function(
        "C_GenerateKeyPair",
        ("session", "mechanism", "token", "private", "trait", "flaw", "null"),
        (*_GENERATING, *mechanism_rows(Role.GENERATE_KEY_PAIR), *unknown_curve(curve_chosen)),
        effects=(Effect(generate_key_pair, "5.13"),),
        out_of_scope=pair_not_followed,
        domains={
            "mechanism": (Mech.EC_KEY_PAIR_GEN, Mech.RSA_PKCS_KEY_PAIR_GEN, Mech.AES_KEY_GEN, Mech.UNKNOWN),
            "flaw": _MADE_FLAWS,
        },
        deviations=2,
    ),
    Function(
        "C_WrapKey",
        ("session", "mechanism", "parameter", "key", "other_key", "buffer", "null"),
        (
            *SESSION,
            *_CRYPTOGRAPHY,
            *_PARAMETER,
            *NULL_POINTER,
            *mechanism_rows(Role.WRAP),
            Rule("key-invalid", CKR.WRAPPING_KEY_HANDLE_INVALID, key_invalid, "5.1.6", ""),
            Rule(
                "wrapping-key-of-wrong-type",
                CKR.WRAPPING_KEY_TYPE_INCONSISTENT,
                wrapping_key_of_wrong_type,
                "5.1.6",
                "",
            ),
            Rule(
                "key-given-with-foreign-mechanism",
                CKR.WRAPPING_KEY_TYPE_INCONSISTENT,
                key_given_with_foreign_mechanism(Role.WRAP),
                "5.1.6",
                "",
                Strength.UNSAID,
                "A-25",
            ),
            Rule(
                "wrapping-key-of-wrong-type",
                CKR.MECHANISM_INVALID,
                wrapping_key_of_wrong_type,
                "5.1.6",
                "",
                Strength.MAY,
                "A-25",
            ),
            Rule("key-valid", CKR.WRAPPING_KEY_SIZE_RANGE, key_valid, "5.1.6", "", Strength.MAY),
            Rule("pin-to-be-changed", CKR.PIN_EXPIRED, pin_to_be_changed, "5.1.6", "", Strength.MAY, since=V2_20),
            *_usage(CKR.WRAPPING_KEY_TYPE_INCONSISTENT, CKR.WRAPPING_KEY_HANDLE_INVALID),
            Rule("other-key-invalid", CKR.KEY_HANDLE_INVALID, other_key_invalid, "5.1.6", ""),
            Rule("key-unextractable", CKR.KEY_UNEXTRACTABLE, key_unextractable, "5.13", ""),
            Rule("secret-key-extractable", CKR.KEY_NOT_WRAPPABLE, secret_key_extractable, "5.13", "", Strength.MAY),
            Rule("wrapping-private-key", CKR.KEY_NOT_WRAPPABLE, wrapping_private_key, "5.13", "", Strength.MAY),
            Rule("wrapping-public-key", CKR.KEY_NOT_WRAPPABLE, wrapping_public_key, "5.13", "", Strength.MAY),
            Rule("wrapping-public-key", CKR.KEY_HANDLE_INVALID, wrapping_public_key, "5.13", "", Strength.UNSAID),
            Rule("wrapping-public-key", CKR.KEY_UNEXTRACTABLE, wrapping_public_key, "5.13", "", Strength.UNSAID),
            Rule("wrapping-short-key", CKR.KEY_SIZE_RANGE, wrapping_short_key, "5.13", "", Strength.MAY),
            Rule(
                "wrapping-key-of-usual-length",
                CKR.KEY_SIZE_RANGE,
                wrapping_key_of_usual_length,
                "5.13",
                "",
                Strength.MAY,
            ),
            Rule("wrapped-key-does-not-fit", CKR.BUFFER_TOO_SMALL, wrapped_key_does_not_fit, "5.2", ""),
        ),
        effects=(Effect(keep_wrapped, "5.13"),),
        out_of_scope=key_not_followed,
        domains={
            "mechanism": (
                Mech.AES_KEY_WRAP,
                Mech.AES_CBC_PAD,
                Mech.RSA_PKCS,
                Mech.RSA_PKCS_OAEP,
                Mech.SHA256,
                Mech.UNKNOWN,
            )
        },
    ),
    Function(
        "C_UnwrapKey",
        ("session", "mechanism", "parameter", "key", "kind", "data", "token", "private", "trait", "flaw", "null"),
        (
            *SESSION,
            *_CRYPTOGRAPHY,
            *_PARAMETER,
            *MAKING,
            Rule("attribute-missing", CKR.TEMPLATE_INCOMPLETE, attribute_missing, "4.1.1", "", Strength.UNSAID, "A-13"),
            Rule(
                "attributes-inconsistent",
                CKR.TEMPLATE_INCONSISTENT,
                attributes_inconsistent,
                "4.1.1",
                "",
                Strength.SHOULD,
            ),
            *mechanism_rows(Role.UNWRAP),
            Rule("key-invalid", CKR.UNWRAPPING_KEY_HANDLE_INVALID, key_invalid, "5.1.6", ""),
            Rule(
                "unwrapping-key-of-wrong-type",
                CKR.UNWRAPPING_KEY_TYPE_INCONSISTENT,
                unwrapping_key_of_wrong_type,
                "5.1.6",
                "",
            ),
            Rule(
                "key-given-with-foreign-mechanism",
                CKR.UNWRAPPING_KEY_TYPE_INCONSISTENT,
                key_given_with_foreign_mechanism(Role.UNWRAP),
                "5.1.6",
                "",
                Strength.UNSAID,
                "A-25",
            ),
            Rule(
                "unwrapping-key-of-wrong-type",
                CKR.MECHANISM_INVALID,
                unwrapping_key_of_wrong_type,
                "5.1.6",
                "",
                Strength.MAY,
                "A-25",
            ),
            Rule("key-valid", CKR.UNWRAPPING_KEY_SIZE_RANGE, key_valid, "5.1.6", "", Strength.MAY),
            *_usage(CKR.UNWRAPPING_KEY_TYPE_INCONSISTENT, CKR.UNWRAPPING_KEY_HANDLE_INVALID),
            Rule("blob-of-impossible-length", CKR.WRAPPED_KEY_LEN_RANGE, blob_of_impossible_length, "5.1.6", ""),
            Rule(
                "blob-fails-integrity-check",
                CKR.WRAPPED_KEY_INVALID,
                blob_fails_integrity_check,
                "5.13",
                "",
                Strength.INFERRED,
            ),
            *(
                Rule("blob-not-known-to-be-right", code, blob_not_known_to_be_right, "5.13", "", Strength.MAY)
                for code in (CKR.WRAPPED_KEY_INVALID, CKR.WRAPPED_KEY_LEN_RANGE)
            ),
            *(
                Rule("blob-null", code, blob_null, "5.13", "", Strength.INFERRED, "A-50")
                for code in (CKR.ARGUMENTS_BAD, CKR.WRAPPED_KEY_INVALID)
            ),
            Rule("blob-null", CKR.WRAPPED_KEY_LEN_RANGE, blob_null, "5.13", "", Strength.UNSAID, "A-50"),
            Rule("blob-empty", CKR.ARGUMENTS_BAD, blob_empty, "5.1.6", "", Strength.UNSAID, "A-28"),
            *(
                Rule("blob-not-known-to-be-right", code, blob_not_known_to_be_right, "4.1.1", "", Strength.UNSAID)
                for code in TEMPLATE_CODES
            ),
        ),
        effects=(Effect(unwrap_key, "5.13"),),
        outputs=(FRESH,),
        out_of_scope=object_or_key_not_followed,
        domains={
            "mechanism": (
                Mech.AES_KEY_WRAP,
                Mech.AES_CBC_PAD,
                Mech.RSA_PKCS,
                Mech.RSA_PKCS_OAEP,
                Mech.SHA256,
                Mech.UNKNOWN,
            ),
            "kind": (Kind.AES, Kind.GENERIC_SECRET),
            "data": (Data.KEPT, Data.TAMPERED, Data.CUT, Data.FITTING, Data.EMPTY, Data.NULL),
            "flaw": _MADE_FLAWS,
        },
        deviations=2,
    ),
    Function(
        "C_DeriveKey",
        ("session", "mechanism", "parameter", "key", "kind", "token", "private", "trait", "flaw", "null"),
        (
            *SESSION,
            *_CRYPTOGRAPHY,
            *_PARAMETER,
            *unknown_curve(curve_chosen),
            Rule("point-invalid", CKR.PUBLIC_KEY_INVALID, point_invalid, "5.1.6", "", Strength.MAY, since=V2_40),
            *MAKING,
            Rule("attribute-missing", CKR.TEMPLATE_INCOMPLETE, attribute_missing, "4.1.1", "", Strength.UNSAID, "A-13"),
            Rule(
                "attributes-inconsistent",
                CKR.TEMPLATE_INCONSISTENT,
                attributes_inconsistent,
                "4.1.1",
                "",
                Strength.SHOULD,
            ),
            *mechanism_rows(Role.DERIVE),
            Rule("key-invalid", CKR.KEY_HANDLE_INVALID, key_invalid, "5.1.6", ""),
            Rule("base-key-of-wrong-type", CKR.KEY_TYPE_INCONSISTENT, base_key_of_wrong_type, "5.1.6", ""),
            Rule(
                "key-given-with-foreign-mechanism",
                CKR.KEY_TYPE_INCONSISTENT,
                key_given_with_foreign_mechanism(Role.DERIVE),
                "5.1.6",
                "",
                Strength.UNSAID,
                "A-25",
            ),
            Rule(
                "base-key-of-wrong-type",
                CKR.MECHANISM_INVALID,
                base_key_of_wrong_type,
                "5.1.6",
                "",
                Strength.MAY,
                "A-25",
            ),
            Rule("key-valid", CKR.KEY_SIZE_RANGE, key_valid, "5.1.6", "", Strength.MAY),
            *_usage(CKR.KEY_TYPE_INCONSISTENT, CKR.KEY_HANDLE_INVALID),
        ),
        effects=(Effect(unwrap_key, "5.13"),),
        outputs=(FRESH,),
        out_of_scope=object_or_key_not_followed,
        domains={
            "mechanism": (Mech.ECDH1_DERIVE, Mech.AES_ECB, Mech.UNKNOWN),
            "kind": (Kind.GENERIC_SECRET, Kind.AES),
            "flaw": _MADE_FLAWS,
        },
        deviations=2,
    ),
)
