"""Section 5.11: signing and verifying, with recovery of the data and without."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from ..call import Args, Buffer, Data
from ..mechanisms import MECHANISMS, NUMERIC, SYMMETRIC, Role, with_role
from ..rule import Condition, Effect, Function, Rule, Strength, named
from ..state import Judged, Kept, Mech, State, put_session
from ..vocabulary import CKR, Version
from .common import arguments_bad
from .conditions import halves, key_valid, length_asked_first, one_of, session_valid
from .operations import (
    RECOVERING,
    SIGNING,
    SIGNING_RECOVERABLY,
    VERIFYING,
    VERIFYING_SIGNATURE,
    WHOLE_SO_FAR,
    Activity,
    Shape,
    Step,
    active,
    asked_of_unusual,
    asked_while_cancelled,
    data_unusual_rows,
    ends,
    init,
    lengths,
    operation,
    plaintext_rows,
    refusals,
    signature_of,
    told_length,
)

V2_20 = Version.V2_20

_WHOLE, _PART, _LAST = Shape(Step.WHOLE), Shape(Step.PART, output=False), Shape(Step.LAST, data=False)
_JUDGED, _JUDGED_LAST = Shape(Step.WHOLE, output=False), Shape(Step.LAST, data=False, output=False)
_UNSIGNED = Shape(Step.WHOLE, data=False)

_SIGNED = (Data.FITTING, Data.ODD, Data.HUGE, Data.ABOVE, Data.EMPTY, Data.NULL)
_PARTS = (Data.FITTING, Data.ODD, Data.EMPTY, Data.NULL)
_SIGNATURES = (Data.KEPT, Data.TAMPERED, Data.CUT, Data.EMPTY, Data.NULL)

_VERDICTS = (CKR.SIGNATURE_INVALID, CKR.SIGNATURE_LEN_RANGE)
_BAD_DATA = (CKR.DATA_INVALID, CKR.DATA_LEN_RANGE)


# C_SignInit.


C_SIGN_INIT = init(SIGNING, (*with_role(Role.SIGN), Mech.AES_ECB, Mech.UNKNOWN))


# C_Sign.


_LENGTHS = tuple((m, facts.signature) for m, facts in MECHANISMS.items() if facts.signature)
"""The length of a signature or MAC."""

_KNOWN = tuple(m for m, _ in _LENGTHS)


def keep_signature(s: State, a: Args) -> State:
    whole = one_of(operation(s, a, SIGNING).phase, WHOLE_SO_FAR)
    return signature_of(s, a, SIGNING, whole and a.data == Data.FITTING)


def signature_length(s: State, a: Args) -> tuple[int, ...]:
    return lengths(_LENGTHS, s.signature) if a.buffer != Buffer.NULL else ()


_signing = active(SIGNING)
_TOLD = told_length(SIGNING, _LENGTHS, signature_length)

_REJECTED = Rule(
    "user-may-reject",
    CKR.FUNCTION_REJECTED,
    _signing,
    "5.1.6 CKR_FUNCTION_REJECTED",
    "A token may ask somebody before it signs, who may say no.",
    Strength.MAY,
    since=V2_20,
)


@cache
def iterating(k: Activity) -> Condition:
    """A public-key mechanism is at work, whose algorithm may try again and again."""
    running = active(k)
    return named(
        f"{k.noun} by a public-key mechanism",
        lambda s, a: running(s, a) and not one_of(operation(s, a, k).mechanism, SYMMETRIC),
    )


def _iteration_row(k: Activity) -> Rule:
    return Rule(
        "iterations-may-not-suffice",
        CKR.EXCEEDED_MAX_ITERATIONS,
        iterating(k),
        "5.1.6 CKR_EXCEEDED_MAX_ITERATIONS",
        "An algorithm that tries until it succeeds may give up; making a signature is one of the examples.",
        Strength.MAY,
        "A-55",
        since=Version.V2_40,
    )


C_SIGN = Function(
    "C_Sign",
    ("session", "data", "buffer", "null"),
    (*refusals(SIGNING, _WHOLE, _KNOWN), *plaintext_rows(SIGNING, Step.WHOLE), _REJECTED, _iteration_row(SIGNING)),
    effects=(Effect("output-kept", keep_signature, "5.11 C_Sign, on pSignature"), *ends(SIGNING, _WHOLE)),
    outputs=(_TOLD,),
    out_of_scope=asked_of_unusual(SIGNING),
    domains={"data": _SIGNED},
    given=session_valid,
)


# C_SignUpdate.


C_SIGN_UPDATE = Function(
    "C_SignUpdate",
    ("session", "data"),
    (*refusals(SIGNING, _PART), *plaintext_rows(SIGNING, Step.PART)),
    effects=ends(SIGNING, _PART),
    domains={"data": _PARTS},
    given=session_valid,
)


# C_SignFinal.


def keep_signature_of_parts(s: State, a: Args) -> State:
    """What went in is not tracked."""
    return signature_of(s, a, SIGNING, False)


C_SIGN_FINAL = Function(
    "C_SignFinal",
    ("session", "buffer", "null"),
    (*refusals(SIGNING, _LAST, _KNOWN), *plaintext_rows(SIGNING, Step.LAST), _REJECTED, _iteration_row(SIGNING)),
    effects=(Effect("output-kept", keep_signature_of_parts, "5.11 C_SignFinal, on pSignature"), *ends(SIGNING, _LAST)),
    outputs=(_TOLD,),
    out_of_scope=asked_while_cancelled,
    given=session_valid,
)


# C_SignRecoverInit.


C_SIGN_RECOVER_INIT = init(SIGNING_RECOVERABLY, (*with_role(Role.SIGN_RECOVER), Mech.ECDSA, Mech.UNKNOWN))


# C_SignRecover.


def keep_recoverable_signature(s: State, a: Args) -> State:
    return signature_of(s, a, SIGNING_RECOVERABLY, a.data == Data.FITTING)


C_SIGN_RECOVER = Function(
    "C_SignRecover",
    ("session", "data", "buffer", "null"),
    (
        *refusals(SIGNING_RECOVERABLY, _WHOLE, _KNOWN),
        *plaintext_rows(SIGNING_RECOVERABLY, Step.WHOLE),
        _iteration_row(SIGNING_RECOVERABLY),
    ),
    effects=(
        Effect("output-kept", keep_recoverable_signature, "5.11 C_SignRecover, on pSignature"),
        *ends(SIGNING_RECOVERABLY, _WHOLE),
    ),
    outputs=(told_length(SIGNING_RECOVERABLY, _LENGTHS, signature_length),),
    out_of_scope=asked_of_unusual(SIGNING_RECOVERABLY),
    domains={"data": _SIGNED},
    given=session_valid,
)


# C_VerifyInit.


C_VERIFY_INIT = init(VERIFYING, (*with_role(Role.VERIFY), Mech.AES_ECB, Mech.UNKNOWN))


# C_Verify.


def _matching(s: State, a: Args, k: Activity) -> bool:
    """The kept signature is of known data, and was made by the operation's mechanism and the other half of its key."""
    o = operation(s, a, k)
    return one_of(o.phase, WHOLE_SO_FAR) and _made_by(s, s.signature, o.mechanism, o.key)


