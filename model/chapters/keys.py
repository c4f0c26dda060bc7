"""Section 5.13: key management."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from ..attributes import CREATED, CURVED, GUARDED_KEYS, KEYS, SECRET_KEYS, SIZED
from ..call import Args, Buffer, Data, Flaw, Parameter
from ..mechanisms import CHECKING, MECHANISMS, NOT_FOLLOWED, NOUNS, PARAMETRIC, VARIED, Role, taking, usable, with_role
from ..rule import Condition, Effect, Function, Output, Rule, Strength, at_least, named
from ..state import Kept, Kind, Login, Mech, Object, Origin, State, Trait, put_object
from ..vocabulary import CKR, Version
from .common import (
    NULL_POINTER,
    PIN_TO_BE_CHANGED,
    SESSION,
    USER_REQUIRED,
    mechanism_rows,
    or_arguments_bad,
)
from .conditions import (
    callback_may_cancel,
    halves,
    key_hidden,
    key_invalid,
    key_of_another_token,
    key_valid,
    mechanism_foreign,
    object_reachable,
    one_of,
    session_valid,
    slot_of,
)
from .objects import (
    ATTRIBUTE_PERHAPS_MISSING,
    ATTRIBUTES_INCONSISTENT,
    FRESH,
    GIVEN_UNIQUE_ID,
    MAKING,
    SECOND_LABEL,
    TEMPLATE_CODES,
    any_of,
    free_object,
    made,
    object_not_followed,
    unknown_curve,
)
from .operations import (
    PROCESS_ACTIVE,
    TELLS_LENGTH,
    lost_key_in_use,
    not_allowed_rows,
    something_active,
    unsettle_searches,
)

V2_40, V3_2 = Version.V2_40, Version.V3_2

_MADE_OF = tuple(kind for kind in SECRET_KEYS if kind in CREATED)
"""Kinds that keys are unwrapped to, derived and encapsulated as."""


# What every function of the chapter may answer. All conditions here but those of `unguarded` rows take it for granted
# that the session is open.


_CRYPTOGRAPHY = (
    USER_REQUIRED,
    Rule(
        "something-active",
        CKR.OPERATION_ACTIVE,
        something_active,
        "5.1.6 CKR_OPERATION_ACTIVE",
        "What is active in the session may keep the library from cryptography of another sort.",
        Strength.MAY,
        "A-48",
    ),
    PROCESS_ACTIVE,
    Rule(
        "callback-may-cancel",
        CKR.FUNCTION_CANCELED,
        callback_may_cancel,
        "5.16.1",
        "The session's callback may tell a function to stop.",
        Strength.MAY,
    ),
)


# Parameters of mechanisms.


def parameter_invalid(s: State, a: Args) -> bool:
    return a.parameter != Parameter.RIGHT and one_of(a.mechanism, PARAMETRIC)


def parameter_unwanted(s: State, a: Args) -> bool:
    """A parameter for a mechanism that can do without one."""
    return a.parameter != Parameter.RIGHT and not one_of(a.mechanism, PARAMETRIC)


def hash_or_point_perhaps_unsupported(s: State, a: Args) -> bool:
    """A parameter that chooses a hash or the form of a point, of which a token need not know every one."""
    return one_of(a.mechanism, _CHOOSING)


_CHOOSING = tuple(
    m for m in VARIED if {Role.WRAP, Role.DERIVE, Role.GENERATE, Role.WRAP_AUTHENTICATED}.intersection(m.facts.roles)
)

_PARAMETER = tuple(
    Rule(id, code, when, "5.1.6 CKR_MECHANISM_PARAM_INVALID", says, strength, "A-26", unguarded=True)
    for id, when, strength, says in (
        (
            "parameter-wrong",
            parameter_invalid,
            Strength.INFERRED,
            "Parameters that the mechanism cannot have are wrong, and no less a bad argument.",
        ),
        (
            "parameter-unwanted",
            parameter_unwanted,
            Strength.MAY,
            "A mechanism that takes no parameter may be particular about being given one.",
        ),
        (
            "parameter-perhaps-unsupported",
            hash_or_point_perhaps_unsupported,
            Strength.MAY,
            "Which values of a parameter a token supports is for the token to say.",
        ),
    )
    for code in (CKR.MECHANISM_PARAM_INVALID, CKR.ARGUMENTS_BAD)
)


def curve_chosen(s: State, a: Args) -> bool:
    """Domain parameters in the template or in the base key, of which a token need not know every one."""
    return one_of(a.mechanism, _IN_GROUPS)


_IN_GROUPS = tuple(
    m
    for m, facts in MECHANISMS.items()
    if not {*facts.roles}.isdisjoint({Role.GENERATE_KEY_PAIR, Role.DERIVE})
    and not {*CURVED}.isdisjoint({*facts.makes, *facts.private})
)
"""Mechanisms whose keys lie in a group, which domain parameters choose."""


# The key that wraps, unwraps or is derived from.


def _wrong_kind(s: State, a: Args, role: Role, mechanisms: tuple[Mech, ...]) -> bool:
    if not key_valid(s, a) or not one_of(a.mechanism, mechanisms):
        return False
    kind = s.objects[a.key].kind
    return not any(kind == k and one_of(a.mechanism, taking(role, k)) for k in KEYS)


@cache
def key_of_wrong_type(role: Role) -> Condition:
    """A mechanism of the use that takes no such key."""
    mechanisms = with_role(role)
    return named(f"key not for the mechanism of {NOUNS[role]}", lambda s, a: _wrong_kind(s, a, role, mechanisms))


@cache
def key_given_with_foreign_mechanism(role: Role) -> Condition:
    """A key and a mechanism of another use, or one of which it is not followed what keys it takes for this."""
    foreign, others = mechanism_foreign(role), NOT_FOLLOWED[role]
    return named(
        f"key and mechanism not for {NOUNS[role]}",
        lambda s, a: key_valid(s, a) and (foreign(s, a) or one_of(a.mechanism, others)),
    )


@cache
def key_without_usage(role: Role) -> Condition:
    """No mechanism has this use for keys of the kind, so that they may lack the attribute for it."""
    kinds = usable(role)
    return named(
        f"key of a kind not meant for {NOUNS[role]}",
        lambda s, a: key_valid(s, a) and not one_of(s.objects[a.key].kind, kinds),
    )


def object_is_no_key(s: State, a: Args) -> bool:
    return object_reachable(s, a.session, a.key) and not key_valid(s, a)


def key_usage_denied(s: State, a: Args) -> bool:
    return key_valid(s, a) and s.objects[a.key].trait == Trait.NO_USAGE


_OF_WRAPPING_KEYS = (
    CKR.WRAPPING_KEY_HANDLE_INVALID,
    CKR.WRAPPING_KEY_TYPE_INCONSISTENT,
    CKR.WRAPPING_KEY_SIZE_RANGE,
)
_OF_UNWRAPPING_KEYS = (
    CKR.UNWRAPPING_KEY_HANDLE_INVALID,
    CKR.UNWRAPPING_KEY_TYPE_INCONSISTENT,
    CKR.UNWRAPPING_KEY_SIZE_RANGE,
)
"""Codes about a key that wraps or unwraps: its handle, its type, its size."""


def _key_rows(role: Role, handle: CKR, kind: CKR, size: CKR) -> tuple[Rule, ...]:
    """Rows about the key, with the codes that a function has for its handle, its type and its size.

    A usage attribute that is FALSE has no code of its own here (A-07). CKR_KEY_TYPE_INCONSISTENT is one of those that
    fit, but must not outrank the others, as it does where it is due.
    """
    denied = dict.fromkeys((CKR.KEY_FUNCTION_NOT_PERMITTED, kind, handle), Strength.INFERRED)
    denied[CKR.KEY_TYPE_INCONSISTENT] = Strength.UNSAID
    wrong_type, place = key_of_wrong_type(role), f"5.1.6 {kind!s}"
    return (
        *or_arguments_bad(
            Rule("key-invalid", handle, key_invalid, f"5.1.6 {handle!s}", "The handle is not that of a key.")
        ),
        *any_of(
            tuple(code for code in (CKR.KEY_HANDLE_INVALID, CKR.OBJECT_HANDLE_INVALID) if code != handle),
            "key-invalid",
            key_invalid,
            "5.1.6 CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID",
            "A key handle is an object handle, of which the general codes say that it is not valid.",
            Strength.UNSAID,
            "A-23",
        ),
        Rule(
            "key-is-no-key",
            kind,
            object_is_no_key,
            place,
            "An object that is no key has no type that goes with the mechanism.",
            Strength.UNSAID,
            "A-82",
        ),
        Rule(
            "key-hidden",
            CKR.USER_NOT_LOGGED_IN,
            key_hidden,
            "5.1.6 CKR_USER_NOT_LOGGED_IN",
            "What is wanted needs a user who is not there: a private key is for the user alone.",
            Strength.MAY,
            "A-12",
        ),
        Rule(
            "key-of-wrong-type",
            kind,
            wrong_type,
            place,
            "The type of the key does not go with the mechanism.",
        ),
        Rule(
            "key-given-with-foreign-mechanism",
            kind,
            key_given_with_foreign_mechanism(role),
            place,
            "No type of key goes with a mechanism that is not for this; which of the two is named first is open.",
            Strength.UNSAID,
            "A-25",
        ),
        Rule(
            "key-of-wrong-type",
            CKR.MECHANISM_INVALID,
            wrong_type,
            "5.1.6 CKR_MECHANISM_INVALID",
            "With such a key the mechanism cannot be used for this.",
            Strength.MAY,
            "A-25",
        ),
        Rule(
            "key-without-usage",
            CKR.KEY_FUNCTION_NOT_PERMITTED,
            key_without_usage(role),
            "5.1.6 CKR_KEY_FUNCTION_NOT_PERMITTED",
            "A key of this kind has no attribute, or none that is TRUE, to let it serve.",
            Strength.UNSAID,
            "A-25",
        ),
        Rule(
            "key-size-perhaps-unsupported",
            size,
            key_valid,
            f"5.1.6 {size!s}",
            "A token need not handle keys of every size.",
            Strength.MAY,
        ),
        *(
            Rule(
                "key-usage-denied",
                code,
                key_usage_denied,
                f"{_USE[role]}, the paragraph on the attribute that lets the key serve",
                "The key's attribute for the use must be TRUE; no code is named for one that is not.",
                strength,
                "A-07",
            )
            for code, strength in denied.items()
        ),
        *not_allowed_rows(
            {
                CKR.MECHANISM_INVALID: Strength.INFERRED,
                CKR.KEY_FUNCTION_NOT_PERMITTED: Strength.UNSAID,
                kind: Strength.UNSAID,
            }
        ),
    )


_USE = {
    Role.WRAP: "5.13 C_WrapKey",
    Role.UNWRAP: "5.13 C_UnwrapKey",
    Role.DERIVE: "5.13 C_DeriveKey and 4.7 CKA_DERIVE",
    Role.WRAP_AUTHENTICATED: "5.18 of v3.2 C_WrapKeyAuthenticated",
    Role.UNWRAP_AUTHENTICATED: "5.18 of v3.2 C_UnwrapKeyAuthenticated",
    Role.ENCAPSULATE: "5.18 of v3.2 C_EncapsulateKey",
    Role.DECAPSULATE: "5.18 of v3.2 C_DecapsulateKey",
}


# C_GenerateKey.


_MADE_TRAITS = tuple(trait for trait in Trait if trait != Trait.LIMITED)
"""What keys are made like from others: which mechanisms one may be used with does not hang on how it was made."""

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

_GENERATING = (*SESSION, *_CRYPTOGRAPHY, *MAKING, ATTRIBUTE_PERHAPS_MISSING)
_ITERATIONS = Rule(
    "iterations-perhaps-exceeded",
    CKR.EXCEEDED_MAX_ITERATIONS,
    session_valid,
    "5.1.6 CKR_EXCEEDED_MAX_ITERATIONS",
    "What generates by trying may give up after so many tries.",
    Strength.MAY,
    "A-55",
    since=V2_40,
    unguarded=True,
)
_TYPE_AGAINST_MECHANISM = replace(
    ATTRIBUTES_INCONSISTENT,
    says="A key type that does not go with the mechanism makes the function fail with the code.",
    strength=Strength.MUST,
)


def _generating(role: Role, harmless: Mech, foreign: Mech) -> tuple[Mech, ...]:
    """The mechanisms that a function that generates is given: its own, the harmless one first, and two others."""
    return (*dict.fromkeys((harmless, *with_role(role))), foreign, Mech.UNKNOWN)


def _generated(role: Role, a: Args) -> tuple[Kind, ...]:
    """What the mechanism of a call makes; one that makes nothing does not succeed."""
    first, *others = with_role(role)
    return next((m.facts.makes for m in others if a.mechanism == m), first.facts.makes)


def generate_key(s: State, a: Args) -> State:
    (kind,) = _generated(Role.GENERATE, a)
    return unsettle_searches(made(s, a, kind, Origin.GENERATED, private=a.private))


C_GENERATE_KEY = Function(
    "C_GenerateKey",
    ("session", "mechanism", "token", "private", "trait", "flaw", "null"),
    (
        *_GENERATING,
        replace(_TYPE_AGAINST_MECHANISM, place="5.13 C_GenerateKey, the paragraph on the key type"),
        _ITERATIONS,
        *mechanism_rows(Role.GENERATE),
        *(r for r in _PARAMETER if r.id == "parameter-perhaps-unsupported"),
    ),
    effects=(
        SECOND_LABEL,
        Effect("key-generated", generate_key, "5.13 C_GenerateKey, the first paragraph"),
    ),
    outputs=(FRESH,),
    out_of_scope=object_not_followed,
    domains={
        "mechanism": _generating(Role.GENERATE, Mech.AES_KEY_GEN, Mech.AES_ECB),
        "flaw": _MADE_FLAWS,
    },
    later=GIVEN_UNIQUE_ID,
    deviations=2,
    given=session_valid,
)


# C_GenerateKeyPair.


_OF_SETS = tuple(m for m, facts in MECHANISMS.items() if {*SIZED}.intersection((*facts.makes, *facts.public)))
"""Mechanisms whose keys a parameter set describes."""


def parameter_set_chosen(s: State, a: Args) -> bool:
    """A parameter set in the template, or that of the key, of which a token need not know every one."""
    return one_of(a.mechanism, _OF_SETS)


PARAMETER_SET = Rule(
    "parameter-set-perhaps-unknown",
    CKR.PARAMETER_SET_NOT_SUPPORTED,
    parameter_set_chosen,
    "5.1.6 of v3.2 CKR_PARAMETER_SET_NOT_SUPPORTED",
    "A token need not support every parameter set of a mechanism that has them.",
    Strength.MAY,
    since=V3_2,
    unguarded=True,
)
"""For the functions that list the code."""


def pair_not_followed(s: State, a: Args) -> bool:
    """As for one new object; the halves of a pair take neighbouring numbers, the public one first (see `halves`)."""
    if object_not_followed(s, a):
        return True
    second = free_object(s) + 1
    return second >= len(s.objects) or s.objects[second].exists or lost_key_in_use(s, second)


def take_second_label_of_private_half(s: State, a: Args) -> State:
    """See `take_second_label`; the flaw is in the template of the private half."""
    if a.flaw != Flaw.TWO_VALUES:
        return s
    return put_object(s, free_object(s) + 1, Object(labelled=True))


_SECOND_LABEL_OF_PAIR = replace(SECOND_LABEL, change=take_second_label_of_private_half)


def generate_key_pair(s: State, a: Args) -> State:
    public, private = _generated(Role.GENERATE_KEY_PAIR, a)
    s = made(s, a, public, Origin.GENERATED, private=False)
    s = made(s, a, private, Origin.GENERATED, private=a.private)
    return unsettle_searches(s)


C_GENERATE_KEY_PAIR = Function(
    "C_GenerateKeyPair",
    ("session", "mechanism", "token", "private", "trait", "flaw", "null"),
    (
        *_GENERATING,
        replace(_TYPE_AGAINST_MECHANISM, place="5.13 C_GenerateKeyPair, the paragraph on the key types"),
        _ITERATIONS,
        Rule(
            "self-test-perhaps-failed",
            CKR.FIPS_SELF_TEST_FAILED,
            session_valid,
            "5.1.6 CKR_FIPS_SELF_TEST_FAILED",
            "The function may return the code where the halves do not stand the token's test of them.",
            Strength.MAY,
            "A-55",
            since=V2_40,
            unguarded=True,
        ),
        *mechanism_rows(Role.GENERATE_KEY_PAIR),
        *unknown_curve(curve_chosen),
        replace(PARAMETER_SET, when=parameter_set_chosen),
    ),
    effects=(
        _SECOND_LABEL_OF_PAIR,
        Effect("key-pair-generated", generate_key_pair, "5.13 C_GenerateKeyPair, the first paragraph"),
    ),
    out_of_scope=pair_not_followed,
    domains={
        "mechanism": _generating(Role.GENERATE_KEY_PAIR, Mech.EC_KEY_PAIR_GEN, Mech.AES_KEY_GEN),
        "flaw": _MADE_FLAWS,
    },
    later=GIVEN_UNIQUE_ID,
    deviations=2,
    given=session_valid,
)


# C_WrapKey.


def other_key_valid(s: State, a: Args) -> bool:
    return object_reachable(s, a.session, a.other_key) and s.objects[a.other_key].kind in KEYS


def other_object_is_no_key(s: State, a: Args) -> bool:
    return object_reachable(s, a.session, a.other_key) and not other_key_valid(s, a)


def other_key_hidden(s: State, a: Args) -> bool:
    """The handle was of a private key, and the user is not logged in."""
    if a.other_key >= len(s.objects):
        return False
    return s.objects[a.other_key].private and slot_of(s, a).login != Login.USER


def key_wraps_itself(s: State, a: Args) -> bool:
    return other_key_valid(s, a) and a.key == a.other_key


def other_key_invalid(s: State, a: Args) -> bool:
    return not other_key_valid(s, a)


_OTHER_KEY = (
    *or_arguments_bad(
        Rule(
            "other-key-invalid",
            CKR.KEY_HANDLE_INVALID,
            other_key_invalid,
            "5.1.6 CKR_KEY_HANDLE_INVALID",
            "The handle is none, or that of an object which is no key.",
        )
    ),
    Rule(
        "other-key-invalid",
        CKR.OBJECT_HANDLE_INVALID,
        other_key_invalid,
        "5.1.6 CKR_OBJECT_HANDLE_INVALID",
        "A key handle is an object handle, of which the general code says that it is not valid.",
        Strength.UNSAID,
        "A-23",
    ),
    Rule(
        "other-key-hidden",
        CKR.USER_NOT_LOGGED_IN,
        other_key_hidden,
        "5.1.6 CKR_USER_NOT_LOGGED_IN",
        "What is wanted needs a user who is not there: a private key is for the user alone.",
        Strength.MAY,
        "A-12",
    ),
    Rule(
        "other-key-is-no-key",
        CKR.KEY_NOT_WRAPPABLE,
        other_object_is_no_key,
        "5.1.6 CKR_KEY_NOT_WRAPPABLE",
        "An object that is no key cannot be wrapped, though it has a handle.",
        Strength.UNSAID,
        "A-82",
    ),
    *any_of(
        (CKR.ARGUMENTS_BAD, CKR.KEY_HANDLE_INVALID, CKR.WRAPPING_KEY_HANDLE_INVALID),
        "key-wraps-itself",
        key_wraps_itself,
        "5.13 C_WrapKey, the paragraph on what the function serves for",
        "It wraps a key with any other key; whether with itself is not said.",
        Strength.UNSAID,
        "A-83",
    ),
)


def _trait(s: State, a: Args) -> Trait:
    return s.objects[a.other_key].trait


def key_unextractable(s: State, a: Args) -> bool:
    return other_key_valid(s, a) and _trait(s, a) == Trait.UNEXTRACTABLE


def other_key_extractable(s: State, a: Args) -> bool:
    return other_key_valid(s, a) and _trait(s, a) != Trait.UNEXTRACTABLE


def other_key_perhaps_not_wrappable(s: State, a: Args) -> bool:
    """Few mechanisms wrap anything but secret keys, extractable or not."""
    return other_key_extractable(s, a) or (other_key_valid(s, a) and s.objects[a.other_key].kind not in SECRET_KEYS)


def wrapping_public_key(s: State, a: Args) -> bool:
    return other_key_valid(s, a) and s.objects[a.other_key].kind not in GUARDED_KEYS


def wrapped_key_does_not_fit(s: State, a: Args) -> bool:
    """Whatever the key: a token may look at the room before it finds that it cannot wrap it."""
    return other_key_valid(s, a) and a.buffer == Buffer.SHORT and not a.null


_NOT_WRAPPABLE = "5.13 C_WrapKey, the paragraph on keys that cannot be wrapped"
_WRAPPING = (
    Rule(
        "key-unextractable",
        CKR.KEY_UNEXTRACTABLE,
        key_unextractable,
        "5.1.6 CKR_KEY_UNEXTRACTABLE",
        "A key whose CKA_EXTRACTABLE is FALSE cannot be wrapped; 5.13 wants the attribute TRUE.",
    ),
    Rule(
        "key-perhaps-not-wrappable",
        CKR.KEY_NOT_WRAPPABLE,
        other_key_perhaps_not_wrappable,
        _NOT_WRAPPABLE,
        "A token may have reasons of its own not to wrap an extractable key, and then returns the code.",
        Strength.MAY,
    ),
    *any_of(
        (CKR.KEY_HANDLE_INVALID, CKR.KEY_UNEXTRACTABLE),
        "wrapping-public-key",
        wrapping_public_key,
        "5.13 C_WrapKey, the first paragraph",
        "The function is for private and secret keys; no code is named for a public one.",
        Strength.UNSAID,
    ),
    Rule(
        "key-length-perhaps-unfit",
        CKR.KEY_SIZE_RANGE,
        other_key_extractable,
        _NOT_WRAPPABLE,
        "That the mechanism cannot wrap a key of this length has the code.",
        Strength.MAY,
    ),
    Rule(
        "wrapped-key-does-not-fit",
        CKR.BUFFER_TOO_SMALL,
        wrapped_key_does_not_fit,
        "5.2 second case",
        "A buffer that cannot hold the output makes the function return the code; a told length may overstate.",
        Strength.MAY,
        "A-39",
    ),
)


def keep_wrapped(s: State, a: Args) -> State:
    """Also where the buffer is one below the length that was told, which may overstate the need (5.2).

    What was wrapped with a parameter that may count or not is not known to come out again.
    """
    if a.buffer == Buffer.NULL:
        return s
    return replace(s, wrapped=Kept(a.parameter == Parameter.RIGHT, a.mechanism, a.key, s.objects[a.other_key].kind))


def wrapped_length(s: State, a: Args) -> Sequence[int]:
    """It is the modulus that decides, whatever RSA wraps; a block cipher's is as long as the key wants."""
    return next((at_least(m.facts.ciphertext) for m in _WRAPPING_BY_RSA if m == a.mechanism), ())


