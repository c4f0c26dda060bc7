"""The life of an operation (5.8 to 5.12), told once for all kinds: what begins, feeds and ends it, and what refuses.

The conditions and effects of a kind are made here from its `Activity`; the chapters put them into rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import Any, cast

from ..attributes import PAIRS
from ..call import Args, Buffer, Data, Parameter
from ..mechanisms import MECHANISMS, NOUNS, Role, taking, with_role
from ..rule import Change, Condition, Effect, Function, Rule, Strength, named, never, one_fact
from ..state import (
    Kept,
    Kind,
    Login,
    Mech,
    Operation,
    Operations,
    Phase,
    Search,
    State,
    Trait,
    map_sessions,
    put_session,
)
from ..vocabulary import CKR, ENVIRONMENT, Version
from .common import NULL_POINTER, SESSION, arguments_bad, mechanism_rows
from .conditions import (
    callback_may_cancel,
    key_hidden,
    key_invalid,
    key_not_short,
    key_of_another_token,
    key_short,
    key_valid,
    object_reachable,
    one_of,
    pin_to_be_changed,
    pointer_null,
    session_valid,
    slot_of,
    user_required_but_absent,
)

V2_01, V2_20 = Version.V2_01, Version.V2_20


@dataclass(frozen=True, slots=True)
class Activity:
    """A kind of operation.

    `field` is its place in `Operations`. `unfit` are the codes by which its
    functions refuse their input, `partners` the kinds that it may share a session with for dual functions (5.12).
    `private` says that what it does may want the user there, `part_needed` that 5.11 wants an Update before the Final,
    `keyed` that it has a key, `parted` that there are functions to do it in parts.
    """

    field: str
    section: str
    role: Role
    unfit: tuple[CKR, ...] = ()
    partners: tuple[str, ...] = ()
    private: bool = False
    part_needed: bool = False
    keyed: bool = True
    parted: bool = True

    @property
    def noun(self) -> str:
        """Its name in conditions."""
        return NOUNS[self.role]


_PLAINTEXT = (CKR.DATA_INVALID, CKR.DATA_LEN_RANGE)
_CIPHERTEXT = (CKR.ENCRYPTED_DATA_INVALID, CKR.ENCRYPTED_DATA_LEN_RANGE)
_SIGNED = (*_PLAINTEXT, CKR.SIGNATURE_INVALID, CKR.SIGNATURE_LEN_RANGE)

ENCRYPTION = Activity("encrypt", "5.8", Role.ENCRYPT, _PLAINTEXT, ("digest", "sign"))
DECRYPTION = Activity("decrypt", "5.9", Role.DECRYPT, _CIPHERTEXT, ("digest", "verify"), private=True)
DIGESTING = Activity("digest", "5.10", Role.DIGEST, (), ("encrypt", "decrypt"), keyed=False)
SIGNING = Activity("sign", "5.11", Role.SIGN, _PLAINTEXT, ("encrypt",), private=True, part_needed=True)
SIGNING_RECOVERABLY = Activity("sign_recover", "5.11", Role.SIGN_RECOVER, _PLAINTEXT, private=True, parted=False)
VERIFYING = Activity("verify", "5.11", Role.VERIFY, _SIGNED, ("decrypt",), part_needed=True)
RECOVERING = Activity("verify_recover", "5.11", Role.VERIFY_RECOVER, _SIGNED, parted=False)

ACTIVITIES = (ENCRYPTION, DECRYPTION, DIGESTING, SIGNING, SIGNING_RECOVERABLY, VERIFYING, RECOVERING)


class Step(Enum):
    """What a call does to an operation: all of it at once, a part of it, or its end after the parts."""

    WHOLE = "single part"
    PART = "update"
    LAST = "final"


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a call that works on an operation: its step, and whether it takes data and gives output (5.2)."""

    step: Step
    data: bool = True
    output: bool = True


def operation(s: State, a: Args, k: Activity) -> Operation:
    """The operation of a kind in the call's session, which is open."""
    found: Operation = getattr(s.sessions[a.session].operations, k.field)
    return found


