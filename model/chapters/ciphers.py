"""Sections 5.8 and 5.9: encryption and decryption."""

from collections.abc import Iterable

from ..call import Args, Buffer, Data
from ..mechanisms import AUTHENTICATING, BLOCKS, MECHANISMS, STREAMED, SYMMETRIC, Role, with_role
from ..rule import Effect, Function, Rule, Strength
from ..state import Mech, State
from ..vocabulary import CKR
from .conditions import halves, length_asked_first, one_of, session_valid
from .operations import (
    DECRYPTION,
    ENCRYPTION,
    WHOLE_SO_FAR,
    Activity,
    Shape,
    Step,
    active,
    asked_of_unusual,
    asked_while_cancelled,
    ciphertext_of,
    ends,
    init,
    lengths,
    operation,
    plaintext_rows,
    refusals,
    short,
    told_length,
)

_WHOLE, _PART, _LAST = Shape(Step.WHOLE), Shape(Step.PART), Shape(Step.LAST, data=False)

_PLAINTEXTS = (Data.FITTING, Data.ODD, Data.HUGE, Data.ABOVE, Data.EMPTY, Data.NULL)
_CIPHERTEXTS = (Data.KEPT, Data.FITTING, Data.TAMPERED, Data.CUT, Data.ODD, Data.EMPTY, Data.NULL)
_PARTS = (Data.FITTING, Data.ODD, Data.EMPTY, Data.NULL)


def _ended_before_short(k: Activity) -> Rule:
    """The adapter's own length query of a Final, which says what is short, may have been taken for the Final."""
    return Rule(
        "ended-by-length-query",
        CKR.OPERATION_NOT_INITIALIZED,
        short(k),
        f"{k.section} {k.stem}Final, on what terminates the operation",
        "Where no last part is left, a query for its length may be all that there is to do.",
        Strength.UNSAID,
    )


# C_EncryptInit.


C_ENCRYPT_INIT = init(ENCRYPTION, (*with_role(Role.ENCRYPT), Mech.SHA256, Mech.UNKNOWN))


# C_Encrypt.


_LENGTHS = tuple((m, facts.ciphertext) for m, facts in MECHANISMS.items() if facts.ciphertext)
"""The length of what the usual data encrypts to."""

_KNOWN = tuple(m for m, _ in _LENGTHS)


def keep_ciphertext(s: State, a: Args) -> State:
    whole = one_of(operation(s, a, ENCRYPTION).phase, WHOLE_SO_FAR)
    return ciphertext_of(s, a, ENCRYPTION, whole and a.data == Data.FITTING)


def ciphertext_length(s: State, a: Args) -> tuple[int, ...]:
    return lengths(_LENGTHS, s.ciphertext) if a.buffer != Buffer.NULL and a.data == Data.FITTING else ()


C_ENCRYPT = Function(
    "C_Encrypt",
    ("session", "data", "buffer", "null"),
    (*refusals(ENCRYPTION, _WHOLE, _KNOWN), *plaintext_rows(ENCRYPTION, Step.WHOLE)),
    effects=(Effect("output-kept", keep_ciphertext, "5.8 C_Encrypt, on pEncryptedData"), *ends(ENCRYPTION, _WHOLE)),
    outputs=(told_length(ENCRYPTION, _LENGTHS, ciphertext_length),),
    out_of_scope=asked_of_unusual(ENCRYPTION),
    domains={"data": _PLAINTEXTS},
    given=session_valid,
)


# C_EncryptUpdate.


C_ENCRYPT_UPDATE = Function(
    "C_EncryptUpdate",
    ("session", "data", "buffer", "null"),
    (*refusals(ENCRYPTION, _PART), *plaintext_rows(ENCRYPTION, Step.PART)),
    effects=ends(ENCRYPTION, _PART),
    out_of_scope=asked_of_unusual(ENCRYPTION),
    domains={"data": _PARTS},
    given=session_valid,
)


# C_EncryptFinal.


def keep_ciphertext_of_parts(s: State, a: Args) -> State:
    """What went in is not tracked."""
    return ciphertext_of(s, a, ENCRYPTION, False)


C_ENCRYPT_FINAL = Function(
    "C_EncryptFinal",
    ("session", "buffer", "null"),
    (*refusals(ENCRYPTION, _LAST), *plaintext_rows(ENCRYPTION, Step.LAST), _ended_before_short(ENCRYPTION)),
    effects=(
        Effect("output-kept", keep_ciphertext_of_parts, "5.8 C_EncryptFinal, on pLastEncryptedPart"),
        *ends(ENCRYPTION, _LAST),
    ),
    given=session_valid,
)


# C_DecryptInit.


C_DECRYPT_INIT = init(DECRYPTION, (*with_role(Role.DECRYPT), Mech.SHA256, Mech.UNKNOWN))


# C_Decrypt.


_decrypting = active(DECRYPTION)


def _matching(s: State, a: Args) -> bool:
    """The kept ciphertext is of known data, and was made by the operation's mechanism and key."""
    o, kept = operation(s, a, DECRYPTION), s.ciphertext
    if not (one_of(o.phase, WHOLE_SO_FAR) and kept.valid and kept.mechanism == o.mechanism):
        return False
    return kept.key == o.key if one_of(o.mechanism, SYMMETRIC) else halves(s, kept.key, o.key)