_WRAPPING_BY_RSA = tuple(m for m in with_role(Role.WRAP) if not m.facts.symmetric)


def key_not_followed(s: State, a: Args) -> bool:
    """A key of another token: see `key_of_another_token`."""
    if key_of_another_token(s, a):
        return True
    if not session_valid(s, a) or a.other_key >= len(s.objects):
        return False
    return s.objects[a.other_key].exists and s.objects[a.other_key].slot != s.sessions[a.session].slot


C_WRAP_KEY = Function(
    "C_WrapKey",
    ("session", "mechanism", "parameter", "key", "other_key", "buffer", "null"),
    (
        *SESSION,
        *_CRYPTOGRAPHY,
        *_PARAMETER,
        *NULL_POINTER,
        *mechanism_rows(Role.WRAP),
        *_key_rows(Role.WRAP, *_OF_WRAPPING_KEYS),
        PIN_TO_BE_CHANGED,
        *_OTHER_KEY,
        *_WRAPPING,
    ),
    effects=(Effect("output-kept", keep_wrapped, "5.13 C_WrapKey, the first paragraph"),),
    outputs=(Output("length", wrapped_length, "5.2 second way to call", TELLS_LENGTH),),
    out_of_scope=key_not_followed,
    domains={"mechanism": (*dict.fromkeys((Mech.AES_KEY_WRAP, *with_role(Role.WRAP))), Mech.SHA256, Mech.UNKNOWN)},
    given=session_valid,
)