def with_operation(s: State, a: Args, k: Activity, new: Operation) -> State:
    """`s` with the operation of a kind in the call's session replaced."""
    session, change = s.sessions[a.session], cast(dict[str, Any], {k.field: new})
    return put_session(s, a.session, replace(session, operations=replace(session.operations, **change)))


def _running(o: Operations, fields: Iterable[str]) -> bool:
    return any(getattr(o, field).phase != Phase.NONE for field in fields)


# What is under way in a session.


def _phase(words: str, k: Activity, *phases: Phase) -> Condition:
    return named(words, lambda s, a: session_valid(s, a) and one_of(operation(s, a, k).phase, phases))


@one_fact
def active(k: Activity) -> Condition:
    """An operation of the kind is active."""
    return _phase(f"{k.noun} active", k, Phase.READY, Phase.UPDATED)


@one_fact
def not_active(k: Activity) -> Condition:
    """No operation of the kind is active."""
    return _phase(f"{k.noun} not active", k, Phase.NONE)


@one_fact
def begun(k: Activity) -> Condition:
    """An operation of the kind is active, and was not fed by an Update."""
    return _phase(f"{k.noun} begun without an update", k, Phase.READY)


@one_fact
def updated(k: Activity) -> Condition:
    """An operation of the kind is active, and was fed by an Update."""
    return _phase(f"{k.noun} under way in parts", k, Phase.UPDATED)


def something_active(s: State, a: Args) -> bool:
    """Any operation at all, or a search."""
    if not session_valid(s, a):
        return False
    o = s.sessions[a.session].operations
    return o.search != Search.NONE or _running(o, (k.field for k in ACTIVITIES))


@one_fact
def conflicting(k: Activity) -> Condition:
    """An operation is active that one of this kind cannot stand beside, itself included."""
    strangers = tuple(sorted({x.field for x in ACTIVITIES} - set(k.partners)))

    def holds(s: State, a: Args) -> bool:
        if not session_valid(s, a):
            return False
        o = s.sessions[a.session].operations
        if o.search != Search.NONE or _running(o, strangers):
            return True
        partners = [field for field in k.partners if _running(o, (field,))]
        return len(partners) > 1 or (bool(partners) and not slot_of(s, a).dual)

    return named(f"{k.noun} or what excludes it active", holds)


@one_fact
def partner_active(k: Activity) -> Condition:
    """An operation is active that dual functions may use beside one of this kind."""
    return named(
        f"partner of {k.noun} active",
        lambda s, a: session_valid(s, a) and _running(s.sessions[a.session].operations, k.partners),
    )


# What Init functions refuse (6.2 of the list of conditions in 5.1.6).


_PARAMETRIC = tuple(m.mech for m in MECHANISMS.values() if m.parameter)
_OTHER_HALF = {**dict(PAIRS), **{private: public for public, private in PAIRS}}

_Taken = tuple[tuple[Kind, tuple[Mech, ...]], ...]

_TAKEN: Mapping[Role, _Taken] = {role: tuple((kind, taking(role, kind)) for kind in Kind) for role in Role}
"""For each use the kinds of key, each with the mechanisms that take it."""

_TAKEN_OTHERWISE: Mapping[Role, _Taken] = {
    role: tuple((_OTHER_HALF[kind], mechs) for kind, mechs in taken if kind in _OTHER_HALF)
    for role, taken in _TAKEN.items()
}
"""The same for the halves of pairs whose other halves they take."""


def _key_among(s: State, a: Args, taken: _Taken) -> bool:
    return any(s.objects[a.key].kind == kind and one_of(a.mechanism, mechs) for kind, mechs in taken)


_VARIED = (Mech.AES_CTR, Mech.AES_GCM, Mech.RSA_PKCS_OAEP, Mech.RSA_PKCS_PSS)
"""Mechanisms whose parameter chooses a hash, a length or the like, of which a token need not know every one."""


