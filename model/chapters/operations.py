"""The life of an operation (5.8 to 5.12), told once for all kinds: what begins, feeds and ends it, and what refuses.

The conditions, rows and effects of a kind are made here from its `Activity`, each condition followed by the rows that
it stands in; the chapters put them into functions. All conditions take it for granted that the session is open, but for
those of rows that are `unguarded`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import Any, Final, Protocol, cast

from ..attributes import PAIRS, PUBLIC_KEYS
from ..call import Args, Buffer, Data, Parameter
from ..mechanisms import (
    MECHANISMS,
    NOUNS,
    NUMERIC,
    PARAMETRIC,
    RSA_BYTES,
    VARIED,
    WHOLE_ONLY,
    Role,
    takes,
    taking,
    usable,
    with_role,
)
from ..rule import (
    Change,
    Condition,
    Effect,
    Function,
    Guarded,
    Output,
    Rule,
    Strength,
    at_least,
    named,
    never,
)
from ..state import (
    Judged,
    Kept,
    Kind,
    Login,
    Mech,
    Messages,
    Operation,
    Operations,
    Phase,
    Process,
    Search,
    State,
    Trait,
    map_sessions,
    put_session,
)
from ..vocabulary import CKR, ENVIRONMENT, Version
from .common import (
    NULL_POINTER,
    PIN_TO_BE_CHANGED,
    SESSION,
    USER_REQUIRED,
    arguments_bad,
    mechanism_rows,
    or_arguments_bad,
)
from .conditions import (
    callback_may_cancel,
    key_hidden,
    key_invalid,
    key_not_short,
    key_of_another_token,
    key_short,
    key_valid,
    large_enough,
    length_asked_first,
    mechanism_not_allowed,
    object_reachable,
    one_of,
    pointer_null,
    session_valid,
    slot_of,
)

V2_01, V2_20, V2_40, V3_0 = Version.V2_01, Version.V2_20, Version.V2_40, Version.V3_0


class Use(Protocol):
    """What a key is used for by what an Init begins: an operation (`Activity`) or a message-based process."""

    @property
    def section(self) -> str:
        """Where the standard speaks of it."""

    @property
    def role(self) -> Role:
        """The use of mechanisms."""

    @property
    def noun(self) -> str:
        """Its name in conditions."""

    @property
    def init(self) -> str:
        """The function that begins it."""

    @property
    def usage(self) -> str:
        """The attribute of a key that permits it, less the prefix."""

    def __hash__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Activity:
    """A kind of operation.

    `field` is its place in `Operations`; `stem` is the name of the function that does all of it at once, and begins
    those of the others. `unfit` are the codes by which its functions refuse their input, `partners` the kinds that it
    may share a session with for dual functions (5.12). `private` says that what it does may want the user there,
    `part_needed` that 5.11 wants an Update before the Final, `keyed` that it has a key, `parted` that there are
    functions to do it in parts. One that is `signed` is begun with the signature that is to be verified.
    """

    field: str
    section: str
    role: Role
    stem: str
    unfit: tuple[CKR, ...] = ()
    partners: tuple[str, ...] = ()
    private: bool = False
    part_needed: bool = False
    keyed: bool = True
    parted: bool = True
    signed: bool = False

    @property
    def noun(self) -> str:
        """Its name in conditions."""
        return f"{NOUNS[self.role]} of a given signature" if self.signed else NOUNS[self.role]

    @property
    def init(self) -> str:
        """The function that begins it."""
        return f"{self.stem}Init"

    @property
    def usage(self) -> str:
        """The attribute of a key that permits it."""
        return self.role.name


_PLAINTEXT = (CKR.DATA_INVALID, CKR.DATA_LEN_RANGE)
_CIPHERTEXT = (CKR.ENCRYPTED_DATA_INVALID, CKR.ENCRYPTED_DATA_LEN_RANGE)
_SIGNED = (*_PLAINTEXT, CKR.SIGNATURE_INVALID, CKR.SIGNATURE_LEN_RANGE)

ENCRYPTION = Activity("encrypt", "5.8", Role.ENCRYPT, "C_Encrypt", _PLAINTEXT, ("digest", "sign"))
DECRYPTION = Activity("decrypt", "5.9", Role.DECRYPT, "C_Decrypt", _CIPHERTEXT, ("digest", "verify"), private=True)
DIGESTING = Activity("digest", "5.10", Role.DIGEST, "C_Digest", (), ("encrypt", "decrypt"), keyed=False)
SIGNING = Activity("sign", "5.11", Role.SIGN, "C_Sign", _PLAINTEXT, ("encrypt",), private=True, part_needed=True)
SIGNING_RECOVERABLY = Activity(
    "sign_recover", "5.11", Role.SIGN_RECOVER, "C_SignRecover", _PLAINTEXT, private=True, parted=False
)
VERIFYING = Activity("verify", "5.11", Role.VERIFY, "C_Verify", _SIGNED, ("decrypt",), part_needed=True)
RECOVERING = Activity("verify_recover", "5.11", Role.VERIFY_RECOVER, "C_VerifyRecover", _SIGNED, parted=False)

VERIFYING_SIGNATURE = Activity(
    "verify_signature", "5.15 of v3.2", Role.VERIFY, "C_VerifySignature", _SIGNED, part_needed=True, signed=True
)

ACTIVITIES = (
    ENCRYPTION,
    DECRYPTION,
    DIGESTING,
    SIGNING,
    SIGNING_RECOVERABLY,
    VERIFYING,
    RECOVERING,
    VERIFYING_SIGNATURE,
)


class Step(Enum):
    """What a call does to an operation: all of it at once, a part of it, or its end after the parts.

    The value is how the name of its function goes on after the stem.
    """

    WHOLE = ""
    PART = "Update"
    LAST = "Final"


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a call that works on an operation: its step, and whether it takes data and gives output (5.2).

    `dual` names the function that takes the step for two operations at once.
    """

    step: Step
    data: bool = True
    output: bool = True
    dual: str = ""

    def place(self, k: Activity) -> str:
        """Where the standard speaks of the function."""
        return f"5.12 {self.dual}" if self.dual else f"{k.section} {k.stem}{self.step.value}"