# C_UnwrapKey.


_SYMMETRIC = tuple(m for m in with_role(Role.UNWRAP) if m.facts.symmetric)


def blob_right(s: State, a: Args) -> bool:
    """The blob is one that the matching key wrapped, with this very mechanism, around a key of the kind asked for."""
    w = s.wrapped
    if not (
        w.valid
        and a.parameter == Parameter.RIGHT
        and a.data == Data.KEPT
        and w.mechanism == a.mechanism
        and w.kind == a.kind
    ):
        return False
    return w.key == a.key if one_of(a.mechanism, _SYMMETRIC) else halves(s, w.key, a.key)


def blob_not_known_to_be_right(s: State, a: Args) -> bool:
    return not blob_right(s, a)


def blob_of_impossible_length(s: State, a: Args) -> bool:
    return key_valid(s, a) and s.wrapped.valid and a.data == Data.CUT and s.wrapped.mechanism == a.mechanism


def blob_fails_integrity_check(s: State, a: Args) -> bool:
    return key_valid(s, a) and one_of(a.mechanism, CHECKING) and (a.data == Data.TAMPERED or a.data == Data.FITTING)


def blob_null(s: State, a: Args) -> bool:
    return a.data == Data.NULL


def blob_empty(s: State, a: Args) -> bool:
    return a.data == Data.EMPTY