def parameter_perhaps_unsupported(s: State, a: Args) -> bool:
    return not a.null and one_of(a.mechanism, _VARIED)


def parameter_wrong(s: State, a: Args) -> bool:
    """A parameter of a length that the mechanism does not take."""
    return not a.null and a.parameter != Parameter.RIGHT and one_of(a.mechanism, _PARAMETRIC)


def parameter_not_wanted(s: State, a: Args) -> bool:
    """A parameter for a mechanism that takes none."""
    return not a.null and a.parameter != Parameter.RIGHT and not one_of(a.mechanism, _PARAMETRIC)


@one_fact
def key_of_wrong_type(k: Activity) -> Condition:
    """The mechanism takes neither the key nor its other half."""
    own, either = with_role(k.role), (*_TAKEN[k.role], *_TAKEN_OTHERWISE[k.role])
    return named(
        f"key type not for {k.noun}",
        lambda s, a: key_valid(s, a) and not a.null and one_of(a.mechanism, own) and not _key_among(s, a, either),
    )


@one_fact
def key_of_wrong_half(k: Activity) -> Condition:
    """The mechanism takes the other half of the pair."""
    other = _TAKEN_OTHERWISE[k.role]
    return named(
        f"other half of pair given for {k.noun}",
        lambda s, a: key_valid(s, a) and not a.null and _key_among(s, a, other),
    )


@one_fact
def key_without_usage(k: Activity) -> Condition:
    """No mechanism has this use for keys of the kind, so that they lack the attribute for it."""
    kinds = tuple(kind for kind, mechs in _TAKEN[k.role] if mechs)
    return named(
        f"key of a kind not meant for {k.noun}",
        lambda s, a: key_valid(s, a) and not one_of(s.objects[a.key].kind, kinds),
    )


@one_fact
def key_usage_denied(k: Activity) -> Condition:
    """The key's attribute for this use is FALSE."""
    return named(
        f"key not permitted for {k.noun}", lambda s, a: key_valid(s, a) and s.objects[a.key].trait == Trait.NO_USAGE
    )


@one_fact
def key_with_foreign_mechanism(k: Activity) -> Condition:
    """A key and a mechanism of another use."""
    own = with_role(k.role)
    others = tuple(mech for mech in MECHANISMS if mech not in own)
    return named(f"key and mechanism not for {k.noun}", lambda s, a: key_valid(s, a) and one_of(a.mechanism, others))


def _key_rows(k: Activity) -> tuple[Rule, ...]:
    codes, own = (CKR.MECHANISM_PARAM_INVALID, CKR.ARGUMENTS_BAD), {*with_role(k.role)}
    parametric, varied = own & {*_PARAMETRIC}, own & {*_VARIED}
    return (
        Rule("key-invalid", CKR.KEY_HANDLE_INVALID, key_invalid, k.section, "", reading="A-23"),
        Rule("key-hidden", CKR.USER_NOT_LOGGED_IN, key_hidden, "5.1.6", "", Strength.MAY, "A-12"),
        Rule("key-of-wrong-type", CKR.KEY_TYPE_INCONSISTENT, key_of_wrong_type(k), "5.1.6", "", reading="A-25"),
        Rule("key-of-wrong-type", CKR.MECHANISM_INVALID, key_of_wrong_type(k), "5.1.6", "", Strength.MAY, "A-25"),
        Rule(
            "key-without-usage",
            CKR.KEY_FUNCTION_NOT_PERMITTED,
            key_without_usage(k),
            "5.1.6",
            "",
            Strength.INFERRED,
            "A-25",
        ),
        Rule("key-of-wrong-half", CKR.KEY_TYPE_INCONSISTENT, key_of_wrong_half(k), "5.1.6", "", Strength.MAY, "A-25"),
        Rule("key-usage-denied", CKR.KEY_FUNCTION_NOT_PERMITTED, key_usage_denied(k), k.section, ""),
        Rule(
            "key-with-foreign-mechanism",
            CKR.KEY_TYPE_INCONSISTENT,
            key_with_foreign_mechanism(k),
            "5.1.6",
            "",
            Strength.UNSAID,
            "A-25",
        ),
        Rule("key-short", CKR.KEY_SIZE_RANGE, key_short, "5.1.6", "", Strength.MAY),
        Rule("key-not-short", CKR.KEY_SIZE_RANGE, key_not_short, "5.1.6", "", Strength.MAY),
        *(
            Rule("parameter-wrong", code, parameter_wrong, "5.1.6", "", Strength.INFERRED, "A-26")
            for code in codes
            if parametric
        ),
        *(
            Rule("parameter-not-wanted", code, parameter_not_wanted, "5.1.6", "", Strength.MAY, "A-26")
            for code in codes
        ),
        *(
            Rule(
                "parameter-perhaps-unsupported", code, parameter_perhaps_unsupported, "5.1.6", "", Strength.MAY, "A-26"
            )
            for code in codes
            if varied
        ),
    )