def operation(s: State, a: Args, k: Activity) -> Operation:
    """The operation of a kind in the call's session, which is open."""
    found: Operation = getattr(s.sessions[a.session].operations, k.field)
    return found


def with_operation(s: State, a: Args, k: Activity, new: Operation) -> State:
    """`s` with the operation of a kind in the call's session replaced."""
    session, change = s.sessions[a.session], cast(dict[str, Any], {k.field: new})
    if k.signed and new.phase == Phase.NONE:
        change["judged"] = Judged.DOUBTFUL
    return put_session(s, a.session, replace(session, operations=replace(session.operations, **change)))


def _running(o: Operations, fields: Iterable[str]) -> bool:
    return any(getattr(o, field).phase != Phase.NONE for field in fields)


# What is under way in a session.


WHOLE_SO_FAR = (Phase.READY, Phase.ASKED)
"""How far an operation is before any part went in."""


def _phase(words: str, k: Activity, *phases: Phase) -> Condition:
    return named(words, lambda s, a: one_of(operation(s, a, k).phase, phases))


@cache
def active(k: Activity) -> Condition:
    """An operation of the kind is active."""
    return _phase(f"{k.noun} active", k, *WHOLE_SO_FAR, Phase.UPDATED)


@cache
def updated(k: Activity) -> Condition:
    """An operation of the kind is active, and was fed by an Update."""
    return _phase(f"{k.noun} under way in parts", k, Phase.UPDATED)


@cache
def working(k: Activity) -> Condition:
    """Whether the session is open and an operation of the kind is active: for what must answer without a session."""
    running = active(k)
    return named(f"{k.noun} active in the session", lambda s, a: session_valid(s, a) and running(s, a))


def something_active(s: State, a: Args) -> bool:
    """Any operation at all, or a search."""
    if not session_valid(s, a):
        return False
    o = s.sessions[a.session].operations
    return o.search != Search.NONE or _running(o, (k.field for k in ACTIVITIES))


def process_active(s: State, a: Args) -> bool:
    """A message-based process, which no function but its own knows of."""
    return session_valid(s, a) and s.sessions[a.session].operations.process.kind != Messages.NONE


PROCESS_ACTIVE = Rule(
    "process-active",
    CKR.OPERATION_ACTIVE,
    process_active,
    "5.1.6 CKR_OPERATION_ACTIVE",
    "Whether what a message-based process is of counts as an operation that keeps others from beginning is not said.",
    Strength.MAY,
    "A-72",
    since=V3_0,
)
"""For functions that begin something else, or do cryptography at once."""


def process_dropped(s: State, a: Args) -> State:
    """The message-based process of the session ends."""
    if not session_valid(s, a):
        return s
    session = s.sessions[a.session]
    return put_session(s, a.session, replace(session, operations=replace(session.operations, process=Process())))


# Beginning an operation: the mechanism and its parameter.


_CODES_OF_PARAMETERS = (CKR.MECHANISM_PARAM_INVALID, CKR.ARGUMENTS_BAD)


def parameter_wrong(s: State, a: Args) -> bool:
    """A parameter of a length that the mechanism does not take."""
    return not a.null and a.parameter != Parameter.RIGHT and one_of(a.mechanism, PARAMETRIC)


def parameter_not_wanted(s: State, a: Args) -> bool:
    """A parameter for a mechanism that takes none."""
    return not a.null and a.parameter != Parameter.RIGHT and not one_of(a.mechanism, PARAMETRIC)


def parameter_perhaps_unsupported(s: State, a: Args) -> bool:
    """A parameter that chooses what a token need not know."""
    return not a.null and one_of(a.mechanism, VARIED)


def _parameter_rows(own: Iterable[Mech]) -> Iterable[Rule]:
    place = "5.1.6 CKR_MECHANISM_PARAM_INVALID"
    for code in _CODES_OF_PARAMETERS:
        if not {*own}.isdisjoint(PARAMETRIC):
            yield Rule(
                "parameter-wrong",
                code,
                parameter_wrong,
                place,
                "Parameters that the mechanism cannot have are wrong, and no less a bad argument.",
                Strength.INFERRED,
                "A-26",
                unguarded=True,
            )
        yield Rule(
            "parameter-unwanted",
            code,
            parameter_not_wanted,
            place,
            "A mechanism that takes no parameter may be particular about being given one.",
            Strength.MAY,
            "A-26",
            unguarded=True,
        )
        if not {*own}.isdisjoint(VARIED):
            yield Rule(
                "parameter-perhaps-unsupported",
                code,
                parameter_perhaps_unsupported,
                place,
                "Which values of a parameter a token supports is for the token to say.",
                Strength.MAY,
                "A-26",
                unguarded=True,
            )


def mechanism_given(s: State, a: Args) -> bool:
    """The mechanism is not at the NULL pointer, so that there is one to look at."""
    return not a.null


@cache
def without_mechanism(when: Condition) -> Condition:
    """A condition where there is no mechanism."""
    return named(f"{when.__name__} and no mechanism", lambda s, a: a.null and when(s, a))


def _no_session_to_cancel_in(s: State, a: Args) -> bool:
    return a.null and not session_valid(s, a)


NO_SESSION_TO_CANCEL_IN = Rule(
    "no-session-to-cancel-in",
    CKR.ARGUMENTS_BAD,
    named("no mechanism and no session", _no_session_to_cancel_in),
    "5.1.6 CKR_ARGUMENTS_BAD",
    "No mechanism means to end what is active; where nothing can be, as there is no session, it is no fit argument.",
    Strength.UNSAID,
    unguarded=True,
)
"""A row of the Inits that no mechanism cancels."""


