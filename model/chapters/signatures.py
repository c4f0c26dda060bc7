"""Section 5.11: signing and verifying, with recovery of the data and without."""

from ..call import Args, Buffer, Data
from ..mechanisms import Role, with_role
from ..rule import Effect, Function, Output, Rule, Strength
from ..state import Mech, Phase, State
from ..vocabulary import CKR, Version
from .common import arguments_bad
from .conditions import halves, one_of
from .operations import (
    RECOVERING,
    SIGNING,
    SIGNING_RECOVERABLY,
    VERIFYING,
    Activity,
    Shape,
    Step,
    active,
    data_unusual,
    ends,
    init,
    lengths,
    operation,
    plaintext_rows,
    refusals,
    short_of_unusual,
    short_while_cancelled,
    signature_of,
)

V2_20 = Version.V2_20

_LENGTHS = (
    (Mech.SHA256_HMAC, 32),
    (Mech.RSA_PKCS, 256),
    (Mech.RSA_X_509, 256),
    (Mech.RSA_PKCS_PSS, 256),
    (Mech.SHA256_RSA_PKCS, 256),
    (Mech.ECDSA, 64),
)
"""The length of a signature or MAC; RSA keys here have 2048 bits, EC keys lie on P-256."""

_EXACT = (Mech.SHA256_HMAC, Mech.RSA_PKCS, Mech.RSA_X_509, Mech.RSA_PKCS_PSS, Mech.SHA256_RSA_PKCS)
_MACS = (Mech.SHA256_HMAC,)
_VERDICTS = (CKR.SIGNATURE_INVALID, CKR.SIGNATURE_LEN_RANGE)
_BAD_DATA = (CKR.DATA_INVALID, CKR.DATA_LEN_RANGE)

_signing, _verifying, _recovering = active(SIGNING), active(VERIFYING), active(RECOVERING)


# C_Sign, C_SignFinal, C_SignRecover.


def keep_signature(s: State, a: Args) -> State:
    whole = operation(s, a, SIGNING).phase == Phase.READY
    return signature_of(s, a, SIGNING, whole and a.data == Data.FITTING)


def keep_signature_of_parts(s: State, a: Args) -> State:
    """What went in is not tracked."""
    return signature_of(s, a, SIGNING, False)


def keep_recoverable_signature(s: State, a: Args) -> State:
    return signature_of(s, a, SIGNING_RECOVERABLY, a.data == Data.FITTING)


def signature_length(s: State, a: Args) -> tuple[int, ...]:
    return lengths(_LENGTHS, s.signature) if a.buffer == Buffer.ENOUGH else ()


# C_Verify, C_VerifyFinal, C_VerifyRecover.


def _matching(s: State, a: Args, k: Activity) -> bool:
    """The kept signature is of known data, and was made by the operation's mechanism and the other half of its key."""
    o, kept = operation(s, a, k), s.signature
    if not (o.phase == Phase.READY and kept.valid and kept.mechanism == o.mechanism):
        return False
    return kept.key == o.key if one_of(o.mechanism, _MACS) else halves(s, o.key, kept.key)


def _signature_over_data(s: State, a: Args) -> bool:
    return _verifying(s, a) and a.data == Data.FITTING and _matching(s, a, VERIFYING)


def signature_doubtful(s: State, a: Args) -> bool:
    return _verifying(s, a) and not (a.signature == Data.KEPT and _signature_over_data(s, a))


def signature_tampered_with(s: State, a: Args) -> bool:
    return a.signature == Data.TAMPERED and _signature_over_data(s, a)


def signature_cut(s: State, a: Args) -> bool:
    return a.signature == Data.CUT and _signature_over_data(s, a)


def signature_null(s: State, a: Args) -> bool:
    return a.signature == Data.NULL


def signature_empty(s: State, a: Args) -> bool:
    return a.signature == Data.EMPTY


def recoverable_signature_doubtful(s: State, a: Args) -> bool:
    return _recovering(s, a) and not (a.signature == Data.KEPT and _matching(s, a, RECOVERING))


def _padded_signature(s: State, a: Args) -> bool:
    """Without padding any number recovers to something."""
    if not _recovering(s, a) or a.buffer == Buffer.NULL:
        return False
    return operation(s, a, RECOVERING).mechanism == Mech.RSA_PKCS and _matching(s, a, RECOVERING)


def recoverable_signature_tampered_with(s: State, a: Args) -> bool:
    return a.signature == Data.TAMPERED and _padded_signature(s, a)


def recoverable_signature_cut(s: State, a: Args) -> bool:
    return a.signature == Data.CUT and _padded_signature(s, a)


def signature_null_for_output(s: State, a: Args) -> bool:
    return a.signature == Data.NULL and a.buffer != Buffer.NULL


def signature_null_for_length(s: State, a: Args) -> bool:
    return a.signature == Data.NULL and a.buffer == Buffer.NULL


def short_of_doubtful_data(s: State, a: Args) -> bool:
    """Where the adapter's own length query fails, it ends the operation."""
    return short_while_cancelled(s, a) or (a.buffer == Buffer.SHORT and recoverable_signature_doubtful(s, a))


_WHOLE, _PART, _LAST = Shape(Step.WHOLE), Shape(Step.PART, output=False), Shape(Step.LAST, data=False)
_JUDGED, _JUDGED_LAST = Shape(Step.WHOLE, output=False), Shape(Step.LAST, data=False, output=False)
_UNSIGNED = Shape(Step.WHOLE, data=False)

_REJECTED = Rule("signing", CKR.FUNCTION_REJECTED, _signing, "5.11", "", Strength.MAY, since=V2_20)
_NO_SIGNATURE = Rule("signature-empty", CKR.ARGUMENTS_BAD, signature_empty, "5.11", "", Strength.UNSAID, "A-28")