_NOT_ERRORS = frozenset(
    {CKR.OK, CKR.BUFFER_TOO_SMALL, CKR.SESSION_HANDLE_INVALID, CKR.CRYPTOKI_NOT_INITIALIZED, CKR.CANCEL}
)
_DOUBTFUL = frozenset({*ENVIRONMENT, CKR.FUNCTION_NOT_SUPPORTED, CKR.OPERATION_ACTIVE})
"""Errors that may have come from beside the operation: a stub's, the device's, or a guard's before it."""

ERRORS = frozenset(CKR) - _NOT_ERRORS
_PLAIN_ERRORS = ERRORS - _DOUBTFUL

DISPLACING = frozenset({CKR.OK, *ERRORS} - {CKR.OPERATION_ACTIVE})
"""Codes of an Init that may have dropped what was active before it, as some libraries do even where it fails."""


@cache
def started(k: Activity) -> Change:
    """An operation of the kind begins."""
    return named(
        f"{k.noun} begins",
        lambda s, a: with_operation(s, a, k, Operation(Phase.READY, a.mechanism, a.key if k.keyed else 0)),
    )


def all_dropped(s: State, a: Args) -> State:
    """Every operation of the session ends, and the search."""
    if not session_valid(s, a):
        return s
    return put_session(s, a.session, replace(s.sessions[a.session], operations=Operations()))


@cache
def displaced(k: Activity) -> Change:
    """What an operation of the kind cannot stand beside is dropped for it, and all the rest with it."""
    conflict = conflicting(k)
    return named(f"{k.noun} displaces what was active", lambda s, a: all_dropped(s, a) if conflict(s, a) else s)


def init(name: str, k: Activity, mechanisms: tuple[Mech, ...]) -> Function:
    """The function that begins operations of a kind; `mechanisms` are worth trying with it, a good one first."""
    return Function(
        name,
        ("session", "mechanism", "parameter", "key", "null") if k.keyed else ("session", "mechanism", "null"),
        (
            *SESSION,
            *arguments_bad("mechanism-null", pointer_null, k.section, "", "A-27"),
            Rule("pointer-null", CKR.MECHANISM_INVALID, pointer_null, k.section, "", Strength.INFERRED, "A-27"),
            *mechanism_rows(k.role),
            *(_key_rows(k) if k.keyed else ()),
            Rule("conflicting", CKR.OPERATION_ACTIVE, conflicting(k), "5.1.6", "", Strength.MAY, "A-16"),
            *(
                (Rule("partner-active", CKR.OPERATION_ACTIVE, partner_active(k), "5.12", "", Strength.UNSAID),)
                if k.partners
                else ()
            ),
            Rule(
                "user-required-but-absent", CKR.USER_NOT_LOGGED_IN, user_required_but_absent, "5.1.6", "", Strength.MAY
            ),
            Rule("pin-to-be-changed", CKR.PIN_EXPIRED, pin_to_be_changed, "5.1.6", "", Strength.MAY, since=V2_20),
            Rule("callback-may-cancel", CKR.FUNCTION_CANCELED, callback_may_cancel, "5.16", "", Strength.MAY),
        ),
        effects=(
            Effect(displaced(k), "5.1.6", DISPLACING, certain=False, reading="A-16"),
            Effect(started(k), k.section),
        ),
        out_of_scope=key_of_another_token if k.keyed else never,
        domains={"mechanism": mechanisms, "parameter": (Parameter.RIGHT, Parameter.WRONG)},
    )