def _no_mechanism_rows(k: Activity) -> Iterable[Rule]:
    place = f"{k.section} {k.init}, on pMechanism"
    says = "The operation is begun with the mechanism pointed to; up to v2.40 nothing is said of there being none."
    yield from arguments_bad("mechanism-null", pointer_null, place, says, "A-27", unguarded=True, until=V2_40)
    for code, strength in ((CKR.MECHANISM_INVALID, Strength.INFERRED), (CKR.MECHANISM_PARAM_INVALID, Strength.UNSAID)):
        yield Rule("mechanism-null", code, pointer_null, place, says, strength, "A-27", until=V2_40, unguarded=True)
    idle, busy = not_active(k), active(k)
    for code in NOTHING_TO_CANCEL:
        yield Rule(
            "nothing-to-cancel",
            code,
            without_mechanism(idle),
            place,
            "Since v3.0 no mechanism means to end what is active; nothing is said of nothing being so.",
            Strength.UNSAID,
            since=Version.V3_0,
        )
    yield replace(NO_SESSION_TO_CANCEL_IN, since=Version.V3_0)
    yield Rule(
        "cancel-may-fail",
        CKR.OPERATION_CANCEL_FAILED,
        without_mechanism(busy),
        place,
        "Since v3.0 no mechanism means to end what is active, which a token may be unable to do.",
        Strength.MAY,
        since=Version.V3_0,
    )


NOTHING_TO_CANCEL = (
    CKR.ARGUMENTS_BAD,
    CKR.MECHANISM_INVALID,
    CKR.MECHANISM_PARAM_INVALID,
    CKR.OPERATION_NOT_INITIALIZED,
)
"""What an Init may say where it is to end what is active, and nothing is."""


def where_given(rows: Iterable[Rule]) -> Iterable[Rule]:
    """Rows that look at the mechanism, where there is one."""
    return (replace(r, when=Guarded(mechanism_given, r.when)) for r in rows)


def key_beside_nothing_rows(k: Use) -> Iterable[Rule]:
    """What may be said of the key where there is no mechanism to use it with, or, since v3.0, no need of a key."""
    for when, codes in (
        (key_invalid, (CKR.KEY_HANDLE_INVALID, CKR.OBJECT_HANDLE_INVALID)),
        (key_without_usage(k), (CKR.KEY_FUNCTION_NOT_PERMITTED,)),
        (key_usage_denied(k), (CKR.KEY_FUNCTION_NOT_PERMITTED,)),
    ):
        for code in codes:
            yield Rule(
                "key-beside-no-mechanism",
                code,
                without_mechanism(when),
                f"5.1.6 {code}",
                "Without a mechanism the call is bad already; its key may be looked at first.",
                Strength.UNSAID,
                "A-27",
            )


# Beginning an operation: the key.


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


_KEY_HANDLE = Rule(
    "key-invalid",
    CKR.KEY_HANDLE_INVALID,
    key_invalid,
    "5.1.6 CKR_KEY_HANDLE_INVALID",
    "The handle is none, or that of an object which is no key.",
)

KEY_HANDLE_ROWS = (
    *or_arguments_bad(_KEY_HANDLE),
    Rule(
        "key-invalid",
        CKR.OBJECT_HANDLE_INVALID,
        key_invalid,
        "5.1.6 CKR_OBJECT_HANDLE_INVALID",
        "A key is an object, so that a bad handle of a key is a bad handle of an object.",
        Strength.UNSAID,
        "A-23",
    ),
)


def key_hidden_row(strength: Strength) -> Rule:
    """The row for a private key while the user is not there."""
    return Rule(
        "key-hidden",
        CKR.USER_NOT_LOGGED_IN,
        key_hidden,
        "5.1.6 CKR_USER_NOT_LOGGED_IN",
        "What is wanted needs a user who is not there: a private key is for the user alone.",
        strength,
        "A-12",
    )


@cache
def key_of_wrong_type(k: Use) -> Condition:
    """The mechanism takes neither the key nor its other half."""
    own, either = with_role(k.role), (*_TAKEN[k.role], *_TAKEN_OTHERWISE[k.role])
    return named(
        f"key type not for {k.noun}",
        lambda s, a: key_valid(s, a) and not a.null and one_of(a.mechanism, own) and not _key_among(s, a, either),
    )


@cache
def key_of_wrong_half(k: Use) -> Condition:
    """The mechanism takes the other half of the pair."""
    other = _TAKEN_OTHERWISE[k.role]
    return named(
        f"other half of pair given for {k.noun}",
        lambda s, a: key_valid(s, a) and not a.null and _key_among(s, a, other),
    )


@cache
def key_with_foreign_mechanism(k: Use) -> Condition:
    """A key and a mechanism of another use."""
    own = with_role(k.role)
    others = tuple(mech for mech in MECHANISMS if mech not in own)
    return named(f"key and mechanism not for {k.noun}", lambda s, a: key_valid(s, a) and one_of(a.mechanism, others))


def _key_type_rows(k: Use) -> tuple[Rule, ...]:
    place = "5.1.6 CKR_KEY_TYPE_INCONSISTENT"
    rows = (
        Rule(
            "key-of-wrong-type",
            CKR.KEY_TYPE_INCONSISTENT,
            key_of_wrong_type(k),
            place,
            "The key is of a type that the mechanism cannot be used with.",
            reading="A-25",
        ),
        Rule(
            "key-of-wrong-type",
            CKR.MECHANISM_INVALID,
            key_of_wrong_type(k),
            "5.1.6 CKR_MECHANISM_INVALID",
            "Seen from the key, it is the mechanism that cannot be used; no order between the two is given.",
            Strength.MAY,
            "A-25",
        ),
        Rule(
            "key-of-wrong-half",
            CKR.KEY_TYPE_INCONSISTENT,
            key_of_wrong_half(k),
            place,
            "A public key where the private one is wanted, or the other way, may count as one of a wrong type.",
            Strength.MAY,
            "A-25",
        ),
        Rule(
            "key-with-foreign-mechanism",
            CKR.KEY_TYPE_INCONSISTENT,
            key_with_foreign_mechanism(k),
            place,
            "The key may be compared with a mechanism of another use before that use is looked at.",
            Strength.UNSAID,
            "A-25",
        ),
    )
    halves = any(mechs for _, mechs in _TAKEN_OTHERWISE[k.role])
    return rows if halves else tuple(r for r in rows if r.id != "key-of-wrong-half")


@cache
def key_without_usage(k: Use) -> Condition:
    """No mechanism has this use for keys of the kind, so that they lack the attribute for it."""
    kinds = usable(k.role)
    return named(
        f"key of a kind not meant for {k.noun}",
        lambda s, a: key_valid(s, a) and not one_of(s.objects[a.key].kind, kinds),
    )