def _no_input(codes: tuple[CKR, ...]) -> tuple[Rule, ...]:
    """Rows about a wrapped key or a ciphertext that is not there, or is of no length."""
    return (
        *any_of(
            (CKR.ARGUMENTS_BAD, *codes),
            "blob-null",
            blob_null,
            "5.13 C_UnwrapKey, the first paragraph",
            "The wrapped key is what the pointer points to; nothing is said of a NULL one.",
            Strength.INFERRED,
            "A-50",
            unguarded=True,
        ),
        Rule(
            "blob-empty",
            CKR.ARGUMENTS_BAD,
            blob_empty,
            "5.1.6 CKR_ARGUMENTS_BAD",
            "An argument that is not fit for the call: no wrapped key has length 0.",
            Strength.UNSAID,
            "A-28",
            unguarded=True,
        ),
    )


_BLOB = (
    Rule(
        "blob-of-impossible-length",
        CKR.WRAPPED_KEY_LEN_RANGE,
        blob_of_impossible_length,
        "5.1.6 CKR_WRAPPED_KEY_LEN_RANGE",
        "By its length alone the blob is seen not to be a wrapped key.",
        Strength.INFERRED,
    ),
    Rule(
        "blob-fails-integrity-check",
        CKR.WRAPPED_KEY_INVALID,
        blob_fails_integrity_check,
        "5.1.6 CKR_WRAPPED_KEY_INVALID",
        "The blob is not a valid wrapped key, which the mechanism's own check tells.",
        Strength.INFERRED,
    ),
    *any_of(
        (CKR.WRAPPED_KEY_INVALID, CKR.WRAPPED_KEY_LEN_RANGE),
        "blob-perhaps-wrong",
        blob_not_known_to_be_right,
        "5.1.6 CKR_WRAPPED_KEY_INVALID",
        "The blob may not be a valid wrapped key, and 5.1.8 has its codes treated alike.",
        Strength.MAY,
    ),
    *_no_input((CKR.WRAPPED_KEY_INVALID,)),
    Rule(
        "blob-null",
        CKR.WRAPPED_KEY_LEN_RANGE,
        blob_null,
        "5.13 C_UnwrapKey, the first paragraph",
        "The wrapped key is what the pointer points to; nothing is said of a NULL one.",
        Strength.UNSAID,
        "A-50",
        unguarded=True,
    ),
    *any_of(
        TEMPLATE_CODES,
        "blob-perhaps-wrong",
        blob_not_known_to_be_right,
        "4.1.1 rule 5",
        "What a wrong blob comes out as may not go with the template.",
        Strength.UNSAID,
    ),
)