# What calls refuse that work on an operation.


_WHOLE_ONLY = tuple(m.mech for m in MECHANISMS.values() if not m.parts)

_UNFORESEEN = (
    CKR.OPERATION_NOT_INITIALIZED,
    CKR.OPERATION_ACTIVE,
    CKR.MECHANISM_INVALID,
    CKR.KEY_TYPE_INCONSISTENT,
    CKR.KEY_FUNCTION_NOT_PERMITTED,
    CKR.ARGUMENTS_BAD,
)
"""What modules answer to parts for a mechanism that takes none: the text has no code for it."""

_KEY_LOST = (
    CKR.KEY_HANDLE_INVALID,
    CKR.OBJECT_HANDLE_INVALID,
    CKR.USER_NOT_LOGGED_IN,
    CKR.OPERATION_NOT_INITIALIZED,
)


def data_null(s: State, a: Args) -> bool:
    """Input data at the NULL pointer, where it is needed."""
    return a.data == Data.NULL


def data_null_for_output(s: State, a: Args) -> bool:
    """Input data at the NULL pointer, to be processed into a buffer."""
    return a.data == Data.NULL and a.buffer != Buffer.NULL


def data_null_for_length(s: State, a: Args) -> bool:
    """Input data at the NULL pointer, when only the length of the output is asked for."""
    return a.data == Data.NULL and a.buffer == Buffer.NULL


def data_empty(s: State, a: Args) -> bool:
    """Input data of length 0."""
    return a.data == Data.EMPTY


@one_fact
def key_lost(k: Activity) -> Condition:
    """The key of the operation was destroyed or hidden meanwhile."""
    working = active(k)
    return named(
        f"key of {k.noun} lost",
        lambda s, a: working(s, a) and not object_reachable(s, a.session, operation(s, a, k).key),
    )


@one_fact
def user_gone(k: Activity) -> Condition:
    """The user is not logged in while the operation is active."""
    working = active(k)
    return named(f"{k.noun} without the user", lambda s, a: working(s, a) and slot_of(s, a).login != Login.USER)


@one_fact
def parts_unforeseen(k: Activity) -> Condition:
    """The mechanism takes its input at once only."""
    working = active(k)
    return named(
        f"{k.noun} in parts by a mechanism without parts",
        lambda s, a: working(s, a) and one_of(operation(s, a, k).mechanism, _WHOLE_ONLY),
    )


@one_fact
def whole_after_parts(k: Activity, shape: Shape) -> Condition:
    """Data for the whole operation is given, after an Update."""
    parts = updated(k)
    return named(
        f"{k.noun} at once after parts",
        lambda s, a: parts(s, a) and not (shape.output and a.buffer == Buffer.NULL),
    )


@one_fact
def whole_asked_after_parts(k: Activity) -> Condition:
    """The length of the whole output is asked for, after an Update."""
    parts = updated(k)
    return named(f"length of {k.noun} at once asked after parts", lambda s, a: parts(s, a) and a.buffer == Buffer.NULL)


@one_fact
def short(k: Activity) -> Condition:
    """The buffer is one byte shorter than a length query said."""
    working = active(k)
    return named(
        f"{k.noun} into a short buffer", lambda s, a: working(s, a) and a.buffer == Buffer.SHORT and not a.null
    )


@one_fact
def too_short(k: Activity, exact: tuple[Mech, ...]) -> Condition:
    """The buffer is too short for the output, whose length everybody knows."""
    small = short(k)
    return named(
        f"{k.noun} of known length into a short buffer",
        lambda s, a: small(s, a) and one_of(operation(s, a, k).mechanism, exact),
    )