@cache
def key_usage_denied(k: Use) -> Condition:
    """The key's attribute for this use is FALSE."""
    return named(
        f"key not permitted for {k.noun}", lambda s, a: key_valid(s, a) and s.objects[a.key].trait == Trait.NO_USAGE
    )


def _key_usage_rows(k: Use) -> tuple[Rule, ...]:
    return (
        Rule(
            "key-without-usage",
            CKR.KEY_FUNCTION_NOT_PERMITTED,
            key_without_usage(k),
            "5.1.6 CKR_KEY_FUNCTION_NOT_PERMITTED",
            "A use needs its attribute to be true, and keys of this kind do not have it.",
            Strength.INFERRED,
            "A-25",
        ),
        Rule(
            "key-usage-denied",
            CKR.KEY_FUNCTION_NOT_PERMITTED,
            key_usage_denied(k),
            f"{k.section} {k.init}, on CKA_{k.usage}",
            "The attribute of the key that stands for this use has to be true.",
        ),
    )


def not_allowed_rows(codes: Mapping[CKR, Strength]) -> tuple[Rule, ...]:
    """Rows about a key that is not for the mechanism, by the codes that may say so."""
    rows = (
        Rule(
            "mechanism-not-allowed",
            code,
            mechanism_not_allowed,
            "4.7 CKA_ALLOWED_MECHANISMS",
            "The attribute lists the mechanisms that may be used with the key; no code is named for any other.",
            strength,
            "A-119",
            since=V2_20,
        )
        for code, strength in codes.items()
    )
    return or_arguments_bad(*rows)


_NOT_ALLOWED_ROWS = not_allowed_rows(
    {
        CKR.MECHANISM_INVALID: Strength.INFERRED,
        CKR.KEY_FUNCTION_NOT_PERMITTED: Strength.INFERRED,
        CKR.KEY_TYPE_INCONSISTENT: Strength.UNSAID,
    }
)

_KEY_SIZE_ROWS = tuple(
    Rule(
        id,
        CKR.KEY_SIZE_RANGE,
        when,
        "5.1.6 CKR_KEY_SIZE_RANGE",
        "Which sizes of key it can handle is for the token to say.",
        Strength.MAY,
    )
    for id, when in (("key-short", key_short), ("key-not-short", key_not_short))
)


@cache
def key_public(k: Use) -> Condition:
    """A public key that the mechanism takes, which may be looked at closely."""
    return named(
        f"public key given for {k.noun}", lambda s, a: key_valid(s, a) and one_of(s.objects[a.key].kind, PUBLIC_KEYS)
    )


def _public_key_rows(k: Use) -> Iterable[Rule]:
    if k.role in (Role.VERIFY, Role.VERIFY_RECOVER):
        yield Rule(
            "public-key-given",
            CKR.PUBLIC_KEY_INVALID,
            key_public(k),
            "5.1.6 CKR_PUBLIC_KEY_INVALID",
            "A public key may be validated when it is used to verify, and fail.",
            Strength.MAY,
            since=V2_40,
        )


def key_rows(k: Use) -> Iterable[Rule]:
    """Rows about the key that something is begun with, where there is a mechanism."""
    yield from where_given(
        (
            *KEY_HANDLE_ROWS,
            *or_arguments_bad(*_key_type_rows(k), *_key_usage_rows(k)),
            *_NOT_ALLOWED_ROWS,
            *_public_key_rows(k),
        )
    )
    yield from _KEY_SIZE_ROWS
    yield key_hidden_row(Strength.MAY)


# Beginning an operation: what is active already.


@cache
def conflicting(k: Activity) -> Condition:
    """An operation is active that one of this kind cannot stand beside, itself included."""
    strangers = tuple(sorted({x.field for x in ACTIVITIES} - set(k.partners)))

    def holds(s: State, a: Args) -> bool:
        o = s.sessions[a.session].operations
        if o.search != Search.NONE or _running(o, strangers):
            return True
        partners = [field for field in k.partners if _running(o, (field,))]
        return len(partners) > 1 or (bool(partners) and not slot_of(s, a).dual)

    return named(f"{k.noun} or what excludes it active", holds)


@cache
def partner_active(k: Activity) -> Condition:
    """An operation is active that dual functions may use beside one of this kind."""
    return named(
        f"partner of {k.noun} active",
        lambda s, a: _running(s.sessions[a.session].operations, k.partners),
    )


def _activity_rows(k: Activity) -> tuple[Rule, ...]:
    conflict = Rule(
        "conflicting-operation-active",
        CKR.OPERATION_ACTIVE,
        conflicting(k),
        "5.1.6 CKR_OPERATION_ACTIVE",
        "What is active keeps an operation of this kind from being begun.",
        Strength.MAY,
        "A-16",
    )
    partner = Rule(
        "partner-active",
        CKR.OPERATION_ACTIVE,
        partner_active(k),
        "5.12 first paragraph",
        "Two operations stand side by side for the dual functions, and no token need have those.",
        Strength.UNSAID,
    )
    return (conflict, partner) if k.partners else (conflict,)


# Beginning an operation: who is there.


SURRENDER = Rule(
    "callback-may-cancel",
    CKR.FUNCTION_CANCELED,
    callback_may_cancel,
    "5.16.1 on CKR_CANCEL",
    "The session was opened with a callback, which may have the function give up.",
    Strength.MAY,
)


# Beginning an operation: what comes of it.


_NOT_ERRORS = frozenset(
    {CKR.OK, CKR.BUFFER_TOO_SMALL, CKR.SESSION_HANDLE_INVALID, CKR.CRYPTOKI_NOT_INITIALIZED, CKR.CANCEL}
)
DOUBTFUL = frozenset(
    {*ENVIRONMENT, CKR.FUNCTION_NOT_SUPPORTED, CKR.OPERATION_ACTIVE, CKR.USER_NOT_LOGGED_IN, CKR.PIN_EXPIRED}
)
"""Errors that may have come from beside the operation: a stub's, the device's, or a guard's before it (A-71)."""