def length_conflicts(s: State, a: Args) -> bool:
    """The template gives another length than the key that comes out."""
    return key_valid(s, a) and blob_right(s, a) and a.flaw == Flaw.VALUE_LEN


_LENGTH = Rule(
    "length-conflicts",
    CKR.WRAPPED_KEY_LEN_RANGE,
    length_conflicts,
    "5.18 of v3.2 C_UnwrapKey, on CKA_VALUE_LEN",
    "Since v3.2 the template may give the length that the key has anyway; another one makes the function fail so.",
    since=V3_2,
)

GIVEN_LENGTH = {**GIVEN_UNIQUE_ID, V3_2: {"flaw": {Flaw.VALUE_LEN: Flaw.INCONSISTENT}}}
"""What the template can have wrong since v3.2, too, where before no length was to be in it."""


def object_or_key_not_followed(s: State, a: Args) -> bool:
    return object_not_followed(s, a) or key_of_another_token(s, a)


def unwrap_key(s: State, a: Args) -> State:
    return unsettle_searches(made(s, a, a.kind, Origin.OTHER, private=a.private))


C_UNWRAP_KEY = Function(
    "C_UnwrapKey",
    ("session", "mechanism", "parameter", "key", "kind", "data", "token", "private", "trait", "flaw", "null"),
    (
        *SESSION,
        *_CRYPTOGRAPHY,
        *_PARAMETER,
        *MAKING,
        ATTRIBUTE_PERHAPS_MISSING,
        ATTRIBUTES_INCONSISTENT,
        *mechanism_rows(Role.UNWRAP),
        *_key_rows(Role.UNWRAP, *_OF_UNWRAPPING_KEYS),
        *_BLOB,
        _LENGTH,
    ),
    effects=(
        SECOND_LABEL,
        Effect("key-unwrapped", unwrap_key, "5.13 C_UnwrapKey, the first paragraph"),
    ),
    outputs=(FRESH,),
    out_of_scope=object_or_key_not_followed,
    domains={
        "mechanism": (*dict.fromkeys((Mech.AES_KEY_WRAP, *with_role(Role.UNWRAP))), Mech.SHA256, Mech.UNKNOWN),
        "kind": tuple(dict.fromkeys((Kind.AES, *SECRET_KEYS))),
        "data": (Data.KEPT, Data.TAMPERED, Data.CUT, Data.FITTING, Data.EMPTY, Data.NULL),
        "flaw": _MADE_FLAWS,
        "trait": _MADE_TRAITS,
    },
    later=GIVEN_LENGTH,
    deviations=2,
    given=session_valid,
)