_OF_PAIRS = tuple(m for m in MECHANISMS if m not in SYMMETRIC)


def _made_by(s: State, kept: Kept, mechanism: Mech, key: int) -> bool:
    """A signature is of known data, and was made by a mechanism and the other half of a key."""
    same = one_of(mechanism, SYMMETRIC) & (kept.key == key)
    other = one_of(mechanism, _OF_PAIRS) & halves(s, key, kept.key)
    return kept.valid & (kept.mechanism == mechanism) & (same | other)


_verifying = active(VERIFYING)


def _signature_over_data(s: State, a: Args) -> bool:
    return _verifying(s, a) and a.data == Data.FITTING and _matching(s, a, VERIFYING)


def signature_tampered_with(s: State, a: Args) -> bool:
    return a.signature == Data.TAMPERED and _signature_over_data(s, a)


def signature_cut(s: State, a: Args) -> bool:
    return a.signature == Data.CUT and _signature_over_data(s, a)


def signature_doubtful(s: State, a: Args) -> bool:
    return _verifying(s, a) and not (a.signature == Data.KEPT and _signature_over_data(s, a))


_JUDGEMENT = (
    Rule(
        "signature-tampered-with",
        CKR.SIGNATURE_INVALID,
        signature_tampered_with,
        "5.11 C_Verify, on successful calls",
        "A signature of the right length that does not belong to the data is invalid.",
    ),
    Rule(
        "signature-cut",
        CKR.SIGNATURE_LEN_RANGE,
        signature_cut,
        "5.11 C_Verify, on successful calls",
        "A signature can be seen to be invalid by its length alone, and has a code for that.",
        Strength.INFERRED,
    ),
    *(
        Rule(
            "signature-doubtful",
            code,
            signature_doubtful,
            "5.11 C_Verify, on successful calls",
            "A signature that is not known to be valid may turn out to be invalid.",
            Strength.MAY,
        )
        for code in _VERDICTS
    ),
)