ERRORS = frozenset(CKR) - _NOT_ERRORS
ARGUMENT_ERRORS = frozenset({CKR.ARGUMENTS_BAD})
PLAIN_ERRORS = ERRORS - DOUBTFUL - ARGUMENT_ERRORS

DISPLACING = frozenset({CKR.OK, *ERRORS} - {CKR.OPERATION_ACTIVE})
"""Codes of an Init that may have dropped what was active before it, as some libraries do even where it fails."""


@cache
def started(k: Activity) -> Change:
    """An operation of the kind begins; without a mechanism the one that was active ends, as v3.0 has it."""

    def start(s: State, a: Args) -> State:
        if a.null:
            return with_operation(s, a, k, Operation())
        return with_operation(s, a, k, Operation(Phase.READY, a.mechanism, a.key if k.keyed else 0))

    return named(f"{k.noun} begins", start)


def all_dropped(s: State, a: Args) -> State:
    """Every operation of the session ends, and the search."""
    if not session_valid(s, a):
        return s
    return put_session(s, a.session, replace(s.sessions[a.session], operations=Operations()))


@cache
def displaced(k: Activity) -> Change:
    """What an operation of the kind cannot stand beside is dropped for it, and all the rest with it."""
    conflict = conflicting(k)
    return named(
        f"{k.noun} displaces what was active",
        lambda s, a: all_dropped(s, a) if session_valid(s, a) and conflict(s, a) else s,
    )


def init(k: Activity, mechanisms: tuple[Mech, ...]) -> Function:
    """The function that begins operations of a kind; `mechanisms` are worth trying with it, a good one first."""
    return Function(
        k.init,
        ("session", "mechanism", "parameter", "key", "null") if k.keyed else ("session", "mechanism", "null"),
        (
            *SESSION,
            *_no_mechanism_rows(k),
            *where_given(mechanism_rows(k.role)),
            *((*key_rows(k), *_parameter_rows(with_role(k.role)), *key_beside_nothing_rows(k)) if k.keyed else ()),
            *_activity_rows(k),
            PROCESS_ACTIVE,
            USER_REQUIRED,
            PIN_TO_BE_CHANGED,
            SURRENDER,
        ),
        effects=(
            Effect(
                "operation-displaced",
                displaced(k),
                "5.1.6 CKR_OPERATION_ACTIVE",
                DISPLACING,
                certain=False,
                reading="A-16",
            ),
            Effect(
                "process-displaced",
                process_dropped,
                "5.1.6 CKR_OPERATION_ACTIVE",
                DISPLACING,
                certain=False,
                reading="A-72",
                since=V3_0,
            ),
            Effect("operation-begun", started(k), f"{k.section} {k.init}, first sentence"),
        ),
        out_of_scope=key_of_another_token if k.keyed else never,
        domains={"mechanism": mechanisms, "parameter": (Parameter.RIGHT, Parameter.WRONG)},
        given=session_valid,
    )


# Working on an operation: whether there is one, and how far it is.


@cache
def not_active(k: Activity) -> Condition:
    """No operation of the kind is active."""
    return _phase(f"{k.noun} not active", k, Phase.NONE)


NOT_ACTIVE = "operation-not-active"
"""The id of the row of all kinds of operation that says that none is there to work on."""


def not_active_row(k: Activity, place: str) -> Rule:
    """The row of every function that works on an operation of a kind."""
    return Rule(
        NOT_ACTIVE,
        CKR.OPERATION_NOT_INITIALIZED,
        not_active(k),
        f"{place}, on {k.init}",
        "The operation that the call works on has to have been begun, and not to have ended since.",
    )


@cache
def whole_after_parts(k: Activity, shape: Shape) -> Condition:
    """Data for the whole operation is given, after an Update."""
    parts = updated(k)
    return named(
        f"{k.noun} at once after parts",
        lambda s, a: parts(s, a) and not (shape.output and a.buffer == Buffer.NULL),
    )


@cache
def whole_asked_after_parts(k: Activity) -> Condition:
    """The length of the whole output is asked for, after an Update."""
    parts = updated(k)
    return named(f"length of {k.noun} at once asked after parts", lambda s, a: parts(s, a) and a.buffer == Buffer.NULL)


def _whole_after_parts_rows(k: Activity, shape: Shape) -> Iterable[Rule]:
    if not k.parted:
        return
    id, given, place = "whole-after-parts", whole_after_parts(k, shape), f"{shape.place(k)}, on intervening updates"
    says = "The whole at once does not end an operation in parts; by which code it fails is left open."
    codes = (CKR.OPERATION_ACTIVE, CKR.OPERATION_NOT_INITIALIZED)
    for code in codes:
        yield Rule(id, code, given, place, says, Strength.INFERRED, "A-11", since=V2_20)
        yield Rule(id, code, given, place, says, Strength.UNSAID, "A-11", until=V2_01)
    for code in (CKR.ARGUMENTS_BAD, *k.unfit):
        yield Rule(id, code, given, place, says, Strength.UNSAID)
    for code in (*codes, CKR.ARGUMENTS_BAD, *k.unfit) if shape.output else ():
        yield Rule(
            "whole-asked-after-parts",
            code,
            whole_asked_after_parts(k),
            place,
            "Nothing is said of asking for the length of the whole once parts went in.",
            Strength.UNSAID,
            "A-11",
        )


UNFORESEEN = (
    CKR.OPERATION_NOT_INITIALIZED,
    CKR.OPERATION_ACTIVE,
    CKR.MECHANISM_INVALID,
    CKR.KEY_TYPE_INCONSISTENT,
    CKR.KEY_FUNCTION_NOT_PERMITTED,
    CKR.ARGUMENTS_BAD,
)
"""What modules answer to parts for a mechanism that takes none: the text has no code for it."""


@cache
def parts_unforeseen(k: Activity) -> Condition:
    """The mechanism takes its input at once only."""
    running = active(k)
    return named(
        f"{k.noun} in parts by a mechanism without parts",
        lambda s, a: running(s, a) and one_of(operation(s, a, k).mechanism, WHOLE_ONLY),
    )