def short_while_cancelled(s: State, a: Args) -> bool:
    """Finding out what is one byte short takes a length query, which a callback may cancel: that ends the operation."""
    return callback_may_cancel(s, a) and a.buffer == Buffer.SHORT


def _whole_after_parts_rows(k: Activity, shape: Shape) -> tuple[Rule, ...]:
    if not k.parted:
        return ()
    given = whole_after_parts(k, shape)
    codes = (CKR.OPERATION_ACTIVE, CKR.OPERATION_NOT_INITIALIZED)
    return (
        *(Rule("given", code, given, k.section, "", Strength.INFERRED, "A-11", since=V2_20) for code in codes),
        *(Rule("given", code, given, k.section, "", Strength.UNSAID, "A-11", until=V2_01) for code in codes),
        *(Rule("given", code, given, k.section, "", Strength.UNSAID) for code in (CKR.ARGUMENTS_BAD, *k.unfit)),
        *(
            Rule("whole-asked-after-parts", code, whole_asked_after_parts(k), k.section, "", Strength.UNSAID, "A-11")
            for code in (*codes, CKR.ARGUMENTS_BAD, *k.unfit)
            if shape.output
        ),
    )


def _parts_rows(k: Activity, step: Step) -> tuple[Rule, ...]:
    """What the text leaves open of operations in parts."""
    no_part = step == Step.LAST and k.part_needed
    wanting = (CKR.OPERATION_ACTIVE, *((CKR.OPERATION_NOT_INITIALIZED, CKR.ARGUMENTS_BAD, *k.unfit) if no_part else ()))
    unforeseen = dict.fromkeys((*_UNFORESEEN, *k.unfit))
    return (
        *(Rule("begun", code, begun(k), k.section, "", Strength.UNSAID, "A-11") for code in wanting),
        *(
            Rule("parts-unforeseen", code, parts_unforeseen(k), k.section, "", Strength.UNSAID)
            for code in unforeseen
            if k.keyed
        ),
    )


def _data_rows(k: Activity, shape: Shape) -> tuple[Rule, ...]:
    """A NULL pointer in the place of data, and no data at all; length queries need not look at it (5.2)."""
    if not shape.data:
        return ()
    null = data_null_for_output if shape.output else data_null
    queried = Rule(
        "data-null-for-length", CKR.ARGUMENTS_BAD, data_null_for_length, k.section, "", Strength.UNSAID, "A-50"
    )
    return (
        *arguments_bad("data-null", null, k.section, ""),
        *((queried,) if shape.output else ()),
        Rule("data-empty", CKR.ARGUMENTS_BAD, data_empty, k.section, "", Strength.UNSAID, "A-28"),
    )


def refusals(k: Activity, shape: Shape, exact: tuple[Mech, ...] = ()) -> tuple[Rule, ...]:
    """Rows of every call that works on an operation of a kind.

    `exact` names the mechanisms whose output has a length that a query cannot overstate, so that less is too little.
    """
    small = (
        Rule("short", CKR.BUFFER_TOO_SMALL, short(k), "5.2", "", Strength.MAY, "A-39"),
        Rule("too-short", CKR.BUFFER_TOO_SMALL, too_short(k, exact), "5.2", "", Strength.INFERRED, "A-39"),
    )
    return (
        *SESSION,
        Rule("not-active", CKR.OPERATION_NOT_INITIALIZED, not_active(k), k.section, ""),
        *(_whole_after_parts_rows(k, shape) if shape.step == Step.WHOLE else _parts_rows(k, shape.step)),
        *_data_rows(k, shape),
        *((*NULL_POINTER, *small[: 1 + bool(exact)]) if shape.output else ()),
        *(Rule("key-lost", code, key_lost(k), k.section, "", Strength.MAY, "A-20") for code in _KEY_LOST if k.keyed),
        *(
            (Rule("user-gone", CKR.USER_NOT_LOGGED_IN, user_gone(k), k.section, "", Strength.MAY, "A-33"),)
            if k.private
            else ()
        ),
        Rule("callback-may-cancel", CKR.FUNCTION_CANCELED, callback_may_cancel, "5.16", "", Strength.MAY),
    )