def signature_null(s: State, a: Args) -> bool:
    return a.signature == Data.NULL


def signature_empty(s: State, a: Args) -> bool:
    return a.signature == Data.EMPTY


_NULL_SAYS = "An argument that is not fit for the call; where there is a signature of some length, NULL is not."

_NO_SIGNATURE = Rule(
    "signature-empty",
    CKR.ARGUMENTS_BAD,
    signature_empty,
    "5.1.6 CKR_ARGUMENTS_BAD",
    "A signature of length 0 is a wrong one, or an argument that is not fit; nothing is said of it.",
    Strength.UNSAID,
    "A-28",
    unguarded=True,
)
_SIGNATURE_ARGUMENT = (
    *arguments_bad("signature-null", signature_null, "5.1.6 CKR_ARGUMENTS_BAD", _NULL_SAYS, unguarded=True),
    _NO_SIGNATURE,
)

C_VERIFY = Function(
    "C_Verify",
    ("session", "data", "signature"),
    (
        *refusals(VERIFYING, _JUDGED),
        *_SIGNATURE_ARGUMENT,
        *_JUDGEMENT,
        *data_unusual_rows(VERIFYING, _BAD_DATA),
    ),
    effects=ends(VERIFYING, _JUDGED),
    domains={"data": _PARTS, "signature": _SIGNATURES},
    given=session_valid,
)


# C_VerifyUpdate.


C_VERIFY_UPDATE = Function(
    "C_VerifyUpdate",
    ("session", "data"),
    (*refusals(VERIFYING, _PART), *plaintext_rows(VERIFYING, Step.PART)),
    effects=ends(VERIFYING, _PART),
    domains={"data": _PARTS},
    given=session_valid,
)


# C_VerifyFinal.


C_VERIFY_FINAL = Function(
    "C_VerifyFinal",
    ("session", "signature"),
    (
        *refusals(VERIFYING, _JUDGED_LAST),
        *_SIGNATURE_ARGUMENT,
        *(
            Rule(
                "parts-may-not-verify",
                code,
                _verifying,
                "5.11 C_VerifyFinal, on successful calls",
                "What went in by parts is not tracked here, so that the signature may be found invalid.",
                Strength.MAY,
            )
            for code in _VERDICTS
        ),
        *plaintext_rows(VERIFYING, Step.LAST),
    ),
    effects=ends(VERIFYING, _JUDGED_LAST),
    domains={"signature": _SIGNATURES},
    given=session_valid,
)


# C_VerifyRecoverInit.


C_VERIFY_RECOVER_INIT = init(RECOVERING, (*with_role(Role.VERIFY_RECOVER), Mech.ECDSA, Mech.UNKNOWN))


# C_VerifyRecover.


_recovering = active(RECOVERING)


def recoverable_signature_doubtful(s: State, a: Args) -> bool:
    return _recovering(s, a) and not (a.signature == Data.KEPT and _matching(s, a, RECOVERING))


def _padded_signature(s: State, a: Args) -> bool:
    """Without padding any number recovers to something."""
    if not _recovering(s, a) or a.buffer == Buffer.NULL:
        return False
    return not one_of(operation(s, a, RECOVERING).mechanism, NUMERIC) and _matching(s, a, RECOVERING)


def recoverable_signature_tampered_with(s: State, a: Args) -> bool:
    return a.signature == Data.TAMPERED and _padded_signature(s, a)


def recoverable_signature_cut(s: State, a: Args) -> bool:
    return a.signature == Data.CUT and _padded_signature(s, a)