@cache
def begun(k: Activity) -> Condition:
    """An operation of the kind is active, and was not fed by an Update."""
    return _phase(f"{k.noun} begun without an update", k, *WHOLE_SO_FAR)


@cache
def whole_asked(k: Activity) -> Condition:
    """The whole at once was asked for, and not given."""
    return _phase(f"{k.noun} at once asked for", k, Phase.ASKED)


def _parts_rows(k: Activity, shape: Shape) -> Iterable[Rule]:
    """What the text leaves open of operations in parts."""
    codes = [CKR.OPERATION_ACTIVE] if shape.step == Step.LAST else []
    if codes and k.part_needed:
        codes += [CKR.OPERATION_NOT_INITIALIZED, CKR.ARGUMENTS_BAD, *k.unfit]
    for code in codes:
        yield Rule(
            "no-part-yet",
            code,
            begun(k),
            f"{k.section} {k.init}, on what follows it",
            "An operation is done at once or in parts; a Final without a part is not spoken of.",
            Strength.UNSAID,
            "A-11",
        )
    if shape.step == Step.PART and k not in (VERIFYING, VERIFYING_SIGNATURE):
        yield Rule(
            "whole-asked-before-part",
            CKR.OPERATION_ACTIVE,
            whole_asked(k),
            f"{k.section} {k.init}, on what follows it",
            "An operation is done at once or in parts; nothing is said of parts after a query for the whole.",
            Strength.UNSAID,
            "A-11",
        )
    for code in dict.fromkeys((*UNFORESEEN, *k.unfit)) if k.keyed else ():
        yield Rule(
            "parts-unforeseen",
            code,
            parts_unforeseen(k),
            shape.place(k),
            "A mechanism that takes its input at once has no parts; no code is given for trying.",
            Strength.UNSAID,
        )


# Working on an operation: its input and its output.


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


def data_rows(*, output: bool) -> Iterable[Rule]:
    """A NULL pointer in the place of data, and no data at all; length queries need not look at it (5.2)."""
    place = "5.1.6 CKR_ARGUMENTS_BAD"
    yield from arguments_bad(
        "data-null",
        data_null_for_output if output else data_null,
        place,
        "An argument that is not fit for the call; where there is data of some length, NULL is not.",
        unguarded=True,
    )
    if output:
        yield Rule(
            "data-null-for-length",
            CKR.ARGUMENTS_BAD,
            data_null_for_length,
            place,
            "Asking for a length, a call may look at its data or not; NULL is not fit to be looked at.",
            Strength.UNSAID,
            "A-50",
            unguarded=True,
        )
    yield Rule(
        "data-empty",
        CKR.ARGUMENTS_BAD,
        data_empty,
        place,
        "Data of length 0 is data, or an argument that is not fit; nothing is said of it.",
        Strength.UNSAID,
        "A-28",
        unguarded=True,
    )


@cache
def short(k: Activity) -> Condition:
    """The buffer is one byte shorter than a length query said."""
    running = active(k)
    return named(
        f"{k.noun} into a short buffer", lambda s, a: running(s, a) and a.buffer == Buffer.SHORT and not a.null
    )


@cache
def too_short(k: Activity, exact: tuple[Mech, ...]) -> Condition:
    """The buffer is too short for the output, whose length everybody knows, if a query did not overstate it."""
    small, any_data = short(k), k != ENCRYPTION

    def holds(s: State, a: Args) -> bool:
        return small(s, a) and (any_data or a.data == Data.FITTING) and one_of(operation(s, a, k).mechanism, exact)

    return named(f"{k.noun} of known length into a short buffer", holds)


def _buffer_rows(k: Activity, shape: Shape, exact: tuple[Mech, ...]) -> Iterable[Rule]:
    if not shape.output:
        return
    place = "5.2 second way to call"
    yield from NULL_POINTER
    yield Rule(
        "buffer-short",
        CKR.BUFFER_TOO_SMALL,
        short(k),
        place,
        "A buffer below the need is too small; one byte below what a query told may still be enough.",
        Strength.MAY,
    )
    if exact:
        yield Rule(
            "buffer-too-short",
            CKR.BUFFER_TOO_SMALL,
            too_short(k, exact),
            place,
            "A buffer below the need is too small; this need is known, but a query may have told more.",
            Strength.MAY,
            "A-39",
        )


# Working on an operation: its key and its user.


_KEY_LOST = (
    CKR.KEY_HANDLE_INVALID,
    CKR.OBJECT_HANDLE_INVALID,
    CKR.USER_NOT_LOGGED_IN,
    CKR.OPERATION_NOT_INITIALIZED,
)


_EXHAUSTIBLE = (SIGNING, SIGNING_RECOVERABLY, VERIFYING, RECOVERING, VERIFYING_SIGNATURE)
"""Kinds whose functions list CKR_TOKEN_RESOURCE_EXCEEDED, but for those for two operations at once."""


def _resource_rows(k: Activity, shape: Shape) -> Iterable[Rule]:
    if k in _EXHAUSTIBLE and not shape.dual:
        yield replace(RESOURCE_EXCEEDED, when=active(k))


RESOURCE_EXCEEDED = Rule(
    "resource-perhaps-exceeded",
    CKR.TOKEN_RESOURCE_EXCEEDED,
    never,
    "5.13 to 5.16 of v3.0, lists of return values",
    "The lists have the code, and nothing says what it is for.",
    Strength.MAY,
    since=V3_0,
)
"""A row for functions that sign or verify, which a condition is to be given."""


@cache
def key_lost(k: Activity) -> Condition:
    """The key of the operation was destroyed or hidden meanwhile."""
    running = active(k)
    return named(
        f"key of {k.noun} lost",
        lambda s, a: running(s, a) and not object_reachable(s, a.session, operation(s, a, k).key),
    )


@cache
def user_gone(k: Activity) -> Condition:
    """The user is not logged in while the operation is active."""
    running = active(k)
    return named(f"{k.noun} without the user", lambda s, a: running(s, a) and slot_of(s, a).login != Login.USER)