# C_DeriveKey.


def point_invalid(s: State, a: Args) -> bool:
    """The other side's public key is none."""
    return a.parameter == Parameter.IMPOSSIBLE and one_of(a.mechanism, _AGREEING)


_AGREEING = tuple(m for m in with_role(Role.DERIVE) if m in _IN_GROUPS)
"""Mechanisms that agree on a key with the other side, whose public key is in the parameter."""


def derive_key(s: State, a: Args) -> State:
    return unsettle_searches(made(s, a, a.kind, Origin.OTHER, private=a.private))


C_DERIVE_KEY = Function(
    "C_DeriveKey",
    ("session", "mechanism", "parameter", "key", "kind", "token", "private", "trait", "flaw", "null"),
    (
        *SESSION,
        *_CRYPTOGRAPHY,
        *_PARAMETER,
        *unknown_curve(curve_chosen),
        Rule(
            "point-invalid",
            CKR.PUBLIC_KEY_INVALID,
            point_invalid,
            "5.1.6 CKR_PUBLIC_KEY_INVALID",
            "The other side's public key in the parameter does not validate, for which the function has the code.",
            Strength.MAY,
            since=V2_40,
            unguarded=True,
        ),
        *MAKING,
        ATTRIBUTE_PERHAPS_MISSING,
        ATTRIBUTES_INCONSISTENT,
        *mechanism_rows(Role.DERIVE),
        *_key_rows(Role.DERIVE, CKR.KEY_HANDLE_INVALID, CKR.KEY_TYPE_INCONSISTENT, CKR.KEY_SIZE_RANGE),
    ),
    effects=(
        SECOND_LABEL,
        Effect("key-derived", derive_key, "5.13 C_DeriveKey, the first paragraph"),
    ),
    outputs=(FRESH,),
    out_of_scope=object_or_key_not_followed,
    domains={
        "mechanism": (*with_role(Role.DERIVE), Mech.AES_ECB, Mech.UNKNOWN),
        "kind": _MADE_OF,
        "flaw": _MADE_FLAWS,
        "trait": _MADE_TRAITS,
    },
    later=GIVEN_UNIQUE_ID,
    deviations=2,
    given=session_valid,
)

# C_WrapKeyAuthenticated.


def keep_sealed(s: State, a: Args) -> State:
    """See `keep_wrapped`; the tag is in the parameter."""
    if a.buffer == Buffer.NULL:
        return s
    return replace(s, sealed=Kept(a.parameter == Parameter.RIGHT, a.mechanism, a.key, s.objects[a.other_key].kind))


def _listed_otherwise(role: Role, *codes: CKR) -> tuple[Rule, ...]:
    """The general codes about a key, where a list has those of wrapping or unwrapping, or the other way."""
    return any_of(
        codes,
        "key-of-wrong-type",
        key_of_wrong_type(role),
        "5.1.6 on the codes of wrapping and unwrapping keys",
        "The list borrows codes that only another function returns; the general ones say the same.",
        Strength.MAY,
        "A-111",
    )


C_WRAP_KEY_AUTHENTICATED = Function(
    "C_WrapKeyAuthenticated",
    ("session", "mechanism", "parameter", "key", "other_key", "buffer", "null"),
    (
        *SESSION,
        *_CRYPTOGRAPHY,
        *_PARAMETER,
        *NULL_POINTER,
        *mechanism_rows(Role.WRAP_AUTHENTICATED),
        *_key_rows(Role.WRAP_AUTHENTICATED, *_OF_WRAPPING_KEYS),
        *_listed_otherwise(Role.WRAP_AUTHENTICATED, CKR.KEY_TYPE_INCONSISTENT),
        PIN_TO_BE_CHANGED,
        *_OTHER_KEY,
        *_WRAPPING,
    ),
    effects=(Effect("output-kept", keep_sealed, "5.18 of v3.2 C_WrapKeyAuthenticated, the first paragraph"),),
    out_of_scope=key_not_followed,
    domains={
        "mechanism": (*with_role(Role.WRAP_AUTHENTICATED), Mech.SHA256, Mech.UNKNOWN),
        "parameter": (Parameter.RIGHT, Parameter.WRONG),
    },
    deviations=2,
    given=session_valid,
)


# C_UnwrapKeyAuthenticated.


def _sealed_here(s: State, a: Args) -> bool:
    """The blob is, or was made of, one that this key and this mechanism sealed, and comes with its own tag."""
    w = s.sealed
    return w.valid and a.parameter == Parameter.RIGHT and w.mechanism == a.mechanism and w.key == a.key