def _recovery_rows() -> Iterable[Rule]:
    place = "5.11 C_VerifyRecover, on successful calls"
    yield Rule(
        "signature-tampered-with",
        CKR.SIGNATURE_INVALID,
        recoverable_signature_tampered_with,
        place,
        "A signature of the right length whose padding is broken is invalid.",
    )
    yield Rule(
        "signature-cut",
        CKR.SIGNATURE_LEN_RANGE,
        recoverable_signature_cut,
        place,
        "A signature can be seen to be invalid by its length alone, and has a code for that.",
        Strength.INFERRED,
    )
    for code in (*_VERDICTS, *_BAD_DATA):
        yield Rule(
            "signature-doubtful",
            code,
            recoverable_signature_doubtful,
            place if code in _VERDICTS else f"5.1.6 {code}",
            "A signature that is not known to be valid may turn out to be invalid.",
            Strength.MAY,
        )


def signature_null_for_output(s: State, a: Args) -> bool:
    return a.signature == Data.NULL and a.buffer != Buffer.NULL


def signature_null_for_length(s: State, a: Args) -> bool:
    return a.signature == Data.NULL and a.buffer == Buffer.NULL


def _recovery_argument_rows() -> Iterable[Rule]:
    place = "5.1.6 CKR_ARGUMENTS_BAD"
    yield from arguments_bad("signature-null", signature_null_for_output, place, _NULL_SAYS, unguarded=True)
    yield Rule(
        "signature-null-for-length",
        CKR.ARGUMENTS_BAD,
        signature_null_for_length,
        place,
        "Asking for a length, a call may look at the signature or not; NULL is not fit to be looked at.",
        Strength.UNSAID,
        "A-50",
        unguarded=True,
    )
    yield _NO_SIGNATURE


def asked_of_doubtful_data(s: State, a: Args) -> bool:
    """Where the adapter's own length query fails, it ends the operation."""
    if asked_while_cancelled(s, a):
        return True
    return length_asked_first(a) and session_valid(s, a) and recoverable_signature_doubtful(s, a)


C_VERIFY_RECOVER = Function(
    "C_VerifyRecover",
    ("session", "signature", "buffer", "null"),
    (*refusals(RECOVERING, _UNSIGNED), *_recovery_argument_rows(), *_recovery_rows()),
    effects=ends(RECOVERING, _UNSIGNED),
    out_of_scope=asked_of_doubtful_data,
    domains={"signature": _SIGNATURES},
    given=session_valid,
)


# C_VerifySignatureInit.


def _judged(s: State, a: Args) -> Judged:
    """What is known of the signature that a call gives."""
    if not _made_by(s, s.signature, a.mechanism, a.key):
        return Judged.DOUBTFUL
    if a.signature == Data.TAMPERED:
        return Judged.TAMPERED
    if a.signature == Data.CUT:
        return Judged.CUT
    return Judged.RIGHT if a.signature == Data.KEPT else Judged.DOUBTFUL


def take_signature(s: State, a: Args) -> State:
    """What is known of the signature is noted with the verification that was begun."""
    if a.null:
        return s
    session = s.sessions[a.session]
    return put_session(s, a.session, replace(session, operations=replace(session.operations, judged=_judged(s, a))))


def first_signature_null(s: State, a: Args) -> bool:
    """Where there is a mechanism to verify it by."""
    return a.signature == Data.NULL and not a.null


def first_signature_not_whole(s: State, a: Args) -> bool:
    """A signature that its length tells to be none, at a key and a mechanism that it would go with."""
    return key_valid(s, a) and not a.null and a.signature != Data.KEPT and a.signature != Data.TAMPERED


_VERIFY_SIGNATURE_INIT = init(VERIFYING_SIGNATURE, (*with_role(Role.VERIFY), Mech.AES_ECB, Mech.UNKNOWN))

C_VERIFY_SIGNATURE_INIT = replace(
    _VERIFY_SIGNATURE_INIT,
    uses=("session", "mechanism", "parameter", "key", "signature", "null"),
    rules=(
        *_VERIFY_SIGNATURE_INIT.rules,
        *arguments_bad("signature-null", first_signature_null, "5.1.6 CKR_ARGUMENTS_BAD", _NULL_SAYS, unguarded=True),
        replace(_NO_SIGNATURE, reading="A-110"),
        *(
            Rule(
                "signature-not-whole",
                code,
                first_signature_not_whole,
                "5.15 of v3.2 C_VerifySignatureInit",
                "The signature may be looked at where it is given, though the list has no code for what is seen.",
                Strength.UNSAID,
                "A-110",
            )
            for code in (*_VERDICTS, CKR.ARGUMENTS_BAD)
        ),
    ),
    effects=(
        *_VERIFY_SIGNATURE_INIT.effects,
        Effect("signature-taken", take_signature, "5.15 of v3.2 C_VerifySignatureInit, first sentence"),
    ),
    domains={**_VERIFY_SIGNATURE_INIT.domains, "signature": _SIGNATURES},
    deviations=2,
)