def _key_and_user_rows(k: Activity) -> Iterable[Rule]:
    for code in _KEY_LOST if k.keyed else ():
        yield Rule(
            "key-lost",
            code,
            key_lost(k),
            "5.7 C_DestroyObject",
            "Nothing is said of an operation whose key is gone: it goes on, or fails for want of the key.",
            Strength.MAY,
            "A-20",
        )
    if k.private:
        yield Rule(
            "user-gone",
            CKR.USER_NOT_LOGGED_IN,
            user_gone(k),
            "5.1.6 CKR_USER_NOT_LOGGED_IN",
            "What is wanted needs a user who is not there any more; whether operations outlive a logout is open.",
            Strength.MAY,
            "A-33",
        )


def refusals(k: Activity, shape: Shape, exact: tuple[Mech, ...] = ()) -> tuple[Rule, ...]:
    """Rows of every call that works on an operation of a kind.

    `exact` names the mechanisms whose output is of a known length.
    """
    return (
        *SESSION,
        not_active_row(k, shape.place(k)),
        *(_whole_after_parts_rows(k, shape) if shape.step == Step.WHOLE else _parts_rows(k, shape)),
        *(data_rows(output=shape.output) if shape.data else ()),
        *_buffer_rows(k, shape, exact),
        *_key_and_user_rows(k),
        *_resource_rows(k, shape),
        USER_REQUIRED,
        PIN_TO_BE_CHANGED,
        SURRENDER,
    )


# Plaintext that a mechanism does not take.


_SIZES = {Data.ODD: 5, Data.ABOVE: RSA_BYTES, Data.HUGE: 300}
"""The lengths of data that not every mechanism takes, in bytes."""


_UNFIT = tuple(
    (
        data,
        tuple(m for m in dict.fromkeys((*with_role(Role.ENCRYPT), *with_role(Role.SIGN))) if not takes(m.facts, size)),
    )
    for data, size in _SIZES.items()
)
"""For some data the mechanisms that cannot take its length: no multiple of the block, or too much for the modulus."""


@cache
def length_unfit(k: Activity) -> Condition:
    """Data of a length that the mechanism cannot take, to be processed into a buffer."""
    running = active(k)

    def holds(s: State, a: Args) -> bool:
        if not running(s, a) or a.buffer == Buffer.NULL:
            return False
        mech = operation(s, a, k).mechanism
        return any(a.data == data and one_of(mech, mechs) for data, mechs in _UNFIT)

    return named(f"data of a length unfit for {k.noun}", holds)


@cache
def number_too_large(k: Activity) -> Condition:
    """Data that is as long as the modulus, and above it, where a number below it is wanted."""
    running = active(k)

    def holds(s: State, a: Args) -> bool:
        if not running(s, a) or a.buffer == Buffer.NULL:
            return False
        return one_of(operation(s, a, k).mechanism, NUMERIC) and a.data == Data.ABOVE

    return named(f"data above the modulus for {k.noun}", holds)


@cache
def data_unusual(k: Activity) -> Condition:
    """Data that is not plainly of a length that the mechanism takes."""
    running = active(k)
    return named(f"unusual data for {k.noun}", lambda s, a: running(s, a) and a.data != Data.FITTING)


def data_unusual_rows(k: Activity, codes: Iterable[CKR]) -> Iterable[Rule]:
    """Rows for data that the mechanism may take or not."""
    return unusual_rows(data_unusual(k), codes)


def unusual_rows(when: Condition, codes: Iterable[CKR]) -> Iterable[Rule]:
    """The same, given when data is unusual."""
    for code in codes:
        yield Rule(
            "data-unusual",
            code,
            when,
            f"5.1.6 {code}",
            "Which lengths and values of data it takes depends on the mechanism.",
            Strength.MAY,
        )


def plaintext_rows(k: Activity, step: Step) -> tuple[Rule, ...]:
    """Rows about input that is to be encrypted or signed."""
    if step == Step.PART:
        return tuple(data_unusual_rows(k, (CKR.DATA_LEN_RANGE,)))
    if step == Step.LAST:
        return (
            Rule(
                "parts-may-not-fit",
                CKR.DATA_LEN_RANGE,
                updated(k),
                f"{k.section} {k.stem}Final",
                "All the parts together may be of a length that the mechanism does not take.",
                Strength.MAY,
            ),
        )
    stated = k == ENCRYPTION
    return (
        Rule(
            "data-length-unfit",
            CKR.DATA_LEN_RANGE,
            length_unfit(k),
            "5.8 C_Encrypt, on length constraints" if stated else "5.1.6 CKR_DATA_LEN_RANGE",
            "Data too long for the mechanism, or of no whole number of blocks, has a bad length.",
            Strength.MUST if stated else Strength.INFERRED,
        ),
        Rule(
            "number-too-large",
            CKR.DATA_INVALID,
            number_too_large(k),
            "5.1.6 CKR_DATA_INVALID",
            "Without padding the data is a number, which has to be below the modulus.",
            Strength.INFERRED,
        ),
        *data_unusual_rows(k, k.unfit),
    )


def asked_while_cancelled(s: State, a: Args) -> bool:
    """Finding out what is exact takes a length query, which a callback may cancel: that ends the operation."""
    return session_valid(s, a) and callback_may_cancel(s, a) and length_asked_first(a)


@cache
def asked_of_unusual(k: Activity) -> Condition:
    """A buffer that goes by a length which cannot be told: where a length query fails, it ends the operation."""
    return named(
        f"{k.noun} into a buffer that goes by an unknown length",
        lambda s, a: asked_while_cancelled(s, a) or (length_asked_first(a) and a.data != Data.FITTING),
    )


# When an operation goes on, and when it ends.


@cache
def ended(k: Activity) -> Change:
    """The operation ends."""
    there = working(k)
    return named(f"{k.noun} ends", lambda s, a: with_operation(s, a, k, Operation()) if there(s, a) else s)


@cache
def ended_if_sure(k: Activity, step: Step) -> Change:
    """The operation ends, but where the text has no code for the call and so no end either."""
    there, unclear = working(k), updated(k) if step == Step.WHOLE else parts_unforeseen(k)
    return named(
        f"{k.noun} ends unless unclear",
        lambda s, a: with_operation(s, a, k, Operation()) if there(s, a) and not unclear(s, a) else s,
    )