def sealed_right(s: State, a: Args) -> bool:
    return _sealed_here(s, a) and a.data == Data.KEPT and s.sealed.kind == a.kind


def sealed_not_known_to_be_right(s: State, a: Args) -> bool:
    return not sealed_right(s, a)


def sealed_broken(s: State, a: Args) -> bool:
    """Authentication has to tell that the blob was changed."""
    return key_valid(s, a) and _sealed_here(s, a) and (a.data == Data.TAMPERED or a.data == Data.CUT)


_UNAUTHENTIC = (CKR.WRAPPED_KEY_INVALID, CKR.AEAD_DECRYPT_FAILED, CKR.WRAPPED_KEY_LEN_RANGE)
_SEALED = (
    *any_of(
        (CKR.WRAPPED_KEY_INVALID, CKR.AEAD_DECRYPT_FAILED),
        "sealed-broken",
        sealed_broken,
        "5.18 of v3.2 C_UnwrapKeyAuthenticated, the first paragraph",
        "What authenticated encryption cannot verify is no key; the list has no code of its own for that.",
        Strength.INFERRED,
        "A-112",
    ),
    *any_of(
        _UNAUTHENTIC,
        "sealed-perhaps-wrong",
        sealed_not_known_to_be_right,
        "5.18 of v3.2 C_UnwrapKeyAuthenticated, the first paragraph",
        "What was not sealed by this key is not authentic, or no key of the kind.",
        Strength.MAY,
        "A-112",
    ),
    *any_of(
        TEMPLATE_CODES,
        "sealed-perhaps-wrong",
        sealed_not_known_to_be_right,
        "4.1.1 rule 5",
        "What a wrong blob comes out as may not go with the template.",
        Strength.UNSAID,
    ),
    *_no_input(_UNAUTHENTIC[:1]),
)


def unwrap_key_authenticated(s: State, a: Args) -> State:
    return unsettle_searches(made(s, a, a.kind, Origin.OTHER, private=a.private))


C_UNWRAP_KEY_AUTHENTICATED = Function(
    "C_UnwrapKeyAuthenticated",
    ("session", "mechanism", "parameter", "key", "kind", "data", "token", "private", "trait", "flaw", "null"),
    (
        *SESSION,
        *_CRYPTOGRAPHY,
        *_PARAMETER,
        *MAKING,
        ATTRIBUTE_PERHAPS_MISSING,
        ATTRIBUTES_INCONSISTENT,
        *mechanism_rows(Role.UNWRAP_AUTHENTICATED),
        *_key_rows(Role.UNWRAP_AUTHENTICATED, *_OF_UNWRAPPING_KEYS),
        *_listed_otherwise(Role.UNWRAP_AUTHENTICATED, CKR.KEY_TYPE_INCONSISTENT),
        *_SEALED,
    ),
    effects=(
        SECOND_LABEL,
        Effect(
            "key-unwrapped",
            unwrap_key_authenticated,
            "5.18 of v3.2 C_UnwrapKeyAuthenticated, the first paragraph",
        ),
    ),
    outputs=(FRESH,),
    out_of_scope=object_or_key_not_followed,
    domains={
        "mechanism": (*with_role(Role.UNWRAP_AUTHENTICATED), Mech.SHA256, Mech.UNKNOWN),
        "parameter": (Parameter.RIGHT, Parameter.WRONG),
        "kind": tuple(dict.fromkeys((Kind.AES, *_MADE_OF))),
        "data": (Data.KEPT, Data.TAMPERED, Data.CUT, Data.EMPTY, Data.NULL),
        "flaw": _MADE_FLAWS,
        "trait": _MADE_TRAITS,
    },
    later=GIVEN_UNIQUE_ID,
    deviations=2,
    given=session_valid,
)


# C_EncapsulateKey.


def capsule_does_not_fit(s: State, a: Args) -> bool:
    return key_valid(s, a) and a.buffer == Buffer.SHORT


def capsule_asked(s: State, a: Args) -> bool:
    """No place for the ciphertext, as in the query by which it is found out what place is short."""
    return a.buffer == Buffer.NULL or a.buffer == Buffer.SHORT


_CAPSULE = (
    Rule(
        "capsule-does-not-fit",
        CKR.BUFFER_TOO_SMALL,
        capsule_does_not_fit,
        "5.18 of v3.2 C_EncapsulateKey, on pCiphertext",
        "A place too small for the ciphertext makes the function return the code, which its list lacks.",
        Strength.MAY,
        "A-39",
    ),
    *any_of(
        (CKR.BUFFER_TOO_SMALL, CKR.ARGUMENTS_BAD),
        "capsule-asked",
        capsule_asked,
        "5.18 of v3.2 C_EncapsulateKey, on pCiphertext",
        "Whether no place at all asks for the length, as in other functions, is said in a later draft only.",
        Strength.UNSAID,
        "A-113",
        unguarded=True,
    ),
)


def encapsulate_key(s: State, a: Args) -> State:
    """Nothing is made where only the length was asked for; the ciphertext is kept with the key."""
    if a.buffer == Buffer.NULL:
        return s
    made_key = made(s, a, a.kind, Origin.OTHER, private=a.private)
    return unsettle_searches(
        replace(made_key, capsule=Kept(a.parameter == Parameter.RIGHT, a.mechanism, a.key, a.kind))
    )


def fresh_unless_asked(s: State, a: Args) -> Sequence[int]:
    return () if a.buffer == Buffer.NULL else FRESH.permitted(s, a)


def take_second_label_unless_asked(s: State, a: Args) -> State:
    return s if a.buffer == Buffer.NULL else SECOND_LABEL.change(s, a)


_CAPSULE_LENGTHS = tuple((m, m.facts.ciphertext) for m in with_role(Role.ENCAPSULATE))


def capsule_length(s: State, a: Args) -> Sequence[int]:
    return next((at_least(n) for m, n in _CAPSULE_LENGTHS if m == a.mechanism), ())