_SIGNED = (Data.FITTING, Data.ODD, Data.HUGE, Data.ABOVE, Data.EMPTY, Data.NULL)
_PARTS = (Data.FITTING, Data.ODD, Data.EMPTY, Data.NULL)
_SIGNATURES = (Data.KEPT, Data.TAMPERED, Data.CUT, Data.EMPTY, Data.NULL)


FUNCTIONS = (
    init("C_SignInit", SIGNING, (*with_role(Role.SIGN), Mech.AES_ECB, Mech.UNKNOWN)),
    Function(
        "C_Sign",
        ("session", "data", "buffer", "null"),
        (*refusals(SIGNING, _WHOLE, _EXACT), *plaintext_rows(SIGNING, Step.WHOLE), _REJECTED),
        effects=(Effect(keep_signature, "5.11"), *ends(SIGNING, _WHOLE)),
        outputs=(Output("length", signature_length, "5.2"),),
        out_of_scope=short_of_unusual(SIGNING),
        domains={"data": _SIGNED},
    ),
    Function(
        "C_SignUpdate",
        ("session", "data"),
        (*refusals(SIGNING, _PART), *plaintext_rows(SIGNING, Step.PART)),
        effects=ends(SIGNING, _PART),
        domains={"data": _PARTS},
    ),
    Function(
        "C_SignFinal",
        ("session", "buffer", "null"),
        (*refusals(SIGNING, _LAST, _EXACT), *plaintext_rows(SIGNING, Step.LAST), _REJECTED),
        effects=(Effect(keep_signature_of_parts, "5.11"), *ends(SIGNING, _LAST)),
        outputs=(Output("length", signature_length, "5.2"),),
        out_of_scope=short_while_cancelled,
    ),
    init("C_SignRecoverInit", SIGNING_RECOVERABLY, (*with_role(Role.SIGN_RECOVER), Mech.ECDSA, Mech.UNKNOWN)),
    Function(
        "C_SignRecover",
        ("session", "data", "buffer", "null"),
        (*refusals(SIGNING_RECOVERABLY, _WHOLE, _EXACT), *plaintext_rows(SIGNING_RECOVERABLY, Step.WHOLE)),
        effects=(Effect(keep_recoverable_signature, "5.11"), *ends(SIGNING_RECOVERABLY, _WHOLE)),
        outputs=(Output("length", signature_length, "5.2"),),
        out_of_scope=short_of_unusual(SIGNING_RECOVERABLY),
        domains={"data": _SIGNED},
    ),
    init("C_VerifyInit", VERIFYING, (*with_role(Role.VERIFY), Mech.AES_ECB, Mech.UNKNOWN)),
    Function(
        "C_Verify",
        ("session", "data", "signature"),
        (
            *refusals(VERIFYING, _JUDGED),
            *arguments_bad("signature-null", signature_null, "5.11", ""),
            _NO_SIGNATURE,
            Rule("signature-tampered-with", CKR.SIGNATURE_INVALID, signature_tampered_with, "5.11", ""),
            Rule("signature-cut", CKR.SIGNATURE_LEN_RANGE, signature_cut, "5.11", ""),
            *(Rule("signature-doubtful", code, signature_doubtful, "5.11", "", Strength.MAY) for code in _VERDICTS),
            *(Rule("data-unusual", code, data_unusual(VERIFYING), "5.11", "", Strength.MAY) for code in _BAD_DATA),
        ),
        effects=ends(VERIFYING, _JUDGED),
        domains={"data": _PARTS, "signature": _SIGNATURES},
    ),
    Function(
        "C_VerifyUpdate",
        ("session", "data"),
        (*refusals(VERIFYING, _PART), *plaintext_rows(VERIFYING, Step.PART)),
        effects=ends(VERIFYING, _PART),
        domains={"data": _PARTS},
    ),
    Function(
        "C_VerifyFinal",
        ("session", "signature"),
        (
            *refusals(VERIFYING, _JUDGED_LAST),
            *arguments_bad("signature-null", signature_null, "5.11", ""),
            _NO_SIGNATURE,
            *(Rule("verifying", code, _verifying, "5.11", "", Strength.MAY) for code in _VERDICTS),
            *plaintext_rows(VERIFYING, Step.LAST),
        ),
        effects=ends(VERIFYING, _JUDGED_LAST),
        domains={"signature": _SIGNATURES},
    ),
    init("C_VerifyRecoverInit", RECOVERING, (*with_role(Role.VERIFY_RECOVER), Mech.ECDSA, Mech.UNKNOWN)),
    Function(
        "C_VerifyRecover",
        ("session", "signature", "buffer", "null"),
        (
            *refusals(RECOVERING, _UNSIGNED),
            *arguments_bad("signature-null", signature_null_for_output, "5.11", ""),
            Rule(
                "signature-null-for-length",
                CKR.ARGUMENTS_BAD,
                signature_null_for_length,
                "5.11",
                "",
                Strength.UNSAID,
                "A-50",
            ),
            _NO_SIGNATURE,
            Rule(
                "recoverable-signature-tampered-with",
                CKR.SIGNATURE_INVALID,
                recoverable_signature_tampered_with,
                "5.11",
                "",
            ),
            Rule("recoverable-signature-cut", CKR.SIGNATURE_LEN_RANGE, recoverable_signature_cut, "5.11", ""),
            *(
                Rule("recoverable-signature-doubtful", code, recoverable_signature_doubtful, "5.11", "", Strength.MAY)
                for code in (*_VERDICTS, *_BAD_DATA)
            ),
        ),
        effects=ends(RECOVERING, _UNSIGNED),
        out_of_scope=short_of_doubtful_data,
        domains={"signature": _SIGNATURES},
    ),
)