def _decrypts(s: State, a: Args) -> bool:
    if a.data == Data.KEPT:
        return _matching(s, a)
    return a.data == Data.FITTING and one_of(operation(s, a, DECRYPTION).mechanism, STREAMED)


def ciphertext_doubtful(s: State, a: Args) -> bool:
    return _decrypting(s, a) and not _decrypts(s, a)


def _doubtful_rows(shape: Shape) -> Iterable[Rule]:
    for code in DECRYPTION.unfit:
        yield Rule(
            "ciphertext-doubtful",
            code,
            ciphertext_doubtful,
            f"{shape.place(DECRYPTION)}, on inappropriate lengths" if shape == _WHOLE else f"5.1.6 {code}",
            "Ciphertext that was not made by this mechanism and key may be seen to be none.",
            Strength.MAY,
        )


def ciphertext_of_impossible_length(s: State, a: Args) -> bool:
    if not _decrypting(s, a) or a.buffer == Buffer.NULL:
        return False
    odd = a.data == Data.ODD or (a.data == Data.CUT and s.ciphertext.valid)
    return odd and one_of(operation(s, a, DECRYPTION).mechanism, BLOCKS)


def _authentic_before(s: State, a: Args) -> bool:
    if not _decrypting(s, a) or a.buffer == Buffer.NULL:
        return False
    return one_of(operation(s, a, DECRYPTION).mechanism, AUTHENTICATING) and _matching(s, a)


def authenticated_ciphertext_tampered_with(s: State, a: Args) -> bool:
    return a.data == Data.TAMPERED and _authentic_before(s, a)


def authenticated_ciphertext_cut(s: State, a: Args) -> bool:
    return a.data == Data.CUT and _authentic_before(s, a)


_FORGED = (
    *(
        Rule(
            "ciphertext-of-impossible-length",
            code,
            ciphertext_of_impossible_length,
            "5.9 C_Decrypt, on inappropriate lengths",
            "Ciphertext that cannot be decrypted for its length makes the call fail with either of two codes.",
        )
        for code in DECRYPTION.unfit
    ),
    Rule(
        "authenticated-ciphertext-tampered-with",
        CKR.ENCRYPTED_DATA_INVALID,
        authenticated_ciphertext_tampered_with,
        "5.1.6 CKR_ENCRYPTED_DATA_INVALID",
        "A mechanism that authenticates what it decrypts finds out that this is no ciphertext of its own.",
        Strength.INFERRED,
    ),
    *(
        Rule(
            "authenticated-ciphertext-cut",
            code,
            authenticated_ciphertext_cut,
            "5.9 C_Decrypt, on inappropriate lengths",
            "A mechanism that authenticates what it decrypts finds out that a part of it is missing.",
            Strength.INFERRED,
        )
        for code in DECRYPTION.unfit
    ),
)


def asked_of_doubtful_plaintext(s: State, a: Args) -> bool:
    """Where the adapter's own length query fails, it ends the operation."""
    if asked_while_cancelled(s, a):
        return True
    return length_asked_first(a) and session_valid(s, a) and ciphertext_doubtful(s, a)


C_DECRYPT = Function(
    "C_Decrypt",
    ("session", "data", "buffer", "null"),
    (*refusals(DECRYPTION, _WHOLE), *_FORGED, *_doubtful_rows(_WHOLE)),
    effects=ends(DECRYPTION, _WHOLE),
    out_of_scope=asked_of_doubtful_plaintext,
    domains={"data": _CIPHERTEXTS},
    given=session_valid,
)


# C_DecryptUpdate.


C_DECRYPT_UPDATE = Function(
    "C_DecryptUpdate",
    ("session", "data", "buffer", "null"),
    (*refusals(DECRYPTION, _PART), *_doubtful_rows(_PART)),
    effects=ends(DECRYPTION, _PART),
    out_of_scope=asked_of_doubtful_plaintext,
    domains={"data": (Data.KEPT, *_PARTS)},
    given=session_valid,
)


# C_DecryptFinal.


C_DECRYPT_FINAL = Function(
    "C_DecryptFinal",
    ("session", "buffer", "null"),
    (
        *refusals(DECRYPTION, _LAST),
        *(
            Rule(
                "parts-may-not-decrypt",
                code,
                active(DECRYPTION),
                "5.9 C_DecryptFinal, on inappropriate lengths",
                "All the parts together may be of a length that cannot be decrypted, or no ciphertext.",
                Strength.MAY,
            )
            for code in DECRYPTION.unfit
        ),
        _ended_before_short(DECRYPTION),
    ),
    effects=ends(DECRYPTION, _LAST),
    given=session_valid,
)


FUNCTIONS = (
    C_ENCRYPT_INIT,
    C_ENCRYPT,
    C_ENCRYPT_UPDATE,
    C_ENCRYPT_FINAL,
    C_DECRYPT_INIT,
    C_DECRYPT,
    C_DECRYPT_UPDATE,
    C_DECRYPT_FINAL,
)