def _encapsulating(role: Role, handle: CKR, kind: CKR, size: CKR) -> tuple[Rule, ...]:
    """Rows of both functions; no mechanism for it that is followed wants a parameter."""
    return (
        *SESSION,
        *_CRYPTOGRAPHY,
        *(r for r in _PARAMETER if r.when == parameter_unwanted),
        *MAKING,
        ATTRIBUTE_PERHAPS_MISSING,
        ATTRIBUTES_INCONSISTENT,
        PARAMETER_SET,
        *mechanism_rows(role),
        *_key_rows(role, handle, kind, size),
    )


C_ENCAPSULATE_KEY = Function(
    "C_EncapsulateKey",
    ("session", "mechanism", "parameter", "key", "kind", "buffer", "token", "private", "trait", "flaw", "null"),
    (
        *_encapsulating(Role.ENCAPSULATE, CKR.KEY_HANDLE_INVALID, CKR.KEY_TYPE_INCONSISTENT, CKR.KEY_SIZE_RANGE),
        *_CAPSULE,
    ),
    effects=(
        replace(SECOND_LABEL, change=take_second_label_unless_asked),
        Effect("key-encapsulated", encapsulate_key, "5.18 of v3.2 C_EncapsulateKey, the first paragraph"),
    ),
    outputs=(
        replace(FRESH, permitted=fresh_unless_asked),
        Output("length", capsule_length, "5.18 of v3.2 C_EncapsulateKey, on pCiphertext", TELLS_LENGTH),
    ),
    out_of_scope=object_or_key_not_followed,
    domains={
        "mechanism": (*with_role(Role.ENCAPSULATE), Mech.SHA256, Mech.UNKNOWN),
        "parameter": (Parameter.RIGHT, Parameter.WRONG),
        "kind": tuple(dict.fromkeys((Kind.AES, *_MADE_OF))),
        # Whether anything tells what is exact is open.
        "buffer": (Buffer.ENOUGH, Buffer.NULL, Buffer.SHORT),
        "flaw": _MADE_FLAWS,
        "trait": _MADE_TRAITS,
    },
    later=GIVEN_UNIQUE_ID,
    deviations=2,
    given=session_valid,
)


# C_DecapsulateKey.


def capsule_right(s: State, a: Args) -> bool:
    """The ciphertext is one that the other half gave by this mechanism."""
    c = s.capsule
    if not (c.valid and a.parameter == Parameter.RIGHT and a.data == Data.KEPT and c.mechanism == a.mechanism):
        return False
    return halves(s, c.key, a.key)


def capsule_not_known_to_be_right(s: State, a: Args) -> bool:
    return not capsule_right(s, a)


def capsule_of_impossible_length(s: State, a: Args) -> bool:
    """Every ciphertext of a mechanism is as long as its parameter set has it."""
    return key_valid(s, a) and s.capsule.valid and a.data == Data.CUT and s.capsule.mechanism == a.mechanism


_UNFIT_CAPSULE = (
    CKR.WRAPPED_KEY_INVALID,
    CKR.WRAPPED_KEY_LEN_RANGE,
    CKR.ENCRYPTED_DATA_INVALID,
    CKR.ENCRYPTED_DATA_LEN_RANGE,
)
_GIVEN_CAPSULE = (
    *any_of(
        _UNFIT_CAPSULE[:2],
        "capsule-of-impossible-length",
        capsule_of_impossible_length,
        "5.18 of v3.2 C_DecapsulateKey, list of return values",
        "By its length alone the ciphertext is seen to be none; the list has the codes of wrapped keys for it.",
        Strength.INFERRED,
        "A-114",
    ),
    *any_of(
        _UNFIT_CAPSULE,
        "capsule-perhaps-wrong",
        capsule_not_known_to_be_right,
        "5.18 of v3.2 C_DecapsulateKey, list of return values",
        "A ciphertext that the other half did not give may be refused, or come out as another key.",
        Strength.MAY,
        "A-114",
    ),
    *_no_input(_UNFIT_CAPSULE[:1]),
)


def decapsulate_key(s: State, a: Args) -> State:
    return unsettle_searches(made(s, a, a.kind, Origin.OTHER, private=a.private))


C_DECAPSULATE_KEY = Function(
    "C_DecapsulateKey",
    ("session", "mechanism", "parameter", "key", "kind", "data", "token", "private", "trait", "flaw", "null"),
    (
        *_encapsulating(
            Role.DECAPSULATE,
            CKR.UNWRAPPING_KEY_HANDLE_INVALID,
            CKR.UNWRAPPING_KEY_TYPE_INCONSISTENT,
            CKR.UNWRAPPING_KEY_SIZE_RANGE,
        ),
        *_listed_otherwise(Role.DECAPSULATE, CKR.KEY_TYPE_INCONSISTENT),
        *_GIVEN_CAPSULE,
    ),
    effects=(
        SECOND_LABEL,
        Effect("key-decapsulated", decapsulate_key, "5.18 of v3.2 C_DecapsulateKey, the first paragraph"),
    ),
    outputs=(FRESH,),
    out_of_scope=object_or_key_not_followed,
    domains={
        "mechanism": (*with_role(Role.DECAPSULATE), Mech.SHA256, Mech.UNKNOWN),
        "parameter": (Parameter.RIGHT, Parameter.WRONG),
        "kind": tuple(dict.fromkeys((Kind.AES, *_MADE_OF))),
        "data": (Data.KEPT, Data.TAMPERED, Data.CUT, Data.EMPTY, Data.NULL),
        "flaw": _MADE_FLAWS,
        "trait": _MADE_TRAITS,
    },
    later=GIVEN_UNIQUE_ID,
    deviations=2,
    given=session_valid,
)

FUNCTIONS = (
    C_GENERATE_KEY,
    C_GENERATE_KEY_PAIR,
    C_WRAP_KEY,
    C_UNWRAP_KEY,
    C_DERIVE_KEY,
    C_WRAP_KEY_AUTHENTICATED,
    C_UNWRAP_KEY_AUTHENTICATED,
    C_ENCAPSULATE_KEY,
    C_DECAPSULATE_KEY,
)