# Plaintext that a mechanism does not take.


_TOO_LONG: tuple[tuple[tuple[Mech, ...], tuple[Data, ...]], ...] = (
    ((Mech.AES_ECB, Mech.AES_CBC), (Data.ODD,)),
    ((Mech.RSA_PKCS, Mech.RSA_PKCS_OAEP), (Data.HUGE, Data.ABOVE)),
    ((Mech.RSA_X_509,), (Data.HUGE,)),
)
"""Mechanisms with input whose length they cannot take: no multiple of the block, or more than the modulus leaves."""


@one_fact
def length_unfit(k: Activity) -> Condition:
    """Data of a length that the mechanism cannot take, to be processed into a buffer."""
    working = active(k)

    def holds(s: State, a: Args) -> bool:
        if not working(s, a) or a.buffer == Buffer.NULL:
            return False
        mech = operation(s, a, k).mechanism
        return any(one_of(mech, mechs) and one_of(a.data, data) for mechs, data in _TOO_LONG)

    return named(f"data of a length unfit for {k.noun}", holds)


@one_fact
def number_too_large(k: Activity) -> Condition:
    """Data that is as long as the modulus, and above it, for RSA without padding."""
    working = active(k)

    def holds(s: State, a: Args) -> bool:
        if not working(s, a) or a.buffer == Buffer.NULL:
            return False
        return operation(s, a, k).mechanism == Mech.RSA_X_509 and a.data == Data.ABOVE

    return named(f"data above the modulus for {k.noun}", holds)


@one_fact
def data_unusual(k: Activity) -> Condition:
    """Data that is not plainly of a length that the mechanism takes."""
    working = active(k)
    return named(f"unusual data for {k.noun}", lambda s, a: working(s, a) and a.data != Data.FITTING)


@one_fact
def short_of_unusual(k: Activity) -> Condition:
    """A buffer that is short of what cannot be told: where a length query fails, it ends the operation."""
    return named(
        f"{k.noun} into a buffer short of an unknown length",
        lambda s, a: short_while_cancelled(s, a) or (a.buffer == Buffer.SHORT and a.data != Data.FITTING),
    )


def plaintext_rows(k: Activity, step: Step) -> tuple[Rule, ...]:
    """Rows about input that is to be encrypted or signed."""
    if step == Step.PART:
        return (Rule("data-unusual", CKR.DATA_LEN_RANGE, data_unusual(k), k.section, "", Strength.MAY),)
    if step == Step.LAST:
        return (Rule("updated", CKR.DATA_LEN_RANGE, updated(k), k.section, "", Strength.MAY),)
    return (
        Rule("length-unfit", CKR.DATA_LEN_RANGE, length_unfit(k), "5.1.6", ""),
        Rule("number-too-large", CKR.DATA_INVALID, number_too_large(k), "5.1.6", "", Strength.INFERRED),
        *(Rule("data-unusual", code, data_unusual(k), "5.1.6", "", Strength.MAY) for code in k.unfit),
    )


# When an operation goes on, and when it ends.


@cache
def ended(k: Activity) -> Change:
    """The operation ends."""
    working = active(k)
    return named(f"{k.noun} ends", lambda s, a: with_operation(s, a, k, Operation()) if working(s, a) else s)


@cache
def ended_if_sure(k: Activity, step: Step) -> Change:
    """The operation ends, but where the text has no code for the call and so no end either."""
    working, unclear = active(k), updated(k) if step == Step.WHOLE else parts_unforeseen(k)
    return named(
        f"{k.noun} ends unless unclear",
        lambda s, a: with_operation(s, a, k, Operation()) if working(s, a) and not unclear(s, a) else s,
    )