# C_VerifySignature.


def _judging(s: State, a: Args, judged: Judged) -> bool:
    """All of the usual data is given, of which it is known what the signature is to it."""
    o = s.sessions[a.session].operations
    return one_of(o.verify_signature.phase, WHOLE_SO_FAR) and a.data == Data.FITTING and o.judged == judged


def given_signature_tampered_with(s: State, a: Args) -> bool:
    return _judging(s, a, Judged.TAMPERED)


def given_signature_cut(s: State, a: Args) -> bool:
    return _judging(s, a, Judged.CUT)


_verifying_signature = active(VERIFYING_SIGNATURE)


def given_signature_doubtful(s: State, a: Args) -> bool:
    return _verifying_signature(s, a) and not _judging(s, a, Judged.RIGHT)


def _given_judgement() -> Iterable[Rule]:
    place = "5.15 of v3.2 C_VerifySignature, on successful calls"
    for id, when, says in (
        (
            "signature-tampered-with",
            given_signature_tampered_with,
            "A signature of the right length that does not belong to the data is invalid.",
        ),
        (
            "signature-cut",
            given_signature_cut,
            "A signature of which a part is missing is invalid, and the function says no more of it.",
        ),
    ):
        yield Rule(id, CKR.SIGNATURE_INVALID, when, place, says)
    for code in _VERDICTS:
        yield Rule(
            "signature-doubtful",
            code,
            given_signature_doubtful,
            place,
            "A signature that is not known to be valid may turn out to be invalid, by its length too.",
            Strength.MAY,
        )


C_VERIFY_SIGNATURE = Function(
    "C_VerifySignature",
    ("session", "data"),
    (
        *refusals(VERIFYING_SIGNATURE, _JUDGED),
        *_given_judgement(),
        *data_unusual_rows(VERIFYING_SIGNATURE, _BAD_DATA),
    ),
    effects=ends(VERIFYING_SIGNATURE, _JUDGED),
    domains={"data": _PARTS},
    given=session_valid,
)

C_VERIFY_SIGNATURE_UPDATE = Function(
    "C_VerifySignatureUpdate",
    ("session", "data"),
    (*refusals(VERIFYING_SIGNATURE, _PART), *plaintext_rows(VERIFYING_SIGNATURE, Step.PART)),
    effects=ends(VERIFYING_SIGNATURE, _PART),
    domains={"data": _PARTS},
    given=session_valid,
)

C_VERIFY_SIGNATURE_FINAL = Function(
    "C_VerifySignatureFinal",
    ("session",),
    (
        *refusals(VERIFYING_SIGNATURE, _JUDGED_LAST),
        *(
            Rule(
                "parts-may-not-verify",
                code,
                _verifying_signature,
                "5.15 of v3.2 C_VerifySignatureFinal, on successful calls",
                "What went in by parts is not tracked here, so that the signature may be found invalid.",
                Strength.MAY,
            )
            for code in _VERDICTS
        ),
        *plaintext_rows(VERIFYING_SIGNATURE, Step.LAST),
    ),
    effects=ends(VERIFYING_SIGNATURE, _JUDGED_LAST),
    given=session_valid,
)


FUNCTIONS = (
    C_SIGN_INIT,
    C_SIGN,
    C_SIGN_UPDATE,
    C_SIGN_FINAL,
    C_SIGN_RECOVER_INIT,
    C_SIGN_RECOVER,
    C_VERIFY_INIT,
    C_VERIFY,
    C_VERIFY_UPDATE,
    C_VERIFY_FINAL,
    C_VERIFY_RECOVER_INIT,
    C_VERIFY_RECOVER,
    C_VERIFY_SIGNATURE_INIT,
    C_VERIFY_SIGNATURE,
    C_VERIFY_SIGNATURE_UPDATE,
    C_VERIFY_SIGNATURE_FINAL,
)