@cache
def ended_with_output(k: Activity) -> Change:
    """The operation ends, unless only the length of its output was asked for."""
    end = ended(k)
    return named(f"{k.noun} ends with its output", lambda s, a: s if a.buffer == Buffer.NULL else end(s, a))


@cache
def fed(k: Activity) -> Change:
    """A part went into the operation."""
    there = working(k)
    return named(
        f"{k.noun} takes a part",
        lambda s, a: with_operation(s, a, k, replace(operation(s, a, k), phase=Phase.UPDATED)) if there(s, a) else s,
    )


@cache
def fed_with_output(k: Activity) -> Change:
    """A part went into the operation, unless only the length of its output was asked for."""
    feed = fed(k)
    return named(f"{k.noun} takes a part and gives one", lambda s, a: s if a.buffer == Buffer.NULL else feed(s, a))


@cache
def asked(k: Activity) -> Change:
    """The whole at once was asked for, and not given: the operation goes on, and may be one that has no parts."""
    there = working(k)

    def ask(s: State, a: Args) -> State:
        if not there(s, a) or operation(s, a, k).phase != Phase.READY:
            return s
        return with_operation(s, a, k, replace(operation(s, a, k), phase=Phase.ASKED))

    return named(f"{k.noun} at once is asked for", ask)


def ends(k: Activity, shape: Shape) -> tuple[Effect, ...]:
    """What a call does to its operation: what 5.8 to 5.11 say of the function's end.

    A part leaves it active, all else ends it; an error ends it either way; a buffer too small or a length query does
    not, though an Update that took nothing may count as one that was called. Of errors, A-15 asks about those in the
    arguments only.
    """
    place = f"{shape.place(k)}, on what terminates the operation"
    if shape.step == Step.PART:
        success = fed_with_output(k) if shape.output else fed(k)
    else:
        success = ended_with_output(k) if shape.output else ended(k)
    nothing_came: tuple[Effect, ...] = ()
    if shape.step == Step.PART and shape.output:
        nothing_came = (Effect("part-taken", fed(k), place, TAKES_NOTHING, certain=False, reading="A-70"),)
    elif shape.step == Step.WHOLE and shape.output and k.parted:
        nothing_came = (Effect("length-asked", asked(k), place, TAKES_NOTHING),)
    return (
        Effect("operation-goes-on-or-ends", success, place),
        *nothing_came,
        Effect("operation-ended-by-error", ended_if_sure(k, shape.step), place, PLAIN_ERRORS),
        Effect("operation-ended-by-error", ended_if_sure(k, shape.step), place, ARGUMENT_ERRORS, reading="A-15"),
        Effect("operation-perhaps-ended", ended(k), place, ERRORS - DOUBTFUL, certain=False, reading="A-11"),
        Effect("operation-perhaps-ended", ended(k), place, DOUBTFUL, certain=False, reading="A-71"),
    )


TAKES_NOTHING = frozenset({CKR.OK, CKR.BUFFER_TOO_SMALL})
"""Codes by which a call may have taken nothing: it was a length query, or the buffer was too small."""


# Outputs that the application keeps, and what they are good for.


def _kept(s: State, a: Args, k: Activity, valid: bool) -> Kept:
    """What is known of the output that the operation just gave: little, if its key is gone."""
    o = operation(s, a, k)
    return Kept(valid and object_reachable(s, a.session, o.key), o.mechanism, o.key)


def ciphertext_of(s: State, a: Args, k: Activity, valid: bool) -> State:
    """`s` with the ciphertext kept that the operation just gave."""
    return replace(s, ciphertext=_kept(s, a, k, valid)) if a.buffer != Buffer.NULL else s


def signature_of(s: State, a: Args, k: Activity, valid: bool) -> State:
    """`s` with the signature kept that the operation just gave."""
    return replace(s, signature=_kept(s, a, k, valid)) if a.buffer != Buffer.NULL else s


Lengths = tuple[tuple[Mech, int], ...]


def lengths(made: Lengths, kept: Kept) -> tuple[int, ...]:
    """The length of an output that was just kept, where its mechanism alone decides; else nothing."""
    return tuple(n for mech, n in made if mech == kept.mechanism)


def told_length(k: Activity, made: Lengths, given: Callable[[State, Args], Sequence[int]]) -> Output:
    """The length of an output: as it was `given`, or as a query or CKR_BUFFER_TOO_SMALL told it.

    The second is a promise, that a buffer so large is enough, of which the need is known where the mechanism and the
    usual data decide it. It leaves the operation active, so that the mechanism is there to be seen.
    """
    any_data = k != ENCRYPTION

    def permitted(s: State, a: Args) -> Sequence[int]:
        o = operation(s, a, k)
        if o.phase == Phase.NONE or large_enough(a):
            return given(s, a)
        if not any_data and (a.data != Data.FITTING or o.phase not in WHOLE_SO_FAR):
            return ()
        return next((at_least(n) for mech, n in made if mech == o.mechanism), ())

    return Output("length", permitted, "5.2 second way to call", TELLS_LENGTH)


TELLS_LENGTH: Final = frozenset({CKR.OK, CKR.BUFFER_TOO_SMALL})
"""Codes beside which a call with an output buffer tells its length (5.2)."""


def forget_outputs(s: State) -> State:
    """`s` without outputs that later calls can rely on: for use when keys go, whose numbers others may take."""
    none = Kept()
    return replace(s, ciphertext=none, signature=none, wrapped=none, message=none, sealed=none, capsule=none)


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
    """Whether an operation, a saved one, or a message-based process still goes by a key of this number.

    Where the key is no more, no new object may take the number: it would be mistaken for the key.
    """
    held = ((x.open, x.operations) for x in s.sessions)
    processes = ((x.open, x.operations.process) for x in s.sessions)
    if any(there & (p.kind != Messages.NONE) & (p.key == number) for there, p in processes):
        return True
    return any(
        there & (o.phase != Phase.NONE) & (o.key == number)
        for there, operations in (*held, (s.saved.valid, s.saved.operations))
        for o in (getattr(operations, k.field) for k in ACTIVITIES if k.keyed)
    )