@cache
def ended_with_output(k: Activity) -> Change:
    """The operation ends, unless only the length of its output was asked for."""
    end = ended(k)
    return named(f"{k.noun} ends with its output", lambda s, a: s if a.buffer == Buffer.NULL else end(s, a))


@cache
def fed(k: Activity) -> Change:
    """A part went into the operation."""
    working = active(k)
    return named(
        f"{k.noun} takes a part",
        lambda s, a: with_operation(s, a, k, replace(operation(s, a, k), phase=Phase.UPDATED)) if working(s, a) else s,
    )


@cache
def fed_with_output(k: Activity) -> Change:
    """A part went into the operation, unless only the length of its output was asked for."""
    feed = fed(k)
    return named(f"{k.noun} takes a part and gives one", lambda s, a: s if a.buffer == Buffer.NULL else feed(s, a))


def ends(k: Activity, shape: Shape) -> tuple[Effect, ...]:
    """What a call does to its operation: the table of ends in 5.8 to 5.11.

    A part leaves it active, all else ends it; an error ends it either way; a buffer too small or a length query does
    not.
    """
    if shape.step == Step.PART:
        success = fed_with_output(k) if shape.output else fed(k)
    else:
        success = ended_with_output(k) if shape.output else ended(k)
    return (
        Effect(success, k.section),
        Effect(ended_if_sure(k, shape.step), k.section, _PLAIN_ERRORS, reading="A-15"),
        Effect(ended(k), k.section, ERRORS, certain=False, reading="A-11"),
    )


# Outputs that the application keeps, and what they are good for.


def _kept(s: State, a: Args, k: Activity, valid: bool) -> Kept:
    """What is known of the output that the operation just gave: little, if its key is gone."""
    o = operation(s, a, k)
    return Kept(valid and object_reachable(s, a.session, o.key), o.mechanism, o.key)


def ciphertext_of(s: State, a: Args, k: Activity, valid: bool) -> State:
    """`s` with the ciphertext kept that the operation just gave."""
    return replace(s, ciphertext=_kept(s, a, k, valid)) if a.buffer == Buffer.ENOUGH else s


def signature_of(s: State, a: Args, k: Activity, valid: bool) -> State:
    """`s` with the signature kept that the operation just gave."""
    return replace(s, signature=_kept(s, a, k, valid)) if a.buffer == Buffer.ENOUGH else s


def lengths(found: Sequence[tuple[Mech, int]], kept: Kept) -> tuple[int, ...]:
    """The length of an output that was just kept, where its mechanism alone decides; else nothing."""
    return tuple(n for mech, n in found if mech == kept.mechanism)


def forget_outputs(s: State) -> State:
    """`s` without outputs that later calls can rely on: for use when keys go, whose numbers others may take."""
    return replace(s, ciphertext=Kept(), signature=Kept(), wrapped=Kept())


# What calls of other chapters do to operations.


def end_all_operations(s: State, slot: int) -> State:
    """`s` with no operation and no search left in the sessions with a slot's token."""
    return map_sessions(s, lambda x: replace(x, operations=Operations()) if x.open and x.slot == slot else x)


def unsettle_searches(s: State) -> State:
    """`s` once objects came, went, or changed hands: searches under way may find what there was or what there is."""

    def unsettle(o: Operations) -> Operations:
        return o if o.search == Search.NONE or o.search == Search.UNSURE else replace(o, search=Search.UNSURE)

    return map_sessions(s, lambda x: replace(x, operations=unsettle(x.operations)))


def lost_key_in_use(s: State, number: int) -> bool:
    """Whether an operation, or a saved one, still goes by a key of this number.

    Where the key is no more, no new object may take the number: it would be mistaken for the key.
    """
    held = ((x.open, x.operations) for x in s.sessions)
    return any(
        there & (o.phase != Phase.NONE) & (o.key == number)
        for there, operations in (*held, (s.saved.valid, s.saved.operations))
        for o in (getattr(operations, k.field) for k in ACTIVITIES if k.keyed)
    )
